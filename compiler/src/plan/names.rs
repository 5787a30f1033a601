//! Tables of names: what is defined where, and which name a wrong one is near to.
//!
//! Does not know what the names stand for.

use std::collections::BTreeMap;

use super::values;
use crate::diagnostic::{Applicability, Diagnostic, did_you_mean};
use crate::source::{Span, Spanned};

/// One name space.
#[derive(Clone, Debug)]
pub(crate) struct Names<T> {
    /// What a name of it is called: "unit".
    what: &'static str,
    map: BTreeMap<String, (Option<T>, Span)>,
    /// How many names may still be looked at for a near one: a plan in which every name is wrong must not cost the
    /// square of its size.
    comparisons: usize,
}

const COMPARISONS: usize = 200_000;

/// What a table says about a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lookup<T> {
    Found(T),
    /// The name is there, but what it stands for could not be read; that was reported.
    Unusable,
    Unknown,
}

impl<T: Copy> Names<T> {
    pub(crate) fn new(what: &'static str) -> Names<T> {
        Names { what, map: BTreeMap::new(), comparisons: COMPARISONS }
    }

    /// Adds a name. If it is taken, the first one stays and the clash is returned.
    pub(crate) fn declare(&mut self, name: &str, value: Option<T>, span: Span) -> Option<Diagnostic> {
        if let Some((_, first)) = self.map.get(name) {
            return Some(duplicate(self.what, name, *first, span));
        }
        self.map.insert(name.to_owned(), (value, span));
        None
    }

    pub(crate) fn lookup(&self, name: &str) -> Lookup<T> {
        match self.map.get(name) {
            Some((Some(value), _)) => Lookup::Found(*value),
            Some((None, _)) => Lookup::Unusable,
            None => Lookup::Unknown,
        }
    }

    pub(crate) fn get(&self, name: &str) -> Option<(Option<T>, Span)> {
        self.map.get(name).copied()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, Option<T>, Span)> {
        self.map.iter().map(|(name, (value, span))| (name.as_str(), *value, *span))
    }

    /// The names that begin with `prefix`.
    pub(crate) fn under<'n>(&'n self, prefix: &'n str) -> impl Iterator<Item = &'n str> {
        let from = self.map.range::<str, _>((std::ops::Bound::Included(prefix), std::ops::Bound::Unbounded));
        from.map(|(name, _)| name.as_str()).take_while(move |name| name.starts_with(prefix))
    }

    /// The finding that `name`, written at `span`, is unknown.
    pub(crate) fn unknown(&mut self, rule: &str, name: &str, span: Span) -> Diagnostic {
        let found = Diagnostic::new(rule, span, format!("no {} is called `{name}`", self.what))
            .at(format!("no such {}", self.what));
        self.suggest(found, name, span)
    }

    /// Adds the nearest known name, its place, and the edit that puts it in.
    pub(crate) fn suggest(&mut self, found: Diagnostic, name: &str, span: Span) -> Diagnostic {
        let Some(left) = self.comparisons.checked_sub(self.map.len()) else { return found };
        self.comparisons = left;
        // A distance is never less than the difference of the lengths.
        let near_in_length = self.map.keys().filter(|known| known.len().abs_diff(name.len()) <= 3);
        match did_you_mean(name, near_in_length.map(String::as_str)) {
            Some(near) => {
                let at = self.map[near].1;
                found
                    .label(at, format!("`{near}` is defined here"))
                    .help(format!("{} with a similar name exists: `{near}`", with_article(self.what)))
                    .replace(
                        span,
                        values::spell(near),
                        format!("replace with `{near}`"),
                        Applicability::Unsafe,
                    )
            }
            None => found,
        }
    }
}

/// `an agent`, `a unit`.
fn with_article(what: &str) -> String {
    let article = if what.starts_with('a') { "an" } else { "a" };
    format!("{article} {what}")
}

/// The finding that two things have one name.
pub(crate) fn duplicate(what: &str, name: &str, first: Span, second: Span) -> Diagnostic {
    Diagnostic::new("duplicate-id", second, format!("{} called `{name}` exists already", with_article(what)))
        .at("the same name again")
        .label(first, format!("`{name}` is first defined here"))
        .help("give one of them another name")
}

/// Findings about features of several plans that would use the same branch: equal ids, or ids that differ in the
/// case of letters alone (file systems that fold case cannot hold both branches).
pub fn duplicate_features(ids: &[Spanned<String>]) -> Vec<Diagnostic> {
    let mut seen: BTreeMap<String, &Spanned<String>> = BTreeMap::new();
    let mut found = Vec::new();
    for id in ids {
        match seen.get(&id.value.to_lowercase()) {
            None => {
                seen.insert(id.value.to_lowercase(), id);
            }
            Some(first) if first.value == id.value => found.push(
                duplicate("feature", &id.value, first.span, id.span)
                    .help(format!("both plans would work on the branch `loop/{}`", id.value)),
            ),
            Some(first) => found.push(
                Diagnostic::new(
                    "duplicate-id",
                    id.span,
                    format!(
                        "the features `{}` and `{}` differ in the case of letters alone",
                        first.value, id.value
                    ),
                )
                .at("nearly the same name again")
                .label(first.span, "the other one")
                .help("give one of them another name: some file systems cannot hold branches of both"),
            ),
        }
    }
    found
}
