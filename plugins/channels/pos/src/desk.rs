//! The pages' handlers: what a form does, what is shown, and where it leads. Nothing here needs a script: a scanner's Enter sends the
//! form with the scan field.

use kontor_sdk::Error;
use kontor_sdk::http::{BasePath, Form, Html, IntoResponse, OptionalQuery, Path, Redirect, Response, StatusCode, Text};
use serde::Deserialize;

use crate::basket::{Change, read_scan};
use crate::model::{Goods, Method, Priced, SaleLine, SaleRequest, Tender};
use crate::pages::{self, BasketView, Frame, PayView};
use crate::settings::{Settings, Till};
use crate::{cash, money, shop, till};

/// Pages bring neither script nor frames.
const CONTENT_POLICY: &str = "default-src 'none'; style-src 'self'; img-src 'self' data:; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

type Page = Result<Response, Error>;

/// A person at a till.
struct Desk {
    settings: Settings,
    till: Till,
    base: String,
}

impl Desk {
    /// Opens the till and answers; what went wrong becomes a page.
    fn serve(base: BasePath, id: &str, answer: impl FnOnce(&Self) -> Page) -> Page {
        let settings = Settings::load()?;
        let till = match settings.till(id) {
            Ok(till) => till.clone(),
            Err(error) => return Ok(failed(&frame(&settings, &base.0, None), &error)),
        };
        let desk = Self { settings, till, base: base.0 };
        Ok(answer(&desk).unwrap_or_else(|error| failed(&desk.frame(), &error)))
    }

    fn frame(&self) -> Frame {
        frame(&self.settings, &self.base, Some(self.till.clone()))
    }

    fn to(&self, path: &str) -> Response {
        Redirect::see_other(format!("{}/tills/{}{path}", self.base, self.till.id)).into_response()
    }

    /// The till page.
    fn page(&self, problem: Option<&str>) -> Result<String, Error> {
        let basket = self.basket()?;
        Ok(pages::till(&self.frame(), basket.as_ref(), &till::parked(&self.till.id)?, problem))
    }

    /// The open basket with its prices; none if it is empty.
    fn basket(&self) -> Result<Option<BasketView>, Error> {
        let basket = till::basket(&self.till.id)?;
        if basket.lines.is_empty() {
            return Ok(None);
        }
        let lines: Vec<SaleLine> = basket
            .lines
            .iter()
            .map(|line| SaleLine { sku: line.sku.clone(), quantity: line.quantity, unit_price_minor: None })
            .collect();
        match shop::price(&self.settings, &lines) {
            Ok(priced) => Ok(Some(BasketView::priced(&basket, priced))),
            // It must still be possible to remove the article that has lost its price.
            Err(error) if error.status() < 500 => {
                let skus: Vec<String> = lines.into_iter().map(|line| line.sku).collect();
                Ok(Some(BasketView::unpriced(&basket, &shop::titles(&skus)?)))
            }
            Err(error) => Err(error),
        }
    }
}

fn frame(settings: &Settings, base: &str, till: Option<Till>) -> Frame {
    Frame { base: base.to_owned(), language: settings.language(), country: settings.country.clone(), till }
}

fn shown(page: String) -> Response {
    Html(page)
        .into_response()
        .with_header("content-security-policy", CONTENT_POLICY)
        .with_header("cache-control", "no-store")
}

fn status(status: u16) -> StatusCode {
    StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
}

/// An error as a page: what a person can act on is said.
fn failed(frame: &Frame, error: &Error) -> Response {
    let page = match error.status() {
        404 => pages::message(frame, frame.texts().not_found_title, frame.texts().not_found),
        400..=499 => pages::message(frame, frame.texts().went_wrong_title, &pages::explain(frame, error)),
        _ => pages::message(frame, frame.texts().went_wrong_title, frame.texts().went_wrong),
    };
    shown(page).with_status(status(error.status()))
}

pub(crate) fn tills(base: BasePath) -> Page {
    let settings = Settings::load()?;
    if let [only] = settings.tills.as_slice() {
        return Ok(Redirect::see_other(format!("{}/tills/{}", base.0, only.id)).into_response());
    }
    Ok(shown(pages::tills(&frame(&settings, &base.0, None), &settings.tills)))
}

pub(crate) fn asset(Path(name): Path<String>) -> Response {
    if name == pages::STYLE_NAME {
        let style = Text("text/css; charset=utf-8", pages::STYLE).into_response();
        return style.with_header("cache-control", "public, max-age=31536000, immutable");
    }
    Error::not_found(format!("There is no asset `{name}`.")).into_response()
}

pub(crate) fn show(base: BasePath, Path(id): Path<String>) -> Page {
    Desk::serve(base, &id, |desk| desk.page(None).map(shown))
}

#[derive(Deserialize)]
pub(crate) struct Scan {
    code: String,
    /// Chosen from a list: the code is a SKU, and is not searched for.
    sku: Option<String>,
}

