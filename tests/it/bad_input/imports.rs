//! Invalid files to import.

use crate::bad_input::site::{Keys, Site};

#[test]
fn imports() {
    let keys = Keys::new();
    let site = Site::new(&keys, &[]);
    let kubelet = |rest: &str| format!("apiVersion: kubelet.config.k8s.io/v1beta1\nkind: KubeletConfiguration\n{rest}");
    let rows: Vec<(String, &str)> = vec![
        ("--max-pod=3\n".into(), "node:1: no kubelet has a flag --max-pod, did you mean --max-pods?"),
        ("kubelet --v=2 \\\n --max-pods=many\n".into(), "node:2: --max-pods=many: is not a whole number"),
        ("kubelet start\n".into(), "node:1: \"start\" is not a flag, and kubelet accepts nothing else"),
        ("kubelet --v='2\n".into(), "node:1: has a quote that is never closed"),
        (
            "kubelet --eviction-hard=memory.available=5%\n".into(),
            "node:1: --eviction-hard: \"memory.available=5%\" is not of the form name<value",
        ),
        ("kubelet --config=/etc/k.yaml\n".into(), "node:1: kubelet reads /etc/k.yaml: give that file as well"),
        (
            "KUBELET_KUBEADM_ARGS=\"--v=2\"\n".into(),
            "node:1: kubelet reads /var/lib/kubelet/config.yaml: give that file as well",
        ),
        ("A=1\n= 2\n".into(), "node:2: is not an assignment such as NAME=\"value\""),
        ("[Service]\nExecStart=/usr/bin/dockerd -H fd://\n".into(), "node:2: what it starts is not kubelet"),
        ("[Service]\nEnvironment=A=b\n".into(), "node: no unit says ExecStart: give kubelet.service as well"),
        ("a: [\n".into(), "node:*"),
        ("a: 1\n".into(), "node: has neither apiVersion nor kind, and is not a unit, an environment file or a command line of kubelet"),
        ("apiVersion: v1\nkind: Pod\n".into(), "node: \"Pod\" of \"v1\" is not read by kubelet, kube-proxy or kubeadm"),
        (
            "apiVersion: kubeadm.k8s.io/v1beta1\nkind: JoinConfiguration\n".into(),
            "node:1:13: kubeadm.k8s.io/v1beta1 is not one of v1beta2, v1beta3, v1beta4: convert it with \"kubeadm config migrate\"",
        ),
        (
            "apiVersion: kubeadm.k8s.io/v1beta4\nkind: JoinConfiguration\nnodeRegistration:\n  kubeletExtraArgs: {v: \"2\"}\n".into(),
            "node:4:21: kubeletExtraArgs must be a list of name and value in v1beta4",
        ),
        (
            "apiVersion: kubeadm.k8s.io/v1beta3\nkind: JoinConfiguration\nnodeRegistration:\n  kubeletExtraArgs: {v: 4}\n".into(),
            "node:4:25: kubeletExtraArgs: v is 4, and must be a string: write \"4\", in quotes",
        ),
        (
            "apiVersion: kubelet.config.k8s.io/v1alpha1\nkind: KubeletConfiguration\n".into(),
            "node:1:13: no kubelet since Kubernetes 1.10 reads kubelet.config.k8s.io/v1alpha1: rewrite it as v1beta1",
        ),
        (
            "docker run --net=host example.org/hyperkube kubelet --v=2\n".into(),
            "node: it starts a container: give the command that runs in it, from kubelet on",
        ),
        (
            kubelet("maxPods: many\n"),
            "node:3:10: maxPods is \"many\", and must be a whole number of at least 0 (see kubernetes.io: Kubelet Configuration (v1beta1); ValidateKubeletConfiguration of Kubernetes)",
        ),
        (format!("{}---\n{}", kubelet(""), kubelet("")), "node: a second KubeletConfiguration: give one, and drop-ins of --config-dir whose names end in .conf"),
        ("\n# nothing\n".into(), "node: is empty"),
        ("x".repeat((1 << 20) + 1), "node: is larger than 1 MiB, the limit for a configuration"),
    ];
    for (text, expected) in rows {
        site.write("node", text);
        site.refuses_with(&mut site.kiln(&["import", "--role", "worker", "node"]), 1, expected);
    }
    site.write("node", b"\xff");
    site.refuses_with(&mut site.kiln(&["import", "--role", "worker", "node"]), 1, "node: is not UTF-8 (byte 0)");
    site.write("node", "kubelet --v=2\n");
    let missing = "the profile to extend; --release NAME chooses a release: there is no role \"base\" in profiles*";
    site.refuses_with(&mut site.kiln(&["import", "node"]), 1, missing);
}
