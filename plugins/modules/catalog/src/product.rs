//! Products and their variants: what is allowed, and by what they are found.
//!
//! Limits are here, each with its reason. Where products are stored is not.

use crate::error::Error;
use crate::identifier::{Code, Identifier};
use crate::search;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// Variants of one product: one document holds them all and has to stay small.
pub(crate) const VARIANTS_MAX: usize = 250;
/// Option axes; more than five nobody can choose from.
pub(crate) const OPTIONS_MAX: usize = 5;
/// Identifiers of one variant.
pub(crate) const IDENTIFIERS_MAX: usize = 20;
/// Attributes of a product or a variant.
pub(crate) const ATTRIBUTES_MAX: usize = 100;
/// Levels of the category path.
pub(crate) const CATEGORY_LEVELS_MAX: usize = 8;
/// Bytes of an id, a SKU or a number: a stored key has at most 512.
pub(crate) const KEY_BYTES_MAX: usize = 128;
/// Bytes of a category path; it is part of a key beside title and id.
const CATEGORY_BYTES_MAX: usize = 200;
/// Bytes of a title that count when products are ordered.
const TITLE_KEY_BYTES_MAX: usize = 100;
/// Bytes of all texts of a product: a stored value is at most 256 KiB.
pub(crate) const PRODUCT_BYTES_MAX: usize = 200 * 1024;

/// Whether a product is for sale.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Status {
    /// Not yet.
    Draft,
    /// It is.
    Active,
    /// No longer.
    Archived,
}

impl Status {
    /// One letter, for keys.
    pub(crate) fn letter(self) -> &'static str {
        match self {
            Self::Draft => "d",
            Self::Active => "a",
            Self::Archived => "x",
        }
    }
}

/// A name with a value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Attribute {
    pub(crate) name: String,
    pub(crate) value: String,
}

/// What is stocked and sold.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Variant {
    pub(crate) sku: String,
    #[serde(default)]
    pub(crate) title: String,
    #[serde(default)]
    pub(crate) option_values: Vec<String>,
    #[serde(default)]
    pub(crate) identifiers: Vec<Identifier>,
    #[serde(default)]
    pub(crate) weight_grams: Option<u32>,
    #[serde(default)]
    pub(crate) attributes: Vec<Attribute>,
}

/// A product with all its variants.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Product {
    pub(crate) id: String,
    pub(crate) title: String,
    #[serde(default)]
    pub(crate) description: String,
    #[serde(default)]
    pub(crate) brand: Option<String>,
    #[serde(default)]
    pub(crate) category: Option<String>,
    pub(crate) status: Status,
    pub(crate) tax_class: String,
    #[serde(default)]
    pub(crate) image_url: Option<String>,
    #[serde(default)]
    pub(crate) options: Vec<String>,
    #[serde(default)]
    pub(crate) variants: Vec<Variant>,
    #[serde(default)]
    pub(crate) attributes: Vec<Attribute>,
    #[serde(default)]
    pub(crate) updated_at_ms: u64,
}

impl Product {
    /// Trims prose: blanks around a title are never meant. Ids, SKUs and numbers are left as they are and checked.
    pub(crate) fn trim(&mut self) {
        let of_variants = self.variants.iter_mut().flat_map(|variant| {
            std::iter::once(&mut variant.title)
                .chain(variant.attributes.iter_mut().map(|attribute| &mut attribute.value))
        });
        let of_product = [&mut self.title, &mut self.description].into_iter().chain(self.brand.as_mut());
        for text in
            of_product.chain(self.attributes.iter_mut().map(|attribute| &mut attribute.value)).chain(of_variants)
        {
            let trimmed = text.trim();
            if trimmed.len() != text.len() {
                *text = trimmed.to_owned();
            }
        }
        // An empty text is no brand, category or picture.
        for field in [&mut self.brand, &mut self.category, &mut self.image_url] {
            if field.as_deref().is_some_and(str::is_empty) {
                *field = None;
            }
        }
    }

