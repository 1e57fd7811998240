//! What the agent stores between boots: the node and the cluster of this machine, and the seed
//! without its secrets.
//!
//! `/etc` is reset to the image at every boot, so the seed's additions are installed from this file
//! at every boot.

use crate::discovery::Trusted;
use crate::net::Url;
use crate::root::{Access, FileError, RootDir};
use crate::seed::{Seed, SeedError, leave_out_files};
use crate::source::forget_secrets;
use crate::status::say;
use serde_json::{Value, json};

/// The path of the file. Its mode is 0600, because files in a seed may be secret.
pub const NODE_FILE: &str = "/var/lib/kiln/node.json";

/// A node of a cluster.
#[derive(Debug, Clone)]
pub struct Node {
    /// The Node's name.
    pub name: String,
    /// The host's name.
    pub hostname: String,
    /// The API server that answered first.
    pub server: Url,
    /// The cluster.
    pub trusted: Trusted,
    /// The pod networks that the cluster has assigned to it, if it does: one, or one per family.
    pub pod_cidrs: Vec<String>,
    /// The seed, without token and discovery.
    pub seed: Seed,
    /// The same seed as a document.
    document: Value,
}

/// Why the stored data cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum NodeError {
    /// The file cannot be read.
    #[error("{0}")]
    File(#[from] FileError),
    /// Its content is damaged.
    #[error("{NODE_FILE} is damaged: {0}")]
    Damaged(String),
}

impl From<SeedError> for NodeError {
    fn from(error: SeedError) -> Self {
        Self::Damaged(error.to_string())
    }
}

impl Node {
    /// Makes a node from a seed's `document`, whose secrets are removed.
    ///
    /// # Errors
    /// [`SeedError`].
    pub fn new(
        name: String,
        hostname: String,
        trusted: Trusted,
        server: Url,
        mut document: Value,
    ) -> Result<Self, SeedError> {
        forget_secrets(&mut document);
        let seed = Seed::decode(document.clone())?;
        Ok(Self { name, hostname, server, trusted, pod_cidrs: Vec::new(), seed, document })
    }

    /// Loads the stored node.
    ///
    /// # Errors
    /// [`NodeError`].
    pub fn load(root: &RootDir) -> Result<Option<Self>, NodeError> {
        let Some(text) = root.read(NODE_FILE)? else { return Ok(None) };
        let damaged = |what: &str| NodeError::Damaged(what.into());
        let mut all: Value = serde_json::from_str(&text).map_err(|error| damaged(&error.to_string()))?;
        let field = |name: &str| all[name].as_str().map(str::to_owned).ok_or_else(|| damaged(name));
        let (name, hostname, server) = (field("nodeName")?, field("hostname")?, field("server")?);
        let server = Url::parse_endpoint(&server).map_err(|error| damaged(&error.to_string()))?;
        let trusted =
            Trusted::new(vec![server.clone()], field("caCertificates")?).ok_or_else(|| damaged("caCertificates"))?;
        let pod_cidrs = crate::pod_cidr::networks(&all["podCIDRs"]);
        let mut document = all["seed"].take();
        for error in leave_out_files(&mut document) {
            say(&format!("the seed's file is left out: {error}"));
        }
        Ok(Some(Self { pod_cidrs, ..Self::new(name, hostname, trusted, server, document)? }))
    }

    /// Stores the node.
    ///
    /// # Errors
    /// [`FileError`].
    pub fn save(&self, root: &RootDir) -> Result<(), FileError> {
        let all = json!({
            "nodeName": self.name,
            "hostname": self.hostname,
            "server": self.server.server(),
            "caCertificates": self.trusted.ca_pem,
            "podCIDRs": self.pod_cidrs,
            "seed": self.document,
        });
        root.write(NODE_FILE, format!("{all:#}\n").as_bytes(), Access::mode(0o600))
    }
}
