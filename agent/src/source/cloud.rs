//! Clouds' metadata services: which cloud this is (by what its firmware says), its user data, and what it alone knows of the machine.

use super::{Found, Places, Platform, SourceError};
use crate::net::{Network, Request, Url, Verify};
use crate::root::Root;
use crate::seed::{MAX_SIZE, Seed, SeedError};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use std::time::Duration;
use zeroize::Zeroizing;

/// One request; the services are in the hypervisor.
const PATIENCE: Duration = Duration::from_secs(10);
/// A name, an id.
const MAX_FACT: usize = 4 << 10;

/// How a service is spoken to. Paths are below `base`.
struct Cloud {
    name: &'static str,
    /// A file of /sys/class/dmi/id, and what it begins with.
    dmi: (&'static str, &'static str),
    base: &'static str,
    /// Sent with every request.
    header: (&'static str, &'static str),
    /// For a session token: the path to PUT to, the header that asks for it, and the header that carries it.
    session: Option<(&'static str, (&'static str, &'static str), &'static str)>,
    user_data: &'static str,
    /// User data comes in base64.
    base64: bool,
    hostname: &'static str,
    /// The parts of the provider ID.
    facts: &'static [&'static str],
    /// The availability zone; empty if there is none.
    zone: &'static str,
    provider_id: fn(&[String]) -> String,
}

/// The last component of a path, as GCE says its zones.
fn base_name(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or_default()
}

const CLOUDS: [Cloud; 6] = [
    Cloud {
        name: "EC2",
        dmi: ("sys_vendor", "Amazon EC2"),
        base: "http://169.254.169.254",
        header: ("Accept", "*/*"),
        session: Some((
            "/latest/api/token",
            ("X-aws-ec2-metadata-token-ttl-seconds", "300"),
            "X-aws-ec2-metadata-token",
        )),
        user_data: "/latest/user-data",
        base64: false,
        hostname: "/latest/meta-data/local-hostname",
        facts: &["/latest/meta-data/placement/availability-zone", "/latest/meta-data/instance-id"],
        zone: "/latest/meta-data/placement/availability-zone",
        provider_id: |facts| format!("aws:///{}/{}", facts[0], facts[1]),
    },
    Cloud {
        name: "Google Cloud",
        dmi: ("product_name", "Google Compute Engine"),
        base: "http://169.254.169.254",
        header: ("Metadata-Flavor", "Google"),
        session: None,
        user_data: "/computeMetadata/v1/instance/attributes/user-data",
        base64: false,
        hostname: "/computeMetadata/v1/instance/hostname",
        facts: &[
            "/computeMetadata/v1/project/project-id",
            "/computeMetadata/v1/instance/zone",
            "/computeMetadata/v1/instance/name",
        ],
        zone: "/computeMetadata/v1/instance/zone",
        provider_id: |facts| format!("gce://{}/{}/{}", facts[0], base_name(&facts[1]), facts[2]),
    },
    Cloud {
        name: "Azure",
        dmi: ("chassis_asset_tag", "7783-7084-3265-9085-8269-3286-77"),
        base: "http://169.254.169.254",
        header: ("Metadata", "true"),
        session: None,
        user_data: "/metadata/instance/compute/userData?api-version=2021-02-01&format=text",
        base64: true,
        hostname: "/metadata/instance/compute/name?api-version=2021-02-01&format=text",
        facts: &["/metadata/instance/compute/resourceId?api-version=2021-02-01&format=text"],
        zone: "",
        provider_id: |facts| format!("azure://{}", facts[0]),
    },
    Cloud {
        name: "OpenStack",
        dmi: ("product_name", "OpenStack"),
        base: "http://169.254.169.254",
        header: ("Accept", "*/*"),
        session: None,
        user_data: "/openstack/latest/user_data",
        base64: false,
        hostname: "/latest/meta-data/local-hostname",
        facts: &["/latest/meta-data/instance-id"],
        zone: "/latest/meta-data/placement/availability-zone",
        // The EC2-compatible id is not the server's UUID, which the provider ID is made of.
        provider_id: |_| String::new(),
    },
    Cloud {
        name: "DigitalOcean",
        dmi: ("sys_vendor", "DigitalOcean"),
        base: "http://169.254.169.254",
        header: ("Accept", "*/*"),
        session: None,
        user_data: "/metadata/v1/user-data",
        base64: false,
        hostname: "/metadata/v1/hostname",
        facts: &["/metadata/v1/id"],
        zone: "",
        provider_id: |facts| format!("digitalocean://{}", facts[0]),
    },
    Cloud {
        name: "Hetzner Cloud",
        dmi: ("sys_vendor", "Hetzner"),
        base: "http://169.254.169.254",
        header: ("Accept", "*/*"),
        session: None,
        user_data: "/hetzner/v1/userdata",
        base64: false,
        hostname: "/hetzner/v1/metadata/hostname",
        facts: &["/hetzner/v1/metadata/instance-id"],
        zone: "/hetzner/v1/metadata/availability-zone",
        provider_id: |facts| format!("hcloud://{}", facts[0]),
    },
];

