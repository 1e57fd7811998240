//! Alternatives, against update-alternatives run as iptables' postinst runs it.

use kiln_testing::debian_root;

use debian_root::{SUITES, copy_of, links, load, real_root, run};
use kiln_finalize::alternatives;
use kiln_profile::Alternative;
use kiln_tree::TreePath;
use std::collections::BTreeMap;
use std::fs;
use std::process::Command;

/// The master link, its slaves, and the target of each.
const FAMILIES: [(&str, &str); 4] = [
    ("iptables", "iptables-nft"),
    ("ip6tables", "ip6tables-nft"),
    ("arptables", "arptables-nft"),
    ("ebtables", "ebtables-nft"),
];

#[test]
fn the_links_equal_those_of_update_alternatives() {
    for suite in SUITES {
        let root = real_root(suite);
        let copy = copy_of(&root, &["usr/sbin"]);
        let dir = copy.path();
        let mut wanted: BTreeMap<TreePath, Alternative> = BTreeMap::new();
        for (family, nft) in FAMILIES {
            for suffix in ["", "-restore", "-save"] {
                let alternative =
                    Alternative { name: format!("{family}{suffix}"), target: format!("/usr/sbin/{nft}{suffix}") };
                wanted.insert(TreePath::new(&format!("usr/sbin/{family}{suffix}")).expect("a path"), alternative);
            }
        }
        let mut tree = load(dir);
        alternatives::finalize(&mut tree, &wanted).expect("alternatives are made");

        for made in ["var/lib/dpkg/alternatives", "etc/alternatives"] {
            fs::create_dir_all(dir.join(made)).expect("a directory");
        }
        for (family, nft) in FAMILIES {
            let mut command = Command::new("update-alternatives");
            command.args(["--quiet", "--log", "/dev/null", "--altdir", "/etc/alternatives"]);
            command.args(["--admindir", "/var/lib/dpkg/alternatives", "--root"]).arg(dir);
            command.arg("--install").args([
                format!("/usr/sbin/{family}"),
                family.into(),
                format!("/usr/sbin/{nft}"),
                "20".into(),
            ]);
            for suffix in ["-restore", "-save"] {
                let link = format!("{family}{suffix}");
                command.arg("--slave").args([format!("/usr/sbin/{link}"), link, format!("/usr/sbin/{nft}{suffix}")]);
            }
            run(&mut command);
        }
        let theirs = load(dir);
        for below in ["usr/sbin", "etc/alternatives"] {
            assert_eq!(links(&tree, below), links(&theirs, below), "{suite}: {below}");
        }
        assert_eq!(links(&theirs, "etc/alternatives").len(), 12);
    }
}
