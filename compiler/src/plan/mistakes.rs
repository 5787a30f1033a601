//! Mistakes that KDL accepts or that authors bring along from other formats, each with a message of its own:
//! swallowed punctuation, properties in commands, whole command lines in one word, neighbours' words.
//!
//! Does not know what a name refers to.

use super::read::{Reader, called, is_bare, takes_a_command, text};
use super::schema::{self, NodeSpec, Since, Type};
use super::values;
use crate::diagnostic::{Applicability, Diagnostic, Edit, did_you_mean};
use crate::source::Span;
use crate::syntax::{Entry, NodeId};

/// Punctuation that becomes part of a bare KDL string and never of a name.
pub(super) const SWALLOWED: &[char] = &[',', ':', '\'', '`', '‘', '’', '“', '”'];

/// Does the word begin and end with letters or digits? Nearly all do, and have swallowed nothing.
pub(super) fn is_clean(word: &str) -> bool {
    match word.as_bytes() {
        [first, .., last] => first.is_ascii_alphanumeric() && last.is_ascii_alphanumeric(),
        _ => false,
    }
}

const QUOTES: [(char, char); 4] = [('\'', '\''), ('`', '`'), ('‘', '’'), ('“', '”')];

/// A word that other formats use, and what says the same here.
struct Neighbour {
    word: &'static str,
    /// Nodes or properties; the first that may stand in the place is taken to be meant.
    instead: &'static [&'static str],
    help: &'static str,
    /// The first of `instead` means the same.
    same: bool,
}

