//! What people see of broken text, and what is saved of it.
//!
//! Does not judge which text is KDL; `oracle` does.

use super::robustness::hold_invariants;
use super::{Document, Entry, Node, NodeId, Parsed, StringStyle, Value, parse};
use crate::diagnostic::{Diagnostic, Severity};
use crate::source::{FileId, SourceFile};
use camino::Utf8PathBuf;

fn file(text: &str) -> SourceFile {
    SourceFile::new(Utf8PathBuf::from("a.loop.kdl"), text.to_owned())
}

fn say(text: &str, diagnostics: &[Diagnostic]) -> Vec<String> {
    let file = file(text);
    diagnostics
        .iter()
        .map(|found| {
            let place = file.position(found.primary.span.start);
            format!("{} {}:{} {}", found.rule.name, place.line, place.column, found.message)
        })
        .collect()
}

/// The document's names in the order written, children in braces, broken nodes with a `!`.
fn outline(document: &Document) -> String {
    fn level(document: &Document, nodes: impl Iterator<Item = NodeId>) -> String {
        let texts: Vec<String> = nodes
            .map(|id| {
                let node = document.node(id);
                let mut text = node.name.to_string();
                for entry in document.entries(id) {
                    text.push(' ');
                    if let Some(key) = &entry.key {
                        text.push_str(&format!("{}=", key.name));
                    }
                    match &entry.value {
                        Value::String(value, StringStyle::Bare) => text.push_str(value),
                        Value::String(value, _) => text.push_str(&format!("{value:?}")),
                        Value::Integer(value) => text.push_str(&value.get().to_string()),
                        Value::Number(value) => text.push_str(value),
                        Value::Bool(value) => text.push_str(&format!("#{value}")),
                        Value::Null => text.push_str("#null"),
                    }
                }
                if node.broken {
                    text.push('!');
                }
                let children = level(document, document.children(id));
                if node.children_span.is_some() {
                    text.push_str(&format!(" {{ {children} }}").replace("  ", " "));
                }
                text
            })
            .collect();
        texts.join("; ")
    }
    level(document, document.roots())
}

/// Checks what is said about a text and what is read of it.
#[track_caller]
fn check(text: &str, said: &[&str], read: &str) {
    let parsed = parse(FileId(0), text);
    assert_eq!(say(text, &parsed.diagnostics), said, "what is said of\n{text}");
    assert_eq!(outline(&parsed.document), read, "what is read of\n{text}");
    hold_invariants(text, &parsed);
}

/// Applies the first fix of each finding, and expects sound text without errors.
#[track_caller]
fn check_fixed(text: &str, fixed: &str) {
    let parsed = parse(FileId(0), text);
    let mut edits: Vec<_> = parsed
        .diagnostics
        .iter()
        .filter_map(|found| found.fixes.first())
        .flat_map(|fix| &fix.edits)
        .collect();
    edits.sort_by_key(|edit| std::cmp::Reverse(edit.span.start));
    let mut result = text.to_owned();
    for edit in edits {
        result.replace_range(edit.span.start as usize..edit.span.end as usize, &edit.text);
    }
    assert_eq!(result, fixed);
    assert_eq!(say(fixed, &parse(FileId(0), fixed).diagnostics), [""; 0]);
}

// ---- messages and recovery ----

#[test]
fn an_unclosed_inner_block_is_blamed_and_its_siblings_stay_siblings() {
    let text = r#"feature demo {
    gate works {
        unit first {
            goal "one"
            writes "a"
        unit second {
            goal "two"
        }
    }
}
"#;
    check(
        text,
        &["syntax-error 3:20 the `{` of `unit first` is never closed"],
        r#"feature demo { gate works { unit first! { goal "one"; writes "a" }; unit second { goal "two" } } }"#,
    );
    let parsed = parse(FileId(0), text);
    let label = &parsed.diagnostics[0].labels[0];
    assert_eq!(file(text).position(label.span.start).line, 6);
    assert_eq!(label.message, "this stands no deeper than `unit`, so the block must have ended before it");
    check_fixed(text, &text.replace("        unit second", "        }\n        unit second"));
}

#[test]
fn a_closing_brace_of_the_outer_block_shows_the_inner_one_open() {
    let text = "gate works {\n    unit a {\n        goal \"one\"\n}\ngate next {\n    unit b\n}\n";
    check(
        text,
        &["syntax-error 2:12 the `{` of `unit a` is never closed"],
        "gate works { unit a! { goal \"one\" } }; gate next { unit b }",
    );
    check_fixed(text, &text.replace("\n}\ngate", "\n    }\n}\ngate"));
}

