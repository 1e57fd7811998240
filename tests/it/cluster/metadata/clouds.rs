//! Imitations of six clouds' metadata services, with requirements and answers according to their
//! documentation.

use super::service::{Answer, Request, Service};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use std::collections::BTreeMap;

/// A cloud, with a machine in it.
pub(super) struct Cloud {
    pub name: &'static str,
    /// The firmware's data: a file of /sys/class/dmi/id.
    pub dmi: (&'static str, &'static str),
    /// Checks whether a request meets the service's requirements; returns the answer to one that
    /// does not.
    check: fn(&Request) -> Result<(), Answer>,
    /// The path of user data.
    pub user_data: &'static str,
    encode: fn(&str) -> String,
    pages: &'static [(&'static str, &'static str)],
    /// In every answer.
    header: Option<(&'static str, &'static str)>,
    /// Changes the pages.
    pub hostname: &'static str,
    pub provider_id: &'static str,
    pub zone: Option<&'static str>,
}

const SESSION: &str = "AQAEAJ-session-of-this-machine==";

/// Also sends the lifetime of the session, in the answer to the PUT and in all later ones.
fn ec2(request: &Request) -> Result<(), Answer> {
    if !request.header("x-forwarded-for").is_empty() {
        return Err(Answer::status(403));
    }
    if request.path == "/latest/api/token" {
        let seconds = request.header("x-aws-ec2-metadata-token-ttl-seconds").parse().unwrap_or(0_u32);
        return Err(match request.method.as_str() {
            "PUT" if (1..=21600).contains(&seconds) => {
                Answer::ok(SESSION).with("X-Aws-Ec2-Metadata-Token-Ttl-Seconds", &seconds.to_string())
            }
            "PUT" => Answer::status(400),
            _ => Answer::status(405),
        });
    }
    if request.header("x-aws-ec2-metadata-token") == SESSION { Ok(()) } else { Err(Answer::status(401)) }
}

fn gce(request: &Request) -> Result<(), Answer> {
    let is_asked = request.header("metadata-flavor") == "Google" && request.header("x-forwarded-for").is_empty();
    if is_asked { Ok(()) } else { Err(Answer::status(403)) }
}

fn azure(request: &Request) -> Result<(), Answer> {
    let is_asked = request.header("metadata") == "true" && request.header("x-forwarded-for").is_empty();
    let is_versioned = request.path.contains("api-version=2021-02-01") && request.path.contains("format=text");
    if is_asked && is_versioned { Ok(()) } else { Err(Answer::status(400)) }
}

fn anybody(_: &Request) -> Result<(), Answer> {
    Ok(())
}

pub(super) const OPENSTACK: &str = r#"{"uuid": "d8e02d56-2648-49a3-bf97-6be8f1204f38", "hostname": "openstack-1.novalocal", "name": "openstack-1",
    "availability_zone": "nova", "project_id": "f7ac731cc11f40efbc03a9f9e1d1d21f", "launch_index": 0, "public_keys": {}, "devices": []}"#;

