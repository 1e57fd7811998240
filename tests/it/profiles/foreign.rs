//! Checks the JSON Schema with another validator, python3-jsonschema.

use super::{Profiles, shipped_dir};
use std::fs;
use std::path::Path;
use std::process::Command;

/// Validates a YAML file; prints the first error's message and exits with 1 if there is one.
const VALIDATE: &str = r#"
import json, sys, jsonschema, yaml
schema = json.load(open(sys.argv[1]))
jsonschema.Draft202012Validator.check_schema(schema)
error = jsonschema.exceptions.best_match(jsonschema.Draft202012Validator(schema).iter_errors(yaml.safe_load(open(sys.argv[2]))))
sys.exit(error and error.message)
"#;

/// The validator's error, if any.
fn validate(schema: &serde_json::Value, yaml: &Path) -> Option<String> {
    let file = tempfile::NamedTempFile::new().expect("a temporary file");
    fs::write(file.path(), schema.to_string()).expect("writing the schema");
    let run = Command::new("python3").args(["-c", VALIDATE]).arg(file.path()).arg(yaml).output();
    let output = run.expect("python3: install the Debian packages python3-jsonschema and python3-yaml");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!said.contains("ModuleNotFoundError"), "install the Debian packages python3-jsonschema and python3-yaml");
    assert!(!said.contains("Traceback"), "{said}");
    (!output.status.success()).then_some(said)
}

#[test]
fn shipped_files_are_valid() {
    for role in kiln_profile::roles(&shipped_dir()).expect("roles") {
        assert_eq!(validate(&kiln_profile::schema(), &shipped_dir().join(format!("{role}.yaml"))), None, "{role}");
    }
    let cluster = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/roles/prod.yaml");
    assert_eq!(validate(&kiln_profile::cluster_schema(), &cluster), None, "a cluster");
    for name in ["v1.36.4.yaml", "debian-1.20.2.yaml"] {
        assert_eq!(
            validate(&kiln_profile::release_schema(), &shipped_dir().join("releases").join(name)),
            None,
            "{name}"
        );
    }
}

#[test]
fn the_schema_rejects_what_kiln_rejects_by_form() {
    let complaint = |text: &str| {
        let profiles = Profiles::worker(text);
        assert!(profiles.load().is_err(), "{text}");
        validate(&kiln_profile::schema(), &profiles.dir().join("worker.yaml")).unwrap_or_default()
    };
    assert!(complaint("kublet: {}\n").contains("'kublet' was unexpected"));
    assert!(complaint("kubelet: {conifg: {}}\n").contains("'conifg' was unexpected"));
    assert!(complaint("overlays: site\n").contains("is not of type 'array'"));
    assert!(complaint("units: {states: {a.service: enable}}\n").contains("'enable' is not"));
    assert!(complaint("groups: {etcd: -1}\n").contains("minimum"));
}

#[test]
fn the_schema_accepts_what_kiln_accepts() {
    let text = "arch: null\nkernel: {sysctls: {net.ipv4.ip_forward: 1, kernel.panic: null}, modules: {keep: null}}\n\
                components: {kubelet: required, runc: null}\nunits: {states: {a.service: null}}\nimage: null\n";
    let profiles = Profiles::worker(text);
    profiles.load().unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(validate(&kiln_profile::schema(), &profiles.dir().join("worker.yaml")), None);
}
