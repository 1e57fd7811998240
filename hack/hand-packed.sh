#!/bin/bash
# Packs a node as one would by hand: the packages' files, the necessary steps of their maintainer
# scripts, `cpio | zstd -3`. It is the reference for kiln's size and speed, and shares no code with
# kiln.
#
#   hack/hand-packed.sh SUITE OUTDIR [-f KUBELET] [-r DIR] [-n NAME] [-x] [PACKAGE...]
#   -f FILE  kubelet binary to copy to /usr/bin/kubelet
#   -r DIR   directory to copy over the tree before units are enabled (configuration, /init)
#   -n NAME  name of the initramfs and the tree in OUTDIR (default: node); several names can share
#            the downloads
#   -x       do not unpack again: only copy DIR over the existing OUTDIR/NAME, and pack it
#   PACKAGE  instead of the default list
# Run it as root or under fakeroot; otherwise every file belongs to you. Needs apt-get, dpkg-deb,
# tar, depmod, ldconfig, systemctl, systemd-sysusers, cpio, zstd. Debian comes from the host's apt
# sources. The last lines of output are tree bytes, initramfs bytes, and seconds spent on unpacking
# and packing.
set -euo pipefail
umask 022
export LC_ALL=C PATH=$PATH:/usr/sbin:/sbin

usage() { sed -n '2,/^set/{/^set/d;s/^# \{0,1\}//;p}' "$0" >&2; exit 2; }
[ $# -ge 2 ] || usage
suite=$1 out=$2; shift 2
kubelet='' overlay='' name=node keep=''
while getopts f:r:n:x option; do
  case $option in f) kubelet=$OPTARG ;; r) overlay=$OPTARG ;; n) name=$OPTARG ;; x) keep=1 ;; *) usage ;; esac
