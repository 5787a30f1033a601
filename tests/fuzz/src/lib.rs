//! What must hold for any bytes: one function for each fuzz target. The tests of the project run the same functions over the
//! seeds, over every plan of the repository, and over small changes of both.
//!
//! Does not know what is right for a certain plan; it knows what must never be wrong.

use std::collections::BTreeMap;

use camino::{Utf8Path, Utf8PathBuf};
use loop_compiler::compile::{Compilation, compile};
use loop_compiler::diagnostic::render::{Style, human, json, short};
use loop_compiler::diagnostic::{Applicability, Diagnostic, Fix, Severity};
use loop_compiler::glob::{Pattern, PatternSet, overlap, overlap_outside};
use loop_compiler::graph;
use loop_compiler::source::memory::MemorySources;
use loop_compiler::source::{FileId, SourceMap, Span};
use loop_compiler::syntax::format::{Formatted, format};
use loop_compiler::syntax::{Document, NodeId, decode, parse};

/// The plan that a target compiles.
const PLAN: &str = "plan.loop.kdl";

/// A project file for inputs that bring none.
const PROJECT: &str = "project p {\n    agent w via=command { run \"./a.sh\"; }\n    defaults agent=w { verify test; }\n    verifier test { run verify-all --strict; }\n    verifier e2e tier=broad { run make e2e; }\n}\n";

// ---- syntax ----

/// Any bytes give text, and any text a sound document; what is not UTF-8 is never passed over in silence.
pub fn syntax(data: &[u8]) {
    let (text, unreadable) = decode(FileId(0), data.to_vec());
    assert_eq!(std::str::from_utf8(data).is_ok(), unreadable.is_empty(), "not UTF-8, and nobody says so");
    places_are_sound(&unreadable, |_| &text);
    let parsed = parse(FileId(0), &text);
    places_are_sound(&parsed.diagnostics, |_| &text);
    let errors = parsed.diagnostics.iter().any(|found| found.severity == Severity::Error);
    let mut todo: Vec<(NodeId, Option<NodeId>)> = parsed.document.roots().map(|id| (id, None)).collect();
    let mut seen = 0;
    while let Some((id, parent)) = todo.pop() {
        seen += 1;
        let node = parsed.document.node(id);
        assert_eq!(node.parent, parent);
        assert!(!node.broken || errors, "a broken node and no error");
        sound(node.span, &text);
        sound(node.name_span, &text);
        for entry in parsed.document.entries(id) {
            sound(entry.span, &text);
            sound(entry.value_span, &text);
        }
        todo.extend(parsed.document.children(id).map(|child| (child, Some(id))));
    }
    assert_eq!(seen, parsed.document.len(), "every node is reached once");
}

fn sound(span: Span, text: &str) {
    let (start, end) = (span.start as usize, span.end as usize);
    assert!(
        start <= end && text.is_char_boundary(start) && text.is_char_boundary(end),
        "{span:?} in {text:?}"
    );
}

fn places_are_sound<'t>(found: &[Diagnostic], text_of: impl Fn(FileId) -> &'t str) {
    for found in found {
        assert!(!found.message.is_empty() && !found.message.ends_with('.'), "{}", found.message);
        sound(found.primary.span, text_of(found.primary.span.file));
        found.labels.iter().for_each(|label| sound(label.span, text_of(label.span.file)));
        for fix in &found.fixes {
            fix.edits.iter().for_each(|edit| sound(edit.span, text_of(edit.span.file)));
            let apart = |pair: &[loop_compiler::diagnostic::Edit]| {
                pair[0].span.file == pair[1].span.file && pair[0].span.end <= pair[1].span.start
            };
            assert!(fix.edits.windows(2).all(apart), "edits in order, in one file, apart: {fix:?}");
        }
    }
}

// ---- layout ----

