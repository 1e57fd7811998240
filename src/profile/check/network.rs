//! containerd and the baked pod network.

use super::super::model::{Cni, Containerd};
use super::super::place::Fault;
use super::super::raw::{Plugin, RawCni, RawContainerd};
use super::{names, text, texts};
use std::collections::BTreeMap;
use std::net::IpAddr;

pub(super) fn containerd(raw: &RawContainerd) -> Result<Containerd, Fault> {
    let RawContainerd { snapshotter, mirrors } = raw;
    let mut endpoints = BTreeMap::new();
    for (host, urls) in mirrors {
        let name = text(host, "containerd.mirrors", names::registry)?;
        if urls.is_empty() {
            return Err(host.fault(format!("containerd.mirrors: {name} has no endpoint")));
        }
        endpoints.insert(name, texts(urls, "containerd.mirrors", names::url)?);
    }
    Ok(Containerd {
        snapshotter: match snapshotter {
            Some(name) => text(name, "containerd.snapshotter", names::snapshotter)?,
            None => "overlayfs".to_owned(),
        },
        mirrors: endpoints,
    })
}

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
        mtu: mtu.transpose()?,
    })
}

/// A network in CIDR notation with room for pods, host bits zero.
fn cidr(text: &str) -> Result<(), String> {
    let bad = || format!("{:?} is not a network such as \"10.88.0.0/16\"", names::short(text));
    let (address, prefix) = text.split_once('/').ok_or_else(bad)?;
    let address: IpAddr = address.parse().map_err(|_| bad())?;
    if prefix.is_empty() || !prefix.bytes().all(|b| b.is_ascii_digit()) {
        return Err(bad());
    }
    let prefix: u32 = prefix.parse().map_err(|_| bad())?;
    let (bits, width) = match address {
        IpAddr::V4(address) => (u128::from(address.to_bits()), 32),
        IpAddr::V6(address) => (address.to_bits(), 128),
    };
    if prefix == 0 || prefix > width {
        return Err(bad());
    }
    if width - prefix < 2 {
        return Err(format!("{text:?} has no room for pods"));
    }
    let host_bits = (1_u128 << (width - prefix)) - 1;
    let network = bits & !host_bits;
    if network == bits {
        return Ok(());
    }
    let network = match address {
        IpAddr::V4(_) => IpAddr::from(u32::try_from(network).unwrap_or_default().to_be_bytes()),
        IpAddr::V6(_) => IpAddr::from(network.to_be_bytes()),
    };
    Err(format!("{text:?} is an address in a network, the network is \"{network}/{prefix}\""))
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
