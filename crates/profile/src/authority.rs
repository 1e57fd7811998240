//! Sources of the rules that a profile must follow: where to read them.
//!
//! Most belong to a key, see [`fields`](mod@super::key::fields); an error that breaks a different
//! rule carries that rule.

pub(crate) const ALTERNATIVES: &str = "update-alternatives(1)";
pub(crate) const API_SERVERS: &str = "kubernetes.io: kubeadm Configuration (v1beta4), controlPlaneEndpoint";
pub(crate) const CERTIFICATES: &str = "RFC 5280, 4.2.1; kubernetes.io: PKI certificates and requirements";
pub(crate) const CGROUP_V1: &str =
    "kernel-command-line(7); NEWS of systemd 256; pkg/kubelet of Kubernetes for failCgroupV1";
pub(crate) const CMDLINE: &str = "kernel.org: The kernel's command-line parameters; kernel-command-line(7)";
pub(crate) const CNI: &str = "cni.dev: Specification; plugins/main/bridge of containernetworking";
pub(crate) const CONNTRACK: &str = "kubernetes.io: kube-proxy Configuration (v1alpha1), conntrack";
pub(crate) const CONTAINERD: &str = "containerd.io: docs/cri/config.md, docs/hosts.md";
pub(crate) const CONTAINERD_SERIES: &str = "containerd.io: RELEASES.md, Kubernetes Support";
pub(crate) const CRI: &str = "kubernetes.io: Container Runtimes, Docker Engine; mirantis.github.io: cri-dockerd";
pub(crate) const DEBIAN: &str = "sources.list(5), deb-version(7), Debian Policy 7.1";
pub(crate) const DIVERSIONS: &str = "dpkg-divert(1)";
pub(crate) const DNS: &str = "kubernetes.io: DNS for Services and Pods";
pub(crate) const FEATURE_GATES: &str =
    "kubernetes.io: Feature Gates, and Feature Gates (removed); pkg/features of Kubernetes";
pub(crate) const FORWARDING: &str = "kernel.org: Networking, sysctl; kubernetes.io: Container Runtimes";
pub(crate) const GROUPS: &str = "sysusers.d(5), group(5)";
pub(crate) const HUGE_PAGES: &str = "kernel.org: HugeTLB Pages; kubernetes.io: Manage HugePages";
pub(crate) const KERNEL_DEFAULTS: &str = "sysctl.d(5); pkg/kubelet/cm of Kubernetes for protectKernelDefaults";
pub(crate) const KUBELET_ARGS: &str = "kubernetes.io: kubelet, its command line";
pub(crate) const KUBELET_CONFIG: &str =
    "kubernetes.io: Kubelet Configuration (v1beta1); ValidateKubeletConfiguration of Kubernetes";
pub(crate) const KUBE_PROXY: &str =
    "kubernetes.io: kube-proxy Configuration (v1alpha1); pkg/proxy/apis/config/validation of Kubernetes";
pub(crate) const LABELS: &str = "kubernetes.io: NodeRestriction; Well-Known Labels, Annotations and Taints";
pub(crate) const MODULES: &str = "modules-load.d(5), modprobe(8)";
pub(crate) const NODE_MASK: &str = "kubernetes.io: kube-controller-manager, --node-cidr-mask-size";
pub(crate) const NODE_NETWORKS: &str = "kubernetes.io: Cluster Networking";
pub(crate) const POD_CIDRS: &str = "kubernetes.io: kube-controller-manager, --cluster-cidr";
pub(crate) const RESOLVER: &str = "systemd-resolved.service(8); kubernetes.io: Debugging DNS Resolution, Known issues";
pub(crate) const SERVICE_CIDRS: &str = "kubernetes.io: kube-apiserver, --service-cluster-ip-range";
pub(crate) const SYSCTLS: &str = "sysctl.d(5)";
pub(crate) const TAINTS: &str = "kubernetes.io: Taints and Tolerations";
pub(crate) const UNITS: &str = "systemd.unit(5), systemctl(1)";
pub(crate) const UNIT_TEXT: &str = "systemd.syntax(7), systemd.unit(5), systemd.service(5)";
pub(crate) const USERS: &str = "sysusers.d(5), passwd(5)";
pub(crate) const VERSIONS: &str = "kubernetes.io: Release Versioning";
pub(crate) const VERSION_SKEW: &str = "kubernetes.io: Version Skew Policy";

/// The source of the rule that `misfit` breaks in a configuration of kubelet or kube-proxy; `usual`
/// is the source for most fields.
pub(crate) fn of_field(misfit: &kiln_kubernetes::Misfit, usual: &'static str) -> &'static str {
    match misfit.path.first() {
        Some(kiln_kubernetes::Step::Key(field)) if field == "featureGates" => FEATURE_GATES,
        _ => usual,
    }
}
