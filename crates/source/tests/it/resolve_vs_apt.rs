//! Compares the resolver with apt: for many package lists on two suites, kiln's set must equal the
//! one that `apt-get install -s --no-install-recommends` names, by package and version.
//!
//! apt runs as the user of the test, with its own configuration, state and dpkg status, so kiln and
//! apt read the same `Packages` texts. They are downloaded from the mirrors of the host's apt to
//! `$XDG_CACHE_HOME/kiln-test/apt`.

use kiln_source::deb::index::Index;
use kiln_source::deb::package::Archive;
use kiln_source::deb::resolver::resolve;
use rayon::prelude::*;
use std::collections::BTreeSet;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Instant;

/// Wanted packages of a bootable node, and its excluded packages.
const NODE: &str = "systemd systemd-sysv systemd-resolved udev dbus kmod linux-image-cloud-amd64 containerd runc \
    containernetworking-plugins iproute2 iptables conntrack ethtool socat util-linux mount e2fsprogs ca-certificates base-files \
    base-passwd bash coreutils libc-bin login passwd procps";
const NODE_TRIXIE: &str = "libpam-systemd systemd-repart systemd-cryptsetup";
const NODE_EXCLUDES: &str = "initramfs-tools perl perl-base klibc-utils cpio debconf usrmerge";

/// Package lists: wanted and excluded packages.
const LISTS: &[(&str, &str)] = &[
    ("nginx", ""),
    ("apache2", ""),
    ("postgresql", ""),
    ("mariadb-server", ""),
    ("redis-server memcached", ""),
    ("python3", ""),
    ("python3-numpy python3-matplotlib ipython3", ""),
    ("git", ""),
    ("git", "perl"),
    ("openssh-server", ""),
    ("openssh-server", "debconf init-system-helpers"),
    ("systemd-sysv", ""),
    ("sysvinit-core", ""),
    ("sysvinit-core elogind dbus", ""),
    ("default-mta", ""),
    ("mailutils", ""),
    ("mailutils postfix", ""),
    ("logcheck", ""),
    ("bsd-mailx nullmailer", ""),
    ("gnupg", ""),
    ("qemu-utils", ""),
    ("qemu-system-x86 ovmf", ""),
    ("docker.io", ""),
    ("podman", ""),
    ("golang", ""),
    ("rustc cargo", ""),
    ("build-essential", ""),
    ("debhelper dpkg-dev", ""),
    ("kubernetes-client", ""),
    ("etcd-server etcd-client", ""),
    ("openjdk-17-jre-headless", ""),
    ("maven", ""),
    ("default-jdk", ""),
    ("nodejs npm", ""),
    ("ruby rails", ""),
    ("php wordpress", ""),
    ("texlive-latex-base", ""),
    ("emacs-nox vim", ""),
    ("xfce4 lightdm", ""),
    ("gnome-core", ""),
    ("kde-plasma-desktop", ""),
    ("libreoffice", ""),
    ("firefox-esr chromium", ""),
    ("samba winbind krb5-user", ""),
    ("bind9 isc-dhcp-server", ""),
    ("cryptsetup lvm2 mdadm", ""),
    ("linux-image-amd64 grub-efi-amd64", ""),
    ("linux-image-amd64 dracut", ""),
    ("cloud-init network-manager", ""),
    ("ifupdown isc-dhcp-client resolvconf", ""),
    ("libvirt-daemon-system virtinst", ""),
    ("gcc-multilib", ""),
    ("gcc-aarch64-linux-gnu", ""),
    ("r-base", ""),
    ("octave", ""),
    ("pulseaudio", ""),
    ("pipewire-audio", ""),
    ("exim4-daemon-heavy spamassassin clamav-daemon", ""),
    ("apt apt-utils aptitude", ""),
    ("task-ssh-server tasksel", ""),
    (
        "base-files base-passwd bash bsdutils coreutils dash debianutils diffutils dpkg findutils grep gzip hostname init-system-helpers \
      libc-bin login ncurses-base ncurses-bin perl-base sed sysvinit-utils tar util-linux",
        "",
    ),
];

#[test]
fn bookworm_sets_equal_those_of_apt() {
    compare_all("bookworm", "");
}

#[test]
fn trixie_sets_equal_those_of_apt() {
    compare_all("trixie", NODE_TRIXIE);
}

fn compare_all(suite: &'static str, node_extra: &str) {
    let apt = Apt::new(suite);
    let start = Instant::now();
    let index = Index::read("amd64", apt.texts()).expect("Debian's own indexes");
    println!("{suite}: {} packages read in {:?}", index.len(), start.elapsed());
    let node = format!("{NODE} {node_extra}");
    let mut lists = LISTS.to_vec();
    lists.extend([(node.as_str(), ""), (node.as_str(), NODE_EXCLUDES)]);
    let results: Vec<Result<bool, String>> =
        lists.par_iter().map(|(wanted, exclude)| compare(&apt, &index, wanted, exclude)).collect();
    let differences: Vec<&String> = results.iter().filter_map(|result| result.as_ref().err()).collect();
    let list: String = differences.iter().map(|difference| format!("\n{difference}")).collect();
    assert!(differences.is_empty(), "{suite}: {} lists differ:{list}", differences.len());
    let compared = results.iter().filter(|result| **result == Ok(true)).count();
    assert!(compared >= 50, "{suite}: only {compared} lists were installable");
}

