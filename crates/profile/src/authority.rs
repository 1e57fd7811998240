//! Whose rule it is that something in a profile breaks: where to read it up.

/// Beginning of a message, and the page or source that has the rule. The first that fits counts.
const AUTHORITIES: &[(&str, &str)] = &[
    (
        "kubelet.config: featureGates",
        "kubernetes.io: Feature Gates, and Feature Gates (removed); pkg/features of Kubernetes",
    ),
    (
        "kubelet.config: resolvConf",
        "systemd-resolved.service(8); kubernetes.io: Debugging DNS Resolution, Known issues",
    ),
    ("kubelet.config", "kubernetes.io: Kubelet Configuration (v1beta1); ValidateKubeletConfiguration of Kubernetes"),
    ("kubelet.args", "kubernetes.io: kubelet, its command line"),
    ("kubelet.labels", "kubernetes.io: NodeRestriction; Well-Known Labels, Annotations and Taints"),
    ("kubelet.taints", "kubernetes.io: Taints and Tolerations"),
    (
        "kubeProxy.config: featureGates",
        "kubernetes.io: Feature Gates, and Feature Gates (removed); pkg/features of Kubernetes",
    ),
    ("kubeProxy", "kubernetes.io: kube-proxy Configuration (v1alpha1); pkg/proxy/apis/config/validation of Kubernetes"),
    ("release: kubelet", "kubernetes.io: Version Skew Policy"),
    ("kernel.sysctls: kube-proxy", "kubernetes.io: kube-proxy Configuration (v1alpha1), conntrack"),
    ("kernel.sysctls: net.", "kernel.org: Networking, sysctl; kubernetes.io: Container Runtimes"),
    ("kernel.sysctls: \"", "sysctl.d(5)"),
    ("kernel.sysctls.", "sysctl.d(5)"),
    ("kernel.sysctls", "sysctl.d(5); pkg/kubelet/cm of Kubernetes for protectKernelDefaults"),
    ("kernel.hugePages", "kernel.org: HugeTLB Pages; kubernetes.io: Manage HugePages"),
    (
        "kernel.cmdline: \"systemd.",
        "kernel-command-line(7); NEWS of systemd 256; pkg/kubelet of Kubernetes for failCgroupV1",
    ),
    ("kernel.cmdline", "kernel.org: The kernel's command-line parameters; kernel-command-line(7)"),
    ("kernel.modules", "modules-load.d(5), modprobe(8)"),
    ("containerdSeries", "containerd.io: RELEASES.md, Kubernetes Support"),
    ("containerd: ", "containerd.io: RELEASES.md, Kubernetes Support"),
    ("containerd", "containerd.io: docs/cri/config.md, docs/hosts.md"),
    ("cri: ", "kubernetes.io: Container Runtimes, Docker Engine; mirantis.github.io: cri-dockerd"),
    ("cni", "cni.dev: Specification; plugins/main/bridge of containernetworking"),
    ("units.add", "systemd.syntax(7), systemd.unit(5), systemd.service(5)"),
    (
        "units.states: systemd-resolved",
        "systemd-resolved.service(8); kubernetes.io: Debugging DNS Resolution, Known issues",
    ),
    ("units", "systemd.unit(5), systemctl(1)"),
    ("users", "sysusers.d(5), passwd(5)"),
    ("groups", "sysusers.d(5), group(5)"),
    ("alternatives", "update-alternatives(1)"),
    ("diversions", "dpkg-divert(1)"),
    ("debian", "sources.list(5), deb-version(7), Debian Policy 7.1"),
    ("apiServers", "kubernetes.io: kubeadm Configuration (v1beta4), controlPlaneEndpoint"),
    ("caFile", "RFC 5280, 4.2.1; kubernetes.io: PKI certificates and requirements"),
    ("caCertificate", "RFC 5280, 4.2.1; kubernetes.io: PKI certificates and requirements"),
    ("serviceCIDRs", "kubernetes.io: kube-apiserver, --service-cluster-ip-range"),
    ("podCIDRs", "kubernetes.io: kube-controller-manager, --cluster-cidr"),
    ("nodeCIDRMaskSize", "kubernetes.io: kube-controller-manager, --node-cidr-mask-size"),
    ("nodeNetworks", "kubernetes.io: Cluster Networking"),
    ("nodes: ", "kubernetes.io: kube-controller-manager, --node-cidr-mask-size"),
    ("dns", "kubernetes.io: DNS for Services and Pods"),
    ("kubernetes", "kubernetes.io: Release Versioning"),
];

/// What says that `text`, the message about something in a profile, is so; nothing when it is a rule of kiln's own.
pub(crate) fn of(text: &str) -> Option<&'static str> {
    // These are about how profiles are written, whatever the key is for.
    if [": unknown key ", ": unknown value ", ": expected ", "is missing"].iter().any(|own| text.contains(own)) {
        return None;
    }
    AUTHORITIES.iter().find(|(beginning, _)| text.starts_with(beginning)).map(|(_, authority)| *authority)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_narrowest_beginning_comes_first() {
        for (at, (beginning, _)) in AUTHORITIES.iter().enumerate() {
            let hidden = AUTHORITIES[..at].iter().find(|(earlier, _)| beginning.starts_with(earlier));
            assert!(hidden.is_none(), "{beginning} is never found behind {hidden:?}");
        }
        let gates = of("kubelet.config: featureGates.A is no gate");
        assert!(gates.is_some_and(|rule| rule.starts_with("kubernetes.io: Feature Gates")));
        assert!(of("kubelet.config: maxPods is -1").is_some_and(|rule| rule.contains("v1beta1")));
        assert_eq!(of("kubelet: unknown key \"conifg\""), None);
    }
}
