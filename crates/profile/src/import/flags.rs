//! Parses kubelet's flags like pflag does, and converts them to the fields that they set.
//!
//! Sources: spf13/pflag; `component-base/cli/flag` of Kubernetes for its maps and lists.

use super::words::Word;
use crate::kubelet::slot;
use kiln_kubernetes::kubelet_flags::{self, Flag};
use kiln_kubernetes::{NEWEST, Type, kubelet_config};
use serde_json::{Map, Value};

/// A flag as it was given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Given {
    /// The name, without leading dashes.
    pub name: String,
    /// The value; `true` for a flag without one.
    pub value: String,
    /// File and line.
    pub place: String,
}

impl Given {
    /// The flag as it was written, without a value that may be secret.
    pub(super) fn written(&self) -> String {
        match self.name.contains("password") {
            true => format!("--{}", self.name),
            false => format!("--{}={}", self.name, specifiers(&self.value)),
        }
    }
}

/// Restores specifiers of systemd, such as `%H`, which are represented as the variable `${%H}`.
fn specifiers(value: &str) -> String {
    let mut parts = value.split("${%");
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |text, part| format!("{text}%{}", part.replacen('}', "", 1)))
}

/// Parses the words after kubelet's name; `place` returns the place of a word.
///
/// # Errors
/// The place and the reason.
pub(super) fn read(words: &[Word], place: impl Fn(&Word) -> String) -> Result<Vec<Given>, (String, String)> {
    let mut given = Vec::new();
    let mut words = words.iter();
    while let Some(word) = words.next() {
        let place = place(word);
        let text = word.text.as_str();
        // A variable that no file sets, which systemd removes.
        if text.starts_with('$') && !text.contains('=') {
            continue;
        }
        let Some(flag) = text.strip_prefix("--").or_else(|| text.strip_prefix('-')).filter(|flag| !flag.is_empty())
        else {
            return Err((place, format!("{text:?} is not a flag, and kubelet accepts nothing else")));
        };
        let (name, value) = match flag.split_once('=') {
            Some((name, value)) => (name, Some(value.to_owned())),
            None => match short_level(text) {
                Some(level) => ("v", Some(level.to_owned())),
                None => (flag, None),
            },
        };
        // As WordSepNormalizeFunc does.
        let name = name.replace('_', "-");
        let value = match value {
            Some(value) => value,
            None if is_switch(&name) => "true".to_owned(),
            None => match words.next() {
                Some(next) => next.text.clone(),
                None => return Err((place, format!("--{name} needs a value"))),
            },
        };
        given.push(Given { name, value, place });
    }
    Ok(given)
}

/// The level in `-v2`.
fn short_level(word: &str) -> Option<&str> {
    word.strip_prefix("-v").filter(|level| !level.is_empty() && level.chars().all(|c| c.is_ascii_digit()))
}

fn is_switch(name: &str) -> bool {
    let field = match kubelet_flags::flag(name, NEWEST) {
        Flag::Field(path) => kubelet_config::field(path),
        _ => None,
    };
    kubelet_flags::SWITCHES.contains(&name) || field.is_some_and(|field| matches!(field.of, Type::Bool))
}

/// Merges flags over a configuration, one by one.
///
/// The first flag that sets a map or a list replaces that of the file, and further flags of the
/// same name add to it; feature gates are merged with the file's. Any other value replaces that of
/// the file.
#[derive(Debug, Default)]
pub(super) struct Layer {
    /// Paths of the fields that a flag has already set.
    begun: Vec<String>,
}

impl Layer {
    /// Sets the field at `path` to the value that `given` has for it.
    ///
    /// # Errors
    /// A phrase that says what is wrong.
    pub(super) fn set(&mut self, config: &mut Map<String, Value>, path: &str, given: &Given) -> Result<(), String> {
        let Some(field) = kubelet_config::field(path) else { return Err(format!("{path} is not a field")) };
        let value = typed(&given.name, &given.value, &field.of)?;
        let slot = slot(config, path);
        let fresh = !self.begun.iter().any(|begun| begun == path);
        if fresh {
            self.begun.push(path.to_owned());
        }
        match (slot, value) {
            (Value::Object(old), Value::Object(new)) if !fresh || path == "featureGates" => old.extend(new),
            (Value::Array(old), Value::Array(new)) if !fresh && path != "registerWithTaints" => old.extend(new),
            (slot, value) => *slot = value,
        }
        Ok(())
    }
}

