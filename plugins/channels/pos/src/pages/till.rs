//! The choice of a till, and the till itself: scan field, basket, total, parked baskets.

use maud::{Markup, html};

use super::layout::Frame;
use crate::basket::Basket;
use crate::model::Priced;
use crate::settings::Till;

/// A basket as the till shows it, the last scanned first.
#[derive(Clone, Debug)]
pub(crate) struct BasketView {
    pub(crate) sale_id: String,
    pub(crate) units: i64,
    pub(crate) lines: Vec<LineView>,
    /// None: one of the articles has no price.
    pub(crate) priced: Option<Priced>,
}

/// A line of it.
#[derive(Clone, Debug)]
pub(crate) struct LineView {
    sku: String,
    title: String,
    quantity: i64,
    /// Of one, and of all.
    amounts: Option<(i64, i64)>,
}

impl BasketView {
    /// With its prices.
    pub(crate) fn priced(basket: &Basket, priced: Priced) -> Self {
        let lines = priced.lines.iter().rev().map(|line| LineView {
            sku: line.sku.clone(),
            title: line.title.clone(),
            quantity: line.quantity,
            amounts: Some((line.unit_price_minor, line.gross_minor)),
        });
        Self { sale_id: basket.sale_id.clone(), units: basket.units(), lines: lines.collect(), priced: Some(priced) }
    }

    /// Without: an article cannot be priced.
    pub(crate) fn unpriced(basket: &Basket, titles: &[(String, String)]) -> Self {
        let lines = basket.lines.iter().rev().map(|line| LineView {
            title: titles
                .iter()
                .find(|(sku, _)| *sku == line.sku)
                .map_or_else(|| line.sku.clone(), |(_, title)| title.clone()),
            sku: line.sku.clone(),
            quantity: line.quantity,
            amounts: None,
        });
        Self { sale_id: basket.sale_id.clone(), units: basket.units(), lines: lines.collect(), priced: None }
    }
}

/// The choice of a till.
pub(crate) fn tills(frame: &Frame, tills: &[Till]) -> String {
    let texts = frame.texts();
    let content = html! {
        h1 { (texts.choose_till) }
        @if tills.is_empty() { p."panel empty" { (texts.no_tills) } }
        ul.tills {
            @for till in tills {
                li { a.panel href=(frame.link(&format!("/tills/{}", till.id))) {
                    strong { (till.name) }
                    span.muted { (till.location) " · " (till.id) }
                } }
            }
        }
    };
    frame.page(texts.choose_till, "-", &content)
}

/// The till.
pub(crate) fn till(frame: &Frame, basket: Option<&BasketView>, parked: &[Basket], problem: Option<&str>) -> String {
    let texts = frame.texts();
    let content = html! {
        div.two {
            div {
                (scan_field(frame))
                @if let Some(problem) = problem { p."note bad" role="alert" { (problem) } }
                @match basket {
                    Some(basket) => {
                        @if basket.priced.is_none() { p."note bad" role="alert" { (texts.not_priced) } }
                        ul."panel lines" {
                            @for (place, line) in basket.lines.iter().enumerate() {
                                (line_row(frame, line, basket.priced.as_ref().map(|priced| priced.currency.as_str()), place == 0))
                            }
                        }
                    }
                    None => div."panel empty" { p.big { (texts.basket_empty) } p.muted { (texts.scan_several) } }
                }
            }
            aside {
                @if let Some(basket) = basket { (sums(frame, basket)) }
                @if !parked.is_empty() { (parked_list(frame, parked)) }
            }
        }
    };
    frame.page(texts.till, "", &content)
}

/// The field that a scanner types into.
pub(crate) fn scan_field(frame: &Frame) -> Markup {
    let texts = frame.texts();
    html! {
        form.scan method="post" action=(frame.here("/scan")) role="search" {
            input type="text" name="code" required maxlength="100" autofocus autocomplete="off" autocapitalize="off"
                spellcheck="false" enterkeyhint="enter" placeholder=(texts.scan_hint) aria-label=(texts.scan);
            button { (texts.enter) }
        }
    }
}

fn line_row(frame: &Frame, line: &LineView, currency: Option<&str>, is_last: bool) -> Markup {
    let texts = frame.texts();
    let amounts = line.amounts.zip(currency);
    html! {
        li.line .last[is_last] {
            div.what {
                strong { (line.title) }
                span."muted small" {
                    (line.sku)
                    @if let Some(((unit, _), currency)) = amounts { " · " (frame.amount(unit, currency)) }
                }
            }
            form.step method="post" action=(frame.here("/lines")) {
                input type="hidden" name="sku" value=(line.sku);
                button.quiet name="change" value="less" aria-label={ (texts.less) ": " (line.title) } { "\u{2212}" }
                output aria-label=(texts.quantity) { (line.quantity) }
                button.quiet name="change" value="more" aria-label={ (texts.more) ": " (line.title) } { "+" }
                button.link name="change" value="remove" aria-label={ (texts.remove) ": " (line.title) } { (texts.remove) }
            }
            span.price {
                @match amounts {
                    Some(((_, total), currency)) => (frame.amount(total, currency)),
                    None => span.muted { "\u{2013}" },
                }
            }
        }
    }
}

