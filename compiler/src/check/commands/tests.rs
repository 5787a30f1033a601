//! The rules about commands, over small repositories: what must be found, and what must not.
//!
//! Does not know the tables of tools; they have tests of their own.

use camino::Utf8Path;

use crate::compile::compile;
use crate::diagnostic::Diagnostic;
use crate::source::memory::MemorySources;
use crate::source::{SourceMap, Sources};

/// A repository with a verifier `v` (`{}` of it), used by two units that write what `scope` says.
fn repository(verifier: &str, scope: &str, files: &[(&str, &str)]) -> MemorySources {
    let project = format!(
        "project p {{\n    agent a via=command {{ run \"./agent.sh\"; }}\n    defaults agent=a {{ verify v; }}\n    \
         verifier v {{ {verifier} }}\n}}\n"
    );
    let plan = format!("feature F {{\n    unit u {{ goal \"g\"; {scope}; }}\n}}\n");
    let mut sources = MemorySources::new([("loop.kdl", project), ("f.loop.kdl", plan)]);
    for (path, text) in files {
        sources.insert(*path, *text);
    }
    sources
}

/// The findings of the rules in this directory.
fn found(sources: MemorySources) -> (Vec<Diagnostic>, SourceMap) {
    let compiled = compile(Some(Utf8Path::new("loop.kdl")), &["f.loop.kdl".into()], &sources.whole());
    let ours = |code: &str| ("L0512".."L0520").contains(&code);
    let all = compiled.diagnostics.into_iter().filter(|found| ours(found.rule.code)).collect();
    (all, compiled.map)
}

fn rules(verifier: &str, files: &[(&str, &str)]) -> Vec<&'static str> {
    let (found, _) = found(repository(verifier, "creates \"src/a.rs\"", files));
    found.iter().map(|found| found.rule.name).collect()
}

/// The only finding's message, and the verifier after its first fix.
fn told(verifier: &str, files: &[(&str, &str)]) -> (String, Option<String>) {
    let (found, map) = found(repository(verifier, "creates \"src/a.rs\"", files));
    let [only] = found.as_slice() else { panic!("one finding about {verifier}: {found:#?}") };
    let fixed = only.fixes.first().map(|fix| {
        let file = map.file(fix.edits[0].span.file);
        let mut text = file.text.clone();
        for edit in fix.edits.iter().rev() {
            text.replace_range(edit.span.start as usize..edit.span.end as usize, &edit.text);
        }
        let line = text.lines().find(|line| line.contains("verifier v")).unwrap_or_default();
        line.trim().trim_start_matches("verifier v { ").trim_end_matches(" }").to_owned()
    });
    (only.message.clone(), fixed)
}

