//! Receipts, on the screen and on paper, and the last ones of a till.

use maud::{Markup, html};

use super::layout::Frame;
use crate::model::{Method, Receipt};
use crate::money;

/// The receipt of a sale, with the change to give.
pub(crate) fn receipt(frame: &Frame, receipt: &Receipt, location: &str, header: &str, footer: &str) -> String {
    let texts = frame.texts();
    let show = |amount| frame.amount(amount, &receipt.currency);
    let content = html! {
        div.narrow {
            div."panel done noprint" {
                @if receipt.change_minor > 0 { p.change { span.muted { (texts.change) } " " strong { (show(receipt.change_minor)) } } }
                @else { p.change { strong { "\u{2713}" } } }
                a."button wide" href=(frame.here("")) autofocus { (texts.next_customer) }
                p."muted small" { (texts.print_hint) }
            }
            article."panel receipt" {
                @for line in header.lines().filter(|line| !line.trim().is_empty()) { p.centre { (line) } }
                p.centre { (location) }
                h1.centre { (texts.receipt) " " (receipt.receipt_number) }
                (lines(frame, receipt))
                (payments(frame, receipt))
                (taxes(frame, receipt))
                dl.facts {
                    dt { (texts.date) } dd { (frame.time(receipt.occurred_at_ms)) }
                    @if receipt.recorded_at_ms.saturating_sub(receipt.occurred_at_ms) > 60_000 {
                        dt { (texts.recorded) } dd { (frame.time(receipt.recorded_at_ms)) }
                    }
                    dt { (texts.till) } dd { (receipt.till_name) " (" (receipt.till_id) ")" }
                    dt { (texts.order) } dd { (receipt.order_number) }
                    dt { (texts.sold_by) } dd { (receipt.sold_by.split_once(':').map_or(receipt.sold_by.as_str(), |(_, name)| name)) }
                }
                @for line in footer.lines().filter(|line| !line.trim().is_empty()) { p.centre { (line) } }
            }
        }
    };
    frame.page(&format!("{} {}", texts.receipt, receipt.receipt_number), "/sales", &content)
}

fn lines(frame: &Frame, receipt: &Receipt) -> Markup {
    let show = |amount| frame.amount(amount, &receipt.currency);
    html! {
        table {
            tbody {
                @for line in &receipt.lines {
                    tr {
                        td {
                            (line.title)
                            span."muted small" { (line.quantity) " × " (show(line.unit_price_minor)) " · " (money::rate(line.rate_basis_points, frame.language)) }
                        }
                        td.number { (show(line.gross_minor)) }
                    }
                }
            }
            tfoot { tr { th scope="row" { (frame.texts().total) } td.number { strong { (show(receipt.total_minor)) } } } }
        }
    }
}

fn payments(frame: &Frame, receipt: &Receipt) -> Markup {
    let texts = frame.texts();
    let show = |amount| frame.amount(amount, &receipt.currency);
    html! {
        table { tbody {
            @if receipt.cash_rounding_minor != 0 {
                tr { td { (texts.rounding) } td.number { (show(receipt.cash_rounding_minor)) } }
            }
            @for tender in &receipt.tenders {
                tr {
                    td { @match tender.method { Method::Cash => (texts.cash), Method::Card => (texts.card) } }
                    td.number { (show(tender.amount_minor)) }
                }
            }
            @if receipt.change_minor > 0 { tr { td { (texts.change) } td.number { (show(receipt.change_minor)) } } }
        } }
    }
}

fn taxes(frame: &Frame, receipt: &Receipt) -> Markup {
    let texts = frame.texts();
    let show = |amount| frame.amount(amount, &receipt.currency);
    html! {
        table.small {
            thead { tr { th scope="col" { (texts.vat) } th.number scope="col" { (texts.net) } th.number scope="col" { (texts.vat) } th.number scope="col" { (texts.gross) } } }
            tbody {
                @for tax in &receipt.taxes {
                    tr {
                        td { (money::rate(tax.rate_basis_points, frame.language)) }
                        td.number { (show(tax.net_minor)) }
                        td.number { (show(tax.tax_minor)) }
                        td.number { (show(tax.gross_minor)) }
                    }
                }
            }
        }
    }
}

/// The last sales of a till.
pub(crate) fn sales(frame: &Frame, receipts: &[Receipt]) -> String {
    let texts = frame.texts();
    let content = html! {
        h1 { (texts.last_sales) }
        @if receipts.is_empty() { p."panel empty" { (texts.no_sales) } }
        @else {
            ul."panel rows" {
                @for receipt in receipts {
                    li { a href=(frame.here(&format!("/sales/{}", receipt.sale_id))) {
                        strong { (receipt.receipt_number) }
                        span.muted { (frame.time(receipt.occurred_at_ms)) " · " (receipt.units()) " " (texts.items) }
                        span.price { (frame.amount(receipt.total_minor, &receipt.currency)) }
                    } }
                }
            }
        }
    };
    frame.page(texts.last_sales, "/sales", &content)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pages::layout::tests::frame;
    use crate::sale::tests::printed;
    use kontor_sdk::money::Language;

    #[test]
    fn a_receipt_says_all_that_it_must() {
        let page = receipt(&frame(Language::De), &printed(), "Bonn <Mitte>", "Kontor & Söhne\n\nUSt-ID DE1", "Danke!");
        for part in [
            "Kontor &amp; Söhne",
            "USt-ID DE1",
            "Bonn &lt;Mitte&gt;",
            "Bon bonn-1-000042",
            "Mug &lt;blue&gt;",
            "2 × 12,90\u{a0}€ · 19\u{a0}%",
            "30,79\u{a0}€",
            "50,00\u{a0}€",
            "19,21\u{a0}€",
            "22.11.2026 15:05",
            "P-261122-7K3QM",
            "<dd>anna</dd>",
            "7\u{a0}%",
            "Danke!",
        ] {
            assert!(page.contains(part), "{part} is missing in {page}");
        }
        assert!(!page.contains("Rundung"), "nothing was rounded: {page}");
    }

    #[test]
    fn what_was_rounded_and_booked_late_is_told() {
        let late = Receipt { cash_rounding_minor: -2, recorded_at_ms: 1_795_359_960_000, ..printed() };
        let page = receipt(&frame(Language::En), &late, "Bonn", "", "");
        assert!(page.contains("Cash rounding") && page.contains("\u{2212}€0.02"), "{page}");
        assert!(page.contains("Booked") && page.contains("22/11/2026 16:06"), "{page}");
    }

    #[test]
    fn sales_lead_to_their_receipts() {
        let page = sales(&frame(Language::De), &[printed()]);
        assert!(page.contains("/m/demo/pos/tills/bonn-1/sales/01928f2e-7c1a-7000-8000-000000000001"), "{page}");
        assert!(sales(&frame(Language::De), &[]).contains("noch nichts verkauft"));
    }
}
