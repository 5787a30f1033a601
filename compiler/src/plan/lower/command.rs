//! Commands, what counts as their success, and the limits of what runs.
//!
//! Does not know what a command is run for.

use super::Lowering;
use crate::diagnostic::{Applicability, Diagnostic};
use crate::plan::model::{Budget, Check, Command, Retry, Timeout};
use crate::plan::read::{self, Node};
use crate::plan::values;
use crate::source::Span;
use crate::syntax::{Entry, Value};

/// A regular expression longer than this, or one with a counted repetition, is built in full to see whether it fits
/// into the engine's limit; a short one without repetitions always does.
const SURELY_SMALL: usize = 512;

impl Lowering<'_> {
    /// The words of a command node, as written.
    pub(super) fn argv(&self, node: Node) -> Vec<String> {
        let word = |entry: &Entry| -> Option<String> {
            let value = match &entry.value {
                Value::String(text, _) => text.to_string(),
                Value::Integer(_) | Value::Number(_) => self.map.text(entry.value_span).to_owned(),
                Value::Bool(_) | Value::Null => return None,
            };
            Some(match &entry.key {
                Some(key) => format!("{}={value}", key.name),
                None => value,
            })
        };
        node.entries().iter().filter_map(word).collect()
    }

    /// The `run` or `shell` of a block with its `exit` and `stdout`. `None` if there is no command; `exit` and
    /// `stdout` without one are reported.
    pub(super) fn check(&mut self, node: Node) -> Option<(Check, Span)> {
        let mut command: Option<(Command, Node)> = None;
        let mut exit: Vec<i32> = Vec::new();
        let mut stdout = None;
        let mut judged: Option<Node> = None;
        for child in node.children() {
            match child.name() {
                "run" | "shell" => {
                    let this = match child.name() {
                        "run" => Command::Run(self.argv(child)),
                        _ => Command::Shell(child.text().unwrap_or("").to_owned()),
                    };
                    match &command {
                        None => command = Some((this, child)),
                        Some((_, first)) if first.name() != child.name() => {
                            let found = Diagnostic::new(
                                "duplicate-node",
                                child.name_span(),
                                format!("`{}` has a command already", node.name()),
                            )
                            .at("a second command")
                            .label(first.name_span(), "the first one")
                            .help("keep one of `run` and `shell`");
                            self.report(found);
                        }
                        Some(_) => {}
                    }
                }
                "exit" => {
                    judged = judged.or(Some(child));
                    exit.extend(child.arguments().filter_map(|entry| match entry.value {
                        Value::Integer(code) => i32::try_from(code.get()).ok(),
                        _ => None,
                    }));
                }
                "stdout" => {
                    judged = judged.or(Some(child));
                    stdout = child.argument(0).and_then(|entry| self.regex(entry));
                }
                _ => {}
            }
        }
        exit.sort_unstable();
        exit.dedup();
        if exit.is_empty() {
            exit.push(0);
        }
        let Some((command, written)) = command else {
            if let Some(judged) = judged.filter(|_| !node.is_broken()) {
                let name = judged.name();
                let found = Diagnostic::new(
                    "missing-argument",
                    judged.name_span(),
                    format!("`{name}` judges a command, and there is none"),
                )
                .at("of which command?")
                .help(format!("add `run` or `shell` beside `{name}`"));
                self.report(found);
            }
            return None;
        };
        let empty = match &command {
            Command::Run(words) => words.is_empty(),
            Command::Shell(text) => text.is_empty(),
        };
        // An empty command was reported as a missing argument.
        (!empty).then(|| (Check { command, exit, stdout }, written.span()))
    }

    /// A regular expression, if it is one. Multi-line: `^` and `$` match at lines.
    pub(super) fn regex(&mut self, entry: &Entry) -> Option<String> {
        let text = read::text(entry)?;
        if self.regexes.contains(text) {
            return Some(text.to_owned());
        }
        let problem = match regex_syntax::ParserBuilder::new().multi_line(true).build().parse(text) {
            Err(regex_syntax::Error::Parse(error)) => Some((error.kind().to_string(), Some(*error.span()))),
            Err(regex_syntax::Error::Translate(error)) => {
                Some((error.kind().to_string(), Some(*error.span())))
            }
            Err(error) => Some((error.to_string(), None)),
            Ok(_) if text.len() <= SURELY_SMALL && !text.contains('{') => None,
            Ok(_) => match regex::RegexBuilder::new(text).multi_line(true).build() {
                Ok(_) => None,
                Err(_) => Some(("it is too large".to_owned(), None)),
            },
        };
        let Some((problem, at)) = problem else {
            self.regexes.insert(text.to_owned());
            return Some(text.to_owned());
        };
        // The place inside the text is known when the text stands there letter for letter.
        let written = self.map.text(entry.value_span);
        let begin = written.find(text).filter(|_| !text.is_empty());
        let exact = at.zip(begin).map(|(at, begin)| {
            let start = entry.value_span.start as usize + begin;
            Span::new(entry.value_span.file, start + at.start.offset, start + at.end.offset)
        });
        let found = Diagnostic::new(
            "invalid-regex",
            exact.unwrap_or(entry.value_span),
            format!("this is not a regular expression: {problem}"),
        )
        .at(problem);
        self.report(match written.starts_with('"') && text.contains('\\') {
            false => found.help("a letter with a meaning of its own is taken as it stands behind `\\`"),
            true => found.help("in a raw string, `#\"...\"#`, a backslash needs no second one"),
        });
        None
    }

    pub(super) fn budget(&mut self, node: Node) -> Budget {
        let budget = Budget {
            micro_usd: node.property("usd").and_then(|entry| values::money(&entry.value).ok()),
            tokens: node.property("tokens").and_then(count),
            time_ms: node.property("time").and_then(duration),
            retry_micro_usd: node.property("retry-usd").and_then(|entry| values::money(&entry.value).ok()),
            span: Some(node.span()),
        };
        self.needs_a_property(node, "usd=2.5");
        budget
    }

    pub(super) fn timeout(&mut self, node: Node) -> Timeout {
        self.needs_a_property(node, "total=\"45m\"");
        let timeout = Timeout {
            total_ms: node.property("total").and_then(duration),
            idle_ms: node.property("idle").and_then(duration),
        };
        if let (Some(total), Some(idle), Some(entry)) =
            (timeout.total_ms, timeout.idle_ms, node.property("idle"))
            && idle >= total
        {
            let message = "the limit of silence, `idle=`, is not shorter than the one in all, `total=`";
            let found = Diagnostic::new("timeout-impossible", entry.value_span, message)
                .at("can never be reached")
                .help("make `idle=` the shorter one, or leave it out");
            self.report(found);
        }
        timeout
    }

    pub(super) fn retry(&mut self, node: Node) -> Retry {
        let attempts = node.property("attempts").and_then(count);
        let mut on: Vec<String> = node
            .children()
            .filter(|child| child.name() == "on")
            .flat_map(Node::arguments)
            .filter_map(read::name)
            .map(str::to_owned)
            .collect();
        on.sort();
        on.dedup();
        let backoff = node.property("backoff");
        let from = node.property("from");
        let retry = Retry {
            attempts: attempts
                .and_then(|attempts| u32::try_from(attempts).ok())
                .unwrap_or(DEFAULT_RETRY.attempts),
            backoff_ms: backoff.and_then(duration),
            from_patch: node.text_of("from") == Some("patch"),
            on,
            span: Some(node.head()),
        };
        let of_a_second = [backoff.map(|entry| entry.span), from.map(|entry| entry.span)];
        let listed = node.child("on").map(Node::head);
        if let Some(span) =
            of_a_second.into_iter().chain([listed]).flatten().next().filter(|_| attempts == Some(1))
        {
            let found =
                Diagnostic::new("contradictory-settings", span, "with `attempts=1` nothing is tried again")
                    .at("has no effect")
                    .help("raise `attempts=`, or leave this out");
            self.report(found);
        }
        retry
    }

    /// A node that consists of properties and has none says nothing.
    pub(super) fn needs_a_property(&mut self, node: Node, example: &str) {
        if node.entries().is_empty() && !node.is_broken() {
            let name = node.name();
            let at = Span { start: node.name_span().end, ..node.name_span() };
            let found =
                Diagnostic::new("missing-argument", node.name_span(), format!("`{name}` names no limit"))
                    .at("a limit is missing behind it")
                    .help(format!("for example `{name} {example}`"))
                    .replace(at, format!(" {example}"), "add a limit", Applicability::Display);
            self.report(found);
        }
    }
}

/// How often a unit is tried if nothing says otherwise.
pub(super) const DEFAULT_RETRY: Retry =
    Retry { attempts: 3, backoff_ms: None, from_patch: false, on: Vec::new(), span: None };

pub(super) fn count(entry: &Entry) -> Option<u64> {
    match entry.value {
        Value::Integer(number) => u64::try_from(number.get()).ok(),
        _ => None,
    }
}

pub(super) fn duration(entry: &Entry) -> Option<u64> {
    values::duration(read::text(entry)?).ok()
}
