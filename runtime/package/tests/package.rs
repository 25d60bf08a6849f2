//! Manifests and packed plugins: what is accepted, and how refusals read.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a failed test panics"
)]

use std::path::Path;

use kontor_core::limits::PLUGIN_LIMITS_DEFAULT;
use kontor_core::revision::RouteAuth;
use kontor_package::manifest::{self, Manifest, Rate};
use kontor_package::{PackageError, SigningKey, Trust, pack, read_package, signature};

const MINIMAL: &str = r#"
id = "notes"
version = "0.1.0"
publisher = "you"
name = "Notes"
description = "Keeps notes."
"#;

/// The smallest component: a header.
const COMPONENT: [u8; 8] = [0, b'a', b's', b'm', 0x0d, 0, 1, 0];

fn parse(more: &str) -> Result<Manifest, String> {
    Manifest::parse(&format!("{MINIMAL}{more}"), "plugin.toml").map_err(|error| error.to_string())
}

#[test]
fn every_section_reaches_the_host() {
    let text = r#"
        licence = "MIT"
        data_classes = ["people.contact"]
        [[provides]]
        interface = "example:notes/reader@0.1.0"
        [[provides]]
        interface = "example:notes/mirror@0.1.0"
        provider = "printer"
        [[requires]]
        interface = "example:notes/speller@0.1.0"
        optional = true
        [events]
        emits = ["example.notes.note-written.v1"]
        subscribes = ["example.people.*"]
        [[routes]]
        method = "*"
        path = "/notes/{id}/{*rest}"
        auth = "token:notes:write"
        outbound = true
        [[routes]]
        method = "GET"
        path = "/"
        auth = "staff:notes"
        [[jobs]]
        name = "push"
        budget = "patch"
        [[schedules]]
        name = "nightly"
        cron = "0 3 * * *"
        time_zone = "Europe/Berlin"
        job = "push"
        [[outbound]]
        host = "{config:endpoint}"
        [[outbound.budgets]]
        name = "patch"
        method = "PATCH"
        path = "/pages/{page}"
        rate_per_second = 0.0167
        burst = 20
        [config]
        schema = { type = "object", properties = { endpoint = { type = "string" } } }
        [[secrets]]
        name = "token"
        description = "The API token."
        plain = true
        [limits]
        timeout_ms = 30_000
        [[console_pages]]
        title = "Notes"
        path = "/"
    "#;
    let spec = parse(text).unwrap().to_spec("sha256:00").unwrap();
    assert_eq!((spec.id.as_str(), spec.version.as_str(), spec.digest.as_str()), ("notes", "0.1.0", "sha256:00"));
    assert_eq!(spec.provides[1].provider.as_deref(), Some("printer"));
    assert!(spec.requires[0].optional && !spec.requires[0].many);
    assert_eq!((spec.emits.len(), spec.subscribes.len()), (1, 1));
    assert_eq!(spec.routes[0].auth, RouteAuth::Token("notes:write".into()));
    assert!(spec.routes[0].outbound && !spec.routes[1].outbound);
    assert_eq!((spec.jobs[0].max_attempts, spec.jobs[0].backoff_ms), (10, 1_000));
    assert_eq!(spec.schedules[0].time_zone.as_deref(), Some("Europe/Berlin"));
    assert_eq!(spec.outbound[0].budgets[0].rate_millihertz, 17);
    assert!(spec.config_schema.is_some() && spec.secrets[0].plain);
    assert_eq!((spec.limits.timeout_ms, spec.limits.fuel), (30_000, PLUGIN_LIMITS_DEFAULT.fuel));
}

