//! The configuration that a running kubelet, 1.20.2, shows at `/configz`: every field that is set
//! is there, and without settings it has every default that kiln knows.
//!
//! Two fields turn `/configz` off, and with a third one kubelet exits: see [`NOT_SHOWN`]. The
//! defaults of two fields for authentication and authorization need an API server: see
//! [`NOT_BY_DEFAULT`]. All other fields are tested.

use crate::kubelet_config::judge::{ask, directory};
use crate::kubelet_config::samples::valid;
use crate::kubelet_config::{MINOR, object};
use kiln_kubernetes::kubelet_config::{FIELDS, check};
use kiln_kubernetes::{Field, Type};
use serde_json::{Map, Value, json};
use std::path::Path;
use std::thread;

/// Fields that `/configz` can never show with a value other than their default, and why.
const NOT_SHOWN: [(&str, &str); 3] = [
    ("enableServer", "without a server there is no /configz"),
    ("enableDebuggingHandlers", "/configz is one of these handlers"),
    ("runOnce", "kubelet exits; kiln rejects it"),
];

/// Defaults with which a kubelet without a cluster does not start, and why.
const NOT_BY_DEFAULT: [(&str, &str); 2] = [
    ("authentication.webhook.enabled", "true needs an API server for TokenReview"),
    ("authorization.mode", "Webhook needs an API server for SubjectAccessReview"),
];

/// Fields that exclude others: each list is set in its own kubelet, and all other fields in one.
const APART: [&[&str]; 3] = [
    // Reserved CPUs exclude the control groups of reserved resources.
    &["reservedSystemCPUs", "cpuManagerPolicy", "topologyManagerPolicy"],
    // Without control groups of pods, none is enforced, and the root is the only one.
    &["cgroupsPerQOS", "cgroupRoot", "systemCgroups"],
    &["serverTLSBootstrap"],
];

/// The fields of 1.20, without `apiVersion` and `kind`.
fn fields() -> impl Iterator<Item = &'static Field> {
    FIELDS.iter().filter(|field| field.is_in(MINOR) && !["apiVersion", "kind"].contains(&field.name))
}

/// A value of `field` that is not its default, in kubelet's spelling; `directory` has a
/// certificate.
fn other(field: &Field, directory: &Path) -> Value {
    let file = |name: &str| json!(directory.join(name));
    match field.name {
        "authentication" => json!({
            "anonymous": { "enabled": true },
            "webhook": { "enabled": false, "cacheTTL": "45s" },
            "x509": { "clientCAFile": file("server.crt") },
        }),
        "authorization" => json!({
            "mode": "AlwaysAllow",
            "webhook": { "cacheAuthorizedTTL": "45s", "cacheUnauthorizedTTL": "46s" },
        }),
        "tlsCertFile" => file("server.crt"),
        "tlsPrivateKeyFile" => file("server.key"),
        "tlsCipherSuites" => json!(["TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256"]),
        "tlsMinVersion" => json!("VersionTLS12"),
        "staticPodPath" | "volumePluginDir" => json!("/mnt/other"),
        // A relative path would start at kubelet's working directory.
        "resolvConf" => json!("/mnt/resolv.conf"),
        "staticPodURL" => json!("http://127.0.0.1:1/"),
        "iptablesDropBit" => json!(6),
        // Not below 1024, where only root may listen.
        "healthzPort" => json!(10252),
        "readOnlyPort" => json!(10255),
        // A limit with which kubelet still starts.
        "maxOpenFiles" => json!(54321),
        "cgroupDriver" => json!("systemd"),
        "configMapAndSecretChangeDetectionStrategy" => json!("Get"),
        "cpuManagerPolicy" => json!("static"),
        "systemCgroups" | "kubeletCgroups" | "systemReservedCgroup" | "kubeReservedCgroup" => json!("/other"),
        "enforceNodeAllocatable" => json!(["pods", "system-reserved", "kube-reserved"]),
        "evictionHard" | "evictionSoft" => json!({ "memory.available": "12%" }),
        "evictionSoftGracePeriod" => json!({ "memory.available": "45s" }),
        "allowedUnsafeSysctls" => json!(["net.core.somaxconn"]),
        "logging" => json!({ "format": "json" }),
        "shutdownGracePeriod" => json!("1m0s"),
        "featureGates" => {
            json!({ "CustomCPUCFSQuotaPeriod": true, "GracefulNodeShutdown": true, "QOSReserved": true })
        }
        // The usual sample is the default of some fields.
        _ => match field.of {
            Type::Int(_) if field.unset(MINOR) == json!(5) => json!(7),
            Type::Bool => json!(field.unset(MINOR) == json!(false)),
            _ => valid(field, MINOR),
        },
    }
}

