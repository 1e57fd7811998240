//! The programs of upstream's archives, as Debian built them.

use crate::upstream::archives::{File, stand_in};
use crate::upstream::debian_root::Suite;
use crate::upstream::tools::{text, tool};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

const PACKAGES: [&str; 3] = ["containerd", "containernetworking-plugins", "runc"];

/// containerd, runc and the CNI plugins of a suite.
pub(super) struct Programs {
    /// Each package, unpacked in a directory with its name.
    root: TempDir,
    debs: BTreeMap<&'static str, PathBuf>,
}

impl Programs {
    /// The programs of the Debian suite `suite`.
    pub(super) fn of(suite: &'static str) -> Self {
        let suite = Suite::new(suite);
        let root = tempfile::tempdir().expect("a directory");
        for package in PACKAGES {
            suite.unpack(&[package], &root.path().join(package));
        }
        Self { root, debs: PACKAGES.map(|package| (package, suite.deb(package))).into() }
    }

    /// The files of upstream's containerd archive; Debian does not build the load test.
    pub(super) fn containerd(&self) -> Vec<File> {
        let programs = ["containerd", "containerd-shim-runc-v2", "ctr"];
        let programs =
            programs.map(|name| (format!("bin/{name}"), self.read("containerd", &format!("usr/bin/{name}"))));
        let stress = ("bin/containerd-stress".to_owned(), stand_in("containerd-stress"));
        programs.into_iter().chain([stress]).collect()
    }

    /// The files of upstream's archive of the CNI plugins, including documents.
    pub(super) fn plugins(&self) -> Vec<File> {
        let documents = ["LICENSE", "README.md"].map(|name| (name.to_owned(), stand_in(name)));
        let plugins = fs::read_dir(self.root.path().join("containernetworking-plugins/usr/lib/cni"))
            .expect("plugins")
            .map(|entry| {
                let name = entry.expect("a plugin").file_name().into_string().expect("UTF-8");
                let bytes = self.read("containernetworking-plugins", &format!("usr/lib/cni/{name}"));
                (name, bytes)
            });
        plugins.chain(documents).collect()
    }

    /// runc, which is published without an archive.
    pub(super) fn runc(&self) -> Vec<u8> {
        self.read("runc", "usr/sbin/runc")
    }

    fn read(&self, package: &str, path: &str) -> Vec<u8> {
        fs::read(self.root.path().join(package).join(path))
            .unwrap_or_else(|error| panic!("{package}: /{path}: {error}"))
    }

    /// The package `name`.
    pub(super) fn deb(&self, name: &str) -> &Path {
        &self.debs[name]
    }

    /// The upstream part of the version of package `name`.
    pub(super) fn version(&self, name: &str) -> String {
        let version = text(tool("dpkg-deb", "dpkg").arg("--field").arg(self.deb(name)).arg("Version"));
        version.split(['-', '+', '~']).next().expect("a part").to_owned()
    }
}
