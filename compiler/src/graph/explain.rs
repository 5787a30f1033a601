//! The sink that writes a key's fields as lines for people.
//!
//! Does not know which fields there are: it is told them by the walk that is also hashed.

use super::hash::KeyField;
use super::manifest::Manifest;

/// Collects one line for each outermost field or group.
///
/// A group's line is named after the group and its identity (`input docs/api.md`); its value holds the values
/// of its fields, in order, with a space between them.
#[derive(Debug, Default)]
pub struct Explanation {
    fields: Vec<KeyField>,
    open: Option<KeyField>,
    depth: usize,
}

impl Explanation {
    pub fn into_fields(self) -> Vec<KeyField> {
        self.fields
    }

    fn append(&mut self, word: &str) {
        if let Some(open) = &mut self.open {
            if !open.value.is_empty() {
                open.value.push(' ');
            }
            push_escaped(&mut open.value, word);
        }
    }
}

impl Manifest for Explanation {
    fn begin(&mut self, _tag: u32, name: &str) {
        if self.depth == 0 {
            self.open = Some(KeyField { name: name.to_owned(), value: String::new() });
        }
        self.depth += 1;
    }

    fn end(&mut self) {
        self.depth -= 1;
        if self.depth == 0 {
            self.fields.extend(self.open.take());
        }
    }

    fn identity(&mut self, _tag: u32, value: &str) {
        if let Some(open) = &mut self.open {
            open.name.push(' ');
            push_escaped(&mut open.name, value);
        }
    }

    fn text(&mut self, _tag: u32, name: &str, value: &str) {
        if self.depth > 0 {
            return self.append(value);
        }
        let mut line = KeyField { name: name.to_owned(), value: String::new() };
        push_escaped(&mut line.value, value);
        self.fields.push(line);
    }
}

/// Keeps a value on its line, and two different values different.
fn push_escaped(out: &mut String, text: &str) {
    for c in text.chars() {
        match c {
            '\\' => out.push_str("\\\\"),
            c if c.is_control() => out.extend(c.escape_default()),
            c => out.push(c),
        }
    }
}
