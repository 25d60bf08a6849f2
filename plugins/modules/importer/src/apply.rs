//! Rows to calls of the modules' services: the translation, and what happens when a module refuses.

use kontor_sdk::http::Error;
use kontor_sdk::{Result, services};

use crate::bindings::kontor::commerce::types::Attribute;
use crate::bindings::kontor::commerce::{catalog, inventory, orders as order_service, pricing};
use crate::decimal::Decimal;
use crate::mapping::{Kind, Mapping};
use crate::options::Options;
use crate::orders::{self, Document};
use crate::products::{self, Product};
use crate::row::{Account, Class, Issue, Row};
use crate::stock::{self, Level};

/// What the services take in one call.
const BATCH: usize = 250;

/// Checks that the modules are there, and makes what an empty shop lacks: the price list, the location.
pub(crate) fn prepare(kind: Kind, options: &Options) -> Result<()> {
    let needed: &[&str] = match kind {
        Kind::Products => &["catalog", "pricing"],
        Kind::Stock => &["inventory"],
        Kind::Orders => &["orders"],
    };
    for name in needed {
        if !services::available(&format!("kontor:commerce/{name}@0.1.0")) {
            let message = format!("importing {} needs the plugin `{name}`: install it first", kind.name());
            return Err(Error::conflict(message).with_code("import-needs-plugin"));
        }
    }
    match kind {
        Kind::Products => prepare_price_list(options),
        Kind::Stock => prepare_location(&options.location),
        Kind::Orders => Ok(()),
    }
}

fn prepare_price_list(options: &Options) -> Result<()> {
    let lists = pricing::list_price_lists().map_err(|error| refused(&error))?;
    match lists.iter().find(|list| list.id == options.price_list) {
        Some(list) if list.currency == options.currency => Ok(()),
        Some(list) => Err(Error::conflict(format!(
            "price list `{}` is in {}, but the option `currency` says {}: choose another list or currency",
            list.id, list.currency, options.currency
        ))
        .with_code("import-currency")),
        None => pricing::upsert_price_list(&pricing::PriceList {
            id: options.price_list.clone(),
            name: options.price_list.clone(),
            currency: options.currency.clone(),
            basis: pricing::PriceBasis::Gross,
            tax_rounding: pricing::RoundingLevel::Line,
            rounding: pricing::RoundingMode::HalfUp,
            channels: Vec::new(),
        })
        .map_err(|error| refused(&error)),
    }
}

fn prepare_location(id: &str) -> Result<()> {
    let locations = inventory::list_locations().map_err(|error| refused(&error))?;
    if locations.iter().any(|location| location.id == id) {
        return Ok(());
    }
    inventory::upsert_location(&inventory::Location {
        id: id.to_owned(),
        name: id.to_owned(),
        kind: inventory::LocationKind::Warehouse,
        time_zone: "UTC".into(),
        active: true,
    })
    .map_err(|error| refused(&error))
}

fn refused(error: &impl std::fmt::Debug) -> Error {
    Error::conflict(format!("a module refused: {error:?}")).with_code("import-refused")
}

/// Does a chunk of rows. With `dry_run` it only reads and classifies.
pub(crate) fn chunk(
    kind: Kind,
    rows: &[Row],
    mapping: &Mapping,
    options: &Options,
    dry_run: bool,
) -> Result<(Account, Vec<Issue>)> {
    match kind {
        Kind::Products => {
            let mut outcome = products::read_products(rows, mapping, options);
            if !dry_run {
                apply_products(&outcome.products, options, &mut outcome.account, &mut outcome.issues)?;
            }
            Ok((outcome.account, outcome.issues))
        }
        Kind::Stock => {
            let mut outcome = stock::read_levels(rows, mapping, options);
            if !dry_run {
                apply_levels(&outcome.levels, options, &mut outcome.account, &mut outcome.issues)?;
            }
            Ok((outcome.account, outcome.issues))
        }
        Kind::Orders => {
            let mut outcome = orders::read_orders(rows, mapping, options);
            if !dry_run {
                apply_orders(&outcome.documents, options, &mut outcome.account)?;
            }
            Ok((outcome.account, outcome.issues))
        }
    }
}

fn apply_products(
    products: &[Product],
    options: &Options,
    account: &mut Account,
    issues: &mut Vec<Issue>,
) -> Result<()> {
    for batch in products.chunks(BATCH) {
        let input: Vec<catalog::Product> = batch.iter().map(to_catalog).collect();
        let mut taken: Vec<&Product> = Vec::new();
        let mut outcomes = Vec::new();
        match catalog::upsert_products(&input) {
            Ok(all) => {
                taken.extend(batch);
                outcomes = all;
            }
            // One of them is refused (a SKU or GTIN of another product, a value too long): find out which.
            Err(_) => {
                for (product, wire) in batch.iter().zip(&input) {
                    match catalog::upsert_product(wire) {
                        Ok(outcome) => {
                            taken.push(product);
                            outcomes.push(outcome);
                        }
                        Err(error) => {
                            refuse(product.first_row, format!("product `{}`: {error:?}", product.id), account, issues)
                        }
                    }
                }
            }
        }
        for outcome in outcomes {
            let name = match outcome {
                catalog::UpsertOutcome::Created => "products_created",
                catalog::UpsertOutcome::Updated => "products_updated",
                catalog::UpsertOutcome::Unchanged => "products_unchanged",
            };
            account.count(name, 1);
        }
        let prices: Vec<pricing::Price> =
            taken.iter().flat_map(|product| &product.variants).filter_map(|v| to_price(v, options)).collect();
        for prices in prices.chunks(BATCH) {
            let changed = pricing::set_prices(prices).map_err(|error| refused(&error))?;
            account.count("prices_changed", u64::from(changed));
        }
    }
    Ok(())
}

