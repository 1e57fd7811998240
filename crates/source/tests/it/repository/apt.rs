//! Compares with apt how its sources are read, and the names under which it stores fetched files.

use kiln_source::deb::{apt_conf, apt_sources};
use kiln_source::http::{ProxyConfig, Purpose};
use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

const LIST: &str = "# comment
deb [ arch=amd64 lang=en ] http://a.example/one_two/ trixie main contrib # more
deb-src http://sources.example/debian trixie main
   deb\thttps://b.example:8443/x~y=z\tbookworm-updates   main

deb http://c.example/sec bookworm/updates main
deb http://user:password@d.example trixie-security main
";

const SOURCES: &str = "# comment
Types: deb deb-src
# between
URIs: http://e.example/debian
 http://f.example/debian//
Suites: trixie
# within
 trixie-updates
Components: main contrib
Architectures: amd64

types: deb
uris: http://g.example/debian
suites: sid
components: main
enabled: yes

Types: deb
Enabled: no
URIs: http://disabled.example/debian
Suites: trixie
Components: main

Types: deb-src
URIs: http://sources.example/debian
Suites: trixie
Components: main
";

/// `InRelease` files that apt would fetch: the URL and the name under which it would store the
/// file.
fn asked_by_apt(root: &Path) -> Vec<(String, String)> {
    let output = Command::new("apt-get")
        .args(["update", "--print-uris", "-o", &format!("Dir={}", root.display())])
        .args(["-o", &format!("Dir::State::status={}", root.join("status").display())])
        .output()
        .expect("apt-get, of the Debian package apt");
    assert!(output.status.success(), "apt-get: {}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    let files: Vec<_> = text
        .lines()
        .filter_map(|line| {
            let mut words = line.split(' ');
            let url = words.next()?.trim_matches('\'').strip_suffix("/InRelease")?;
            Some((url.to_owned(), words.next()?.to_owned()))
        })
        .collect();
    assert!(!files.is_empty(), "apt-get: {text}");
    files
}

/// The value of an option in a configuration that consists of one file only.
fn value_in_apt(conf: &Path, option: &str) -> Option<String> {
    let output = Command::new("apt-config").env("APT_CONFIG", conf).args(["shell", "VALUE", option]).output();
    let output = output.expect("apt-config, of the Debian package apt");
    assert!(output.status.success(), "apt-config: {}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    let value = text.trim().strip_prefix("VALUE='")?.strip_suffix('\'')?;
    // apt prints an option that only has others below it.
    (!value.is_empty()).then(|| value.to_owned())
}

#[test]
fn apt_and_kiln_find_the_same_proxies() {
    const ALONE: &str = "Dir::Etc::parts \"/dev/null\";\nDir::Etc::main \"/dev/null\";\n";
    let directory = tempfile::tempdir().unwrap();
    let conf = directory.path().join("apt.conf");
    for text in [
        "Acquire::http::Proxy \"http://p:1\";",
        "acquire::HTTP::proxy p:1;",
        "Acquire { http { Proxy \"http://p:1\"; Proxy::h.example \"DIRECT\"; }; https::Proxy \"http://q:2\"; };",
        "Acquire::http {\n  Proxy # why\n    \"http://p:1\"\n  ; }",
        "// Acquire::http::Proxy \"http://no:1\";\nAcquire /* here */ { http::Proxy \"http://p:1\" }",
        "/* Acquire::http::Proxy\n \"http://no:1\"; */ Acquire::http::Proxy { h.example \"http://r:3\"; };",
        "Acquire::http::Proxy \"http://p:1\";\n#clear Acquire::http;\n",
        "Acquire::http::Proxy \"http://p:1\";\nAcquire::http::Proxy \"http://s:4\";\nAPT::X { \"a\"; \"b\"; };",
        "Acquire::http::Proxy \"http://p:1\"; # \"quoted; {\n",
        "Acquire::http::Proxy \"http://p:1\"; Acquire::http::Proxy::h.example \"http://t:5\";",
    ] {
        std::fs::write(&conf, format!("{ALONE}{text}\n")).unwrap();
        let ours = apt_conf::read(directory.path(), Some(&conf));
        assert!(ours.unused.is_empty() && ours.notes.is_empty(), "{text}: {ours:?}");
        let proxies = ProxyConfig::default().with_apts(ours.proxies);
        let asked = |option: &str| value_in_apt(&conf, &format!("Acquire::{option}"));
        let plain = asked("http::Proxy");
        let special = asked("http::Proxy::h.example").or_else(|| plain.clone());
        let encrypted = asked("https::Proxy").or_else(|| plain.clone());
        for (url, theirs) in
            [("http://m.example/", plain), ("http://h.example/", special), ("https://m.example/", encrypted)]
        {
            let theirs = theirs.filter(|value| value != "DIRECT").map(|value| value.replace("http://", ""));
            assert_eq!(
                proxies.proxy_for(url, Purpose::Mirror),
                theirs,
                "kiln on the left, apt on the right: {url}: {text}"
            );
        }
    }
}

#[test]
fn sources_and_names_are_those_of_apt() {
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path();
    for path in ["etc/apt/sources.list.d", "etc/apt/preferences.d", "etc/apt/apt.conf.d", "var/lib/apt/lists/partial"] {
        std::fs::create_dir_all(root.join(path)).unwrap();
    }
    std::fs::write(root.join("status"), "").unwrap();
    std::fs::write(root.join("etc/apt/sources.list"), LIST).unwrap();
    std::fs::write(root.join("etc/apt/sources.list.d/z.sources"), SOURCES).unwrap();
    std::fs::write(root.join("etc/apt/sources.list.d/off.sources.disabled"), "junk").unwrap();
    std::fs::write(root.join("etc/apt/sources.list.d/not plain.list"), "junk").unwrap();

    // Most URLs do not look like Debian's: they are recognized only by the files that apt stored.
    let few = apt_sources::read(root).unwrap();
    assert!(!few.mirrors.iter().any(|mirror| mirror.expose().contains("a.example")), "{few:?}");
    let asked = asked_by_apt(root);
    for (_, name) in &asked {
        std::fs::write(root.join("var/lib/apt/lists").join(name), "Origin: Debian\n").unwrap();
    }
    let found = apt_sources::read(root).unwrap();
    let ours = found.mirrors.iter().chain(&found.security_mirrors);
    // apt omits passwords from its output and keeps every slash; it also requests releases for
    // source entries.
    let plain = |url: &str| url.replace("user:password@", "").trim_end_matches('/').to_owned();
    let ours: BTreeSet<String> = ours.map(|url| plain(url.expose())).collect();
    let theirs: BTreeSet<String> = asked
        .iter()
        .filter(|(url, _)| !url.contains("//sources.example/"))
        .map(|(url, _)| plain(url.split("/dists/").next().unwrap()))
        .collect();
    assert_eq!(ours, theirs);
    assert_eq!(found.notes, [""; 0]);

    for (_, name) in &asked {
        std::fs::write(root.join("var/lib/apt/lists").join(name), "Origin: Somebody\n").unwrap();
    }
    let error = apt_sources::read(root).expect_err("nothing is Debian's").to_string();
    assert!(error.contains("files of another origin") && !error.contains("password"), "{error}");
}
