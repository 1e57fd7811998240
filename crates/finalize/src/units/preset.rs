//! systemd.preset(5): the units that are enabled by default.

use super::name::{self, Form};
use globset::{GlobBuilder, GlobMatcher};

/// A line is not a rule.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("/{path}:{line}: {why}")]
pub struct PresetError {
    /// The file.
    pub path: String,
    /// The line, from 1.
    pub line: usize,
    /// What is wrong.
    pub why: String,
}

/// The decision of the presets about a unit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Verdict {
    Enable,
    /// Enables these instances of a template.
    EnableInstances(Vec<String>),
    Disable,
    Ignore,
}

struct Rule {
    pattern: String,
    matcher: GlobMatcher,
    instances: Vec<String>,
    verdict: Verdict,
}

/// All rules, highest priority first.
#[derive(Default)]
pub(super) struct Presets {
    rules: Vec<Rule>,
}

impl Presets {
    /// Adds the rules of one file; must be called in the order of the files' names.
    pub(super) fn read(&mut self, path: &str, text: &str) -> Result<(), PresetError> {
        for (index, line) in text.lines().enumerate() {
            let line = line.trim();
            if line.is_empty() || line.starts_with(['#', ';']) {
                continue;
            }
            let rule = rule(line).map_err(|why| PresetError { path: path.to_owned(), line: index + 1, why })?;
            self.rules.push(rule);
        }
        Ok(())
    }

    /// Returns the decision of the first rule that matches; without one the unit is enabled.
    pub(super) fn query(&self, unit: &str) -> Verdict {
        for rule in &self.rules {
            if !rule.instances.is_empty() && name::template(unit).as_ref() == Some(&rule.pattern) {
                if name::form(unit) == Some(Form::Template) {
                    let instances = rule.instances.iter().map(|instance| name::with_instance(unit, instance));
                    return Verdict::EnableInstances(instances.collect());
                }
                if rule.instances.iter().any(|instance| name::instance(unit) == Some(instance)) {
                    return rule.verdict.clone();
                }
            }
            if rule.matcher.is_match(unit) {
                return rule.verdict.clone();
            }
        }
        Verdict::Enable
    }
}

fn rule(line: &str) -> Result<Rule, String> {
    let (word, rest) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
    let rest = rest.trim();
    let verdict = match word {
        "enable" => Verdict::Enable,
        "disable" => Verdict::Disable,
        "ignore" => Verdict::Ignore,
        _ => return Err(format!("{word:?} is not enable, disable or ignore")),
    };
    let (pattern, instances) = match rest.split_once(char::is_whitespace) {
        Some((template, instances)) if verdict == Verdict::Enable => {
            if name::form(template) != Some(Form::Template) {
                return Err(format!("instances follow {template:?}, which is not a template"));
            }
            (template, instances.split_whitespace().map(str::to_owned).collect())
        }
        _ => (rest, Vec::new()),
    };
    if pattern.is_empty() {
        return Err(format!("a unit name is missing after {word}"));
    }
    // fnmatch(3) does not have {a,b}.
    let glob = pattern.replace('{', "[{]").replace('}', "[}]");
    let matcher = GlobBuilder::new(&glob)
        .literal_separator(false)
        .backslash_escape(false)
        .build()
        .map_err(|error| format!("{pattern:?} is not a pattern: {error}"))?
        .compile_matcher();
    Ok(Rule { pattern: pattern.to_owned(), matcher, instances, verdict })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_first_match_wins() {
        let mut presets = Presets::default();
        let text = "# comment\nenable a@.service x y\nenable a@.service\ndisable b-*.socket\nignore c.[st]*\nenable b-1.socket\ndisable *\n";
        presets.read("p", text).expect("valid");
        assert_eq!(
            presets.query("a@.service"),
            Verdict::EnableInstances(vec!["a@x.service".into(), "a@y.service".into()])
        );
        assert_eq!(presets.query("a@y.service"), Verdict::Enable);
        assert_eq!(presets.query("a@z.service"), Verdict::Disable);
        assert_eq!(presets.query("b-1.socket"), Verdict::Disable);
        assert_eq!(presets.query("c.timer"), Verdict::Ignore);
        assert_eq!(Presets::default().query("x.service"), Verdict::Enable);
        let error = presets.read("p", "\nallow x.service").expect_err("no rule");
        assert_eq!(error.to_string(), "/p:2: \"allow\" is not enable, disable or ignore");
    }

    proptest! {
        #[test]
        fn any_text_is_rejected_or_read(text in "(enable |disable )?\\PC{0,60}") {
            let mut presets = Presets::default();
            if presets.read("p", &text).is_ok() {
                presets.query("a@b.service");
            }
        }
    }
}
