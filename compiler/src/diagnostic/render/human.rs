//! Diagnostics for people: a miette report handler with the place in the header and fixes as a diff.
//!
//! Does not know terminals; colour and width come with the [`Style`]. How a snippet is laid out is `snippet`'s.
//!
//! Everything passes through miette's own protocol, so that the handler also prints other programs' diagnostics:
//! what the protocol has no field for (places in further files, fixes) travels as related diagnostics with a
//! code of [`Part`]'s.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::fmt::{self, Write};

use camino::Utf8Path;
use miette::{LabeledSpan, MietteError, MietteSpanContents, SourceCode, SourceSpan, SpanContents};

use super::paint::{Ink, Pen};
use super::report::relative;
use super::snippet::{Diff, Snippet};
use super::{Report, Style, Summary, one_line, rule_tag};
use crate::diagnostic::{Applicability, Diagnostic, Severity};
use crate::source::{SourceFile, SourceMap, Span};

/// All diagnostics, a blank line between them, and a line that counts them; nothing if there is none.
pub(super) fn write(report: &Report<'_>, style: Style, limit: Option<usize>) -> String {
    let handler = Handler { style };
    let pen = Pen { color: style.color };
    let mut out = String::new();
    // What a rule has said in full once is not said again, only where it was.
    let mut told: BTreeMap<(&str, &[String]), String> = BTreeMap::new();
    let shown = report.shown(limit);
    for found in &shown {
        let mut rendered = Rendered::new(found, report.map()).seen_from(&report.scope().base);
        if found.help.iter().map(String::len).sum::<usize>() > SHORT_HELP {
            match told.entry((found.rule.code, &found.help)) {
                Entry::Occupied(first) => rendered.help = vec![format!("as at {}", first.get())],
                Entry::Vacant(first) => {
                    first.insert(report.place(found.primary.span));
                }
            }
        }
        out.push_str(&handler.report(&rendered));
        out.push('\n');
    }
    if !report.diagnostics().is_empty() {
        if let Some(hidden) = report.hidden(&shown) {
            let _ = writeln!(out, "{}", hidden_line(&hidden));
        }
        let summary = report.summary();
        let ink = match summary {
            Summary { errors: 1.., .. } => Ink::Error,
            Summary { warnings: 1.., .. } => Ink::Warning,
            _ => Ink::Note,
        };
        let _ = writeln!(out, "{}", pen.paint(ink, &report.sentence()));
        if let Some(ways) = summary.ways_out() {
            let _ = writeln!(out, "{ways}");
        }
    }
    out
}

/// Help of fewer bytes is repeated: to look for it elsewhere would cost more than to read it.
const SHORT_HELP: usize = 80;

/// Says what a limit hides.
pub(super) fn hidden_line(hidden: &str) -> String {
    format!("and {hidden} more; `--max-diagnostics all` shows them")
}

/// A diagnostic together with the texts it points into: what miette calls a diagnostic.
#[derive(Debug)]
pub struct Rendered<'d> {
    diagnostic: &'d Diagnostic,
    help: Vec<String>,
    text: Text<'d>,
    parts: Vec<Part<'d>>,
}

/// Something that miette's protocol carries only as a related diagnostic.
#[derive(Debug)]
struct Part<'d> {
    /// One of the codes below.
    code: &'static str,
    title: String,
    text: Text<'d>,
    /// For a fix, the words are the replacement.
    labels: Vec<(String, Span)>,
}

/// Labels in another file than the primary place.
const ELSEWHERE: &str = "elsewhere";
const FIX: &str = "fix";
const POSSIBLE_FIX: &str = "possible fix";
const EXAMPLE: &str = "example";

impl<'d> Rendered<'d> {
    pub fn new(diagnostic: &'d Diagnostic, map: &'d SourceMap) -> Rendered<'d> {
        let home = diagnostic.primary.span.file;
        let text = |file| Text { file: map.file(file), base: Utf8Path::new("") };
        let mut parts: Vec<Part<'d>> = Vec::new();
        let mut files = Vec::new();
        for label in diagnostic.labels.iter().filter(|label| label.span.file != home) {
            let at = files.iter().position(|file| *file == label.span.file).unwrap_or_else(|| {
                files.push(label.span.file);
                let text = text(label.span.file);
                parts.push(Part { code: ELSEWHERE, title: String::new(), text, labels: Vec::new() });
                files.len() - 1
            });
            parts[at].labels.push((label.message.clone(), label.span));
        }
        for fix in &diagnostic.fixes {
            let code = match fix.applicability {
                Applicability::Safe => FIX,
                Applicability::Unsafe => POSSIBLE_FIX,
                Applicability::Display => EXAMPLE,
            };
            let file = fix.edits.first().map_or(home, |edit| edit.span.file);
            let labels = fix.edits.iter().map(|edit| (edit.text.clone(), edit.span)).collect();
            parts.push(Part { code, title: fix.title.clone(), text: text(file), labels });
        }
        Rendered { diagnostic, help: diagnostic.help.clone(), text: text(home), parts }
    }

    /// Paths count from this directory, itself seen from the repository's root.
    fn seen_from(mut self, base: &'d Utf8Path) -> Rendered<'d> {
        self.text.base = base;
        self.parts.iter_mut().for_each(|part| part.text.base = base);
        self
    }
}

