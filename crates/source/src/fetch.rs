//! Fetches the inputs of a lock into the cache: in parallel, resumed after an interruption, and
//! never used before their digest was verified.

mod download;
mod error;
mod run;
mod want;

pub use error::tried_text;
pub use error::{FetchError, MissingInput, Tried, Why};
pub use want::{Location, Want};

use crate::http::{Backoff, Client, HttpError, Purpose, Response, RetryPolicy, sleep_unless};
use crate::registry::{Credentials, Registries};
use download::{Attempt, Download, Open};
use kiln_cache::{Cache, CacheError, Claim, Partial, Stored};
use kiln_progress::{Phase, Progress, Unit};
use kiln_url::Url;
use run::{Run, lock};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

/// The number of parallel downloads.
const JOBS: usize = 8;
/// The number of attempts at a location if there are others.
const ATTEMPTS_WITH_ALTERNATIVE: u32 = 2;

/// Fetches inputs into the cache.
#[derive(Debug, Clone)]
pub struct Fetcher {
    cache: Cache,
    http: Client,
    registries: Registries,
    progress: Progress,
}

impl Fetcher {
    /// Makes a fetcher that downloads up to 8 inputs at once. `http` decides whether it may use the
    /// network.
    pub fn new(cache: Cache, http: Client, progress: Progress) -> Self {
        let registries = Registries::new(http.clone(), Credentials::default());
        Self { cache, http, registries, progress }
    }

    /// Adds user names and passwords for registries.
    pub fn with_credentials(mut self, credentials: Credentials) -> Self {
        self.registries = Registries::new(self.http.clone(), credentials);
        self
    }

    /// The registries, with these credentials.
    pub fn registries(&self) -> &Registries {
        &self.registries
    }

    /// The cache that it fills.
    pub fn cache(&self) -> &Cache {
        &self.cache
    }

    /// Fetches all of `wants` into the cache, unless present; returns their files in the same
    /// order.
    ///
    /// # Errors
    /// [`FetchError`]. Of several failures, the first in the order of `wants` is returned. If the
    /// only failures are inputs that no longer exist, all of them are listed.
    pub fn fetch_all(&self, wants: &[Want]) -> Result<Vec<PathBuf>, FetchError> {
        let cached: Vec<Option<PathBuf>> = wants.iter().map(|want| self.cache.blob(&want.digest, want.size)).collect();
        let mut missing: Vec<usize> = (0..wants.len()).filter(|index| cached[*index].is_none()).collect();
        if missing.is_empty() {
            return Ok(cached.into_iter().flatten().collect());
        }
        self.refuse_if_offline(missing.iter().map(|index| &wants[*index]), wants.len())?;
        // Largest first, so that it does not start when the others end.
        missing.sort_by_key(|index| std::cmp::Reverse(wants[*index].size));
        let total = missing.iter().filter_map(|index| wants[*index].size).sum();
        let phase = self.progress.phase("fetch", Unit::Bytes, total);
        let mut fetched = self.fetch_missing(wants, &missing, &phase)?;
        phase.finish();
        let fetched_path = |(index, path): (usize, Option<PathBuf>)| path.or_else(|| fetched[index].take());
        Ok(cached.into_iter().enumerate().filter_map(fetched_path).collect())
    }

