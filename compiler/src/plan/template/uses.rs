//! Whether what a `use` gives fits the template that it names, as far as that can be seen without the values.
//!
//! Does not know in which expansion a use stands; what is said here holds for all of them.

use super::Template;
use crate::diagnostic::{Diagnostic, did_you_mean};
use crate::plan::model::{Param, ParamKind};
use crate::plan::params;
use crate::plan::read::{self, Node};
use crate::plan::{substitute, values};
use crate::source::{Span, Spanned};
use crate::syntax::Entry;

/// What a use gives for a parameter: one value of a property, or the arguments of a node.
pub(super) enum Gives<'l> {
    Value(&'l Entry),
    List(Node<'l>),
}

/// What a use gives, by the name of the parameter, in the order in which it is written.
pub(super) fn gives<'l>(node: Node<'l>) -> impl Iterator<Item = (Spanned<&'l str>, Gives<'l>)> {
    let properties = node.entries().iter().filter_map(|entry| {
        let key = entry.key.as_ref().filter(|key| &*key.name != "as")?;
        Some((Spanned::new(&*key.name, key.span), Gives::Value(entry)))
    });
    let children = node.children().map(move |child| {
        let name = &*node.file.document.node(child.id).name;
        (Spanned::new(name, child.name_span()), Gives::List(child))
    });
    properties.chain(children)
}

/// Reports parameters that the template does not have, lists for single values, values given twice and values that
/// are missing. True if the use can be expanded.
pub(super) fn fits(node: Node, template: &Template, diagnostics: &mut Vec<Diagnostic>) -> bool {
    let before = diagnostics.len();
    let mut given: Vec<Spanned<&str>> = Vec::new();
    let mut meant: Vec<String> = Vec::new();
    for (name, value) in gives(node) {
        let Some(param) = template.params.iter().find(|param| param.name == name.value) else {
            let (params, spans) = (&template.params, &template.spans);
            diagnostics.push(params::unknown("template", &template.id, params, spans, name));
            // What was probably meant is not told to be missing as well.
            let near = did_you_mean(name.value, params.iter().map(|param| param.name.as_str()));
            meant.extend(near.map(str::to_owned));
            continue;
        };
        if let Gives::List(_) = value
            && param.kind != ParamKind::List
        {
            let found = Diagnostic::new(
                "wrong-type",
                name.span,
                format!("the parameter `{}` takes one value", param.name),
            );
            diagnostics.push(
                found
                    .at("written as a list")
                    .label(place(template, param), "defined here")
                    .help(format!("write it as a property: `{}=...`", param.name)),
            );
        }
        match given.iter().find(|first| first.value == name.value) {
            None => given.push(name),
            // A property that stands twice was reported with its node.
            Some(_) if matches!(value, Gives::Value(_)) => return false,
            Some(first) => diagnostics.push(
                Diagnostic::new(
                    "duplicate-node",
                    name.span,
                    format!("the parameter `{}` is given twice", param.name),
                )
                .at("once more")
                .label(first.span, "the first one")
                .help("keep one of the two"),
            ),
        }
    }
    let lacks = |param: &&Param| {
        let given = given.iter().any(|name| name.value == param.name) || meant.contains(&param.name);
        param.default.is_none() && !given
    };
    let missing: Vec<&Param> = template.params.iter().filter(lacks).collect();
    if !missing.is_empty() && !node.is_broken() {
        diagnostics.push(not_given(node, template, &missing));
    }
    let id = node.property("as").and_then(read::name);
    let id = id.is_some_and(|id| substitute::parts(id).count() > 1 || values::id(id).is_ok() || is_open(id));
    diagnostics.len() == before && missing.is_empty() && id
}

/// Is the text one whose id is known in an expansion only?
fn is_open(id: &str) -> bool {
    substitute::whole(id).is_some()
}

fn not_given(node: Node, template: &Template, missing: &[&Param]) -> Diagnostic {
    let names = missing.iter().map(|param| format!("`{}`", param.name)).collect::<Vec<_>>().join(" and ");
    let single = |param: &&&Param| param.kind != ParamKind::List;
    let mut example: Vec<String> =
        missing.iter().filter(single).map(|param| format!("{}=...", param.name)).collect();
    let lists: Vec<String> = missing
        .iter()
        .filter(|param| param.kind == ParamKind::List)
        .map(|param| format!("{} ...;", param.name))
        .collect();
    if !lists.is_empty() {
        example.push(format!("{{ {} }}", lists.join(" ")));
    }
    let id = &template.id.value;
    let mut found = Diagnostic::new(
        "missing-argument",
        node.head(),
        format!("the template `{id}` must be given {names}"),
    )
    .at("without it");
    for param in missing {
        found = found.label(place(template, param), format!("`{}` has no default", param.name));
    }
    found.help(format!("write `use {id} as=... {}`, or give the parameter a default", example.join(" ")))
}

/// Where the parameter is defined.
pub(super) fn place(template: &Template, param: &Param) -> Span {
    let at = template.params.iter().position(|known| known.name == param.name);
    at.map_or(template.id.span, |at| template.spans[at])
}
