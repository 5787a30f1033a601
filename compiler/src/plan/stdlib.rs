//! The standard library: plan files that are part of the program, found by `import "std/..."`.
//!
//! Does not know what they say. They are ordinary files with nothing privileged in them; only their place differs.

use camino::{Utf8Path, Utf8PathBuf};

/// The name that an import writes, and the text. Sorted by name; a test holds it against `stdlib/`.
pub const FILES: &[(&str, &str)] = &[
    ("std/agents", include_str!("../../../stdlib/agents.kdl")),
    ("std/close", include_str!("../../../stdlib/close.kdl")),
    ("std/docs", include_str!("../../../stdlib/docs.kdl")),
    ("std/go", include_str!("../../../stdlib/go.kdl")),
    ("std/node", include_str!("../../../stdlib/node.kdl")),
    ("std/python", include_str!("../../../stdlib/python.kdl")),
    ("std/review", include_str!("../../../stdlib/review.kdl")),
    ("std/rust", include_str!("../../../stdlib/rust.kdl")),
    ("std/web", include_str!("../../../stdlib/web.kdl")),
];

/// The text of the file that is imported under this name.
pub fn text(name: &str) -> Option<&'static str> {
    FILES.iter().find(|(known, _)| *known == name).map(|(_, text)| *text)
}

/// The path under which it is shown: like `<stdin>`, one that no file of a repository can be taken for.
pub fn path(name: &str) -> Utf8PathBuf {
    format!("<{name}>").into()
}

/// Does the path stand for a file of the standard library?
pub fn is_path(path: &Utf8Path) -> bool {
    path.as_str()
        .strip_prefix('<')
        .and_then(|rest| rest.strip_suffix('>'))
        .is_some_and(|name| text(name).is_some())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diagnostic::Diagnostic;
    use crate::plan::{Input, Lowered, lower};
    use crate::source::SourceMap;
    use crate::source::memory::MemorySources;

    fn plan(text: &str) -> (Lowered, SourceMap) {
        let sources = MemorySources::new([("p.loop.kdl", text)]);
        let mut map = SourceMap::default();
        let input = Input { project: None, plan: Some("p.loop.kdl".into()) };
        (lower(&input, &sources, &mut map), map)
    }

    #[test]
    fn the_table_is_the_directory() {
        let directory = Utf8Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../stdlib"));
        let mut found: Vec<String> = directory
            .read_dir_utf8()
            .expect("it is there")
            .map(|entry| entry.expect("entries are readable").into_path())
            .filter(|path| path.extension() == Some("kdl"))
            .map(|path| format!("std/{}", path.file_stem().expect("files have names")))
            .collect();
        found.sort();
        let listed: Vec<&str> = FILES.iter().map(|(name, _)| *name).collect();
        assert_eq!(found, listed);
    }

    #[test]
    fn every_file_checks_clean_and_names_no_path_of_its_own() {
        for (name, text) in FILES {
            let (lowered, map) = plan(text);
            let told = crate::diagnostic::render::short(&lowered.diagnostics, &map);
            assert!(lowered.diagnostics.is_empty(), "{name}: {told}");
            for relative in ["import \"./", "import \"../", "file=\"./", "file=\"../"] {
                assert!(!text.contains(relative), "{name} stands in no directory");
            }
        }
    }

    #[test]
    fn a_name_arrives_and_the_file_is_no_file_of_the_repository() {
        let (lowered, map) = plan(
            "import \"std/rust\" lint=clippy test\nagent w via=claude\nfeature f { unit u agent=w { goal g; creates a; verify lint; } }\n",
        );
        assert!(lowered.diagnostics.is_empty(), "{:?}", lowered.diagnostics);
        let ids: Vec<&str> = lowered.plan.verifiers.iter().map(|one| one.id.value.as_str()).collect();
        assert_eq!(ids, ["lint", "test"]);
        assert_eq!(lowered.plan.plan_files, ["p.loop.kdl"]);
        let span = lowered.plan.verifiers[0].id.span;
        assert_eq!(map.file(span.file).path, "<std/rust>");
    }

    #[test]
    fn what_the_library_does_not_have_is_told_with_what_it_has() {
        let told = |import: &str| -> Diagnostic {
            let (mut lowered, _) = plan(&format!("{import}\nverifier a {{ run a; }}\n"));
            assert_eq!(lowered.diagnostics.len(), 1, "{:?}", lowered.diagnostics);
            lowered.diagnostics.remove(0)
        };
        let near = told("import \"std/rsut\" fmt");
        assert_eq!(near.message, "the standard library has no file `std/rsut`");
        assert_eq!(near.fixes[0].edits[0].text, "\"std/rust\"");
        assert_eq!(told("import \"std/rust.kdl\" fmt").fixes[0].edits[0].text, "\"std/rust\"");
        assert_eq!(told("import rust fmt").fixes[0].edits[0].text, "\"std/rust\"");
        assert!(told("import \"std/cobol-85\" fmt").help[0].starts_with("it has std/"));
        assert!(told("import \"checks/own.loop.kdl\" fmt").help[0].contains("\"./checks/own.loop.kdl\""));
        let name = told("import \"std/rust\" frmt");
        assert_eq!(name.message, "`<std/rust>` defines no `frmt`");
        assert_eq!(name.fixes[0].edits[0].text, "fmt");
        let far = told("import \"std/rust\" everything");
        assert_eq!(far.help, ["it defines `check`, `clippy`, `deny`, `doc`, `fmt`, `nextest`, `test`"]);
    }
}
