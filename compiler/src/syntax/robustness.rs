//! What holds for every text, KDL or not: no panic, sound documents, tokens edge to edge, time that grows with size.
//!
//! Does not judge messages (`tests`), nor which text is KDL (`oracle`).

use proptest::prelude::*;

use super::lexer::Kind;
use super::mistakes::Mistakes;
use super::{NodeId, Parsed, braces, decode, lexer, parse};
use crate::diagnostic::{Applicability, Severity};
use crate::source::FileId;

pub(super) fn hold_invariants(text: &str, parsed: &Parsed) {
    let document = &parsed.document;
    let sound = |span: crate::source::Span| {
        assert!(span.start <= span.end, "{span:?}");
        assert!(
            text.is_char_boundary(span.start as usize) && text.is_char_boundary(span.end as usize),
            "{span:?}"
        );
    };
    let mut entries = 0;
    let mut open: Vec<(u32, u32)> = Vec::new();
    for (at, node) in document.nodes.iter().enumerate() {
        let at = at as u32;
        while open.last().is_some_and(|(_, end)| *end == at) {
            open.pop();
        }
        assert!(at < node.subtree_end && node.subtree_end <= document.nodes.len() as u32);
        assert_eq!(node.parent, open.last().map(|(id, _)| NodeId(*id)), "the parent of node {at}");
        assert!(
            open.last().is_none_or(|(_, end)| node.subtree_end <= *end),
            "a subtree ends inside its parent's"
        );
        open.push((at, node.subtree_end));
        assert_eq!(node.entries.start, entries, "entries follow their nodes without gaps");
        entries = node.entries.end;
        sound(node.span);
        sound(node.name_span);
        node.ty.iter().for_each(|ty| sound(ty.span));
        node.children_span.into_iter().for_each(sound);
    }
    assert_eq!(entries as usize, document.entries.len());
    for entry in &document.entries {
        sound(entry.span);
        sound(entry.value_span);
        entry.ty.iter().for_each(|ty| sound(ty.span));
        entry.key.iter().for_each(|key| sound(key.span));
    }
    let mut last = 0;
    for found in &parsed.diagnostics {
        assert!(found.primary.span.start >= last, "findings come in the order of the text");
        last = found.primary.span.start;
        assert!(!found.message.is_empty() && !found.message.ends_with('.'), "{}", found.message);
        assert!(!found.help.is_empty(), "no help for {}", found.message);
        sound(found.primary.span);
        found.labels.iter().for_each(|label| sound(label.span));
        found.fixes.iter().flat_map(|fix| &fix.edits).for_each(|edit| sound(edit.span));
    }
    let broken = document.nodes.iter().any(|node| node.broken);
    let errors = parsed.diagnostics.iter().any(|found| found.severity == Severity::Error);
    assert!(errors || !broken, "a broken node without an error");
}

/// Text of the pieces that KDL is made of, in any order.
pub(super) fn soup() -> impl Strategy<Value = String> {
    let piece = proptest::sample::select(vec![
        "a",
        "unit",
        " ",
        " ",
        "\n",
        "\n    ",
        "\"",
        "\"\"\"",
        "#",
        "##\"",
        "\"#",
        "\\",
        "/-",
        "//",
        "/*",
        "*/",
        "{",
        "}",
        "(",
        ")",
        ";",
        "=",
        "1",
        "-",
        ".",
        "0x",
        "true",
        "#true",
        "[",
        "]",
        "\r",
        "\r\n",
        "\u{85}",
        "\u{2028}",
        "\u{200E}",
        "ä",
        "\u{3000}",
        "_",
        "1e",
        "\\u{",
        "\\u{41}",
        "\\n",
        "\t",
        "\u{FEFF}",
        "\0",
        "{\n",
        "\n}",
        "r\"",
        "kdl-version",
    ]);
    proptest::collection::vec(piece, 0..60).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn any_text_gives_a_sound_document(text in prop_oneof![3 => soup(), 1 => any::<String>()]) {
        hold_invariants(&text, &parse(FileId(0), &text));
    }

    #[test]
    fn any_bytes_give_a_sound_document(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let clean = std::str::from_utf8(&bytes).is_ok();
        let (text, found) = decode(FileId(0), bytes);
        prop_assert_eq!(clean, found.is_empty());
        for found in &found {
            let span = found.primary.span;
            prop_assert!(text.is_char_boundary(span.start as usize) && text.is_char_boundary(span.end as usize));
        }
        hold_invariants(&text, &parse(FileId(0), &text));
    }

    #[test]
    fn applying_safe_fixes_comes_to_an_end(text in soup()) {
        let mut text = text;
        for _ in 0..text.len() + 1 {
            let found = parse(FileId(0), &text).diagnostics;
            let mut fixes = found.iter().flat_map(|found| &found.fixes);
            let Some(fix) = fixes.find(|fix| fix.applicability == Applicability::Safe) else { return Ok(()) };
            for edit in fix.edits.iter().rev() {
                text.replace_range(edit.span.start as usize..edit.span.end as usize, &edit.text);
            }
        }
        prop_assert!(false, "there is still something to fix in {text:?}");
    }

    #[test]
    fn tokens_cover_the_text_edge_to_edge(text in soup()) {
        let mut mistakes = Mistakes::new(FileId(0), &text);
        let tokens = lexer::lex(&text, &mut mistakes);
        prop_assert_eq!(tokens.first().map(|token| token.start), Some(0));
        prop_assert_eq!(tokens.last().map(|token| (token.start as usize, token.kind)), Some((text.len(), Kind::End)));
        prop_assert!(tokens.windows(2).all(|pair| pair[0].start < pair[1].start));
        let mut depth = 0_i64;
        for token in braces::balance(tokens, &mut mistakes) {
            match token.kind {
                Kind::Open => depth += 1,
                Kind::Close | Kind::MissingClose => depth -= 1,
                _ => {}
            }
            prop_assert!(depth >= 0);
        }
        prop_assert_eq!(depth, 0);
    }
}

