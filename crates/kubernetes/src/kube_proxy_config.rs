//! `KubeProxyConfiguration` of `kubeproxy.config.k8s.io/v1alpha1`, from Kubernetes 1.20 to 1.36.
//!
//! Sources: `config/v1alpha1/types.go` of k8s.io/kube-proxy, in each release branch, for names,
//! types and first release; `pkg/proxy/apis/config` of Kubernetes for defaults and ranges; the
//! changelogs for modes.
//!
//! kube-proxy decodes this version leniently, like kubelet: for an unknown field, it only logs a
//! warning.

use super::kubelet_config::LOGGING;
use super::lookup::text;
use super::schema::{Field, Misfit, Step, Type, check_object, is_network, remove_unknown};
use super::{Duration, Minor, component_base, feature_gates, parse_duration};
use Type::{Address, Bool, Int, List, Map, Network, Object, Path, Rate, Socket, Text, Word};
use ipnet::IpNet;
use serde_json::{Map as JsonMap, Value};

/// How kube-proxy implements Services.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// With iptables rules: the default.
    IpTables,
    /// With the kernel's load balancer, IPVS.
    Ipvs,
    /// With nftables rules.
    NfTables,
}

impl Mode {
    /// The mode in `config`, which must have been checked.
    pub fn of(config: &JsonMap<String, Value>) -> Self {
        match text(config, "mode") {
            "ipvs" => Self::Ipvs,
            "nftables" => Self::NfTables,
            _ => Self::IpTables,
        }
    }

    /// The Debian packages of the programs that kube-proxy calls; iptables and conntrack are on
    /// every node.
    pub fn packages(self) -> &'static [&'static str] {
        match self {
            Self::IpTables => &["iptables"],
            Self::Ipvs => &["ipset", "iptables"],
            Self::NfTables => &["nftables"],
        }
    }

    /// Kernel modules that `config` needs in this mode: kube-proxy checks that they are there
    /// before it loads one.
    pub fn modules(self, config: &JsonMap<String, Value>) -> Vec<String> {
        let scheduler = config.get("ipvs").and_then(|ipvs| ipvs.get("scheduler")).and_then(Value::as_str);
        let names: &[&str] = match self {
            Self::IpTables => &["nf_conntrack"],
            Self::Ipvs => &["nf_conntrack", "ip_set", "ip_vs", "ip_vs_rr", "ip_vs_wrr", "ip_vs_sh"],
            Self::NfTables => &["nf_conntrack", "nf_tables"],
        };
        let scheduler =
            scheduler.filter(|name| self == Self::Ipvs && !name.is_empty()).map(|name| format!("ip_vs_{name}"));
        names.iter().map(ToString::to_string).chain(scheduler).collect()
    }
}

/// Checks the fields of a `KubeProxyConfiguration` like kube-proxy of Kubernetes 1.`minor`, but
/// more strictly.
///
/// # Errors
/// The first [`Misfit`].
pub fn check(config: &JsonMap<String, Value>, minor: Minor) -> Result<(), Misfit> {
    check_object(FIELDS, config, minor, &mut Vec::new())?;
    mode(config, minor)?;
    local_traffic(config, minor)?;
    cluster_cidr(config, minor)?;
    port_range(config)?;
    node_ports(config, minor)?;
    component_base::check(config, minor)?;
    feature_gates::check(config, minor, "kube-proxy")?;
    ["iptables", "ipvs", "nftables"].into_iter().try_for_each(|name| sync_periods(config, name))
}

/// Whether kube-proxy of Kubernetes 1.`minor` with `config` implements Services of both address
/// families; otherwise only those of its node's family.
pub fn is_dual_stack(config: &JsonMap<String, Value>, minor: Minor) -> bool {
    feature_gates::enabled(config, DUAL_STACK, minor)
}

/// Removes the fields that kube-proxy of Kubernetes 1.`minor` would ignore from `config`, and
/// returns them.
pub fn remove_ignored(config: &mut JsonMap<String, Value>, minor: Minor) -> Vec<Misfit> {
    let mut removed = Vec::new();
    remove_unknown(FIELDS, config, minor, &mut Vec::new(), &mut removed);
    removed
}

/// On by default since 1.21, and GA since 1.23.
const DUAL_STACK: &str = "IPv6DualStack";
const SECOND: Duration = 1_000_000_000;
const DURATION: Type = Type::Duration(0..=Duration::MAX);
const AT_LEAST_0: Type = Int(0..=i32::MAX as i64);
const BIT: Type = Int(0..=31);

const fn f(name: &'static str, of: Type, default: &'static str) -> Field {
    Field::new(name, of, default)
}

