//! What must be true before anything is paid: a repository, a base, a free branch, and the programs that will be needed.
//!
//! Does not start anything. Every refusal says what is wrong and what to do.

use std::sync::Arc;

use camino::Utf8Path;
use loop_compiler::graph::{Command, Graph, Node, NodeKind, Predicate, SandboxMode, Verify, Via};

use super::Setup;
use super::error::DriveError;
use super::judge::{Ground, Scope, reference_of};
use super::known::Known;
use super::place::Places;
use crate::digest::ObjectId;
use crate::fault::ExitCode;
use crate::journal::lock::{BranchLock, LockError};
use crate::process::resolve_program;
use crate::state::{Renamed, State};
use crate::store::Store;
use crate::workspace::Repository;

/// The branch of a feature, without `refs/heads/`.
pub fn branch_name(feature: &str) -> String {
    format!("loop/{feature}")
}

/// Takes the lock of the feature's branch: several features may run in one repository, one run each.
pub(super) fn lock(setup: &Setup) -> Result<BranchLock, DriveError> {
    let branch = branch_name(&setup.graph.feature.id);
    BranchLock::take(&setup.repository.state_dir(), &branch).map_err(|error| match &error {
        LockError::Held { .. } => DriveError::refused(ExitCode::Locked, error.to_string()),
        _ => DriveError::refused(ExitCode::Environment, error.to_string()),
    })
}

/// A run moves its branch, so nobody may have it checked out. To look at it is no hindrance for reading commands.
pub fn branch_is_free(repository: &Repository, feature: &str) -> Result<(), DriveError> {
    let branch = branch_name(feature);
    match repository.checked_out_in(&branch) {
        Some(place) => Err(usage(format!(
            "`{branch}` is checked out in {place}; switch to another branch there (`git switch -`), as runs move it"
        ))),
        None => Ok(()),
    }
}

/// Where a run stands: base and branch resolved, results of earlier runs read. `pinned` is the base of an open run.
pub fn ground(
    graph: Graph,
    repository: Repository,
    store: Arc<Store>,
    state: &State,
    base: Option<&str>,
    pinned: Option<&ObjectId>,
) -> Result<(Ground, String), DriveError> {
    let branch = branch_name(&graph.feature.id);
    if let Some(blocking) = repository.branch_name_blocked(&branch)? {
        return Err(usage(format!(
            "the branch `{branch}` cannot be made while the branch `{blocking}` exists; rename that one"
        )));
    }
    let head = repository.branch(&branch)?;
    let (name, start) = match (&head, pinned) {
        (Some(head), pinned) if base.is_none() || pinned.is_some() => (branch.clone(), head.clone()),
        // Nothing has landed yet: what the branch will grow from was decided when the run began.
        (None, Some(pinned)) => (branch.clone(), pinned.clone()),
        _ => resolve_base(&graph, &repository, base)?,
    };
    if let (Some(head), Some(asked)) = (&head, base)
        && !repository.is_ancestor(&start, head)?
    {
        return Err(usage(format!(
            "`{branch}` exists and does not contain `{asked}`; leave `--base` out to go on with it, or delete the branch and run its units anew with `--redo`"
        )));
    }
    let branch_exists = head.is_some();
    let tip = head.unwrap_or(start);
    let base = pinned.cloned().unwrap_or_else(|| tip.clone());
    let feature = graph.feature.id.clone();
    let known = Known::load(state, &store, &repository, &feature, &tip, renamed(&graph))?;
    let ground = Ground {
        topology: graph.topology(),
        base_tree: Arc::new(repository.tree(&base)?),
        tip_tree: repository.tree(&tip)?,
        base,
        tip,
        branch_exists,
        known,
        settled: Default::default(),
        graph,
        repository,
        store,
    };
    references_exist(&ground)?;
    Ok((ground, name))
}

