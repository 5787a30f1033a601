//! Steps become text: where lines begin and end, how far they are indented, which blocks stay on one line.
//!
//! Does not know tokens. Every choice is one of columns, so that laying out what is laid out changes nothing.

use unicode_width::UnicodeWidthStr;

use super::super::lexer::is_newline;
use super::layout::{AtomKind, Do, Sep, Step, Trailing};
use super::{DEEPEST, INDENT, WIDTH, literal};

/// Comments at the ends of neighbouring lines begin in one column, unless that takes more spaces than this.
const FARTHEST: usize = 30;

/// Columns of a text that has no line breaks.
pub(super) fn width_of(text: &str) -> usize {
    if text.is_ascii() { text.len() } else { text.width() }
}

pub(super) fn print(steps: &[Step<'_>], line_break: &'static str) -> String {
    let mut printer = Printer {
        steps,
        line_break,
        out: String::new(),
        depth: 0,
        column: 0,
        line: 0,
        fresh: true,
        node: Node { continued: 0, squeezed: false, first: true },
        outer: Vec::new(),
        endings: Vec::new(),
    };
    printer.steps();
    if !printer.out.is_empty() {
        printer.out.push_str(line_break);
    }
    printer.align()
}

/// How the node at hand is laid out.
#[derive(Clone, Copy)]
struct Node {
    /// The column at which its continuation lines begin.
    continued: usize,
    /// It would stand on one line if that were long enough: so its blocks are broken.
    squeezed: bool,
    /// Its first entry is still to come, which stays with the name.
    first: bool,
}

/// A comment at the end of a line of code.
struct Ending {
    /// Where its text begins in the output.
    at: usize,
    column: usize,
    depth: usize,
    line: usize,
}

struct Printer<'s, 't> {
    steps: &'s [Step<'t>],
    line_break: &'static str,
    out: String,
    depth: usize,
    column: usize,
    line: usize,
    /// Nothing but the indentation stands on the line.
    fresh: bool,
    node: Node,
    /// The nodes whose blocks are open.
    outer: Vec<Node>,
    endings: Vec<Ending>,
}

impl Printer<'_, '_> {
    fn steps(&mut self) {
        let mut at = 0;
        while at < self.steps.len() {
            at = self.step(at);
        }
    }

    /// Prints the step at `at`, perhaps with some that follow it. The next one to print.
    fn step(&mut self, at: usize) -> usize {
        match self.steps[at].what {
            Do::Blank => {
                self.out.push_str(self.line_break);
                self.line += 1;
            }
            Do::Begin { end, one_line, block, .. } => return self.begin(at, end, one_line, block),
            Do::Atom { .. } => self.atom(at),
            Do::Comment { text, escaped, leading } => {
                self.space();
                if escaped {
                    self.write("\\ ");
                }
                self.write(text);
                self.start_line(if leading { self.indentation() } else { self.node.continued });
            }
            Do::Open { sep, close, one_line, empty, comment } => {
                if sep != Sep::Nothing {
                    self.space();
                }
                let width = self.steps[close].width + 2 - self.steps[at].width;
                if empty || (one_line && !self.node.squeezed && self.column + width <= WIDTH) {
                    self.flat(Do::Open { sep: Sep::Nothing, close, one_line, empty, comment });
                    (at + 1..=close).for_each(|inner| self.flat(self.steps[inner].what));
                    return close + 1;
                }
                self.write("{");
                let mut next = at + 1;
                while matches!(self.steps[next].what, Do::Atom { .. }) {
                    self.atom(next);
                    next += 1;
                }
                self.trailing(comment);
                self.outer.push(self.node);
                self.depth += 1;
                return next;
            }
            Do::Close { .. } => {
                self.depth -= 1;
                self.start_line(self.indentation());
                self.write("}");
                self.node = self.outer.pop().unwrap_or(self.node);
            }
            Do::End { node: false, comment: Some(comment) } => {
                self.space();
                self.write(comment.text);
            }
            Do::End { comment, .. } => self.trailing(comment),
        }
        at + 1
    }

    fn begin(&mut self, at: usize, end: usize, one_line: bool, block: bool) -> usize {
        let indentation = self.indentation();
        self.start_line(indentation);
        let (from, to) = (self.steps[at], self.steps[end]);
        let could = one_line && from.unflat == to.unflat;
        if could && indentation + (to.width - from.width - 1) <= WIDTH {
            (at + 1..end).for_each(|inner| self.flat(self.steps[inner].what));
            return end;
        }
        // What is inside the node must not be taken for its continuation.
        let continued = indentation + if block { 2 * INDENT } else { INDENT };
        self.node = Node { continued, squeezed: could, first: true };
        at + 1
    }

