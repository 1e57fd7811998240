//! Renders a site's own role, based on the shipped ones.

use super::rendered::{shipped, tree};
use kiln_profile::{Arch, Overrides, ProfileError};
use kiln_tree::{Entry, Origin, TreePath};
use std::fs;
use std::path::Path;

/// The rendered text of `path` for a worker with the settings `more`; `None` when there is no such
/// file.
pub(super) fn rendered(more: &str, release: &str, path: &str) -> Option<String> {
    rendered_on(more, release, &[], path)
}

/// The same with additional `programs`.
pub(super) fn rendered_on(more: &str, release: &str, programs: &[&str], path: &str) -> Option<String> {
    let profile = load(more, release).unwrap_or_else(|error| panic!("{error}"));
    let mut tree = tree(release);
    for program in programs {
        let entry = Entry::file("", 0o755, Origin::Package("some=1".into()));
        tree.insert(TreePath::new(program).expect("a path"), entry).expect("inserted");
    }
    let rendered = kiln_render::render(&profile, &tree).unwrap_or_else(|error| panic!("{more}: {error}"));
    let (_, entry) = rendered.iter().find(|(at, _)| at.as_str() == path)?;
    Some(String::from_utf8_lossy(entry.inline().expect("its text")).into_owned())
}

/// The role, or the error in it.
pub(super) fn load(more: &str, release: &str) -> Result<kiln_profile::Profile, ProfileError> {
    let site = tempfile::tempdir().expect("a directory");
    let profiles = site.path().join("profiles");
    fs::create_dir_all(profiles.join("releases")).expect("a directory");
    let release_file = format!("releases/{release}.yaml");
    for file in ["base.yaml", "worker.yaml", &release_file] {
        fs::copy(shipped().join(file), profiles.join(file)).expect("copied");
    }
    fs::write(profiles.join("own.yaml"), format!("extends: worker\n{more}")).expect("written");
    let overrides = Overrides { release: Some(release.into()), ..Overrides::default() };
    kiln_profile::load(&profiles, "own", &overrides, Some(Path::new("/home/user")), Arch::Amd64)
}
