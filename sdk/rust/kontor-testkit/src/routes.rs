//! Which declared route a request belongs to, as the server decides it.

use kontor_core::revision::{PluginSpec, Route};

/// The route of a request with its position, the most literal one first.
pub fn find<'a>(spec: &'a PluginSpec, method: &str, path: &str) -> Option<(usize, &'a Route)> {
    spec.routes
        .iter()
        .enumerate()
        .filter(|(_, route)| {
            route.method == "*" || route.method == method || (route.method == "GET" && method == "HEAD")
        })
        .filter_map(|(position, route)| Some((rank(&route.path, path)?, position, route)))
        .min_by(|(left, ..), (right, ..)| left.cmp(right))
        .map(|(_, position, route)| (position, route))
}

/// Smaller is more literal. `None`: does not match.
fn rank(pattern: &str, path: &str) -> Option<Vec<u8>> {
    let mut rank = Vec::new();
    let mut rest = Some(path.strip_prefix('/')?);
    for segment in pattern.strip_prefix('/')?.split('/') {
        let remaining = rest?;
        if segment.starts_with("{*") {
            rank.push(2);
            return (!remaining.is_empty()).then_some(rank);
        }
        let (part, next) = remaining.split_once('/').map_or((remaining, None), |(part, next)| (part, Some(next)));
        match segment.starts_with('{') {
            true if part.is_empty() => return None,
            true => rank.push(1),
            false if part == segment => rank.push(0),
            false => return None,
        }
        rest = next;
    }
    rest.is_none().then_some(rank)
}
