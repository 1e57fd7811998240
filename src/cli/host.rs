//! What kiln uses of the machine it runs on: environment, clock, apt sources, processors.

use super::Global;
use super::args::MirrorArgs;
use anyhow::{Context, bail};
use kiln_bake::lock::Mirrors;
use kiln_cache::Cache;
use kiln_profile::{Arch, Overrides, Profile};
use kiln_progress::{Mode, Progress};
use kiln_source::deb::apt_conf;
use kiln_source::deb::apt_sources::{self, AptSources};
use kiln_source::deb::keyring::Keyring;
use kiln_source::fetch::Fetcher;
use kiln_source::http::{Client, HttpConfig, Logins, ProxyConfig};
use kiln_source::registry::Credentials;
use kiln_url::Url;
use std::env;
use std::io::{self, IsTerminal};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

/// The largest file with credentials that is read, in bytes.
const MAX_CREDENTIALS: u64 = 1 << 20;

/// The machine kiln runs on.
#[derive(Debug)]
pub(super) struct Host {
    /// Directory of the profiles.
    pub profiles: PathBuf,
    /// Directory of the cache.
    pub cache_root: PathBuf,
    /// The number of threads.
    pub threads: usize,
    /// The time when kiln started.
    pub now: SystemTime,
    /// Receives progress reports.
    pub progress: Progress,
    home: Option<PathBuf>,
}

impl Host {
    /// Examines the machine.
    ///
    /// # Errors
    /// When no directory for the cache is known.
    pub(super) fn new(global: &Global) -> anyhow::Result<Self> {
        let home = env::var_os("HOME").map(PathBuf::from).filter(|home| home.is_absolute());
        let cache_root = match &global.cache {
            Some(path) => path.clone(),
            None => env::var_os("XDG_CACHE_HOME")
                .map(PathBuf::from)
                .filter(|path| path.is_absolute())
                .or_else(|| home.as_ref().map(|home| home.join(".cache")))
                .context("no directory for the cache is known: set HOME or XDG_CACHE_HOME, or give --cache DIR")?
                .join("kiln"),
        };
        let mode = if global.quiet {
            Mode::Quiet
        } else if std::io::stderr().is_terminal() && env::var_os("CI").is_none() {
            Mode::Terminal
        } else {
            Mode::Plain
        };
        let processors = std::thread::available_parallelism().map_or(1, usize::from);
        let threads = global.jobs.map_or(processors, usize::from);
        // Finalizers share this pool. It already exists only when another program uses this
        // library.
        let _ = rayon::ThreadPoolBuilder::new().num_threads(threads).build_global();
        Ok(Self {
            profiles: global.profiles.clone(),
            cache_root,
            threads,
            now: SystemTime::now(),
            progress: Progress::new(mode, global.verbose),
            home,
        })
    }

    /// Loads a profile.
    ///
    /// # Errors
    /// When the profile is missing or invalid.
    pub(super) fn profile(&self, role: &str, overrides: &Overrides) -> anyhow::Result<Profile> {
        let arch = match env::consts::ARCH {
            "aarch64" => Arch::Arm64,
            _ => Arch::Amd64,
        };
        Ok(kiln_profile::load(&self.profiles, role, overrides, self.home.as_deref(), arch)?)
    }

    /// Opens the cache.
    ///
    /// # Errors
    /// When it can be neither read nor written.
    pub(super) fn cache(&self) -> anyhow::Result<Cache> {
        Ok(Cache::open(&self.cache_root, self.now)?)
    }

    /// The HTTP client, with the environment's proxies and certificate authorities, and what apt
    /// and `~/.netrc` have for requests that need more.
    ///
    /// # Errors
    /// When a proxy variable is malformed.
    pub(super) fn http(&self, offline: bool, args: &MirrorArgs) -> anyhow::Result<Client> {
        // A variable that is not UTF-8 does not name a proxy.
        let vars =
            env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
        let mut proxy = ProxyConfig::from_vars(vars)?;
        let mut logins = Logins::default();
        if !offline {
            let apt_config = env::var_os("APT_CONFIG").filter(|path| !path.is_empty());
            let apt = apt_conf::read(Path::new("/"), apt_config.as_deref().map(Path::new));
            apt.unused.iter().for_each(|unused| self.progress.warn(unused));
            apt.notes.iter().for_each(|note| self.progress.detail(note));
            proxy = proxy.with_apts(apt.proxies);
            logins = apt.logins;
            self.add_netrc(&mut logins);
        }
        Ok(Client::new(HttpConfig {
            proxy,
            logins,
            ca_file: env::var_os("SSL_CERT_FILE").map(PathBuf::from),
            stall_timeout: Duration::from_secs(args.stall_timeout),
            offline,
            ..HttpConfig::default()
        }))
    }

