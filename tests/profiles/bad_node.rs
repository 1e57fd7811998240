//! What a node would not start with, or would be other than it says: rows of the table of bad profiles.

/// What follows `extends: base` in worker.yaml, and the error without `profiles/worker.yaml:`.
pub const NODE: &[(&str, &str)] = &[
    ("kubelet: {args: {v: two}}\n", "2:21: kubelet.args.v: \"two\" is not a whole number"),
    (
        "kubelet: {args: {node-ip: eth0}}\n",
        "2:27: kubelet.args.node-ip: \"eth0\" is not an IP address, or two of different families separated by a comma",
    ),
    (
        "kubelet: {args: {cloud-provider: aws}}\n",
        "2:34: kubelet.args.cloud-provider: \"aws\" is not \"external\": kubelet has no providers of clouds any more since Kubernetes 1.29",
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
        "2:50: kubelet.taints: a:NoSchedule is there twice, and lists append; leave one out",
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
        "2:43: kubelet.config: allowedUnsafeSysctls[0] is \"vm.swappiness\", which pods do not have for themselves: there are kernel.shm*, kernel.msg*, kernel.sem, fs.mqueue.* and net.*; set it for the node in kernel.sysctls",
    ),
];
