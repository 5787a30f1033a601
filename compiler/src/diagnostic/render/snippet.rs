//! Lays out source lines with marks under them, and edits as a diff.
//!
//! Does not know what a diagnostic is: lines, byte ranges and words come in, text goes out.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt::Write;

use camino::Utf8PathBuf;
use miette::{SourceSpan, SpanContents};
use unicode_width::UnicodeWidthChar;

use super::paint::{Ink, Pen};
use super::{Style, one_line};
use crate::source::SourceFile;

/// Columns that a tab stands for. Editors differ; marks and text must only agree with each other.
const TAB: usize = 4;

/// Bytes around marks that are laid out of a line that has more: what is shown of it is far less.
const NEAR: usize = 2_000;

/// What stands where a long line was cut.
const CUT: &str = "...";

/// Lines of one file, by number, with what is marked in them.
#[derive(Debug)]
pub(super) struct Snippet {
    name: String,
    /// 0-based. The neighbours of marked lines are in it too.
    lines: BTreeMap<usize, String>,
    marks: Vec<Mark>,
    /// Of the primary mark, else of the first: 1-based line and column in characters.
    place: (usize, usize),
    placed: bool,
}

/// A range in one line. Of a range over several lines, the first and the last are marked.
#[derive(Clone, Debug)]
struct Mark {
    line: usize,
    /// Bytes in the line; `start == end` marks the gap in front of `start`.
    start: usize,
    end: usize,
    primary: bool,
    words: String,
}

/// The lines that a source handed out, with absolute numbers.
struct Excerpt {
    file: SourceFile,
    first_line: usize,
    offset: usize,
}

impl Excerpt {
    fn new(contents: &dyn SpanContents<'_>) -> Excerpt {
        let text = String::from_utf8_lossy(contents.data()).into_owned();
        let file = SourceFile::new(Utf8PathBuf::new(), text);
        Excerpt { file, first_line: contents.line(), offset: contents.span().offset() }
    }

    /// What follows the last line break is another excerpt's line, or the empty end of the file.
    fn lines(&self) -> impl Iterator<Item = (usize, &str)> {
        let ends_in_break = self.file.line_start(self.file.line_count() - 1) as usize == self.file.text.len();
        let count = self.file.line_count() - usize::from(ends_in_break);
        (0..count).map(|line| (self.first_line + line, self.file.line_text(line)))
    }

    /// Absolute line number and byte in that line.
    fn locate(&self, offset: usize) -> (usize, usize) {
        let local = offset.saturating_sub(self.offset).min(self.file.text.len());
        let line = self.file.line_of(local as u32);
        let byte = local - self.file.line_start(line) as usize;
        (self.first_line + line, byte.min(self.file.line_text(line).len()))
    }
}

impl Snippet {
    pub(super) fn new(name: &str) -> Snippet {
        let name = one_line(name).into_owned();
        Snippet { name, lines: BTreeMap::new(), marks: Vec::new(), place: (1, 1), placed: false }
    }

    pub(super) fn add(
        &mut self,
        contents: &dyn SpanContents<'_>,
        span: SourceSpan,
        primary: bool,
        words: &str,
    ) {
        let excerpt = Excerpt::new(contents);
        for (number, text) in excerpt.lines() {
            self.lines.insert(number, text.to_owned());
        }
        let (line, start) = excerpt.locate(span.offset());
        // The range's last character decides on which line it ends, so that a final line break adds no line.
        let (last, end) = match span.len() {
            0 => (line, start),
            len => {
                let (last, _) = excerpt.locate(span.offset() + len - 1);
                let (end_line, end) = excerpt.locate(span.offset() + len);
                (last, if end_line == last { end } else { self.lines.get(&last).map_or(0, String::len) })
            }
        };
        let words = one_line(words).into_owned();
        if !self.placed || (primary && !self.marks.iter().any(|mark| mark.primary)) {
            let column = self.lines.get(&line).map_or(0, |text| text[..start].chars().count());
            self.place = (line + 1, column + 1);
            self.placed = true;
        }
        if line == last {
            self.marks.push(Mark { line, start, end, primary, words });
            return;
        }
        let first_end = self.lines.get(&line).map_or(start, String::len);
        self.marks.push(Mark { line, start, end: first_end, primary, words: String::new() });
        let indent = self.lines.get(&last).map_or(0, |text| text.len() - text.trim_start().len());
        self.marks.push(Mark { line: last, start: indent.min(end), end, primary, words });
    }

