//! What the layout looks like, and what holds for every text: laid out twice is laid out once, nothing is lost, nothing
//! says something else.
//!
//! Does not know plans; their digests before and after are compared where plans are compiled.

use proptest::prelude::*;

use super::super::lexer::is_newline;
use super::super::{oracle, parse, robustness};
use super::{Formatted, WIDTH, format};
use crate::diagnostic::Severity;
use crate::source::FileId;

/// The layout of a text that is KDL, with everything asserted that holds for each.
#[track_caller]
fn laid_out(text: &str) -> String {
    let once = match format(FileId(0), text) {
        Formatted::Text(once) => once,
        Formatted::Syntax(found) => panic!("{text:?} is no KDL: {}", found[0].message),
        Formatted::Unsound => panic!("{text:?} would change what it says"),
    };
    assert_eq!(format(FileId(0), &once), Formatted::Text(once.clone()), "from {text:?}");
    hold_invariants(text, &once);
    once
}

#[track_caller]
fn hold_invariants(text: &str, once: &str) {
    let warnings = |text: &str| {
        let found = parse(FileId(0), text).diagnostics;
        found.into_iter().map(|found| (found.severity, found.message)).collect::<Vec<_>>()
    };
    assert_eq!(warnings(text), warnings(once), "{text:?}");
    assert!(once.is_empty() || once.ends_with('\n'), "{once:?}");
    assert!(!once.starts_with(['\n', ' ', '\u{FEFF}']), "{once:?}");
}

#[track_caller]
fn becomes(text: &str, expected: &str) {
    let found = laid_out(text);
    assert_eq!(found, expected, "\n--- expected\n{expected}\n--- found\n{found}");
}

#[track_caller]
fn stays(text: &str) {
    becomes(text, text);
}

#[test]
fn nodes_stand_on_lines_of_their_own_and_blocks_are_indented() {
    becomes("a 1;b  2 ;  c\n", "a 1\nb 2\nc\n");
    becomes("a{b{c\n}\n}", "a {\n    b {\n        c\n    }\n}\n");
    becomes("  a\n\tb {\n c\n}", "a\nb {\n    c\n}\n");
    becomes("a\u{A0}\u{3000}b\u{2028}c\r", "a b\nc\n");
    becomes("a {\n}\nb {  }\nc{\n\n}", "a {}\nb {}\nc {}\n");
    becomes("\u{FEFF}a", "a\n");
    for nothing in ["", " ", "\n\n", "\u{FEFF}", "\\", " \\\n"] {
        becomes(nothing, "");
    }
}

#[test]
fn a_block_on_one_line_stays_there_while_it_fits() {
    stays("a { b; c { d; }; }\n");
    becomes("a { b ; c{d} }\n", "a { b; c { d; }; }\n");
    becomes("a { b\n}\n", "a {\n    b\n}\n");
    becomes("a {\n    b; }\n", "a {\n    b\n}\n");
    let long = format!("a {{ b \"{}\"; c {{ d; }}; }}\n", "x".repeat(WIDTH - 20));
    assert_eq!(long.len(), WIDTH + 2, "one column too wide");
    becomes(&long, &format!("a {{\n    b \"{}\"\n    c {{ d; }}\n}}\n", "x".repeat(WIDTH - 20)));
    let fits = long.replacen('x', "", 1);
    stays(&fits);
    // A comment behind it does not count.
    stays(&fits.replace('\n', " // why this is so\n"));
}

#[test]
fn at_most_one_empty_line_is_kept_and_none_beside_a_brace() {
    becomes("\n\na\n\n\n\nb\nc {\n\n  d\n\n\n  e\n\n}\n\n", "a\n\nb\nc {\n    d\n\n    e\n}\n");
    becomes("// a\n\n\n// b\n  \n  c // d\n\n", "// a\n\n// b\n\nc // d\n");
    becomes("a\r\n\r\n\r\nb", "a\r\n\r\nb\r\n");
    becomes("a;\n\nb", "a\n\nb\n");
}

