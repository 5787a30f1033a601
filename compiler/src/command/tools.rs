//! The table of known tools: how much a test runner covers, which files configure a tool, what starts a script or a
//! target of a build file.
//!
//! Does not know which of the files exist, and says nothing about a tool that is not in the table.

use super::Call;

/// How much of a project a test command covers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// Files that are named.
    File,
    /// What a filter, a package or a directory selects.
    Part,
    /// Everything.
    Suite,
}

/// A test runner's command line.
struct Runner {
    words: &'static [&'static str],
    /// Options whose value is the next word.
    values: &'static [&'static str],
    /// Options that select: with them it is not the whole suite.
    selects: &'static [&'static str],
    /// Arguments that mean everything.
    all: &'static [&'static str],
}

const fn runner(
    words: &'static [&'static str],
    values: &'static [&'static str],
    selects: &'static [&'static str],
    all: &'static [&'static str],
) -> Runner {
    Runner { words, values, selects, all }
}

const CARGO_VALUES: &[&str] = &[
    "--features",
    "-F",
    "--target",
    "--target-dir",
    "--manifest-path",
    "--profile",
    "-j",
    "--jobs",
    "--message-format",
    "--color",
    "--config",
    "-Z",
    "--cargo-profile",
    "--test-threads",
    "--retries",
    "--exclude",
    "--skip",
    "--format",
    "--partition",
    "--no-tests",
    "-P",
];
const CARGO_SELECTS: &[&str] = &[
    "-p",
    "--package",
    "--test",
    "--lib",
    "--bin",
    "--bins",
    "--example",
    "--examples",
    "--doc",
    "--bench",
    "-E",
    "--filter-expr",
    "--filterset",
    "--exact",
];
const JEST_VALUES: &[&str] = &[
    "-c",
    "--config",
    "-w",
    "--maxWorkers",
    "--reporters",
    "--coverageDirectory",
    "--testTimeout",
    "--seed",
    "--shard",
    "--outputFile",
    "--reporter",
    "--pool",
    "--environment",
    "--root",
    "--dir",
];
const JEST_SELECTS: &[&str] = &[
    "-t",
    "--testNamePattern",
    "--testPathPattern",
    "--testPathPatterns",
    "--findRelatedTests",
    "--onlyChanged",
    "-o",
    "--changedSince",
    "--changed",
    "--related",
    "--project",
    "--selectProjects",
    "--runTestsByPath",
];

