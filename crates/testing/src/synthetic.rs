//! Archives, packages and signed repositories made by tests, as small as an image allows.
//!
//! The writers accept what a hostile archive may contain (raw member names, wrong sizes), so they
//! check nothing. Tests that use this check with dpkg-deb that the valid packages are valid.

#![allow(dead_code)] // Each test binary uses a part.

use kiln_tree::Digest;
use std::collections::BTreeMap;
use std::io::Write as _;

/// A member of a tar archive; the name is written unchanged.
#[derive(Debug, Clone)]
pub struct Member {
    /// Its name in the header.
    pub name: String,
    /// Its type and content.
    pub kind: Kind,
    /// Permission bits.
    pub mode: u32,
    /// User and group.
    pub owner: (u64, u64),
}

/// The type of a member.
#[derive(Debug, Clone)]
pub enum Kind {
    /// A regular file with these bytes.
    File(Vec<u8>),
    /// A directory.
    Directory,
    /// A symbolic link with this target.
    Symlink(String),
    /// A hard link to this name.
    Hardlink(String),
    /// A named pipe.
    Fifo,
    /// A character device.
    Device(u32, u32),
}

impl Member {
    /// With these permission bits.
    pub fn mode(self, mode: u32) -> Self {
        Self { mode, ..self }
    }

    /// With this user and group.
    pub fn owned(self, user: u64, group: u64) -> Self {
        Self { owner: (user, group), ..self }
    }
}

/// A member that belongs to root.
pub fn member(name: &str, kind: Kind, mode: u32) -> Member {
    Member { name: name.into(), kind, mode, owner: (0, 0) }
}

/// A file, `0644`.
pub fn file(name: &str, bytes: impl Into<Vec<u8>>) -> Member {
    member(name, Kind::File(bytes.into()), 0o644)
}

/// A file, `0755`.
pub fn program(name: &str, bytes: impl Into<Vec<u8>>) -> Member {
    file(name, bytes).mode(0o755)
}

/// A directory, `0755`.
pub fn directory(name: &str) -> Member {
    member(name, Kind::Directory, 0o755)
}

/// A symbolic link.
pub fn symlink(name: &str, target: &str) -> Member {
    member(name, Kind::Symlink(target.into()), 0o777)
}

/// A hard link.
pub fn hardlink(name: &str, target: &str) -> Member {
    member(name, Kind::Hardlink(target.into()), 0o644)
}

/// An uncompressed ustar archive.
pub fn tar(members: &[Member]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for member in members {
        let mut header = tar::Header::new_ustar();
        // Bypasses the crate's checks, which would reject what the tests need.
        let raw = header.as_old_mut();
        raw.name[..member.name.len()].copy_from_slice(member.name.as_bytes());
        let (kind, target, data): (_, &str, &[u8]) = match &member.kind {
            Kind::File(bytes) => (tar::EntryType::Regular, "", bytes),
            Kind::Directory => (tar::EntryType::Directory, "", &[]),
            Kind::Symlink(target) => (tar::EntryType::Symlink, target, &[]),
            Kind::Hardlink(target) => (tar::EntryType::Link, target, &[]),
            Kind::Fifo => (tar::EntryType::Fifo, "", &[]),
            Kind::Device(..) => (tar::EntryType::Char, "", &[]),
        };
        raw.linkname[..target.len()].copy_from_slice(target.as_bytes());
        header.set_entry_type(kind);
        header.set_mode(member.mode);
        header.set_mtime(1_700_000_000);
        header.set_uid(member.owner.0);
        header.set_gid(member.owner.1);
        if let Kind::Device(major, minor) = member.kind {
            header.set_device_major(major).expect("a ustar header");
            header.set_device_minor(minor).expect("a ustar header");
        }
        header.set_size(data.len() as u64);
        header.set_cksum();
        builder.append(&header, data).expect("appended");
    }
    builder.into_inner().expect("finished")
}

/// Compresses with xz.
pub fn xz(bytes: &[u8]) -> Vec<u8> {
    let mut writer = liblzma::write::XzEncoder::new(Vec::new(), 1);
    writer.write_all(bytes).expect("compressed");
    writer.finish().expect("finished")
}

/// Compresses with gzip.
pub fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut writer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    writer.write_all(bytes).expect("compressed");
    writer.finish().expect("finished")
}

/// An ar archive (deb(5)).
pub fn ar(members: &[(&str, &[u8])]) -> Vec<u8> {
    let mut out = b"!<arch>\n".to_vec();
    for (name, data) in members {
        let (zero, mode, size) = (0, 100_644, data.len());
        out.extend_from_slice(format!("{name:<16}{zero:<12}{zero:<6}{zero:<6}{mode:<8}{size:<10}`\n").as_bytes());
        out.extend_from_slice(data);
        out.resize(out.len().next_multiple_of(2), b'\n');
    }
    out
}

/// A .deb of a `control` file and the members of `data.tar`.
pub fn deb(control: &str, members: &[Member]) -> Vec<u8> {
    deb_of(control, &xz(&tar(members)))
}

/// A .deb with these bytes as `data.tar.xz`.
pub fn deb_of(control: &str, data: &[u8]) -> Vec<u8> {
    deb_with(&[file("./control", control)], data)
}

/// A .deb with these control files and this `data.tar.xz`.
pub fn deb_with(control: &[Member], data: &[u8]) -> Vec<u8> {
    let control = xz(&tar(&[&[directory("./")], control].concat()));
    ar(&[("debian-binary", b"2.0\n"), ("control.tar.xz", &control), ("data.tar.xz", data)])
}

