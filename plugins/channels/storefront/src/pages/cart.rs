//! The cart.

use maud::{Markup, html};

use super::layout::{Frame, escape_segment};
use crate::model::{CartView, Totals};
use kontor_sdk::money;

/// The cart, or that it is empty.
pub(crate) fn cart(frame: &Frame, cart: Option<&CartView>, problem: Option<&str>) -> String {
    let texts = frame.texts();
    let filled = cart.filter(|cart| !cart.lines.is_empty());
    let content = html! {
        h1 { (texts.your_cart) }
        @if let Some(problem) = problem { p."note bad" role="alert" { (problem) } }
        @if let Some(cart) = filled {
            div.two {
                div.panel {
                    ul.lines {
                        @for line in &cart.lines {
                            li.line {
                                div.pic { img src=(frame.picture(line.product_id.as_ref().unwrap_or(&line.sku), line.image_url.as_deref())) alt="" width="76" height="76"; }
                                div {
                                    @match &line.product_id {
                                        Some(id) => a href=(frame.link(&format!("/products/{}", escape_segment(id)))) { (line.title) },
                                        None => strong { (line.title) },
                                    }
                                    div."muted small" { (money::display(line.unit_price_minor, &cart.currency, frame.language)) }
                                    form method="post" action=(frame.link(&format!("/cart/lines/{}", line.id))) {
                                        input type="number" name="quantity" value=(line.quantity) min="0" max="999" inputmode="numeric" aria-label=(texts.quantity);
                                        button.quiet { (texts.update) }
                                        button.link name="remove" value="1" { (texts.remove) }
                                    }
                                }
                                span.price { (money::display(line.total_minor, &cart.currency, frame.language)) }
                            }
                        }
                    }
                }
                aside.panel {
                    @if let Some(totals) = &cart.totals { (sums(frame, totals, &cart.currency, cart.shipping_method.is_some())) }
                    a."button wide" href=(frame.link("/checkout")) { (texts.to_checkout) }
                }
            }
        } @else {
            div."panel empty" {
                p { (texts.cart_empty) }
                a.button href=(frame.link("/")) { (texts.go_shopping) }
            }
        }
    };
    frame.page(texts.your_cart, None, "", &content)
}

/// The sums of a cart.
pub(crate) fn sums(frame: &Frame, totals: &Totals, currency: &str, shipping_known: bool) -> Markup {
    let texts = frame.texts();
    let show = |amount| money::display(amount, currency, frame.language);
    html! {
        dl.sums {
            div { dt { (texts.subtotal) } dd { (show(totals.goods_minor)) } }
            div { dt { (texts.shipping) } dd { @if shipping_known { (show(totals.shipping_minor)) } @else { span.muted { (texts.shipping_later) } } } }
            div.total { dt { (texts.total) } dd { (show(totals.total_minor)) } }
            div."muted small" { dt { (texts.included_tax) } dd { (show(totals.tax_minor)) } }
        }
    }
}
