//! Loads the modules of the list that are always needed, and those that devices need.

use crate::console::say;
use kiln_init::modules::{self, Module};
use rustix::io::Errno;
use rustix::system::finit_module;
use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};

/// finit_module(2): the kernel decompresses the file.
const MODULE_INIT_COMPRESSED_FILE: i32 = 4;

/// The available modules and their state.
pub(crate) struct Drivers {
    modules: BTreeMap<String, Module>,
    /// Names of modules that were tried, successfully or not.
    tried: BTreeSet<String>,
    /// Aliases of devices that were handled.
    seen: BTreeSet<String>,
}

impl Drivers {
    /// Reads the list at [`modules::FILE`]; a missing list counts as empty.
    pub(crate) fn read() -> Result<Self, String> {
        let path = format!("/{}", modules::FILE);
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
            Err(error) => return Err(format!("reading {path}: {error}")),
        };
        let list = modules::decode(&text).map_err(|error| error.to_string())?;
        let modules = list.into_iter().map(|module| (module.name(), module)).collect();
        Ok(Self { modules, tried: BTreeSet::new(), seen: BTreeSet::new() })
    }

    /// Loads the modules that are needed on any hardware.
    pub(crate) fn load_always(&mut self) {
        let always = self.modules.values().filter(|module| module.aliases.is_empty());
        let names: Vec<String> = always.map(Module::name).collect();
        names.iter().for_each(|name| self.load(name));
    }

    /// Loads the modules of devices that appeared since the last call.
    pub(crate) fn load_for_devices(&mut self) {
        for modalias in modaliases() {
            if self.seen.insert(modalias.clone()) {
                let drivers = self.modules.values().filter(|module| module.drives(&modalias));
                let names: Vec<String> = drivers.map(Module::name).collect();
                names.iter().for_each(|name| self.load(name));
            }
        }
    }

    /// Loads a module once, after its dependencies.
    fn load(&mut self, name: &str) {
        if !self.tried.insert(name.to_owned()) {
            return;
        }
        let Some(Module { path, needs, .. }) = self.modules.get(name).cloned() else { return };
        needs.iter().for_each(|need| self.load(need));
        match insert(&path) {
            // It is already loaded, or this hypervisor or processor does not have it.
            Ok(()) | Err(Errno::EXIST | Errno::NODEV | Errno::OPNOTSUPP) => {}
            Err(error) => say(&format!("loading /{path}: {error}")),
        }
    }
}

fn insert(path: &str) -> Result<(), Errno> {
    let path = format!("/{path}");
    let file = File::open(&path).map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::IO))?;
    let flags = if path.ends_with(".ko") { 0 } else { MODULE_INIT_COMPRESSED_FILE };
    finit_module(&file, c"", flags)
}

/// The aliases of all devices.
fn modaliases() -> BTreeSet<String> {
    let list = |path: &str| fs::read_dir(path).into_iter().flatten().flatten().map(|entry| entry.path());
    list("/sys/bus")
        .flat_map(|bus| fs::read_dir(bus.join("devices")).into_iter().flatten().flatten())
        .filter_map(|device| fs::read_to_string(device.path().join("modalias")).ok())
        .map(|modalias| modalias.trim_end().to_owned())
        .filter(|modalias| !modalias.is_empty())
        .collect()
}
