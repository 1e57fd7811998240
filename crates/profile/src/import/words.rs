//! Parses command lines and environment files according to systemd.service(5) and systemd.exec(5).

use std::collections::BTreeMap;

/// Variables by name.
pub(super) type Environment = BTreeMap<String, Variable>;

/// A variable's value and where it is set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Variable {
    /// Without quotes.
    pub text: String,
    /// File and line.
    pub place: String,
}

/// A word of a command line, or the value of an assignment, with the line in which it begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Word {
    /// Without quotes.
    pub text: String,
    /// Counted from 1.
    pub line: u32,
    /// File and line of the variable from which the word comes, if any; errors name that place.
    pub origin: Option<String>,
}

impl Word {
    fn at(text: String, line: u32) -> Self {
        Self { text, line, origin: None }
    }
}

/// Why text is not a command line: the line, and a phrase.
pub(super) type Unreadable = (u32, &'static str);

/// A character and its line.
type Char = (char, u32);

/// The characters of `text`, whose first line has the number `line`; a backslash at the end of a
/// line joins it with the next.
pub(super) fn joined(text: &str, line: u32) -> Vec<Char> {
    let mut joined = Vec::new();
    let lines = text.split('\n').zip(line..);
    for (mut text, number) in lines {
        text = text.strip_suffix('\r').unwrap_or(text);
        let (part, end) = match text.strip_suffix('\\') {
            // An escaped backslash does not join lines.
            Some(part) if (part.len() - part.trim_end_matches('\\').len()).is_multiple_of(2) => (part, ' '),
            _ => (text, '\n'),
        };
        joined.extend(part.chars().map(|c| (c, number)));
        joined.push((end, number));
    }
    joined
}

/// Splits at unquoted blanks, and resolves quotes and backslashes.
///
/// `$NAME` as a word of its own becomes the words of its value, `${NAME}` is replaced anywhere, and
/// `$$` is a dollar sign. A variable that `environment` does not have stays as written, because its
/// value is unknown, not empty.
pub(super) fn words(chars: &[Char], environment: Option<&Environment>) -> Result<Vec<Word>, Unreadable> {
    let mut words = Vec::new();
    let mut at = 0;
    while at < chars.len() {
        if chars[at].0.is_whitespace() {
            at += 1;
            continue;
        }
        let line = chars[at].1;
        let (word, plain) = one(chars, &mut at)?;
        let Some(environment) = environment else {
            words.push(Word::at(word, line));
            continue;
        };
        match word.strip_prefix('$').filter(|name| plain && is_name(name)).map(|name| environment.get(name)) {
            Some(Some(variable)) => {
                let inner = joined(&variable.text, line);
                let origin = || Some(variable.place.clone());
                words.extend(self::words(&inner, None)?.into_iter().map(|it| Word { line, origin: origin(), ..it }));
            }
            Some(None) => words.push(Word::at(word, line)),
            None => words.push(Word::at(replace(&word, environment), line)),
        }
    }
    Ok(words)
}

/// The word that begins at `at`, and whether nothing in it was quoted.
fn one(chars: &[Char], at: &mut usize) -> Result<(String, bool), Unreadable> {
    let (mut word, mut quote, mut plain) = (String::new(), None, true);
    let line = chars[*at].1;
    while let Some((c, _)) = chars.get(*at).copied() {
        *at += 1;
        match (c, quote) {
            ('"' | '\'', None) => (quote, plain) = (Some(c), false),
            (c, Some(open)) if c == open => quote = None,
            ('\\', _) => {
                let Some((escaped, _)) = chars.get(*at).copied() else { return Err((line, "ends in a backslash")) };
                *at += 1;
                plain = false;
                match escaped {
                    'n' => word.push('\n'),
                    't' => word.push('\t'),
                    's' => word.push(' '),
                    // systemd leaves escapes it does not know, such as those of regular
                    // expressions.
                    c if c.is_ascii_alphanumeric() => word.extend(['\\', c]),
                    c => word.push(c),
                }
            }
            (c, None) if c.is_whitespace() => break,
            (c, _) => word.push(c),
        }
    }
    match quote {
        Some(_) => Err((line, "has a quote that is never closed")),
        None => Ok((word, plain)),
    }
}

fn is_name(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

/// Replaces `${NAME}` and `$$` in `word`.
fn replace(word: &str, environment: &Environment) -> String {
    let (mut replaced, mut rest) = (String::new(), word);
    while let Some((before, after)) = rest.split_once('$') {
        replaced.push_str(before);
        let braced = after.strip_prefix('{').and_then(|after| after.split_once('}'));
        rest = match braced {
            Some((name, after)) if environment.contains_key(name) => {
                replaced.push_str(&environment[name].text);
                after
            }
            _ => {
                replaced.push('$');
                after.strip_prefix('$').unwrap_or(after)
            }
        };
    }
    replaced + rest
}

/// The assignments of an environment file, in order. Comments begin with `#` or `;`; `export ` is
/// ignored.
pub(super) fn assignments(text: &str) -> Result<Vec<(String, Word)>, Unreadable> {
    let chars = joined(text, 1);
    let mut found = Vec::new();
    for line in chars.split_inclusive(|(c, _)| *c == '\n') {
        let first = line.iter().position(|(c, _)| !c.is_whitespace());
        let Some(first) = first.filter(|first| !matches!(line[*first].0, '#' | ';')) else { continue };
        let line = &line[first..];
        let number = line[0].1;
        let Some(sign) = line.iter().position(|(c, _)| *c == '=') else {
            return Err((number, "is not an assignment such as NAME=\"value\""));
        };
        let name: String = line[..sign].iter().map(|(c, _)| *c).collect();
        let name = name.strip_prefix("export ").unwrap_or(&name).trim();
        if !is_name(name) {
            return Err((number, "is not an assignment such as NAME=\"value\""));
        }
        let value = &line[sign + 1..];
        let begin = value.iter().position(|(c, _)| !c.is_whitespace()).unwrap_or(value.len());
        // A quoted string, or the rest of the line.
        let value = match value.get(begin) {
            Some(('"' | '\'', _)) => {
                let mut at = begin;
                let (text, _) = one(value, &mut at)?;
                text
            }
            _ => value.iter().map(|(c, _)| *c).collect::<String>().trim().to_owned(),
        };
        found.push((name.to_owned(), Word::at(value, number)));
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn variable(text: &str) -> Variable {
        Variable { text: text.to_owned(), place: "env:3".to_owned() }
    }

    fn split(text: &str, environment: &[(&str, &str)]) -> Vec<String> {
        let environment = environment.iter().map(|(name, value)| ((*name).to_owned(), variable(value))).collect();
        let words = words(&joined(text, 1), Some(&environment)).expect("a command line");
        words.into_iter().map(|word| word.text).collect()
    }

    #[test]
    fn words_are_split_like_systemd_does() {
        assert_eq!(split("a  'b c' \"d\\\"e\" f\\\n  g", &[]), ["a", "b c", "d\"e", "f", "g"]);
        let environment = [("ARGS", "--x=1 --y='2 3'"), ("IP", "10.0.0.7")];
        assert_eq!(
            split("k $ARGS --ip=${IP} --z=$IP $$ ${NO} $NO", &environment),
            ["k", "--x=1", "--y=2 3", "--ip=10.0.0.7", "--z=$IP", "$", "${NO}", "$NO"]
        );
        assert_eq!(split("'$ARGS'", &environment), ["$ARGS"]);
        assert_eq!(words(&joined("a\n'b", 1), None), Err((2, "has a quote that is never closed")));
    }

    #[test]
    fn words_of_a_variable_name_the_place_that_sets_it() {
        let environment = [("A".to_owned(), variable("--b --c"))].into();
        let words = words(&joined("k $A --d", 1), Some(&environment)).expect("words");
        let origins: Vec<_> = words.iter().map(|word| word.origin.as_deref()).collect();
        assert_eq!(origins, [None, Some("env:3"), Some("env:3"), None]);
    }

    #[test]
    fn lines_are_counted() {
        let words = words(&joined("kubelet \\\n --a \\\n\\\n --b", 7), None).expect("words");
        assert_eq!(words.iter().map(|word| word.line).collect::<Vec<_>>(), [7, 8, 10]);
    }

    #[test]
    fn environment_files_are_parsed() {
        let text = "# c\nA=\"x y\"  \n; d\nexport B='1'\nC=--a=b --c=d \n\nD=\"--a=1 \\\n  --b=2\"\nE=\nF=a\"b\"\nG=\"x\" # c\n";
        let found = assignments(text).expect("assignments");
        let found: Vec<_> = found.iter().map(|(name, it)| (name.as_str(), it.text.as_str(), it.line)).collect();
        assert_eq!(
            found,
            [
                ("A", "x y", 2),
                ("B", "1", 4),
                ("C", "--a=b --c=d", 5),
                ("D", "--a=1    --b=2", 7),
                ("E", "", 9),
                ("F", "a\"b\"", 10),
                ("G", "x", 11),
            ]
        );
        assert!(assignments("A B\n").is_err() && assignments("A=\"x\n").is_err());
    }

    proptest! {
        #[test]
        fn nothing_panics(text in "\\PC{0,80}", shell in "[$A{}=\"'\\\\ \n\r#;-]{0,60}") {
            for text in [text, shell] {
                let environment = [("A".to_owned(), variable("b c"))].into();
                let _ = words(&joined(&text, 1), Some(&environment));
                let _ = assignments(&text);
            }
        }
    }
}
