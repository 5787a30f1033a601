//! The `kdl` crate as the judge of our parser: its compliance suite, and documents made up at random.
//!
//! Does not look at messages or recovery; `tests` does.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use kdl::{KdlDocument, KdlEntry, KdlNode, KdlValue};
use proptest::prelude::*;

use super::{Document, NodeId, Value, parse};
use crate::diagnostic::Severity;
use crate::source::FileId;

// ---- two documents made comparable ----

/// A node with everything KDL says that counts: the last of several properties of one name, no formatting.
#[derive(Debug, PartialEq)]
pub(super) struct Plain {
    ty: Option<String>,
    name: String,
    arguments: Vec<(Option<String>, PlainValue)>,
    properties: BTreeMap<String, (Option<String>, PlainValue)>,
    children: Vec<Plain>,
}

#[derive(Clone, Debug)]
enum PlainValue {
    String(String),
    Integer(i128),
    Float(f64),
    Bool(bool),
    Null,
}

impl PartialEq for PlainValue {
    fn eq(&self, other: &PlainValue) -> bool {
        match (self, other) {
            (PlainValue::String(a), PlainValue::String(b)) => a == b,
            (PlainValue::Integer(a), PlainValue::Integer(b)) => a == b,
            (PlainValue::Float(a), PlainValue::Float(b)) => a == b || (a.is_nan() && b.is_nan()),
            (PlainValue::Bool(a), PlainValue::Bool(b)) => a == b,
            (PlainValue::Null, PlainValue::Null) => true,
            _ => false,
        }
    }
}

fn our_value(value: &Value) -> PlainValue {
    match value {
        Value::String(text, _) => PlainValue::String(text.to_string()),
        Value::Integer(number) => PlainValue::Integer(number.get()),
        Value::Number(text) => PlainValue::Float(match &**text {
            "#inf" => f64::INFINITY,
            "#-inf" => f64::NEG_INFINITY,
            "#nan" => f64::NAN,
            digits => digits.parse().expect("canonical decimal text is what Rust reads"),
        }),
        Value::Bool(value) => PlainValue::Bool(*value),
        Value::Null => PlainValue::Null,
    }
}

fn ours(document: &Document, nodes: impl Iterator<Item = NodeId>) -> Vec<Plain> {
    nodes
        .map(|id| {
            let node = document.node(id);
            let annotated = |entry: &super::Entry| {
                (entry.ty.as_ref().map(|ty| ty.name.to_string()), our_value(&entry.value))
            };
            Plain {
                ty: node.ty.as_ref().map(|ty| ty.name.to_string()),
                name: node.name.to_string(),
                arguments: document.arguments(id).map(annotated).collect(),
                properties: document
                    .properties(id)
                    .filter_map(|entry| Some((entry.key.as_ref()?.name.to_string(), annotated(entry))))
                    .collect(),
                children: ours(document, document.children(id)),
            }
        })
        .collect()
}

fn their_value(entry: &KdlEntry) -> (Option<String>, PlainValue) {
    let value = match entry.value() {
        KdlValue::String(text) => PlainValue::String(text.clone()),
        KdlValue::Integer(number) => PlainValue::Integer(*number),
        KdlValue::Float(number) => PlainValue::Float(*number),
        KdlValue::Bool(value) => PlainValue::Bool(*value),
        KdlValue::Null => PlainValue::Null,
    };
    (entry.ty().map(|ty| ty.value().to_owned()), value)
}

fn theirs(nodes: &[KdlNode]) -> Vec<Plain> {
    nodes
        .iter()
        .map(|node| Plain {
            ty: node.ty().map(|ty| ty.value().to_owned()),
            name: node.name().value().to_owned(),
            arguments: node
                .entries()
                .iter()
                .filter(|entry| entry.name().is_none())
                .map(their_value)
                .collect(),
            properties: node
                .entries()
                .iter()
                .filter_map(|entry| Some((entry.name()?.value().to_owned(), their_value(entry))))
                .collect(),
            children: node.children().map_or_else(Vec::new, |children| theirs(children.nodes())),
        })
        .collect()
}

