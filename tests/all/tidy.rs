//! Reads the project's own sources: rooms that must not know each other, pages of rules, words of the modules' docs.
//!
//! Does not know what the code does. The table stands for people in `spec/architecture.md`.

mod paths;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use loop_compiler::diagnostic::RULES;
use loop_tests::workspace_root;

/// Place (a directory or a file, without its extension, below the workspace's root): what it must never import, as paths from
/// the root of a crate; `crate` is the crate of the place. A name in capitals stands for the words of its own line.
const ROOMS: &str = "
COMPILER_ABOVE_SYNTAX: crate::plan crate::check crate::graph
RUNTIME_ABOVE: crate::journal crate::state crate::schedule crate::work crate::drive crate::cli crate::audit

compiler/src: std::fs std::env std::process std::time std::thread std::net std::os
compiler/src: clap git2 tokio kdl loop_runtime loopc
compiler/src/source: crate::diagnostic crate::syntax COMPILER_ABOVE_SYNTAX
compiler/src/diagnostic: crate::syntax COMPILER_ABOVE_SYNTAX
compiler/src/syntax: COMPILER_ABOVE_SYNTAX
compiler/src/glob: crate::syntax COMPILER_ABOVE_SYNTAX
compiler/src/command: crate::source crate::diagnostic crate::syntax COMPILER_ABOVE_SYNTAX
compiler/src/plan: crate::syntax::lexer crate::check crate::graph
compiler/src/check: crate::syntax::lexer
compiler/src/graph: crate::syntax::lexer
compiler/loopc/src: loop_runtime git2 tokio
compiler/loopc/src/cli: std::process::Command
compiler/loopc/src/disk: std::process::Command

runtime/src/record: std::fs crate::process crate::sandbox crate::workspace crate::store RUNTIME_ABOVE
runtime/src/store: crate::process crate::sandbox crate::workspace RUNTIME_ABOVE
runtime/src/workspace: crate::process crate::sandbox crate::store RUNTIME_ABOVE
runtime/src/sandbox: crate::process crate::workspace crate::store crate::record RUNTIME_ABOVE
runtime/src/process: crate::workspace crate::store crate::record RUNTIME_ABOVE
runtime/src/journal: crate::process crate::sandbox crate::workspace
runtime/src/journal: crate::schedule crate::work crate::drive crate::cli crate::audit
runtime/src/state: std::fs std::time tokio crate::process crate::sandbox crate::workspace
runtime/src/state: crate::schedule crate::work crate::drive crate::cli crate::audit
runtime/src/schedule: tokio std::fs std::time std::process std::env
runtime/src/schedule: crate::journal crate::work crate::drive crate::cli
runtime/src/schedule: crate::process crate::sandbox crate::workspace crate::store
runtime/src/work: crate::schedule crate::journal crate::state crate::drive crate::cli crate::audit
runtime/src/work: loop_compiler::graph::Edge loop_compiler::graph::EdgeKind loop_compiler::graph::Topology
runtime/src/audit/verify: crate::journal crate::store crate::state crate::drive crate::cli tokio
runtime/src: git2
";

/// Only this room opens repositories.
const GIT_ROOM: &str = "runtime/src/workspace";

/// Longer files are not read in a sitting.
const LONGEST: usize = 700;

/// Rust files below `place` (a directory, or a file without its extension), tests left out, as workspace-relative paths.
fn sources(place: &str) -> Vec<PathBuf> {
    let root = workspace_root();
    let mut todo = vec![root.join(place)];
    let file = root.join(format!("{place}.rs"));
    let mut found = Vec::new();
    if file.is_file() {
        found.push(file);
    }
    while let Some(directory) = todo.pop() {
        let Ok(entries) = fs::read_dir(&directory) else { continue };
        for path in entries.map(|entry| entry.expect("a directory's entry is readable").path()) {
            if path.is_dir() {
                todo.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                found.push(path);
            }
        }
    }
    found.sort();
    found.retain(|path| !is_test(path));
    found
        .into_iter()
        .map(|path| path.strip_prefix(root).expect("it stands below the root").to_owned())
        .collect()
}

/// Is the file a module, or below one, that its parent declares for tests alone?
fn is_test(path: &Path) -> bool {
    let Some(src) = path.ancestors().find(|above| above.ends_with("src")) else { return false };
    path.ancestors().take_while(|module| *module != src).any(|module| {
        let (Some(directory), Some(name)) =
            (module.parent(), module.file_stem().and_then(|name| name.to_str()))
        else {
            return false;
        };
        let parents = [
            directory.join("mod.rs"),
            directory.join("lib.rs"),
            directory.join("main.rs"),
            directory.with_extension("rs"),
        ];
        let declarations =
            ["mod", "pub(crate) mod", "pub(super) mod"].map(|mod_| format!("#[cfg(test)]\n{mod_} {name};"));
        parents.iter().any(|parent| {
            let text = fs::read_to_string(parent).unwrap_or_default();
            declarations.iter().any(|declaration| text.contains(declaration))
        })
    })
}