    /// 1-based number of the last marked line.
    pub(super) fn last_line(&self) -> usize {
        self.marks.iter().map(|mark| mark.line + 1).max().unwrap_or(1)
    }

    /// `path:line:col`.
    pub(super) fn place(&self) -> String {
        format!("{}:{}:{}", self.name, self.place.0, self.place.1)
    }

    /// The lines with their marks. `gutter` is the width of the line numbers.
    pub(super) fn draw(&self, gutter: usize, primary: Ink, style: Style) -> String {
        let pen = Pen { color: style.color };
        let bar = pen.paint(Ink::Gutter, "|");
        let room = style.width.saturating_sub(gutter + 3).max(20);
        let mut out = String::new();
        let _ = writeln!(out, "{:gutter$} {bar}", "");
        let mut before: Option<usize> = None;
        let mut by_line: BTreeMap<usize, Vec<&Mark>> = BTreeMap::new();
        for mark in &self.marks {
            by_line.entry(mark.line).or_default().push(mark);
        }
        for (line, marks) in by_line {
            match before {
                Some(before) if line == before + 2 && self.lines.contains_key(&(before + 1)) => {
                    let between = Row::of(&self.lines[&(before + 1)]);
                    let shown = between.window(0, 0, room);
                    let number = pen.paint(Ink::Gutter, &format!("{:>gutter$}", before + 2));
                    let _ = writeln!(out, "{}", format!("{number} {bar} {}", shown.text).trim_end());
                }
                Some(before) if line > before + 1 => {
                    let _ = writeln!(out, "{}", pen.paint(Ink::Gutter, "..."));
                }
                _ => {}
            }
            before = Some(line);
            let text = self.lines.get(&line).map_or("", String::as_str);
            let row = Row::near(text, marks.iter().map(|mark| mark.start));
            for group in groups(&row, marks, room) {
                let (from, to) = row.extent(&group);
                let shown = row.window(from, to, room);
                let number = pen.paint(Ink::Gutter, &format!("{:>gutter$}", line + 1));
                let _ = writeln!(out, "{}", format!("{number} {bar} {}", shown.text).trim_end());
                for cells in mark_rows(&row, &shown, &group, primary) {
                    let _ = writeln!(out, "{:gutter$} {bar} {}", "", cells.paint(pen));
                }
            }
        }
        out
    }
}

/// Marks of one line, put together as far as they fit into one window.
fn groups<'m>(row: &Row<'_>, mut marks: Vec<&'m Mark>, room: usize) -> Vec<Vec<&'m Mark>> {
    marks.sort_by_key(|mark| (mark.start, mark.end, !mark.primary));
    if row.width <= room {
        return vec![marks];
    }
    let mut groups: Vec<Vec<&Mark>> = Vec::new();
    for mark in marks {
        if let Some(group) = groups.last_mut() {
            group.push(mark);
            let (from, to) = row.extent(group);
            if to - from + 2 * CUT.len() <= room {
                continue;
            }
            group.pop();
        }
        groups.push(vec![mark]);
    }
    groups
}

