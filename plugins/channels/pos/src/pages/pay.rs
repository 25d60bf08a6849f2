//! Taking the money. The first button is that of cash, so Enter in the field pays in cash.

use maud::html;

use super::layout::Frame;
use crate::model::Goods;

/// What is to be paid.
#[derive(Clone, Debug)]
pub(crate) struct PayView<'a> {
    pub(crate) sale_id: &'a str,
    pub(crate) currency: &'a str,
    pub(crate) total_minor: i64,
    /// Rounded where small coins are not in use.
    pub(crate) due_cash_minor: i64,
    pub(crate) likely_minor: Vec<i64>,
    /// As typed before.
    pub(crate) given: &'a str,
    pub(crate) goods: Goods,
    pub(crate) problem: Option<&'a str>,
}

/// The page.
pub(crate) fn pay(frame: &Frame, view: &PayView<'_>) -> String {
    let texts = frame.texts();
    let show = |amount| frame.amount(amount, view.currency);
    let content = html! {
        div.narrow {
            form."panel pay" method="post" action=(frame.here("/pay")) {
                input type="hidden" name="sale_id" value=(view.sale_id);
                input type="hidden" name="expected_total_minor" value=(view.total_minor);
                h1.due { span.muted { (texts.total) } " " (show(view.total_minor)) }
                @if view.due_cash_minor != view.total_minor {
                    p.muted { (texts.due_cash) ": " strong { (show(view.due_cash_minor)) } }
                }
                @if let Some(problem) = view.problem { p."note bad" role="alert" { (problem) } }
                label {
                    (texts.given) " " span.hint { (texts.given_hint) }
                    input type="text" name="given" value=(view.given) inputmode="decimal" autocomplete="off" maxlength="20" autofocus;
                }
                button.wide name="method" value="cash" { (texts.pay_cash) }
                div.quick role="group" aria-label=(texts.quick) {
                    @for amount in &view.likely_minor { button.quiet name="quick" value=(amount) { (show(*amount)) } }
                }
                div.pair {
                    button."wide" name="method" value="card" { (texts.pay_card) }
                    button."quiet wide" name="method" value="split" { (texts.pay_split) }
                }
                fieldset.options {
                    legend { (texts.goods) }
                    @for (goods, name) in [(Goods::InHand, texts.in_hand), (Goods::FromStock, texts.from_stock)] {
                        label.option {
                            input type="radio" name="goods" value=(goods.as_str()) checked[goods == view.goods];
                            span { (name) }
                        }
                    }
                }
            }
            a."button quiet" href=(frame.here("")) { (texts.back) }
        }
    };
    frame.page(texts.pay, "", &content)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pages::layout::tests::frame;
    use kontor_sdk::money::Language;

    #[test]
    fn enter_pays_in_cash_and_nothing_typed_is_lost() {
        let view = PayView {
            sale_id: "sale-1",
            currency: "CHF",
            total_minor: 1998,
            due_cash_minor: 2000,
            likely_minor: vec![2000, 5000],
            given: "1\"0",
            goods: Goods::FromStock,
            problem: Some("Es fehlen noch: 10"),
        };
        let page = pay(&frame(Language::De), &view);
        for part in [
            "name=\"sale_id\" value=\"sale-1\"",
            "name=\"expected_total_minor\" value=\"1998\"",
            "20,00\u{a0}CHF",
            "value=\"1&quot;0\" inputmode=\"decimal\"",
            "name=\"quick\" value=\"5000\"",
            "value=\"from_stock\" checked",
            "Es fehlen noch: 10",
        ] {
            assert!(page.contains(part), "{part} is missing in {page}");
        }
        let buttons: Vec<usize> =
            ["value=\"cash\"", "name=\"quick\"", "value=\"card\""].iter().filter_map(|b| page.find(b)).collect();
        assert!(buttons.len() == 3 && buttons.is_sorted(), "the first button answers to Enter: {page}");
    }
}
