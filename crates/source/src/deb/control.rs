//! deb822 control data, as in deb822(5): `Packages`, `Release`, `*.sources` and a package's
//! `control`.
//!
//! Nothing is copied: fields are slices of the text, so that parsing the 63,000 paragraphs of a
//! `Packages` index costs little more than finding line ends. A paragraph has at most
//! [`MAX_FIELDS`] fields, and a field at most [`MAX_FIELD_BYTES`] bytes. The text is already in
//! memory; the code that read it limits its size.

use std::ops::Range;

/// The most fields that one paragraph may have (Debian's largest have about 40).
pub const MAX_FIELDS: usize = 256;
/// The most bytes that one field may have, continuation lines included (Debian's largest, `SHA256`
/// of a Release, has about 200 kB).
pub const MAX_FIELD_BYTES: usize = 8 << 20;

/// The text is not deb822.
#[derive(Debug, Clone, thiserror::Error, PartialEq, Eq)]
#[error("line {line}: {problem}")]
pub struct ControlError {
    /// Line of the text, counted from 1.
    pub line: usize,
    /// The defect.
    pub problem: ControlProblem,
}

/// The defect of a line or paragraph.
#[derive(Debug, Clone, thiserror::Error, PartialEq, Eq)]
pub enum ControlProblem {
    /// Neither `Name: value`, nor a continuation line, nor blank.
    #[error("{0:?} is not of the form \"Field: value\"")]
    NotAField(String),
    /// The name is empty or has an invalid character.
    #[error("{0:?} is not a field name")]
    BadName(String),
    /// A line starts with a blank, but there is no field before it.
    #[error("a continuation line has no field to continue")]
    StrayContinuation,
    /// deb822(5): a field must not appear twice.
    #[error("field {0:?} appears twice in one paragraph")]
    Duplicate(String),
    /// More than [`MAX_FIELDS`].
    #[error("the paragraph has more than {MAX_FIELDS} fields")]
    TooManyFields,
    /// More than [`MAX_FIELD_BYTES`].
    #[error("field {0:?} is larger than {MAX_FIELD_BYTES} bytes")]
    TooLarge(String),
    /// A required field is missing.
    #[error("the paragraph has no field {0:?}")]
    Missing(&'static str),
    /// [`single`] found a second paragraph.
    #[error("there is a second paragraph where only one is allowed")]
    SecondParagraph,
    /// [`single`] found nothing.
    #[error("there is no paragraph")]
    Empty,
}

/// One field: a name and its value, which may have several lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Field<'a> {
    /// As written; compared without regard to case.
    pub name: &'a str,
    /// Everything after the colon up to the end of the last continuation line, outer blanks
    /// trimmed. With several lines, it contains `\n` and the indentation of continuation lines (and
    /// comment lines where comments are allowed); see [`Field::lines`]. It starts with the first
    /// continuation line if the line of the name has no value.
    pub value: &'a str,
    /// Line of the field's name, counted from 1.
    pub line: usize,
}

impl<'a> Field<'a> {
    /// The value's lines without indentation, trailing blanks and comments; one empty line if there
    /// is no value.
    pub fn lines(&self) -> impl Iterator<Item = &'a str> + use<'a> {
        self.value
            .split('\n')
            .enumerate()
            .filter(|(index, line)| *index == 0 || !line.starts_with('#'))
            .map(|(_, line)| line.trim())
    }

    /// The value's blank-separated words over all its lines.
    pub fn words(&self) -> impl Iterator<Item = &'a str> + use<'a> {
        self.lines().flat_map(str::split_ascii_whitespace)
    }
}

/// A block of fields; at least one if it is from [`Paragraphs`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Paragraph<'a> {
    fields: Vec<Field<'a>>,
}