#[test]
fn a_command_that_cannot_fail_is_no_check() {
    for verifier in [
        "run \"true\";",
        "run echo ok;",
        "shell \"exit 0\";",
        "shell \"cargo test || true\";",
        "shell \"cargo test; true\";",
        "run sh -c \"cargo test || :\";",
        "shell \"cargo test 2>&1 | tee log\";",
        "shell \"cd src && cargo test | tail -5\";",
        "run test -f README.md;",
        "shell \"[ -f README.md ]\";",
        "run cargo \"--version\";",
        "run make -n test;",
        "run pytest --collect-only;",
        "run npm run fake;",
        "run make fake;",
        "run timeout 60 \"true\";",
    ] {
        let files = [
            ("README.md", "x"),
            ("package.json", r#"{"scripts": {"fake": "echo no tests"}}"#),
            ("Makefile", "test:\n\tx\nfake:\n\t@true\n"),
        ];
        assert_eq!(rules(verifier, &files), ["no-op-verifier"], "{verifier}");
    }
    for verifier in [
        "run cargo test;",
        "shell \"! true\";",
        "shell \"true && cargo test\";",
        "shell \"cargo test || exit 1\";",
        "shell \"set -o pipefail; cargo test | tee log\";",
        "shell \"cargo test | grep -q passed\";",
        "shell \"cargo test | tee log\"; stdout \"passed\";",
        "shell \"cargo test || true\"; stdout \"passed\";",
        "shell \"grep x README.md\"; exit 1;",
        "run \"true\"; exit 1;",
        "run test -f docs/new.md;",
        "run test -f src/a.rs;",
        "run cat src/a.rs;",
        "shell \"for x in 1 2; do test $x; done; true\";",
        "run grep -q echo README.md;",
        "run npm run real;",
        "run make real;",
    ] {
        let files = [
            ("README.md", "x"),
            ("package.json", r#"{"scripts": {"real": "vitest run", "prereal": "true"}}"#),
            ("Makefile", "real: other\n\ttrue\nother:\n\tcargo test\n"),
        ];
        assert_eq!(rules(verifier, &files), [""; 0], "{verifier}");
    }
    let (message, _) = told("shell \"cargo test | tee log\";", &[]);
    assert_eq!(
        message,
        "`v` cannot fail: a pipe ends as its last command does, and `tee log` does not know that `cargo test` failed"
    );
}

#[test]
fn a_command_that_mends_is_told_with_its_checking_form() {
    for (verifier, mended) in [
        ("run cargo fmt;", Some("run cargo fmt --check;")),
        ("run cargo fmt --all;", Some("run cargo fmt --all --check;")),
        ("run cargo clippy --fix;", Some("run cargo clippy;")),
        ("run npx prettier --write \".\";", Some("run npx prettier --check \".\";")),
        ("run npx jest \"-u\";", Some("run npx jest;")),
        ("shell \"eslint . --fix && tsc\";", Some("shell \"eslint . && tsc\";")),
        ("run env \"UPDATE_EXPECT=1\" cargo test;", Some("run env cargo test;")),
        ("run gofmt -w \".\";", None),
        ("run sh -c \"cargo fmt\";", None),
    ] {
        let (message, fixed) = told(verifier, &[]);
        assert!(message.starts_with("`v` changes what it should judge"), "{message}");
        assert_eq!(fixed.as_deref(), mended, "{verifier}");
    }
    let files =
        [("package.json", r#"{"scripts": {"lint": "eslint . --fix"}}"#), ("Makefile", "fmt:\n\tcargo fmt\n")];
    let (message, fixed) = told("run npm run lint;", &files);
    assert_eq!(message, "`v` changes what it should judge: `lint` in package.json runs `eslint . --fix`");
    assert_eq!(fixed, None);
    assert_eq!(rules("run make fmt;", &files), ["mutating-verifier"]);
    for verifier in
        ["run cargo fmt --check;", "run npx eslint \".\";", "run npm run check;", "run cargo test --fix;"]
    {
        let files = [("package.json", r#"{"scripts": {"check": "eslint ."}}"#)];
        assert_eq!(rules(verifier, &files), [""; 0], "{verifier}");
    }
}

const PACKAGE: &str = r#"{"scripts": {
    "test": "vitest run", "both": "vitest run && echo done", "two": "vitest run && eslint .", "inner": "npm run test",
    "own": "./deaf.sh", "good": "./hears.sh", "shell": "sh -c 'vitest run'"
}}"#;
const FILES: &[(&str, &str)] = &[
    ("package.json", PACKAGE),
    ("deaf.sh", "#!/bin/sh\nset -e\nvitest run\n"),
    ("hears.sh", "#!/usr/bin/env bash\nvitest run \"$@\"\n"),
    ("python.py", "print(1)\n"),
    ("Makefile", "test:\n\tpytest $(ARGS)\nplain:\n\tpytest\n"),
    (
        "justfile",
        "test filter='':\n    cargo test {{filter}}\nplain:\n    cargo test\nlost filter:\n    cargo test\n",
    ),
];

#[test]
fn arguments_that_never_arrive_are_told() {
    let sources = |verifier: &str| {
        let mut sources = repository(verifier, "creates \"src/a.rs\"", FILES);
        for script in ["deaf.sh", "hears.sh"] {
            sources = sources.program(script);
        }
        found(sources).0.iter().map(|found| found.rule.name).collect::<Vec<_>>()
    };
    for verifier in [
        "run npm test --grep x;",
        "run npm run both -- x;",
        "run npm run two -- x;",
        "run npm run inner -- --grep x;",
        "run npm run own x;",
        "run npm run shell x;",
        "run pnpm run both x;",
        "run yarn both x;",
        "run \"./deaf.sh\" x;",
        "run sh deaf.sh x;",
        "run make plain \"ARGS=x\";",
        "run just lost x;",
        "run just plain x;",
        "param filter type=text default=\"\"; run npm run both -- \"${filter}\";",
    ] {
        assert_eq!(sources(verifier), ["forwarded-arguments"], "{verifier}");
    }
    for verifier in [
        "run npm test -- --grep x;",
        "run npm test x;",
        "run npm test --silent;",
        "run npm run inner -- x;",
        "run npm run good -- x;",
        "run npm run own;",
        "run pnpm test --grep x;",
        "run \"./hears.sh\" x;",
        "run \"./deaf.sh\";",
        "run python python.py x;",
        "run make test \"ARGS=x\";",
        "run make plain \"RUST_LOG=debug\";",
        "run just test x;",
        "run just plain;",
        "run just plain test;",
    ] {
        assert_eq!(sources(verifier), [""; 0], "{verifier}");
    }
}

#[test]
fn a_script_or_target_that_is_not_there_is_told_with_a_near_one() {
    for (verifier, mended) in [
        ("run npm run tets;", Some("run npm run test;")),
        ("run make tset;", Some("run make test;")),
        ("run just tesst;", Some("run just test;")),
        ("run make nothing-like-it;", None),
    ] {
        let (message, fixed) = told(verifier, FILES);
        assert!(message.contains("does not have"), "{message}");
        assert_eq!(fixed.as_deref(), mended, "{verifier}");
    }
    assert_eq!(rules("run npm test;", &[]), ["missing-script"]);
    assert_eq!(rules("run make -C sub all;", &[("Makefile", "all:\n\tx\n")]), ["missing-script"]);
    for verifier in [
        "run yarn tsc;",
        "run npm run nothing --if-present;",
        "run npm start;",
        "run make justfile;",
        "run bun run x.ts;",
    ] {
        assert_eq!(rules(verifier, FILES), [""; 0], "{verifier}");
    }
    // A unit may write the build file: by then the name may be there.
    let (told, _) = found(repository("run make later;", "writes \"Makefile\"", FILES));
    assert!(told.iter().all(|found| found.rule.name != "missing-script"), "{told:#?}");
}

#[test]
fn a_program_of_the_repository_must_be_there_and_must_start() {
    let files = [("scripts/check.sh", "#!/bin/sh\n"), ("scripts/plain.sh", "#!/bin/sh\n")];
    let (message, fixed) = told("run sh \"scripts/chekc.sh\";", &files);
    assert_eq!(message, "`v` starts `scripts/chekc.sh`, which does not exist and which no unit makes");
    assert_eq!(fixed.as_deref(), Some("run sh \"scripts/check.sh\";"));
    // What cannot be started is named, and nothing is replaced by it.
    let (_, fixed) = told("run \"./scripts/chekc.sh\";", &files);
    assert_eq!(fixed, None);
    let started = repository("run \"./scripts/chekc.sh\";", "creates \"src/a.rs\"", &files);
    let (told_of, _) = found(started.program("scripts/check.sh"));
    assert_eq!(told_of[0].fixes.len(), 1, "{told_of:?}");
    let (message, _) = told("run \"./scripts/plain.sh\";", &files);
    assert_eq!(message, "`v` starts `scripts/plain.sh`, which may not be started");
    let (message, _) = told("run \"./scripts\";", &files);
    assert_eq!(message, "`v` starts `scripts`, which is a directory");
    let sources = |verifier: &str, scope: &str| {
        let sources = repository(verifier, scope, &files).program("scripts/check.sh").ignoring("target");
        found(sources).0.iter().map(|found| found.rule.name).collect::<Vec<_>>()
    };
    for verifier in [
        "run \"./scripts/check.sh\";",
        "run sh \"scripts/plain.sh\";",
        "run \"./target/debug/tool\";",
        "run \"/opt/tool/bin/check\";",
        "run \"node_modules/.bin/jest\" x;",
        "run python -m tool;",
        "shell \"cd scripts && ./check.sh\";",
        "shell \"cd $(mktemp -d) && ./anything.sh\";",
        "shell \"cd \\\"$DIR\\\" && ./anything.sh\";",
    ] {
        assert_eq!(sources(verifier, "creates \"src/a.rs\""), [""; 0], "{verifier}");
    }
    let mut elsewhere =
        repository("run \"./check.sh\";", "creates \"a.rs\"", &files).program("scripts/check.sh");
    let project = |text: &str| text.replace("verifier v {", "verifier v cwd=scripts {");
    let text = elsewhere.read(Utf8Path::new("loop.kdl")).expect("it is there");
    elsewhere.insert("loop.kdl", project(std::str::from_utf8(&text).expect("UTF-8")));
    assert!(found(elsewhere).0.is_empty(), "it runs in another directory");
    assert_eq!(sources("run \"./e2e.sh\";", "creates \"e2e.sh\""), ["verifier-writable"]);
    assert_eq!(sources("shell \"cd scripts && ./chekc.sh\";", "creates \"src/a.rs\""), ["missing-program"]);
}

#[test]
fn a_unit_that_may_change_its_own_check_is_told() {
    let sources = |verifier: &str, scope: &str, files: &[(&str, &str)]| {
        found(repository(verifier, scope, files)).0.iter().map(|found| found.rule.name).collect::<Vec<_>>()
    };
    let script = [("scripts/check.sh", "#!/bin/sh\ncargo test\n")];
    let writable = ["verifier-writable"];
    for scope in
        ["writes \"scripts/**\"", "writes \"**\"", "writes \"scripts\"", "creates \"scripts/check.sh\""]
    {
        assert_eq!(sources("run sh \"scripts/check.sh\";", scope, &script), writable, "{scope}");
    }
    for scope in ["writes \"src/**\"", "writes \"scripts/*.py\"", "creates \"scripts/other.sh\""] {
        assert_eq!(sources("run sh \"scripts/check.sh\";", scope, &script), [""; 0], "{scope}");
    }
    assert_eq!(sources("run npm test;", "writes \"package.json\"", FILES), writable);
    assert_eq!(sources("run make test;", "writes \"Makefile\"", FILES), writable);
    assert_eq!(sources("run npm run good;", "writes \"hears.sh\"", FILES), writable, "one level deep");
    assert_eq!(sources("run npx vitest run;", "writes \"package.json\"", FILES), [""; 0]);

    let config = ["verifier-config-writable"];
    for (verifier, scope, files) in [
        ("run cargo fmt --check;", "writes \"rustfmt.toml\"", vec![]),
        ("run cargo clippy;", "writes \"Cargo.toml\"", vec![("Cargo.toml", "[lints]\nworkspace = true\n")]),
        ("run pytest;", "writes \"pyproject.toml\"", vec![("pyproject.toml", "[tool.pytest.ini_options]\n")]),
        ("run pytest;", "writes \"*.ini\"", vec![("pytest.ini", "")]),
        ("run npx jest;", "writes \"package.json\"", vec![("package.json", "{\"jest\": {}}")]),
        ("run npx eslint \".\";", "creates \"eslint.config.js\"", vec![]),
    ] {
        assert_eq!(sources(verifier, scope, &files), config, "{verifier} {scope}");
    }
    for (verifier, scope, files) in [
        ("run cargo test;", "writes \"Cargo.toml\"", vec![("Cargo.toml", "[lints]\n")]),
        ("run cargo clippy;", "writes \"Cargo.toml\"", vec![("Cargo.toml", "[package]\n")]),
        ("run pytest;", "writes \"pyproject.toml\"", vec![("pyproject.toml", "[project]\n")]),
        ("run pytest;", "writes \"*.ini\"", vec![("other.ini", "")]),
        ("run cargo test;", "writes \"rustfmt.toml\"", vec![]),
        ("run npx jest;", "writes \"package.json\"", vec![("package.json", "{}")]),
    ] {
        assert_eq!(sources(verifier, scope, &files), [""; 0], "{verifier} {scope}");
    }
}

#[test]
fn a_protected_file_and_a_reason_beside_the_unit_are_answers() {
    let script = [("check.sh", "#!/bin/sh\n")];
    let mut sources = repository("run sh check.sh;", "writes \"**\"", &script);
    sources.insert(
        "f.loop.kdl",
        "feature F {\n    protect \"check.sh\"\n    unit u { goal \"g\"; writes \"**\"; }\n}\n",
    );
    assert!(found(sources).0.is_empty(), "that it is protected is an error of its own");
    let lint = "lint verifier-writable level=allow reason=\"the script is the work\"";
    let sources = repository("run sh check.sh;", &format!("writes \"check.sh\"; {lint}"), &script);
    assert!(found(sources).0.is_empty());
}

/// What a file's name or content is, is only known of whole repositories.
#[test]
fn without_a_list_of_files_nothing_is_said_to_be_missing() {
    for verifier in ["run \"./scripts/check.sh\";", "run make test;", "run npm test;"] {
        let sources = repository(verifier, "creates \"a\"", &[]);
        let compiled = compile(Some(Utf8Path::new("loop.kdl")), &["f.loop.kdl".into()], &sources);
        assert!(compiled.diagnostics.is_empty(), "{:#?}", compiled.diagnostics);
    }
}

#[test]
fn a_suite_for_one_file_is_noted_once_a_verifier() {
    let plan = |units: &str| {
        let mut sources =
            repository("param filter type=text default=\"\"; run cargo test \"${filter}\";", "writes", &[]);
        sources.insert("f.loop.kdl", format!("feature F {{\n{units}\n}}\n"));
        let (found, _) = found(sources);
        found.into_iter().map(|found| found.message).collect::<Vec<_>>()
    };
    let one = |id: &str, rest: &str| format!("unit {id} {{ goal \"g\"; creates \"{id}.rs\"; {rest} }}");
    let several = [one("a", ""), one("b", ""), one("c", "")].join("\n");
    assert_eq!(
        plan(&several),
        ["`v` runs the whole suite (`cargo test`) for `a` and 2 more units that write one file each"]
    );
    assert_eq!(plan(&one("a", "")), [""; 0], "one unit: the gate would run it as often");
    let narrowed = [one("a", "verify v filter=a;"), one("b", "verify v filter=b;")].join("\n");
    assert_eq!(plan(&narrowed), [""; 0]);
    let many = "unit a { goal \"g\"; creates \"a.rs\" \"x.rs\"; }\nunit b { goal \"g\"; writes \"b/**\"; }";
    assert_eq!(plan(many), [""; 0], "more than one file");
}
