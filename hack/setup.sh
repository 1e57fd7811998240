#!/usr/bin/env bash
# Installs the Debian packages that kiln's make targets need; only this file lists them.
#
#   hack/setup.sh build|demo|test|fresh [--list]
# Prints what it will install, and installs only missing packages (Debian 12 or 13; root, or sudo).
set -euo pipefail
export LC_ALL=C
# dpkg requires these in root's PATH, which may be inherited from an ordinary user's shell.
export PATH=$PATH:/usr/sbin:/sbin

# Compilers, for liblzma, zstd and ring, and for a static /init.
build=(ca-certificates gcc libc6-dev make)

case $(dpkg --print-architecture) in
    arm64) qemu='qemu-system-arm' uefi='qemu-efi-aarch64' ;;
    *) qemu='qemu-system-x86' uefi='ovmf' ;;
esac
# dpkg-dev unpacks the source package of the demonstration's kubelet.
# curl and jq find out whether the servers of upstream's release answer.
demo=("${build[@]}" debian-archive-keyring dpkg-dev curl jq "$qemu")

# The programs that check kiln's outputs.
test=(
    "${demo[@]}"
    apt dpkg perl-base                      # resolved sets, versions, update-alternatives
    binutils                                # members of packages
    gnupg gpgv sqv                          # signatures
    qemu-utils "$uefi"                      # guests that boot disks
    xz-utils zstd bzip2 tar cpio libarchive-tools # compressors and archives
    kmod libc-bin systemd util-linux fakeroot # depmod, ldconfig, sysusers and presets, unshare; trees packed by hand
    openssl                                 # certificates
    qemu-utils p7zip-full libxml2-utils     # formats of disks
    gdisk e2fsprogs                         # disks to put into them
    dosfstools mtools                       # volumes that hold seeds
    curl jq                                 # HTTP, JSON
    iproute2                                # a network for a kubelet alone
    python3 python3-jsonschema python3-yaml # JSON Schema, YAML
    fdisk gdisk dosfstools mtools e2fsprogs cryptsetup-bin # disks and file systems on them
    binutils llvm qemu-utils                # programs for UEFI, disks of other formats
    strace faketime tzdata procps time      # what a build does, when it thinks it does it, and how much memory it takes
    etcd-server                             # the control plane that agents join
    dnsmasq-base                            # names that agents look up
    iproute2 socat                          # namespaces with a metadata service
    iproute2 iptables socat                 # what CNI plugins call, and traffic between pods
    grep                                    # tokens on disks
    docker-registry skopeo umoci apache2-utils # a registry, images in it, its passwords
    shellcheck
)

# The programs that make a minimal Debian to try all of this in.
fresh=(apt debian-archive-keyring debootstrap util-linux)

usage() { sed -n '2,/^set/{/^set/d;s/^# \{0,1\}//;p}' "$0" >&2; exit 2; }
say() { printf 'setup: %s\n' "$*" >&2; }

is_installed() { [[ $(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null) == installed ]]; }

# Tests get the machine's mirror from apt, which only knows mirrors whose lists it has.
has_lists() { [[ $(apt-get indextargets 'Created-By: Packages' 2>/dev/null) ]]; }

update_lists() {
    # A broken third-party repository makes this fail; if it matters, the installation fails, too.
    "${sudo[@]}" apt-get -qq update >&2 || true
}

# Debian starts the services it installs; tests start their own, on other ports and with other data.
stop_daemons() {
    local unit
    [[ -d /run/systemd/system ]] || return 0
    for unit in etcd docker-registry; do
        [[ " ${missing[*]} " == *" $unit"* ]] || continue
        say "disabling the service that came with a package: $unit (only its program is needed)"
        "${sudo[@]}" systemctl --quiet disable --now "$unit.service" >&2 || true
    done
}

has_cargo() {
    if command -v cargo >/dev/null; then return; fi
    say 'cargo is missing; install a Rust toolchain first, for example with rustup (https://rustup.rs)'
    return 1
}

has_linters() {
    if cargo fmt --version >/dev/null 2>&1 && cargo clippy --version >/dev/null 2>&1; then return; fi
    if ! command -v rustup >/dev/null; then
        say 'rustfmt and clippy are missing; install them with the Rust toolchain'
        return 1
    fi
    say 'adding to the Rust toolchain: rustfmt clippy'
    rustup component add rustfmt clippy
}

(($# >= 1)) || usage
case $1 in
    build) wanted=("${build[@]}") ;;
    demo) wanted=("${demo[@]}") ;;
    test) wanted=("${test[@]}") ;;
    fresh) wanted=("${fresh[@]}") ;;
    *) usage ;;
esac
if [[ ${2-} == --list ]]; then
    printf '%s\n' "${wanted[@]}"
    exit
fi
(($# == 1)) || usage

missing=()
for package in "${wanted[@]}"; do
    is_installed "$package" || missing+=("$package")
done

sudo=()
if ((${#missing[@]})) || { [[ $1 == test ]] && ! has_lists; }; then
    if ((EUID != 0)); then
        command -v sudo >/dev/null || { say "run as root, or install sudo; to be installed: ${missing[*]:-(nothing, but apt-get update)}"; exit 1; }
        sudo=(sudo)
    fi
    if ((${#missing[@]})); then say "installing with apt-get: ${missing[*]}"; else say 'apt has no lists: running apt-get update'; fi
    update_lists
fi
if ((${#missing[@]})); then
    # All packages, not only missing ones: apt may remove a package that is not in its arguments.
    "${sudo[@]}" env DEBIAN_FRONTEND=noninteractive \
        apt-get -qq install -y --no-install-recommends -o Dpkg::Use-Pty=0 "${wanted[@]}" >&2 </dev/null
    stop_daemons
fi
has_cargo
if [[ $1 == test ]]; then has_linters; fi
