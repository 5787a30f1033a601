//! The plan's document with every `use` replaced by what it makes: nodes are copied, values put in, local ids made whole.
//!
//! Does not know what the nodes mean, but for the few places that define or name a unit.

use std::collections::{BTreeMap, BTreeSet};

use camino::Utf8Path;

use super::uses::{self, Gives};
use super::{Expanded, LONGEST_PREFIX, MOST_NODES, MOST_TEXT, MOST_UNITS, Template, Templates};
use super::{Use, define};
use crate::diagnostic::Diagnostic;
use crate::plan::import::{self, FileIx, Loaded};
use crate::plan::lower::escaped;
use crate::plan::model::{Param, ParamKind};
use crate::plan::params;
use crate::plan::read::{self, File, Node};
use crate::plan::schema::{NodeSpec, Type};
use crate::plan::substitute::{self, Part};
use crate::plan::values;
use crate::source::{Expansion, FileId, SourceMap, Span};
use crate::syntax::{self, Document, Entry, Key, NodeId, StringStyle, TypeAnnotation, Value};

/// Index into [`Expander::scopes`]. The first one is the plan's: nothing is replaced there.
type ScopeIx = usize;
const PLAN: ScopeIx = 0;

/// One expansion.
struct Scope {
    /// What the local ids get in front, without the `/`.
    prefix: String,
    /// The ids that the template defines, as they are in this expansion.
    locals: BTreeSet<String>,
    /// The same as they are written, so that `needs "${name}"` finds `unit "${name}"`.
    written: BTreeSet<String>,
    values: BTreeMap<String, Vec<Given>>,
    /// Where the `use` stands.
    user: ScopeIx,
    /// The file id of places in this expansion.
    id: FileId,
}

/// A value that a use gives.
#[derive(Clone)]
struct Given {
    text: String,
    number: bool,
    /// A path from the repository's root.
    resolved: bool,
    /// Names in it are names there.
    scope: ScopeIx,
    /// Where it is written; `None` for a default.
    span: Option<Span>,
}

/// Nodes that are being copied: a whole file, or what stands in a template.
struct Frame {
    file: FileIx,
    next: u32,
    end: u32,
    scope: ScopeIx,
    /// Where a copied node ends in the source, and its copy.
    open: Vec<(u32, usize)>,
    parent: Option<NodeId>,
}

struct Expander<'e> {
    loaded: &'e Loaded,
    templates: &'e Templates<'e>,
    map: &'e mut SourceMap,
    diagnostics: &'e mut Vec<Diagnostic>,
    expanded: &'e mut Expanded,
    scopes: Vec<Scope>,
    nodes: Vec<syntax::Node>,
    entries: Vec<Entry>,
    specs: Vec<Option<&'static NodeSpec>>,
    /// Ids of the plan's own units, manuals and uses.
    taken: BTreeMap<String, (Span, bool)>,
    units: u64,
    made: u64,
    text: usize,
    full: bool,
}

pub(super) fn expand<'e>(
    loaded: &'e Loaded,
    plan: FileIx,
    templates: &'e Templates<'e>,
    map: &'e mut SourceMap,
    diagnostics: &'e mut Vec<Diagnostic>,
    expanded: &'e mut Expanded,
) -> File {
    let file = &loaded.files[plan];
    let scope = Scope {
        prefix: String::new(),
        locals: BTreeSet::new(),
        written: BTreeSet::new(),
        values: BTreeMap::new(),
        user: PLAN,
        id: file.id(),
    };
    let mut expander = Expander {
        loaded,
        templates,
        map,
        diagnostics,
        expanded,
        scopes: vec![scope],
        nodes: Vec::with_capacity(file.document.len()),
        entries: Vec::new(),
        specs: Vec::new(),
        taken: ids_of_the_plan(file),
        units: 0,
        made: 0,
        text: 0,
        full: false,
    };
    expander.outside_gates(file);
    expander.copy_all(Frame {
        file: plan,
        next: 0,
        end: file.document.len() as u32,
        scope: PLAN,
        open: Vec::new(),
        parent: None,
    });
    let document = Document { file: file.id(), nodes: expander.nodes, entries: expander.entries };
    File::of_known(file.path.clone(), document, expander.specs)
}

