//! A simulator of the parts of Amazon's Selling Partner API that a seller of own goods needs: Login with Amazon, Orders
//! 2026-01-01, Listings Items 2021-08-01 and the shipment confirmation of Orders v0.
//!
//! - `market` is the marketplace itself, a pure state machine: listings, buyers' orders and their life, shipments.
//! - `validate` holds the published shapes of requests, `model` those of responses.
//! - `bucket` are the published rate limits, `faults` what goes wrong, by seed.
//! - `server` puts it behind HTTP; `AmazonSimulator` is the handle.
//!
//! A buyer can buy what the listing advertises, and nothing else: stock that a connector pushes late is oversold here as it
//! is in reality, and the simulator's books show it.

mod bucket;
mod decimal;
mod faults;
mod market;
mod model;
mod people;
mod server;
mod simulator;
mod validate;
mod views;

pub use bucket::{Operation, RateLimit, RateLimits};
pub use faults::{Fault, FaultPlan};
pub use model::{FulfillmentStatus, Order, OrderItem, Package};
pub use simulator::{AmazonSimulator, Exchanged, LoggedRequest, SimulatorConfig, Summary, Violation};
pub use views::{
    Cancellation, ConfirmedShipment, ListingInput, ListingView, Marketplace, OfferChange, OfferChangeKind, PlacedOrder,
    Purchase, PurchaseRefused, Submission, SubmissionState,
};
