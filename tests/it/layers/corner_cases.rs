//! Cases that do not occur in the shipped packages, each in a few packages with a few files. The
//! size of a file identifies its package.

use crate::layers::opened::{self, Named};
use crate::layers::synthetic::{
    Kind, Member, Package, control, deb_of, deb_with, directory, file, hardlink, member, parents, program, symlink,
    tar, xz,
};
use crate::layers::{dpkg, listing};
use kiln_profile::Diversion;
use kiln_tree::{Digest, TreePath};
use std::fs;
use std::path::PathBuf;

/// A diversion: the path, its new path, and the package whose copy stays.
type Diverted = (&'static str, &'static str, Option<&'static str>);

/// A case: its description, packages in the order of their names, diversions.
type Case = (&'static str, Vec<Package>, Vec<Diverted>);

/// The results of kiln and dpkg for a case: their trees, or their errors.
struct Verdicts {
    kiln: Result<listing::Listing, String>,
    dpkg: Result<listing::Listing, String>,
}

fn judge(packages: &[Package], diverted: &[Diverted]) -> Verdicts {
    let place = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a temporary directory");
    let named = |package: &Package| {
        let path = place.path().join(format!("{}.deb", package.name));
        fs::write(&path, &package.bytes).expect("written");
        let (name, version) = (package.name.clone(), package.version.clone());
        Named { name, version, digest: Digest::of(&package.bytes), path }
    };
    let debs: Vec<Named> = packages.iter().map(named).collect();
    let path = |text| TreePath::new(text).expect("a path");
    let diversion = |(from, to, by): &Diverted| Diversion { from: path(from), to: path(to), by: by.map(str::to_owned) };
    let diversions: Vec<Diversion> = diverted.iter().map(diversion).collect();
    let store = opened::open(&place.path().join("cache"), &debs);
    let tree = opened::tree(&store, &debs, &diversions);
    let paths: Vec<PathBuf> = debs.into_iter().map(|deb| deb.path).collect();
    Verdicts {
        kiln: tree.map(|tree| listing::of(&tree)).map_err(|error| error.to_string()),
        dpkg: dpkg::unpack(&paths, &diversions),
    }
}

/// Packages `aa`, `bb`, … with these fields and members.
pub(super) fn packages<const N: usize>(contents: [(&str, &[Member]); N]) -> Vec<Package> {
    let package =
        |(name, (fields, members)): (char, (&str, &[Member]))| Package::new(&format!("{name}{name}"), fields, members);
    ('a'..).zip(contents).map(package).collect()
}

/// `usr/share/x`, which several packages contain.
fn x(bytes: &str) -> Member {
    file("./usr/share/x", bytes)
}

/// A package with a conffile (deb-conffiles(5)).
fn with_configuration(name: &str) -> Package {
    let members = [file("./etc/conf", "configured").mode(0o640).owned(0, 42)];
    let control = [file("./control", control(name, "1", "")), file("./conffiles", "/etc/conf\n")];
    Package::raw(name, deb_with(&control, &xz(&tar(&[parents(&members).as_slice(), &members].concat()))))
}

/// Cases with the same resulting tree.
fn laid() -> Vec<Case> {
    let private = |mode, owner| directory("./usr/share/d/").mode(mode).owned(owner, owner);
    vec![
        (
            "every type, with its owner and mode",
            packages([(
                "",
                &[
                    file("./usr/share/f", "f").mode(0o6751).owned(1234, 65_534),
                    directory("./usr/share/s/").mode(0o3777).owned(7, 8),
                    symlink("./usr/share/l", "/nowhere").owned(5, 6),
                    member("./usr/share/p", Kind::Fifo, 0o620),
                    member("./usr/share/c", Kind::Device(1, 3), 0o666),
                    program("./bin/sh", "in /usr"),
                    file("./lib/x/y", "in /usr, too"),
                ],
            )]),
            vec![],
        ),
        ("configuration", vec![with_configuration("aa")], vec![]),
        (
            "the first of a shared directory's packages decides",
            packages([("", &[private(0o750, 5)]), ("", &[private(0o755, 0)]), ("", &[private(0o700, 6)])]),
            vec![],
        ),
        (
            "an essential package comes before others",
            vec![
                Package::new("zz", "Essential: yes\n", &[private(0o750, 5)]),
                Package::new("aa", "", &[private(0o755, 0)]),
            ],
            vec![],
        ),
        ("a directory twice in a package", packages([("", &[private(0o700, 1), private(0o755, 2)])]), vec![]),
        ("a file twice in a package", packages([("", &[x("1"), x("22").mode(0o600)])]), vec![]),
        ("the later replaces the earlier", packages([("", &[x("1")]), ("Replaces: aa\n", &[x("22")])]), vec![]),
        ("the earlier replaces the later", packages([("Replaces: bb\n", &[x("1")]), ("", &[x("22")])]), vec![]),
        ("both replace each other", packages([("Replaces: bb\n", &[x("1")]), ("Replaces: aa\n", &[x("22")])]), vec![]),
        ("replaces this version", packages([("", &[x("1")]), ("Replaces: aa (<< 2)\n", &[x("22")])]), vec![]),
        (
            "one replaces two that replace each other",
            packages([
                ("Replaces: bb\n", &[x("1")]),
                ("Replaces: aa\n", &[x("22")]),
                ("Replaces: bb, aa\n", &[x("333")]),
            ]),
            vec![],
        ),
        (
            "a file replaced by a link and a link by a file",
            packages([
                ("", &[x("1"), symlink("./usr/share/y", "x")]),
                ("Replaces: aa\n", &[symlink("./usr/share/x", "/etc"), file("./usr/share/y", "22")]),
            ]),
            vec![],
        ),
        (
            "diverted by one, both copies stay",
            packages([("", &[x("1")]), ("", &[x("22")])]),
            vec![("usr/share/x", "usr/share/x.bb", Some("aa"))],
        ),
        (
            "diverted by the later",
            packages([("", &[x("1")]), ("", &[x("22")])]),
            vec![("usr/share/x", "usr/share/x.aa", Some("bb"))],
        ),
        ("diverted by the administrator", packages([("", &[x("1")])]), vec![("usr/share/x", "usr/share/y", None)]),
        (
            "diverted hard links",
            packages([("", &[x("1"), hardlink("./usr/share/y", "./usr/share/x")])]),
            vec![("usr/share/x", "usr/share/z", None)],
        ),
        (
            "hard links, the last of whose modes counts",
            packages([("", &[x("1"), hardlink("./usr/share/y", "./usr/share/x").mode(0o4755).owned(3, 4)])]),
            vec![],
        ),
        (
            "hard links of which one was replaced later",
            packages([("", &[x("1"), hardlink("./usr/share/y", "./usr/share/x")]), ("Replaces: aa\n", &[x("22")])]),
            vec![],
        ),
        (
            "a hard link to a file that stays another's",
            packages([
                ("Replaces: bb\n", &[x("1")]),
                (
                    "",
                    &[x("22"), hardlink("./usr/share/y", "./usr/share/x"), hardlink("./usr/share/z", "./usr/share/x")],
                ),
            ]),
            vec![],
        ),
        (
            "a link to a directory in a directory's place",
            packages([("", &[file("./usr/share/d/f", "1")]), ("", &[symlink("./usr/share/d", "/usr/lib")])]),
            vec![],
        ),
        (
            "a directory, and files below, in the place of a link to one",
            packages([
                ("", &[file("./usr/lib/real/f", "1"), symlink("./usr/share/d", "../lib/real")]),
                ("", &[directory("./usr/share/d/").mode(0o700), file("./usr/share/d/g", "22")]),
            ]),
            vec![],
        ),
        (
            "two links to one directory",
            packages([
                ("", &[file("./usr/lib/real/f", "1"), symlink("./usr/share/d", "../lib/real")]),
                ("", &[symlink("./usr/share/d", "/usr/lib/real")]),
            ]),
            vec![],
        ),
        (
            "a directory twice in the place of a link to one",
            packages([
                ("", &[file("./usr/lib/real/f", "1"), symlink("./usr/share/d", "../lib/real")]),
                ("", &[directory("./usr/share/d/"), directory("./usr/share/d/"), file("./usr/share/d/g", "22")]),
            ]),
            vec![],
        ),
        (
            "a file in the place of an empty directory",
            packages([("", &[directory("./usr/share/d/")]), ("Replaces: aa\n", &[file("./usr/share/d", "22")])]),
            vec![],
        ),
        (
            "a link of a merged /usr",
            packages([(
                "",
                &[symlink("./bin", "usr/bin"), symlink("./lib64", "usr/lib64"), program("./usr/lib64/p", "")],
            )]),
            vec![],
        ),
    ]
}

#[test]
fn kiln_unpacks_as_dpkg_does() {
    let mut wrong = Vec::new();
    for (what, packages, diverted) in laid() {
        let Verdicts { kiln, dpkg } = judge(&packages, &diverted);
        match (kiln, dpkg) {
            (Ok(kiln), Ok(dpkg)) => {
                let differences = listing::differences(&kiln, &dpkg);
                wrong.extend((!differences.is_empty()).then(|| format!("{what}:\n{}", differences.join("\n"))));
            }
            (kiln, dpkg) => wrong.push(format!("{what}: kiln {:?}, dpkg {:?}", kiln.err(), dpkg.err())),
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn kiln_rejects_what_dpkg_rejects() {
    let cases: [Case; 8] = [
        (
            "a file beyond the package's own link",
            packages([("", &[file("./etc/y", "1"), symlink("./usr/share/x", "/etc"), file("./usr/share/x/z", "22")])]),
            vec![],
        ),
        (
            "two names of a path in a merged /usr",
            packages([("", &[program("./bin/p", "1"), program("./usr/bin/p", "22")])]),
            vec![],
        ),
        ("two copies of a file", packages([("", &[x("1")]), ("", &[x("22")])]), vec![]),
        ("with the same bytes", packages([("", &[x("1")]), ("", &[x("1")])]), vec![]),
        ("replaces another version", packages([("", &[x("1")]), ("Replaces: aa (>= 2)\n", &[x("22")])]), vec![]),
        (
            "replaces one of two",
            packages([("Replaces: bb\n", &[x("1")]), ("Replaces: aa\n", &[x("22")]), ("Replaces: aa\n", &[x("333")])]),
            vec![],
        ),
        (
            "a link to nothing in a directory's place",
            packages([("", &[symlink("./usr/share/x", "nothing")]), ("", &[file("./usr/share/x/y", "22")])]),
            vec![],
        ),
        ("a directory in a file's place", packages([("", &[x("1")]), ("", &[file("./usr/share/x/y", "22")])]), vec![]),
    ];
    for (what, packages, diverted) in cases {
        let Verdicts { kiln, dpkg } = judge(&packages, &diverted);
        assert!(dpkg.is_err(), "{what}: dpkg does it");
        assert!(kiln.is_err(), "{what}: kiln does it");
    }
}

/// kiln is stricter where an image would silently lose a file, or where an archive would write
/// through its own link.
#[test]
fn cases_that_only_kiln_rejects() {
    let cases = [
        (
            packages([("", &[program("./bin/p", "1")]), ("", &[program("./usr/bin/p", "22")])]),
            "/usr/bin/p is shipped by both aa and bb",
        ),
        (
            packages([("", &[file("./usr/share/x/y", "1")]), ("Replaces: aa\n", &[x("22")])]),
            "package bb: /usr/share/x is a directory with contents",
        ),
    ];
    for (packages, expected) in cases {
        let Verdicts { kiln, dpkg } = judge(&packages, &[]);
        dpkg.unwrap_or_else(|error| panic!("dpkg also rejects it: {error}"));
        let error = kiln.expect_err(expected);
        assert!(error.starts_with(expected), "{error}");
    }
}

/// dpkg fails when a package lacks a directory of its own, and diverts only the spelling used in
/// the diversion.
#[test]
fn cases_that_only_kiln_unpacks() {
    let members = [file("./usr/share/d/f", "1"), file("./lib/f", "22")];
    let package = Package::raw("aa", deb_of(&control("aa", "1", ""), &xz(&tar(&members))));
    let Verdicts { kiln, dpkg } = judge(&[package], &[("usr/lib/f", "usr/lib/g", None)]);
    assert!(dpkg.is_err(), "dpkg does it, too");
    let kiln = kiln.expect("a tree");
    assert_eq!(kiln["usr/share/d"].mode, 0o755);
    assert_eq!(kiln["usr/lib/g"].size, Some(2));
    assert!(!kiln.contains_key("usr/lib/f"));
}
