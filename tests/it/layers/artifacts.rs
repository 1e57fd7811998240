//! Artifacts over packages.

use crate::layers::corner_cases::packages;
use crate::layers::listing::{self, Listing};
use crate::layers::opened::{self, Named};
use crate::layers::synthetic::{Member, directory, file, gzip, hardlink, program, symlink, tar};
use kiln_cache::{Cache, Stored};
use kiln_pack::layer::{ArtifactError, lay_artifact};
use kiln_pack::{Input, InputFormat, Packer};
use kiln_profile::{Artifact, ArtifactFormat, ArtifactSource, TarMember};
use kiln_tree::{Digest, TreePath};
use std::fs;
use std::time::SystemTime;

/// The tree of a package with the members `below`, and of an archive's `members` above it, moved
/// between the given paths.
fn laid(below: &[Member], archive: &[Member], members: &[(&str, &str)]) -> Result<Listing, ArtifactError> {
    let place = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a temporary directory");
    let [package] = packages([("", below)]).try_into().expect("one package");
    let bytes = gzip(&tar(archive));
    let (deb, tarball) = (place.path().join("deb"), place.path().join("tar"));
    fs::write(&deb, &package.bytes).expect("written");
    fs::write(&tarball, &bytes).expect("written");

    let deb = Named { name: package.name, version: "1".into(), digest: Digest::of(&package.bytes), path: deb };
    let cache = place.path().join("cache");
    let mut tree = opened::tree(&opened::open(&cache, std::slice::from_ref(&deb)), &[deb], &[]).expect("a tree");

    let cache = Cache::open(&cache, SystemTime::now()).expect("a cache");
    let mut writer = cache.blob_writer().expect("a writer");
    writer.append(&bytes).expect("written");
    let Stored { digest, size, path } = writer.finish().expect("stored");
    let input = Input { name: "tool".into(), digest, path, size, format: InputFormat::Tar };
    let store = Packer::new(&cache, 1, &[]).open(&[input], &|_| {}).expect("an archive");
    let member = |(member, to): &(&str, &str)| TarMember {
        member: (*member).to_owned(),
        destination: TreePath::new(to).expect("a path"),
    };
    let artifact = Artifact {
        name: "tool".into(),
        version: "1".into(),
        source: ArtifactSource::File(tarball),
        sha256: Some(digest),
        format: ArtifactFormat::Tar { members: members.iter().map(member).collect() },
    };
    lay_artifact(&mut tree, &artifact, digest, store.pack(&digest).expect("opened"))?;
    Ok(listing::of(&tree))
}

#[test]
fn an_artifacts_files_win_and_directories_stay() {
    let below = [
        program("./usr/bin/tool", "package"),
        directory("./usr/share/d/").mode(0o750).owned(1, 2),
        symlink("./usr/share/link", "d"),
    ];
    let archive = [
        directory("./"),
        directory("./bin/").mode(0o775).owned(1000, 1000),
        program("./bin/tool", "artifact!").mode(0o4755).owned(1000, 1000),
        hardlink("./bin/also", "./bin/tool").mode(0o4755),
        directory("./share/"),
        directory("./share/d/").mode(0o700),
        directory("./share/link/").mode(0o700),
        file("./unwanted", ""),
    ];
    let found = laid(&below, &archive, &[("bin", "/bin"), ("share", "/usr/share"), ("./bin/also", "/opt/tool")]);
    let found = found.expect("laid");
    let tool = &found["usr/bin/tool"];
    assert_eq!((tool.size, tool.mode, tool.uid, tool.gid), (Some(9), 0o4755, 0, 0));
    assert_eq!(tool.names, ["opt/tool", "usr/bin/also", "usr/bin/tool"]);
    assert_eq!((found["usr/bin"].mode, found["usr/bin"].uid), (0o755, 0));
    let directory = &found["usr/share/d"];
    assert_eq!((directory.mode, directory.uid, directory.gid), (0o750, 1, 2));
    assert_eq!(found["usr/share/link"].target, "d");
    assert_eq!(found["bin"].target, "usr/bin");
    assert!(!found.keys().any(|path| path.contains("unwanted")));
}

#[test]
fn an_artifact_replaces_no_directory() {
    for below in [directory("./usr/share/d/"), file("./usr/share/d/f", "")] {
        let refused = laid(&[below], &[file("d", "")], &[("d", "/usr/share/d")]).expect_err("it replaced it");
        let expected = "artifact tool: /usr/share/d is in artifact tool=1 and in package aa=1; give one of them another destination";
        assert_eq!(refused.to_string(), expected);
    }
}