/// Returns whether the list can be installed, on which kiln and apt must agree, or how they differ.
fn compare(apt: &Apt, index: &Index, wanted: &str, exclude: &str) -> Result<bool, String> {
    let words = |list: &str| -> BTreeSet<String> { list.split_whitespace().map(str::to_owned).collect() };
    let (wanted, exclude) = (words(wanted), words(exclude));
    let title = format!("{}: {wanted:?} without {exclude:?}", apt.suite);
    let start = Instant::now();
    let ours = resolve(index, &wanted, &exclude);
    let took = start.elapsed();
    match (ours, apt.install(index, &wanted, &exclude)) {
        (Ok(ours), Ok(theirs)) => {
            println!("{title}: {} packages in {took:?}", ours.len());
            let ours: BTreeSet<String> = ours.iter().map(ToString::to_string).collect();
            let only_ours: Vec<_> = ours.difference(&theirs).collect();
            let only_theirs: Vec<_> = theirs.difference(&ours).collect();
            if only_ours.is_empty() && only_theirs.is_empty() {
                return Ok(true);
            }
            Err(format!("{title}: only kiln has {only_ours:?}, only apt has {only_theirs:?}"))
        }
        (Err(ours), Err(theirs)) => {
            println!("{title}: both reject it, kiln with {ours:?}, apt with {theirs:?}");
            Ok(false)
        }
        (Ok(_), Err(theirs)) => Err(format!("{title}: only apt rejects it: {theirs}")),
        (Err(ours), Ok(_)) => Err(format!("{title}: only kiln rejects it: {ours}")),
    }
}

/// apt with a separate configuration.
struct Apt {
    suite: &'static str,
    directory: PathBuf,
    /// Configuration, state and the dpkg status, which differs for each list.
    scratch: tempfile::TempDir,
    /// Held while the lists are used: one test process at a time.
    _lock: File,
}

