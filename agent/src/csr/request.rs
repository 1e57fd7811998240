//! Sends the request and waits for the decision.

use super::object::{self, PATH, State};
use super::{ORGANIZATION, USAGES, common_name, request_name};
use crate::api::{Api, ApiError};
use crate::pki::{Key, KeyError};
use serde_json::Value;
use std::time::{Duration, Instant};

const WHAT: &str = "requesting a client certificate";
/// The length of the first watch: an automatic approval has happened by then.
const PROMPT: Duration = Duration::from_secs(5);
/// The length of each later watch. The server ends it, and then the request is read again.
const WATCH: Duration = Duration::from_secs(300);
/// The time after which nobody seems to sign; signing takes a second.
const SIGNING: Duration = Duration::from_secs(120);
/// The interval of reminders on the console that the node still waits.
const REMIND: Duration = Duration::from_secs(3600);

/// Why there is no certificate.
#[derive(Debug, thiserror::Error)]
pub enum CsrError {
    /// The API gave no usable answer; worth another attempt.
    #[error("{0}")]
    Api(#[from] ApiError),
    /// The key cannot sign the request.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// A person or a policy denied the request.
    #[error("the certificate request {name} was denied: {words}")]
    Denied {
        /// The request.
        name: String,
        /// Reason and message.
        words: String,
    },
    /// The signer rejected the request.
    #[error("the certificate request {name} failed: {words}")]
    Failed {
        /// The request.
        name: String,
        /// Reason and message.
        words: String,
    },
    /// Another request has our name.
    #[error("the certificate request {0} exists already and was not made with this node's key")]
    Foreign(String),
}

/// Events while a node waits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wait {
    /// The request was created (or found again).
    Requested {
        /// The request.
        name: String,
        /// Whether it exists from before a restart.
        again: bool,
    },
    /// Not decided after a few seconds; reported then and hourly.
    Unapproved {
        /// The request.
        name: String,
        /// The requesting user as the server sees it.
        username: String,
    },
    /// Approved, but not signed for two minutes.
    Unsigned {
        /// The request.
        name: String,
    },
    /// The request was deleted; it is created again.
    Deleted {
        /// The request.
        name: String,
    },
}

/// What a waiting node has seen and reported so far.
#[derive(Debug, Default)]
pub struct Patience {
    looked: bool,
    told: Option<Instant>,
    /// When the request was first seen approved.
    approved: Option<Instant>,
}

/// The result of a wait.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// The certificates, in PEM.
    Issued(String),
    /// There is no result yet; call again.
    NotYet,
}

/// Requests `node`'s client certificate for `key` and waits. Returns [`Answer::NotYet`] when a
/// watch has ended; the caller then calls again.
///
/// # Errors
/// [`CsrError`].
pub fn request(
    api: &mut Api<'_>,
    node: &str,
    key: &Key,
    patience: &mut Patience,
    report: &mut dyn FnMut(Wait),
) -> Result<Answer, CsrError> {
    let name = request_name(key.spki(), &common_name(node), ORGANIZATION, &USAGES);
    let object = match api.create(WHAT, PATH, &object::object(&name, node, key)?) {
        Ok(object) => {
            report(Wait::Requested { name: name.clone(), again: false });
            object
        }
        Err(error) if error.status() == Some(409) => {
            let object = api.get(WHAT, &format!("{PATH}/{name}"))?;
            if !object::is_ours(&object, key) {
                return Err(CsrError::Foreign(name));
            }
            if !patience.looked {
                report(Wait::Requested { name: name.clone(), again: true });
            }
            object
        }
        Err(error) => return Err(error.into()),
    };
    let state = object::state(&object);
    if let Some(answer) = conclude(&name, &state)? {
        return Ok(answer);
    }
    if state != State::Approved {
        patience.approved = None;
    }
    let limit = match state {
        State::Approved => {
            let since = patience.approved.get_or_insert_with(Instant::now).elapsed();
            if since >= SIGNING {
                report(Wait::Unsigned { name: name.clone() });
            }
            SIGNING
        }
        _ if !patience.looked => PROMPT,
        _ => {
            remind(&name, &object, patience, report);
            WATCH
        }
    };
    patience.looked = true;
    wait(api, &name, &object, limit, patience, report)
}

/// Watches the request until it is decided, or a watch has ended.
fn wait(
    api: &mut Api<'_>,
    name: &str,
    object: &Value,
    limit: Duration,
    patience: &mut Patience,
    report: &mut dyn FnMut(Wait),
) -> Result<Answer, CsrError> {
    let version = object["metadata"]["resourceVersion"].as_str().unwrap_or_default();
    let mut state = State::Pending;
    let path = format!("{PATH}?fieldSelector=metadata.name%3D{name}&resourceVersion={version}");
    let seen = api.watch(WHAT, &path, limit, |kind, object| match kind {
        "ADDED" | "MODIFIED" => {
            state = object::state(object);
            if state == State::Approved {
                patience.approved.get_or_insert_with(Instant::now);
            }
            matches!(state, State::Issued(_) | State::Denied(_) | State::Failed(_)).then_some(Seen::Decided)
        }
        "DELETED" => Some(Seen::Deleted),
        // ERROR: for example because the version is too old.
        _ => Some(Seen::Stale),
    })?;
    match seen {
        Some(Seen::Decided) => Ok(conclude(name, &state)?.unwrap_or(Answer::NotYet)),
        Some(Seen::Deleted) => {
            report(Wait::Deleted { name: name.into() });
            Ok(Answer::NotYet)
        }
        // The request is read again.
        Some(Seen::Stale) | None => Ok(Answer::NotYet),
    }
}

enum Seen {
    Decided,
    Deleted,
    Stale,
}

fn conclude(name: &str, state: &State) -> Result<Option<Answer>, CsrError> {
    let name = || name.to_owned();
    match state {
        State::Pending | State::Approved => Ok(None),
        State::Issued(pem) => Ok(Some(Answer::Issued(pem.clone()))),
        State::Denied(words) => Err(CsrError::Denied { name: name(), words: words.clone() }),
        State::Failed(words) => Err(CsrError::Failed { name: name(), words: words.clone() }),
    }
}

fn remind(name: &str, object: &Value, patience: &mut Patience, report: &mut dyn FnMut(Wait)) {
    if patience.told.is_none_or(|told| told.elapsed() >= REMIND) {
        let username = object["spec"]["username"].as_str().map(crate::api::printable).unwrap_or_default();
        report(Wait::Unapproved { name: name.into(), username });
        patience.told = Some(Instant::now());
    }
}