impl<'a> Paragraph<'a> {
    /// The value of a field, see [`Field::value`]; names are compared without regard to case.
    pub fn get(&self, name: &str) -> Option<&'a str> {
        self.field(name).map(|field| field.value)
    }

    /// The field of that name.
    pub fn field(&self, name: &str) -> Option<&Field<'a>> {
        self.fields.iter().find(|field| field.name.eq_ignore_ascii_case(name))
    }

    /// The value of a required field.
    ///
    /// # Errors
    /// [`ControlProblem::Missing`], at the paragraph's first line.
    pub fn require(&self, name: &'static str) -> Result<&'a str, ControlError> {
        self.require_field(name).map(|field| field.value)
    }

    /// A required field.
    ///
    /// # Errors
    /// [`ControlProblem::Missing`], at the paragraph's first line.
    pub fn require_field(&self, name: &'static str) -> Result<&Field<'a>, ControlError> {
        self.field(name).ok_or(ControlError { line: self.line(), problem: ControlProblem::Missing(name) })
    }

    /// Line of the first field, counted from 1.
    pub fn line(&self) -> usize {
        self.fields.first().map_or(1, |field| field.line)
    }

    /// The fields in the order of the text.
    pub fn fields(&self) -> &[Field<'a>] {
        &self.fields
    }

    fn push(&mut self, field: Field<'a>) -> Result<(), ControlProblem> {
        if self.fields.len() == MAX_FIELDS {
            return Err(ControlProblem::TooManyFields);
        }
        if self.field(field.name).is_some() {
            return Err(ControlProblem::Duplicate(excerpt(field.name)));
        }
        self.fields.push(field);
        Ok(())
    }
}

/// Reads paragraphs one after another. Ends after the first error.
#[derive(Debug, Clone)]
pub struct Paragraphs<'a> {
    text: &'a str,
    /// The offset of the next line.
    offset: usize,
    /// Number of the next line, from 1.
    line: usize,
    comments: bool,
}

impl<'a> Paragraphs<'a> {
    /// Control data proper (`Packages`, `Release`, `control`): a line that starts with `#` is an
    /// error.
    pub fn new(text: &'a str) -> Self {
        Self { text, offset: 0, line: 1, comments: false }
    }

    /// Source control data (`*.sources`): lines that start with `#` are comments.
    pub fn with_comments(text: &'a str) -> Self {
        Self { comments: true, ..Self::new(text) }
    }

    /// Reads the next paragraph into `paragraph` and reuses its memory. Returns false if there was
    /// none.
    ///
    /// # Errors
    /// [`ControlError`] with the line; the contents of `paragraph` are then meaningless.
    pub fn read(&mut self, paragraph: &mut Paragraph<'a>) -> Result<bool, ControlError> {
        paragraph.fields.clear();
        let result = self.read_fields(paragraph);
        if result.is_err() {
            self.offset = self.text.len();
        }
        result.map(|()| !paragraph.fields.is_empty())
    }

    fn read_fields(&mut self, paragraph: &mut Paragraph<'a>) -> Result<(), ControlError> {
        while self.offset < self.text.len() {
            let number = self.line;
            let error = |problem| ControlError { line: number, problem };
            let range = self.take_line();
            let line = &self.text[range.clone()];
            match line.as_bytes().first() {
                Some(b'#') if self.comments => {}
                None | Some(b' ' | b'\t' | b'\r') => {
                    if !line.trim_ascii().is_empty() {
                        return Err(error(ControlProblem::StrayContinuation));
                    }
                    if !paragraph.fields.is_empty() {
                        return Ok(());
                    }
                }
                Some(_) => paragraph.push(self.read_field(range, number).map_err(error)?).map_err(error)?,
            }
        }
        Ok(())
    }

