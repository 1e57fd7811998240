//! Tests of fetching single documents.

use super::server::{Server, answer, head};
use super::{client, config, with_proxy};
use kiln_source::http::{Client, HttpConfig, HttpErrorKind};
use std::io::Read;
use std::net::TcpListener;
use std::thread;
use std::time::{Duration, Instant};

#[test]
fn documents_are_unchanged_and_requests_have_a_user_agent() {
    let server = Server::start(|_, stream| answer(stream, "200 OK", &["Content-Encoding: gzip"], b"\x1f\x8bbytes"));
    assert_eq!(client().get_bytes(&server.url("/a?b=c").into(), 100).expect("fetched"), b"\x1f\x8bbytes");
    let request = &server.requests()[0];
    assert_eq!((request.method.as_str(), request.target.as_str()), ("GET", "/a?b=c"));
    assert_eq!(request.headers["user-agent"], format!("kiln/{}", env!("CARGO_PKG_VERSION")));
    assert_eq!(request.headers["accept-encoding"], "identity");
    assert_eq!(request.headers["host"], server.address());
}

#[test]
fn a_failing_server_is_retried() {
    let server = Server::start(|request, stream| match request.nth {
        0 => answer(stream, "503 Service Unavailable", &[], b""),
        1 => answer(stream, "500 Internal Server Error", &[], b""),
        2 => Ok(()), // Hangs up without an answer.
        _ => answer(stream, "200 OK", &[], b"ok"),
    });
    assert_eq!(client().get_bytes(&server.url("/").into(), 10).expect("fetched"), b"ok");
    assert_eq!(server.requests().len(), 4);
}

#[test]
fn a_permanently_failing_server_is_reported() {
    let server = Server::start(|_, stream| answer(stream, "502 Bad Gateway", &[], b""));
    let error = client().get_bytes(&server.url("/x").into(), 10).expect_err("502");
    assert_eq!((error.attempts, server.requests().len()), (4, 4));
    let text = error.to_string();
    for part in [&server.url("/x"), "502 bad gateway", "tried 4 times", "--mirror"] {
        assert!(text.contains(part), "{part:?} in {text}");
    }
}

#[test]
fn missing_documents_are_requested_once() {
    for (status, gone) in [("404 Not Found", true), ("410 Gone", true), ("403 Forbidden", false)] {
        let server = Server::start(move |_, stream| answer(stream, status, &[], b"an error page"));
        let error = client().get_bytes(&server.url("/x").into(), 100).expect_err(status);
        assert_eq!((error.is_gone(), server.requests().len()), (gone, 1), "{error}");
    }
}

#[test]
fn too_many_requests_waits_for_the_requested_pause() {
    let server = Server::start(|request, stream| match request.nth {
        0 => answer(stream, "429 Too Many Requests", &["Retry-After: 1"], b""),
        _ => answer(stream, "200 OK", &[], b"ok"),
    });
    let start = Instant::now();
    assert_eq!(client().get_bytes(&server.url("/").into(), 10).expect("fetched"), b"ok");
    assert!(start.elapsed() >= Duration::from_secs(1), "{:?}", start.elapsed());
}

#[test]
fn redirects_are_followed_and_loops_are_not() {
    let server = Server::start(|request, stream| match request.target.as_str() {
        "/a" => answer(stream, "301 Moved Permanently", &["Location: b/c"], b"moved"),
        "/b/c" => answer(stream, "302 Found", &["Location: ../d?e#f"], b""),
        "/d?e" => answer(stream, "200 OK", &[], b"here"),
        "/nowhere" => answer(stream, "302 Found", &[], b""),
        "/file" => answer(stream, "307 Temporary Redirect", &["Location: file:///etc/passwd"], b""),
        _ => answer(stream, "308 Permanent Redirect", &["Location: /loop"], b""),
    });
    assert_eq!(client().get_bytes(&server.url("/a").into(), 10).expect("fetched"), b"here");
    let error = client().get_bytes(&server.url("/loop").into(), 10).expect_err("a loop");
    assert!(matches!(error.kind, HttpErrorKind::TooManyRedirects { limit: 10 }), "{error}");
    assert_eq!(server.requests().iter().filter(|request| request.target == "/loop").count(), 11);
    for path in ["/nowhere", "/file"] {
        let error = client().get_bytes(&server.url(path).into(), 10).expect_err(path);
        assert!(matches!(error.kind, HttpErrorKind::BadRedirect { .. }), "{error}");
    }
}

#[test]
fn a_redirect_target_is_named_in_errors() {
    let target = Server::start(|_, stream| answer(stream, "404 Not Found", &[], b""));
    let location = format!("Location: {}", target.url("/there"));
    let server = Server::start(move |_, stream| answer(stream, "302 Found", &[&location], b""));
    let error = client().get_bytes(&server.url("/here").into(), 10).expect_err("404");
    assert_eq!(error.reached, Some(target.url("/there").into()));
    assert!(error.to_string().contains("/here (redirected to http://"), "{error}");
}

