//! Tests of who gets a user's password, and of what is said about it.

use super::server::{Request, Server, answer};
use super::{config, fetcher, want};
use base64::Engine as _;
use kiln_source::fetch::{Location, Want};
use kiln_source::http::{AptProxies, Client, HttpConfig, Logins, ProxyConfig, Purpose};
use std::process::Command;

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
    let mut logins = Logins::default();
    logins.add_apts(&format!("machine http://{} login me password p@ss\n", server.address()));
    logins.add_netrc(&format!("machine http://{}/ login me password p@ss\n", server.address()));
    let client = Client::new(HttpConfig { logins, ..config() });
    for (url, purpose) in [
        (with_login(&server.url("/artifact")), Purpose::Artifact),
        (with_login(&server.url("/mirror")), Purpose::Mirror),
        (server.url("/artifact"), Purpose::Artifact),
        (server.url("/mirror"), Purpose::Mirror),
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
fn passwords_come_from_files() {
    let server = protected();
    let machine = format!("machine http://{}", server.address());
    let fetch = |apt: &str, netrc: &str, location: fn(kiln_url::Url) -> Location| {
        let mut logins = Logins::default();
        logins.add_apts(apt);
        logins.add_netrc(netrc);
        let directory = tempfile::tempdir().expect("a directory");
        let fetcher = fetcher(directory.path(), Client::new(HttpConfig { logins, ..config() }));
        let from = vec![location(server.url("/x").into())];
        fetcher.fetch_all(&[Want { from, ..want("x", b"ok", &[]) }]).map_err(|error| error.to_string())
    };
    let login = format!("{machine} login me password p@ss");
    fetch(&login, "", Location::Mirror).expect("apt's are for mirrors");
    fetch("", &login, Location::Mirror).expect("netrc's are for all");
    fetch("", &login, Location::Url).expect("netrc's are for all");
    // Without the scheme, the password is for https only.
    let unprotected = login.replace("http://", "");
    for error in [fetch(&login, "", Location::Url), fetch(&unprotected, &unprotected, Location::Mirror)] {
        let error = error.expect_err("no password");
        assert!(
            error.contains("401") && error.contains("~/.netrc") && error.contains("machine http://HOST"),
            "{error}"
        );
    }
}

#[test]
fn apts_proxy_is_for_mirrors_only() {
    let proxy = Server::start(|_, stream| answer(stream, "200 OK", &[], b"by proxy"));
    let mut apt = AptProxies::default();
    apt.add(false, "", &format!("http://me:p%40ss@{}", proxy.address())).expect("a proxy");
    let client = Client::new(HttpConfig { proxy: ProxyConfig::default().with_apts(apt), ..config() });
    let url = "http://mirror.invalid/x".into();
    assert_eq!(client.to(Purpose::Mirror).get_bytes(&url, 10).expect("fetched"), b"by proxy");
    assert_eq!(Some(&proxy.requests()[0].headers["proxy-authorization"]), basic("me:p@ss").as_ref());
    client.to(Purpose::Artifact).get(&url, 0).expect_err("directly");
    assert_eq!(proxy.requests().len(), 1);
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

/// Whether apt sends its login for `url`, which a server on this host must serve.
fn apt_logs_in(server: &Server, machine: &str, url: &str) -> bool {
    let directory = tempfile::tempdir().expect("a directory");
    let file = |name: &str| directory.path().join(name);
    std::fs::write(file("auth.conf"), format!("machine {machine} login me password p@ss\n")).expect("written");
    let text = format!(
        "Dir::Etc::netrc \"{}\";\nDir::Etc::parts \"/dev/null\";\nDir::Etc::main \"/dev/null\";\nDir::Etc::netrcparts \"/dev/null\";\n\
         Acquire::http::Proxy \"DIRECT\";\nAcquire::http::Proxy::127.0.0.1 \"DIRECT\";\nAPT::Sandbox::User \"root\";\n",
        file("auth.conf").display()
    );
    std::fs::write(file("apt.conf"), text).expect("written");
    let before = server.requests().len();
    let output = Command::new("/usr/lib/apt/apt-helper")
        .env("APT_CONFIG", file("apt.conf"))
        .env_remove("http_proxy")
        .args(["download-file", url])
        .arg(file("x"))
        .output()
        .expect("apt-helper runs");
    let requests = server.requests().split_off(before);
    assert!(!requests.is_empty(), "{machine}: {}", String::from_utf8_lossy(&output.stderr));
    requests.iter().any(|request| authorization(request).is_some())
}

#[test]
fn apt_and_kiln_log_in_to_the_same_servers() {
    let server = Server::start(|_, stream| answer(stream, "200 OK", &[], b"ok"));
    let address = server.address();
    let (host, port) = address.split_once(':').expect("a port");
    for machine in [
        format!("http://{address}"),
        format!("http://{host}"),
        format!("http://{address}/deb"),
        format!("http://{address}/debian/"),
        format!("http://{address}/ubuntu"),
        format!("http://{host}/debian"),
        format!("http://{host}:1"),
        format!("http://{host}:{port}0"),
        format!("https://{address}"),
        address.clone(),
        host.to_owned(),
    ] {
        let url = server.url("/debian/x");
        let theirs = apt_logs_in(&server, &machine, &url);
        let mut logins = Logins::default();
        logins.add_apts(&format!("machine {machine} login me password p@ss\n"));
        let client = Client::new(HttpConfig { logins, ..config() }).to(Purpose::Mirror);
        client.get_bytes(&url.as_str().into(), 10).expect("fetched");
        let ours = server.requests().last().and_then(authorization).is_some();
        assert_eq!(ours, theirs, "kiln on the left, apt on the right: {machine}");
    }
}
