//! The power is cut at random moments, and the next boot succeeds. `KILN_POWER_CUTS=FIRST,LATER`
//! sets how often: by default once in a first boot and once in a boot that writes, because each cut
//! takes a boot or two; `make boots` cuts more often, `make powercut` 30 and 10 times. The moments
//! are derived from `KILN_POWER_CUT_SEED`, which a failure prints.

use crate::disk_boot::disks::{GIB, fresh, image};
use crate::disk_boot::esp::{Esp, kernel};
use crate::disk_boot::guest::{LIMIT, machine, turn};
use kiln::boot::{Disk, Guest, Handout, Machine};
use std::env;
use std::time::{Duration, SystemTime};

/// The line of the kernel that starts `/init`, that of `/init` once the state is mounted, and the
/// first of systemd.
const BEGIN: &str = "Run /init as init process";
const MOUNTED: &str = "kiln-init: the state is /dev/vda6";
const SYSTEMD: &str = "systemd[1]: Detected architecture";

/// The number of cuts of first and of later boots.
fn cuts() -> [u32; 2] {
    let Ok(text) = env::var("KILN_POWER_CUTS") else { return [1, 0] };
    let numbers: Vec<u32> =
        text.split(',').map(|number| number.parse().expect("KILN_POWER_CUTS=FIRST,LATER")).collect();
    numbers.try_into().expect("KILN_POWER_CUTS=FIRST,LATER")
}

/// Marsaglia's xorshift: sufficiently random for moments, and repeatable.
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

/// Starts a guest on `disk`; returns when it runs `/init`.
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

/// How far a boot had progressed, according to its console.
fn stage(console: &str) -> &'static str {
    let stages = [(SYSTEMD, "systemd"), (MOUNTED, "mounted"), ("made the partition", "made"), ("the root is", "root")];
    stages.into_iter().find(|(line, _)| console.contains(line)).map_or("drivers", |(_, name)| name)
}

/// Checks that a boot reaches systemd, after which `/init` has done all its work. Returns how long
/// that took.
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
    // The duration of a first boot on this host, from /init to systemd.
    let window = comes_up(&mut started(&machine, &guests.disk, &Handout::none()), "without a power cut");
    for number in 1..=count {
        let guests = fresh(image, 2 * GIB as i64);
        let moment = random.moment(window);
        let console = cut_after(started(&machine, &guests.disk, &Handout::none()), moment);
        let about = format!("cut {number} of {count}, {moment:?} after /init began ({})", stage(&console));
        println!("{about}");
        let mut next = started(&machine, &guests.disk, &Handout::none());
        comes_up(&mut next, &about);
        // The state is made at most once. A boot that is cut after it wrote the table but before it
        // printed that does not report it, and neither does the next boot.
        let made = [console, next.console()].map(|console| console.contains("made the partition"));
        assert!(made != [true, true], "{about}");
        drop(next);
        // The boot loader counted both boots, and neither was marked as good yet.
        assert_eq!(kernel(&guests, image), "kiln-probed_1.20.2+1-2.efi", "{about}");
    }
}

/// Counts as fast as the disk allows; every number is on the disk before it is reported.
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

/// Boots until the script counts; returns the guest, the machine ID and the previous count on the
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
        // Each of these boots proves that the cut before it did no damage, and some are then cut
        // themselves.
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
    assert!(left >= counted, "{counted} was written, {left} remains\n{}", guest.console());
    println!("{counted} was written, {left} remains");
    drop(guest);
    println!("{} is on the EFI system partition", Esp::read(&guests, image("trixie")).kernel());
}
