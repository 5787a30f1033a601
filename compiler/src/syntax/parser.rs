//! Tokens become a [`Document`], whatever the text says: every node that can be read is in it.
//!
//! Does not know which braces are missing (`braces` has put that right before), nor what an argument looks like
//! (`entries`). Keeps its own stack of blocks, so that depth costs memory and never the program's stack.
//! Source: KDL 2.0.1, full grammar.

use super::lexer::{self, Kind, Token, is_newline};
use super::mistakes::{Mistakes, shown};
use super::{Document, Node, NodeId, braces};
use crate::diagnostic::{Applicability, Diagnostic, Edit, Severity};
use crate::source::{FileId, Span};

/// A document and what was wrong with its text.
pub struct Parsed {
    pub document: Document,
    /// In the order of the text. Warnings do not make the text wrong.
    pub diagnostics: Vec<Diagnostic>,
}

/// Parses `text`. Never fails: whatever could be read is in the document.
pub fn parse(file: FileId, text: &str) -> Parsed {
    let mut mistakes = Mistakes::new(file, text);
    if text.len() >= u32::MAX as usize {
        let found = mistakes.error(0, 0, "the file is larger than 4 GiB").help("split it into several files");
        mistakes.add(found);
        let document = Document { file, nodes: Vec::new(), entries: Vec::new() };
        return Parsed { document, diagnostics: mistakes.finish() };
    }
    let tokens = lexer::lex(text, &mut mistakes);
    let tokens = braces::balance(tokens, &mut mistakes);
    let mut parser = Parser {
        text,
        tokens: &tokens,
        at: 0,
        last_end: 0,
        document: Document {
            file,
            // More than nearly every plan has: what is not used costs nothing, and moving the arrays does.
            nodes: Vec::with_capacity(text.len() / 24),
            entries: Vec::with_capacity(text.len() / 16),
        },
        mistakes,
        meant_raw: None,
        blocks: vec![Block { node: None, parent: None, discard: None, last: None }],
    };
    parser.document();
    Parsed { document: parser.document, diagnostics: parser.mistakes.finish() }
}

/// Lengths of the document's arrays, to which it shrinks when something turns out to be commented out.
#[derive(Clone, Copy)]
pub(super) struct Mark {
    nodes: usize,
    pub(super) entries: usize,
}

/// A node whose end has not been reached.
pub(super) struct OpenNode {
    id: u32,
    /// `/-` stands before the node.
    discard: Option<Mark>,
    phase: Phase,
    /// The next entry needs no space before it: what stood there has been reported.
    pub(super) forgiving: bool,
    /// A parenthesis without a partner has been reported.
    pub(super) loose_paren: bool,
}

/// What may still follow in a node.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    Entries,
    /// After a block that `/-` comments out: other blocks only.
    DiscardedBlock,
    /// After its children: blocks that `/-` comments out.
    Block,
}

/// A block of nodes that is being read; the first one is the file.
struct Block {
    /// The node whose block this is. `None`: the file, or a block without a node.
    node: Option<OpenNode>,
    /// The parent of the nodes in it.
    parent: Option<NodeId>,
    /// `/-` stands before the block.
    discard: Option<Mark>,
    /// The last node that ended in this block.
    last: Option<u32>,
}

pub(super) struct Parser<'t> {
    pub(super) text: &'t str,
    pub(super) tokens: &'t [Token],
    pub(super) at: usize,
    /// Where the last token ended that is neither space nor comment.
    pub(super) last_end: usize,
    pub(super) document: Document,
    pub(super) mistakes: Mistakes<'t>,
    /// A quoted token that was meant as a raw string.
    pub(super) meant_raw: Option<usize>,
    blocks: Vec<Block>,
}

pub(super) fn is_string(kind: Kind) -> bool {
    matches!(kind, Kind::Word | Kind::BadWord) || has_quotes(kind)
}

fn has_quotes(kind: Kind) -> bool {
    matches!(kind, Kind::Quoted | Kind::Multiline | Kind::Raw | Kind::RawMultiline)
}

/// KDL's `node-space`.
pub(super) fn is_node_space(kind: Kind) -> bool {
    matches!(kind, Kind::Space | Kind::BlockComment | Kind::LineContinuation)
}

impl<'t> Parser<'t> {
    pub(super) fn kind(&self) -> Kind {
        self.tokens[self.at].kind
    }

    pub(super) fn start(&self) -> usize {
        self.tokens[self.at].start as usize
    }

