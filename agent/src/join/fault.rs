//! Decides what follows from each failure of joining.

use crate::api::ApiError;
use crate::csr::CsrError;
use crate::discovery::DiscoveryError;
use crate::install::CertificateFault;
use crate::root::FileError;
use crate::source::LoadError;
use crate::status::State;
use std::time::Duration;

/// The pause between attempts that can succeed only after a person's action elsewhere.
const SLOW: Duration = Duration::from_secs(30);

/// What follows from a failure.
#[derive(Debug)]
pub(super) enum Fault {
    /// There is no seed.
    NoSeed,
    /// The machine's own files failed.
    Files(FileError),
    /// Nothing helps until a person has changed something on this machine.
    Final(String),
    /// Wait, and try again.
    Later {
        /// The state until then.
        state: State,
        /// The cause.
        text: String,
        /// The minimum wait.
        at_least: Option<Duration>,
    },
    /// Continue immediately.
    Again,
}

impl Fault {
    /// Retries after the usual wait.
    pub(super) fn waiting(text: impl ToString) -> Self {
        Self::Later { state: State::Waiting, text: text.to_string(), at_least: None }
    }

    fn slow(state: State, text: impl ToString) -> Self {
        Self::Later { state, text: text.to_string(), at_least: Some(SLOW) }
    }

    /// The fault of a file that the seed asks for.
    pub(super) fn of_seed_file(error: FileError) -> Self {
        match error.is_lasting() {
            true => Self::Final(format!("a file of the seed: {error}; change the seed (files)")),
            false => Self::Files(error),
        }
    }

    /// The fault of a request with the token.
    pub(super) fn of_api(error: &ApiError) -> Self {
        match error.status() {
            Some(401) => Self::slow(State::NeedsToken, format!("{error}: the token is unknown or has expired")),
            Some(403) => Self::slow(
                State::Waiting,
                format!("{error}; bootstrap tokens need the ClusterRole system:node-bootstrapper"),
            ),
            _ => Self::Later { state: State::Waiting, text: error.to_string(), at_least: error.retry_after() },
        }
    }
}

impl From<FileError> for Fault {
    fn from(error: FileError) -> Self {
        Self::Files(error)
    }
}

impl From<LoadError> for Fault {
    fn from(error: LoadError) -> Self {
        match error {
            LoadError::Source { .. } => {
                Self::Later { state: State::Waiting, text: error.to_string(), at_least: error.retry_after() }
            }
            LoadError::Seed(..) => Self::Final(error.to_string()),
        }
    }
}

impl From<DiscoveryError> for Fault {
    fn from(error: DiscoveryError) -> Self {
        match &error {
            DiscoveryError::Api(inner) | DiscoveryError::Unverified { error: inner, .. } => {
                Self::Later { state: State::Waiting, text: error.to_string(), at_least: inner.retry_after() }
            }
            // The signer needs seconds for a new token, so the first retries come soon.
            DiscoveryError::NotSigned { .. } => {
                Self::Later { state: State::NeedsToken, text: error.to_string(), at_least: None }
            }
            DiscoveryError::Forged { .. } => Self::slow(State::NeedsToken, error),
            DiscoveryError::NotAnonymous(_)
            | DiscoveryError::Kubeconfig(_)
            | DiscoveryError::NotPinned { .. }
            | DiscoveryError::Changed => Self::slow(State::Failed, error),
        }
    }
}

impl From<CsrError> for Fault {
    fn from(error: CsrError) -> Self {
        match &error {
            CsrError::Api(inner) => Self::of_api(inner),
            CsrError::Key(_) => Self::waiting(error),
            CsrError::Denied { .. } | CsrError::Failed { .. } | CsrError::Foreign(_) => Self::Final(error.to_string()),
        }
    }
}

impl From<CertificateFault> for Fault {
    fn from(error: CertificateFault) -> Self {
        match error {
            CertificateFault::File(error) => Self::Files(error),
            error => Self::waiting(error),
        }
    }
}
