//! Seeds, which come from whoever can hand a node one.

use super::{Attacks, damaged};
use crate::bad_input::site::{Keys, Site, succeeds};

const SEED: &str = "\
kind: NodeSeed
nodeName: worker-1
apiServers: [\"10.0.0.1:6443\"]
token: abcdef.0123456789abcdef
discovery:
  caCertHashes: [\"sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef\"]
kubelet: {nodeIP: 10.0.0.5, labels: {a.example/b: c}, taints: [{key: a, value: b, effect: NoSchedule}]}
files:
  /etc/motd: {content: hello, mode: \"0644\", uid: 0, gid: 0}
ntpServers: [ntp.example]
proxy: {https: \"http://proxy.example:3128\", noProxy: [10.0.0.0/8]}
";

#[test]
fn every_shape_of_a_seed() {
    let keys = Keys::new();
    let site = Site::new(&keys, &[]);
    let mut attacks = Attacks::of("seeds");
    site.write("seed", SEED);
    succeeds(&mut site.kiln(&["seed", "--check", "seed"]));
    let mut seeds = damaged(SEED.as_bytes(), 60);
    let path = |path: &str| SEED.replace("/etc/motd", path).into_bytes();
    for name in [
        "/",
        "",
        ".",
        "..",
        "/..",
        "etc/x",
        "/etc/../../x",
        "/usr/bin/kubelet",
        "/etc/passwd/x",
        "/etc//x",
        "/etc/x/",
        "/a\\0b",
        "/etc/kubernetes/pki/ca.crt",
        "/dev/sda",
        "/proc/self/mem",
        "/var/lib/kubelet/pki/kubelet-client-current.pem",
    ] {
        seeds.push((format!("path {name:?}"), path(name)));
    }
    for mode in ["4755", "0o777", "-1", "99999", "rwx", "", "~"] {
        seeds.push((format!("mode {mode:?}"), SEED.replace("0644", mode).into_bytes()));
    }
    let lines: Vec<&str> = SEED.lines().collect();
    for at in 0..lines.len() {
        let (key, _) = lines[at].split_once(':').expect("a key");
        for value in
            ["", "[]", "{}", "-1", "\"\\e[2J\"", "&a [*a]", "!!binary x", "[[\"10.0.0.1\"]]", "999999999999999999999"]
        {
            let changed = format!("{key}: {value}");
            let text: Vec<&str> =
                lines.iter().enumerate().map(|(n, line)| if n == at { changed.as_str() } else { *line }).collect();
            seeds.push((changed.clone(), text.join("\n").into_bytes()));
        }
    }
    seeds.push(("deep".into(), "[".repeat(100_000).into_bytes()));
    seeds.push(("aliases".into(), b"a: &a [x,x,x,x,x,x,x,x,x]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b,*b,*b,*b,*b]\nd: [*c,*c,*c,*c,*c,*c,*c]\n".to_vec()));
    seeds.push(("2 MiB".into(), vec![b'#'; 2 << 20]));
    seeds.push(("NUL".into(), vec![0; 1000]));
    for (what, text) in seeds {
        if attacks.next() {
            site.write("seed", &text);
            attacks.run(&what, &mut site.kiln(&["seed", "--check", "seed"]));
        }
    }
    attacks.end(80);
}
