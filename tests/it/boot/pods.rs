//! Static pods of preloaded images, as reported by `pods.sh`.

use crate::boot::guest::Report;

/// Checks that the preloaded images are present and pinned, and that pods made from them work.
pub(super) fn check(report: &Report) {
    let fail = |what: &str| panic!("{what}\n{}\nconsole:\n{}", report.lines.join("\n"), report.console);
    report.check("unit-images", "active success");
    let images = report.all("image");
    let listed = report.all("listed");
    assert_eq!(listed.len(), 2, "{listed:?}");
    for wanted in listed {
        let found = images.iter().find(|image| image.starts_with(&format!("{wanted} ")));
        let pinned = found.is_some_and(|image| image.contains("io.cri-containerd.pinned=pinned"));
        assert!(pinned, "{wanted} is missing or not pinned: {images:?}");
    }
    report.check("again", "");
    let [pod, client] = ["address", "client-address"].map(|key| report.all(key).last().copied().unwrap_or_default());
    if !pod.starts_with("10.88.") || !client.starts_with("10.88.") || pod == client {
        fail("addresses of pods");
    }
    for key in ["client", "client-after"] {
        if !report.all(key).iter().any(|seen| seen.starts_with("pod web-") && seen.contains(", node web-")) {
            fail("the client reaches neither pod nor node");
        }
    }
    report.check("restarts", "0");
    report.check("restarted", "1");
    report.check("address-kept", "yes");
    if !report.all("rotated").iter().any(|path| path.contains("/main/0.log.")) {
        fail("the client's log does not rotate");
    }
    report.check("restored", "registry.test/busybox:1");
}
