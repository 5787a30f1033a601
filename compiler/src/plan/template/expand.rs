//! The plan's document with every `use` replaced by what it makes: nodes are copied, values put in, local ids made whole.
//!
//! Does not know what the nodes mean, but for the few places that define or name a unit.

use std::collections::{BTreeMap, BTreeSet};

use super::given::{Given, value_of};
use super::{Expanded, MOST_TEXT, Templates, Use, define};
use crate::diagnostic::Diagnostic;
use crate::plan::import::{FileIx, Loaded};
use crate::plan::read::{self, File, Node};
use crate::plan::schema::{NodeSpec, Type};
use crate::plan::substitute::{self, Part};
use crate::source::{Expansion, FileId, SourceMap, Span};
use crate::syntax::{self, Document, Entry, NodeId, StringStyle, Value};

/// Index into [`Expander::scopes`]. The first one is the plan's: nothing is replaced there.
pub(super) type ScopeIx = usize;
pub(super) const PLAN: ScopeIx = 0;

/// One expansion.
pub(super) struct Scope {
    /// What the local ids get in front, without the `/`.
    pub(super) prefix: String,
    /// The ids that the template defines, as they are in this expansion.
    pub(super) locals: BTreeSet<String>,
    /// The same as they are written, so that `needs "${name}"` finds `unit "${name}"`.
    pub(super) written: BTreeSet<String>,
    pub(super) values: BTreeMap<String, Vec<Given>>,
    /// Where the `use` stands.
    pub(super) user: ScopeIx,
    /// The file id of places in this expansion.
    pub(super) id: FileId,
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

pub(super) struct Expander<'e> {
    pub(super) loaded: &'e Loaded,
    pub(super) templates: &'e Templates<'e>,
    pub(super) map: &'e mut SourceMap,
    pub(super) diagnostics: &'e mut Vec<Diagnostic>,
    pub(super) expanded: &'e mut Expanded,
    pub(super) scopes: Vec<Scope>,
    pub(super) nodes: Vec<syntax::Node>,
    pub(super) entries: Vec<Entry>,
    pub(super) specs: Vec<Option<&'static NodeSpec>>,
    /// Ids of the plan's own units, manuals and uses.
    pub(super) taken: BTreeMap<String, (Span, bool)>,
    pub(super) units: u64,
    pub(super) made: u64,
    pub(super) text: usize,
    pub(super) full: bool,
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
    // A feature with its gates, or the gate of a file of its own.
    let tops: Vec<Node> = file.roots().filter(|node| matches!(node.name(), "feature" | "gate")).collect();
    let gates = tops.iter().flat_map(|top| top.children()).filter(|node| node.name() == "gate");
    for node in tops.iter().copied().chain(gates).flat_map(Node::children) {
        if matches!(node.name(), "unit" | "manual")
            && let Some(entry) = node.argument(0)
            && let Some(id) = read::name(entry)
        {
            taken.entry(id.to_owned()).or_insert((entry.value_span, false));
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
        let mut copy = source.clone();
        if scope != PLAN {
            let to = self.scopes[scope].id;
            (copy.span.file, copy.name_span.file) = (to, to);
            if let Some(ty) = &mut copy.ty {
                ty.span.file = to;
            }
            if let Some(block) = &mut copy.children_span {
                block.file = to;
            }
        }
        copy.parent = parent;
        copy.entries = first as u32..self.entries.len() as u32;
        // Known when its last child has been copied.
        copy.subtree_end = 0;
        self.nodes.push(copy);
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
        let usage = templates.uses.get(&(file, id))?;
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

/// The entry as it stands in an expansion.
pub(super) fn moved(entry: &Entry, to: FileId) -> Entry {
    let mut copy = entry.clone();
    (copy.span.file, copy.value_span.file) = (to, to);
    if let Some(key) = &mut copy.key {
        key.span.file = to;
    }
    if let Some(ty) = &mut copy.ty {
        ty.span.file = to;
    }
    copy
}

pub(super) fn moved_span(span: Span, scope: &Scope, at: ScopeIx) -> Span {
    if at == PLAN { span } else { Span { file: scope.id, ..span } }
}
