//! The tables, row by row.
//!
//! Does not know plans. What a row claims of a tool was tried with the tool or read in its manual.

use super::*;

fn line(text: &str) -> Line {
    Line::of_shell(text)
}

fn words(text: &str) -> Vec<Vec<String>> {
    line(text).calls.into_iter().map(|call| call.words).collect()
}

fn one(text: &str) -> Call {
    line(text).calls.into_iter().next().unwrap_or_else(|| panic!("{text} has a command"))
}

#[test]
fn a_line_of_shell_comes_apart_at_its_operators() {
    let parts = |text: &str| -> Vec<String> { words(text).iter().map(|words| words.join("|")).collect() };
    assert_eq!(parts("a b && c || d; e | f\ng # h"), ["a|b", "c", "d", "e", "f", "g"]);
    assert_eq!(parts(r#"a 'b c' "d \" e" f\ g "" x#y"#), [r#"a|b c|d " e|f g||x#y"#]);
    assert_eq!(parts("A=1 B='2 3' cmd x=y"), ["cmd|x=y"]);
    assert_eq!(parts("a > out 2>&1 b >>'x y' c 2> /dev/null < in"), ["a|b|c"]);
    assert_eq!(parts("a \\\n b"), ["a|b"]);
    assert!(!line("a && b | c > d; ! e").opaque);
    for text in [
        "a $(b)",
        "a \"$(b)\"",
        "a `b`",
        "(a)",
        "if a; then b; fi",
        "a <<E\nb\nE",
        "a 'b",
        "a \"b",
        "a &",
        "f() { a; }",
        "for x in y; do z; done",
    ] {
        assert!(line(text).opaque, "{text}");
    }
    assert!(line("! a").calls[0].negated);
    assert_eq!(line("X=1").calls[0].env, [("X".to_owned(), "1".to_owned())]);
    assert_eq!(line("").calls, []);
}

#[test]
fn what_only_starts_another_program_is_looked_through() {
    for (text, inner) in [
        ("env -u X A=1 cargo test", "cargo test"),
        ("timeout -k 5 60 pytest x.py", "pytest x.py"),
        ("npx --yes jest -u", "jest -u"),
        ("npm exec -- jest x", "jest x"),
        ("pnpm exec vitest run", "vitest run"),
        ("uv run --with a pytest", "pytest"),
        ("poetry run pytest -k x", "pytest -k x"),
        ("python3 -m pytest tests/a.py", "pytest tests/a.py"),
        ("python3.12 -X dev -m unittest", "unittest"),
        ("sh -c 'cargo fmt'", "cargo fmt"),
        ("bash -lc \"cd x && npx eslint --fix .\"", "cd x; eslint --fix ."),
        ("nice -n 5 timeout 3 sh -ec 'true'", "true"),
        ("python script.py -m pytest", "python script.py -m pytest"),
        ("timeout 60", "timeout 60"),
        ("sh script.sh -c x", "sh script.sh -c x"),
    ] {
        let found: Vec<String> = words(text).iter().map(|words| words.join(" ")).collect();
        assert_eq!(found.join("; "), inner, "{text}");
    }
    let call = one("env UPDATE_EXPECT=1 sh -c 'cargo test'");
    assert_eq!(call.env, [("UPDATE_EXPECT".to_owned(), "1".to_owned())]);
    let nested = format!("sh -c {}true", "'sh -c ".repeat(40));
    assert!(Line::of_shell(&nested).calls.len() < 3, "depth costs nothing");
}

#[test]
fn a_line_that_cannot_fail_is_seen() {
    let silent = |_: usize, call: &Call| {
        ["true", ":", "echo", "exit 0", "tee"].contains(&call.words.join(" ").as_str())
            || call.program() == "echo"
    };
    let always = |text: &str| line(text).always_succeeds(&silent);
    for text in [
        "true",
        "x || true",
        "x; true",
        "x | tee",
        "x && y || true",
        "sh -c true",
        "echo a && true",
        "true || x",
        "x; exit 0",
        "x\ntrue",
    ] {
        assert!(always(text), "{text}");
    }
    for text in [
        "x",
        "true && x",
        "x && true",
        "! true",
        "true | x",
        "x $(y); true",
        "set -e; x; true",
        "true || x && y",
        "true; x",
        "",
    ] {
        assert!(!always(text), "{text}");
    }
}

#[test]
fn how_much_a_runner_covers_follows_from_its_arguments() {
    use Reach::{File, Part, Suite};
    for (text, expected) in [
        ("cargo test", Some(Suite)),
        ("cargo +nightly test --workspace --all-features", Some(Suite)),
        ("cargo test --features x", Some(Suite)),
        ("cargo test parse::", Some(Part)),
        ("cargo test -p core", Some(Part)),
        ("cargo test --test all", Some(Part)),
        ("cargo test -- --test-threads 1", Some(Suite)),
        ("cargo nextest run \"\"", Some(Suite)),
        ("cargo nextest run -E 'test(a)'", Some(Part)),
        ("cargo build", None),
        ("cargo clippy", None),
        ("pytest", Some(Suite)),
        ("pytest -q -n 4", Some(Suite)),
        ("pytest tests", Some(Suite)),
        ("pytest tests/unit", Some(Part)),
        ("pytest tests/test_a.py", Some(File)),
        ("pytest tests/test_a.py::TestA::test_b", Some(File)),
        ("pytest -k slow", Some(Part)),
        ("pytest -kslow", Some(Part)),
        ("python -m pytest -x", Some(Suite)),
        ("vitest run", Some(Suite)),
        ("vitest run src/a.test.ts", Some(File)),
        ("vitest run orders", Some(Part)),
        ("npx jest --ci --maxWorkers 2", Some(Suite)),
        ("jest -t name", Some(Part)),
        ("jest --testPathPattern=x", Some(Part)),
        ("go test ./...", Some(Suite)),
        ("go test -count 1 ./...", Some(Suite)),
        ("go test ./orders", Some(Part)),
        ("go test -run TestX ./...", Some(Part)),
        ("playwright test", Some(Suite)),
        ("playwright test e2e/login.spec.ts", Some(File)),
        ("node --test", Some(Suite)),
        ("node --test test/a.test.js", Some(File)),
        ("rspec spec/models/a_spec.rb", Some(File)),
        ("./test.sh", None),
        ("node_modules/.bin/jest", Some(Suite)),
    ] {
        assert_eq!(reach(&one(text)), expected, "{text}");
    }
}

#[test]
fn commands_that_write_are_told_from_their_checking_forms() {
    use Remedy::{Append, Drop, Replace};
    let remedy = |text: &str| mutation(&one(text)).map(|found| found.remedy);
    for (text, expected) in [
        ("cargo fmt", Append("--check")),
        ("cargo +nightly fmt --all", Append("--check")),
        ("cargo clippy --fix --allow-dirty", Drop("--fix".to_owned())),
        ("cargo insta test --accept", Replace("--accept".to_owned(), "--check")),
        ("npx prettier --write .", Replace("--write".to_owned(), "--check")),
        ("eslint . --fix", Drop("--fix".to_owned())),
        ("biome check --write src", Drop("--write".to_owned())),
        ("ruff check --fix", Drop("--fix".to_owned())),
        ("ruff format", Append("--check")),
        ("black src", Append("--check")),
        ("isort .", Append("--check-only")),
        ("jest -u", Drop("-u".to_owned())),
        ("vitest run --update", Drop("--update".to_owned())),
        ("pytest --snapshot-update", Drop("--snapshot-update".to_owned())),
        ("pytest --inline-snapshot=fix", Drop("--inline-snapshot=fix".to_owned())),
        ("go mod tidy", Append("-diff")),
        ("terraform fmt -recursive", Append("-check")),
        ("shfmt -w .", Replace("-w".to_owned(), "-d")),
        ("rubocop -A", Drop("-A".to_owned())),
        ("env UPDATE_EXPECT=1 cargo test", Drop("UPDATE_EXPECT=1".to_owned())),
        ("INSTA_UPDATE=always cargo test", Drop("INSTA_UPDATE=always".to_owned())),
    ] {
        assert_eq!(remedy(text), Some(expected), "{text}");
    }
    for text in [
        "gofmt -w .",
        "go fmt ./...",
        "sed -i s/a/b/ x",
        "cargo update",
        "dprint fmt",
        "clang-format -i a.c",
        "rustfmt src/lib.rs",
    ] {
        assert!(matches!(remedy(text), Some(Remedy::Say(_))), "{text}");
    }
    for text in [
        "cargo fmt --check",
        "cargo fmt --all -- --check",
        "rustfmt --check a.rs",
        "cargo clippy",
        "cargo insta test",
        "cargo insta test --check",
        "prettier --check .",
        "eslint .",
        "eslint --fix-dry-run .",
        "biome ci",
        "ruff check",
        "ruff format --check",
        "ruff format --diff",
        "black --check .",
        "isort --check-only .",
        "isort -c .",
        "jest",
        "jest --ci",
        "vitest run",
        "pytest",
        "pytest -q",
        "go mod tidy -diff",
        "gofmt -l .",
        "go vet ./...",
        "terraform fmt -check",
        "shfmt -d .",
        "rubocop",
        "cargo test --update",
        "UPDATE_EXPECT=0 cargo test",
        "INSTA_UPDATE=no cargo test",
        "sed -n 1p x",
        "cargo fmt --version",
        "pytest --inline-snapshot=report",
        "grep -w x y",
        "mocha -u bdd",
        "echo --fix",
    ] {
        assert_eq!(remedy(text), None, "{text}");
    }
}

#[test]
fn the_files_that_configure_a_tool_are_known() {
    let files = |text: &str| -> Vec<&str> { config_files(&one(text)).map(|config| config.file).collect() };
    assert!(files("pytest -q").contains(&"pytest.ini"));
    assert!(files("python -m pytest").contains(&"conftest.py"));
    assert!(files("cargo clippy --all-targets").contains(&"clippy.toml"));
    assert!(!files("cargo test").contains(&"clippy.toml"));
    assert!(files("cargo test").contains(&".cargo/config.toml"));
    assert!(files("npx eslint .").iter().any(|file| file.starts_with("eslint.config")));
    assert_eq!(files("./check.sh"), Vec::<&str>::new());
}

#[test]
fn scripts_of_the_repository_are_told_from_programs() {
    let script = |text: &str| scripts(&one(text)).map(str::to_owned);
    for (text, expected) in [
        ("./e2e.sh a", Some("./e2e.sh")),
        ("scripts/check", Some("scripts/check")),
        ("bash -e scripts/check.sh x", Some("scripts/check.sh")),
        ("bash -o pipefail x.sh", Some("x.sh")),
        ("python tools/check.py --x", Some("tools/check.py")),
        ("node tools/check.js", Some("tools/check.js")),
        ("node --test test/a.js", None),
        ("node -e 'x'", None),
        ("python -c 'x'", None),
        ("/usr/bin/check", None),
        ("cargo test", None),
        ("node_modules/.bin/jest", None),
        ("\"$DIR/check.sh\"", None),
        ("sh", None),
    ] {
        assert_eq!(script(text).as_deref(), expected, "{text}");
    }
}

#[test]
fn targets_of_build_files_are_read_off() {
    let package = |text: &str| match target(&one(text)) {
        Some(Target::Package { script, arguments, kept, directory, .. }) => {
            Some(format!("{directory}:{script}:{}:{}", arguments.join(","), kept.join(",")))
        }
        _ => None,
    };
    for (text, expected) in [
        ("npm test", Some(":test::")),
        ("npm test -- --grep x", Some(":test:--grep,x:")),
        ("npm run lint --fix", Some(":lint::--fix")),
        ("npm run lint --silent --prefix web", Some("web:lint::")),
        ("npm run lint -w web", None),
        ("npm --prefix web run build", Some("web:build::")),
        ("npm run -s lint x", Some(":lint:x:")),
        ("pnpm run test --grep x", Some(":test:--grep,x:")),
        ("pnpm test a", Some(":test:a:")),
        ("pnpm --filter web test", None),
        ("yarn lint src", Some(":lint:src:")),
        ("yarn add x", None),
        ("bun run check", Some(":check::")),
        ("bun test", None),
        ("npm ci", None),
        ("npm install", None),
    ] {
        assert_eq!(package(text).as_deref(), expected, "{text}");
    }
    assert_eq!(
        target(&one("make -C sub -j 4 test ARGS=x")),
        Some(Target::Make {
            directory: "sub".to_owned(),
            file: None,
            targets: vec!["test".to_owned()],
            variables: vec![("ARGS".to_owned(), "x".to_owned())]
        })
    );
    assert_eq!(
        target(&one("just --quiet test a b")),
        Some(Target::Just {
            directory: String::new(),
            file: None,
            recipe: Some("test".to_owned()),
            arguments: vec!["a".to_owned(), "b".to_owned()]
        })
    );
    assert_eq!(target(&one("just --list")), None);
}

fn body(makes: Makes) -> String {
    match makes {
        Makes::Recipe(recipe) => recipe.text,
        other => panic!("no recipe: {other:?}"),
    }
}

#[test]
fn build_files_are_expanded_one_level() {
    let json = r#"{"scripts": {"test": "jest --ci", "pretest": "tsc", "odd": 1}}"#;
    assert_eq!(body(package_script(json, "test")), "jest --ci");
    assert_eq!(
        package_script(json, "lint"),
        Makes::Nothing(vec!["odd".into(), "pretest".into(), "test".into()])
    );
    assert_eq!(package_script(json, "odd"), Makes::Unknown);
    assert_eq!(package_script("{", "test"), Makes::Unknown);
    assert_eq!(package_script("{}", "test"), Makes::Nothing(vec![]));

    let make = "CC := gcc\nexport X = a:b\n.PHONY: test lint\nall: test\n\ntest: build ## runs\n\t@cargo test $(ARGS) \\\n\t  --all\n\t-true\n\nlint fmt:\n\tcargo fmt\nclean: ; rm -rf x\ndefine T\nodd: x\nendef\n";
    assert_eq!(body(makefile(make, Some("test"))), "cargo test $(ARGS)  --all\ntrue");
    assert_eq!(body(makefile(make, Some("fmt"))), "cargo fmt");
    assert_eq!(body(makefile(make, Some("clean"))), "rm -rf x");
    assert_eq!(body(makefile(make, None)), "");
    let names = ["all", "test", "lint", "fmt", "clean"].map(str::to_owned).to_vec();
    assert_eq!(makefile(make, Some("tst")), Makes::Nothing(names));
    assert_eq!(makefile("include x.mk\na:\n\tb\n", Some("c")), Makes::Unknown);
    assert_eq!(makefile("%.o: %.c\n\tcc\n", Some("a.o")), Makes::Unknown);
    assert_eq!(makefile("", None), Makes::Unknown);

    let just = "set shell := ['sh']\nalias t := test\n\n# c\n[private]\ntest filter='a:b' *rest: build\n    @cargo test {{filter}}\n    true\nbuild:\n  cargo build\nscript:\n  #!/usr/bin/env python\n  x\n";
    let Makes::Recipe(test) = justfile(just, Some("t")) else { panic!("an alias is a name") };
    assert_eq!(
        (test.text.as_str(), test.variadic, test.others),
        ("@cargo test {{filter}}\ntrue\n", true, true)
    );
    assert_eq!(test.parameters, ["filter", "rest"]);
    assert_eq!(body(justfile(just, None)), test.text);
    assert!(matches!(justfile(just, Some("script")), Makes::Recipe(recipe) if recipe.lines[0].opaque));
    assert_eq!(
        justfile(just, Some("tes")),
        Makes::Nothing(["test", "build", "script", "t"].map(str::to_owned).to_vec())
    );
    assert_eq!(justfile("import 'x'\na:\n  b\n", Some("c")), Makes::Unknown);
}

proptest::proptest! {
    /// Whatever stands there is read, and no command is made of nothing.
    #[test]
    fn any_text_is_read_without_a_panic(text in "[a-z'\"\\\\$()`|&;<>#=! \n{}é-]{0,60}") {
        let line = Line::of_shell(&text);
        for call in &line.calls {
            proptest::prop_assert!(!call.words.is_empty() || !call.env.is_empty());
            let _ = (reach(call), mutation(call), scripts(call), target(call), config_files(call).count());
        }
        let _ = line.always_succeeds(&|_, _| true);
        let _ = (package_script(&text, "a"), makefile(&text, Some("a")), justfile(&text, Some("a")));
        let _ = (makefile(&text, None), justfile(&text, None));
    }
}
