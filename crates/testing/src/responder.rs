//! The part of Docker's API that kubelet 1.20 requests before it serves its own API. No container
//! is ever started.

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

/// Answers on the socket `path` until the process exits, like a Docker whose cgroup driver is
/// `driver`.
///
/// Once kubelet has started, this Docker becomes unavailable: kubelet then serves its API and waits
/// for Docker to return, instead of changing the machine, which it is not allowed to do and would
/// exit on.
///
/// During its start, kubelet requests the version three times: for compatibility, for its own
/// control group, and for the type of runtime. The next request asks whether Docker is healthy.
pub fn docker(path: &Path, driver: &str) {
    serve(path, driver, 3);
}

/// Answers like the machine's Docker for cAdvisor in kubelet, which otherwise searches for it five
/// times with a second between attempts.
pub fn docker_of_the_machine(path: &Path) {
    serve(path, "cgroupfs", usize::MAX);
}

/// Answers all clients, and the first `versions` requests for the version.
fn serve(path: &Path, driver: &str, versions: usize) {
    let listener = UnixListener::bind(path).expect("a socket");
    fs::set_permissions(path, fs::Permissions::from_mode(0o777)).expect("anybody's");
    let driver = driver.to_owned();
    let asked = Arc::new(AtomicUsize::new(0));
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let (driver, asked) = (driver.clone(), Arc::clone(&asked));
            // kubelet may close connections at any time.
            thread::spawn(move || drop(answer(stream, &driver, versions, &asked)));
        }
    });
}

fn answer(mut stream: UnixStream, driver: &str, versions: usize, asked: &AtomicUsize) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut request = String::new();
    reader.read_line(&mut request)?;
    let mut line = String::new();
    while reader.read_line(&mut line)? > 2 {
        line.clear();
    }
    let path = request.split_whitespace().nth(1).unwrap_or_default().split('?').next().unwrap_or_default();
    let gone = path.ends_with("/version") && asked.fetch_add(1, Ordering::Relaxed) >= versions;
    let body = match path.rsplit('/').next().unwrap_or_default() {
        "version" => r#"{"Version":"19.03.13","ApiVersion":"1.40","MinAPIVersion":"1.12","Os":"linux"}"#.to_owned(),
        "info" => format!(r#"{{"CgroupDriver":"{driver}","DockerRootDir":"/var/lib/docker","OSType":"linux"}}"#),
        "json" => "[]".to_owned(),
        _ => "{}".to_owned(),
    };
    let status = if gone { "500 Internal Server Error" } else { "200 OK" };
    let length = body.len();
    let body = if request.starts_with("HEAD") { "" } else { &body };
    write!(
        stream,
        "HTTP/1.1 {status}\r\nApi-Version: 1.40\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\
         Connection: close\r\n\r\n{body}"
    )
}
