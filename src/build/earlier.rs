//! An earlier output in the place of a new one: which of its files are kiln's.

use super::directory::DirectoryError;
use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Component, Path, PathBuf};

/// The contents of a directory that a new output replaces; paths are relative to it.
#[derive(Debug, Default)]
pub(super) struct Earlier {
    /// The files that its manifest lists, and the manifest.
    listed: BTreeSet<PathBuf>,
    /// Other files and directories in it.
    unlisted: Vec<PathBuf>,
}

impl Earlier {
    /// Reads what is in `target`, which need not exist.
    ///
    /// # Errors
    /// [`DirectoryError::Foreign`] when it is neither an empty directory nor an output of kiln;
    /// [`DirectoryError::Unlisted`] when it has other files, unless `force` is set.
    pub(super) fn read(target: &Path, force: bool) -> Result<Self, DirectoryError> {
        let foreign = |why: &str| DirectoryError::Foreign { path: target.to_owned(), why: why.to_owned() };
        let none = format!("it has no {}", kiln_manifest::FILE);
        match fs::metadata(target) {
            Ok(found) if found.is_dir() => {}
            // Not a link to nothing.
            Err(_) if target.symlink_metadata().is_err() => return Ok(Self::default()),
            _ => return Err(foreign(&none)),
        }
        let failed = |source| DirectoryError::Write { path: target.to_owned(), source };
        if fs::read_dir(target).map_err(failed)?.next().is_none() {
            return Ok(Self::default());
        }
        let manifest = target.join(kiln_manifest::FILE);
        if !manifest.is_file() {
            return Err(foreign(&none));
        }
        let outputs = kiln_manifest::read_outputs(target)
            .map_err(|_| foreign(&format!("its {} is not one of kiln", kiln_manifest::FILE)))?;
        let mut earlier = Self::default();
        earlier.listed.extend([kiln_manifest::FILE, kiln_manifest::SUMS].map(PathBuf::from));
        earlier.listed.extend(outputs.into_iter().map(PathBuf::from).filter(|path| is_below(path)));
        let mut unlisted = Vec::new();
        earlier.find_unlisted(target, Path::new(""), &mut unlisted).map_err(failed)?;
        unlisted.sort();
        earlier.unlisted = unlisted;
        if !force && !earlier.unlisted.is_empty() {
            return Err(DirectoryError::Unlisted { path: target.to_owned(), files: earlier.unlisted });
        }
        Ok(earlier)
    }

    /// Files and directories that the manifest does not list.
    pub(super) fn unlisted(&self) -> &[PathBuf] {
        &self.unlisted
    }

    fn find_unlisted(&self, root: &Path, below: &Path, found: &mut Vec<PathBuf>) -> io::Result<()> {
        for entry in fs::read_dir(root.join(below))? {
            let entry = entry?;
            let path = below.join(entry.file_name());
            if self.listed.contains(&path) {
                continue;
            }
            if entry.file_type()?.is_dir() && self.listed.iter().any(|listed| listed.starts_with(&path)) {
                self.find_unlisted(root, &path, found)?;
            } else {
                found.push(path);
            }
        }
        Ok(())
    }

    /// Removes what was read from `directory`; returns whether nothing else was in it, so that the
    /// directory is gone, too.
    pub(super) fn remove(&self, directory: &Path) -> bool {
        let mut directories = BTreeSet::from([PathBuf::new()]);
        for path in self.listed.iter().chain(&self.unlisted) {
            let parents = path.ancestors().skip(1).filter(|parent| !parent.as_os_str().is_empty());
            // A link in the place of a directory leads to files that are not in the output.
            let is_real =
                |parent: &Path| fs::symlink_metadata(directory.join(parent)).is_ok_and(|found| found.is_dir());
            if !parents.clone().all(is_real) {
                continue;
            }
            directories.extend(parents.map(Path::to_owned));
            let path = directory.join(path);
            // What cannot be removed keeps its directory, which the caller reports.
            let _ = match fs::symlink_metadata(&path) {
                Ok(found) if found.is_dir() => fs::remove_dir_all(&path),
                Ok(_) => fs::remove_file(&path),
                Err(error) => Err(error),
            };
        }
        // The deepest first: a directory sorts before what is in it.
        directories
            .iter()
            .rev()
            .all(|path| fs::remove_dir(directory.join(path)).is_ok() || !directory.join(path).exists())
    }
}

