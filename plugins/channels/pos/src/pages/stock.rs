//! Articles to choose from, and their stock here and in the other stores.

use maud::{Markup, html};

use super::layout::{Frame, escape};
use super::till::scan_field;
use crate::model::Item;

/// The articles that a search found, to be put into the basket with a tap.
pub(crate) fn choice(frame: &Frame, words: &str, quantity: i64, items: &[Item]) -> String {
    let texts = frame.texts();
    let content = html! {
        (scan_field(frame))
        h1 { (texts.found) " " span.muted { "„" (words) "“" } }
        ul."panel rows" {
            @for item in items {
                li.found {
                    (facts(frame, item))
                    @if item.price.is_some() { (add_button(frame, item, quantity)) }
                }
            }
        }
        a."button quiet" href=(frame.here("")) { (texts.back) }
    };
    frame.page(texts.found, "", &content)
}

/// Stock of the articles that a code or words stand for.
pub(crate) fn stock(frame: &Frame, code: &str, items: Option<&[Item]>) -> String {
    let texts = frame.texts();
    let content = html! {
        h1 { (texts.stock_title) }
        form.scan method="get" action=(frame.here("/stock")) role="search" {
            input type="text" name="code" value=(code) required maxlength="100" autofocus autocomplete="off" autocapitalize="off"
                spellcheck="false" placeholder=(texts.scan_hint) aria-label=(texts.scan);
            button { (texts.look_up) }
        }
        @if let Some(items) = items {
            @if items.is_empty() { p."note bad" role="alert" { (texts.nothing_found) " „" (code) "“." } }
            @for item in items {
                section.panel {
                    div.found { (facts(frame, item)) @if item.price.is_some() { (add_button(frame, item, 1)) } }
                    (places(frame, item))
                }
            }
        }
    };
    frame.page(texts.stock_title, "/stock", &content)
}

fn facts(frame: &Frame, item: &Item) -> Markup {
    let texts = frame.texts();
    html! {
        div.what {
            strong { (item.title) }
            span."muted small" {
                a href=(frame.here(&format!("/stock?code={}", escape(&item.sku)))) { (item.sku) }
                " · " (texts.here) ": " (item.available_here.unwrap_or(0)) " · " (texts.stock) ": "
                (item.available_elsewhere.saturating_add(item.available_here.unwrap_or(0)))
            }
        }
        span.price {
            @match &item.price {
                Some(price) => (frame.amount(price.amount_minor, &price.currency)),
                None => span.muted { (texts.no_price) },
            }
        }
    }
}

fn add_button(frame: &Frame, item: &Item, quantity: i64) -> Markup {
    html! {
        form method="post" action=(frame.here("/scan")) {
            input type="hidden" name="code" value={ (quantity) "*" (item.sku) };
            input type="hidden" name="sku" value=(item.sku);
            button aria-label={ (frame.texts().to_basket) ": " (item.title) } { (frame.texts().add) }
        }
    }
}

fn places(frame: &Frame, item: &Item) -> Markup {
    let texts = frame.texts();
    html! {
        @if item.stock.is_empty() { p.muted { (texts.no_stock) } }
        @else {
            table {
                thead { tr {
                    th scope="col" { (texts.location) }
                    th.number scope="col" { (texts.on_hand) }
                    th.number scope="col" { (texts.available) }
                } }
                tbody {
                    @for place in &item.stock {
                        tr.here[place.here] {
                            td {
                                (place.name)
                                span."muted small" {
                                    @match place.kind { "store" => (texts.store), "warehouse" => (texts.warehouse), _ => (texts.third_party) }
                                    @if place.here { " · " (texts.here) }
                                }
                            }
                            td.number { (place.on_hand) }
                            td.number { strong.none[place.available <= 0] { (place.available) } }
                        }
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Price, StockPlace};
    use crate::pages::layout::tests::frame;
    use kontor_sdk::money::Language;

    fn item() -> Item {
        let place = |location: &str, kind, here, available| StockPlace {
            location: location.into(),
            name: location.into(),
            kind,
            here,
            on_hand: available + 1,
            available,
        };
        Item {
            sku: "MUG/1".into(),
            product_id: "mug".into(),
            title: "Mug <blue>".into(),
            image_url: None,
            price: Some(Price { amount_minor: 1290, currency: "EUR".into() }),
            available_here: Some(0),
            available_elsewhere: 7,
            stock: vec![place("Bonn", "store", true, 0), place("Ulm", "store", false, 7)],
        }
    }

    #[test]
    fn stock_of_all_stores() {
        let page = stock(&frame(Language::De), "mug", Some(&[item()]));
        for part in [
            "Mug &lt;blue&gt;",
            "/stock?code=MUG%2F1",
            "hier: 0 · Bestand: 7",
            "Filiale · hier",
            "<strong class=\"none\">0</strong>",
            ">7</strong>",
        ] {
            assert!(page.contains(part), "{part} is missing in {page}");
        }
        let nothing = stock(&frame(Language::De), "<x>", Some(&[]));
        assert!(nothing.contains("Nichts gefunden zu „&lt;x&gt;“."), "{nothing}");
        assert!(!stock(&frame(Language::De), "", None).contains("Nichts gefunden"));
    }

    #[test]
    fn a_search_offers_what_can_be_sold() {
        let unpriced = Item { sku: "OLD".into(), price: None, ..item() };
        let page = choice(&frame(Language::En), "mug", 3, &[item(), unpriced]);
        assert!(
            page.contains("name=\"code\" value=\"3*MUG/1\"") && page.contains("name=\"sku\" value=\"MUG/1\""),
            "{page}"
        );
        assert!(page.contains("no price") && !page.contains("value=\"OLD\""), "{page}");
    }
}