impl fmt::Display for Rendered<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.diagnostic.message)
    }
}

impl std::error::Error for Rendered<'_> {}

impl miette::Diagnostic for Rendered<'_> {
    fn code<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        Some(Box::new(rule_tag(self.diagnostic)))
    }

    fn severity(&self) -> Option<miette::Severity> {
        Some(match self.diagnostic.severity {
            Severity::Error => miette::Severity::Error,
            Severity::Warning => miette::Severity::Warning,
            Severity::Note => miette::Severity::Advice,
        })
    }

    /// One entry a line; a line that begins with a space continues the entry before it.
    fn help<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        let entries: Vec<String> = self.help.iter().map(|text| text.replace('\n', "\n  ")).collect();
        if entries.is_empty() { None } else { Some(Box::new(entries.join("\n"))) }
    }

    fn source_code(&self) -> Option<&dyn SourceCode> {
        Some(&self.text)
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        let primary = &self.diagnostic.primary;
        let home = primary.span.file;
        let first = LabeledSpan::new_primary_with_span(Some(primary.message.clone()), bytes(primary.span));
        let others = self.diagnostic.labels.iter().filter(move |label| label.span.file == home);
        Some(Box::new(std::iter::once(first).chain(
            others.map(|label| LabeledSpan::new_with_span(Some(label.message.clone()), bytes(label.span))),
        )))
    }

    fn related<'a>(&'a self) -> Option<Box<dyn Iterator<Item = &'a dyn miette::Diagnostic> + 'a>> {
        Some(Box::new(self.parts.iter().map(|part| part as &dyn miette::Diagnostic)))
    }
}

impl fmt::Display for Part<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.title)
    }
}

impl std::error::Error for Part<'_> {}

impl miette::Diagnostic for Part<'_> {
    fn code<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        Some(Box::new(self.code))
    }

    fn severity(&self) -> Option<miette::Severity> {
        Some(miette::Severity::Advice)
    }

    fn source_code(&self) -> Option<&dyn SourceCode> {
        Some(&self.text)
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        Some(Box::new(
            self.labels
                .iter()
                .map(|(text, span)| LabeledSpan::new_with_span(Some(text.clone()), bytes(*span))),
        ))
    }
}

fn bytes(span: Span) -> SourceSpan {
    (span.start as usize, span.len()).into()
}

/// A file as miette's source: whole lines around a span, found through the file's line index.
#[derive(Clone, Copy, Debug)]
struct Text<'d> {
    file: &'d SourceFile,
    /// Where the reader stands.
    base: &'d Utf8Path,
}

impl SourceCode for Text<'_> {
    fn read_span<'a>(
        &'a self,
        span: &SourceSpan,
        lines_before: usize,
        lines_after: usize,
    ) -> Result<Box<dyn SpanContents<'a> + 'a>, MietteError> {
        let file = self.file;
        let end = span.offset().checked_add(span.len()).filter(|end| *end <= file.text.len());
        let end = end.ok_or(MietteError::OutOfBounds)?;
        let first = file.line_of(span.offset() as u32).saturating_sub(lines_before);
        let last = file.line_of(end as u32).saturating_add(lines_after);
        let from = file.line_start(first) as usize;
        let to = file.line_start(last.saturating_add(1)) as usize;
        Ok(Box::new(MietteSpanContents::new_named(
            relative(self.base, &file.path).into_owned(),
            &file.text.as_bytes()[from..to],
            (from, to - from).into(),
            first,
            0,
            file.line_count(),
        )))
    }
}

/// Prints diagnostics the way this project does; can be installed as miette's report handler.
#[derive(Clone, Copy, Debug)]
pub struct Handler {
    pub style: Style,
}

impl miette::ReportHandler for Handler {
    fn debug(&self, error: &dyn miette::Diagnostic, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.report(error))
    }
}

