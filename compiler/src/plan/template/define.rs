//! What the templates of the loaded files say: their parameters, the placeholders in them, and which use which.
//!
//! Does not know what a use gives; each finding here is about the template itself and told once.

use std::collections::{BTreeMap, BTreeSet};

use super::{Expanded, Template, TemplateIx, Templates, Use, uses};
use crate::diagnostic::{Applicability, Diagnostic, did_you_mean};
use crate::plan::import::{FileIx, Loaded, Place};
use crate::plan::model::{Param, ParamKind, UnusedParameter};
use crate::plan::names::{Lookup, Names, duplicate};
use crate::plan::params;
use crate::plan::read::{self, Node};
use crate::plan::schema::Open;
use crate::plan::stdlib;
use crate::plan::substitute::{self, Part};
use crate::source::{SourceMap, Span, Spanned};
use crate::syntax::Entry;

/// Reads every template, and every `use` in the plan and in a template.
pub(super) fn define<'l>(
    loaded: &'l Loaded,
    map: &SourceMap,
    diagnostics: &mut Vec<Diagnostic>,
    expanded: &mut Expanded,
) -> Templates<'l> {
    let mut templates = Templates { all: Vec::new(), uses: BTreeMap::new() };
    let mut by_place: BTreeMap<(FileIx, u32), TemplateIx> = BTreeMap::new();
    for (at, file) in loaded.files.iter().enumerate() {
        for node in file.roots().filter(|node| node.name() == "template") {
            by_place.insert((at, node.id.0), templates.all.len());
            let template = template(at, node, map, diagnostics, &mut expanded.unused);
            templates.all.push(template);
        }
    }
    let mut names: Vec<Names<Place>> = Vec::new();
    for (at, file) in loaded.files.iter().enumerate() {
        names.push(visible_from(loaded, at, stdlib::is_path(&file.path)));
    }
    let mut found: Vec<(FileIx, Node)> = Vec::new();
    for template in &templates.all {
        found.extend(uses_in(template.node).map(|node| (template.file, node)));
    }
    if let Some(plan) = loaded.plan {
        for feature in loaded.files[plan].roots().filter(|node| node.name() == "feature") {
            found.extend(uses_in(feature).map(|node| (plan, node)));
            for gate in feature.children().filter(|node| node.name() == "gate") {
                found.extend(uses_in(gate).map(|node| (plan, node)));
            }
        }
    }
    for body in loaded.gate_bodies() {
        for gate in loaded.files[body].roots().filter(|node| node.name() == "gate") {
            found.extend(uses_in(gate).map(|node| (body, node)));
        }
    }
    for (file, node) in found {
        let mut meant = None;
        if let Some((name, span)) = template_named(node) {
            match names[file].lookup(name) {
                Lookup::Found(place) => meant = by_place.get(&(place.file, place.node.0)).copied(),
                Lookup::Unusable => {}
                Lookup::Unknown => diagnostics.push(unknown_template(&mut names[file], name, span)),
            }
            if Some(file) == loaded.plan || loaded.gate_bodies().any(|body| body == file) {
                expanded.used.insert(name.to_owned());
            }
        }
        let template = meant.filter(|template| uses::fits(node, &templates.all[*template], diagnostics));
        templates.uses.insert((file, node.id), Use { node, template });
    }
    measure(&mut templates, map, diagnostics);
    templates
}

/// What a file can name as a template: its own and its imports, and what the plan can name beside that. The standard
/// library sees nothing of the plan.
fn visible_from(loaded: &Loaded, file: FileIx, standard: bool) -> Names<Place> {
    let mut names = loaded.tables[file].templates.clone();
    if !standard {
        for (name, place, span) in loaded.visible.templates.iter() {
            if names.get(name).is_none() {
                let _ = names.declare(name, place, span);
            }
        }
    }
    names
}

fn unknown_template(names: &mut Names<Place>, name: &str, span: Span) -> Diagnostic {
    let none = names.iter().next().is_none();
    let found = names.unknown("unknown-template", name, span);
    if none {
        return found.help(format!(
            "define it beside the feature, `template {name} {{ ... }}`, or import it from a file that does"
        ));
    }
    found
}

fn uses_in<'l>(node: Node<'l>) -> impl Iterator<Item = Node<'l>> {
    node.children().filter(|child| child.name() == "use")
}

