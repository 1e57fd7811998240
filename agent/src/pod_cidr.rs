//! The pod network that the cluster assigns to a node (kube-controller-manager
//! `--allocate-node-cidrs`), once kubelet has registered it.
//!
//! Run by kiln-pod-cidr.service after kubelet, in images whose profile leaves the range to the
//! cluster. It asks once in every boot, because a Node that was deleted and registered again has a
//! new range.

use crate::api::{Api, ApiError};
use crate::install::{self, CertificateFault, Node};
use crate::join::End;
use crate::net::{Backoff, Network, Proxy, Resolver, Verify};
use crate::paths::CONFLIST;
use crate::root::RootDir;
use crate::status::say;
use serde_json::Value;
use std::fs;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

/// Network configurations; the runtime uses the first by name.
const DIRECTORY: &str = "/etc/cni/net.d";
const WHAT: &str = "looking for the pod network that is assigned to this node";
/// The length of the first watch: a controller manager that assigns networks has done so by then.
const PROMPT: Duration = Duration::from_secs(60);
/// The length of each later watch.
const WATCH: Duration = Duration::from_secs(300);
/// The longest wait between attempts.
const LONGEST: Duration = Duration::from_secs(30);

/// Waits until the cluster has assigned a network, or an add-on has installed its own, and installs
/// the assigned one.
pub fn run(root: &RootDir) -> End {
    let mut node = match Node::load(root) {
        Ok(Some(node)) if node.seed.kubelet.pod_cidr.is_none() => node,
        Ok(_) => return End::Ready,
        Err(error) => {
            say(&error.to_string());
            return End::Broken;
        }
    };
    let mut backoff = Backoff::new(LONGEST);
    let mut limit = PROMPT;
    let mut last = String::new();
    loop {
        let began = Instant::now();
        let (news, at_least) = match assigned(root, &node, limit) {
            Ok(Some(cidrs)) => return install(root, &mut node, cidrs),
            Ok(None) if is_brought(root) => {
                say("a network add-on has brought the pod network");
                return End::Ready;
            }
            Ok(None) => {
                limit = WATCH;
                let text = "the cluster has assigned no pod network to this node: kube-controller-manager does so with --allocate-node-cidrs \
                            and --cluster-cidr; waiting for that, for a network add-on, or for kubelet to register the node";
                (text.to_owned(), None)
            }
            Err(fault) => (fault.to_string(), fault.retry_after()),
        };
        if news != last {
            say(&news);
            last = news;
        }
        // A long watch needs no pause; a watch that ends immediately must not be repeated without
        // one.
        if began.elapsed() < LONGEST {
            thread::sleep(backoff.wait(at_least));
        } else {
            backoff.reset();
        }
    }
}

/// The networks in a `spec.podCIDRs`.
pub(crate) fn networks(list: &Value) -> Vec<String> {
    list.as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
}

#[derive(Debug, thiserror::Error)]
enum Fault {
    #[error(transparent)]
    Api(#[from] ApiError),
    #[error(transparent)]
    Certificate(#[from] CertificateFault),
}

impl Fault {
    fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Api(error) => error.retry_after(),
            Self::Certificate(_) => None,
        }
    }
}

/// Watches the Node with its own certificate, starting at its current state, until it has networks
/// or the watch ends.
fn assigned(root: &RootDir, node: &Node, limit: Duration) -> Result<Option<Vec<String>>, Fault> {
    let network = Network { resolver: Resolver::read(root.directory()), proxy: Proxy::new(&node.seed.proxy) };
    // Read again each time, because kubelet renews it.
    let identity = install::identity(root, &node.trusted.authorities)?;
    let mut api = Api::new(&network, &node.trusted.servers, Verify::Mutual(identity), None);
    let path = format!("/api/v1/nodes?fieldSelector=metadata.name%3D{}", node.name);
    let found = api.watch(WHAT, &path, limit, |kind, object| {
        let cidrs = networks(&object["spec"]["podCIDRs"]);
        (matches!(kind, "ADDED" | "MODIFIED") && !cidrs.is_empty()).then_some(cidrs)
    })?;
    Ok(found)
}

fn install(root: &RootDir, node: &mut Node, cidrs: Vec<String>) -> End {
    let known = std::mem::take(&mut node.pod_cidrs).join(" ");
    let new = cidrs.join(" ");
    if let Err(error) = install::assign_pod_network(root, node, cidrs) {
        say(&error.to_string());
        return End::Broken;
    }
    say(&match known.as_str() {
        known if known == new => format!("the pod network of this node is still {new}"),
        "" => format!("the cluster has assigned the pod network {new}"),
        known => format!(
            "the cluster has assigned the pod network {new}; pods that were started before have addresses of {known}"
        ),
    });
    End::Ready
}

/// Whether there is a network configuration other than the image's.
fn is_brought(root: &RootDir) -> bool {
    let paths = fs::read_dir(root.at(DIRECTORY)).into_iter().flatten().flatten().map(|entry| entry.path());
    let is_other = |path: &Path| {
        let suffix = path.extension().unwrap_or_default();
        (suffix == "conflist" || suffix == "conf") && *path != root.at(CONFLIST)
    };
    paths.into_iter().any(|path| is_other(&path))
}