#[test]
fn refusals_name_line_column_and_what_is_allowed() {
    // The text begins at line 7.
    for (text, place, part) in [
        ("licens = \"MIT\"", "7:1", "unknown field `licens`"),
        (
            "[[routes]]\nmethod = \"GET\"\npath = \"/a\"\nauth = \"anyone\"",
            "10:8",
            "`routes[0].auth`: `anyone` is not a class",
        ),
        ("[[routes]]\nmethod = \"get\"\npath = \"/a\"\nauth = \"public\"", "8:10", "`get` is not a method"),
        (
            "[[routes]]\nmethod = \"GET\"\npath = \"/a\"\nauth = \"public\"\nvary = [\"Cookie\"]",
            "11:8",
            "`Cookie` is not a header's name in lower case",
        ),
        (
            "[[routes]]\nmethod = \"*\"\npath = \"/a\"\nauth = \"public\"\nvary = []",
            "11:8",
            "only a `GET` route says what its answers vary by, not `*`",
        ),
        ("[[routes]]\nmethod = \"GET\"\npath = \"a\"\nauth = \"public\"", "9:8", "it begins with `/`"),
        ("[[routes]]\nmethod = \"GET\"\npath = \"/{*rest}/x\"\nauth = \"public\"", "9:8", "only be at the end"),
        ("[[routes]]\nmethod = \"GET\"\npath = \"/{a}/{a}\"\nauth = \"public\"", "9:8", "one name twice"),
        ("[[provides]]\ninterface = \"reader\"", "8:13", "`example:notes/reader@0.1.0`"),
        ("[[requires]]\ninterface = \"kontor:host/store@0.1.0\"", "8:13", "belongs to the host"),
        ("[[jobs]]\nname = \"push\"\nbudget = \"none\"", "9:10", "`none` is no budget"),
        ("[[jobs]]\nname = \"Push\"", "8:8", "`Push` is not a name"),
        ("[[schedules]]\nname = \"a\"\ncron = \"* * * * *\"\njob = \"b\"", "10:7", "`b` is no job"),
        (
            "[[jobs]]\nname = \"b\"\n[[schedules]]\nname = \"a\"\ncron = \"daily\"\njob = \"b\"",
            "11:8",
            "five or six fields",
        ),
        ("[[outbound]]\nhost = \"https://api.example.com\"", "8:8", "without scheme"),
        (
            "[[outbound]]\nhost = \"a.example\"\nbudgets = [{ name = \"b\", method = \"GET\", path = \"/\", rate_per_second = 0, burst = 1 }]",
            "9:",
            "is not a rate",
        ),
        ("[config]\nschema = { type = \"array\" }", "8:10", "type = \"object\""),
        ("[limits]\nmemory_bytes = 1_000_000_000", "8:16", "from 1 to"),
        ("[[console_pages]]\ntitle = \"A\"\npath = \"/a\"", "9:8", "not the path of a route"),
        ("[events]\nemits = [\"Placed\"]", "8:10", "is not an event type"),
        ("data_classes = [\"PII!\"]", "7:17", "is not a class of data"),
        ("name = 1", "7:1", "duplicate key"),
        ("[[routes]]\nmethod = \"GET\"", "7:1", "missing field"),
    ] {
        let error = parse(text).unwrap_err();
        assert!(error.starts_with(&format!("plugin.toml:{place}")), "{text}\n{error}");
        assert!(error.contains(part), "{text}\n{error}");
    }
    for (from, to, part) in [
        ("\"notes\"", "\"Notes\"", "`id`: `Notes` is not a plugin id"),
        ("0.1.0", "1", "`1` is not a semantic version"),
        ("\"you\"", "\" \"", "`publisher`: is empty"),
    ] {
        let error = Manifest::parse(&MINIMAL.replace(from, to), "plugin.toml").unwrap_err().to_string();
        assert!(error.contains(part), "{error}");
    }
}

#[test]
fn rates_are_kept_to_thousandths() {
    for (rate, millihertz) in [
        (Rate::Whole(5), Some(5_000)),
        (Rate::Decimal(0.5), Some(500)),
        (Rate::Decimal(0.0167), Some(17)),
        (Rate::Text("0.0222".into()), Some(22)),
        (Rate::Text("1000000".into()), Some(1_000_000_000)),
        (Rate::Whole(0), None),
        (Rate::Decimal(-1.0), None),
        (Rate::Decimal(f64::NAN), None),
        (Rate::Decimal(0.0001), None),
        (Rate::Text("fast".into()), None),
        (Rate::Text("1000001".into()), None),
    ] {
        assert_eq!(rate.millihertz(), millihertz, "{rate:?}");
    }
}