const fn same(word: &'static str, instead: &'static [&'static str], help: &'static str) -> Neighbour {
    Neighbour { word, instead, help, same: true }
}

const fn near(word: &'static str, instead: &'static [&'static str], help: &'static str) -> Neighbour {
    Neighbour { word, instead, help, same: false }
}

const NEEDS: &str = "units that come first stand in `needs` (their output is used) or `after` (order only)";
const SCOPE: &str = "what a unit may change stands in `writes`; what must be there afterwards in `creates`";
const OUTPUT: &str = "what a unit leaves stands in `creates`";
const ACCEPT: &str = "each criterion is an `accept \"...\"` of its own, with `by=` or a block that checks it";
const STATUS: &str = "there is no status in a plan; state is in the journal, and `loop status` shows it";
const KIND: &str = "the kind of work is the property `kind=`; who does it is `agent=`";

const NEIGHBOURS: &[Neighbour] = &[
    same("depends_on", &["needs"], NEEDS),
    same("depends-on", &["needs"], NEEDS),
    same("depends", &["needs"], NEEDS),
    same("dependencies", &["needs"], NEEDS),
    same("requires", &["needs"], NEEDS),
    near("files", &["writes"], SCOPE),
    near("scope", &["writes"], SCOPE),
    near("in_scope", &["writes"], SCOPE),
    near("produces", &["creates"], OUTPUT),
    near("outputs", &["creates"], OUTPUT),
    near("output", &["creates"], OUTPUT),
    same("acceptance", &["accept"], ACCEPT),
    same("acceptance_criteria", &["accept"], ACCEPT),
    same("criteria", &["accept"], ACCEPT),
    same("criterion", &["accept"], ACCEPT),
    same("objective", &["goal"], "what is true when the work is done stands in `goal`"),
    same("description", &["goal"], "what is true when the work is done stands in `goal`"),
    same("command", &["run"], "a command stands in `run`, word for word, or in `shell` as one string"),
    same("cmd", &["run"], "a command stands in `run`, word for word, or in `shell` as one string"),
    near("status", &[], STATUS),
    near("state", &[], STATUS),
    near("role", &["kind"], KIND),
    near("type", &["kind"], KIND),
    same("task", &["unit"], "work for one agent is a `unit`"),
    same("phase", &["gate"], "a group of units that is approved together is a `gate`"),
    same("milestone", &["gate"], "a group of units that is approved together is a `gate`"),
];

impl Reader<'_> {
    /// Reports a child that may not stand here, and says which node was meant, if that is clear enough to go on.
    pub(super) fn unknown_child(
        &mut self,
        id: NodeId,
        parent: Option<NodeId>,
        spec: &'static NodeSpec,
    ) -> Option<&'static NodeSpec> {
        let node = self.document.node(id);
        let (name, span) = (&*node.name, node.name_span);
        if let Some((found, meant)) = swallowed_in_node_name(name, span, spec) {
            self.diagnostics.push(found);
            return meant;
        }
        let found = Diagnostic::new("unknown-node", span, format!("{} takes no node `{name}`", called(spec)))
            .at("no such node may stand here");
        let lower = name.to_lowercase();
        let neighbour = NEIGHBOURS.iter().find(|neighbour| neighbour.word == lower);
        if let Some(neighbour) = neighbour.filter(|neighbour| neighbour.fits(spec)) {
            let meant = neighbour.instead.iter().find_map(|instead| spec.child(instead));
            let found = found.help(neighbour.help);
            self.diagnostics.push(match meant {
                Some(meant) => found.replace(
                    span,
                    meant.name,
                    format!("replace with `{}`", meant.name),
                    if neighbour.same { Applicability::Safe } else { Applicability::Unsafe },
                ),
                None => found,
            });
            return meant;
        }
        if let Some(property) = spec.property(name) {
            let parent_name = parent.map_or("", |_| spec.name);
            self.diagnostics.push(found.help(format!(
                "`{name}` is a property here: write `{name}=...` behind `{parent_name}`, not in its block ({})",
                property.doc
            )));
            return None;
        }
        if let Some(place) = place_of(name) {
            self.diagnostics.push(Diagnostic { message: misplaced(name, spec), ..found }.help(place));
            return None;
        }
        if let Some(neighbour) = neighbour
            && let Some(place) = neighbour.instead.first().and_then(|instead| place_of(instead))
        {
            self.diagnostics.push(found.help(neighbour.help).help(place));
            return None;
        }
        let meant = did_you_mean(name, spec.children.iter().map(|child| child.name))
            .and_then(|near| spec.child(near));
        self.diagnostics.push(match meant {
            Some(meant) => found
                .help(format!("a node with a similar name may stand here: `{}`", meant.name))
                .replace(span, meant.name, format!("replace with `{}`", meant.name), Applicability::Safe),
            None if spec.children.is_empty() => found.help(format!("{} has no block", called(spec))),
            None => {
                let now = spec.children.iter().filter(|child| child.since == Since::Now);
                let names: Vec<&str> = now.map(|child| child.name).collect();
                found.help(format!("{} takes {}", called(spec), names.join(", ")))
            }
        });
        meant
    }

    pub(super) fn unknown_property(&mut self, entry: &Entry, spec: &'static NodeSpec, id: NodeId) {
        let Some(key) = &entry.key else { return };
        let name = &*key.name;
        let found = Diagnostic::new(
            "unknown-property",
            key.span,
            format!("{} has no property `{name}`", called(spec)),
        )
        .at("no such property");
        let lower = name.to_lowercase();
        let neighbour = NEIGHBOURS.iter().find(|neighbour| neighbour.word == lower && neighbour.fits(spec));
        if let Some(neighbour) = neighbour {
            let meant = neighbour.instead.iter().find_map(|instead| spec.property(instead));
            let found = found.help(neighbour.help);
            self.diagnostics.push(match meant {
                Some(meant) => {
                    let title = format!("replace with `{}`", meant.name);
                    found.replace(key.span, meant.name, title, Applicability::Unsafe)
                }
                None => found,
            });
            return;
        }
        if spec.child(name).is_some() {
            let value = self.written(entry.value_span);
            self.diagnostics.push(found.help(format!(
                "`{name}` is a node of its own: write `{name} {value}` in the block of `{}`",
                spec.name
            )));
            return;
        }
        let near = did_you_mean(name, spec.properties.iter().map(|property| property.name));
        self.diagnostics.push(match near {
            Some(near) => found.help(format!("a property with a similar name exists: `{near}`")).replace(
                key.span,
                near,
                format!("replace with `{near}`"),
                Applicability::Safe,
            ),
            None if spec.properties.is_empty() => found.help(format!("`{}` has no properties", spec.name)),
            None => {
                let names: Vec<&str> = spec.properties.iter().map(|property| property.name).collect();
                found.help(format!("`{}` has {}", self.document.node(id).name, names.join(", ")))
            }
        });
    }

    /// `run cargo test --features=x`
    pub(super) fn property_in_command(&mut self, entry: &Entry, spec: &NodeSpec) {
        let Some(key) = &entry.key else { return };
        let value = text(entry).unwrap_or_else(|| self.written(entry.value_span));
        let word = values::quote(&format!("{}={value}", key.name));
        self.diagnostics.push(
            Diagnostic::new(
                "property-in-run",
                entry.span,
                format!("this word of `{}` was read as a property", spec.name),
            )
            .at("KDL reads `key=value` as a property")
            .help("quote the word")
            .replace(entry.span, word, "quote it", Applicability::Safe),
        );
    }

    /// Mistakes that concern several words of a node. True if nothing further should be said about its entries.
    pub(super) fn swallowed_words(&mut self, id: NodeId, spec: &'static NodeSpec) -> bool {
        let entries = self.document.entries(id);
        if takes_a_command(spec) && self.one_word_command(id, spec) {
            return true;
        }
        for (at, entry) in entries.iter().enumerate() {
            if !is_bare(entry) || entry.key.is_some() {
                continue;
            }
            let Some(word) = text(entry) else { continue };
            if is_clean(word) {
                continue;
            }
            let closing = QUOTES.iter().find(|(open, _)| word.starts_with(*open)).map(|(_, close)| *close);
            if let Some(close) = closing {
                let ends = |(_, last): &(usize, &Entry)| {
                    let trimmed = text(last).unwrap_or("").trim_end_matches(',');
                    trimmed.ends_with(close) && (last.span != entry.span || trimmed.chars().count() > 1)
                };
                let last = entries.iter().enumerate().skip(at).find(ends);
                let Some((_, last)) = last else { continue };
                let span = entry.span.to(last.span);
                let inner = self.written(span).trim_end_matches(',');
                let inner = inner.strip_prefix(|_: char| true).unwrap_or(inner);
                let inner = inner.strip_suffix(close).unwrap_or(inner);
                self.diagnostics.push(
                    Diagnostic::new(
                        "punctuation-in-name",
                        span,
                        "only double quotes quote: these became part of the text",
                    )
                    .at("these quotes are letters to KDL")
                    .help("use double quotes")
                    .replace(
                        span,
                        values::quote(inner),
                        "use double quotes",
                        Applicability::Safe,
                    ),
                );
                return true;
            }
            let property = word.strip_suffix([':', '=']).filter(|key| spec.property(key).is_some());
            if let (Some(key), Some(next)) = (property, entries.get(at + 1))
                && next.key.is_none()
            {
                let cut = Span { end: next.span.start, ..entry.span };
                self.diagnostics.push(
                    Diagnostic::new(
                        "punctuation-in-name",
                        entry.span,
                        format!("`{key}` is a property: it takes `=`"),
                    )
                    .at("the colon became part of the word")
                    .help(format!("write `{key}=...`, without spaces"))
                    .replace(
                        cut,
                        format!("{key}="),
                        format!("write `{key}=`"),
                        Applicability::Safe,
                    ),
                );
                return true;
            }
        }
        false
    }

    /// `run "cargo test"`
    fn one_word_command(&mut self, id: NodeId, spec: &NodeSpec) -> bool {
        let [entry] = self.document.entries(id) else { return false };
        let Some(line) = text(entry) else { return false };
        if spec.name == "args" || entry.key.is_some() || !line.trim().contains(char::is_whitespace) {
            return false;
        }
        let needs_shell =
            line.contains(['|', '&', ';', '<', '>', '$', '"', '\'', '`', '(', ')', '*', '\\', '\n']);
        let found = Diagnostic::new(
            "one-word-command",
            entry.value_span,
            format!("`{}` takes a command word for word, and this is one word", spec.name),
        )
        .at("the name of a program with a space in it");
        let has_shell = spec.name == "run";
        self.diagnostics.push(if !needs_shell {
            let words: Vec<String> = line.split_whitespace().map(values::spell).collect();
            found.help("write each word by itself").replace(
                entry.value_span,
                words.join(" "),
                "split it into words",
                Applicability::Safe,
            )
        } else if has_shell {
            let name = self.document.node(id).name_span;
            found.help("write each word by itself, or use `shell` for a line that needs a shell").fix(
                "use `shell`",
                Applicability::Unsafe,
                vec![Edit { span: name, text: "shell".to_owned() }],
            )
        } else {
            found.help("write each word by itself; what needs a shell is `sh -c \"...\"`")
        });
        true
    }

    /// `needs a, b`
    pub(super) fn swallowed_punctuation(
        &mut self,
        entry: &Entry,
        word: &str,
        ty: Type,
    ) -> Option<Diagnostic> {
        let named = matches!(ty, Type::Id | Type::Name | Type::Kind | Type::Variable | Type::Word(_));
        let listed = matches!(ty, Type::Path | Type::Glob | Type::Reference);
        let commas = if named { word.contains(',') } else { listed && word.ends_with(',') };
        if commas {
            let words: Vec<&str> = word.split(',').filter(|word| !word.is_empty()).collect();
            let text = if named { words.join(" ") } else { word.trim_end_matches(',').to_owned() };
            return Some(
                Diagnostic::new("punctuation-in-name", entry.value_span, "the comma became part of the name")
                    .at(format!("this word is `{word}`"))
                    .help("a list has only spaces between its words")
                    .replace(entry.value_span, text, "remove the comma", Applicability::Safe),
            );
        }
        if named && word.ends_with(':') && word.len() > 1 {
            return Some(
                Diagnostic::new("punctuation-in-name", entry.value_span, "the colon became part of the name")
                    .at(format!("this word is `{word}`"))
                    .help("KDL has no mark behind a name")
                    .replace(
                        entry.value_span,
                        word.trim_end_matches(':'),
                        "remove the colon",
                        Applicability::Safe,
                    ),
            );
        }
        None
    }
}