#[test]
fn oversized_documents_are_rejected_before_they_fill_memory() {
    let server = Server::start(|request, stream| match request.target.as_str() {
        "/announced" => head(stream, "200 OK", &[], 1 << 40),
        _ => {
            stream.write_all(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n")?;
            loop {
                stream.write_all(&[b'x'; 4096])?;
            }
        }
    });
    for path in ["/announced", "/endless"] {
        let error = client().get_bytes(&server.url(path).into(), 10_000).expect_err(path);
        assert!(matches!(error.kind, HttpErrorKind::TooLarge { limit: 10_000 }), "{error}");
    }
    let exact = Server::start(|_, stream| answer(stream, "200 OK", &[], b"12345"));
    assert_eq!(client().get_bytes(&exact.url("/").into(), 5).expect("fits"), b"12345");
    assert!(client().get_bytes(&exact.url("/").into(), 4).is_err());
}

#[test]
fn truncated_bodies_are_detected() {
    let server = Server::start(|request, stream| match request.target.as_str() {
        "/length" => {
            head(stream, "200 OK", &[], 100)?;
            stream.write_all(b"only this")
        }
        _ => stream
            .write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n20\r\nonly this"),
    });
    for path in ["/length", "/chunked"] {
        let error = client().get_bytes(&server.url(path).into(), 1000).expect_err(path);
        assert!(error.is_transient() && error.attempts == 4, "{error}");
    }
}

#[test]
fn stalled_connections_end() {
    let server = Server::start(|request, stream| {
        if request.target != "/head" {
            head(stream, "200 OK", &[], 100_000)?;
            stream.write_all(b"a little")?;
            stream.flush()?;
        }
        for _ in 0..100 {
            thread::sleep(Duration::from_millis(50));
            if request.target == "/trickle" {
                stream.write_all(b".")?;
            }
        }
        Ok(())
    });
    for path in ["/head", "/body", "/trickle"] {
        let start = Instant::now();
        let error =
            client().get(&server.url(path).into(), 0).and_then(|response| response.bytes(1 << 20)).expect_err(path);
        assert!(error.is_transient(), "{error}");
        assert!(start.elapsed() < Duration::from_secs(4), "{path}: {:?}", start.elapsed());
    }
}

#[test]
fn a_server_that_sends_a_little_for_ever_is_left() {
    let server = Server::start(|_, stream| {
        head(stream, "200 OK", &[], 100_000)?;
        for _ in 0..100 {
            thread::sleep(Duration::from_millis(100));
            stream.write_all(&[b'.'; 70])?;
            stream.flush()?;
        }
        Ok(())
    });
    let patient = Client::new(HttpConfig { stall_timeout: Duration::from_secs(2), ..config() });
    let start = Instant::now();
    let response = patient.get(&server.url("/").into(), 0).expect("an answer");
    let error = response.bytes(1 << 20).expect_err("700 bytes a second").to_string();
    assert!(error.contains("less than a kilobyte a second"), "{error}");
    assert!(start.elapsed() < Duration::from_secs(6), "{:?}", start.elapsed());
}

#[test]
fn a_refused_connection_names_the_remedy() {
    let port = TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("an address").port();
    let url = format!("http://me:secret@127.0.0.1:{port}/x");
    let error = client().get_bytes(&url.as_str().into(), 10).expect_err("refused");
    let text = error.to_string();
    for part in [&format!("http://***@127.0.0.1:{port}/x"), "refused", "tried 4 times", "http_proxy", "--mirror"] {
        assert!(text.contains(part), "{part:?} in {text}");
    }
    assert!(!text.contains("secret"), "{text}");
}

#[test]
fn bad_urls_and_offline_do_not_reach_the_network() {
    for url in ["", "x", "/x", "ftp://h/x", "http://", "http:// h/", "file:///etc/passwd"] {
        let error = client().get_bytes(&url.into(), 10).expect_err(url);
        assert!(matches!(error.kind, HttpErrorKind::BadUrl { .. }), "{url}: {error}");
    }
    let server = Server::start(|_, stream| answer(stream, "200 OK", &[], b"ok"));
    let offline = Client::new(HttpConfig { offline: true, ..config() });
    let error = offline.get_bytes(&server.url("/").into(), 10).expect_err("offline");
    assert!(matches!(error.kind, HttpErrorKind::Offline) && error.to_string().contains("--offline"), "{error}");
    assert_eq!(server.requests().len(), 0);
}

#[test]
fn answers_that_are_not_http_are_rejected() {
    let server = Server::start(|request, stream| match request.target.as_str() {
        "/text" => stream.write_all(b"220 mail.example ESMTP\r\n\r\n"),
        "/header" => {
            stream.write_all(b"HTTP/1.1 200 OK\r\n")?;
            (0..100_000).try_for_each(|_| stream.write_all(b"X-A: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\r\n"))
        }
        _ => stream.write_all(&[0xff; 1000]),
    });
    for path in ["/text", "/header", "/binary"] {
        client().get(&server.url(path).into(), 0).expect_err(path);
    }
}

#[test]
fn plain_requests_reach_a_proxy_in_absolute_form() {
    let proxy = Server::start(|_, stream| answer(stream, "200 OK", &[], b"by proxy"));
    let client = with_proxy(&[("http_proxy", &format!("http://me:p%40ss@{}", proxy.address()))]);
    let bytes = client.get_bytes(&"http://mirror.invalid:8080/dists/x?y".into(), 100).expect("fetched");
    assert_eq!(bytes, b"by proxy");
    let request = &proxy.requests()[0];
    assert_eq!(request.target, "http://mirror.invalid:8080/dists/x?y");
    assert_eq!(request.headers["host"], "mirror.invalid:8080");
    assert_eq!(request.headers["proxy-authorization"], "Basic bWU6cEBzcw==");
}

#[test]
fn encrypted_requests_reach_a_proxy_as_tunnels() {
    let proxy = Server::start(|_, stream| answer(stream, "403 Forbidden", &[], b""));
    let client = with_proxy(&[("https_proxy", &format!("http://{}", proxy.address()))]);
    let error = client.get_bytes(&"https://mirror.invalid/x".into(), 100).expect_err("refused");
    assert!(matches!(&error.kind, HttpErrorKind::Proxy { proxy: named, .. } if *named == proxy.address()), "{error}");
    assert!(error.to_string().contains("403") && error.to_string().contains("no_proxy"), "{error}");
    let request = &proxy.requests()[0];
    assert_eq!((request.method.as_str(), request.target.as_str()), ("CONNECT", "mirror.invalid:443"));
}

#[test]
fn hosts_in_no_proxy_are_reached_directly() {
    let proxy = Server::start(|_, stream| answer(stream, "200 OK", &[], b"by proxy"));
    let server = Server::start(|_, stream| answer(stream, "200 OK", &[], b"direct"));
    let address = format!("http://{}", proxy.address());
    let direct = with_proxy(&[("all_proxy", &address), ("no_proxy", "localhost,127.0.0.0/8")]);
    assert_eq!(direct.get_bytes(&server.url("/").into(), 100).expect("fetched"), b"direct");
    let elsewhere = with_proxy(&[("all_proxy", &address), ("no_proxy", "localhost")]);
    assert_eq!(elsewhere.get_bytes(&server.url("/").into(), 100).expect("fetched"), b"by proxy");
}

#[test]
fn each_redirect_chooses_its_own_proxy() {
    let proxy = Server::start(|_, stream| answer(stream, "200 OK", &[], b"by proxy"));
    let server = Server::start(|_, stream| answer(stream, "302 Found", &["Location: http://mirror.invalid/x"], b""));
    let client = with_proxy(&[("http_proxy", &format!("http://{}", proxy.address())), ("no_proxy", "127.0.0.1")]);
    assert_eq!(client.get_bytes(&server.url("/").into(), 100).expect("fetched"), b"by proxy");
    assert_eq!(proxy.requests()[0].target, "http://mirror.invalid/x");
}

#[test]
fn a_dead_proxy_is_named() {
    let port = TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("an address").port();
    let address = format!("http://127.0.0.1:{port}");
    let client = with_proxy(&[("all_proxy", &address)]);
    for url in ["http://mirror.invalid/", "https://mirror.invalid/"] {
        let text = client.get_bytes(&url.into(), 10).expect_err("refused").to_string();
        assert!(text.contains(&format!("check the proxy 127.0.0.1:{port}")), "{text}");
    }
}

#[test]
fn a_body_can_be_read_from_an_offset() {
    let server = Server::start(|request, stream| super::server::ranged(request, stream, b"0123456789"));
    let mut response = client().get(&server.url("/").into(), 4).expect("fetched");
    assert_eq!((response.offset, response.total), (4, Some(10)));
    let mut buffer = [0; 20];
    let count = response.read(&mut buffer).expect("read");
    assert_eq!(&buffer[..count], &b"456789"[..count]);
    let error = client().get(&server.url("/").into(), 10).expect_err("nothing is left");
    assert!(matches!(error.kind, HttpErrorKind::BadRange { asked: 10 }), "{error}");
}

#[test]
fn connections_are_used_again() {
    // One connection, two requests: the server answers both on the same stream.
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}/", listener.local_addr().expect("an address"));
    let server = thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("a connection");
        for _ in 0..2 {
            let mut request = Vec::new();
            while !request.ends_with(b"\r\n\r\n") {
                let mut byte = [0];
                stream.read_exact(&mut byte).expect("a request");
                request.push(byte[0]);
            }
            std::io::Write::write_all(&mut stream, b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").expect("written");
        }
    });
    let client = client();
    for _ in 0..2 {
        assert_eq!(client.get_bytes(&url.as_str().into(), 10).expect("fetched"), b"ok");
    }
    server.join().expect("both on one connection");
}
