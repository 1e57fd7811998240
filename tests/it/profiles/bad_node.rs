//! Rows of the table of bad profiles with settings that would prevent a node from starting, or
//! would not take effect.

/// The text after `extends: base` in worker.yaml, and the error without `profiles/worker.yaml:`.
pub(super) const NODE: &[(&str, &str)] = &[
    ("kubelet: {args: {v: two}}\n", "2:21: kubelet.args.v: \"two\" is not a whole number"),
    (
        "kubelet: {args: {node-ip: eth0}}\n",
        "2:27: kubelet.args.node-ip: \"eth0\" is not an IP address, or two of different families separated by a comma",
    ),
    (
        "kubelet: {args: {cloud-provider: aws}}\n",
        "2:34: kubelet.args.cloud-provider: \"aws\" is not \"external\": kubelet has had no cloud providers since Kubernetes 1.29",
    ),
    (
        "kubelet: {args: {image-credential-provider-config: /etc/kubernetes/credentials.yaml}}\n",
        "2:18: kubelet.args: image-credential-provider-config needs image-credential-provider-bin-dir",
    ),
    (
        "kubelet: {args: {provider-id: x}}\n",
        "2:18: kubelet.args: provider-id cannot be set here, it differs per node: kubelet.providerID of the seed",
    ),
    (
        "kubelet: {args: {windows-service: 'true'}}\n",
        "2:18: kubelet.args: --windows-service cannot be used: it is for Windows; leave it out",
    ),
    (
        "kubelet: {taints: [{key: a, effect: NoSchedule}, {key: a, value: b, effect: NoSchedule}]}\n",
        "2:50: kubelet.taints: a:NoSchedule is a duplicate (lists append); leave one out",
    ),
    (
        "kubelet: {labels: {kubernetes.io/hostname: a}}\n",
        "2:44: kubelet.labels: kubernetes.io/hostname differs per node, kubelet sets it; leave it out",
    ),
    (
        "kubelet: {labels: {kubernetes.io/arch: s390x}}\n",
        "2:40: kubelet.labels: kubernetes.io/arch is \"s390x\", and the image is \"amd64\"; leave it out, kubelet sets it",
    ),
    (
        "kubelet: {config: {allowedUnsafeSysctls: [vm.swappiness]}}\n",
        "2:43: kubelet.config: allowedUnsafeSysctls[0] is \"vm.swappiness\", which is not namespaced: pods can set kernel.shm*, kernel.msg*, kernel.sem, fs.mqueue.* and net.*; set it for the node in kernel.sysctls",
    ),
    ("kubelet:\n  conifg: {}\n", "3:3: kubelet: unknown key \"conifg\", did you mean \"config\"?"),
    ("kubelet: {args: {1: a, '1': b}}\n", "2:24: duplicate key \"1\""),
    ("kernel: [a]\n", "2:9: kernel: expected a map, found a list"),
    ("kernel:\n  package: [a]\n", "3:12: kernel.package: expected a string, found a list"),
    (
        "kubelet: {config: {failSwapOn: no}}\n",
        "2:32: kubelet.config.failSwapOn: no is a boolean in YAML 1.1 and a string in YAML 1.2; write true, false or \"no\"",
    ),
    // kubelet's own rules.
    ("kubelet: {config: {maxPod: 64}}\n", "2:20: kubelet.config: maxPod is not a field, did you mean \"maxPods\"?"),
    (
        "kubelet:\n  config:\n    authentication:\n      anonymous: {enable: false}\n",
        "5:19: kubelet.config: authentication.anonymous.enable is not a field, did you mean \"enabled\"?",
    ),
    (
        "kubelet: {config: {rotateCertificates: 'true'}}\n",
        "2:40: kubelet.config: rotateCertificates is \"true\", and must be true or false, without quotes",
    ),
    (
        "kubelet: {config: {evictionHard: {memory.available: 100MB}}}\n",
        "2:53: kubelet.config: evictionHard[\"memory.available\"] is \"100MB\", and must be an amount above zero such as \"100Mi\", or a percentage such as \"10%\"",
    ),
    (
        "kubelet: {config: {evictionSoft: {memory.available: 5%}}}\n",
        "2:34: kubelet.config: evictionSoft has memory.available, which needs a grace period in evictionSoftGracePeriod",
    ),
    (
        "kubelet: {config: {imageGCHighThresholdPercent: 70}}\n",
        "2:49: kubelet.config: imageGCHighThresholdPercent leaves nothing to collect: the low threshold, 80, must be below the high one, 70",
    ),
    (
        "kubelet: {config: {clusterDNS: [10.96.0.10, dns]}}\n",
        "2:45: kubelet.config: clusterDNS[1] is \"dns\", and must be an IP address",
    ),
    (
        "kubelet: {config: {enforceNodeAllocatable: [kube-reserved]}}\n",
        "2:44: kubelet.config: enforceNodeAllocatable has \"kube-reserved\", which needs kubeReservedCgroup",
    ),
    (
        "kubelet: {config: {kubeReserved: {cpus: 1}}}\n",
        "2:35: kubelet.config: kubeReserved.cpus is not one of cpu, memory, ephemeral-storage, pid",
    ),
    ("kubelet: {args: {max-pods: '64'}}\n", "2:18: kubelet.args: --max-pods is a field, set maxPods in kubelet.config"),
    (
        "kubelet: {args: {pod-max-pids: '64'}}\n",
        "2:18: kubelet.args: --pod-max-pids is a field, set podPidsLimit in kubelet.config",
    ),
    (
        "kubelet: {args: {network-plugin: cni}}\n",
        "2:18: kubelet.args: kubelet has no flag --network-plugin since Kubernetes 1.24: containerd calls the network plugins; see \"cni\" in the profile",
    ),
    ("kubelet: {args: {node-op: x}}\n", "2:18: kubelet.args: kubelet has no flag --node-op, did you mean --node-ip?"),
    (
        "kubelet: {args: {enable-load-reader: 'true'}}\n",
        "2:18: kubelet.args: --enable-load-reader cannot be used: it leaks memory and measures nothing useful; leave it out",
    ),
    (
        "kernel: {sysctls: {ip_forward: 1}}\n",
        "2:20: kernel.sysctls: \"ip_forward\" is not a sysctl key, such as \"net.ipv4.ip_forward\"",
    ),
    (
        "kernel: {sysctls: {-vm.panic_on_oom: 2}}\n",
        "2:20: kernel.sysctls: \"-vm.panic_on_oom\" begins with \"-\", which hides at boot that a setting failed; write \"vm.panic_on_oom\"",
    ),
    (
        "kernel: {sysctls: {vm/overcommit_memory: 0}}\n",
        "2:20: kernel.sysctls: \"vm/overcommit_memory\" has slashes; write \"vm.overcommit_memory\"",
    ),
    (
        "kernel: {sysctls: {net.ipv4.ip_forward: 0}}\n",
        "2:41: kernel.sysctls: net.ipv4.ip_forward is \"0\", then the kernel routes no packet of a pod; set \"1\", or \"plugin: none\" in cni if an add-on does not need it",
    ),
    (
        "kernel: {sysctls: {net.bridge.bridge-nf-call-iptables: '0'}}\n",
        "2:56: kernel.sysctls: net.bridge.bridge-nf-call-iptables is \"0\", then packets between pods on the bridge bypass iptables, which implements Services; set \"1\", or \"plugin: none\" in cni if an add-on does not need it",
    ),
    ("kernel: {sysctls: {a.b: ''}}\n", "2:25: kernel.sysctls.a.b: \"\" is not a value of one line"),
    (
        "kernel: {cmdline: [quiet splash]}\n",
        "2:20: kernel.cmdline: \"quiet splash\" is more than one word, write each as an item of the list",
    ),
    ("kernel: {cmdline: [\"a\\nb\"]}\n", "2:20: kernel.cmdline: \"a\\nb\" contains a control character"),
    (
        "kernel: {modules: {load: [nf_conntrack_ipv4]}}\n",
        "2:27: kernel.modules.load: no kernel has a module \"nf_conntrack_ipv4\"; use \"nf_conntrack\": it tracks both families since Linux 4.19",
    ),
    (
        "kernel: {modules: {keep: [aufs]}}\n",
        "2:27: kernel.modules.keep: no kernel has a module \"aufs\"; use \"overlay\": Debian's kernels have had no aufs since Linux 4.18",
    ),
    ("kernel: {modules: {load: [virtio*]}}\n", "2:27: kernel.modules.load: \"virtio*\" is not a kernel module's name"),
    (
        "kernel: {modules: {keep: ['[a']}}\n",
        "2:27: kernel.modules.keep: \"[a\" is not a glob: unclosed character class; missing ']'",
    ),
    ("kubelet: {config: {kind: X}}\n", "2:20: kubelet.config: kind cannot be set here, kiln writes it"),
    (
        "kubelet: {config: {cgroupDriver: cgroupfs}}\n",
        "2:34: kubelet.config: cgroupDriver must be systemd, as the container runtime's is",
    ),
    ("kubelet: {args: {--v: 2}}\n", "2:18: kubelet.args: \"--v\" has dashes, write \"v\""),
    ("kubelet: {args: {node-labels: a=b}}\n", "2:18: kubelet.args: node-labels cannot be set here, use kubelet.labels"),
    (
        "kubelet: {labels: {node-role.kubernetes.io/worker: ''}}\n",
        "2:20: kubelet.labels: a node cannot give itself \"node-role.kubernetes.io/worker\", set it through the API after the node has joined",
    ),
    (
        "kubelet: {labels: {a: b c}}\n",
        "2:23: kubelet.labels: \"b c\" is not a label's value (at most 63 letters, digits, \"-\", \"_\" and \".\")",
    ),
    (
        "kubelet: {taints: [{key: a, effect: NoShedule}]}\n",
        "2:37: kubelet.taints[0].effect: unknown value \"NoShedule\", did you mean \"NoSchedule\"?",
    ),
    ("kubelet: {taints: [{key: a}]}\n", "2:20: kubelet.taints: \"effect\" is missing"),
    (
        "kubelet: {config: {resolvConf: /etc/resolv.conf}}\n",
        "2:32: kubelet.config: resolvConf is /etc/resolv.conf, which names systemd-resolved's stub, 127.0.0.53: no pod can reach it, and CoreDNS would query itself; use /run/systemd/resolve/resolv.conf",
    ),
    (
        "kubelet: {config: {resolvConf: /run/systemd/resolve/stub-resolv.conf}}\n",
        "2:32: kubelet.config: resolvConf is /run/systemd/resolve/stub-resolv.conf, which names systemd-resolved's stub, 127.0.0.53: no pod can reach it, and CoreDNS would query itself; use /run/systemd/resolve/resolv.conf",
    ),
    (
        "kubelet: {config: {resolvConf: resolv.conf}}\n",
        "2:32: kubelet.config: resolvConf is \"resolv.conf\", and must be an absolute path such as /run/systemd/resolve/resolv.conf, or \"\" for none",
    ),
    (
        "kernel: {hugePages: {2MB: 512}}\n",
        "2:22: kernel.hugePages: amd64 has no huge pages of \"2MB\", did you mean \"2Mi\"?",
    ),
    ("kernel: {hugePages: {1Gi: 0}}\n", "2:27: kernel.hugePages: 0 pages of 1Gi is the default; leave it out"),
    (
        "kernel: {hugePages: {2Mi: 512}, cmdline: [hugepages=512]}\n",
        "2:43: kernel.hugePages: \"hugepages=512\" reserves huge pages as well; keep one of them",
    ),
    (
        "kernel: {hugePages: {2Mi: 512}, sysctls: {vm.nr_hugepages: '512'}}\n",
        "2:43: kernel.hugePages: \"vm.nr_hugepages\" reserves huge pages as well; keep one of them",
    ),
    (
        "kubelet: {config: {serverTLSBootstrap: true, featureGates: {RotateKubeletServerCertificate: false}}}\n",
        "2:40: kubelet.config: serverTLSBootstrap needs \"featureGates: {RotateKubeletServerCertificate: true}\"",
    ),
    (
        "kubelet: {config: {cpuManagerPolicy: static}}\n",
        "2:38: kubelet.config: cpuManagerPolicy is static, which needs CPUs for the system: set cpu in kubeReserved or systemReserved, or reservedSystemCPUs",
    ),
    (
        "kubelet: {config: {memorySwap: {swapBehavior: LimitedSwap}}}\n",
        "2:32: kubelet.config: memorySwap has LimitedSwap, which needs \"failSwapOn: false\"",
    ),
    (
        "kubelet: {config: {qosReserved: {memory: 50%}}}\n",
        "2:33: kubelet.config: qosReserved needs \"featureGates: {QOSReserved: true}\"",
    ),
    (
        "kubelet: {config: {featureGates: {DynamicKubeletConfig: false}}}\n",
        "2:35: kubelet.config: featureGates.DynamicKubeletConfig was removed in Kubernetes 1.26, and kubelet does not start with it; leave it out",
    ),
    (
        "kubelet: {config: {featureGates: {CSIMigration: true}}}\n",
        "2:35: kubelet.config: featureGates.CSIMigration was removed in Kubernetes 1.27, and kubelet does not start with it; leave it out",
    ),
    (
        "kubelet: {config: {featureGates: {CPUManager: false}}}\n",
        "2:35: kubelet.config: featureGates.CPUManager is locked to true since Kubernetes 1.26, and kubelet does not start with false; leave it out",
    ),
    (
        "kubelet: {config: {featureGates: {KubeletPodResourceGet: true}}}\n",
        "2:35: kubelet.config: featureGates.KubeletPodResourceGet is not a feature gate, did you mean \"KubeletPodResourcesGet\"?",
    ),
    (
        "kubelet: {config: {shutdownGracePeriod: 30s, shutdownGracePeriodCriticalPods: 60s}}\n",
        "2:79: kubelet.config: shutdownGracePeriodCriticalPods must not be longer than shutdownGracePeriod, of which it is a part",
    ),
    (
        "kubelet: {config: {maxParallelImagePulls: 5, serializeImagePulls: true}}\n",
        "2:43: kubelet.config: maxParallelImagePulls is above 1, which needs \"serializeImagePulls: false\"",
    ),
    (
        "kubelet: {config: {containerLogMaxFiles: 1}}\n",
        "2:42: kubelet.config: containerLogMaxFiles is 1, and must be a whole number of at least 2",
    ),
    (
        "kubelet: {config: {systemReserved: {memory: 1Gi, ephemeral_storage: 1Gi}}}\n",
        "2:50: kubelet.config: systemReserved.ephemeral_storage is not one of cpu, memory, ephemeral-storage, pid",
    ),
    (
        "kubelet: {config: {evictionHard: {memory.available: '<100Mi'}}}\n",
        "2:53: kubelet.config: evictionHard[\"memory.available\"] is \"<100Mi\", and must be an amount above zero such as \"100Mi\", or a percentage such as \"10%\"",
    ),
    (
        "kubelet: {config: {topologyManagerPolicy: single-numa}}\n",
        "2:43: kubelet.config: topologyManagerPolicy is \"single-numa\", and must be one of none, best-effort, restricted, single-numa-node",
    ),
    (
        "kubelet: {config: {reservedSystemCPUs: '0-'}}\n",
        "2:40: kubelet.config: reservedSystemCPUs is \"0-\", and must be a list of CPUs such as \"0-3,7\"",
    ),
    (
        "kubelet: {config: {protectKernelDefaults: true}}\n",
        "2:43: kubelet.config: protectKernelDefaults needs kernel.keys.root_maxbytes: \"25000000\" in kernel.sysctls; set it, or protectKernelDefaults: false",
    ),
    (
        "kernel: {sysctls: {vm.overcommit_memory: 1, vm.panic_on_oom: 0, kernel.panic: 10, kernel.panic_on_oops: 1, kernel.keys.root_maxkeys: 200, kernel.keys.root_maxbytes: 25000000}}\nkubelet: {config: {protectKernelDefaults: true}}\n",
        "2:134: kernel.sysctls: kernel.keys.root_maxkeys is \"200\", and kubelet starts only with \"1000000\"; set that, or protectKernelDefaults: false in kubelet.config",
    ),
    (
        "debian: {suite: forky, suites: {forky: {}}}\nkernel: {cmdline: [systemd.unified_cgroup_hierarchy=0, SYSTEMD_CGROUP_ENABLE_LEGACY_FORCE=1]}\n",
        "3:20: kernel.cmdline: \"systemd.unified_cgroup_hierarchy=0\" requests cgroup v1, which systemd of forky no longer supports; leave it out",
    ),
    (
        "kernel: {cmdline: [systemd.unified_cgroup_hierarchy=off]}\n",
        "2:20: kernel.cmdline: \"systemd.unified_cgroup_hierarchy=off\" requests cgroup v1, which systemd of trixie rejects: it waits 30 seconds at every boot and then uses v2; leave it out",
    ),
    (
        "kubelet: {args: {container-runtime: docker}}\n",
        "2:18: kubelet.args: container-runtime=docker: dockershim was removed in Kubernetes 1.24; containerd runs the same images and pods, and \"docker ps\" is \"crictl ps\"; where Docker itself must stay on the node, set \"cri: cri-dockerd\"",
    ),
    (
        "kubelet: {args: {container-runtime: rkt}}\n",
        "2:18: kubelet.args: container-runtime=rkt: rkt was removed in Kubernetes 1.11; containerd runs its images",
    ),
    (
        "kubelet: {config: {featureGates: {DevicePluginFoo: true}}}\n",
        "2:35: kubelet.config: featureGates.DevicePluginFoo is not a feature gate of Kubernetes 1.30; leave it out",
    ),
    (
        "kubelet: {args: {cloud-provider: external, pod-manifest-path: /etc/kubernetes/manifests}}\n",
        "2:44: kubelet.args: --pod-manifest-path is a field, set staticPodPath in kubelet.config",
    ),
    (
        "kubelet: {args: {dynamic-config-dir: /var/lib/kubelet/dynamic}}\n",
        "2:18: kubelet.args: kubelet has no flag --dynamic-config-dir since Kubernetes 1.24: an image's configuration does not change while it runs; leave it out",
    ),
    (
        "kubelet: {labels: {node-restriction.kubernetes.io/tier: a}}\n",
        "2:20: kubelet.labels: a node cannot give itself \"node-restriction.kubernetes.io/tier\", set it through the API after the node has joined",
    ),
    (
        "kubelet: {labels: {kubernetes.io/role: node}}\n",
        "2:20: kubelet.labels: a node cannot give itself \"kubernetes.io/role\", set it through the API after the node has joined",
    ),
];