    /// Where the token at `index` ends.
    pub(super) fn end_of(&self, index: usize) -> usize {
        self.tokens.get(index + 1).map_or(self.text.len(), |next| next.start as usize)
    }

    pub(super) fn end(&self) -> usize {
        self.end_of(self.at)
    }

    pub(super) fn text_of(&self, index: usize) -> &'t str {
        &self.text[self.tokens[index].start as usize..self.end_of(index)]
    }

    pub(super) fn span(&self, start: usize, end: usize) -> Span {
        self.mistakes.span(start, end)
    }

    /// The span of the token at hand.
    pub(super) fn here(&self) -> Span {
        self.span(self.start(), self.end())
    }

    pub(super) fn error_here(&self, message: impl Into<String>) -> Diagnostic {
        self.mistakes.error(self.start(), self.end(), message)
    }

    /// Steps over a token that is neither space nor comment.
    pub(super) fn bump(&mut self) {
        self.last_end = self.end();
        self.at += 1;
    }

    /// Steps over KDL's `node-space`; true if there was any.
    pub(super) fn skip_node_space(&mut self) -> bool {
        let from = self.at;
        while is_node_space(self.kind()) {
            self.at += 1;
        }
        self.at > from
    }

    /// Steps over KDL's `line-space`.
    fn skip_line_space(&mut self) {
        while is_node_space(self.kind()) || matches!(self.kind(), Kind::Newline | Kind::LineComment) {
            self.at += 1;
        }
    }

    fn mark(&self) -> Mark {
        Mark { nodes: self.document.nodes.len(), entries: self.document.entries.len() }
    }

    fn shrink(&mut self, mark: Mark) {
        self.document.nodes.truncate(mark.nodes);
        self.document.entries.truncate(mark.entries);
    }

    fn block(&mut self) -> &mut Block {
        self.blocks.last_mut().expect("the file's own block is never popped")
    }

    fn written(&mut self, node: &OpenNode) -> &mut Node {
        &mut self.document.nodes[node.id as usize]
    }

    // ---- blocks ----

    fn document(&mut self) {
        loop {
            self.skip_line_space();
            match self.kind() {
                Kind::End => break,
                Kind::Close | Kind::MissingClose => self.close_block(),
                Kind::SurplusClose => self.bump(),
                Kind::Semicolon => {
                    let found = self
                        .error_here("there is no node before this `;`")
                        .help("delete it: one `;` ends a node, and so does the end of a line")
                        .replace(self.here(), "", "delete the `;`", Applicability::Safe);
                    self.mistakes.add(found);
                    self.bump();
                }
                Kind::Open => self.block_without_a_name(),
                _ => self.node(),
            }
        }
    }

    /// At a `{` where a node's name should be.
    fn block_without_a_name(&mut self) {
        let parent = self.block().parent;
        let last = self.block().last.filter(|id| self.document.nodes[*id as usize].children_span.is_none());
        let Some(id) = last else {
            let found = self
                .error_here("this block has no node: a name must stand before `{`")
                .help("write the node's name before `{`, on the same line");
            self.mistakes.add(found);
            // What is inside can still be read; it counts as if the braces were not there.
            self.bump();
            return self.blocks.push(Block { node: None, parent, discard: None, last: None });
        };
        let node = &mut self.document.nodes[id as usize];
        node.broken = true;
        let (name_span, name, node_end) = (node.name_span, shown(&node.name), node.span.end as usize);
        let mut found = self
            .error_here(format!("`{{` must stand on the same line as its node {name}"))
            .label(name_span, "the node ends with this line")
            .help("move the `{` up, to the end of the line before");
        if self.text[node_end..self.start()].trim().is_empty() {
            let gap = self.span(node_end, self.start());
            found = found.replace(gap, " ", "move the `{` up", Applicability::Safe);
        }
        self.mistakes.add(found);
        let node =
            OpenNode { id, discard: None, phase: Phase::Entries, forgiving: false, loose_paren: false };
        self.open_block(node, None);
    }

    /// At the `{` of `node`.
    fn open_block(&mut self, node: OpenNode, discard: Option<Mark>) {
        let span = self.here();
        if discard.is_none() {
            self.written(&node).children_span.get_or_insert(span);
        }
        let parent = Some(NodeId(node.id));
        self.bump();
        self.blocks.push(Block { node: Some(node), parent, discard, last: None });
    }

    /// At a `}`, or where one is missing.
    fn close_block(&mut self) {
        let missing = self.kind() == Kind::MissingClose;
        if missing {
            self.at += 1;
        } else {
            self.bump();
        }
        if self.blocks.len() < 2 {
            debug_assert!(false, "braces are balanced before the parser sees them");
            return;
        }
        let end = self.last_end as u32;
        let Some(block) = self.blocks.pop() else { return };
        if let Some(mark) = block.discard {
            self.shrink(mark);
        }
        let Some(mut node) = block.node else { return };
        let written = self.written(&node);
        written.broken |= missing;
        if block.discard.is_some() {
            if node.phase == Phase::Entries {
                node.phase = Phase::DiscardedBlock;
            }
        } else {
            node.phase = Phase::Block;
            written.span.end = end;
            if let Some(span) = &mut written.children_span {
                span.end = end;
            }
        }
        if missing {
            // What follows is outside, however it was written.
            return self.end_node(node);
        }
        self.rest_of_node(node);
    }

    fn end_node(&mut self, node: OpenNode) {
        let end = self.document.nodes.len() as u32;
        self.written(&node).subtree_end = end;
        match node.discard {
            Some(mark) => self.shrink(mark),
            None => self.block().last = Some(node.id),
        }
    }

    // ---- nodes ----

    fn node(&mut self) {
        let mut discard = None;
        if self.kind() == Kind::Slashdash {
            let dash = self.at;
            discard = Some(self.mark());
            self.bump();
            self.skip_line_space();
            match self.kind() {
                Kind::Open => {
                    self.report_dangling_slashdash(dash, "`/-` stands before a block that has no node");
                    let parent = self.block().parent;
                    self.bump();
                    return self.blocks.push(Block { node: None, parent, discard, last: None });
                }
                Kind::Close
                | Kind::MissingClose
                | Kind::SurplusClose
                | Kind::End
                | Kind::Semicolon
                | Kind::Slashdash => {
                    self.report_dangling_slashdash(dash, "`/-` has nothing to comment out");
                    if self.kind() == Kind::Semicolon {
                        self.bump();
                    }
                    return;
                }
                _ => {}
            }
            self.check_version(dash);
        }

        let mut broken = false;
        let mut ty = None;
        if self.kind() == Kind::LeftParen {
            let (annotation, good) = self.type_annotation();
            broken = !good;
            ty = annotation;
            self.skip_node_space();
        }
        let start = self.start();
        let (name, end, named) = if is_string(self.kind()) || self.kind() == Kind::Keyword {
            let (name, good) = self.name("node");
            broken |= !good;
            self.bump();
            (name, self.last_end, true)
        } else {
            if !broken {
                self.report_missing_name(ty.is_some());
            }
            broken = true;
            // What follows on the line still belongs to a node; nobody knows its name.
            ("".into(), start, false)
        };
        let id = self.document.nodes.len() as u32;
        let entries = self.document.entries.len() as u32;
        let parent = self.block().parent;
        let span = self.span(start, end);
        self.document.nodes.push(Node {
            name,
            name_span: span,
            ty,
            span,
            children_span: None,
            parent,
            broken,
            entries: entries..entries,
            subtree_end: id + 1,
        });
        if !named && matches!(self.kind(), Kind::Equals | Kind::RightParen | Kind::Slashdash) {
            self.bump();
        }
        let node = OpenNode { id, discard, phase: Phase::Entries, forgiving: !named, loose_paren: !named };
        self.rest_of_node(node);
    }

    /// After a node's name, or after one of its blocks.
    fn rest_of_node(&mut self, mut node: OpenNode) {
        loop {
            let from = self.at;
            let spaced = self.skip_node_space() | std::mem::replace(&mut node.forgiving, false);
            if self.tokens[from..self.at].iter().any(|token| token.flawed) {
                // A comment that is never closed, say: what it swallowed may have been meant.
                self.written(&node).broken = true;
            }
            match self.kind() {
                Kind::Newline | Kind::LineComment => {
                    self.at += 1;
                    return self.end_node(node);
                }
                Kind::Semicolon => {
                    self.bump();
                    return self.end_node(node);
                }
                Kind::End | Kind::Close | Kind::MissingClose | Kind::SurplusClose => {
                    return self.end_node(node);
                }
                Kind::Open => {
                    if node.phase == Phase::Block {
                        self.report_second_block(&node);
                    }
                    return self.open_block(node, None);
                }
                Kind::Slashdash => {
                    if let Some(mark) = self.slashdash_in_node(&mut node, spaced) {
                        return self.open_block(node, Some(mark));
                    }
                }
                Kind::Equals => {
                    self.report_equals(&node);
                    self.bump();
                    node.forgiving = true;
                }
                Kind::RightParen => {
                    self.written(&node).broken = true;
                    if !std::mem::replace(&mut node.loose_paren, true) {
                        let found = self
                            .error_here("this `)` closes nothing")
                            .help("delete it, or put the text in quotes if it is part of one");
                        self.mistakes.add(found);
                    }
                    self.bump();
                    node.forgiving = true;
                }
                _ => {
                    if node.phase != Phase::Entries {
                        self.report_after_block(&node, self.at);
                        if node.phase == Phase::Block {
                            // Most likely the next node, whose line break is missing: it is read as one.
                            return self.end_node(node);
                        }
                        node.phase = Phase::Entries;
                    } else if !spaced {
                        self.report_glued(&node);
                        node.loose_paren |= self.kind() == Kind::LeftParen;
                    }
                    let good = self.entry(&mut node);
                    let end = self.last_end as u32;
                    let entries = self.document.entries.len() as u32;
                    let written = self.written(&node);
                    written.entries.end = entries;
                    written.span.end = written.span.end.max(end);
                    written.broken |= !good;
                }
            }
        }
    }

    /// At a `/-` inside a node. Comments out an entry, or stops at a `{` and says where its block begins.
    fn slashdash_in_node(&mut self, node: &mut OpenNode, spaced: bool) -> Option<Mark> {
        let dash = self.at;
        let mark = self.mark();
        if !spaced && node.phase == Phase::Entries {
            self.report_glued(node);
        }
        self.bump();
        self.skip_line_space();
        let kind = self.kind();
        if kind == Kind::Open {
            return Some(mark);
        }
        if is_string(kind) || matches!(kind, Kind::Keyword | Kind::LeftParen) {
            if node.phase != Phase::Entries {
                self.report_after_block(node, dash);
            }
            let good = self.entry(node);
            self.written(node).broken |= !good;
            self.document.entries.truncate(mark.entries);
        } else {
            self.written(node).broken = true;
            self.report_dangling_slashdash(dash, "`/-` has nothing to comment out");
            if kind == Kind::Slashdash {
                self.bump();
                self.skip_line_space();
            }
            node.forgiving = true;
        }
        None
    }

    // ---- telling ----

    fn report_dangling_slashdash(&mut self, dash: usize, message: &str) {
        let start = self.tokens[dash].start as usize;
        let found = self.mistakes.error(start, start + 2, message).help(
            "`/-` comments out the node, argument, property or block that follows it; for a line of text use `//`",
        );
        self.mistakes.add(found);
    }

    /// At what stands where a node's name should be.
    fn report_missing_name(&mut self, typed: bool) {
        let found = match self.kind() {
            Kind::Equals => {
                self.error_here("a line cannot begin with `=`").help("begin the line with a node's name")
            }
            Kind::RightParen => self.error_here("this `)` closes nothing").help("delete it"),
            Kind::Slashdash => self
                .error_here("`/-` cannot stand between a type annotation and its node")
                .help("put `/-` before the `(`"),
            _ if typed => self
                .mistakes
                .error(
                    self.last_end - 1,
                    self.last_end,
                    "a type annotation must be followed by the name of its node",
                )
                .help("write the node's name right after the `)`"),
            _ => self.error_here("a node must begin with its name").help("write the node's name first"),
        };
        self.mistakes.add(found);
    }

    /// `/- kdl-version 1` at the beginning of a file.
    fn check_version(&mut self, dash: usize) {
        // Only a byte order mark may stand before it.
        if dash > 1 {
            return;
        }
        let name = self.at;
        let version = name + 2;
        if self.text_of(name) != "kdl-version" || version >= self.tokens.len() || self.text_of(version) != "1"
        {
            return;
        }
        let mut found = self
            .mistakes
            .error(self.start(), self.end_of(version), "this file says that it is KDL 1; it is read as KDL 2")
            .help("change the number to 2, and write `#true`, `#false` and `#null` for `true`, `false` and `null`");
        found.severity = Severity::Warning;
        self.mistakes.add(found);
    }

    fn report_second_block(&mut self, node: &OpenNode) {
        let written = self.written(node);
        written.broken = true;
        let (name, first) = (shown(&written.name), written.children_span);
        let mut found = self
            .error_here(format!("{name} has a second block"))
            .help("put everything into one block, or begin a new node on a new line");
        if let Some(first) = first {
            let start = first.start as usize;
            found = found.label(self.span(start, start + 1), "its first block begins here");
        }
        self.mistakes.add(found);
    }

    /// What begins with the token at `at` stands behind a block of `node`.
    fn report_after_block(&mut self, node: &OpenNode, at: usize) {
        let (start, end) = (self.tokens[at].start as usize, self.end_of(at));
        let word = shown(self.text_of(at));
        let written = self.written(node);
        written.broken = true;
        let name = shown(&written.name);
        let found = if node.phase == Phase::Block {
            self.mistakes
                .error(start, end, format!("{word} stands behind the block of {name}, which ends the node"))
                .help("begin a new line for the next node, or write `;` between them")
        } else {
            self.mistakes
                .error(start, end, format!("{word} stands behind a block that `/-` comments out"))
                .help("arguments and properties stand before every block of their node, also before a commented-out one")
        };
        self.mistakes.add(found);
    }

    /// At something that follows the token before it without a space.
    fn report_glued(&mut self, node: &OpenNode) {
        self.written(node).broken = true;
        let before = self.at.saturating_sub(1);
        let (left, right) = (self.text_of(before), self.text_of(self.at));
        let (left_start, start, end) = (self.tokens[before].start as usize, self.start(), self.end());
        let (left_kind, right_kind) = (self.tokens[before].kind, self.kind());
        if left == "r" && matches!(right_kind, Kind::Raw | Kind::RawMultiline) {
            let found = self
                .mistakes
                .error(left_start, end, "raw strings have no `r` before them in KDL 2")
                .help("write `#\"…\"#`")
                .replace(self.span(left_start, start), "", "delete the `r`", Applicability::Safe);
            return self.mistakes.add_about_quotes(found);
        }
        if left == "r" && right_kind == Kind::Quoted {
            self.meant_raw = Some(self.at);
            let mut found = self
                .mistakes
                .error(left_start, end, "raw strings are written with `#` in KDL 2, not with `r`")
                .help("write `#\"…\"#`");
            if !self.tokens[self.at].flawed && !right.contains("\\\"") && !right.contains(is_newline) {
                let span = self.span(left_start, end);
                found = found.replace(
                    span,
                    format!("#{right}#"),
                    "write it as a raw string",
                    Applicability::Safe,
                );
            }
            return self.mistakes.add_about_quotes(found);
        }
        let message = format!("a space is missing between {} and {}", shown(left), shown(right));
        let found = self.mistakes.error(start, end, message);
        if has_quotes(left_kind) || has_quotes(right_kind) {
            let found = found
                .help("for a quotation mark inside a string write `\\\"`")
                .help("otherwise put a space between the two");
            return self.mistakes.add_about_quotes(found);
        }
        let edit = Edit { span: self.span(start, start), text: " ".to_owned() };
        let found = found
            .help("values are separated by spaces; text with punctuation in it needs quotes")
            .fix("put a space between them", Applicability::Unsafe, vec![edit]);
        self.mistakes.add(found);
    }

    /// At a `=` that follows no property's name.
    fn report_equals(&mut self, node: &OpenNode) {
        let last_end = self.last_end;
        let (start, end) = (self.start(), self.end());
        let written = self.written(node);
        written.broken = true;
        let name_end = written.name_span.end as usize;
        let after_name =
            node.phase == Phase::Entries && !written.name_span.is_empty() && last_end == name_end;
        let (name, name_start) = (shown(&written.name), written.name_span.start as usize);
        let found = if after_name {
            let mut after = self.at + 1;
            while self.tokens[after].kind == Kind::Space {
                after += 1;
            }
            let gap = self.span(name_end, self.tokens[after].start as usize);
            self.mistakes
                .error(
                    name_start,
                    end,
                    format!("{name} stands for a node here, whose value follows without `=`"),
                )
                .help("put a space in place of the `=`")
                .help("if it is meant as a property, move it to the line of its node")
                .replace(gap, " ", "replace the `=` with a space", Applicability::Safe)
        } else {
            self.mistakes
                .error(start, end, "`=` must follow the name of a property")
                .help("write `name=value`, or put text that contains `=` in quotes")
        };
        self.mistakes.add(found);
    }
}
