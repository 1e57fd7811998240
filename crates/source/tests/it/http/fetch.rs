//! Tests of fetching the inputs of a lock.

use super::server::{Request, Server, answer, cut, head, ranged};
use super::{body, client, config, fetcher, files_in, want};
use kiln_cache::{Cache, Claim};
use kiln_source::fetch::{FetchError, Location, Want, Why};
use kiln_source::http::{Client, HttpConfig};
use kiln_tree::Digest;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Barrier};
use std::thread;
use std::time::{Duration, SystemTime};

fn temp() -> tempfile::TempDir {
    tempfile::tempdir().expect("a temporary directory")
}

/// Leaves `bytes` of an earlier download of the blob with this digest.
fn leave_partial(root: &std::path::Path, digest: &Digest, bytes: &[u8]) {
    let cache = Cache::open(root, SystemTime::now()).expect("a cache");
    match cache.claim(digest, None, || ()).expect("claimed") {
        Claim::Partial(mut partial) => partial.append(bytes).expect("written"),
        Claim::Present(_) => panic!("it already exists"),
    }
}

#[test]
fn inputs_are_returned_in_order_and_fetched_once() {
    let dir = temp();
    let server = Server::start(|request, stream| ranged(request, stream, request.target.repeat(1000).as_bytes()));
    let wants: Vec<Want> = (0..40)
        .map(|n| want(&format!("p{n}"), format!("/{n}").repeat(1000).as_bytes(), &[server.url(&format!("/{n}"))]))
        .collect();
    let fetcher = fetcher(dir.path(), client());
    let paths = fetcher.fetch_all(&wants).expect("fetched");
    for (n, path) in paths.iter().enumerate() {
        assert_eq!(std::fs::read_to_string(path).expect("read"), format!("/{n}").repeat(1000));
    }
    assert_eq!(fetcher.fetch_all(&wants).expect("cached"), paths);
    assert_eq!(server.requests().len(), 40);
    assert_eq!(files_in(&dir.path().join("partial")), 0);
    assert_eq!(fetcher.fetch_all(&[]).expect("nothing"), Vec::<std::path::PathBuf>::new());
}

