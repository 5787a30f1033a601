//! The user's checkout, index, refs, stash, configuration, hooks and untracked files are the same before and after.
//!
//! Does not know how agents are kept away; where nothing keeps them away, the promise is that it is noticed.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

use loop_tests::{BRANCH, Lane, Repo, creates, lane};

const ONE: &str = r#"
    unit a { goal "Make one."; creates "out/one.txt"; accept "it is checked" by=check; }
"#;

/// A user in the middle of work: staged, changed, untracked and ignored files, a stash, a branch, a hook.
fn busy(script: &str) -> Repo {
    let repo = Repo::scripted(ONE, &[("a", script)]);
    repo.write(".gitignore", "*.log\n");
    repo.write("src/b.txt", "b\n");
    repo.commit("More");
    repo.write("src/a.txt", "stashed\n");
    repo.git(&["stash", "push", "--quiet", "--message", "mine"]);
    repo.git(&["branch", "precious"]);
    repo.write("src/a.txt", "changed\n");
    repo.write("src/staged.txt", "staged\n");
    repo.git(&["add", "src/staged.txt"]);
    repo.write("src/staged.txt", "staged, then changed\n");
    repo.write("notes.log", "ignored\n");
    repo.write("untracked/with space and \"quotes\".txt", "u\n");
    repo.write("untracked/line\nbreak.txt", "n\n");
    repo.write("untracked/Übergrößen-Ελλάδα.txt", "ü\n");
    let raw = repo.root().join(OsStr::from_bytes(b"untracked/\xff\xfe.bin"));
    std::fs::write(raw, "raw").expect("Linux takes any bytes in names");
    repo.write_executable(".git/hooks/post-commit", "#!/bin/sh\ntouch \"$HOME/hook-ran\"\n");
    repo.write_executable(".git/hooks/reference-transaction", "#!/bin/sh\ntouch \"$HOME/hook-ran\"\n");
    repo
}

fn hook_ran(repo: &Repo) -> bool {
    repo.outside().join("home/hook-ran").exists()
}

#[test]
fn a_good_run_leaves_the_users_work_alone() {
    let repo = busy(&creates("out/one.txt", "1"));
    let before = repo.snapshot();
    repo.exec(&[]).expect(0);
    before.assert_same(&repo.snapshot());
    assert_eq!(repo.landed(BRANCH), ["a"]);
    assert!(!hook_ran(&repo), "commits are made without the user's hooks");
    let files = repo.git(&["ls-tree", "-r", "--name-only", BRANCH]);
    assert!(
        !files.contains("staged") && !files.contains("untracked"),
        "nothing of the user's landed: {files}"
    );
}

#[test]
fn a_failed_run_leaves_the_users_work_alone() {
    let repo = busy("touch broken; exit 1");
    let before = repo.snapshot();
    assert_ne!(repo.exec(&[]).code, 0);
    before.assert_same(&repo.snapshot());
    assert!(!hook_ran(&repo));
}

/// Whatever git commands an agent gives in its worktree, they reach its private repository alone.
#[test]
fn git_commands_in_the_worktree_reach_nobody() {
    let script = format!(
        "{}echo x > src/a.txt; git stash -q 2>/dev/null; git stash drop -q 2>/dev/null\n\
         git branch -D precious main 2>/dev/null; git tag evil; git config core.fsmonitor 'sh -c \"touch /tmp/evil\"'; git config user.name Evil\n\
         mkdir -p .git/hooks 2>/dev/null; git reset -q --hard; git clean -qfdx -e out; git gc -q --prune=now 2>/dev/null\n{}",
        creates("out/one.txt", "1"),
        creates("out/one.txt", "1"),
    );
    let repo = busy(&script);
    let before = repo.snapshot();
    repo.exec(&[]).expect(0);
    before.assert_same(&repo.snapshot());
    assert_eq!(repo.landed(BRANCH), ["a"]);
    repo.git(&["fsck", "--no-dangling"]);
}

/// An agent that looks for the user's repository and would destroy it.
#[test]
fn under_bubblewrap_a_hostile_agent_reaches_nothing() {
    if lane(Lane::Bubblewrap, "rules_user::under_bubblewrap_a_hostile_agent_reaches_nothing").is_none() {
        return;
    }
    let repo = busy("");
    let (root, home) = (repo.root(), repo.outside().join("home"));
    let (root, home) = (root.display(), home.display());
    repo.write("agents/unit/a.sh", format!(
        "rm -rf '{root}/src' '{root}/.git/refs' '{root}/.git/hooks' '{root}/untracked' 2>/dev/null\n\
         echo evil > '{root}/src/a.txt'; echo evil >> '{root}/.git/config'; touch '{root}/evil' '{home}/evil'\n\
         git --git-dir '{root}/.git' update-ref -d refs/heads/precious; git -C '{root}' stash drop\n\
         for up in .. ../.. ../../.. ../../../..; do touch \"$up/evil\"; mkdir \"$up/.cargo\"; done\n\
         exec 2>/dev/null\n{}",
        creates("out/one.txt", "1"),
    ));
    repo.git(&["-c", "core.hooksPath=/dev/null", "add", "agents"]);
    repo.git(&["-c", "core.hooksPath=/dev/null", "commit", "--quiet", "--message", "Hostile", "agents"]);
    let before = repo.snapshot();
    let run = repo.exec(&[]);
    before.assert_same(&repo.snapshot());
    assert!(!repo.outside().join("home/evil").exists(), "the home is another one");
    assert!(!hook_ran(&repo));
    assert_eq!(run.code, 0, "its own work was good, so it landed:\n{}", run.all());
}

/// Without a sandbox the promise is detection: such a run stops, says so, and lands nothing.
#[test]
fn unconfined_tampering_is_noticed() {
    let mut repo = Repo::scripted(ONE, &[("a", "")]);
    repo.git(&["branch", "precious"]);
    let git = repo.root().join(".git");
    repo.script(
        "a",
        &format!("{}rm -f '{}/refs/heads/precious'", creates("out/one.txt", "1"), git.display()),
    );
    repo.commit("Hostile");
    repo.set_env("LOOP_CONTAINMENT", "off");
    let run = repo.exec(&[]);
    assert_ne!(run.code, 0, "{}", run.all());
    assert_eq!(repo.journal().units_of("tampered"), ["a"], "{}", run.all());
    assert!(repo.journal().of("unit.accepted").is_empty());
    assert!(run.all().contains("precious"), "it says what changed:\n{}", run.all());
}

/// Names that shells and line-based tools trip over, in what agents write.
#[test]
fn names_of_every_kind_land() {
    let script = "mkdir -p out; printf 1 > 'out/one.txt'; printf 2 > 'out/with space'; printf 3 > 'out/qu\"ote'\\''s'\n\
                  printf 4 > \"out/line\nbreak\"; printf 5 > 'out/-rf'; printf 6 > 'out/größe'; printf 7 > 'out/$(touch evil)'\n";
    let body = ONE.replace("creates \"out/one.txt\"", "creates \"out/one.txt\"; writes \"out/**\"");
    let repo = Repo::scripted(&body, &[("a", script)]);
    repo.exec(&[]).expect(0);
    let listed = repo.git(&["ls-tree", "-r", "-z", "--name-only", BRANCH, "out/"]);
    let mut names: Vec<&str> = listed.split('\0').filter(|name| !name.is_empty()).collect();
    names.sort_unstable();
    assert_eq!(
        names,
        [
            "out/$(touch evil)",
            "out/-rf",
            "out/größe",
            "out/line\nbreak",
            "out/one.txt",
            "out/qu\"ote's",
            "out/with space"
        ]
    );
}
