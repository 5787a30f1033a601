//! Tokens become steps: what is to be printed, what may stand between, and where the author broke lines.
//!
//! Does not know columns, and judges nothing: the text is known to be KDL. Keeps its own stack, so that depth costs memory
//! and never the program's stack.

use super::super::lexer::{self, Kind, is_newline, is_space};
use super::super::mistakes::Mistakes;
use super::super::parser::is_string;
use super::print::width_of;
use crate::source::FileId;

/// What stands between an atom and the one before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sep {
    Nothing,
    /// A space.
    Space,
    /// A space, or a line break behind a `\`.
    Break,
}

/// One thing to print.
#[derive(Clone, Copy, Debug)]
pub(super) enum Do<'t> {
    /// The author left at least one line empty here.
    Blank,
    /// A node, or comments without one. Everything up to the `End` at this index.
    Begin {
        end: usize,
        node: bool,
        one_line: bool,
        block: bool,
    },
    Atom {
        sep: Sep,
        text: &'t str,
        kind: AtomKind,
    },
    /// A line comment inside a node, which goes on in the next line: behind a `\`, or behind a `/-`, `leading` if that
    /// stands before the whole node.
    Comment {
        text: &'t str,
        escaped: bool,
        leading: bool,
    },
    /// `{`, up to the `Close` at this index. Atoms right behind it are comments on its line.
    Open {
        sep: Sep,
        close: usize,
        one_line: bool,
        empty: bool,
        comment: Option<Trailing<'t>>,
    },
    Close {
        empty: bool,
    },
    End {
        node: bool,
        comment: Option<Trailing<'t>>,
    },
}

/// A line comment that ends its line.
#[derive(Clone, Copy, Debug)]
pub(super) struct Trailing<'t> {
    pub(super) text: &'t str,
    /// It touches a word, which is worth a warning: a space between them would hide it.
    pub(super) glued: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum AtomKind {
    Plain,
    MultilineString,
    /// A comment of several lines, and the column at which it began if nothing stood before it on its line.
    BlockComment {
        column: Option<usize>,
    },
}

/// A step, with sums over everything before it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Step<'t> {
    pub(super) what: Do<'t>,
    /// Columns of everything before, were it all on one line.
    pub(super) width: usize,
    /// Things before that cannot stand on one line.
    pub(super) unflat: usize,
}

/// A token, or part of a line continuation.
#[derive(Clone, Copy)]
struct Piece<'t> {
    kind: Kind,
    text: &'t str,
    start: usize,
    /// Inside a line continuation.
    continued: bool,
}

/// A block whose `}` has not been reached.
struct Frame {
    open: usize,
    /// Line breaks of the text up to the `{`.
    newlines: usize,
    node: OpenNode,
}

struct OpenNode {
    begin: usize,
    one_line: bool,
}

/// The line break that most lines of the text have: CR LF, or LF.
pub(super) fn line_break(text: &str) -> &'static str {
    let pieces = pieces(text);
    let breaks = || pieces.iter().filter(|piece| piece.kind == Kind::Newline);
    let crlf = breaks().filter(|piece| piece.text == "\r\n").count();
    if 2 * crlf > breaks().count() { "\r\n" } else { "\n" }
}

/// What to print for a text without syntax errors.
pub(super) fn steps(text: &str) -> Vec<Step<'_>> {
    let pieces = pieces(text);
    let mut build = Build {
        text,
        steps: Vec::with_capacity(pieces.len()),
        pieces,
        at: 0,
        width: 0,
        unflat: 0,
        newlines: 0,
        breaks: 0,
        fresh: true,
        frames: Vec::new(),
    };
    build.document();
    build.steps
}

/// The tokens of the text, line continuations taken apart.
fn pieces(text: &str) -> Vec<Piece<'_>> {
    let mut pieces = Vec::new();
    for (kind, start, end) in tokens(text) {
        if kind != Kind::LineContinuation {
            pieces.push(Piece { kind, text: &text[start..end], start, continued: false });
            continue;
        }
        pieces.push(Piece { kind, text: &text[start..=start], start, continued: true });
        for (kind, from, to) in tokens(&text[start + 1..end]) {
            if kind == Kind::End {
                break;
            }
            let (from, to) = (start + 1 + from, start + 1 + to);
            pieces.push(Piece { kind, text: &text[from..to], start: from, continued: true });
        }
    }
    pieces
}

