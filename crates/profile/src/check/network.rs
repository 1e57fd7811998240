//! The baked pod network.

use super::super::key::fields;
use super::super::model::Cni;
use super::super::place::Fault;
use super::super::raw::{Plugin, RawCni};
use super::{names, special, text};

pub(super) fn cni(raw: &RawCni) -> Result<Cni, Fault> {
    let RawCni { plugin, name, subnet, mtu } = raw;
    if let Some(Plugin::None) = plugin.as_ref().map(|plugin| plugin.value) {
        return without_bridge(raw);
    }
    let mtu = mtu.as_ref().map(|mtu| {
        mtu.check(fields::CNI_MTU, |mtu| match *mtu {
            68..=65535 => Ok(*mtu),
            other => Err(format!("{other} is not between 68 and 65535")),
        })
    });
    let mtu = mtu.transpose()?;
    if let (Some(mtu @ ..1280), Some(at)) = (mtu, raw.mtu.as_ref())
        && subnet.as_ref().is_some_and(|subnet| subnet.value.contains(':'))
    {
        return Err(
            at.fault_of(fields::CNI_MTU, format!("{mtu} is too small for IPv6, which needs 1280 (RFC 8200, 5)"))
        );
    }
    Ok(Cni::Bridge {
        name: name.as_ref().map_or(Ok("cbr0".to_owned()), |name| text(name, fields::CNI_NAME, bridge))?,
        subnet: subnet
            .as_ref()
            .map_or(Ok("10.88.0.0/16".to_owned()), |subnet| text(subnet, fields::CNI_SUBNET, cidr))?,
        assigned: subnet.is_none(),
        mtu,
    })
}

/// Rejects settings of the bridge beside `plugin: none`. Inherited ones are allowed: a source has a
/// lower number than its parents.
fn without_bridge(raw: &RawCni) -> Result<Cni, Fault> {
    let RawCni { plugin, name, subnet, mtu } = raw;
    let none = plugin.as_ref().map_or(u32::MAX, |plugin| plugin.pos.source);
    let set = [
        (fields::CNI_NAME, name.as_ref().map(|name| name.pos)),
        (fields::CNI_SUBNET, subnet.as_ref().map(|subnet| subnet.pos)),
        (fields::CNI_MTU, mtu.as_ref().map(|mtu| mtu.pos)),
    ];
    match set.into_iter().find_map(|(key, pos)| pos.filter(|pos| pos.source <= none).map(|pos| (key, pos))) {
        None => Ok(Cni::None),
        Some((key, pos)) => {
            Err(pos.fault_of(key, "it configures the bridge, and \"plugin: none\" makes none; leave one of them out"))
        }
    }
}

/// The name of the bridge device; names that systemd or the kernel give to other devices are
/// rejected.
fn bridge(text: &str) -> Result<(), String> {
    names::device(text)?;
    let numbered =
        |prefix: &str| text.strip_prefix(prefix).is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()));
    match text == "lo" || ["eth", "eno", "ens", "enp", "enx"].into_iter().any(numbered) {
        true => Err(format!("{text:?} is the name of a device that nodes already have; use another, such as \"cbr0\"")),
        false => Ok(()),
    }
}

/// A network with room for pods.
fn cidr(text: &str) -> Result<(), String> {
    special::network(&kiln_agent::addresses::pod_network(text)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_have_no_host_bits() {
        for good in ["10.88.0.0/16", "fd00:1::/64", "192.168.1.128/25"] {
            assert_eq!(cidr(good), Ok(()));
        }
        for bad in
            ["10.88.0.0", "10.88.0.0/33", "10.88.0.0/0", "10.88.0/16", "10.0.0.0/+8", "10.0.0.0/32", "::/129", "x/8"]
        {
            assert!(cidr(bad).is_err(), "{bad}");
        }
        assert_eq!(
            cidr("10.88.3.1/16"),
            Err("\"10.88.3.1/16\" is an address in a network, the network is \"10.88.0.0/16\"".to_owned())
        );
        assert!(cidr("fd00::1/64").is_err_and(|why| why.contains("fd00::/64")));
    }
}
