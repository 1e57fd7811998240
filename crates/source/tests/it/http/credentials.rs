//! Tests of who gets a user's password, and of what is said about it.

use super::config;
use super::server::{Request, Server, answer};
use base64::Engine as _;
use kiln_source::http::{Client, HttpConfig, ProxyConfig, Purpose};

fn basic(login: &str) -> Option<String> {
    Some(format!("Basic {}", base64::prelude::BASE64_STANDARD.encode(login)))
}

fn authorization(request: &Request) -> Option<String> {
    request.headers.get("authorization").cloned()
}

/// Serves "ok" to those who log in as `me:p@ss`.
fn protected() -> Server {
    Server::start(|request, stream| match authorization(request) == basic("me:p@ss") {
        true => answer(stream, "200 OK", &[], b"ok"),
        false => answer(stream, "401 Unauthorized", &["WWW-Authenticate: Basic realm=\"x\""], b""),
    })
}

fn redirecting_to(url: String) -> Server {
    let location = format!("Location: {url}");
    Server::start(move |_, stream| answer(stream, "307 Temporary Redirect", &[&location], b""))
}

fn with_login(url: &str) -> String {
    url.replacen("http://", "http://me:p%40ss@", 1)
}

#[test]
fn the_urls_user_is_sent_directly_and_through_a_proxy() {
    let server = protected();
    let client = Client::new(config());
    assert_eq!(client.get_bytes(&with_login(&server.url("/a")).into(), 10).expect("fetched"), b"ok");
    assert_eq!(server.requests()[0].headers["host"], server.address());

    let proxy = protected();
    let vars = [("http_proxy", format!("http://{}", proxy.address()))];
    let proxied = Client::new(HttpConfig { proxy: ProxyConfig::from_vars(vars).expect("a proxy"), ..config() });
    let url = "http://me:p%40ss@mirror.invalid:8080/a?b";
    assert_eq!(proxied.get_bytes(&url.into(), 10).expect("fetched"), b"ok");
    let request = &proxy.requests()[0];
    assert_eq!(request.target, "http://mirror.invalid:8080/a?b");
    assert_eq!(request.headers["host"], "mirror.invalid:8080");
}

#[test]
fn no_password_follows_a_redirect_to_another_server() {
    let elsewhere = Server::start(|_, stream| answer(stream, "200 OK", &[], b"ok"));
    let server = redirecting_to(elsewhere.url("/x"));
    let client = Client::new(config());
    for (url, purpose) in [
        (with_login(&server.url("/artifact")), Purpose::Artifact),
        (with_login(&server.url("/mirror")), Purpose::Mirror),
    ] {
        let (asked, followed) = (server.requests().len(), elsewhere.requests().len());
        assert_eq!(client.to(purpose).get_bytes(&url.as_str().into(), 10).expect("fetched"), b"ok");
        assert_eq!(authorization(&server.requests()[asked]), basic("me:p@ss"), "{url}");
        assert_eq!(authorization(&elsewhere.requests()[followed]), None, "{url}");
    }
}

#[test]
fn a_redirect_on_the_same_server_keeps_the_password() {
    let server = Server::start(|request, stream| match request.target.as_str() {
        "/a" => answer(stream, "302 Found", &["Location: /b"], b""),
        _ => answer(stream, "200 OK", &[], b"ok"),
    });
    let client = Client::new(config());
    assert_eq!(client.get_bytes(&with_login(&server.url("/a")).into(), 10).expect("fetched"), b"ok");
    assert!(server.requests().iter().all(|request| authorization(request) == basic("me:p@ss")));
}

#[test]
fn errors_show_neither_passwords_nor_tokens() {
    let gone = Server::start(|_, stream| answer(stream, "404 Not Found", &[], b""));
    let signed = redirecting_to(with_login(&gone.url("/x?X-Signature=secret#secret")));
    let strange = redirecting_to("ftp://me:secret@h/?token=secret".into());
    let query = "/a?token=secret&secret";
    for (url, shown) in [
        (gone.url(query), "/a?token=***&***: the server answers 404"),
        (with_login(&gone.url(query)), "//***@127.0.0.1"),
        (signed.url("/"), "/x?X-Signature=***"),
        (strange.url("/"), "ftp://***@h/?token=***"),
        ("http://me:secret@127.0.0.1:99999/".into(), "http://***@127.0.0.1:99999/"),
        ("me:secret@h/x".into(), "***@h/x"),
    ] {
        let error = Client::new(config()).get_bytes(&url.as_str().into(), 10).expect_err(&url);
        let text = format!("{error} {error:?}");
        assert!(text.contains(shown) && !text.contains("secret") && !text.contains("p%40ss"), "{url}: {text}");
    }
}
