//! What all pages have in common: head, header with till and navigation; and how a refusal is told.

use kontor_sdk::Error;
use maud::{DOCTYPE, Markup, html};
use serde_json::Value;

use crate::settings::Till;
use crate::texts::{Texts, texts};
use kontor_sdk::money::{self, Language};

/// The style sheet.
pub(crate) const STYLE: &str = include_str!("../style.css");
/// Its name under `/assets/`; changes with the version, so that browsers may keep it for good.
pub(crate) const STYLE_NAME: &str = concat!("style-", env!("CARGO_PKG_VERSION"), ".css");

/// What surrounds a page.
#[derive(Clone, Debug)]
pub(crate) struct Frame {
    /// Prefix of all links.
    pub(crate) base: String,
    /// Of the texts.
    pub(crate) language: Language,
    /// Whose time is shown.
    pub(crate) country: String,
    /// At which the person works.
    pub(crate) till: Option<Till>,
}

impl Frame {
    /// The texts in the language of the pages.
    pub(crate) fn texts(&self) -> &'static Texts {
        texts(self.language)
    }

    /// A link within the plugin.
    pub(crate) fn link(&self, path: &str) -> String {
        format!("{}{path}", self.base)
    }

    /// A link within the till.
    pub(crate) fn here(&self, path: &str) -> String {
        match &self.till {
            Some(till) => format!("{}/tills/{}{path}", self.base, till.id),
            None => self.link("/"),
        }
    }

    /// An amount.
    pub(crate) fn amount(&self, amount_minor: i64, currency: &str) -> String {
        money::display(amount_minor, currency, self.language)
    }

    /// A point in time.
    pub(crate) fn time(&self, at_ms: u64) -> String {
        crate::local_time::show(at_ms, &self.country, self.language)
    }

    /// A whole page; `current` is the path of its entry in the navigation.
    pub(crate) fn page(&self, title: &str, current: &str, content: &Markup) -> String {
        let texts = self.texts();
        let entries = [("", texts.basket), ("/stock", texts.stock), ("/sales", texts.sales)];
        html! {
            (DOCTYPE)
            html lang=(texts.code) {
                head {
                    meta charset="utf-8";
                    meta name="viewport" content="width=device-width, initial-scale=1";
                    title { (title) @if let Some(till) = &self.till { " · " (till.name) } }
                    link rel="stylesheet" href=(self.link(&format!("/assets/{STYLE_NAME}")));
                    link rel="icon" href="data:,";
                }
                body {
                    a.skip href="#content" { (texts.skip) }
                    header.top {
                        div.wrap {
                            @if let Some(till) = &self.till {
                                a.brand href=(self.link("/")) title=(texts.change_till) { (till.name) }
                                nav aria-label=(texts.till) {
                                    @for (path, name) in entries {
                                        a href=(self.here(path)) aria-current=[(current == path).then_some("page")] { (name) }
                                    }
                                }
                            } @else {
                                span.brand { (texts.till) }
                            }
                        }
                    }
                    main id="content" { div.wrap { (content) } }
                }
            }
        }
        .into_string()
    }
}

/// A page that says one thing.
pub(crate) fn message(frame: &Frame, title: &str, text: &str) -> String {
    let content = html! {
        div."panel empty" {
            h1 { (title) }
            p { (text) }
            a.button href=(frame.here("")) { (frame.texts().back) }
        }
    };
    frame.page(title, "-", &content)
}

/// A refusal in the language of the pages, where it is one that a person at a till can do something about.
pub(crate) fn explain(frame: &Frame, error: &Error) -> String {
    let texts = frame.texts();
    match error.code() {
        "insufficient-stock" => {
            let problem = error.to_problem();
            let shortages = problem.get("shortages").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
            let parts: Vec<String> = shortages
                .iter()
                .map(|shortage| {
                    let sku = shortage.get("sku").and_then(Value::as_str).unwrap_or_default();
                    let available = shortage.get("available").and_then(Value::as_i64).unwrap_or_default();
                    format!("{sku} ({}: {available})", texts.available)
                })
                .collect();
            format!("{} {}", texts.not_enough, parts.join(", "))
        }
        "underpaid" => {
            let problem = error.to_problem();
            let missing = problem.get("missing_minor").and_then(Value::as_i64).unwrap_or_default();
            let currency = problem.get("currency").and_then(Value::as_str).unwrap_or_default();
            format!("{} {}", texts.underpaid, frame.amount(missing, currency))
        }
        "card-exceeds-total" => texts.card_exceeds.to_owned(),
        "total-changed" => texts.total_changed.to_owned(),
        "basket-full" => texts.basket_full.to_owned(),
        "parked-full" => texts.parked_full.to_owned(),
        "no-price" | "unknown-sku" => texts.not_priced.to_owned(),
        _ => error.detail().to_owned(),
    }
}

/// Percent-encodes a value of a query.
pub(crate) fn escape(text: &str) -> String {
    text.bytes()
        .map(|byte| match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => char::from(byte).to_string(),
            _ => format!("%{byte:02X}"),
        })
        .collect()
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::cash;

    pub(crate) fn frame(language: Language) -> Frame {
        let till = Till { id: "bonn-1".into(), name: "Kasse <1>".into(), location: "bonn".into() };
        Frame { base: "/m/demo/pos".into(), language, country: "DE".into(), till: Some(till) }
    }

    #[test]
    fn everything_is_escaped_and_prefixed() {
        let page = frame(Language::De).page("<b>", "/stock", &html! { p { "\"><script>" } });
        assert!(page.contains("Kasse &lt;1&gt;") && page.contains("&lt;b&gt;") && !page.contains("<script"), "{page}");
        assert!(
            page.contains("<a href=\"/m/demo/pos/tills/bonn-1/stock\" aria-current=\"page\">Bestand</a>"),
            "{page}"
        );
        assert!(page.contains("<html lang=\"de\">"), "{page}");
        assert_eq!(escape("a b/ü&"), "a%20b%2F%C3%BC%26");
    }

    #[test]
    fn refusals_are_told_in_the_language_of_the_page() {
        let german = frame(Language::De);
        let underpaid = cash::settle(1999, &[], 1, "EUR").unwrap_err();
        assert_eq!(explain(&german, &underpaid), "Es fehlen noch: 19,99\u{a0}€");
        let short = Error::conflict("x")
            .with_code("insufficient-stock")
            .with("shortages", serde_json::json!([{ "sku": "MUG", "requested": 3, "available": 1 }]));
        assert_eq!(explain(&german, &short), "Hier nicht genug auf Lager: MUG (Verfügbar: 1)");
        assert_eq!(explain(&german, &Error::conflict("something else")), "something else");
    }
}