fn read(path: &Path) -> String {
    fs::read_to_string(workspace_root().join(path))
        .unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The module that a file is, as the segments below its crate.
fn module(path: &Path) -> Vec<String> {
    let parts: Vec<&str> = path.iter().filter_map(|part| part.to_str()).collect();
    let src = parts.iter().position(|part| *part == "src").expect("sources stand in src");
    let mut module: Vec<String> =
        parts[src + 1..].iter().map(|part| part.trim_end_matches(".rs").to_owned()).collect();
    module.pop_if(|last| ["mod", "lib", "main"].contains(&last.as_str()));
    module
}

/// `super` and `self` at the head of a path, written out from `crate`.
fn resolved(path: &[String], module: &[String]) -> Vec<String> {
    let (mut path, mut base) = (path, None);
    while let Some(first) = path.first() {
        match (first.as_str(), base) {
            ("self", None) => base = Some(module.len()),
            ("super", None) => base = Some(module.len().saturating_sub(1)),
            ("super", Some(depth)) => base = Some(depth.saturating_sub(1)),
            _ => break,
        }
        path = &path[1..];
    }
    let above = base
        .map_or(Vec::new(), |depth| ["crate".to_owned()].iter().chain(&module[..depth]).cloned().collect());
    above.into_iter().chain(path.iter().cloned()).collect()
}

fn starts_with(path: &[String], forbidden: &str) -> bool {
    let forbidden: Vec<&str> = forbidden.split("::").collect();
    path.len() >= forbidden.len() && forbidden.iter().zip(path).all(|(a, b)| a == b)
}

/// The lines of [`ROOMS`], the names in capitals written out.
fn rooms() -> Vec<(&'static str, Vec<&'static str>)> {
    let lines = ROOMS.lines().filter_map(|line| line.split_once(": "));
    let is_name = |word: &str| word.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'_');
    let (names, rooms): (Vec<_>, Vec<_>) = lines.partition(|(place, _)| is_name(place));
    let written_out = |word: &'static str| -> Vec<&'static str> {
        match names.iter().find(|(name, _)| *name == word) {
            Some((_, words)) => words.split(' ').collect(),
            None => vec![word],
        }
    };
    rooms
        .into_iter()
        .map(|(place, words)| (place, words.split(' ').flat_map(written_out).collect()))
        .collect()
}

