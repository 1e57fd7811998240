//! A table of bad profiles, each with the exact error line.

use super::bad_node::NODE;
use super::{Profiles, RELEASE};
use kiln_profile::{Arch, Overrides};
use std::process::Command;

/// The text after `extends: base` in worker.yaml, and the error without `profiles/worker.yaml:`.
const BAD: &[(&str, &str)] = &[
    // Keys.
    ("kublet: {}\n", "2:1: unknown key \"kublet\", did you mean \"kubelet\"?"),
    (
        "debian:\n  suites:\n    trixie: {pakcages: []}\n",
        "4:14: debian.suites.trixie: unknown key \"pakcages\", did you mean \"packages\"?",
    ),
    (
        "debian: {security_mirrors: []}\n",
        "2:10: debian: unknown key \"security_mirrors\", did you mean \"securityMirrors\"?",
    ),
    ("image: {zzz: 1}\n", "2:9: image: unknown key \"zzz\" (valid are id, version)"),
    ("image: {id: a, id: b}\n", "2:16: duplicate key \"id\""),
    ("image: {[a]: b}\n", "2:9: a key must be a scalar, not a list"),
    // Types.
    ("overlays: site\n", "2:11: overlays: expected a list, found the string \"site\""),
    ("outputs: [pxe, pex]\n", "2:16: outputs[1]: unknown value \"pex\", did you mean \"pxe\"?"),
    (
        "outputs:\n  - {}\n",
        "3:5: outputs[0]: expected one of pxe, disk, qcow2, qcow2-zlib, vhd, vmdk, gce, ext4, tar, found a map",
    ),
    ("root: btrfs\n", "2:7: root: unknown value \"btrfs\" (valid is ext4)"),
    (
        "disk: {espSize: 256MB}\n",
        "2:17: disk.espSize: \"256MB\" is not a size in whole mebibytes, such as \"256MiB\" or \"2GiB\"",
    ),
    (
        "disk: {rootSize: minimal}\n",
        "2:18: disk.rootSize: \"minimal\" is neither \"fit\" nor a size in whole mebibytes, such as \"256MiB\" or \"2GiB\"",
    ),
    (
        "disk: {size: 0GiB}\n",
        "2:14: disk.size: \"0GiB\" is neither \"minimal\" nor a size in whole mebibytes, such as \"256MiB\" or \"2GiB\"",
    ),
    (
        "disk: {size: 1024TiB}\n",
        "2:14: disk.size: \"1024TiB\" is larger than 256GiB, the largest image; a node extends its disk when it boots",
    ),
    (
        "disk: {rootSize: 4GiB, size: 8GiB}\n",
        "2:30: disk.size: \"8GiB\" has no room for two root partitions of 4096MiB and an EFI system partition of 256MiB",
    ),
    (
        "seed: {sources: [credential, x]}\n",
        "2:30: seed.sources[1]: unknown value \"x\" (valid are cmdline, credential, nocloud, config-drive, user-data)",
    ),
    ("arch: arm46\n", "2:7: arch: unknown value \"arm46\", did you mean \"arm64\"?"),
    (
        "files: {/a: {content: x, replace: yes}}\n",
        "2:35: files./a.replace: expected true or false, found the string \"yes\"",
    ),
    ("groups: {etcd: -1}\n", "2:16: groups.etcd: expected a whole number from 0 to 4294967295, found the number -1"),
    (
        "groups: {etcd: '1'}\n",
        "2:16: groups.etcd: expected a whole number from 0 to 4294967295, found the string \"1\"",
    ),
    ("debian: {packages: [~]}\n", "2:21: debian.packages[0]: expected a string, found nothing (null)"),
    ("- a\n", "2:3: YAML: while parsing a block mapping, did not find expected key"),
    // YAML.
    ("image:\n\tid: x\n", "3:2: YAML cannot be indented with tabs; use spaces"),
    ("image: {id: x\n", "2:8: YAML: unclosed bracket '{'"),
    ("image: &a {id: *b}\n", "2:16: YAML: alias references unknown anchor"),
    ("image: &a {id: *a}\n", "2:16: an alias refers to itself"),
    ("<<: {arch: amd64}\n", "2:1: YAML merge keys (<<) are not supported, use \"extends\" or an alias (*name)"),
    ("image: !include x\n", "2:17: YAML: unsupported tag `!include`"),
    ("---\nextends: base\n", "3:1: there is more than one YAML document in the file"),
    // Values.
    (
        "image: {id: Kiln}\n",
        "2:13: image.id: \"Kiln\" is not allowed by os-release(5) (lower-case letters, digits, \".\", \"_\" and \"-\")",
    ),
    ("debian: {suite: trixy}\n", "2:17: debian.suite: unknown suite \"trixy\", did you mean \"trixie\"?"),
    (
        "debian: {suite: sid}\n",
        "2:17: debian.suite: unknown suite \"sid\" (known are bookworm, trixie; another one needs an entry under debian.suites)",
    ),
    (
        "debian: {mirrors: [mirror.example.org]}\n",
        "2:20: debian.mirrors: \"mirror.example.org\" is not an http:// or https:// URL",
    ),
    (
        "debian: {mirrors: ['http://a/{snapshot}']}\n",
        "2:20: debian.mirrors: \"http://a/{snapshot}\" needs debian.snapshot, which is not set",
    ),
    (
        "debian: {snapshot: yesterday}\n",
        "2:20: debian.snapshot: \"yesterday\" is not a time stamp such as \"20261101T000000Z\"",
    ),
    ("debian: {keyring: keys/none.gpg}\n", "2:19: debian.keyring: there is no file profiles/keys/none.gpg"),
    (
        "debian: {packages: [Socat]}\n",
        "2:21: debian.packages: \"Socat\" is not a Debian package name (lower-case letters, digits, \"+\", \"-\" and \".\")",
    ),
    ("debian: {packages: [a1=x]}\n", "2:21: debian.packages: \"x\" is not a Debian version"),
    ("debian: {packages: [a1=1, a1=2]}\n", "2:27: debian.packages: a1=2 contradicts a1=1 above"),
    ("debian: {packages: [perl], exclude: [perl]}\n", "2:38: debian.exclude: perl is in debian.packages as well"),
    ("components: {runc: required}\ndebian: {exclude: [runc]}\n", "3:20: debian.exclude: release v1 needs runc"),
    ("components: {kubelt: required}\n", "2:14: components: release v1 has no \"kubelt\", did you mean \"kubelet\"?"),
    (
        "containerd: {snapshotter: overlay2}\n",
        "2:27: containerd.snapshotter: \"overlay2\" is not a snapshotter of containerd; did you mean \"overlayfs\"?",
    ),
    (
        "containerd: {snapshotter: btrffs}\n",
        "2:27: containerd.snapshotter: \"btrffs\" is not one of overlayfs, native, btrfs, zfs; did you mean \"btrfs\"?",
    ),
    (
        "containerd: {snapshotter: stargz}\n",
        "2:27: containerd.snapshotter: \"stargz\" is not one of overlayfs, native, btrfs, zfs; any other needs a proxy plugin or settings of its own: add them with an overlay's /etc/containerd/config.toml, and leave this out",
    ),
    (
        "containerd: {mirrors: {'*': ['https://mirror.example.org']}}\n",
        "2:24: containerd.mirrors: \"*\" has a \"*\"; \"_default\" stands for every registry that has no mirrors of its own",
    ),
    ("containerd: {mirrors: {docker.io: []}}\n", "2:24: containerd.mirrors: docker.io has no endpoint"),
    (
        "cni: {subnet: 10.0.0.1/8}\n",
        "2:15: cni.subnet: \"10.0.0.1/8\" is an address in a network, the network is \"10.0.0.0/8\"",
    ),
    (
        "cni: {name: a-very-long-bridge}\n",
        "2:13: cni.name: \"a-very-long-bridge\" is not a network device's name (at most 15 letters, digits, \".\", \"-\" and \"_\")",
    ),
    (
        "cni: {plugin: none, subnet: 10.88.0.0/16}\n",
        "2:29: cni.subnet: it configures the bridge, and \"plugin: none\" makes none; leave one of them out",
    ),
    (
        "cni: {name: eth0}\n",
        "2:13: cni.name: \"eth0\" is the name of a device that nodes already have; use another, such as \"cbr0\"",
    ),
    (
        "cni: {subnet: 127.0.0.0/16}\n",
        "2:15: cni.subnet: 127.0.0.0/16 has addresses of 127.0.0.0/8, which are loopback and are not routed; use a private network such as 10.244.0.0/16",
    ),
    (
        "cni: {subnet: 'ff02::/64'}\n",
        "2:15: cni.subnet: ff02::/64 has addresses of ff00::/8, which are multicast and are not routed; use a private network such as fd00:10:244::/56",
    ),
    (
        "cni: {subnet: 'fd00::/64', mtu: 1200}\n",
        "2:33: cni.mtu: 1200 is too small for IPv6, which needs 1280 (RFC 8200, 5)",
    ),
    (
        "cni: {subnet: 10.88.0.0/28}\n",
        "2:15: cni.subnet: 10.88.0.0/28 has addresses for 13 pods (without its own, the gateway's and the last one), and kubelet accepts 110; use a larger network, or lower maxPods in kubelet.config",
    ),
    (
        "cni: {subnet: 10.96.0.0/16}\nkubelet: {config: {clusterDNS: [10.96.0.10]}}\n",
        "2:15: cni.subnet: 10.96.0.0/16 has the address of clusterDNS in kubelet.config, 10.96.0.10, which a pod would get; use another network",
    ),
    ("cni: {mtu: 20}\n", "2:12: cni.mtu: 20 is not between 68 and 65535"),
    (
        "units: {states: {kubelet: enabled}}\n",
        "2:18: units.states: \"kubelet\" does not end in a unit type, such as \".service\"",
    ),
    (
        "units: {states: {a.service: enable}}\n",
        "2:29: units.states.a.service: unknown value \"enable\", did you mean \"enabled\"?",
    ),
    (
        "units: {add: {a.service/x.conf: '[Unit]'}}\n",
        "2:15: units.add: \"a.service/x.conf\" is neither a unit nor a drop-in such as \"foo.service.d/10-bar.conf\"",
    ),
    (
        "units: {add: {a.service: ExecStart=x}}\n",
        "2:26: units.add.a.service: the text has no section, such as [Service]",
    ),
    (
        "units: {add: {a.service: \"[Servce]\\nExecStart=/usr/bin/a\"}}\n",
        "2:26: units.add.a.service: a .service has no section [Servce], and systemd would ignore it; did you mean [Service]?",
    ),
    (
        "units: {add: {a.service: \"[Service]\\nType=notfy\\nExecStart=/usr/bin/a\"}}\n",
        "2:26: units.add.a.service: Type=notfy is unknown to systemd, did you mean \"notify\"?",
    ),
    (
        "units: {add: {a.service: \"[Service]\\nRestart=alway\\nExecStart=/usr/bin/a\"}}\n",
        "2:26: units.add.a.service: Restart=alway is unknown to systemd, did you mean \"always\"?",
    ),
    (
        "units: {add: {a.service: \"[Service]\\nExecStart=bin/a\"}}\n",
        "2:26: units.add.a.service: ExecStart=bin/a: its program must be an absolute path such as /usr/bin/true, or a name without a slash",
    ),
    (
        "units: {add: {a.service: '[Unit]'}}\n",
        "2:26: units.add.a.service: a .service needs ExecStart=, or Type=oneshot with RemainAfterExit=yes and ExecStop=",
    ),
    (
        "units: {states: {'systemd-resolved.service?': masked}}\nkubelet: {config: {resolvConf: /run/systemd/resolve/resolv.conf}}\n",
        "2:18: units.states: systemd-resolved.service is masked, and it writes /run/systemd/resolve/resolv.conf, resolvConf in kubelet.config; leave it enabled, or add a file with the servers and name it",
    ),
    (
        "units: {defaultTarget: a.service}\n",
        "2:24: units.defaultTarget: \"a.service\" is not a target, such as \"multi-user.target\"",
    ),
    ("users: {etcd: {home: /x}}\n", "2:15: users.etcd: \"uid\" is missing"),
    (
        "users: {Etcd: {uid: 1}}\n",
        "2:9: users: \"Etcd\" is not a user or group name (at most 32 lower-case letters, digits, \"_\" and \"-\")",
    ),
    ("users: {etcd: {uid: 1, shell: sh}}\n", "2:31: users.etcd: \"sh\" is not an absolute path"),
    ("groups: {etcd: 4294967295}\n", "2:16: groups: 4294967295 is not a valid id; the largest is 4294967294"),
    ("files: {etc/motd: {content: x}}\n", "2:9: files: \"etc/motd\" is not an absolute path"),
    (
        "files: {/etc/systemd/system/a.service: {content: \"[Service]\\nExecStart=./a\"}}\n",
        "2:50: files./etc/systemd/system/a.service: ExecStart=./a: its program must be an absolute path such as /usr/bin/true, or a name without a slash",
    ),
    ("files: {/../motd: {content: x}}\n", "2:9: files: \"/../motd\" leaves the tree through \"..\""),
    ("files: {/a: {content: x}, //a: {content: x}}\n", "2:9: files./a: is a duplicate, spelled differently"),
    ("files: {/a: {mode: '0644'}}\n", "2:13: files./a: \"content\" is missing"),
    (
        "files: {/a: {content: x, mode: 420}}\n",
        "2:32: files./a.mode: \"420\" is not a mode, write four octal digits such as \"0644\"",
    ),
    ("overlays: [site]\n", "2:12: there is no directory overlays/site"),
    ("overlays: [./site]\n", "2:12: there is no directory profiles/./site"),
    ("alternatives: {/usr/bin/awk: mawk}\n", "2:30: alternatives./usr/bin/awk: \"mawk\" is not an absolute path"),
    ("diversions: {/a: {by: kmod}}\n", "2:18: diversions./a: \"to\" is missing"),
    ("prune: {man: {paths: [usr/share/man/**]}}\n", "2:14: prune.man: \"reason\" is missing"),
    (
        "prune: {man: {reason: x, paths: [/usr]}}\n",
        "2:34: prune.man: \"/usr\" is not a glob of paths without a leading slash",
    ),
    ("privileged: {rooter: x}\n", "2:14: privileged: \"rooter\" is not an absolute path"),
    ("privileged: {/rooter: ' '}\n", "2:23: privileged./rooter: the reason is empty"),
    (
        "artifacts: {a: {version: 1, url: 'https://e.org/a', install: /a}}\n",
        "2:34: artifacts.a: a url needs a sha256 for amd64",
    ),
    (
        "artifacts: {a: {version: 1, url: 'https://e.org/a', sha256: {amd64: abc}, install: /a}}\n",
        "2:69: artifacts.a.sha256: \"abc\" is not a sha256 (64 hexadecimal digits)",
    ),
    (
        "artifacts: {a: {version: 1, file: a, sha256: {x86: ''}, install: /a}}\n",
        "2:47: artifacts.a.sha256: unknown architecture \"x86\" (valid are all, amd64, arm64)",
    ),
    // Container images.
    (
        "images: {'nginx:1': {registry: 'docker.io/library/nginx:1'}}\n",
        "2:10: images: \"nginx:1\" is not an image with its registry, such as \"registry.k8s.io/pause:3.10.2\": it does not name a registry",
    ),
    ("images: {'a.b/c': {registry: 'a.b/c:1'}}\n", "2:10: images: \"a.b/c\" has no tag; give the tag that pods use"),
    ("images: {'a.b/c:1': {}}\n", "2:21: images.a.b/c:1: give one of \"archive\", \"registry\" and \"binary\""),
    ("images: {'a.b/c:1': {registry: 'a.b/c'}}\n", "2:32: images.a.b/c:1: \"a.b/c\" has neither tag nor digest"),
    (
        "images: {'a.b/c:1': {archive: {url: 'https://e.org/a'}}}\n",
        "2:37: images.a.b/c:1.archive: a url needs a sha256 for amd64",
    ),
    (
        "images: {'a.b/c:1': {archive: {file: 'a-{version}'}}}\n",
        "2:38: images.a.b/c:1.archive: only {arch} is replaced in \"a-{version}\"",
    ),
    (
        "images: {'a.b/c:1': {binary: {entrypoint: /a}}}\n",
        "2:30: images.a.b/c:1.binary: give one of \"program\", \"url\" and \"file\"",
    ),
    ("images: {'a.b/c:1': {binary: {program: /a}}}\n", "2:30: images.a.b/c:1.binary: \"entrypoint\" is missing"),
    (
        "images: {'a.b/c:1': {binary: {program: /a, entrypoint: /a, user: nobody}}}\n",
        "2:66: images.a.b/c:1.binary: \"nobody\" is not a user, or user and group, by number, such as \"65535:65535\"",
    ),
    ("artifacts: {a: {version: 1, install: /a}}\n", "2:16: artifacts.a: give either \"url\" or \"file\""),
    (
        "artifacts: {a: {version: 1, file: x}}\n",
        "2:16: artifacts.a: give one of \"install\", \"extract\" and \"deb: true\"",
    ),
    (
        "artifacts: {a: {version: 1, file: 'x{os}', install: /a}}\n",
        "2:35: artifacts.a: only {version} and {arch} are replaced in \"x{os}\"",
    ),
    (
        "artifacts: {a: {version: 1, file: x, deb: true, mode: '0755'}}\n",
        "2:55: artifacts.a: \"mode\" is valid only with \"install\"",
    ),
    (
        "artifacts: {a: {version: 1, file: x, extract: {../a: /a}}}\n",
        "2:48: artifacts.a.extract: \"../a\" is not a member's path",
    ),
    (
        "units: {states: {a.service: enabled, a.service?: masked}}\n",
        "2:38: units.states: a.service is a duplicate, with and without \"?\"",
    ),
    // Settings that a release or runtime has removed, that need another setting, or that have
    // another name.
    (
        "containerd: {runtimes: {nvidia: {}}}\n",
        "2:33: containerd.runtimes.nvidia: would start runc again; name its program with \"binary\"",
    ),
    ("containerd: {runtimes: {runc: {binary: /usr/bin/crun}}}\n", "2:25: containerd.runtimes: runc is already defined"),
    (
        "containerd: {runtimes: {Kata: {type: io.containerd.kata.v2}}}\n",
        "2:25: containerd.runtimes: \"Kata\" is not a handler (at most 63 lower-case letters, digits and \"-\")",
    ),
    (
        "containerd: {runtimes: {old: {type: io.containerd.runtime.v1.linux}}}\n",
        "2:37: containerd.runtimes.old: containerd 2.0 removed io.containerd.runtime.v1.linux; use io.containerd.runc.v2",
    ),
    (
        "containerd: {runtimes: {kata: {type: kata}}}\n",
        "2:38: containerd.runtimes.kata: \"kata\" is not a shim's name, such as \"io.containerd.runc.v2\"",
    ),
    (
        "containerd: {runtimes: {kata: {type: io.containerd.kata.v2, binary: /usr/bin/kata}}}\n",
        "2:69: containerd.runtimes.kata: \"binary\" is valid only with type io.containerd.runc.v2",
    ),
    (
        "containerd: {runtimes: {crun: {binary: crun}}}\n",
        "2:40: containerd.runtimes.crun: \"crun\" is not an absolute path",
    ),
    (
        "containerd: {metrics: ':1338'}\n",
        "2:23: containerd.metrics: \":1338\" is not an address and a port, such as \"127.0.0.1:1338\"",
    ),
    (
        "containerd: {metrics: 'localhost:1338'}\n",
        "2:23: containerd.metrics: \"localhost:1338\" is not an address and a port, such as \"127.0.0.1:1338\"",
    ),
    (
        "containerd: {metrics: '127.0.0.1:0'}\n",
        "2:23: containerd.metrics: \"127.0.0.1:0\" is not an address and a port, such as \"127.0.0.1:1338\"",
    ),
    (
        "components: {kube-proxy: required}\nkubeProxy: {config: {featureGates: {EndpointSliceProxying: true}}}\n",
        "3:37: kubeProxy.config: featureGates.EndpointSliceProxying was removed in Kubernetes 1.25, and kube-proxy does not start with it; leave it out",
    ),
    (
        "debian: {suite: bookworm}\nkubelet: {config: {memorySwap: {swapBehavior: LimitedSwap}, failSwapOn: false}}\nkernel: {cmdline: [systemd.unified_cgroup_hierarchy=0]}\n",
        "4:20: kernel.cmdline: \"systemd.unified_cgroup_hierarchy=0\" boots cgroup v1, and LimitedSwap of kubelet.config.memorySwap needs v2",
    ),
    (
        "cri: dockershim\n",
        "2:6: cri: is \"dockershim\", and dockershim was removed in Kubernetes 1.24; containerd runs the same images and pods, and \"docker ps\" is \"crictl ps\"; where Docker itself must stay on the node, set \"cri: cri-dockerd\"",
    ),
    (
        "cri: cri-o\n",
        "2:6: cri: is \"cri-o\", and containerd runs the same images as CRI-O; move the settings of CRI-O's configuration to \"containerd\"",
    ),
    (
        "kubeProxy: {config: {mode: ipvs}}\n",
        "2:12: kubeProxy: there is no kube-proxy in the image; add \"kube-proxy: required\" to components",
    ),
    // kube-proxy, with the component.
    (
        "components: {kube-proxy: required}\nkubeProxy: {config: {mode: userspace}}\n",
        "3:28: kubeProxy.config: mode is userspace, which was removed in Kubernetes 1.26; use iptables",
    ),
    (
        "components: {kube-proxy: required}\nkubeProxy: {config: {mode: nftables}}\n",
        "3:28: kubeProxy.config: mode is nftables, which needs \"featureGates: {NFTablesProxyMode: true}\" until 1.31",
    ),
    (
        "components: {kube-proxy: required}\nkubeProxy: {config: {mode: ebpf}}\n",
        "3:28: kubeProxy.config: mode is \"ebpf\", and must be one of userspace, iptables, ipvs, nftables",
    ),
    (
        "components: {kube-proxy: required}\nkubeProxy: {config: {proxyMode: ipvs}}\n",
        "3:22: kubeProxy.config: proxyMode is not a field of Kubernetes 1.30",
    ),
    (
        "components: {kube-proxy: required}\nkubeProxy: {config: {ipvs: {scheduler: round-robin}}}\n",
        "3:40: kubeProxy.config: ipvs.scheduler is \"round-robin\", and must be one of rr, wrr, lc, wlc, lblc, lblcr, sh, dh, sed, nq",
    ),
    (
        "components: {kube-proxy: required}\nkubeProxy: {config: {iptables: {minSyncPeriod: 1m}}}\n",
        "3:48: kubeProxy.config: iptables.minSyncPeriod must not be longer than syncPeriod (30s unless set)",
    ),
    (
        "components: {kube-proxy: required}\nkubeProxy: {config: {hostnameOverride: node-1}}\n",
        "3:22: kubeProxy.config: hostnameOverride cannot be set here, it differs per node, set it in /etc/default/kube-proxy",
    ),
    (
        "components: {kube-proxy: required}\nkubeProxy: {config: {udpIdleTimeout: 250ms}}\n",
        "3:22: kubeProxy.config: udpIdleTimeout was removed in Kubernetes 1.26; leave it out",
    ),
    (
        "components: {kube-proxy: required}\nkubeProxy: {config: {clusterCIDR: 10.244.0.0}}\n",
        "3:35: kubeProxy.config: clusterCIDR must be a network such as \"10.244.0.0/16\", or one of IPv4 and one of IPv6, separated by a comma",
    ),
    (
        "components: {kube-proxy: required}\nkubeProxy: {config: {metricsBindAddress: '0.0.0.0:102490'}}\n",
        "3:42: kubeProxy.config: metricsBindAddress is \"0.0.0.0:102490\", and must be an IP address and a port such as \"127.0.0.1:10249\"",
    ),
    (
        "components: {kube-proxy: required}\nkernel: {sysctls: {net.netfilter.nf_conntrack_max: 262144}}\nkubeProxy: {config: {mode: ipvs}}\n",
        "3:52: kernel.sysctls: kube-proxy would replace net.netfilter.nf_conntrack_max; leave it to \"conntrack: {min: 262144}\" in kubeProxy.config, or set its maxPerCore to 0",
    ),
    // Other files.
    ("release: v2\n", "2:10: there is no release \"v2\" (valid is v1)"),
];

