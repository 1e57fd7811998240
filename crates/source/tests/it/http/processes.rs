//! Tests that need a separate process: being killed, and running out of space.

use super::server::{Server, head, ranged};
use super::{body, client, fetcher, files_in, want};
use kiln_cache::CacheError;
use kiln_source::fetch::FetchError;
use kiln_tree::Digest;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

const SIZE: usize = 2_000_000;

/// Runs this test in a separate process, through `sh -c "<prelude> exec …"`; there, [`child`] is
/// `Some`.
fn spawn(test: &str, prelude: &str, root: &Path, url: &str) -> Child {
    let binary = std::env::current_exe().expect("this test");
    Command::new("sh")
        .args(["-c", &format!("{prelude} exec \"$0\" --exact \"$1\" --nocapture")])
        .arg(binary)
        .arg(format!("http::processes::{test}"))
        .env("KILN_TEST_ROOT", root)
        .env("KILN_TEST_URL", url)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("sh")
}

/// In a spawned process: the result of fetching the blob into the given cache.
fn child() -> Option<Result<(), FetchError>> {
    let root = std::env::var_os("KILN_TEST_ROOT")?;
    let url = std::env::var("KILN_TEST_URL").expect("set with the other");
    Some(fetcher(Path::new(&root), client()).fetch_all(&[want("x", &body(SIZE), &[url])]).map(drop))
}

#[test]
fn a_killed_download_is_resumed() {
    if let Some(result) = child() {
        return result.expect("fetched");
    }
    let dir = tempfile::tempdir().expect("a temporary directory");
    let bytes = body(SIZE);
    let served = bytes.clone();
    let server = Server::start(move |request, stream| {
        if request.nth > 0 {
            return ranged(request, stream, &served);
        }
        head(stream, "200 OK", &[], served.len())?;
        for (index, chunk) in served.chunks(SIZE / 2000).enumerate() {
            // Slow in the second half, during which the process is killed.
            if index > 1000 {
                thread::sleep(Duration::from_millis(100));
            }
            stream.write_all(chunk)?;
        }
        Ok(())
    });
    let mut child = spawn("a_killed_download_is_resumed", "", dir.path(), &server.url("/"));
    let partial = dir.path().join("partial").join(Digest::of(&bytes).to_string());
    let start = Instant::now();
    let len = || std::fs::metadata(&partial).map_or(0, |metadata| metadata.len());
    while len() < SIZE as u64 / 2 {
        assert!(start.elapsed() < Duration::from_secs(60), "the child fetches nothing");
        assert_eq!(child.try_wait().expect("waited"), None, "the child ended");
        thread::sleep(Duration::from_millis(5));
    }
    child.kill().expect("killed");
    child.wait().expect("waited");
    assert!(len() < SIZE as u64);

    let kept = len();
    let paths = fetcher(dir.path(), client()).fetch_all(&[want("x", &bytes, &[server.url("/")])]).expect("resumed");
    assert_eq!(std::fs::read(&paths[0]).expect("read"), bytes);
    assert_eq!(server.requests()[1].offset().map(|offset| offset as u64), Some(kept));
}

#[test]
fn processes_at_once_fetch_a_blob_once() {
    if let Some(result) = child() {
        return result.expect("fetched");
    }
    let dir = tempfile::tempdir().expect("a temporary directory");
    let served = body(SIZE);
    let server = Server::start(move |_, stream| {
        head(stream, "200 OK", &[], served.len())?;
        served.chunks(SIZE / 20).try_for_each(|chunk| {
            thread::sleep(Duration::from_millis(30));
            stream.write_all(chunk)
        })
    });
    let children = [(); 3].map(|()| spawn("processes_at_once_fetch_a_blob_once", "", dir.path(), &server.url("/")));
    for child in children {
        succeeded(child);
    }
    assert_eq!(server.requests().len(), 1);
}

#[test]
fn a_full_disk_is_named_and_its_space_is_freed() {
    if let Some(result) = child() {
        let error = result.expect_err("no space");
        assert!(matches!(&error, FetchError::Cache { source: CacheError::Full { .. }, .. }), "{error:?}");
        let text = error.to_string();
        assert!(text.contains("x: writing") && text.contains("kiln cache trim"), "{text}");
        return;
    }
    let dir = tempfile::tempdir().expect("a temporary directory");
    let served = body(SIZE);
    let server = Server::start(move |request, stream| ranged(request, stream, &served));
    // The limit on file sizes is the only one that needs no privileges; its signal must not kill
    // the process.
    let limit = "trap '' XFSZ; ulimit -f 1000;";
    succeeded(spawn("a_full_disk_is_named_and_its_space_is_freed", limit, dir.path(), &server.url("/")));
    assert_eq!(files_in(&dir.path().join("partial")), 0);
}

fn succeeded(child: Child) {
    let output = child.wait_with_output().expect("waited");
    let text = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && text.contains("1 passed"), "{text}");
}