fn sums(frame: &Frame, basket: &BasketView) -> Markup {
    let texts = frame.texts();
    html! {
        div."panel sum" {
            @if let Some(priced) = &basket.priced {
                dl.sums {
                    div.muted { dt { (texts.items) } dd { (basket.units) } }
                    div."muted small" { dt { (texts.included_tax) } dd { (frame.amount(priced.taxes.iter().map(|tax| tax.tax_minor).sum(), &priced.currency)) } }
                    div.total { dt { (texts.total) } dd { (frame.amount(priced.total_minor, &priced.currency)) } }
                }
                a."button wide" href=(frame.here("/pay")) { (texts.pay) }
            }
            div.pair {
                form method="post" action=(frame.here("/park")) { button."quiet wide" { (texts.park) } }
                form method="post" action=(frame.here("/clear")) { button."quiet wide" { (texts.clear) } }
            }
        }
    }
}

fn parked_list(frame: &Frame, parked: &[Basket]) -> Markup {
    let texts = frame.texts();
    html! {
        div.panel {
            h2 { (texts.parked) }
            ul.parked {
                @for basket in parked {
                    li {
                        form method="post" action=(frame.here("/resume")) {
                            input type="hidden" name="basket" value=(basket.sale_id);
                            span { (frame.time(basket.parked_at_ms)) " · " (basket.units()) " " (texts.items) }
                            button.quiet { (texts.resume) }
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
    use crate::pages::layout::tests::frame;
    use crate::sale::tests::priced;
    use kontor_sdk::money::Language;

    fn basket() -> Basket {
        let mut basket = Basket::new("sale-1".into());
        basket.add("MUG", 2).unwrap();
        basket.add("TEA", 1).unwrap();
        basket
    }

    #[test]
    fn the_till_shows_the_basket_and_waits_for_a_scan() {
        let view = BasketView::priced(&basket(), priced());
        let page = till(&frame(Language::De), Some(&view), &[], Some("Nichts gefunden zu „<x>“."));
        for part in [
            "name=\"code\" required maxlength=\"100\" autofocus",
            "action=\"/m/demo/pos/tills/bonn-1/scan\"",
            "Mug &lt;blue&gt;",
            "25,80\u{a0}€",
            "30,79\u{a0}€",
            "value=\"less\" aria-label=\"Eins weniger: Tea\"",
            "href=\"/m/demo/pos/tills/bonn-1/pay\"",
            "role=\"alert\">Nichts gefunden zu „&lt;x&gt;“.",
        ] {
            assert!(page.contains(part), "{part} is missing in {page}");
        }
        assert!(page.find("Tea") < page.find("Mug"), "the last scanned comes first");
        assert!(!page.contains("<script") && !page.contains("onclick") && !page.contains("style=\""), "{page}");
    }

    #[test]
    fn a_basket_without_prices_can_be_mended_but_not_paid() {
        let view = BasketView::unpriced(&basket(), &[("TEA".into(), "Tea".into())]);
        let page = till(&frame(Language::En), Some(&view), &[], None);
        assert!(
            page.contains("An article cannot be sold") && page.contains("value=\"remove\" aria-label=\"Remove: MUG\""),
            "{page}"
        );
        assert!(!page.contains("/pay\""), "{page}");
    }

    #[test]
    fn an_empty_till_offers_what_was_parked() {
        let parked = Basket { parked_at_ms: 1_795_356_300_000, ..basket() };
        let page = till(&frame(Language::De), None, &[parked], None);
        assert!(
            page.contains("Den ersten Artikel scannen") && page.contains("name=\"basket\" value=\"sale-1\""),
            "{page}"
        );
        assert!(page.contains("22.11.2026 15:05 · 3 Stück"), "{page}");
    }

    #[test]
    fn tills_are_chosen() {
        let mut frame = frame(Language::En);
        let till = frame.till.take().unwrap();
        let page = tills(&frame, &[till]);
        assert!(page.contains("href=\"/m/demo/pos/tills/bonn-1\""), "{page}");
        assert!(tills(&frame, &[]).contains("No till is set up yet"));
    }
}
