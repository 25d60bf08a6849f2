//! The service `kontor:commerce/catalog`: a translation between the contract's types and the rules.

use crate::bindings::exports::kontor::commerce::catalog as wit;
use crate::bindings::kontor::commerce::types;
use crate::catalog::{self, Outcome, VariantView};
use crate::error::Error;
use crate::identifier::{Identifier, IdentifierKind};
use crate::listing::{self, Listing};
use crate::product::{Attribute, Product, Status, Variant};
use crate::search::{self, Query};
use crate::tables::Store;
use crate::{Catalog, save_listing, save_product};

impl wit::Guest for Catalog {
    fn get_product(id: String) -> Result<wit::Product, wit::CatalogError> {
        answer(|| Ok(catalog::product(&Store, &id)?.into()))
    }

    fn get_variants(skus: Vec<String>) -> Result<Vec<wit::VariantView>, wit::CatalogError> {
        answer(|| Ok(catalog::variants(&Store, &skus)?.into_iter().map(Into::into).collect()))
    }

    fn find_variant(code: String) -> Result<wit::VariantView, wit::CatalogError> {
        answer(|| Ok(catalog::find_variant(&Store, &code)?.into()))
    }

    fn search_products(query: wit::ProductQuery) -> Result<wit::ProductPage, wit::CatalogError> {
        answer(|| {
            let wit::ProductQuery { text, category, status, cursor, limit } = query;
            let page =
                search::search(&Store, &Query { text, category, status: status.map(Into::into), cursor, limit })?;
            Ok(wit::ProductPage {
                products: page.products.into_iter().map(Into::into).collect(),
                next_cursor: page.next_cursor,
            })
        })
    }

    fn upsert_product(product: wit::Product) -> Result<wit::UpsertOutcome, wit::CatalogError> {
        answer(|| Ok(save_product(product.into())?.into()))
    }

    fn upsert_products(products: Vec<wit::Product>) -> Result<Vec<wit::UpsertOutcome>, wit::CatalogError> {
        answer(|| {
            catalog::check_batch("products", products.len())?;
            products.into_iter().map(|product| Ok(save_product(product.into())?.into())).collect()
        })
    }

    fn upsert_listing(listing: wit::Listing) -> Result<wit::UpsertOutcome, wit::CatalogError> {
        answer(|| Ok(save_listing(&listing.into())?.into()))
    }

    fn get_listing(channel: String, account: String, sku: String) -> Result<wit::Listing, wit::CatalogError> {
        answer(|| Ok(catalog::listing(&Store, &channel, &account, &sku)?.into()))
    }

    fn find_listing(channel: String, account: String, external_id: String) -> Result<wit::Listing, wit::CatalogError> {
        answer(|| Ok(catalog::find_listing(&Store, &channel, &account, &external_id)?.into()))
    }

    fn list_listings(
        channel: String,
        account: String,
        cursor: Option<String>,
        limit: u32,
    ) -> Result<wit::ListingPage, wit::CatalogError> {
        answer(|| {
            let page = listing::page(&Store, &channel, &account, cursor.as_deref(), limit)?;
            Ok(wit::ListingPage {
                listings: page.listings.into_iter().map(Into::into).collect(),
                next_cursor: page.next_cursor,
            })
        })
    }
}

/// Runs a service call. An error rolls back what the call did.
fn answer<T>(call: impl FnOnce() -> Result<T, Error>) -> Result<T, wit::CatalogError> {
    kontor_sdk::plugin::report_panics();
    call().map_err(|error| match error {
        Error::NotFound(text) => wit::CatalogError::NotFound(text),
        Error::Invalid(text) => wit::CatalogError::Invalid(text),
        Error::Conflict(text) => wit::CatalogError::Conflict(text),
        Error::Other(text) => wit::CatalogError::Other(text),
    })
}