#[test]
fn several_unclosed_blocks_are_several_mistakes() {
    check(
        "gate g {\n    unit a {\n        goal \"1\"\n    unit b { goal \"2\"\n    unit c {\n        goal \"3\"\n    }\n}\n",
        &[
            "syntax-error 2:12 the `{` of `unit a` is never closed",
            "syntax-error 4:12 the `{` of `unit b` is never closed",
        ],
        r#"gate g { unit a! { goal "1" }; unit b! { goal "2" }; unit c { goal "3" } }"#,
    );
    check(
        "a {\n    b {\n",
        &[
            "syntax-error 1:3 the `{` of `a` is never closed",
            "syntax-error 2:7 the `{` of `b` is never closed",
        ],
        "a! { b! { } }",
    );
}

#[test]
fn a_surplus_brace_is_blamed_where_it_stands_and_ends_nothing() {
    let text = "gate g {\n    unit a {\n        goal \"1\"\n    }\n    }\n    unit b {\n    }\n}\n";
    check(
        text,
        &["syntax-error 5:5 this `}` closes nothing: no `{` is open for it"],
        "gate g { unit a { goal \"1\" }; unit b { } }",
    );
    check("a\n}\nb\n", &["syntax-error 2:1 this `}` closes nothing: no `{` is open for it"], "a; b");
    check("a {}}\nb\n", &["syntax-error 1:5 this `}` closes nothing: no `{` is open for it"], "a { }; b");
}

#[test]
fn a_missing_opening_brace_is_shown_where_it_is_missing() {
    let text = "gate g {\n    unit a\n        goal \"1\"\n    }\n    unit b\n}\n";
    check(
        text,
        &["syntax-error 4:5 this `}` closes nothing: no `{` is open for it"],
        "gate g { unit a; goal \"1\"; unit b }",
    );
    let found = &parse(FileId(0), text).diagnostics[0];
    assert_eq!(found.labels[0].message, "this line has no `{`, though the lines after it are indented");
    assert_eq!(file(text).position(found.labels[0].span.start).line, 2);
}

#[test]
fn a_missing_and_a_surplus_brace_do_not_hide_each_other() {
    check(
        "gate a {\n    unit b {\n        goal \"1\"\n    unit c {\n        goal \"2\"\n    }\n}\ngate d {\n    unit e\n        goal \"3\"\n    }\n    unit f {\n        goal \"4\"\n    }\n}\ngate g {\n    unit h {\n        goal \"5\"\n}\n",
        &[
            "syntax-error 2:12 the `{` of `unit b` is never closed",
            "syntax-error 11:5 this `}` closes nothing: no `{` is open for it",
            "syntax-error 17:12 the `{` of `unit h` is never closed",
        ],
        r#"gate a { unit b! { goal "1" }; unit c { goal "2" } }; gate d { unit e; goal "3"; unit f { goal "4" } }; gate g { unit h! { goal "5" } }"#,
    );
}

#[test]
fn braces_are_counted_where_indentation_means_nothing() {
    check("a {\nb {\n}\nc\n", &["syntax-error 1:3 the `{` of `a` is never closed"], "a! { b { }; c }");
    // Balanced braces are never questioned, whatever the lines look like.
    check("a {\n        b {\nc\n    }\n  d\n}\n", &[], "a { b { c }; d }");
}

#[test]
fn a_brace_on_the_next_line_belongs_to_the_line_before() {
    let text = "gate g\n{\n    unit a\n}\nunit b\n";
    check(
        text,
        &["syntax-error 2:1 `{` must stand on the same line as its node `gate`"],
        "gate g! { unit a }; unit b",
    );
    check_fixed(text, "gate g {\n    unit a\n}\nunit b\n");
    check("{ a; }\nb\n", &["syntax-error 1:1 this block has no node: a name must stand before `{`"], "a; b");
}

