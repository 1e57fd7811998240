//! Runs the rendered pod network in a network namespace: Debian's CNI plugins, called as by
//! containerd. libcni passes to each plugin of the list its own part with the list's name and
//! version, the previous plugin's result, and those of the runtime's capabilities that it declares
//! (CNI specification, section 4).

use super::debian_root::{Suite, stdout};
use super::own::rendered;
use kiln_testing::namespace::{enter, unshare};
use serde_json::{Value, json};
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use tempfile::TempDir;

const CONFLIST: &str = "etc/cni/net.d/90-bridge.conflist";
const RELEASE: &str = "debian-1.20.2";

/// A network namespace of a host, and that of a pod in it.
struct Host {
    holder: Child,
    plugins: TempDir,
}

impl Host {
    fn of(suite: &'static str) -> Self {
        let plugins = tempfile::tempdir().expect("a directory");
        Suite::new(suite).unpack(&["containernetworking-plugins"], plugins.path());
        // Plugins keep state below /var/lib, and iptables locks are below /run.
        let script = "mount -t tmpfs none /run && mount -t tmpfs none /var/lib && ip link set lo up && \
                      ip netns add pod && echo ready && cat";
        let mut command = unshare(&["--net", "--mount"]);
        command.args(["--", "sh", "-c", script]).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut holder = command.spawn().expect("unshare starts; it is in Debian's util-linux");
        let mut line = String::new();
        BufReader::new(holder.stdout.as_mut().expect("its output")).read_line(&mut line).expect("a line");
        assert_eq!(line, "ready\n", "a network namespace needs Debian's iproute2");
        Self { holder, plugins }
    }

    fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = enter(self.holder.id(), &["--net", "--mount"]);
        command.arg(program);
        command
    }

    /// The output of a shell on the host.
    fn shell(&self, script: &str) -> String {
        stdout(self.command("sh").args(["-ec", script]), "iproute2, iptables or socat")
    }

    fn json(&self, script: &str) -> Value {
        serde_json::from_str(&self.shell(script)).expect("JSON")
    }

    fn directory(&self) -> PathBuf {
        self.plugins.path().join("usr/lib/cni")
    }

    /// Runs one plugin with `ADD` or `DEL`; returns its result.
    fn call(&self, verb: &str, name: &str, config: &Value) -> Value {
        let mut command = self.command("env");
        command.arg(format!("CNI_COMMAND={verb}")).args(["CNI_CONTAINERID=pod-1", "CNI_NETNS=/run/netns/pod"]);
        command.arg("CNI_IFNAME=eth0").arg(format!("CNI_PATH={}", self.directory().display()));
        command.arg(self.directory().join(name));
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("nsenter starts");
        child.stdin.take().expect("its input").write_all(config.to_string().as_bytes()).expect("written");
        let output = child.wait_with_output().expect("it ends");
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "{verb} {name} {config}: {text}");
        serde_json::from_str(&text).unwrap_or_default()
    }

    /// Runs all plugins of the list in order; returns the result of the last one.
    fn add(&self, list: &Value, runtime: &Value) -> Value {
        let mut result = Value::Null;
        for plugin in list["plugins"].as_array().expect("plugins") {
            result = self.call("ADD", plugin["type"].as_str().expect("a type"), &part(list, plugin, runtime, &result));
        }
        result
    }

    /// Runs all plugins in reverse order.
    fn delete(&self, list: &Value, runtime: &Value, result: &Value) {
        for plugin in list["plugins"].as_array().expect("plugins").iter().rev() {
            self.call("DEL", plugin["type"].as_str().expect("a type"), &part(list, plugin, runtime, result));
        }
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        drop(self.holder.stdin.take());
        self.holder.wait().ok();
    }
}

fn part(list: &Value, plugin: &Value, runtime: &Value, result: &Value) -> Value {
    let mut config = plugin.clone();
    let capabilities = config.as_object_mut().expect("a map").remove("capabilities").unwrap_or_default();
    for key in ["cniVersion", "name"] {
        config[key] = list[key].clone();
    }
    let given = runtime.as_object().into_iter().flatten().filter(|(name, _)| capabilities[name.as_str()] == true);
    let given: serde_json::Map<_, _> = given.map(|(name, value)| (name.clone(), value.clone())).collect();
    if !given.is_empty() {
        config["runtimeConfig"] = given.into();
    }
    if !result.is_null() {
        config["prevResult"] = result.clone();
    }
    config
}

fn conflist(cni: &str) -> Value {
    let text = rendered(&format!("cni: {cni}\n"), RELEASE, CONFLIST).expect("a network");
    serde_json::from_str(&text).expect("JSON")
}

