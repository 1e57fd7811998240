//! The power is cut at random moments, and the next boot comes up.
//!
//! How often: `KILN_POWER_CUTS=FIRST,LATER`, by default one first boot is cut and one that writes,
//! because each takes a boot or two; `make boots` cuts more and `make powercut` 30 and 10 times.
//! The moments follow from `KILN_POWER_CUT_SEED`, which a failure prints.

use crate::disk_boot::disks::{GIB, fresh, image};
use crate::disk_boot::esp::{Esp, kernel};
use crate::disk_boot::guest::{LIMIT, machine, turn};
use kiln::boot::{Disk, Guest, Handout, Machine};
use std::env;
use std::time::{Duration, SystemTime};

/// The first line of the kernel that has found `/init`, of `/init` when the state is mounted, and
/// of systemd.
const BEGIN: &str = "Run /init as init process";
const MOUNTED: &str = "kiln-init: the state is /dev/vda6";
const SYSTEMD: &str = "systemd[1]: Detected architecture";

/// Cuts of first boots and of later ones.
fn cuts() -> [u32; 2] {
    let Ok(text) = env::var("KILN_POWER_CUTS") else { return [1, 0] };
    let numbers: Vec<u32> =
        text.split(',').map(|number| number.parse().expect("KILN_POWER_CUTS=FIRST,LATER")).collect();
    numbers.try_into().expect("KILN_POWER_CUTS=FIRST,LATER")
}

/// Marsaglia's xorshift: random enough for moments, and repeatable.
struct Random(u64);

impl Random {
    fn new() -> Self {
        let clock = || SystemTime::UNIX_EPOCH.elapsed().map_or(1, |time| time.as_secs());
        let seed = env::var("KILN_POWER_CUT_SEED").map_or_else(|_| clock(), |text| text.parse().expect("a number"));
        println!("KILN_POWER_CUT_SEED={seed}");
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    /// A moment before `end`.
    fn moment(&mut self, end: Duration) -> Duration {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        end.mul_f64((self.0 >> 11) as f64 / (1_u64 << 53) as f64)
    }
}

/// A guest that runs `/init` by now, on `disk`.
fn started(machine: &Machine, disk: &Disk, handout: &Handout) -> Guest {
    let mut guest = Guest::start(machine, disk, handout).expect("QEMU");
    guest.console_says(BEGIN, LIMIT).unwrap_or_else(|error| panic!("{error}\n{}", guest.console()));
    guest
}

/// Cuts the power `moment` from now; returns the console.
fn cut_after(guest: Guest, moment: Duration) -> String {
    std::thread::sleep(moment);
    let console = guest.console();
    guest.cut_power();
    console
}

/// How far a boot had come, by its console.
fn stage(console: &str) -> &'static str {
    let stages = [(SYSTEMD, "systemd"), (MOUNTED, "mounted"), ("made the partition", "made"), ("the root is", "root")];
    stages.into_iter().find(|(line, _)| console.contains(line)).map_or("drivers", |(_, name)| name)
}

/// Checks that a boot comes up: everything that is `/init`'s is done when systemd speaks. Returns
/// how long that took.
fn comes_up(guest: &mut Guest, about: &str) -> Duration {
    let begin = guest.uptime();
    for line in [MOUNTED, SYSTEMD] {
        guest.console_says(line, LIMIT).unwrap_or_else(|error| panic!("{about}: {error}\n{}", guest.console()));
    }
    guest.uptime() - begin
}