fn to_catalog(product: &Product) -> catalog::Product {
    let single = product.variants.len() == 1 && product.options.is_empty();
    let variant = |variant: &products::Variant| catalog::ProductVariant {
        sku: variant.sku.clone(),
        title: if single { String::new() } else { variant.option_values.join(" / ") },
        option_values: variant.option_values.clone(),
        identifiers: variant
            .gtin
            .iter()
            .map(|gtin| catalog::Identifier { kind: catalog::IdentifierKind::Gtin, value: gtin.clone(), issuer: None })
            .collect(),
        weight_grams: variant.weight_grams,
        attributes: Vec::new(),
    };
    catalog::Product {
        id: product.id.clone(),
        title: product.title.clone(),
        description: product.description.clone(),
        brand: product.brand.clone(),
        category: product.category.clone(),
        status: match product.status.as_str() {
            "active" => catalog::ProductStatus::Active,
            "archived" => catalog::ProductStatus::Archived,
            _ => catalog::ProductStatus::Draft,
        },
        tax_class: product.tax_class.clone(),
        image_url: product.image.clone(),
        options: product.options.clone(),
        variants: product.variants.iter().map(variant).collect(),
        attributes: Vec::new(),
        updated_at_ms: 0,
    }
}

fn to_price(variant: &products::Variant, options: &Options) -> Option<pricing::Price> {
    Some(pricing::Price {
        price_list: options.price_list.clone(),
        sku: variant.sku.clone(),
        amount_minor: variant.price_minor?,
        valid_from_ms: 0,
        valid_to_ms: None,
    })
}

fn apply_levels(levels: &[Level], options: &Options, account: &mut Account, issues: &mut Vec<Issue>) -> Result<()> {
    let to_count = |level: &Level| inventory::StockCount {
        sku: level.sku.clone(),
        location: level.location.clone(),
        expected: None,
        counted: level.quantity,
        reference: options.reference.clone(),
    };
    for batch in levels.chunks(BATCH) {
        match inventory::count(&batch.iter().map(to_count).collect::<Vec<_>>()) {
            Ok(changed) => account.count("levels_changed", u64::from(changed)),
            Err(_) => {
                for level in batch {
                    match inventory::count(&[to_count(level)]) {
                        Ok(changed) => account.count("levels_changed", u64::from(changed)),
                        Err(error) => {
                            let message = format!("stock of `{}` at `{}`: {error:?}", level.sku, level.location);
                            refuse(level.row, message, account, issues);
                        }
                    }
                }
            }
        }
    }
    Ok(())
}

/// A row that was read, but that a module refused: it moves to the class of the refused.
fn refuse(row: u64, message: String, account: &mut Account, issues: &mut Vec<Issue>) {
    for class in [Class::Product, Class::StockLevel] {
        if let Some(total) = account.classes.get_mut(&class).filter(|total| total.rows > 0) {
            total.rows -= 1;
            account.add(Class::Refused, 0, Decimal::ZERO);
            break;
        }
    }
    issues.push(Issue { row, refused: true, message });
}

fn apply_orders(documents: &[Document], options: &Options, account: &mut Account) -> Result<()> {
    for batch in documents.chunks(BATCH) {
        let input: Vec<order_service::OrderInput> = batch.iter().map(|document| to_order(document, options)).collect();
        let placings = order_service::import_orders(&input).map_err(|error| refused(&error))?;
        for (document, placing) in batch.iter().zip(placings) {
            let name = match (document.credit, placing.created) {
                (false, true) => "orders_created",
                (false, false) => "orders_known",
                (true, true) => "credits_created",
                (true, false) => "credits_known",
            };
            account.count(name, 1);
        }
    }
    Ok(())
}

fn to_order(document: &Document, options: &Options) -> order_service::OrderInput {
    let line = |line: &orders::Line| order_service::OrderLineInput {
        line_id: line.line_id.clone(),
        sku: line.sku.clone(),
        title: line.title.clone(),
        quantity: line.quantity,
        unit_price_minor: line.unit_price_minor,
        discount_minor: 0,
        net_minor: line.gross_minor - line.tax_minor,
        tax_minor: line.tax_minor,
        gross_minor: line.gross_minor,
        rate_basis_points: options.tax_rate_basis_points,
        stocked: line.goods,
    };
    let attribute = |name: &str, value: &str| Attribute { name: name.to_owned(), value: value.to_owned() };
    let mut attributes = vec![attribute("document", if document.credit { "credit" } else { "order" })];
    attributes.extend(document.country.as_deref().map(|country| attribute("country", country)));
    order_service::OrderInput {
        channel: options.channel.clone(),
        account: "default".into(),
        external_id: document.number.clone(),
        placed_at_ms: document.placed_at_ms,
        currency: options.currency.clone(),
        email: document.email.clone(),
        customer_ref: document.customer.clone(),
        shipping_address: None,
        shipping_method: None,
        lines: document.lines.iter().map(line).collect(),
        shipping_net_minor: 0,
        shipping_tax_minor: 0,
        shipping_gross_minor: 0,
        total_minor: document.total_minor,
        payment_method: "imported".into(),
        paid_minor: document.total_minor,
        stock: order_service::StockSource::None,
        attributes,
    }
}
