//! What a merchant would set at install: configuration with defaults, and grants of everything that is asked for.

use kontor_core::revision::{Grants, OutboundGrant, PluginSpec};
use serde_json::{Map, Value};

/// The configuration given, with the schema's defaults filled in.
pub(crate) fn with_defaults(spec: &PluginSpec, given: Option<&Value>) -> Value {
    let mut config = given.cloned().unwrap_or_else(|| Value::Object(Map::new()));
    if let Some(schema) = &spec.config_schema {
        fill(schema, &mut config);
        let validator = jsonschema::validator_for(schema)
            .unwrap_or_else(|error| panic!("`config.schema` of `{}` is no JSON Schema: {error}", spec.id));
        let problems: Vec<String> =
            validator.iter_errors(&config).map(|error| format!("{}: {error}", error.instance_path())).collect();
        assert!(problems.is_empty(), "the configuration of `{}` does not fit its schema: {problems:?}", spec.id);
    } else {
        assert!(
            config.as_object().is_some_and(Map::is_empty),
            "`{}` has no `config.schema`, so it takes no configuration",
            spec.id
        );
    }
    config
}

fn fill(schema: &Value, config: &mut Value) {
    let (Some(properties), Value::Object(object)) = (schema.get("properties").and_then(Value::as_object), config)
    else {
        return;
    };
    for (name, property) in properties {
        if let (Some(default), false) = (property.get("default"), object.contains_key(name)) {
            object.insert(name.clone(), default.clone());
        }
        if let Some(inner) = object.get_mut(name) {
            fill(property, inner);
        }
    }
}

/// Everything that is asked for, over HTTP and to private addresses too: nothing leaves the test anyway.
pub(crate) fn everything(spec: &PluginSpec, config: &Value) -> Grants {
    let host = |asked: &str| -> Option<String> {
        let Some(key) = asked.strip_prefix("{config:").and_then(|key| key.strip_suffix('}')) else {
            return Some(asked.to_owned());
        };
        let url = key.split('.').try_fold(config, |value, part| value.get(part))?.as_str()?;
        let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
        let authority = rest.split(['/', '?', '#']).next()?;
        let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
        Some(host.rsplit_once(':').map_or(host, |(host, _)| host).to_ascii_lowercase())
    };
    let grant = |host: String| OutboundGrant { host, allow_http: true, allow_private: true };
    Grants {
        outbound: spec.outbound.iter().filter_map(|asked| host(&asked.host)).map(grant).collect(),
        plain_secrets: spec.secrets.iter().filter(|secret| secret.plain).map(|secret| secret.name.clone()).collect(),
    }
}
