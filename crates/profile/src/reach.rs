//! The files of the build host that profiles may read.
//!
//! A profile may come from somebody whom the builder does not trust, such as the author of a pull
//! request, and what it names gets into an image or into an error message. So it reaches the files
//! of its project only, with symbolic links resolved; what the command line names is the user's
//! choice.

use std::fs;
use std::path::{Component, Path, PathBuf};

/// The directory below the home directory in which `hack/kubernetes-from-debian.sh` leaves the
/// programs of the shipped release `debian-1.20.2`. Nothing else is kept there.
const COMPILED: &str = ".cache/kiln-test";

/// What is in reach of profiles.
#[derive(Debug, Clone, Default)]
pub(super) struct Reach {
    /// Directories and files with all links resolved; `None`: everything is in reach.
    places: Option<Vec<PathBuf>>,
}

impl Reach {
    /// The project of the directory of profiles `dir`, which is the directory that holds it; the
    /// profiles, overlays and clusters alone when this is `/` or `home`.
    pub(super) fn project(dir: &Path, home: Option<&Path>) -> Self {
        let holder = match (dir.file_name(), dir.parent()) {
            (Some(_), Some(parent)) => resolved(parent),
            _ => resolved(&dir.join("..")),
        };
        let mut places = Vec::new();
        let too_wide = holder.parent().is_none() || home.is_some_and(|home| resolved(home) == holder);
        if too_wide {
            // The last component stays unresolved: a link there would widen the reach.
            let profiles = dir.file_name().map_or_else(|| resolved(dir), |name| holder.join(name));
            places.extend([profiles, holder.join("overlays"), holder.join("clusters")]);
        } else {
            places.push(holder);
        }
        places.extend(home.map(|home| resolved(&home.join(COMPILED))));
        Self { places: Some(places) }
    }

    /// Everything is in reach: `--allow-files-outside`.
    pub(super) fn everything() -> Self {
        Self { places: None }
    }

    /// Adds a path that the command line names: a directory with everything in it, or a file with
    /// what is beside it.
    pub(super) fn add(&mut self, path: &Path) {
        let Some(places) = &mut self.places else { return };
        let itself = resolved(path);
        if !itself.is_dir() {
            places.push(resolved(path.parent().unwrap_or(Path::new(""))));
        }
        places.push(itself);
    }

    /// Checks whether profiles may read `path`.
    ///
    /// # Errors
    /// Why not, and what to do.
    pub(super) fn check(&self, path: &Path) -> Result<(), String> {
        let Some(places) = &self.places else { return Ok(()) };
        let real = resolved(path);
        let leads = if real == *path { String::new() } else { format!(" leads to {}, which", real.display()) };
        let name = path.display();
        let within: Vec<&Path> = places.iter().filter_map(|place| real.strip_prefix(place).ok()).collect();
        if within.iter().any(|rest| !rest.components().any(is_hidden)) {
            return Ok(());
        }
        let why = match within.is_empty() {
            true => format!("is outside of {}, and profiles read no other files", shown(places)),
            false => "is hidden (a name begins with a dot), and profiles do not read hidden files".to_owned(),
        };
        Err(format!("{name}{leads} {why}; put the file elsewhere, or accept it with --allow-files-outside"))
    }
}

/// Whether a component below a place is hidden, as is `.git`, in which continuous integration keeps
/// tokens, or leads upwards from a path that does not exist.
fn is_hidden(part: Component<'_>) -> bool {
    match part {
        Component::Normal(name) => name.as_encoded_bytes().starts_with(b"."),
        Component::CurDir => false,
        _ => true,
    }
}

/// The first places, which are those of the project.
fn shown(places: &[PathBuf]) -> String {
    let project: Vec<String> =
        places.iter().filter(|place| !place.ends_with(COMPILED)).map(|place| place.display().to_string()).collect();
    project.join(", ")
}

