//! The pages' handlers: which cart the visitor has, what is shown, where a form leads.

use kontor_sdk::http::{
    BasePath, Cookies, Error, Form, Html, IntoResponse, OptionalQuery, Path, Redirect, Response, StatusCode, Text,
};
use serde::Deserialize;

use crate::art;
use crate::model::{Address, CartView};
use crate::pages::{self, Frame};
use crate::settings::Settings;
use crate::shop::{self, PRODUCTS_PER_PAGE, Wanted};

/// Holds the cart's id; who has it may use the cart.
const COOKIE: &str = "kontor_cart";
/// Thirty days.
const COOKIE_SECONDS: u32 = 30 * 24 * 60 * 60;
/// Pages bring neither script nor frames, and pictures may come from the merchant's servers.
const CONTENT_POLICY: &str = "default-src 'none'; style-src 'self'; img-src 'self' https: data:; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

/// A visitor: where the shop is, how it is set, and the cart of the cookie.
pub(crate) struct Visit {
    settings: Settings,
    base: String,
    cart: Option<CartView>,
}

impl Visit {
    fn new(base: BasePath, cookies: &Cookies) -> Result<Self, Error> {
        // A cart that is gone, or was placed, is no cart any more.
        let cart = cookies.get(COOKIE).and_then(|id| shop::cart(id).ok()).filter(|cart| cart.order_id.is_none());
        Ok(Self { settings: Settings::load()?, base: base.0, cart })
    }

    /// For pages that show the cart's lines.
    fn with_products(mut self) -> Self {
        if let Some(cart) = &mut self.cart {
            shop::find_products(cart);
        }
        self
    }

    fn frame(&self) -> Frame {
        self.settings.frame(&self.base, self.cart.as_ref().map_or(0, CartView::units))
    }

    fn to(&self, path: &str) -> Response {
        Redirect::see_other(format!("{}{path}", self.base)).into_response()
    }

    /// An error as a page: what a person can act on is said.
    fn failed(&self, error: &Error) -> Response {
        let frame = self.frame();
        let page = match error.status() {
            404 => pages::not_found(&frame),
            400..=499 => pages::went_wrong(&frame, &explain(&frame, error)),
            _ => pages::went_wrong(&frame, ""),
        };
        shown(page).with_status(StatusCode::from_u16(error.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR))
    }
}

fn shown(page: String) -> Response {
    Html(page)
        .into_response()
        .with_header("content-security-policy", CONTENT_POLICY)
        .with_header("cache-control", "no-store")
}

fn conflict(page: String) -> Response {
    shown(page).with_status(StatusCode::CONFLICT)
}

/// A refusal in the shop's language, where it is one that a customer can do something about.
fn explain(frame: &Frame, error: &Error) -> String {
    let texts = frame.texts();
    match error.code() {
        "insufficient-stock" => {
            let problem = error.to_problem();
            let list = problem.get("shortages").and_then(serde_json::Value::as_array).cloned().unwrap_or_default();
            let parts: Vec<String> = list
                .iter()
                .map(|item| {
                    let sku = item.get("sku").and_then(serde_json::Value::as_str).unwrap_or_default();
                    let available = item.get("available").and_then(serde_json::Value::as_i64).unwrap_or_default();
                    format!("{sku} ({} {available})", texts.available)
                })
                .collect();
            format!("{} {}", texts.not_enough, parts.join(", "))
        }
        "total-changed" => texts.total_changed.to_owned(),
        _ => error.detail().to_owned(),
    }
}

#[derive(Default, Deserialize)]
pub(crate) struct ListQuery {
    q: Option<String>,
    cursor: Option<String>,
}

fn listing(
    visit: &Visit,
    category: Option<&str>,
    search: Option<&str>,
    cursor: Option<String>,
    here: &str,
) -> Response {
    let wanted = Wanted {
        text: search.unwrap_or_default(),
        category: category.filter(|c| !c.is_empty()),
        cursor,
        limit: PRODUCTS_PER_PAGE,
    };
    match shop::products(&visit.settings.channel, wanted) {
        Ok(list) => shown(pages::list(&visit.frame(), &list, category, search, here)),
        Err(error) => visit.failed(&error),
    }
}

pub(crate) fn home(
    base: BasePath,
    cookies: Cookies,
    OptionalQuery(query): OptionalQuery<ListQuery>,
) -> Result<Response, Error> {
    let visit = Visit::new(base, &cookies)?;
    Ok(listing(&visit, Some(""), None, query.cursor, "/"))
}