impl Neighbour {
    /// Can what it stands for be written in the node?
    fn fits(&self, spec: &NodeSpec) -> bool {
        match self.instead {
            [] => matches!(spec.name, "unit" | "gate" | "feature" | "manual" | "project"),
            instead => instead.iter().any(|name| spec.child(name).is_some() || spec.property(name).is_some()),
        }
    }
}

/// `needs: a` and `needs:a`: the finding, and the node that was meant if its values stand where they should.
fn swallowed_in_node_name(
    name: &str,
    span: Span,
    spec: &'static NodeSpec,
) -> Option<(Diagnostic, Option<&'static NodeSpec>)> {
    let trimmed = name.trim_end_matches([':', ',']);
    if trimmed.len() < name.len()
        && let Some(meant) = spec.child(trimmed)
    {
        let mark = &name[trimmed.len()..];
        let found = Diagnostic::new(
            "punctuation-in-name",
            span,
            format!("the `{mark}` became part of the node's name"),
        )
        .at(format!("this node is called `{name}`"))
        .help("KDL has no mark between a node's name and its values")
        .replace(span, trimmed, format!("replace with `{trimmed}`"), Applicability::Safe);
        return Some((found, Some(meant)));
    }
    let (front, back) = name.split_once(':')?;
    let meant = spec.child(front)?;
    let found = Diagnostic::new(
        "punctuation-in-name",
        span,
        "the colon and what follows became part of the node's name",
    )
    .at(format!("this node is called `{name}`"))
    .help("a space stands between a node's name and its values")
    .replace(span, format!("{} {back}", meant.name), "write a space", Applicability::Safe);
    Some((found, None))
}

/// "`goal` stands in `unit`, `gate`", if there is such a node.
fn place_of(name: &str) -> Option<String> {
    let parents = schema::parents_of(name);
    let quoted = |place: &&str| match place.contains([' ', '.']) {
        true => (*place).to_owned(),
        false => format!("`{place}`"),
    };
    let places = parents.iter().map(quoted).collect::<Vec<_>>().join(", ");
    (!parents.is_empty()).then(|| format!("`{name}` stands in {places}"))
}

fn misplaced(name: &str, spec: &NodeSpec) -> String {
    format!("`{name}` may not stand in {}", called(spec))
}
