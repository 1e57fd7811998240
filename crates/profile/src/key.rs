//! Keys of the files that users write, as errors name them.
//!
//! An error about a key carries a [`Key`]. Each begins with a [`Field`] of the table
//! [`mod@fields`]. A test compares this table with the JSON Schemas, so an error cannot name a key
//! that does not exist.

use super::authority as rules;
use std::fmt;

/// The files that make a profile, each with a schema of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Document {
    /// A role's file, merged with all that it extends.
    Profile,
    /// A file of `profiles/releases/`.
    Release,
    /// A file of `clusters/`.
    Cluster,
}

/// A key as the schema names it; `*` stands for a name that the user chooses.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Field(&'static Entry);

#[derive(PartialEq, Eq)]
struct Entry {
    document: Document,
    path: &'static str,
    rule: Option<&'static str>,
}

impl Field {
    /// The path in its document.
    pub(crate) fn path(self) -> &'static str {
        self.0.path
    }

    /// The document to which it belongs.
    pub(crate) fn document(self) -> Document {
        self.0.document
    }

    /// The source of the rules for the key's value; `None` where they are kiln's own.
    pub(crate) fn rule(self) -> Option<&'static str> {
        self.0.rule
    }

    /// The key with `name` in place of `*`.
    pub fn of(self, name: impl fmt::Display) -> Key {
        Key::from(self).with(Step::Name(name.to_string()))
    }

    /// The item of the list whose text is `text`.
    pub fn item(self, text: &str) -> Key {
        Key::from(self).item(text)
    }
}

impl fmt::Debug for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.path())
    }
}

/// A key that an error is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Key {
    field: Field,
    steps: Vec<Step>,
    /// Whether the name itself is wrong, and not its value.
    at_name: bool,
}

/// A step from a field to a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Step {
    /// The name in place of the next `*`.
    Name(String),
    /// A key below the field.
    Below(&'static str),
    /// A key of a value whose schema is not kiln's. [`Key`]'s text omits it, because errors name it
    /// in their own text.
    Within(String),
    /// An item of a list, by its position.
    Index(usize),
    /// An item of a list, by its text.
    Item(String),
}

impl Key {
    /// The field with which the key begins.
    pub(crate) fn field(&self) -> Field {
        self.field
    }

    /// Whether it is `field`, or below it.
    pub fn is(&self, field: Field) -> bool {
        self.field == field
    }

    /// The steps from the field to the key.
    pub(crate) fn steps(&self) -> &[Step] {
        &self.steps
    }

    /// Whether errors are about the name, and not its value.
    pub(crate) fn is_at_name(&self) -> bool {
        self.at_name
    }

    /// The same key, for errors about the name that the user chose.
    pub fn at_name(self) -> Self {
        Self { at_name: true, ..self }
    }

    /// The key `name` below this one.
    pub fn below(&self, name: &'static str) -> Self {
        self.clone().with(Step::Below(name))
    }

    /// The item of the list whose text is `text`.
    pub fn item(self, text: &str) -> Self {
        self.with(Step::Item(text.to_owned()))
    }

    /// A value inside this one.
    pub(crate) fn within(self, name: &str) -> Self {
        self.with(Step::Within(name.to_owned()))
    }

    /// An item of the list.
    pub(crate) fn index(self, index: usize) -> Self {
        self.with(Step::Index(index))
    }

    fn with(mut self, step: Step) -> Self {
        self.steps.push(step);
        self
    }

    /// The source of the rules for the key's value; `None` where they are kiln's own.
    pub(crate) fn rule(&self) -> Option<&'static str> {
        self.field.rule()
    }
}

impl From<Field> for Key {
    fn from(field: Field) -> Self {
        Self { field, steps: Vec::new(), at_name: false }
    }
}

impl From<&Key> for Key {
    fn from(key: &Key) -> Self {
        key.clone()
    }
}

/// The key as it is written, from the top of its file.
impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut names = self.steps.iter().filter_map(|step| match step {
            Step::Name(name) => Some(name.as_str()),
            _ => None,
        });
        for (at, part) in self.field.path().split('.').enumerate() {
            let part = if part == "*" { names.next().unwrap_or(part) } else { part };
            write!(f, "{}{part}", if at > 0 { "." } else { "" })?;
        }
        for step in &self.steps {
            if let Step::Below(name) = step {
                write!(f, ".{name}")?;
            }
        }
        Ok(())
    }
}

/// Declares fields, and the list of all of them.
macro_rules! fields {
    ($($document:ident $rule:expr => { $($name:ident = $path:literal,)* })*) => {
        $($(
            #[doc = concat!("`", $path, "`.")]
            pub const $name: Field = Field(&Entry { document: Document::$document, path: $path, rule: $rule });
        )*)*

        /// Every field.
        pub(crate) const ALL: &[Field] = &[$($($name,)*)*];
    };
}

