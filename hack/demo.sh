#!/usr/bin/env bash
# Bakes the role "worker" with a kubelet built from Debian's source package, boots it in QEMU, and
# reports how long that took. `make demo` installs the required packages and builds kiln first.
#
#   hack/demo.sh [OUTPUT]     (default: out/worker)
set -euo pipefail
export LC_ALL=C
cd "$(dirname "${BASH_SOURCE[0]}")/.."

kiln=${KILN:-target/release/kiln}
output=${1:-out/worker}
release=debian-1.20.2
# Seconds until kubelet must be healthy. It takes 10 s with KVM, about 50 s without.
limit=${KILN_DEMO_LIMIT:-600}

say() { printf '\n== %s\n' "$*"; }
log=$(mktemp -d)
boot=
finish() {
    if [[ -n $boot ]]; then kill "$boot" 2>/dev/null || true; fi
    rm -rf "$log"
}
trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

say "a kubelet: Kubernetes 1.20.2 from Debian's source package (built once, kept in ~/.cache/kiln-test)"
# The path in profiles/releases/debian-1.20.2.yaml.
hack/kubernetes-from-debian.sh --dest ~/.cache/kiln-test/kubernetes-1.20.2/"$(dpkg --print-architecture)"

say "kiln build worker --release $release -o $output"
"$kiln" build worker --release "$release" -o "$output" 2> >(tee "$log/build" >&2) | tee "$log/built"

say "kiln boot $output --demo --once (gives up after $limit s)"
# timeout(1) runs it in a separate process group, so that a timeout also ends QEMU.
timeout --kill-after=10 "$limit" "$kiln" boot "$output" --demo --once </dev/null 2>"$log/boot" &
boot=$!
tail --pid="$boot" -n +1 -f "$log/boot" >&2 &
status=0
wait "$boot" || status=$?
boot=
wait

# `containerd 33.68 (power-on + 37.4 s)`: the guest's uptime, then wall time since the start of QEMU.
since_power_on() { sed -n "s/.*\b$1 [0-9.]* (power-on + \([0-9.]*\) s).*/\1/p" "$log/boot" | head -n 1; }
containerd=$(since_power_on containerd)
kubelet=$(since_power_on kubelet)
if [[ -z $containerd || -z $kubelet ]]; then
    say "FAILED: ${containerd:+containerd was active after $containerd s, but }kubelet was not healthy within $limit s" >&2
    exit 1
fi
((status == 0)) || { say "FAILED: the machine did not power off cleanly (exit code $status)" >&2; exit 1; }

size() { stat -c %s "$output/pxe/$1" | awk '{ printf "%6.1f MB", $1 / 1e6 }'; }
build=$(sed -n 's/.*, in \([0-9.]*\) s$/\1/p' "$log/built")
accelerator=KVM
if grep -q 'KVM is not usable' "$log/boot"; then accelerator='no KVM: QEMU translates every instruction'; fi
# `[   17.81s] unpack: 211.35 MiB in 1.6s`: the phases without downloads.
baking=$(sed -n 's/.*\] \(unpack\|assemble\|compress\): .* in \([0-9.]*\)s$/\2/p' "$log/build" | awk '{ n += $1 } END { printf "%.1f", n }')
how="of it $baking s for baking, the rest for the lock and downloads"
if grep -q 'nothing changed' "$log/build"; then how='nothing had changed since the last build'; fi

say "$output: a worker with Kubernetes 1.20.2"
cat <<SUMMARY
   initramfs        $(size initramfs.cpio.zst)
   kernel           $(size vmlinuz)
   build            $(printf %6s "$build") s    ($how)
   containerd active $(printf %5s "$containerd") s    after power-on ($accelerator)
   kubelet healthy  $(printf %6s "$kubelet") s    after power-on (healthz = ok)
SUMMARY