/// The ids of units and manuals that are written out.
fn ids_of_the_plan(file: &File) -> BTreeMap<String, (Span, bool)> {
    let mut taken = BTreeMap::new();
    for feature in file.roots().filter(|node| node.name() == "feature") {
        let gates = feature.children().filter(|node| node.name() == "gate");
        for node in feature.children().chain(gates.flat_map(Node::children)) {
            if matches!(node.name(), "unit" | "manual")
                && let Some(entry) = node.argument(0)
                && let Some(id) = read::name(entry)
            {
                taken.entry(id.to_owned()).or_insert((entry.value_span, false));
            }
        }
    }
    taken
}

impl<'e> Expander<'e> {
    /// A `use` beside the gates of a feature would put its units into none of them.
    fn outside_gates(&mut self, file: &File) {
        for feature in file.roots().filter(|node| node.name() == "feature") {
            let Some(gate) = feature.child("gate") else { continue };
            for node in feature.children().filter(|node| node.name() == "use") {
                self.diagnostics.push(
                    Diagnostic::new(
                        "unknown-node",
                        node.head(),
                        "this `use` stands outside the gates of its feature",
                    )
                    .at("in no gate")
                    .label(gate.head(), "the feature has gates")
                    .help("move it into a gate; only a feature without any gate may leave `gate` out"),
                );
            }
        }
    }

    fn copy_all(&mut self, root: Frame) {
        let loaded = self.loaded;
        let mut frames = vec![root];
        while let Some(frame) = frames.last_mut() {
            while let Some((_, copy)) = frame.open.pop_if(|(end, _)| frame.next >= *end) {
                self.nodes[copy].subtree_end = self.nodes.len() as u32;
            }
            if frame.next >= frame.end {
                frames.pop();
                continue;
            }
            let file = &loaded.files[frame.file];
            let id = NodeId(frame.next);
            let end = file.document.node(id).subtree_end;
            let node = file.node(id);
            let parent = frame.open.last().map(|(_, copy)| NodeId(*copy as u32)).or(frame.parent);
            match node.map(Node::name) {
                Some("use") => {
                    frame.next = end;
                    let (scope, file) = (frame.scope, frame.file);
                    frames.extend(self.enter(scope, file, id, parent));
                }
                Some("template") => frame.next = end,
                // Verifiers of the plan have parameters too, and stand in no template.
                Some("param") if frame.scope != PLAN => frame.next = end,
                _ => match self.copy(frame.scope, file, id, parent) {
                    Some(copy) => {
                        frame.open.push((end, copy));
                        frame.next += 1;
                    }
                    None => frame.next = end,
                },
            }
        }
    }

    /// Copies one node without its children; `None` if nothing of it remains.
    fn copy(&mut self, scope: ScopeIx, file: &File, id: NodeId, parent: Option<NodeId>) -> Option<usize> {
        let source = file.document.node(id);
        let first = self.entries.len();
        let node = file.node(id);
        if scope == PLAN {
            self.entries.extend_from_slice(file.document.entries(id));
        } else {
            let mut position = 0;
            for entry in file.document.entries(id) {
                let argument = entry.key.is_none().then_some(position);
                position += usize::from(entry.key.is_none());
                match node {
                    Some(node) => self.put(scope, node, entry, argument),
                    None => {
                        let entry = moved(entry, self.scopes[scope].id);
                        self.entries.push(entry);
                    }
                }
            }
            let left = self.entries[first..].iter().filter(|entry| entry.key.is_none()).count();
            if left == 0 && position > 0 {
                // Lists without a value were all that it said.
                self.entries.truncate(first);
                return None;
            }
        }
        let to = self.scopes[scope].id;
        let at = |span: Span| if scope == PLAN { span } else { Span { file: to, ..span } };
        self.nodes.push(syntax::Node {
            name: source.name.clone(),
            name_span: at(source.name_span),
            ty: source.ty.as_ref().map(|ty| TypeAnnotation { name: ty.name.clone(), span: at(ty.span) }),
            span: at(source.span),
            children_span: source.children_span.map(at),
            parent,
            broken: source.broken,
            entries: first as u32..self.entries.len() as u32,
            subtree_end: 0,
        });
        self.specs.push(node.map(Node::spec));
        Some(self.nodes.len() - 1)
    }

