//! Rows to products: rows of one SKU make a variant, variants of one product value make a product, contradictions are settled by
//! majority and counted.

use std::collections::BTreeMap;

use kontor_sdk::money::minor_digits;

use crate::decimal::Decimal;
use crate::mapping::Mapping;
use crate::options::Options;
use crate::row::{Account, Class, Issue, Row};
use crate::text;

/// Longest product id of the catalogue.
const PRODUCT_ID_CHARACTERS_MAX: usize = 64;

/// A product to be created or replaced.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Product {
    /// From the product column, or the SKU.
    pub id: String,
    /// By majority.
    pub title: String,
    /// Plain text.
    pub description: String,
    /// If mapped.
    pub brand: Option<String>,
    /// If mapped.
    pub category: Option<String>,
    /// `active`, `draft` or `archived`.
    pub status: String,
    /// `standard` if not mapped.
    pub tax_class: String,
    /// First picture.
    pub image: Option<String>,
    /// Names of the options.
    pub options: Vec<String>,
    /// At least one.
    pub variants: Vec<Variant>,
    /// First row of it: where problems are reported.
    pub first_row: u64,
}

/// A variant.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Variant {
    /// As kept.
    pub sku: String,
    /// Values of the options.
    pub option_values: Vec<String>,
    /// Valid GTIN, digits.
    pub gtin: Option<String>,
    /// Grams.
    pub weight_grams: Option<u32>,
    /// In minor units; none if no row has a positive price.
    pub price_minor: Option<i64>,
}

/// What a chunk of rows makes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Outcome {
    /// In the order of their first rows.
    pub products: Vec<Product>,
    /// Every row counted once.
    pub account: Account,
    /// For the report.
    pub issues: Vec<Issue>,
}

/// The value that makes rows one product: the product column, else the SKU; compared without case.
pub(crate) fn group_key(row: &Row, mapping: &Mapping) -> String {
    let cell = mapping.cell(&row.cells, "product").or_else(|| mapping.cell(&row.cells, "sku"));
    cell.unwrap_or_default().to_lowercase()
}

/// Reads `rows`; rows of one product must all be there.
pub(crate) fn read_products(rows: &[Row], mapping: &Mapping, options: &Options) -> Outcome {
    let mut outcome = Outcome::default();
    let mut order: Vec<String> = Vec::new();
    let mut groups: BTreeMap<String, Vec<&Row>> = BTreeMap::new();
    for row in rows {
        let key = group_key(row, mapping);
        if key.is_empty() {
            let message = "`sku` is empty: give it one, or skip such rows with the option blank_sku=skip";
            skip_or_refuse(row, options, message, &mut outcome);
            continue;
        }
        let members = groups.entry(key.clone()).or_default();
        if members.is_empty() {
            order.push(key);
        }
        members.push(row);
    }
    for key in order {
        let members = groups.remove(&key).unwrap_or_default();
        if let Some(product) = read_product(&key, &members, mapping, options, &mut outcome) {
            outcome.products.push(product);
        }
    }
    outcome.account.count("products_read", outcome.products.len() as u64);
    outcome.account.count("variants_read", outcome.products.iter().map(|p| p.variants.len() as u64).sum());
    outcome
}

fn skip_or_refuse(row: &Row, options: &Options, message: &str, outcome: &mut Outcome) {
    let class = if options.blank_sku_skip { Class::SupplementaryRow } else { Class::Refused };
    outcome.account.add(class, 0, Decimal::ZERO);
    if class == Class::Refused {
        outcome.issues.push(Issue { row: row.number, refused: true, message: message.to_owned() });
    }
}