/// Our reading, or the first error.
pub(super) fn we_read(text: &str) -> Result<Vec<Plain>, String> {
    let parsed = parse(FileId(0), text);
    match parsed.diagnostics.iter().find(|found| found.severity == Severity::Error) {
        Some(error) => Err(error.message.clone()),
        None => Ok(ours(&parsed.document, parsed.document.roots())),
    }
}

pub(super) fn they_read(text: &str) -> Result<Vec<Plain>, String> {
    KdlDocument::parse_v2(text).map(|document| theirs(document.nodes())).map_err(|error| error.to_string())
}

// ---- the compliance suite ----

/// Where the sources of the `kdl` crate lie that this build uses.
#[expect(clippy::disallowed_methods, reason = "a test looks up where cargo keeps the crate")]
pub(super) fn suite() -> PathBuf {
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    let output = std::process::Command::new(cargo)
        .args(["metadata", "--format-version", "1", "--offline"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .expect("cargo runs: it runs this test");
    let metadata: serde_json::Value =
        serde_json::from_slice(&output.stdout).expect("cargo metadata prints JSON");
    let manifest = metadata["packages"]
        .as_array()
        .expect("cargo lists the packages")
        .iter()
        .find(|package| package["name"] == "kdl")
        .and_then(|package| package["manifest_path"].as_str())
        .expect("kdl is a dependency of the tests");
    Path::new(manifest).with_file_name("tests").join("test_cases")
}

#[expect(clippy::disallowed_methods, reason = "a test reads the suite's files")]
pub(super) fn read(path: &Path) -> Option<String> {
    std::fs::read_to_string(path).ok()
}

/// Cases of the suite about which we differ from it, with the reason.
const SUITE_EXCEPTIONS: &[(&str, &str)] = &[(
    "hex.kdl",
    "the number is wider than 128 bits; the specification sets no limit, and the suite expects nothing of this case",
)];

#[test]
fn the_compliance_suite_agrees() {
    let suite = suite();
    let mut names: Vec<_> = std::fs::read_dir(suite.join("input"))
        .expect("the crate's package contains its suite")
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .collect();
    names.sort();
    assert!(names.len() >= 320, "only {} cases", names.len());
    let mut wrong = Vec::new();
    for name in &names {
        if SUITE_EXCEPTIONS.iter().any(|(exception, _)| exception == name) {
            continue;
        }
        let input = read(&suite.join("input").join(name)).expect("every case is text");
        let read_by_us = we_read(&input);
        match (read(&suite.join("expected_kdl").join(name)), read_by_us) {
            (Some(expected), Ok(read_by_us)) => {
                if they_read(&expected).as_ref() != Ok(&read_by_us) {
                    wrong.push(format!("{name}: we read {read_by_us:?}, expected\n{expected}"));
                }
                if they_read(&input).as_ref() != Ok(&read_by_us) {
                    wrong.push(format!("{name}: the crate reads the input as {:?}", they_read(&input)));
                }
            }
            (None, Err(_)) => {}
            (Some(_), Err(error)) => wrong.push(format!("{name}: refused: {error}")),
            (None, Ok(read_by_us)) => wrong.push(format!("{name}: accepted as {read_by_us:?}")),
        }
    }
    assert!(wrong.is_empty(), "{} of {} cases differ:\n{}", wrong.len(), names.len(), wrong.join("\n"));
}

// ---- documents made up at random ----

type Touches = fn(&str) -> bool;

/// What the specification allows and the crate refuses.
const CRATE_REFUSES: &[(Touches, &str)] = &[
    (|text| digits_in_a_row(text) > 30, "numbers that 128 bits do not hold"),
    (|text| text.contains("/-") && text.contains(';'), "a `;` after a node that `/-` comments out"),
];

/// What the specification refuses and the crate lets pass.
const CRATE_ACCEPTS: &[(Touches, &str)] = &[
    (|text| text.contains('\u{7F}'), "U+007F"),
    (
        |text| text.contains("/-") && text.contains('}'),
        "nothing between a node that `/-` comments out and the next node",
    ),
    (
        |text| (text.contains("//") || text.contains("/*")) && text.chars().any(super::lexer::is_disallowed),
        "forbidden characters in comments",
    ),
    (|text| ["0X", "0O", "0B"].iter().any(|prefix| text.contains(prefix)), "capital letters for the radix"),
    (|text| text.contains("#\"\"\""), "`#\"\"\"` without a line break, as a raw string of one line"),
];

fn digits_in_a_row(text: &str) -> usize {
    text.split(|c: char| !c.is_ascii_hexdigit() && c != '_').map(str::len).max().unwrap_or(0)
}

fn excused(exceptions: &[(Touches, &str)], text: &str) -> bool {
    exceptions.iter().any(|(touches, _)| touches(text))
}

/// True if the crate is known to refuse such text although it is KDL.
pub(super) fn is_known_refusal(text: &str) -> bool {
    excused(CRATE_REFUSES, text)
}

fn compare(text: &str) -> Result<(), TestCaseError> {
    match (we_read(text), they_read(text)) {
        (Ok(us), Ok(them)) => prop_assert_eq!(us, them, "values differ in {:?}", text),
        (Err(_), Err(_)) => {}
        (Ok(us), Err(error)) => {
            prop_assert!(
                excused(CRATE_REFUSES, text),
                "we read {:?} as {:?}, the crate refuses it: {}",
                text,
                us,
                error
            );
        }
        (Err(error), Ok(them)) => {
            prop_assert!(
                excused(CRATE_ACCEPTS, text),
                "the crate reads {:?} as {:?}, we refuse it: {}",
                text,
                them,
                error
            );
        }
    }
    Ok(())
}

fn space() -> impl Strategy<Value = String> {
    prop_oneof![
        6 => Just(" ".to_owned()),
        1 => Just("\t ".to_owned()),
        1 => Just("\u{A0}".to_owned()),
        1 => Just(" /* c /* d */ */ ".to_owned()),
        1 => Just(" \\\n  ".to_owned()),
        1 => Just(" \\ // c\r\n".to_owned()),
    ]
}

fn line_end() -> impl Strategy<Value = String> {
    prop_oneof![
        6 => Just("\n"),
        1 => Just("\r\n"),
        1 => Just(";"),
        1 => Just(" // c\n"),
        1 => Just("\u{2028}"),
        1 => Just("\n\n"),
        1 => Just(" ;\n"),
    ]
    .prop_map(str::to_owned)
}

fn string() -> impl Strategy<Value = String> {
    prop_oneof![
        6 => "[a-z_.<>*?!'-][a-z0-9_.:,+-]{0,6}".prop_map(|word| match word.as_str() {
            "true" | "false" | "null" | "inf" | "-inf" | "nan" => format!("{word}_"),
            _ if super::numbers::begins_like_a_number(&word) => format!("_{word}"),
            _ => word,
        }),
        3 => "\"([a-z ä{};=/#]|\\\\[nrt\\\\\"bfs]|\\\\u\\{[0-9a-f]{1,4}\\}|\\\\ +){0,6}\"".prop_map(|text| {
            // Halves of surrogate pairs are refused by both; make them rare.
            text.replace("\\u{d", "\\u{1")
        }),
        1 => "#\"[a-z \\\\/#ä]{0,6}\"#".prop_map(|text| text.replace("##", "x")),
        1 => "##\"[a-z \\\\\"]{1,6}z\"##",
        2 => (
            "[ \t]{0,3}",
            proptest::collection::vec("([ \t]{0,2}([a-z\"ü]|\\\\n|\\\\\\\\|\\\\s|\\\\  ?){0,5}[a-z]?)?", 0..4),
            "[ ]{0,2}",
            prop_oneof![Just("\n"), Just("\r\n"), Just("\u{85}")],
            any::<bool>(),
        )
            .prop_map(|(margin, lines, other, newline, raw)| {
                let mut text = format!("\"\"\"{newline}");
                for (at, line) in lines.iter().enumerate() {
                    let line = line.replace("\"\"", "\"");
                    // Now and then a margin that does not fit.
                    let margin = if at == 2 { &other } else { &margin };
                    text.push_str(&format!("{margin}{line}{newline}"));
                }
                text.push_str(&format!("{margin}\"\"\""));
                if raw { format!("##{text}##") } else { text }
            }),
    ]
}

fn value() -> impl Strategy<Value = String> {
    prop_oneof![
        5 => string(),
        1 => "[+-]?[0-9][0-9_]{0,5}",
        1 => "[+-]?[0-9]{1,3}\\.[0-9][0-9_]{0,3}([eE][+-]?[0-9]{1,2})?",
        1 => "[+-]?0(x[0-9a-fA-F][0-9a-f_]{0,4}|o[0-7][0-7_]{0,4}|b[01][01_]{0,4})",
        1 => prop_oneof![Just("#true"), Just("#false"), Just("#null"), Just("#inf"), Just("#-inf"), Just("#nan")]
            .prop_map(str::to_owned),
    ]
}

fn annotation() -> impl Strategy<Value = String> {
    prop_oneof![5 => Just(String::new()), 1 => string().prop_map(|name| format!("({name})")), 1 => Just("( u8 ) ".to_owned())]
}

fn entry() -> impl Strategy<Value = String> {
    let dash = prop_oneof![8 => Just(""), 1 => Just("/-"), 1 => Just("/- \n ")];
    let key = prop_oneof![2 => Just(None), 1 => string().prop_map(Some)];
    let equals = prop_oneof![5 => Just("="), 1 => Just(" = "), 1 => Just("= /* c */ ")];
    (space(), dash, key, equals, annotation(), value()).prop_map(|(space, dash, key, equals, ty, value)| {
        match key {
            Some(key) => format!("{space}{dash}{key}{equals}{ty}{value}"),
            None => format!("{space}{dash}{ty}{value}"),
        }
    })
}

fn node() -> impl Strategy<Value = String> {
    let head = (
        prop_oneof![8 => Just(""), 1 => Just("/-"), 1 => Just("/- // c\n")],
        annotation(),
        string(),
        proptest::collection::vec(entry(), 0..4),
    )
        .prop_map(|(dash, ty, name, entries)| format!("{dash}{ty}{name}{}", entries.concat()))
        .boxed();
    let leaf = (head.clone(), line_end()).prop_map(|(head, end)| format!("{head}{end}"));
    leaf.prop_recursive(3, 12, 3, move |inner| {
        let block =
            proptest::collection::vec(inner, 0..3).prop_map(|nodes| format!("{{{}}}", nodes.concat()));
        let discarded = proptest::option::weighted(0.15, block.clone());
        let after = proptest::option::weighted(0.1, block.clone());
        (head.clone(), discarded, block, after, line_end()).prop_map(
            |(head, discarded, block, after, end)| {
                let discarded = discarded.map_or(String::new(), |block| format!(" /-{block}"));
                let after = after.map_or(String::new(), |block| format!(" /- {block}"));
                format!("{head}{discarded} {block}{after}{end}")
            },
        )
    })
}

pub(super) fn document() -> impl Strategy<Value = String> {
    let prefix = prop_oneof![8 => Just(""), 1 => Just("\u{FEFF}"), 1 => Just("/- kdl-version 2\n"), 1 => Just("\n // c\n")];
    (prefix, proptest::collection::vec(node(), 0..4))
        .prop_map(|(prefix, nodes)| format!("{prefix}{}", nodes.concat()))
}

/// A document and edits that break it: where, how many characters go, what comes instead.
pub(super) fn damaged() -> impl Strategy<Value = String> {
    let pieces = proptest::sample::select(vec![
        "", "", " ", "\n", "\"", "\"\"\"", "#", "\\", "/-", "//", "/*", "*/", "{", "}", "(", ")", ";", "=",
        "1", "-", ".", "a", "true", "#true", "[", "\r", "\u{2028}", "\u{200E}", "ä", "_", "e", "\\u{", "\t",
    ]);
    let edits = proptest::collection::vec((any::<prop::sample::Index>(), 0..3_usize, pieces), 1..4);
    (document(), edits).prop_map(|(text, edits)| {
        let mut chars: Vec<char> = text.chars().collect();
        for (at, gone, piece) in edits {
            let at = at.index(chars.len() + 1);
            let end = (at + gone).min(chars.len());
            chars.splice(at..end, piece.chars());
        }
        chars.into_iter().collect()
    })
}

proptest! {
    #[test]
    fn documents_agree_with_the_crate(text in document()) {
        compare(&text)?;
    }

    #[test]
    fn damaged_documents_agree_with_the_crate(text in damaged()) {
        compare(&text)?;
    }
}