/// Converts a flag's text to a value of type `of`. The field's own check tests its range.
fn typed(name: &str, text: &str, of: &Type) -> Result<Value, String> {
    let wrong = |what: &str| Err(format!("--{name}={text}: is not {what}"));
    Ok(match of {
        Type::Bool => match boolean(text) {
            Some(value) => value.into(),
            None => return wrong("true or false"),
        },
        Type::Int(_) => match integer(text) {
            Some(value) => value.into(),
            None => return wrong("a whole number"),
        },
        Type::Fraction | Type::Rate => match text.parse::<f64>().ok().and_then(serde_json::Number::from_f64) {
            Some(value) => value.into(),
            None => return wrong("a number"),
        },
        Type::List(Type::Object(_)) if name == "register-with-taints" => taints(text)?,
        Type::List(Type::Object(_)) if name == "reserved-memory" => reserved_memory(text)?,
        Type::List(_) => list(text),
        Type::Map(_, Type::List(_)) => headers(text)?,
        Type::Map(_, of) => {
            let sign = if matches!(name, "eviction-hard" | "eviction-soft") { '<' } else { '=' };
            map(name, text, sign, of)?
        }
        _ => text.into(),
    })
}

/// Parses like Go's `strconv.ParseBool`.
fn boolean(text: &str) -> Option<bool> {
    match text {
        "1" | "t" | "T" | "TRUE" | "true" | "True" => Some(true),
        "0" | "f" | "F" | "FALSE" | "false" | "False" => Some(false),
        _ => None,
    }
}

/// Parses like Go's `strconv.ParseInt` with base 0, for decimal and `0x` only.
fn integer(text: &str) -> Option<i64> {
    match text.strip_prefix("0x") {
        Some(hex) => i64::from_str_radix(hex, 16).ok(),
        None => text.parse().ok(),
    }
}

fn parts(text: &str) -> impl Iterator<Item = &str> {
    text.split(',').map(str::trim).filter(|part| !part.is_empty())
}

fn list(text: &str) -> Value {
    parts(text).map(|part| part.trim_matches('"')).collect()
}

fn map(name: &str, text: &str, sign: char, of: &Type) -> Result<Value, String> {
    let mut map = Map::new();
    for part in parts(text) {
        let Some((key, value)) = part.split_once(sign) else {
            return Err(format!("--{name}: {part:?} is not of the form name{sign}value"));
        };
        let (key, value) = (key.trim(), value.trim());
        map.insert(key.to_owned(), typed(name, value, of)?);
    }
    Ok(map.into())
}

/// Parses `Name:value`, where a name may be repeated.
fn headers(text: &str) -> Result<Value, String> {
    let mut map = Map::new();
    for part in parts(text) {
        let Some((key, value)) = part.split_once(':') else {
            return Err(format!("--manifest-url-header: {part:?} is not of the form Name:value"));
        };
        let slot = map.entry(key).or_insert_with(|| Value::Array(Vec::new()));
        if let Value::Array(values) = slot {
            values.push(value.into());
        }
    }
    Ok(map.into())
}

/// Parses `key=value:Effect` or `key:Effect`, separated by commas.
pub(super) fn taints(text: &str) -> Result<Value, String> {
    let taint = |part: &str| {
        let wrong = || format!("--register-with-taints: {part:?} is not of the form key=value:Effect");
        let (left, effect) = part.rsplit_once(':').ok_or_else(wrong)?;
        let (key, value) = left.split_once('=').unwrap_or((left, ""));
        Ok(serde_json::json!({ "key": key, "value": value, "effect": effect }))
    };
    parts(text).map(taint).collect()
}