/// What the plan says that its units were called before.
pub fn renamed(graph: &Graph) -> Renamed {
    let was = |node: &Node| Some((node.policy.was.clone()?, node.id.clone()));
    graph.nodes.iter().filter_map(was).collect()
}

fn usage(message: String) -> DriveError {
    DriveError::refused(ExitCode::Usage, message)
}

const NO_COMMITS: &str =
    "the repository has no commits yet; make a first one: `git add -A && git commit -m \"first\"`";

/// `--base`, then the feature's, the project's, the current branch.
fn resolve_base(
    graph: &Graph,
    repository: &Repository,
    asked: Option<&str>,
) -> Result<(String, ObjectId), DriveError> {
    if repository.resolve("HEAD")?.is_none() && asked.is_none() && graph.feature.base.is_none() {
        return Err(usage(NO_COMMITS.into()));
    }
    let (name, source) = match (asked, &graph.feature.base) {
        (Some(asked), _) => (asked.to_owned(), "`--base`"),
        (None, Some(base)) => (base.clone(), "`base=` in the plan"),
        (None, None) => match repository.current_branch() {
            Some(branch) => (branch, "the current branch"),
            None => {
                return Err(usage("HEAD is detached and nothing names a branch to start from; give `--base BRANCH`, or `base=` on the feature or project".into()));
            }
        },
    };
    match repository.resolve(&name)? {
        Some(commit) => Ok((name, commit)),
        None if repository.resolve("HEAD")?.is_none() => Err(usage(NO_COMMITS.into())),
        None => Err(usage(format!(
            "the base `{name}` ({source}) does not exist; `git branch -a` shows what does"
        ))),
    }
}

/// Every file that the plan reads at run time is on the base, or may be made by a unit before.
fn references_exist(ground: &Ground) -> Result<(), DriveError> {
    for node in ground.graph.nodes.iter().filter(|node| node.kind == NodeKind::Dispatch) {
        let rules = node.ask.rules.iter().map(|rules| reference_of(rules).path);
        let paths = node.ask.refs.iter().map(|reference| reference.path.clone()).chain(rules);
        for path in &paths.collect::<Vec<_>>() {
            if ground.base_tree.entry(path).is_some() || ground.tip_tree.entry(path).is_some() {
                continue;
            }
            let made = ground
                .topology
                .ancestors_in_canonical_order(node.index)
                .into_iter()
                .any(|before| Scope::of(ground.node(before)).allows(path));
            if !made {
                return Err(usage(format!(
                    "`{path}`, which unit `{}` reads, is not in commit {}; commit it first: agents see committed files only",
                    node.id,
                    ground.base.short()
                )));
            }
        }
    }
    Ok(())
}