/// Other fields that a field of [`APART`] needs.
fn beside(field: &str) -> Value {
    match field {
        "cgroupsPerQOS" => json!({ "enforceNodeAllocatable": [] }),
        "cpuManagerPolicy" => json!({ "systemReserved": { "cpu": "1" } }),
        _ => json!({}),
    }
}

/// Whether `shown` contains everything in `set`.
fn has(shown: &Value, set: &Value) -> bool {
    match (shown, set) {
        (Value::Object(shown), Value::Object(set)) => {
            set.iter().all(|(key, value)| shown.get(key).is_some_and(|shown| has(shown, value)))
        }
        // Go omits empty lists.
        (Value::Null, Value::Array(set)) => set.is_empty(),
        _ => shown == set,
    }
}

/// The `/configz` of a kubelet with `config`. Unless that configures access, the test's requests
/// are allowed.
fn run(directory: &Path, config: &Map<String, Value>) -> Value {
    let text = |field: &str, default: &str| {
        let set = config.get(field).and_then(Value::as_str).filter(|text| !text.is_empty());
        set.unwrap_or(default).to_owned()
    };
    let port = config.get("port").and_then(Value::as_i64).unwrap_or(10250);
    let mut full = object(json!({ "apiVersion": "kubelet.config.k8s.io/v1beta1", "kind": "KubeletConfiguration" }));
    full.extend(config.clone());
    let mut flags = Vec::new();
    if !config.contains_key("authentication") {
        flags.push("--authentication-token-webhook=false".to_owned());
        flags.push(format!("--client-ca-file={}", directory.join("server.crt").display()));
    }
    if !config.contains_key("authorization") {
        flags.push("--authorization-mode=AlwaysAllow".to_owned());
    }
    let address = format!("{}:{port}", text("address", "127.0.0.1"));
    ask(directory, &address, &flags, Some(&Value::Object(full).to_string()), &text("cgroupDriver", "cgroupfs"))
}