#[test]
fn downloads_run_in_parallel_up_to_the_limit() {
    let dir = temp();
    let (running, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let all_there = Arc::new(Barrier::new(8));
    let server = {
        let (running, most) = (running.clone(), most.clone());
        Server::start(move |request, stream| {
            most.fetch_max(running.fetch_add(1, SeqCst) + 1, SeqCst);
            // Passes only when eight requests are here at once.
            all_there.wait();
            running.fetch_sub(1, SeqCst);
            ranged(request, stream, request.target.as_bytes())
        })
    };
    let wants: Vec<Want> =
        (0..16).map(|n| want("x", format!("/{n}").as_bytes(), &[server.url(&format!("/{n}"))])).collect();
    let patient = Client::new(HttpConfig { stall_timeout: Duration::from_secs(20), ..config() });
    fetcher(dir.path(), patient).fetch_all(&wants).expect("fetched");
    assert_eq!(most.load(SeqCst), 8);
}

#[test]
fn a_cut_body_is_resumed() {
    let (dir, bytes) = (temp(), body(1_000_000));
    let served = bytes.clone();
    // More interruptions than attempts: each delivers some bytes, so none counts as a failure.
    let server = Server::start(move |request, stream| cut(request, stream, &served, 100_000));
    let paths = fetcher(dir.path(), client()).fetch_all(&[want("x", &bytes, &[server.url("/")])]).expect("fetched");
    assert_eq!(std::fs::read(&paths[0]).expect("read"), bytes);
    let offsets: Vec<_> = server.requests().iter().map(|request| request.offset().unwrap_or(0)).collect();
    assert!(offsets.len() >= 10 && offsets.windows(2).all(|pair| pair[0] < pair[1]), "{offsets:?}");
}

#[test]
fn a_server_that_always_cuts_at_the_same_place_is_reported() {
    let (dir, bytes) = (temp(), body(100_000));
    let served = bytes.clone();
    let server = Server::start(move |_, stream| {
        head(stream, "200 OK", &[], served.len())?;
        stream.write_all(&served[..50_000])
    });
    let error = fetcher(dir.path(), client()).fetch_all(&[want("x", &bytes, &[server.url("/")])]).expect_err("cut");
    assert!(matches!(error, FetchError::Failed { .. }), "{error}");
    assert!(error.to_string().contains("tried 4 times"), "{error}");
    assert_eq!(server.requests().len(), 4);
    assert_eq!(files_in(&dir.path().join("partial")), 1, "kept for another time");
}

#[test]
fn a_server_that_ignores_ranges_starts_over() {
    let (dir, bytes) = (temp(), body(300_000));
    let served = bytes.clone();
    let server = Server::start(move |request, stream| {
        let count = if request.nth == 0 { 200_000 } else { served.len() };
        head(stream, "200 OK", &[], served.len())?;
        stream.write_all(&served[..count])
    });
    let paths = fetcher(dir.path(), client()).fetch_all(&[want("x", &bytes, &[server.url("/")])]).expect("fetched");
    assert_eq!(std::fs::read(&paths[0]).expect("read"), bytes);
    let offsets: Vec<_> = server.requests().iter().map(Request::offset).map(|offset| offset.is_some()).collect();
    assert_eq!(offsets, [false, true], "it was asked to continue, and not once more to start over");
}

#[test]
fn unusable_ranges_start_over() {
    let bytes = body(10_000);
    for wrong in ["416", "other start", "no content-range"] {
        let dir = temp();
        leave_partial(dir.path(), &Digest::of(&bytes), &bytes[..5000]);
        let served = bytes.clone();
        let server = Server::start(move |request, stream| match (request.offset(), wrong) {
            (None, _) => answer(stream, "200 OK", &[], &served),
            (_, "416") => answer(stream, "416 Range Not Satisfiable", &[], b""),
            (_, "other start") => {
                answer(stream, "206 Partial Content", &["Content-Range: bytes 4000-9999/10000"], &served[4000..])
            }
            _ => answer(stream, "206 Partial Content", &[], &served[5000..]),
        });
        fetcher(dir.path(), client()).fetch_all(&[want("x", &bytes, &[server.url("/")])]).expect(wrong);
        let offsets: Vec<_> = server.requests().iter().map(Request::offset).collect();
        assert_eq!(offsets, [Some(5000), None], "{wrong}");
    }
}

#[test]
fn bytes_left_by_a_killed_process_are_used() {
    let bytes = body(500_000);
    for (left, first_request) in [(123_456, Some(Some(123_456))), (500_000, None)] {
        let dir = temp();
        leave_partial(dir.path(), &Digest::of(&bytes), &bytes[..left]);
        let served = bytes.clone();
        let server = Server::start(move |request, stream| ranged(request, stream, &served));
        let paths = fetcher(dir.path(), client()).fetch_all(&[want("x", &bytes, &[server.url("/")])]).expect("fetched");
        assert_eq!(std::fs::read(&paths[0]).expect("read"), bytes);
        assert_eq!(server.requests().first().map(Request::offset), first_request, "{left} bytes left");
    }
}

#[test]
fn leftovers_of_other_bytes_are_discarded() {
    let bytes = body(50_000);
    for left in [vec![7; 20_000], vec![7; 50_000], vec![7; 60_000]] {
        let dir = temp();
        leave_partial(dir.path(), &Digest::of(&bytes), &left);
        let served = bytes.clone();
        let server = Server::start(move |request, stream| ranged(request, stream, &served));
        let paths = fetcher(dir.path(), client()).fetch_all(&[want("x", &bytes, &[server.url("/")])]).expect("fetched");
        assert_eq!(std::fs::read(&paths[0]).expect("read"), bytes);
    }
}

#[test]
fn a_stale_mirror_is_skipped() {
    let (dir, bytes) = (temp(), body(50_000));
    let mut stale_bytes = bytes.clone();
    stale_bytes[40_000] ^= 1;
    let stale = Server::start(move |request, stream| ranged(request, stream, &stale_bytes));
    let shorter = Server::start(|_, stream| answer(stream, "200 OK", &[], b"under construction"));
    let longer = Server::start(|_, stream| {
        stream.write_all(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n")?;
        loop {
            stream.write_all(&[b'x'; 4096])?;
        }
    });
    let gone = Server::start(|_, stream| answer(stream, "404 Not Found", &[], b""));
    let served = bytes.clone();
    let good = Server::start(move |request, stream| ranged(request, stream, &served));
    let urls = [&stale, &shorter, &longer, &gone, &good].map(|server| server.url("/x"));
    let paths = fetcher(dir.path(), client()).fetch_all(&[want("x", &bytes, &urls)]).expect("fetched");
    assert_eq!(std::fs::read(&paths[0]).expect("read"), bytes);
    assert_eq!((stale.requests().len(), good.requests().len()), (1, 1));
}

#[test]
fn a_dead_mirror_costs_time_only_once() {
    let dir = temp();
    let dead = Server::start(|_, _| Ok(()));
    let good = Server::start(|request, stream| ranged(request, stream, request.target.as_bytes()));
    let urls = |n: usize| [&dead, &good].map(|server| server.url(&format!("/{n}")));
    let wants: Vec<Want> = (0..50).map(|n| want("x", format!("/{n}").as_bytes(), &urls(n))).collect();
    fetcher(dir.path(), client()).fetch_all(&wants).expect("fetched");
    // Each of the eight threads may find out for itself, in two attempts.
    assert!((2..=16).contains(&dead.requests().len()), "{}", dead.requests().len());
    assert_eq!(good.requests().len(), 50);
}

#[test]
fn wrong_bytes_everywhere_name_both_digests() {
    let (dir, bytes) = (temp(), body(1000));
    let other = body(2000)[1000..].to_vec();
    let found = Digest::of(&other);
    let server = Server::start(move |request, stream| ranged(request, stream, &other));
    let error = fetcher(dir.path(), client())
        .fetch_all(&[want("kubelet v1.36.4", &bytes, &[server.url("/kubelet")])])
        .expect_err("other bytes");
    assert!(matches!(error, FetchError::WrongContent { .. }), "{error}");
    let text = error.to_string();
    for part in
        ["kubelet v1.36.4", &server.url("/kubelet"), &found.to_string(), &Digest::of(&bytes).to_string(), "kiln lock"]
    {
        assert!(text.contains(part), "{part} in {text}");
    }
    assert_eq!(files_in(&dir.path().join("partial")), 0);
}

#[test]
fn everything_that_is_gone_is_listed_at_once() {
    let (dir, bytes) = (temp(), body(1000));
    let served = bytes.clone();
    let server = Server::start(move |request, stream| match request.target.as_str() {
        "/here" => ranged(request, stream, &served),
        _ => answer(stream, "404 Not Found", &[], b""),
    });
    let other = Server::start(|_, stream| answer(stream, "410 Gone", &[], b""));
    let wants = [
        want("a_1.0", b"a", &[server.url("/a"), other.url("/a")]),
        want("here", &bytes, &[server.url("/here")]),
        want("b_2.0", b"b", &[server.url("/b")]),
    ];
    let fetcher = fetcher(dir.path(), client());
    match fetcher.fetch_all(&wants) {
        Err(FetchError::Gone { inputs }) => {
            let names: Vec<&str> = inputs.iter().map(|input| input.name.as_str()).collect();
            assert_eq!(names, ["a_1.0", "b_2.0"]);
            assert_eq!(inputs[0].from, [server.url("/a"), other.url("/a")]);
        }
        other => panic!("{other:?}"),
    }
    assert!(fetcher.cache().blob(&Digest::of(&bytes), None).is_some(), "what is there was fetched");

    let down = Server::start(|_, stream| answer(stream, "503 Service Unavailable", &[], b""));
    let mixed = [want("a_1.0", b"a", &[server.url("/a"), down.url("/a")])];
    let error = fetcher.fetch_all(&mixed).expect_err("not known to be gone");
    assert!(matches!(error, FetchError::Failed { .. }), "{error}");
}

#[test]
fn one_failure_ends_the_other_downloads_soon() {
    let dir = temp();
    let server = Server::start(|request, stream| match request.target.as_str() {
        "/bad" => {
            thread::sleep(Duration::from_millis(200));
            answer(stream, "403 Forbidden", &[], b"")
        }
        _ => {
            head(stream, "200 OK", &[], 10_000_000)?;
            for _ in 0..1000 {
                stream.write_all(&[0; 10_000])?;
                stream.flush()?;
                thread::sleep(Duration::from_millis(50));
            }
            Ok(())
        }
    });
    let slow = Want { size: Some(10_000_000), ..want("slow", b"s", &[server.url("/slow")]) };
    let start = std::time::Instant::now();
    let error = fetcher(dir.path(), client()).fetch_all(&[slow, want("bad", b"b", &[server.url("/bad")])]);
    assert!(matches!(&error, Err(FetchError::Failed { name, .. }) if name == "bad"), "{error:?}");
    assert!(start.elapsed() < Duration::from_secs(10), "{:?}", start.elapsed());
}

#[test]
fn one_blob_wanted_several_times_is_fetched_once() {
    let (dir, bytes) = (temp(), body(200_000));
    let served = bytes.clone();
    let server = Server::start(move |request, stream| {
        thread::sleep(Duration::from_millis(100));
        ranged(request, stream, &served)
    });
    let wants = vec![want("x", &bytes, &[server.url("/")]); 4];
    thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                let paths = fetcher(dir.path(), client()).fetch_all(&wants).expect("fetched");
                assert_eq!((paths.len(), std::fs::read(&paths[3]).expect("read").len()), (4, bytes.len()));
            });
        }
    });
    assert_eq!(server.requests().len(), 1);
}

