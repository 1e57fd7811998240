//! What goes wrong on the way, and what follows from it: the one place where that is decided.

use crate::api::ApiError;
use crate::csr::CsrError;
use crate::discovery::DiscoveryError;
use crate::install::CertificateFault;
use crate::root::FileError;
use crate::source::LoadError;
use crate::status::State;
use std::time::Duration;

/// Between attempts that only a person's work elsewhere can make succeed.
const SLOW: Duration = Duration::from_secs(30);

/// What follows.
#[derive(Debug)]
pub enum Fault {
    /// There is nothing to go by.
    NoSeed,
    /// The machine's own files.
    Files(FileError),
    /// Nothing to be done until a person has changed something here.
    Final(String),
    /// Wait, and try again.
    Later {
        /// What to call the state meanwhile.
        state: State,
        /// Why.
        text: String,
        /// How long to wait at least.
        at_least: Option<Duration>,
    },
    /// Go on at once.
    Again,
}

impl Fault {
    /// Try again after the usual wait.
    pub fn waiting(text: impl ToString) -> Self {
        Self::Later { state: State::Waiting, text: text.to_string(), at_least: None }
    }

    fn slow(state: State, text: impl ToString) -> Self {
        Self::Later { state, text: text.to_string(), at_least: Some(SLOW) }
    }

    /// Of a request that bears the token.
    pub fn of_api(error: &ApiError) -> Self {
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
            DiscoveryError::Api(inner) => {
                Self::Later { state: State::Waiting, text: error.to_string(), at_least: inner.retry_after() }
            }
            // The signer lags behind a new token by seconds, so the first attempts come soon.
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
