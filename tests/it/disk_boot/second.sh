# A later boot: reports which files of the first one remain.
for file in /etc/kiln-test /etc/kubernetes/kiln-test /etc/cni/net.d/kiln-test /opt/cni/bin/kiln-test /var/lib/kiln-test; do
  report "trace $file" "$(cat $file 2>/dev/null)"
done
read -r hosts </etc/hosts
report hosts "$hosts"
while read -r line; do [ "$line" = '# changed' ] && report flags changed; done </var/lib/kubelet/kubeadm-flags.env
[ -s /var/lib/systemd/random-seed ] && report random-seed kept
report boots "$(journalctl --list-boots --no-pager -q | wc -l)"
report state "$(systemctl is-system-running --wait)"
systemctl list-units --failed --plain --no-legend | while read -r line; do report failed "$line"; done
report end
systemctl poweroff
