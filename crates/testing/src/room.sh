# What programs of Kubernetes find in place of this machine's directories. In front of a script that runs as root of a mount namespace, the
# machine's own root or a user namespace's.
set -eu
umask 022

# File systems of their own at each path, in memory and gone afterwards; DIRECTORY stays where it is: room DIRECTORY PATH...
room() {
  cd "$1"
  local directory=$1 path
  shift
  # With room for what nodes reserve, none of which is taken.
  for path; do mount -t tmpfs -o mode=0777,size=500G none "$path"; done
  [ -d "$directory" ] || { mkdir -p "$directory" && mount --bind . "$directory"; }
  cd "$directory"
  # Docker of the machine, for cAdvisor.
  if [ -S machine.sock ]; then ln -s "$directory/machine.sock" /run/docker.sock; fi
}

# A kernel's log that only capabilities open, as nodes have it; kubelet without them ends there.
no_kmsg() {
  if [ -e /dev/kmsg ]; then
    : >/run/kmsg
    chmod 0 /run/kmsg
    mount --bind /run/kmsg /dev/kmsg
  fi
}

# Runs COMMAND as user 65534 without any capability. To the root of a user namespace that number is nobody's: it goes on in one of its own, where
# it is this one.
as_nobody() {
  if setpriv --reuid 65534 --regid 65534 --clear-groups true 2>/dev/null; then
    as_nobody=(setpriv --reuid 65534 --regid 65534 --clear-groups --)
  else
    as_nobody=(unshare --user --map-user=65534 --map-group=65534 --)
  fi
  "${as_nobody[@]}" test -r "$PWD" || {
    echo "user 65534 cannot read $PWD: set TMPDIR to a directory that every user can enter" >&2
    exit 1
  }
  exec "${as_nobody[@]}" "$@"
}
