//! Reads a document against the schema table: which node is which, and whether each has the shape it must have.
//!
//! Does not know what a name refers to; values are looked at one by one.

use std::collections::BTreeMap;

use camino::{Utf8Path, Utf8PathBuf};

pub(crate) use super::expected::describe;
use super::expected::{Place, first_of_this_name, is_plainly_right, wrong};
use super::mistakes;
use super::schema::{NodeSpec, Open, Property, Since, Type};
use super::substitute;
use super::values;
use crate::diagnostic::{Applicability, Diagnostic, did_you_mean};
use crate::source::{FileId, SourceFile, Span};
use crate::syntax::{Document, Entry, NodeId, StringStyle, Value};

/// A file whose nodes have been told apart.
#[derive(Debug)]
pub(crate) struct File {
    pub(crate) path: Utf8PathBuf,
    pub(crate) document: Document,
    /// For each node: what it is; `None` for what is unknown, misplaced or not acted on yet. All of those were
    /// reported, and what stands in them is not looked at.
    specs: Vec<Option<&'static NodeSpec>>,
}

/// The directory from which `./` counts in the file at `path`; what stands in no repository counts from its root.
pub(crate) fn directory(path: &Utf8Path) -> &Utf8Path {
    if path.as_str().starts_with('<') && path.as_str().ends_with('>') {
        return Utf8Path::new("");
    }
    path.parent().unwrap_or(Utf8Path::new(""))
}

/// A node that the schema knows.
#[derive(Clone, Copy)]
pub(crate) struct Node<'f> {
    pub(crate) file: &'f File,
    pub(crate) id: NodeId,
    spec: &'static NodeSpec,
}

impl File {
    /// Reads `document` against `root`; the findings go into `diagnostics`.
    pub(crate) fn new(
        source: &SourceFile,
        document: Document,
        root: &'static NodeSpec,
        diagnostics: &mut Vec<Diagnostic>,
    ) -> File {
        let specs = Reader::new(source, &document, diagnostics).read(root);
        File { path: source.path.clone(), document, specs }
    }

    /// A file of nodes that were told apart elsewhere.
    pub(super) fn of_known(
        path: Utf8PathBuf,
        document: Document,
        specs: Vec<Option<&'static NodeSpec>>,
    ) -> File {
        File { path, document, specs }
    }

    pub(crate) fn id(&self) -> FileId {
        self.document.file
    }

    pub(crate) fn directory(&self) -> &Utf8Path {
        directory(&self.path)
    }

    pub(crate) fn roots(&self) -> impl Iterator<Item = Node<'_>> {
        self.document.roots().filter_map(|id| self.node(id))
    }

    pub(crate) fn node(&self, id: NodeId) -> Option<Node<'_>> {
        let spec = self.specs[id.0 as usize]?;
        Some(Node { file: self, id, spec })
    }

    /// Does a syntax error lie anywhere in the file?
    pub(crate) fn is_broken(&self) -> bool {
        self.document.nodes.iter().any(|node| node.broken)
    }
}

impl<'f> Node<'f> {
    pub(super) fn spec(self) -> &'static NodeSpec {
        self.spec
    }

    /// Its name in the schema (a misspelt one is read as what it was meant to be).
    pub(crate) fn name(self) -> &'static str {
        self.spec.name
    }

    pub(crate) fn span(self) -> Span {
        self.file.document.node(self.id).span
    }

    pub(crate) fn name_span(self) -> Span {
        self.file.document.node(self.id).name_span
    }

    /// From its name to the end of its last argument or property.
    pub(crate) fn head(self) -> Span {
        let last = self.file.document.entries(self.id).last();
        last.map_or(self.name_span(), |entry| self.name_span().to(entry.span))
    }

    pub(crate) fn has_block(self) -> bool {
        self.file.document.node(self.id).children_span.is_some()
    }

    /// Where a further child node can be written, if there is a block.
    pub(crate) fn insert_at(self) -> Option<Span> {
        let block = self.file.document.node(self.id).children_span?;
        let at = self.file.document.children(self.id).last();
        let at = at.map_or(block.start + 1, |last| self.file.document.node(last).span.end);
        Some(Span { file: block.file, start: at, end: at })
    }

    /// Does a syntax error lie in the node or anywhere below it?
    pub(crate) fn is_broken(self) -> bool {
        let document = &self.file.document;
        let end = document.node(self.id).subtree_end;
        document.nodes[self.id.0 as usize..end as usize].iter().any(|node| node.broken)
    }

    pub(crate) fn arguments(self) -> impl Iterator<Item = &'f Entry> {
        self.file.document.arguments(self.id)
    }

    pub(crate) fn argument(self, at: usize) -> Option<&'f Entry> {
        self.arguments().nth(at)
    }

    pub(crate) fn entries(self) -> &'f [Entry] {
        self.file.document.entries(self.id)
    }

    /// The first property of this name.
    pub(crate) fn property(self, name: &str) -> Option<&'f Entry> {
        let mut all = self.file.document.properties(self.id);
        all.find(|entry| entry.key.as_ref().is_some_and(|key| &*key.name == name))
    }

    pub(crate) fn children(self) -> impl Iterator<Item = Node<'f>> {
        let file = self.file;
        file.document.children(self.id).filter_map(move |id| file.node(id))
    }

    pub(crate) fn child(self, name: &'static str) -> Option<Node<'f>> {
        self.children().find(|child| child.name() == name)
    }

    /// The property's text, if it is one.
    pub(crate) fn text_of(self, property: &str) -> Option<&'f str> {
        self.property(property).and_then(text)
    }

    /// The first argument's text, if it is one.
    pub(crate) fn text(self) -> Option<&'f str> {
        self.argument(0).and_then(text)
    }
}