    /// Refuses a product that breaks a rule, and gives the codes of its variants.
    pub(crate) fn check(&self) -> Result<BTreeSet<Code>, Error> {
        check_key("id", &self.id)?;
        check_text("title", &self.title, 255)?;
        check_prose("description", &self.description, 32 * 1024)?;
        check_text("tax_class", &self.tax_class, 32)?;
        if let Some(brand) = &self.brand {
            check_text("brand", brand, 100)?;
        }
        if let Some(category) = &self.category {
            check_category(category)?;
        }
        if let Some(url) = &self.image_url {
            check_image_url(url)?;
        }
        check_attributes("attributes", &self.attributes)?;
        self.check_options()?;
        let codes = self.check_variants()?;
        let bytes = self.text_bytes();
        if bytes > PRODUCT_BYTES_MAX {
            return Err(Error::Invalid(format!(
                "product `{}`: its texts have {bytes} bytes, at most {PRODUCT_BYTES_MAX} are allowed; shorten descriptions or attributes",
                self.id
            )));
        }
        Ok(codes)
    }

    fn check_options(&self) -> Result<(), Error> {
        if self.options.len() > OPTIONS_MAX {
            return Err(Error::Invalid(format!(
                "options: {} given, at most {OPTIONS_MAX} are allowed",
                self.options.len()
            )));
        }
        let mut seen = BTreeSet::new();
        for (index, option) in self.options.iter().enumerate() {
            check_text(&format!("options[{index}]"), option, 50)?;
            if !seen.insert(option.to_lowercase()) {
                return Err(Error::Invalid(format!("options[{index}]: `{option}` is there twice")));
            }
        }
        Ok(())
    }

