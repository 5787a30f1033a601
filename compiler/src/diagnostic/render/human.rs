//! Diagnostics for people: a miette report handler with the place in the header and fixes as a diff.
//!
//! Does not know terminals; colour and width come with the [`Style`]. How a snippet is laid out is `snippet`'s.
//!
//! Everything passes through miette's own protocol, so that the handler also prints other programs' diagnostics:
//! what the protocol has no field for (places in further files, fixes) travels as related diagnostics with a
//! code of [`Part`]'s.

use std::fmt::{self, Write};

use miette::{LabeledSpan, MietteError, MietteSpanContents, SourceCode, SourceSpan, SpanContents};

use super::paint::{Ink, Pen};
use super::snippet::{Diff, Snippet};
use super::{Style, Summary, one_line, rule_tag};
use crate::diagnostic::{Applicability, Diagnostic, Severity};
use crate::source::{SourceFile, SourceMap, Span};

/// All diagnostics, a blank line between them, and a line that counts them; nothing if there is none.
pub fn human(diagnostics: &[Diagnostic], map: &SourceMap, style: Style) -> String {
    let handler = Handler { style };
    let mut out = String::new();
    for diagnostic in diagnostics {
        out.push_str(&handler.report(&Rendered::new(diagnostic, map)));
        out.push('\n');
    }
    if !diagnostics.is_empty() {
        let summary = Summary::of(diagnostics);
        let ink = match summary {
            Summary { errors: 1.., .. } => Ink::Error,
            Summary { warnings: 1.., .. } => Ink::Warning,
            _ => Ink::Note,
        };
        out.push_str(&Pen { color: style.color }.paint(ink, &summary.sentence()));
        out.push('\n');
    }
    out
}

