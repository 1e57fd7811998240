use super::*;
use kiln_tree::Digest;

/// Files in a map.
struct Memory(BTreeMap<String, Vec<u8>>);

impl Contents for Memory {
    fn read(&self, wanted: &BTreeSet<String>, limit: u64) -> Result<BTreeMap<String, Vec<u8>>, String> {
        let small = |(path, bytes): &(&String, &Vec<u8>)| wanted.contains(*path) && bytes.len() as u64 <= limit;
        Ok(self.0.iter().filter(small).map(|(path, bytes)| (path.clone(), bytes.clone())).collect())
    }
}

fn entry(kind: &str, text: Option<&str>, target: Option<&str>) -> Entry {
    Entry {
        kind: kind.into(),
        mode: "0644".into(),
        owner: (0, 0),
        size: text.map(|text| text.len() as u64),
        sha256: text.map(|text| Digest::of(text.as_bytes())),
        target: target.map(str::to_owned),
        xattrs: BTreeMap::new(),
        origin: None,
    }
}

/// A side of files with text; a text that begins with `->` is a link's target.
fn side(files: &[(&str, &str)]) -> Side {
    let parse = |text: &str| match text.strip_prefix("->") {
        Some(target) => entry("symlink", None, Some(target)),
        None => entry("file", Some(text), None),
    };
    Side {
        name: "side".into(),
        facts: None,
        cmdline: Some("quiet console=tty0 console=ttyS0".into()),
        disk_cmdline: None,
        outputs: BTreeMap::new(),
        files: files.iter().map(|(path, text)| ((*path).to_owned(), parse(text))).collect(),
        has_boot: true,
        contents: Box::new(Memory(
            files.iter().map(|(path, text)| ((*path).to_owned(), text.as_bytes().to_vec())).collect(),
        )),
    }
}

/// `name: old -> new` for each change of a section.
fn section(old: &[(&str, &str)], new: &[(&str, &str)], name: &str) -> Vec<String> {
    let changes = diff(&side(old), &side(new)).expect("compared");
    let section = changes.sections.into_iter().find(|section| section.name == name);
    let word = |value: Option<String>| value.unwrap_or_else(|| "none".into());
    let line = |change: Change| format!("{}: {} -> {}", change.name, word(change.old), word(change.new));
    section.into_iter().flat_map(|section| section.changes).map(line).collect()
}

#[test]
fn equal_sides_have_no_changes() {
    let files = [("etc/a", "x"), ("usr/lib/sysctl.d/a.conf", "a.b = 1\n")];
    let changes = diff(&side(&files), &side(&files)).expect("compared");
    assert!(changes.is_empty(), "{changes:?}");
}

#[test]
fn units_have_the_state_that_systemctl_shows() {
    let unit = |name: &str| format!("usr/lib/systemd/system/{name}");
    let (a, b, getty) = (unit("a.service"), unit("b.service"), unit("getty@.service"));
    let wants = "etc/systemd/system/multi-user.target.wants/a.service";
    let old = [(a.as_str(), "[Unit]"), (wants, "->/usr/lib/systemd/system/a.service"), (&getty, "[Unit]")];
    let new = [
        (a.as_str(), "[Unit]"),
        ("etc/systemd/system/a.service", "->/dev/null"),
        (&b, "[Unit]"),
        (&getty, "[Unit]"),
        ("etc/systemd/system/getty.target.wants/getty@tty1.service", "->/usr/lib/systemd/system/getty@.service"),
        ("etc/systemd/system/default.target", "->/usr/lib/systemd/system/multi-user.target"),
    ];
    assert_eq!(
        section(&old, &new, "units"),
        [
            "a.service: enabled (multi-user.target) -> masked",
            "b.service: none -> not enabled",
            "default.target: none -> link to multi-user.target",
            "getty@tty1.service: none -> enabled (getty.target)",
        ]
    );
}

