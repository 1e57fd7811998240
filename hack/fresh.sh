#!/usr/bin/env bash
# Runs `make demo` and `make test` as a new user would: on the committed files of HEAD, in a minimal
# Debian made by debootstrap, as root and as an ordinary user with sudo. Needs root; changes nothing
# on this machine outside its directory in the cache.
set -euo pipefail
umask 022
export LC_ALL=C
cd "$(dirname "${BASH_SOURCE[0]}")/.."

suites=(bookworm trixie)
users=(root ordinary)
commands=(demo test)
cached=
keep=
custom=
cache=${XDG_CACHE_HOME:-$HOME/.cache}/kiln-test
fresh=$cache/fresh

usage() {
    cat <<USAGE
usage: ${0##*/} [--suite bookworm|trixie] [--user root|ordinary] [--only demo|test] [--cached] [--keep] [-- COMMAND...]

Runs "make demo" and "make test" of the committed HEAD in a minimal Debian root made by debootstrap:
on bookworm and trixie, as root and as an ordinary user with sudo (default: all four). The two
commands run one after the other in the same root. Prints one line per command with its result; logs
are in $fresh/logs.

  --suite SUITE  use only this suite
  --user USER    use only this user
  --only TARGET  run only "make TARGET"
  --cached       copy this machine's Kubernetes programs and cargo registry (default: only the clone)
  --keep         keep the root for inspection, in $fresh/SUITE/USER
  COMMAND...     run this in the clone instead of make, e.g. -- hack/setup.sh test

The root uses the following of this machine: the network with resolv.conf, apt's mirror and Acquire
settings, authorities in /usr/local/share/ca-certificates, cargo's config.toml, proxy and CARGO_
variables, /dev/kvm, /dev/fuse and /dev/net/tun, and the Rust toolchain, read-only in /opt/rust. New
users get the toolchain from https://rustup.rs instead, which also sets PATH: make adds ~/.cargo/bin
itself.
USAGE
}

say() { printf '%s: %s\n' "${0##*/}" "$*" >&2; }
die() { say "$@"; exit 1; }

# Prints the URI of the host's mirror of an archive, given the label in the archive's Release file.
mirror() {
    local uri
    uri=$(apt-get indextargets --format "\$(ORIGIN)|\$(LABEL)|\$(COMPONENT)|\$(REPO_URI)" 'Created-By: Packages' |
        sed -n "s/^Debian|$1|main|//p" | head -n 1)
    [[ $uri ]] || die "apt's sources on this machine do not name a mirror of $1 (run apt-get update)"
    printf '%s\n' "$uri"
}

sources() {
    local suite=$1 main=$2 security=$3 keyring=/usr/share/keyrings/debian-archive-keyring.gpg
    printf 'Types: deb\nURIs: %s\nSuites: %s %s-updates\nComponents: main\nSigned-By: %s\n\n' "$main" "$suite" "$suite" "$keyring"
    printf 'Types: deb\nURIs: %s\nSuites: %s-security\nComponents: main\nSigned-By: %s\n' "$security" "$suite" "$keyring"
}

# Runs debootstrap once; each run starts from a copy of the result.
bootstrap() {
    local suite=$1 base=$fresh/$1/base main
    if [[ -e $base.made ]]; then return; fi
    main=$(mirror Debian)
    rm -rf --one-file-system "$base"
    say "debootstrap $suite (log: $fresh/logs/$suite-debootstrap.log)"
    debootstrap --variant=minbase --keyring=/usr/share/keyrings/debian-archive-keyring.gpg "$suite" "$base" "$main" \
        >"$fresh/logs/$suite-debootstrap.log" 2>&1 || die "debootstrap failed: $(tail -n 3 "$fresh/logs/$suite-debootstrap.log")"
    : >"$base.made"
}

# Gives the root this machine's network configuration.
furnish() {
    local suite=$1 root=$2 main security
    main=$(mirror Debian)
    security=$(mirror Debian-Security)
    rm -f "$root/etc/apt/sources.list" "$root/etc/resolv.conf"
    sources "$suite" "$main" "$security" >"$root/etc/apt/sources.list.d/debian.sources"
    apt-config dump | grep -E '^Acquire::(http|https|Retries|Check-|Force)' >"$root/etc/apt/apt.conf.d/90host" || true
    cp --dereference /etc/resolv.conf "$root/etc/resolv.conf"
    echo fresh >"$root/etc/hostname"
    { cat /etc/hosts; echo '127.0.1.1 fresh'; } >"$root/etc/hosts"
    if [[ -d /usr/local/share/ca-certificates ]]; then
        mkdir -p "$root/usr/local/share/ca-certificates"
        cp -r /usr/local/share/ca-certificates/. "$root/usr/local/share/ca-certificates/"
    fi
    # Without this, Debian's packages would start their daemons on this machine, since the root has no
    # init.
    printf '#!/bin/sh\nexit 101\n' >"$root/usr/sbin/policy-rc.d"
    chmod 0755 "$root/usr/sbin/policy-rc.d"
}

# Makes the clone and the user's home.
settle() {
    local root=$1 home=$2 cargo=${CARGO_HOME:-$HOME/.cargo} programs
    mkdir -p "$root$home/kiln" "$root$home/.cargo" "$root$home/.cache/kiln-test"
    git -c safe.directory='*' archive HEAD | tar -x -C "$root$home/kiln"
    for config in "$cargo/config.toml" "$cargo/config"; do
        if [[ -e $config ]]; then cp "$config" "$root$home/.cargo/"; fi
    done
    if [[ $cached ]]; then
        for programs in "$cache"/kubernetes-*; do
            if [[ -d $programs ]]; then cp -a "$programs" "$root$home/.cache/kiln-test/"; fi
        done
        if [[ -d $cargo/registry ]]; then
            mkdir -p "$root$home/.cargo/registry"
            for part in cache index; do cp -a "$cargo/registry/$part" "$root$home/.cargo/registry/"; done
        fi
    fi
}

# Prints the variables that configure network access. Paths of authorities are those of the root.
passed_on() {
    local name
    for name in http_proxy https_proxy no_proxy all_proxy HTTP_PROXY HTTPS_PROXY NO_PROXY ALL_PROXY \
        "${!CARGO_HTTP_@}" "${!CARGO_NET_@}" "${!CARGO_REGISTRIES_@}" "${!CARGO_SOURCE_@}"; do
        if [[ ${!name-} ]]; then printf '%s=%s\n' "$name" "${!name}"; fi
    done
}

# Runs in separate namespaces, as process 1, so that all mounts end with it. Uses pivot_root instead
# of chroot, because in a chroot the kernel rejects user namespaces, which an ordinary user's tests
# need.
inside() {
    local root=$1 toolchain=$2 device
    shift 2
    hostname fresh
    mount --bind "$root" "$root"
    cd "$root"
    mount -t proc proc proc
    mount --rbind /sys sys
    mount -t tmpfs -o mode=0755 none dev
    for device in null zero full random urandom tty kmsg kvm fuse net/tun; do
        [[ -e /dev/$device ]] || continue
        mkdir -p "$(dirname "dev/$device")"
        : >"dev/$device"
        mount --bind "/dev/$device" "dev/$device"
    done
    mkdir dev/pts dev/shm
    mount -t devpts -o newinstance,ptmxmode=0666,mode=0620 devpts dev/pts
    mount -t tmpfs -o mode=1777 none dev/shm
    ln -s pts/ptmx dev/ptmx
    ln -s /proc/self/fd dev/fd
    for device in 0:stdin 1:stdout 2:stderr; do ln -s "/proc/self/fd/${device%:*}" "dev/${device#*:}"; done
    mount -t tmpfs -o mode=0755 none run
    mkdir run/lock
    chmod 1777 run/lock
    mkdir -p opt/rust .host
    mount --bind "$toolchain" opt/rust
    mount -o remount,bind,ro opt/rust
    pivot_root . .host
    cd /
    umount --lazy .host
    rmdir .host
    exec "$@"
}

# Runs a command as process 1 of the root, in a separate process group: Ctrl-C goes to this script,
# which ends everything.
enter() {
    local root=$1 status=0
    shift
    set -m
    unshare --mount --pid --uts --ipc --fork --kill-child bash "$PWD/hack/fresh.sh" --inside "$root" "$toolchain" "$@" </dev/null &
    child=$!
    set +m
    wait "$child" || status=$?
    child=
    return "$status"
}

# Installs what a new user already has: an account that may become root, and make.
prepare() {
    local suite=$1 user=$2 root=$3 log=$fresh/logs/$1-$2-prepare.log wanted=()
    if [[ ! $custom ]]; then wanted+=(make); fi
    if [[ $user == ordinary ]]; then wanted+=(sudo); fi
    enter "$root" env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root DEBIAN_FRONTEND=noninteractive sh -euc '
        if [ $# -gt 0 ]; then
            apt-get -qq update
            apt-get -qq install -y --no-install-recommends "$@"
        fi
        if [ -d /etc/sudoers.d ]; then
            useradd --create-home --shell /bin/bash --uid 1000 ordinary
            echo "ordinary ALL=(ALL) NOPASSWD: ALL" >/etc/sudoers.d/ordinary
            chmod 0440 /etc/sudoers.d/ordinary
        fi
        rm -rf /var/lib/apt/lists/*
    ' sh "${wanted[@]}" >"$log" 2>&1 || die "$suite: installing ${wanted[*]}: $(tail -n 3 "$log")"
}

# Runs one command in the root; writes its log and prints its result line.
measure() {
    local suite=$1 user=$2 name=$3 root=$4 home=$5 log began status=0 result=ok variables line
    shift 5
    log=$fresh/logs/$suite-$user-$name.log
    mapfile -t variables < <(passed_on)
    # Debian's default paths: those of an ordinary user do not include sbin.
    local path=/opt/rust/bin:/usr/local/bin:/usr/bin:/bin become=()
    if [[ $user == root ]]; then
        path=/opt/rust/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
    else
        become=(setpriv --reuid 1000 --regid 1000 --init-groups --)
    fi
    say "$suite, $user: $* (log: $log)"
    began=$(date +%s)
    enter "$root" "${become[@]}" env -i "${variables[@]}" PATH="$path" HOME="$home" USER="$user" LOGNAME="$user" TERM="${TERM:-dumb}" \
        bash -c "cd \"\$HOME/kiln\" && exec \"\$@\"" bash "$@" >"$log" 2>&1 || status=$?
    if ((status != 0)); then
        result="FAILED ($status)"
        failed=1
        tail -n 5 "$log" | sed 's/^/    | /' >&2
    fi
    printf -v line '%-9s %-9s %-8s %6s s  %-13s %s' "$suite" "$user" "$name" "$(($(date +%s) - began))" "$result" "$log"
    results+=("$line")
    say "$line"
}

# Runs all commands of one user on one suite.
visit() {
    local suite=$1 user=$2 root=$fresh/$1/$2 home=/root command
    bootstrap "$suite"
    rm -rf --one-file-system "$root"
    cp -a --reflink=auto "$fresh/$suite/base" "$root"
    furnish "$suite" "$root"
    prepare "$suite" "$user" "$root"
    if [[ $user == ordinary ]]; then home=/home/ordinary; fi
    settle "$root" "$home"
    if [[ $user == ordinary ]]; then chown -R 1000:1000 "$root$home"; fi
    if [[ $custom ]]; then
        measure "$suite" "$user" command "$root" "$home" "${command_line[@]}"
    else
        for command in "${commands[@]}"; do measure "$suite" "$user" "$command" "$root" "$home" make "$command"; done
    fi
    if [[ ! $keep ]]; then rm -rf --one-file-system "$root"; fi
}

if [[ ${1-} == --inside ]]; then
    shift
    inside "$@"
fi

one_of() { [[ " ${*:2} " == *" $1 "* ]] || die "\"$1\" is not one of: ${*:2}"; }
chosen_suites=()
chosen_users=()
chosen_commands=()
while (($#)); do
    case $1 in
        -h | --help) usage; exit ;;
        --cached) cached=yes ;;
        --keep) keep=yes ;;
        --)
            shift
            (($#)) || die 'a command is missing after --'
            custom=yes
            command_line=("$@")
            break
            ;;
        --suite | --user | --only)
            (($# > 1)) || die "$1 needs a value"
            case $1 in
                --suite) one_of "$2" "${suites[@]}"; chosen_suites+=("$2") ;;
                --user) one_of "$2" "${users[@]}"; chosen_users+=("$2") ;;
                --only) one_of "$2" "${commands[@]}"; chosen_commands+=("$2") ;;
            esac
            shift
            ;;
        *) usage >&2; exit 2 ;;
    esac
    shift
done
if ((${#chosen_suites[@]})); then suites=("${chosen_suites[@]}"); fi
if ((${#chosen_users[@]})); then users=("${chosen_users[@]}"); fi
if ((${#chosen_commands[@]})); then commands=("${chosen_commands[@]}"); fi

((EUID == 0)) || die "debootstrap and mounts need root: sudo -E env PATH=\"\$PATH\" $0"
hack/setup.sh fresh
toolchain=$(rustc --print sysroot)
mkdir -p "$fresh/logs"
exec {lock}>"$fresh/lock"
flock -n "$lock" || die "another run is using $fresh"
results=()
failed=0
child=
trap 'if [[ $child ]]; then kill -KILL "$child" 2>/dev/null || true; fi' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP
for suite in "${suites[@]}"; do
    for user in "${users[@]}"; do visit "$suite" "$user"; done
done
printf '\n== fresh machines, HEAD is %s\n' "$(git -c safe.directory='*' rev-parse --short HEAD)"
printf '%s\n' "${results[@]}"
exit "$failed"