/// A diagnostic together with the texts it points into: what miette calls a diagnostic.
#[derive(Debug)]
pub struct Rendered<'d> {
    diagnostic: &'d Diagnostic,
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
        let mut parts: Vec<Part<'d>> = Vec::new();
        let mut files = Vec::new();
        for label in diagnostic.labels.iter().filter(|label| label.span.file != home) {
            let at = files.iter().position(|file| *file == label.span.file).unwrap_or_else(|| {
                files.push(label.span.file);
                let text = Text(map.file(label.span.file));
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
            parts.push(Part { code, title: fix.title.clone(), text: Text(map.file(file)), labels });
        }
        Rendered { diagnostic, text: Text(map.file(home)), parts }
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
        let entries: Vec<String> =
            self.diagnostic.help.iter().map(|text| text.replace('\n', "\n  ")).collect();
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
struct Text<'d>(&'d SourceFile);

impl SourceCode for Text<'_> {
    fn read_span<'a>(
        &'a self,
        span: &SourceSpan,
        lines_before: usize,
        lines_after: usize,
    ) -> Result<Box<dyn SpanContents<'a> + 'a>, MietteError> {
        let file = self.0;
        let end = span.offset().checked_add(span.len()).filter(|end| *end <= file.text.len());
        let end = end.ok_or(MietteError::OutOfBounds)?;
        let first = file.line_of(span.offset() as u32).saturating_sub(lines_before);
        let last = file.line_of(end as u32).saturating_add(lines_after);
        let from = file.line_start(first) as usize;
        let to = file.line_start(last.saturating_add(1)) as usize;
        Ok(Box::new(MietteSpanContents::new_named(
            file.path.as_str().to_owned(),
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diagnostic::Edit;
    use crate::source::FileId;

    fn map(files: &[(&str, &str)]) -> SourceMap {
        let mut map = SourceMap::default();
        for (path, text) in files {
            map.add(SourceFile::new((*path).into(), (*text).to_owned()));
        }
        map
    }

    /// The `nth` place of `needle` in a file.
    fn find(map: &SourceMap, file: u32, needle: &str, nth: usize) -> Span {
        let text = &map.file(FileId(file)).text;
        let (at, _) = text.match_indices(needle).nth(nth).expect("the test names text that is there");
        Span::new(FileId(file), at, at + needle.len())
    }

    fn shown(diagnostic: &Diagnostic, map: &SourceMap, width: usize) -> String {
        let text = Handler { style: Style { color: false, width } }.report(&Rendered::new(diagnostic, map));
        for line in text.lines() {
            assert_eq!(line, line.trim_end(), "a line ends in spaces");
        }
        text
    }

    const PLAN: &str = "feature F {\n    gate g {\n        unit api {\n            writes \"src/**\"\n        }\n        \
                        unit web {\n            goal \"Serve.\"\n            writes \"src/web.rs\"\n        }\n    }\n}\n";

    #[test]
    fn the_header_names_the_primary_place_and_distant_lines_share_a_snippet() {
        let map = map(&[("plan.loop.kdl", PLAN)]);
        let insert = find(&map, 0, "\"Serve.\"", 0).end as usize;
        let diagnostic = Diagnostic::new(
            "write-conflict",
            find(&map, 0, "\"src/web.rs\"", 0),
            "`api` and `web` may write `src/web.rs`",
        )
        .at("second writer")
        .label(find(&map, 0, "\"src/**\"", 0), "first writer")
        .help("name exact paths in place of `src/**`")
        .help("or let one come after the other")
        .fix(
            "order them",
            Applicability::Unsafe,
            vec![Edit {
                span: Span::new(FileId(0), insert, insert),
                text: "\n            after api".to_owned(),
            }],
        );
        assert_eq!(
            shown(&diagnostic, &map, 80),
            "\
error[L0401/write-conflict]: `api` and `web` may write `src/web.rs`
 --> plan.loop.kdl:8:20
  |
4 |             writes \"src/**\"
  |                    -------- first writer
...
8 |             writes \"src/web.rs\"
  |                    ^^^^^^^^^^^^ second writer
  |
help: name exact paths in place of `src/**`
help: or let one come after the other
possible fix: order them
  |
7 |             goal \"Serve.\"
8 +             after api
"
        );
    }

    #[test]
    fn the_line_behind_a_label_keeps_its_text() {
        let map = map(&[("p", "one\ntwo\nthree\nfour\n")]);
        let diagnostic = Diagnostic::new("write-conflict", find(&map, 0, "three", 0), "both write")
            .at("here")
            .label(find(&map, 0, "one", 0), "there");
        assert_eq!(
            shown(&diagnostic, &map, 80),
            "\
error[L0401/write-conflict]: both write
 --> p:3:1
  |
1 | one
  | --- there
2 | two
3 | three
  | ^^^^^ here
"
        );
    }

    #[test]
    fn a_fix_in_a_long_line_is_shown_around_what_it_changes() {
        let text = format!("{} HERE {}\n", "a ".repeat(200), "b ".repeat(200));
        let map = map(&[("p", &text)]);
        let span = find(&map, 0, "HERE", 0);
        let diagnostic = Diagnostic::new("unknown-node", span, "no such node").replace(
            span,
            "THERE",
            "x",
            Applicability::Safe,
        );
        let text = shown(&diagnostic, &map, 60);
        assert!(text.contains("HERE b") && text.contains(" THERE b"), "{text}");
        assert!(text.lines().all(|line| line.chars().count() <= 60), "{text}");
    }

    #[test]
    fn marks_on_one_line_keep_their_words_apart() {
        let map = map(&[("p", "needs alpha beta alpha\n")]);
        let diagnostic = Diagnostic::new("duplicate-id", find(&map, 0, "alpha", 1), "`alpha` stands twice")
            .at("again here")
            .label(find(&map, 0, "alpha", 0), "first here")
            .label(find(&map, 0, "beta", 0), "between them");
        assert_eq!(
            shown(&diagnostic, &map, 80),
            "\
error[L0201/duplicate-id]: `alpha` stands twice
 --> p:1:18
  |
1 | needs alpha beta alpha
  |       ----- ---- ^^^^^ again here
  |       |     between them
  |       first here
"
        );
    }

    #[test]
    fn overlapping_marks_get_rows_of_their_own_and_the_primary_one_is_nearest() {
        let map = map(&[("p", "unit alpha {}\n")]);
        let diagnostic =
            Diagnostic::new("missing-scope", find(&map, 0, "alpha", 0), "`alpha` changes nothing")
                .at("here")
                .label(find(&map, 0, "unit alpha {}", 0), "the whole");
        assert_eq!(
            shown(&diagnostic, &map, 80),
            "\
error[L0406/missing-scope]: `alpha` changes nothing
 --> p:1:6
  |
1 | unit alpha {}
  |      ^^^^^ here
  | ------------- the whole
"
        );
    }

    #[test]
    fn tabs_wide_characters_and_control_characters_do_not_move_the_marks() {
        let map = map(&[("p", "\tgoal \"日本\" \"b\u{1b}[31m\" x\r\n")]);
        let diagnostic =
            Diagnostic::new("too-many-arguments", find(&map, 0, "x", 0), "one too many").at("this");
        assert_eq!(
            shown(&diagnostic, &map, 80),
            "\
error[L0106/too-many-arguments]: one too many
 --> p:1:21
  |
1 |     goal \"日本\" \"b\\u{1b}[31m\" x
  |                               ^ this
"
        );
    }

    #[test]
    fn a_long_line_is_shown_around_its_mark() {
        let text = format!("{} HERE {}\n", "a ".repeat(200), "b ".repeat(200));
        let map = map(&[("p", &text)]);
        let diagnostic = Diagnostic::new("unknown-node", find(&map, 0, "HERE", 0), "no such node").at("this");
        let text = shown(&diagnostic, &map, 60);
        let line = text.lines().nth(3).expect("the source line is the fourth");
        assert!(line.starts_with("1 | ...") && line.ends_with("..."), "{text}");
        assert!(line.chars().count() <= 60, "{text}");
        let at = line.find("HERE").expect("the marked word is in the window");
        assert_eq!(text.lines().nth(4).and_then(|marks| marks.find("^^^^ this")), Some(at), "{text}");
    }

    #[test]
    fn marks_too_far_apart_for_one_window_show_the_line_twice() {
        let text = format!("LEFT {} RIGHT\n", "x ".repeat(200));
        let map = map(&[("p", &text)]);
        let diagnostic = Diagnostic::new("unknown-node", find(&map, 0, "RIGHT", 0), "no such node")
            .at("one")
            .label(find(&map, 0, "LEFT", 0), "other");
        let text = shown(&diagnostic, &map, 60);
        assert!(text.contains("---- other") && text.contains("^^^^^ one"), "{text}");
    }

    #[test]
    fn places_in_other_files_follow_the_primary_one() {
        let map = map(&[("loop.kdl", "verifier test {}\n"), ("a.loop.kdl", "\n\nverifier test {}\n")]);
        let diagnostic =
            Diagnostic::new("duplicate-id", find(&map, 1, "test", 0), "two verifiers are called `test`")
                .at("again")
                .label(find(&map, 0, "test", 0), "first");
        assert_eq!(
            shown(&diagnostic, &map, 80),
            "\
error[L0201/duplicate-id]: two verifiers are called `test`
 --> a.loop.kdl:3:10
  |
3 | verifier test {}
  |          ^^^^ again
 ::: loop.kdl:1:10
  |
1 | verifier test {}
  |          ---- first
"
        );
    }

    #[test]
    fn a_range_over_lines_marks_its_first_and_last_line() {
        let map = map(&[("p", "unit a {\n    goal 1\n    x\n    y\n}\nz\n")]);
        let span = Span::new(FileId(0), 0, map.file(FileId(0)).text.find("z").expect("it has a z"));
        let text = shown(&Diagnostic::new("missing-scope", span, "no scope").at("this unit"), &map, 80);
        assert_eq!(
            text,
            "\
error[L0406/missing-scope]: no scope
 --> p:1:1
  |
1 | unit a {
  | ^^^^^^^^
...
5 | }
  | ^ this unit
"
        );
    }

    #[test]
    fn a_place_at_the_end_of_the_text_or_of_an_empty_text_is_marked() {
        for text in ["", "a", "a\n", "a\r\n\r\n"] {
            let map = map(&[("p", text)]);
            let span = Span::new(FileId(0), text.len(), text.len());
            let shown =
                shown(&Diagnostic::new("syntax-error", span, "the text ends here").at("here"), &map, 80);
            assert!(shown.contains("^ here"), "{shown}");
        }
    }

    #[test]
    fn a_fix_is_shown_as_lines_taken_away_and_lines_put_there() {
        let map = map(&[("p", "unit a {\n    depends_on b\n    goal \"x\"\n}\n")]);
        let diagnostic =
            Diagnostic::new("unknown-node", find(&map, 0, "depends_on", 0), "no node `depends_on`").replace(
                find(&map, 0, "depends_on", 0),
                "needs",
                "replace with `needs`",
                Applicability::Safe,
            );
        assert!(
            shown(&diagnostic, &map, 80)
                .ends_with("  |\nfix: replace with `needs`\n  |\n2 -     depends_on b\n2 +     needs b\n"),
            "{}",
            shown(&diagnostic, &map, 80)
        );
    }

    #[test]
    fn colour_changes_nothing_but_colour() {
        let map = map(&[("plan.loop.kdl", PLAN)]);
        let diagnostic = Diagnostic::new("write-conflict", find(&map, 0, "\"src/web.rs\"", 0), "both write")
            .label(find(&map, 0, "\"src/**\"", 0), "first")
            .help("order them")
            .replace(find(&map, 0, "\"src/**\"", 0), "\"src/a.rs\"", "narrow it", Applicability::Safe);
        let diagnostics = [diagnostic];
        let painted = human(&diagnostics, &map, Style { color: true, width: 80 });
        let plain = human(&diagnostics, &map, Style { color: false, width: 80 });
        let sequence = regex::Regex::new("\x1b\\[[0-9;]*m").expect("the expression is valid");
        assert!(painted.contains("\x1b[1;31m"));
        assert_eq!(sequence.replace_all(&painted, ""), plain);
        assert!(plain.ends_with("\n1 error in 1 file; 1 fixable\n"), "{plain}");
    }

    #[test]
    fn help_is_wrapped_and_keeps_its_examples() {
        let map = map(&[("p", "x\n")]);
        let diagnostic = Diagnostic::new("unknown-node", find(&map, 0, "x", 0), "no such node")
            .help("words words words words words words words words words\n  run cargo test");
        let text = shown(&diagnostic, &map, 40);
        assert!(
            text.ends_with(
                "help: words words words words words\n      words words words words\n        run cargo test\n"
            ),
            "{text}"
        );
    }

    #[test]
    fn miettes_own_report_prints_through_the_handler() {
        let map = map(&[("p", "x\n")]);
        let diagnostic = Diagnostic::new("unknown-node", find(&map, 0, "x", 0), "no such node");
        let rendered = Rendered::new(&diagnostic, &map);
        struct Through<'r>(&'r dyn miette::Diagnostic);
        impl fmt::Debug for Through<'_> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                miette::ReportHandler::debug(&Handler { style: Style::PLAIN }, self.0, f)
            }
        }
        assert_eq!(format!("{:?}", Through(&rendered)), shown(&diagnostic, &map, 100));
    }

    proptest::proptest! {
        #[test]
        fn any_places_in_any_text_can_be_shown(
            text in "[ab\t \r\n\"日é\u{1b}\u{202e}]{0,60}",
            a in 0_usize..60, b in 0_usize..60, c in 0_usize..60, d in 0_usize..60,
            width in 10_usize..120,
        ) {
            let places: Vec<usize> = (0..=text.len()).filter(|at| text.is_char_boundary(*at)).collect();
            let place = |at: usize| places[at % places.len()];
            let span = |a: usize, b: usize| Span::new(FileId(0), place(a).min(place(b)), place(a).max(place(b)));
            let map = map(&[("p", &text)]);
            let diagnostic = Diagnostic::new("unknown-node", span(a, b), "m")
                .at("one")
                .label(span(c, d), "two")
                .replace(span(b, c), "new\ntext", "f", Applicability::Safe);
            let out = human(&[diagnostic], &map, Style { color: false, width });
            proptest::prop_assert!(out.contains("^"));
            let steers = |c: &char| *c != '\n' && (c.is_control() || *c == '\u{202e}');
            proptest::prop_assert!(!out.chars().any(|c| steers(&c)));
        }
    }
}
