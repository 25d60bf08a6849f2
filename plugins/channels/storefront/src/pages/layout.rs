//! What all pages have in common: head, header with search and cart, navigation, footer.

use maud::{DOCTYPE, Markup, html};

use crate::texts::{Texts, texts};
use kontor_sdk::money::Language;

/// The style sheet.
pub(crate) const STYLE: &str = include_str!("../style.css");
/// Its name under `/assets/`; changes with the version, so that browsers may keep it for good.
pub(crate) const STYLE_NAME: &str = concat!("style-", env!("CARGO_PKG_VERSION"), ".css");

/// What surrounds a page.
#[derive(Clone, Debug)]
pub(crate) struct Frame {
    /// Prefix of all links.
    pub base: String,
    /// Of the shop.
    pub shop_name: String,
    /// One sentence.
    pub tagline: String,
    /// Of the texts.
    pub language: Language,
    /// In the navigation.
    pub categories: Vec<String>,
    /// Units in the visitor's cart.
    pub cart_units: i64,
}

impl Frame {
    /// The texts in the shop's language.
    pub(crate) fn texts(&self) -> &'static Texts {
        texts(self.language)
    }

    /// A link within the shop.
    pub(crate) fn link(&self, path: &str) -> String {
        format!("{}{path}", self.base)
    }

    /// Address of a product's picture: its own, or a drawing.
    pub(crate) fn picture(&self, id: &str, image_url: Option<&str>) -> String {
        match image_url.filter(|url| url.starts_with("https://") || url.starts_with('/')) {
            Some(url) => url.to_owned(),
            None => self.link(&format!("/assets/{}.svg", escape_segment(id))),
        }
    }

    /// A whole page.
    pub(crate) fn page(&self, title: &str, current_category: Option<&str>, search: &str, content: &Markup) -> String {
        let texts = self.texts();
        html! {
            (DOCTYPE)
            html lang=(texts.code) {
                head {
                    meta charset="utf-8";
                    meta name="viewport" content="width=device-width, initial-scale=1";
                    title { @if title.is_empty() { (self.shop_name) } @else { (title) " · " (self.shop_name) } }
                    link rel="stylesheet" href=(self.link(&format!("/assets/{STYLE_NAME}")));
                    link rel="icon" href=(self.link("/assets/icon.svg")) type="image/svg+xml";
                }
                body {
                    a.skip href="#content" { (texts.skip) }
                    header.top {
                        div.wrap {
                            a.brand href=(self.link("/")) { (self.shop_name) }
                            form.find action=(self.link("/search")) role="search" {
                                input type="search" name="q" value=(search) placeholder=(texts.search_hint) aria-label=(texts.search);
                                button { (texts.search) }
                            }
                            a.basket href=(self.link("/cart")) { (texts.cart) " " b { (self.cart_units) } }
                        }
                    }
                    @if !self.categories.is_empty() {
                        nav.cats aria-label=(texts.all_products) {
                            div.wrap { ul {
                                li { a href=(self.link("/")) aria-current=[(current_category == Some("")).then_some("page")] { (texts.all_products) } }
                                @for category in &self.categories {
                                    li {
                                        a href=(self.link(&format!("/categories/{}", escape_path(category))))
                                            aria-current=[(current_category == Some(category.as_str())).then_some("page")] {
                                            (category.rsplit('/').next().unwrap_or(category))
                                        }
                                    }
                                }
                            } }
                        }
                    }
                    main id="content" { div.wrap { (content) } }
                    footer { div.wrap { (self.shop_name) @if !self.tagline.is_empty() { " · " (self.tagline) } } }
                }
            }
        }
        .into_string()
    }
}

/// Percent-encodes one segment of a path.
pub(crate) fn escape_segment(text: &str) -> String {
    text.bytes()
        .map(|byte| match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => char::from(byte).to_string(),
            _ => format!("%{byte:02X}"),
        })
        .collect()
}

/// Percent-encodes a path, keeping its slashes.
pub(crate) fn escape_path(text: &str) -> String {
    text.split('/').map(escape_segment).collect::<Vec<_>>().join("/")
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn frame(language: Language) -> Frame {
        Frame {
            base: "/m/demo/storefront".into(),
            shop_name: "Kontor & Söhne".into(),
            tagline: "Good things".into(),
            language,
            categories: vec!["Kitchen/Tools".into()],
            cart_units: 2,
        }
    }

    #[test]
    fn everything_is_escaped_and_prefixed() {
        let page = frame(Language::De).page("<b>", None, "\"><script>", &html! { p { "x" } });
        assert!(
            page.contains("Kontor &amp; Söhne") && page.contains("&lt;b&gt;") && !page.contains("<script>"),
            "{page}"
        );
        assert!(page.contains("href=\"/m/demo/storefront/categories/Kitchen/Tools\""), "{page}");
        assert_eq!(escape_segment("a b/ü"), "a%20b%2F%C3%BC");
    }

    #[test]
    fn pictures_come_from_safe_places() {
        let frame = frame(Language::En);
        assert_eq!(frame.picture("mug", Some("https://x/y.jpg")), "https://x/y.jpg");
        assert_eq!(frame.picture("mug", Some("javascript:alert(1)")), "/m/demo/storefront/assets/mug.svg");
        assert_eq!(frame.picture("mug", None), "/m/demo/storefront/assets/mug.svg");
    }
}