/// Parses `0:memory=1Gi,hugepages-1Gi=2Gi;1:memory=1Gi`.
fn reserved_memory(text: &str) -> Result<Value, String> {
    let node = |part: &str| {
        let Some((number, limits)) = part.split_once(':') else {
            return Err(format!("--reserved-memory: {part:?} is not of the form node:memory=amount"));
        };
        let number =
            integer(number).ok_or_else(|| format!("--reserved-memory: {number:?} is not the number of a NUMA node"))?;
        let limits = map("reserved-memory", limits, '=', &Type::Quantity)?;
        Ok(serde_json::json!({ "numaNode": number, "limits": limits }))
    };
    text.split(';').filter(|part| !part.is_empty()).map(node).collect()
}

#[cfg(test)]
mod tests {
    use super::super::words::{joined, words};
    use super::*;
    use serde_json::json;

    fn given(text: &str) -> Vec<Given> {
        let words = words(&joined(text, 1), None).expect("words");
        read(&words, |word| word.line.to_string()).expect("flags")
    }

    fn laid(text: &str, file: Value) -> Value {
        let mut config = file.as_object().cloned().expect("an object");
        let mut layer = Layer::default();
        for given in given(text) {
            let Flag::Field(path) = kubelet_flags::flag(&given.name, NEWEST) else { panic!("{given:?}") };
            layer.set(&mut config, path, &given).expect("a value");
        }
        config.into()
    }

    #[test]
    fn flags_are_read_as_pflag_reads_them() {
        let given = given("--max_pods 50 --anonymous-auth -v2 -v=3 --node-ip=10.0.0.1 $UNSET --register-node --v 4");
        let given: Vec<_> = given.iter().map(|it| (it.name.as_str(), it.value.as_str())).collect();
        assert_eq!(
            given,
            [
                ("max-pods", "50"),
                ("anonymous-auth", "true"),
                ("v", "2"),
                ("v", "3"),
                ("node-ip", "10.0.0.1"),
                ("register-node", "true"),
                ("v", "4")
            ]
        );
        for bad in ["start", "--max-pods", "-"] {
            let words = words(&joined(bad, 1), None).expect("words");
            assert!(read(&words, |_| String::new()).is_err(), "{bad}");
        }
    }

    #[test]
    fn maps_and_lists_of_flags_replace_those_of_the_file() {
        let file = json!({
            "kubeReserved": { "cpu": "1" }, "featureGates": { "A": true, "B": true }, "maxPods": 10,
            "tlsCipherSuites": ["old"],
        });
        let text = "--kube-reserved=memory=1Gi --kube-reserved=pid=1000 --feature-gates=B=false,C=True --max-pods=0x20 \
                    --tls-cipher-suites=a,b --tls-cipher-suites c --eviction-hard=memory.available<100Mi,nodefs.available<10% \
                    --authorization-mode=Webhook --event-qps=0 --cluster-dns=10.0.0.10";
        assert_eq!(
            laid(text, file),
            json!({
                "kubeReserved": { "memory": "1Gi", "pid": "1000" },
                "featureGates": { "A": true, "B": false, "C": true },
                "maxPods": 32,
                "tlsCipherSuites": ["a", "b", "c"],
                "evictionHard": { "memory.available": "100Mi", "nodefs.available": "10%" },
                "authorization": { "mode": "Webhook" },
                "eventRecordQPS": 0,
                "clusterDNS": ["10.0.0.10"],
            })
        );
    }

    #[test]
    fn structured_flags_become_objects() {
        let text = "--register-with-taints=a=b:NoSchedule,c:NoExecute --reserved-memory=0:memory=1Gi,hugepages-2Mi=2Mi;1:memory=2Gi \
                    --manifest-url-header=A:b,A:c";
        assert_eq!(
            laid(text, json!({})),
            json!({
                "registerWithTaints": [
                    { "key": "a", "value": "b", "effect": "NoSchedule" },
                    { "key": "c", "value": "", "effect": "NoExecute" },
                ],
                "reservedMemory": [
                    { "numaNode": 0, "limits": { "memory": "1Gi", "hugepages-2Mi": "2Mi" } },
                    { "numaNode": 1, "limits": { "memory": "2Gi" } },
                ],
                "staticPodURLHeader": { "A": ["b", "c"] },
            })
        );
    }
}
