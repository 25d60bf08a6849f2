//! Which route of a plugin a request is for. Patterns are those of the manifest: literal segments, `{name}` for one segment,
//! `{*name}` at the end for the rest.
//!
//! What the host matches decides what authentication a request needs, so it must never see another path than the plugin's own
//! router does: literals are compared percent-decoded, and paths that could be read in two ways are refused.

use std::borrow::Cow;

use kontor_core::revision::Route;

/// What matching found.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Matched<'a> {
    /// This route, with its position.
    Route(usize, &'a Route),
    /// The path exists with other methods.
    MethodNotAllowed(Vec<String>),
    /// No such path.
    NotFound,
    /// A path that could be read in two ways; says why.
    Ambiguous(&'static str),
}

/// Finds the route for `method` and `path` (below the plugin's prefix, as received). The most specific pattern wins: a literal
/// before `{name}` before `{*name}`. `HEAD` is answered by `GET`.
pub(crate) fn match_route<'a>(routes: &'a [Route], method: &str, path: &str) -> Matched<'a> {
    let segments = match decode_segments(path) {
        Ok(segments) => segments,
        Err(reason) => return Matched::Ambiguous(reason),
    };
    let mut best: Option<(bool, usize, &Route)> = None;
    let mut allowed = Vec::new();
    for (position, route) in routes.iter().enumerate() {
        if !matches_pattern(&route.path, &segments) {
            continue;
        }
        let exact = route.method == method;
        if exact || route.method == "*" || (method == "HEAD" && route.method == "GET") {
            let better = best.is_none_or(|(best_is_exact, _, known)| {
                ranks(&route.path).cmp(ranks(&known.path)).then(best_is_exact.cmp(&exact)).is_lt()
            });
            if better {
                best = Some((exact, position, route));
            }
        } else {
            allowed.push(route.method.clone());
        }
    }
    if let Some((_, position, route)) = best {
        return Matched::Route(position, route);
    }
    if allowed.is_empty() {
        return Matched::NotFound;
    }
    if allowed.iter().any(|m| m == "GET") {
        allowed.push("HEAD".to_owned());
    }
    allowed.sort();
    allowed.dedup();
    Matched::MethodNotAllowed(allowed)
}

/// What a part of a pattern stands for: the smaller, the more specific.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Rank {
    Literal,
    Parameter,
    Rest,
}

/// The parts of a pattern, each with what it stands for.
fn parts(pattern: &str) -> impl Iterator<Item = (Rank, &str)> {
    pattern.trim_start_matches('/').split('/').filter(|part| !part.is_empty()).map(|part| {
        let rank = match part.strip_prefix('{').and_then(|inner| inner.strip_suffix('}')) {
            Some(inner) if inner.starts_with('*') => Rank::Rest,
            Some(_) => Rank::Parameter,
            None => Rank::Literal,
        };
        (rank, part)
    })
}

/// How specific a pattern is, part by part.
fn ranks(pattern: &str) -> impl Iterator<Item = Rank> {
    parts(pattern).map(|(rank, _)| rank)
}

/// Literals are compared where they stand: every route of a plugin is tried, and most end at a first literal that differs.
fn matches_pattern(pattern: &str, segments: &[Cow<'_, str>]) -> bool {
    let mut left = pattern.trim_start_matches('/');
    for segment in segments {
        if left.is_empty() {
            return false;
        }
        let after = if left.starts_with('{') {
            match parts(left).next() {
                Some((Rank::Rest, _)) => return true,
                Some((Rank::Parameter, part)) => left.strip_prefix(part),
                Some((Rank::Literal, part)) if segment == part => left.strip_prefix(part),
                _ => None,
            }
        } else {
            left.strip_prefix(segment.as_ref()).filter(|after| after.is_empty() || after.starts_with('/'))
        };
        let Some(after) = after else { return false };
        left = after.trim_start_matches('/');
    }
    parts(left).next().is_none_or(|(rank, _)| rank == Rank::Rest)
}

/// The percent-decoded segments. A trailing slash means the same as none.
fn decode_segments(path: &str) -> Result<Vec<Cow<'_, str>>, &'static str> {
    let path = path.strip_prefix('/').unwrap_or(path);
    let path = path.strip_suffix('/').unwrap_or(path);
    if path.is_empty() {
        return Ok(Vec::new());
    }
    path.split('/')
        .map(|raw| {
            let segment = percent_decode(raw).ok_or("a percent-encoded sequence is malformed or not UTF-8")?;
            match segment.as_ref() {
                "" => Err("it has an empty segment"),
                "." | ".." => Err("it has a dot segment"),
                s if s.contains(['/', '\\', '\0']) => Err("a segment holds an encoded slash, backslash or zero byte"),
                _ => Ok(segment),
            }
        })
        .collect()
}

fn percent_decode(text: &str) -> Option<Cow<'_, str>> {
    if !text.contains('%') {
        return Some(Cow::Borrowed(text));
    }
    let mut bytes = text.bytes();
    let mut out = Vec::with_capacity(text.len());
    while let Some(byte) = bytes.next() {
        if byte == b'%' {
            let high = char::from(bytes.next()?).to_digit(16)?;
            let low = char::from(bytes.next()?).to_digit(16)?;
            out.push(u8::try_from(high * 16 + low).ok()?);
        } else {
            out.push(byte);
        }
    }
    String::from_utf8(out).ok().map(Cow::Owned)
}