// ---- size ----

#[test]
fn depth_costs_no_stack() {
    const DEPTH: usize = 100_000;
    let closed = format!("{}{}", "a {\n".repeat(DEPTH), "}\n".repeat(DEPTH));
    let parsed = parse(FileId(0), &closed);
    assert_eq!((parsed.document.len(), parsed.diagnostics.len()), (DEPTH, 0));
    for text in ["a {\n", "a {", "/-a {", "{", "}", "a /-{", "/* ", "((", "(a)", "a=", "/-"] {
        let parsed = parse(FileId(0), &text.repeat(DEPTH));
        assert!(!parsed.diagnostics.is_empty(), "{text:?}");
    }
}

/// Time that this thread has spent on a processor; where the system does not tell, time on the clock.
#[expect(clippy::disallowed_methods, reason = "a test measures")]
fn time_spent(work: impl FnOnce()) -> u64 {
    let on_processor = || {
        let text = std::fs::read_to_string("/proc/thread-self/schedstat").ok()?;
        text.split(' ').next()?.parse::<u64>().ok()
    };
    let (clock, before) = (std::time::Instant::now(), on_processor());
    work();
    match (before, on_processor()) {
        (Some(before), Some(after)) => after.saturating_sub(before),
        _ => clock.elapsed().as_nanos() as u64,
    }
}

/// Texts that make a careless parser look at the same bytes again and again. A file of 32 times the size must take about as
/// long as 32 files; the square would be 32 times that. Busy machines are forgiven a factor of six.
#[test]
fn time_grows_with_size_and_not_with_its_square() {
    let pieces = [
        "a {",
        "a {\n",
        "}\n",
        " {\n  }\n",
        "/* ",
        "a/*",
        "/* */ /*",
        "\"\"\" ",
        "\"\"\"\n",
        "\"\"\"x\"\"\" ",
        "\\\"\"\"\n",
        "#\"\"\"\n",
        "\"",
        "\"\n",
        "\"\\\n",
        "\\ /**/",
        "\\/*",
        "\\ ",
        "a=",
        "(",
        "[a ",
        "a/b ",
        "\u{7}",
        "1,",
        "a b ",
        ";",
        "/-",
        "#",
        "##\"",
        "'a' ",
        "\u{85}\"\"\"a",
        "x \"\"\"\n  \\u\\ {\n  \"\"\"\n",
        "0x1",
        "a \\\n",
        "a ",
        "/-{",
        "/- a\n",
        "\" a\n",
        "a{}",
    ];
    const SMALL: usize = 8_000;
    const TIMES: usize = 32;
    for piece in pieces {
        let text = |size: usize| piece.repeat(size / piece.len());
        let read = |text: &str| drop(std::hint::black_box(parse(FileId(0), text)));
        let (small, large) = (text(SMALL), text(TIMES * SMALL));
        let apart = time_spent(|| (0..TIMES).for_each(|_| read(&small)));
        let at_once = time_spent(|| read(&large));
        // Below that, the system's clock is too coarse.
        assert!(at_once < 6 * apart.max(20_000_000), "{piece:?}: {apart} ns in pieces, {at_once} ns at once");
    }
}
