//! A plugin's configuration: defaults filled in from its JSON Schema, then validated, errors by JSON pointer.

use kontor_core::revision::PluginSpec;
use serde_json::{Map, Value};

use crate::api::FieldError;
use crate::problem::{Code, Problem};

/// Errors reported at most: a form shows no more.
const ERRORS_MAX: usize = 50;
/// Nesting that defaults are filled in to.
const DEPTH_MAX: usize = 16;

/// The configuration to store, made from what the merchant gave.
pub(crate) fn complete(spec: &PluginSpec, given: Option<Value>) -> Result<Value, Problem> {
    let mut config = given.unwrap_or_else(|| Value::Object(Map::new()));
    if !config.is_object() {
        return Err(invalid(spec, vec![error("", "the configuration must be a JSON object")]));
    }
    let Some(schema) = &spec.config_schema else {
        if config.as_object().is_some_and(|o| !o.is_empty()) {
            return Err(invalid(spec, vec![error("", "the plugin has no configuration")]));
        }
        return Ok(config);
    };
    fill_defaults(schema, &mut config, 0);
    let validator = jsonschema::validator_for(schema).map_err(|e| {
        Problem::new(
            Code::PluginRefused,
            format!("The configuration schema of `{}` is not a valid JSON Schema: {e}.", spec.id),
        )
    })?;
    let errors: Vec<FieldError> = validator
        .iter_errors(&config)
        .take(ERRORS_MAX)
        .map(|e| error(e.instance_path().as_str(), &e.to_string()))
        .collect();
    if errors.is_empty() { Ok(config) } else { Err(invalid(spec, errors)) }
}

fn error(pointer: &str, message: &str) -> FieldError {
    FieldError { pointer: pointer.to_owned(), message: message.to_owned() }
}

fn invalid(spec: &PluginSpec, errors: Vec<FieldError>) -> Problem {
    let first = errors.first().map(|e| format!("at `{}`: {}", e.pointer, e.message)).unwrap_or_default();
    let more = if errors.len() > 1 { format!(" (and {} more)", errors.len() - 1) } else { String::new() };
    Problem::new(Code::ConfigInvalid, format!("The configuration of `{}` does not fit, {first}{more}.", spec.id))
        .with("plugin", spec.id.as_str())
        .with("errors", serde_json::to_value(errors).unwrap_or_default())
}

/// Sets what is absent and has a default; goes into objects that are there or whose properties have defaults.
fn fill_defaults(schema: &Value, value: &mut Value, depth: usize) {
    let (Some(properties), Some(object)) = (schema.get("properties").and_then(Value::as_object), value.as_object_mut())
    else {
        return;
    };
    if depth >= DEPTH_MAX {
        return;
    }
    for (name, schema) in properties {
        if let Some(inner) = object.get_mut(name) {
            fill_defaults(schema, inner, depth + 1);
        } else if let Some(default) = schema.get("default") {
            object.insert(name.clone(), default.clone());
        } else if schema.get("properties").is_some() {
            let mut inner = Value::Object(Map::new());
            fill_defaults(schema, &mut inner, depth + 1);
            if inner.as_object().is_some_and(|o| !o.is_empty()) {
                object.insert(name.clone(), inner);
            }
        }
    }
}

/// The text at `key` (dots go into objects).
pub(crate) fn text_at<'a>(config: &'a Value, key: &str) -> Option<&'a str> {
    key.split('.').try_fold(config, |value, part| value.get(part))?.as_str()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_spec::spec;
    use serde_json::json;

    fn with_schema(schema: Value) -> PluginSpec {
        PluginSpec { config_schema: Some(schema), ..spec("p") }
    }

    #[test]
    fn defaults_are_filled_in_before_validation() {
        let spec = with_schema(json!({
            "type": "object", "additionalProperties": false, "required": ["rate"],
            "properties": {
                "rate": {"type": "integer", "default": 5},
                "name": {"type": "string"},
                "inner": {"type": "object", "properties": {"deep": {"default": true}}}
            }
        }));
        assert_eq!(complete(&spec, None).unwrap(), json!({"rate": 5, "inner": {"deep": true}}));
        assert_eq!(
            complete(&spec, Some(json!({"rate": 7, "inner": {}}))).unwrap(),
            json!({"rate": 7, "inner": {"deep": true}})
        );
    }

    #[test]
    fn errors_point_at_their_place() {
        let spec = with_schema(json!({
            "type": "object", "additionalProperties": false,
            "properties": {"a": {"type": "object", "properties": {"b/c": {"type": "integer"}}}}
        }));
        let problem = complete(&spec, Some(json!({"a": {"b/c": "x"}}))).unwrap_err();
        assert_eq!(problem.code(), Code::ConfigInvalid);
        assert!(problem.detail().contains("`/a/b~1c`"), "{}", problem.detail());
        assert!(complete(&spec, Some(json!([1]))).is_err());
        assert!(complete(&spec, Some(json!({"unknown": 1}))).is_err());
    }

    #[test]
    fn without_a_schema_there_is_no_configuration() {
        assert_eq!(complete(&spec("p"), None).unwrap(), json!({}));
        assert!(complete(&spec("p"), Some(json!({"a": 1}))).is_err());
    }

    #[test]
    fn a_broken_schema_is_the_plugins_fault() {
        let spec = with_schema(json!({"type": "nonsense"}));
        assert_eq!(complete(&spec, None).unwrap_err().code(), Code::PluginRefused);
    }
}