fn read_product(
    key: &str,
    members: &[&Row],
    mapping: &Mapping,
    options: &Options,
    outcome: &mut Outcome,
) -> Option<Product> {
    let cell = |row: &'_ Row, field: &str| mapping.cell(&row.cells, field).map(str::to_owned);
    let is_parent = |row: &Row| {
        members.len() > 1 && cell(row, "product").is_none() && members.iter().any(|m| cell(m, "product").is_some())
    };

    // Rows by SKU. A parent row (its own SKU is what its variants name as product) says nothing of a variant.
    let mut skus: Vec<(String, Vec<&Row>)> = Vec::new();
    for row in members {
        match cell(row, "sku").map(|sku| options.sku(&sku)) {
            _ if is_parent(row) => outcome.account.add(Class::SupplementaryRow, 0, Decimal::ZERO),
            None if cell(row, "price").is_none() => outcome.account.add(Class::SupplementaryRow, 0, Decimal::ZERO),
            None => skip_or_refuse(
                row,
                options,
                "the variant has no SKU: give it one, or skip such rows with the option blank_sku=skip",
                outcome,
            ),
            Some(sku) if sku.chars().count() > 64 => {
                outcome.account.add(Class::Refused, 0, Decimal::ZERO);
                outcome.issues.push(Issue {
                    row: row.number,
                    refused: true,
                    message: "`sku` is longer than 64 characters".into(),
                });
            }
            Some(sku) if !options.is_goods(&sku) => outcome.account.add(Class::NotGoods, 0, Decimal::ZERO),
            Some(sku) => match skus.iter_mut().find(|(known, _)| *known == sku) {
                Some((_, rows)) => rows.push(row),
                None => skus.push((sku, vec![row])),
            },
        }
    }
    let first_row = skus.first().and_then(|(_, rows)| rows.first())?.number;
    let parent_title = members.iter().find(|row| is_parent(row)).and_then(|row| cell(row, "title"));
    let title =
        parent_title.or_else(|| majority(skus.iter().flat_map(|(_, rows)| rows).filter_map(|row| cell(row, "title"))));
    let Some(title) = title else {
        for row in skus.iter().flat_map(|(_, rows)| rows) {
            outcome.account.add(Class::Refused, 0, Decimal::ZERO);
            outcome.issues.push(Issue {
                row: row.number,
                refused: true,
                message: "no row of this product has a title".into(),
            });
        }
        return None;
    };

    let has_products = members.iter().any(|row| cell(row, "product").is_some());
    let first_of = |field: &str| members.iter().find_map(|row| cell(row, field));
    let names: Vec<(usize, String)> = (1..=3)
        .filter_map(|n| first_of(&format!("option{n}_name")).map(|name| (n, name)))
        .filter(|(n, name)| !(name.eq_ignore_ascii_case("title") && *n == 1))
        .collect();
    let mut variants = Vec::new();
    for (sku, rows) in &skus {
        classify(rows, &title, has_products, mapping, outcome);
        variants.push(read_variant(sku, rows, &names, mapping, options, outcome));
    }
    let sold = variants.iter().any(|variant| variant.price_minor.is_some());
    let single_sku = skus.first().map(|(sku, _)| sku.clone()).filter(|_| !has_products);
    Some(Product {
        id: single_sku.unwrap_or_else(|| text::shorten(key, PRODUCT_ID_CHARACTERS_MAX)),
        title: text::cut(&title, 200),
        description: first_of("description").map(|html| text::plain(&html)).unwrap_or_default(),
        brand: first_of("brand"),
        category: first_of("category").map(|category| category.replace(" > ", "/")),
        status: status(first_of("status").as_deref(), sold),
        tax_class: first_of("tax_class").unwrap_or_else(|| "standard".into()),
        image: first_of("image").and_then(|list| list.split(',').next().map(|one| one.trim().to_owned())),
        options: names.into_iter().map(|(_, name)| name).collect(),
        variants,
        first_row,
    })
}

/// Counts the rows of one SKU. Where variants have rows of their own, differing titles are no contradiction.
fn classify(rows: &[&Row], title: &str, has_products: bool, mapping: &Mapping, outcome: &mut Outcome) {
    let mut taken = false;
    for row in rows {
        let class = match mapping.cell(&row.cells, "title") {
            None if has_products => Class::Product,
            None => Class::MissingTitle,
            Some(own) if own != title && !has_products => Class::OtherTitle,
            Some(_) if taken => Class::RepeatedProduct,
            Some(_) => Class::Product,
        };
        taken |= class == Class::Product;
        outcome.account.add(class, 0, Decimal::ZERO);
    }
}