#[test]
fn comments_keep_their_places() {
    becomes("//a  \n/* b */   //c\na // d\n/*e*/b", "//a\n/* b */ //c\na // d\n/*e*/ b\n");
    becomes("a { // b\n  c\n // d\n}// e\n", "a { // b\n    c\n    // d\n} // e\n");
    becomes("a/* b */{ c /* d */ ;/* e */ f }", "a/* b */ { c /* d */; /* e */ f; }\n");
    becomes("a { /* b */ }\nc {/* d */\n}", "a { /* b */ }\nc { /* d */\n}\n");
    becomes("a { // b\n}", "a { // b\n}\n");
    becomes("a { /* b */ // c\n}", "a { /* b */ // c\n}\n");
    becomes("a;/* b */\nc; // d\ne; /* f */ g", "a /* b */\nc // d\ne\n/* f */ g\n");
    becomes("a k/*b*/ = /*c*/1 (/*d*/u8 )/*e*/ 2", "a k/*b*/ = /*c*/ 1 ( /*d*/ u8) /*e*/ 2\n");
    becomes("a {\n    /* b\n     * c\n     */\n    d\n}\n", "a {\n    /* b\n     * c\n     */\n    d\n}\n");
    becomes("a {\n  /* b\n   * c\n\n  d */\n}\n", "a {\n    /* b\n     * c\n\n    d */\n}\n");
    becomes("a {\n            /* b\n          c\n    */\n}\n", "a {\n    /* b\n  c\n*/\n}\n");
}

#[test]
fn what_is_commented_out_is_laid_out_too() {
    becomes("/-  a {b}\n/-\n\n c", "/-a { b; }\n/-c\n");
    becomes("a /- b /-  k = 1 /-(u8) 2", "a /-b /-k=1 /-(u8)2\n");
    becomes("a /-{b\n}{c}/- {  }", "a /-{\n    b\n} { c; } /-{}\n");
    becomes("/- // b\n/* c */ a 1\n", "/- // b\n/* c */ a 1\n");
    becomes("x {\n/- // b\n // c\na 1\n}\n", "x {\n    /- // b\n    // c\n    a 1\n}\n");
    becomes("a /- // b\nc /- // d\n{ e; }\n", "a /- // b\n        c /- // d\n        { e; }\n");
    becomes("/- kdl-version 2\na", "/- kdl-version 2\na\n");
    becomes("/-kdl-version 2\na", "/- kdl-version 2\na\n");
}

#[test]
fn lines_are_joined_and_broken_by_their_length_alone() {
    becomes("a \\\n  b \\\n\n c", "a b\nc\n");
    becomes("a \\\n  b \\\n c {\n d }", "a b c {\n    d\n}\n");
    becomes("a \\ // b\n  c\\//d\n   e", "a \\ // b\n    c \\ //d\n    e\n");
    becomes("a \\ /* b */\nc\n", "a /* b */ c\n");
    becomes("a \\ // b\n\nc", "a // b\nc\n");
    becomes("a \\ // b\n // c\n", "a \\ // b\n    // c\n");
    becomes("a \\ // b\n { c; }\n", "a \\ // b\n        { c; }\n");
    becomes("\\ // a\n b", "// a\nb\n");

    let name = |length: usize| "x".repeat(length);
    let (long, short) = (name(30), name(28));
    let list = format!("a {long} {long} {long} {short}\n");
    becomes(&list, &format!("a {long} {long} {long} \\\n    {short}\n"));
    stays(&format!("a {long} {long} {long} xxxxx\n"));
    let full = format!("a {long} {long} {} y\n", name(35));
    assert_eq!(full.len(), WIDTH + 2);
    becomes(&full, &format!("a {long} {long} \\\n    {} y\n", name(35)));
    // The `\` must fit, too.
    stays(&format!("a {long} {long} {} y\n", name(34)));
    becomes(
        &format!("a {long} {long} {} yy\n", name(34)),
        &format!("a {long} {long} {} \\\n    yy\n", name(34)),
    );
    becomes(
        &format!("a {long} {long} {} yy\n", name(35)),
        &format!("a {long} {long} \\\n    {} yy\n", name(35)),
    );
    // Continuation lines stand out against the block.
    becomes(
        &format!("a {long} k={long} {long} {long} {{\n b\n}}"),
        &format!("a {long} k={long} {long} \\\n        {long} {{\n    b\n}}\n"),
    );
    // Text that is too long for any line is not moved for nothing, and the first entry stays with its name.
    let text = format!("\"{}\"", "word ".repeat(25));
    stays(&format!("requirement R1 {text}\n"));
    stays(&format!("goal {text} \\\n    by=x\n"));
    let exact = format!("\"{}\"", name(92));
    stays(&format!("constraint {exact}\n"));
    stays(&format!("requirement R1 \\\n    {exact}\n"));
}

