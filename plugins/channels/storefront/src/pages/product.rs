//! Lists of products, and a product.

use maud::{Markup, html};

use super::layout::{Frame, escape_segment};
use crate::model::{Availability, ProductDetail, ProductList, VariantView};

/// A list: the home page, a category, or what a search found.
pub(crate) fn list(
    frame: &Frame,
    list: &ProductList,
    category: Option<&str>,
    search: Option<&str>,
    here: &str,
) -> String {
    let texts = frame.texts();
    let heading = match (search, category) {
        (Some(words), _) => format!("{} “{words}”", texts.results_for),
        (None, Some(category)) if !category.is_empty() => category.rsplit('/').next().unwrap_or(category).to_owned(),
        _ => String::new(),
    };
    let content = html! {
        @if heading.is_empty() {
            div.hero { h1 { (frame.shop_name) } @if !frame.tagline.is_empty() { p { (frame.tagline) } } }
        } @else { h1 { (heading) } }
        @if list.products.is_empty() {
            div."panel empty" {
                p { @if search.is_some() { (texts.no_results) } @else { (texts.empty_shop) } }
                a.button href=(frame.link("/")) { (texts.all_products) }
            }
        }
        ul.grid {
            @for product in &list.products {
                li.card {
                    div.pic { img src=(frame.picture(&product.id, product.image_url.as_deref())) alt="" loading="lazy" width="400" height="400"; }
                    div.text {
                        @if let Some(brand) = &product.brand { span."muted small" { (brand) } }
                        a href=(frame.link(&format!("/products/{}", escape_segment(&product.id)))) { (product.title) }
                        @match &product.price {
                            Some(price) => span.price { @if product.price_varies { (texts.from_price) " " } (price.show(frame.language)) },
                            None => span."muted small" { (texts.no_price) },
                        }
                    }
                }
            }
        }
        @if let Some(cursor) = &list.next_cursor {
            @let joint = if here.contains('?') { '&' } else { '?' };
            p.pager { a."button quiet" href=(frame.link(&format!("{here}{joint}cursor={}", escape_segment(cursor)))) { (texts.more) } }
        }
    };
    frame.page(&heading, category.filter(|_| search.is_none()), search.unwrap_or_default(), &content)
}

/// A product. `problem` is shown above the form.
pub(crate) fn detail(frame: &Frame, product: &ProductDetail, problem: Option<&str>) -> String {
    let texts = frame.texts();
    let buyable = |variant: &VariantView| variant.price.is_some() && variant.availability.can_be_bought();
    let chosen = product.variants.iter().position(buyable);
    let content = html! {
        div.product {
            div.pic { img src=(frame.picture(&product.id, product.image_url.as_deref())) alt=(product.title) width="400" height="400"; }
            div {
                @if let Some(problem) = problem { p."note bad" role="alert" { (problem) } }
                @if let Some(brand) = &product.brand { span.muted { (brand) } }
                h1 { (product.title) }
                @if let Some(price) = product.variants.iter().filter_map(|variant| variant.price.as_ref()).min_by_key(|price| price.amount_minor) {
                    div { span.price { (price.show(frame.language)) } " " span."muted small" { (texts.tax_included) } }
                } @else { p.muted { (texts.no_price) } }
                form.buy method="post" action=(frame.link("/cart/lines")) {
                    @if let [only] = product.variants.as_slice() {
                        input type="hidden" name="sku" value=(only.sku);
                        (stock(frame, only.availability))
                    } @else {
                        fieldset.options {
                            @for (position, variant) in product.variants.iter().enumerate() {
                                label.option {
                                    input type="radio" name="sku" value=(variant.sku) required checked[chosen == Some(position)] disabled[!buyable(variant)];
                                    span { (variant.title) @if let Some(price) = &variant.price { " · " span.price { (price.show(frame.language)) } } }
                                    (stock(frame, variant.availability))
                                }
                            }
                        }
                    }
                    @if chosen.is_some() {
                        div.row {
                            div { label for="quantity" { (texts.quantity) } input #quantity type="number" name="quantity" value="1" min="1" max="99" inputmode="numeric"; }
                            div.grow { button.wide { (texts.add_to_cart) } }
                        }
                    }
                }
                @if !product.description.is_empty() { p.desc { (product.description) } }
                @if let [only] = product.variants.as_slice() { p."muted small" { (texts.article_number) ": " (only.sku) } }
            }
        }
    };
    frame.page(&product.title, product.category.as_deref(), "", &content)
}

fn stock(frame: &Frame, availability: Availability) -> Markup {
    let texts = frame.texts();
    html! {
        @match availability {
            Availability::InStock => span."stock ok" { (texts.in_stock) },
            Availability::FewLeft { quantity } => span."stock few" { (texts.few_left) " " (quantity) },
            Availability::SoldOut => span."stock none" { (texts.sold_out) },
            Availability::Unknown => {},
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::layout::tests::frame;
    use super::*;
    use crate::model::{Price, ProductCard};
    use kontor_sdk::money::Language;

    fn variant(sku: &str, quantity: i64) -> VariantView {
        VariantView {
            sku: sku.into(),
            title: sku.to_lowercase(),
            price: Some(Price { amount_minor: 1850, currency: "EUR".into() }),
            availability: Availability::of(quantity),
        }
    }

    fn product(variants: Vec<VariantView>) -> ProductDetail {
        ProductDetail {
            id: "mug".into(),
            title: "Mug".into(),
            brand: None,
            category: None,
            description: "Nice\n\nindeed".into(),
            image_url: None,
            variants,
        }
    }

    #[test]
    fn what_is_sold_out_cannot_be_bought() {
        let page = detail(&frame(Language::En), &product(vec![variant("A", 0), variant("B", 3)]), None);
        assert!(page.contains(r#"value="A" required disabled"#), "{page}");
        assert!(page.contains(r#"value="B" required checked"#) && page.contains("Only a few left: 3"), "{page}");
        let page = detail(&frame(Language::De), &product(vec![variant("A", 0)]), None);
        assert!(page.contains("Ausverkauft") && !page.contains("In den Warenkorb"), "{page}");
    }

    #[test]
    fn lists_link_on() {
        let card = ProductCard {
            id: "a/b".into(),
            title: "T".into(),
            brand: None,
            image_url: None,
            price: None,
            price_varies: false,
        };
        let shown = list(
            &frame(Language::En),
            &ProductList { products: vec![card], next_cursor: Some("x=".into()) },
            None,
            Some("tea"),
            "/search?q=tea",
        );
        assert!(shown.contains("/products/a%2Fb") && shown.contains("/search?q=tea&amp;cursor=x%3D"), "{shown}");
    }
}
