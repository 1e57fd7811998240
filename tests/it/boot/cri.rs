//! What a node's runtime reports over the CRI: the request of `crictl info`, sent by curl, since
//! Debian has no crictl.
//!
//! Source: `StatusRequest` and `StatusResponse` of `pkg/apis/runtime/v1/api.proto` of
//! k8s.io/cri-api; wire format of protobuf.

use crate::boot::guest::Report;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use kiln_profile::Profile;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// A verbose answer.
struct Status {
    conditions: BTreeMap<String, bool>,
    info: BTreeMap<String, String>,
}

/// Checks that containerd runs with the settings of `profile`, and is ready.
pub(super) fn compare(profile: &Profile, report: &Report) {
    let [line] = report.all("cri-status")[..] else { panic!("no status\n{}", report.console) };
    let status = Status::parse(&STANDARD.decode(line).expect("base64"));
    let ready = ["NetworkReady", "RuntimeReady"].map(|name| (name.to_owned(), true));
    for (name, is) in ready {
        assert_eq!(status.conditions.get(&name), Some(&is), "{name}: {:?}", status.info);
    }
    let config: Value = serde_json::from_str(&status.info["config"]).expect("JSON");
    let at = |path: &str| config.pointer(path).unwrap_or(&Value::Null);
    let role = &profile.role;
    assert_eq!(at("/sandboxImage"), &json!(profile.release.pause_image), "{role}");
    assert_eq!(at("/containerd/snapshotter"), &json!(profile.containerd.snapshotter), "{role}");
    assert_eq!(at("/registry/configPath"), "/etc/containerd/certs.d", "{role}");
    assert_eq!(at("/cni/binDir"), "/opt/cni/bin", "{role}");
    assert_eq!(at("/cni/confDir"), "/etc/cni/net.d", "{role}");
    let runtimes = at("/containerd/runtimes").as_object().expect("runtimes");
    let mut asked = vec![("runc", "io.containerd.runc.v2", &None)];
    asked.extend(profile.containerd.runtimes.iter().map(|(name, it)| (name.as_str(), it.shim.as_str(), &it.binary)));
    assert_eq!(runtimes.len(), asked.len(), "{role}: {runtimes:?}");
    for (name, shim, binary) in asked {
        let runtime = &runtimes[name];
        assert_eq!(runtime["runtimeType"], shim, "{role}: {name}");
        if name == "runc" || binary.is_some() {
            assert_eq!(runtime["options"]["SystemdCgroup"], true, "{role}: {name}");
        }
        assert_eq!(runtime["options"]["BinaryName"].as_str(), binary.as_deref(), "{role}: {name}");
    }
}

impl Status {
    /// Parses the body of a gRPC answer: a byte that means "not compressed", the length, the
    /// message.
    fn parse(body: &[u8]) -> Self {
        let message = body.get(5..).filter(|_| body[0] == 0).expect("a message");
        let mut status = Self { conditions: BTreeMap::new(), info: BTreeMap::new() };
        for (field, value) in fields(message) {
            match (field, value) {
                (1, Field::Bytes(runtime)) => {
                    for (_, condition) in fields(runtime) {
                        let Field::Bytes(condition) = condition else { continue };
                        let fields: BTreeMap<u64, Field<'_>> = fields(condition).into_iter().collect();
                        let is = matches!(fields.get(&2), Some(Field::Number(1)));
                        status.conditions.insert(fields[&1].text(), is);
                    }
                }
                (2, Field::Bytes(entry)) => {
                    let entry: BTreeMap<u64, Field<'_>> = fields(entry).into_iter().collect();
                    status.info.insert(entry[&1].text(), entry[&2].text());
                }
                _ => {}
            }
        }
        status
    }
}

/// The two wire types that the message contains.
enum Field<'a> {
    Number(u64),
    Bytes(&'a [u8]),
}

impl Field<'_> {
    fn text(&self) -> String {
        let Self::Bytes(bytes) = self else { panic!("a number, and not a text") };
        String::from_utf8(bytes.to_vec()).expect("UTF-8")
    }
}

fn fields(mut message: &[u8]) -> Vec<(u64, Field<'_>)> {
    let mut fields = Vec::new();
    while !message.is_empty() {
        let key = number(&mut message);
        let value = match key & 7 {
            0 => Field::Number(number(&mut message)),
            2 => {
                let length = usize::try_from(number(&mut message)).expect("a length");
                let (bytes, rest) = message.split_at(length);
                message = rest;
                Field::Bytes(bytes)
            }
            kind => panic!("field {} is of kind {kind}", key >> 3),
        };
        fields.push((key >> 3, value));
    }
    fields
}

/// A varint.
fn number(message: &mut &[u8]) -> u64 {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let (byte, rest) = message.split_first().expect("a byte");
        *message = rest;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            break;
        }
    }
    value
}