/// What parses is laid out, says the same, warns the same, and laid out again stays as it is.
pub fn layout(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let before = parse(FileId(0), text);
    let is_kdl = before.diagnostics.iter().all(|found| found.severity != Severity::Error);
    match format(FileId(0), text) {
        Formatted::Syntax(found) => {
            assert!(!is_kdl && found.iter().any(|found| found.severity == Severity::Error));
        }
        Formatted::Unsound => panic!("{text:?} would change what it says"),
        Formatted::Text(once) => {
            assert!(is_kdl);
            let after = parse(FileId(0), &once);
            let told = |found: &[Diagnostic]| {
                found.iter().map(|found| (found.severity, found.message.clone())).collect::<Vec<_>>()
            };
            assert_eq!(told(&before.diagnostics), told(&after.diagnostics), "{text:?} became {once:?}");
            assert_eq!(said(&before.document), said(&after.document), "{text:?} became {once:?}");
            assert_eq!(format(FileId(0), &once), Formatted::Text(once.clone()), "{text:?} became {once:?}");
        }
    }
}

/// Everything that a document says, in order, without places.
fn said(document: &Document) -> Vec<String> {
    let mut said = Vec::new();
    let mut todo: Vec<(NodeId, usize)> = document.roots().map(|id| (id, 0)).collect();
    while let Some((id, depth)) = todo.pop() {
        let node = document.node(id);
        let entries: Vec<String> = document
            .entries(id)
            .iter()
            .map(|entry| {
                let (key, ty) =
                    (entry.key.as_ref().map(|key| &key.name), entry.ty.as_ref().map(|ty| &ty.name));
                format!("{key:?} {ty:?} {:?}", entry.value)
            })
            .collect();
        let ty = node.ty.as_ref().map(|ty| &ty.name);
        said.push(format!("{depth} {ty:?} {:?} {entries:?} {}", node.name, node.children_span.is_some()));
        todo.extend(document.children(id).map(|child| (child, depth + 1)));
    }
    said
}

// ---- plans ----

/// Files of a small repository: the plan, then, behind lines `=== PATH`, others. Bytes need not be UTF-8.
fn files(data: &[u8]) -> BTreeMap<Utf8PathBuf, Vec<u8>> {
    let mut files = BTreeMap::from([(Utf8PathBuf::from("loop.kdl"), PROJECT.as_bytes().to_vec())]);
    let mut path = Utf8PathBuf::from(PLAN);
    let mut content = Vec::new();
    for line in data.split_inclusive(|byte| *byte == b'\n') {
        match line.strip_prefix(b"=== ").and_then(|name| std::str::from_utf8(name).ok()) {
            Some(name) => {
                files.insert(std::mem::replace(&mut path, name.trim().into()), std::mem::take(&mut content));
            }
            None => content.extend_from_slice(line),
        }
    }
    files.insert(path, content);
    files
}

fn compiled(files: &BTreeMap<Utf8PathBuf, Vec<u8>>) -> Compilation {
    let sources = MemorySources::new(files.clone());
    compile(Some(Utf8Path::new("loop.kdl")), &[PLAN.into()], &sources)
}

/// Any files as plan, project and imports: findings with sound places, the same each time, in every format; a graph if and
/// only if nothing is wrong.
pub fn check(data: &[u8]) {
    let files = files(data);
    let first = compiled(&files);
    compilation_is_sound(&first, &files);
    let again = compiled(&files);
    assert_eq!(json(&first.diagnostics, &first.map), json(&again.diagnostics, &again.map), "two answers");
    human(&first.diagnostics, &first.map, Style::PLAIN);
    human(&first.diagnostics, &first.map, Style { color: true, width: 40 });
    short(&first.diagnostics, &first.map);
    for ((_, plan), (_, other)) in first.plans.iter().zip(&again.plans) {
        assert!(plan.is_none() || !first.has_errors(), "a plan with errors counts as sound");
        let (Some(plan), Some(other)) = (plan, other) else { continue };
        let graph = graph::build(plan);
        assert_eq!(graph::encode(&graph), graph::encode(&graph::build(other)), "two graphs");
    }
}