/// The MTU of a device, in the pod or on the host.
fn mtu(devices: &Value, name: &str) -> u64 {
    let devices = devices.as_array().expect("devices");
    let device = devices.iter().find(|device| device["ifname"].as_str().is_some_and(|it| it.starts_with(name)));
    device.and_then(|device| device["mtu"].as_u64()).unwrap_or_else(|| panic!("no {name} in {devices:?}"))
}

#[test]
fn the_devices_have_the_requested_mtu() {
    for suite in ["bookworm", "trixie"] {
        for (cni, expected) in [("{mtu: 1400}", 1400), ("{name: pods0, mtu: 9000}", 9000), ("{}", 1500)] {
            let host = Host::of(suite);
            let list = conflist(cni);
            host.add(&list, &json!({}));
            let outside = host.json("ip -json link");
            let inside = host.json("ip netns exec pod ip -json link");
            let bridge = list["plugins"][0]["bridge"].as_str().expect("its name");
            let found = [mtu(&inside, "eth0"), mtu(&outside, "veth"), mtu(&outside, bridge)];
            assert_eq!(found, [expected; 3], "{suite}: {cni}: {inside} {outside}");
        }
    }
}

#[test]
fn a_pod_has_an_address_and_a_way_out_of_either_family() {
    for (cni, family, address, gateway) in
        [("{}", "-4", "10.88.0.2", "10.88.0.1"), ("{subnet: 'fd00:88::/64'}", "-6", "fd00:88::2", "fd00:88::1")]
    {
        let host = Host::of("trixie");
        let result = host.add(&conflist(cni), &json!({}));
        assert!(result["ips"][0]["address"].as_str().is_some_and(|it| it.starts_with(address)), "{result}");
        let routes = host.json(&format!("ip netns exec pod ip {family} -json route"));
        let default = routes.as_array().expect("routes").iter().find(|route| route["dst"] == "default");
        assert_eq!(default.map(|route| &route["gateway"]), Some(&json!(gateway)), "{routes}");
    }
}

/// A host port, a bandwidth limit and a firewall rule for a pod are removed with the pod.
#[test]
fn ports_limits_and_rules_come_and_go_with_the_pod() {
    for suite in ["bookworm", "trixie"] {
        let host = Host::of(suite);
        let list = conflist("{mtu: 1450}");
        let chain: Vec<_> = list["plugins"].as_array().expect("plugins").iter().map(|plugin| &plugin["type"]).collect();
        assert_eq!(json!(chain), json!(["bridge", "portmap", "firewall", "bandwidth"]));
        // As the CRI plugin derives them from a pod's hostPort and bandwidth annotations: bits and
        // bits per second.
        let runtime = json!({
            "portMappings": [{ "hostPort": 18080, "containerPort": 8080, "protocol": "tcp" }],
            "bandwidth": { "ingressRate": 8_000_000, "ingressBurst": 8_000_000, "egressRate": 4_000_000, "egressBurst": 4_000_000 },
        });
        let before = host.shell("iptables-save -t nat; iptables-save -t filter");
        assert!(!before.contains("10.88.0."), "{before}");
        // A firewall that drops forwarded packets, as Docker's does.
        host.shell("iptables -P FORWARD DROP");
        let result = host.add(&list, &runtime);
        let rules = host.shell("iptables-save");
        assert!(
            rules.contains("--to-destination 10.88.0.2:8080") && rules.contains("-d 10.88.0.2/32"),
            "{suite}: {rules}"
        );
        let limits = host.shell("tc qdisc show");
        assert!(
            limits.contains("tbf") && limits.contains("rate 8Mbit") && limits.contains("rate 4Mbit"),
            "{suite}: {limits}"
        );
        // Through the host's own address, from outside the pod.
        let said = host.shell(
            "ip netns exec pod socat -u EXEC:'echo from the pod' TCP-LISTEN:8080,reuseaddr & \
             for i in $(seq 100); do said=$(socat -u TCP:10.88.0.1:18080 - 2>/dev/null) && [ -n \"$said\" ] && break; sleep 0.05; done; echo \"$said\"",
        );
        assert_eq!(said, "from the pod\n", "{suite}");
        host.delete(&list, &runtime, &result);
        let after = host.shell("iptables-save; ls /var/lib/cni/networks/bridge; tc qdisc show");
        assert!(!after.contains("10.88.0.") && !after.contains("tbf"), "{suite}: {after}");
    }
}

#[test]
fn without_a_network_there_is_no_file() {
    assert_eq!(rendered("cni: {plugin: none}\n", RELEASE, CONFLIST), None);
    assert!(rendered("", RELEASE, CONFLIST).is_some());
}