static RUNNERS: &[Runner] = &[
    runner(&["cargo", "test"], CARGO_VALUES, CARGO_SELECTS, &[]),
    runner(&["cargo", "t"], CARGO_VALUES, CARGO_SELECTS, &[]),
    runner(&["cargo", "nextest", "run"], CARGO_VALUES, CARGO_SELECTS, &[]),
    runner(&["cargo", "nextest", "r"], CARGO_VALUES, CARGO_SELECTS, &[]),
    runner(&["cargo", "insta", "test"], CARGO_VALUES, CARGO_SELECTS, &[]),
    runner(
        &["pytest"],
        &[
            "-c",
            "--config-file",
            "-n",
            "--numprocesses",
            "-p",
            "-o",
            "--override-ini",
            "-W",
            "--tb",
            "--rootdir",
            "-r",
            "--maxfail",
            "--durations",
            "--junitxml",
            "--cov",
            "--cov-report",
            "--timeout",
            "--ignore",
            "--deselect",
            "--color",
            "--basetemp",
            "--import-mode",
            "-m",
        ],
        &["-k", "--lf", "--last-failed", "--pyargs", "-m"],
        &[".", "./", "test", "tests", "tests/", "test/"],
    ),
    runner(&["unittest"], &["-s", "-p", "-t", "-c"], &["-k"], &["discover"]),
    runner(&["tox"], &["-c", "--conf", "--workdir", "--root"], &["-e", "-f", "-m"], &["run"]),
    runner(&["nox"], &["-f", "--noxfile", "-p"], &["-s", "--session", "--sessions", "-k", "-t"], &[]),
    runner(&["jest"], JEST_VALUES, JEST_SELECTS, &["."]),
    runner(&["vitest"], JEST_VALUES, JEST_SELECTS, &["run", "watch", "dev"]),
    runner(
        &["mocha"],
        &["--config", "-R", "--reporter", "-r", "--require", "-t", "--timeout", "-u", "--ui", "--spec"],
        &["-g", "--grep", "-f", "--fgrep"],
        &["."],
    ),
    runner(&["ava"], &["--config", "-c", "--timeout", "-T"], &["-m", "--match"], &[]),
    runner(
        &["playwright", "test"],
        &["-c", "--config", "--reporter", "-j", "--workers", "--retries", "--timeout"],
        &["-g", "--grep", "--project", "--only-changed", "--last-failed", "--shard"],
        &[],
    ),
    runner(
        &["cypress", "run"],
        &["-b", "--browser", "-c", "--config", "-C", "--config-file", "-e", "--env", "-r"],
        &["-s", "--spec"],
        &[],
    ),
    runner(
        &["node", "--test"],
        &["--test-reporter", "--test-concurrency", "--import", "-r", "--require"],
        &["--test-name-pattern", "--test-only"],
        &[],
    ),
    runner(&["deno", "test"], &["--config", "-c", "--reporter"], &["--filter"], &["."]),
    runner(&["bun", "test"], &["--timeout", "--preload", "--reporter"], &["-t", "--test-name-pattern"], &[]),
    runner(
        &["go", "test"],
        &[
            "-timeout",
            "-count",
            "-tags",
            "-p",
            "-parallel",
            "-coverprofile",
            "-covermode",
            "-cpu",
            "-mod",
            "-ldflags",
            "-shuffle",
            "-vet",
            "-coverpkg",
            "-C",
            "-o",
            "-exec",
        ],
        &["-run", "-bench", "-fuzz"],
        &["./..."],
    ),
    runner(
        &["gotestsum"],
        &["--format", "-f", "--junitfile", "--rerun-fails", "--packages"],
        &["-run"],
        &["./..."],
    ),
    runner(
        &["dotnet", "test"],
        &[
            "-c",
            "--configuration",
            "-f",
            "--framework",
            "-l",
            "--logger",
            "-v",
            "--verbosity",
            "--results-directory",
            "-s",
            "--settings",
            "--collect",
        ],
        &["--filter"],
        &[],
    ),
    runner(
        &["mvn", "test"],
        &["-f", "-P", "-s", "-T"],
        &["-pl", "--projects", "-Dtest", "-Dit.test"],
        &["verify"],
    ),
    runner(&["mvn", "verify"], &["-f", "-P", "-s", "-T"], &["-pl", "--projects", "-Dtest", "-Dit.test"], &[]),
    runner(
        &["rspec"],
        &["-r", "-f", "--format", "-o", "--out", "-O"],
        &["-e", "--example", "-t", "--tag", "-E", "-P", "--pattern", "--only-failures"],
        &["spec", "spec/", "."],
    ),
    runner(
        &["phpunit"],
        &["-c", "--configuration", "--bootstrap", "--log-junit"],
        &["--filter", "--testsuite", "--group"],
        &["tests", "tests/"],
    ),
    runner(
        &["pest"],
        &["-c", "--configuration"],
        &["--filter", "--testsuite", "--group"],
        &["tests", "tests/"],
    ),
    runner(
        &["ctest"],
        &["--test-dir", "-j", "--parallel", "-C", "--timeout"],
        &["-R", "-L", "-I", "--tests-regex", "--label-regex"],
        &[],
    ),
    runner(
        &["mix", "test"],
        &["--seed", "--max-failures", "--formatter"],
        &["--only", "--failed", "--stale"],
        &[],
    ),
    runner(
        &["bats"],
        &["-j", "--jobs", "-F", "--formatter"],
        &["-f", "--filter"],
        &["test", "tests", "test/", "tests/", "."],
    ),
    runner(&["zig", "build", "test"], &[], &[], &[]),
    runner(&["swift", "test"], &["-c", "--configuration"], &["--filter", "--specifier"], &[]),
    runner(&["flutter", "test"], &["-r", "--reporter"], &["--name", "--plain-name", "-t", "--tags"], &[]),
    runner(&["dart", "test"], &["-r", "--reporter"], &["-n", "-N", "--name", "-t", "--tags"], &[]),
    runner(&["stack", "test"], &[], &["--ta", "--test-arguments"], &[]),
    runner(&["sbt", "test"], &[], &[], &[]),
];