fn template_named<'l>(node: Node<'l>) -> Option<(&'l str, Span)> {
    let entry = node.argument(0)?;
    let name = read::name(entry).filter(|name| !name.is_empty() && !name.contains(','))?;
    Some((name, entry.value_span))
}

fn template<'l>(
    file: FileIx,
    node: Node<'l>,
    map: &SourceMap,
    diagnostics: &mut Vec<Diagnostic>,
    unused: &mut Vec<UnusedParameter>,
) -> Template<'l> {
    let before = diagnostics.len();
    let name = node.argument(0).and_then(read::name).unwrap_or("?").to_owned();
    let span = node.argument(0).map_or(node.name_span(), |entry| entry.value_span);
    let taken = ("as", "`use NAME as=ID` has a meaning of its own");
    let (mut params, spans) = params::definitions(node, taken, map, diagnostics);
    for value in params.iter_mut().flat_map(|param| param.default.iter_mut()).flatten() {
        *value = substitute::text(value, &|_| None);
    }
    let mut reader = Placeholders { params: &params, spans: &spans, map, diagnostics, used: BTreeSet::new() };
    reader.read(node);
    let used = reader.used;
    one_name_each(node, diagnostics);
    let made = node.children().filter(|child| child.name() != "param").count();
    if made == 0 && !node.is_broken() {
        diagnostics.push(
            Diagnostic::new("missing-argument", node.head(), format!("the template `{name}` makes nothing"))
                .at("no `unit`, `manual` or `use` stands in its block")
                .help("write into it what each use of it is to make"),
        );
    }
    let sound = diagnostics.len() == before;
    if sound {
        for (param, span) in params.iter().zip(&spans).filter(|(param, _)| !used.contains(&param.name)) {
            let name = Spanned::new(param.name.clone(), *span);
            unused.push(UnusedParameter { template: Spanned::new(span_name(node), node.head()), name });
        }
    }
    Template { file, node, id: Spanned::new(name, span), params, spans, sound, units: 0, nodes: 0 }
}

fn span_name(node: Node) -> String {
    node.argument(0).and_then(read::name).unwrap_or("?").to_owned()
}

/// Ids in a template are local: each may stand there once.
fn one_name_each(node: Node, diagnostics: &mut Vec<Diagnostic>) {
    let mut names: Names<()> = Names::new("unit");
    for (id, entry) in local_ids(node) {
        diagnostics.extend(names.declare(id, Some(()), entry.value_span));
    }
}

/// The ids that a template defines, as they are written, placeholders included.
pub(super) fn local_ids<'l>(template: Node<'l>) -> impl Iterator<Item = (&'l str, &'l Entry)> {
    template.children().filter_map(|child| {
        let entry = match child.name() {
            "unit" | "manual" => child.argument(0)?,
            "use" => child.property("as")?,
            _ => return None,
        };
        Some((read::name(entry)?, entry))
    })
}

struct Placeholders<'p> {
    params: &'p [Param],
    spans: &'p [Span],
    map: &'p SourceMap,
    diagnostics: &'p mut Vec<Diagnostic>,
    used: BTreeSet<String>,
}