fn compilation_is_sound(compilation: &Compilation, files: &BTreeMap<Utf8PathBuf, Vec<u8>>) {
    let map = &compilation.map;
    places_are_sound(&compilation.diagnostics, |file| &map.file(file).text);
    for (_, file) in map.files() {
        let Some(bytes) = files.get(&file.path) else { continue };
        assert!(
            std::str::from_utf8(bytes).is_ok() || compilation.has_errors(),
            "{}: a silent pass",
            file.path
        );
    }
}

// ---- fixes ----

/// Every fix can be applied; what it leaves can be compiled, and the safe ones come to an end.
pub fn fixes(data: &[u8]) {
    let mut files = files(data);
    let compilation = compiled(&files);
    compilation_is_sound(&compilation, &files);
    for found in compilation.diagnostics.iter().take(40) {
        for fix in found.fixes.iter().filter(|fix| fix.applicability != Applicability::Display) {
            let mut changed = files.clone();
            if apply(fix, &compilation.map, &mut changed) {
                let after = compiled(&changed);
                compilation_is_sound(&after, &changed);
            }
        }
    }
    // Applied one at a time, which is the slowest way there is: large inputs would only be slow.
    if data.len() > 2_000 {
        return;
    }
    for _ in 0..=data.len() + 8 {
        let compilation = compiled(&files);
        let safe = compilation
            .diagnostics
            .iter()
            .flat_map(|found| &found.fixes)
            .find(|fix| fix.applicability == Applicability::Safe);
        let Some(fix) = safe else { return };
        let before = files.clone();
        if !apply(fix, &compilation.map, &mut files) {
            return;
        }
        assert_ne!(before, files, "a fix that changes nothing: {fix:?}");
    }
    panic!("there is always something left to fix: {:?}", String::from_utf8_lossy(data));
}

/// Applies a fix to the files; false if it is about a file that was not given, or not as it was given.
fn apply(fix: &Fix, map: &SourceMap, files: &mut BTreeMap<Utf8PathBuf, Vec<u8>>) -> bool {
    let Some(first) = fix.edits.first() else { return false };
    let file = map.file(first.span.file);
    let Some(bytes) = files.get_mut(&file.path).filter(|bytes| **bytes == file.text.as_bytes()) else {
        return false;
    };
    let mut text = file.text.clone();
    for edit in fix.edits.iter().rev() {
        text.replace_range(edit.span.start as usize..edit.span.end as usize, &edit.text);
    }
    *bytes = text.into_bytes();
    true
}

// ---- patterns ----

/// Two lines with patterns, a third with one to leave out, and a path: what matches and what meets must not contradict.
pub fn glob(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let mut lines = text.lines();
    let (Some(a), Some(b)) = (lines.next(), lines.next()) else { return };
    let (out, path) = (lines.next().unwrap_or(""), lines.next().unwrap_or(""));
    // Braces multiply; a plan has short patterns.
    if a.len() > 80 || b.len() > 80 || out.len() > 80 || path.len() > 200 {
        return;
    }
    let (Ok(a), Ok(b)) = (Pattern::parse(a), Pattern::parse(b)) else { return };
    for pattern in [&a, &b] {
        let again = Pattern::parse(&pattern.to_string()).expect("a pattern in normal form is a pattern");
        assert_eq!((again.as_str(), again.negated()), (pattern.as_str(), pattern.negated()));
        assert!(overlap(pattern, pattern).is_some(), "{pattern} does not meet itself");
    }
    let met = overlap(&a, &b);
    assert_eq!(met.is_some(), overlap(&b, &a).is_some(), "{a} and {b}");
    // A name with an extension has nothing below it, unless a pattern says so; that is for overlap to judge.
    let plain = !path.is_empty() && !path.contains('.') && !path.starts_with('/') && !path.contains("//");
    if plain && !path.ends_with('/') && a.matches(path) && b.matches(path) {
        assert!(met.is_some(), "both {a} and {b} match {path:?}, and do not meet");
    }
    let Ok(excluded) = Pattern::parse(out) else { return };
    if overlap_outside(&a, &b, &[&excluded]).is_some() {
        assert!(met.is_some(), "{a} and {b} meet only when something is left out");
    }
    PatternSet::new(vec![a, b, excluded]).matches(path);
}
