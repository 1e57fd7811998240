//! HTTP proxies: which requests use one.

use super::{Scheme, Url};
use crate::seed::ProxySettings;
use ipnet::IpNet;
use std::net::IpAddr;

/// Proxies of a node. The default is none.
#[derive(Debug, Clone, Default)]
pub struct Proxy {
    http: Option<Url>,
    https: Option<Url>,
    /// Hosts, domains, addresses and CIDR ranges that are reached directly, in the format of
    /// `NO_PROXY`.
    direct: Vec<String>,
}

impl Proxy {
    /// The proxies of a seed.
    pub fn new(settings: &ProxySettings) -> Self {
        let direct = settings.no_proxy.iter().map(|entry| entry.trim().trim_start_matches('.').to_ascii_lowercase());
        Self {
            http: settings.http.clone(),
            https: settings.https.clone(),
            direct: direct.filter(|entry| !entry.is_empty()).collect(),
        }
    }

    /// The proxy for `url`. Link-local addresses (clouds' metadata) and the machine itself are
    /// always reached directly.
    pub fn of(&self, url: &Url) -> Option<&Url> {
        let proxy = match url.scheme {
            Scheme::Http => self.http.as_ref(),
            Scheme::Https => self.https.as_ref(),
        }?;
        let address = url.host.parse::<IpAddr>().ok();
        let is_near = match address {
            Some(IpAddr::V4(address)) => address.is_loopback() || address.is_link_local(),
            Some(IpAddr::V6(address)) => address.is_loopback() || address.segments()[0] & 0xffc0 == 0xfe80,
            None => url.host == "localhost",
        };
        let is_direct = is_near || self.direct.iter().any(|entry| matches(entry, &url.host, address));
        (!is_direct).then_some(proxy)
    }
}

fn matches(entry: &str, host: &str, address: Option<IpAddr>) -> bool {
    if entry == "*" || entry == host {
        return true;
    }
    match address {
        Some(address) => entry.parse::<IpNet>().is_ok_and(|network| network.contains(&address)),
        None => host.strip_suffix(entry).is_some_and(|rest| rest.ends_with('.')),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn proxies_are_chosen_by_scheme_and_exceptions() {
        let direct = ["10.0.0.0/8", ".corp.example", "fd00::/16", "exact.example"].map(str::to_owned);
        let url = |text: &str| Some(Url::parse(text).expect("an address"));
        let settings = ProxySettings { http: url("http://p:1"), https: url("http://p:2"), no_proxy: direct.to_vec() };
        let proxy = Proxy::new(&settings);
        let port = |url: &str| proxy.of(&Url::parse(url).expect("an address")).map(|proxy| proxy.port);
        assert_eq!(port("http://a.example"), Some(1));
        assert_eq!(port("https://a.example"), Some(2));
        assert_eq!(port("https://11.0.0.1"), Some(2));
        assert_eq!(port("https://xcorp.example"), Some(2));
        let direct = [
            "https://10.1.2.3",
            "https://a.corp.example",
            "https://corp.example",
            "https://exact.example",
            "https://[fd00::1]",
            "http://169.254.169.254",
            "http://127.0.0.1",
            "http://localhost",
            "http://[fe80::1]",
        ];
        for url in direct {
            assert_eq!(port(url), None, "{url}");
        }
        let nowhere = Proxy::new(&ProxySettings { no_proxy: vec!["*".into()], ..settings });
        assert!(nowhere.of(&Url::parse("https://a").expect("an address")).is_none());
    }
}