/// Every key that errors name.
pub mod fields {
    use super::{Document, Entry, Field, rules};

    fields! {
        Profile None => {
            COMPONENTS = "components",
            COMPONENT = "components.*",
            IMAGE_ID = "image.id",
            IMAGE_VERSION = "image.version",
            ARTIFACTS = "artifacts",
            ARTIFACT = "artifacts.*",
            CONTAINER_IMAGES = "images",
            CONTAINER_IMAGE = "images.*",
            FILES = "files",
            FILE = "files.*",
            OVERLAYS = "overlays",
            PRUNE = "prune",
            PRUNE_RULE = "prune.*",
            PRIVILEGED = "privileged",
            PRIVILEGED_PROGRAM = "privileged.*",
            RELEASE = "release",
            DISK_ESP_SIZE = "disk.espSize",
            DISK_ROOT_SIZE = "disk.rootSize",
            DISK_SIZE = "disk.size",
        }
        Profile Some(rules::DEBIAN) => {
            DEBIAN_SUITE = "debian.suite",
            DEBIAN_COMPONENTS = "debian.components",
            DEBIAN_MIRRORS = "debian.mirrors",
            DEBIAN_SECURITY_MIRRORS = "debian.securityMirrors",
            DEBIAN_SNAPSHOT = "debian.snapshot",
            DEBIAN_KEYRING = "debian.keyring",
            DEBIAN_PACKAGES = "debian.packages",
            DEBIAN_EXCLUDE = "debian.exclude",
            DEBIAN_SUITES = "debian.suites",
            DEBIAN_SUITE_PACKAGES = "debian.suites.*.packages",
        }
        Profile None => {
            KERNEL_PACKAGE = "kernel.package",
        }
        Profile Some(rules::MODULES) => {
            KERNEL_MODULES_KEEP = "kernel.modules.keep",
            KERNEL_MODULES_LOAD = "kernel.modules.load",
        }
        Profile Some(rules::SYSCTLS) => {
            KERNEL_SYSCTLS = "kernel.sysctls",
            KERNEL_SYSCTL = "kernel.sysctls.*",
        }
        Profile Some(rules::HUGE_PAGES) => {
            KERNEL_HUGE_PAGES = "kernel.hugePages",
        }
        Profile Some(rules::CMDLINE) => {
            KERNEL_CMDLINE = "kernel.cmdline",
        }
        Profile Some(rules::KUBELET_CONFIG) => {
            KUBELET_CONFIG = "kubelet.config",
        }
        Profile Some(rules::KUBELET_ARGS) => {
            KUBELET_ARGS = "kubelet.args",
            KUBELET_ARG = "kubelet.args.*",
        }
        Profile Some(rules::LABELS) => {
            KUBELET_LABELS = "kubelet.labels",
        }
        Profile Some(rules::TAINTS) => {
            KUBELET_TAINTS = "kubelet.taints",
        }
        Profile Some(rules::KUBE_PROXY) => {
            KUBE_PROXY = "kubeProxy",
            KUBE_PROXY_CONFIG = "kubeProxy.config",
        }
        Profile Some(rules::CRI) => {
            CRI = "cri",
        }
        Profile Some(rules::CONTAINERD) => {
            CONTAINERD_SNAPSHOTTER = "containerd.snapshotter",
            CONTAINERD_MIRRORS = "containerd.mirrors",
            CONTAINERD_MIRROR = "containerd.mirrors.*",
            CONTAINERD_RUNTIMES = "containerd.runtimes",
            CONTAINERD_RUNTIME = "containerd.runtimes.*",
            CONTAINERD_METRICS = "containerd.metrics",
        }
        Profile Some(rules::CNI) => {
            CNI = "cni",
            CNI_PLUGIN = "cni.plugin",
            CNI_NAME = "cni.name",
            CNI_SUBNET = "cni.subnet",
            CNI_MTU = "cni.mtu",
        }
        Profile Some(rules::UNIT_TEXT) => {
            UNITS_ADD = "units.add",
            UNIT_ADDED = "units.add.*",
        }
        Profile Some(rules::UNITS) => {
            UNITS_STATES = "units.states",
            UNIT_STATE = "units.states.*",
            UNITS_DEFAULT_TARGET = "units.defaultTarget",
        }
        Profile Some(rules::USERS) => {
            USERS = "users",
            USER = "users.*",
        }
        Profile Some(rules::GROUPS) => {
            GROUPS = "groups",
            GROUP = "groups.*",
        }
        Profile Some(rules::ALTERNATIVES) => {
            ALTERNATIVES = "alternatives",
            ALTERNATIVE = "alternatives.*",
        }
        Profile Some(rules::DIVERSIONS) => {
            DIVERSIONS = "diversions",
            DIVERSION = "diversions.*",
        }
        Release None => {
            RELEASE_COMPONENTS = "components",
            RELEASE_COMPONENT = "components.*",
            RELEASE_PACKAGES = "packages",
            RELEASE_PAUSE_IMAGE = "pauseImage",
            RELEASE_CONTAINER_IMAGES = "images",
            RELEASE_CONTAINER_IMAGE = "images.*",
        }
        Release Some(rules::VERSIONS) => {
            RELEASE_KUBERNETES = "kubernetes",
        }
        Release Some(rules::CONTAINERD_SERIES) => {
            RELEASE_CONTAINERD_SERIES = "containerdSeries",
        }
        Cluster Some(rules::VERSIONS) => {
            CLUSTER_KUBERNETES = "kubernetes",
        }
        Cluster Some(rules::API_SERVERS) => {
            CLUSTER_API_SERVERS = "apiServers",
        }
        Cluster Some(rules::CERTIFICATES) => {
            CLUSTER_CA_CERTIFICATE = "caCertificate",
            CLUSTER_CA_FILE = "caFile",
        }
        Cluster Some(rules::SERVICE_CIDRS) => {
            CLUSTER_SERVICE_CIDRS = "serviceCIDRs",
        }
        Cluster Some(rules::POD_CIDRS) => {
            CLUSTER_POD_CIDRS = "podCIDRs",
        }
        Cluster Some(rules::NODE_MASK) => {
            CLUSTER_MASK_IPV4 = "nodeCIDRMaskSizeIPv4",
            CLUSTER_MASK_IPV6 = "nodeCIDRMaskSizeIPv6",
            CLUSTER_NODES = "nodes",
        }
        Cluster Some(rules::NODE_NETWORKS) => {
            CLUSTER_NODE_NETWORKS = "nodeNetworks",
        }
        Cluster Some(rules::DNS) => {
            CLUSTER_DNS_DOMAIN = "dns.domain",
            CLUSTER_DNS_ADDRESSES = "dns.addresses",
        }
    }
}

