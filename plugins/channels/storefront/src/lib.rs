//! The storefront channel of Kontor.
