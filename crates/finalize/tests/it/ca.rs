//! The CA bundle and links, against the suite's own update-ca-certificates and openssl.

use kiln_testing::debian_root;

use debian_root::{SUITES, copy_of, links, load, real_root, run, tool};
use kiln_finalize::ca_certificates;
use kiln_tree::{FileTree, LocalReader};
use rcgen::{CertificateParams, DistinguishedName, DnType, DnValue, KeyPair};
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

const PARTS: [&str; 2] = ["usr/share/ca-certificates", "etc/ssl"];
const LOCAL: &str = "usr/local/share/ca-certificates";

/// Runs update-ca-certificates of `root` on `dir`; without a configuration, lists all packaged
/// certificates, as the package's postinst does.
fn judge(root: &Path, dir: &Path) -> (Vec<u8>, BTreeMap<String, String>) {
    let conf = dir.join("etc/ca-certificates.conf");
    if !conf.exists() {
        let list = "cd \"$1/usr/share/ca-certificates\" && find * -name '*.crt' | LC_ALL=C sort";
        let list = run(Command::new("sh").args(["-c", list, "list"]).arg(dir));
        fs::write(&conf, list).expect("a configuration");
    }
    // The script runs `openssl`: give it the suite's.
    let bin = tempfile::tempdir().expect("a temporary directory");
    let openssl = tool(root, "usr/bin/openssl");
    let words: Vec<String> = std::iter::once(openssl.get_program())
        .chain(openssl.get_args())
        .map(|word| format!("'{}'", word.to_str().expect("UTF-8")))
        .collect();
    fs::write(bin.path().join("openssl"), format!("#!/bin/sh\nexec {} \"$@\"\n", words.join(" "))).expect("a wrapper");
    fs::set_permissions(bin.path().join("openssl"), fs::Permissions::from_mode(0o755)).expect("executable");
    let path = format!("{}:/usr/sbin:/usr/bin:/sbin:/bin", bin.path().display());
    let script = root.join("usr/sbin/update-ca-certificates");
    let mut command = Command::new("sh");
    command.arg(script).arg("--fresh").env("PATH", path).env("LC_ALL", "C");
    let places = [
        ("--certsconf", "etc/ca-certificates.conf"),
        ("--certsdir", "usr/share/ca-certificates"),
        ("--localcertsdir", LOCAL),
        ("--etccertsdir", "etc/ssl/certs"),
        ("--hooksdir", "nowhere"),
    ];
    for (option, place) in places {
        command.arg(option).arg(dir.join(place));
    }
    run(&mut command);
    let tree = load(dir);
    let prefix = format!("{}/", dir.display());
    let inside = |target: String| match target.strip_prefix(&prefix) {
        Some(rest) => format!("/{}", rest.trim_start_matches('/').replace("//", "/")),
        None => target,
    };
    let links = links(&tree, "etc/ssl/certs").into_iter().map(|(path, target)| (path, inside(target))).collect();
    (fs::read(dir.join("etc/ssl/certs/ca-certificates.crt")).expect("a bundle"), links)
}

fn ours(dir: &Path) -> (Vec<u8>, BTreeMap<String, String>) {
    let mut tree: FileTree = load(dir);
    let count = ca_certificates::finalize(&mut tree, &LocalReader).expect("certificates are set up");
    assert!(count > 100, "only {count} certificates");
    let bundle =
        tree.get("etc/ssl/certs/ca-certificates.crt").and_then(|entry| entry.inline()).expect("a bundle").to_vec();
    (bundle, links(&tree, "etc/ssl/certs"))
}

fn compare(prepare: &dyn Fn(&Path)) {
    for suite in SUITES {
        let root = real_root(suite);
        let copy = copy_of(&root, &PARTS);
        fs::create_dir_all(copy.path().join("etc/ssl/certs")).expect("a directory");
        prepare(copy.path());
        let (our_bundle, our_links) = ours(copy.path());
        let (bundle, links) = judge(&root, copy.path());
        assert_eq!(our_links, links, "{suite}: links");
        assert!(our_bundle == bundle, "{suite}: the bundles differ");
        let hashed = links.keys().filter(|name| name.ends_with(".0")).count();
        assert!(hashed > 100, "{suite}: only {hashed} hash links");
    }
}

#[test]
fn the_packages_certificates_are_set_up_as_update_ca_certificates_does() {
    compare(&|_| {});
}

/// A self-signed certificate whose subject has these values, one attribute each.
fn certificate(values: &[(DnType, DnValue)]) -> String {
    let mut name = DistinguishedName::new();
    for (kind, value) in values {
        name.push(kind.clone(), value.clone());
    }
    let mut params = CertificateParams::default();
    params.distinguished_name = name;
    params.self_signed(&KeyPair::generate().expect("a key")).expect("a certificate").pem()
}

#[test]
fn local_certificates_and_a_configuration_give_the_same_links() {
    let utf8 = |text: &str| DnValue::Utf8String(text.to_owned());
    let bmp = DnValue::BmpString(rcgen::string::BmpString::try_from("  Wide ŐNAME ").expect("BMP text"));
    let printable = DnValue::PrintableString("Same  NAME".try_into().expect("printable"));
    let folded =
        certificate(&[(DnType::CommonName, utf8("  Odd \t Spacing ÄÖ Case ")), (DnType::OrganizationName, bmp)]);
    let twin = certificate(&[(DnType::CommonName, printable)]);
    let other_twin = certificate(&[(DnType::CommonName, utf8(" same name"))]);
    let ia5 = DnValue::Ia5String("Mail@Example.ORG".try_into().expect("IA5"));
    let teletex = DnValue::TeletexString("Old Telex".try_into().expect("teletex"));
    let old = certificate(&[(DnType::CommonName, ia5), (DnType::OrganizationName, teletex)]);
    compare(&|dir| {
        let local = dir.join(LOCAL);
        fs::create_dir_all(local.join("sub")).expect("a directory");
        fs::write(local.join("folded.crt"), &folded).expect("written");
        fs::write(local.join("a twin (1), x.crt"), &twin).expect("written");
        fs::write(local.join("sub/twin2.crt"), &other_twin).expect("written");
        fs::write(local.join("copy-of-twin.crt"), &twin).expect("written");
        fs::write(local.join("two.crt"), format!("{folded}{twin}")).expect("written");
        fs::write(local.join("old.crt"), old.trim_end()).expect("written");
        fs::write(local.join("ignored.pem"), "not a certificate").expect("written");
        let packaged = "cd \"$1/usr/share/ca-certificates\" && find * -name '*.crt' | LC_ALL=C sort -r";
        let list = run(Command::new("sh").args(["-c", packaged, "list"]).arg(dir));
        let (first, rest) = list.split_once('\n').expect("many certificates");
        fs::write(dir.join("etc/ca-certificates.conf"), format!("# chosen\n!{first}\n\n{rest}")).expect("written");
    });
}