pub(super) static CLOUDS: [Cloud; 6] = [
    Cloud {
        name: "EC2",
        dmi: ("sys_vendor", "Amazon EC2"),
        check: ec2,
        user_data: "/latest/user-data",
        encode: str::to_owned,
        pages: &[
            ("/latest/meta-data/local-hostname", "ip-10-0-0-5.eu-central-1.compute.internal"),
            ("/latest/meta-data/placement/availability-zone", "eu-central-1b"),
            ("/latest/meta-data/instance-id", "i-0123456789abcdef0"),
        ],
        header: Some(("Server", "EC2ws")),
        hostname: "ip-10-0-0-5.eu-central-1.compute.internal",
        provider_id: "aws:///eu-central-1b/i-0123456789abcdef0",
        zone: Some("eu-central-1b"),
    },
    Cloud {
        name: "Google Cloud",
        dmi: ("product_name", "Google Compute Engine"),
        check: gce,
        user_data: "/computeMetadata/v1/instance/attributes/user-data",
        encode: str::to_owned,
        pages: &[
            ("/computeMetadata/v1/instance/hostname", "gce-1.europe-west1-b.c.kiln-test.internal"),
            ("/computeMetadata/v1/instance/name", "gce-1"),
            ("/computeMetadata/v1/instance/zone", "projects/123456789/zones/europe-west1-b"),
            ("/computeMetadata/v1/project/project-id", "kiln-test"),
        ],
        header: Some(("Metadata-Flavor", "Google")),
        hostname: "gce-1.europe-west1-b.c.kiln-test.internal",
        provider_id: "gce://kiln-test/europe-west1-b/gce-1",
        zone: Some("europe-west1-b"),
    },
    Cloud {
        name: "Azure",
        dmi: ("chassis_asset_tag", "7783-7084-3265-9085-8269-3286-77"),
        check: azure,
        user_data: "/metadata/instance/compute/userData",
        encode: |text| STANDARD.encode(text),
        pages: &[
            ("/metadata/instance/compute/name", "Azure-1"),
            (
                "/metadata/instance/compute/resourceId",
                "/subscriptions/8d10da13/resourceGroups/kiln/providers/Microsoft.Compute/virtualMachines/Azure-1",
            ),
            ("/metadata/instance/compute/location", "westeurope"),
            ("/metadata/instance/compute/zone", "2"),
        ],
        header: Some(("Server", "IMDS/150.870.65.1854")),
        hostname: "azure-1",
        provider_id: "azure:///subscriptions/8d10da13/resourceGroups/kiln/providers/Microsoft.Compute/virtualMachines/Azure-1",
        zone: Some("westeurope-2"),
    },
    Cloud {
        name: "OpenStack",
        dmi: ("product_name", "OpenStack Nova"),
        check: anybody,
        user_data: "/openstack/latest/user_data",
        encode: str::to_owned,
        pages: &[("/openstack/latest/meta_data.json", OPENSTACK)],
        header: None,
        hostname: "openstack-1.novalocal",
        provider_id: "openstack:///d8e02d56-2648-49a3-bf97-6be8f1204f38",
        zone: Some("nova"),
    },
    Cloud {
        name: "DigitalOcean",
        dmi: ("sys_vendor", "DigitalOcean"),
        check: anybody,
        user_data: "/metadata/v1/user-data",
        encode: str::to_owned,
        pages: &[
            ("/metadata/v1/hostname", "droplet-1"),
            ("/metadata/v1/id", "2756294"),
            ("/metadata/v1/region", "fra1"),
        ],
        header: None,
        hostname: "droplet-1",
        provider_id: "digitalocean://2756294",
        zone: None,
    },
    Cloud {
        name: "Hetzner Cloud",
        dmi: ("sys_vendor", "Hetzner"),
        check: anybody,
        user_data: "/hetzner/v1/userdata",
        encode: str::to_owned,
        pages: &[
            ("/hetzner/v1/metadata/hostname", "hetzner-1"),
            ("/hetzner/v1/metadata/instance-id", "42"),
            ("/hetzner/v1/metadata/availability-zone", "fsn1-dc14"),
        ],
        header: None,
        hostname: "hetzner-1",
        provider_id: "hcloud://42",
        zone: Some("fsn1-dc14"),
    },
];

impl Cloud {
    /// The cloud with this name.
    pub(super) fn named(name: &str) -> &'static Self {
        CLOUDS.iter().find(|cloud| cloud.name == name).expect("a cloud")
    }

    /// Its service for a machine with this user data.
    pub(super) fn service(&'static self, user_data: Option<&str>) -> Service {
        let mut pages: BTreeMap<&str, String> = self.pages.iter().map(|(path, text)| (*path, (*text).into())).collect();
        pages.extend(user_data.map(|text| (self.user_data, (self.encode)(text))));
        Service::new(move |request| {
            let path = request.path.split('?').next().unwrap_or_default();
            let answer = match (self.check)(request) {
                Err(answer) => answer,
                Ok(()) if request.method != "GET" => Answer::status(405),
                Ok(()) => pages.get(path).map_or(Answer::status(404), |text| Answer::ok(text.as_bytes())),
            };
            match self.header {
                Some((name, value)) => answer.with(name, value),
                None => answer,
            }
        })
    }
}
