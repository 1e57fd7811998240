//! One attempt to join: seed, discovery, name, key, request, certificate, files. Completed steps
//! are on disk or stored here, so that the next attempt continues from there.

use super::{Fault, LONGEST, Setup};
use crate::api::{Api, ApiError};
use crate::clock;
use crate::csr::{self, Answer, CsrError, Patience, Wait};
use crate::discovery::{self, Cluster, DiscoveryError, Trusted};
use crate::install::{self, Node};
use crate::net::{Backoff, Network, Proxy, Resolver, Url};
use crate::pki::Key;
use crate::root::RootDir;
use crate::seed::{Seed, Token};
use crate::source::{self, LoadError, Loaded, Places};
use crate::status::{State, Status, say};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

/// How long a Node of our name may stay Ready: a machine that was reset comes back before the
/// cluster notices.
const STALE: Duration = Duration::from_secs(180);
/// The interval between two checks of it.
const LOOK: Duration = Duration::from_secs(5);

/// The state that outlives one attempt.
pub(super) struct Attempt<'a> {
    setup: &'a Setup,
    /// When a Ready Node of our name was first seen.
    taken_since: Option<Instant>,
    /// When the seed was first sought in vain because a volume is damaged.
    damaged_since: Option<Instant>,
    patience: Patience,
    /// The verified cluster, and the seed that it was verified with.
    proved: Option<(Seed, Trusted)>,
}

impl<'a> Attempt<'a> {
    /// Makes the first attempt.
    pub(super) fn new(setup: &'a Setup) -> Self {
        Self { setup, taken_since: None, damaged_since: None, patience: Patience::default(), proved: None }
    }

    /// Runs one attempt.
    pub(super) fn run(&mut self, status: &mut Status) -> Result<Node, Fault> {
        let root = &self.setup.root;
        let mut network = Network { resolver: Resolver::read(root.directory()), proxy: Proxy::default() };
        let places = Places { root, credentials: self.setup.credentials.clone(), network: &network };
        let loaded = source::load(&places).map_err(|error| self.of_load(error))?;
        let Some(mut loaded) = loaded else { return Err(Fault::NoSeed) };
        source::fill(&places, &mut loaded)?;
        let Loaded { seed, document, from, passed_over } = loaded;
        status.seed(&from);
        network.proxy = Proxy::new(&seed.proxy);
        let name = name(&seed, root)?;
        status.node(&name);
        if self.proved.as_ref().is_none_or(|(by, _)| *by != seed) {
            status.step(&format!("seed for {name} from {from}"));
            if let Some(error) = passed_over {
                say(&format!("passed over: {error}"));
            }
            install::install_ntp(root, &seed.ntp_servers)?;
            if let Some(built) = clock::image_time(root) {
                let mut report = |why: &str| status.set(State::Waiting, Some(why));
                clock::wait_for_clock(root, built, "this image was built", &mut report).map_err(Fault::waiting)?;
            }
            let trusted = trust(&seed, root, &network)?;
            let servers = trusted.servers.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ");
            status.step(&format!("the cluster at {servers} has proved itself"));
            self.proved = Some((seed.clone(), trusted));
        }
        let Some((_, trusted)) = &self.proved else { return Err(Fault::Again) };
        let token = token(&seed)?;
        let mut api = Api::new(&network, &trusted.servers, trusted.verify(), Some(&token));
        check_name(&mut api, &name, &mut self.taken_since)?;
        // A seed whose files cannot be written makes no node, so this comes before the request.
        install::write_files(root, &seed.files).map_err(Fault::of_seed_file)?;
        let key = install::take_key(root)?;
        let chain = certificate(&mut api, root, &name, &key, &mut self.patience, status)?;
        let now = SystemTime::now();
        install::check_certificate(&chain, &key, &name, &trusted.authorities, now)?;
        status.step("the client certificate is issued");
        let server = api.server().cloned().ok_or(Fault::Again)?;
        let hostname = seed.hostname.clone().unwrap_or_else(|| name.clone());
        let node = Node::new(name, hostname, trusted.clone(), server, document)
            .map_err(|error| Fault::Final(error.to_string()))?;
        node.save(root)?;
        install::store_certificate(root, &chain, &key, now)?;
        // Written before kubelet.conf: if that is missing, the next start knows that this may be
        // incomplete.
        super::forget_token(root);
        install::install(root, &node)?;
        status.step("certificate, kubeconfig and flags are in place");
        Ok(node)
    }

