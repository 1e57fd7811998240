# Reports the state of a booted worker, line by line. Runs in the guest, as root; there is no sed, grep or awk.
report() { echo "$1: ${*:2}"; }
uptime() { read -r seconds _ </proc/uptime; echo "$seconds"; }
each() { while read -r line; do report "$1" "$line"; done; }

until systemctl --quiet is-active containerd.service; do sleep 0.2; done
report containerd-active "$(uptime)"
report state "$(systemctl is-system-running --wait)"
report running "$(uptime)"
systemctl list-units --failed --plain --no-legend | each failed
systemctl list-jobs --no-legend --plain | each job

healthz() {
  exec 3<>/dev/tcp/127.0.0.1/10248 || return
  printf 'GET /healthz HTTP/1.0\r\n\r\n' >&3
  [[ $(tr -d '\r' <&3) == *$'\n\nok' ]]
}
if systemctl --quiet is-active kubelet.service; then
  until (healthz) 2>/dev/null; do sleep 0.2; done
  report healthz "$(uptime)"
fi
for unit in containerd kubelet systemd-networkd systemd-resolved; do report "unit $unit" "$(systemctl is-active $unit)"; done

cut -d' ' -f1 /proc/modules | sort | each module
for name in vm.overcommit_memory kernel.panic kernel.panic_on_oops net.ipv4.ip_forward net.bridge.bridge-nf-call-iptables \
  net.ipv6.conf.all.forwarding kernel.keys.root_maxkeys; do
  report "sysctl $name" "$(sysctl -n $name 2>&1)"
done
report root "$(findmnt -n -o FSTYPE,PROPAGATION / | tr -s ' ')" "$(stat -c %a:%u:%g /)"
while read -r _ parent _ _ point _; do [ "$point" != / ] || report parent "$parent"; done </proc/self/mountinfo
report cgroup "$(stat -f -c %T /sys/fs/cgroup)"
report address "$(ip -4 -o addr show scope global | tr -s ' ' | cut -d' ' -f2,4 | tr '\n' ' ')"
report resolver "$(readlink /etc/resolv.conf)"
report containerd-version "$(containerd --version)"
ctr plugins ls | while read -r type id _ status; do case $type:$id in *.cri.*:* | *:cri) report cri "$status" ;; esac; done
# Features in use that the next containerd removes; Debian 12's containerd does not report them.
ctr deprecations list 2>/dev/null | tail -n +2 | each deprecation
while read -r key value _; do case $key in MemTotal:) total=$value ;; MemAvailable:) report memory-used-kib $((total - value)) ;; esac; done </proc/meminfo
report capabilities "$(setpriv --reuid=65534 --regid=65534 --clear-groups cat /proc/self/status |
  while read -r key value; do [ "$key" != CapEff: ] || echo "$value"; done)"

# A container with the node's own files as read-only bind mounts: runc must pivot_root(2) away from this root.
bundle=/run/kiln/rootfs
mkdir -p $bundle/{usr,proc,sys,dev,tmp,run,etc}
for link in bin lib lib64 sbin; do ln -s usr/$link $bundle/$link; done
mount --bind -o ro /usr $bundle/usr
report container "$(ctr run --rm --rootfs $bundle probe /bin/sh -c 'echo process $$ sees: $(ls /)' 2>/run/kiln/container.log)"
each container-log </run/kiln/container.log

if declare -F questions >/dev/null; then questions; fi

journalctl -b -p warning -o cat --no-pager | tail -60 | each journal
systemd-analyze blame --no-pager | head -15 | each blame
report end
systemctl poweroff
