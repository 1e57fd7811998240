#!/usr/bin/env bash
# Bakes the role "worker", boots it in QEMU, and reports how long it took. `make demo` has installed what this needs
# and built kiln.
#
#   hack/demo.sh [OUTPUT]     (default: out/worker)
#
# The release of Kubernetes is the role's own, from upstream, when the servers that it names answer; otherwise
# 1.20.2, compiled from Debian's source package. KILN_DEMO_RELEASE=RELEASE names one and asks no server.
set -euo pipefail
export LC_ALL=C
cd "$(dirname "${BASH_SOURCE[0]}")/.."

# CARGO_TARGET_DIR and cargo's own configuration may name another directory than target/.
kiln=${KILN:-$(cargo metadata --no-deps --offline --format-version 1 | jq --raw-output .target_directory)/release/kiln}
output=${1:-out/worker}
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

# The first URL of the role's release whose server does not offer the file, or nothing.
unavailable() {
    local url
    "$kiln" plan worker --json | jq --raw-output '.profile.release.components[].source.url | strings' >"$log/urls"
    while read -r url; do
        if ! curl --silent --show-error --fail --location --head --max-time 15 --output /dev/null "$url" 2>"$log/curl"; then
            printf '%s (%s)' "$url" "$(tail -n 1 "$log/curl")"
            return
        fi
    done <"$log/urls"
}

fallback=debian-1.20.2
release=${KILN_DEMO_RELEASE:-}
if [[ -z $release ]]; then
    why=$(unavailable)
    if [[ -z $why ]]; then
        release=$("$kiln" plan worker --json | jq --raw-output .profile.release.name)
        say "Kubernetes $release from upstream: all servers that the release names answer"
        echo "The first time, some 150 MB of programs and 120 MB of Debian packages are downloaded."
    else
        release=$fallback
        say "Kubernetes 1.20.2 from Debian's source package, because a server of upstream's release does not answer"
        echo "$why"
        echo "The first time, kubelet is compiled: some 4 minutes on two cores. It is kept in ~/.cache/kiln-test."
    fi
fi
if [[ $release == "$fallback" ]]; then
    # The path in profiles/releases/debian-1.20.2.yaml.
    hack/kubernetes-from-debian.sh --dest ~/.cache/kiln-test/kubernetes-1.20.2/"$(dpkg --print-architecture)"
fi

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

say "$output: a worker with Kubernetes ${release##*[-v]}"
cat <<SUMMARY
   initramfs        $(size initramfs.cpio.zst)
   kernel           $(size vmlinuz)
   build            $(printf %6s "$build") s    ($how)
   containerd active $(printf %5s "$containerd") s    after power-on ($accelerator)
   kubelet healthy  $(printf %6s "$kubelet") s    after power-on (healthz = ok)
SUMMARY