impl Placeholders<'_> {
    fn read(&mut self, template: Node) {
        let file = template.file;
        let end = file.document.node(template.id).subtree_end;
        for at in template.id.0 + 1..end {
            let Some(node) = file.node(crate::syntax::NodeId(at)) else { continue };
            let mut position = 0;
            for entry in node.entries() {
                let argument = entry.key.is_none().then_some(position);
                position += usize::from(entry.key.is_none());
                let Some(text) = read::text(entry) else { continue };
                if node.name() == "param" {
                    self.default_value(entry, text);
                } else {
                    self.entry(node, entry, argument, text);
                }
            }
        }
    }

    fn default_value(&mut self, entry: &Entry, text: &str) {
        if substitute::parts(text).any(|part| matches!(part, Part::Placeholder { .. })) {
            self.diagnostics.push(
                Diagnostic::new("invalid-placeholder", entry.value_span, "a default is a plain value")
                    .at("nothing is replaced here")
                    .help("leave the default out, or write `$${` for a literal `${`"),
            );
        }
    }

    fn entry(&mut self, node: Node, entry: &Entry, argument: Option<usize>, text: &str) {
        for part in substitute::parts(text) {
            match part {
                Part::Text(_) | Part::Literal => {}
                Part::Open(at) => {
                    let (span, exact) = self.within(entry, text, at, 2);
                    let found = Diagnostic::new(
                        "invalid-placeholder",
                        span,
                        "this `${` is not closed: the name of a parameter and `}` must follow",
                    )
                    .at("opened here")
                    .help("in a template, `$${` is a literal `${`");
                    self.diagnostics.push(match exact {
                        true => found.replace(span, "$${", "write a literal `${`", Applicability::Unsafe),
                        false => found,
                    });
                }
                Part::Placeholder { name, at } => {
                    match self.params.iter().position(|param| param.name == name) {
                        None => self.unknown(entry, text, name, at),
                        Some(param) => {
                            self.used.insert(name.to_owned());
                            self.list(node, entry, argument, text, param);
                        }
                    }
                }
            }
        }
    }

    /// The place of `length` bytes at `at` of the entry's text, and whether it is known exactly.
    fn within(&self, entry: &Entry, text: &str, at: usize, length: usize) -> (Span, bool) {
        let written = self.map.text(entry.value_span);
        match written.find(text) {
            Some(begin) => {
                let start = entry.value_span.start as usize + begin + at;
                (Span::new(entry.value_span.file, start, start + length), true)
            }
            None => (entry.value_span, false),
        }
    }

    fn unknown(&mut self, entry: &Entry, text: &str, name: &str, at: usize) {
        let (span, exact) = self.within(entry, text, at, name.len() + 3);
        let found = Diagnostic::new(
            "invalid-placeholder",
            span,
            format!("`${{{name}}}` names no parameter of this template"),
        )
        .at("no such parameter");
        let near = did_you_mean(name, self.params.iter().map(|param| param.name.as_str()));
        let near = near.and_then(|near| self.params.iter().position(|param| param.name == near));
        self.diagnostics.push(match near {
            Some(param) => {
                let near = &self.params[param].name;
                let found = found.label(self.spans[param], format!("`{near}` is defined here"));
                match exact {
                    true => found.replace(
                        span,
                        format!("${{{near}}}"),
                        format!("replace with `${{{near}}}`"),
                        Applicability::Unsafe,
                    ),
                    false => found.help(format!("`${{{near}}}` is similar")),
                }
            }
            None => found.help("declare it with `param`, or write `$${` for a literal `${`"),
        });
    }

    /// A list alone in a place becomes several arguments, so there must be room for them.
    fn list(&mut self, node: Node, entry: &Entry, argument: Option<usize>, text: &str, param: usize) {
        let definition = &self.params[param];
        if definition.kind != ParamKind::List || substitute::whole(text).is_none() {
            return;
        }
        let takes = node.spec().arguments;
        let room = argument.is_some_and(|at| takes.repeats && at + 1 >= takes.positions.len());
        // What is more than the node takes, and what it does not know, was reported as such.
        let unknown = entry.key.as_ref().is_some_and(|key| node.spec().property(&key.name).is_none());
        if room
            || (unknown && node.spec().open == Open::Closed)
            || argument.is_some_and(|at| at >= takes.positions.len())
        {
            return;
        }
        let place = match &entry.key {
            Some(key) => format!("`{}=`", key.name),
            None => format!("`{}`", node.name()),
        };
        self.diagnostics.push(
            Diagnostic::new(
                "wrong-type",
                entry.value_span,
                format!("{place} takes one value, and `{}` is a list", definition.name),
            )
            .at("several values may stand here")
            .label(self.spans[param], "defined as a list")
            .help("give the parameter another type; within a longer text the values of a list stand with spaces between them"),
        );
    }
}

/// Finds templates that use themselves, and how much one use of each other one makes.
fn measure(templates: &mut Templates, map: &SourceMap, diagnostics: &mut Vec<Diagnostic>) {
    let edges: Vec<Vec<(TemplateIx, Span)>> = templates.all.iter().map(|one| edges(templates, one)).collect();
    // 0: not seen; 1: on the path; 2: done.
    let mut marks = vec![0_u8; edges.len()];
    let mut circles: BTreeSet<Vec<TemplateIx>> = BTreeSet::new();
    for start in 0..edges.len() {
        if marks[start] != 0 {
            continue;
        }
        let mut path: Vec<(TemplateIx, usize)> = vec![(start, 0)];
        marks[start] = 1;
        while let Some((at, next)) = path.last().copied() {
            let Some((target, _)) = edges[at].get(next).copied() else {
                marks[at] = 2;
                path.pop();
                total(templates, at, &edges[at]);
                continue;
            };
            if let Some(top) = path.last_mut() {
                top.1 += 1;
            }
            match marks[target] {
                0 => {
                    marks[target] = 1;
                    path.push((target, 0));
                }
                1 => {
                    let from = path.iter().position(|(open, _)| *open == target).unwrap_or(0);
                    let circle: Vec<(TemplateIx, Span)> =
                        path[from..].iter().map(|(one, next)| (*one, edges[*one][*next - 1].1)).collect();
                    for (one, _) in &circle {
                        templates.all[*one].sound = false;
                    }
                    let mut members: Vec<TemplateIx> = circle.iter().map(|(one, _)| *one).collect();
                    members.sort_unstable();
                    if circles.insert(members) {
                        diagnostics.push(recursive(templates, &circle, map));
                    }
                }
                _ => {}
            }
        }
    }
    spread_unsoundness(templates, &edges);
}