    /// A damaged volume may need a moment, but it must not keep the machine from starting for ever.
    fn of_load(&mut self, error: LoadError) -> Fault {
        if error.is_damaged_volume() && self.damaged_since.get_or_insert_with(Instant::now).elapsed() > STALE {
            return Fault::Final(format!("{error}; there is no other seed"));
        }
        error.into()
    }
}

/// Requests the certificate until it exists.
fn certificate(
    api: &mut Api<'_>,
    root: &RootDir,
    name: &str,
    key: &Key,
    patience: &mut Patience,
    status: &mut Status,
) -> Result<String, Fault> {
    let mut backoff = Backoff::new(LONGEST);
    loop {
        let began = Instant::now();
        match csr::request(api, name, key, patience, &mut |wait| told(status, &wait)) {
            Ok(Answer::Issued(chain)) => return Ok(chain),
            // A long watch needs no pause; a watch that ends immediately must not be repeated
            // without one.
            Ok(Answer::NotYet) if began.elapsed() < LONGEST => thread::sleep(backoff.wait(None)),
            Ok(Answer::NotYet) => backoff.reset(),
            Err(error) => {
                if matches!(error, CsrError::Denied { .. } | CsrError::Failed { .. } | CsrError::Foreign(_)) {
                    install::drop_key(root)?;
                }
                return Err(error.into());
            }
        }
    }
}

/// The common name of certificate, Node and checks.
fn name(seed: &Seed, root: &RootDir) -> Result<String, Fault> {
    let name = seed.node_name.clone().or_else(|| seed.hostname.clone()).or_else(|| install::current_hostname(root));
    name.ok_or_else(|| {
        Fault::Final("the node has no name: neither the seed nor the platform gives one (nodeName)".into())
    })
}

fn token(seed: &Seed) -> Result<Token, Fault> {
    if let Some(token) = &seed.token {
        return Ok(token.clone());
    }
    let in_kubeconfig = seed.discovery.kubeconfig.as_deref().and_then(|text| Cluster::parse(text).ok()?.token);
    match in_kubeconfig.map(|text| Token::parse(&text)) {
        Some(Ok(token)) => Ok(token),
        _ => Err(Fault::Later { state: State::NeedsToken, text: "the seed has no token".into(), at_least: None }),
    }
}

/// Verifies the cluster in the way that the seed or the image specifies. A pin holds in every way.
fn trust(seed: &Seed, root: &RootDir, network: &Network) -> Result<Trusted, Fault> {
    let pins = &seed.discovery.ca_cert_hashes;
    let trusted = find(seed, root, network)?;
    if pins.is_empty() {
        return Ok(trusted);
    }
    let (trusted, unpinned) = trusted.only(pins).map_err(|found| DiscoveryError::NotPinned { found })?;
    if !unpinned.is_empty() {
        say(&format!("the cluster names authorities that are not pinned; they are not trusted: {unpinned}"));
    }
    Ok(trusted)
}

fn find(seed: &Seed, root: &RootDir, network: &Network) -> Result<Trusted, Fault> {
    let discovery = &seed.discovery;
    let unusable = |what: &str| Fault::Final(format!("{what} contains no readable certificate"));
    let servers = || match seed.api_servers.as_slice() {
        [] => Err(Fault::Final("the seed names no API server (apiServers)".into())),
        servers => Ok(servers.to_vec()),
    };
    let fetched = match &discovery.kubeconfig_url {
        Some(url) => Some(kubeconfig_at(url, root, network)?),
        None => None,
    };
    if let Some(text) = fetched.as_ref().or(discovery.kubeconfig.as_ref()) {
        let cluster = Cluster::parse(text).map_err(|error| Fault::Final(format!("discovery.kubeconfig: {error}")))?;
        let named =
            if seed.api_servers.is_empty() { cluster.trusted.servers.clone() } else { seed.api_servers.clone() };
        return Ok(Trusted { servers: named, ..cluster.trusted });
    }
    if let Some(pem) = &discovery.ca_certificates {
        return Trusted::new(servers()?, pem.clone()).ok_or_else(|| unusable("discovery.caCertificates"));
    }
    if !discovery.ca_cert_hashes.is_empty() {
        return Ok(discovery::discover(network, &servers()?, &token(seed)?, &discovery.ca_cert_hashes)?);
    }
    Err(Fault::Final(
        "neither the seed nor the image says how the cluster proves itself (discovery.caCertHashes, caCertificates or kubeconfig)".into(),
    ))
}

