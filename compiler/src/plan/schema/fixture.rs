//! Test: the fixture `tests/fixtures/check/reference` uses every node and property of the table.
//!
//! Does not know what they mean.

use std::collections::BTreeSet;

use camino::Utf8Path;

use super::{NodeSpec, PLAN_FILE, PROJECT_FILE, Since, places};
use crate::plan::read::File;
use crate::source::{FileId, SourceFile};
use crate::syntax;

#[test]
#[expect(clippy::disallowed_methods, reason = "the test compares with a file of the repository")]
fn the_reference_fixture_uses_the_whole_language() {
    let directory =
        Utf8Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/fixtures/check/reference/repo"));
    let mut used: BTreeSet<(usize, Option<String>)> = BTreeSet::new();
    let key = |spec: &'static NodeSpec| std::ptr::from_ref(spec).addr();
    for path in
        ["loop.kdl", "plans/lending.loop.kdl", "plans/lending.swift.loop.kdl", "plans/shared.loop.kdl"]
    {
        let bytes = std::fs::read(directory.join(path)).expect("the fixture is there");
        let source = SourceFile::new(path.into(), String::from_utf8(bytes).expect("it is UTF-8"));
        let document = syntax::parse(FileId(0), &source.text).document;
        let root = if path == "loop.kdl" { &PROJECT_FILE } else { &PLAN_FILE };
        let mut diagnostics = Vec::new();
        let file = File::new(&source, document, root, &mut diagnostics);
        assert!(diagnostics.is_empty(), "{diagnostics:?}");
        for at in 0..file.document.len() {
            let Some(node) = file.node(syntax::NodeId(at as u32)) else { continue };
            used.insert((key(node.spec()), None));
            for entry in node.entries() {
                used.extend(entry.key.as_ref().map(|name| (key(node.spec()), Some(name.name.to_string()))));
            }
        }
    }
    let mut missing = BTreeSet::new();
    for (parent, node) in places().into_iter().filter(|(_, node)| node.since == Since::Now) {
        if !used.contains(&(key(node), None)) {
            missing.insert(format!("`{}` in `{}`", node.name, parent.name));
        }
        for property in node.properties.iter().filter(|property| property.since == Since::Now) {
            if !used.contains(&(key(node), Some(property.name.to_owned()))) {
                missing.insert(format!("`{}=` of `{}`", property.name, node.name));
            }
        }
    }
    assert!(
        missing.is_empty(),
        "the reference fixture lacks {missing:?}: a node of the language stands there once"
    );
}