#[cfg(test)]
mod tests {
    use super::*;
    use kontor_core::revision::RouteAuth;

    fn routes(list: &[(&str, &str)]) -> Vec<Route> {
        list.iter()
            .map(|(method, path)| Route {
                method: (*method).to_owned(),
                path: (*path).to_owned(),
                auth: RouteAuth::Public,
                outbound: false,
                vary: None,
            })
            .collect()
    }

    fn check(list: &[(&str, &str)], method: &str, path: &str, expected: &str) {
        let routes = routes(list);
        let found = match match_route(&routes, method, path) {
            Matched::Route(position, route) => {
                assert_eq!(&routes[position], route);
                format!("{} {}", route.method, route.path)
            }
            Matched::MethodNotAllowed(allowed) => format!("405 {}", allowed.join(",")),
            Matched::NotFound => "404".to_owned(),
            Matched::Ambiguous(_) => "400".to_owned(),
        };
        assert_eq!(found, expected, "{method} {path}");
    }

    #[test]
    fn the_most_specific_pattern_wins() {
        let list = [
            ("GET", "/"),
            ("GET", "/items/{id}"),
            ("POST", "/items"),
            ("GET", "/items/new"),
            ("GET", "/files/{*rest}"),
            ("*", "/hook"),
            ("POST", "/hook"),
        ];
        for (method, path, expected) in [
            ("GET", "/", "GET /"),
            ("HEAD", "/", "GET /"),
            ("GET", "/items/7", "GET /items/{id}"),
            ("GET", "/items/7/", "GET /items/{id}"),
            ("GET", "/items/new", "GET /items/new"),
            ("GET", "/items/%6eew", "GET /items/new"),
            ("GET", "/items", "405 POST"),
            ("POST", "/", "405 GET,HEAD"),
            ("GET", "/files/a/b", "GET /files/{*rest}"),
            ("GET", "/files", "GET /files/{*rest}"),
            ("PUT", "/hook", "* /hook"),
            ("POST", "/hook", "POST /hook"),
            ("GET", "/none", "404"),
            ("POST", "/item", "404"),
            ("POST", "/itemsx", "404"),
            ("POST", "/items/new/x", "404"),
        ] {
            check(&list, method, path, expected);
        }
    }

    /// Matching said plainly: part by part, as the manifest describes patterns.
    fn matches_plainly(pattern: &str, segments: &[Cow<'_, str>]) -> bool {
        let mut given = segments.iter();
        for (rank, part) in parts(pattern) {
            let fits = match rank {
                Rank::Rest => return true,
                Rank::Parameter => given.next().is_some(),
                Rank::Literal => given.next().is_some_and(|segment| segment == part),
            };
            if !fits {
                return false;
            }
        }
        given.next().is_none()
    }

    /// What is matched decides who may ask, so no literal may match more or less than itself.
    #[test]
    fn every_short_path_matches_as_the_rule_says() {
        let parts = ["", "/a", "/ab", "/b}", "/{x}", "/{x}b", "/{*rest}"];
        let sent = ["", "/a", "/ab", "/abc", "/b", "/%61", "/{x}", "/{x}b", "/b}"];
        let (mut matched, mut refused) = (0, 0);
        for pattern in parts.iter().flat_map(|one| parts.map(|two| format!("{one}{two}"))) {
            for path in sent
                .iter()
                .flat_map(|one| sent.iter().flat_map(move |two| sent.map(|three| format!("{one}{two}{three}"))))
            {
                let segments = decode_segments(&path).unwrap();
                let expected = matches_plainly(&pattern, &segments);
                assert_eq!(matches_pattern(&pattern, &segments), expected, "{pattern} {path}");
                *(if expected { &mut matched } else { &mut refused }) += 1;
            }
        }
        assert!(matched > 1_000 && refused > 10_000, "{matched} {refused}");
    }

    #[test]
    fn paths_that_read_in_two_ways_are_refused() {
        let list = [("GET", "/{a}/{b}"), ("GET", "/{*rest}")];
        for path in ["//a", "/a//b", "/a/../b", "/a/%2e%2e", "/a%2fb", "/a%5Cb", "/%zz", "/%ff", "/a%00"] {
            check(&list, "GET", path, "400");
        }
    }
}