/// The entry's text, if its value is a string.
pub(crate) fn text(entry: &Entry) -> Option<&str> {
    match &entry.value {
        Value::String(text, _) => Some(text),
        _ => None,
    }
}

/// The entry's text as a name: punctuation that a bare string swallowed (which is reported) is taken off.
pub(crate) fn name(entry: &Entry) -> Option<&str> {
    match &entry.value {
        Value::String(text, StringStyle::Bare) if mistakes::is_clean(text) => Some(text),
        Value::String(text, StringStyle::Bare) => Some(text.trim_matches(mistakes::SWALLOWED)),
        Value::String(text, _) => Some(text),
        _ => None,
    }
}

/// One pass over a document.
pub(super) struct Reader<'r> {
    pub(super) source: &'r SourceFile,
    pub(super) document: &'r Document,
    pub(super) diagnostics: &'r mut Vec<Diagnostic>,
    /// A syntax error lies in the node that is looked at: a value that cannot be right may be its doing.
    pub(super) in_broken: bool,
    /// The node that is looked at stands in a template: a value with a placeholder in it is checked when it is known.
    in_template: bool,
}

/// Checks the value of an entry in the place of a node that was told apart; the findings go into `diagnostics`.
pub(super) fn check_value(
    source: &SourceFile,
    node: Node,
    entry: &Entry,
    ty: Type,
    diagnostics: &mut Vec<Diagnostic>,
) {
    let mut reader = Reader::new(source, &node.file.document, diagnostics);
    let place = match &entry.key {
        Some(key) => Place::Property(&key.name),
        None => Place::Argument(node.spec.name),
    };
    reader.value(entry, ty, place, None);
}

