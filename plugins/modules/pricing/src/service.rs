//! The service `kontor:commerce/pricing`: a translation between the contract's types and the rules.

use crate::bindings::exports::kontor::commerce::pricing as wit;
use crate::bindings::kontor::commerce::types::Money;
use crate::error::Error;
use crate::price_list::{Price, PriceList, TaxRate};
use crate::pricing::{self, Basket, LineInput};
use crate::quote::{Quote, QuoteLine, TaxTotal};
use crate::tables::Store;
use crate::tax::{PriceBasis, RoundingLevel, RoundingMode};
use crate::{Pricing, now_ms, save_prices};

impl wit::Guest for Pricing {
    fn upsert_price_list(price_list: wit::PriceList) -> Result<(), wit::PricingError> {
        answer(|| pricing::upsert_list(&Store, &price_list.into()))
    }

    fn list_price_lists() -> Result<Vec<wit::PriceList>, wit::PricingError> {
        answer(|| Ok(all(pricing::lists(&Store)?)))
    }

    fn set_prices(prices: Vec<wit::Price>) -> Result<u32, wit::PricingError> {
        answer(|| save_prices(&all::<_, Price>(prices)))
    }

    fn shelf_prices(channel: String, skus: Vec<String>) -> Result<Vec<wit::ShelfPrice>, wit::PricingError> {
        answer(|| {
            let prices = pricing::shelf_prices(&Store, &channel, &skus, now_ms)?;
            Ok(all(prices))
        })
    }

    fn set_tax_rates(rates: Vec<wit::TaxRate>) -> Result<(), wit::PricingError> {
        answer(|| pricing::set_rates(&Store, &all::<_, TaxRate>(rates)))
    }

    fn list_tax_rates() -> Result<Vec<wit::TaxRate>, wit::PricingError> {
        answer(|| Ok(all(pricing::rates(&Store)?)))
    }

    fn quote_basket(request: wit::QuoteRequest) -> Result<wit::Quote, wit::PricingError> {
        answer(|| Ok(pricing::quote_basket(&Store, &request.into(), now_ms)?.into()))
    }
}

/// Runs a service call. An error rolls back what the call did.
fn answer<T>(call: impl FnOnce() -> Result<T, Error>) -> Result<T, wit::PricingError> {
    kontor_sdk::plugin::report_panics();
    call().map_err(|error| match error {
        Error::NotFound(text) => wit::PricingError::NotFound(text),
        Error::Invalid(text) => wit::PricingError::Invalid(text),
        Error::Other(text) => wit::PricingError::Other(text),
    })
}

/// Every item, translated.
fn all<A: Into<B>, B>(items: Vec<A>) -> Vec<B> {
    items.into_iter().map(Into::into).collect()
}

/// Enums that have the same cases on both sides.
macro_rules! same_cases {
    ($name:ident: $($case:ident),+) => {
        impl From<$name> for wit::$name {
            fn from(value: $name) -> Self {
                match value {
                    $($name::$case => Self::$case,)+
                }
            }
        }
        impl From<wit::$name> for $name {
            fn from(value: wit::$name) -> Self {
                match value {
                    $(wit::$name::$case => Self::$case,)+
                }
            }
        }
    };
}

same_cases!(PriceBasis: Gross, Net);
same_cases!(RoundingLevel: Unit, Line, Document);
same_cases!(RoundingMode: HalfUp, HalfEven);

impl From<wit::PriceList> for PriceList {
    fn from(list: wit::PriceList) -> Self {
        let wit::PriceList { id, name, currency, basis, tax_rounding, rounding, channels } = list;
        Self {
            id,
            name,
            currency,
            basis: basis.into(),
            tax_rounding: tax_rounding.into(),
            rounding: rounding.into(),
            channels,
        }
    }
}

impl From<PriceList> for wit::PriceList {
    fn from(list: PriceList) -> Self {
        let PriceList { id, name, currency, basis, tax_rounding, rounding, channels } = list;
        Self {
            id,
            name,
            currency,
            basis: basis.into(),
            tax_rounding: tax_rounding.into(),
            rounding: rounding.into(),
            channels,
        }
    }
}

impl From<wit::Price> for Price {
    fn from(price: wit::Price) -> Self {
        let wit::Price { price_list, sku, amount_minor, valid_from_ms, valid_to_ms } = price;
        Self { price_list, sku, amount_minor, valid_from_ms, valid_to_ms }
    }
}

impl From<pricing::ShelfPrice> for wit::ShelfPrice {
    fn from(price: pricing::ShelfPrice) -> Self {
        let pricing::ShelfPrice { sku, amount_minor, currency, basis } = price;
        Self { sku, price: Money { amount_minor, currency }, basis: basis.into() }
    }
}

impl From<wit::TaxRate> for TaxRate {
    fn from(rate: wit::TaxRate) -> Self {
        let wit::TaxRate { country, tax_class, rate_basis_points, name } = rate;
        Self { country, tax_class, rate_basis_points, name }
    }
}

impl From<TaxRate> for wit::TaxRate {
    fn from(rate: TaxRate) -> Self {
        let TaxRate { country, tax_class, rate_basis_points, name } = rate;
        Self { country, tax_class, rate_basis_points, name }
    }
}

impl From<wit::QuoteLineInput> for LineInput {
    fn from(line: wit::QuoteLineInput) -> Self {
        let wit::QuoteLineInput { line_id, sku, quantity, tax_class, unit_price_minor } = line;
        Self { line_id, sku, quantity, tax_class, unit_price_minor }
    }
}

impl From<wit::QuoteRequest> for Basket {
    fn from(request: wit::QuoteRequest) -> Self {
        let wit::QuoteRequest { channel, price_list, country, lines, discount_minor, shipping_minor } = request;
        Self { channel, price_list, country, lines: all(lines), discount_minor, shipping_minor }
    }
}

impl From<QuoteLine> for wit::QuoteLine {
    fn from(line: QuoteLine) -> Self {
        Self {
            line_id: line.line_id,
            sku: line.sku,
            quantity: line.quantity,
            unit_price_minor: line.unit_price_minor,
            discount_minor: line.discount_minor,
            net_minor: line.net_minor,
            tax_minor: line.tax_minor,
            gross_minor: line.gross_minor,
            rate_basis_points: line.rate_basis_points,
        }
    }
}

impl From<TaxTotal> for wit::TaxTotal {
    fn from(total: TaxTotal) -> Self {
        let TaxTotal { rate_basis_points, net_minor, tax_minor, gross_minor } = total;
        Self { rate_basis_points, net_minor, tax_minor, gross_minor }
    }
}

impl From<Quote> for wit::Quote {
    fn from(quote: Quote) -> Self {
        Self {
            currency: quote.currency,
            basis: quote.basis.into(),
            price_list: quote.price_list,
            lines: all(quote.lines),
            shipping: quote.shipping.into(),
            tax_totals: all(quote.tax_totals),
            goods_gross_minor: quote.goods_gross_minor,
            discount_gross_minor: quote.discount_gross_minor,
            shipping_gross_minor: quote.shipping_gross_minor,
            net_minor: quote.net_minor,
            tax_minor: quote.tax_minor,
            total_minor: quote.total_minor,
        }
    }
}
