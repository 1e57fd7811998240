//! Why the shipped roles set their sysctls: a person who reads the file on a node does not have the
//! profile.

/// Settings of the shipped roles, each with its reason, sorted.
const REASONS: &[(&str, &str)] = &[
    (
        "fs.inotify.max_user_instances",
        "every pod that watches files takes an instance; the default of 128 is soon used up",
    ),
    ("fs.inotify.max_user_watches", "file watchers of development servers and test runners watch whole trees"),
    ("kernel.core_pattern", "a pod that crashes again and again would fill the disk with core files"),
    (
        "kernel.keys.root_maxbytes",
        "kubelet demands it under protectKernelDefaults: each container takes a keyring of root's",
    ),
    (
        "kernel.keys.root_maxkeys",
        "kubelet demands it under protectKernelDefaults: each container takes a keyring of root's",
    ),
    ("kernel.numa_balancing", "memory is taken from where the card is attached; the kernel is not to move it away"),
    ("kernel.panic", "kubelet demands it under protectKernelDefaults: a node that panics reboots"),
    ("kernel.panic_on_oops", "kubelet demands it under protectKernelDefaults: a kernel that erred is not to go on"),
    ("net.bridge.bridge-nf-call-ip6tables", "packets between pods on one bridge pass ip6tables, where Services are"),
    ("net.bridge.bridge-nf-call-iptables", "packets between pods on one bridge pass iptables, where Services are"),
    ("net.core.netdev_max_backlog", "a burst of packets waits instead of being dropped"),
    ("net.core.somaxconn", "a burst of new connections waits instead of being refused"),
    ("net.ipv4.ip_forward", "pods' packets are routed"),
    ("net.ipv4.ip_local_port_range", "a connection to a pod needs a port of this range"),
    (
        "net.ipv4.ip_local_reserved_ports",
        "no outgoing connection takes a port of kubelet's, the control plane's or a Service's",
    ),
    ("net.ipv4.tcp_fin_timeout", "ended connections leave their ports sooner"),
    ("net.ipv4.tcp_max_syn_backlog", "a burst of new connections waits instead of being dropped"),
    ("net.ipv6.conf.all.forwarding", "pods' packets are routed"),
    ("net.netfilter.nf_conntrack_max", "every connection is two entries, one to the proxy and one from it"),
    (
        "net.netfilter.nf_conntrack_tcp_timeout_close_wait",
        "an entry of a connection that nobody ends is not kept for long",
    ),
    (
        "net.netfilter.nf_conntrack_tcp_timeout_established",
        "an entry of a client that went away silently is kept for an hour, not for five days",
    ),
    ("user.max_user_namespaces", "each build is a user namespace of its own"),
    (
        "vm.dirty_background_ratio",
        "when writing to the disk begins: early beside etcd, whose fsync would wait, late where jobs' files are short-lived",
    ),
    (
        "vm.dirty_ratio",
        "how much of what was written may wait in memory: little beside etcd, much where jobs' files are short-lived",
    ),
    ("vm.max_map_count", "databases, stores of metrics and frameworks map their files by the thousand"),
    ("vm.overcommit_memory", "kubelet demands it under protectKernelDefaults: requests and limits say who gets memory"),
    (
        "vm.panic_on_oom",
        "kubelet demands it under protectKernelDefaults: a pod that is out of memory is not the end of the node",
    ),
];

/// Returns why a shipped role sets `name`; `None` for a setting that only a site uses.
pub(super) fn reason(name: &str) -> Option<&'static str> {
    REASONS.iter().find(|(of, _)| *of == name).map(|(_, reason)| *reason)
}

#[cfg(test)]
mod tests {
    use super::*;
    use kiln_profile::{Arch, Overrides};
    use std::collections::BTreeSet;
    use std::path::Path;

    /// No setting lacks a reason, and no reason is for a setting that is no longer used.
    #[test]
    fn every_setting_of_a_shipped_role_has_a_reason() {
        let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../profiles");
        let mut set = BTreeSet::new();
        for role in kiln_profile::roles(&dir).expect("roles").iter().filter(|role| *role != "base") {
            let loaded =
                kiln_profile::load(&dir, role, &Overrides::default(), Some(Path::new("/home/user")), Arch::Amd64);
            set.extend(loaded.expect("a shipped role").kernel.sysctls.into_keys());
        }
        let reasons: Vec<&str> = REASONS.iter().map(|(name, _)| *name).collect();
        assert_eq!(set.iter().map(String::as_str).collect::<Vec<_>>(), reasons);
        assert!(REASONS.iter().all(|(_, reason)| !reason.is_empty() && !reason.contains('\n')));
    }
}