/// The rows under a source line: marks that overlap get rows of their own.
fn mark_rows(row: &Row<'_>, window: &Window, marks: &[&Mark], primary: Ink) -> Vec<Cells> {
    // Primary marks come first, so that they are nearest to the text.
    let mut order: Vec<&Mark> = marks.to_vec();
    order.sort_by_key(|mark| (!mark.primary, mark.start, mark.end));
    let mut layers: Vec<Vec<(usize, usize, &Mark)>> = Vec::new();
    for mark in order {
        let (from, to) = row.columns(mark);
        let from = window.place(from);
        let to = window.place(to).max(from + 1);
        let fits = |layer: &&mut Vec<(usize, usize, &Mark)>| {
            layer.iter().all(|(start, end, _)| to <= *start || *end <= from)
        };
        match layers.iter_mut().find(fits) {
            Some(layer) => layer.push((from, to, mark)),
            None => layers.push(vec![(from, to, mark)]),
        }
    }
    let ink = |mark: &Mark| if mark.primary { primary } else { Ink::Secondary };
    let mut rows = Vec::new();
    for mut layer in layers {
        layer.sort_by_key(|(from, ..)| *from);
        let mut cells = Cells::default();
        for (from, to, mark) in &layer {
            let sign = if mark.primary { "^" } else { "-" };
            cells.put(*from, &sign.repeat(to - from), ink(mark));
        }
        if let Some((_, to, mark)) = layer.last() {
            cells.put(to + 1, &mark.words, ink(mark));
        }
        rows.push(cells);
        // Words of marks further left go below, from right to left, so that no two of them cross.
        let worded: Vec<_> =
            layer[..layer.len() - 1].iter().filter(|(.., mark)| !mark.words.is_empty()).collect();
        for (at, (from, _, mark)) in worded.iter().enumerate().rev() {
            let mut cells = Cells::default();
            for (from, _, mark) in &worded[..at] {
                cells.put(*from, "|", ink(mark));
            }
            cells.put(*from, &mark.words, ink(mark));
            rows.push(cells);
        }
    }
    rows
}

/// A source line as it is shown: tabs expanded, control characters made visible.
struct Row<'l> {
    /// First byte, first column and text of each shown piece.
    pieces: Vec<(usize, usize, Cow<'l, str>)>,
    width: usize,
}

