//! The syntax of apt.conf(5), as `ReadConfigFile` of apt reads it.

use std::collections::BTreeMap;

/// The value of each option, names in lower case with `::` between their parts. Later files replace
/// what earlier ones set.
#[derive(Default)]
pub(super) struct Values(BTreeMap<String, String>);

/// The line (from 1) and the defect.
type Malformed = (usize, &'static str);

impl Values {
    /// The value of an option, by its name in lower case.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// An option and those below it: what follows `name`, and the values.
    pub(super) fn below<'a>(&'a self, name: &'a str) -> impl Iterator<Item = (&'a str, &'a str)> {
        let rest = move |(option, value): (&'a String, &'a String)| {
            let rest = option.strip_prefix(name)?;
            (rest.is_empty() || rest.starts_with("::")).then_some((rest, value.as_str()))
        };
        self.0.iter().filter_map(rest)
    }

    /// Adds the settings of one file, up to what apt would reject.
    pub(super) fn add(&mut self, text: &str) -> Result<(), Malformed> {
        let mut parents: Vec<String> = Vec::new();
        let mut statement = String::new();
        let mut in_comment = false;
        let mut last = 0;
        for (number, line) in (1..).zip(text.lines()) {
            last = number;
            let mut in_quotes = false;
            if !statement.is_empty() {
                statement.push(' ');
            }
            for char in without_comments(line, &mut in_comment).trim().chars() {
                in_quotes ^= char == '"';
                if in_quotes || !['{', '}', ';'].contains(&char) {
                    statement.push(char);
                    continue;
                }
                let words = words(statement.trim()).ok_or((number, "a quoted text has no end"))?;
                statement.clear();
                match (char, words.as_slice()) {
                    ('{', []) => return Err((number, "a block begins without a name")),
                    ('{', [name]) => parents.push(name.clone()),
                    // apt: a value before the block is that of the option itself.
                    ('{', [name, value]) => {
                        self.set(&parents, name, value);
                        parents.push(name.clone());
                    }
                    (end, words) => {
                        match words {
                            // A list's item, which no option of interest has.
                            [] | [_] => {}
                            [name, value] if name.starts_with('#') => self.direct(name, value, number)?,
                            [name, value] => self.set(&parents, name, value),
                            _ => return Err((number, "there is more than a name and a value")),
                        }
                        if end == '}' {
                            parents.pop();
                        }
                    }
                }
            }
            if in_quotes {
                return Err((number, "a quoted text has no end"));
            }
        }
        if statement.trim().is_empty() { Ok(()) } else { Err((last, "the last setting has no \";\"")) }
    }

    fn set(&mut self, parents: &[String], name: &str, value: &str) {
        let mut option = parents.join("::");
        if !option.is_empty() {
            option.push_str("::");
        }
        option.push_str(name);
        self.0.insert(option.to_ascii_lowercase(), value.to_owned());
    }

    fn direct(&mut self, directive: &str, value: &str, line: usize) -> Result<(), Malformed> {
        match directive {
            "#clear" => {
                let name = value.trim_end_matches(':').to_ascii_lowercase();
                let cleared: Vec<String> = self.below(&name).map(|(rest, _)| format!("{name}{rest}")).collect();
                for option in cleared {
                    self.0.remove(&option);
                }
                Ok(())
            }
            "#include" => Err((line, "kiln does not follow #include")),
            // Any other only concerns apt's own list of options.
            _ => Ok(()),
        }
    }
}

/// A line without what is in a comment; quotes protect.
fn without_comments(line: &str, in_comment: &mut bool) -> String {
    const DIRECTIVES: [&str; 3] = ["#clear", "#include", "#x-apt-configure-index"];
    let mut kept = String::new();
    let mut in_quotes = false;
    let mut rest = line;
    while let Some(char) = rest.chars().next() {
        if *in_comment {
            match rest.split_once("*/") {
                Some((_, after)) => rest = after,
                None => return kept,
            }
            *in_comment = false;
            continue;
        }
        in_quotes ^= char == '"';
        if !in_quotes {
            let is_directive = DIRECTIVES.iter().any(|directive| rest.starts_with(directive));
            if rest.starts_with("//") || char == '#' && !is_directive {
                break;
            }
            if let Some(after) = rest.strip_prefix("/*") {
                *in_comment = true;
                rest = after;
                continue;
            }
        }
        kept.push(char);
        rest = &rest[char.len_utf8()..];
    }
    kept
}

/// The words of a statement, without their quotes; `None` if a quote has no end.
fn words(statement: &str) -> Option<Vec<String>> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut in_quotes = false;
    for char in statement.chars() {
        match char {
            '"' => {
                in_quotes = !in_quotes;
                word.get_or_insert_default();
            }
            char if char.is_whitespace() && !in_quotes => words.extend(word.take()),
            char => word.get_or_insert_default().push(char),
        }
    }
    words.extend(word);
    (!in_quotes).then_some(words)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn values(text: &str) -> Values {
        let mut values = Values::default();
        values.add(text).expect("well formed");
        values
    }

    #[test]
    fn every_way_to_write_an_option_is_read() {
        for text in [
            "Acquire::http::Proxy \"http://p:1/;{}#\";",
            "Acquire { HTTP { proxy \"http://p:1/;{}#\"; }; };",
            "Acquire::http { Proxy\n\t\"http://p:1/;{}#\" ; }",
            "// Acquire::http::Proxy \"no\";\nAcquire::http::x # no\n \"y\"; /* Acquire::http::Proxy \"no\";\n a */ Acquire /* b */ { http::Proxy \"http://p:1/;{}#\" }",
            "Acquire::http::Proxy::h \"no\"; #clear Acquire::http;\nAcquire::http::Proxy \"http://p:1/;{}#\";",
            "APT::Never { \"^a\"; \"b\"; };\nAcquire::http::Proxy \"http://p:1/;{}#\";",
        ] {
            let values = values(text);
            let proxies: Vec<_> = values.below("acquire::http::proxy").collect();
            assert_eq!(proxies, [("", "http://p:1/;{}#")], "{text}");
        }
        // Without quotes, "//" begins a comment.
        assert_eq!(values("Acquire::http::Proxy p:1;").get("acquire::http::proxy"), Some("p:1"));
    }

    #[test]
    fn hosts_are_below_the_proxy() {
        let values = values(
            "Acquire::http::Proxy { a.example \"DIRECT\"; };\nAcquire::http::Proxy::b \"x\"; Acquire::http::Proxyz \"y\";",
        );
        let below: Vec<_> = values.below("acquire::http::proxy").collect();
        assert_eq!(below, [("::a.example", "DIRECT"), ("::b", "x")]);
    }

    #[test]
    fn what_apt_rejects_is_named_with_its_line() {
        for (text, line, problem) in [
            ("a b;\n{ c d; };", 2, "a block begins without a name"),
            ("a \"b\nc;", 1, "a quoted text has no end"),
            ("a b c;", 1, "there is more than a name and a value"),
            ("a b;\n\nc d\n", 3, "the last setting has no \";\""),
            ("#include \"/x\";", 1, "kiln does not follow #include"),
        ] {
            assert_eq!(Values::default().add(text), Err((line, problem)), "{text}");
        }
    }

    proptest! {
        #[test]
        fn arbitrary_text_never_panics(text in "([a-z:]|\"|\\{|\\}|;|#clear|//|/\\*|\\*/|\\PC| |\n){0,60}") {
            let _ = Values::default().add(&text);
        }
    }
}