/// The cloud that this machine's firmware names.
fn here(root: &Root) -> Option<&'static Cloud> {
    CLOUDS.iter().find(|cloud| {
        let (file, value) = cloud.dmi;
        let text = root.read(&format!("/sys/class/dmi/id/{file}")).ok().flatten();
        text.is_some_and(|text| text.trim_start().starts_with(value))
    })
}

/// The seed in this cloud's user data. Other user data (a script, cloud-config) is none.
pub(super) fn user_data(places: &Places<'_>) -> Result<Option<Found>, SourceError> {
    let Some(cloud) = here(places.root) else { return Ok(None) };
    let mut service = Service::open(cloud, places.network)?;
    let Some(mut bytes) = service.get(cloud.user_data, MAX_SIZE)? else { return Ok(None) };
    if cloud.base64 {
        let Ok(decoded) = STANDARD.decode(bytes.trim_ascii()) else { return Ok(None) };
        bytes = Zeroizing::new(decoded);
    }
    match Seed::parse(&bytes) {
        Err(SeedError::NoSeed | SeedError::NotText) => Ok(None),
        _ => Ok(Some(Found { bytes, place: cloud.name.into() })),
    }
}

/// What the cloud knows of this machine; nothing, on a machine that is in none.
pub(super) fn platform(places: &Places<'_>) -> Result<Platform, SourceError> {
    let Some(cloud) = here(places.root) else { return Ok(Platform::default()) };
    let mut service = Service::open(cloud, places.network)?;
    let hostname = service.fact(cloud.hostname)?;
    let zone = service.fact(cloud.zone)?.map(|zone| base_name(&zone).to_owned());
    let facts = cloud.facts.iter().map(|path| service.fact(path)).collect::<Result<Option<Vec<String>>, _>>()?;
    let provider_id = facts.map(|facts| (cloud.provider_id)(&facts)).filter(|id| !id.is_empty());
    Ok(Platform { hostname, zone, provider_id })
}

/// A session with a metadata service.
struct Service<'a> {
    cloud: &'static Cloud,
    network: &'a Network,
    base: Url,
    token: Option<Zeroizing<String>>,
}

impl<'a> Service<'a> {
    fn open(cloud: &'static Cloud, network: &'a Network) -> Result<Self, SourceError> {
        let base = Url::parse(cloud.base).map_err(crate::net::NetError::from)?;
        let mut service = Self { cloud, network, base, token: None };
        if let Some((path, (name, value), _)) = cloud.session {
            // Without a session there is no falling back to the service's older version, which answers anybody's forwarded request.
            let token = service.request("PUT", path, &[(name, value)], MAX_FACT)?;
            let token = token.and_then(|token| String::from_utf8(token.to_vec()).ok());
            service.token = Some(Zeroizing::new(token.ok_or(SourceError::Cloud { cloud: cloud.name, status: 404 })?));
        }
        Ok(service)
    }

    fn get(&mut self, path: &str, limit: usize) -> Result<Option<Zeroizing<Vec<u8>>>, SourceError> {
        let mut headers = vec![self.cloud.header];
        if let (Some((_, _, name)), Some(token)) = (self.cloud.session, &self.token) {
            headers.push((name, token.as_str()));
        }
        self.request("GET", path, &headers, limit)
    }

    /// `None` for what there is not.
    fn request(
        &self,
        method: &'static str,
        path: &str,
        headers: &[(&str, &str)],
        limit: usize,
    ) -> Result<Option<Zeroizing<Vec<u8>>>, SourceError> {
        let mut connection = self.network.connect(&self.base, &Verify::Nothing)?;
        let response = connection.send(&Request { method, target: path, headers, body: &[] }, PATIENCE)?;
        match response.head.status {
            200 => Ok(Some(Zeroizing::new(response.bytes(limit)?))),
            204 | 404 => Ok(None),
            status => Err(SourceError::Cloud { cloud: self.cloud.name, status }),
        }
    }

    /// A fact of one line.
    fn fact(&mut self, path: &str) -> Result<Option<String>, SourceError> {
        if path.is_empty() {
            return Ok(None);
        }
        let bytes = self.get(path, MAX_FACT)?;
        let text = bytes.and_then(|bytes| String::from_utf8(bytes.to_vec()).ok());
        Ok(text.map(|text| text.trim().to_owned()).filter(|text| !text.is_empty() && !text.contains(char::is_control)))
    }
}
