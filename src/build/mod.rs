//! The build line as a library: from a locked profile to an output directory.
//!
//! Fetch, bake, make the outputs, write the manifest, put the directory in its place. What differs
//! between machines is passed in as [`Means`]: this room reads neither the environment nor the
//! clock, and prints only progress.

mod directory;
mod earlier;
mod error;
mod fetch;
mod healing;
mod manifest;
mod outputs;
mod unchanged;

pub use directory::{DirectoryError, OutputDirectory};
pub use error::{BuildError, format_error};

use healing::retry_after_damage;
use kiln_bake::lock::{Locked, Mirrors};
use kiln_bake::{Baked, bake};
use kiln_cache::Cache;
use kiln_manifest::Manifest;
use kiln_pack::layer::Overlay;
use kiln_progress::Progress;
use kiln_source::fetch::Fetcher;
use outputs::{Made, Outputs};
use std::path::{Path, PathBuf};
use unchanged::Unchanged;

/// The facilities that a build uses.
#[derive(Debug, Clone, Copy)]
pub struct Means<'a> {
    /// Fetches inputs into its cache.
    pub fetcher: &'a Fetcher,
    /// The mirrors of Debian's packages.
    pub mirrors: &'a Mirrors,
    /// The number of threads; the outputs do not depend on it.
    pub threads: usize,
    /// Receives progress reports.
    pub progress: &'a Progress,
}

impl Means<'_> {
    fn cache(&self) -> &Cache {
        self.fetcher.cache()
    }
}

/// A locked profile with its overlays, and the facilities to build it.
#[derive(Debug)]
pub struct Line<'a> {
    locked: &'a Locked,
    overlays: Vec<Overlay>,
    means: Means<'a>,
}

/// What a signal that ends the process has to know of a build.
pub trait Interrupts {
    /// Names the paths to remove when the process ends from now on.
    fn begun(&self, unfinished: [PathBuf; 2]);

    /// Runs `commit`, which puts the output in its place, so that a signal ends the process either
    /// before or after it.
    ///
    /// # Errors
    /// Those of `commit`.
    fn commit<T, E>(&self, commit: impl FnOnce() -> Result<T, E>) -> Result<T, E>;
}

/// An output directory that is up to date.
#[derive(Debug)]
pub struct Built {
    /// Its manifest.
    pub manifest: Manifest,
    /// Whether it was built; `false` when it was already up to date.
    pub changed: bool,
}

impl<'a> Line<'a> {
    /// Reads the overlays of `locked`.
    ///
    /// # Errors
    /// [`BuildError::Overlay`].
    pub fn new(locked: &'a Locked, means: Means<'a>) -> Result<Self, BuildError> {
        let overlays = locked.profile().overlays.iter().map(|path| Overlay::read(path)).collect::<Result<_, _>>()?;
        Ok(Self { locked, overlays, means })
    }

    /// Fetches and bakes; returns the finished tree, and the manifest of an image without outputs.
    ///
    /// # Errors
    /// [`BuildError`].
    pub fn bake(&self) -> Result<(Baked, Manifest), BuildError> {
        let baked = retry_after_damage(&self.means, || self.bake_once())?;
        let manifest = manifest::of(self.locked, &baked, Made::default())?;
        Ok((baked, manifest))
    }

    /// Makes the profile's outputs in the directory `target`, which is replaced as a whole, or left
    /// unchanged when it is up to date or when anything fails. Files in it that an earlier build did
    /// not write are an error, or with `force` are deleted.
    ///
    /// # Errors
    /// [`BuildError`].
    pub fn build(&self, target: &Path, force: bool, interrupts: &impl Interrupts) -> Result<Built, BuildError> {
        self.build_unplaced(target, force, interrupts).map_err(|error| error.placed(self.locked.profile()))
    }

    /// [`Line::build`], whose errors do not name the place in the profile yet.
    fn build_unplaced(&self, target: &Path, force: bool, interrupts: &impl Interrupts) -> Result<Built, BuildError> {
        kiln_render::check_programs(self.locked.profile().arch)?;
        for overlay in &self.overlays {
            if let Some(reason) = &overlay.not_for_production {
                self.means.progress.warn(format_args!("overlay {} is not for production: {reason}", overlay.name));
            }
        }
        let unchanged = Unchanged::new(self.locked, &self.overlays, target);
        if let Some(manifest) = unchanged.find(self.means.cache()) {
            directory::sweep(target);
            return Ok(Built { manifest, changed: false });
        }
        let directory = OutputDirectory::create(target, force)?;
        if !directory.doomed().is_empty() {
            let doomed = directory::listed(directory.doomed());
            self.means.progress.warn(format_args!("--force: {} will be without {doomed}", target.display()));
        }
        interrupts.begun(directory.unfinished());
        let manifest = retry_after_damage(&self.means, || {
            let baked = self.bake_once()?;
            let outputs =
                Outputs { locked: self.locked, baked: &baked, means: self.means, directory: directory.temporary() };
            let manifest = manifest::of(self.locked, &baked, outputs.make()?)?;
            manifest::write(&manifest, directory.temporary())?;
            Ok(manifest)
        })?;
        if let Some(kept) = interrupts.commit(|| directory.commit())? {
            let text = "files that appeared in it during the build were moved to";
            self.means.progress.warn(format_args!("{}: {text} {}", target.display(), kept.display()));
        }
        unchanged.remember(self.means.cache(), &manifest);
        Ok(Built { manifest, changed: true })
    }

    fn bake_once(&self) -> Result<Baked, BuildError> {
        let Means { fetcher, mirrors, threads, progress } = self.means;
        let files = fetch::fetch(fetcher, mirrors, self.locked)?;
        Ok(bake(self.locked, &files, self.overlays.clone(), fetcher.cache(), threads, progress)?)
    }
}
