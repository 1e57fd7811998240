# Runs a kubelet in namespaces of its own, as nobody, and prints its /configz: configz.sh DIRECTORY ADDRESS FLAG...
#
# Nothing of the machine is changed: kubelet may write only to file systems that are made for it and gone afterwards.
set -eu
directory=$1
address=$2
shift 2
ip link set lo up
# With room for what nodes reserve, none of which is taken.
for empty in /var/log /run /mnt; do mount -t tmpfs -o mode=0777,size=500G none "$empty"; done
# kubelet wants its directory shared, and the kernel's log.
mount --make-shared /mnt
: >/mnt/kmsg
chmod 0666 /mnt/kmsg
mount --bind /mnt/kmsg /dev/kmsg
# And settings of the kernel as a node has them: otherwise it ends, which may be before it is asked.
set_sysctl() {
  echo "$2" >/mnt/sysctl.${1//\//.}
  chmod 0666 /mnt/sysctl.${1//\//.}
  mount --bind /mnt/sysctl.${1//\//.} "/proc/sys/$1"
}
set_sysctl vm/overcommit_memory 1
set_sysctl vm/panic_on_oom 0
set_sysctl kernel/panic 10
set_sysctl kernel/panic_on_oops 1
set_sysctl kernel/keys/root_maxkeys 1000000
set_sysctl kernel/keys/root_maxbytes 25000000
setpriv --reuid 65534 --regid 65534 --clear-groups -- "$directory/kubelet" "$@" \
  --container-runtime=docker --docker-endpoint="unix://$directory/docker.sock" --root-dir=/mnt/kubelet --cert-dir=/mnt/pki \
  >/mnt/log 2>&1 &
kubelet=$!
for _ in $(seq 1200); do
  if curl --silent --insecure --fail --max-time 10 --cert "$directory/caller.pem" "https://$address/configz"; then
    kill -KILL "$kubelet"
    exit 0
  fi
  kill -0 "$kubelet" 2>/dev/null || break
  sleep 0.1
done
grep '^[EF][0-9]' /mnt/log >&2 || cat /mnt/log >&2
exit 1