    fn check_variants(&self) -> Result<BTreeSet<Code>, Error> {
        let count = self.variants.len();
        if count > VARIANTS_MAX {
            return Err(Error::Invalid(format!(
                "variants: {count} given, at most {VARIANTS_MAX} are allowed; divide the product"
            )));
        }
        if count == 0 && self.status != Status::Draft {
            return Err(Error::Invalid("variants: at least one is needed unless the product is a draft".into()));
        }
        if count > 1 && self.options.is_empty() {
            return Err(Error::Invalid(
                "options: a product with several variants needs at least one option that tells them apart".into(),
            ));
        }
        let (mut skus, mut combinations, mut codes) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::<Code>::new());
        for (index, variant) in self.variants.iter().enumerate() {
            let field = format!("variants[{index}]");
            self.check_variant(&field, variant)?;
            if !skus.insert(variant.sku.as_str()) {
                return Err(Error::Invalid(format!("{field}.sku: `{}` is there twice", variant.sku)));
            }
            if !combinations.insert(&variant.option_values) {
                return Err(Error::Invalid(format!("{field}.option_values: another variant has the same")));
            }
            for (place, identifier) in variant.identifiers.iter().enumerate() {
                let code = identifier.code(&format!("{field}.identifiers[{place}]"), &variant.sku)?;
                let taken =
                    codes.iter().find(|other| code.is_unique() && other.is_same_number(&code) && other.sku != code.sku);
                if let Some(other) = taken {
                    return Err(Error::Invalid(format!(
                        "{field}.identifiers[{place}]: `{}` belongs to variant `{}` of this product too",
                        identifier.value, other.sku
                    )));
                }
                codes.insert(code);
            }
        }
        Ok(codes)
    }

    fn check_variant(&self, field: &str, variant: &Variant) -> Result<(), Error> {
        check_key(&format!("{field}.sku"), &variant.sku)?;
        check_prose(&format!("{field}.title"), &variant.title, 255)?;
        if variant.option_values.len() != self.options.len() {
            return Err(Error::Invalid(format!(
                "{field}.option_values: {} given, but the product has {} options; give one value for each, in their order",
                variant.option_values.len(),
                self.options.len()
            )));
        }
        for (place, value) in variant.option_values.iter().enumerate() {
            check_text(&format!("{field}.option_values[{place}]"), value, 100)?;
        }
        if variant.identifiers.len() > IDENTIFIERS_MAX {
            return Err(Error::Invalid(format!(
                "{field}.identifiers: {} given, at most {IDENTIFIERS_MAX} are allowed",
                variant.identifiers.len()
            )));
        }
        check_attributes(&format!("{field}.attributes"), &variant.attributes)
    }

    fn text_bytes(&self) -> usize {
        let attributes =
            |attributes: &[Attribute]| attributes.iter().map(|a| a.name.len() + a.value.len() + 20).sum::<usize>();
        let variants = self.variants.iter().map(|variant| {
            let values = variant.option_values.iter().map(|value| value.len() + 5).sum::<usize>();
            let identifiers = variant
                .identifiers
                .iter()
                .map(|i| i.value.len() + i.issuer.as_ref().map_or(0, String::len) + 40)
                .sum::<usize>();
            variant.sku.len() + variant.title.len() + values + identifiers + attributes(&variant.attributes) + 100
        });
        let optional =
            [&self.brand, &self.category, &self.image_url].into_iter().flatten().map(String::len).sum::<usize>();
        self.title.len()
            + self.description.len()
            + optional
            + attributes(&self.attributes)
            + variants.sum::<usize>()
            + 300
    }

    /// All its SKUs.
    pub(crate) fn skus(&self) -> BTreeSet<String> {
        self.variants.iter().map(|variant| variant.sku.clone()).collect()
    }

    /// Whether it says the same as `other`, whenever it was written.
    pub(crate) fn says_the_same(&self, other: &Self) -> bool {
        let Self {
            id,
            title,
            description,
            brand,
            category,
            status,
            tax_class,
            image_url,
            options,
            variants,
            attributes,
            updated_at_ms: _,
        } = self;
        (id, title, description, brand, category, status)
            == (&other.id, &other.title, &other.description, &other.brand, &other.category, &other.status)
            && (tax_class, image_url, options, variants, attributes)
                == (&other.tax_class, &other.image_url, &other.options, &other.variants, &other.attributes)
    }

    /// Whether it lies in `category` or below it.
    pub(crate) fn is_in(&self, category: &str) -> bool {
        self.category
            .as_deref()
            .is_some_and(|own| own.strip_prefix(category).is_some_and(|rest| rest.is_empty() || rest.starts_with('/')))
    }

    /// Under which it is listed: everything (the empty path), its category and all above it.
    pub(crate) fn scopes(&self) -> BTreeSet<String> {
        let path = self.category.as_deref().unwrap_or_default();
        let above = path.match_indices('/').filter_map(|(end, _)| path.get(..end));
        std::iter::once("").chain(above).chain([path]).map(str::to_owned).collect()
    }

    /// What its title sorts by.
    pub(crate) fn title_key(&self) -> String {
        let folded = search::fold(&self.title);
        folded.get(..folded.floor_char_boundary(TITLE_KEY_BYTES_MAX)).unwrap_or_default().to_owned()
    }

    /// The words by which it is found.
    pub(crate) fn words(&self) -> BTreeSet<String> {
        let mut words = BTreeSet::new();
        let mut add = |text: &str| {
            for word in search::words(text) {
                if words.len() < search::WORDS_OF_PRODUCT_MAX {
                    words.insert(word);
                }
            }
        };
        add(&self.title);
        add(self.brand.as_deref().unwrap_or_default());
        for variant in &self.variants {
            add(&variant.sku);
            for identifier in &variant.identifiers {
                add(&identifier.value);
            }
        }
        words
    }
}

/// Refuses an empty or overlong text, one with control characters, and one with blanks at its ends.
pub(crate) fn check_text(field: &str, text: &str, characters_max: usize) -> Result<(), Error> {
    let length = text.chars().count();
    if length == 0 || length > characters_max {
        return Err(Error::Invalid(format!("{field}: has {length} characters, 1 to {characters_max} are allowed")));
    }
    if text.chars().any(char::is_control) || text.trim() != text {
        return Err(Error::Invalid(format!("{field}: control characters and blanks at the ends are not allowed")));
    }
    Ok(())
}

/// A text that becomes part of a key (an id, a SKU, a channel): 1 to 64 characters, and few enough bytes that a key of
/// three of them fits.
pub(crate) fn check_key(field: &str, text: &str) -> Result<(), Error> {
    check_text(field, text, 64)?;
    if text.len() > KEY_BYTES_MAX {
        return Err(Error::Invalid(format!(
            "{field}: has {} bytes in UTF-8, at most {KEY_BYTES_MAX} are allowed",
            text.len()
        )));
    }
    Ok(())
}