/// A package of a repository.
#[derive(Debug, Clone)]
pub struct Package {
    /// `Package`.
    pub name: String,
    /// `Version`.
    pub version: String,
    /// Further control fields, one per line: `Depends: a, b\n`.
    pub fields: String,
    /// The bytes of the .deb; [`Package::new`] makes a valid one.
    pub bytes: Vec<u8>,
}

impl Package {
    /// A valid package in version 1.
    pub fn new(name: &str, fields: &str, members: &[Member]) -> Self {
        let mut all: Vec<Member> = parents(members);
        all.extend_from_slice(members);
        let bytes = deb(&control(name, "1", fields), &all);
        Self { name: name.into(), version: "1".into(), fields: fields.into(), bytes }
    }

    /// A package whose .deb is these bytes.
    pub fn raw(name: &str, bytes: Vec<u8>) -> Self {
        Self { name: name.into(), version: "1".into(), fields: String::new(), bytes }
    }

    /// Its path on the mirror.
    pub fn filename(&self) -> String {
        format!("pool/main/{0}_{1}_amd64.deb", self.name, self.version)
    }

    fn paragraph(&self) -> String {
        format!(
            "{}Filename: {}\nSize: {}\nSHA256: {}\n\n",
            control(&self.name, &self.version, &self.fields),
            self.filename(),
            self.bytes.len(),
            Digest::of(&self.bytes)
        )
    }
}

/// A `control` file.
pub fn control(name: &str, version: &str, fields: &str) -> String {
    format!(
        "Package: {name}\nVersion: {version}\nArchitecture: amd64\nMaintainer: Test <test@example.org>\n{fields}Description: a test package\n"
    )
}

/// Adds `./` and the parent directories of members with plain names, as in every real package.
pub fn parents(members: &[Member]) -> Vec<Member> {
    let mut names = std::collections::BTreeSet::from(["./".to_owned()]);
    for member in members {
        let mut path = member.name.as_str();
        while let Some((parent, _)) = path.trim_end_matches('/').rsplit_once('/') {
            if parent != "." && !parent.contains("..") && !parent.is_empty() {
                names.insert(format!("{parent}/"));
            }
            path = parent;
        }
    }
    let there =
        |name: &String| !members.iter().any(|member| member.name.trim_end_matches('/') == name.trim_end_matches('/'));
    names.into_iter().filter(there).map(|name| directory(&name)).collect()
}

/// The packages of the smallest node: a kernel, accounts, os-release, and placeholders for
/// programs.
pub fn node() -> Vec<Package> {
    let base = [
        file("./usr/lib/os-release", "ID=debian\nVERSION_CODENAME=sid\n"),
        file("./usr/share/base-passwd/passwd.master", "root:*:0:0:root:/root:/bin/sh\n"),
        file("./usr/share/base-passwd/group.master", "root:*:0:\nshadow:*:42:\n"),
        file("./usr/share/libc-bin/nsswitch.conf", "hosts: files dns\n"),
        file("./usr/lib/systemd/system/multi-user.target", "[Unit]\nDescription=Multi-User\n"),
        program("./usr/bin/containerd", "#!/bin/false\n".repeat(2000)),
        program("./usr/sbin/runc", "#!/bin/false\n"),
    ];
    let kernel = [
        file("./boot/vmlinuz-1", vec![0x4d; 20_000]),
        file("./usr/lib/modules/1/modules.order", ""),
        file("./usr/lib/modules/1/modules.builtin", ""),
        file("./usr/lib/modules/1/modules.builtin.modinfo", ""),
    ];
    vec![Package::new("base", "", &base), Package::new("kernel", "", &kernel)]
}

/// `Packages` of a repository.
pub fn packages_text(packages: &[Package]) -> String {
    packages.iter().map(Package::paragraph).collect()
}

/// `Release` of a repository with this `Packages`; dates are seconds since 1970.
pub fn release_text(packages: &str, date: i64, valid_until: i64) -> String {
    let compressed = xz(packages.as_bytes());
    let index = "main/binary-amd64/Packages";
    format!(
        "Origin: Test\nSuite: unstable\nCodename: sid\nDate: {}\nValid-Until: {}\nArchitectures: all amd64\n\
         Components: main\nSHA256:\n {} {} {index}\n {} {} {index}.xz\n",
        rfc2822(date),
        rfc2822(valid_until),
        Digest::of(packages.as_bytes()),
        packages.len(),
        Digest::of(&compressed),
        compressed.len(),
    )
}

/// A date in the format of `Release`.
fn rfc2822(second: i64) -> String {
    let time = jiff::Timestamp::from_second(second).expect("a time");
    time.strftime("%a, %d %b %Y %H:%M:%S UTC").to_string()
}

/// Returns the files of a mirror by path: `dists/sid` with this `InRelease`, and the packages.
pub fn mirror(packages: &[Package], in_release: Vec<u8>) -> BTreeMap<String, Vec<u8>> {
    let text = packages_text(packages);
    let mut files: BTreeMap<String, Vec<u8>> =
        packages.iter().map(|package| (format!("/{}", package.filename()), package.bytes.clone())).collect();
    files.insert("/dists/sid/InRelease".into(), in_release);
    files.insert("/dists/sid/main/binary-amd64/Packages.xz".into(), xz(text.as_bytes()));
    files
}