    /// Prints a step of a line that is known to be long enough.
    fn flat(&mut self, what: Do<'_>) {
        match what {
            Do::Begin { .. } => self.write(" "),
            Do::Atom { sep, text, .. } => {
                if sep != Sep::Nothing {
                    self.write(" ");
                }
                self.write(text);
            }
            Do::Open { sep, .. } => self.write(if sep == Sep::Nothing { "{" } else { " {" }),
            Do::Close { empty } => self.write(if empty { "}" } else { " }" }),
            Do::End { node: true, .. } => self.write(";"),
            Do::End { node: false, .. } | Do::Blank => {}
            Do::Comment { .. } => debug_assert!(false, "what ends a line is on no line of others"),
        }
    }

    fn atom(&mut self, at: usize) {
        let Do::Atom { sep, text, kind } = self.steps[at].what else { return };
        match sep {
            Sep::Nothing => {}
            Sep::Space => self.space(),
            Sep::Break => {
                let first = std::mem::replace(&mut self.node.first, false);
                if !first && !self.fresh && self.should_break(at) {
                    self.write(" \\");
                    self.start_line(self.node.continued);
                } else {
                    self.space();
                }
            }
        }
        match kind {
            AtomKind::Plain => self.write(text),
            AtomKind::MultilineString => {
                let margin = self.indentation() + INDENT;
                let text = literal::with_margin(text, margin, self.line_break);
                self.write(&text);
            }
            AtomKind::BlockComment { column } => {
                let from = column.filter(|_| self.fresh).unwrap_or(self.column);
                let text = literal::moved_comment(text, from, self.column, self.line_break);
                self.write(&text);
            }
        }
    }

    /// True if what follows up to the next possible break does not fit on this line, but on one of its own.
    fn should_break(&self, at: usize) -> bool {
        let mut width = 0;
        let mut next = at;
        // What must stand behind it on the same line.
        let behind = loop {
            match self.steps[next].what {
                Do::Atom { sep: Sep::Break, .. } | Do::Comment { escaped: true, .. } if next > at => break 2,
                Do::Atom { sep, text, .. } => {
                    width += (next > at && sep == Sep::Space) as usize;
                    let Some(end) = text.find(is_newline) else {
                        width += width_of(text);
                        next += 1;
                        continue;
                    };
                    width += width_of(&text[..end]);
                    break 0;
                }
                Do::Open { sep, empty, .. } => {
                    break 1 + (sep != Sep::Nothing) as usize + empty as usize;
                }
                _ => break 0,
            }
        };
        let needed = width + behind;
        self.column + 1 + needed > WIDTH && self.node.continued + needed <= WIDTH
    }

    fn trailing(&mut self, comment: Option<Trailing<'_>>) {
        let Some(Trailing { text, glued }) = comment else { return };
        if !glued && !self.fresh {
            self.space();
            let ending =
                Ending { at: self.out.len(), column: self.column, depth: self.depth, line: self.line };
            self.endings.push(ending);
        }
        self.write(text);
    }

    // ---- characters ----

    fn indentation(&self) -> usize {
        self.depth.min(DEEPEST) * INDENT
    }

    fn start_line(&mut self, indentation: usize) {
        if !self.out.is_empty() {
            self.out.push_str(self.line_break);
            self.line += 1;
        }
        self.out.extend(std::iter::repeat_n(' ', indentation));
        self.column = indentation;
        self.fresh = true;
    }

    /// A space, unless the line has just begun.
    fn space(&mut self) {
        if !self.fresh {
            self.write(" ");
        }
    }

    fn write(&mut self, text: &str) {
        self.out.push_str(text);
        self.fresh = false;
        let breaks = text.matches(is_newline).count();
        match text.rfind(is_newline) {
            Some(at) => {
                self.line += breaks;
                let last = &text[at..];
                self.column = width_of(last.trim_start_matches(is_newline));
            }
            None => self.column += width_of(text),
        }
    }

    /// The output, with the comments at the ends of neighbouring lines in one column.
    fn align(self) -> String {
        let Printer { out, endings, .. } = self;
        if endings.len() < 2 {
            return out;
        }
        let mut aligned = String::with_capacity(out.len() + out.len() / 8);
        let mut copied = 0;
        let mut rest = endings.as_slice();
        while let Some(first) = rest.first() {
            let (mut least, mut most) = (first.column, first.column);
            let mut count = 1;
            while let Some(next) = rest.get(count) {
                let neighbours = next.line == rest[count - 1].line + 1 && next.depth == first.depth;
                let (low, high) = (least.min(next.column), most.max(next.column));
                if !neighbours || high - low > FARTHEST {
                    break;
                }
                (least, most) = (low, high);
                count += 1;
            }
            for ending in &rest[..count] {
                aligned.push_str(&out[copied..ending.at]);
                aligned.extend(std::iter::repeat_n(' ', most - ending.column));
                copied = ending.at;
            }
            rest = &rest[count..];
        }
        aligned.push_str(&out[copied..]);
        aligned
    }
}