#[test]
fn kdl_1_words_are_read_as_what_they_mean() {
    let text = "unit a=true b=null { x false; }\nc -inf\n";
    check(
        text,
        &[
            "syntax-error 1:8 `true` is written `#true` in KDL 2",
            "syntax-error 1:15 `null` is written `#null` in KDL 2",
            "syntax-error 1:24 `false` is written `#false` in KDL 2",
            "syntax-error 2:3 `-inf` is written `#-inf` in KDL 2",
        ],
        "unit a=#true b=#null! { x #false! }; c #-inf!",
    );
    check_fixed(text, "unit a=\"true\" b=\"null\" { x \"false\"; }\nc \"-inf\"\n");
    check(
        "a r\"x\\d\" 1\n",
        &["syntax-error 1:3 raw strings are written with `#` in KDL 2, not with `r`"],
        "a r \"x\\\\d\" 1!",
    );
    check_fixed("a r#\"x\"#\n", "a #\"x\"#\n");
}

#[test]
fn an_open_quote_ends_with_its_line() {
    check(
        "unit a {\n    goal \"one\n    writes \"x\"\n}\n",
        &["syntax-error 2:10 this string has no closing quote"],
        "unit a { goal \"one\"!; writes \"x\" }",
    );
    check(
        "unit \"a {\n    goal \"one\"\n}\n",
        &["syntax-error 1:6 this string has no closing quote"],
        "unit \"a\"! { goal \"one\" }",
    );
    check(
        "a { goal \"one; }\nb\n",
        &["syntax-error 1:10 this string has no closing quote"],
        "a { goal \"one\"! }; b",
    );
    check("a #\"x\nb\n", &["syntax-error 1:3 this string has no closing quote"], "a \"x\"!; b");
}

#[test]
fn a_string_over_several_lines_is_one_mistake() {
    check(
        "goal \"one line,\n  it's the second\"\nnext\n",
        &["syntax-error 1:6 a string in single quotation marks must end on its line"],
        "goal \"one line,\\n  it's the second\"!; next",
    );
}

#[test]
fn quotes_inside_quotes_are_one_mistake_a_line() {
    check(
        "goal \"say \"hi\" there\"\nnext\n",
        &["syntax-error 1:12 a space is missing between `\"say \"` and `hi`"],
        "goal \"say \" hi \" there\"!; next",
    );
    check(
        "goal \"it is 5\" wide\"\nnext\n",
        &["syntax-error 1:20 this quotation mark closes a string that was never opened"],
        "goal \"it is 5\" wide!; next",
    );
}

#[test]
fn multi_line_strings_that_do_not_end() {
    check(
        "unit a {\n    prompt \"\"\"\n        It's { one.\n\n        Two.\n    writes \"x\"\n}\nunit b\n",
        &["syntax-error 2:12 this multi-line string is never closed"],
        "unit a { prompt \"It's { one.\\n\\nTwo.\"!; writes \"x\" }; unit b",
    );
    check(
        "unit a {\n    prompt \"\"\"\n        One.\n}\nunit b {\n    prompt \"\"\"\n        Two.\n        \"\"\"\n}\n",
        &["syntax-error 2:12 this multi-line string is never closed"],
        "unit a { prompt \"One.\"! }; unit b { prompt \"Two.\" }",
    );
}

#[test]
fn multi_line_strings_with_a_bad_form() {
    let text = "a \"\"\"one\"\"\"\nb\n";
    check(text, &["syntax-error 1:3 text in `\"\"\"` must begin on the next line"], "a \"one\"!; b");
    check_fixed(text, "a \"one\"\nb\n");
    check_fixed("a \"\"\"  \n  one\n  \"\"\"\n", "a \"\"\"\n  one\n  \"\"\"\n");
    check(
        "a \"\"\"\n    one\n  two\n three\n    \"\"\"\nb\n",
        &["syntax-error 3:1 this line of the multi-line string is indented less than its closing `\"\"\"`"],
        "a \"one\\ntwo\\nthree\"!; b",
    );
    check(
        "a \"\"\"\n  one\"\"\"\nb\n",
        &["syntax-error 2:6 the closing `\"\"\"` must stand on a line of its own"],
        "a \"one\"!; b",
    );
    check(
        "a \"\"\"\n  o\\qne\n  \\u{D800}\n  \"\"\"\n",
        &[
            "syntax-error 2:4 `\\q` is not an escape of KDL",
            "syntax-error 3:3 `\\u{D800}` is no Unicode character",
        ],
        "a \"o\\\\qne\\n\u{FFFD}\"!",
    );
}