/// Whether a path of a manifest names something in the manifest's directory.
fn is_below(path: &Path) -> bool {
    path.components().next().is_some() && path.components().all(|part| matches!(part, Component::Normal(_)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    fn write(path: &Path, text: &str) {
        fs::create_dir_all(path.parent().expect("a parent")).expect("made");
        fs::write(path, text).expect("written");
    }

    /// An output with a kernel.
    fn output(directory: &Path) {
        write(&directory.join("pxe/vmlinuz"), "kernel");
        write(&directory.join("SHA256SUMS"), "sums");
        let outputs = serde_json::json!([{"path": "pxe/vmlinuz"}, {"path": "../victim"}, {"path": "/etc/passwd"}]);
        let text = serde_json::json!({"version": 7, "kiln": "9.9", "outputs": outputs, "later": true});
        write(&directory.join("manifest.json"), &text.to_string());
    }

    #[test]
    fn only_outputs_of_kiln_are_replaced() {
        let place = tempfile::tempdir().expect("a directory");
        let out = place.path().join("out");
        assert!(Earlier::read(&out, false).is_ok(), "it does not exist");
        fs::create_dir(&out).expect("made");
        assert!(Earlier::read(&out, false).is_ok(), "it is empty");
        // A web extension, a web app, other programs' manifests, and no JSON.
        for text in [
            r#"{"manifest_version": 3, "name": "x", "version": "1.0", "action": {}}"#,
            r#"{"name": "x", "icons": []}"#,
            r#"{"version": 1, "outputs": []}"#,
            "[]",
            "",
        ] {
            write(&out.join("manifest.json"), text);
            for force in [false, true] {
                let error = Earlier::read(&out, force).expect_err("refused").to_string();
                assert!(error.contains("is not an output of kiln (its manifest.json is not one of kiln)"), "{error}");
            }
        }
        fs::remove_file(out.join("manifest.json")).expect("removed");
        write(&out.join("index.html"), "");
        assert!(Earlier::read(&out, true).expect_err("refused").to_string().contains("it has no manifest.json"));
    }

    #[test]
    fn other_files_beside_an_output_are_named_and_kept_without_force() {
        let place = tempfile::tempdir().expect("a directory");
        let out = place.path().join("out");
        output(&out);
        let link = place.path().join("link");
        symlink(&out, &link).expect("a link");
        assert!(Earlier::read(&out, false).expect("an output").unlisted().is_empty());
        write(&out.join("notes.txt"), "mine");
        write(&out.join("pxe/signed/vmlinuz"), "mine");
        for target in [&out, &link] {
            let error = Earlier::read(target, false).expect_err("refused").to_string();
            assert!(error.contains(r#"does not list: "notes.txt", "pxe/signed"; move them away"#), "{error}");
        }
        let earlier = Earlier::read(&out, true).expect("forced");
        assert_eq!(earlier.unlisted(), [Path::new("notes.txt"), Path::new("pxe/signed")]);
        write(&place.path().join("victim"), "mine");
        assert!(earlier.remove(&out));
        assert!(!out.exists() && place.path().join("victim").exists());
    }

    #[test]
    fn nothing_is_removed_through_a_link() {
        let place = tempfile::tempdir().expect("a directory");
        let out = place.path().join("out");
        output(&out);
        write(&place.path().join("pxe/vmlinuz"), "mine");
        fs::remove_dir_all(out.join("pxe")).expect("removed");
        symlink(place.path().join("pxe"), out.join("pxe")).expect("a link");
        let error = Earlier::read(&out, false).expect_err("refused").to_string();
        assert!(error.contains(r#"does not list: "pxe""#), "{error}");
        assert!(Earlier::read(&out, true).expect("forced").remove(&out));
        assert_eq!(fs::read_to_string(place.path().join("pxe/vmlinuz")).expect("kept"), "mine");
    }
}
