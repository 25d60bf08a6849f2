//! The permission screen: what a plugin asks for, in words, and what of it is new.

use std::collections::BTreeSet;

use kontor_core::limits::{PLUGIN_LIMITS_DEFAULT, PluginLimits};
use kontor_core::revision::{InstalledPlugin, RouteAuth};

use super::grants::asked_hosts;
use crate::api::{Ask, AskKind, PermissionScreen};

/// The screen for `next`, seen from `before`.
pub(crate) fn screen(before: Option<&InstalledPlugin>, next: &InstalledPlugin) -> PermissionScreen {
    let known: BTreeSet<(AskKind, String)> =
        before.map(asks).unwrap_or_default().into_iter().map(|(kind, name, _)| (kind, name)).collect();
    let asks = asks(next)
        .into_iter()
        .map(|(kind, name, words)| Ask {
            kind,
            new: !known.contains(&(kind, name.clone())),
            granted: is_granted(next, kind, &name),
            name,
            words,
        })
        .collect();
    PermissionScreen {
        plugin: next.spec.id.to_string(),
        name: next.spec.name.clone(),
        publisher: next.spec.publisher.clone(),
        version: next.spec.version.clone(),
        installed_version: before.map(|b| b.spec.version.clone()),
        asks,
    }
}

fn is_granted(plugin: &InstalledPlugin, kind: AskKind, name: &str) -> bool {
    match kind {
        AskKind::Host => plugin.grants.outbound.iter().any(|g| g.host == name),
        AskKind::PlainSecret => plugin.grants.plain_secrets.iter().any(|s| s == name),
        AskKind::DataClass | AskKind::Secret | AskKind::PublicRoute | AskKind::Scope | AskKind::Limit => true,
    }
}

/// Everything asked for: kind, name, words. Sorted as a person reads it: data first.
fn asks(plugin: &InstalledPlugin) -> Vec<(AskKind, String, String)> {
    let spec = &plugin.spec;
    let mut asks = Vec::new();
    for class in &spec.data_classes {
        asks.push((AskKind::DataClass, class.clone(), data_class_in_words(class)));
    }
    for host in asked_hosts(spec, &plugin.config) {
        let words = format!("Exchanges data with {host} over the internet.");
        asks.push((AskKind::Host, host, words));
    }
    for secret in &spec.secrets {
        let about = if secret.description.is_empty() { String::new() } else { format!(" ({})", secret.description) };
        if secret.plain {
            let words = format!("Reads the secret `{}`{about} itself.", secret.name);
            asks.push((AskKind::PlainSecret, secret.name.clone(), words));
        } else {
            let words = format!("Works with the secret `{}`{about}, which only the host sees.", secret.name);
            asks.push((AskKind::Secret, secret.name.clone(), words));
        }
    }
    let mut scopes = BTreeSet::new();
    let mut public = false;
    for route in &spec.routes {
        match &route.auth {
            RouteAuth::Public | RouteAuth::Webhook => public = true,
            RouteAuth::Staff(scope) => {
                scopes.insert((scope.clone(), "staff"));
            }
            RouteAuth::Token(scope) => {
                scopes.insert((scope.clone(), "programs"));
            }
            RouteAuth::Customer => {}
        }
    }
    if public {
        asks.push((
            AskKind::PublicRoute,
            "public".to_owned(),
            "Has addresses that anyone on the internet can call.".to_owned(),
        ));
    }
    for (scope, who) in scopes {
        let words = format!("Has addresses for {who} with the scope `{scope}`.");
        asks.push((AskKind::Scope, format!("{who}:{scope}"), words));
    }
    asks.extend(limits(&spec.limits).into_iter().map(|(name, words)| (AskKind::Limit, name.to_owned(), words)));
    asks
}

/// `area.kind` in words, without knowing what there is in the world: the last part says what kind of data, the rest where.
fn data_class_in_words(class: &str) -> String {
    let (area, kind) = class.rsplit_once('.').unwrap_or((class, ""));
    let area = area.replace(['.', '-', '_'], " ");
    match kind {
        "pii" => format!("Touches personal data of: {area} (names, addresses, contact details)."),
        "financial" | "payment" => format!("Touches financial data of: {area}."),
        "credentials" => format!("Touches credentials of: {area}."),
        "" => format!("Touches data of: {area}."),
        other => format!("Touches data of: {area} ({}).", other.replace(['-', '_'], " ")),
    }
}

/// Limits above what a plugin gets that asks for nothing.
fn limits(asked: &PluginLimits) -> Vec<(&'static str, String)> {
    let usual = PLUGIN_LIMITS_DEFAULT;
    let mib = |bytes: u64| bytes / (1024 * 1024);
    let mut above = Vec::new();
    if asked.memory_bytes > usual.memory_bytes {
        let words =
            format!("Uses up to {} MiB of memory (usual: {} MiB).", mib(asked.memory_bytes), mib(usual.memory_bytes));
        above.push(("memory", words));
    }
    if asked.fuel > usual.fuel {
        above.push((
            "fuel",
            format!("Computes {} times as long as usual in one step.", asked.fuel.div_ceil(usual.fuel)),
        ));
    }
    if asked.timeout_ms > usual.timeout_ms {
        let (asked, usual) = (asked.timeout_ms / 1000, usual.timeout_ms / 1000);
        above.push(("timeout", format!("Takes up to {asked} s for one step (usual: {usual} s).")));
    }
    if asked.write_bytes > usual.write_bytes || asked.writes > usual.writes {
        let words = format!("Changes up to {} entries or {} MiB in one step.", asked.writes, mib(asked.write_bytes));
        above.push(("writes", words));
    }
    if asked.reads > usual.reads {
        above.push(("reads", format!("Reads up to {} entries in one step (usual: {}).", asked.reads, usual.reads)));
    }
    above
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_spec::{installed, spec};
    use kontor_core::revision::{OutboundHost, PluginSpec, Route};

    #[test]
    fn an_upgrade_shows_what_is_new() {
        let route = |auth| Route { method: "GET".to_owned(), path: "/".to_owned(), auth, outbound: false, vary: None };
        let old = PluginSpec {
            data_classes: vec!["people.pii".to_owned()],
            routes: vec![route(RouteAuth::Public)],
            ..spec("p")
        };
        let new = PluginSpec {
            version: "2.0.0".to_owned(),
            outbound: vec![OutboundHost { host: "api.example.com".to_owned(), budgets: Vec::new() }],
            routes: vec![route(RouteAuth::Public), route(RouteAuth::Staff("a:read".to_owned()))],
            limits: PluginLimits { memory_bytes: 64 << 20, ..PluginLimits::default() },
            ..old.clone()
        };
        let screen = screen(Some(&installed(old)), &installed(new));
        assert_eq!(screen.installed_version.as_deref(), Some("1.0.0"));
        let fresh: Vec<_> =
            screen.asks.iter().filter(|a| a.new).map(|a| (a.kind, a.name.as_str(), a.granted)).collect();
        assert_eq!(
            fresh,
            [
                (AskKind::Host, "api.example.com", false),
                (AskKind::Scope, "staff:a:read", true),
                (AskKind::Limit, "memory", true),
            ]
        );
        assert!(screen.asks[0].words.contains("personal data of: people"), "{:?}", screen.asks);
    }
}
