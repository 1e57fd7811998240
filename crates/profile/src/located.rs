//! A YAML or JSON document of another program, with the positions of its values.

use super::json::{self, Json};
use super::node::Node;
use super::place::At;
use super::raw::Map;
use super::{Place, de};
use kiln_kubernetes::{Misfit, Step};
use std::path::Path;

/// A document whose top level is a map, with the position of each value.
#[derive(Debug, Clone)]
pub struct Located {
    source: String,
    entries: Map<At<Json>>,
}

/// What is wrong with a document, and where.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{place}: {text}")]
pub struct NotLocated {
    /// Where.
    pub place: Place,
    /// What.
    pub text: String,
}

impl Located {
    /// Parses the only document in `text`; messages call it `source`. To keep line numbers, replace
    /// lines of other documents by empty ones.
    ///
    /// # Errors
    /// [`NotLocated`] when it is not YAML, or its top level is not a map.
    pub fn parse(text: &str, source: &str) -> Result<Self, NotLocated> {
        let fault = |fault: super::place::Fault| NotLocated {
            place: Place { source: source.to_owned(), line: fault.pos.line, column: fault.pos.column },
            text: fault.message(),
        };
        let node = Node::parse(text, 0).map_err(fault)?;
        let entries = de::decode(&super::merge::without_nulls(node)).map_err(fault)?;
        Ok(Self { source: source.to_owned(), entries })
    }

    /// Its values, without fields that are `null`.
    pub fn object(&self) -> serde_json::Map<String, serde_json::Value> {
        json::object(&self.entries)
    }

    /// The place of the value at `path`, or of the nearest enclosing value that exists.
    pub fn place(&self, path: &[Step]) -> Place {
        let misfit = Misfit { path: path.to_vec(), name: false, why: String::new() };
        let pos = json::place(&self.entries, &misfit).unwrap_or_default();
        Place { source: self.source.clone(), line: pos.line, column: pos.column }
    }

    /// The last part of the file's name.
    pub fn file_name(&self) -> &str {
        Path::new(&self.source).file_name().and_then(|name| name.to_str()).unwrap_or(&self.source)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn values_know_their_places() {
        let located = Located::parse("\n\na: [1, {b: 0.5}]\nc: null\nd: \"yes\"\n", "x/f.yaml").expect("YAML");
        assert_eq!(json!(located.object()), json!({ "a": [1, { "b": 0.5 }], "d": "yes" }));
        let step = |key: &str| Step::Key(key.to_owned());
        assert_eq!(located.place(&[step("a"), Step::Index(1), step("b")]).to_string(), "x/f.yaml:3:12");
        assert_eq!(located.file_name(), "f.yaml");
        let error = Located::parse("a: [", "f").expect_err("no YAML");
        assert!(error.to_string().starts_with("f:1:"), "{error}");
        assert_eq!(Located::parse("[a]", "f").expect_err("a list").place.line, 1);
    }
}
