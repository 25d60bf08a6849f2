//! What the person importing decided beyond the columns: currency, channel, how odd rows are read.

use crate::mapping::Kind;

/// Options of an import, checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Options {
    /// ISO 4217.
    pub currency: String,
    /// Price list that prices go to.
    pub price_list: String,
    /// Channel that orders belong to.
    pub channel: String,
    /// Location of stock without a column for it.
    pub location: String,
    /// Reference of a stock count; booked once.
    pub reference: String,
    /// Numbers are written `1.234,50`.
    pub decimal_comma: bool,
    /// Codes that are no goods (postage, fees, manual postings): exact or with a trailing `*`, compared without case.
    pub not_goods: Vec<String>,
    /// SKUs are compared and kept in upper case.
    pub sku_upper: bool,
    /// Rows without SKU are skipped (a class of their own) instead of refused.
    pub blank_sku_skip: bool,
    /// Minutes east of UTC of dates without a zone.
    pub utc_offset_minutes: i32,
    /// Tax rate that is contained in the prices of orders, in basis points.
    pub tax_rate_basis_points: u32,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            currency: "EUR".into(),
            price_list: "default".into(),
            channel: "import".into(),
            location: "main".into(),
            reference: "import".into(),
            decimal_comma: false,
            not_goods: Vec::new(),
            sku_upper: false,
            blank_sku_skip: false,
            utc_offset_minutes: 0,
            tax_rate_basis_points: 0,
        }
    }
}

/// Names of options with what they mean, for help texts.
pub(crate) const DESCRIPTIONS: &[(&str, &str)] = &[
    ("currency", "ISO 4217 code of the amounts. Default: EUR"),
    ("price_list", "price list that prices go to. Default: default"),
    ("channel", "channel that orders belong to. Default: import"),
    ("location", "location of stock when no column says it. Default: main"),
    ("reference", "name of the stock count; a level is set once for each. Default: import"),
    ("decimal", "`point` (1,234.50) or `comma` (1.234,50). Default: point"),
    ("not_goods", "codes that are no goods, separated by spaces; `DISC*` matches a prefix. Default: none"),
    ("sku_case", "`keep` or `upper` (85123a is 85123A). Default: keep"),
    ("blank_sku", "`refuse` or `skip` rows without SKU. Default: refuse"),
    ("utc_offset", "zone of dates without one, such as +01:00. Default: +00:00"),
    ("tax_rate", "tax contained in the prices of orders, in basis points (1900 = 19 %). Default: 0"),
];

impl Options {
    /// Checks `given` (name, value). The error lists everything that is wrong.
    pub(crate) fn parse(kind: Kind, given: &[(String, String)]) -> Result<Self, Vec<String>> {
        let mut options = Self::default();
        let mut errors = Vec::new();
        for (name, value) in given {
            let value = value.trim();
            if let Err(why) = options.set(name, value) {
                errors.push(format!(
                    "option `{name}` = `{}` of {}: {why}",
                    value.chars().take(60).collect::<String>(),
                    kind.name()
                ));
            }
        }
        if errors.is_empty() { Ok(options) } else { Err(errors) }
    }

    fn set(&mut self, name: &str, value: &str) -> Result<(), String> {
        fn word(value: &str, length_max: usize) -> Result<String, String> {
            let fits = !value.is_empty()
                && value.len() <= length_max
                && value.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
            if fits { Ok(value.to_owned()) } else { Err(format!("use 1 to {length_max} of a-z, 0-9 and -")) }
        }
        fn choice(value: &str, no: &str, yes: &str) -> Result<bool, String> {
            match value {
                _ if value == no => Ok(false),
                _ if value == yes => Ok(true),
                _ => Err(format!("use `{no}` or `{yes}`")),
            }
        }
        match name {
            "currency" if value.len() == 3 && value.bytes().all(|b| b.is_ascii_uppercase()) => {
                self.currency = value.to_owned()
            }
            "currency" => return Err("use an ISO 4217 code such as EUR".into()),
            "price_list" => self.price_list = word(value, 32)?,
            "channel" => self.channel = word(value, 32)?,
            "location" => self.location = word(value, 32)?,
            "reference" => self.reference = word(value, 64)?,
            "decimal" => self.decimal_comma = choice(value, "point", "comma")?,
            "not_goods" => self.not_goods = value.split_whitespace().map(str::to_uppercase).collect(),
            "sku_case" => self.sku_upper = choice(value, "keep", "upper")?,
            "blank_sku" => self.blank_sku_skip = choice(value, "refuse", "skip")?,
            "utc_offset" => {
                self.utc_offset_minutes = offset_minutes(value).ok_or("use +HH:MM or -HH:MM, at most 14:00")?
            }
            "tax_rate" => {
                self.tax_rate_basis_points =
                    value.parse().ok().filter(|rate| *rate <= 10_000).ok_or("use basis points from 0 to 10000")?;
            }
            _ => {
                let known: Vec<&str> = DESCRIPTIONS.iter().map(|(known, _)| *known).collect();
                return Err(format!("there is no such option; there are: {}", known.join(", ")));
            }
        }
        Ok(())
    }

    /// The SKU as kept.
    pub(crate) fn sku(&self, cell: &str) -> String {
        if self.sku_upper { cell.to_uppercase() } else { cell.to_owned() }
    }

    /// Whether a code is goods.
    pub(crate) fn is_goods(&self, code: &str) -> bool {
        let code = code.to_uppercase();
        !self.not_goods.iter().any(|pattern| match pattern.strip_suffix('*') {
            Some(prefix) => code.starts_with(prefix),
            None => *pattern == code,
        })
    }
}

/// Minutes of `+HH:MM`.
pub(crate) fn offset_minutes(value: &str) -> Option<i32> {
    if value == "Z" {
        return Some(0);
    }
    let sign = match value.chars().next()? {
        '+' => 1,
        '-' => -1,
        _ => return None,
    };
    let (hours, minutes) = value.get(1..)?.split_once(':')?;
    if hours.len() != 2 || minutes.len() != 2 {
        return None;
    }
    let (hours, minutes): (i32, i32) = (hours.parse().ok()?, minutes.parse().ok()?);
    let total = hours * 60 + minutes;
    (minutes < 60 && total <= 14 * 60).then_some(sign * total)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn knows_every_option_that_it_describes() {
        for (name, value) in [
            ("currency", "GBP"),
            ("price_list", "uk"),
            ("channel", "storefront"),
            ("location", "main"),
            ("reference", "opening-2026"),
            ("decimal", "comma"),
            ("not_goods", "post gift_*"),
            ("sku_case", "upper"),
            ("blank_sku", "skip"),
            ("utc_offset", "-05:30"),
            ("tax_rate", "2000"),
        ] {
            assert!(DESCRIPTIONS.iter().any(|(known, _)| *known == name));
            Options::parse(Kind::Orders, &[(name.into(), value.into())]).unwrap();
            let wrong = Options::parse(Kind::Orders, &[(name.into(), "§ 99:99".into())]);
            assert!(wrong.is_err() || name == "not_goods", "{name}");
        }
        assert!(
            Options::parse(Kind::Orders, &[("color".into(), "x".into())])
                .unwrap_err()
                .join("")
                .contains("there are: currency")
        );
    }

    #[test]
    fn tells_goods_from_charges() {
        let options = Options { not_goods: vec!["POST".into(), "GIFT_*".into()], ..Options::default() };
        for (code, goods) in [("post", false), ("POSTER", true), ("gift_0001_20", false), ("85123A", true)] {
            assert_eq!(options.is_goods(code), goods, "{code}");
        }
    }
}
