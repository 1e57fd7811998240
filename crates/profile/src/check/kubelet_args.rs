//! Values of kubelet's flags: kubelet exits when one is invalid.
//!
//! Sources: `cmd/kubelet/app/options`, `cmd/kubelet/app/server.go` and
//! `pkg/credentialprovider/plugin` of Kubernetes.

use super::super::key::fields;
use super::super::place::{At, Fault};
use super::super::raw::Map;
use super::names;
use kiln_agent::{addresses, flags};
use kiln_kubernetes::{Minor, NO_CLOUD_PROVIDERS_SINCE};

/// Sources of registry credentials: a file, and the directory of the programs that it names.
const CREDENTIALS: [&str; 2] = ["image-credential-provider-config", "image-credential-provider-bin-dir"];

/// Checks the value of one flag, for Kubernetes 1.`minor`; the error follows the flag's name.
pub(super) fn value(flag: &str, value: &str, minor: Minor) -> Result<(), String> {
    let wrong = |what: &str| Err(format!("{value:?} is not {what}"));
    if value.chars().any(char::is_control) {
        return Err(format!("{:?} contains a control character", names::short(value)));
    }
    if !flags::is_passable(value) {
        return Err(format!("{:?} {}", names::short(value), flags::NOT_PASSABLE));
    }
    match flag {
        "v" if value.parse::<u16>().is_err() => wrong("a whole number"),
        "cloud-provider" if !minor.has_cloud_providers() && !["", "external"].contains(&value) => wrong(&format!(
            "\"external\": kubelet has had no cloud providers since Kubernetes 1.{NO_CLOUD_PROVIDERS_SINCE}"
        )),
        "node-ip" => addresses::node_ip(value),
        _ if CREDENTIALS.contains(&flag) && !value.starts_with('/') => wrong("an absolute path"),
        _ => Ok(()),
    }
}

/// Checks flags that need another flag.
pub(super) fn together(raw: &Map<At<String>>) -> Result<(), Fault> {
    let given = |flag: &str| raw.iter().find(|(key, _)| key.value == flag);
    for (flag, other) in [(CREDENTIALS[0], CREDENTIALS[1]), (CREDENTIALS[1], CREDENTIALS[0])] {
        if let (Some((key, _)), None) = (given(flag), given(other)) {
            return Err(key.fault_of(fields::KUBELET_ARGS, format!("{flag} needs {other}")));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_that_kubelet_rejects_are_rejected() {
        let good =
            [("v", "2"), ("node-ip", "0.0.0.0"), ("node-ip", "10.0.0.1,fd00::1"), ("cloud-provider", "external")];
        for (flag, text) in good {
            assert_eq!(value(flag, text, Minor::new(36)), Ok(()), "{flag}");
        }
        let bad = [
            ("v", "two"),
            ("node-ip", "eth0"),
            ("node-ip", "10.0.0.1,10.0.0.2"),
            ("cloud-provider", "aws"),
            ("vmodule", "a b"),
        ];
        for (flag, text) in bad {
            assert!(value(flag, text, Minor::new(36)).is_err(), "{flag}");
        }
        assert_eq!(value("cloud-provider", "aws", Minor::new(28)), Ok(()));
    }
}
