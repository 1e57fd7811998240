# The first boot of a disk: reports its state, and leaves files of which the next boot must find some and not others.
put() { echo "$2" >"$1"; }
(: >/usr/kiln-test) 2>/dev/null && report usr-written
report verity "$(veritysetup status root 2>&1 | tr -s ' \n' ' ')"
put /etc/kiln-test lost
put /etc/hosts '127.0.0.1 changed'
put /etc/kubernetes/kiln-test kept
put /etc/cni/net.d/kiln-test kept
put /opt/cni/bin/kiln-test kept
put /var/lib/kiln-test kept
echo '# changed' >>/var/lib/kubelet/kubeadm-flags.env
