//! What handlers take: parts of the request as typed arguments. A part that does not fit is refused with a problem document that
//! says what was wrong and where.

use std::ops::Deref;

use serde::de::DeserializeOwned;

use super::request::Request;
use super::response::Json;
use crate::error::{Error, Result};
use crate::params;

/// A type that a handler can take as an argument.
pub trait FromRequest: Sized {
    /// Takes it from the request, or says why not.
    fn from_request(request: &Request) -> Result<Self>;
}

/// What the route's path captured: `Path<String>` for one parameter, `Path<(String, u32)>` by position, a struct by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Path<T>(pub T);

/// The query as a struct. An `Option` field is `None` when missing or empty; a `Vec` field takes every value of its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Query<T>(pub T);

/// The query as a struct, or `T::default()` when it does not fit: for pages that must not fail on an odd link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OptionalQuery<T>(pub T);

/// A body of type `application/x-www-form-urlencoded`, read like [`Query`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Form<T>(pub T);

/// The raw body: signatures are computed over these bytes.
#[derive(Clone, Debug)]
pub struct Bytes(Request);

/// The headers: `headers.get("x-signature")`.
#[derive(Clone, Debug)]
pub struct Headers(Request);

/// The cookies: `cookies.get("cart")`.
#[derive(Clone, Debug)]
pub struct Cookies(Request);

/// The prefix under which the plugin is served; put it before links.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BasePath(pub String);

impl FromRequest for Request {
    fn from_request(request: &Request) -> Result<Self> {
        Ok(request.clone())
    }
}

impl<T: DeserializeOwned> FromRequest for Path<T> {
    fn from_request(request: &Request) -> Result<Self> {
        params::from_pairs(request.params()).map(Self).map_err(|text| {
            Error::bad_request(format!("The path does not fit: {text}.")).with_code("bad-path").with("in", "path")
        })
    }
}

impl<T: DeserializeOwned> FromRequest for Query<T> {
    fn from_request(request: &Request) -> Result<Self> {
        pairs::<T>(request.query()).map(Self).map_err(|text| {
            Error::bad_request(format!("The query does not fit: {text}.")).with_code("bad-query").with("in", "query")
        })
    }
}

impl<T: DeserializeOwned + Default> FromRequest for OptionalQuery<T> {
    fn from_request(request: &Request) -> Result<Self> {
        Ok(Self(pairs::<T>(request.query()).unwrap_or_default()))
    }
}

impl<T: DeserializeOwned> FromRequest for Form<T> {
    fn from_request(request: &Request) -> Result<Self> {
        expect_content_type(request, "application/x-www-form-urlencoded", |essence| {
            essence == "application/x-www-form-urlencoded"
        })?;
        let refuse = |text: &str| {
            Error::bad_request(format!("The form does not fit: {text}.")).with_code("bad-form").with("in", "body")
        };
        let text = std::str::from_utf8(request.body()).map_err(|_| refuse("it is not UTF-8"))?;
        pairs::<T>(text).map(Self).map_err(|text| refuse(&text))
    }
}

impl<T: DeserializeOwned> FromRequest for Json<T> {
    fn from_request(request: &Request) -> Result<Self> {
        expect_content_type(request, "application/json", |essence| {
            essence == "application/json" || essence.ends_with("+json")
        })?;
        serde_json::from_slice(request.body()).map(Self).map_err(|error| {
            let place = format!("line {}, column {}", error.line(), error.column());
            Error::bad_request(format!("The JSON body does not fit: {error}."))
                .with_code("bad-json")
                .with("in", "body")
                .with("place", place)
        })
    }
}

fn pairs<T: DeserializeOwned>(text: &str) -> Result<T, String> {
    let pairs = params::parse_urlencoded(text).ok_or("a percent escape is malformed")?;
    params::from_pairs(&pairs)
}

/// A missing type is taken for the one wanted: small clients forget it.
fn expect_content_type(request: &Request, wanted: &str, fits: impl Fn(&str) -> bool) -> Result<()> {
    let Some(given) = request.header("content-type") else { return Ok(()) };
    let essence = given.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    if fits(&essence) {
        Ok(())
    } else {
        Err(Error::new(
            415,
            "unsupported-media-type",
            format!("The body is of type `{essence}`, but this route takes `{wanted}`."),
        ))
    }
}

impl FromRequest for Bytes {
    fn from_request(request: &Request) -> Result<Self> {
        Ok(Self(request.clone()))
    }
}

impl Deref for Bytes {
    type Target = [u8];
    fn deref(&self) -> &[u8] {
        self.0.body()
    }
}

impl FromRequest for Headers {
    fn from_request(request: &Request) -> Result<Self> {
        Ok(Self(request.clone()))
    }
}

impl Headers {
    /// The first header of this name.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.header(name)
    }

    /// All of them, with lower-case names.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.headers().iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }
}

impl FromRequest for Cookies {
    fn from_request(request: &Request) -> Result<Self> {
        Ok(Self(request.clone()))
    }
}

impl Cookies {
    /// The cookie of this name.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.cookie(name)
    }
}

impl FromRequest for BasePath {
    fn from_request(request: &Request) -> Result<Self> {
        Ok(Self(request.base_path().to_owned()))
    }
}

/// `None` if there is no body; one that does not fit is refused all the same.
impl<T: DeserializeOwned> FromRequest for Option<Json<T>> {
    fn from_request(request: &Request) -> Result<Self> {
        if request.body().is_empty() {
            return Ok(None);
        }
        Json::from_request(request).map(Some)
    }
}

/// The reason of a refusal instead of the refusal.
impl<T: FromRequest> FromRequest for Result<T> {
    fn from_request(request: &Request) -> Result<Self> {
        Ok(T::from_request(request))
    }
}