#[test]
fn bad_profiles_are_rejected_with_position_and_remedy() {
    assert!(BAD.len() >= 120);
    let wrong: Vec<String> = BAD
        .iter()
        .chain(NODE)
        .filter_map(|(text, expected)| {
            let error = Profiles::worker(text).error();
            let expected = format!("profiles/worker.yaml:{expected}");
            (error != expected).then(|| format!("{text:?}\n  expected {expected}\n  got      {error}"))
        })
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    // Errors of rules from upstream name their source.
    let rule = |text| Profiles::worker(text).load().err().and_then(|error| error.rule());
    let sourced = BAD.iter().chain(NODE).filter(|(text, _)| rule(text).is_some()).count();
    assert!(sourced >= 100, "{sourced}");
}

#[test]
fn bad_profiles_do_not_reach_an_image() {
    for (text, expected) in BAD.iter().chain(NODE) {
        let profiles = Profiles::worker(text);
        let (out, cache) = (profiles.0.path().join("out"), profiles.0.path().join("cache"));
        let mut command = Command::new(env!("CARGO_BIN_EXE_kiln"));
        command.env("HOME", "/home/user").arg("--profiles").arg(profiles.dir()).arg("--cache").arg(cache);
        let output = command.args(["build", "worker", "--arch", "amd64", "--out"]).arg(&out).output();
        let output = output.expect("kiln starts");
        let said = String::from_utf8_lossy(&output.stderr);
        let said = said.replace(&format!("{}/", profiles.0.path().display()), "");
        assert!(!output.status.success() && !out.exists(), "{text:?} is built: {said}");
        assert!(said.contains(&format!("profiles/worker.yaml:{expected}")), "{text:?}: {said}");
        assert!(output.stdout.is_empty() && !profiles.dir().join("worker.lock").exists(), "{text:?}");
    }
}

