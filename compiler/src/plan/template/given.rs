//! What a use gives: the values of parameters, checked, and texts with values put in.
//!
//! Does not know where in the plan a value ends up.

use std::collections::BTreeMap;

use camino::Utf8Path;

use super::expand::{Expander, PLAN, ScopeIx, moved};
use super::uses::{self, Gives};
use super::{MOST_TEXT, Template};
use crate::diagnostic::Diagnostic;
use crate::plan::import;
use crate::plan::lower::escaped;
use crate::plan::model::{Param, ParamKind};
use crate::plan::params;
use crate::plan::read::{self, Node};
use crate::plan::schema::Type;
use crate::plan::substitute::{self, Part};
use crate::plan::values;
use crate::source::Span;
use crate::syntax::{Entry, StringStyle, Value};

/// A value that a use gives.
#[derive(Clone)]
pub(super) struct Given {
    pub(super) text: String,
    pub(super) number: bool,
    /// A path from the repository's root.
    pub(super) resolved: bool,
    /// Names in it are names there.
    pub(super) scope: ScopeIx,
    /// Where it is written; `None` for a default.
    pub(super) span: Option<Span>,
}

impl Expander<'_> {
    /// A text with the values put in.
    pub(super) fn filled(&self, scope: ScopeIx, text: &str) -> Given {
        let mut out = String::with_capacity(text.len());
        let mut first: Option<&Given> = None;
        for part in substitute::parts(text) {
            match part {
                Part::Text(text) => out.push_str(text),
                Part::Literal | Part::Open(_) => out.push_str("${"),
                Part::Placeholder { name, at } => {
                    let values = self.scopes[scope].values.get(name).map(Vec::as_slice).unwrap_or_default();
                    if at == 0 {
                        first = values.first();
                    }
                    for (at, value) in values.iter().enumerate() {
                        if at > 0 {
                            out.push(' ');
                        }
                        out.push_str(&value.text);
                    }
                }
            }
        }
        // What a path begins with says from where it counts.
        Given { text: out, number: false, resolved: false, scope, span: first.and_then(|first| first.span) }
    }

    /// A path that a use gives counts from the file in which the use stands.
    pub(super) fn anchor(&mut self, given: &mut Given, ty: Type) {
        let Some(span) = given.span else { return };
        let root = given.resolved && given.text == ".";
        let relative = matches!(given.text.as_str(), "." | "..")
            || given.text.starts_with("./")
            || given.text.starts_with("../");
        if !relative || (given.resolved && !root) {
            return;
        }
        let directory = read::directory(&self.map.file(span.file).path).as_str();
        let directory = match ty {
            _ if root => String::new(),
            Type::Glob => escaped(directory),
            _ => directory.to_owned(),
        };
        match values::resolve(Utf8Path::new(&directory), &given.text) {
            Ok(path) if path.is_empty() && matches!(ty, Type::Glob) => given.text = "**".to_owned(),
            Ok(path) if path.is_empty() => self.diagnostics.push(
                Diagnostic::new("wrong-type", span, format!("`{}` is the repository itself", given.text))
                    .at("not a file in the repository")
                    .help("name a file"),
            ),
            Ok(path) => given.text = path,
            Err(problem) => self.diagnostics.push(import::path_problem(problem, &given.text, span)),
        }
    }

    /// The values of a use, checked; `None` if one of them cannot be right.
    pub(super) fn values(
        &mut self,
        scope: ScopeIx,
        node: Node,
        template: &Template,
    ) -> Option<BTreeMap<String, Vec<Given>>> {
        let mut values: BTreeMap<String, Vec<Given>> = BTreeMap::new();
        let mut good = true;
        for (name, gives) in uses::gives(node) {
            let Some(param) = template.params.iter().find(|param| param.name == name.value) else { continue };
            let mut list = Vec::new();
            let entries: Vec<&Entry> = match gives {
                Gives::Value(entry) => vec![entry],
                Gives::List(node) => node.arguments().collect(),
            };
            for entry in entries {
                good &= self.value(scope, param, entry, template, &mut list);
            }
            values.insert(param.name.clone(), list);
        }
        for param in &template.params {
            let Some(default) = param.default.as_ref().filter(|_| !values.contains_key(&param.name)) else {
                continue;
            };
            let number = param.kind == ParamKind::Number;
            let resolved = matches!(param.kind, ParamKind::Path | ParamKind::Glob);
            let given =
                |text: &String| Given { text: text.clone(), number, resolved, scope: PLAN, span: None };
            values.insert(param.name.clone(), default.iter().map(given).collect());
        }
        if self.text > MOST_TEXT {
            self.overflow(scope);
            return None;
        }
        (good && !self.full).then_some(values)
    }

    /// Adds what one entry of a use gives for a parameter: several values if it passes on a list.
    fn value(
        &mut self,
        scope: ScopeIx,
        param: &Param,
        entry: &Entry,
        template: &Template,
        list: &mut Vec<Given>,
    ) -> bool {
        let mut passed: Vec<Given> = match read::text(entry).filter(|_| scope != PLAN) {
            Some(text) => {
                match substitute::whole(text).and_then(|name| self.scopes[scope].values.get(name)) {
                    Some(values) => values.clone(),
                    None => vec![Given { span: None, ..self.filled(scope, text) }],
                }
            }
            None => vec![Given { text: String::new(), number: false, resolved: false, scope, span: None }],
        };
        let literal = scope == PLAN || read::text(entry).is_none();
        let mut good = true;
        for given in &mut passed {
            self.text += given.text.len() + 32;
            let mut copy = moved(entry, self.scopes[scope].id);
            if scope == PLAN {
                copy = entry.clone();
            }
            let origin = given.span.unwrap_or(copy.value_span);
            if !literal {
                let ty = if param.kind == ParamKind::Number { Type::Money } else { Type::Value };
                copy.value = value_of(given, ty);
            }
            let directory = match given.resolved {
                true => camino::Utf8PathBuf::new(),
                false => read::directory(&self.map.file(origin.file).path).to_owned(),
            };
            match params::value(param, &copy, &directory, self.map) {
                Ok(text) => {
                    let number = param.kind == ParamKind::Number;
                    let text = match param.kind {
                        ParamKind::Glob if text == "." => "**".to_owned(),
                        _ => text,
                    };
                    let resolved = matches!(param.kind, ParamKind::Path | ParamKind::Glob);
                    list.push(Given { text, number, resolved, scope: given.scope, span: Some(origin) });
                }
                Err(found) => {
                    good = false;
                    let label = |found: Diagnostic| {
                        let found = found.label(uses::place(template, param), "defined here");
                        let fixes = if literal { found.fixes.clone() } else { Vec::new() };
                        Diagnostic { fixes, ..found }
                    };
                    self.diagnostics.extend(found.map(|found| label(*found)));
                }
            }
        }
        good
    }
}

/// A number stays one where a number may stand; anywhere else it is a text.
pub(super) fn value_of(given: &Given, ty: Type) -> Value {
    match ty {
        Type::Count(..) | Type::Money if given.number => match given.text.parse() {
            Ok(number) => Value::integer(number),
            Err(_) => Value::Number(given.text.as_str().into()),
        },
        _ => Value::String(given.text.as_str().into(), StringStyle::Quoted),
    }
}