/// The programs of agents and verifiers that the selected nodes use can be found.
pub(super) fn programs(ground: &Ground, places: &Places, selected: &[bool]) -> Result<(), DriveError> {
    sandboxes(&ground.graph, places)?;
    let opened = &ground.graph.agent_sandbox;
    for path in opened.read.iter().chain(&opened.write) {
        places.opened(path, &ground.repository)?;
    }
    let path = places.path();
    let root = ground.repository.root().to_owned();
    let nodes = || ground.graph.nodes.iter().filter(|node| selected[node.index as usize]);
    for agent in &ground.graph.agents {
        if !nodes().any(|node| node.policy.agent.as_deref() == Some(agent.id.as_str())) {
            continue;
        }
        let program = match (agent.via, agent.run.first()) {
            (_, Some(program)) => program.clone(),
            (Via::Command, None) => return Err(usage(format!("agent `{}` has no `run`", agent.id))),
            // Each of the others is called as its program is.
            (via, None) => via.word().to_owned(),
        };
        if !found(&program, &path, &root, ground) {
            let how = match agent.via {
                Via::Claude => "; `npm install -g @anthropic-ai/claude-code` installs it",
                Via::Codex => "; `npm install -g @openai/codex` installs it",
                Via::Opencode => "; `npm install -g opencode-ai` installs it",
                Via::Gemini => "; `npm install -g @google/gemini-cli` installs it",
                Via::Command if program.contains('/') => {
                    "; a path is relative to the worktree, so the file must be committed and executable"
                }
                Via::Command => "; install it, or name it with its path",
            };
            return Err(DriveError::refused(
                ExitCode::Environment,
                format!("the program `{program}` of agent `{}` was not found{how}", agent.id),
            ));
        }
    }
    for node in nodes() {
        let named = |verify: &Verify| format!("verifier `{}`", verify.verifier);
        let checks = node.policy.verify.iter().map(|verify| (named(verify), &verify.check));
        let criteria = node
            .ask
            .criteria
            .iter()
            .chain(&node.policy.gate_criteria)
            .flat_map(|criterion| &criterion.predicates);
        let commands = criteria.filter_map(|predicate| match predicate {
            Predicate::Command(check) => Some(("a criterion".to_owned(), check)),
            _ => None,
        });
        for show in &node.policy.shows {
            if let Command::Run(words) = &show.command {
                let shows = format!("`show \"{}\"`", show.text);
                program_of(&shows, words, &node.id, &path, &root, ground)?;
            }
        }
        for (name, check) in checks.chain(commands) {
            if let Command::Run(words) = &check.command {
                program_of(&name, words, &node.id, &path, &root, ground)?;
            }
        }
    }
    for verifier in &ground.graph.verifiers {
        for tool in &verifier.tools {
            program_of(&format!("verifier `{}`", verifier.id), tool, "", &path, &root, ground)?;
        }
    }
    if let Some(program) = ground.graph.worktree.prepare.first()
        && !found(program, &path, &root, ground)
    {
        return Err(DriveError::refused(
            ExitCode::Environment,
            format!("the program `{program}` of `prepare` was not found; install it"),
        ));
    }
    Ok(())
}

/// Where the plan requires a sandbox there is one.
fn sandboxes(graph: &Graph, places: &Places) -> Result<(), DriveError> {
    let required = [("agent", &graph.agent_sandbox), ("verifier", &graph.verifier_sandbox)];
    let required = required.into_iter().find(|(_, sandbox)| sandbox.mode == SandboxMode::Required);
    let Some((whose, _)) = required.filter(|_| !places.detected().containment.is_confined()) else {
        return Ok(());
    };
    Err(DriveError::refused(
        ExitCode::Environment,
        format!(
            "the plan says `sandbox {whose} mode=required`, and this machine has none; install bubblewrap (apt-get install bubblewrap), or write `mode=best-effort`"
        ),
    ))
}

fn program_of(
    name: &str,
    words: &[String],
    node: &str,
    path: &str,
    root: &Utf8Path,
    ground: &Ground,
) -> Result<(), DriveError> {
    let Some(program) = words.first().filter(|program| !found(program, path, root, ground)) else {
        return Ok(());
    };
    let of = if node.is_empty() { String::new() } else { format!(" (unit `{node}`)") };
    let message =
        format!("the program `{program}` of {name}{of} was not found; install it, or correct the plan");
    Err(DriveError::refused(ExitCode::Environment, message))
}

/// On PATH; or, given with a path, in the tree, or made by a unit of the plan, or on this machine.
fn found(program: &str, path: &str, root: &Utf8Path, ground: &Ground) -> bool {
    if !program.contains('/') {
        return resolve_program(program, path).is_some();
    }
    if program.starts_with('/') {
        return resolve_program(program, path).is_some();
    }
    let relative = program.strip_prefix("./").unwrap_or(program);
    ground.tip_tree.entry(relative).is_some()
        || ground.base_tree.entry(relative).is_some()
        || ground.graph.nodes.iter().any(|node| Scope::of(node).allows(relative))
        || ground.graph.worktree.share.iter().any(|share| {
            root.join(share).as_str().starts_with(root.as_str()) && relative.starts_with(share.as_str())
        })
}
