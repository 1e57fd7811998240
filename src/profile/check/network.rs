//! The baked pod network.

use super::super::model::Cni;
use super::super::place::Fault;
use super::super::raw::{Plugin, RawCni};
use super::{names, text};

pub(super) fn cni(raw: &RawCni) -> Result<Cni, Fault> {
    let RawCni { plugin, name, subnet, mtu } = raw;
    if let Some(Plugin::None) = plugin.as_ref().map(|plugin| plugin.value) {
        return Ok(Cni::None);
    }
    let mtu = mtu.as_ref().map(|mtu| {
        mtu.check(|mtu| match *mtu {
            68..=65535 => Ok(*mtu),
            other => Err(format!("cni.mtu: {other} is not between 68 and 65535")),
        })
    });
    Ok(Cni::Bridge {
        name: name.as_ref().map_or(Ok("cbr0".to_owned()), |name| text(name, "cni.name", names::device))?,
        subnet: subnet.as_ref().map_or(Ok("10.88.0.0/16".to_owned()), |subnet| text(subnet, "cni.subnet", cidr))?,
        assigned: subnet.is_none(),
        mtu: mtu.transpose()?,
    })
}

/// A network with room for pods.
fn cidr(text: &str) -> Result<(), String> {
    let network = names::network(text)?;
    match network.max_prefix_len() - network.prefix_len() {
        0 | 1 => Err(format!("{text:?} has no room for pods")),
        _ => Ok(()),
    }
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
