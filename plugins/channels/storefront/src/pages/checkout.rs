//! The checkout: address, then shipping, payment and a last look, then thanks.

use maud::{Markup, html};

use super::cart::sums;
use super::layout::Frame;
use crate::model::{Address, CartView, PlacedOrder, ShippingOption};
use kontor_sdk::money;

/// Countries offered, by code.
const COUNTRIES: [(&str, &str, &str); 12] = [
    ("AT", "Austria", "Österreich"),
    ("BE", "Belgium", "Belgien"),
    ("CH", "Switzerland", "Schweiz"),
    ("DE", "Germany", "Deutschland"),
    ("DK", "Denmark", "Dänemark"),
    ("ES", "Spain", "Spanien"),
    ("FR", "France", "Frankreich"),
    ("GB", "United Kingdom", "Vereinigtes Königreich"),
    ("IT", "Italy", "Italien"),
    ("LU", "Luxembourg", "Luxemburg"),
    ("NL", "Netherlands", "Niederlande"),
    ("PL", "Poland", "Polen"),
];

fn country_name(code: &str, german: bool) -> &str {
    COUNTRIES.iter().find(|(known, ..)| *known == code).map_or(code, |(_, en, de)| if german { de } else { en })
}

fn steps(frame: &Frame, current: usize) -> Markup {
    let texts = frame.texts();
    html! {
        ol.steps {
            @for (position, label) in [texts.step_address, texts.step_review].into_iter().enumerate() {
                li aria-current=[(position == current).then_some("step")] { (label) }
            }
        }
    }
}

fn field(id: &str, label: &str, kind: &str, value: &str, autocomplete: &str, required: bool, class: &str) -> Markup {
    html! {
        div class=(class) {
            label for=(id) { (label) }
            input id=(id) name=(id) type=(kind) value=(value) autocomplete=(autocomplete) required[required] maxlength="120";
        }
    }
}

/// Who and where to.
pub(crate) fn address(frame: &Frame, cart: &CartView, email: &str, entered: &Address, problem: Option<&str>) -> String {
    let texts = frame.texts();
    let german = texts.code == "de";
    let text = |value: &Option<String>| value.clone().unwrap_or_default();
    let content = html! {
        h1 { (texts.checkout) }
        (steps(frame, 0))
        @if let Some(problem) = problem { p."note bad" role="alert" { (texts.please_check) " " (problem) } }
        div.two {
            form.panel method="post" action=(frame.link("/checkout")) {
                div.fields {
                    div {
                        label for="email" { (texts.email) " " span.hint { "(" (texts.email_hint) ")" } }
                        input #email name="email" type="email" value=(email) autocomplete="email" required maxlength="120";
                    }
                    (field("name", texts.name, "text", &entered.name, "name", true, ""))
                    (field("company", texts.company, "text", &text(&entered.company), "organization", false, ""))
                    (field("line1", texts.street, "text", &entered.line1, "address-line1", true, ""))
                    (field("line2", texts.extra_line, "text", &text(&entered.line2), "address-line2", false, ""))
                    (field("postal_code", texts.postal_code, "text", &entered.postal_code, "postal-code", true, "third"))
                    (field("city", texts.city, "text", &entered.city, "address-level2", true, "rest"))
                    div.half {
                        label for="country" { (texts.country) }
                        select #country name="country" autocomplete="country" {
                            @for (code, en, de) in COUNTRIES { option value=(code) selected[code == entered.country] { @if german { (de) } @else { (en) } } }
                        }
                    }
                    (field("phone", texts.phone, "tel", &text(&entered.phone), "tel", false, "half"))
                    div { button.wide { (texts.continue_) } }
                }
            }
            (summary(frame, cart, false))
        }
    };
    frame.page(texts.checkout, None, "", &content)
}

/// How it is shipped and paid; the last look.
pub(crate) fn review(frame: &Frame, cart: &CartView, shipping: &[ShippingOption], problem: Option<&str>) -> String {
    let texts = frame.texts();
    let chosen = cart.shipping_method.as_deref();
    let total = cart.totals.as_ref().map_or(0, |totals| totals.total_minor);
    let content = html! {
        h1 { (texts.checkout) }
        (steps(frame, 1))
        @if let Some(problem) = problem { p."note bad" role="alert" { (problem) } }
        div.two {
            div {
                @if let Some(address) = &cart.shipping_address {
                    section.panel {
                        h2 { (texts.deliver_to) }
                        (postal(address, texts.code == "de"))
                        a."small muted" href=(frame.link("/checkout")) { (texts.change) }
                    }
                }
                form.panel method="post" action=(frame.link("/checkout/shipping")) {
                    h2 { (texts.choose_shipping) }
                    fieldset.options {
                        @for option in shipping {
                            label.option {
                                input type="radio" name="shipping" value=(option.id) required checked[chosen == Some(&option.id)];
                                span { (option.name) }
                                span.price { (money::display(option.price_minor, &cart.currency, frame.language)) }
                            }
                        }
                    }
                    p { button.quiet { (texts.update) } }
                }
                form.panel method="post" action=(frame.link("/checkout/place")) {
                    h2 { (texts.choose_payment) }
                    fieldset.options {
                        @for (position, (id, name, hint)) in [("invoice", texts.pay_invoice, texts.pay_invoice_hint), ("prepayment", texts.pay_prepay, texts.pay_prepay_hint)].into_iter().enumerate() {
                            label.option {
                                input type="radio" name="payment" value=(id) required checked[position == 0];
                                span { (name) br; span."muted small" { (hint) } }
                            }
                        }
                    }
                    input type="hidden" name="expected_total_minor" value=(total);
                    p { button.wide { (texts.place_order) " · " (money::display(total, &cart.currency, frame.language)) } }
                }
            }
            (summary(frame, cart, true))
        }
    };
    frame.page(texts.checkout, None, "", &content)
}

