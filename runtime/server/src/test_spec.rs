//! Specs for unit tests.

use kontor_core::ids::PluginId;
use kontor_core::limits::PluginLimits;
use kontor_core::revision::{Grants, InstalledPlugin, PluginSpec};

/// A plugin that asks for nothing.
pub(crate) fn spec(id: &str) -> PluginSpec {
    PluginSpec {
        id: PluginId::new(id).unwrap(),
        version: "1.0.0".to_owned(),
        name: id.to_owned(),
        description: String::new(),
        publisher: "tests".to_owned(),
        digest: format!("sha256:{}", "0".repeat(64)),
        provides: Vec::new(),
        requires: Vec::new(),
        emits: Vec::new(),
        subscribes: Vec::new(),
        routes: Vec::new(),
        jobs: Vec::new(),
        schedules: Vec::new(),
        outbound: Vec::new(),
        config_schema: None,
        secrets: Vec::new(),
        data_classes: Vec::new(),
        limits: PluginLimits::default(),
    }
}

/// The same, installed without grants.
pub(crate) fn installed(spec: PluginSpec) -> InstalledPlugin {
    InstalledPlugin { spec, grants: Grants::default(), config: serde_json::json!({}) }
}
