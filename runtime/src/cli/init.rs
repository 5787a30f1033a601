//! `loop init`: writes a `loop.kdl` that fits the repository, and an example plan.
//!
//! Does not know what the tools that it finds do, nor whether they are installed: `loop doctor` looks for those.

mod document;
mod found;

use std::io::Write as _;

use camino::{Utf8Path, Utf8PathBuf};
use loop_compiler::compile::compile;
use loop_compiler::diagnostic::render::short;
use loopc::disk::{self, Overlay, PROJECT_FILE};

use self::document::{Facts, example, project};
use self::found::found;
use super::load::current_directory;
use super::output::{Failure, print};
use crate::fault::ExitCode;
use crate::process::resolve_program;
use crate::workspace::Repository;

/// The example plan.
const EXAMPLE_FILE: &str = "example.loop.kdl";

/// What the example's unit writes, in the repository's root: a directory of documents may be ignored. The first name
/// that is free is taken.
const TARGETS: &[&str] = &["OVERVIEW.md", "REPOSITORY-OVERVIEW.md", "loop-example-overview.md"];

pub(super) fn run(dir: Option<&Utf8Path>) -> Result<ExitCode, Failure> {
    let dir = match dir {
        Some(dir) => current_directory()?.join(dir),
        None => current_directory()?,
    };
    if !dir.is_dir() {
        return Err(Failure::usage(format!(
            "{dir} is no directory; make it with `git init {dir}`, or name another one"
        )));
    }
    let files = disk::Repository::find(&dir).map_err(|error| Failure::usage(error.to_string()))?;
    let repository = Repository::discover(&dir)?;
    let root = files.root.clone();
    for name in [PROJECT_FILE, EXAMPLE_FILE] {
        if root.join(name).symlink_metadata().is_ok() {
            return Err(Failure::usage(format!(
                "{} is there already, and nothing was written; move it away to get a new one",
                root.join(name)
            )));
        }
    }
    let committed = repository.resolve("HEAD")?;
    let tree = committed.as_ref().map(|commit| repository.tree(commit)).transpose()?;
    let found = found(&|path| std::fs::read_to_string(root.join(path)).ok(), &|path| {
        tree.as_ref().is_some_and(|tree| tree.entry(path).is_some())
    });
    let facts = Facts {
        name: root.file_name().unwrap_or_default().to_owned(),
        base: base(&repository)?,
        claude: resolve_program("claude", &std::env::var("PATH").unwrap_or_default()).is_some(),
        target: TARGETS
            .iter()
            .find(|name| root.join(name).symlink_metadata().is_err())
            .unwrap_or(&TARGETS[0]),
    };
    let (project, example) = (project(&found, &facts), example(&facts));
    checks_clean(&files, &project, &example)?;
    write_both(&root, &project, &example)?;

    let mut text = String::new();
    let manifests: Vec<&str> = found.iter().map(|kind| kind.manifest).collect();
    text.push_str(&match manifests.as_slice() {
        [] => {
            "Found no Cargo.toml, package.json, pyproject.toml or go.mod with something to run.\n".to_owned()
        }
        manifests => format!("Found {}.\n", manifests.join(", ")),
    });
    let verifiers = document::verifier_names(&found);
    text.push_str(&format!("Wrote {} (verified by {})\n", root.join(PROJECT_FILE), verifiers.join(", ")));
    text.push_str(&format!("Wrote {} (one unit, which writes {})\n", root.join(EXAMPLE_FILE), facts.target));
    for note in found.iter().flat_map(|kind| &kind.notes) {
        text.push_str(&format!("Note: {note}\n"));
    }
    if !facts.claude {
        text.push_str("Note: `claude` is not on the PATH; put the command of your agent in place of `your-agent` in loop.kdl.\n");
    }
    if committed.is_none() {
        text.push_str("Note: the repository has no commits yet, and a run starts from one: git add -A && git commit -m \"first\"\n");
    }
    let place = if current_directory()?.canonicalize_utf8().is_ok_and(|current| current.starts_with(&root)) {
        String::new()
    } else {
        format!("  cd {root}\n")
    };
    text.push_str(&format!("\nNext:\n{place}  loop doctor {EXAMPLE_FILE}    is everything there that it needs?\n  loop exec {EXAMPLE_FILE}      run it\n"));
    print(&text)?;
    Ok(ExitCode::Complete)
}

/// The branch to start from, where the current one does not say: HEAD is detached.
fn base(repository: &Repository) -> Result<Option<String>, Failure> {
    if repository.current_branch().is_some() {
        return Ok(None);
    }
    for name in ["main", "master", "trunk", "develop"] {
        if repository.branch(name)?.is_some() {
            return Ok(Some(name.to_owned()));
        }
    }
    Ok(None)
}

/// What is about to be written is compiled first: a plan of ours that does not check clean is our mistake.
fn checks_clean(files: &disk::Repository, project: &str, example: &str) -> Result<(), Failure> {
    let disk = files.sources();
    let below = Overlay { under: &disk, path: PROJECT_FILE.into(), bytes: project.as_bytes().to_vec() };
    let sources = Overlay { under: &below, path: EXAMPLE_FILE.into(), bytes: example.as_bytes().to_vec() };
    let plan = Utf8PathBuf::from(EXAMPLE_FILE);
    let compilation = compile(Some(Utf8Path::new(PROJECT_FILE)), std::slice::from_ref(&plan), &sources);
    if compilation.diagnostics.is_empty() {
        return Ok(());
    }
    let found = short(&compilation.diagnostics, &compilation.map);
    Err(Failure::new(
        ExitCode::Internal,
        format!("nothing was written, because it would not check clean:\n{}", found.trim_end()),
    ))
}

/// Writes both files, or none.
fn write_both(root: &Utf8Path, project: &str, example: &str) -> Result<(), Failure> {
    create(&root.join(PROJECT_FILE), project)?;
    create(&root.join(EXAMPLE_FILE), example).inspect_err(|_| {
        // It is ours and new; if it cannot be removed, the message about the other file still tells why.
        let _ = std::fs::remove_file(root.join(PROJECT_FILE));
    })
}

/// Never replaces a file, also not one that came just now.
fn create(path: &Utf8Path, text: &str) -> Result<(), Failure> {
    let wrote = std::fs::File::create_new(path).and_then(|mut file| file.write_all(text.as_bytes()));
    wrote.map_err(|error| match error.kind() {
        std::io::ErrorKind::AlreadyExists => {
            Failure::usage(format!("{path} is there already, and nothing was written"))
        }
        _ => Failure::new(ExitCode::Environment, format!("cannot write {path}: {error}")),
    })
}
