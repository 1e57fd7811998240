//! As much of Docker as kubelet 1.20 asks for before it serves its API. No container is ever started.

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

/// Answers on the socket `path` until the process ends, as a Docker whose control groups are `driver`'s.
///
/// Once kubelet has started, Docker is gone: kubelet serves its API and waits for it to come back, instead of going on to change the machine,
/// which it may not and would end of.
///
/// Its start is three questions for the version: for compatibility, for where its process belongs, and for what runtime it is. The next is
/// whether Docker is well.
pub fn docker(path: &Path, driver: &str) {
    serve(path, driver, 3);
}

/// The machine's Docker, as cAdvisor in kubelet finds it: it looks five times, a second apart, for one that does not answer.
pub fn docker_of_the_machine(path: &Path) {
    serve(path, "cgroupfs", usize::MAX);
}

/// Answers anybody, and `versions` questions for the version.
fn serve(path: &Path, driver: &str, versions: usize) {
    let listener = UnixListener::bind(path).expect("a socket");
    fs::set_permissions(path, fs::Permissions::from_mode(0o777)).expect("anybody's");
    let driver = driver.to_owned();
    let asked = Arc::new(AtomicUsize::new(0));
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let (driver, asked) = (driver.clone(), Arc::clone(&asked));
            // kubelet closes connections as it likes.
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