#[test]
fn every_field_that_is_set_is_shown() {
    let is_apart = |name: &str| APART.iter().any(|names| names.contains(&name));
    let is_shown = |field: &&Field| NOT_SHOWN.iter().all(|(name, _)| *name != field.name);
    let all: Vec<&Field> = fields().filter(is_shown).collect();
    let mut groups: Vec<Vec<&Field>> = vec![all.iter().copied().filter(|field| !is_apart(field.name)).collect()];
    groups.extend(
        APART.iter().map(|names| all.iter().copied().filter(|field| names.contains(&field.name)).collect::<Vec<_>>()),
    );
    assert_eq!(groups.iter().map(Vec::len).sum::<usize>(), all.len(), "APART has an unknown field or a duplicate");
    let wrong: Vec<String> = thread::scope(|scope| {
        let runs: Vec<_> = groups.iter().map(|group| scope.spawn(|| not_shown(group))).collect();
        runs.into_iter().flat_map(|run| run.join().expect("a kubelet's answer")).collect()
    });
    for (field, why) in NOT_SHOWN {
        println!("NOT SHOWN by kubelet: {field}: {why}");
    }
    println!("{} of {} fields of 1.{MINOR} are shown as they were set", all.len(), fields().count());
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Sets `fields` in one kubelet, and returns those that are not shown as they were set.
fn not_shown(fields: &[&Field]) -> Vec<String> {
    let directory = directory();
    let mut config = Map::new();
    let mut wrong = Vec::new();
    for field in fields {
        let value = other(field, directory.path());
        if value == field.unset(MINOR) {
            wrong.push(format!("{}: {value} is the default, which shows nothing", field.name));
        }
        config.extend(object(beside(field.name)));
        config.insert(field.name.to_owned(), value);
    }
    // There is no cluster to request the certificate from.
    if config.contains_key("serverTLSBootstrap") {
        config.extend(object(json!({
            "tlsCertFile": directory.path().join("server.crt"), "tlsPrivateKeyFile": directory.path().join("server.key"),
        })));
    }
    assert_eq!(check(&config, MINOR), Ok(()), "{config:?}");
    let shown = run(directory.path(), &config);
    wrong.extend(config.iter().filter(|(name, value)| !has(&shown[name.as_str()], value)).map(|(name, value)| {
        format!("{name}: kubelet was given {value}, and shows {}", shown.get(name).unwrap_or(&Value::Null))
    }));
    wrong
}

/// Adds the paths and defaults of those `fields` that have a default to `found`.
fn defaults(fields: impl Iterator<Item = &'static Field>, path: &str, found: &mut Vec<(String, Value)>) {
    for field in fields.filter(|field| field.is_in(MINOR)) {
        let path = format!("{path}{}", field.name);
        if let Type::Object(fields) = field.of {
            defaults(fields.iter(), &format!("{path}."), found);
        } else if !field.default(MINOR).is_empty() {
            found.push((path, field.unset(MINOR)));
        }
    }
}

#[test]
fn every_default_is_what_an_empty_configuration_runs_with() {
    // Empty addresses count as not set.
    let unset = [json!({}), json!({ "address": "", "healthzBindAddress": "" })].map(object);
    let shown = thread::scope(|scope| {
        let runs = unset.each_ref().map(|config| scope.spawn(|| run(directory().path(), config)));
        runs.map(|run| run.join().expect("a kubelet's answer"))
    });
    for (config, shown) in unset.iter().zip(&shown) {
        assert_eq!(check(config, MINOR), Ok(()));
        compare_defaults(shown);
    }
}

fn compare_defaults(shown: &Value) {
    let mut ours = Vec::new();
    defaults(fields(), "", &mut ours);
    let (left, ours): (Vec<_>, Vec<_>) =
        ours.into_iter().partition(|(path, _)| NOT_BY_DEFAULT.iter().any(|(name, _)| name == path));
    assert_eq!(left.len(), NOT_BY_DEFAULT.len(), "{left:?}");
    for (path, why) in NOT_BY_DEFAULT {
        println!("NOT SHOWN by kubelet: the default of {path}: {why}");
    }
    println!("{} defaults of 1.{MINOR} compared", ours.len());
    let at = |path: &str| shown.pointer(&format!("/{}", path.replace('.', "/"))).unwrap_or(&Value::Null);
    let mut wrong: Vec<String> = ours
        .iter()
        .filter(|(path, value)| at(path) != value)
        .map(|(path, value)| format!("{path}: kiln has {value}, kubelet {}", at(path)))
        .collect();
    // Where kiln has no default, it is Go's zero value, and Go omits most of those.
    let zero = |value: &Value| match value {
        Value::Null => true,
        Value::Bool(on) => !on,
        Value::Number(number) => number.as_f64() == Some(0.0),
        Value::String(text) => ["", "0s"].contains(&text.as_str()),
        Value::Array(items) => items.is_empty(),
        Value::Object(items) => items.is_empty(),
    };
    // kubelet sets these two to the certificate that it signed itself, which is not a default.
    let without = fields().filter(|field| field.default(MINOR).is_empty() && !matches!(field.of, Type::Object(_)));
    let own = ["tlsCertFile", "tlsPrivateKeyFile"];
    wrong.extend(
        without
            .filter(|field| !own.contains(&field.name) && !zero(at(field.name)))
            .map(|field| format!("{}: kiln has no default, kubelet {}", field.name, at(field.name))),
    );
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