fn check_prose(field: &str, text: &str, characters_max: usize) -> Result<(), Error> {
    let length = text.chars().count();
    if length > characters_max {
        return Err(Error::Invalid(format!("{field}: has {length} characters, at most {characters_max} are allowed")));
    }
    if text.chars().any(|c| c.is_control() && !matches!(c, '\n' | '\r' | '\t')) {
        return Err(Error::Invalid(format!(
            "{field}: control characters other than line breaks and tabs are not allowed"
        )));
    }
    Ok(())
}

/// Refuses a category path with empty or too many levels.
pub(crate) fn check_category(category: &str) -> Result<(), Error> {
    let levels: Vec<&str> = category.split('/').collect();
    if levels.len() > CATEGORY_LEVELS_MAX {
        return Err(Error::Invalid(format!(
            "category: `{category}` has {} levels, at most {CATEGORY_LEVELS_MAX} are allowed",
            levels.len()
        )));
    }
    if category.len() > CATEGORY_BYTES_MAX {
        return Err(Error::Invalid(format!(
            "category: has {} bytes in UTF-8, at most {CATEGORY_BYTES_MAX} are allowed",
            category.len()
        )));
    }
    for level in levels {
        check_text("category", level, 60).map_err(|_| {
            Error::Invalid(format!("category: `{category}` has a level that is empty, longer than 60 characters or begins or ends with a blank; write it like Home/Lighting"))
        })?;
    }
    Ok(())
}

/// A picture is fetched by browsers: nothing but a web address, or a path of the shop itself.
fn check_image_url(url: &str) -> Result<(), Error> {
    check_text("image_url", url, 2000)?;
    let path = url.starts_with('/') && !url.starts_with("//");
    if path || url.starts_with("https://") || url.starts_with("http://") {
        Ok(())
    } else {
        Err(Error::Invalid(format!("image_url: `{url}` begins neither with https:// (or http://) nor with a single /")))
    }
}