fn postal(address: &Address, german: bool) -> Markup {
    html! {
        address {
            (address.name) br;
            @if let Some(company) = &address.company { (company) br; }
            (address.line1) br;
            @if let Some(line2) = &address.line2 { (line2) br; }
            (address.postal_code) " " (address.city) br;
            (country_name(&address.country, german))
        }
    }
}

fn summary(frame: &Frame, cart: &CartView, shipping_known: bool) -> Markup {
    let texts = frame.texts();
    html! {
        aside.panel {
            h2 { (texts.review_order) }
            ul.lines {
                @for line in &cart.lines {
                    li.line {
                        div.pic { img src=(frame.picture(line.product_id.as_ref().unwrap_or(&line.sku), line.image_url.as_deref())) alt="" width="76" height="76"; }
                        div { strong { (line.title) } div."muted small" { (line.quantity) " × " (money::display(line.unit_price_minor, &cart.currency, frame.language)) } }
                        span.price { (money::display(line.total_minor, &cart.currency, frame.language)) }
                    }
                }
            }
            hr.rule;
            @if let Some(totals) = &cart.totals { (sums(frame, totals, &cart.currency, shipping_known && cart.shipping_method.is_some())) }
        }
    }
}

/// After an order.
pub(crate) fn thank_you(frame: &Frame, cart: &CartView, order: &PlacedOrder) -> String {
    let texts = frame.texts();
    let content = html! {
        div."panel done" {
            div.tick aria-hidden="true" { "✓" }
            h1 { (texts.thank_you) }
            p { (texts.order_number) ": " strong { (order.number) } }
            @if let Some(email) = &cart.email { p.muted { (texts.confirmation_to) " " (email) } }
            @if let Some(totals) = &cart.totals { p { (texts.total) ": " span.price { (money::display(totals.total_minor, &cart.currency, frame.language)) } } }
            a.button href=(frame.link("/")) { (texts.back_to_shop) }
        }
    };
    frame.page(texts.thank_you, None, "", &content)
}

#[cfg(test)]
mod tests {
    use super::super::layout::tests::frame;
    use super::*;
    use crate::model::{CartLine, Totals};
    use kontor_sdk::money::Language;

    fn filled() -> CartView {
        CartView {
            id: "c".into(),
            currency: "EUR".into(),
            lines: vec![CartLine {
                id: "1".into(),
                sku: "A".into(),
                product_id: None,
                title: "Mug".into(),
                image_url: None,
                quantity: 2,
                unit_price_minor: 1850,
                total_minor: 3700,
            }],
            email: Some("a@example.com".into()),
            shipping_address: Some(Address { name: "Ada".into(), country: "DE".into(), ..Address::default() }),
            shipping_method: Some("standard".into()),
            totals: Some(Totals { goods_minor: 3700, shipping_minor: 490, tax_minor: 669, total_minor: 4190 }),
            order_id: None,
        }
    }

    #[test]
    fn the_button_says_what_it_costs_and_the_form_what_was_agreed() {
        let options = [ShippingOption { id: "standard".into(), name: "Parcel".into(), price_minor: 490 }];
        let page = review(&frame(Language::De), &filled(), &options, None);
        assert!(page.contains("Zahlungspflichtig bestellen · 41,90\u{a0}€"), "{page}");
        assert!(page.contains(r#"name="expected_total_minor" value="4190""#), "{page}");
        assert!(page.contains("Deutschland"), "{page}");
    }

    #[test]
    fn what_was_entered_stays() {
        let entered = Address { name: "Ada \"A\"".into(), country: "AT".into(), ..Address::default() };
        let page = address(&frame(Language::En), &filled(), "x@y", &entered, Some("postal code"));
        assert!(
            page.contains("value=\"Ada &quot;A&quot;\"") && page.contains(r#"<option value="AT" selected>"#),
            "{page}"
        );
        assert!(page.contains("Please check what you entered: postal code"), "{page}");
    }
}
