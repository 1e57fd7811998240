//! Clouds' metadata services: detection of the cloud by its firmware, its user data, and what only
//! it knows about the machine.

mod service;

use super::{Found, Places, Platform, SourceError};
use crate::root::RootDir;
use crate::seed::{MAX_SIZE, Seed, SeedError};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use service::Service;
use zeroize::Zeroizing;

/// The protocol of a service and the requested data. All services are at 169.254.169.254.
struct Cloud {
    name: &'static str,
    /// A file of /sys/class/dmi/id and its prefix.
    dmi: (&'static str, &'static str),
    /// Sent with every request.
    header: (&'static str, &'static str),
    /// Whether answers have the same header; an answer without it is from another server.
    is_echoed: bool,
    session: Option<Session>,
    /// A config drive may take the service's place.
    has_config_drives: bool,
    user_data: &'static str,
    /// User data is in base64.
    base64: bool,
    hostname: Made,
    /// The availability zone, in the form of the cloud's controller.
    zone: Made,
    provider_id: Made,
}

/// A token that must be obtained with PUT before any other request.
struct Session {
    path: &'static str,
    /// The header that requests it.
    request: (&'static str, &'static str),
    /// The header that contains it.
    header: &'static str,
}

/// A value of a service: a page with one line, or a string in a JSON document.
#[derive(Clone, Copy)]
enum Fact {
    Line(&'static str),
    Json(&'static str, &'static str),
}

/// A value made from several facts, if all of them exist.
#[derive(Clone, Copy)]
struct Made {
    of: &'static [Fact],
    by: fn(&[String]) -> String,
}

impl Made {
    const NONE: Self = Self { of: &[], by: |_| String::new() };

    const fn of(of: &'static [Fact], by: fn(&[String]) -> String) -> Self {
        Self { of, by }
    }

