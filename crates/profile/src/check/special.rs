//! Addresses that pods, Services and servers of a cluster cannot have.
//!
//! Source: the IANA IPv4 and IPv6 Special-Purpose Address Registries.

use super::cluster::overlap;
use ipnet::IpNet;
use std::net::IpAddr;

/// Networks with a special meaning on every machine.
const SPECIAL: [(&str, &str); 7] = [
    ("0.0.0.0/8", "this machine's own"),
    ("127.0.0.0/8", "loopback"),
    ("169.254.0.0/16", "link-local"),
    ("224.0.0.0/4", "multicast"),
    ("::1/128", "loopback"),
    ("fe80::/10", "link-local"),
    ("ff00::/8", "multicast"),
];

/// Rejects a network with special addresses.
pub(super) fn network(network: &IpNet) -> Result<(), String> {
    for (special, what) in SPECIAL {
        if special.parse::<IpNet>().is_ok_and(|special| overlap(network, &special)) {
            return Err(format!(
                "{network} has addresses of {special}, which are {what} and are not routed; use a private network such as {}",
                if network.addr().is_ipv4() { "10.244.0.0/16" } else { "fd00:10:244::/56" }
            ));
        }
    }
    Ok(())
}

/// Whether `host` means the local machine.
pub(super) fn is_this_machine(host: &str) -> bool {
    let host = host.trim_end_matches('.').to_ascii_lowercase();
    let name = ["localhost", "localhost.localdomain", "ip6-localhost", "ip6-loopback"].contains(&host.as_str());
    let address = host.parse::<IpAddr>().is_ok_and(|address| {
        let address = address.to_canonical();
        address.is_loopback() || address.is_unspecified()
    });
    name || host.ends_with(".localhost") || address
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn special_addresses_are_known() {
        let bad = |text: &str| network(&text.parse().expect("a network")).is_err();
        for text in ["127.0.0.0/16", "169.254.0.0/24", "239.0.0.0/8", "0.0.0.0/1", "fe80::/64", "ff02::/16"] {
            assert!(bad(text), "{text}");
        }
        for text in ["10.244.0.0/16", "100.64.0.0/10", "240.0.0.0/8", "fd00::/48", "2001:db8::/32"] {
            assert!(!bad(text), "{text}");
        }
        for host in ["localhost", "LOCALHOST.", "a.localhost", "127.8.9.10", "::1", "0.0.0.0", "::", "::ffff:127.0.0.1"]
        {
            assert!(is_this_machine(host), "{host}");
        }
        assert!(!is_this_machine("api.example.org") && !is_this_machine("10.0.0.1"));
    }
}
