//! A picture for products that have none: a calm drawing made from the product's id, always the same for the same product.

/// An SVG document, 400 by 400.
pub(crate) fn svg(id: &str) -> String {
    let hash = id.bytes().fold(0x811c_9dc5_u32, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193));
    let pick = |shift: u32, modulus: u32| (hash >> shift) % modulus;
    let hue = pick(0, 360);
    let accent = (hue + 25 + pick(9, 40)) % 360;
    let shape = match pick(17, 4) {
        0 => {
            let radius = 90 + pick(5, 40);
            format!(
                r#"<circle cx="200" cy="210" r="{radius}" fill="url(#b)"/><path d="M{left} 210a{radius} {radius} 0 0 0 {width} 0z" fill="hsl({accent} 35% 42%)" opacity=".35"/>"#,
                left = 200 - radius,
                width = radius * 2
            )
        }
        1 => {
            let width = 130 + pick(5, 60);
            let left = 200 - width / 2;
            format!(
                r#"<rect x="{left}" y="110" width="{width}" height="190" rx="26" fill="url(#b)"/><rect x="{left}" y="170" width="{width}" height="46" fill="hsl({accent} 35% 42%)" opacity=".35"/>"#
            )
        }
        2 => {
            let top = 100 + pick(5, 40);
            format!(
                r#"<path d="M200 {top}c60 20 96 70 96 120a96 80 0 0 1-192 0c0-50 36-100 96-120z" fill="url(#b)"/><path d="M200 {top}v200" stroke="hsl({accent} 35% 38%)" stroke-width="5" opacity=".45"/>"#
            )
        }
        _ => {
            let lift = pick(5, 30);
            format!(
                r#"<path d="M104 {top}h192l-22 {height}a20 20 0 0 1-20 17H146a20 20 0 0 1-20-17z" fill="url(#b)"/><ellipse cx="200" cy="{top}" rx="96" ry="22" fill="hsl({accent} 40% 70%)"/>"#,
                top = 150 - lift,
                height = 130 + lift
            )
        }
    };
    format!(
        r#"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 400 400" role="img"><defs><linearGradient id="a" x2="0" y2="1"><stop stop-color="hsl({hue} 32% 95%)"/><stop offset="1" stop-color="hsl({hue} 28% 87%)"/></linearGradient><linearGradient id="b" x2="1" y2="1"><stop stop-color="hsl({accent} 42% 66%)"/><stop offset="1" stop-color="hsl({accent} 40% 52%)"/></linearGradient></defs><rect width="400" height="400" fill="url(#a)"/><ellipse cx="200" cy="316" rx="120" ry="13" fill="hsl({hue} 20% 40%)" opacity=".16"/>{shape}</svg>"#
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pictures_are_stable_and_carry_nothing_of_the_id() {
        assert_eq!(svg("mug"), svg("mug"));
        assert_ne!(svg("mug"), svg("pot"));
        assert!(!svg("<script>").contains("script"));
    }
}
