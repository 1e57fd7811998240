# Reports what is running, for comparison with the profile. Runs in the guest before the probe, which calls `questions`.

# For this boot only, kubelet shows its configuration to any client, signs its own certificate, and does not query a cloud for its identity; the guest is not connected to other networks.
printf 'KUBELET_KUBECONFIG_ARGS=\nKUBELET_EXTRA_ARGS=%s\n' \
  "--anonymous-auth=true --authentication-token-webhook=false --authorization-mode=AlwaysAllow --client-ca-file= --rotate-server-certificates=false --cloud-provider=" >/etc/default/kubelet
systemctl try-restart kubelet.service

questions() {
  report flags "$(tr '\0' ' ' <"/proc/$(systemctl show -P MainPID kubelet.service)/cmdline")"
  report configz "$(kubectl --server https://127.0.0.1:10250 --insecure-skip-tls-verify --token anybody get --raw /configz </dev/null)"
  while IFS='= ' read -r name value; do
    case $name in '#'*) ;; *) report "set $name" "$(sysctl -n "$name" | tr -s '\t' ' ')" ;; esac
  done </usr/lib/sysctl.d/90-kiln.conf
  # lsmod does not list modules that are built into the kernel.
  while read -r module _; do
    case $module:$(modinfo -F filename "$module" 2>&1) in '#'*) ;; *"(builtin)"*) report module "$module" ;; esac
  done </usr/lib/modules-load.d/kiln.conf
  report huge-pages "$(cat /sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages)"
  report swap "$(tail -n +2 /proc/swaps)"
  report inhibit "$(busctl get-property org.freedesktop.login1 /org/freedesktop/login1 org.freedesktop.login1.Manager InhibitDelayMaxUSec)"
  report kube-proxy "$(systemctl is-enabled kube-proxy.service 2>&1) $(systemctl is-active kube-proxy.service)"
  # The request of "crictl info": Status, verbose.
  report cri-status "$(printf '\0\0\0\0\2\10\1' | curl -sS --http2-prior-knowledge --unix-socket /run/containerd/containerd.sock \
    -H 'Content-Type: application/grpc' -H 'TE: trailers' --data-binary @- http://localhost/runtime.v1.RuntimeService/Status | base64 -w0)"
  # A pod's network as containerd makes it: the bridge plugin and those chained to it.
  report pod "$(ctr run --rm --cni --rootfs $bundle pod /bin/sh -c 'echo $(cut -d: -f1 /proc/net/dev | tail -n +3)' 2>/run/kiln/pod.log)"
  each pod-log </run/kiln/pod.log
  if declare -F ask_pods >/dev/null; then ask_pods; fi
}