/// All fields. In most durations, zero stands for the default.
pub const FIELDS: &[Field] = &[
    f("apiVersion", Word(&["kubeproxy.config.k8s.io/v1alpha1"]), ""),
    f("kind", Word(&["KubeProxyConfiguration"]), ""),
    f("featureGates", Map(&[], &Bool), ""),
    f("clientConnection", Object(CLIENT_CONNECTION), ""),
    f("logging", Object(LOGGING), "").since(28),
    f("hostnameOverride", Text, ""),
    f("bindAddress", Address, r#""0.0.0.0""#),
    f("healthzBindAddress", Socket, r#""0.0.0.0:10256""#),
    f("metricsBindAddress", Socket, r#""127.0.0.1:10249""#),
    f("bindAddressHardFail", Bool, ""),
    f("enableProfiling", Bool, ""),
    f("showHiddenMetricsForVersion", Text, ""),
    f("mode", Word(&["", "userspace", "iptables", "ipvs", "nftables"]), r#""iptables""#),
    f("iptables", Object(IPTABLES), ""),
    f("ipvs", Object(IPVS), ""),
    f("nftables", Object(NFTABLES), "").since(29),
    f(
        "detectLocalMode",
        Word(&["", "ClusterCIDR", "NodeCIDR", "BridgeInterface", "InterfaceNamePrefix"]),
        r#""ClusterCIDR""#,
    ),
    f("detectLocal", Object(&[f("bridgeInterface", Text, ""), f("interfaceNamePrefix", Text, "")]), "").since(24),
    f("clusterCIDR", Text, ""),
    f("nodePortAddresses", List(&Text), ""),
    f("oomScoreAdj", Int(-1000..=1000), "-999"),
    f("conntrack", Object(CONNTRACK), ""),
    f("configSyncPeriod", DURATION, r#""15m0s""#),
    f("udpIdleTimeout", DURATION, r#""250ms""#).until(26),
    // Used by the userspace mode only.
    f("portRange", Text, ""),
    // For Windows, but in every configuration that kubeadm or `--write-config-to` writes.
    f("winkernel", Object(WINKERNEL), ""),
    f("windowsRunAsService", Bool, "").since(31),
];

const CLIENT_CONNECTION: &[Field] = &[
    f("kubeconfig", Path, ""),
    f("acceptContentTypes", Text, ""),
    f("contentType", Text, r#""application/vnd.kubernetes.protobuf""#),
    f("qps", Rate, "5"),
    f("burst", AT_LEAST_0, "10"),
];

const IPTABLES: &[Field] = &[
    f("masqueradeBit", BIT, "14"),
    f("masqueradeAll", Bool, ""),
    f("localhostNodePorts", Bool, "true").since(26),
    f("syncPeriod", DURATION, r#""30s""#),
    f("minSyncPeriod", DURATION, r#""1s""#),
];

const IPVS: &[Field] = &[
    f("syncPeriod", DURATION, r#""30s""#),
    f("minSyncPeriod", DURATION, ""),
    f("scheduler", Word(SCHEDULERS), r#""rr""#),
    f("excludeCIDRs", List(&Network), ""),
    f("strictARP", Bool, ""),
    f("tcpTimeout", DURATION, ""),
    f("tcpFinTimeout", DURATION, ""),
    f("udpTimeout", DURATION, ""),
];

/// The IPVS schedulers that kube-proxy accepts; each is in the kernel module `ip_vs_NAME`.
const SCHEDULERS: &[&str] = &["", "rr", "wrr", "lc", "wlc", "lblc", "lblcr", "sh", "dh", "sed", "nq"];

const NFTABLES: &[Field] = &[
    f("masqueradeBit", BIT, "14"),
    f("masqueradeAll", Bool, ""),
    f("syncPeriod", DURATION, r#""30s""#),
    f("minSyncPeriod", DURATION, r#""1s""#),
];

const WINKERNEL: &[Field] = &[
    f("networkName", Text, ""),
    f("sourceVip", Text, ""),
    f("enableDSR", Bool, ""),
    f("rootHnsEndpointName", Text, "").since(24),
    f("forwardHealthCheckVip", Bool, "").since(24),
];

const CONNTRACK: &[Field] = &[
    f("maxPerCore", AT_LEAST_0, "32768"),
    f("min", AT_LEAST_0, "131072"),
    f("tcpEstablishedTimeout", DURATION, r#""24h0m0s""#),
    f("tcpCloseWaitTimeout", DURATION, r#""1h0m0s""#),
    f("tcpBeLiberal", Bool, "").since(29),
    f("udpTimeout", DURATION, "").since(29),
    f("udpStreamTimeout", DURATION, "").since(29),
];

/// Checks that the release has the mode: kube-proxy exits otherwise.
fn mode(config: &JsonMap<String, Value>, minor: Minor) -> Result<(), Misfit> {
    const GATE: &str = "NFTablesProxyMode";
    let gate = config.get("featureGates").and_then(|gates| gates.get(GATE)).and_then(Value::as_bool);
    match text(config, "mode") {
        "userspace" if minor.is_since(26) => {
            Err(Misfit::at("mode", "is userspace, which was removed in Kubernetes 1.26; use iptables"))
        }
        "nftables" if minor.is_before(29) => Err(Misfit::at(
            "mode",
            format!("is nftables, which was added in Kubernetes 1.29, and this is 1.{minor}; use iptables"),
        )),
        "nftables" if minor.is_before(31) && gate != Some(true) => {
            Err(Misfit::at("mode", format!("is nftables, which needs \"featureGates: {{{GATE}: true}}\" until 1.31")))
        }
        _ => Ok(()),
    }
}

/// Checks the two ways of detecting local traffic that were added after the field; both need the
/// interface to look for.
fn local_traffic(config: &JsonMap<String, Value>, minor: Minor) -> Result<(), Misfit> {
    let by = text(config, "detectLocalMode");
    let field = match by {
        "BridgeInterface" => "bridgeInterface",
        "InterfaceNamePrefix" => "interfaceNamePrefix",
        _ => return Ok(()),
    };
    if minor.is_before(24) {
        return Err(Misfit::at(
            "detectLocalMode",
            format!("is {by}, which was added in Kubernetes 1.24, and this is 1.{minor}"),
        ));
    }
    match config.get("detectLocal").and_then(|detect| detect.get(field)).and_then(Value::as_str) {
        None | Some("") => Err(Misfit::at("detectLocalMode", format!("is {by}, which needs detectLocal.{field}"))),
        Some(_) => Ok(()),
    }
}

/// Checks the pods' networks: one; or one of each family, separated by a comma, if kube-proxy
/// implements Services of both.
fn cluster_cidr(config: &JsonMap<String, Value>, minor: Minor) -> Result<(), Misfit> {
    let cidrs = text(config, "clusterCIDR");
    let parts = if cidrs.is_empty() { vec![] } else { cidrs.split(',').collect() };
    let networks: Vec<IpNet> = parts.iter().filter_map(|part| part.parse().ok()).collect();
    let both = matches!(networks[..], [IpNet::V4(_), IpNet::V6(_)] | [IpNet::V6(_), IpNet::V4(_)]);
    let why = match parts.len() {
        count if count > 2 || networks.len() < count => {
            "must be a network such as \"10.244.0.0/16\", or one of IPv4 and one of IPv6, separated by a comma"
                .to_owned()
        }
        2 if !both => "has two networks of one family; leave one out, or give one of IPv4 and one of IPv6".to_owned(),
        2 if !is_dual_stack(config, minor) => format!(
            "has two networks, and kube-proxy 1.{minor} accepts one unless \"featureGates: {{{DUAL_STACK}: true}}\"; set that, or leave one out"
        ),
        _ => return Ok(()),
    };
    Err(Misfit::at("clusterCIDR", why))
}

/// Checks the addresses of node ports: networks; or `primary`, the node's own address.
fn node_ports(config: &JsonMap<String, Value>, minor: Minor) -> Result<(), Misfit> {
    const FIELD: &str = "nodePortAddresses";
    let entries = config.get(FIELD).and_then(Value::as_array).into_iter().flatten();
    let entries: Vec<&str> = entries.filter_map(Value::as_str).collect();
    match entries.iter().position(|entry| !is_network(entry)) {
        None => Ok(()),
        Some(0) if entries == ["primary"] && minor.is_since(30) => Ok(()),
        Some(index) => {
            let why = format!(
                "is {:?}, and must be a network such as \"192.168.0.0/16\" (since 1.30, also \"primary\" alone)",
                entries[index]
            );
            Err(Misfit { path: vec![Step::Key(FIELD.to_owned()), Step::Index(index)], name: false, why })
        }
    }
}

/// Checks a range of ports: `30000-32767`, or the first port and a number of ports, `30000+100`.
fn port_range(config: &JsonMap<String, Value>) -> Result<(), Misfit> {
    let range = text(config, "portRange");
    let number = |text: &str| text.parse::<u16>().ok();
    let first_and_last = range.split_once('-').and_then(|(first, last)| number(first).zip(number(last)));
    let first_and_size = range.split_once('+').and_then(|(first, size)| number(first).zip(number(size)));
    match (range, first_and_last, first_and_size) {
        ("", ..) | (_, _, Some(_)) => Ok(()),
        (_, Some((first, last)), _) if first <= last => Ok(()),
        _ => Err(Misfit::at("portRange", "must be a range of ports such as \"30000-32767\"")),
    }
}

fn sync_periods(config: &JsonMap<String, Value>, name: &str) -> Result<(), Misfit> {
    let Some(of) = config.get(name).and_then(Value::as_object) else { return Ok(()) };
    let period = |field: &str, default: Duration| match parse_duration(text(of, field)) {
        None | Some(0) => default,
        Some(period) => period,
    };
    if period("minSyncPeriod", 0) <= period("syncPeriod", 30 * SECOND) {
        return Ok(());
    }
    let path = vec![Step::Key(name.to_owned()), Step::Key("minSyncPeriod".to_owned())];
    Err(Misfit { path, name: false, why: "must not be longer than syncPeriod (30s unless set)".to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn verdict(config: Value, minor: u32) -> Option<String> {
        check(config.as_object().expect("an object"), Minor::new(minor)).err().map(|misfit| misfit.to_string())
    }

    #[test]
    fn modes_are_accepted_in_the_releases_that_have_them() {
        let mode = |mode: &str, minor| verdict(json!({ "mode": mode }), minor).is_none();
        assert!(mode("iptables", 20) && mode("ipvs", 20) && mode("userspace", 25) && mode("nftables", 31));
        assert!(!mode("userspace", 26) && !mode("nftables", 28) && !mode("nftables", 30) && !mode("ebpf", 36));
        assert_eq!(verdict(json!({ "mode": "nftables", "featureGates": { "NFTablesProxyMode": true } }), 29), None);
    }

    #[test]
    fn fields_that_need_others_are_checked() {
        assert!(verdict(json!({ "nodePortAddresses": ["primary"] }), 29).is_some());
        assert_eq!(verdict(json!({ "nodePortAddresses": ["primary"] }), 30), None);
        assert!(verdict(json!({ "nodePortAddresses": ["10.0.0.0/8", "primary"] }), 36).is_some());
        assert_eq!(
            verdict(json!({ "detectLocalMode": "BridgeInterface" }), 36).as_deref(),
            Some("detectLocalMode is BridgeInterface, which needs detectLocal.bridgeInterface")
        );
        let bridge = json!({ "detectLocalMode": "BridgeInterface", "detectLocal": { "bridgeInterface": "cbr0" } });
        assert_eq!(verdict(bridge, 36), None);
    }

    #[test]
    fn two_networks_must_be_one_of_each_family() {
        let cidr = |cidr: &str, gates: Value, minor| {
            verdict(json!({ "clusterCIDR": cidr, "featureGates": gates }), minor).unwrap_or_default()
        };
        let both = "10.244.0.0/16,fd00::/48";
        let on = || json!({ "IPv6DualStack": true });
        assert!(
            cidr(both, json!({}), 20).contains("kube-proxy 1.20 accepts one unless \"featureGates: {IPv6DualStack")
        );
        assert!(cidr(both, json!({ "IPv6DualStack": false }), 22).contains("accepts one unless"));
        for (gates, minor) in [(on(), 20), (json!({ "AllAlpha": true }), 20), (json!({}), 21), (json!({}), 36)] {
            assert_eq!(cidr(both, gates, minor), "", "1.{minor}");
        }
        assert!(cidr("10.0.0.0/16,10.1.0.0/16", on(), 20).contains("two networks of one family"));
        for none in ["10.244.0.0", "10.244.0.0/16,", "fd00::/48,10.244.0.0/16,fd01::/48", "10.244.0.0/16, fd00::/48"] {
            assert!(cidr(none, on(), 20).contains("must be a network"), "{none}");
        }
        assert_eq!(cidr("", json!({}), 20), "");
    }

    #[test]
    fn modules_depend_on_the_mode() {
        let modules = |config: Value| {
            let config = config.as_object().cloned().expect("an object");
            Mode::of(&config).modules(&config).join(" ")
        };
        assert_eq!(modules(json!({})), "nf_conntrack");
        assert_eq!(
            modules(json!({ "mode": "ipvs", "ipvs": { "scheduler": "lc" } })),
            "nf_conntrack ip_set ip_vs ip_vs_rr ip_vs_wrr ip_vs_sh ip_vs_lc"
        );
        assert_eq!(modules(json!({ "mode": "nftables", "ipvs": { "scheduler": "lc" } })), "nf_conntrack nf_tables");
    }
}
