//! Filling `{secret:NAME}` in headers and form bodies, so that a plugin can use a secret that it never sees.

use kontor_core::effects::OutboundError;

const OPEN: &str = "{secret:";

/// How a secret is written at its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Writing {
    /// As it is.
    Plain,
    /// Percent-encoded for `application/x-www-form-urlencoded`.
    Form,
}

/// `text` with every placeholder replaced. Secrets are not searched for placeholders themselves. An error names the secret, never
/// its value.
pub(crate) fn fill(text: &str, secrets: &[(String, String)], writing: Writing) -> Result<String, OutboundError> {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once(OPEN) {
        out.push_str(before);
        let (name, after) = after
            .split_once('}')
            .ok_or_else(|| OutboundError::Invalid("`{secret:` without a closing brace".to_owned()))?;
        let value = secrets.iter().find(|(n, _)| n == name).map(|(_, v)| v).ok_or_else(|| {
            OutboundError::Invalid(format!("the secret `{}` is not declared by the plugin or not set", shorten(name)))
        })?;
        match writing {
            Writing::Plain => out.push_str(value),
            Writing::Form => out.extend(url::form_urlencoded::byte_serialize(value.as_bytes())),
        }
        rest = after;
    }
    out.push_str(rest);
    Ok(out)
}

fn shorten(name: &str) -> String {
    name.chars().take(64).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secrets() -> Vec<(String, String)> {
        vec![("key".to_owned(), "a b&c={secret:other}".to_owned()), ("other".to_owned(), "X".to_owned())]
    }

    #[test]
    fn placeholders_are_replaced_once() {
        let out = fill("Bearer {secret:key}!", &secrets(), Writing::Plain).unwrap();
        assert_eq!(out, "Bearer a b&c={secret:other}!");
        let out = fill("a=1&k={secret:key}&o={secret:other}", &secrets(), Writing::Form).unwrap();
        assert_eq!(out, "a=1&k=a+b%26c%3D%7Bsecret%3Aother%7D&o=X");
        assert_eq!(fill("no secret {here}", &secrets(), Writing::Plain).unwrap(), "no secret {here}");
    }

    #[test]
    fn what_is_missing_is_named() {
        for (text, says) in [("{secret:none}", "`none`"), ("{secret:key", "closing brace")] {
            let error = fill(text, &secrets(), Writing::Plain).unwrap_err().to_string();
            assert!(error.contains(says), "{error}");
            assert!(!error.contains("a b&c"), "{error}");
        }
    }
}