fn kubeconfig_at(url: &Url, root: &RootDir, network: &Network) -> Result<String, Fault> {
    let bytes = source::download(root, network, url, None).map_err(Fault::waiting)?;
    String::from_utf8(bytes.to_vec()).map_err(|_| Fault::waiting(format!("{url} is not a kubeconfig")))
}

/// A Node of this name that is Ready is another machine, or this one before its last reset.
fn check_name(api: &mut Api<'_>, name: &str, since: &mut Option<Instant>) -> Result<(), Fault> {
    let node = match api.get("looking for a node of the same name", &format!("/api/v1/nodes/{name}")) {
        Ok(node) => node,
        // Without the permission to read it (kubeadm:get-nodes), there is no check, as in clusters
        // that kubeadm did not make.
        Err(error) if matches!(error.status(), Some(403 | 404)) => return Ok(()),
        Err(error) => return Err(Fault::of_api(&error)),
    };
    let conditions = node["status"]["conditions"].as_array().map(Vec::as_slice).unwrap_or_default();
    if !conditions.iter().any(|condition| condition["type"] == "Ready" && condition["status"] == "True") {
        return Ok(());
    }
    let text = format!("the cluster has a node {name} already, and it is Ready");
    match since.get_or_insert_with(Instant::now).elapsed() {
        waited if waited < STALE => {
            let text = format!("{text}; waiting up to {} s for it to turn out stale", STALE.as_secs());
            Err(Fault::Later { state: State::Waiting, text, at_least: Some(LOOK) })
        }
        _ => Err(Fault::Final(format!("{text}: give this one another name, or delete that one"))),
    }
}

fn told(status: &mut Status, wait: &Wait) {
    match wait {
        Wait::Requested { name, again } => {
            status.request(name);
            let verb = if *again { "found again" } else { "created" };
            status.step(&format!("certificate request {name} {verb}"));
        }
        Wait::Unapproved { name, username } => {
            let text = format!(
                "the certificate request {name} by {username} is not approved: approve it (kubectl certificate approve {name}), or bind the \
                 ClusterRole system:certificates.k8s.io:certificatesigningrequests:nodeclient to the token's group"
            );
            status.set(State::NeedsApproval, Some(&text));
        }
        Wait::Unsigned { name } => {
            let text = format!(
                "the certificate request {name} is approved, but nobody signs it: the controller manager needs \
                 --cluster-signing-cert-file and --cluster-signing-key-file"
            );
            status.set(State::Waiting, Some(&text));
        }
        Wait::Deleted { name } => say(&format!("somebody deleted the certificate request {name}; asking again")),
    }
}

/// For callers that log the API's message.
impl From<ApiError> for Fault {
    fn from(error: ApiError) -> Self {
        Self::of_api(&error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::root::RootDir;
    use crate::source::SourceError;

    #[test]
    fn a_damaged_volume_does_not_keep_a_machine_from_starting_for_ever() {
        let setup = Setup { root: RootDir::new("/nowhere"), credentials: None, notify: None };
        let mut attempt = Attempt::new(&setup);
        let mut fault = |since: Option<Instant>| {
            attempt.damaged_since = since.or(attempt.damaged_since);
            let error =
                SourceError::Volume { device: "/dev/vda".into(), source: std::io::ErrorKind::UnexpectedEof.into() };
            attempt.of_load(LoadError::Source { source_name: "NoCloud volume", error })
        };
        assert!(matches!(fault(None), Fault::Later { state: State::Waiting, .. }));
        let long_ago = Instant::now().checked_sub(STALE + LOOK);
        assert!(long_ago.is_none() || matches!(fault(long_ago), Fault::Final(text) if text.contains("/dev/vda")));
    }
}