#[test]
fn while_state_is_made() {
    let [count, _] = cuts();
    let mut random = Random::new();
    let image = image("trixie");
    let _turn = turn();
    let guests = fresh(image, 2 * GIB as i64);
    let machine = machine(&guests.disk);
    // How long a first boot takes here, from /init to systemd.
    let window = comes_up(&mut started(&machine, &guests.disk, &Handout::none()), "without a power cut");
    for number in 1..=count {
        let guests = fresh(image, 2 * GIB as i64);
        let moment = random.moment(window);
        let console = cut_after(started(&machine, &guests.disk, &Handout::none()), moment);
        let about = format!("cut {number} of {count}, {moment:?} after /init began ({})", stage(&console));
        println!("{about}");
        let mut next = started(&machine, &guests.disk, &Handout::none());
        comes_up(&mut next, &about);
        // Made once; a boot that is cut off between the table and the word of it says nothing, and
        // nor does the next.
        let made = [console, next.console()].map(|console| console.contains("made the partition"));
        assert!(made != [true, true], "{about}");
        drop(next);
        // The boot loader counted both boots, and nobody said yet that they were good.
        assert_eq!(kernel(&guests, image), "kiln-probed_1.20.2+1-2.efi", "{about}");
    }
}

/// Counts as fast as a disk takes it; what was said is on the disk.
const COUNT: &str = "\
read -r id </etc/machine-id
read -r count </var/lib/kiln-count || count=0
echo \"start $id $count\"
for ((;;)); do
  count=$((count + 1))
  echo $count >/var/lib/kiln-count.new
  sync /var/lib/kiln-count.new
  mv /var/lib/kiln-count.new /var/lib/kiln-count
  sync /var/lib
  echo \"count $count\"
done
";

/// Boots until the script counts; returns the guest, the machine id and the count that was on the
/// disk.
fn counting(machine: &Machine, disk: &Disk) -> (Guest, String, u64) {
    let mut guest = started(machine, disk, &Handout::none().script(COUNT));
    let line = guest.line("start", LIMIT).unwrap_or_else(|error| panic!("{error}\n{}", guest.console()));
    let words: Vec<&str> = line.split(' ').collect();
    let ["start", id, count] = words[..] else { panic!("{line}") };
    (guest, id.to_owned(), count.parse().unwrap_or_else(|_| panic!("{line}")))
}

#[test]
fn in_later_boots() {
    let [_, count] = cuts();
    let mut random = Random::new();
    let _turn = turn();
    let guests = fresh(image("trixie"), 2 * GIB as i64);
    let machine = machine(&guests.disk);
    let (mut guest, id, begin) = counting(&machine, &guests.disk);
    assert_eq!(begin, 0);
    let mut counted = 0;
    let deadline = guest.uptime() + Duration::from_secs(1) + random.moment(Duration::from_secs(4));
    while counted == 0 || guest.uptime() < deadline {
        let line = guest.line("count", LIMIT).unwrap_or_else(|error| panic!("{error}\n{}", guest.console()));
        counted = line.strip_prefix("count ").and_then(|count| count.parse().ok()).unwrap_or_else(|| panic!("{line}"));
    }
    guest.cut_power();

    for number in 1..=count {
        let mut guest = started(&machine, &guests.disk, &Handout::none());
        // Each of these boots shows that the one before it did no harm: some before they are cut,
        // others in the next.
        let about = format!("cut {number} of {count}");
        let window = comes_up(&mut guest, &about);
        let moment = if number % 2 == 0 {
            random.moment(Duration::from_secs(30))
        } else {
            drop(guest);
            guest = started(&machine, &guests.disk, &Handout::none());
            random.moment(window)
        };
        let console = cut_after(guest, moment);
        println!(
            "{about}, {moment:?} after {} ({})",
            if number % 2 == 0 { "systemd" } else { "/init" },
            stage(&console)
        );
    }
    let (guest, last_id, left) = counting(&machine, &guests.disk);
    assert_eq!(last_id, id, "the machine id changed\n{}", guest.console());
    assert!(left >= counted, "{counted} was written, {left} is left\n{}", guest.console());
    println!("{counted} was written, {left} is left");
    drop(guest);
    println!("{} is on the EFI system partition", Esp::read(&guests, image("trixie")).kernel());
}