fn read_variant(
    sku: &str,
    rows: &[&Row],
    names: &[(usize, String)],
    mapping: &Mapping,
    options: &Options,
    outcome: &mut Outcome,
) -> Variant {
    let cell = |row: &Row, field: &str| mapping.cell(&row.cells, field).map(str::to_owned);
    let mut prices = Vec::new();
    for row in rows {
        match cell(row, "price").map(|text| Decimal::parse(&text, options.decimal_comma)) {
            Some(Ok(price)) if price > Decimal::ZERO => prices.push(price),
            Some(Err(message)) => outcome.issues.push(Issue {
                row: row.number,
                refused: false,
                message: format!("price ignored: {message}"),
            }),
            _ => {}
        }
    }
    let gtin = rows.iter().find_map(|row| {
        let text = cell(row, "gtin")?;
        let digits = text.trim_start_matches('\'').to_owned();
        if valid_gtin(&digits) {
            return Some(digits);
        }
        let message = format!(
            "`{}` is no valid GTIN (8, 12, 13 or 14 digits with a check digit); left out",
            text::cut(&text, 40)
        );
        outcome.issues.push(Issue { row: row.number, refused: false, message });
        None
    });
    Variant {
        sku: sku.to_owned(),
        option_values: names
            .iter()
            .map(|(n, _)| {
                rows.iter().find_map(|row| cell(row, &format!("option{n}_value"))).unwrap_or_else(|| "-".into())
            })
            .collect(),
        gtin,
        weight_grams: rows
            .iter()
            .find_map(|row| Decimal::parse(&cell(row, "weight_grams")?, options.decimal_comma).ok())
            .and_then(|grams| u32::try_from(grams.to_minor(0)).ok())
            .filter(|grams| *grams > 0),
        price_minor: majority(prices.into_iter()).map(|price| price.to_minor(minor_digits(&options.currency))),
    }
}

fn status(cell: Option<&str>, sold: bool) -> String {
    match cell.map(str::to_lowercase).as_deref() {
        Some("archived") => "archived",
        Some("draft" | "0" | "-1" | "private") => "draft",
        _ if sold => "active",
        _ => "draft",
    }
    .to_owned()
}

/// The most frequent value; of several the first.
fn majority<T: Clone + Ord>(values: impl Iterator<Item = T>) -> Option<T> {
    let mut counts: BTreeMap<T, (usize, usize)> = BTreeMap::new();
    for (position, value) in values.enumerate() {
        counts.entry(value).or_insert((0, position)).0 += 1;
    }
    counts.into_iter().min_by_key(|(_, (count, first))| (usize::MAX - count, *first)).map(|(value, _)| value)
}