    /// Copies one entry of a template, with values put in and names made whole.
    fn put(&mut self, scope: ScopeIx, node: Node, entry: &Entry, argument: Option<usize>) {
        let to = self.scopes[scope].id;
        let Some(text) = read::text(entry) else {
            self.entries.push(moved(entry, to));
            return;
        };
        let spec = node.spec();
        let ty = type_of(spec, entry, argument);
        let names = Naming::of(node, entry, argument);
        let plain = substitute::parts(text).all(|part| matches!(part, Part::Text(_)));
        let list = match substitute::whole(text).and_then(|name| self.scopes[scope].values.get(name)) {
            Some(values) => values.clone(),
            None if plain => {
                let mut copy = moved(entry, to);
                if let Some(whole) = self.name(scope, names, text, text, false, scope)
                    && let Value::String(_, style) = copy.value
                {
                    copy.value = Value::String(whole.into(), style);
                }
                self.entries.push(copy);
                return;
            }
            None => vec![self.filled(scope, text)],
        };
        let alone = substitute::whole(text).is_some();
        for mut given in list {
            self.text += given.text.len() + 32;
            if let Type::Path | Type::Glob | Type::Reference = ty {
                self.anchor(&mut given, ty);
            }
            let mut copy = moved(entry, to);
            copy.value = value_of(&given, ty);
            self.check(node, &copy, ty, given.span.filter(|_| alone));
            let origin = if alone { given.scope } else { self.scopes[scope].user };
            if let Some(whole) = self.name(scope, names, text, &given.text, alone, origin) {
                copy.value = Value::String(whole.into(), StringStyle::Quoted);
            }
            self.entries.push(copy);
        }
        if self.text > MOST_TEXT {
            self.overflow(scope);
        }
    }

