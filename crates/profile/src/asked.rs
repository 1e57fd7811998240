//! Which key of a profile asks for something that is found wanting long after the profile was loaded.

use super::key::{Field, Key, fields};
use super::model::Profile;

/// An error that may be about something that a profile says.
pub trait AboutProfile {
    /// The key that it is about.
    fn key(&self) -> Option<Key>;
}

impl Profile {
    /// The key that asks for the kernel module or pattern `name`.
    pub fn module_key(&self, name: &str) -> Key {
        // Written in both lists, it is kept because `keep` says so.
        let lists = [fields::KERNEL_MODULES_KEEP, fields::KERNEL_MODULES_LOAD];
        // What neither has is what kube-proxy's mode needs.
        self.written(lists.map(|list| list.item(name))).unwrap_or_else(|| fields::KUBE_PROXY_CONFIG.into())
    }

    /// The key that asks for the package `request`, `name` or `name=version`; none when something else of the profile needs it.
    pub fn package_key(&self, request: &str) -> Option<Key> {
        let generic = request.replace(self.arch.as_str(), "{arch}");
        let of_suite = fields::DEBIAN_SUITE_PACKAGES.of(&self.debian.suite);
        let lists = [of_suite, fields::DEBIAN_PACKAGES.into()];
        let items = lists.into_iter().flat_map(|list| [list.clone().item(request), list.item(&generic)]);
        self.written(items).or_else(|| (self.kernel.package == request).then(|| fields::KERNEL_PACKAGE.into()))
    }

    /// The key that has the artifact or component `name`.
    pub fn artifact_key(&self, name: &str) -> Key {
        self.own_or_inherited(name, fields::ARTIFACT, fields::RELEASE_COMPONENT)
    }

    /// The key that has the container image `name`.
    pub fn image_key(&self, name: &str) -> Key {
        self.own_or_inherited(name, fields::CONTAINER_IMAGE, fields::RELEASE_CONTAINER_IMAGE)
    }

    /// The entry `name` of the profile, where it has one, or else that of the release.
    fn own_or_inherited(&self, name: &str, own: Field, of_release: Field) -> Key {
        self.written([own.of(name)]).unwrap_or_else(|| of_release.of(name)).at_name()
    }

    /// The first of `keys` that is written.
    fn written(&self, keys: impl IntoIterator<Item = Key>) -> Option<Key> {
        keys.into_iter().find(|key| self.places.has(key))
    }
}
