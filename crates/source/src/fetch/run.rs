//! The state that the downloads of one call share.

use super::error::Why;
use super::{Location, Want};
use kiln_progress::{Phase, Progress};
use kiln_url::Url;
use std::collections::BTreeSet;
use std::sync::Mutex;
use std::sync::atomic::AtomicBool;

/// The shared state.
pub(super) struct Run<'a> {
    pub progress: &'a Progress,
    pub phase: &'a Phase,
    /// Set by the first failure.
    pub stop: AtomicBool,
    /// Servers that could not be reached, which are tried last.
    unreachable: Mutex<BTreeSet<Url>>,
}

impl<'a> Run<'a> {
    pub(super) fn new(progress: &'a Progress, phase: &'a Phase) -> Self {
        Self { progress, phase, stop: AtomicBool::new(false), unreachable: Mutex::default() }
    }

    /// The locations in the order to try them.
    pub(super) fn order<'w>(&self, want: &'w Want) -> Vec<&'w Location> {
        let unreachable = lock(&self.unreachable);
        let mut order: Vec<&Location> = want.from.iter().collect();
        order.sort_by_key(|location| location.server().is_some_and(|server| unreachable.contains(&server)));
        order
    }

    /// Remembers a server that could not be reached.
    pub(super) fn note(&self, location: &Location, why: &Why) {
        if let (Some(server), Why::Http(error)) = (location.server(), why)
            && error.is_unreachable()
            && lock(&self.unreachable).insert(server.clone())
        {
            self.progress.detail(format_args!("{server}: tried last from now on"));
        }
    }
}

/// The results of other threads stay valid when one panicked; the scope propagates the panic.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(|poison| poison.into_inner())
}