#[test]
fn errors_of_inherited_values_name_their_own_file() {
    let profiles = Profiles::new(
        b"release: v1\nkernel:\n  sysctls:\n    a.b: ''\n",
        b"extends: base\nkernel: {sysctls: {c.d: 1}}\n",
    );
    assert_eq!(profiles.error(), "profiles/base.yaml:4:10: kernel.sysctls.a.b: \"\" is not a value of one line");
    // Also when the child replaces the value of the wrong type.
    let profiles =
        Profiles::new(b"release: v1\nkernel: {cmdline: quiet}\n", b"extends: base\nkernel: {cmdline: [a]}\n");
    assert_eq!(
        profiles.error(),
        "profiles/base.yaml:2:19: kernel.cmdline: expected a list, found the string \"quiet\""
    );
}

#[test]
fn bad_files_are_rejected() {
    let error = |worker: &[u8]| Profiles::new(b"", worker).error();
    assert_eq!(error(b"image: {id: \xff}\n"), "profiles/worker.yaml: is not UTF-8 (byte 12)");
    assert_eq!(
        error(&vec![b'#'; (1 << 20) + 1]),
        "profiles/worker.yaml: is larger than 1 MiB, the limit for a profile"
    );
    let bomb = "a: &a [x,x,x,x,x,x,x,x,x]\n".to_owned()
        + &('b'..='j')
            .map(|c| format!("{c}: &{c} [{}]\n", format!("*{},", (c as u8 - 1) as char).repeat(9)))
            .collect::<String>();
    assert_eq!(
        error(bomb.as_bytes()),
        "profiles/worker.yaml:5:8: the file's aliases or nesting expand beyond the limit for a profile"
    );
    let deep = format!("a: {}", "[".repeat(5000));
    assert!(error(deep.as_bytes()).starts_with("profiles/worker.yaml:1:"));
    assert_eq!(error(b""), "profiles/worker.yaml:1:1: no release is named; add \"release: NAME\" (there are v1)");
}