pub(crate) fn scan(base: BasePath, Path(id): Path<String>, Form(scan): Form<Scan>) -> Page {
    Desk::serve(base, &id, |desk| {
        let texts = desk.frame().texts();
        let (quantity, code) = read_scan(&scan.code);
        let known = match scan.sku {
            Some(sku) => Some(sku),
            None if code.is_empty() => return Ok(desk.to("")),
            None => shop::sku_of(code)?,
        };
        let Some(sku) = known else {
            let items = shop::search(&desk.settings, code, Some(&desk.till.location), 20)?;
            if items.is_empty() {
                let problem = format!("{} „{code}“.", texts.nothing_found);
                return Ok(shown(desk.page(Some(&problem))?).with_status(StatusCode::NOT_FOUND));
            }
            return Ok(shown(pages::choice(&desk.frame(), code, quantity, &items)));
        };
        if !shop::has_price(&desk.settings, &sku)? {
            let problem = format!("{sku} {}", texts.not_for_sale);
            return Ok(shown(desk.page(Some(&problem))?).with_status(StatusCode::CONFLICT));
        }
        till::change_basket(&desk.till.id, |basket| basket.add(&sku, quantity))?;
        Ok(desk.to(""))
    })
}

#[derive(Deserialize)]
pub(crate) struct LineChange {
    sku: String,
    change: Change,
}

pub(crate) fn change_line(base: BasePath, Path(id): Path<String>, Form(line): Form<LineChange>) -> Page {
    Desk::serve(base, &id, |desk| {
        till::change_basket(&desk.till.id, |basket| {
            basket.change(&line.sku, line.change);
            Ok(())
        })?;
        Ok(desk.to(""))
    })
}

pub(crate) fn park(base: BasePath, Path(id): Path<String>) -> Page {
    Desk::serve(base, &id, |desk| {
        till::park(&desk.till.id)?;
        Ok(desk.to(""))
    })
}

#[derive(Deserialize)]
pub(crate) struct Resumed {
    basket: String,
}

pub(crate) fn resume(base: BasePath, Path(id): Path<String>, Form(resumed): Form<Resumed>) -> Page {
    Desk::serve(base, &id, |desk| {
        till::resume(&desk.till.id, &resumed.basket)?;
        Ok(desk.to(""))
    })
}

pub(crate) fn clear(base: BasePath, Path(id): Path<String>) -> Page {
    Desk::serve(base, &id, |desk| {
        till::discard_basket(&desk.till.id)?;
        Ok(desk.to(""))
    })
}

pub(crate) fn payment(base: BasePath, Path(id): Path<String>) -> Page {
    Desk::serve(base, &id, |desk| match desk.basket()? {
        Some(BasketView { priced: Some(priced), sale_id, .. }) => Ok(shown(desk.pay_page(&sale_id, &priced, None))),
        _ => Ok(desk.to("")),
    })
}

impl Desk {
    fn pay_page(&self, sale_id: &str, priced: &Priced, problem: Option<(&str, &Payment)>) -> String {
        let due_cash_minor = cash::round_to_coin(priced.total_minor, self.settings.coin_minor(&priced.currency));
        let view = PayView {
            sale_id,
            currency: &priced.currency,
            total_minor: priced.total_minor,
            due_cash_minor,
            likely_minor: cash::likely_amounts(due_cash_minor, &priced.currency),
            given: problem.and_then(|(_, payment)| payment.given.as_deref()).unwrap_or_default(),
            goods: problem.and_then(|(_, payment)| payment.goods).unwrap_or_default(),
            problem: problem.map(|(text, _)| text),
        };
        pages::pay(&self.frame(), &view)
    }
}

/// How it is paid, by the button that was pressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Button {
    Cash,
    Card,
    /// The cash given, and the rest by card.
    Split,
}

#[derive(Deserialize)]
pub(crate) struct Payment {
    sale_id: String,
    expected_total_minor: i64,
    goods: Option<Goods>,
    /// As typed.
    given: Option<String>,
    /// A button with an amount of cash.
    quick: Option<i64>,
    /// Absent with `quick`.
    method: Option<Button>,
}

/// What the buttons and the field say of tenders; the text that is no amount otherwise.
fn tenders(payment: &Payment, total_minor: i64, due_cash_minor: i64, currency: &str) -> Result<Vec<Tender>, String> {
    let typed = payment.given.as_deref().map(str::trim).filter(|text| !text.is_empty());
    let given = match (payment.quick, typed) {
        (Some(quick), _) => Some(quick),
        (None, Some(text)) => Some(money::parse(text, currency).ok_or_else(|| text.to_owned())?),
        (None, None) => None,
    };
    let cash = given.unwrap_or(due_cash_minor);
    let tenders = match payment.method.filter(|_| payment.quick.is_none()).unwrap_or(Button::Cash) {
        Button::Cash => vec![(Method::Cash, cash)],
        Button::Card => vec![(Method::Card, total_minor)],
        Button::Split => vec![(Method::Cash, given.unwrap_or(0)), (Method::Card, total_minor - given.unwrap_or(0))],
    };
    let tenders = tenders.into_iter().filter(|(_, amount)| *amount > 0);
    Ok(tenders.map(|(method, amount_minor)| Tender { method, amount_minor }).collect())
}

