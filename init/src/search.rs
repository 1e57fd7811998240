//! The search for disks, which appear one after another.

use crate::console::say;
use crate::disks::{Disk, disks};
use crate::drivers::Drivers;
use kiln_init::choice::Stage;
use std::thread;
use std::time::{Duration, Instant};

/// The interval between looks: short enough not to delay a boot.
const POLL: Duration = Duration::from_millis(20);
/// The time without a new disk after which those that are there count as all.
const SETTLED: Duration = Duration::from_secs(2);
/// The time after which the console shows the reason for the wait.
const PATIENCE: Duration = Duration::from_secs(5);
/// The time limit of the search. Controllers with many disks need more than half a minute.
const LIMIT: Duration = Duration::from_secs(120);

/// A search that has begun.
pub(crate) struct Search {
    drivers: Drivers,
    start: Instant,
    /// The disks at the last look, and when they last were others.
    seen: Vec<Disk>,
    changed: Instant,
    told: bool,
}

impl Search {
    /// Loads the modules that are needed on any hardware.
    pub(crate) fn begin() -> Result<Self, String> {
        let mut drivers = Drivers::read()?;
        drivers.load_always();
        let now = Instant::now();
        Ok(Self { drivers, start: now, seen: Vec::new(), changed: now, told: false })
    }

    /// Loads drivers for new devices; returns the disks that are there, and how long the search has
    /// lasted.
    pub(crate) fn look(&mut self) -> (Vec<Disk>, Stage) {
        self.drivers.load_for_devices();
        let found = disks();
        if found != self.seen {
            self.seen.clone_from(&found);
            self.changed = Instant::now();
        }
        let stage = if self.start.elapsed() > LIMIT {
            Stage::Over
        } else if self.changed.elapsed() > SETTLED {
            Stage::Settled
        } else {
            Stage::Early
        };
        (found, stage)
    }

    /// Waits until the next look; says once on the console what for, if it takes long.
    pub(crate) fn wait(&mut self, what: impl FnOnce() -> String) {
        if self.start.elapsed() > PATIENCE && !self.told {
            say(&what());
            self.told = true;
        }
        thread::sleep(POLL);
    }
}