#[test]
fn rooms_keep_to_themselves() {
    let mut broken = Vec::new();
    for (place, never) in rooms() {
        let files = sources(place);
        assert!(!files.is_empty(), "{place} has no sources: the table has to follow the move");
        for file in files.iter().filter(|file| never != ["git2"] || !file.starts_with(GIT_ROOM)) {
            let module = module(file);
            for path in paths::paths(&read(file)) {
                let path = resolved(&path, &module);
                if never.iter().any(|forbidden| starts_with(&path, forbidden)) {
                    broken.push(format!("{} imports {}", file.display(), path.join("::")));
                }
            }
        }
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

#[test]
fn the_compiler_library_depends_on_no_doer() {
    let manifest = read(Path::new("compiler/Cargo.toml"));
    let dependencies = manifest.split("[dependencies]").nth(1).and_then(|rest| rest.split("\n[").next());
    let names: Vec<&str> = dependencies
        .expect("the compiler has dependencies")
        .lines()
        .filter_map(|line| line.split(['.', ' ', '=']).next())
        .filter(|name| !name.is_empty())
        .collect();
    for doer in ["clap", "git2", "tokio", "kdl", "ignore", "tempfile", "loop-runtime", "loopc"] {
        assert!(!names.contains(&doer), "loop-compiler must not depend on {doer}");
    }
}

#[test]
fn every_module_says_what_it_does_not_know() {
    let mut silent = Vec::new();
    for place in ["compiler/src", "compiler/loopc/src", "runtime/src", "tests/src", "tests/all"] {
        for file in sources(place) {
            let text = read(&file);
            let doc: Vec<&str> = text.lines().take_while(|line| line.starts_with("//!")).collect();
            let words = doc.join(" ").to_lowercase();
            if doc.is_empty() {
                silent.push(format!("{}: the first line is no `//!`", file.display()));
            } else if !["not know", "does not", "knows no", "never", " nor ", "nothing", " alone"]
                .iter()
                .any(|word| words.contains(word))
            {
                silent.push(format!("{}: its doc does not say what it does not know", file.display()));
            }
        }
    }
    assert!(silent.is_empty(), "{}", silent.join("\n"));
}

/// Files that git knows, and new ones that it does not ignore. Without git (a published archive) there are none.
fn tracked() -> Vec<PathBuf> {
    let output = Command::new("git")
        .current_dir(workspace_root())
        .args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"])
        .output()
        .expect("git runs");
    let names = String::from_utf8(output.stdout).expect("the project's file names are UTF-8");
    let files = names.split('\0').filter(|name| !name.is_empty()).map(PathBuf::from);
    files.filter(|path| workspace_root().join(path).is_file()).collect()
}

#[test]
fn every_rule_has_its_page_and_every_page_its_rule() {
    let pages = workspace_root().join("compiler/src/diagnostic/pages");
    for rule in RULES {
        for name in ["page.md", "bad.loop.kdl", "good.loop.kdl"] {
            let file = pages.join(rule.name).join(name);
            let text =
                fs::read_to_string(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
            assert!(!text.trim().is_empty(), "{} is empty", file.display());
        }
    }
    for entry in fs::read_dir(&pages).expect("the pages' directory is readable") {
        let name = entry.expect("its entries are readable").file_name();
        // `common` is the project that the cases share.
        let known = name == "common" || RULES.iter().any(|rule| name == rule.name);
        assert!(known, "pages/{} belongs to no rule", name.display());
    }
}

#[test]
fn rules_have_one_code_and_one_name_each() {
    for (at, rule) in RULES.iter().enumerate() {
        let (family, number) = rule.code.split_at(2);
        assert!(
            family.starts_with('L') && number.len() == 3 && number.bytes().all(|byte| byte.is_ascii_digit()),
            "{}",
            rule.code
        );
        assert!(rule.name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-'), "{}", rule.name);
        let twin = RULES[at + 1..].iter().find(|other| other.code == rule.code || other.name == rule.name);
        assert!(twin.is_none(), "{} {} is there twice", rule.code, rule.name);
    }
}

#[test]
fn files_can_be_read_in_a_sitting() {
    let mut long = Vec::new();
    let files =
        ["compiler/src", "compiler/loopc/src", "runtime/src", "tests/src"].into_iter().flat_map(sources);
    for file in &files.collect::<Vec<_>>() {
        let lines = read(file).lines().count();
        if lines > LONGEST {
            long.push(format!("{}: {lines} lines", file.display()));
        }
    }
    assert!(long.is_empty(), "{}", long.join("\n"));
}

/// Words that belong to a machine or a workplace and not to the product. Split, so that this file does not hold them.
const FOREIGN: &[&str] = &[
    concat!("/wor", "k/"),
    concat!("../sh", "ared"),
    concat!("npm", "js.org"),
    concat!("py", "pi.org"),
    concat!("crates", ".io/"),
    concat!("debian", ".org/"),
];

#[test]
fn nothing_of_a_machine_or_a_workplace_is_in_the_sources() {
    let mut found = Vec::new();
    for file in tracked() {
        if file.ends_with("Cargo.lock") || file.ends_with("package-lock.json") {
            continue;
        }
        let text = String::from_utf8_lossy(
            &fs::read(workspace_root().join(&file)).expect("a tracked file is readable"),
        )
        .into_owned();
        for (number, line) in text.lines().enumerate() {
            if let Some(word) = FOREIGN.iter().find(|word| line.contains(**word)) {
                found.push(format!("{}:{}: {word}", file.display(), number + 1));
            }
        }
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[test]
fn decisions_are_numbered_without_gaps() {
    let directory = workspace_root().join("spec/decisions");
    let mut names: Vec<String> = fs::read_dir(&directory)
        .expect("the decisions' directory is readable")
        .map(|entry| {
            entry.expect("its entries are readable").file_name().into_string().expect("names are UTF-8")
        })
        .collect();
    names.sort();
    for (at, name) in names.iter().enumerate() {
        let number = format!("{:04}", at + 1);
        assert!(name.starts_with(&format!("{number}-")), "{name} should be decision {number}");
        let text = fs::read_to_string(directory.join(name)).expect("a decision is readable");
        assert!(text.starts_with(&format!("# {number}: ")), "{name} should begin with `# {number}: `");
    }
}

#[test]
fn a_path_is_followed_through_super_and_self() {
    let path = |text: &str| text.split("::").map(str::to_owned).collect::<Vec<_>>();
    let module = path("work::agent::claude");
    assert_eq!(
        resolved(&path("super::super::super::journal::Writer"), &module),
        path("crate::journal::Writer")
    );
    assert_eq!(resolved(&path("self::super::x"), &module), path("crate::work::agent::x"));
    assert_eq!(resolved(&path("std::fs"), &module), path("std::fs"));
    assert!(starts_with(&path("std::fs::read"), "std::fs") && !starts_with(&path("std::fsx"), "std::fs"));
}