#[test]
fn literals_stay_as_they_are_written() {
    stays("a 0xFF 1_000 1.50 1e+3 +5 \"x\\u{41}\\s\" #\"\\\"# ##\"\"#\"## word \"word\" #true #-inf #null\n");
    stays("\"a\" \"b\"=\"c\" (\"d\")\"e\"\n");
    becomes("a \"b \\\r\n   c\"   d\n", "a \"b \\\r\n   c\" d\n");
}

#[test]
fn text_of_several_lines_gets_the_margin_of_its_place() {
    becomes(
        "a {\nb \"\"\"\n  c\n\n     d\n  \"\"\" e\n}\n",
        "a {\n    b \"\"\"\n        c\n\n           d\n        \"\"\" e\n}\n",
    );
    becomes("a \"\"\"\nb  \n\"\"\"", "a \"\"\"\n    b  \n    \"\"\"\n");
    becomes("a ##\"\"\"\n\tb\\\n \t \n\t\"\"\"##", "a ##\"\"\"\n    b\\\n\n    \"\"\"##\n");
    becomes("a \"\"\"\r\n b\r\n \"\"\"\n", "a \"\"\"\n    b\n    \"\"\"\n");
    becomes("a \"\"\"\n\"\"\"", "a \"\"\"\n    \"\"\"\n");
    // What a backslash at the end of a line makes of the next one is left to the author.
    stays("a \"\"\"\n    b \\\n  c\n    \"\"\"\n");
    becomes("a \"\"\"\n  b \\\n    c\n  \"\"\"\n", "a \"\"\"\n    b \\\n      c\n    \"\"\"\n");
    stays("a \"\"\"\n  b\n  \\\n    \"\"\"\n");
    becomes(
        "a { b \"\"\"\n  c\n  \"\"\" { d; }; }\n",
        "a {\n    b \"\"\"\n        c\n        \"\"\" { d; }\n}\n",
    );
}

#[test]
fn comments_of_neighbouring_lines_begin_in_one_column() {
    becomes("a // b\nccc 1 // d\n\ne // f\n", "a     // b\nccc 1 // d\n\ne // f\n");
    becomes("a { // b\nc // d\n} // e\nf // g\n", "a { // b\n    c // d\n} // e\nf // g\n");
    becomes("a   // b\n// c\nd  1  // e\n", "a // b\n// c\nd 1 // e\n");
    let far = "x".repeat(40);
    becomes(&format!("a // b\n{far} // c\n{far}xx // d\n"), &format!("a // b\n{far}   // c\n{far}xx // d\n"));
}

#[test]
fn a_comment_that_swallows_a_word_still_looks_like_a_mistake() {
    stays("a https://b\n");
    becomes("a   https://b  \nb k=src/*c*/d   e/* f */g", "a https://b\nb k=src/*c*/d e/* f */g\n");
}

#[test]
fn most_lines_decide_how_lines_end() {
    becomes("a\r\nb\r\nc\n", "a\r\nb\r\nc\r\n");
    becomes("a\r\nb\nc", "a\nb\nc\n");
    becomes(
        "a {\r\n\"\"\"\n b\n \"\"\"\r\n}\r\n",
        "a {\r\n    \"\"\"\r\n        b\r\n        \"\"\"\r\n}\r\n",
    );
    becomes("a\rb\u{85}c\u{0C}", "a\nb\nc\n");
}