pub(crate) fn search(
    base: BasePath,
    cookies: Cookies,
    OptionalQuery(query): OptionalQuery<ListQuery>,
) -> Result<Response, Error> {
    let visit = Visit::new(base, &cookies)?;
    let words = query.q.unwrap_or_default();
    let here = format!("/search?q={}", pages::escape_segment(&words));
    Ok(listing(&visit, None, Some(words.trim()), query.cursor, &here))
}

pub(crate) fn category(
    base: BasePath,
    cookies: Cookies,
    Path(category): Path<String>,
    OptionalQuery(query): OptionalQuery<ListQuery>,
) -> Result<Response, Error> {
    let visit = Visit::new(base, &cookies)?;
    let here = format!("/categories/{}", pages::escape_path(&category));
    Ok(listing(&visit, Some(&category), None, query.cursor, &here))
}

pub(crate) fn product(base: BasePath, cookies: Cookies, Path(id): Path<String>) -> Result<Response, Error> {
    let visit = Visit::new(base, &cookies)?;
    Ok(match shop::product(&visit.settings.channel, &id) {
        Ok(product) => shown(pages::detail(&visit.frame(), &product, None)),
        Err(error) => visit.failed(&error),
    })
}

pub(crate) fn asset(Path(name): Path<String>) -> Response {
    let kept = |response: Response| response.with_header("cache-control", "public, max-age=31536000, immutable");
    if name == pages::STYLE_NAME {
        return kept(Text("text/css; charset=utf-8", pages::STYLE).into_response());
    }
    match name.strip_suffix(".svg") {
        Some(id) if id.len() <= 200 => kept(Text("image/svg+xml", art::svg(id)).into_response()),
        _ => Error::not_found(format!("There is no asset `{name}`.")).into_response(),
    }
}

pub(crate) fn cart(base: BasePath, cookies: Cookies) -> Result<Response, Error> {
    let visit = Visit::new(base, &cookies)?.with_products();
    Ok(shown(pages::cart(&visit.frame(), visit.cart.as_ref(), None)))
}

#[derive(Deserialize)]
pub(crate) struct NewLine {
    sku: String,
    quantity: Option<i64>,
}

pub(crate) fn add_line(base: BasePath, cookies: Cookies, Form(line): Form<NewLine>) -> Result<Response, Error> {
    let visit = Visit::new(base, &cookies)?;
    let settings = &visit.settings;
    let opened = match &visit.cart {
        Some(cart) => Ok(cart.id.clone()),
        None => shop::create_cart(&settings.channel, &settings.country).map(|cart| cart.id),
    };
    let added = opened.and_then(|id| shop::add_line(&id, &line.sku, line.quantity.unwrap_or(1)));
    Ok(match added {
        Ok(cart) => {
            let cookie =
                format!("{COOKIE}={}; Path={}; Max-Age={COOKIE_SECONDS}; HttpOnly; SameSite=Lax", cart.id, visit.base);
            visit.to("/cart").with_header("set-cookie", cookie)
        }
        Err(error) => not_added(&visit, &line.sku, &error),
    })
}

/// Back on the product's page, with the reason.
fn not_added(visit: &Visit, sku: &str, error: &Error) -> Response {
    let product = shop::product_of(sku).and_then(|id| shop::product(&visit.settings.channel, &id));
    match product {
        Ok(product) => {
            let frame = visit.frame();
            conflict(pages::detail(&frame, &product, Some(&explain(&frame, error))))
        }
        Err(_) => visit.failed(error),
    }
}

#[derive(Deserialize)]
pub(crate) struct LineChange {
    quantity: Option<i64>,
    remove: Option<String>,
}

pub(crate) fn set_line(
    base: BasePath,
    cookies: Cookies,
    Path(line): Path<String>,
    Form(change): Form<LineChange>,
) -> Result<Response, Error> {
    let visit = Visit::new(base, &cookies)?.with_products();
    let Some(cart) = &visit.cart else { return Ok(visit.to("/cart")) };
    let quantity = if change.remove.is_some() { 0 } else { change.quantity.unwrap_or(1) };
    Ok(match shop::set_line(&cart.id, &line, quantity) {
        Ok(_) => visit.to("/cart"),
        Err(error) => {
            let frame = visit.frame();
            conflict(pages::cart(&frame, visit.cart.as_ref(), Some(&explain(&frame, &error))))
        }
    })
}

pub(crate) fn checkout(base: BasePath, cookies: Cookies) -> Result<Response, Error> {
    let visit = Visit::new(base, &cookies)?.with_products();
    let Some(cart) = visit.cart.as_ref().filter(|cart| !cart.lines.is_empty()) else { return Ok(visit.to("/cart")) };
    let fresh = || Address { country: visit.settings.country.clone(), ..Address::default() };
    let entered = cart.shipping_address.clone().unwrap_or_else(fresh);
    Ok(shown(pages::address(&visit.frame(), cart, cart.email.as_deref().unwrap_or_default(), &entered, None)))
}

