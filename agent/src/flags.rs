//! kubelet's flags as profiles and seeds may set them: names, values, and those that kiln sets
//! itself.

/// One table, and of it one list for each place where flags are written: the agent's binary keeps
/// only its own.
macro_rules! managed {
    ($($name:literal: $profile:expr, $seed:expr, $import:expr;)*) => {
        const IN_PROFILES: &[(&str, &str)] = &[$(($name, $profile)),*];
        const IN_SEEDS: &[(&str, &str)] = &[$(($name, $seed)),*];
        const IN_IMPORTS: &[(&str, &str)] = &[$(($name, $import)),*];
    };
}

const CERTIFICATES: &str = "the agent writes the node's certificates";
const CONFIG: &str = "the image has kubelet's configuration";
const CREDENTIALS: &str = "the agent obtains the node's credentials";
const KUBECONFIG: &str = "the agent writes the node's kubeconfig";
const LABELS: &str = "use kubelet.labels";
const ROOT: &str = "kubelet's state is in /var/lib/kubelet";
const RUNTIME: &str = "the node's containerd is the only runtime";
const TAINTS: &str = "use kubelet.taints";
/// It may be set there, or an import makes something else of it.
const NO: &str = "";

// Flags that kiln or its agent sets. In the order of columns: what to use instead in a profile,
// what in a seed, and why an import may leave the flag out.
managed! {
    "bootstrap-kubeconfig": CREDENTIALS, CREDENTIALS, CREDENTIALS;
    "cert-dir": CERTIFICATES, CERTIFICATES, "certificates are in /var/lib/kubelet/pki, where the agent writes them";
    "config": "use kubelet.config", CONFIG, "the rendered one is /var/lib/kubelet/config.yaml";
    "config-dir": "use kubelet.config; since Kubernetes 1.30 kubelet reads /etc/kubernetes/kubelet.conf.d, too", CONFIG,
        "what is in it is in kubelet.config";
    "container-runtime": "\"cri\" selects the runtime", RUNTIME, NO;
    "container-runtime-endpoint": "\"cri\" selects the runtime", RUNTIME, NO;
    "hostname-override": "it differs per node, the agent sets it", "use nodeName", NO;
    "kubeconfig": KUBECONFIG, KUBECONFIG, "the agent writes /etc/kubernetes/kubelet.conf";
    // A profile may say which family of addresses to take.
    "node-ip": NO, "use kubelet.nodeIP", NO;
    "node-labels": LABELS, LABELS, NO;
    "pod-infra-container-image": "the release names the pause image", NO, NO;
    "provider-id": "it differs per node: kubelet.providerID of the seed", "use kubelet.providerID", NO;
    "register-with-taints": TAINTS, TAINTS, NO;
    "root-dir": ROOT, ROOT, ROOT;
}

fn reason(table: &[(&str, &'static str)], name: &str) -> Option<&'static str> {
    table.iter().find(|(managed, reason)| *managed == name && !reason.is_empty()).map(|(_, reason)| *reason)
}

/// What a profile uses instead of the flag `--name`, where kiln sets that itself.
pub fn managed_in_profile(name: &str) -> Option<&'static str> {
    reason(IN_PROFILES, name)
}

/// What a seed uses instead of the flag `--name`, where the image or the agent sets that.
pub fn managed_in_seed(name: &str) -> Option<&'static str> {
    reason(IN_SEEDS, name)
}

/// Why nothing is missing when an import leaves out the flag `--name`.
pub fn managed_in_import(name: &str) -> Option<&'static str> {
    reason(IN_IMPORTS, name)
}

/// Whether `text` may be the name of a flag, without dashes before it.
pub fn is_name(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_lowercase())
        && text.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-')
}

/// Why [`is_passable`] is false.
pub const NOT_PASSABLE: &str = "cannot be passed in kubeadm-flags.env: no blanks, quotes, backslashes or dollars";

/// Whether a value passes unchanged through an environment file's quotes and systemd's splitting
/// into words.
pub fn is_passable(value: &str) -> bool {
    !value.contains(|c: char| c.is_whitespace() || c.is_control() || "\"'\\$`".contains(c))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_sets_a_flag_depends_on_the_place() {
        assert_eq!((managed_in_profile("node-ip"), managed_in_seed("node-ip")), (None, Some("use kubelet.nodeIP")));
        assert_eq!(managed_in_profile("root-dir"), managed_in_import("root-dir"));
        assert_eq!((managed_in_seed("v"), managed_in_import("node-labels")), (None, None));
    }

    #[test]
    fn values_pass_an_environment_file_or_not() {
        assert!(["", "a=b,c=d", "/etc/x", "<10%"].into_iter().all(is_passable));
        assert!(!["a b", "\"", "it's", "a\\", "$A", "`a`", "\n"].into_iter().any(is_passable));
        assert!(is_name("v") && !["-v", "V", "a_b", ""].into_iter().any(is_name));
    }
}
