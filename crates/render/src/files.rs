//! Files that the profile contains.

use super::{RenderError, Rendered};
use kiln_profile::Profile;
use kiln_tree::{Entry, FileTree, Origin};

pub(super) fn render(profile: &Profile, tree: &FileTree, rendered: &mut Rendered) -> Result<(), RenderError> {
    for (path, file) in &profile.files {
        let there = rendered.entries.get(path).or_else(|| tree.get(path.as_str()));
        if let Some(there) = there
            && !file.replace
        {
            return Err(RenderError::FileExists { path: path.clone(), origin: there.meta.origin.to_string() });
        }
        let origin = Origin::Profile(profile.role.as_str().into());
        let entry = Entry::file(file.content.as_str(), file.mode, origin).owned(file.uid, file.gid);
        rendered.entries.insert(path.clone(), entry);
    }
    Ok(())
}