#[test]
fn offline_lists_what_is_missing() {
    let (dir, bytes) = (temp(), body(10));
    let server = Server::start(|request, stream| ranged(request, stream, b"bytes"));
    let offline = fetcher(dir.path(), Client::new(HttpConfig { offline: true, ..config() }));
    let file = dir.path().join("local");
    std::fs::write(&file, &bytes).expect("written");
    let local = Want { from: vec![Location::File(file)], ..want("local", &bytes, &[]) };
    let (a, b) = (want("a", b"a", &[server.url("/a")]), want("b", b"b", &[server.url("/b")]));

    let error = offline.fetch_all(&[a, local.clone(), b]).expect_err("offline");
    assert!(matches!(&error, FetchError::Offline { missing, total: 3 } if missing.len() == 2), "{error:?}");
    let text = error.to_string();
    for part in ["lacks 2 of 3", &server.url("/a"), &server.url("/b"), "without --offline"] {
        assert!(text.contains(part), "{part} in {text}");
    }
    assert_eq!(server.requests().len(), 0);
    offline.fetch_all(std::slice::from_ref(&local)).expect("a file needs no network");
}

#[test]
fn files_are_verified_like_downloads() {
    let (dir, bytes) = (temp(), body(300_000));
    let path = dir.path().join("kubelet");
    std::fs::write(&path, &bytes).expect("written");
    let fetcher = fetcher(&dir.path().join("cache"), client());
    let from = |path: &std::path::Path| Want { from: vec![Location::File(path.into())], ..want("k", &bytes, &[]) };
    leave_partial(&dir.path().join("cache"), &Digest::of(&bytes), b"from an earlier URL");
    let paths = fetcher.fetch_all(&[from(&path)]).expect("copied");
    assert_eq!(std::fs::read(&paths[0]).expect("read"), bytes);

    let missing = Want { digest: Digest::of(b"y"), size: None, ..from(&dir.path().join("none")) };
    let error = fetcher.fetch_all(&[missing]).expect_err("missing");
    assert!(matches!(&error, FetchError::Failed { tried, .. } if matches!(tried[0].why, Why::File { .. })), "{error}");
    assert!(error.to_string().contains("none: No such file"), "{error}");

    let changed = Want { digest: Digest::of(b"z"), size: None, ..from(&path) };
    let error = fetcher.fetch_all(&[changed]).expect_err("changed");
    assert!(matches!(error, FetchError::WrongContent { .. }), "{error}");
    let error = fetcher.fetch_all(&[Want { from: vec![], ..want("w", b"w", &[]) }]).expect_err("nowhere");
    assert!(error.to_string().contains("no location is known"), "{error}");
}

#[test]
fn inputs_without_a_digest_get_one() {
    let (dir, bytes) = (temp(), body(300_000));
    let path = dir.path().join("kubelet");
    std::fs::write(&path, &bytes).expect("written");
    let served = bytes.clone();
    let server = Server::start(move |request, stream| match request.nth {
        0 => cut(request, stream, &served, 1000),
        _ => ranged(request, stream, &served),
    });
    let fetcher = fetcher(&dir.path().join("cache"), client());
    for from in [Location::File(path.clone()), Location::Url(server.url("/").into())] {
        let stored = fetcher.fetch_unpinned("kubelet", &from).expect("stored");
        assert_eq!((stored.digest, stored.size), (Digest::of(&bytes), 300_000));
        assert_eq!(std::fs::read(stored.path).expect("read"), bytes);
    }
    let missing = Location::File(dir.path().join("none"));
    let error = fetcher.fetch_unpinned("kubelet", &missing).expect_err("missing").to_string();
    assert!(error.starts_with("kubelet: ") && error.contains("none"), "{error}");
    assert_eq!(files_in(&dir.path().join("cache/tmp")), 0);
}
