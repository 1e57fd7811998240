//! Files of a node that the image brings and the agent reads or writes: their places, once for the
//! builder and the agent.

/// kubelet's kubeconfig. kubelet starts when it is there, so it is written last.
pub const KUBELET_CONF: &str = "/etc/kubernetes/kubelet.conf";
/// kubelet's configuration.
pub const KUBELET_CONFIG: &str = "/var/lib/kubelet/config.yaml";
/// The fields of it that must be equal in a cluster, as JSON pointers, with their values when they
/// are not set; in images whose profile says `kubeletConfig: cluster`.
pub const SHARED_FIELDS: &str = "/usr/lib/kiln/kubelet-config-fields.json";
/// kubeadm's kubeconfig, while it joins a node itself.
pub const BOOTSTRAP_CONF: &str = "/etc/kubernetes/bootstrap-kubelet.conf";
/// The cluster's authority.
pub const CA_FILE: &str = "/etc/kubernetes/pki/ca.crt";
/// kubelet's flags, where kubeadm's drop-in of its unit reads them.
pub const FLAGS: &str = "/var/lib/kubelet/kubeadm-flags.env";
/// The image's own flags once more: the agent adds the node's to them, and has to find them when an
/// updated image meets an old `/var`.
pub const BAKED_FLAGS: &str = "/usr/lib/kiln/kubeadm-flags.env";
/// The variable in both that holds the flags.
pub const FLAGS_VARIABLE: &str = "KUBELET_KUBEADM_ARGS";
/// The image's pod network (CNI 1.0.0, plugins bridge and host-local). The runtime takes the first
/// file by name: any add-on's (05-cilium, 10-calico, 10-flannel) precedes this one.
pub const CONFLIST: &str = "/etc/cni/net.d/90-bridge.conflist";
/// The same once more, in images whose profile leaves the range to the cluster: such a node has no
/// pod network before that is known.
pub const CONFLIST_TEMPLATE: &str = "/usr/lib/kiln/90-bridge.conflist";
/// Tells kiln-pod-cidr.service that the cluster is to be asked for the range.
pub const POD_CIDR_WANTED: &str = "/run/kiln/pod-cidr-wanted";

/// The sources of seeds that the image accepts, one of [`SOURCES`](crate::seed::SOURCES) a line,
/// in images whose profile says `seed.sources`.
pub const SEED_SOURCES: &str = "/usr/lib/kiln/seed-sources";
/// kubelet's `--cert-dir`.
pub const PKI: &str = "/var/lib/kubelet/pki";
/// The agent's own state.
pub const STATE: &str = "/var/lib/kiln";
/// What the agent and its units tell each other until the next boot.
pub const RUN: &str = "/run/kiln";
/// The machine's name.
pub const HOSTNAME: &str = "/etc/hostname";
/// The agent's message above the login prompt.
pub const ISSUE: &str = "/etc/issue.d/50-kiln.issue";
/// Directories below which the agent writes, by its unit and by what a seed may ask for.
pub const WRITABLE: [&str; 5] = ["/etc", "/opt", "/run", "/srv", "/var"];
/// The suffix of a file's name while it is written.
pub const UNFINISHED: &str = ".kiln-new";

/// `path`, which is absolute, as an image's tree has it: without the slash at its beginning.
pub const fn in_tree(path: &'static str) -> &'static str {
    path.split_at(1).1
}