impl<'l> Row<'l> {
    fn of(line: &'l str) -> Row<'l> {
        Row::near(line, std::iter::empty())
    }

    /// The row near these bytes; what is far from all of them only takes up room, so that a report of many findings in one
    /// endless line does not cost the line each time.
    fn near(line: &'l str, places: impl Iterator<Item = usize>) -> Row<'l> {
        let (from, to) = places.fold((usize::MAX, 0), |(from, to), at| (from.min(at), to.max(at)));
        let from = line.floor_char_boundary(from.saturating_sub(NEAR));
        let to = line.ceil_char_boundary(to.saturating_add(NEAR));
        if from >= to || to - from > line.len() / 2 {
            return Row::between(line, 0, line.len());
        }
        Row::between(line, from, to)
    }

    fn between(line: &'l str, from: usize, to: usize) -> Row<'l> {
        let mut pieces = Vec::with_capacity(to - from);
        let mut column = from;
        for (byte, c) in line[from..to].char_indices() {
            let byte = from + byte;
            let text = match c {
                '\t' => Cow::Owned(" ".repeat(TAB - column % TAB)),
                c => one_line(&line[byte..byte + c.len_utf8()]),
            };
            let wide = width(&text);
            pieces.push((byte, column, text));
            column += wide;
        }
        Row { pieces, width: column + line.len() - to }
    }

    /// Column of a byte; a byte behind the line is one past its end.
    fn column(&self, byte: usize) -> usize {
        let at = self.pieces.partition_point(|(start, ..)| *start < byte);
        self.pieces.get(at).map_or(self.width, |(_, column, _)| *column)
    }

    fn columns(&self, mark: &Mark) -> (usize, usize) {
        let from = self.column(mark.start);
        (from, self.column(mark.end).max(from + 1))
    }

    /// First and last column of all the marks.
    fn extent(&self, marks: &[&Mark]) -> (usize, usize) {
        let spans = marks.iter().map(|mark| self.columns(mark));
        spans.reduce(|a, b| (a.0.min(b.0), a.1.max(b.1))).unwrap_or((0, 0))
    }

    /// As much of the line as `room` holds, around the columns from `from` to `to`.
    fn window(&self, from: usize, to: usize, room: usize) -> Window {
        if self.width <= room {
            let text = self.pieces.iter().map(|(.., text)| &**text).collect();
            return Window { text, from: 0, to: self.width, shift: 0 };
        }
        let inner = room - 2 * CUT.len();
        let spare = inner.saturating_sub(to.saturating_sub(from));
        let mut start = from.saturating_sub(spare / 2);
        if start <= CUT.len() {
            start = 0;
        }
        let start = start.min((self.width + CUT.len()).saturating_sub(room));
        let shift = if start > 0 { CUT.len() } else { 0 };
        let mut end = start + room - shift;
        if end < self.width {
            end -= CUT.len();
        }
        let inside = |column: usize, text: &str| column >= start && column + width(text) <= end;
        let mut text = String::new();
        let mut column = None;
        if shift > 0 {
            text.push_str(CUT);
        }
        for (_, at, piece) in self.pieces.iter().filter(|(_, at, piece)| inside(*at, piece)) {
            // A wide character cut in half at the window's edge leaves a hole.
            let missing = at.saturating_sub(column.unwrap_or(start));
            text.push_str(&" ".repeat(missing));
            text.push_str(piece);
            column = Some(at + width(piece));
        }
        if end < self.width {
            text.push_str(CUT);
        }
        Window { text, from: start, to: end.min(self.width), shift }
    }
}

/// The part of a row that is shown.
struct Window {
    text: String,
    from: usize,
    to: usize,
    /// Columns that the sign of a cut takes in front.
    shift: usize,
}

impl Window {
    /// Where a column of the row is shown; columns outside are moved to the edge.
    fn place(&self, column: usize) -> usize {
        column.clamp(self.from, self.to + 1) - self.from + self.shift
    }
}

fn width(text: &str) -> usize {
    text.chars().map(|c| c.width().unwrap_or(0)).sum()
}

/// A line that is written at any column, in any order.
#[derive(Default)]
struct Cells(Vec<Option<(char, Option<Ink>)>>);

impl Cells {
    fn put(&mut self, column: usize, text: &str, ink: Ink) {
        let mut column = column;
        for c in text.chars() {
            let wide = c.width().unwrap_or(0);
            let end = column + wide.max(1);
            if self.0.len() < end {
                self.0.resize(end, Some((' ', None)));
            }
            self.0[column] = Some((c, Some(ink)));
            for cell in &mut self.0[column + 1..end] {
                // The second half of a wide character.
                *cell = None;
            }
            column = end;
        }
    }

    fn paint(&self, pen: Pen) -> String {
        let mut out = String::new();
        let mut run = String::new();
        let mut ink = None;
        let flush = |out: &mut String, run: &mut String, ink: Option<Ink>| {
            match ink {
                Some(ink) => out.push_str(&pen.paint(ink, run)),
                None => out.push_str(run),
            }
            run.clear();
        };
        for (c, own) in self.0.iter().flatten() {
            if *own != ink && *c != ' ' {
                flush(&mut out, &mut run, ink);
                ink = *own;
            }
            run.push(*c);
        }
        flush(&mut out, &mut run, ink);
        let kept = out.trim_end().len();
        out.truncate(kept);
        out
    }
}

/// The bytes of `text` that are not the same in `other`, so that a long line can be shown around them.
fn difference(text: &str, other: Option<&str>) -> (usize, usize) {
    let Some(other) = other else { return (0, 0) };
    let front = text.char_indices().zip(other.chars()).find(|((_, a), b)| a != b).map(|((at, _), _)| at);
    let front = front.unwrap_or(text.len().min(other.len()));
    let back: usize = text
        .chars()
        .rev()
        .zip(other.chars().rev())
        .take_while(|(a, b)| a == b)
        .map(|(c, _)| c.len_utf8())
        .sum();
    (front, text.len().saturating_sub(back).max(front))
}

/// A line, and a byte in it.
type LinePlace = (usize, usize);

/// Start, end, and the text between them afterwards.
type LineEdit = (LinePlace, LinePlace, String);

/// Edits in one file, shown as the lines they take away and the lines they put there.
#[derive(Debug, Default)]
pub(super) struct Diff {
    lines: BTreeMap<usize, String>,
    /// In order of place.
    edits: Vec<LineEdit>,
}

impl Diff {
    pub(super) fn add(&mut self, contents: &dyn SpanContents<'_>, span: SourceSpan, text: &str) {
        let excerpt = Excerpt::new(contents);
        for (number, line) in excerpt.lines() {
            self.lines.insert(number, line.to_owned());
        }
        let start = excerpt.locate(span.offset());
        let end = excerpt.locate(span.offset() + span.len());
        self.edits.push((start, end, text.to_owned()));
    }

    /// 1-based number of the last line that is shown.
    pub(super) fn last_line(&self) -> usize {
        let added: usize = self.edits.iter().map(|(.., text)| text.matches('\n').count()).sum();
        self.edits.iter().map(|(_, end, _)| end.0 + 1 + added).max().unwrap_or(1)
    }

    /// `-` and `+` lines, the old ones with their old numbers, the new ones with their new ones.
    pub(super) fn draw(&self, gutter: usize, style: Style) -> String {
        let pen = Pen { color: style.color };
        let bar = pen.paint(Ink::Gutter, "|");
        let room = style.width.saturating_sub(gutter + 3).max(20);
        let mut out = String::new();
        let _ = writeln!(out, "{:gutter$} {bar}", "");
        let mut moved = 0_isize;
        let mut blocks: Vec<&[_]> = Vec::new();
        let mut from = 0;
        for at in 1..=self.edits.len() {
            let apart = self.edits.get(at).is_none_or(|(start, ..)| start.0 > self.edits[at - 1].1.0);
            if apart {
                blocks.push(&self.edits[from..at]);
                from = at;
            }
        }
        for (at, block) in blocks.iter().enumerate() {
            if at > 0 {
                let _ = writeln!(out, "{}", pen.paint(Ink::Gutter, "..."));
            }
            let (first, last) = (block[0].0.0, block[block.len() - 1].1.0);
            let old: Vec<&str> = (first..=last).map(|line| self.line(line)).collect();
            let new = self.edited(block);
            let new: Vec<&str> = new.split('\n').map(|line| line.trim_end_matches('\r')).collect();
            let same = old.iter().zip(&new).take_while(|(old, new)| old == new).count();
            let limit = old.len().min(new.len()) - same;
            let tail = old
                .iter()
                .rev()
                .zip(new.iter().rev())
                .take(limit)
                .take_while(|(old, new)| old == new)
                .count();
            let (old_rest, new_rest) = (&old[same..old.len() - tail], &new[same..new.len() - tail]);
            let mut show =
                |number: usize, sign: &str, text: &str, change: (usize, usize), ink: Option<Ink>| {
                    let row = Row::near(text, std::iter::once(change.0));
                    let shown = row.window(row.column(change.0), row.column(change.1), room).text;
                    let number = pen.paint(Ink::Gutter, &format!("{number:>gutter$}"));
                    let line = format!("{sign} {shown}");
                    let line = line.trim_end();
                    let _ = match ink {
                        Some(ink) => writeln!(out, "{number} {}", pen.paint(ink, line)),
                        None => writeln!(out, "{number} {bar} {}", shown.trim_end()),
                    };
                };
            // A pure addition says little without the line it follows.
            if same == old.len() - tail && same > 0 {
                show(first + same, "|", old[same - 1], (0, 0), None);
            }
            for (at, text) in old_rest.iter().enumerate() {
                let change = difference(text, new_rest.get(at).copied());
                show(first + same + at + 1, "-", text, change, Some(Ink::Removed));
            }
            for (at, text) in new_rest.iter().enumerate() {
                let number = (first + same + at + 1).saturating_add_signed(moved);
                let change = difference(text, old_rest.get(at).copied());
                // A line break at the end of the file is no line that a person would see.
                if !(text.is_empty() && at > 0 && at + 1 == new_rest.len() && tail == 0) {
                    show(number, "+", text, change, Some(Ink::Added));
                }
            }
            moved += new.len() as isize - old.len() as isize;
        }
        out
    }

    fn line(&self, number: usize) -> &str {
        self.lines.get(&number).map_or("", String::as_str)
    }

    /// The text of the block's lines with its edits made.
    fn edited(&self, block: &[LineEdit]) -> String {
        let mut out = String::new();
        let mut at = (block[0].0.0, 0);
        for (start, end, text) in block {
            // Edits lie apart and in order; one that does not would be shown in the wrong place, never panic.
            for line in at.0..=start.0 {
                let whole = self.line(line);
                let from = if line == at.0 { at.1 } else { 0 };
                let to = if line == start.0 { start.1 } else { whole.len() };
                out.push_str(whole.get(from..to).unwrap_or_default());
                if line != start.0 {
                    out.push('\n');
                }
            }
            out.push_str(text);
            at = *end;
        }
        out.push_str(self.line(at.0).get(at.1..).unwrap_or_default());
        out
    }
}