/// What uses an unsound template is unsound itself.
fn spread_unsoundness(templates: &mut Templates, edges: &[Vec<(TemplateIx, Span)>]) {
    let mut users: Vec<Vec<TemplateIx>> = vec![Vec::new(); edges.len()];
    for (user, targets) in edges.iter().enumerate() {
        for (target, _) in targets {
            users[*target].push(user);
        }
    }
    let lame: Vec<TemplateIx> = (0..edges.len())
        .filter(|at| {
            let template = &templates.all[*at];
            uses_in(template.node).count() != edges[*at].len()
        })
        .collect();
    for at in lame {
        templates.all[at].sound = false;
    }
    let mut waiting: Vec<TemplateIx> = (0..edges.len()).filter(|at| !templates.all[*at].sound).collect();
    while let Some(at) = waiting.pop() {
        for user in &users[at] {
            if std::mem::replace(&mut templates.all[*user].sound, false) {
                waiting.push(*user);
            }
        }
    }
}

fn edges(templates: &Templates, template: &Template) -> Vec<(TemplateIx, Span)> {
    let uses = uses_in(template.node).filter_map(|node| {
        let target = templates.uses.get(&(template.file, node.id))?.template?;
        Some((target, node.head()))
    });
    uses.collect()
}

/// Adds up what a template makes; what it uses is measured already, unless in a circle.
fn total(templates: &mut Templates, at: TemplateIx, edges: &[(TemplateIx, Span)]) {
    let node = templates.all[at].node;
    let own = node.children().filter(|child| matches!(child.name(), "unit" | "manual")).count() as u64;
    let document = &node.file.document;
    let (mut units, mut nodes) = (own, u64::from(document.node(node.id).subtree_end - node.id.0));
    for (target, _) in edges {
        units = units.saturating_add(templates.all[*target].units);
        nodes = nodes.saturating_add(templates.all[*target].nodes);
    }
    (templates.all[at].units, templates.all[at].nodes) = (units, nodes);
}

fn recursive(templates: &Templates, circle: &[(TemplateIx, Span)], map: &SourceMap) -> Diagnostic {
    let name = |at: TemplateIx| templates.all[at].id.value.as_str();
    // However it was come upon, a circle is told from the template that stands first.
    let key = |at: usize| {
        let span = circle[at].1;
        (map.file(span.file).path.clone(), span.start)
    };
    let begin = (0..circle.len()).min_by_key(|at| key(*at)).unwrap_or(0);
    let steps: Vec<(TemplateIx, Span)> = circle[begin..].iter().chain(&circle[..begin]).copied().collect();
    let Some(((last, closing), before)) = steps.split_last() else {
        return Diagnostic::new("recursive-template", templates.all[0].id.span, "a template uses itself");
    };
    let mut path: Vec<&str> = steps.iter().map(|(at, _)| name(*at)).collect();
    path.push(name(steps[0].0));
    let message = match before {
        [] => format!("the template `{}` uses itself", name(*last)),
        _ => format!("templates use each other: {}", path.join(" -> ")),
    };
    let mut found = Diagnostic::new("recursive-template", *closing, message)
        .at("there would be no end to what this makes");
    for (at, span) in before {
        found = found.label(*span, format!("`{}` uses this", name(*at)));
    }
    found.help("a template may use others, but none that leads back to it")
}

/// The finding that a second thing has the id of a use, or a use the id of something else.
pub(super) fn id_taken(id: &str, first: Span, second: Span) -> Diagnostic {
    duplicate("unit or use", id, first, second)
}