impl Handler {
    /// The whole report of one diagnostic, ending in a line break.
    pub fn report(&self, error: &dyn miette::Diagnostic) -> String {
        let pen = Pen { color: self.style.color };
        let (word, ink) = match error.severity() {
            None | Some(miette::Severity::Error) => ("error", Ink::Error),
            Some(miette::Severity::Warning) => ("warning", Ink::Warning),
            Some(miette::Severity::Advice) => ("note", Ink::Note),
        };
        let mut snippets: Vec<Snippet> = snippet(error).into_iter().collect();
        let mut fixes = Vec::new();
        for part in error.related().into_iter().flatten() {
            match part.code().map(|code| code.to_string()).as_deref() {
                Some(code @ (FIX | POSSIBLE_FIX | EXAMPLE)) => {
                    fixes.push((code.to_owned(), one_line(&part.to_string()).into_owned(), diff(part)));
                }
                _ => snippets.extend(snippet(part)),
            }
        }
        let lines =
            snippets.iter().map(Snippet::last_line).chain(fixes.iter().map(|(.., diff)| diff.last_line()));
        let gutter = lines.max().unwrap_or(1).to_string().len();

        let code = error.code().map(|code| format!("[{code}]")).unwrap_or_default();
        let mut out = String::new();
        let _ = writeln!(
            out,
            "{}{}",
            pen.paint(ink, &format!("{word}{code}")),
            pen.paint(Ink::Strong, &format!(": {}", one_line(&error.to_string())))
        );
        for (at, snippet) in snippets.iter().enumerate() {
            let arrow = if at == 0 { "-->" } else { ":::" };
            let _ = writeln!(out, "{:gutter$}{} {}", "", pen.paint(Ink::Gutter, arrow), snippet.place());
            out.push_str(&snippet.draw(gutter, ink, self.style));
        }
        let help = error.help().map(|help| help.to_string()).unwrap_or_default();
        if !snippets.is_empty() && (!help.is_empty() || !fixes.is_empty()) {
            let _ = writeln!(out, "{:gutter$} {}", "", pen.paint(Ink::Gutter, "|"));
        }
        for line in help.lines() {
            match line.strip_prefix("  ") {
                Some(continued) => wrap(&mut out, "      ", continued, self.style.width),
                None => {
                    let from = out.len();
                    wrap(&mut out, "help: ", line, self.style.width);
                    let painted = pen.paint(Ink::Help, "help");
                    out.replace_range(from..from + "help".len(), &painted);
                }
            }
        }
        for (code, title, diff) in &fixes {
            let _ = writeln!(out, "{}: {title}", pen.paint(Ink::Help, code));
            out.push_str(&diff.draw(gutter, self.style));
        }
        out
    }
}

fn labels(error: &dyn miette::Diagnostic) -> Vec<LabeledSpan> {
    error.labels().into_iter().flatten().collect()
}

fn snippet(error: &dyn miette::Diagnostic) -> Option<Snippet> {
    let source = error.source_code()?;
    let mut snippet: Option<Snippet> = None;
    for label in labels(error) {
        // A place that the source does not have says nothing to a reader; the message still does.
        let Ok(contents) = source.read_span(label.inner(), 1, 1) else { continue };
        let snippet = snippet.get_or_insert_with(|| Snippet::new(contents.name().unwrap_or_default()));
        snippet.add(&*contents, *label.inner(), label.primary(), label.label().unwrap_or_default());
    }
    snippet
}

fn diff(part: &dyn miette::Diagnostic) -> Diff {
    let mut diff = Diff::default();
    for label in labels(part) {
        let contents = part.source_code().map(|source| source.read_span(label.inner(), 1, 1));
        if let Some(Ok(contents)) = contents {
            diff.add(&*contents, *label.inner(), label.label().unwrap_or_default());
        }
    }
    diff
}

/// Writes `text` behind `head`, wrapped at spaces to `width`, further lines indented as wide as `head` is.
fn wrap(out: &mut String, head: &str, text: &str, width: usize) {
    let indent = " ".repeat(head.len());
    let text = one_line(text);
    // Leading spaces belong to an example's layout and stay.
    let own = text.len() - text.trim_start().len();
    out.push_str(head);
    out.push_str(&text[..own]);
    let mut column = head.len() + own;
    let mut fresh = true;
    for word in text.split_whitespace() {
        let wide = unicode_width::UnicodeWidthStr::width(word);
        if !fresh && column + 1 + wide > width {
            out.push('\n');
            out.push_str(&indent);
            out.push_str(&text[..own]);
            column = indent.len() + own;
            fresh = true;
        }
        if !fresh {
            out.push(' ');
            column += 1;
        }
        out.push_str(word);
        column += wide;
        fresh = false;
    }
    out.push('\n');
}
