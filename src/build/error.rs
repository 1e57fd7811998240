//! Errors of a build.

use super::directory::DirectoryError;
use kiln_artifact::cloud::CloudError;
use kiln_artifact::disk::DiskError;
use kiln_artifact::kernel::KernelError;
use kiln_artifact::pxe::PxeError;
use kiln_artifact::root::RootError;
use kiln_artifact::tar::TarError;
use kiln_bake::BakeError;
use kiln_pack::layer::OverlayError;
use kiln_profile::{AboutProfile, Place, Profile};
use kiln_render::RenderError;
use kiln_source::fetch::FetchError;
use kiln_tree::TreeError;
use std::error::Error;

/// A failed build.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// An overlay cannot be read.
    #[error(transparent)]
    Overlay(#[from] OverlayError),
    /// Inputs are no longer at their URLs.
    #[error("{source}; {advice}")]
    Gone {
        /// The missing inputs.
        source: Box<FetchError>,
        /// What to do.
        advice: String,
    },
    /// An input cannot be fetched.
    #[error(transparent)]
    Fetch(FetchError),
    /// The tree cannot be baked.
    #[error(transparent)]
    Bake(#[from] BakeError),
    /// The boot files cannot be rendered.
    #[error(transparent)]
    Render(#[from] RenderError),
    /// The boot files of the disk conflict.
    #[error(transparent)]
    Tree(#[from] TreeError),
    /// The tree has no kernel, or more than one.
    #[error(transparent)]
    Kernel(#[from] KernelError),
    /// The PXE set cannot be made.
    #[error(transparent)]
    Pxe(#[from] PxeError),
    /// The disk cannot be made.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// The root file system cannot be made.
    #[error(transparent)]
    Root(#[from] RootError),
    /// The disk cannot be written in another format.
    #[error(transparent)]
    Cloud(#[from] CloudError),
    /// The archive of the root cannot be made.
    #[error(transparent)]
    Tar(#[from] TarError),
    /// The output directory cannot be written.
    #[error(transparent)]
    Directory(#[from] DirectoryError),
    /// A value in the profile turns out to be wrong.
    #[error("{place}: {source}")]
    Profile {
        /// Where it is written.
        place: Place,
        /// What is wrong.
        source: Box<BuildError>,
    },
}

impl BuildError {
    /// Adds the place where `profile` sets the key that the error is about, if it is about one and
    /// does not name the place already.
    pub(super) fn placed(self, profile: &Profile) -> Self {
        let key = match &self {
            Self::Render(error) => error.key(),
            Self::Kernel(error) => error.key(),
            Self::Pxe(error) => error.key(),
            Self::Disk(error) => error.key(),
            _ => None,
        };
        match key {
            Some(key) => Self::Profile { place: profile.places.nearest(&key), source: Box::new(self) },
            None => self,
        }
    }
}

/// Formats an error and its causes in one line, without causes that an outer error already quotes.
pub fn format_error(error: &(dyn Error + 'static)) -> String {
    let causes = std::iter::successors(Some(error), |cause| (*cause).source());
    let text = causes.map(ToString::to_string).fold(String::new(), |told, cause| match told.as_str() {
        "" => cause,
        _ if told.contains(&cause) => told,
        _ => format!("{told}: {cause}"),
    });
    text.lines().map(str::trim).filter(|line| !line.is_empty()).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("{text}")]
    struct Nested {
        text: &'static str,
        source: Option<Box<Nested>>,
    }

    fn nested(texts: &[&'static str]) -> Nested {
        let source = (texts.len() > 1).then(|| Box::new(nested(&texts[1..])));
        Nested { text: texts[0], source }
    }

    #[test]
    fn causes_are_not_repeated() {
        let error = nested(&["building", "writing a: no space; free some", "no space"]);
        assert_eq!(format_error(&error), "building: writing a: no space; free some");
        assert_eq!(format_error(&nested(&["writing a", "no space"])), "writing a: no space");
        assert_eq!(format_error(&nested(&["a\n  b\n"])), "a b");
    }
}
