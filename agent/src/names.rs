//! Names of Kubernetes objects and labels, and which labels a node may give itself. The errors are
//! phrases.

/// Enough of `text` to recognize it in a message.
pub fn short(text: &str) -> String {
    let mut short: String = text.chars().take(60).collect();
    if short.len() < text.len() {
        short.push('…');
    }
    short
}

fn is_name(text: &str, max: usize) -> bool {
    text.len() <= max
        && text.starts_with(|c: char| c.is_ascii_alphanumeric())
        && text.ends_with(|c: char| c.is_ascii_alphanumeric())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'))
}

/// Whether `text` is an RFC 1123 label.
pub fn is_dns_label(text: &str) -> bool {
    let edge = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    text.len() <= 63 && text.starts_with(edge) && text.ends_with(edge) && text.chars().all(|c| edge(c) || c == '-')
}

/// Whether `text` is an RFC 1123 subdomain: a valid name of a Node.
pub fn is_subdomain(text: &str) -> bool {
    text.len() <= 253 && text.split('.').all(is_dns_label)
}

/// The key of a label or a taint: `name` or `sub.domain/name`.
///
/// # Errors
/// The defect.
pub fn qualified_name(text: &str) -> Result<(), String> {
    let valid = match text.split_once('/') {
        Some((domain, name)) => is_subdomain(domain) && is_name(name, 63),
        None => is_name(text, 63),
    };
    if valid { Ok(()) } else { Err(format!("{:?} is not a label's name, such as \"example.org/pool\"", short(text))) }
}

/// The value of a label or a taint.
///
/// # Errors
/// The defect.
pub fn label_value(text: &str) -> Result<(), String> {
    if text.is_empty() || is_name(text, 63) {
        return Ok(());
    }
    Err(format!("{:?} is not a label's value (at most 63 letters, digits, \"-\", \"_\" and \".\")", short(text)))
}

/// The effect of a taint.
///
/// # Errors
/// What is wrong.
pub fn taint_effect(text: &str) -> Result<(), String> {
    match ["NoSchedule", "PreferNoSchedule", "NoExecute"].contains(&text) {
        true => Ok(()),
        false => Err("must be NoSchedule, PreferNoSchedule or NoExecute".into()),
    }
}

/// A taint as kubelet's `--register-with-taints` has it.
pub fn taint(key: &str, value: &str, effect: &str) -> String {
    format!("{key}={value}:{effect}")
}

/// The number of the first of `taints`, keys and effects, that has both in common with one before:
/// kubelet exits when there is any.
pub fn repeated_taint<'a>(taints: impl Iterator<Item = (&'a str, &'a str)>) -> Option<usize> {
    let mut seen = Vec::new();
    for (at, taint) in taints.enumerate() {
        if seen.contains(&taint) {
            return Some(at);
        }
        seen.push(taint);
    }
    None
}

/// Labels in the kubernetes.io and k8s.io domains that a kubelet may set on its own node.
const SELF_SETTABLE: [&str; 11] = [
    "kubernetes.io/hostname",
    "kubernetes.io/os",
    "kubernetes.io/arch",
    "beta.kubernetes.io/os",
    "beta.kubernetes.io/arch",
    "beta.kubernetes.io/instance-type",
    "node.kubernetes.io/instance-type",
    "topology.kubernetes.io/zone",
    "topology.kubernetes.io/region",
    "failure-domain.beta.kubernetes.io/zone",
    "failure-domain.beta.kubernetes.io/region",
];

/// kubelet does not start with other labels of these domains, and the NodeRestriction admission
/// rejects them.
///
/// # Errors
/// The defect of the label's `key`.
pub fn self_settable(key: &str) -> Result<(), String> {
    let Some((domain, _)) = key.split_once('/') else { return Ok(()) };
    let within = |parent: &str| domain == parent || domain.strip_suffix(parent).is_some_and(|sub| sub.ends_with('.'));
    let reserved = within("kubernetes.io") || within("k8s.io");
    let allowed = (within("kubelet.kubernetes.io") || within("node.kubernetes.io")) || SELF_SETTABLE.contains(&key);
    if !reserved || allowed {
        return Ok(());
    }
    Err(format!("a node cannot give itself {key:?}, set it through the API after the node has joined"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_may_set_only_its_own_labels() {
        for good in
            ["pool", "example.org/pool", "node.kubernetes.io/nodetype", "topology.kubernetes.io/zone", "xk8s.io/a"]
        {
            assert_eq!(self_settable(good), Ok(()));
        }
        for bad in
            ["node-role.kubernetes.io/ingress", "kubernetes.io/role", "node-restriction.kubernetes.io/x", "k8s.io/x"]
        {
            assert!(self_settable(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn label_syntax() {
        for good in ["a", "a.b/c_d-E.f", "0"] {
            assert_eq!(qualified_name(good), Ok(()));
        }
        for bad in ["", "/a", "a/", "A.b/c", "a/b/c", "-a", "a-", "a b"] {
            assert!(qualified_name(bad).is_err(), "{bad}");
        }
        assert!(label_value(&"x".repeat(64)).is_err());
    }

    #[test]
    fn taints_share_a_key_but_no_effect_with_it() {
        let taints = [("a", "NoSchedule"), ("a", "NoExecute"), ("b", "NoSchedule"), ("a", "NoExecute")];
        assert_eq!(repeated_taint(taints.into_iter()), Some(3));
        assert_eq!(repeated_taint(taints[..3].iter().copied()), None);
    }
}
