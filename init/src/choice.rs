//! Chooses a disk out of those that look like the right one.
//!
//! Whoever attaches a disk decides what is on it and how fast it answers. So a disk that only looks
//! right is taken late, and only if no other one looks right as well.

use crate::gpt::{Guid, Table};
use crate::place::{Agreement, Place};

/// What firmware says about the disk from which it started.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Origin {
    /// The partition of the boot loader. All disks with one image have the same one.
    pub partition: Option<Guid>,
    /// The disk's place.
    pub place: Option<Place>,
}

impl Origin {
    /// Whether firmware started from the disk with this table and place.
    pub fn agreement(&self, table: &Table, place: Option<&Place>) -> Agreement {
        let has = |unique: Guid| table.partitions.iter().any(|partition| partition.unique == unique);
        match self.partition {
            Some(partition) if !has(partition) => Agreement::Other,
            _ => Place::agreement(self.place.as_ref(), place),
        }
    }
}

/// A disk that may be the right one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate<T> {
    /// Its path, for messages.
    pub name: String,
    /// Whether it is the one that is meant.
    pub agreement: Agreement,
    /// Whether it can be used.
    pub fitness: Fitness<T>,
}

/// Whether a disk can be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fitness<T> {
    /// It can, as this.
    Fit(T),
    /// Not yet: the kernel may not have all its devices so far.
    Pending,
    /// No, for this reason.
    Unfit(String),
}

/// How long the search has lasted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// Disks are still appearing.
    Early,
    /// No disk has appeared for a while.
    Settled,
    /// The time is over.
    Over,
}

/// What follows from the candidates.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Choice<T> {
    /// Take this one.
    Take(T, Agreement),
    /// Look again; at the end of the search, there is none.
    Wait,
    /// Those that are there cannot be used, for these reasons.
    Unfit(Vec<String>),
    /// These are equally good.
    Several(Vec<String>),
}