/// Mod-10 check of a GTIN: from the right, weights 1, 3, 1, 3, ...
fn valid_gtin(digits: &str) -> bool {
    matches!(digits.len(), 8 | 12 | 13 | 14)
        && digits.bytes().all(|b| b.is_ascii_digit())
        && digits
            .bytes()
            .rev()
            .zip([1u32, 3].into_iter().cycle())
            .map(|(b, weight)| u32::from(b - b'0') * weight)
            .sum::<u32>()
            % 10
            == 0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mapping::Kind;

    fn read_with(header: &[&str], map: &[(&str, &str)], options: Options, lines: &[&str]) -> Outcome {
        let header: Vec<String> = header.iter().map(|h| (*h).to_owned()).collect();
        let map: Vec<(String, String)> = map.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect();
        let mapping = Mapping::resolve(Kind::Products, &header, &map).unwrap();
        let rows: Vec<Row> = lines
            .iter()
            .enumerate()
            .map(|(i, line)| Row { number: i as u64 + 2, cells: line.split('|').map(str::to_owned).collect() })
            .collect();
        let outcome = read_products(&rows, &mapping, &options);
        assert_eq!(outcome.account.rows(), lines.len() as u64, "every row counts once");
        outcome
    }

    #[test]
    fn rows_of_one_sku_are_one_product_by_majority() {
        let options = Options { not_goods: vec!["POST".into()], sku_upper: true, ..Options::default() };
        let outcome = read_with(
            &["code", "name", "price"],
            &[("sku", "code"), ("title", "name"), ("price", "price")],
            options,
            &["A1|MUG|2.50", "a1|damaged|0", "A1||2.50", "A1|MUG|3.00", "POST|Postage|5", "Z|only found|0", "Q||1"],
        );
        let [mug, found] = outcome.products.as_slice() else { panic!("{outcome:?}") };
        assert_eq!(
            (mug.id.as_str(), mug.title.as_str(), mug.variants[0].price_minor, mug.status.as_str()),
            ("A1", "MUG", Some(250), "active")
        );
        assert_eq!((found.variants[0].price_minor, found.status.as_str()), (None, "draft"));
        let count = |class| outcome.account.classes.get(&class).map_or(0, |total| total.rows);
        assert_eq!(
            [
                Class::Product,
                Class::RepeatedProduct,
                Class::OtherTitle,
                Class::MissingTitle,
                Class::NotGoods,
                Class::Refused
            ]
            .map(count),
            [2, 1, 1, 1, 1, 1]
        );
    }

    #[test]
    fn shopify_variants_and_pictures() {
        let preset = Kind::Products.presets()[0];
        let header: Vec<&str> = preset.columns.iter().map(|(_, column)| *column).collect();
        // Handle, Title, Body, Vendor, Type, SKU, Price, Barcode, Grams, Image, Status, options
        let outcome = read_with(
            &header,
            preset.columns,
            Options { blank_sku_skip: true, ..Options::default() },
            &[
                "tee|Tee|<p>Soft &amp; light</p><p>Cotton</p>|Acme|Shirts|TEE-R|19.99|'4006381333931|150|https://x/1.jpg|active|Colour|Red||||",
                "tee|||||TEE-B|19.99|123|150||||Blue||||",
                "tee|||||||||https://x/2.jpg|||||||",
            ],
        );
        let [tee] = outcome.products.as_slice() else { panic!("{outcome:?}") };
        assert_eq!(
            (tee.id.as_str(), tee.title.as_str(), tee.description.as_str()),
            ("tee", "Tee", "Soft & light\n\nCotton")
        );
        assert_eq!(tee.options, ["Colour"]);
        let skus: Vec<_> =
            tee.variants.iter().map(|v| (v.sku.as_str(), v.option_values.join("/"), v.gtin.as_deref())).collect();
        assert_eq!(skus, [("TEE-R", "Red".to_owned(), Some("4006381333931")), ("TEE-B", "Blue".to_owned(), None)]);
        assert!(outcome.issues[0].message.contains("no valid GTIN"));
        assert_eq!(outcome.account.classes[&Class::SupplementaryRow].rows, 1);
    }

    #[test]
    fn woocommerce_parents_lend_their_title() {
        let outcome = read_with(
            &["SKU", "Name", "Parent", "Regular price"],
            &[("sku", "SKU"), ("title", "Name"), ("product", "Parent"), ("price", "Regular price")],
            Options::default(),
            &["HOOD|Hoodie||", "HOOD-B|Hoodie - Blue|HOOD|45", "HOOD-G|Hoodie - Green|HOOD|45", "CAP|Cap||16"],
        );
        let titles: Vec<_> = outcome.products.iter().map(|p| (p.title.as_str(), p.variants.len())).collect();
        assert_eq!(titles, [("Hoodie", 2), ("Cap", 1)]);
    }

    #[test]
    fn gtin_check_digits() {
        for (digits, valid) in [
            ("4006381333931", true),
            ("036000291452", true),
            ("96385074", true),
            ("4006381333932", false),
            ("400638133393", false),
            ("", false),
        ] {
            assert_eq!(valid_gtin(digits), valid, "{digits}");
        }
    }
}
