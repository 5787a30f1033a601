//! Finds out how a repository is checked, from the manifests in its root.
//!
//! Does not know how that is written down, nor whether the tools are installed.

use serde_json::Value;

/// What one manifest says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Found {
    pub manifest: &'static str,
    /// Put before the verifiers' names when several manifests would use the same ones.
    pub prefix: &'static str,
    pub verifiers: Vec<Verifier>,
    /// What makes a new worktree ready, such as fetching dependencies: verifiers have no network.
    pub prepare: Option<Vec<String>>,
    /// For the person who called.
    pub notes: Vec<String>,
}

/// A command whose exit code says whether the tree is good.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Verifier {
    pub name: String,
    pub says: &'static str,
    pub run: Vec<String>,
    /// Commands whose output tells one version of the tools from another.
    pub tools: Vec<Vec<String>>,
}

/// Reads the manifests. `read` gives a file of the root; `committed` says whether the last commit has it.
pub(super) fn found(read: &dyn Fn(&str) -> Option<String>, committed: &dyn Fn(&str) -> bool) -> Vec<Found> {
    [cargo(read, committed), node(read), python(read), go(read)].into_iter().flatten().collect()
}

fn words(text: &str) -> Vec<String> {
    text.split(' ').map(str::to_owned).collect()
}

fn verifier(name: &str, says: &'static str, run: &str, tools: &[&str]) -> Verifier {
    Verifier {
        name: name.to_owned(),
        says,
        run: words(run),
        tools: tools.iter().map(|tool| words(tool)).collect(),
    }
}

fn cargo(read: &dyn Fn(&str) -> Option<String>, committed: &dyn Fn(&str) -> bool) -> Option<Found> {
    read("Cargo.toml")?;
    let version = ["cargo --version"];
    let verifiers = vec![
        verifier("fmt", "The code is formatted as rustfmt formats it.", "cargo fmt --all --check", &version),
        verifier("clippy", "clippy finds no errors.", "cargo clippy --workspace --all-targets", &version),
        verifier("test", "The tests pass.", "cargo test --workspace", &version),
    ];
    let mut notes = Vec::new();
    let prepare = if committed("Cargo.lock") {
        Some("cargo fetch --locked")
    } else if ignores(read, "Cargo.lock") {
        Some("cargo fetch")
    } else {
        // Left in a worktree, a new Cargo.lock would be a change outside every unit's scope.
        notes.push(
            "Cargo.lock is neither committed nor ignored; do one of them before a run, as cargo writes it."
                .to_owned(),
        );
        None
    };
    if !ignores(read, "target") {
        notes
            .push("`target` is not in .gitignore; put it there before a run, as cargo writes it.".to_owned());
    }
    Some(Found { manifest: "Cargo.toml", prefix: "rust", verifiers, prepare: prepare.map(words), notes })
}

/// The scripts that are looked for, and what each says when it passes.
const SCRIPTS: &[(&str, &str)] = &[
    ("lint", "The linter finds nothing."),
    ("typecheck", "The types are right."),
    ("test", "The tests pass."),
];

fn node(read: &dyn Fn(&str) -> Option<String>) -> Option<Found> {
    let manifest: Value = serde_json::from_str(&read("package.json")?).ok()?;
    let (program, prepare) = if read("pnpm-lock.yaml").is_some() {
        ("pnpm", Some("pnpm install --frozen-lockfile"))
    } else if read("yarn.lock").is_some() {
        // The first Yarn and its successors call it differently.
        let modern = read(".yarnrc.yml").is_some();
        ("yarn", Some(if modern { "yarn install --immutable" } else { "yarn install --frozen-lockfile" }))
    } else if read("package-lock.json").is_some() {
        ("npm", Some("npm ci"))
    } else {
        ("npm", None)
    };
    let scripts = &manifest["scripts"];
    let is_real =
        |name: &str| scripts[name].as_str().is_some_and(|script| !script.contains("no test specified"));
    let version = format!("{program} --version");
    let verifiers: Vec<Verifier> = SCRIPTS
        .iter()
        .filter(|(name, _)| is_real(name))
        .map(|(name, says)| {
            verifier(name, says, &format!("{program} run {name}"), &["node --version", &version])
        })
        .collect();
    if verifiers.is_empty() {
        return None;
    }
    let mut notes = Vec::new();
    if prepare.is_none() && ["dependencies", "devDependencies"].iter().any(|kind| manifest[kind].is_object())
    {
        notes.push("package.json has dependencies and there is no lock file; commit one and add `prepare npm ci` to loop.kdl.".to_owned());
    }
    if prepare.is_some() && !ignores(read, "node_modules") {
        notes.push(
            "`node_modules` is not in .gitignore; put it there before a run, as the dependencies go there."
                .to_owned(),
        );
    }
    Some(Found { manifest: "package.json", prefix: "node", verifiers, prepare: prepare.map(words), notes })
}