/// The tool's name: the program without the directories that tools are installed into. A program of the repository
/// keeps its path.
pub fn name(call: &Call) -> &str {
    let program = call.program();
    let installed = program.starts_with('/')
        || ["node_modules/.bin/", "venv/bin/", "vendor/bin/"]
            .iter()
            .any(|directory| program.contains(directory));
    if installed { program.rsplit('/').next().unwrap_or(program) } else { program }
}

/// Arguments without a toolchain (`cargo +nightly`).
pub(super) fn arguments(call: &Call) -> impl Iterator<Item = &str> {
    call.arguments().iter().map(String::as_str).filter(|word| !word.starts_with('+'))
}

/// Does the call begin with these words, where options may stand between?
pub(super) fn begins(call: &Call, words: &[&str]) -> bool {
    let mut wanted = words[1..].iter();
    name(call) == words[0]
        && match wanted.len() {
            0 => true,
            _ => {
                let mut own =
                    arguments(call).filter(|word| !word.starts_with('-') || words[1..].contains(word));
                wanted.all(|word| own.next() == Some(word))
            }
        }
}

/// How much a known test runner covers; `None` for anything else.
pub fn reach(call: &Call) -> Option<Reach> {
    let runner = RUNNERS.iter().find(|runner| begins(call, runner.words))?;
    let mut reach = Reach::Suite;
    let mut own = runner.words[1..].iter().peekable();
    let mut words = arguments(call);
    while let Some(word) = words.next() {
        if own.peek() == Some(&&word) {
            own.next();
            continue;
        }
        let option = word.split_once('=').map_or(word, |(option, _)| option);
        if runner.selects.contains(&option) || runner.selects.iter().any(|known| joined(word, known)) {
            reach = narrower(reach, Reach::Part);
        }
        if runner.values.contains(&word) || runner.selects.contains(&word) {
            words.next();
            continue;
        }
        if word.is_empty() || word.starts_with('-') || runner.all.contains(&word) {
            continue;
        }
        let file = word.contains("::") && runner.words[0] == "pytest"
            || word.rsplit('/').next().is_some_and(|last| {
                last.rsplit_once('.').is_some_and(|(stem, end)| !stem.is_empty() && !end.is_empty())
                    && runner.words[0] != "cargo"
            });
        reach = narrower(reach, if file { Reach::File } else { Reach::Part });
    }
    Some(reach)
}

/// `-kname`: a value that follows its short option without a space.
fn joined(word: &str, option: &str) -> bool {
    option.len() == 2
        && option.starts_with('-')
        && word.len() > 2
        && word.starts_with(option)
        && !word.starts_with("--")
        && !["-l"].contains(&option)
}

fn narrower(a: Reach, b: Reach) -> Reach {
    match (a, b) {
        (Reach::File, _) | (_, Reach::File) => Reach::File,
        (Reach::Part, _) | (_, Reach::Part) => Reach::Part,
        _ => Reach::Suite,
    }
}

/// A file that a tool takes its settings from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Config {
    /// From the directory that the tool runs in; `{a,b}` are alternatives.
    pub file: &'static str,
    /// In a file with other content, only if this stands in it.
    pub section: Option<&'static str>,
}

const fn whole(file: &'static str) -> Config {
    Config { file, section: None }
}

const fn part(file: &'static str, section: &'static str) -> Config {
    Config { file, section: Some(section) }
}

const CARGO: &[Config] = &[whole(".cargo/config.toml"), whole(".cargo/config")];
const PYTEST: &[Config] = &[
    whole("pytest.ini"),
    whole(".pytest.ini"),
    whole("pytest.toml"),
    whole("conftest.py"),
    part("tox.ini", "[pytest]"),
    part("setup.cfg", "[tool:pytest]"),
    part("pyproject.toml", "[tool.pytest"),
];

