//! Changes to accounts that postinst scripts of Debian packages make with adduser(8), addgroup(8)
//! and dpkg-statoverride(1), and that no sysusers.d file contains.

/// Accounts that a package's postinst creates, as sysusers.d lines.
pub struct PostinstAccounts {
    /// The package and the file from which this was taken.
    pub source: &'static str,
    /// A file that is in the tree if the package is.
    pub witness: &'static str,
    /// The name that sorts the lines among the files of sysusers.d.
    pub file: &'static str,
    /// The lines.
    pub lines: &'static str,
}

/// A name that a file of sysusers.d also declares is not a conflict: the file wins.
pub const ACCOUNTS: &[PostinstAccounts] = &[
    PostinstAccounts {
        source: "udev 252 (bookworm): udev.postinst; from trixie on its own debian-udev.conf",
        witness: "usr/lib/systemd/systemd-udevd",
        file: "debian-udev.conf",
        lines: "g input\ng sgx\ng kvm\ng render\n",
    },
    PostinstAccounts {
        source: "openssh-server 9.2 (bookworm): openssh-server.postinst; from trixie on openssh-server.conf",
        witness: "usr/sbin/sshd",
        file: "openssh-server.conf",
        lines: "u sshd -:nogroup \"sshd user\" /run/sshd\n",
    },
    PostinstAccounts {
        source: "rpcbind 1.2.6 (bookworm), 1.2.7 (trixie): rpcbind.postinst",
        witness: "usr/sbin/rpcbind",
        file: "rpcbind.conf",
        lines: "u _rpc -:nogroup - /run/rpcbind\n",
    },
    PostinstAccounts {
        source: "nfs-common 2.6.2 (bookworm), 2.8.3 (trixie): nfs-common.postinst",
        witness: "usr/sbin/rpc.statd",
        file: "nfs-common.conf",
        lines: "u statd -:nogroup - /var/lib/nfs\n",
    },
    PostinstAccounts {
        source: "chrony 4.3 (bookworm), 4.6 (trixie): chrony.postinst",
        witness: "usr/sbin/chronyd",
        file: "chrony.conf",
        lines: "u _chrony - \"Chrony daemon\" /var/lib/chrony\n",
    },
];

/// A `dpkg-statoverride --update --add OWNER GROUP MODE PATH` of a postinst.
pub struct StatOverride {
    /// The package and the file from which this was taken.
    pub source: &'static str,
    /// The file.
    pub path: &'static str,
    /// Owner, by name.
    pub user: &'static str,
    /// Group, by name.
    pub group: &'static str,
    /// Permission bits.
    pub mode: u16,
}

/// Applied if the path is in the tree and the accounts exist.
pub const STAT_OVERRIDES: &[StatOverride] = &[
    StatOverride {
        source: "dbus 1.14 (bookworm), 1.16 (trixie): dbus.postinst",
        path: "usr/lib/dbus-1.0/dbus-daemon-launch-helper",
        user: "root",
        group: "messagebus",
        mode: 0o4754,
    },
    StatOverride {
        source: "chrony 4.3 (bookworm), 4.6 (trixie): chrony.postinst",
        path: "var/lib/chrony",
        user: "_chrony",
        group: "_chrony",
        mode: 0o750,
    },
    StatOverride {
        source: "chrony 4.3 (bookworm), 4.6 (trixie): chrony.postinst",
        path: "var/log/chrony",
        user: "_chrony",
        group: "_chrony",
        mode: 0o750,
    },
];
