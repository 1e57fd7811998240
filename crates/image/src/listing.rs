//! Lists all paths of an [`ImageRoot`] with the digests of their bytes.

use super::{CHUNK, ImageRoot, Kind, Node, ReadError, fill};
use kiln_tree::Digest;
use sha2::{Digest as _, Sha256};
use std::collections::BTreeMap;
use std::ops::ControlFlow;

/// A path of an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// Its metadata.
    pub node: Node,
    /// The SHA-256 of a file's bytes.
    pub sha256: Option<Digest>,
    /// Extended attributes: full name → value.
    pub xattrs: BTreeMap<String, Vec<u8>>,
}

impl Listed {
    /// The extended attributes, with values in hexadecimal as in manifests.
    pub fn xattrs_in_hex(&self) -> BTreeMap<String, String> {
        let hex = |value: &[u8]| value.iter().map(|byte| format!("{byte:02x}")).collect();
        self.xattrs.iter().map(|(name, value)| (name.clone(), hex(value))).collect()
    }
}

/// Everything in an image, by path.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Listing {
    /// By path without a leading slash.
    pub paths: BTreeMap<String, Listed>,
    /// Inconsistencies of the image: a path that occurs twice, an attribute of a path that does not
    /// exist.
    pub oddities: Vec<String>,
}

impl Listing {
    /// Reads all of `root`. `watch` is called with each part of the bytes of every file that is not
    /// a link to an earlier one.
    ///
    /// # Errors
    /// [`ReadError`].
    pub fn read(root: &dyn ImageRoot, watch: &mut dyn FnMut(&Node, Part<'_>)) -> Result<Self, ReadError> {
        let mut listing = Self::default();
        let mut buffer = vec![0; CHUNK];
        let xattrs = root.walk(&mut |node, bytes| {
            let sha256 = match &node.kind {
                Kind::File { link: Some(first), .. } => listing.paths.get(first).and_then(|first| first.sha256),
                Kind::File { size, link: None } => {
                    let (mut hasher, mut offset) = (Sha256::new(), 0);
                    loop {
                        let got = fill(bytes, &mut buffer)?;
                        if got == 0 {
                            break;
                        }
                        hasher.update(&buffer[..got]);
                        watch(node, Part { bytes: &buffer[..got], offset });
                        offset += got as u64;
                    }
                    if offset != *size {
                        return Err(ReadError::damaged(format!("/{} has only {offset} of {size} bytes", node.path)));
                    }
                    Some(Digest::finish(hasher))
                }
                _ => None,
            };
            let listed = Listed { node: node.clone(), sha256, xattrs: BTreeMap::new() };
            if listing.paths.insert(node.path.clone(), listed).is_some() {
                listing.oddities.push(format!("/{} exists twice", node.path));
            }
            Ok(ControlFlow::Continue(()))
        })?;
        for (path, xattrs) in xattrs {
            match listing.paths.get_mut(&path) {
                Some(listed) => listed.xattrs = xattrs,
                None => listing.oddities.push(format!("/{path} has extended attributes but does not exist")),
            }
        }
        Ok(listing)
    }
}

/// Some bytes of a file.
#[derive(Debug, Clone, Copy)]
pub struct Part<'a> {
    /// The bytes.
    pub bytes: &'a [u8],
    /// Their offset in the file.
    pub offset: u64,
}
