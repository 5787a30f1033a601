//! Parameters of verifiers and templates: what a `param` says, and which values a use may give.
//!
//! Does not know what the values are put into.

use camino::Utf8Path;

use super::import;
use super::model::{Param, ParamKind};
use super::names::{Names, duplicate};
use super::read::{self, Node};
use super::values;
use crate::diagnostic::{Applicability, Diagnostic};
use crate::glob::Pattern;
use crate::source::{SourceMap, Span, Spanned};
use crate::syntax::{Entry, StringStyle, Value};

/// The parameters that a node's `param` children define, and where each is defined. `taken` is the one name that none
/// may have, with what it means already.
pub(crate) fn definitions(
    node: Node,
    taken: (&str, &str),
    map: &SourceMap,
    diagnostics: &mut Vec<Diagnostic>,
) -> (Vec<Param>, Vec<Span>) {
    let mut params: Vec<Param> = Vec::new();
    let mut spans: Vec<Span> = Vec::new();
    for child in node.children().filter(|child| child.name() == "param") {
        let Some(param) = definition(child, taken, map, diagnostics) else { continue };
        let span = child.argument(0).map_or(child.name_span(), |entry| entry.value_span);
        match params.iter().position(|before| before.name == param.name) {
            None => {
                params.push(param);
                spans.push(span);
            }
            Some(first) => diagnostics.push(duplicate("parameter", &param.name, spans[first], span)),
        }
    }
    (params, spans)
}

fn definition(
    node: Node,
    taken: (&str, &str),
    map: &SourceMap,
    diagnostics: &mut Vec<Diagnostic>,
) -> Option<Param> {
    let entry = node.argument(0)?;
    let name = read::name(entry)?.to_owned();
    if name == taken.0 {
        diagnostics.push(
            Diagnostic::new("invalid-id", entry.value_span, format!("a parameter cannot be called `{name}`"))
                .at(taken.1)
                .help("choose another name"),
        );
        return None;
    }
    let kind = match node.text_of("type") {
        Some("name") => ParamKind::Name,
        Some("path") => ParamKind::Path,
        Some("glob") => ParamKind::Glob,
        Some("number") => ParamKind::Number,
        Some("list") => ParamKind::List,
        _ => ParamKind::Text,
    };
    let mut param = Param { name, kind, default: None };
    if let Some(entry) = node.property("default") {
        // An unreadable default is still a default: each use would be told to give a value otherwise.
        let empty = read::text(entry) == Some("");
        let value = match empty {
            true => None,
            false => match value(&param, entry, node.file.directory(), map) {
                Ok(value) => Some(value),
                Err(found) => {
                    diagnostics.extend(found.map(|found| *found));
                    None
                }
            },
        };
        param.default = Some(match value {
            None if empty && kind == ParamKind::List => Vec::new(),
            value => vec![value.unwrap_or_default()],
        });
    }
    Some(param)
}

/// The finding that a use gives a parameter which `owner` does not have.
pub(crate) fn unknown(
    what: &str,
    owner: &Spanned<String>,
    params: &[Param],
    spans: &[Span],
    name: Spanned<&str>,
) -> Diagnostic {
    let Spanned { value: name, span } = name;
    let found = Diagnostic::new(
        "unknown-property",
        span,
        format!("the {what} `{}` has no parameter `{name}`", owner.value),
    )
    .at("no such parameter")
    .label(owner.span, format!("`{}` is defined here", owner.value));
    let mut names = Names::new("parameter");
    for (param, span) in params.iter().zip(spans) {
        let _ = names.declare(&param.name, Some(()), *span);
    }
    let found = if params.is_empty() { found.help("it has no parameters") } else { found };
    names.suggest(found, name, span)
}

/// One value of a parameter, as it goes into a text.
///
/// # Errors
/// The finding; `None` if it was reported when the node was read.
pub(crate) fn value(
    param: &Param,
    entry: &Entry,
    directory: &Utf8Path,
    map: &SourceMap,
) -> Result<String, Option<Box<Diagnostic>>> {
    let span = entry.value_span;
    let name = &param.name;
    let wrong = |takes: &str| {
        Diagnostic::new("wrong-type", span, format!("the parameter `{name}` takes {takes}"))
            .at(format!("not {takes}"))
    };
    let text = match (&entry.value, param.kind) {
        (Value::Integer(number), ParamKind::Number) => return Ok(number.get().to_string()),
        (Value::Number(number), ParamKind::Number) => return Ok(number.to_string()),
        (Value::String(text, _), ParamKind::Number) => {
            let found = wrong("a number");
            let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
            return Err(told(match is_number {
                true => found.replace(span, &**text, "remove the quotes", Applicability::Safe),
                false => found,
            }));
        }
        (Value::Integer(_) | Value::Number(_), _) => {
            let quoted = values::quote(map.text(span));
            return Err(told(wrong("a text").replace(span, quoted, "quote it", Applicability::Safe)));
        }
        (Value::String(text, StringStyle::Bare), _) if text.len() > 1 && text.ends_with(',') => {
            let found = Diagnostic::new("punctuation-in-name", span, "the comma became part of the value")
                .at(format!("this value is `{text}`"))
                .help("a list has only spaces between its words")
                .replace(span, text.trim_end_matches(','), "remove the comma", Applicability::Safe);
            return Err(told(found));
        }
        (Value::String(text, _), _) => text,
        // Reported when the node was read.
        (Value::Bool(_) | Value::Null, _) => return Err(None),
    };
    match param.kind {
        ParamKind::Text | ParamKind::List | ParamKind::Number => Ok(text.to_string()),
        // The id of what a template made has several parts.
        ParamKind::Name => match text.split('/').try_for_each(values::id) {
            Ok(()) => Ok(text.to_string()),
            Err(problem) => Err(told(wrong("a name").help(problem))),
        },
        ParamKind::Path | ParamKind::Glob => {
            let path = match values::resolve(directory, text) {
                Ok(path) if path.is_empty() => ".".to_owned(),
                Ok(path) => path,
                Err(problem) => return Err(told(import::path_problem(problem, text, span))),
            };
            if param.kind == ParamKind::Glob
                && let Err(problem) = Pattern::parse(&path)
            {
                let found = Diagnostic::new(
                    "invalid-glob",
                    span,
                    format!("`{text}` is not a path pattern: {problem}"),
                );
                return Err(told(found.at(problem)));
            }
            Ok(path)
        }
    }
}

#[expect(clippy::unnecessary_wraps, reason = "what was not reported before is one of two cases")]
fn told(found: Diagnostic) -> Option<Box<Diagnostic>> {
    Some(Box::new(found))
}
