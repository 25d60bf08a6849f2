//! Grants: what a plugin asks for, and what of it the merchant gives.

use std::collections::BTreeMap;

use kontor_core::revision::{Grants, OutboundGrant, PluginSpec};
use serde_json::Value;
use url::Url;

use super::config::text_at;
use crate::api::GrantRequest;
use crate::problem::{Code, Problem};

/// The hosts that a plugin asks for, with `{config:KEY}` replaced by the host of the URL that is configured there. One that is not
/// configured is not asked for.
pub(crate) fn asked_hosts(spec: &PluginSpec, config: &Value) -> Vec<String> {
    let mut hosts: Vec<String> = spec
        .outbound
        .iter()
        .filter_map(|o| match o.host.strip_prefix("{config:").and_then(|k| k.strip_suffix('}')) {
            None => Some(o.host.to_ascii_lowercase()),
            Some(key) => configured_host(text_at(config, key)?),
        })
        .collect();
    hosts.sort();
    hosts.dedup();
    hosts
}

/// The host of a URL, or of a bare host name.
fn configured_host(text: &str) -> Option<String> {
    let url = Url::parse(text).or_else(|_| Url::parse(&format!("https://{text}"))).ok()?;
    url.host_str().map(str::to_ascii_lowercase)
}

/// What is granted in the end: `before` as far as it is still asked for, and `request` on top. Granting what is not asked for is an error:
/// it is most likely a mistake in a name.
pub(crate) fn granted(
    spec: &PluginSpec,
    config: &Value,
    before: &Grants,
    request: &GrantRequest,
) -> Result<Grants, Problem> {
    let asked = asked_hosts(spec, config);
    let plain: Vec<&str> = spec.secrets.iter().filter(|s| s.plain).map(|s| s.name.as_str()).collect();
    let mut hosts: BTreeMap<String, OutboundGrant> =
        before.outbound.iter().filter(|g| is_asked(&asked, &g.host)).map(|g| (g.host.clone(), g.clone())).collect();
    let mut secrets: Vec<String> =
        before.plain_secrets.iter().filter(|s| plain.contains(&s.as_str())).cloned().collect();
    if request.all {
        for host in &asked {
            hosts.entry(host.clone()).or_insert_with(|| OutboundGrant {
                host: host.clone(),
                allow_http: false,
                allow_private: false,
            });
        }
        secrets.extend(plain.iter().map(|s| (*s).to_owned()));
    }
    for grant in &request.outbound {
        let host = grant.host.to_ascii_lowercase();
        if !is_asked(&asked, &host) {
            return Err(not_asked(spec, "host", &host, &asked));
        }
        let granted =
            OutboundGrant { host: host.clone(), allow_http: grant.allow_http, allow_private: grant.allow_private };
        hosts.insert(host, granted);
    }
    for secret in &request.plain_secrets {
        if !plain.contains(&secret.as_str()) {
            let asked: Vec<String> = plain.iter().map(|s| (*s).to_owned()).collect();
            return Err(not_asked(spec, "secret", secret, &asked));
        }
        secrets.push(secret.clone());
    }
    secrets.sort();
    secrets.dedup();
    Ok(Grants { outbound: hosts.into_values().collect(), plain_secrets: secrets })
}

/// Asked for by this name, or by a wildcard that covers it.
fn is_asked(asked: &[String], host: &str) -> bool {
    asked.iter().any(|a| {
        a == host
            || a.strip_prefix("*.").is_some_and(|domain| {
                host.strip_suffix(domain).is_some_and(|rest| rest.len() > 1 && rest.ends_with('.') && rest != "*.")
            })
    })
}

fn not_asked(spec: &PluginSpec, what: &str, name: &str, asked: &[String]) -> Problem {
    let asks = if asked.is_empty() { "for none".to_owned() } else { format!("for {}", asked.join(", ")) };
    Problem::new(Code::GrantNotAsked, format!("`{}` does not ask for the {what} `{name}`; it asks {asks}.", spec.id))
        .with("plugin", spec.id.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::HostGrant;
    use crate::test_spec::spec;
    use kontor_core::revision::{OutboundHost, SecretSpec};
    use serde_json::json;

    fn asking(hosts: &[&str]) -> PluginSpec {
        PluginSpec {
            outbound: hosts.iter().map(|h| OutboundHost { host: (*h).to_owned(), budgets: Vec::new() }).collect(),
            secrets: vec![SecretSpec { name: "key".to_owned(), description: String::new(), plain: true }],
            ..spec("p")
        }
    }

    fn host(name: &str, http: bool) -> HostGrant {
        HostGrant { host: name.to_owned(), allow_http: http, allow_private: http }
    }

    #[test]
    fn hosts_come_from_the_configuration() {
        let spec = asking(&["api.example.com", "{config:server.url}", "{config:none}"]);
        let config = json!({"server": {"url": "http://127.0.0.1:8080/x"}});
        assert_eq!(asked_hosts(&spec, &config), ["127.0.0.1", "api.example.com"]);
        assert_eq!(asked_hosts(&spec, &json!({})), ["api.example.com"]);
        assert_eq!(configured_host("https://[::1]:80/").as_deref(), Some("[::1]"));
    }

    #[test]
    fn grants_are_the_intersection_of_asked_and_given() {
        let spec = asking(&["a.example.com", "*.example.org"]);
        let none = Grants::default();
        let all = granted(&spec, &json!({}), &none, &GrantRequest { all: true, ..GrantRequest::default() }).unwrap();
        assert_eq!(
            all.outbound.iter().map(|g| g.host.as_str()).collect::<Vec<_>>(),
            ["*.example.org", "a.example.com"]
        );
        assert!(all.outbound.iter().all(|g| !g.allow_http && !g.allow_private));
        assert_eq!(all.plain_secrets, ["key"]);

        let one = GrantRequest { outbound: vec![host("x.example.org", true)], ..GrantRequest::default() };
        let some = granted(&spec, &json!({}), &none, &one).unwrap();
        assert_eq!(some.outbound.len(), 1);
        assert!(some.outbound[0].allow_http);

        for wrong in ["b.example.com", "example.org", "evil.example.org.attacker.net", ".example.org"] {
            let request = GrantRequest { outbound: vec![host(wrong, false)], ..GrantRequest::default() };
            assert_eq!(granted(&spec, &json!({}), &none, &request).unwrap_err().code(), Code::GrantNotAsked, "{wrong}");
        }
        let smaller = granted(&asking(&["a.example.com"]), &json!({}), &all, &GrantRequest::default()).unwrap();
        assert_eq!(smaller.outbound.len(), 1);
    }
}
