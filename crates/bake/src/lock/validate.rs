//! Checks what a lock says before anything is fetched or named after it: a lock can be edited by hand
//! or by whoever sends a change.

use super::{Lock, LockedPackage, json};
use std::collections::BTreeSet;
use std::path::{Component, Path};

/// The first defect of `lock`, and the line of `text`, its file, that has it.
pub(super) fn defect(lock: &Lock, text: &str) -> Option<(usize, String)> {
    let line = |value: &str| {
        let value = json(&value);
        text.lines().position(|line| line.contains(&value)).map_or(1, |index| index + 1)
    };
    for package in &lock.packages {
        if let Some(why) = package_defect(package) {
            return Some((line(&package.name), format!("package {:?}: {why}", package.name)));
        }
    }
    let others = lock.artifacts.iter().map(|artifact| ("artifact", &artifact.name, artifact.version.as_str()));
    let others: Vec<_> = others.chain(lock.images.iter().map(|image| ("image", &image.name, ""))).collect();
    for (kind, name, version) in &others {
        if name.is_empty() || name.chars().chain(version.chars()).any(char::is_control) {
            return Some((
                line(name),
                format!("{kind} {name:?}: its name or version is empty or has control characters"),
            ));
        }
    }
    let mut seen = BTreeSet::new();
    let packages = lock.packages.iter().map(|package| ("package", &package.name));
    let twice = packages.chain(others.iter().map(|(kind, name, _)| (*kind, *name))).find(|entry| !seen.insert(*entry));
    twice.map(|(kind, name)| (line(name), format!("{kind} {name:?} is pinned twice")))
}

/// Debian Policy 5.6.7 (names) and 5.6.12 (versions); paths as in an archive's `Filename`.
fn package_defect(package: &LockedPackage) -> Option<String> {
    let LockedPackage { name, version, archive: _, filename, size: _, sha256: _ } = package;
    let is_name = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    if !name.as_bytes().first().is_some_and(|first| is_name(*first))
        || !name.bytes().all(|byte| is_name(byte) || b"+-.".contains(&byte))
    {
        return Some("it is not a name of a Debian package".to_owned());
    }
    let is_version = |byte: u8| byte.is_ascii_alphanumeric() || b".+-:~".contains(&byte);
    if version.is_empty() || !version.bytes().all(is_version) {
        return Some(format!("{version:?} is not a version of a Debian package"));
    }
    let is_below = Path::new(filename).components().all(|part| matches!(part, Component::Normal(_)));
    if filename.is_empty() || !is_below || !filename.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Some(format!("{filename:?} is not a path below an archive"));
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lock::LockError;

    const LOCK: &str = r#"{
  "version": 1, "role": "worker", "suite": "sid", "arch": "amd64", "release": "v1.36.4", "epoch": 0,
  "request": "0000000000000000000000000000000000000000000000000000000000000000",
  "packages": [
    {"name":"bash","version":"1:5.2.37-2+b5~deb13u1","archive":"main","filename":"pool/main/b/bash/bash_5.2.37-2_amd64.deb","size":1,"sha256":"0000000000000000000000000000000000000000000000000000000000000000"},
    {"name":"libstdc++6","version":"14","archive":"main","filename":"pool/g.deb","size":1,"sha256":"0000000000000000000000000000000000000000000000000000000000000000"}
  ],
  "artifacts": [
    {"name":"kubelet","version":"1.36.4","sha256":"0000000000000000000000000000000000000000000000000000000000000000"}
  ]
}
"#;

    fn read(text: &str) -> Result<Lock, LockError> {
        Lock::parse(text, Path::new("worker.lock"))
    }

    #[test]
    fn a_lock_edited_by_hand_is_checked_and_the_line_is_named() {
        read(LOCK).expect("a lock");
        for (old, new, why) in [
            ("\"bash\"", "\"Bash\"", "worker.lock:5:1: package \"Bash\": it is not a name of a Debian package"),
            ("\"bash\"", "\"\\u001b[2Jbash\"", "worker.lock:5:1: package \"\\u{1b}[2Jbash\": it is not a name"),
            ("\"bash\"", "\"libstdc++6\"", "worker.lock:5:1: package \"libstdc++6\" is pinned twice"),
            ("\"14\"", "\"14 \"", "worker.lock:6:1: package \"libstdc++6\": \"14 \" is not a version"),
            ("\"14\"", "\"\"", "\"\" is not a version"),
            ("pool/g.deb", "../g.deb", "\"../g.deb\" is not a path below an archive"),
            ("pool/g.deb", "/g.deb", "\"/g.deb\" is not a path below an archive"),
            ("pool/g.deb", "pool/g.deb?x=\\u0000", "is not a path below an archive"),
            (
                "1.36.4\",\"sha",
                "\\u202e\\u0007\",\"sha",
                "worker.lock:9:1: artifact \"kubelet\": its name or version is empty",
            ),
        ] {
            assert!(LOCK.contains(old), "{old}");
            let error = read(&LOCK.replacen(old, new, 1)).expect_err(why).to_string();
            assert!(error.contains(why), "{error}");
        }
    }
}