    /// The field whose first line is `first`, with the continuation lines that follow.
    fn read_field(&mut self, first: Range<usize>, line: usize) -> Result<Field<'a>, ControlProblem> {
        let text = &self.text[first.clone()];
        let Some(colon) = text.bytes().position(|byte| byte == b':') else {
            return Err(ControlProblem::NotAField(excerpt(text)));
        };
        let name = &text[..colon];
        if name.is_empty()
            || name.starts_with('-')
            || name.starts_with('#')
            || !name.bytes().all(|b| b.is_ascii_graphic())
        {
            return Err(ControlProblem::BadName(excerpt(name)));
        }
        let mut start = first.start + colon + 1;
        let mut end = first.end;
        while let Some(next) = self.text.as_bytes().get(self.offset) {
            match next {
                b' ' | b'\t' => {
                    let (offset, number) = (self.offset, self.line);
                    let range = self.take_line();
                    if self.text[range.clone()].trim_ascii().is_empty() {
                        // A blank line ends the paragraph and is left to the caller.
                        (self.offset, self.line) = (offset, number);
                        break;
                    }
                    if self.text[start..end].trim_ascii().is_empty() {
                        start = range.start;
                    }
                    end = range.end;
                }
                b'#' if self.comments => drop(self.take_line()),
                _ => break,
            }
        }
        if end - start > MAX_FIELD_BYTES {
            return Err(ControlProblem::TooLarge(excerpt(name)));
        }
        Ok(Field { name, value: self.text[start..end].trim_ascii(), line })
    }

    /// The next line without its end; moves past it.
    fn take_line(&mut self) -> Range<usize> {
        let start = self.offset;
        let length = self.text[start..].find('\n');
        let end = length.map_or(self.text.len(), |length| start + length);
        self.offset = if length.is_some() { end + 1 } else { end };
        self.line += 1;
        start..end
    }
}

impl<'a> Iterator for Paragraphs<'a> {
    type Item = Result<Paragraph<'a>, ControlError>;

    fn next(&mut self) -> Option<Self::Item> {
        let mut paragraph = Paragraph::default();
        match self.read(&mut paragraph) {
            Ok(true) => Some(Ok(paragraph)),
            Ok(false) => None,
            Err(error) => Some(Err(error)),
        }
    }
}

/// The only paragraph of a text such as a `Release` or a package's `control`.
///
/// # Errors
/// The text is not deb822, empty, or has a second paragraph.
pub fn single(text: &str) -> Result<Paragraph<'_>, ControlError> {
    let mut paragraphs = Paragraphs::new(text);
    let paragraph = paragraphs.next().ok_or(ControlError { line: 1, problem: ControlProblem::Empty })??;
    match paragraphs.next().transpose()? {
        None => Ok(paragraph),
        Some(second) => Err(ControlError { line: second.line(), problem: ControlProblem::SecondParagraph }),
    }
}

