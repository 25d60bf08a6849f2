//! Names and values out of paths, queries and forms, as the types that a handler asks for; and percent-encoding.
//!
//! Structs take fields by name (a `Vec` field takes every value of a repeated name, an `Option` is `None` when the value is missing or
//! empty); tuples and single values take path parameters by position.

use std::borrow::Cow;
use std::fmt;

use serde::de::value::{MapDeserializer, SeqDeserializer, StrDeserializer};
use serde::de::{self, DeserializeOwned, Deserializer, IntoDeserializer, Visitor};
use serde::forward_to_deserialize_any;

/// Appends `text`, with everything but unreserved characters as `%XX`.
pub fn percent_encode(text: &str, out: &mut String) {
    use fmt::Write as _;
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            out.push(char::from(byte));
        } else {
            let _ = write!(out, "%{byte:02X}");
        }
    }
}

/// `text` percent-encoded, for one segment of a path or one value of a query.
pub fn encoded(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    percent_encode(text, &mut out);
    out
}

/// Decodes `%XX`. `None`: not UTF-8, or a `%` without two hexadecimal digits.
pub fn percent_decode(text: &str) -> Option<Cow<'_, str>> {
    if !text.bytes().any(|byte| byte == b'%') {
        return Some(Cow::Borrowed(text));
    }
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte == b'%' {
            let (high, low) = (hex_digit(rest.next()?)?, hex_digit(rest.next()?)?);
            bytes.push(high << 4 | low);
        } else {
            bytes.push(byte);
        }
    }
    String::from_utf8(bytes).ok().map(Cow::Owned)
}

fn hex_digit(byte: u8) -> Option<u8> {
    char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}

/// The names and values of a query or form (`a=1&b=x+y`), decoded. `None`: an escape is malformed.
pub fn parse_urlencoded(text: &str) -> Option<Vec<(String, String)>> {
    let decode = |part: &str| percent_decode(&part.replace('+', " ")).map(Cow::into_owned);
    text.split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            Some((decode(name)?, decode(value)?))
        })
        .collect()
}

/// Makes a `T` of names and values. The error says which name, what was there, and what was wanted.
pub fn from_pairs<T: DeserializeOwned>(pairs: &[(String, String)]) -> Result<T, String> {
    T::deserialize(Root { pairs }).map_err(|error| error.0)
}

#[derive(Debug)]
struct ParamError(String);

impl fmt::Display for ParamError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for ParamError {}

impl de::Error for ParamError {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self(message.to_string())
    }
}

/// All pairs: a struct or map by name, a tuple by position, anything else from the only value.
struct Root<'a> {
    pairs: &'a [(String, String)],
}

impl<'a> Root<'a> {
    fn only(&self) -> Result<Values<'a>, ParamError> {
        match self.pairs {
            [(name, value)] => Ok(Values { name, values: vec![value] }),
            pairs => Err(ParamError(format!("one parameter was expected, but there are {}", pairs.len()))),
        }
    }

    fn grouped(&self) -> Vec<(&'a str, Values<'a>)> {
        let mut groups: Vec<(&'a str, Values<'a>)> = Vec::new();
        for (name, value) in self.pairs {
            match groups.iter_mut().find(|(known, _)| known == name) {
                Some((_, group)) => group.values.push(value),
                None => groups.push((name, Values { name, values: vec![value] })),
            }
        }
        groups
    }
}

macro_rules! root_scalars {
    ($($method:ident)+) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ParamError> {
            self.only()?.$method(visitor)
        }
    )+};
}

impl<'de> Deserializer<'de> for Root<'_> {
    type Error = ParamError;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ParamError> {
        visitor.visit_map(MapDeserializer::new(self.grouped().into_iter()))
    }

    root_scalars! {
        deserialize_bool deserialize_i8 deserialize_i16 deserialize_i32 deserialize_i64 deserialize_i128
        deserialize_u8 deserialize_u16 deserialize_u32 deserialize_u64 deserialize_u128 deserialize_f32 deserialize_f64
        deserialize_char deserialize_str deserialize_string
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ParamError> {
        if self.pairs.is_empty() { visitor.visit_none() } else { visitor.visit_some(self) }
    }

    fn deserialize_unit<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ParamError> {
        visitor.visit_unit()
    }

    fn deserialize_unit_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value, ParamError> {
        visitor.visit_unit()
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value, ParamError> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ParamError> {
        visitor.visit_seq(SeqDeserializer::new(
            self.pairs.iter().map(|(name, value)| Values { name, values: vec![value] }),
        ))
    }

    fn deserialize_tuple<V: Visitor<'de>>(self, length: usize, visitor: V) -> Result<V::Value, ParamError> {
        if self.pairs.len() == length {
            self.deserialize_seq(visitor)
        } else {
            Err(ParamError(format!("{length} parameters were expected, but there are {}", self.pairs.len())))
        }
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        length: usize,
        visitor: V,
    ) -> Result<V::Value, ParamError> {
        self.deserialize_tuple(length, visitor)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, ParamError> {
        self.only()?.deserialize_enum(name, variants, visitor)
    }

    forward_to_deserialize_any! { bytes byte_buf map struct identifier ignored_any }
}

/// The values of one name.
struct Values<'a> {
    name: &'a str,
    values: Vec<&'a str>,
}

