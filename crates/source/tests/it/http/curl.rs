//! Tests that the proxy variables have the same meaning as in curl.

use super::server::{Server, answer};
use kiln_source::http::{ProxyConfig, Purpose};
use std::process::{Command, Stdio};

/// Whether curl sends its request to the server with only these variables.
fn curl_asks(server: &Server, vars: &[(&str, String)], host: &str) -> bool {
    let before = server.requests().len();
    let child = Command::new("curl")
        .args(["--disable", "--silent", "--output", "/dev/null", "--connect-timeout", "2", "--max-time", "5"])
        // No name server is asked; nobody listens there.
        .args(["--resolve", "*:9:127.0.0.1", &format!("http://{host}:9/")])
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .envs(vars.iter().map(|(name, value)| (*name, value)))
        .stdin(Stdio::null())
        .status();
    // Its exit status is a failure whenever it connects directly.
    child.unwrap_or_else(|error| panic!("running curl: {error}; install the Debian package curl"));
    server.requests().len() > before
}

#[test]
fn curl_and_kiln_choose_the_same_proxy() {
    let server = Server::start(|_, stream| answer(stream, "200 OK", &[], b"ok"));
    let proxy = format!("http://{}", server.address());
    let variables: [&[(&str, &str)]; 6] = [
        &[("http_proxy", "P")],
        &[("HTTP_PROXY", "P")],
        &[("all_proxy", "P")],
        &[("ALL_PROXY", "P")],
        &[("https_proxy", "P"), ("HTTPS_PROXY", "P")],
        &[("http_proxy", "P"), ("all_proxy", "http://127.0.0.1:1")],
    ];
    // Not `a h`: curl of Debian 12 separates names by blanks, too, and that of Debian 13 does not.
    let rules = [
        ("", "h"),
        ("*", "h"),
        ("h", "h"),
        ("H", "h"),
        ("a,h", "h"),
        ("a, h", "h"),
        ("example.com", "example.com"),
        ("example.com", "www.example.com"),
        ("example.com", "notexample.com"),
        (".example.com", "example.com"),
        (".example.com", "a.b.example.com"),
        ("example.com.", "example.com"),
        ("www.example.com", "example.com"),
        ("*.example.com", "www.example.com"),
        ("127.0.0.1", "127.0.0.1"),
        ("127.0.0.1", "127.0.0.10"),
        ("127.0.0.0/8", "127.1.2.3"),
        ("127.0.0.0/24", "127.0.1.3"),
        ("127.0.0.0/x", "127.0.0.1"),
        ("::1", "[::1]"),
        ("::/16", "127.0.0.1"),
    ];
    let mut cases: Vec<(Vec<(&str, String)>, &str)> = Vec::new();
    let real = |value: &str| if value == "P" { proxy.clone() } else { value.to_owned() };
    for vars in variables {
        cases.push((vars.iter().map(|(name, value)| (*name, real(value))).collect(), "h"));
    }
    for (rule, host) in rules {
        cases.push((vec![("http_proxy", proxy.clone()), ("no_proxy", rule.to_owned())], host));
    }
    cases.push((vec![("http_proxy", proxy.clone()), ("NO_PROXY", "h".into())], "h"));
    cases.push((vec![("http_proxy", proxy.clone()), ("NO_PROXY", "h".into()), ("no_proxy", "a".into())], "h"));
    for (vars, host) in cases {
        let config = ProxyConfig::from_vars(vars.iter().map(|(name, value)| (*name, value))).expect("proxies");
        let ours = config.proxy_for(&format!("http://{host}:9/"), Purpose::Artifact) == Some(server.address());
        assert_eq!(ours, curl_asks(&server, &vars, host), "kiln on the left, curl on the right: {vars:?} {host}");
    }
}
