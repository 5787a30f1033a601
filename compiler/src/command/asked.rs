//! Which script or target of a build file a call asks for, and with which arguments.
//!
//! Does not know the build file.

use super::Call;
use super::shell::assignment;
use super::tools::name;

/// A script or target of a build file that a call asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// `npm run NAME`, `yarn NAME`.
    Package {
        manager: &'static str,
        directory: String,
        script: String,
        /// Words that reach the script's end.
        arguments: Vec<String>,
        /// Options that npm keeps for itself, since no `--` stands before them.
        kept: Vec<String>,
    },
    Make {
        directory: String,
        file: Option<String>,
        targets: Vec<String>,
        /// `NAME=value`.
        variables: Vec<(String, String)>,
    },
    Just {
        directory: String,
        file: Option<String>,
        recipe: Option<String>,
        arguments: Vec<String>,
    },
}

/// Words that package managers take for commands of their own, where `npm NAME` is no script.
const YARN_OWN: &[&str] = &[
    "add",
    "install",
    "remove",
    "init",
    "cache",
    "config",
    "info",
    "link",
    "unlink",
    "pack",
    "publish",
    "why",
    "up",
    "upgrade",
    "version",
    "workspace",
    "workspaces",
    "dedupe",
    "node",
    "plugin",
    "set",
    "audit",
    "outdated",
    "create",
    "global",
    "import",
    "list",
    "licenses",
    "login",
    "logout",
    "npm",
    "patch",
    "patch-commit",
    "rebuild",
    "search",
    "stage",
    "unplug",
    "constraints",
    "explain",
    "bin",
    "dlx",
    "exec",
    "help",
    "check",
    "generate-lock-entry",
];

/// Options that are meant for npm wherever they stand.
const NPM_OWN: &[&str] = &[
    "--silent",
    "-s",
    "--loglevel",
    "-d",
    "-dd",
    "-ddd",
    "-q",
    "--quiet",
    "--if-present",
    "--ignore-scripts",
    "--foreground-scripts",
    "--offline",
    "--prefer-offline",
    "--no-audit",
    "--no-fund",
    "--yes",
    "-y",
    "--workspaces",
    "-ws",
    "--include-workspace-root",
    "--color",
    "--no-color",
    "--script-shell",
    "--no-update-notifier",
    "--verbose",
];

/// The target that the call asks for, if it is one of a known kind of build file.
pub fn target(call: &Call) -> Option<Target> {
    match name(call) {
        "npm" => package(call, "npm", &["--prefix", "-C", "-w", "--workspace"]),
        "pnpm" => package(call, "pnpm", &["-C", "--dir", "-F", "--filter"]),
        "yarn" => package(call, "yarn", &["--cwd"]),
        "bun" => package(call, "bun", &["--cwd", "--filter"]),
        "make" | "gmake" => make(call),
        "just" => just(call),
        _ => None,
    }
}

fn package(call: &Call, manager: &'static str, values: &[&str]) -> Option<Target> {
    let mut directory = String::new();
    let mut words = call.arguments().iter().map(String::as_str);
    let mut run = false;
    let mut script: Option<String> = None;
    let (mut arguments, mut kept) = (Vec::new(), Vec::new());
    let mut open = false;
    while let Some(word) = words.next() {
        let (option, value) =
            word.split_once('=').map_or((word, None), |(option, value)| (option, Some(value)));
        if (script.is_none() || manager == "npm" && !open) && values.contains(&option) {
            let value = value.or_else(|| words.next())?;
            // Another package of a workspace: which one, only the manager knows.
            if ["-w", "--workspace", "-F", "--filter"].contains(&option) {
                return None;
            }
            value.clone_into(&mut directory);
        } else if script.is_some() && (open || !word.starts_with('-')) {
            arguments.push(word.to_owned());
        } else if script.is_some() && word == "--" {
            open = true;
            // pnpm and yarn hand it on as well.
        } else if script.is_some() {
            match manager {
                "npm" if NPM_OWN.contains(&option) => {}
                "npm" => kept.push(word.to_owned()),
                _ => arguments.push(word.to_owned()),
            }
        } else if word.starts_with('-') {
            // An option of the manager before the script's name.
        } else if !run && matches!(word, "run" | "run-script" | "rum" | "urn") {
            run = true;
        } else if run {
            script = Some(word.to_owned());
        } else {
            script = match (manager, word) {
                ("npm" | "pnpm" | "yarn", "test") => Some("test".to_owned()),
                ("npm" | "pnpm", "t" | "tst") => Some("test".to_owned()),
                ("npm" | "pnpm", "start" | "stop" | "restart") => Some(word.to_owned()),
                ("yarn", word) if !YARN_OWN.contains(&word) => Some(word.to_owned()),
                _ => return None,
            };
        }
    }
    let script = script.filter(|script| !script.contains(['$', '*', '{', '/', '&']))?;
    Some(Target::Package { manager, directory, script, arguments, kept })
}

fn make(call: &Call) -> Option<Target> {
    let (mut directory, mut file) = (String::new(), None);
    let (mut targets, mut variables) = (Vec::new(), Vec::new());
    let mut words = call.arguments().iter().map(String::as_str);
    while let Some(word) = words.next() {
        match word {
            "-C" | "--directory" => words.next()?.clone_into(&mut directory),
            "-f" | "--file" | "--makefile" => file = Some(words.next()?.to_owned()),
            "-j" | "-l" | "-I" | "-o" | "-W" => {
                // `-j` alone is no limit; a number behind it belongs to it.
                let mut ahead = words.clone();
                if ahead.next().is_some_and(|next| next.chars().all(|c| c.is_ascii_digit())) || word != "-j" {
                    words.next();
                }
            }
            word if word.starts_with('-') => {
                if let Some(value) = word.strip_prefix("--directory=").or(word.strip_prefix("-C")) {
                    value.clone_into(&mut directory);
                } else if let Some(value) = word.strip_prefix("--file=").or(word.strip_prefix("-f")) {
                    file = Some(value.to_owned());
                }
            }
            word => match assignment(word) {
                Some((name, value)) => variables.push((name.to_owned(), value.to_owned())),
                None if word.is_empty() => {}
                None => targets.push(word.to_owned()),
            },
        }
    }
    Some(Target::Make { directory, file, targets, variables })
}

fn just(call: &Call) -> Option<Target> {
    let (mut directory, mut file, mut recipe) = (String::new(), None, None);
    let mut arguments = Vec::new();
    let mut words = call.arguments().iter().map(String::as_str);
    while let Some(word) = words.next() {
        match word {
            _ if recipe.is_some() => arguments.push(word.to_owned()),
            "-f" | "--justfile" => file = Some(words.next()?.to_owned()),
            "-d" | "--working-directory" => words.next()?.clone_into(&mut directory),
            "--set" => {
                words.next();
                words.next();
            }
            // Lists, shows, formats or evaluates: no recipe runs.
            "-l" | "--list" | "--summary" | "--show" | "-s" | "--fmt" | "--evaluate" | "--dump"
            | "--choose" | "-c" | "--command" | "--version" | "--help" => return None,
            word if word.starts_with('-') => {}
            word if assignment(word).is_some() => {}
            word => recipe = Some(word.to_owned()),
        }
    }
    Some(Target::Just { directory, file, recipe, arguments })
}