#[test]
fn missing_files() {
    let profiles = Profiles::worker("");
    let none = Overrides::default();
    assert_eq!(
        profiles.error_with("wroker", &none),
        "there is no role \"wroker\" in profiles, did you mean \"worker\"?"
    );
    assert_eq!(profiles.error_with("x", &none), "there is no role \"x\" in profiles (valid are base, worker)");
    let missing = profiles.dir().join("none.yaml");
    assert_eq!(
        profiles.error_with(missing.to_str().expect("UTF-8"), &none),
        "reading profiles/none.yaml: No such file or directory (os error 2)"
    );
    profiles.write("profiles/worker.yaml", "extends: bsae\n");
    assert_eq!(profiles.error(), "profiles/worker.yaml:1:10: there is no profile \"bsae\", did you mean \"base\"?");
    profiles.write("profiles/worker.yaml", "extends: ../x.yaml\n");
    assert_eq!(profiles.error(), "profiles/worker.yaml:1:10: there is no file profiles/../x.yaml");
}

#[test]
fn cycles_are_rejected_with_the_chain() {
    let profiles = Profiles::new(b"extends: middle\n", b"extends: base\n");
    profiles.write("profiles/middle.yaml", "extends: ./base.yaml\n");
    assert_eq!(
        profiles.error(),
        "profiles/middle.yaml:1:10: extends forms a cycle: profiles/base.yaml → profiles/middle.yaml → profiles/./base.yaml"
    );
    profiles.write("profiles/worker.yaml", "extends: worker\n");
    assert_eq!(
        profiles.error(),
        "profiles/worker.yaml:1:10: extends forms a cycle: profiles/worker.yaml → profiles/worker.yaml"
    );
}

