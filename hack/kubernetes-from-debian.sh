#!/usr/bin/env bash
# Builds static Kubernetes 1.20.2 binaries, the same to the last bit on every host, from Debian
# bookworm's source package and Debian's Go 1.19, for tests that boot a real kubelet.
set -euo pipefail
umask 022
export LC_ALL=C

version=1.20.2
suite=bookworm
keyring=/usr/share/keyrings/debian-archive-keyring.gpg
known=(kubelet kube-apiserver kube-controller-manager kube-scheduler kube-proxy kubectl kubeadm)
arch=$(dpkg --print-architecture)
dest=${XDG_CACHE_HOME:-$HOME/.cache}/kiln-test/kubernetes-$version/$arch

usage() {
    cat <<USAGE
usage: ${0##*/} [--dest DIR] [COMPONENT...]

Builds COMPONENTs (default: kubelet) of Kubernetes $version and prints their paths.
What was built before by this version of the script is kept.

  --dest DIR  where the binaries go (default: $dest)
  COMPONENT   ${known[*]}
USAGE
}

say() { printf '%s: %s\n' "${0##*/}" "$*" >&2; }
die() { say "$@"; exit 1; }

# The packages of a suite this old hardly move, so the script's own digest stands for all inputs:
# asking the mirror would cost every run a network.
inputs=$arch:$(sha256sum <"${BASH_SOURCE[0]}" | cut -d ' ' -f 1)

is_current() {
    [[ -x $dest/$1 && $(cat "$dest/.$1.inputs" 2>/dev/null) == "$inputs" ]]
}

install_missing_tools() {
    if command -v dpkg-source >/dev/null; then return; fi
    say "installing dpkg-dev on this host, to unpack a source package"
    local sudo=()
    if ((EUID != 0)); then sudo=(sudo); fi
    # One broken third-party repository makes this fail; whether it matters, the install shows.
    "${sudo[@]}" apt-get -qq update >&2 || true
    "${sudo[@]}" env DEBIAN_FRONTEND=noninteractive \
        apt-get -qq install -y --no-install-recommends dpkg-dev >&2
}

private_apt() { apt-get -qq -c "$work/apt.conf" "$@" >&2; }

# What the host's own configuration says about releases, pins and hooks is about the host; only
# how it reaches its mirror (proxies, credentials) is meant to apply here too.
write_private_apt_config() {
    mkdir -p "$work"/apt/{state/lists,cache/archives}/partial
    cat >"$work/apt.conf" <<CONF
Dir::State "$work/apt/state";
Dir::State::status "/dev/null";
Dir::Cache "$work/apt/cache";
Dir::Etc::sourcelist "$work/apt/debian.sources";
Dir::Etc::sourceparts "/dev/null";
Dir::Etc::preferences "/dev/null";
Dir::Etc::preferencesparts "/dev/null";
APT::Default-Release "";
#clear APT::Update;
APT::Get::AllowUnauthenticated "false";
Acquire::AllowInsecureRepositories "false";
// Apt's download user cannot write into a private directory.
APT::Sandbox::User "root";
CONF
}

# Reads one-line lists and deb822 files alike, and needs neither root nor lists on the host.
repositories_of_host() {
    mkdir -p "$work/host-lists/partial"
    apt-get -o Dir::State::lists="$work/host-lists" update --print-uris |
        sed -n "s|^'\(.*\)/dists/.*/InRelease'.*|\1|p" | awk '!seen[$0]++'
}

# Which of the repositories is Debian's is for the signature to say, not for a host name.
find_mirror() {
    local uri
    for uri in $(repositories_of_host); do
        cat >"$work/apt/debian.sources" <<SOURCES
Types: deb deb-src
URIs: $uri
Suites: $suite
Components: main
Architectures: $arch
Targets: Packages Sources
Signed-By: $keyring
SOURCES
        say "looking for $suite at $uri"
        if private_apt update --error-on=any; then return; fi
    done
    die "no apt repository of this host serves Debian $suite"
}

fetch() {
    write_private_apt_config
    find_mirror
    say "downloading the kubernetes source and Go 1.19"
    mkdir "$work/packages" "$work/root"
    (
        cd "$work/packages"
        private_apt source --download-only kubernetes
        private_apt download golang-1.19-go golang-1.19-src golang-github-modern-go-reflect2-dev
    )
}

unpack() {
    local deb dsc
    say "unpacking"
    for deb in "$work"/packages/*.deb; do dpkg-deb -x "$deb" "$work/root"; done
    dsc=("$work"/packages/kubernetes_*"$version"-*.dsc)
    [[ -e ${dsc[0]} ]] || die "the kubernetes source in $suite is not $version"
    mkdir -p "${source%/*}"
    # apt has verified these files against the signed release, which dpkg-source knows nothing of.
    dpkg-source --no-check -x "${dsc[0]}" "$source" >/dev/null

    # The vendored 1.0.1 panics under Go 1.18 and later, as soon as a component encodes a map.
    rm -r "$source/vendor/github.com/modern-go/reflect2"
    cp -r "$work/root/usr/share/gocode/src/github.com/modern-go/reflect2" \
        "$source/vendor/github.com/modern-go/"
}

# An empty environment: a stray GOFLAGS or GOAMD64 would change the result unnoticed.
# TMPDIR, because /tmp may be memory.
in_gopath() (
    cd "$source"
    local goroot=$work/root/usr/lib/go-1.19
    env -i PATH="$goroot/bin:/usr/bin:/bin" HOME="$work" TMPDIR="$work" LC_ALL="$LC_ALL" \
        GOROOT="$goroot" GOPATH="$work/go" GOCACHE="$work/go-cache" GOENV=off \
        GO111MODULE=off CGO_ENABLED=0 "$@"
)

# The one generated file that the source lacks, and only kube-apiserver wants it. Upstream's
# `make generated_files` arrives at the same file, minutes later.
generate_openapi() {
    local packages
    say "generating the OpenAPI definitions"
    packages=$(
        cd "$source"
        grep -rl --include='*.go' '+k8s:openapi-gen=' pkg staging/src/k8s.io |
            grep -vE '^staging/src/k8s.io/(code-generator|sample-apiserver)/' |
            sed "s|^staging/src|vendor|; s|^|$package/|; s|/[^/]*$||" |
            sort -u | paste -sd ,
    )
    in_gopath go build -o "$work/openapi-gen" $package/vendor/k8s.io/kube-openapi/cmd/openapi-gen
    in_gopath "$work/openapi-gen" -i "$packages" -p $package/pkg/generated/openapi \
        -O zz_generated.openapi -h vendor/k8s.io/code-generator/hack/boilerplate.go.txt \
        -r "$work/violations"
    cmp "$work/violations" "$source/api/api-rules/violation_exceptions.list" >&2
}

# -trimpath and the empty build id keep the work directory's name out of the binaries. The build
# date is left at its default, 1970; the commit is in the source already. Tags as upstream's.
compile() {
    local where field flags='-s -w -buildid='
    for where in component-base/version client-go/pkg/version; do
        for field in gitMajor=1 gitMinor=20 gitVersion=v$version gitTreeState=archive; do
            flags+=" -X $package/vendor/k8s.io/$where.$field"
        done
    done
    if [[ " $* " == *' kube-apiserver '* ]]; then generate_openapi; fi
    say "compiling $* (this takes minutes)"
    mkdir "$work/bin"
    in_gopath go build -trimpath -tags selinux,notest -ldflags "$flags" -o "$work/bin/" \
        "${@/#/$package/cmd/}"
}

deliver() {
    local component
    for component; do
        # No moment at which an old record vouches for a new binary.
        rm -f "$dest/.$component.inputs"
        cp "$work/bin/$component" "$dest/.$component.new"
        mv "$dest/.$component.new" "$dest/$component"
        echo "$inputs" >"$dest/.$component.inputs"
    done
}

components=()
while (($#)); do
    case $1 in
        -h | --help) usage; exit ;;
        --dest)
            (($# > 1)) || die "--dest wants a directory"
            dest=$2
            shift
            ;;
        *)
            [[ " ${known[*]} " == *" $1 "* ]] || die "unknown component \"$1\" (known: ${known[*]})"
            components+=("$1")
            ;;
    esac
    shift
done
((${#components[@]})) || components=(kubelet)

mkdir -p "$dest"
dest=$(realpath "$dest")
exec {lock}>"$dest/.lock"
flock -n "$lock" || { say "waiting for another run"; flock "$lock"; }

stale=()
for component in "${components[@]}"; do
    is_current "$component" || stale+=("$component")
done

if ((${#stale[@]})); then
    install_missing_tools
    # Gigabytes, and on some hosts /tmp is memory.
    work=$(mktemp -d "${TMPDIR:-/var/tmp}/kiln-kubernetes.XXXXXX")
    trap 'rm -rf "$work"' EXIT
    # Without these a signal would remove the directory under a compiler that is still writing.
    trap 'exit 130' INT
    trap 'exit 143' TERM HUP
    package=k8s.io/kubernetes
    source=$work/go/src/$package
    fetch
    unpack
    compile "${stale[@]}"
    deliver "${stale[@]}"
else
    say "nothing to do: ${components[*]} of Kubernetes $version already built"
fi
printf '%s\n' "${components[@]/#/$dest/}"