/// `path` with all links resolved; what does not exist is appended to what does.
fn resolved(path: &Path) -> PathBuf {
    let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
    let mut missing = Vec::new();
    let mut there = path;
    loop {
        if let Ok(real) = fs::canonicalize(there) {
            return missing.into_iter().rev().fold(real, |real: PathBuf, part: Component<'_>| real.join(part));
        }
        let mut parts = there.components();
        match parts.next_back() {
            Some(part) => missing.push(part),
            None => return path.to_owned(),
        }
        there = match parts.as_path() {
            empty if empty.as_os_str().is_empty() => Path::new("."),
            parent => parent,
        };
        // A relative path below a working directory that was removed.
        if there == Path::new(".") && fs::canonicalize(there).is_err() {
            return path.to_owned();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    fn site() -> tempfile::TempDir {
        let site = tempfile::tempdir().expect("a temporary directory");
        for name in ["project/profiles", "project/overlays", "project/.git", "home/.cache/kiln-test", "other"] {
            fs::create_dir_all(site.path().join(name)).expect("a directory");
        }
        for name in ["project/a", "project/.git/config", "home/b", "home/.cache/kiln-test/c", "other/d"] {
            fs::write(site.path().join(name), "x").expect("written");
        }
        site
    }

    #[test]
    fn the_project_is_in_reach_and_nothing_else() {
        let site = site();
        let at = |path: &str| site.path().join(path);
        symlink("../other/d", at("project/link")).expect("a link");
        symlink("a", at("project/inner")).expect("a link");
        let reach = Reach::project(&at("project/profiles"), Some(&at("home")));
        for path in [
            "project/a",
            "project/profiles/../a",
            "project/inner",
            "project/none/x",
            "project",
            "home/.cache/kiln-test/c",
            "home/.cache/kiln-test/none",
        ] {
            assert_eq!(reach.check(&at(path)), Ok(()), "{path}");
        }
        for path in [
            "home/b",
            "other/d",
            "project/link",
            "project/../other/d",
            "project/none/../../other/d",
            "project/.git/config",
            "home/.docker/config.json",
            "home/.cache/kiln-test/../../b",
            "/proc/self/environ",
            "/etc/shadow",
        ] {
            let error = reach.check(&at(path)).expect_err(path);
            assert!(error.contains("--allow-files-outside"), "{error}");
        }
        let error = reach.check(&at("project/link")).expect_err("a link");
        assert!(
            error.contains("/project/link leads to ") && error.contains("other/d, which is outside of "),
            "{error}"
        );
        assert_eq!(Reach::everything().check(&at("other/d")), Ok(()));
    }

    #[test]
    fn what_the_command_line_names_is_in_reach() {
        let site = site();
        let at = |path: &str| site.path().join(path);
        let mut reach = Reach::project(&at("project/profiles"), None);
        reach.add(&at("other/d"));
        assert_eq!(reach.check(&at("other/d")), Ok(()));
        assert_eq!(reach.check(&at("other/beside")), Ok(()));
        assert!(reach.check(&at("home/b")).is_err());
    }

    #[test]
    fn a_home_directory_is_no_project() {
        let site = site();
        let at = |path: &str| site.path().join(path);
        let reach = Reach::project(&at("project/profiles"), Some(&at("project")));
        assert_eq!(reach.check(&at("project/profiles/a")), Ok(()));
        assert_eq!(reach.check(&at("project/overlays/a")), Ok(()));
        assert!(reach.check(&at("project/a")).is_err());
        // A link in the place of a directory does not widen the reach.
        fs::remove_dir(at("project/overlays")).expect("removed");
        symlink("/etc", at("project/overlays")).expect("a link");
        assert!(reach.check(&at("project/overlays/shadow")).is_err());
        let root = Reach::project(Path::new("/profiles"), None);
        assert!(root.check(Path::new("/proc/self/environ")).is_err());
        assert_eq!(root.check(Path::new("/profiles/images/a.tar")), Ok(()));
    }
}