/// Enums that have the same cases on both sides.
macro_rules! same_cases {
    ($ours:ident, $theirs:ident: $($case:ident),+) => {
        impl From<$ours> for wit::$theirs {
            fn from(value: $ours) -> Self {
                match value {
                    $($ours::$case => Self::$case,)+
                }
            }
        }
        impl From<wit::$theirs> for $ours {
            fn from(value: wit::$theirs) -> Self {
                match value {
                    $(wit::$theirs::$case => Self::$case,)+
                }
            }
        }
    };
}

same_cases!(Status, ProductStatus: Draft, Active, Archived);
same_cases!(IdentifierKind, IdentifierKind: Gtin, Isbn, Mpn, Asin, SupplierSku, ChannelSku);
same_cases!(Outcome, UpsertOutcome: Created, Updated, Unchanged);

impl From<types::Attribute> for Attribute {
    fn from(attribute: types::Attribute) -> Self {
        Self { name: attribute.name, value: attribute.value }
    }
}

impl From<Attribute> for types::Attribute {
    fn from(attribute: Attribute) -> Self {
        Self { name: attribute.name, value: attribute.value }
    }
}

/// Every item, translated.
fn all<A: Into<B>, B>(items: Vec<A>) -> Vec<B> {
    items.into_iter().map(Into::into).collect()
}

impl From<wit::Identifier> for Identifier {
    fn from(identifier: wit::Identifier) -> Self {
        Self { kind: identifier.kind.into(), value: identifier.value, issuer: identifier.issuer }
    }
}

impl From<Identifier> for wit::Identifier {
    fn from(identifier: Identifier) -> Self {
        Self { kind: identifier.kind.into(), value: identifier.value, issuer: identifier.issuer }
    }
}

impl From<wit::ProductVariant> for Variant {
    fn from(variant: wit::ProductVariant) -> Self {
        let wit::ProductVariant { sku, title, option_values, identifiers, weight_grams, attributes } = variant;
        Self { sku, title, option_values, identifiers: all(identifiers), weight_grams, attributes: all(attributes) }
    }
}

impl From<Variant> for wit::ProductVariant {
    fn from(variant: Variant) -> Self {
        let Variant { sku, title, option_values, identifiers, weight_grams, attributes } = variant;
        Self { sku, title, option_values, identifiers: all(identifiers), weight_grams, attributes: all(attributes) }
    }
}

impl From<wit::Product> for Product {
    fn from(product: wit::Product) -> Self {
        Self {
            id: product.id,
            title: product.title,
            description: product.description,
            brand: product.brand,
            category: product.category,
            status: product.status.into(),
            tax_class: product.tax_class,
            image_url: product.image_url,
            options: product.options,
            variants: all(product.variants),
            attributes: all(product.attributes),
            updated_at_ms: product.updated_at_ms,
        }
    }
}

impl From<Product> for wit::Product {
    fn from(product: Product) -> Self {
        Self {
            id: product.id,
            title: product.title,
            description: product.description,
            brand: product.brand,
            category: product.category,
            status: product.status.into(),
            tax_class: product.tax_class,
            image_url: product.image_url,
            options: product.options,
            variants: all(product.variants),
            attributes: all(product.attributes),
            updated_at_ms: product.updated_at_ms,
        }
    }
}

impl From<VariantView> for wit::VariantView {
    fn from(view: VariantView) -> Self {
        Self {
            product_id: view.product_id,
            product_title: view.product_title,
            product_status: view.product_status.into(),
            tax_class: view.tax_class,
            image_url: view.image_url,
            variant_info: view.variant_info.into(),
        }
    }
}

impl From<wit::Listing> for Listing {
    fn from(listing: wit::Listing) -> Self {
        let wit::Listing { channel, account, sku, external_id, active, attributes, last_error } = listing;
        Self { channel, account, sku, external_id, active, attributes: all(attributes), last_error }
    }
}

impl From<Listing> for wit::Listing {
    fn from(listing: Listing) -> Self {
        let Listing { channel, account, sku, external_id, active, attributes, last_error } = listing;
        Self { channel, account, sku, external_id, active, attributes: all(attributes), last_error }
    }
}