#[test]
fn sysctls_have_their_effective_values() {
    let old = [
        ("usr/lib/sysctl.d/10-a.conf", "# why\nvm.swappiness=60\n-net.ipv4.conf.*.rp_filter = 2\n"),
        ("usr/lib/sysctl.d/90-b.conf", "vm/swappiness = 10\nnet/ipv4/conf/eth0.1/forwarding=1\n"),
    ];
    // A file in /etc overrides one of the same name; later names win; equal values in a different
    // spelling are not a change.
    let new = [
        ("usr/lib/sysctl.d/10-a.conf", "ignored = 1\n"),
        ("etc/sysctl.d/10-a.conf", "net.ipv4.conf.*.rp_filter=1\nvm.swappiness = 5\n"),
        ("usr/lib/sysctl.d/90-b.conf", "vm.swappiness=10\nnet.ipv4.conf.eth0/1.forwarding=1\n; no\n"),
        ("usr/lib/sysctl.d/README", "a = 1\n"),
    ];
    assert_eq!(section(&old, &new, "sysctls"), ["net.ipv4.conf.*.rp_filter: 2 -> 1"]);
    let masked = [("etc/sysctl.d/10-a.conf", "->/dev/null"), old[1], old[0]];
    assert_eq!(section(&old, &masked, "sysctls"), ["net.ipv4.conf.*.rp_filter: 2 -> none"]);
}

#[test]
fn kubelet_is_compared_field_by_field() {
    let head = "apiVersion: kubelet.config.k8s.io/v1beta1\nkind: KubeletConfiguration\n";
    let path = "var/lib/kubelet/config.yaml";
    let old = format!("{head}maxPods: 110\nevictionHard: {{memory.available: 1Mi}}\nclusterDNS: [a]\n");
    let new = format!(
        "{head}# moved\nclusterDNS: [a, b]\nevictionHard:\n  memory.available: 2Mi\nmaxPods: 110\nfailSwapOn: no\n"
    );
    assert_eq!(
        section(&[(path, &old)], &[(path, &new)], "kubelet configuration"),
        [
            ".clusterDNS: [\"a\"] -> [\"a\",\"b\"]",
            ".evictionHard[\"memory.available\"]: \"1Mi\" -> \"2Mi\"",
            ".failSwapOn: none -> false",
        ]
    );
}

#[test]
fn words_of_the_command_line_are_paired_by_name() {
    let line = |old, new| {
        let changes = cmdline::compare(old, new).into_iter();
        changes
            .map(|change| format!("{:?} {:?}", change.old.unwrap_or_default(), change.new.unwrap_or_default()))
            .collect::<Vec<_>>()
    };
    assert_eq!(line("a b=1 c", "a b=2 c d"), [r#""b=1" "b=2""#, r#""" "d""#]);
    assert_eq!(line("console=tty0 console=ttyS0", "console=ttyS0"), [r#""console=tty0" """#]);
    assert_eq!(line("a b", "b a").len(), 2);
    assert_eq!(line("a  b", "a b "), [""; 0]);
}

#[test]
fn files_list_their_changed_properties() {
    let mut old = side(&[("etc/a", "one\ntwo\n"), ("usr/bin/b", "x"), ("etc/gone", "x")]);
    let mut new = side(&[("etc/a", "one\nthree\n"), ("usr/bin/b", "y"), ("etc/new", "->a")]);
    if let Some(entry) = new.files.get_mut("usr/bin/b") {
        (entry.mode, entry.owner) = ("4755".into(), (0, 7));
    }
    let changes = diff(&old, &new).expect("compared");
    let lines: Vec<String> = changes
        .files
        .iter()
        .map(|file| format!("{} {}: {}", file.change, file.path, file.details.join(", ")))
        .collect();
    assert_eq!(
        lines,
        [
            "changed etc/a: 8 -> 10 bytes",
            "removed etc/gone: file 0644, 1 bytes",
            "added etc/new: symlink 0644 -> a",
            "changed usr/bin/b: mode 0644 -> 4755, owner 0:0 -> 0:7, different bytes",
        ]
    );
    assert_eq!(changes.files[0].text.as_deref(), Some("@@ -1,2 +1,2 @@\n one\n-two\n+three\n"));
    assert!(changes.files[1..].iter().all(|file| file.text.is_none()));

    // An image has no directory of the kernel, which is not a difference.
    old.files.insert("boot/vmlinuz-1".into(), entry("file", Some("k"), None));
    let boots = |changes: &Changes| changes.files.iter().filter(|file| file.path.starts_with("boot")).count();
    assert_eq!(boots(&diff(&old, &new).expect("compared")), 1);
    new.has_boot = false;
    assert_eq!(boots(&diff(&old, &new).expect("compared")), 0);
}

#[test]
fn texts_that_take_long_to_compare_are_only_reported_as_different() {
    let text = |word: &str| (0..5000).map(|line| format!("{word}{line}\n")).collect::<String>();
    let changes = diff(&side(&[("etc/a", &text("a"))]), &side(&[("etc/a", &text("b"))])).expect("compared");
    assert_eq!((changes.files.len(), &changes.files[0].text), (1, &None));
}