#[test]
fn paths_and_globs_need_quotes() {
    let text = "writes src/lib.rs /etc \\d+\nnext a#b\n";
    check(
        text,
        &[
            "syntax-error 1:8 `src/lib.rs` must be in quotes: a bare word cannot contain `/`",
            "syntax-error 1:19 `/etc` must be in quotes: a bare word cannot contain `/`",
            "syntax-error 1:24 `\\d+` must be in quotes: a bare word cannot contain `\\`",
            "syntax-error 2:6 `a#b` must be in quotes: a bare word cannot contain `#`",
        ],
        "writes src/lib.rs /etc \\d+!; next a#b!",
    );
    check_fixed(text, "writes \"src/lib.rs\" \"/etc\" #\"\\d+\"#\nnext \"a#b\"\n");
    check(
        "writes src/*.rs\nnext\n",
        &["syntax-error 1:8 `src/*.rs` must be in quotes: a bare word cannot contain `/`"],
        "writes src/*.rs!; next",
    );
    check("needs [a, b]\nnext\n", &["syntax-error 1:7 KDL has no lists in brackets"], "needs [a, b]!; next");
}

#[test]
fn words_that_a_comment_swallows_are_warned_about() {
    for text in ["source https://example.org/x\n", "writes src/**/x.rs\n"] {
        let parsed = parse(FileId(0), text);
        assert_eq!(parsed.diagnostics.len(), 1, "{text}");
        assert_eq!(parsed.diagnostics[0].severity, Severity::Warning);
    }
    check(
        "a https://x\n",
        &["syntax-error 1:9 `//` begins a comment here: the rest of the line is not read"],
        "a https:",
    );
    check("a b // c\nc /* d */ e\n", &[], "a b; c e");
}

#[test]
fn values_given_with_an_equals_sign() {
    let text = "goal = \"x\"\ntitle=\"y\"\nn a= b=1\n";
    check(
        text,
        &[
            "syntax-error 1:1 `goal` stands for a node here, whose value follows without `=`",
            "syntax-error 2:1 `title` stands for a node here, whose value follows without `=`",
            "syntax-error 3:7 `=` must follow the name of a property",
        ],
        "goal \"x\"!; title \"y\"!; n a=b 1!",
    );
    check(
        "n a=\nn a==1\nn 1=2 #true=3\n= 4\n",
        &[
            "syntax-error 1:3 the property `a` has no value",
            "syntax-error 2:5 the property `a` has two `=`",
            "syntax-error 3:3 the name of a property cannot begin like a number: put `1` in quotes",
            "syntax-error 3:7 the name of a property cannot begin with `#`: put `#true` in quotes",
            "syntax-error 4:1 a line cannot begin with `=`",
        ],
        "n!; n 1!; n 1=2 #true=3!;  4!",
    );
}

#[test]
fn numbers_and_names() {
    let text = "unit 1.1x 2, .5\n1st\ntrue\n";
    check(
        text,
        &[
            "syntax-error 1:6 `1.1x` begins like a number, but is none",
            "syntax-error 1:11 `2,` begins like a number, but is none",
            "syntax-error 1:14 `.5` begins like a number, but is none",
            "syntax-error 2:1 the name of a node cannot begin like a number: put `1st` in quotes",
            "syntax-error 3:1 the name of a node cannot be a reserved word: put `true` in quotes",
        ],
        "unit 1.1x 2, .5!; 1st!; true!",
    );
    check_fixed(text, "unit \"1.1x\" 2 0.5\n\"1st\"\n\"true\"\n");
    check(
        "a #yes #tru # b\n",
        &[
            "syntax-error 1:3 `#yes` is not a keyword of KDL",
            "syntax-error 1:8 `#tru` is not a keyword of KDL",
            "syntax-error 1:13 `#` says nothing by itself",
        ],
        "a #yes #tru # b!",
    );
}

#[test]
fn comments_that_do_not_end() {
    check("a\n/* b\nc\n", &["syntax-error 2:1 this comment is never closed"], "a; c");
    let text = "a\n/* writes \"src/**\" */\nc\n";
    check(text, &["syntax-error 2:1 this comment is never closed"], "a; c");
    assert!(parse(FileId(0), text).diagnostics[0].labels[0].message.contains("opens another comment"));
}

