//! Reports as people see them, each written out.
//!
//! Does not know how they are laid out.

use std::fmt;

use super::*;
use crate::diagnostic::{Applicability, Diagnostic, Edit};
use crate::source::{FileId, SourceFile, SourceMap, Span};

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
        vec![Edit { span: Span::new(FileId(0), insert, insert), text: "\n            after api".to_owned() }],
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
    let diagnostic = Diagnostic::new("missing-scope", find(&map, 0, "alpha", 0), "`alpha` changes nothing")
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
    let diagnostic = Diagnostic::new("too-many-arguments", find(&map, 0, "x", 0), "one too many").at("this");
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
        let shown = shown(&Diagnostic::new("syntax-error", span, "the text ends here").at("here"), &map, 80);
        assert!(shown.contains("^ here"), "{shown}");
    }
}

#[test]
fn a_fix_is_shown_as_lines_taken_away_and_lines_put_there() {
    let map = map(&[("p", "unit a {\n    depends_on b\n    goal \"x\"\n}\n")]);
    let diagnostic = Diagnostic::new("unknown-node", find(&map, 0, "depends_on", 0), "no node `depends_on`")
        .replace(find(&map, 0, "depends_on", 0), "needs", "replace with `needs`", Applicability::Safe);
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
    assert!(plain.ends_with("\n1 error in 1 file\n1 fixable with `loopc check --fix`\n"), "{plain}");
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
