# Runs a kubelet in namespaces of its own, as nobody, and prints its /configz: DIRECTORY ADDRESS FLAG... Follows room.sh.
#
# Nothing of the machine is changed: kubelet may write only to file systems that are made for it and gone afterwards.
directory=$1
address=$2
shift 2
ip link set lo up
room "$directory" /var/lib /var/log /run /mnt
# Whatever the caller's umask was.
chmod -R a+rX "$directory"
# kubelet wants its directory shared.
mount --make-shared /mnt
# Devices, and the kernel's log, which containers do not have.
mkdir /mnt/dev
for device in null zero random urandom; do
  : >"/mnt/dev/$device"
  mount --bind "/dev/$device" "/mnt/dev/$device"
done
: >/mnt/dev/kmsg
chmod 0666 /mnt/dev/kmsg
mount --rbind /mnt/dev /dev
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
(
  as_nobody "$directory/kubelet" "$@" \
    --container-runtime=docker --docker-endpoint="unix://$directory/docker.sock" --root-dir=/mnt/kubelet --cert-dir=/mnt/pki
) >/mnt/log 2>&1 &
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