/// Kind, beginning and end of each token; the last one is `End`. The only place here that knows how the lexer is called.
fn tokens(text: &str) -> Vec<(Kind, usize, usize)> {
    let mut mistakes = Mistakes::new(FileId(0), text);
    let tokens = lexer::lex(text, &mut mistakes);
    let end = |at: usize| tokens.get(at + 1).map_or(text.len(), |next| next.start as usize);
    tokens.iter().enumerate().map(|(at, token)| (token.kind, token.start as usize, end(at))).collect()
}

struct Build<'t> {
    text: &'t str,
    pieces: Vec<Piece<'t>>,
    at: usize,
    steps: Vec<Step<'t>>,
    width: usize,
    unflat: usize,
    /// Line breaks of the text so far, wherever they stand.
    newlines: usize,
    /// Line breaks since the last item ended.
    breaks: usize,
    /// Nothing has been printed in this block yet.
    fresh: bool,
    frames: Vec<Frame>,
}

impl<'t> Build<'t> {
    fn kind(&self) -> Kind {
        self.pieces[self.at].kind
    }

    /// Steps over the piece at hand.
    fn bump(&mut self) -> Piece<'t> {
        let piece = self.pieces[self.at];
        self.newlines += piece.text.contains(is_newline) as usize;
        if piece.kind != Kind::End {
            self.at += 1;
        }
        piece
    }

    fn push(&mut self, what: Do<'t>) -> usize {
        self.steps.push(Step { what, width: self.width, unflat: self.unflat });
        let (width, unflat) = match what {
            Do::Blank => (0, 0),
            Do::Begin { .. } => (1, 0),
            Do::Atom { sep, text, .. } => {
                ((sep != Sep::Nothing) as usize + width_of(text), text.contains(is_newline) as usize)
            }
            Do::Comment { .. } => (0, 1),
            Do::Open { sep, .. } => (1 + (sep != Sep::Nothing) as usize, 0),
            Do::Close { empty } => (2 - empty as usize, 0),
            Do::End { node, .. } => (node as usize, 0),
        };
        self.width += width;
        self.unflat += unflat;
        self.steps.len() - 1
    }

    /// The piece at hand as an atom.
    fn atom(&mut self, sep: Sep) {
        let piece = self.bump();
        let (mut kind, mut text) = (AtomKind::Plain, piece.text);
        match piece.kind {
            Kind::Multiline | Kind::RawMultiline => kind = AtomKind::MultilineString,
            Kind::BlockComment if text.contains(is_newline) => {
                let line = self.text[..piece.start]
                    .rfind(is_newline_or_mark)
                    .map_or(0, |at| at + self.text[at..].chars().next().map_or(1, char::len_utf8));
                let before = &self.text[line..piece.start];
                let column = before.chars().all(is_space).then(|| before.chars().count());
                kind = AtomKind::BlockComment { column };
            }
            // An empty line continuation at the end of a text.
            Kind::LineContinuation => text = "",
            _ => {}
        }
        self.push(Do::Atom { sep, text, kind });
    }

    /// A line comment without the spaces at its end.
    fn comment(&mut self) -> &'t str {
        self.bump().text.trim_end_matches(is_space)
    }

    /// True if the comment at hand touches a word, about which the parser warns.
    fn is_glued(&self) -> bool {
        self.at > 0 && matches!(self.pieces[self.at - 1].kind, Kind::Word | Kind::Keyword)
    }

    fn begin(&mut self) -> usize {
        if !self.fresh && self.breaks > 1 {
            self.push(Do::Blank);
        }
        self.fresh = false;
        self.push(Do::Begin { end: 0, node: false, one_line: true, block: false })
    }

    fn end(&mut self, begin: usize, node: bool, one_line: bool, mut comment: Option<Trailing<'t>>) {
        // A comment behind a `\` after which nothing comes needs no `\`.
        if comment.is_none()
            && let Some(Step { what: Do::Comment { text, .. }, .. }) = self.steps.last()
        {
            comment = Some(Trailing { text, glued: false });
            self.steps.pop();
            self.unflat -= 1;
        }
        let end = self.push(Do::End { node, comment });
        if let Do::Begin { end: at, node: is, one_line: all, .. } = &mut self.steps[begin].what {
            (*at, *is, *all) = (end, node, one_line);
        }
        self.breaks = 0;
    }

    // ---- between nodes ----

    fn document(&mut self) {
        loop {
            match self.kind() {
                Kind::End => return,
                Kind::Newline => {
                    self.bump();
                    self.breaks += 1;
                }
                // A semicolon cannot stand here in KDL.
                Kind::Space | Kind::LineContinuation | Kind::Semicolon => {
                    self.bump();
                }
                Kind::Close => {
                    self.bump();
                    self.close();
                }
                Kind::LineComment => {
                    let begin = self.begin();
                    let comment = Some(Trailing { text: self.comment(), glued: false });
                    self.end(begin, false, true, comment);
                }
                _ => self.item(),
            }
        }
    }

    /// At a block comment or a node.
    fn item(&mut self) {
        let begin = self.begin();
        let mut sep = Sep::Nothing;
        loop {
            match self.kind() {
                Kind::BlockComment => {
                    self.atom(sep);
                    sep = Sep::Space;
                }
                Kind::Space => {
                    self.bump();
                }
                Kind::LineComment => {
                    let comment = Some(Trailing { text: self.comment(), glued: false });
                    return self.end(begin, false, true, comment);
                }
                Kind::Newline | Kind::LineContinuation | Kind::End | Kind::Close | Kind::Semicolon => {
                    return self.end(begin, false, true, None);
                }
                _ => break,
            }
        }
        self.node(OpenNode { begin, one_line: true }, sep);
    }

    // ---- nodes ----

    /// At the `/-`, the type annotation or the name of a node.
    fn node(&mut self, node: OpenNode, mut sep: Sep) {
        if self.kind() == Kind::Slashdash {
            sep = self.slashdash(sep, true);
        }
        let marker = self.pieces[self.at].text == "kdl-version";
        if marker
            && sep == Sep::Nothing
            && matches!(self.steps.last(), Some(Step { what: Do::Atom { text: "/-", .. }, .. }))
        {
            sep = Sep::Space;
        }
        self.value(sep);
        self.rest(node);
    }

    /// At a `/-`. What is to stand before that which it comments out.
    fn slashdash(&mut self, sep: Sep, leading: bool) -> Sep {
        self.atom(sep);
        let mut next = Sep::Nothing;
        loop {
            match self.kind() {
                Kind::Space | Kind::Newline | Kind::LineContinuation => {
                    self.bump();
                }
                Kind::BlockComment => {
                    self.atom(Sep::Space);
                    next = Sep::Space;
                }
                Kind::LineComment => {
                    let text = self.comment();
                    self.push(Do::Comment { text, escaped: false, leading });
                    next = Sep::Nothing;
                }
                _ => return next,
            }
        }
    }

    /// Steps over KDL's `node-space`. The separator of what follows: `plain`, or `beside` next to comments.
    fn gap(&mut self, plain: Sep, beside: Sep) -> Sep {
        let mut sep = plain;
        loop {
            match self.kind() {
                Kind::Space | Kind::LineContinuation => {
                    self.bump();
                }
                Kind::Newline if self.pieces[self.at].continued => {
                    self.bump();
                }
                Kind::BlockComment => {
                    let glued = self.is_glued();
                    self.atom(if glued { Sep::Nothing } else { beside });
                    // Such a comment looks like a part of the text on both its sides.
                    sep = if glued && is_string(self.kind()) { Sep::Nothing } else { beside };
                }
                Kind::LineComment if self.pieces[self.at].continued => {
                    let text = self.comment();
                    self.push(Do::Comment { text, escaped: true, leading: false });
                    sep = Sep::Nothing;
                }
                _ => return sep,
            }
        }
    }

    /// A string, number or keyword with its type annotation.
    fn value(&mut self, mut sep: Sep) {
        if self.kind() == Kind::LeftParen {
            self.atom(sep);
            let inner = self.gap(Sep::Nothing, Sep::Space);
            self.atom(inner);
            let close = self.gap(Sep::Nothing, Sep::Space);
            self.atom(close);
            sep = self.gap(Sep::Nothing, Sep::Space);
        }
        self.atom(sep);
    }

    /// True if `=` comes after the string at hand and the space behind it.
    fn is_key(&self) -> bool {
        let space = |piece: &&Piece<'_>| {
            matches!(piece.kind, Kind::Space | Kind::BlockComment | Kind::LineContinuation) || piece.continued
        };
        self.pieces[self.at + 1..]
            .iter()
            .find(|piece| !space(piece))
            .is_some_and(|piece| piece.kind == Kind::Equals)
    }

    /// After a node's name, or after one of its blocks.
    fn rest(&mut self, node: OpenNode) {
        let mut after_block = matches!(self.steps.last(), Some(Step { what: Do::Close { .. }, .. }));
        loop {
            let plain = if after_block { Sep::Space } else { Sep::Break };
            let mut sep = self.gap(plain, plain);
            if self.kind() == Kind::Slashdash {
                // Whether a block follows shows behind it.
                let block = self.pieces[self.at + 1..]
                    .iter()
                    .find(|piece| {
                        !piece.continued
                            && !matches!(
                                piece.kind,
                                Kind::Space
                                    | Kind::Newline
                                    | Kind::BlockComment
                                    | Kind::LineComment
                                    | Kind::LineContinuation
                            )
                    })
                    .is_some_and(|piece| piece.kind == Kind::Open);
                after_block |= block;
                let before = if block && sep == Sep::Break { Sep::Space } else { sep };
                sep = self.slashdash(before, false);
            } else if self.kind() == Kind::Open && sep == Sep::Break {
                sep = Sep::Space;
            }
            match self.kind() {
                Kind::Open => return self.open(node, sep),
                Kind::Newline | Kind::End | Kind::Close => {
                    return self.end(node.begin, true, node.one_line, None);
                }
                Kind::LineComment => {
                    let glued = self.is_glued();
                    let comment = Some(Trailing { text: self.comment(), glued });
                    return self.end(node.begin, true, node.one_line, comment);
                }
                Kind::Semicolon => {
                    self.bump();
                    let comment = self.comments_on_the_line();
                    return self.end(node.begin, true, node.one_line, comment);
                }
                kind if is_string(kind) && self.is_key() => {
                    self.atom(sep);
                    let equals = self.gap(Sep::Nothing, Sep::Space);
                    self.atom(equals);
                    let value = self.gap(Sep::Nothing, Sep::Space);
                    self.value(value);
                }
                _ => self.value(sep),
            }
        }
    }

    /// Takes the comments that stand on this line before its end; none if more than comments stand there.
    fn comments_on_the_line(&mut self) -> Option<Trailing<'t>> {
        let mut look = self.at;
        while matches!(self.pieces[look].kind, Kind::Space | Kind::BlockComment)
            && !self.pieces[look].continued
        {
            look += 1;
        }
        let ends = matches!(
            self.pieces[look].kind,
            Kind::Newline | Kind::LineComment | Kind::LineContinuation | Kind::End | Kind::Close
        );
        if !ends {
            return None;
        }
        while self.at < look {
            match self.kind() {
                Kind::BlockComment => self.atom(Sep::Space),
                _ => {
                    self.bump();
                }
            }
        }
        (self.kind() == Kind::LineComment).then(|| Trailing { text: self.comment(), glued: false })
    }

    // ---- blocks ----

    fn open(&mut self, node: OpenNode, sep: Sep) {
        self.bump();
        if let Do::Begin { block, .. } = &mut self.steps[node.begin].what {
            *block = true;
        }
        let open = self.push(Do::Open { sep, close: 0, one_line: false, empty: false, comment: None });
        let newlines = self.newlines;
        let found = self.comments_on_the_line();
        if let Do::Open { comment, .. } = &mut self.steps[open].what {
            *comment = found;
        }
        self.frames.push(Frame { open, newlines, node });
        self.breaks = 0;
        self.fresh = true;
    }

    /// Behind a `}`.
    fn close(&mut self) {
        let Some(frame) = self.frames.pop() else {
            debug_assert!(false, "the text is KDL, so its braces match");
            return;
        };
        let nothing = self.steps.len() == frame.open + 1;
        let closing = self.steps.len();
        let mut same_line = self.newlines == frame.newlines;
        if let Do::Open { close, one_line, empty, comment, .. } = &mut self.steps[frame.open].what {
            *empty = nothing && comment.is_none();
            same_line |= *empty;
            (*close, *one_line) = (closing, same_line);
        }
        let empty = matches!(self.steps[frame.open].what, Do::Open { empty: true, .. });
        self.push(Do::Close { empty });
        self.fresh = false;
        let OpenNode { begin, one_line } = frame.node;
        self.rest(OpenNode { begin, one_line: one_line && same_line });
    }
}

/// A line break, or the byte order mark, which has no column.
fn is_newline_or_mark(c: char) -> bool {
    is_newline(c) || c == '\u{FEFF}'
}