#[test]
fn bad_options_are_named() {
    let profiles = Profiles::worker("");
    let error = |overrides: Overrides| profiles.error_with("worker", &overrides);
    assert_eq!(
        error(Overrides { release: Some("v9".into()), ..Overrides::default() }),
        "--release: there is no release \"v9\" (valid is v1)"
    );
    assert_eq!(
        error(Overrides { mirrors: vec!["ftp://x".into()], ..Overrides::default() }),
        "--mirror: debian.mirrors: \"ftp://x\" is not an http:// or https:// URL"
    );
    assert_eq!(
        error(Overrides { overlays: vec!["/no/such/dir".into()], ..Overrides::default() }),
        "--overlay: there is no directory /no/such/dir"
    );
}

#[test]
fn bad_releases_are_rejected() {
    let error = |release: &str| {
        let profiles = Profiles::worker("components: {kubelet: required}\n");
        profiles.write("profiles/releases/v1.yaml", release);
        profiles.error()
    };
    let table = [
        ("kubernetes: 1.30.0", "kubernetes: 1.30", "1:13: kubernetes: \"1.30\" is not a version such as \"1.36.4\""),
        ("kubernetes: 1.30.0\n", "", "1:1: release v1: \"kubernetes\" is missing"),
        (
            "pause:3.9",
            "pause",
            "2:13: pauseImage: \"registry.k8s.io/pause\" is not an image with its registry and tag, such as \"registry.k8s.io/pause:3.10.2\"",
        ),
        ("Series: 2", "Series: 3", "3:19: containerdSeries: unknown value \"3\" (valid are 1, 2)"),
        (
            "kubernetes: 1.30.0",
            "kubernetes: 1.22.17",
            "3:19: containerdSeries: kubelet 1.22 speaks v1alpha2 of the CRI, which containerd 2 removed; use containerd 1.7",
        ),
        ("runc: runc", "kubelet: runc", "7:12: packages: kubelet is in components as well"),
        ("packages", "package", "7:1: unknown key \"package\", did you mean \"packages\"?"),
    ];
    for (from, to, expected) in table {
        assert!(RELEASE.contains(from));
        assert_eq!(error(&RELEASE.replacen(from, to, 1)), format!("profiles/releases/v1.yaml:{expected}"));
    }
}

