//! Judges predicates on trees.
//!
//! Does not know how a tree is stored, and runs nothing: commands are judged by `verify`.

use loop_compiler::glob::Pattern;
use loop_compiler::graph::Predicate;

use crate::patch::Tree;

/// What a predicate looks at.
pub struct View<'a> {
    pub start: &'a Tree,
    pub end: &'a Tree,
    /// Content of a path of `end`; `None` if it is not there or cannot be read.
    pub read: &'a dyn Fn(&str) -> Option<Vec<u8>>,
}

/// What came of a predicate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Held {
    Yes,
    /// With the reason, for people and for the next attempt.
    No(String),
    /// It is a command: the caller runs it.
    Command,
}

/// Judges one predicate.
pub fn holds(predicate: &Predicate, view: &View<'_>) -> Held {
    match predicate {
        Predicate::Exists(patterns) => each(patterns, |pattern| {
            (!any_path(view.end, pattern)).then(|| format!("nothing matches `{}`", pattern.as_str()))
        }),
        Predicate::Missing(patterns) => each(patterns, |pattern| {
            any_path(view.end, pattern).then(|| format!("`{}` exists", pattern.as_str()))
        }),
        Predicate::Changed(patterns) => each(patterns, |pattern| {
            changed(view, pattern).is_none().then(|| format!("nothing under `{}` changed", pattern.as_str()))
        }),
        Predicate::Unchanged(patterns) => {
            each(patterns, |pattern| changed(view, pattern).map(|path| format!("`{path}` changed")))
        }
        Predicate::Matches { path, regex } => matches(path, regex, view),
        Predicate::Command(_) => Held::Command,
    }
}

/// Compiles a plan's regular expression: `^` and `$` match at lines.
pub fn regex(text: &str) -> Result<regex::bytes::Regex, regex::Error> {
    regex::bytes::RegexBuilder::new(text).multi_line(true).build()
}

fn matches(path: &str, text: &str, view: &View<'_>) -> Held {
    let Some(content) = (view.read)(path) else { return Held::No(format!("`{path}` does not exist")) };
    match regex(text) {
        Ok(regex) if regex.is_match(&content) => Held::Yes,
        Ok(_) => Held::No(format!("`{path}` does not match {text}")),
        Err(error) => Held::No(format!("{text} is not a regular expression: {error}")),
    }
}

fn each(patterns: &[String], fails: impl Fn(&Pattern) -> Option<String>) -> Held {
    for text in patterns {
        let failure = match Pattern::parse(text) {
            Ok(pattern) => fails(&pattern),
            Err(error) => Some(format!("`{text}` is not a path pattern: {error}")),
        };
        if let Some(reason) = failure {
            return Held::No(reason);
        }
    }
    Held::Yes
}

fn any_path(tree: &Tree, pattern: &Pattern) -> bool {
    match pattern.literal() {
        // A literal names a file, or a directory by what lies below it.
        Some(path) => {
            let below = format!("{path}/").into_bytes();
            tree.files.contains_key(path.as_bytes())
                || tree
                    .files
                    .range(below.clone()..)
                    .next()
                    .is_some_and(|(found, _)| found.starts_with(&below))
        }
        None => tree
            .files
            .keys()
            .filter_map(|path| std::str::from_utf8(path).ok())
            .any(|path| pattern.matches(path)),
    }
}

/// The first path under the pattern whose entry differs between start and end.
fn changed(view: &View<'_>, pattern: &Pattern) -> Option<String> {
    let differs = |path: &&Vec<u8>| {
        view.start.files.get(*path).map(|file| &file.entry)
            != view.end.files.get(*path).map(|file| &file.entry)
    };
    view.start
        .files
        .keys()
        .chain(view.end.files.keys())
        .filter(differs)
        .filter_map(|path| std::str::from_utf8(path).ok())
        .find(|path| pattern.matches(path))
        .map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::digest::ObjectId;
    use crate::patch::{Entry, Mode, TreeFile};

    fn tree(files: &[(&str, &str)]) -> Tree {
        let file = |object: &str| TreeFile {
            entry: Entry { mode: Mode::File, object: ObjectId(object.into()) },
            content: None,
        };
        Tree { files: files.iter().map(|(path, object)| (path.as_bytes().to_vec(), file(object))).collect() }
    }

    fn check(predicate: Predicate) -> bool {
        let start = tree(&[("a/x", "1"), ("b", "2"), ("gone", "3")]);
        let end = tree(&[("a/x", "9"), ("b", "2"), ("new/y", "4")]);
        let read = |path: &str| (path == "b").then(|| b"one\ntwo\n".to_vec());
        holds(&predicate, &View { start: &start, end: &end, read: &read }) == Held::Yes
    }

    #[test]
    fn trees_are_judged() {
        let paths = |paths: &[&str]| paths.iter().map(|path| (*path).to_owned()).collect::<Vec<_>>();
        assert!(check(Predicate::Exists(paths(&["a", "a/x", "new/*"]))));
        assert!(!check(Predicate::Exists(paths(&["a", "gone"]))));
        assert!(check(Predicate::Missing(paths(&["gone", "zzz/**"]))));
        assert!(!check(Predicate::Missing(paths(&["new"]))));
        assert!(check(Predicate::Changed(paths(&["a", "gone", "new/y"]))));
        assert!(!check(Predicate::Changed(paths(&["b"]))));
        assert!(check(Predicate::Unchanged(paths(&["b"]))));
        assert!(!check(Predicate::Unchanged(paths(&["**/y"]))));
    }

    #[test]
    fn expressions_match_at_lines() {
        let matches =
            |path: &str, regex: &str| check(Predicate::Matches { path: path.into(), regex: regex.into() });
        assert!(matches("b", "^two$"));
        assert!(!matches("b", "^tw$"));
        assert!(!matches("c", "."));
        assert!(!matches("b", "("));
    }
}
