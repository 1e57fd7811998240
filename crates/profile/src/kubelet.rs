//! Kubelet settings that kiln chooses for every node, shared by the checks, the renderers and the
//! import.

use kiln_agent::paths::CA_FILE;
use serde_json::{Map, Value, json};

/// Directory of kubelet's configuration drop-ins, files whose names end in `.conf`: the example of
/// Kubernetes' documentation.
pub const DROP_INS: &str = "etc/kubernetes/kubelet.conf.d";
/// Files with an operator's flags: that of kubeadm's deb, and that of its rpm, which takes
/// precedence.
pub const ENVIRONMENT_FILES: [&str; 2] = ["etc/default/kubelet", "etc/sysconfig/kubelet"];
/// The variable in them.
pub const EXTRA_ARGS: &str = "KUBELET_EXTRA_ARGS";

/// The file in which systemd-resolved lists its upstream servers. Pods cannot reach its stub on
/// 127.0.0.53, which `/etc/resolv.conf` names.
pub const RESOLV_CONF: &str = "/run/systemd/resolve/resolv.conf";
/// kubelet creates this directory; its default is below /usr, which is read-only.
pub const VOLUME_PLUGINS: &str = "/var/lib/kubelet/volumeplugins";
/// systemd owns the tree of control groups, and the container runtime is configured accordingly.
pub const CGROUP_DRIVER: &str = "systemd";

/// kubeadm's default network of Services.
pub const KUBEADM_SERVICES: &str = "10.96.0.0/12";
/// The cluster's DNS in that network, its tenth address.
pub const KUBEADM_DNS: &str = "10.96.0.10";
/// kubeadm's default DNS domain of the cluster.
pub const KUBEADM_DOMAIN: &str = "cluster.local";

/// Checks that kubelet and the container runtime agree on who owns the control groups. If they do
/// not, kubelet starts, but no pod does.
///
/// # Errors
/// What is wrong with `driver`, the value of `cgroupDriver`.
pub fn cgroup_driver(driver: &Value) -> Result<(), String> {
    match driver == CGROUP_DRIVER {
        true => Ok(()),
        false => Err(format!("must be {CGROUP_DRIVER}, as the container runtime's is")),
    }
}

/// Fields that kubeadm adds to every node's configuration unless they are set, by path. The cgroup
/// driver, which not all releases add, is not among them.
pub fn of_kubeadm(dns: Value, domain: &str) -> [(&'static str, Value); 10] {
    [
        ("authentication.anonymous.enabled", json!(false)),
        ("authentication.webhook.enabled", json!(true)),
        ("authentication.x509.clientCAFile", json!(CA_FILE)),
        ("authorization.mode", json!("Webhook")),
        ("clusterDNS", dns),
        ("clusterDomain", json!(domain)),
        ("healthzBindAddress", json!("127.0.0.1")),
        ("healthzPort", json!(10248)),
        ("rotateCertificates", json!(true)),
        ("staticPodPath", json!("/etc/kubernetes/manifests")),
    ]
}

/// Further fields that an immutable node needs, by path.
fn of_kiln() -> [(&'static str, Value); 3] {
    [
        ("cgroupDriver", json!(CGROUP_DRIVER)),
        ("resolvConf", json!(RESOLV_CONF)),
        ("volumePluginDir", json!(VOLUME_PLUGINS)),
    ]
}

/// The paths of all fields that every node's configuration has, regardless of the profile, sorted.
pub fn rendered() -> Vec<&'static str> {
    let all = of_kubeadm(Value::Null, "").into_iter().chain(of_kiln());
    let mut paths: Vec<_> = all.map(|(path, _)| path).collect();
    paths.sort_unstable();
    paths
}

/// The configuration of a node whose profile sets nothing, with the cluster's DNS.
pub fn defaults(dns: Value, domain: &str) -> Map<String, Value> {
    let mut config = Map::new();
    for (path, value) in of_kubeadm(dns, domain).into_iter().chain(of_kiln()) {
        *slot(&mut config, path) = value;
    }
    config
}

/// The value at `path`, created when it does not exist.
pub(crate) fn slot<'a>(config: &'a mut Map<String, Value>, path: &str) -> &'a mut Value {
    match path.split_once('.') {
        None => config.entry(path).or_insert(Value::Null),
        Some((first, rest)) => {
            let inner = config.entry(first).or_insert(Value::Null);
            if !inner.is_object() {
                *inner = Value::Object(Map::new());
            }
            match inner {
                Value::Object(inner) => slot(inner, rest),
                // It is an object.
                other => other,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ipnet::IpNet;
    use kiln_kubernetes::{Minor, NEWEST, kubelet_config};

    #[test]
    fn every_kubelet_accepts_the_defaults() {
        let config = defaults(json!([KUBEADM_DNS]), KUBEADM_DOMAIN);
        for minor in [Minor::new(20), NEWEST] {
            assert_eq!(kubelet_config::check(&config, minor), Ok(()));
        }
        assert_eq!(cgroup_driver(&config["cgroupDriver"]), Ok(()));
        assert!(cgroup_driver(&json!("cgroupfs")).is_err());
    }

    #[test]
    fn the_dns_of_kubeadm_is_the_tenth_address_of_its_services() {
        let services: IpNet = KUBEADM_SERVICES.parse().expect("a network");
        assert_eq!(services.hosts().nth(9).map(|address| address.to_string()).as_deref(), Some(KUBEADM_DNS));
    }
}