impl Apt {
    fn new(suite: &'static str) -> Self {
        let cache = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from).unwrap_or_else(|| {
            PathBuf::from(std::env::var_os("HOME").expect("HOME or XDG_CACHE_HOME is set")).join(".cache")
        });
        let directory = cache.join("kiln-test/apt").join(suite);
        for part in ["etc/apt.conf.d", "etc/preferences.d", "etc/trusted.gpg.d", "lists/partial", "archives/partial"] {
            fs::create_dir_all(directory.join(part)).expect("the cache directory can be written");
        }
        let lock = File::create(directory.join("lock")).expect("the cache directory can be written");
        rustix::fs::flock(&lock, rustix::fs::FlockOperation::LockExclusive).expect("the lock can be taken");
        let apt = Self { suite, directory, scratch: tempfile::tempdir().expect("a temporary directory"), _lock: lock };
        apt.configure();
        apt.update();
        apt
    }

    fn configure(&self) {
        let keyring = Path::new("/usr/share/keyrings/debian-archive-keyring.gpg");
        assert!(keyring.exists(), "{} is missing: install the package debian-archive-keyring", keyring.display());
        let (archive, security) = host_mirrors();
        let suite = self.suite;
        let line = |mirror: &str, suite: &str| format!("deb [signed-by={}] {mirror} {suite} main\n", keyring.display());
        let sources = line(&archive, suite)
            + &line(&archive, &format!("{suite}-updates"))
            + &line(&security, &format!("{suite}-security"));
        fs::write(self.directory.join("etc/sources.list"), sources).expect("sources.list is written");
        let directory = self.directory.display();
        let scratch = self.scratch.path().display();
        let configuration = format!(
            "Dir::Etc \"{directory}/etc\"; Dir::Etc::main \"none\"; Dir::Etc::parts \"apt.conf.d\"; Dir::Etc::sourceparts \"none\";\n\
             Dir::State \"{scratch}\"; Dir::State::lists \"{directory}/lists\"; Dir::State::status \"{scratch}/status\";\n\
             Dir::Cache \"{directory}\"; Dir::Cache::pkgcache \"\"; Dir::Log \"{scratch}\"; APT::Sandbox::User \"\";\n\
             APT::Architecture \"amd64\"; APT::Architectures {{ \"amd64\"; }}; Acquire::Languages \"none\"; Acquire::GzipIndexes \"false\";\n\
             APT::Solver \"internal\"; APT::Immediate-Configure \"false\"; APT::Install-Suggests \"false\";\n\
             APT::Get::AllowUnauthenticated \"false\"; Acquire::Retries \"3\";\n"
        );
        fs::write(self.scratch.path().join("apt.conf"), configuration).expect("apt.conf is written");
        fs::write(self.scratch.path().join("status"), "").expect("the status is written");
    }

    fn run(&self, arguments: &[&str]) -> Output {
        Command::new("apt-get")
            .args(arguments)
            .env("APT_CONFIG", self.scratch.path().join("apt.conf"))
            .env("LC_ALL", "C")
            .output()
            .expect("apt-get runs: these tests need a Debian host with the package apt")
    }

    fn update(&self) {
        let output = self.run(&["update", "-q", "-o", "APT::Update::Error-Mode=any"]);
        // Without a network, the lists of an earlier run are used: both sides read the same ones.
        let present = self.list_files().iter().all(|(_, path)| path.exists());
        assert!(output.status.success() || present, "apt-get update: {}", String::from_utf8_lossy(&output.stderr));
    }

    fn list_files(&self) -> Vec<(Archive, PathBuf)> {
        let lists = self.directory.join("lists");
        let (archive, security) = host_mirrors();
        let file = |mirror: &str, suite: &str| {
            let site =
                mirror.split_once("://").map_or(mirror, |(_, site)| site).trim_end_matches('/').replace('/', "_");
            lists.join(format!("{site}_dists_{suite}_main_binary-amd64_Packages"))
        };
        vec![
            (Archive::Main, file(&archive, self.suite)),
            (Archive::Updates, file(&archive, &format!("{}-updates", self.suite))),
            (Archive::Security, file(&security, &format!("{}-security", self.suite))),
        ]
    }

    fn texts(&self) -> Vec<(Archive, String)> {
        let read = |path: &Path| fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        self.list_files().into_iter().map(|(archive, path)| (archive, read(&path))).collect()
    }

    /// Returns what apt would install, as `name version`, or its error.
    fn install(
        &self,
        index: &Index,
        wanted: &BTreeSet<String>,
        exclude: &BTreeSet<String>,
    ) -> Result<BTreeSet<String>, String> {
        let status: String = exclude.iter().map(|name| installed(index, name)).collect();
        let file = tempfile::NamedTempFile::new_in(self.scratch.path()).expect("a temporary file");
        fs::write(file.path(), status).expect("the status is written");
        let option = format!("Dir::State::status={}", file.path().display());
        let mut arguments = vec!["install", "-o", &option, "-s", "-q", "--no-install-recommends", "--no-remove"];
        arguments.extend(wanted.iter().map(String::as_str));
        let output = self.run(&arguments);
        let text = String::from_utf8_lossy(&output.stdout);
        if !output.status.success() {
            return Err(format!("{text}{}", String::from_utf8_lossy(&output.stderr)));
        }
        // "Inst name (version Debian:13.2/stable [amd64])"
        let parse = |line: &str| {
            let mut words = line.strip_prefix("Inst ")?.split_whitespace();
            let name = words.next()?;
            let version = words.next()?.strip_prefix('(')?;
            Some(format!("{} {version}", name.split(':').next()?))
        };
        let set: BTreeSet<String> = text.lines().filter_map(parse).collect();
        assert_eq!(set.len(), text.lines().filter(|line| line.starts_with("Inst ")).count(), "{text}");
        Ok(set)
    }
}

/// The entry of an excluded package in a dpkg status file: installed, newer than any candidate,
/// with its provided names and without dependencies.
fn installed(index: &Index, name: &str) -> String {
    let newest = index.versions(name).first().copied().and_then(|version| index.package(name, version));
    let (version, provides, architecture, multi_arch) = match &newest {
        Some(package) => {
            let multi_arch = format!("{:?}", package.multi_arch).to_lowercase();
            (
                format!("{}+excluded", package.version),
                package.relations.provides.clone(),
                package.architecture.as_str(),
                multi_arch,
            )
        }
        None => ("9999".to_owned(), String::new(), "all", "no".to_owned()),
    };
    let provides = if provides.is_empty() { provides } else { format!("Provides: {provides}\n") };
    format!(
        "Package: {name}\nStatus: install ok installed\nPriority: optional\nSection: misc\nMaintainer: nobody <nobody@localhost>\n\
         Architecture: {architecture}\nMulti-Arch: {multi_arch}\nVersion: {version}\n{provides}Description: excluded\n\n"
    )
}

/// The host's mirrors of the archive and of the security archive, according to its apt.
fn host_mirrors() -> (String, String) {
    let output = Command::new("apt-get")
        .args(["indextargets", "--format", "$(RELEASE) $(COMPONENT) $(SITE)", "Created-By: Packages"])
        .env("LC_ALL", "C")
        .output()
        .expect("apt-get runs: these tests need a Debian host with the package apt");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let find = |wanted: &[&str]| {
        let site = text.lines().find_map(|line| {
            let mut words = line.split_whitespace();
            let (release, component, site) = (words.next()?, words.next()?, words.next()?);
            (component == "main" && wanted.contains(&release)).then(|| site.to_owned())
        });
        site.unwrap_or_else(|| panic!("none of {wanted:?} is in the host's apt sources:\n{text}"))
    };
    let archive = find(&["bookworm", "trixie", "forky", "sid", "oldstable", "stable", "testing", "unstable"]);
    let security =
        find(&["bookworm-security", "trixie-security", "forky-security", "oldstable-security", "stable-security"]);
    (archive, security)
}
