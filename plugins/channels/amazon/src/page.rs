//! The page for staff: is the connection alive, what waits, and what needs a person.

use kontor_sdk::Timestamp;
use maud::{DOCTYPE, Markup, html};
use serde::Serialize;

/// What the page and `/v1/status` show.
#[derive(Clone, Debug, Serialize)]
pub struct Status {
    /// Whether the account is set up.
    pub configured: bool,
    /// The account's merchant token.
    pub seller_id: String,
    /// Where it sells.
    pub marketplace_ids: Vec<String>,
    /// When the last sweep was done.
    pub last_sweep_ms: Option<u64>,
    /// Orders in it.
    pub last_sweep_orders: u64,
    /// Sweeps done.
    pub sweeps: u64,
    /// Everything up to here has been seen.
    pub high_water_ms: Option<u64>,
    /// Whether a sweep is under way.
    pub sweeping: bool,
    /// Why the last page failed.
    pub sweep_error: Option<String>,
    /// Offers known.
    pub offers: u64,
    /// Offers on their way.
    pub offers_waiting: u64,
    /// Listings whose last offer was refused.
    pub listing_errors: Vec<ListingError>,
    /// What else needs a person.
    pub troubles: Vec<TroubleView>,
}

/// A listing whose last offer was refused.
#[derive(Clone, Debug, Serialize)]
pub struct ListingError {
    /// Our SKU.
    pub sku: String,
    /// Why.
    pub error: String,
}

/// Something that needs a person.
#[derive(Clone, Debug, Serialize)]
pub struct TroubleView {
    /// What it is about.
    pub about: String,
    /// What happened.
    pub text: String,
    /// When.
    pub at_ms: u64,
}

const STYLE: &str = "
:root { color-scheme: light dark; font: 16px/1.5 system-ui, sans-serif; }
body { margin: 0 auto; max-width: 60rem; padding: 1rem; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.15rem; margin-top: 2rem; }
dl { display: grid; grid-template-columns: repeat(auto-fit, minmax(11rem, 1fr)); gap: .75rem; margin: 0; }
dl div { border: 1px solid #8884; border-radius: .5rem; padding: .6rem .8rem; }
dt { font-size: .85rem; opacity: .75; } dd { margin: 0; font-weight: 600; overflow-wrap: anywhere; }
ul { list-style: none; padding: 0; } li { border-bottom: 1px solid #8883; padding: .5rem 0; overflow-wrap: anywhere; }
li strong { display: block; } small { opacity: .75; }
.bad { border-left: .25rem solid #c33; padding: .6rem .8rem; background: #c331; }
.good { opacity: .75; }
";

fn time(at_ms: u64) -> String {
    let text = Timestamp::from_ms(at_ms).to_rfc3339();
    let minute = text.get(..16).unwrap_or_default().replace('T', " ");
    format!("{minute} UTC")
}

/// The page.
#[must_use]
pub fn render(status: &Status) -> Markup {
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                title { "Amazon" }
                style { (maud::PreEscaped(STYLE)) }
            }
            body {
                h1 { "Amazon" }
                @if !status.configured {
                    p.bad { "The account is not set up. Enter the merchant token in the plugin's configuration, and the three secrets of the application." }
                }
                @if let Some(error) = &status.sweep_error {
                    p.bad { "Orders could not be fetched: " (error) ". It is tried again by itself." }
                }
                dl {
                    (fact("Merchant token", if status.configured { &status.seller_id } else { "none" }))
                    (fact("Marketplaces", &status.marketplace_ids.join(", ")))
                    (fact("Last sweep", &status.last_sweep_ms.map_or_else(|| "none yet".to_owned(), time)))
                    (fact("Orders in it", &status.last_sweep_orders.to_string()))
                    (fact("Orders seen up to", &status.high_water_ms.map_or_else(|| "none yet".to_owned(), time)))
                    (fact("Now", if status.sweeping { "fetching orders" } else { "waiting for the next sweep" }))
                    (fact("Offers", &status.offers.to_string()))
                    (fact("Offers on their way", &status.offers_waiting.to_string()))
                }
                h2 { "Listings that Amazon refuses" }
                @if status.listing_errors.is_empty() { p.good { "None." } } @else {
                    ul { @for listing in &status.listing_errors { li { strong { (listing.sku) } (listing.error) } } }
                }
                h2 { "Needs a person" }
                @if status.troubles.is_empty() { p.good { "Nothing." } } @else {
                    ul {
                        @for trouble in &status.troubles {
                            li { strong { (trouble.about) } (trouble.text) " " small { (time(trouble.at_ms)) } }
                        }
                    }
                }
            }
        }
    }
}

fn fact(name: &str, value: &str) -> Markup {
    html! { div { dt { (name) } dd { (value) } } }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_says_what_needs_a_person_and_escapes_it() {
        let mut status = Status {
            configured: true,
            seller_id: "A3EXAMPLE".into(),
            marketplace_ids: vec!["A1PA6795UKMFR9".into()],
            last_sweep_ms: Some(1_770_771_600_000),
            last_sweep_orders: 3,
            sweeps: 1,
            high_water_ms: None,
            sweeping: false,
            sweep_error: None,
            offers: 2,
            offers_waiting: 1,
            listing_errors: vec![ListingError { sku: "<b>".into(), error: "'size' is required".into() }],
            troubles: Vec::new(),
        };
        let page = render(&status).into_string();
        assert!(page.contains("&lt;b&gt;") && page.contains("2026-02-11 01:00 UTC") && page.contains("Nothing."));
        assert!(!page.contains("not set up"));
        status.configured = false;
        status.sweep_error = Some("Amazon answered 503".into());
        let page = render(&status).into_string();
        assert!(page.contains("not set up") && page.contains("Amazon answered 503"));
    }
}
