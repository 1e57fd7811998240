//! Debian's docker-registry on this host, and images that other tools make and push.

use super::run;
use std::fs;
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// A running registry; stopped on drop.
pub(super) struct Distribution {
    child: Child,
    /// `127.0.0.1:PORT`.
    pub address: String,
}

impl Distribution {
    /// Starts one in `directory` with `auth`, the section of its configuration.
    pub(super) fn start(directory: &Path, auth: &str) -> Self {
        let address = {
            let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
            listener.local_addr().expect("an address").to_string()
        };
        let config = directory.join("registry.yml");
        let storage = directory.join("storage");
        let text = format!(
            "version: 0.1\nlog: {{level: error}}\nstorage: {{filesystem: {{rootdirectory: {}}}}}\nhttp: {{addr: {address}}}\n{auth}",
            storage.display()
        );
        fs::write(&config, text).expect("written");
        let child = Command::new("docker-registry")
            .args(["serve".as_ref(), config.as_os_str()])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap_or_else(|error| panic!("docker-registry: {error}: install the package docker-registry"));
        let registry = Self { child, address };
        let start = Instant::now();
        while TcpStream::connect(&registry.address).is_err() {
            assert!(start.elapsed() < Duration::from_secs(30), "docker-registry does not answer");
            std::thread::sleep(Duration::from_millis(50));
        }
        registry
    }

    /// `127.0.0.1:PORT/NAME`.
    pub(super) fn reference(&self, name: &str) -> String {
        format!("{}/{name}", self.address)
    }

    /// Pushes the image at `from` as `name` with skopeo, in `format` (`oci` or `v2s2`).
    pub(super) fn push(&self, from: &str, name: &str, format: &str, config: &Path) {
        let to = format!("docker://{}", self.reference(name));
        let config = config.to_str().expect("a path");
        let args = ["copy", "--dest-tls-verify=false", "--dest-authfile", config, "--format", format, from, &to];
        run("skopeo", "skopeo", &args);
    }
}

impl Drop for Distribution {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// An image made by umoci with one compressed layer, as skopeo names it.
pub(super) fn image(directory: &Path) -> String {
    let layout = directory.join("layout");
    let tagged = format!("{}:1", layout.display());
    let file = directory.join("greeting");
    fs::write(&file, "hello\n".repeat(10_000)).expect("written");
    run("umoci", "umoci", &["init", "--layout", layout.to_str().expect("a path")]);
    run("umoci", "umoci", &["new", "--image", &tagged]);
    run("umoci", "umoci", &["insert", "--rootless", "--image", &tagged, file.to_str().expect("a path"), "/greeting"]);
    run(
        "umoci",
        "umoci",
        &["config", "--image", &tagged, "--architecture", "amd64", "--config.entrypoint", "/greeting"],
    );
    format!("oci:{tagged}")
}
