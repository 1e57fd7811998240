//! Addresses and networks as profiles and seeds write them. The errors are phrases.

use crate::names::short;
use ipnet::IpNet;
use std::net::IpAddr;

/// The addresses of a node, kubelet's `--node-ip`.
///
/// # Errors
/// What is wrong.
pub fn node_ip(text: &str) -> Result<(), String> {
    let addresses: Result<Vec<IpAddr>, _> = text.split(',').map(str::parse).collect();
    match addresses.as_deref() {
        Ok([_]) => Ok(()),
        Ok([one, two]) if one.is_ipv4() != two.is_ipv4() => Ok(()),
        _ => Err(format!("{:?} is not an IP address, or two of different families separated by a comma", short(text))),
    }
}

/// A network in CIDR notation, host bits zero.
///
/// # Errors
/// What is wrong.
pub fn network(text: &str) -> Result<IpNet, String> {
    let bad = || format!("{:?} is not a network such as \"10.88.0.0/16\"", short(text));
    let network: IpNet = text.parse().map_err(|_| bad())?;
    match (network.prefix_len(), network.trunc()) {
        (0, _) => Err(bad()),
        (_, trunc) if trunc == network => Ok(network),
        (_, trunc) => Err(format!("{text:?} is an address in a network, the network is \"{trunc}\"")),
    }
}

/// A network that pods get addresses of. The CNI plugin host-local refuses others, and no pod
/// starts.
///
/// # Errors
/// What is wrong.
pub fn pod_network(text: &str) -> Result<IpNet, String> {
    let network = network(text)?;
    match network.max_prefix_len() - network.prefix_len() {
        0 | 1 => Err(format!("{text:?} has no room for pods")),
        _ => Ok(network),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_has_one_address_of_each_family_at_most() {
        for good in ["10.0.0.1", "::", "10.0.0.1,fd00::1", "fd00::1,10.0.0.1"] {
            assert_eq!(node_ip(good), Ok(()), "{good}");
        }
        for bad in ["", "eth0", "10.0.0.1,", "10.0.0.1,10.0.0.2", "10.0.0.1, fd00::1", "10.0.0.1,fd00::1,fd00::2"] {
            assert!(node_ip(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn networks_have_no_host_bits_and_room() {
        for good in ["10.88.0.0/16", "fd00:1::/64", "192.168.1.128/25"] {
            assert!(pod_network(good).is_ok(), "{good}");
        }
        for bad in ["10.88.0.0", "10.0.0.0/33", "10.0.0.0/0", "10.0.0.0/+8", "10.0.0.0/32", "10.88.3.1/16", "x/8"] {
            assert!(pod_network(bad).is_err(), "{bad}");
        }
    }
}