#[test]
fn slashdash_in_the_wrong_place() {
    check("a /-\n", &["syntax-error 1:3 `/-` has nothing to comment out"], "a!");
    check("a { b; /- }\nc\n", &["syntax-error 1:8 `/-` has nothing to comment out"], "a { b }; c");
    check(
        "a x=/-1 2\n",
        &["syntax-error 1:5 `/-` cannot stand between a property's name and its value"],
        "a 1 2!",
    );
    check(
        "a /-{ b; } c\nd\n",
        &["syntax-error 1:12 `c` stands behind a block that `/-` comments out"],
        "a c!; d",
    );
    check(
        "a { b; } c\nd\n",
        &["syntax-error 1:10 `c` stands behind the block of `a`, which ends the node"],
        "a! { b }; c; d",
    );
    check("a { b; } { c; }\nd\n", &["syntax-error 1:10 `a` has a second block"], "a! { b; c }; d");
    check(
        "/-a { b; c { d; } }\n/- /- e\nf /-1 /-k=2 3\n",
        &["syntax-error 2:1 `/-` has nothing to comment out"],
        "f 3",
    );
}

#[test]
fn annotations_that_are_wrong() {
    check(
        "(u8 a\nb (\nc ()1\nd (x)\ne (t)k=1\nf )\ng x(1)\nh\n",
        &[
            "syntax-error 1:1 this type annotation is not closed",
            "syntax-error 2:3 `(` begins a type annotation, which needs a name: `(name)`",
            "syntax-error 3:3 this type annotation is empty",
            "syntax-error 4:3 a type annotation must be followed by its value",
            "syntax-error 5:3 a type annotation cannot stand before the name of a property",
            "syntax-error 6:3 this `)` closes nothing",
            "syntax-error 7:4 a space is missing between `x` and `(`",
            "syntax-error 7:5 the name of a type cannot begin like a number: put `1` in quotes",
        ],
        "a!; b!; c 1!; d!; e k=1!; f!; g x!; h",
    );
}

#[test]
fn a_call_is_one_mistake() {
    check(
        "unit(d) {\n    goal \"x\"\n}\n",
        &["syntax-error 1:5 a space is missing between `unit` and `(`"],
        "unit! { goal \"x\" }",
    );
}

#[test]
fn characters_that_may_not_stand_in_a_file() {
    let text = "a \"x\u{202E}y\" b\u{7}c \u{FEFF}\n// \u{200F}\nd\n";
    check(
        text,
        &[
            "syntax-error 1:5 the invisible character for the direction of text U+202E may not stand in a KDL file",
            "syntax-error 1:10 the control character U+0007 may not stand in a KDL file",
            "syntax-error 1:13 the invisible byte order mark U+FEFF may not stand in a KDL file",
            "syntax-error 2:4 the invisible character for the direction of text U+200F may not stand in a KDL file",
        ],
        "a \"x\\u{202e}y\" bc!; d",
    );
}

#[test]
fn the_version_marker() {
    check("/- kdl-version 2\na\n", &[], "a");
    let parsed = parse(FileId(0), "\u{FEFF}/- kdl-version 1\na\n");
    assert_eq!(parsed.diagnostics.len(), 1);
    assert_eq!(parsed.diagnostics[0].severity, Severity::Warning);
}

#[test]
fn spans_point_at_what_they_name() {
    let text = "x\n  (t)name \"a\" (u)k=(v)1.50 { c; } // z\n";
    let parsed = parse(FileId(0), text);
    let document = &parsed.document;
    let at = |span: crate::source::Span| &text[span.start as usize..span.end as usize];
    let node = document.node(NodeId(1));
    assert_eq!(at(node.name_span), "name");
    assert_eq!(at(node.span), "name \"a\" (u)k=(v)1.50 { c; }");
    assert_eq!(node.ty.as_ref().map(|ty| at(ty.span)), Some("t"));
    assert_eq!(node.children_span.map(at), Some("{ c; }"));
    let property = document.properties(NodeId(1)).next().expect("there is one");
    assert_eq!((at(property.span), at(property.value_span)), ("(u)k=(v)1.50", "1.50"));
    assert_eq!(property.key.as_ref().map(|key| at(key.span)), Some("k"));
    assert_eq!(property.value, Value::Number("1.5".into()));
}

// ---- one character gone ----