/// Chooses one of `candidates`.
///
/// The disk from which firmware started is the right one at once, and without an alternative. If
/// firmware does not say, a disk must be the only one when all have had time to appear; and if what
/// firmware says fits to none, the only one at the end of the search.
pub fn choose<T>(mut candidates: Vec<Candidate<T>>, stage: Stage) -> Choice<T> {
    let mut reasons = Vec::new();
    for (agreement, from) in
        [(Agreement::Same, Stage::Early), (Agreement::Possible, Stage::Settled), (Agreement::Other, Stage::Over)]
    {
        if stage < from {
            return Choice::Wait;
        }
        let (these, rest): (Vec<_>, Vec<_>) =
            candidates.into_iter().partition(|candidate| candidate.agreement == agreement);
        candidates = rest;
        let mut fit = Vec::new();
        let mut pending = false;
        for Candidate { name, fitness, .. } in these {
            match fitness {
                Fitness::Fit(it) => fit.push((name, it)),
                Fitness::Unfit(why) => reasons.push(why),
                Fitness::Pending => {
                    pending = true;
                    reasons.push(format!("disk {name}: the kernel has no devices for its partitions"));
                }
            }
        }
        if fit.len() > 1 {
            return Choice::Several(fit.into_iter().map(|(name, _)| name).collect());
        }
        if let Some((_, it)) = fit.pop() {
            return Choice::Take(it, agreement);
        }
        if agreement == Agreement::Same && !reasons.is_empty() {
            return if pending && stage < Stage::Over { Choice::Wait } else { Choice::Unfit(reasons) };
        }
    }
    if reasons.is_empty() { Choice::Wait } else { Choice::Unfit(reasons) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gpt::Partition;
    use crate::place::Unit;

    const STAGES: [Stage; 3] = [Stage::Early, Stage::Settled, Stage::Over];
    use Agreement::{Other, Possible, Same};

    fn fit(name: &'static str, agreement: Agreement) -> Candidate<&'static str> {
        Candidate { name: name.into(), agreement, fitness: Fitness::Fit(name) }
    }

    fn unfit(name: &str, agreement: Agreement) -> Candidate<&'static str> {
        let why = format!("{name} is smaller than the image on it");
        Candidate { name: name.into(), agreement, fitness: Fitness::Unfit(why) }
    }

    fn reasons(names: &[&str]) -> Choice<&'static str> {
        Choice::Unfit(names.iter().map(|name| format!("{name} is smaller than the image on it")).collect())
    }

    /// The choices at each stage.
    fn choices(candidates: &[Candidate<&'static str>]) -> [Choice<&'static str>; 3] {
        STAGES.map(|stage| choose(candidates.to_vec(), stage))
    }

    /// The disk of an image whose boot loader is in partition `esp`.
    fn table(esp: u8) -> Table {
        let partition = Partition {
            number: 1,
            partition_type: Guid([1; 16]),
            unique: Guid([esp; 16]),
            name: "esp".into(),
            first_lba: 1,
            last_lba: 2,
        };
        Table { block_size: 512, last_block: 99, partitions: vec![partition] }
    }

    fn slot(device: u8) -> Option<Place> {
        Some(Place { root: None, pci: vec![(device, 0)], unit: Some(Unit::Only) })
    }

    #[test]
    fn firmwares_disk_is_taken_at_once_whatever_sorts_before_it() {
        let take = Choice::Take("vdc", Same);
        let decoys = [unfit("vda", Other), fit("vdb", Other), fit("vdc", Same), fit("vdd", Possible)];
        assert_eq!(choices(&decoys), [take.clone(), take.clone(), take]);
    }

    #[test]
    fn firmwares_disk_has_no_alternative() {
        let refuse = reasons(&["vdb"]);
        assert_eq!(choices(&[fit("vda", Other), unfit("vdb", Same)]), [refuse.clone(), refuse.clone(), refuse]);
        let pending = Candidate { fitness: Fitness::Pending, ..fit("vdb", Same) };
        let [early, settled, over] = choices(&[fit("vda", Possible), pending]);
        assert_eq!([early, settled], [Choice::Wait, Choice::Wait]);
        assert_eq!(over, Choice::Unfit(vec!["disk vdb: the kernel has no devices for its partitions".into()]));
    }

    #[test]
    fn without_firmwares_word_the_next_disk_is_taken_when_one_is_unfit() {
        let take = Choice::Take("vdb", Possible);
        assert_eq!(choices(&[unfit("vda", Possible), fit("vdb", Possible)]), [Choice::Wait, take.clone(), take]);
        let pending = Candidate { fitness: Fitness::Pending, ..fit("vda", Possible) };
        assert_eq!(choose(vec![pending, fit("vdb", Possible)], Stage::Settled), Choice::Take("vdb", Possible));
    }

    #[test]
    fn without_firmwares_word_copies_are_not_guessed_between() {
        let several = Choice::Several(vec!["vda".into(), "vdb".into()]);
        let copies = [fit("vda", Possible), fit("vdb", Possible)];
        assert_eq!(choices(&copies), [Choice::Wait, several.clone(), several.clone()]);
        assert_eq!(choices(&[fit("vda", Same), fit("vdb", Same)]), [several.clone(), several.clone(), several]);
    }

    #[test]
    fn a_disk_that_firmware_seems_to_exclude_is_the_last_choice() {
        let take = Choice::Take("vda", Other);
        assert_eq!(choices(&[fit("vda", Other)]), [Choice::Wait, Choice::Wait, take.clone()]);
        assert_eq!(choices(&[unfit("vdb", Possible), fit("vda", Other)]), [Choice::Wait, Choice::Wait, take]);
    }

    #[test]
    fn without_a_fit_disk_the_reasons_come_at_the_end() {
        let none = [unfit("vda", Possible), unfit("vdb", Other)];
        assert_eq!(choices(&none), [Choice::Wait, Choice::Wait, reasons(&["vda", "vdb"])]);
        assert_eq!(choices(&[]), [Choice::Wait, Choice::Wait, Choice::Wait]);
    }

    #[test]
    fn a_copy_of_the_image_is_told_apart_by_its_place_only() {
        let origin = Origin { partition: Some(Guid([7; 16])), place: slot(6) };
        assert_eq!(origin.agreement(&table(7), slot(6).as_ref()), Same);
        assert_eq!(origin.agreement(&table(7), slot(4).as_ref()), Other);
        assert_eq!(origin.agreement(&table(8), slot(6).as_ref()), Other);
        let no_place = Origin { place: None, ..origin };
        assert_eq!(no_place.agreement(&table(7), slot(4).as_ref()), Possible);
        assert_eq!(no_place.agreement(&table(8), slot(4).as_ref()), Other);
        assert_eq!(Origin::default().agreement(&table(8), None), Possible);
    }
}