/// Incompatible versions of kubelet and containerd, and of containerd and its configuration.
#[test]
fn incompatible_versions_are_rejected() {
    let error = |kubernetes: &str, series: &str, containerd: &str| {
        let profiles = Profiles::worker("");
        let text = RELEASE.replacen("kubernetes: 1.30.0", &format!("kubernetes: {kubernetes}"), 1);
        let text = text.replacen("containerdSeries: 2", &format!("containerdSeries: {series}"), 1);
        let component =
            format!("components:\n  containerd: {{version: {containerd}, file: c.tgz, extract: {{bin: /usr/bin}}}}\n");
        profiles.write("profiles/releases/v1.yaml", text.replacen("components:\n", &component, 1));
        profiles.load().err().map(|error| error.to_string().split("v1.yaml:").last().unwrap_or_default().to_owned())
    };
    for (kubernetes, series, containerd) in [
        ("1.20.2", "1", "1.5.18"),
        ("1.23.17", "2", "2.0.0"),
        ("1.26.0", "1", "1.6.39"),
        ("1.35.8", "1", "1.7.28"),
        ("1.36.4", "2", "2.3.4"),
    ] {
        assert_eq!(error(kubernetes, series, containerd), None, "{kubernetes}, {containerd}");
    }
    for (kubernetes, series, containerd, expected) in [
        (
            "1.36.4",
            "1",
            "1.7.34",
            "3:19: containerdSeries: Kubernetes 1.36 no longer supports containerd 1; use containerd 2.2 or later",
        ),
        (
            "1.30.0",
            "1",
            "2.3.4",
            "5:25: components.containerd: version 2.3.4 does not belong to containerdSeries 1, whose configuration it would get",
        ),
        (
            "1.26.0",
            "1",
            "1.5.18",
            "5:25: components.containerd: kubelet 1.26 speaks v1 of the CRI only, which containerd 1.5.18 does not; use 1.6 or later",
        ),
    ] {
        assert_eq!(error(kubernetes, series, containerd).as_deref(), Some(expected));
    }
}

#[test]
fn a_digest_for_another_architecture_is_not_enough() {
    let profiles = Profiles::worker("components: {kubelet: required}\n");
    profiles.write("profiles/releases/v1.yaml", RELEASE.replace("{all:", "{amd64:"));
    assert!(profiles.load().is_ok());
    assert_eq!(
        profiles.error_with("worker", &Overrides { arch: Some(Arch::Arm64), ..Overrides::default() }),
        "profiles/releases/v1.yaml:5:35: components.kubelet: a url needs a sha256 for arm64 (there is one for amd64)"
    );
}