#[test]
fn a_package_is_read_as_it_was_packed() {
    let manifest = parse("").unwrap();
    let key = SigningKey::from_seed(&[7; 32]);
    let unsigned = pack(&COMPONENT, &manifest, None).unwrap();
    let signed = pack(&COMPONENT, &manifest, Some(&key)).unwrap();
    assert_eq!(unsigned.manifest(), &manifest);
    assert_eq!(unsigned.file_name(), "notes-0.1.0.kontor");
    assert!(unsigned.digest().starts_with("sha256:") && unsigned.digest().len() == 71);
    assert_ne!(unsigned.digest(), signed.digest());
    assert_eq!(unsigned.signature(), None);

    let read = read_package(signed.bytes().to_vec()).unwrap();
    assert_eq!((read.digest(), read.signature()), (signed.digest(), signed.signature()));
    assert_eq!(signature::trust(read.signature(), &[]), Trust::UnknownKey { key: key.public_hex() });
    assert_eq!(signature::trust(read.signature(), &[key.public_hex()]), Trust::Trusted { key: key.public_hex() });
    assert_eq!(signature::trust(unsigned.signature(), &[key.public_hex()]), Trust::Unsigned);
    assert!(matches!(pack(signed.bytes(), &manifest, None), Err(PackageError::Manifest(_))));
}

#[test]
fn no_byte_of_a_signed_package_can_be_changed() {
    let key = SigningKey::from_seed(&[7; 32]);
    let bytes = pack(&COMPONENT, &parse("").unwrap(), Some(&key)).unwrap().bytes().to_vec();
    for position in 0..bytes.len() {
        for flip in [0x01, 0x80] {
            let mut changed = bytes.clone();
            changed[position] ^= flip;
            match read_package(changed) {
                Err(_) => {}
                // The name of the signature's section is not signed: another name makes it an unsigned package, never a signed one.
                Ok(package) => assert_eq!(package.signature(), None, "byte {position} was changed unnoticed"),
            }
        }
    }
    for length in 0..bytes.len() {
        let cut = read_package(bytes[..length].to_vec());
        assert!(cut.is_err() || cut.is_ok_and(|package| package.signature().is_none()), "cut at {length}");
    }
    // Nothing may follow the signature.
    let mut longer = bytes;
    longer.extend_from_slice(&[0, 2, 1, b'x']);
    assert!(matches!(read_package(longer), Err(PackageError::Signature(_))));
}

#[test]
fn what_is_no_package_is_refused_by_name() {
    let module = [0, b'a', b's', b'm', 1, 0, 0, 0];
    for (bytes, code) in [
        (&b""[..], "package-not-a-component"),
        (b"PK\x03\x04 a zip file", "package-not-a-component"),
        (&module, "package-not-a-component"),
        (&COMPONENT, "package-without-manifest"),
        (&[&COMPONENT[..], &[1, 5, 0]].concat(), "package-damaged"),
    ] {
        assert_eq!(read_package(bytes.to_vec()).unwrap_err().code(), code, "{bytes:?}");
    }
}

#[test]
fn a_developers_key_is_made_once_and_says_what_it_is() {
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("dev-key-{}", std::process::id()));
    let _ = std::fs::remove_dir_all(&directory);
    let key = SigningKey::developer_in(&directory).unwrap();
    assert_eq!(SigningKey::developer_in(&directory).unwrap().public_hex(), key.public_hex());
    let package = pack(&COMPONENT, &parse("").unwrap(), Some(&key)).unwrap();
    assert_eq!(signature::trust(package.signature(), &[]), Trust::Developer { key: key.public_hex() });
    assert!(signature::trust(package.signature(), &[]).to_string().starts_with("dev-signed"));
    std::fs::write(directory.join("dev-key"), "nonsense").unwrap();
    assert!(SigningKey::developer_in(&directory).unwrap_err().to_string().contains("64 hexadecimal digits"));
    std::fs::remove_dir_all(&directory).unwrap();
}

#[test]
fn the_committed_schema_is_the_manifests() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("schema/plugin.schema.json");
    let current = serde_json::to_string_pretty(&manifest::json_schema()).unwrap() + "\n";
    if std::env::var_os("UPDATE_SCHEMA").is_some() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, &current).unwrap();
    }
    let committed = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(committed == current, "{} is out of date: run this test with UPDATE_SCHEMA=1", path.display());
}