const PLAN: &str = r#"feature export {
    goal "Orders can be downloaded as a file."
    requirement month "A month of orders is one file."
    gate works {
        unit schema kind=code {
            goal "Index the orders."
            writes "src/db/**" "migrations/*.sql"
            accept "the index is used" by=test {
                matches "src/db/schema.rs" "orders_month"
            }
            verify test filter="db::"
            prompt """
                Build the index: one { at a time.

                Text stays "as it is".
                """
        }
        unit docs {
            needs schema
            goal "Describe the export."; writes "docs/orders.md"
        }
        unit red kind=test { goal "Write the test."; creates "tests/stream.rs"; }
        manual look owner="@mia" {
            needs docs
            step "The file opens."
        }
        approve by=auto
    }
    gate scales {
        unit cache {
            goal "Keep the last month."
            writes "src/cache.rs"
        }
    }
}
"#;

fn without(at: usize) -> String {
    format!("{}{}", &PLAN[..at], &PLAN[at + 1..])
}

/// The lines of the nodes that are in the document, with their depth.
fn places(
    text: &str,
    parsed: &Parsed,
    shift: impl Fn(usize) -> usize,
) -> std::collections::BTreeSet<(usize, usize)> {
    let lines = file(text);
    let document = &parsed.document;
    let depth = |mut id: NodeId| {
        let mut depth = 0;
        while let Some(parent) = document.node(id).parent {
            (id, depth) = (parent, depth + 1);
        }
        depth
    };
    (0..document.len() as u32)
        .map(NodeId)
        .map(|id| (shift(lines.line_of(document.node(id).name_span.start)), depth(id)))
        .collect()
}

#[test]
fn the_plan_without_one_brace_has_one_mistake_and_all_its_nodes() {
    let sound = parse(FileId(0), PLAN);
    assert!(sound.diagnostics.is_empty());
    let all = places(PLAN, &sound, |line| line);
    let closing: Vec<usize> = PLAN.match_indices('}').map(|(at, _)| at).collect();
    for at in closing {
        let text = without(at);
        let parsed = parse(FileId(0), &text);
        let said = say(&text, &parsed.diagnostics);
        assert_eq!(said.len(), 1, "{said:?} without the brace at {:?}", file(PLAN).position(at as u32));
        // The brace is its own block's, unless there is nothing left to tell by: then it is a block around it.
        let open = parsed.diagnostics[0].primary.span.start;
        let node = (0..sound.document.len() as u32)
            .map(NodeId)
            .map(|id| sound.document.node(id))
            .find(|node| node.children_span.is_some_and(|span| span.start == open))
            .expect("a `{` is blamed");
        assert_eq!(node.children_span.map(|span| span.end as usize), Some(at + 1), "{said:?}");
        assert_eq!(places(&text, &parsed, |line| line), all, "{said:?}");
    }
    for (at, _) in PLAN.match_indices(" {\n") {
        let text = without(at + 1);
        let parsed = parse(FileId(0), &text);
        let said = say(&text, &parsed.diagnostics);
        assert_eq!(said.len(), 1, "{said:?} without the brace at {:?}", file(PLAN).position(at as u32));
        let line = file(PLAN).line_of(at as u32);
        let shown = parsed.diagnostics[0].labels.first().map(|label| file(&text).line_of(label.span.start));
        assert_eq!(shown, Some(line), "{said:?}");
    }
}

#[test]
fn the_plan_without_one_quotation_mark_has_one_mistake_and_its_other_lines() {
    let all = places(PLAN, &parse(FileId(0), PLAN), |line| line);
    let prompt = PLAN.find("prompt").expect("there is one")..PLAN.find("unit docs").expect("there is one");
    for (at, _) in PLAN.match_indices('"') {
        if prompt.contains(&at) {
            continue;
        }
        let text = without(at);
        let parsed = parse(FileId(0), &text);
        let said = say(&text, &parsed.diagnostics);
        let line = file(PLAN).line_of(at as u32);
        let errors: Vec<_> =
            parsed.diagnostics.iter().filter(|found| found.severity == Severity::Error).collect();
        assert!((1..=2).contains(&errors.len()), "{said:?}");
        assert!(errors.iter().all(|found| file(&text).line_of(found.primary.span.start) == line), "{said:?}");
        let left = places(&text, &parsed, |line| line);
        let lost: Vec<_> = all.difference(&left).filter(|(other, _)| *other != line).collect();
        assert!(lost.is_empty(), "{said:?} lost {lost:?}");
    }
}

#[test]
fn what_a_plan_has_many_of_is_small() {
    assert!(size_of::<Value>() <= 32, "{}", size_of::<Value>());
    assert!(size_of::<Entry>() <= 72, "{}", size_of::<Entry>());
    assert!(size_of::<Node>() <= 96, "{}", size_of::<Node>());
}
