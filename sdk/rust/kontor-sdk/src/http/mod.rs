//! HTTP routes: a router, extractors and responses in the manner of axum, without async.
//!
//! ```ignore
//! fn list(Query(filter): Query<Filter>) -> Result<Json<Vec<Product>>, Error> { .. }
//! fn create(Json(product): Json<Product>) -> Result<(StatusCode, Json<Product>), Error> { .. }
//! fn page(base: BasePath, Path(id): Path<String>) -> Html<String> { .. }
//!
//! Router::new().get("/products", list).post("/products", create).get("/p/{id}", page)
//! ```
//!
//! A handler is a function of up to eight extractors that returns anything that is [`IntoResponse`]. A response of status 400 and
//! above rolls back what the handler did.

mod extract;
mod request;
mod response;
mod router;

pub use extract::{BasePath, Bytes, Cookies, Form, FromRequest, Headers, OptionalQuery, Path, Query};
pub use request::Request;
pub use response::{Cookie, Html, IntoResponse, Json, NoContent, Redirect, Response, Text};
pub use router::{Handler, Router};

pub use crate::error::Error;
/// Result with the SDK's [`Error`] as default.
pub type Result<T, E = Error> = std::result::Result<T, E>;
pub use ::http::{Method, StatusCode};