fn python(read: &dyn Fn(&str) -> Option<String>) -> Option<Found> {
    let manifest = read("pyproject.toml")?;
    let has = |table: &str| {
        manifest.lines().filter_map(|line| line.trim().strip_prefix('[')).any(|line| {
            line.strip_prefix(table).is_some_and(|rest| rest.starts_with(']') || rest.starts_with('.'))
        })
    };
    let mut verifiers = Vec::new();
    if has("tool.ruff") {
        verifiers.push(verifier("ruff", "ruff finds nothing.", "ruff check .", &["ruff --version"]));
    }
    if has("tool.pytest") {
        verifiers.push(verifier("pytest", "The tests pass.", "pytest", &["pytest --version"]));
    }
    if verifiers.is_empty() {
        return None;
    }
    let mut notes = Vec::new();
    if !["__pycache__", "*.pyc", "*.py[cod]", "*.py[codz]"].iter().any(|name| ignores(read, name)) {
        notes.push(
            "`__pycache__` is not in .gitignore; put it there before a run, as Python writes it.".to_owned(),
        );
    }
    Some(Found { manifest: "pyproject.toml", prefix: "python", verifiers, prepare: None, notes })
}

fn go(read: &dyn Fn(&str) -> Option<String>) -> Option<Found> {
    read("go.mod")?;
    let verifiers = vec![
        verifier("vet", "go vet finds nothing.", "go vet ./...", &["go version"]),
        verifier("test", "The tests pass.", "go test ./...", &["go version"]),
    ];
    // Without dependencies there is no go.sum, and nothing to fetch.
    let prepare = read("go.sum").map(|_| words("go mod download"));
    Some(Found { manifest: "go.mod", prefix: "go", verifiers, prepare, notes: Vec::new() })
}

/// Does a line of the root's .gitignore say so? Patterns that say it in a roundabout way are not seen.
fn ignores(read: &dyn Fn(&str) -> Option<String>, name: &str) -> bool {
    let text = read(".gitignore").unwrap_or_default();
    text.lines().any(|line| line.trim().trim_matches('/').trim_start_matches("**/") == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn look(files: &[(&str, &str)]) -> Vec<Found> {
        let read =
            |path: &str| files.iter().find(|(name, _)| *name == path).map(|(_, text)| (*text).to_owned());
        found(&read, &|path| read(path).is_some())
    }

    fn commands(found: &[Found]) -> Vec<String> {
        found.iter().flat_map(|kind| &kind.verifiers).map(|verifier| verifier.run.join(" ")).collect()
    }

    #[test]
    fn an_empty_root_has_nothing_to_run() {
        assert_eq!(look(&[]), []);
    }

    #[test]
    fn cargo_is_told_to_fetch_what_the_lock_file_says() {
        let found = look(&[("Cargo.toml", ""), ("Cargo.lock", ""), (".gitignore", "/target\n")]);
        assert_eq!(found[0].prepare, Some(words("cargo fetch --locked")));
        assert_eq!(found[0].notes, Vec::<String>::new());
        let ignored = look(&[("Cargo.toml", ""), (".gitignore", "target/\nCargo.lock\n")]);
        assert_eq!(ignored[0].prepare, Some(words("cargo fetch")));
        assert_eq!(ignored[0].notes, Vec::<String>::new());
        let neither = look(&[("Cargo.toml", "")]);
        assert_eq!((&neither[0].prepare, neither[0].notes.len()), (&None, 2));
    }

    #[test]
    fn only_scripts_that_exist_are_run_with_the_lock_files_program() {
        let manifest = r#"{"scripts": {"test": "vitest", "typecheck": "tsc", "build": "x"}}"#;
        for (lock, program) in
            [("pnpm-lock.yaml", "pnpm"), ("yarn.lock", "yarn"), ("package-lock.json", "npm"), ("x", "npm")]
        {
            let found = look(&[("package.json", manifest), (lock, "")]);
            assert_eq!(commands(&found), [format!("{program} run typecheck"), format!("{program} run test")]);
            assert_eq!(found[0].prepare.is_some(), lock != "x");
        }
        let placeholder = r#"{"scripts": {"test": "echo \"Error: no test specified\" && exit 1"}}"#;
        assert_eq!(look(&[("package.json", placeholder)]), []);
        assert_eq!(look(&[("package.json", "no JSON")]), []);
    }

    #[test]
    fn python_tools_count_only_where_they_are_configured() {
        let both = "[project]\nname = 'x'\n[tool.pytest.ini_options]\naddopts = '-q'\n[tool.ruff]\n";
        assert_eq!(commands(&look(&[("pyproject.toml", both)])), ["ruff check .", "pytest"]);
        assert_eq!(commands(&look(&[("pyproject.toml", "[tool.ruff.lint]\n")])), ["ruff check ."]);
        assert_eq!(look(&[("pyproject.toml", "[tool.ruffian]\n# [tool.pytest]\n")]), []);
    }

    #[test]
    fn several_manifests_are_all_seen() {
        let found = look(&[("Cargo.toml", ""), ("go.mod", ""), ("go.sum", "")]);
        let manifests: Vec<&str> = found.iter().map(|kind| kind.manifest).collect();
        assert_eq!(manifests, ["Cargo.toml", "go.mod"]);
        assert_eq!(found[1].prepare, Some(words("go mod download")));
    }
}
