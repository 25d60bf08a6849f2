//! `--config`, `--set` and `--grant...`: what a merchant decides about a plugin, as the control API takes it.

use std::fs;

use kontor_server::api::{GrantRequest, HostGrant};
use serde_json::{Map, Value};

use crate::args::SettingsArguments;
use crate::failure::{Failure, Result};

/// The configuration wanted: `current` (or the file's), with each `--set` laid over it; none if nothing was said.
pub(crate) fn configuration(settings: &SettingsArguments, current: Option<&Value>) -> Result<Option<Value>> {
    if settings.config.is_none() && settings.set.is_empty() {
        return Ok(None);
    }
    let base = match &settings.config {
        Some(path) => {
            let text = fs::read_to_string(path).map_err(|error| Failure::file("read", path, error))?;
            serde_json::from_str(&text).map_err(|error| Failure::file("understand", path, error))?
        }
        None => current.cloned().unwrap_or_else(|| Value::Object(Map::new())),
    };
    let Value::Object(mut members) = base else {
        return Err(Failure::new("config", "the configuration must be a JSON object"));
    };
    for text in &settings.set {
        let (key, value) = text
            .split_once('=')
            .ok_or_else(|| Failure::new("usage", format!("`{text}` after --set is not of the form KEY=VALUE")))?;
        let value = serde_json::from_str(value).unwrap_or_else(|_| Value::String(value.to_owned()));
        members.insert(key.to_owned(), value);
    }
    Ok(Some(Value::Object(members)))
}

/// The grants wanted; none if nothing was said.
pub(crate) fn grants(settings: &SettingsArguments) -> Option<GrantRequest> {
    let said = settings.grant || !settings.grant_host.is_empty() || !settings.grant_secret.is_empty();
    said.then(|| GrantRequest {
        all: settings.grant,
        outbound: settings.grant_host.iter().map(|text| host_grant(text)).collect(),
        plain_secrets: settings.grant_secret.clone(),
    })
}

fn host_grant(text: &str) -> HostGrant {
    let mut parts = text.split('+');
    let host = parts.next().unwrap_or_default().to_owned();
    let flags: Vec<&str> = parts.collect();
    HostGrant { host, allow_http: flags.contains(&"http"), allow_private: flags.contains(&"private") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn set_lays_over_what_is_there() {
        let settings = SettingsArguments {
            set: vec!["a=1".into(), "b=text".into(), "c=[true]".into()],
            ..SettingsArguments::default()
        };
        let value = configuration(&settings, Some(&json!({ "a": 0, "z": 9 }))).unwrap();
        assert_eq!(value, Some(json!({ "a": 1, "b": "text", "c": [true], "z": 9 })));
        assert_eq!(configuration(&SettingsArguments::default(), None).unwrap(), None);
    }

    #[test]
    fn hosts_with_flags() {
        let grant = host_grant("127.0.0.1+http+private");
        assert_eq!((grant.host.as_str(), grant.allow_http, grant.allow_private), ("127.0.0.1", true, true));
        assert!(!host_grant("example.com").allow_http);
    }
}
