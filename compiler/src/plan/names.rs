//! Tables of names: what is defined where, and which name a wrong one is near to.
//!
//! Does not know what the names stand for.

use std::cell::OnceCell;
use std::collections::hash_map::Entry as Slot;
use std::collections::{BTreeMap, HashMap};

use super::values;
use crate::diagnostic::{Applicability, Diagnostic, did_you_mean};
use crate::source::{Span, Spanned};
use crate::syntax::Text;

/// One name space.
#[derive(Clone, Debug)]
pub(crate) struct Names<T> {
    /// What a name of it is called: "unit".
    what: &'static str,
    /// Where in `all` each name stands. Names are looked up far more often than they are gone through.
    places: HashMap<Text, u32>,
    /// In the order in which they were declared.
    all: Vec<(Text, Option<T>, Span)>,
    /// Indexes into `all` in the order of the names, once somebody asked for it.
    sorted: OnceCell<Vec<u32>>,
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
        Names {
            what,
            places: HashMap::new(),
            all: Vec::new(),
            sorted: OnceCell::new(),
            comparisons: COMPARISONS,
        }
    }

    /// Adds a name. If it is taken, the first one stays and the clash is returned.
    pub(crate) fn declare(&mut self, name: &str, value: Option<T>, span: Span) -> Option<Diagnostic> {
        match self.places.entry(name.into()) {
            Slot::Occupied(known) => {
                let (_, _, first) = self.all[*known.get() as usize];
                Some(duplicate(self.what, name, first, span))
            }
            Slot::Vacant(slot) => {
                self.all.push((slot.key().clone(), value, span));
                slot.insert(self.all.len() as u32 - 1);
                self.sorted.take();
                None
            }
        }
    }

    pub(crate) fn lookup(&self, name: &str) -> Lookup<T> {
        match self.get(name) {
            Some((Some(value), _)) => Lookup::Found(value),
            Some((None, _)) => Lookup::Unusable,
            None => Lookup::Unknown,
        }
    }

    pub(crate) fn get(&self, name: &str) -> Option<(Option<T>, Span)> {
        let (_, value, span) = self.all[*self.places.get(name)? as usize];
        Some((value, span))
    }

    /// In the order of the names.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, Option<T>, Span)> {
        self.sorted().iter().map(|at| {
            let (name, value, span) = &self.all[*at as usize];
            (name.as_str(), *value, *span)
        })
    }

    fn sorted(&self) -> &[u32] {
        self.sorted.get_or_init(|| {
            let mut sorted: Vec<u32> = (0..self.all.len() as u32).collect();
            sorted.sort_unstable_by_key(|at| &self.all[*at as usize].0);
            sorted
        })
    }

    /// The names that begin with `prefix`.
    pub(crate) fn under<'n>(&'n self, prefix: &'n str) -> impl Iterator<Item = &'n str> {
        let name = |at: &'n u32| self.all[*at as usize].0.as_str();
        let sorted = self.sorted();
        let from = sorted.partition_point(|at| self.all[*at as usize].0.as_str() < prefix);
        sorted[from..].iter().map(name).take_while(move |name| name.starts_with(prefix))
    }

    /// The finding that `name`, written at `span`, is unknown.
    pub(crate) fn unknown(&mut self, rule: &str, name: &str, span: Span) -> Diagnostic {
        let found = Diagnostic::new(rule, span, format!("no {} is called `{name}`", self.what))
            .at(format!("no such {}", self.what));
        self.suggest(found, name, span)
    }

    /// Adds the nearest known name, its place, and the edit that puts it in.
    pub(crate) fn suggest(&mut self, found: Diagnostic, name: &str, span: Span) -> Diagnostic {
        let Some(left) = self.comparisons.checked_sub(self.all.len()) else { return found };
        self.comparisons = left;
        // A distance is never less than the difference of the lengths.
        let near_in_length = self.iter().filter(|(known, ..)| known.len().abs_diff(name.len()) <= 3);
        match did_you_mean(name, near_in_length.map(|(known, ..)| known)) {
            Some(near) => {
                let at = self.get(near).map_or(span, |(_, at)| at);
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
