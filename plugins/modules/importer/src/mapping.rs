//! Which column of a file means what: the fields of each kind of import, the well-known exports, and the check of a mapping.

use serde::{Deserialize, Serialize};

/// What a file holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Kind {
    /// Products with prices.
    Products,
    /// Stock levels.
    Stock,
    /// Orders of the past.
    Orders,
}

/// A field that a column can be mapped to.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct Field {
    /// Its name in `--map`.
    pub name: &'static str,
    /// Whether a mapping must have it.
    pub required: bool,
    /// For people.
    pub description: &'static str,
}

/// The columns of a well-known export.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct Preset {
    /// Its name in `--preset`.
    pub name: &'static str,
    /// Which system writes such files.
    pub description: &'static str,
    /// Field and column.
    pub columns: &'static [(&'static str, &'static str)],
    /// Options that go with it.
    pub options: &'static [(&'static str, &'static str)],
}

const fn required(name: &'static str, description: &'static str) -> Field {
    Field { name, required: true, description }
}

const fn optional(name: &'static str, description: &'static str) -> Field {
    Field { name, required: false, description }
}

const PRODUCT_FIELDS: &[Field] = &[
    required("sku", "Stock keeping unit. Rows of one SKU become one variant."),
    required("title", "Name of the product. With several per SKU the most frequent wins."),
    optional("product", "What groups variants into a product (Shopify: Handle). Default: every SKU is a product."),
    optional("description", "Text of the product; HTML is reduced to plain text."),
    optional("price", "Price of one unit. With several per SKU the most frequent positive one wins."),
    optional("gtin", "GTIN-8, -12, -13 or -14; an invalid one is reported and left out."),
    optional("brand", "Brand or vendor."),
    optional("category", "Category path."),
    optional("image", "Address of a picture."),
    optional("weight_grams", "Weight of one unit in grams."),
    optional("tax_class", "`standard`, `reduced`, ... Default: `standard`."),
    optional(
        "status",
        "`active`/`1`/`publish`, `draft`/`0`/`-1` or `archived`. Default: active when there is a price.",
    ),
    optional("option1_name", "Name of the first option, such as `Colour`."),
    optional("option1_value", "Its value for this variant."),
    optional("option2_name", "Name of the second option."),
    optional("option2_value", "Its value for this variant."),
    optional("option3_name", "Name of the third option."),
    optional("option3_value", "Its value for this variant."),
];

const STOCK_FIELDS: &[Field] = &[
    required("sku", "Stock keeping unit."),
    required("quantity", "Units on hand now; the difference to the books is booked."),
    optional("location", "Location id. Default: the option `location`."),
];

const ORDER_FIELDS: &[Field] = &[
    required("order", "Order or invoice number. Rows with one number are one order."),
    required("sku", "Stock keeping unit."),
    required("quantity", "Units; negative on a credit."),
    required("price", "Price of one unit."),
    required("date", "When: `2010-12-01 08:26:00`, `2010-12-01T08:26:00Z` or `2010-12-01`."),
    optional("title", "Name of the line."),
    optional("customer", "Customer number."),
    optional("email", "E-mail address."),
    optional("country", "Country, as text."),
];

const PRODUCT_PRESETS: &[Preset] = &[
    Preset {
        name: "shopify",
        description: "Shopify, Products > Export > CSV for Excel, Numbers, or other spreadsheet programs",
        columns: &[
            ("product", "Handle"),
            ("title", "Title"),
            ("description", "Body (HTML)"),
            ("brand", "Vendor"),
            ("category", "Type"),
            ("sku", "Variant SKU"),
            ("price", "Variant Price"),
            ("gtin", "Variant Barcode"),
            ("weight_grams", "Variant Grams"),
            ("image", "Image Src"),
            ("status", "Status"),
            ("option1_name", "Option1 Name"),
            ("option1_value", "Option1 Value"),
            ("option2_name", "Option2 Name"),
            ("option2_value", "Option2 Value"),
            ("option3_name", "Option3 Name"),
            ("option3_value", "Option3 Value"),
        ],
        options: &[("blank_sku", "skip")],
    },
    Preset {
        name: "woocommerce",
        description: "WooCommerce, Products > All Products > Export",
        columns: &[
            ("sku", "SKU"),
            ("title", "Name"),
            ("description", "Description"),
            ("category", "Categories"),
            ("price", "Regular price"),
            ("gtin", "GTIN, UPC, EAN, or ISBN"),
            ("image", "Images"),
            ("status", "Published"),
            ("product", "Parent"),
            ("option1_name", "Attribute 1 name"),
            ("option1_value", "Attribute 1 value(s)"),
            ("option2_name", "Attribute 2 name"),
            ("option2_value", "Attribute 2 value(s)"),
        ],
        options: &[("blank_sku", "skip")],
    },
];