impl<'a> Values<'a> {
    /// The last value wins, as browsers and servers have it.
    fn text(&self) -> &'a str {
        self.values.last().copied().unwrap_or_default()
    }

    fn parse<T: std::str::FromStr>(&self, wanted: &str) -> Result<T, ParamError> {
        self.text().trim().parse().map_err(|_| self.refuse(wanted))
    }

    fn refuse(&self, wanted: &str) -> ParamError {
        let shown: String = self.text().chars().take(80).collect();
        ParamError(format!("`{}` is `{shown}`, which is not {wanted}", self.name))
    }
}

impl<'de> IntoDeserializer<'de, ParamError> for Values<'_> {
    type Deserializer = Self;
    fn into_deserializer(self) -> Self {
        self
    }
}

macro_rules! numbers {
    ($($method:ident $visit:ident $wanted:literal;)+) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ParamError> {
            visitor.$visit(self.parse($wanted)?)
        }
    )+};
}

impl<'de> Deserializer<'de> for Values<'_> {
    type Error = ParamError;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ParamError> {
        let (name, text) = (self.name.to_owned(), self.text());
        visitor.visit_str(text).map_err(|error: ParamError| ParamError(format!("`{name}`: {error}")))
    }

    numbers! {
        deserialize_i8 visit_i8 "a whole number from -128 to 127";
        deserialize_i16 visit_i16 "a whole number (16 bits)";
        deserialize_i32 visit_i32 "a whole number (32 bits)";
        deserialize_i64 visit_i64 "a whole number";
        deserialize_i128 visit_i128 "a whole number";
        deserialize_u8 visit_u8 "a whole number from 0 to 255";
        deserialize_u16 visit_u16 "a whole number from 0 to 65535";
        deserialize_u32 visit_u32 "a whole number from 0 to 4294967295";
        deserialize_u64 visit_u64 "a whole number, 0 or more";
        deserialize_u128 visit_u128 "a whole number, 0 or more";
        deserialize_f32 visit_f32 "a number";
        deserialize_f64 visit_f64 "a number";
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ParamError> {
        match self.text() {
            "true" | "1" | "on" | "yes" => visitor.visit_bool(true),
            "false" | "0" | "off" | "no" => visitor.visit_bool(false),
            _ => Err(self.refuse("`true` or `false`")),
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ParamError> {
        if self.text().is_empty() { visitor.visit_none() } else { visitor.visit_some(self) }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value, ParamError> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ParamError> {
        let name = self.name;
        visitor
            .visit_seq(SeqDeserializer::new(self.values.into_iter().map(|value| Values { name, values: vec![value] })))
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, ParamError> {
        if variants.contains(&self.text()) {
            let text: StrDeserializer<'_, ParamError> = self.text().into_deserializer();
            text.deserialize_enum(name, variants, visitor)
        } else {
            Err(self.refuse(&format!("one of {}", variants.join(", "))))
        }
    }

    fn deserialize_unit<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ParamError> {
        visitor.visit_unit()
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ParamError> {
        visitor.visit_unit()
    }

    forward_to_deserialize_any! {
        char str string bytes byte_buf unit_struct tuple tuple_struct map struct identifier
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize;

    #[derive(Debug, PartialEq, Deserialize)]
    #[serde(rename_all = "kebab-case")]
    enum Order {
        Newest,
        Title,
    }

    #[derive(Debug, PartialEq, Deserialize)]
    struct List {
        text: String,
        limit: Option<u32>,
        #[serde(default)]
        tag: Vec<String>,
        order: Option<Order>,
        #[serde(default)]
        stocked: bool,
    }

    fn parse<T: DeserializeOwned>(text: &str) -> Result<T, String> {
        from_pairs(&parse_urlencoded(text).unwrap())
    }

    #[test]
    fn structs_take_values_by_name() {
        assert_eq!(
            parse::<List>("text=red+lamp%21&limit=20&tag=a&tag=b&order=newest&stocked=on&unknown=1").unwrap(),
            List {
                text: "red lamp!".into(),
                limit: Some(20),
                tag: vec!["a".into(), "b".into()],
                order: Some(Order::Newest),
                stocked: true
            }
        );
        assert_eq!(
            parse::<List>("text=&limit=&order=").unwrap(),
            List { text: String::new(), limit: None, tag: vec![], order: None, stocked: false }
        );
    }

    #[test]
    fn refusals_name_the_parameter_and_what_is_wanted() {
        for (text, part) in [
            ("text=a&limit=many", "`limit` is `many`, which is not a whole number"),
            ("text=a&order=oldest", "`order` is `oldest`, which is not one of newest, title"),
            ("limit=3", "missing field `text`"),
            ("text=a&stocked=perhaps", "`true` or `false`"),
        ] {
            let error = parse::<List>(text).unwrap_err();
            assert!(error.contains(part), "{text}: {error}");
        }
    }

    #[test]
    fn path_parameters_go_by_position_or_name() {
        let pairs = [("id".to_owned(), "p 1".to_owned()), ("line".to_owned(), "7".to_owned())];
        assert_eq!(from_pairs::<(String, u32)>(&pairs).unwrap(), ("p 1".into(), 7));
        assert_eq!(from_pairs::<String>(&pairs[..1]).unwrap(), "p 1");
        assert!(from_pairs::<String>(&pairs).is_err());
        assert!(from_pairs::<(String,)>(&pairs).is_err());
    }

    #[test]
    fn malformed_escapes_are_refused() {
        for text in ["%", "%4", "%zz", "%ff", "a=%"] {
            assert_eq!(parse_urlencoded(text), None, "{text}");
        }
        assert_eq!(percent_decode(&encoded("ä/ ?%")).unwrap(), "ä/ ?%");
    }
}
