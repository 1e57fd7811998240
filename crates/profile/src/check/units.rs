//! systemd units.

use super::super::key::fields;
use super::super::model::Units;
use super::super::place::{At, Fault, Pos};
use super::super::raw::{RawUnits, UnitState};
use super::{names, text, unit_text};
use std::collections::BTreeMap;

pub(super) fn units(raw: &RawUnits) -> Result<Units, Fault> {
    let RawUnits { add, states, default_target } = raw;
    let mut units = Units {
        default_target: match default_target {
            Some(target) => text(target, fields::UNITS_DEFAULT_TARGET, self::target)?,
            None => "multi-user.target".to_owned(),
        },
        ..Units::default()
    };
    for (name, content) in add {
        let name = text(name, fields::UNITS_ADD, names::unit_or_drop_in)?;
        let drop_ins = format!("{name}.d/");
        // A drop-in beside the unit may add what it lacks.
        let whole = !name.contains('/') && !add.keys().any(|other| other.value.starts_with(&drop_ins));
        let content = text(content, fields::UNIT_ADDED.of(&name), |text| unit_text::check(&name, text, whole))?;
        units.add.insert(name, content);
    }
    let mut decided: BTreeMap<String, Pos> = BTreeMap::new();
    for (name, At { value, .. }) in states {
        let (unit, optional) = match name.value.strip_suffix('?') {
            Some(unit) => (At { value: unit.to_owned(), pos: name.pos }, true),
            None => (name.clone(), false),
        };
        let unit = text(&unit, fields::UNITS_STATES, names::unit)?;
        // The merge treats `a.service` and `a.service?` as two keys; that of the child applies,
        // whose source has the lower number.
        match decided.get(&unit) {
            Some(other) if other.source == name.pos.source => {
                return Err(
                    name.fault_of(fields::UNITS_STATES, format!("{unit} is a duplicate, with and without \"?\""))
                );
            }
            Some(other) if other.source < name.pos.source => continue,
            _ => {}
        }
        decided.insert(unit.clone(), name.pos);
        for set in [&mut units.enable, &mut units.disable, &mut units.mask, &mut units.optional] {
            set.remove(&unit);
        }
        if optional {
            units.optional.insert(unit.clone());
        }
        match value {
            UnitState::Enabled => units.enable.insert(unit),
            UnitState::Disabled => units.disable.insert(unit),
            UnitState::Masked if units.add.contains_key(&unit) => {
                return Err(name.fault_of(fields::UNITS_STATES, format!("{unit} is masked, and units.add adds it")));
            }
            UnitState::Masked => units.mask.insert(unit),
        };
    }
    Ok(units)
}

fn target(text: &str) -> Result<(), String> {
    names::unit(text)?;
    match text.ends_with(".target") {
        true => Ok(()),
        false => Err(format!("{text:?} is not a target, such as \"multi-user.target\"")),
    }
}
