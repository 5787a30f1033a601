//! Templates: what stands in them, which template a `use` means, and the plan's document with every `use` replaced by
//! what it makes.
//!
//! Does not know what a unit says. The expanded document is read like one that was written out; the places in it are
//! places in the template, each expansion having a file id of its own (see [`crate::source::Expansion`]).

mod define;
mod expand;
mod given;
mod limits;
mod settle;
#[cfg(test)]
mod tests;
mod uses;

use std::collections::{BTreeMap, BTreeSet};

pub(crate) use settle::settle;

use super::import::{FileIx, Loaded};
use super::model::{Param, UnusedParameter};
use super::read::{File, Node};
use crate::diagnostic::Diagnostic;
use crate::source::{SourceMap, Span, Spanned};
use crate::syntax::NodeId;

/// The most units that templates may make in one plan.
const MOST_UNITS: u64 = 100_000;
/// The most nodes.
const MOST_NODES: u64 = 4_000_000;
/// The most bytes of text.
const MOST_TEXT: usize = 16 << 20;
/// How long what stands before a unit's own id may be.
const LONGEST_PREFIX: usize = 190;

/// Index into [`Templates::all`].
type TemplateIx = usize;

/// One `template` of the loaded files.
struct Template<'l> {
    file: FileIx,
    node: Node<'l>,
    id: Spanned<String>,
    params: Vec<Param>,
    /// Where each parameter is defined.
    spans: Vec<Span>,
    /// False if a mistake in it, or in a template that it uses, was reported that would be met again in each use.
    sound: bool,
    /// Units and nodes that one use of it makes, those of the templates that it uses included.
    units: u64,
    nodes: u64,
}

/// One `use`, be it in the plan or in a template.
struct Use<'l> {
    node: Node<'l>,
    /// `None` if the template is unknown, or what the use says does not fit it. That was reported.
    template: Option<TemplateIx>,
}

/// Every template and every use.
struct Templates<'l> {
    all: Vec<Template<'l>>,
    uses: BTreeMap<(FileIx, NodeId), Use<'l>>,
}

/// What is known of the templates besides the expanded plan.
#[derive(Clone, Debug, Default)]
pub(crate) struct Expanded {
    /// The ids of uses of which nothing could be made: that a unit `ID/...` is unknown may be for this.
    pub(crate) lost: BTreeSet<String>,
    pub(crate) unused: Vec<UnusedParameter>,
    /// Local names of the templates that the plan itself uses.
    pub(crate) used: BTreeSet<String>,
}

/// Replaces every `use` in the plan's document by what it makes.
pub(crate) fn expand(
    loaded: &mut Loaded,
    map: &mut SourceMap,
    diagnostics: &mut Vec<Diagnostic>,
) -> Expanded {
    let mut expanded = Expanded::default();
    let templates = define::define(loaded, map, diagnostics, &mut expanded);
    let with_uses = |file: &FileIx| templates.uses.keys().any(|(of, _)| of == file);
    let bodies = loaded.gate_bodies();
    let files: Vec<FileIx> = loaded.plan.into_iter().chain(bodies).filter(with_uses).collect();
    let mut made: Vec<(FileIx, File)> = Vec::with_capacity(files.len());
    for file in files {
        made.push((file, expand::expand(loaded, file, &templates, map, diagnostics, &mut expanded)));
    }
    // Names stand for nodes of the files as they were read: those stay.
    for (from, file) in made {
        loaded.files.push(file);
        loaded.replace(from, loaded.files.len() - 1);
    }
    expanded
}