impl<'r> Reader<'r> {
    fn new(
        source: &'r SourceFile,
        document: &'r Document,
        diagnostics: &'r mut Vec<Diagnostic>,
    ) -> Reader<'r> {
        Reader { source, document, diagnostics, in_broken: false, in_template: false }
    }

    fn read(mut self, root: &'static NodeSpec) -> Vec<Option<&'static NodeSpec>> {
        let mut specs = vec![None; self.document.len()];
        self.children(None, root, &mut specs);
        let mut template_end = 0;
        for at in 0..specs.len() {
            if let Some(spec) = specs[at] {
                let id = NodeId(at as u32);
                if spec.name == "template" {
                    template_end = self.document.node(id).subtree_end as usize;
                }
                self.in_template = at < template_end;
                self.node(id, spec);
                self.children(Some(id), spec, &mut specs);
            }
        }
        specs
    }

    pub(super) fn written(&self, span: Span) -> &'r str {
        &self.source.text[span.start as usize..span.end as usize]
    }

    /// Says what each child is.
    fn children(
        &mut self,
        parent: Option<NodeId>,
        spec: &'static NodeSpec,
        specs: &mut [Option<&'static NodeSpec>],
    ) {
        let document = self.document;
        let siblings = match parent {
            Some(parent) => document.children(parent),
            None => document.roots(),
        };
        let mut once: Vec<(&'static str, NodeId)> = Vec::new();
        for id in siblings {
            let node = document.node(id);
            let child = match spec.child(&node.name) {
                Some(child) => child,
                None if spec.open == Open::Parameters => &super::schema::PARAMETER,
                None => match self.unknown_child(id, parent, spec) {
                    Some(meant) => meant,
                    None => continue,
                },
            };
            if let Since::NotYet(meanwhile) = child.since {
                let what = match parent {
                    Some(_) => format!("`{}` in {}", child.name, called(spec)),
                    None => format!("`{}`", child.name),
                };
                self.diagnostics.push(not_yet(node.name_span, &what, meanwhile));
                continue;
            }
            specs[id.0 as usize] = Some(child);
            // A misspelt node is read as what it was probably meant to be; that is no ground to call it a repetition.
            if child.many || spec.open == Open::Parameters || *node.name != *child.name {
                continue;
            }
            match once.iter().find(|(name, _)| *name == child.name) {
                None => once.push((child.name, id)),
                Some((_, first)) => self.diagnostics.push(
                    Diagnostic::new(
                        "duplicate-node",
                        node.name_span,
                        format!("`{}` stands twice in {}", child.name, called(spec)),
                    )
                    .at("once more")
                    .label(document.node(*first).name_span, "the first one")
                    .help("keep one of the two"),
                ),
            }
        }
    }

    /// Looks at the entries of one node.
    fn node(&mut self, id: NodeId, spec: &'static NodeSpec) {
        let document = self.document;
        let node = document.node(id);
        self.in_broken = node.broken;
        if let Some(ty) = &node.ty {
            let found = no_annotations(ty.span);
            let open = self.source.text[..node.name_span.start as usize].rfind('(');
            self.diagnostics.push(match open {
                Some(open) => {
                    let removal = Span { start: open as u32, end: node.name_span.start, ..ty.span };
                    found.replace(removal, "", "remove it", Applicability::Safe)
                }
                None => found,
            });
        }
        if self.swallowed_words(id, spec) {
            return;
        }
        let mut arguments = 0;
        let mut surplus: Option<Span> = None;
        let entries = document.entries(id);
        let mut seen = BTreeMap::new();
        for (at, entry) in entries.iter().enumerate() {
            if entry.ty.is_some() {
                self.annotated(entry);
            }
            if let Some(key) = &entry.key {
                let twice = first_of_this_name(entries, at, &mut seen);
                self.property(entry, spec, id);
                if let Some(first) = twice {
                    self.diagnostics.push(
                        Diagnostic::new(
                            "duplicate-node",
                            entry.span,
                            format!("the property `{}` stands twice", key.name),
                        )
                        .at("once more")
                        .label(first.span, "the first one")
                        .help("keep one of the two"),
                    );
                }
                continue;
            }
            let positions = spec.arguments.positions;
            let position = match positions.get(arguments) {
                Some(position) => Some(position),
                None if spec.arguments.repeats => positions.last(),
                None => None,
            };
            arguments += 1;
            match position {
                Some(position) => {
                    self.value(entry, position.ty, Place::Argument(spec.name), Some(position.what))
                }
                None => surplus = Some(surplus.map_or(entry.span, |span| span.to(entry.span))),
            }
        }
        if let Some(span) = surplus {
            self.surplus(id, spec, span);
        }
        if node.broken {
            return;
        }
        if arguments < spec.arguments.required && !self.renames_only(id, spec) {
            let missing = &spec.arguments.positions[arguments];
            self.diagnostics.push(
                Diagnostic::new(
                    "missing-argument",
                    node.name_span,
                    format!("`{}` lacks {}", spec.name, missing.what),
                )
                .at(format!("{} is missing behind it", missing.what))
                .help(format!("`{}`: {}", spec.name, spec.doc)),
            );
        }
        for property in spec.properties.iter().filter(|property| property.required) {
            if !entries.iter().any(|entry| entry.key.as_ref().is_some_and(|key| &*key.name == property.name))
            {
                self.diagnostics.push(
                    Diagnostic::new(
                        "missing-argument",
                        node.name_span,
                        format!("`{}` lacks `{}=`", spec.name, property.name),
                    )
                    .at(format!("`{}=` is missing", property.name))
                    .help(format!("`{}=`: {}", property.name, property.doc)),
                );
            }
        }
    }

    /// `import` takes its names as arguments or as properties; the path was found if there is one of either.
    fn renames_only(&self, id: NodeId, spec: &NodeSpec) -> bool {
        spec.open == Open::Renames && self.document.arguments(id).next().is_some()
    }

    fn surplus(&mut self, id: NodeId, spec: &'static NodeSpec, span: Span) {
        let takes = match spec.arguments.positions {
            [] => "no argument".to_owned(),
            [one] => format!("one argument, {}", one.what),
            several => format!("{} arguments", several.len()),
        };
        let found = Diagnostic::new("too-many-arguments", span, format!("`{}` takes {takes}", spec.name))
            .at("more than it takes");
        let bare_words = self.document.arguments(id).filter(|entry| is_bare(entry)).count();
        self.diagnostics.push(match spec.arguments.positions {
            [one] if matches!(one.ty, Type::Text) && bare_words > 1 => {
                found.help("a text of several words stands in double quotes")
            }
            _ => found.help(format!("`{}`: {}", spec.name, spec.doc)),
        });
    }

    fn annotated(&mut self, entry: &Entry) {
        let Some(ty) = &entry.ty else { return };
        let start = entry.key.as_ref().map_or(entry.span.start, |key| key.span.end);
        let removal = Span { file: entry.span.file, start, end: entry.value_span.start };
        let written = self.written(removal);
        let found = no_annotations(ty.span);
        let fix = written.find('(').map(|at| Span { start: removal.start + at as u32, ..removal });
        self.diagnostics.push(match fix {
            Some(span) => found.replace(span, "", "remove it", Applicability::Safe),
            None => found,
        });
    }

    fn property(&mut self, entry: &Entry, spec: &'static NodeSpec, id: NodeId) {
        let Some(key) = &entry.key else { return };
        let known: Option<&'static Property> = spec.property(&key.name);
        if let Some(property) = known {
            if let Since::NotYet(meanwhile) = property.since {
                let what = format!("`{}=` of `{}`", property.name, spec.name);
                self.diagnostics.push(not_yet(entry.span, &what, meanwhile));
                return;
            }
            self.value(entry, property.ty, Place::Property(property.name), None);
            return;
        }
        match spec.open {
            Open::Parameters => {
                self.value(entry, Type::Value, Place::Property(&key.name), None);
            }
            Open::Renames => self.value(entry, Type::Name, Place::Property(&key.name), None),
            Open::Closed if takes_a_command(spec) => self.property_in_command(entry, spec),
            Open::Closed => self.unknown_property(entry, spec, id),
        }
    }

    /// Checks one value; `place` takes it, and `expected` says what it should be, if the type does not.
    fn value(&mut self, entry: &Entry, ty: Type, place: Place<'_>, expected: Option<&str>) {
        if is_plainly_right(entry, ty) {
            return;
        }
        let expected = match (expected, ty) {
            (None, _) | (_, Type::Word(_) | Type::Count(..)) => &describe(ty),
            (Some(expected), _) => expected,
        };
        let placeholder =
            |text| substitute::parts(text).any(|part| !matches!(part, substitute::Part::Text(_)));
        if self.in_template && text(entry).is_some_and(placeholder) {
            return;
        }
        if let Some(found) = self.value_problem(entry, ty, &place.to_string(), expected) {
            self.diagnostics.push(found);
        }
    }

    fn value_problem(&mut self, entry: &Entry, ty: Type, place: &str, expected: &str) -> Option<Diagnostic> {
        let span = entry.value_span;
        let text = match (&entry.value, ty) {
            (Value::String(text, style), _) => {
                if *style == StringStyle::Bare
                    && let Some(found) = self.swallowed_punctuation(entry, text, ty)
                {
                    return Some(found);
                }
                text
            }
            (Value::Integer(number), Type::Count(least, most)) => {
                let fits = u64::try_from(number.get()).is_ok_and(|number| (least..=most).contains(&number));
                return (!fits).then(|| wrong(span, place, expected, "another number"));
            }
            (value @ (Value::Integer(_) | Value::Number(_)), Type::Money) => {
                let problem = values::money(value).err()?;
                return Some(wrong(span, place, expected, "something else").help(problem));
            }
            (Value::Integer(_) | Value::Number(_), Type::Argv | Type::Value) => return None,
            (Value::Integer(_) | Value::Number(_), Type::Id) => {
                let written = self.written(span);
                return Some(
                    Diagnostic::new(
                        "invalid-id",
                        span,
                        format!("`{written}` is a number and cannot be an id"),
                    )
                    .at("KDL reads this as a number")
                    .help("quote it: then it is a text, and may be an id")
                    .replace(
                        span,
                        values::quote(written),
                        "quote it",
                        Applicability::Safe,
                    ),
                );
            }
            (Value::Integer(_) | Value::Number(_), _) => {
                let found = wrong(span, place, expected, "a number");
                let words = matches!(ty, Type::Word(_));
                let quoted = values::quote(self.written(span));
                return Some(match ty {
                    Type::Count(..) | Type::Money | Type::Duration | Type::Date => found,
                    _ if words => found,
                    _ => found.replace(span, quoted, "quote it", Applicability::Safe),
                });
            }
            (Value::Bool(_) | Value::Null, _) if self.in_broken => return None,
            (Value::Bool(_), _) => {
                let found = wrong(span, place, expected, "a boolean");
                return Some(
                    found.help("plans have no booleans: choices are words, and leaving a node out says no"),
                );
            }
            (Value::Null, _) => {
                let found = wrong(span, place, expected, "null");
                return Some(found.help("plans have no null: leave out what is not there"));
            }
        };
        self.text_problem(entry, text, ty, place, expected)
    }

    fn text_problem(
        &mut self,
        entry: &Entry,
        text: &str,
        ty: Type,
        place: &str,
        expected: &str,
    ) -> Option<Diagnostic> {
        let span = entry.value_span;
        let problem = match ty {
            Type::Id | Type::Kind => {
                let problem = values::id(text).err()?;
                let mut found = Diagnostic::new(
                    "invalid-id",
                    span,
                    format!("`{}` cannot be an id: {problem}", shorten(text)),
                )
                .at(problem);
                found.help.push(format!(
                    "an id is a letter or digit, then letters, digits, `.`, `_`, `-`; at most {} in all",
                    values::MAX_ID
                ));
                return Some(found);
            }
            Type::Name | Type::Text | Type::Path | Type::Glob | Type::Reference => {
                text.is_empty().then(|| "it is empty".to_owned())
            }
            Type::Variable => (!values::is_variable(text))
                .then(|| "letters, digits and `_`, not a digit in front".to_owned()),
            Type::Word(words) => match words.iter().find(|word| word.name == text) {
                Some(word) => {
                    let Since::NotYet(meanwhile) = word.since else { return None };
                    return Some(not_yet(span, &format!("`{}`", self.written(entry.span)), meanwhile));
                }
                None => {
                    let found = wrong(span, place, expected, "another word");
                    return Some(match did_you_mean(text, words.iter().map(|word| word.name)) {
                        Some(near) => {
                            found.replace(span, near, format!("replace with `{near}`"), Applicability::Safe)
                        }
                        None => found,
                    });
                }
            },
            Type::Count(..) | Type::Money => {
                let found = wrong(span, place, expected, "a text");
                let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
                return Some(match digits {
                    true => found.replace(span, text, "remove the quotes", Applicability::Safe),
                    false => found,
                });
            }
            Type::Duration => values::duration(text).err(),
            Type::Date => values::date(text).err(),
            Type::Regex | Type::Argv | Type::Value => None,
        }?;
        Some(wrong(span, place, expected, "something else").help(problem))
    }
}

/// How a message names the node: "`unit`", or "a plan" for a whole file.
pub(super) fn called(spec: &NodeSpec) -> String {
    if spec.name.contains([' ', '.']) { spec.name.to_owned() } else { format!("`{}`", spec.name) }
}

pub(super) fn takes_a_command(spec: &NodeSpec) -> bool {
    spec.arguments.positions.first().is_some_and(|first| matches!(first.ty, Type::Argv))
}

pub(super) fn is_bare(entry: &Entry) -> bool {
    matches!(entry.value, Value::String(_, StringStyle::Bare))
}

pub(crate) fn not_yet(span: Span, what: &str, meanwhile: &str) -> Diagnostic {
    Diagnostic::new(
        "not-yet",
        span,
        format!("{what} is part of the language, but this version does not act on it"),
    )
    .at("not yet")
    .help(format!("meanwhile: {meanwhile}"))
}

fn no_annotations(span: Span) -> Diagnostic {
    Diagnostic::new("wrong-type", span, "plans have no type annotations").at("a type annotation")
}

fn shorten(text: &str) -> String {
    match text.char_indices().nth(values::MAX_ID) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text.to_owned(),
    }
}
