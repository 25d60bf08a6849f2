//! `kontor demo`, without a person.

use std::process::Command;

use kontor_e2e::{kontor, source_root};
use serde_json::Value;

#[test]
fn the_demo_sells_in_three_channels_and_nothing_twice() {
    let output = Command::new(kontor())
        .current_dir(source_root())
        .args(["demo", "--headless", "--seconds", "5", "--seed", "3", "--listen", "127.0.0.1:0", "--json"])
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    let summary: Value = serde_json::from_slice(&output.stdout).unwrap();
    for channel in ["storefront", "pos", "amazon"] {
        assert!(summary["sold"][channel].as_u64().unwrap() > 0, "{summary}");
        assert_eq!(summary["failed"][channel], 0, "{summary}");
    }
    for nothing in ["oversold", "unaccounted", "ledger_discrepancies", "marketplace_violations"] {
        assert_eq!(summary[nothing], 0, "{nothing}: {summary}");
    }
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(text.contains("/storefront/") && text.contains("/pos/"), "{text}");
}
