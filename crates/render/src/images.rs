//! Preloaded container images: imported into containerd before kubelet starts, and pinned.

use super::{RenderError, Rendered, origin};
use kiln_profile::Profile;
use kiln_tree::Entry;

const BY: &str = "images";
const UNIT: &str = "kiln-images.service";

/// containerd starts this unit, whether or not kubelet may start yet.
const TEXT: &str = "\
[Unit]
Description=Container images that this node has from the start
Documentation=https://github.com/containerd/containerd
After=containerd.service
Before=kubelet.service

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/usr/lib/kiln/images/import
";

/// The script asks containerd which images it has: its state may be from another version of the
/// image, or empty.
///
/// The archive is imported as a whole; blobs that exist are not read again. containerd's CRI plugin
/// (1.7 and later) reports images with this label to kubelet as "pinned", and kubelet never
/// collects these.
fn import(snapshotter: &str) -> String {
    format!(
        "\
#!/bin/sh
# Imports the images beside this script unless containerd has them, and pins those that are not pinned: a node may
# have lost its power in between.
set -eu
cd /usr/lib/kiln/images

images() {{ ctr --namespace k8s.io images \"$@\"; }}

have=$(images ls | while read -r name _ digest rest; do
    case $rest in
    *io.cri-containerd.pinned=pinned*) printf ' %s@%s pinned ' \"$name\" \"$digest\" ;;
    *) printf ' %s@%s ' \"$name\" \"$digest\" ;;
    esac
done)
missing= loose=
while read -r name digest; do
    case $have in
    *\" $name@$digest pinned \"*) continue ;;
    *\" $name@$digest \"*) ;;
    *) missing=yes ;;
    esac
    loose=\"$loose $name\"
done <list
if [ -n \"$missing\" ]; then images import --snapshotter {snapshotter} images.tar; fi
for name in $loose; do images label \"$name\" io.cri-containerd.pinned=pinned; done
"
    )
}

pub(super) fn render(profile: &Profile, rendered: &mut Rendered) -> Result<(), RenderError> {
    if profile.images.is_empty() {
        return Ok(());
    }
    rendered.file(BY, &format!("usr/lib/systemd/system/{UNIT}"), TEXT)?;
    rendered.link(BY, &format!("usr/lib/systemd/system/containerd.service.wants/{UNIT}"), format!("../{UNIT}"))?;
    let script = Entry::file(import(&profile.containerd.snapshotter), 0o755, origin(BY));
    rendered.put("usr/lib/kiln/images/import", script)
}
