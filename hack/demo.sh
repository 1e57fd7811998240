#!/bin/bash
# `make demo`: bakes the role worker and boots it to a healthy kubelet. See the README.
#   hack/demo.sh KILN OUTDIR
set -euo pipefail
kiln=$1 out=$2
need=()
command -v qemu-system-x86_64 >/dev/null || need+=(qemu-system-x86)
[ -e /usr/share/keyrings/debian-archive-keyring.gpg ] || need+=(debian-archive-keyring)
if [ ${#need[@]} -gt 0 ]; then
  echo "installing: ${need[*]}"
  sudo=; [ "$(id -u)" = 0 ] || sudo=sudo
  $sudo apt-get install --yes --no-install-recommends "${need[@]}"
fi
from=$EPOCHREALTIME
"$kiln" build worker --output "$out"
build=$(awk -v a="$from" -v b="$EPOCHREALTIME" 'BEGIN { printf "%.1f", b - a }')
echo "baked in $build s: $(stat -c %s "$out/worker/pxe/initramfs.cpio.zst") bytes of initramfs"
# Prints the seconds to containerd and to a healthy kubelet, then ends the guest.
"$kiln" boot --demo "$out/worker"