#[test]
fn text_with_syntax_errors_is_left_alone() {
    for text in ["a {", "a }", "\"", "a \"b", "a=1", "a (", "a\0", "/*", "a true"] {
        let Formatted::Syntax(found) = format(FileId(0), text) else { panic!("{text:?} was laid out") };
        assert!(found.iter().any(|found| found.severity == Severity::Error), "{text:?}");
    }
}

#[test]
fn depth_costs_neither_stack_nor_much_space() {
    const DEPTH: usize = 20_000;
    let broken = format!("{}{}", "a {\n".repeat(DEPTH), "}\n".repeat(DEPTH));
    let found = laid_out(&broken);
    assert!(found.len() < 500 * DEPTH, "{} bytes", found.len());
    laid_out(&format!("{}{}", "a {".repeat(DEPTH), "}".repeat(DEPTH)));
    laid_out(&format!("{}{}", "/-a {".repeat(DEPTH), "}\n".repeat(DEPTH)));
    laid_out(&format!("a {}", "/-{}".repeat(DEPTH)));
    laid_out(&format!("a {}", "/- // b\n{}".repeat(DEPTH)));
    laid_out(&format!("a {}", "\"\"\"\n\"\"\" ".repeat(DEPTH)));
    laid_out(&"a // b\n".repeat(DEPTH));
    laid_out(&format!("a {}", "b/* c */".repeat(DEPTH)));
}

#[test]
fn the_compliance_suite_says_the_same_in_its_layout() {
    let inputs = oracle::suite().join("input");
    let mut laid = 0;
    #[expect(clippy::disallowed_methods, reason = "a test reads the suite's files")]
    for entry in std::fs::read_dir(inputs).expect("the crate's package contains its suite") {
        let path = entry.expect("its entries are readable").path();
        let text = std::fs::read_to_string(&path).expect("every case is text");
        if oracle::we_read(&text).is_err() {
            continue;
        }
        laid += 1;
        let once = laid_out(&text);
        assert_eq!(oracle::we_read(&text), oracle::we_read(&once), "{}", path.display());
        // The crate knows not one line of ours.
        if let Ok(before) = oracle::they_read(&text) {
            assert_eq!(oracle::they_read(&once).as_ref(), Ok(&before), "{}:\n{once}", path.display());
        }
    }
    assert!(laid > 200, "only {laid} cases");
}

/// Lays the text out if it is KDL.
fn hold(text: &str) -> Result<(), TestCaseError> {
    let once = match format(FileId(0), text) {
        Formatted::Syntax(_) => return Ok(()),
        Formatted::Unsound => return Err(TestCaseError::fail(format!("{text:?} would change"))),
        Formatted::Text(once) => once,
    };
    prop_assert_eq!(format(FileId(0), &once), Formatted::Text(once.clone()), "from {:?}", text);
    hold_invariants(text, &once);
    let strings_aside = !text.contains('"');
    for line in once.split(is_newline).filter(|_| strings_aside) {
        prop_assert!(line.trim_end_matches(' ') == line || text.contains("/*"), "{:?} in {:?}", line, once);
    }
    if let Ok(before) = oracle::they_read(text) {
        match oracle::they_read(&once) {
            Ok(after) => prop_assert_eq!(before, after, "{:?} became {:?}", text, once),
            Err(error) => {
                prop_assert!(oracle::is_known_refusal(&once), "{:?} became {:?}: {}", text, once, error)
            }
        }
    }
    Ok(())
}

proptest! {
    #[test]
    fn documents_say_the_same_in_their_layout(text in oracle::document()) {
        hold(&text)?;
    }

    #[test]
    fn damaged_documents_say_the_same_in_their_layout(text in oracle::damaged()) {
        hold(&text)?;
    }

    #[test]
    fn any_text_is_laid_out_or_left_alone(text in robustness::soup()) {
        hold(&text)?;
    }
}
