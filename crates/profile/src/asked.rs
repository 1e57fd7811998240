//! Which key of a profile requests something whose absence is noticed only after the profile was
//! loaded.

use super::key::{Field, Key, fields};
use super::model::Profile;

/// An error that a key of a profile may have caused.
pub trait AboutProfile {
    /// The key that caused it.
    fn key(&self) -> Option<Key>;
}

impl Profile {
    /// The key that requests the kernel module or pattern `name`.
    pub fn module_key(&self, name: &str) -> Key {
        // For a module in both lists, `keep` comes first.
        let lists = [fields::KERNEL_MODULES_KEEP, fields::KERNEL_MODULES_LOAD];
        // A module in neither list is required by kube-proxy's mode.
        self.written(lists.map(|list| list.item(name))).unwrap_or_else(|| fields::KUBE_PROXY_CONFIG.into())
    }

    /// The key that requests the package `request`, `name` or `name=version`; `None` when no key
    /// names it.
    pub fn package_key(&self, request: &str) -> Option<Key> {
        let generic = request.replace(self.arch.as_str(), "{arch}");
        let of_suite = fields::DEBIAN_SUITE_PACKAGES.of(&self.debian.suite);
        let lists = [of_suite, fields::DEBIAN_PACKAGES.into()];
        let items = lists.into_iter().flat_map(|list| [list.clone().item(request), list.item(&generic)]);
        self.written(items).or_else(|| (self.kernel.package == request).then(|| fields::KERNEL_PACKAGE.into()))
    }

    /// The key that defines the artifact or component `name`.
    pub fn artifact_key(&self, name: &str) -> Key {
        self.own_or_inherited(name, fields::ARTIFACT, fields::RELEASE_COMPONENT)
    }

    /// The key that defines the container image `name`.
    pub fn image_key(&self, name: &str) -> Key {
        self.own_or_inherited(name, fields::CONTAINER_IMAGE, fields::RELEASE_CONTAINER_IMAGE)
    }

    /// The entry `name` of the profile if it has one, otherwise that of the release.
    fn own_or_inherited(&self, name: &str, own: Field, of_release: Field) -> Key {
        self.written([own.of(name)]).unwrap_or_else(|| of_release.of(name)).at_name()
    }

    /// The first of `keys` that is present.
    fn written(&self, keys: impl IntoIterator<Item = Key>) -> Option<Key> {
        keys.into_iter().find(|key| self.places.has(key))
    }
}