done
shift $((OPTIND - 1))
if [ $# -gt 0 ]; then packages=("$@"); else
  packages=(systemd systemd-sysv systemd-resolved udev dbus kmod linux-image-cloud-amd64 containerd runc
    containernetworking-plugins iproute2 iptables conntrack ethtool socat util-linux mount e2fsprogs ca-certificates
    base-files base-passwd bash coreutils dash libc-bin login passwd procps)
  [ "$suite" = bookworm ] || packages+=(libpam-systemd systemd-repart systemd-cryptsetup)
fi
# Packages that only install other packages, or only make an initramfs on the node.
never='^(initramfs-tools(-core|-bin)?|linux-base|klibc-utils|libklibc|cpio|debconf|perl(-base|-modules-.*)?|libperl.*|usrmerge|usr-is-merged|dracut-install|busybox|zstd|openssl)$'

for tool in apt-get dpkg-deb tar depmod ldconfig systemctl systemd-sysusers cpio zstd; do
  command -v $tool >/dev/null || { echo "hand-packed: $tool is missing" >&2; exit 1; }
done
mkdir -p "$out"; out=$(cd "$out" && pwd); root=$out/$name

download() {
  mkdir -p "$out"/apt/{lists,archives/partial,etc}
  : >"$out/apt/status"
  # shellcheck disable=SC2016 # apt expands these
  apt-get indextargets --format '$(REPO_URI) $(LABEL)' 'Created-By: Packages' | sort -u |
    awk -v suite="$suite" -v key=/usr/share/keyrings/debian-archive-keyring.gpg '
      $2 == "Debian" && NF == 2 { print "deb [signed-by=" key "] " $1 " " suite " main" }
      $2 == "Debian-Security" { print "deb [signed-by=" key "] " $1 " " suite "-security main" }' >"$out/apt/etc/sources.list"
  local options=(-o "Dir::State=$out/apt" -o "Dir::State::Lists=$out/apt/lists" -o "Dir::State::status=$out/apt/status"
    -o "Dir::Cache=$out/apt" -o "Dir::Cache::Archives=$out/apt/archives" -o "Dir::Etc::SourceList=$out/apt/etc/sources.list"
    -o Dir::Etc::SourceParts=/dev/null -o APT::Install-Recommends=false -o APT::Architecture=amd64
    -o APT::Architectures::=amd64 -o APT::Sandbox::User=root -o Acquire::Languages=none -q)
  apt-get "${options[@]}" update >&2
  apt-get "${options[@]}" install --yes --download-only "${packages[@]}" >&2
}

unpack() {
  mkdir -p "$root"
  local dir deb
  mkdir -p "$root"/usr/{bin,sbin,lib,lib64}
  for dir in bin sbin lib lib64; do ln -s usr/$dir "$root/$dir"; done
  for deb in "$out"/apt/archives/*.deb; do
    [[ $(dpkg-deb -f "$deb" Package) =~ $never ]] || # dpkg-deb -x would replace the links in / by directories
      dpkg-deb --fsys-tarfile "$deb" | tar -x -C "$root" --keep-directory-symlink --delay-directory-restore
  done
}

prune() { # Nothing on a node reads these.
  rm -rf "$root"/usr/share/{doc,doc-base,man,info,locale,lintian,bash-completion,zsh,bug,initramfs-tools,i18n,menu,gtk-doc,apport} \
    "$root"/usr/lib/locale/C.utf8.bak "$root"/usr/share/perl* "$root"/usr/lib/x86_64-linux-gnu/perl* "$root"/boot/System.map-*
}

finalize() { # What the maintainer scripts would have done.
  local version; version=$(ls "$root/usr/lib/modules")
  depmod -b "$root" "$version"
  mkdir -p "$root"/{dev,proc,sys,run,tmp,root,mnt,etc/ssl/certs} && chmod 1777 "$root/tmp" && chmod 700 "$root/root"
  cp "$root/usr/share/base-passwd/passwd.master" "$root/etc/passwd"
  cp "$root/usr/share/base-passwd/group.master" "$root/etc/group"
  printf 'g %s -\n' input kvm render sgx | systemd-sysusers --root="$root" - # by udev's script
  systemd-sysusers --root="$root"
  ldconfig -r "$root"
  find "$root/usr/share/ca-certificates" -name '*.crt' -print0 | sort -z | xargs -0 cat >"$root/etc/ssl/certs/ca-certificates.crt"
  local tool
  for tool in iptables iptables-save iptables-restore ip6tables ip6tables-save ip6tables-restore; do
    ln -sf "${tool/tables/tables-nft}" "$root/usr/sbin/$tool"
  done
  : >"$root/etc/machine-id"
  [ -e "$root/etc/os-release" ] || ln -s ../usr/lib/os-release "$root/etc/os-release"
  [ -e "$root/etc/pam.d/common-session" ] || for tool in auth account password session session-noninteractive; do
    echo "${tool%-*} required pam_permit.so" >"$root/etc/pam.d/common-$tool"
  done
}

lay() {
  if [ -n "$kubelet" ]; then install -m755 "$kubelet" "$root/usr/bin/kubelet"; fi
  if [ -n "$overlay" ]; then cp -a --remove-destination "$overlay"/. "$root"/; fi
  rm -rf "$root"/etc/systemd/system/*.{wants,requires}
  systemctl --root="$root" --quiet preset-all 2>"$out/preset.log" || { cat "$out/preset.log" >&2; exit 1; }
  [ -e "$root/init" ] || ln -s usr/lib/systemd/systemd "$root/init"
}

pack() { # The kernel is booted from beside the image.
  cp "$root"/boot/vmlinuz-* "$out/vmlinuz"
  (cd "$root" && find . -not -path './boot/*' -print0 | sort -z | cpio -0 -o -H newc --quiet) | zstd -3 -T0 -q -f -o "$out/$name.cpio.zst"
}

seconds() { local from=$EPOCHREALTIME; "$@"; printf '%s %s\n' "$1" "$(awk -v a="$from" -v b="$EPOCHREALTIME" 'BEGIN { printf "%.1f", b - a }')" >>"$out/times"; }

: >"$out/times"
if [ -z "$keep" ] || [ ! -d "$root" ]; then
  download
  rm -rf "$root"
  seconds unpack
  echo "unpruned-bytes $(find "$root" -type f -printf '%D:%i %s\n' | sort -u | awk '{ n += $2 } END { print n }')" >>"$out/times"
  prune
  finalize
fi
lay
seconds pack
cat "$out/times"
echo "tree-bytes $(find "$root" -type f -not -path "$root/boot/*" -printf '%D:%i %s\n' | sort -u | awk '{ n += $2 } END { print n }')"
echo "initramfs-bytes $(stat -c %s "$out/$name.cpio.zst")"