#[derive(Deserialize)]
pub(crate) struct Delivery {
    email: String,
    name: String,
    company: Option<String>,
    line1: String,
    line2: Option<String>,
    postal_code: String,
    city: String,
    country: String,
    phone: Option<String>,
}

pub(crate) fn set_delivery(base: BasePath, cookies: Cookies, Form(form): Form<Delivery>) -> Result<Response, Error> {
    let visit = Visit::new(base, &cookies)?.with_products();
    let Some(cart) = &visit.cart else { return Ok(visit.to("/cart")) };
    let address = Address {
        name: form.name,
        company: form.company,
        line1: form.line1,
        line2: form.line2,
        postal_code: form.postal_code,
        city: form.city,
        region: None,
        country: form.country,
        phone: form.phone,
    };
    let delivered = shop::set_delivery(&cart.id, &form.email, &address).and_then(|_| shop::shipping_options(&cart.id));
    let chosen = delivered.and_then(|options| match (&cart.shipping_method, options.first()) {
        // The first way to ship is chosen beforehand, so that the last look shows a whole total.
        (None, Some(first)) => shop::set_shipping(&cart.id, &first.id).map(|_| ()),
        _ => Ok(()),
    });
    Ok(match chosen {
        Ok(()) => visit.to("/checkout/review"),
        Err(error) => {
            let frame = visit.frame();
            conflict(pages::address(&frame, cart, &form.email, &address, Some(&explain(&frame, &error))))
        }
    })
}

fn review_page(visit: &Visit, cart: &CartView, problem: Option<&str>) -> Result<String, Error> {
    Ok(pages::review(&visit.frame(), cart, &shop::shipping_options(&cart.id)?, problem))
}

pub(crate) fn review(base: BasePath, cookies: Cookies) -> Result<Response, Error> {
    let visit = Visit::new(base, &cookies)?.with_products();
    let Some(cart) = visit.cart.as_ref().filter(|cart| !cart.lines.is_empty()) else { return Ok(visit.to("/cart")) };
    if cart.shipping_address.is_none() {
        return Ok(visit.to("/checkout"));
    }
    Ok(match review_page(&visit, cart, None) {
        Ok(page) => shown(page),
        Err(error) => visit.failed(&error),
    })
}

#[derive(Deserialize)]
pub(crate) struct ShippingChoice {
    shipping: String,
}

pub(crate) fn set_shipping(
    base: BasePath,
    cookies: Cookies,
    Form(choice): Form<ShippingChoice>,
) -> Result<Response, Error> {
    let visit = Visit::new(base, &cookies)?;
    let Some(cart) = &visit.cart else { return Ok(visit.to("/cart")) };
    Ok(match shop::set_shipping(&cart.id, &choice.shipping) {
        Ok(_) => visit.to("/checkout/review"),
        Err(error) => visit.failed(&error),
    })
}

#[derive(Deserialize)]
pub(crate) struct Placing {
    payment: String,
    expected_total_minor: i64,
}

pub(crate) fn place(base: BasePath, cookies: Cookies, Form(placing): Form<Placing>) -> Result<Response, Error> {
    // A second click finds the cart placed already: it leads to the same order.
    if let Some(cart) = cookies.get(COOKIE).and_then(|id| shop::cart(id).ok()).filter(|cart| cart.order_id.is_some()) {
        return Ok(Redirect::see_other(format!("{}/thank-you/{}", base.0, cart.id)).into_response());
    }
    let visit = Visit::new(base, &cookies)?.with_products();
    let Some(cart) = &visit.cart else { return Ok(visit.to("/cart")) };
    Ok(match shop::place(&cart.id, &placing.payment, None, Some(placing.expected_total_minor)) {
        Ok(_) => visit.to(&format!("/thank-you/{}", cart.id)),
        Err(error) => {
            let problem = explain(&visit.frame(), &error);
            match review_page(&visit, cart, Some(&problem)) {
                Ok(page) => conflict(page),
                Err(_) => visit.failed(&error),
            }
        }
    })
}

pub(crate) fn thank_you(base: BasePath, cookies: Cookies, Path(id): Path<String>) -> Result<Response, Error> {
    let visit = Visit::new(base, &cookies)?;
    Ok(match shop::cart(&id) {
        Ok(CartView { order_id: None, .. }) => visit.to("/cart"),
        Ok(cart) => {
            let order = shop::placed(cart.order_id.clone().unwrap_or_default());
            shown(pages::thank_you(&visit.frame(), &cart, &order))
        }
        Err(error) => visit.failed(&error),
    })
}