    /// A text with the values put in.
    fn filled(&self, scope: ScopeIx, text: &str) -> Given {
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
    fn anchor(&mut self, given: &mut Given, ty: Type) {
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

    /// Checks a value that is known only now.
    fn check(&mut self, node: Node, entry: &Entry, ty: Type, given: Option<Span>) {
        let mut found = Vec::new();
        read::check_value(self.map.file(entry.span.file), node, entry, ty, &mut found);
        for found in found {
            let found = Diagnostic { fixes: Vec::new(), ..found };
            self.diagnostics.push(match given {
                Some(span) => found.label(span, "the value is given here"),
                None => found,
            });
        }
    }

    /// The id of a unit as it is outside, if the place defines or names one. `origin`: where the name comes from.
    fn name(
        &mut self,
        scope: ScopeIx,
        names: Naming,
        written: &str,
        text: &str,
        alone: bool,
        origin: ScopeIx,
    ) -> Option<String> {
        let here = &self.scopes[scope];
        match names {
            Naming::No => None,
            Naming::Defines => Some(format!("{}/{text}", here.prefix)),
            Naming::Before if alone => self.resolve(origin, text),
            Naming::Before => Some(format!("{}/{text}", here.prefix)),
            Naming::Names => {
                if here.written.contains(written) {
                    return Some(format!("{}/{text}", here.prefix));
                }
                if alone {
                    return self.resolve(origin, text);
                }
                self.resolve(scope, text).or_else(|| self.resolve(origin, text))
            }
        }
    }

    /// The whole id of what a name means in a scope; `None` if it means nothing local.
    fn resolve(&self, scope: ScopeIx, name: &str) -> Option<String> {
        let scope = &self.scopes[scope];
        let first = name.split('/').next().unwrap_or(name);
        scope.locals.contains(first).then(|| format!("{}/{name}", scope.prefix))
    }

    /// Begins the expansion of a use.
    fn enter(&mut self, scope: ScopeIx, file: FileIx, id: NodeId, parent: Option<NodeId>) -> Option<Frame> {
        let templates = self.templates;
        let Some(usage) = templates.uses.get(&(file, id)) else { return None };
        let name = self.id_of(scope, usage)?;
        let prefix = match self.scopes[scope].prefix.as_str() {
            "" => name,
            outer => format!("{outer}/{name}"),
        };
        let head = moved_span(usage.node.head(), &self.scopes[scope], scope);
        if scope == PLAN && self.is_taken(&prefix, usage.node) {
            return None;
        }
        let template = usage.template.map(|at| &templates.all[at]).filter(|template| template.sound);
        let template = match template {
            Some(template) if !self.full && self.has_room(scope, template, usage.node, &prefix) => template,
            _ => {
                self.expanded.lost.insert(prefix);
                return None;
            }
        };
        let Some(values) = self.values(scope, usage.node, template) else {
            self.expanded.lost.insert(prefix);
            return None;
        };
        let expansion = Expansion {
            file: template.node.file.id(),
            at: head,
            id: prefix.clone(),
            template: template.id.value.clone(),
        };
        let inner = Scope {
            prefix,
            locals: BTreeSet::new(),
            written: BTreeSet::new(),
            values,
            user: scope,
            id: self.map.expand(expansion),
        };
        self.scopes.push(inner);
        let inner = self.scopes.len() - 1;
        for (written, _) in define::local_ids(template.node) {
            let local = self.filled(inner, written).text;
            self.scopes[inner].locals.insert(local);
            self.scopes[inner].written.insert(written.to_owned());
        }
        Some(Frame {
            file: template.file,
            next: template.node.id.0 + 1,
            end: template.node.file.document.node(template.node.id).subtree_end,
            scope: inner,
            open: Vec::new(),
            parent,
        })
    }

    /// The id that a use gives what it makes, as it is written there with values put in.
    fn id_of(&mut self, scope: ScopeIx, usage: &Use) -> Option<String> {
        let entry = usage.node.property("as")?;
        let text = read::name(entry)?;
        if scope == PLAN {
            return Some(text.to_owned());
        }
        let id = self.filled(scope, text).text;
        let mut copy = moved(entry, self.scopes[scope].id);
        copy.value = Value::String(id.as_str().into(), StringStyle::Quoted);
        if substitute::parts(text).any(|part| !matches!(part, Part::Text(_))) {
            self.check(usage.node, &copy, Type::Id, None);
        }
        Some(id)
    }

    /// Reports an id of the plan that two have, if one of them is a use. A use that comes second makes nothing.
    fn is_taken(&mut self, id: &str, node: Node) -> bool {
        let span = node.property("as").map_or(node.name_span(), |entry| entry.value_span);
        match self.taken.get(id) {
            None => {
                self.taken.insert(id.to_owned(), (span, true));
                false
            }
            Some((first, of_a_use)) => {
                let of_a_use = *of_a_use;
                let (first, second) = if *first <= span { (*first, span) } else { (span, *first) };
                self.diagnostics.push(define::id_taken(id, first, second));
                of_a_use
            }
        }
    }

    /// Is there room for what the template makes? If not, that is reported, once.
    fn has_room(&mut self, scope: ScopeIx, template: &Template, node: Node, prefix: &str) -> bool {
        if prefix.len() > LONGEST_PREFIX {
            let span = moved_span(node.head(), &self.scopes[scope], scope);
            self.diagnostics.push(
                Diagnostic::new("invalid-id", span, "the ids that this makes would be too long")
                    .at(format!("{} letters stand before each of them", prefix.len() + 1))
                    .help(format!("the ids of nested uses may have {LONGEST_PREFIX} letters together")),
            );
            return false;
        }
        // What a template makes includes what the uses in it make, so only the plan's own count.
        if scope != PLAN {
            return true;
        }
        self.units = self.units.saturating_add(template.units);
        self.made = self.made.saturating_add(template.nodes);
        if self.units <= MOST_UNITS && self.made <= MOST_NODES {
            return true;
        }
        self.full = true;
        let makes = match template.units {
            u64::MAX => "endlessly many units".to_owned(),
            1 => "1 unit".to_owned(),
            units => format!("{units} units"),
        };
        let id = &template.id.value;
        let mut found = Diagnostic::new(
            "expansion-too-large",
            node.head(),
            format!(
                "with this, templates make more than the {MOST_UNITS} units that a plan may have of them"
            ),
        );
        if self.units <= MOST_UNITS {
            found.message = format!("with this, templates make more than {MOST_NODES} nodes");
        }
        self.diagnostics.push(
            found
                .at(format!("`{id}` makes {makes}"))
                .label(template.id.span, "the template")
                .help("split the feature, or use templates within templates less often"),
        );
        false
    }

    fn overflow(&mut self, scope: ScopeIx) {
        if std::mem::replace(&mut self.full, true) {
            return;
        }
        // The outermost use is the one that its author can change.
        let mut span = None;
        let mut id = self.scopes[scope].id;
        while let Some(expansion) = self.map.expansion(id) {
            span = Some(expansion.at);
            id = expansion.at.file;
        }
        let Some(span) = span else { return };
        self.diagnostics.push(
            Diagnostic::new(
                "expansion-too-large",
                span,
                format!("templates make more than {} MiB of text", MOST_TEXT >> 20),
            )
            .at("while this is expanded")
            .help("give shorter values, or pass them on less often"),
        );
    }

    /// The values of a use, checked; `None` if one of them cannot be right.
    fn values(
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
                    self.diagnostics.extend(found.map(label));
                }
            }
        }
        good
    }
}

