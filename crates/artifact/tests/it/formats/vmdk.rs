//! Tests of VMDK with qemu-img, of its OVF with xmllint, of its manifest with sha256sum.

use crate::formats::disks::{Disk, REAL, assert_same, assert_same_by_7z, qemu_img};
use crate::formats::tools::{run, sha256sums, text, tool};
use kiln_profile::Output;
use std::fs;
use std::path::Path;

/// Checks that `path` equals `disk`, padded to whole grains.
pub(super) fn judge(disk: &Disk, path: &Path) {
    let check = qemu_img(&["check", "-f", "vmdk"], path);
    assert_eq!((&check["check-errors"], check.get("corruptions")), (&0.into(), None), "{check}");
    let info = qemu_img(&["info", "-f", "vmdk"], path);
    assert_eq!(info["virtual-size"], disk.size.next_multiple_of(65536), "{info}");
    let specific = &info["format-specific"]["data"];
    assert_eq!(
        (&specific["create-type"], &specific["cid"]),
        (&"streamOptimized".into(), &0x5ad1_5c00_u32.into()),
        "{info}"
    );
    assert_eq!(specific["extents"][0]["compressed"], true, "{info}");
    assert_same(&disk.raw(), path, "vmdk");
}

#[test]
fn qemu_reads_it() {
    let encoded = REAL.encode(Output::Vmdk, "vmdk", 4);
    judge(&REAL, &encoded.path(".vmdk"));
    assert_same_by_7z(&REAL.raw(), &encoded.path(".vmdk"), "vmdk");
}

/// No Debian package contains DMTF's schema (DSP8023 1.1.0), and it may not be copied here, so the
/// values are checked one by one. kiln's output was valid when checked by hand against that schema
/// with `xmllint --schema dsp8023_1.1.0.xsd` and the schemas that it imports.
#[test]
fn the_ovf_package_is_consistent() {
    let encoded = REAL.encode(Output::Vmdk, "ovf", 4);
    let ovf = encoded.path(".ovf");
    run(tool("xmllint", "libxml2-utils").args(["--noout", "--nonet"]).arg(&ovf));
    let value = |path: &str| {
        // Without namespaces: //System/Name is //*[local-name()="System"]/*[local-name()="Name"].
        let step = |step: &str| match step.strip_prefix('@') {
            Some(attribute) => format!("@*[local-name()=\"{attribute}\"]"),
            None => format!("*[local-name()=\"{step}\"]"),
        };
        let steps: Vec<String> = path.split('/').map(step).collect();
        let mut xmllint = tool("xmllint", "libxml2-utils");
        xmllint.args(["--nonet", "--xpath", &format!("string(//{})", steps.join("/"))]);
        text(xmllint.arg(&ovf)).trim().to_owned()
    };
    let file = fs::metadata(encoded.path(".vmdk")).expect("there").len();
    assert_eq!(value("File/@href"), "disk.vmdk");
    assert_eq!(value("File/@size"), file.to_string());
    assert_eq!(value("File/@id"), value("Disk/@fileRef"));
    assert_eq!(value("Disk/@capacity"), qemu_img(&["info"], &encoded.path(".vmdk"))["virtual-size"].to_string());
    assert_eq!(value("Network/@name"), value("Connection"));
    assert_eq!(value("HostResource"), format!("ovf:/disk/{}", value("Disk/@diskId")));
    assert_eq!(value("VirtualSystem/Name"), "worker");
    let names: Vec<&str> = encoded.files.iter().map(|file| file.path.as_str()).collect();
    assert_eq!(names, ["disk.mf", "disk.ovf", "disk.vmdk"]);
    let sums = sha256sums(&encoded.directory, &["disk.ovf", "disk.vmdk"]);
    let manifest = fs::read_to_string(encoded.path(".mf")).expect("a manifest");
    assert_eq!(manifest, format!("SHA256(disk.ovf)= {}\nSHA256(disk.vmdk)= {}\n", sums[0], sums[1]));
}
