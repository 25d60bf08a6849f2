//! What pages show and the API returns: plain data, made from the modules' answers by `shop`. No host, no WIT types.

use serde::Serialize;

use kontor_sdk::money::{self, Language};

/// An amount with its currency.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Price {
    /// Minor units.
    pub amount_minor: i64,
    /// ISO 4217.
    pub currency: String,
}

impl Price {
    /// As people write it.
    pub(crate) fn show(&self, language: Language) -> String {
        money::display(self.amount_minor, &self.currency, language)
    }
}

/// What the customer is told of the stock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub(crate) enum Availability {
    /// Enough.
    InStock,
    /// So few that it is worth saying.
    FewLeft {
        /// How many.
        quantity: i64,
    },
    /// None.
    SoldOut,
    /// There is no inventory module: nothing is promised.
    Unknown,
}

/// From how many on the number is told.
const FEW: i64 = 5;

impl Availability {
    /// What to tell of so many.
    pub(crate) fn of(quantity: i64) -> Self {
        match quantity {
            ..=0 => Self::SoldOut,
            1..=FEW => Self::FewLeft { quantity },
            _ => Self::InStock,
        }
    }

    /// Whether it can be put into a cart.
    pub(crate) fn can_be_bought(self) -> bool {
        self != Self::SoldOut
    }
}

/// A product on a list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct ProductCard {
    /// Product id.
    pub id: String,
    /// Name.
    pub title: String,
    /// Brand.
    pub brand: Option<String>,
    /// Picture.
    pub image_url: Option<String>,
    /// Lowest price of its variants.
    pub price: Option<Price>,
    /// Whether variants differ in price.
    pub price_varies: bool,
}

/// A page of products.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct ProductList {
    /// In the catalogue's order.
    pub products: Vec<ProductCard>,
    /// Of the next page.
    pub next_cursor: Option<String>,
}

/// A variant that can be bought.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct VariantView {
    /// SKU.
    pub sku: String,
    /// What distinguishes it; empty for the only one.
    pub title: String,
    /// None: not for sale.
    pub price: Option<Price>,
    /// Stock.
    pub availability: Availability,
}

/// A product with everything about it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct ProductDetail {
    /// Product id.
    pub id: String,
    /// Name.
    pub title: String,
    /// Brand.
    pub brand: Option<String>,
    /// Category path.
    pub category: Option<String>,
    /// Plain text.
    pub description: String,
    /// Picture.
    pub image_url: Option<String>,
    /// At least one.
    pub variants: Vec<VariantView>,
}

/// A line of the cart.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct CartLine {
    /// Line id.
    pub id: String,
    /// SKU.
    pub sku: String,
    /// The product that it is a variant of; known on pages only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub product_id: Option<String>,
    /// Name.
    pub title: String,
    /// Picture.
    pub image_url: Option<String>,
    /// Units.
    pub quantity: i64,
    /// Of one unit, as on the shelf.
    pub unit_price_minor: i64,
    /// What the line costs.
    pub total_minor: i64,
}

/// Sums of a cart.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Totals {
    /// Goods, gross.
    pub goods_minor: i64,
    /// Shipping, gross.
    pub shipping_minor: i64,
    /// Tax in both.
    pub tax_minor: i64,
    /// To pay.
    pub total_minor: i64,
}

/// A postal address, as entered.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Address {
    /// Who.
    pub name: String,
    /// Firm.
    pub company: Option<String>,
    /// Street and number.
    pub line1: String,
    /// More of it.
    pub line2: Option<String>,
    /// Postal code.
    pub postal_code: String,
    /// City.
    pub city: String,
    /// Region.
    pub region: Option<String>,
    /// ISO 3166-1 alpha-2.
    pub country: String,
    /// Phone.
    pub phone: Option<String>,
}

/// A cart.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct CartView {
    /// Unguessable.
    pub id: String,
    /// ISO 4217.
    pub currency: String,
    /// Lines.
    pub lines: Vec<CartLine>,
    /// Who.
    pub email: Option<String>,
    /// Where to.
    pub shipping_address: Option<Address>,
    /// How.
    pub shipping_method: Option<String>,
    /// Present when there are lines.
    pub totals: Option<Totals>,
    /// Present once placed.
    pub order_id: Option<String>,
}

impl CartView {
    /// Units in it.
    pub(crate) fn units(&self) -> i64 {
        self.lines.iter().map(|line| line.quantity).sum()
    }
}

/// A way to ship.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct ShippingOption {
    /// Its id.
    pub id: String,
    /// For people.
    pub name: String,
    /// Gross.
    pub price_minor: i64,
}

/// An order just placed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct PlacedOrder {
    /// Its id.
    pub order_id: String,
    /// For people; the id where no orders module tells.
    pub number: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stock_is_told_in_bands() {
        for (quantity, told) in [
            (-3, Availability::SoldOut),
            (0, Availability::SoldOut),
            (1, Availability::FewLeft { quantity: 1 }),
            (5, Availability::FewLeft { quantity: 5 }),
            (6, Availability::InStock),
        ] {
            assert_eq!(Availability::of(quantity), told);
        }
    }
}