impl Kind {
    /// All kinds.
    pub(crate) const ALL: [Self; 3] = [Self::Products, Self::Stock, Self::Orders];

    /// Its name.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Products => "products",
            Self::Stock => "stock",
            Self::Orders => "orders",
        }
    }

    /// Its fields.
    pub(crate) fn fields(self) -> &'static [Field] {
        match self {
            Self::Products => PRODUCT_FIELDS,
            Self::Stock => STOCK_FIELDS,
            Self::Orders => ORDER_FIELDS,
        }
    }

    /// Its well-known exports.
    pub(crate) fn presets(self) -> &'static [Preset] {
        match self {
            Self::Products => PRODUCT_PRESETS,
            Self::Stock | Self::Orders => &[],
        }
    }

    /// The fields whose equal values make rows belong together: the first that is mapped. Such rows must be sent in one chunk.
    pub(crate) fn group_fields(self) -> &'static [&'static str] {
        match self {
            Self::Products => &["product", "sku"],
            Self::Stock => &["sku"],
            Self::Orders => &["order"],
        }
    }
}

/// A mapping checked against a header: for each field the index of its column.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Mapping {
    columns: Vec<(String, usize)>,
}

impl Mapping {
    /// Checks `map` (field, column) against `header`. The error lists everything that is wrong.
    pub(crate) fn resolve(kind: Kind, header: &[String], map: &[(String, String)]) -> Result<Self, Vec<String>> {
        let mut errors = Vec::new();
        let mut columns: Vec<(String, usize)> = Vec::new();
        let known = || kind.fields().iter().map(|f| f.name).collect::<Vec<_>>().join(", ");
        for (field, column) in map {
            if !kind.fields().iter().any(|f| f.name == field) {
                errors.push(format!("`{field}` is not a field of {}; there are: {}", kind.name(), known()));
                continue;
            }
            if columns.iter().any(|(name, _)| name == field) {
                errors.push(format!("`{field}` is mapped twice"));
                continue;
            }
            let plain = |text: &str| text.trim().trim_start_matches('\u{feff}').to_owned();
            match header.iter().position(|name| plain(name) == plain(column)) {
                Some(index) => columns.push((field.clone(), index)),
                None => errors.push(format!(
                    "the file has no column `{column}` (for `{field}`); it has: {}",
                    header.iter().map(|name| plain(name)).collect::<Vec<_>>().join(", ")
                )),
            }
        }
        for field in kind.fields().iter().filter(|f| f.required) {
            if !map.iter().any(|(name, _)| name == field.name) {
                errors.push(format!("`{}` is not mapped: {}", field.name, field.description));
            }
        }
        if errors.is_empty() { Ok(Self { columns }) } else { Err(errors) }
    }

    /// The cell of `field` in a row, trimmed; none if unmapped or empty.
    pub(crate) fn cell<'a>(&self, row: &'a [String], field: &str) -> Option<&'a str> {
        let (_, index) = self.columns.iter().find(|(name, _)| name == field)?;
        row.get(*index).map(|cell| cell.trim()).filter(|cell| !cell.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn strings(values: &[&str]) -> Vec<String> {
        values.iter().map(|v| (*v).to_owned()).collect()
    }

    fn pairs(values: &[(&str, &str)]) -> Vec<(String, String)> {
        values.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect()
    }

    #[test]
    fn finds_columns_by_name() {
        let header = strings(&["\u{feff}Code", " On hand "]);
        let mapping =
            Mapping::resolve(Kind::Stock, &header, &pairs(&[("sku", "Code"), ("quantity", "On hand")])).unwrap();
        let row = strings(&[" A1 ", ""]);
        assert_eq!(
            (mapping.cell(&row, "sku"), mapping.cell(&row, "quantity"), mapping.cell(&row, "location")),
            (Some("A1"), None, None)
        );
    }

    #[test]
    fn lists_everything_that_is_wrong() {
        let errors = Mapping::resolve(
            Kind::Stock,
            &strings(&["Code", "Qty"]),
            &pairs(&[("sku", "Kode"), ("colour", "Qty"), ("sku", "Code")]),
        )
        .unwrap_err();
        let text = errors.join("\n");
        assert!(text.contains("no column `Kode`") && text.contains("it has: Code, Qty"), "{text}");
        assert!(text.contains("`colour` is not a field of stock"), "{text}");
        assert!(text.contains("`quantity` is not mapped"), "{text}");
    }

    #[test]
    fn presets_use_known_fields_and_map_what_is_required() {
        for kind in Kind::ALL {
            for preset in kind.presets() {
                let header: Vec<String> = preset.columns.iter().map(|(_, column)| (*column).to_owned()).collect();
                Mapping::resolve(kind, &header, &pairs(preset.columns)).unwrap();
            }
        }
    }
}