pub(crate) fn pay(base: BasePath, Path(id): Path<String>, Form(payment): Form<Payment>) -> Page {
    Desk::serve(base, &id, |desk| {
        let receipt = format!("/sales/{}", payment.sale_id);
        // A second tap finds the sale booked already.
        if till::receipt(&payment.sale_id).is_ok_and(|sold| sold.till_id == desk.till.id) {
            return Ok(desk.to(&receipt));
        }
        let Some(view) = desk.basket()?.filter(|view| view.sale_id == payment.sale_id) else { return Ok(desk.to("")) };
        let Some(priced) = view.priced else { return Ok(desk.to("")) };
        let refused = |text: &str| {
            shown(desk.pay_page(&payment.sale_id, &priced, Some((text, &payment)))).with_status(StatusCode::CONFLICT)
        };
        let due_cash_minor = cash::round_to_coin(priced.total_minor, desk.settings.coin_minor(&priced.currency));
        let tenders = match tenders(&payment, priced.total_minor, due_cash_minor, &priced.currency) {
            Ok(tenders) => tenders,
            Err(text) => return Ok(refused(&format!("{} {text}", desk.frame().texts().bad_amount))),
        };
        let lines = priced.lines.iter();
        let request = SaleRequest {
            till_id: desk.till.id.clone(),
            sale_id: payment.sale_id.clone(),
            location: None,
            lines: lines
                .map(|line| SaleLine { sku: line.sku.clone(), quantity: line.quantity, unit_price_minor: None })
                .collect(),
            tenders,
            occurred_at_ms: None,
            goods: payment.goods.unwrap_or_default(),
            receipt_sequence: None,
            expected_total_minor: Some(payment.expected_total_minor),
        };
        match till::sell(&desk.settings, &request) {
            Ok(_) => {
                till::close_basket(&desk.till.id, &payment.sale_id)?;
                Ok(desk.to(&receipt))
            }
            Err(error) if error.status() < 500 => Ok(refused(&pages::explain(&desk.frame(), &error))),
            Err(error) => Err(error),
        }
    })
}

pub(crate) fn sales(base: BasePath, Path(id): Path<String>) -> Page {
    Desk::serve(base, &id, |desk| Ok(shown(pages::sales(&desk.frame(), &till::last_sales(&desk.till.id, 50)?))))
}

pub(crate) fn receipt(base: BasePath, Path((id, sale)): Path<(String, String)>) -> Page {
    Desk::serve(base, &id, |desk| {
        let receipt = till::receipt(&sale)?;
        let location = shop::location_name(&receipt);
        Ok(shown(pages::receipt(
            &desk.frame(),
            &receipt,
            &location,
            &desk.settings.receipt_header,
            &desk.settings.receipt_footer,
        )))
    })
}

#[derive(Default, Deserialize)]
pub(crate) struct StockQuery {
    code: Option<String>,
}

pub(crate) fn stock(base: BasePath, Path(id): Path<String>, OptionalQuery(query): OptionalQuery<StockQuery>) -> Page {
    Desk::serve(base, &id, |desk| {
        let here = Some(desk.till.location.as_str());
        let code = query.code.as_deref().map(str::trim).unwrap_or_default();
        if code.is_empty() {
            return Ok(shown(pages::stock(&desk.frame(), "", None)));
        }
        let items = match shop::sku_of(code)? {
            Some(sku) => vec![shop::stock(&desk.settings, &sku, here)?],
            None => shop::search(&desk.settings, code, here, 10)?,
        };
        Ok(shown(pages::stock(&desk.frame(), code, Some(&items))))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buttons_become_tenders() {
        let cash = |amount_minor| Tender { method: Method::Cash, amount_minor };
        let card = |amount_minor| Tender { method: Method::Card, amount_minor };
        for (name, method, given, quick, expected) in [
            ("enter alone pays what is due", Some(Button::Cash), "", None, Ok(vec![cash(2000)])),
            ("typed", Some(Button::Cash), "50", None, Ok(vec![cash(5000)])),
            ("typed wrongly", Some(Button::Cash), "5o", None, Err("5o".to_owned())),
            ("quick", None, "", Some(5000), Ok(vec![cash(5000)])),
            ("quick wins over what was typed", None, "7", Some(5000), Ok(vec![cash(5000)])),
            ("card pays the total, not the rounded one", Some(Button::Card), "", None, Ok(vec![card(1998)])),
            ("both", Some(Button::Split), "10", None, Ok(vec![cash(1000), card(998)])),
            ("both without cash", Some(Button::Split), "", None, Ok(vec![card(1998)])),
            ("more cash than is due", Some(Button::Split), "50", None, Ok(vec![cash(5000)])),
        ] {
            let given = Some(given.to_owned());
            let payment =
                Payment { sale_id: "s".into(), expected_total_minor: 1998, goods: None, given, quick, method };
            assert_eq!(tenders(&payment, 1998, 2000, "CHF"), expected, "{name}");
        }
    }
}