pub(crate) fn check_attributes(field: &str, attributes: &[Attribute]) -> Result<(), Error> {
    if attributes.len() > ATTRIBUTES_MAX {
        return Err(Error::Invalid(format!(
            "{field}: {} given, at most {ATTRIBUTES_MAX} are allowed",
            attributes.len()
        )));
    }
    for (index, attribute) in attributes.iter().enumerate() {
        check_text(&format!("{field}[{index}].name"), &attribute.name, 64)?;
        check_prose(&format!("{field}[{index}].value"), &attribute.value, 2000)?;
    }
    Ok(())
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::identifier::IdentifierKind;

    pub(crate) fn variant(sku: &str, values: &[&str]) -> Variant {
        Variant {
            sku: sku.into(),
            title: String::new(),
            option_values: values.iter().map(|value| (*value).to_owned()).collect(),
            identifiers: vec![],
            weight_grams: None,
            attributes: vec![],
        }
    }

    pub(crate) fn gtin(value: &str) -> Identifier {
        Identifier { kind: IdentifierKind::Gtin, value: value.into(), issuer: None }
    }

    pub(crate) fn product(id: &str, title: &str, skus: &[&str]) -> Product {
        let several = skus.len() > 1;
        Product {
            id: id.into(),
            title: title.into(),
            description: String::new(),
            brand: None,
            category: None,
            status: Status::Active,
            tax_class: "standard".into(),
            image_url: None,
            options: if several { vec!["Size".into()] } else { vec![] },
            variants: skus.iter().map(|sku| if several { variant(sku, &[sku]) } else { variant(sku, &[]) }).collect(),
            attributes: vec![],
            updated_at_ms: 0,
        }
    }

    #[test]
    fn products_are_checked_by_field() {
        let good = || product("lamp", "Lamp", &["L-1", "L-2"]);
        assert!(good().check().is_ok());
        assert!(Product { status: Status::Draft, variants: vec![], ..good() }.check().is_ok());
        let with = |change: &dyn Fn(&mut Product)| {
            let mut product = good();
            change(&mut product);
            product
        };
        let cases: Vec<(&str, Product)> = vec![
            ("id:", with(&|p| p.id = String::new())),
            ("id:", with(&|p| p.id = "x".repeat(65))),
            ("title:", with(&|p| p.title = "a\u{7}b".into())),
            ("description:", with(&|p| p.description = "x".repeat(33 * 1024))),
            ("brand:", with(&|p| p.brand = Some("x".repeat(101)))),
            ("category:", with(&|p| p.category = Some("Home//Lighting".into()))),
            ("category:", with(&|p| p.category = Some("a/b/c/d/e/f/g/h/i".into()))),
            ("image_url:", with(&|p| p.image_url = Some("javascript:alert(1)".into()))),
            ("image_url:", with(&|p| p.image_url = Some("//elsewhere.example/x.png".into()))),
            ("options:", with(&|p| p.options.clear())),
            ("options[1]:", with(&|p| p.options = vec!["Size".into(), "size".into()])),
            ("variants:", with(&|p| p.variants.clear())),
            (
                "variants:",
                with(&|p| p.variants = (0..251).map(|n| variant(&n.to_string(), &[&n.to_string()])).collect()),
            ),
            ("variants[1].sku:", with(&|p| p.variants[1].sku = "L-1".into())),
            ("variants[1].sku:", with(&|p| p.variants[1].sku = "L-2 ".into())),
            ("variants[1].option_values: another", with(&|p| p.variants[1].option_values = vec!["L-1".into()])),
            (
                "variants[0].option_values: 2 given",
                with(&|p| p.variants[0].option_values = vec!["a".into(), "b".into()]),
            ),
            ("variants[0].identifiers[0].value", with(&|p| p.variants[0].identifiers = vec![gtin("4006381333932")])),
            (
                "variants[1].identifiers[0]: `036",
                with(&|p| {
                    p.variants[0].identifiers = vec![gtin("0036000291452")];
                    p.variants[1].identifiers = vec![gtin("036000291452")];
                }),
            ),
            (
                "attributes[0].name",
                with(&|p| p.attributes = vec![Attribute { name: String::new(), value: "x".into() }]),
            ),
            (
                "product `lamp`",
                with(&|p| {
                    p.attributes =
                        (0..100).map(|n| Attribute { name: n.to_string(), value: "ü".repeat(2000) }).collect()
                }),
            ),
        ];
        for (expected, product) in cases {
            match product.check() {
                Err(Error::Invalid(text)) => assert!(text.starts_with(expected), "{expected}: {text}"),
                other => panic!("{expected}: {other:?}"),
            }
        }
    }

    #[test]
    fn the_same_number_twice_on_one_variant_is_no_fault() {
        let mut book = product("book", "Book", &["B"]);
        let isbn = Identifier { kind: IdentifierKind::Isbn, value: "0-306-40615-2".into(), issuer: None };
        book.variants[0].identifiers = vec![isbn, gtin("9780306406157")];
        assert_eq!(book.check().unwrap().len(), 1);
    }

    #[test]
    fn prose_is_trimmed_and_empty_options_vanish() {
        let mut lamp = Product {
            title: " Lamp\n".into(),
            brand: Some(" ".into()),
            category: Some(String::new()),
            ..product("l", "", &["L"])
        };
        lamp.trim();
        assert_eq!((lamp.title.as_str(), lamp.brand, lamp.category), ("Lamp", None, None));
    }

    #[test]
    fn scopes_are_all_levels_of_the_category() {
        let lamp = Product { category: Some("Home/Lighting/Desk".into()), ..product("l", "Lamp", &["L"]) };
        assert_eq!(lamp.scopes().into_iter().collect::<Vec<_>>(), ["", "Home", "Home/Lighting", "Home/Lighting/Desk"]);
        assert!(lamp.is_in("Home") && lamp.is_in("Home/Lighting/Desk") && !lamp.is_in("Home/Light"));
        assert_eq!(product("l", "Lamp", &["L"]).scopes().into_iter().collect::<Vec<_>>(), [""]);
    }

    #[test]
    fn words_come_from_title_brand_skus_and_numbers() {
        let mut lamp =
            Product { brand: Some("Böhm & Söhne".into()), ..product("l", "Desk Lamp, large", &["DL-100"]) };
        lamp.variants[0].identifiers = vec![gtin("4006381333931")];
        let words: Vec<String> = lamp.words().into_iter().collect();
        assert_eq!(words, ["100", "4006381333931", "bohm", "desk", "dl", "lamp", "large", "sohne"]);
    }
}