    /// The fact unchanged.
    const fn only(of: &'static [Fact]) -> Self {
        Self { of, by: |facts| facts.concat() }
    }
}

/// The last component of a path, the form of GCE's zones.
fn base_name(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or_default()
}

/// OpenStack's document, which a config drive has at the same path.
const META_DATA: &str = "/openstack/latest/meta_data.json";
/// A string that identifies a seed even if it is not valid YAML.
const KIND: &[u8] = b"NodeSeed";
/// For services that need none.
const NO_HEADER: (&str, &str) = ("Accept", "*/*");

const CLOUDS: [Cloud; 6] = [
    Cloud {
        name: "EC2",
        dmi: ("sys_vendor", "Amazon EC2"),
        header: NO_HEADER,
        is_echoed: false,
        session: Some(Session {
            path: "/latest/api/token",
            request: ("X-aws-ec2-metadata-token-ttl-seconds", "300"),
            header: "X-aws-ec2-metadata-token",
        }),
        has_config_drives: false,
        user_data: "/latest/user-data",
        base64: false,
        hostname: Made::only(&[Fact::Line("/latest/meta-data/local-hostname")]),
        zone: Made::only(&[Fact::Line("/latest/meta-data/placement/availability-zone")]),
        provider_id: Made::of(
            &[Fact::Line("/latest/meta-data/placement/availability-zone"), Fact::Line("/latest/meta-data/instance-id")],
            |facts| format!("aws:///{}", facts.join("/")),
        ),
    },
    Cloud {
        name: "Google Cloud",
        dmi: ("product_name", "Google Compute Engine"),
        header: ("Metadata-Flavor", "Google"),
        is_echoed: true,
        session: None,
        has_config_drives: false,
        user_data: "/computeMetadata/v1/instance/attributes/user-data",
        base64: false,
        hostname: Made::only(&[Fact::Line("/computeMetadata/v1/instance/hostname")]),
        zone: Made::of(&[Fact::Line("/computeMetadata/v1/instance/zone")], |facts| base_name(&facts.concat()).into()),
        provider_id: Made::of(
            &[
                Fact::Line("/computeMetadata/v1/project/project-id"),
                Fact::Line("/computeMetadata/v1/instance/zone"),
                Fact::Line("/computeMetadata/v1/instance/name"),
            ],
            |facts| {
                let parts: Vec<&str> = facts.iter().map(|fact| base_name(fact)).collect();
                format!("gce://{}", parts.join("/"))
            },
        ),
    },
    Cloud {
        name: "Azure",
        dmi: ("chassis_asset_tag", "7783-7084-3265-9085-8269-3286-77"),
        header: ("Metadata", "true"),
        is_echoed: false,
        session: None,
        has_config_drives: false,
        user_data: "/metadata/instance/compute/userData?api-version=2021-02-01&format=text",
        base64: true,
        hostname: Made::only(&[Fact::Line("/metadata/instance/compute/name?api-version=2021-02-01&format=text")]),
        // Exists only if the region has zones; otherwise neither page has a value.
        zone: Made::of(
            &[
                Fact::Line("/metadata/instance/compute/location?api-version=2021-02-01&format=text"),
                Fact::Line("/metadata/instance/compute/zone?api-version=2021-02-01&format=text"),
            ],
            |facts| facts.join("-").to_ascii_lowercase(),
        ),
        provider_id: Made::of(
            &[Fact::Line("/metadata/instance/compute/resourceId?api-version=2021-02-01&format=text")],
            |facts| format!("azure://{}", facts.concat()),
        ),
    },
    Cloud {
        name: "OpenStack",
        dmi: ("product_name", "OpenStack"),
        header: NO_HEADER,
        is_echoed: false,
        session: None,
        has_config_drives: true,
        user_data: "/openstack/latest/user_data",
        base64: false,
        hostname: Made::only(&[Fact::Json(META_DATA, "hostname")]),
        zone: Made::only(&[Fact::Json(META_DATA, "availability_zone")]),
        provider_id: Made::of(&[Fact::Json(META_DATA, "uuid")], |facts| format!("openstack:///{}", facts.concat())),
    },
    Cloud {
        name: "DigitalOcean",
        dmi: ("sys_vendor", "DigitalOcean"),
        header: NO_HEADER,
        is_echoed: false,
        session: None,
        has_config_drives: false,
        user_data: "/metadata/v1/user-data",
        base64: false,
        hostname: Made::only(&[Fact::Line("/metadata/v1/hostname")]),
        zone: Made::NONE,
        provider_id: Made::of(&[Fact::Line("/metadata/v1/id")], |facts| format!("digitalocean://{}", facts.concat())),
    },
    Cloud {
        name: "Hetzner Cloud",
        dmi: ("sys_vendor", "Hetzner"),
        header: NO_HEADER,
        is_echoed: false,
        session: None,
        has_config_drives: false,
        user_data: "/hetzner/v1/userdata",
        base64: false,
        hostname: Made::only(&[Fact::Line("/hetzner/v1/metadata/hostname")]),
        zone: Made::only(&[Fact::Line("/hetzner/v1/metadata/availability-zone")]),
        provider_id: Made::of(&[Fact::Line("/hetzner/v1/metadata/instance-id")], |facts| {
            format!("hcloud://{}", facts.concat())
        }),
    },
];

/// The cloud that this machine's firmware names.
fn here(root: &RootDir) -> Option<&'static Cloud> {
    CLOUDS.iter().find(|cloud| {
        let (file, value) = cloud.dmi;
        let text = root.read(&format!("/sys/class/dmi/id/{file}")).ok().flatten();
        text.is_some_and(|text| text.trim_start().starts_with(value))
    })
}

/// Whether this machine is in a cloud whose metadata service is always there. OpenStack's may be
/// missing where there are config drives.
pub(super) fn has_service(root: &RootDir) -> bool {
    here(root).is_some_and(|cloud| !cloud.has_config_drives)
}

/// The seed in this cloud's user data. Other user data (a script, cloud-config) is not a seed.
pub(super) fn user_data(places: &Places<'_>) -> Result<Option<Found>, SourceError> {
    let Some(cloud) = here(places.root) else { return Ok(None) };
    let Some(mut bytes) = Service::new(cloud, places).get(cloud.user_data, MAX_SIZE)? else { return Ok(None) };
    if cloud.base64 {
        let Ok(decoded) = STANDARD.decode(bytes.trim_ascii()) else { return Ok(None) };
        bytes = Zeroizing::new(decoded);
    }
    match Seed::parse(&bytes) {
        Err(SeedError::NoSeed | SeedError::NotText) => Ok(None),
        Err(SeedError::Yaml(_)) if !bytes.windows(KIND.len()).any(|window| window == KIND) => Ok(None),
        _ => Ok(Some(Found { bytes, place: format!("of {}", cloud.name) })),
    }
}

/// What the cloud knows about this machine; nothing if the machine is not in a cloud.
pub(super) fn platform(places: &Places<'_>) -> Result<Platform, SourceError> {
    let Some(cloud) = here(places.root) else { return Ok(Platform::default()) };
    let mut service = Service::new(cloud, places);
    Ok(Platform {
        hostname: service.make(cloud.hostname)?,
        zone: service.make(cloud.zone)?,
        provider_id: service.make(cloud.provider_id)?,
    })
}
