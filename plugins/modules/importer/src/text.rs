//! Texts from other systems: reduced to plain text, shortened. Not a HTML parser: nothing it returns is ever used as HTML.

/// At most `characters` characters.
pub(crate) fn cut(text: &str, characters: usize) -> String {
    text.chars().take(characters).collect()
}

/// At most `characters` characters; what is cut off is replaced by a checksum, so that different texts stay different.
pub(crate) fn shorten(text: &str, characters: usize) -> String {
    if text.chars().count() <= characters {
        return text.to_owned();
    }
    // FNV-1a, 64 bits: only has to tell apart texts with a long common beginning.
    let hash = text
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
    format!("{}-{hash:016x}", cut(text, characters.saturating_sub(17)))
}

/// HTML to plain text: tags vanish, block ends become blank lines, the common entities are read.
pub(crate) fn plain(html: &str) -> String {
    let mut text = String::with_capacity(html.len());
    let mut rest = html;
    while let Some(open) = rest.find('<') {
        let (before, tag) = rest.split_at(open);
        text.push_str(before);
        let Some(close) = tag.find('>') else {
            rest = tag;
            break;
        };
        let name: String = tag
            .chars()
            .skip(1)
            .skip_while(|c| *c == '/')
            .take_while(char::is_ascii_alphanumeric)
            .collect::<String>()
            .to_lowercase();
        let closing = tag.starts_with("</");
        match name.as_str() {
            "br" => text.push('\n'),
            "li" if !closing => text.push_str("\n- "),
            "p" | "div" | "ul" | "ol" | "h1" | "h2" | "h3" | "h4" | "table" | "tr" if closing => text.push_str("\n\n"),
            _ => {}
        }
        rest = tag.get(close + 1..).unwrap_or_default();
    }
    text.push_str(rest);
    let mut decoded = text;
    // `&amp;` last: `&amp;lt;` is the text `&lt;`.
    for (entity, character) in [
        ("&nbsp;", " "),
        ("&lt;", "<"),
        ("&gt;", ">"),
        ("&quot;", "\""),
        ("&#39;", "'"),
        ("&apos;", "'"),
        ("&amp;", "&"),
    ] {
        decoded = decoded.replace(entity, character);
    }
    let mut lines: Vec<String> = Vec::new();
    for line in decoded.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")) {
        if !(line.is_empty() && lines.last().is_none_or(String::is_empty)) {
            lines.push(line);
        }
    }
    while lines.last().is_some_and(String::is_empty) {
        lines.pop();
    }
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reduces_html() {
        for (html, text) in [
            ("plain", "plain"),
            ("<p>One</p>\n<p>Two <b>bold</b></p>", "One\n\nTwo bold"),
            ("a<br/>b &lt;c&gt; &amp;lt;", "a\nb <c> &lt;"),
            ("<ul><li>x</li><li>y</li></ul>", "- x\n- y"),
            ("1 < 2", "1 < 2"),
        ] {
            assert_eq!(plain(html), text, "{html}");
        }
    }

    #[test]
    fn shortened_texts_stay_different() {
        let (left, right) = (format!("{}a", "x".repeat(80)), format!("{}b", "x".repeat(80)));
        assert_eq!(shorten(&left, 64).len(), 64);
        assert_ne!(shorten(&left, 64), shorten(&right, 64));
        assert_eq!(shorten("short", 64), "short");
    }
}
