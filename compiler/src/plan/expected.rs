//! What a value must be: said in words, and seen at a glance where it is right.
//!
//! Does not know which node takes the value.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry as Slot;

use super::schema::Type;
use super::values;
use crate::diagnostic::Diagnostic;
use crate::source::Span;
use crate::syntax::{Entry, StringStyle, Value};

/// The property before the one at `at` that has its name. Few are looked through; of many, `seen` remembers the first
/// of each name.
pub(super) fn first_of_this_name<'e>(
    entries: &'e [Entry],
    at: usize,
    seen: &mut BTreeMap<&'e str, &'e Entry>,
) -> Option<&'e Entry> {
    fn name(entry: &Entry) -> Option<&str> {
        entry.key.as_ref().map(|key| key.name.as_str())
    }
    if entries.len() <= 16 {
        return entries[..at].iter().find(|before| name(before) == name(&entries[at]));
    }
    match seen.entry(name(&entries[at])?) {
        Slot::Occupied(first) => Some(first.get()),
        Slot::Vacant(slot) => {
            slot.insert(&entries[at]);
            None
        }
    }
}

/// What takes a value.
#[derive(Clone, Copy)]
pub(super) enum Place<'p> {
    /// The node of this name, as an argument.
    Argument(&'p str),
    Property(&'p str),
}

impl std::fmt::Display for Place<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Place::Argument(name) => write!(f, "`{name}`"),
            Place::Property(name) => write!(f, "`{name}=`"),
        }
    }
}

/// A text of which one glance tells that nothing is wrong with it, as with nearly all: for those no words are made.
pub(super) fn is_plainly_right(entry: &Entry, ty: Type) -> bool {
    let Value::String(text, style) = &entry.value else { return false };
    if *style == StringStyle::Bare && text.bytes().any(|byte| matches!(byte, b',' | b':')) {
        return false;
    }
    match ty {
        Type::Name | Type::Text | Type::Path | Type::Glob | Type::Reference => !text.is_empty(),
        Type::Id => values::id(text).is_ok(),
        _ => false,
    }
}

pub(super) fn wrong(span: Span, place: &str, expected: &str, found: &str) -> Diagnostic {
    Diagnostic::new("wrong-type", span, format!("{place} takes {expected}")).at(match found {
        "something else" => format!("not {expected}"),
        found => format!("this is {found}"),
    })
}

/// What a value of the type is, with an article.
pub(crate) fn describe(ty: Type) -> String {
    match ty {
        Type::Id => "an id".to_owned(),
        Type::Name | Type::Kind => "a name".to_owned(),
        Type::Text => "a text".to_owned(),
        Type::Path => "a path".to_owned(),
        Type::Glob => "a path or pattern".to_owned(),
        Type::Reference => "a path, or path#Heading".to_owned(),
        Type::Regex => "a regular expression".to_owned(),
        Type::Variable => "the name of an environment variable".to_owned(),
        Type::Word(words) => {
            let words: Vec<String> = words.iter().map(|word| format!("`{}`", word.name)).collect();
            match words.split_last() {
                Some((last, [])) => last.clone(),
                Some((last, rest)) => format!("{} or {last}", rest.join(", ")),
                None => "a word".to_owned(),
            }
        }
        Type::Count(least, u64::MAX) => format!("a whole number from {least} on"),
        Type::Count(least, most) => format!("a whole number from {least} to {most}"),
        Type::Money => "an amount of US dollars, with at most six decimals".to_owned(),
        Type::Duration => "a time like \"1h30m\"".to_owned(),
        Type::Date => "a day like \"2027-01-31\"".to_owned(),
        Type::Argv => "a word of a command".to_owned(),
        Type::Value => "a text or a number".to_owned(),
    }
}