/// Tool, further words that it must have, its files.
static CONFIGS: &[(&[&str], &[Config])] = &[
    (&["cargo"], CARGO),
    (
        &["cargo", "clippy"],
        &[
            whole("clippy.toml"),
            whole(".clippy.toml"),
            part("Cargo.toml", "lints]"),
            part("Cargo.toml", "lints."),
        ],
    ),
    (&["cargo", "fmt"], &[whole("rustfmt.toml"), whole(".rustfmt.toml")]),
    (&["rustfmt"], &[whole("rustfmt.toml"), whole(".rustfmt.toml")]),
    (&["cargo", "nextest"], &[whole(".config/nextest.toml")]),
    (&["cargo", "insta"], &[whole(".config/insta.yaml"), whole("insta.yaml")]),
    (&["cargo", "deny"], &[whole("deny.toml"), whole(".cargo/deny.toml")]),
    (&["cargo", "audit"], &[whole(".cargo/audit.toml")]),
    (&["pytest"], PYTEST),
    (
        &["mypy"],
        &[
            whole("mypy.ini"),
            whole(".mypy.ini"),
            part("setup.cfg", "[mypy"),
            part("pyproject.toml", "[tool.mypy"),
        ],
    ),
    (&["pyright"], &[whole("pyrightconfig.json"), part("pyproject.toml", "[tool.pyright")]),
    (&["ruff"], &[whole("ruff.toml"), whole(".ruff.toml"), part("pyproject.toml", "[tool.ruff")]),
    (&["black"], &[part("pyproject.toml", "[tool.black")]),
    (&["isort"], &[whole(".isort.cfg"), part("setup.cfg", "[isort"), part("pyproject.toml", "[tool.isort")]),
    (&["flake8"], &[whole(".flake8"), part("setup.cfg", "[flake8"), part("tox.ini", "[flake8")]),
    (&["pylint"], &[whole(".pylintrc"), whole("pylintrc"), part("pyproject.toml", "[tool.pylint")]),
    (&["coverage"], &[whole(".coveragerc"), part("pyproject.toml", "[tool.coverage")]),
    (&["tox"], &[whole("tox.ini"), part("pyproject.toml", "[tool.tox")]),
    (&["nox"], &[whole("noxfile.py")]),
    (&["jest"], &[whole("jest.config.{js,ts,mjs,cjs,json}"), part("package.json", "\"jest\":")]),
    (
        &["vitest"],
        &[
            whole("vitest.config.{js,ts,mjs,mts,cjs,cts}"),
            whole("vite.config.{js,ts,mjs,mts,cjs,cts}"),
            whole("vitest.workspace.{js,ts,json}"),
        ],
    ),
    (&["mocha"], &[whole(".mocharc.{js,cjs,yaml,yml,json,jsonc}"), part("package.json", "\"mocha\":")]),
    (&["ava"], &[whole("ava.config.{js,cjs,mjs}"), part("package.json", "\"ava\":")]),
    (&["playwright"], &[whole("playwright.config.{js,ts,mjs,mts}")]),
    (&["cypress"], &[whole("cypress.config.{js,ts,mjs,cjs}")]),
    (
        &["eslint"],
        &[
            whole("eslint.config.{js,mjs,cjs,ts,mts,cts}"),
            whole(".eslintrc{,.js,.cjs,.yaml,.yml,.json}"),
            whole(".eslintignore"),
            part("package.json", "\"eslintConfig\":"),
        ],
    ),
    (
        &["prettier"],
        &[
            whole(".prettierrc{,.json,.yml,.yaml,.json5,.js,.cjs,.mjs,.ts,.toml}"),
            whole("prettier.config.{js,cjs,mjs,ts}"),
            whole(".prettierignore"),
            part("package.json", "\"prettier\":"),
        ],
    ),
    (&["biome"], &[whole("biome.{json,jsonc}")]),
    (&["oxlint"], &[whole(".oxlintrc.json"), whole("oxlintrc.json")]),
    (
        &["stylelint"],
        &[
            whole(".stylelintrc{,.json,.yaml,.yml,.js,.cjs,.mjs}"),
            whole("stylelint.config.{js,cjs,mjs}"),
            part("package.json", "\"stylelint\":"),
        ],
    ),
    (&["tsc"], &[whole("tsconfig.json"), whole("tsconfig.base.json"), whole("tsconfig.build.json")]),
    (&["deno"], &[whole("deno.{json,jsonc}")]),
    (&["markdownlint"], &[whole(".markdownlint{.json,.jsonc,.yaml,.yml,rc}"), whole(".markdownlintignore")]),
    (
        &["markdownlint-cli2"],
        &[whole(".markdownlint-cli2.{jsonc,yaml,cjs,mjs}"), whole(".markdownlint.{json,jsonc,yaml,yml}")],
    ),
    (&["golangci-lint"], &[whole(".golangci.{yml,yaml,toml,json}")]),
    (&["staticcheck"], &[whole("staticcheck.conf")]),
    (&["rspec"], &[whole(".rspec")]),
    (&["rubocop"], &[whole(".rubocop.yml"), whole(".rubocop_todo.yml")]),
    (&["phpunit"], &[whole("phpunit.xml"), whole("phpunit.xml.dist"), whole("phpunit.dist.xml")]),
    (&["phpstan"], &[whole("phpstan.neon"), whole("phpstan.neon.dist"), whole("phpstan.dist.neon")]),
    (&["shellcheck"], &[whole(".shellcheckrc")]),
    (&["hadolint"], &[whole(".hadolint.{yaml,yml}")]),
    (&["yamllint"], &[whole(".yamllint"), whole(".yamllint.{yaml,yml}")]),
    (&["lychee"], &[whole("lychee.toml"), whole(".lycheeignore")]),
    (&["typos"], &[whole("typos.toml"), whole("_typos.toml"), whole(".typos.toml")]),
    (
        &["codespell"],
        &[whole(".codespellrc"), part("setup.cfg", "[codespell"), part("pyproject.toml", "[tool.codespell")],
    ),
    (&["taplo"], &[whole("taplo.toml"), whole(".taplo.toml")]),
    (&["dprint"], &[whole("dprint.json"), whole(".dprint.json")]),
    (&["clang-format"], &[whole(".clang-format"), whole("_clang-format")]),
    (&["clang-tidy"], &[whole(".clang-tidy")]),
    (&["swiftlint"], &[whole(".swiftlint.yml")]),
    (&["stylua"], &[whole("stylua.toml"), whole(".stylua.toml")]),
    (&["pre-commit"], &[whole(".pre-commit-config.yaml")]),
];

