//! `kiln-agent`: run by kiln-agent.service before kubelet, and by kiln-pod-cidr.service after it.

use kiln_agent::join::{self, End, Setup};
use kiln_agent::pod_cidr;
use kiln_agent::root::RootDir;
use rustix::process::{DumpableBehavior, set_dumpable_behavior};
use std::env;
use std::path::PathBuf;
use std::process::ExitCode;

const USAGE: &str = "\
Usage: kiln-agent [pod-cidr] [--root DIR]

Joins this machine to the cluster of its seed and hands kubelet a client certificate.
pod-cidr    wait instead until the cluster has assigned a pod network to the Node, and install it
--root DIR  read and write below DIR instead of /

Exit status: 0 kubelet may start, or there is no seed; 1 the machine's files cannot be read or written;
2 usage; 3 a person must change something first. /run/kiln/status.json says what.
";

fn main() -> ExitCode {
    // Neither a core dump nor a debugger can read the token.
    set_dumpable_behavior(DumpableBehavior::NotDumpable).ok();
    let mut arguments = env::args_os().skip(1).peekable();
    let waits = arguments.next_if(|word| word == "pod-cidr").is_some();
    let root = match (arguments.next(), arguments.next(), arguments.next()) {
        (None, _, _) => PathBuf::from("/"),
        (Some(flag), Some(directory), None) if flag == "--root" => directory.into(),
        _ => {
            eprint!("{USAGE}");
            return ExitCode::from(2);
        }
    };
    let path = |name: &str| env::var_os(name).map(PathBuf::from);
    let setup =
        Setup { root: RootDir::new(root), credentials: path("CREDENTIALS_DIRECTORY"), notify: path("NOTIFY_SOCKET") };
    ExitCode::from(match if waits { pod_cidr::run(&setup.root) } else { join::run(&setup) } {
        End::Ready | End::NoSeed => 0,
        End::Broken => 1,
        End::Failed => 3,
    })
}