/// The narrowest field of a profile that contains `path`.
pub(crate) fn field_of<'a>(path: impl Iterator<Item = &'a str>) -> Option<Field> {
    let path: Vec<&str> = path.collect();
    let leads = |field: &Field| {
        let mut parts = field.path().split('.');
        let mut written = path.iter();
        parts.all(|part| written.next().is_some_and(|name| part == "*" || *name == part))
    };
    let fields = fields::ALL.iter().filter(|field| field.document() == Document::Profile && leads(field));
    fields.max_by_key(|field| field.path().split('.').count()).copied()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;

    /// Whether `schema` has the key at `path`.
    fn has(schema: &Value, path: &[&str]) -> bool {
        let choices = ["anyOf", "oneOf"].into_iter().filter_map(|key| schema[key].as_array()).flatten();
        let Some((part, rest)) = path.split_first() else { return true };
        let inner = if *part == "*" { schema.get("additionalProperties") } else { schema["properties"].get(*part) };
        inner.is_some_and(|inner| has(inner, rest)) || choices.into_iter().any(|schema| has(schema, path))
    }

    #[test]
    fn every_field_is_in_the_schema() {
        for field in fields::ALL {
            let schema = match field.document() {
                Document::Profile => crate::schema(),
                Document::Release => crate::release_schema(),
                Document::Cluster => crate::cluster_schema(),
            };
            assert!(has(&schema, &field.path().split('.').collect::<Vec<_>>()), "there is no key {field:?}");
        }
    }

    #[test]
    fn keys_are_shown_as_they_are_written() {
        let key = fields::USER.of("etcd");
        assert_eq!(key.below("groups").item("none").to_string(), "users.etcd.groups");
        assert_eq!(Key::from(fields::KUBELET_CONFIG).within("maxPods").to_string(), "kubelet.config");
        assert_eq!(fields::RELEASE_COMPONENT.of("kubelet").below("sha256").to_string(), "components.kubelet.sha256");
    }

    #[test]
    fn the_field_of_a_path_is_the_narrowest() {
        let field = |path: &str| field_of(path.split('/'));
        assert_eq!(field("units/states/a.service"), Some(fields::UNIT_STATE));
        assert_eq!(field("units/add"), Some(fields::UNITS_ADD));
        assert_eq!(field("units"), None);
        assert_eq!(field("cri").and_then(Field::rule), Some(rules::CRI));
    }
}