/// The start of a text, short enough for a message.
fn excerpt(text: &str) -> String {
    text.chars().take(60).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn all(text: &str) -> Vec<Paragraph<'_>> {
        Paragraphs::new(text).collect::<Result<_, _>>().expect("well-formed")
    }

    fn problem(text: &str) -> String {
        Paragraphs::new(text).find_map(Result::err).expect("an error").to_string()
    }

    #[test]
    fn reads_paragraphs_fields_and_continuations() {
        let paragraphs =
            all("\n\nPackage: a\nDescription: short\n long 1\n .\n\tlong 2\n\n \t\nPackage:b\nEmpty:\nX: y");
        assert_eq!(paragraphs.len(), 2);
        assert_eq!(paragraphs[0].get("package"), Some("a"));
        assert_eq!(paragraphs[0].get("Description"), Some("short\n long 1\n .\n\tlong 2"));
        let lines: Vec<_> = paragraphs[0].field("description").expect("there").lines().collect();
        assert_eq!(lines, ["short", "long 1", ".", "long 2"]);
        assert_eq!(paragraphs[1].get("PACKAGE"), Some("b"));
        assert_eq!(paragraphs[1].get("Empty"), Some(""));
        assert_eq!(paragraphs[1].field("x").expect("there").line, 12);
    }

    #[test]
    fn lists_may_start_on_the_next_line_and_have_crlf() {
        let paragraphs = all("SHA256:\r\n aa 1 x\r\n bb 2 y\r\nNext: z\r\n\r\nA: b\r\n");
        let field = paragraphs[0].field("SHA256").expect("there");
        assert_eq!(field.lines().collect::<Vec<_>>(), ["aa 1 x", "bb 2 y"]);
        assert_eq!(field.words().count(), 6);
        assert_eq!(paragraphs[0].get("Next"), Some("z"));
        assert_eq!(paragraphs[1].get("A"), Some("b"));
    }

    #[test]
    fn comments_only_where_they_are_allowed() {
        let text = "# top\nTypes:\n# between\n deb\nSuites: a\n# between\n b\n# after\nURIs: c\n#\n\n# alone\n\nX: y # not one\n";
        let paragraphs: Vec<_> = Paragraphs::with_comments(text).collect::<Result<_, _>>().expect("well-formed");
        assert_eq!(paragraphs.len(), 2);
        assert_eq!(paragraphs[0].field("Types").expect("there").lines().collect::<Vec<_>>(), ["deb"]);
        assert_eq!(paragraphs[0].field("Suites").expect("there").words().collect::<Vec<_>>(), ["a", "b"]);
        assert_eq!(paragraphs[0].get("URIs"), Some("c"));
        assert_eq!(paragraphs[1].get("X"), Some("y # not one"));
        assert_eq!(problem("# top\nA: b\n"), "line 1: \"# top\" is not of the form \"Field: value\"");
    }

    #[test]
    fn errors_name_the_line() {
        assert_eq!(problem("A: b\njunk\n"), "line 2: \"junk\" is not of the form \"Field: value\"");
        assert_eq!(problem("A: b\n\n c\n"), "line 3: a continuation line has no field to continue");
        assert_eq!(problem("A: b\nB: c\na: d\n"), "line 3: field \"a\" appears twice in one paragraph");
        assert_eq!(problem(": b\n"), "line 1: \"\" is not a field name");
        assert_eq!(problem("-A: b\n"), "line 1: \"-A\" is not a field name");
        assert_eq!(problem("A B: b\n"), "line 1: \"A B\" is not a field name");
        assert_eq!(problem("Ä: b\n"), "line 1: \"Ä\" is not a field name");
        let many: String = (0..=MAX_FIELDS).map(|n| format!("F{n}: x\n")).collect();
        assert_eq!(problem(&many), "line 257: the paragraph has more than 256 fields");
        let large = format!("A: {}\n", "x".repeat(MAX_FIELD_BYTES));
        assert_eq!(problem(&large), "line 1: field \"A\" is larger than 8388608 bytes");
    }

    #[test]
    fn ends_after_an_error() {
        assert_eq!(Paragraphs::new("junk\n\nA: b\n").count(), 1);
    }

    #[test]
    fn single_requires_exactly_one_paragraph() {
        assert_eq!(single("A: b\n").expect("one").require("A"), Ok("b"));
        assert_eq!(single("\n\n").expect_err("none").to_string(), "line 1: there is no paragraph");
        assert_eq!(
            single("A: b\n\nA: c\n").expect_err("two").to_string(),
            "line 3: there is a second paragraph where only one is allowed"
        );
        assert_eq!(
            single("\nA: b\n").expect("one").require("B").expect_err("missing").to_string(),
            "line 2: the paragraph has no field \"B\""
        );
    }

    proptest! {
        #[test]
        fn arbitrary_text_never_panics(text in ".*", comments: bool) {
            let paragraphs = if comments { Paragraphs::with_comments(&text) } else { Paragraphs::new(&text) };
            for paragraph in paragraphs.flatten() {
                prop_assert!(!paragraph.fields().is_empty());
                for field in paragraph.fields() {
                    prop_assert!(field.lines().count() > 0);
                }
            }
        }

        #[test]
        fn text_of_the_right_alphabet_never_panics(text in "[AB:# \t\r\n\u{e9}-]{0,60}") {
            for paragraphs in [Paragraphs::with_comments(&text), Paragraphs::new(&text)] {
                prop_assert!(paragraphs.count() <= text.len());
            }
        }

        #[test]
        fn written_fields_are_read_back(fields in proptest::collection::btree_map("[A-Z][a-z0-9]{0,8}", "[!-~]([ -~]{0,20}[!-~])?", 1..10)) {
            let text: String = fields.iter().map(|(name, value)| format!("{name}: {value}\n")).collect();
            let read = single(&text).expect("well-formed");
            prop_assert_eq!(read.fields().len(), fields.len());
            for (name, value) in &fields {
                prop_assert_eq!(read.get(name), Some(value.as_str()));
            }
        }
    }
}
