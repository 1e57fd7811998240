# A boot beside decoys: reports what the node uses. The partition of the root is in the status of dm-verity.
while read -r key kind device _; do [ "$key $kind" != 'data device:' ] || report root "$device"; done < <(veritysetup status root)
report var "$(findmnt -n -o SOURCE /var)"
report disks "$(cd /sys/block && echo vd*)"
report planted "$(ls /var/decoy 2>/dev/null)"
report state "$(systemctl is-system-running --wait)"
systemctl list-units --failed --plain --no-legend | while read -r line; do report failed "$line"; done
report end
systemctl poweroff
