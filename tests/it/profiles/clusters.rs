//! Cluster files: their effect on a node, and the errors in them and between them and a profile.

use super::Profiles;
use kiln_kubernetes::Minor;
use kiln_profile::{Overrides, Profile, ProfileError};

/// The release of the tests is Kubernetes 1.30.0.
const CLUSTER: &str = "kubernetes: 1.30.4
apiServers: [https://api.example.org:6443]
caFile: ca.crt
serviceCIDRs: [10.96.0.0/12]
podCIDRs: [10.244.0.0/16]
nodeNetworks: [192.168.0.0/20]
";

/// A certificate, of an authority or not.
fn certificate(is_ca: rcgen::IsCa) -> String {
    let key = rcgen::KeyPair::generate().expect("a key");
    let mut params = rcgen::CertificateParams::default();
    params.is_ca = is_ca;
    params.self_signed(&key).expect("signed").pem()
}

/// `worker.yaml` with the text `profile`, and `clusters/prod.yaml`.
fn profiles(profile: &str, cluster: &str) -> Profiles {
    let profiles = Profiles::worker(profile);
    profiles.write("clusters/prod.yaml", cluster);
    let authority = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    profiles.write("clusters/ca.crt", certificate(authority));
    profiles.write("clusters/server.crt", certificate(rcgen::IsCa::NoCa));
    profiles.write("clusters/ca.key", rcgen::KeyPair::generate().expect("a key").serialize_pem());
    profiles
}

fn prod() -> Overrides {
    Overrides { cluster: Some("prod".into()), ..Overrides::default() }
}

fn load(profile: &str, cluster: &str) -> Result<Profile, ProfileError> {
    profiles(profile, cluster).load_with("worker", &prod())
}

#[test]
fn a_cluster_is_what_its_file_says() {
    let cluster = load("", CLUSTER).expect("a good cluster").cluster.expect("a cluster");
    assert_eq!((cluster.name.as_str(), cluster.kubernetes.minor), ("prod", Minor::new(30)));
    assert_eq!(cluster.api_servers, ["https://api.example.org:6443"]);
    assert!(cluster.ca_certificates.starts_with("-----BEGIN CERTIFICATE-----\n"));
    assert_eq!(cluster.dns_domain, "cluster.local");
    // The names of kubeadm.
    assert_eq!(cluster.dns_addresses, ["10.96.0.10".parse::<std::net::IpAddr>().expect("an address")]);
    assert_eq!(
        (cluster.pod_cidrs[0].node_mask, cluster.pod_cidrs[0].pods(), cluster.pod_cidrs[0].nodes()),
        (24, 253, 256)
    );

    let both = CLUSTER
        .replace("10.96.0.0/12", "10.96.0.0/12, fd00:1::/108")
        .replace("10.244.0.0/16", "10.244.0.0/16, fd00:2::/48");
    let both = both + "dns: {domain: prod.example.org, addresses: [10.96.0.53, 169.254.20.10]}\nnodes: 200\n";
    let cluster = load("kubelet: {config: {clusterDNS: [169.254.20.10]}}\n", &both)
        .expect("a good cluster")
        .cluster
        .expect("a cluster");
    assert_eq!((cluster.service_cidrs.len(), cluster.pod_cidrs[1].node_mask), (2, 64));
    assert_eq!(cluster.dns_domain, "prod.example.org");
    assert!(load("", CLUSTER).is_ok() && Profiles::worker("").load().expect("a profile").cluster.is_none());
}

/// The text to replace in the file above, its replacement, and the error without
/// `clusters/prod.yaml:`.
const BAD: &[(&str, &str, &str)] = &[
    ("caFile", "caFlie", "3:1: unknown key \"caFlie\", did you mean \"caFile\"?"),
    (
        "caFile: ca.crt",
        "token: abcdef.0123456789abcdef",
        "3:1: unknown key \"token\" (valid are kubernetes, apiServers, caCertificate, caFile, serviceCIDRs, podCIDRs, nodeCIDRMaskSizeIPv4, nodeCIDRMaskSizeIPv6, nodeNetworks, nodes, dns)",
    ),
    ("kubernetes: 1.30.4", "kubernetes: v1.30", "1:13: kubernetes: \"v1.30\" is not a version such as \"1.36.4\""),
    ("kubernetes: 1.30.4\n", "", "1:1: cluster prod: \"kubernetes\" is missing"),
    ("apiServers: [https://api.example.org:6443]\n", "", "1:1: cluster prod: \"apiServers\" is missing"),
    (
        "https://api.example.org:6443",
        "api.example.org:6443",
        "2:14: apiServers: \"api.example.org:6443\" is not an https:// URL with only a host and a port, such as \"https://api.example.org:6443\"",
    ),
    (
        "https://api.example.org:6443",
        "http://api.example.org:8080",
        "2:14: apiServers: \"http://api.example.org:8080\" is not an https:// URL with only a host and a port, such as \"https://api.example.org:6443\"",
    ),
    (
        "https://api.example.org:6443",
        "https://api.example.org:6443/api",
        "2:14: apiServers: \"https://api.example.org:6443/api\" is not an https:// URL with only a host and a port, such as \"https://api.example.org:6443\"",
    ),
    (
        "https://api.example.org:6443",
        "https://api.example.org:65536",
        "2:14: apiServers: \"https://api.example.org:65536\" is not an https:// URL with only a host and a port, such as \"https://api.example.org:6443\"",
    ),
    (
        "https://api.example.org:6443",
        "https://10.96.0.1",
        "2:14: apiServers: 10.96.0.1 is in 10.96.0.0/12, and a node reaches Services and pods only after it has joined; name an address of the nodes' networks",
    ),
    ("caFile: ca.crt\n", "", "1:1: cluster prod: \"caCertificate\" (or \"caFile\") is missing"),
    (
        "ca.crt",
        "ca.key",
        "3:9: caFile: clusters/ca.key: has a private key; what is in an image is not secret; give the certificate alone",
    ),
    (
        "ca.crt",
        "server.crt",
        "3:9: caFile: clusters/server.crt: has the certificate of \"CN=rcgen self signed cert\", which is not an authority (basicConstraints without CA:TRUE), so nothing that it signs is trusted; give the authority's own, kubeadm's is /etc/kubernetes/pki/ca.crt",
    ),
    ("ca.crt", "pki/ca.crt", "3:9: caFile: reading clusters/pki/ca.crt: No such file or directory (os error 2)"),
    (
        "caFile: ca.crt",
        "caCertificate: LS0tLS1CRUdJTg==",
        "3:16: caCertificate: has no certificate (\"-----BEGIN CERTIFICATE-----\")",
    ),
    (
        "caFile: ca.crt",
        "caFile: ca.crt\ncaCertificate: x",
        "3:9: caFile: caCertificate is set as well; keep one of them",
    ),
    ("serviceCIDRs: [10.96.0.0/12]\n", "", "1:1: cluster prod: \"serviceCIDRs\" is missing"),
    (
        "https://api.example.org:6443",
        "https://localhost:6443",
        "2:14: apiServers: localhost is the node itself, not the API server; name the load balancer or each API server as all nodes reach it",
    ),
    (
        "https://api.example.org:6443",
        "'https://[::1]:6443'",
        "2:14: apiServers: ::1 is the node itself, not the API server; name the load balancer or each API server as all nodes reach it",
    ),
    (
        "10.96.0.0/12",
        "169.254.0.0/20",
        "4:16: serviceCIDRs: 169.254.0.0/20 has addresses of 169.254.0.0/16, which are link-local and are not routed; use a private network such as 10.244.0.0/16",
    ),
    (
        "10.244.0.0/16",
        "fe80::/64",
        "5:12: podCIDRs: fe80::/64 has addresses of fe80::/10, which are link-local and are not routed; use a private network such as fd00:10:244::/56",
    ),
    (
        "nodeNetworks",
        "nodes: 0\nnodeNetworks",
        "6:8: nodes: a cluster has at least one node; give the maximum number of nodes, or leave it out",
    ),
    ("10.96.0.0/12", "10.96.0.0", "4:16: serviceCIDRs: \"10.96.0.0\" is not a network such as \"10.88.0.0/16\""),
    (
        "10.96.0.0/12",
        "10.100.0.0/12",
        "4:16: serviceCIDRs: \"10.100.0.0/12\" is an address in a network, the network is \"10.96.0.0/12\"",
    ),
    (
        "10.96.0.0/12",
        "10.0.0.0/8",
        "4:16: serviceCIDRs: 10.0.0.0/8 is too large for kube-apiserver 1.30, which accepts /12 and smaller networks",
    ),
    (
        "10.96.0.0/12",
        "10.96.0.0/29",
        "4:16: serviceCIDRs: 10.96.0.0/29 has no room for the cluster's DNS, its tenth address",
    ),
    (
        "10.96.0.0/12",
        "10.96.0.0/16, 10.97.0.0/16",
        "4:30: serviceCIDRs: must be one network, or one IPv4 and one IPv6 network",
    ),
    (
        "10.96.0.0/12",
        "10.96.0.0/12, fd00::/108",
        "4:30: serviceCIDRs: there are IPv6 Services, but no IPv6 network in podCIDRs",
    ),
    (
        "10.96.0.0/12",
        "10.244.128.0/20",
        "5:12: podCIDRs: 10.244.0.0/16 overlaps 10.244.128.0/20 of serviceCIDRs; no address can belong to both",
    ),
    (
        "192.168.0.0/20",
        "10.244.0.0/24",
        "6:16: nodeNetworks: 10.244.0.0/24 overlaps 10.244.0.0/16 of podCIDRs; no address can belong to both",
    ),
    (
        "podCIDRs: [10.244.0.0/16]",
        "podCIDRs: [10.244.0.0/16]\nnodeCIDRMaskSizeIPv4: 12",
        "6:23: nodeCIDRMaskSizeIPv4: a node's part of 10.244.0.0/16 needs a prefix length from 16 to 30, not 12",
    ),
    (
        "podCIDRs: [10.244.0.0/16]",
        "podCIDRs: [10.128.0.0/10]\nnodeCIDRMaskSizeIPv4: 28",
        "6:23: nodeCIDRMaskSizeIPv4: a node's part of 10.128.0.0/10 needs a prefix length from 10 to 26, not 28",
    ),
    (
        "podCIDRs: [10.244.0.0/16]",
        "podCIDRs: [10.244.0.0/25]",
        "5:12: nodeCIDRMaskSizeIPv4: a node's part of 10.244.0.0/25 needs a prefix length from 25 to 30, not 24",
    ),
    (
        "nodeNetworks",
        "nodes: 300\nnodeNetworks",
        "6:8: nodes: 300 nodes need a /24 each, and 10.244.0.0/16 has 256; use a longer mask or a larger network",
    ),
    (
        "nodeNetworks",
        "dns: {addresses: [10.0.0.10]}\nnodeNetworks",
        "6:19: dns.addresses: 10.0.0.10 is not in the network of Services, 10.96.0.0/12, so no Service answers there; kubeadm's is 10.96.0.10",
    ),
    (
        "nodeNetworks",
        "dns: {addresses: [10.96.0.1]}\nnodeNetworks",
        "6:19: dns.addresses: 10.96.0.1 is taken: the first address of 10.96.0.0/12 is the API's Service",
    ),
    (
        "nodeNetworks",
        "dns: {addresses: [dns.example.org]}\nnodeNetworks",
        "6:19: dns.addresses: \"dns.example.org\" is not an IP address",
    ),
    (
        "nodeNetworks",
        "dns: {domain: Cluster.Local}\nnodeNetworks",
        "6:15: dns.domain: \"Cluster.Local\" is not a domain, such as \"cluster.local\"",
    ),
];

#[test]
fn bad_clusters_are_rejected_with_position_and_remedy() {
    let wrong: Vec<String> = BAD
        .iter()
        .filter_map(|(from, to, expected)| {
            assert!(CLUSTER.contains(from), "{from}");
            let error = profiles("", &CLUSTER.replacen(from, to, 1)).error_with("worker", &prod());
            let expected = format!("clusters/prod.yaml:{expected}");
            (error != expected).then(|| format!("{to:?}\n  expected {expected}\n  got      {error}"))
        })
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// The text of the profile, the replacement in the cluster file, and the complete error.
const DISAGREE: &[(&str, &str, &str, &str)] = &[
    (
        "",
        "1.30.4",
        "1.29.9",
        "profiles/base.yaml:1:10: release: kubelet 1.30.0 is newer than the API servers of cluster prod, 1.29.9; upgrade these first, or build with an older release",
    ),
    (
        "",
        "1.30.4",
        "1.34.0",
        "profiles/base.yaml:1:10: release: kubelet 1.30.0 is more than 3 minor releases older than the API servers of cluster prod, 1.34.0; build with 1.31 or later",
    ),
    (
        "kubelet: {config: {maxPods: 300}}\n",
        "",
        "",
        "profiles/worker.yaml:2:29: kubelet.config: maxPods is 300, and a node's /24 of 10.244.0.0/16 has addresses for 253 pods in cluster prod; lower maxPods or the mask",
    ),
    (
        "",
        "podCIDRs: [10.244.0.0/16]",
        "podCIDRs: [10.244.0.0/16]\nnodeCIDRMaskSizeIPv4: 26",
        "profiles/base.yaml:1:10: kubelet.config: maxPods is 110, and a node's /26 of 10.244.0.0/16 has addresses for 61 pods in cluster prod; lower maxPods or the mask",
    ),
    (
        "kubelet: {config: {clusterDNS: [10.0.0.10]}}\n",
        "",
        "",
        "profiles/worker.yaml:2:33: kubelet.config: clusterDNS: 10.0.0.10 is not in the network of Services, 10.96.0.0/12, so no Service answers there; kubeadm's is 10.96.0.10",
    ),
    (
        "kubelet:\n  config:\n    clusterDNS:\n    - 10.96.0.10\n    - 10.96.0.0\n",
        "",
        "",
        "profiles/worker.yaml:6:7: kubelet.config: clusterDNS: 10.96.0.0 is taken: the first address of 10.96.0.0/12 is the API's Service",
    ),
    (
        "kubelet: {config: {clusterDomain: other.local}}\n",
        "",
        "",
        "profiles/worker.yaml:2:35: kubelet.config: clusterDomain is \"other.local\", and cluster prod has \"cluster.local\"; leave it out",
    ),
    (
        "cni: {subnet: 10.100.0.0/16}\n",
        "",
        "",
        "profiles/worker.yaml:2:15: cni.subnet: 10.100.0.0/16 overlaps 10.96.0.0/12 of serviceCIDRs in cluster prod; use a part of the pods' network",
    ),
    (
        "cni: {subnet: 192.168.4.0/24}\n",
        "",
        "",
        "profiles/worker.yaml:2:15: cni.subnet: 192.168.4.0/24 overlaps 192.168.0.0/20 of nodeNetworks in cluster prod; use a part of the pods' network",
    ),
    (
        "cni: {subnet: 10.245.0.0/24}\n",
        "",
        "",
        "profiles/worker.yaml:2:15: cni.subnet: 10.245.0.0/24 is outside the pods' network of cluster prod, 10.244.0.0/16, where its addresses are not recognized as pods'; leave it out, and the cluster assigns each node its part",
    ),
];

/// The default was not written by a user, and is only for nodes that do not join a cluster.
#[test]
fn the_default_subnet_is_not_compared_with_a_cluster() {
    assert!(load("", &CLUSTER.replace("192.168.0.0/20", "10.88.0.0/20")).is_ok());
    let wide = CLUSTER.replace("192.168.0.0/20", "10.0.0.0/8").replace("10.96.0.0/12", "172.20.0.0/16");
    let wide = wide.replace("10.244.0.0/16", "172.16.0.0/16");
    load("", &wide).expect("a cluster that uses all of 10.0.0.0/8 for its nodes");
    load("cni: {subnet: 10.244.3.0/24}\n", CLUSTER).expect("a part of the pods' network");
}

#[test]
fn a_conflicting_profile_and_cluster_are_rejected() {
    let wrong: Vec<String> = DISAGREE
        .iter()
        .filter_map(|(profile, from, to, expected)| {
            assert!(CLUSTER.contains(from), "{from}");
            let error = profiles(profile, &CLUSTER.replacen(from, to, 1)).error_with("worker", &prod());
            (error != *expected).then(|| format!("{profile:?} {to:?}\n  expected {expected}\n  got      {error}"))
        })
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_cluster_is_named_or_a_path() {
    let profiles = profiles("", CLUSTER);
    let error =
        |name: &str| profiles.error_with("worker", &Overrides { cluster: Some(name.into()), ..Overrides::default() });
    assert_eq!(error("prd"), "--cluster: there is no cluster \"prd\", did you mean \"prod\"?");
    assert_eq!(error("./none.yaml"), "--cluster: there is no file ./none.yaml");
    let path = profiles.dir().join("../clusters/prod.yaml");
    let path = path.to_str().expect("UTF-8").to_owned();
    let loaded = profiles.load_with("worker", &Overrides { cluster: Some(path), ..Overrides::default() });
    assert_eq!(loaded.expect("a good cluster").cluster.expect("a cluster").name, "prod");
}

/// The kubelet of each minor release with the API server of each other one, against the version
/// skew policy.
#[test]
fn the_skew_is_that_of_the_policy() {
    for (kubelet, api, fits) in [
        ("1.30.0", "1.30.0", true),
        ("1.30.9", "1.30.0", true),
        ("1.30.0", "1.33.2", true),
        ("1.30.0", "1.34.0", false),
        ("1.31.0", "1.30.9", false),
        ("1.25.0", "1.28.0", true),
        ("1.24.0", "1.27.0", false),
        ("1.24.0", "1.26.0", true),
        ("1.23.0", "1.25.0", true),
    ] {
        let profiles = profiles("", &CLUSTER.replace("1.30.4", api));
        profiles.write("profiles/releases/v1.yaml", super::RELEASE.replace("1.30.0", kubelet));
        let loaded = profiles.load_with("worker", &prod());
        assert_eq!(loaded.is_ok(), fits, "kubelet {kubelet}, API server {api}: {:?}", loaded.err());
    }
}
