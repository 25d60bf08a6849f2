//! Which service interfaces can be called now. The calls themselves go through the module made by [`services!`](crate::services!).

use crate::bindings::kontor::host::services;

/// Whether a provider of `interface`, such as `kontor:commerce/inventory@0.1.0`, is installed. Ask before calling one that the
/// manifest requires as `optional`: calling without a provider stops the invocation.
pub fn available(interface: &str) -> bool {
    services::available(interface)
}

/// The providers of an extension point, sorted; each is a value for the first parameter of its functions.
pub fn providers(interface: &str) -> Vec<String> {
    services::providers(interface)
}