/// What a text in some place has to do with the ids of units.
#[derive(Clone, Copy, PartialEq)]
enum Naming {
    No,
    /// It is a new id.
    Defines,
    /// It names a unit, a manual or a use; where nothing local has the name, it stays as it is.
    Names,
    /// The id that the unit had before.
    Before,
}

impl Naming {
    fn of(node: Node, entry: &Entry, argument: Option<usize>) -> Naming {
        let key = entry.key.as_ref().map(|key| &*key.name);
        match (node.name(), key, argument) {
            ("unit" | "manual", None, Some(0)) => Naming::Defines,
            ("unit" | "manual", Some("was"), _) => Naming::Before,
            ("needs" | "after", None, _) | (_, Some("by"), _) => Naming::Names,
            _ => Naming::No,
        }
    }
}

/// What the value of an entry must be.
fn type_of(spec: &'static NodeSpec, entry: &Entry, argument: Option<usize>) -> Type {
    match (&entry.key, argument) {
        (Some(key), _) => spec.property(&key.name).map_or(Type::Value, |property| property.ty),
        (None, Some(at)) => {
            let positions = spec.arguments.positions;
            positions.get(at).or(positions.last()).map_or(Type::Value, |position| position.ty)
        }
        (None, None) => Type::Value,
    }
}

/// A number stays one where a number may stand; anywhere else it is a text.
fn value_of(given: &Given, ty: Type) -> Value {
    match ty {
        Type::Count(..) | Type::Money if given.number => match given.text.parse() {
            Ok(number) => Value::Integer(number),
            Err(_) => Value::Number(given.text.as_str().into()),
        },
        _ => Value::String(given.text.as_str().into(), StringStyle::Quoted),
    }
}

/// The entry as it stands in an expansion.
fn moved(entry: &Entry, to: FileId) -> Entry {
    let at = |span: Span| Span { file: to, ..span };
    Entry {
        key: entry.key.as_ref().map(|key| Key { name: key.name.clone(), span: at(key.span) }),
        ty: entry.ty.as_ref().map(|ty| TypeAnnotation { name: ty.name.clone(), span: at(ty.span) }),
        value: entry.value.clone(),
        value_span: at(entry.value_span),
        span: at(entry.span),
    }
}

fn moved_span(span: Span, scope: &Scope, at: ScopeIx) -> Span {
    if at == PLAN { span } else { Span { file: scope.id, ..span } }
}
