//! The only place that knows KDL's grammar: text becomes a [`Document`].
//!
//! Does not know which nodes a plan may hold, nor what any name means.
//! Source: KDL 2.0.1 specification.

mod braces;
mod decode;
mod entries;
pub mod format;
mod lexer;
mod mistakes;
mod numbers;
mod parser;
mod quotes;
mod strings;

#[cfg(test)]
mod oracle;
#[cfg(test)]
mod robustness;
#[cfg(test)]
mod tests;

pub use decode::decode;
pub use parser::{Parsed, parse};

use crate::source::{FileId, Span};

/// A decoded name or string. Short ones, which nearly all are, are kept in place; it reads as a `str`.
pub type Text = smol_str::SmolStr;

/// Index of a node in its [`Document`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId(pub u32);

/// A parsed file: flat arrays, nodes in the order in which they were written (a parent before its children).
/// Nodes, entries and children that `/-` comments out are not in it.
#[derive(Clone, Debug)]
pub struct Document {
    pub file: FileId,
    pub(crate) nodes: Vec<Node>,
    pub(crate) entries: Vec<Entry>,
}

#[derive(Clone, Debug)]
pub struct Node {
    /// The decoded name. Empty with an empty span if the text has none; the node is `broken` then.
    pub name: Text,
    pub name_span: Span,
    /// `(type)` before the name.
    pub ty: Option<Box<TypeAnnotation>>,
    /// Name to the end of the last entry or of the children block.
    pub span: Span,
    /// From `{` to `}`, both included, if there is a children block (empty ones too).
    pub children_span: Option<Span>,
    pub parent: Option<NodeId>,
    /// True if a syntax error lies inside this node itself (not in a child): what it says may be incomplete, so
    /// that "something is missing" must not be reported about it.
    pub broken: bool,
    pub(crate) entries: std::ops::Range<u32>,
    /// One past the last descendant: the next sibling, or where the parent ends.
    pub(crate) subtree_end: u32,
}

#[derive(Clone, Debug)]
pub struct TypeAnnotation {
    pub name: Text,
    pub span: Span,
}

/// An argument (no key) or a property.
#[derive(Clone, Debug)]
pub struct Entry {
    pub key: Option<Box<Key>>,
    pub ty: Option<Box<TypeAnnotation>>,
    pub value: Value,
    /// The value alone, without key and type annotation.
    pub value_span: Span,
    /// Type annotation, key, `=` and value.
    pub span: Span,
}

#[derive(Clone, Debug)]
pub struct Key {
    pub name: Text,
    pub span: Span,
}

/// How a string was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StringStyle {
    Bare,
    Quoted,
    Raw,
    Multiline,
    RawMultiline,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    String(Text, StringStyle),
    /// An integer literal that fits; wider ones are `Number`.
    Integer(WholeNumber),
    /// Any other number, as canonical decimal text: no `_`, no `+`, no needless zeros, e.g. `1.5`, `-2.5E10`. What was
    /// written with a point or an exponent has a point: `1.0`. `#inf`, `#-inf` and `#nan` too.
    Number(Text),
    Bool(bool),
    Null,
}

/// A whole number of 128 bits that need not lie at a multiple of sixteen bytes: among the values of a plan it is rare,
/// and would make each of them a third larger.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(Rust, packed(8))]
pub struct WholeNumber(i128);

impl WholeNumber {
    pub fn get(self) -> i128 {
        self.0
    }
}

impl Value {
    pub fn integer(number: i128) -> Value {
        Value::Integer(WholeNumber(number))
    }
}

impl Document {
    pub fn node(&self, id: NodeId) -> &Node {
        &self.nodes[id.0 as usize]
    }

    pub fn entries(&self, id: NodeId) -> &[Entry] {
        let range = &self.node(id).entries;
        &self.entries[range.start as usize..range.end as usize]
    }

    /// Arguments of the node, in order.
    pub fn arguments(&self, id: NodeId) -> impl Iterator<Item = &Entry> {
        self.entries(id).iter().filter(|entry| entry.key.is_none())
    }

    /// Properties of the node, in order, duplicates included (the last one counts for KDL; plans refuse a repetition).
    pub fn properties(&self, id: NodeId) -> impl Iterator<Item = &Entry> {
        self.entries(id).iter().filter(|entry| entry.key.is_some())
    }

    pub fn roots(&self) -> Siblings<'_> {
        Siblings { document: self, next: 0, end: self.nodes.len() as u32 }
    }

    pub fn children(&self, id: NodeId) -> Siblings<'_> {
        Siblings { document: self, next: id.0 + 1, end: self.node(id).subtree_end }
    }

    pub fn len(&self) -> usize {
        self.nodes.len()
    }

    pub fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }
}

/// Iterates over nodes that share a parent.
#[derive(Clone)]
pub struct Siblings<'d> {
    document: &'d Document,
    next: u32,
    end: u32,
}

impl Iterator for Siblings<'_> {
    type Item = NodeId;

    fn next(&mut self) -> Option<NodeId> {
        if self.next >= self.end {
            return None;
        }
        let id = NodeId(self.next);
        self.next = self.document.node(id).subtree_end;
        Some(id)
    }
}