/// The files that a known tool takes its settings from.
pub fn config_files(call: &Call) -> impl Iterator<Item = Config> {
    CONFIGS.iter().filter(|(words, _)| begins(call, words)).flat_map(|(_, files)| files.iter().copied())
}

/// Programs that run the file which is their first argument; options that take a value; options with which they run
/// something else: code on the command line, or files that are tests.
const INTERPRETERS: &[(&[&str], &[&str], &[&str])] = &[
    (&["sh", "bash", "dash", "zsh", "ksh", "ash"], &["-o"], &["-c", "-n", "--version"]),
    (&["python", "python3", "pypy", "pypy3"], &["-W", "-X"], &["-c", "-m", "-V", "--version"]),
    (
        &["node"],
        &["-r", "--require", "--import", "--loader"],
        &["-e", "-p", "--eval", "--print", "--test", "-c", "--check", "-v", "--version"],
    ),
    (
        &["ruby", "perl"],
        &["-r", "-I"],
        &["-e", "-c", "-n", "-p", "-ne", "-pe", "-pi", "-i", "-v", "--version"],
    ),
    (&["php"], &["-d"], &["-r", "-l", "-v", "--version"]),
    (&["tsx", "ts-node", "Rscript", "lua"], &["-P", "--project", "-l"], &["-e", "-v", "--version"]),
];

/// Does the program run a script of the repository that its first argument names?
pub(super) fn interpreted(call: &Call) -> Option<usize> {
    let (_, values, other) = INTERPRETERS.iter().find(|(known, ..)| known.contains(&name(call)))?;
    let mut at = 1;
    while let Some(word) = call.words.get(at).map(String::as_str) {
        if !word.starts_with('-') {
            return Some(at);
        }
        if other.contains(&word) {
            return None;
        }
        at += if values.contains(&word) { 2 } else { 1 };
    }
    None
}

/// The script of the repository that the call starts, as it is written: the program itself if it is given by its
/// path, or what an interpreter is told to run.
pub fn scripts(call: &Call) -> Option<&str> {
    let path = match interpreted(call) {
        Some(at) => call.words.get(at)?.as_str(),
        None if call.program().contains('/') && !call.program().starts_with('/') => call.program(),
        None => return None,
    };
    let plain = !path.is_empty() && !path.starts_with(['/', '~']) && !path.contains(['$', '*', '?']);
    (plain && !path.contains("node_modules/") && !path.contains("venv/bin/")).then_some(path)
}

/// Would an argument at the end of this call select or change anything? `None` if nobody knows.
pub fn uses_arguments(call: &Call) -> Option<bool> {
    if RUNNERS.iter().any(|runner| begins(call, runner.words)) {
        return Some(true);
    }
    let deaf = [
        "true", "false", ":", "exit", "echo", "printf", "sleep", "pwd", "date", "cd", "export", "set", "wait",
    ];
    if deaf.contains(&call.program()) {
        return Some(false);
    }
    None
}