    /// Adds the users and passwords of `~/.netrc`, if there is one.
    fn add_netrc(&self, logins: &mut Logins) {
        let Some(path) = self.home.as_ref().map(|home| home.join(".netrc")) else { return };
        match kiln_file::read(&path, MAX_CREDENTIALS) {
            Ok(text) => logins.add_netrc(&String::from_utf8_lossy(&text)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => self
                .progress
                .warn(format_args!("{} is not used: {error}; make it readable, or remove it", path.display())),
        }
    }

    /// A fetcher into `cache`, with the registry credentials of Docker's `config.json`.
    pub(super) fn fetcher(&self, cache: &Cache, http: &Client) -> Fetcher {
        let credentials = self.credentials().unwrap_or_else(|error| {
            self.progress.warn(format_args!("using registries without credentials: {error:#}"));
            Credentials::default()
        });
        Fetcher::new(cache.clone(), http.clone(), self.progress.clone()).with_credentials(credentials)
    }

    /// Reads the credentials from `config.json` in `$DOCKER_CONFIG` or `~/.docker`.
    fn credentials(&self) -> anyhow::Result<Credentials> {
        let directory = env::var_os("DOCKER_CONFIG").map(PathBuf::from);
        let Some(directory) = directory.or_else(|| Some(self.home.as_ref()?.join(".docker"))) else {
            return Ok(Credentials::default());
        };
        let path = directory.join("config.json");
        match kiln_file::read_text(&path, MAX_CREDENTIALS) {
            Ok(text) => Credentials::parse(&text).with_context(|| path.display().to_string()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Credentials::default()),
            Err(error) => Err(error).with_context(|| format!("reading {}", path.display())),
        }
    }

    /// The mirrors for a profile: its own (or the command line's), else those of this host's apt
    /// sources.
    ///
    /// # Errors
    /// When neither names a mirror.
    pub(super) fn mirrors(&self, profile: &Profile) -> anyhow::Result<Mirrors> {
        let debian = &profile.debian;
        let mut mirrors = Mirrors { main: debian.mirrors.clone(), security: debian.security_mirrors.clone() };
        if mirrors.main.is_empty() {
            let apt = self.apt_sources()?;
            mirrors.main = apt.mirrors;
            if mirrors.security.is_empty() {
                mirrors.security = apt.security_mirrors;
            }
        }
        if mirrors.security.is_empty() {
            // A full mirror serves the security archive beside the main archive.
            let beside = |mirror: &Url| kiln_debian::security_beside(mirror.expose()).map(Url::from);
            mirrors.security = mirrors.main.iter().filter_map(beside).collect();
        }
        Ok(mirrors)
    }

    /// The keyring that verifies the archive's signature.
    ///
    /// # Errors
    /// When there is no keyring, or it cannot be read.
    pub(super) fn keyring(&self, profile: &Profile, args: &MirrorArgs) -> anyhow::Result<Keyring> {
        if let Some(path) = args.keyring.as_ref().or(profile.debian.keyring.as_ref()) {
            return Ok(Keyring::from_file(path)?);
        }
        let candidates = kiln_debian::KEYRINGS.map(PathBuf::from);
        if let Ok(keyring) = Keyring::from_first(&candidates) {
            return Ok(keyring);
        }
        // A host that stores Debian's keys elsewhere names them in its apt sources (Signed-By).
        match self.apt_sources().ok().and_then(|apt| apt.keyrings.into_iter().next()) {
            Some(signed_by) => Ok(Keyring::from_signed_by(&signed_by)?),
            None => bail!(
                "there is no keyring of Debian's archive on this host ({}); install the package debian-archive-keyring, or \
                 give --keyring FILE",
                kiln_debian::KEYRINGS.join(", ")
            ),
        }
    }

    fn apt_sources(&self) -> anyhow::Result<AptSources> {
        let sources = apt_sources::read(Path::new("/"))?;
        for note in &sources.notes {
            self.progress.detail(note);
        }
        Ok(sources)
    }
}