    fn refuse_if_offline<'a>(&self, missing: impl Iterator<Item = &'a Want>, total: usize) -> Result<(), FetchError> {
        if !self.http.config().offline {
            return Ok(());
        }
        let only_remote = |want: &&Want| !want.from.iter().any(|from| matches!(from, Location::File(_)));
        let missing: Vec<MissingInput> = missing.filter(only_remote).map(MissingInput::from).collect();
        if missing.is_empty() { Ok(()) } else { Err(FetchError::Offline { missing, total }) }
    }

    /// Fetches `missing` with several threads; each index of `wants` gets its path.
    fn fetch_missing(
        &self,
        wants: &[Want],
        missing: &[usize],
        phase: &Phase,
    ) -> Result<Vec<Option<PathBuf>>, FetchError> {
        let (next, done) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let run = Run::new(&self.progress, phase);
        let results = Mutex::new(vec![None; wants.len()]);
        let errors = Mutex::new(Vec::new());
        let work = || {
            while !run.stop.load(Relaxed)
                && let Some(&index) = missing.get(next.fetch_add(1, Relaxed))
            {
                match self.fetch_one(&wants[index], &run) {
                    Ok(path) => {
                        lock(&results)[index] = path;
                        phase.message(format_args!("{}/{}", done.fetch_add(1, Relaxed) + 1, missing.len()));
                    }
                    Err(error) => {
                        // All inputs that no longer exist are reported at once, so that one new
                        // lock fixes them.
                        if !matches!(error, FetchError::Gone { .. }) {
                            run.stop.store(true, Relaxed);
                        }
                        lock(&errors).push((index, error));
                    }
                }
            }
        };
        std::thread::scope(|scope| {
            for _ in 0..JOBS.min(missing.len()) {
                scope.spawn(work);
            }
        });
        match error::combine(errors.into_inner().unwrap_or_else(|poison| poison.into_inner())) {
            Some(error) => Err(error),
            None => Ok(results.into_inner().unwrap_or_else(|poison| poison.into_inner())),
        }
    }

    /// Returns `Ok(None)` if it stopped because another input failed.
    fn fetch_one(&self, want: &Want, run: &Run) -> Result<Option<PathBuf>, FetchError> {
        let cache_failed = |source| FetchError::Cache { name: want.name.clone(), source };
        let on_wait = || self.progress.detail(format_args!("{}: waiting for another download of it", want.name));
        let mut partial = match self.cache.claim(&want.digest, want.size, on_wait).map_err(cache_failed)? {
            Claim::Present(path) => {
                run.phase.inc(want.size.unwrap_or(0));
                return Ok(Some(path));
            }
            Claim::Partial(partial) => partial,
        };
        if partial.is_complete() {
            // The process was killed between the last byte and the rename.
            match partial.land() {
                Ok(path) => return Ok(Some(path)),
                Err(CacheError::Mismatch { .. }) => partial.restart().map_err(cache_failed)?,
                Err(error) => return Err(cache_failed(error)),
            }
        }
        run.phase.inc(partial.len());
        let order = run.order(want);
        let mut tried = Vec::new();
        for (index, location) in order.iter().enumerate() {
            let mut policy = self.http.config().retry.clone();
            if index + 1 < order.len() {
                policy.attempts = policy.attempts.min(ATTEMPTS_WITH_ALTERNATIVE);
            }
            let outcome = match location {
                Location::File(path) => copy(path, &mut partial, run.phase),
                Location::Url(url) => {
                    self.download(want, (url, &self.opening(url, Purpose::Artifact)), &policy, &mut partial, run)
                }
                Location::Mirror(url) => {
                    self.download(want, (url, &self.opening(url, Purpose::Mirror)), &policy, &mut partial, run)
                }
                Location::Registry(part) => {
                    let open = |offset| self.registries.get(part, offset);
                    self.download(want, (&part.url(), &open), &policy, &mut partial, run)
                }
            };
            match outcome.map_err(cache_failed)? {
                Attempt::Complete(path) => return Ok(Some(path)),
                Attempt::Stopped => return Ok(None),
                Attempt::Failed(why) => {
                    self.progress.detail(format_args!("{}: {location}: {why}", want.name));
                    run.note(location, &why);
                    tried.push(Tried { location: location.to_string(), why });
                }
            }
        }
        Err(FetchError::none_worked(want, tried))
    }

    /// Requests `url` from an offset.
    fn opening<'a>(&self, url: &'a Url, purpose: Purpose) -> impl Fn(u64) -> Result<Response, HttpError> + use<'a> {
        let http = self.http.to(purpose);
        move |offset| http.get(url, offset)
    }

    /// Makes all attempts at one URL.
    fn download(
        &self,
        want: &Want,
        (url, open): (&Url, &Open<'_>),
        policy: &RetryPolicy,
        partial: &mut Partial,
        run: &Run,
    ) -> Result<Attempt, CacheError> {
        let mut backoff = Backoff::new(policy, url);
        let mut furthest = partial.len();
        loop {
            let mut download = Download { open, want, url, partial, phase: run.phase, stop: &run.stop };
            let why = match download.attempt()? {
                Attempt::Failed(why) => why,
                end => return Ok(end),
            };
            let Why::Http(error) = why else { return Ok(Attempt::Failed(why)) };
            if partial.len() > furthest {
                furthest = partial.len();
                backoff.reset();
            }
            let Some(delay) = backoff.after(&error) else {
                return Ok(Attempt::Failed(Why::Http(error.after_attempts(backoff.attempts()))));
            };
            self.progress.detail(format_args!("{error}; trying again in {:.1}s", delay.as_secs_f64()));
            if !sleep_unless(delay, &run.stop) {
                return Ok(Attempt::Stopped);
            }
        }
    }

    /// Fetches something whose digest is not known yet into the cache, for a lock that is being
    /// written.
    ///
    /// # Errors
    /// [`FetchError`] as from [`Fetcher::fetch_all`].
    pub fn fetch_unpinned(&self, name: &str, from: &Location) -> Result<Stored, FetchError> {
        let cache_failed = |source| FetchError::Cache { name: name.to_owned(), source };
        let failed =
            |why| FetchError::Failed { name: name.to_owned(), tried: vec![Tried { location: from.to_string(), why }] };
        match from {
            Location::File(path) => {
                let mut writer = self.cache.blob_writer().map_err(cache_failed)?;
                let mut file = kiln_file::open(path).map_err(|error| failed(Why::file(&error)))?;
                let copied = writer.copy_from(&mut file).map_err(cache_failed)?;
                copied.map_err(|error| failed(Why::file(&error)))?;
                writer.finish().map_err(cache_failed)
            }
            Location::Url(url) => {
                self.download_unpinned(url, &self.opening(url, Purpose::Artifact), failed, cache_failed)
            }
            Location::Mirror(url) => {
                self.download_unpinned(url, &self.opening(url, Purpose::Mirror), failed, cache_failed)
            }
            Location::Registry(part) => {
                self.download_unpinned(&part.url(), &|offset| self.registries.get(part, offset), failed, cache_failed)
            }
        }
    }

    /// Makes all attempts at one URL whose digest is not known.
    fn download_unpinned(
        &self,
        url: &Url,
        open: &Open<'_>,
        failed: impl Fn(Why) -> FetchError,
        cache_failed: impl Fn(CacheError) -> FetchError,
    ) -> Result<Stored, FetchError> {
        let mut backoff = Backoff::new(&self.http.config().retry, url);
        loop {
            let error = match download::unpinned(open, &self.cache, url).map_err(&cache_failed)? {
                Ok(stored) => return Ok(stored),
                Err(error) => error,
            };
            match backoff.after(&error) {
                Some(delay) => std::thread::sleep(delay),
                None => return Err(failed(Why::Http(error.after_attempts(backoff.attempts())))),
            }
        }
    }
}

/// Replaces the contents of `partial` with the bytes of a file of this host.
fn copy(path: &Path, partial: &mut Partial, phase: &Phase) -> Result<Attempt, CacheError> {
    phase.undo(partial.len());
    partial.restart()?;
    let mut buffer = vec![0; 128 * 1024];
    let mut file = match kiln_file::open(path) {
        Ok(file) => file,
        Err(error) => return Ok(Attempt::Failed(Why::file(&error))),
    };
    loop {
        match io::Read::read(&mut file, &mut buffer) {
            Ok(0) => break,
            Ok(count) => {
                partial.append(&buffer[..count])?;
                phase.inc(count as u64);
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Ok(Attempt::Failed(Why::file(&error))),
        }
    }
    download::land(partial, phase)
}
