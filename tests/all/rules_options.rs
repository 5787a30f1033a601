//! Options of `loop exec`, refusals before anything is paid, and what a person does to the branch between runs.
//!
//! Does not know how plans are compiled.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use loop_tests::{BRANCH, Outcome, PLAN, Repo, each_level};

const ONE: &str = r#"unit one { goal "Make it."; creates "out.txt"; accept "it is made" by=check; }"#;
const MADE: (&str, &str) = ("one", "echo made > out.txt\n");
const TWO: &str = r#"
    unit one { goal "Make it."; creates "out.txt"; accept "it is made" by=check; }
    unit two { needs one; goal "More."; creates "two.txt"; accept "it is made" by=check; }"#;
const BOTH: [(&str, &str); 2] = [MADE, ("two", "cp out.txt two.txt\n")];

/// Every file below a directory, byte for byte.
fn bytes(root: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let (mut files, mut open) = (BTreeMap::new(), vec![root.to_owned()]);
    while let Some(directory) = open.pop() {
        for entry in fs::read_dir(&directory).expect("a directory is listed").flatten() {
            if entry.path().is_dir() {
                open.push(entry.path());
            }
            files.insert(entry.path(), fs::read(entry.path()).unwrap_or_default());
        }
    }
    files
}

#[track_caller]
fn same(before: &BTreeMap<PathBuf, Vec<u8>>, after: &BTreeMap<PathBuf, Vec<u8>>) {
    let names: std::collections::BTreeSet<_> = before.keys().chain(after.keys()).collect();
    let changed: Vec<_> = names.into_iter().filter(|name| before.get(*name) != after.get(*name)).collect();
    assert!(changed.is_empty(), "a command that only looks wrote {changed:?}");
}

/// A refusal: this code, these words, no agent, no journal.
#[track_caller]
fn refused(repo: &Repo, run: &Outcome, code: i32, words: &[&str]) {
    assert_eq!(run.code, code, "{}", run.all());
    for word in words {
        assert!(run.all().contains(word), "{word:?} is not in:\n{}", run.all());
    }
    assert_eq!(repo.count("agent") + repo.count("verifier"), 0, "something was paid:\n{}", run.all());
    assert!(repo.journal_files().is_empty(), "a journal was begun:\n{}", run.all());
}

#[test]
fn a_dry_run_writes_not_one_byte() {
    let repo = Repo::counted("off", TWO, &BOTH);
    let before = bytes(repo.outside());
    let run = repo.exec(&["--dry-run"]).expect(0);
    same(&before, &bytes(repo.outside()));
    assert!(run.all().contains("one") && run.all().contains("two"), "{}", run.all());
    repo.exec(&[]).expect(0);
    let before = bytes(repo.outside());
    let run = repo.exec(&["--dry-run"]).expect(0);
    assert!(run.all().contains("0 units would run"), "{}", run.all());
    repo.run_loop(&["status"]).expect(0);
    repo.run_loop(&["why", "one"]).expect(0);
    repo.run_loop(&["log"]).expect(0);
    repo.run_loop(&["audit", "verify"]).expect(0);
    same(&before, &bytes(repo.outside()));
}

#[test]
fn json_output_is_the_journal_byte_for_byte() {
    let repo = Repo::counted("off", TWO, &BOTH);
    let run = repo.exec(&["--json"]).expect(0);
    let files = repo.journal_files();
    let journal = fs::read_to_string(files.first().expect("there is a journal")).expect("it is text");
    assert_eq!(run.stdout, journal);
    assert!(journal.lines().all(|line| serde_json::from_str::<serde_json::Value>(line).is_ok()));
    assert_eq!(repo.exec(&["--json"]).expect(0).stdout, "", "nothing happened, nothing is said");
}

#[test]
fn a_unit_that_was_asked_for_by_name_runs_with_what_it_needs_and_nothing_else() {
    let body =
        format!("{TWO}\nunit other {{ goal \"Else.\"; creates \"else.txt\"; accept \"made\" by=check; }}");
    let repo = Repo::counted("off", &body, &[BOTH[0], BOTH[1], ("other", "exit 1\n")]);
    repo.exec(&["--unit", "two"]).expect(0);
    assert_eq!(repo.landed(BRANCH), ["one", "two"]);
    repo.exec(&["--unit", "other"]).expect(1);
    repo.exec(&[]).expect(4);
    assert_eq!(repo.count("agent"), 3);
}

#[test]
fn base_is_where_a_new_branch_starts() {
    let repo = Repo::counted("off", ONE, &[MADE]);
    let first = repo.git(&["rev-parse", "main"]);
    repo.write("later.txt", "x\n");
    repo.commit("Later");
    repo.exec(&["--base", &first]).expect(0);
    assert_eq!(repo.git(&["rev-parse", &format!("{BRANCH}~1")]), first);
    let run = repo.exec(&["--base", "main"]).expect(2);
    assert!(run.all().contains("does not contain"), "{}", run.all());
    assert_eq!(repo.count("agent"), 1);
    let run = repo.exec(&["--base", "nowhere"]).expect(2);
    assert!(run.all().contains("nowhere"), "{}", run.all());
}

#[test]
fn a_plan_that_is_not_committed_runs() {
    each_level("rules_options::a_plan_that_is_not_committed", |level| {
        let repo = Repo::counted(level, ONE, &[MADE]);
        repo.git(&["rm", "--quiet", "--cached", PLAN, "loop.kdl"]);
        repo.git(&["commit", "--quiet", "--message", "Keep the plan to myself"]);
        let before = repo.snapshot();
        repo.exec(&[]).expect(0);
        before.assert_same(&repo.snapshot());
        assert_eq!(repo.git(&["diff", "--name-only", "main", BRANCH]), "out.txt");
    });
}

#[test]
fn what_is_missing_is_said_before_anything_is_paid() {
    let one = || Repo::counted("off", ONE, &[MADE]);

    let repo = one();
    repo.edit("loop.kdl", "run sh \"agents/work.sh\"", "run \"no-such-agent\"");
    refused(&repo, &repo.exec(&[]), 6, &["no-such-agent", "scripted", "install it"]);

    let repo = one();
    repo.edit("loop.kdl", "run sh \"agents/work.sh\"", "run \"./agents/none.sh\"");
    refused(&repo, &repo.exec(&[]), 6, &["./agents/none.sh"]);

    let repo = one();
    let project = repo.read("loop.kdl");
    let from = project.find("shell").expect("the verifier has a command");
    let to = project[from..].find('\n').expect("it ends") + from;
    repo.write("loop.kdl", format!("{}run \"no-such-verifier\" now{}", &project[..from], &project[to..]));
    refused(&repo, &repo.exec(&[]), 6, &["no-such-verifier", "check"]);

    let repo = one();
    repo.edit("loop.kdl", "verifier check {", "verifier check {\ntool no-such-tool \"--version\"\n");
    refused(&repo, &repo.exec(&[]), 6, &["no-such-tool"]);

    let repo = one();
    repo.edit(
        "loop.kdl",
        "    protect \"agents/**\"",
        "    protect \"agents/**\"\n    worktree { prepare no-such-prepare; }",
    );
    refused(&repo, &repo.exec(&[]), 6, &["no-such-prepare"]);

    // Agents see committed files only, so a file that the plan reads has to be committed.
    let repo = one();
    repo.write("docs/spec.md", "# Wanted\n\ntext\n");
    repo.edit(PLAN, "creates \"out.txt\";", "creates \"out.txt\"; ref \"docs/spec.md#Wanted\";");
    refused(&repo, &repo.exec(&[]), 2, &["docs/spec.md", "commit it"]);

    let repo = one();
    refused(&repo, &repo.exec(&["--unit", "on"]), 2, &["did you mean `one`"]);
    refused(&repo, &repo.exec(&["--redo", "nothing-like-it"]), 2, &["nothing-like-it"]);
    refused(&repo, &repo.exec(&["--jobs", "many"]), 2, &["many"]);
    refused(&repo, &repo.run_loop(&["exec", "loop.kdl"]), 2, &["loop.kdl"]);
    refused(&repo, &repo.run_loop(&["exec", "none.loop.kdl"]), 2, &["none.loop.kdl"]);
}

#[test]
fn a_repository_that_cannot_be_worked_in_is_refused_with_words() {
    let one = || Repo::counted("off", ONE, &[MADE]);

    let repo = one();
    repo.git(&["switch", "--quiet", "--create", "other"]);
    repo.git(&["branch", "--quiet", "-D", "main"]);
    refused(&repo, &repo.exec(&[]), 2, &["main", "does not exist"]);

    let repo = one();
    repo.git(&["branch", "loop"]);
    refused(&repo, &repo.exec(&[]), 2, &["`loop`", "rename"]);

    let repo = one();
    repo.git(&["switch", "--quiet", "--create", BRANCH]);
    refused(&repo, &repo.exec(&[]), 2, &["checked out", "git switch"]);

    let repo = one();
    repo.edit("loop.kdl", " base=\"main\"", "");
    repo.git(&["checkout", "--quiet", "--detach"]);
    refused(&repo, &repo.exec(&[]), 2, &["detached", "--base"]);
    repo.exec(&["--base", "main"]).expect(0);

    let repo = one();
    repo.git(&["config", "core.bare", "true"]);
    refused(&repo, &repo.exec(&[]), 2, &["bare"]);

    let repo = one();
    fs::remove_dir_all(repo.root().join(".git")).expect("removed");
    let run = repo.exec(&[]);
    refused(&repo, &run, 2, &["git init"]);

    // A branch without a commit, with the base named and without.
    let repo = one();
    fs::remove_dir_all(repo.root().join(".git")).expect("removed");
    repo.git(&["init", "--quiet", "--initial-branch=main"]);
    refused(&repo, &repo.exec(&[]), 2, &["no commits yet", "git commit"]);
    repo.edit("loop.kdl", " base=\"main\"", "");
    refused(&repo, &repo.exec(&[]), 2, &["no commits yet"]);
}

#[test]
fn without_the_state_the_branch_alone_says_what_is_done() {
    let repo = Repo::counted("off", TWO, &BOTH);
    repo.exec(&[]).expect(0);
    let head = repo.git(&["rev-parse", BRANCH]);
    let verified = repo.count("verifier");
    fs::remove_dir_all(repo.root().join(".git/loop")).expect("removed");
    let run = repo.exec(&[]).expect(0);
    assert_eq!(repo.count("agent"), 2, "agents were paid again: {}", run.all());
    assert!(repo.count("verifier") > verified, "a claim is no verdict");
    assert_eq!(repo.git(&["rev-parse", BRANCH]), head);
    repo.exec(&[]).expect(0);
    assert_eq!(repo.count("agent"), 2);

    // A claim that does not pass is worth nothing.
    fs::remove_dir_all(repo.root().join(".git/loop")).expect("removed");
    repo.edit("loop.kdl", "! find . -name broken", "! find . -name two.txt");
    repo.exec(&[]).expect(4);
    assert_eq!(repo.count("agent"), 3);
}

/// Puts a commit with this change on the feature's branch, as a person with a worktree would.
fn on_branch(repo: &Repo, change: &str) {
    let place = repo.outside().join("place");
    let place = place.to_str().expect("temporary paths are UTF-8");
    repo.git(&["worktree", "add", "--quiet", "--force", place, BRANCH]);
    let mut command = repo.command("sh");
    let done = command.args(["-ec", change]).current_dir(place).output().expect("sh runs");
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    repo.git(&["worktree", "remove", "--force", place]);
}

#[test]
fn a_reverted_commit_is_undone_until_somebody_decides() {
    let repo = Repo::counted("off", TWO, &BOTH);
    repo.exec(&[]).expect(0);
    on_branch(&repo, "git revert --no-edit HEAD");
    let run = repo.exec(&[]).expect(4);
    assert_eq!(repo.count("agent"), 2, "paid without being asked: {}", run.all());
    assert!(run.all().contains("reverted") && run.all().contains("--redo two"), "{}", run.all());
    let status = repo.run_loop(&["status", "--json"]).expect(0).json();
    assert_eq!(status["units"][1]["state"], "undone");
    repo.exec(&["--redo", "two"]).expect(0);
    assert_eq!(repo.count("agent"), 3);
    assert_eq!(repo.landed_file("two.txt").as_deref(), Some("made\n"));
    repo.exec(&[]).expect(0);
    assert_eq!(repo.count("agent"), 3);
}

#[test]
fn an_edit_on_the_branch_is_kept_and_costs_nothing_unasked() {
    let repo = Repo::counted("off", TWO, &BOTH);
    repo.exec(&[]).expect(0);
    on_branch(&repo, "echo better > out.txt; git commit -qam 'By hand'");
    let run = repo.exec(&[]).expect(4);
    assert_eq!(repo.count("agent"), 2, "{}", run.all());
    assert!(
        run.all().contains("edited after it landed") && run.all().contains("--redo two"),
        "{}",
        run.all()
    );
    assert_eq!(repo.landed_file("out.txt").as_deref(), Some("better\n"), "a person's edit stays");
    repo.exec(&["--redo", "two"]).expect(0);
    assert_eq!(repo.landed_file("two.txt").as_deref(), Some("better\n"), "it saw the edit");
    repo.exec(&[]).expect(0);
    assert_eq!(repo.count("agent"), 3);
}

#[test]
fn nodes_in_another_order_are_the_same_plan() {
    let repo = Repo::counted("off", TWO, &BOTH);
    repo.exec(&[]).expect(0);
    let (records, verified) = (repo.journal().records.len(), repo.count("verifier"));
    repo.write(
        PLAN,
        r#"
// The same, said otherwise.
feature   feat   {
    unit one { accept "it is made" by=check /* checked */; creates r"out.txt"; goal "Make it."; }
    unit two {
        creates "./two.txt"
        accept "it is made" by=check
        goal "More."
        needs one
    }
}
"#
        .replace("r\"out", "\"out"),
    );
    repo.exec(&[]).expect(0);
    assert_eq!((repo.count("agent"), repo.count("verifier")), (2, verified));
    assert_eq!(repo.journal().records.len(), records);
    assert_eq!(repo.journal().dispatched().len(), 2);
}

#[test]
fn names_of_every_kind_are_outputs() {
    // Made by the agent, judged by a verifier, seen by the next unit, and found again by key.
    let names = [
        "with space",
        "quote\"d",
        "it's",
        "new\nline",
        "-dash",
        "--",
        "ünï/cödé",
        "日本",
        "tab\tx",
        "$HOME",
        "`id`",
        ";x",
        "a\\b",
        "#x",
        "~",
    ];
    let script: String = names
        .iter()
        .map(|name| {
            let quoted = name.replace('\'', "'\\''");
            format!("mkdir -p \"$(dirname -- 'out/{quoted}')\"; printf 'text\\n' > 'out/{quoted}'\n")
        })
        .collect();
    let body = r#"
        unit one { goal "Make them."; writes "out/**"; accept "made" by=check; }
        unit two { needs one; goal "Count them."; creates "count.txt"; accept "made" by=check; }"#;
    each_level("rules_options::names_of_every_kind", |level| {
        let count = "find out -type f -print0 | tr -dc '\\0' | wc -c | tr -d ' ' > count.txt\n";
        let repo = Repo::counted(level, body, &[("one", &script), ("two", count)]);
        let before = repo.snapshot();
        repo.exec(&[]).expect(0);
        before.assert_same(&repo.snapshot());
        for name in names {
            assert_eq!(repo.landed_file(&format!("out/{name}")).as_deref(), Some("text\n"), "{name:?}");
        }
        assert_eq!(repo.landed_file("count.txt"), Some(format!("{}\n", names.len())));
        let records = repo.journal().records.len();
        repo.exec(&[]).expect(0);
        assert_eq!(repo.journal().records.len(), records);
        repo.run_loop(&["audit", "verify"]).expect(0);
    });
}

#[test]
fn a_refused_gate_stays_closed_until_its_work_changes() {
    let body = r#"
        gate first { unit one { goal "Make it."; creates "out.txt"; accept "it is made" by=check; } }
        gate second { unit two { needs one; goal "More."; creates "two.txt"; accept "made" by=check; }; approve by=auto; }"#;
    let repo = Repo::counted("off", body, &BOTH);
    repo.exec(&[]).expect(3);
    repo.run_loop(&["approve", "first", "--refuse", "--reason", "not like this"]).expect(0);
    let run = repo.exec(&[]).expect(4);
    assert!(run.all().contains("refused: not like this"), "{}", run.all());
    assert_eq!(repo.count("agent"), 1);
    repo.edit(PLAN, "goal \"Make it.\"", "goal \"Make it.\"; timeout total=\"2h\"; label x");
    repo.exec(&[]).expect(4);
    // Another ask: the gate is shown again. An approval holds over everything that is no ask, and not over an ask.
    repo.edit(PLAN, "goal \"Make it.\"", "goal \"Make it better.\"");
    repo.exec(&[]).expect(3);
    repo.run_loop(&["approve", "first"]).expect(0);
    repo.edit(PLAN, "timeout total=\"2h\"; label x", "timeout total=\"3h\"; retry attempts=2");
    repo.exec(&["--gate", "first"]).expect(0);
    repo.exec(&[]).expect(0);
    repo.edit(PLAN, "goal \"Make it better.\"", "goal \"Make it better.\"; constraint \"Not slowly.\"");
    repo.exec(&[]).expect(3);
    assert_eq!(repo.journal().of("gate.decided").len(), 2);
}

#[test]
fn places_are_never_made_inside_the_repository() {
    for inside in ["", "cache", ".git/cache"] {
        let mut repo = Repo::counted("off", ONE, &[MADE]);
        let root = repo.root();
        repo.set_env("XDG_CACHE_HOME", root.join(inside).to_str().expect("UTF-8"));
        let before = repo.snapshot();
        let run = repo.exec(&[]);
        refused(&repo, &run, 6, &["inside the repository", "XDG_CACHE_HOME"]);
        before.assert_same(&repo.snapshot());
    }
    // Through a link as well; and a place that cannot be written is told in words.
    let mut repo = Repo::counted("off", ONE, &[MADE]);
    let link = repo.outside().join("link");
    std::os::unix::fs::symlink(repo.root(), &link).expect("a link");
    repo.set_env("XDG_CACHE_HOME", link.to_str().expect("UTF-8"));
    refused(&repo, &repo.exec(&[]), 6, &["inside the repository"]);
    repo.set_env("XDG_CACHE_HOME", "/proc/no-such-place");
    let run = repo.exec(&[]).expect(6);
    assert!(run.all().contains("/proc/no-such-place") && !run.all().contains("panicked"), "{}", run.all());
    assert_eq!(repo.count("agent"), 0);
}

#[test]
fn a_repository_with_any_name_works() {
    each_level("rules_options::a_repository_with_any_name", |level| {
        let from = Repo::counted(level, ONE, &[MADE]);
        for name in ["a b", "it's \"so\"", "ünï: code", "$HOME;x", "#x", "-dash"] {
            let place = from.outside().join("places").join(name);
            fs::create_dir_all(&place).expect("a directory");
            let git = |arguments: &[&str]| loop_tests::git_at(&place, from.outside(), arguments);
            git(&["clone", "--quiet", "--no-local", from.root().to_str().expect("UTF-8"), "."]);
            let mut command = from.command(loop_tests::loop_binary());
            let output = command.args(["exec", PLAN]).current_dir(&place).output().expect("it runs");
            let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
            assert_eq!(output.status.code(), Some(0), "{level}, {name}: {said}");
            assert_eq!(git(&["show", &format!("{BRANCH}:out.txt")]), "made");
            assert_eq!(git(&["status", "--porcelain"]), "");
        }
    });
}

#[test]
fn a_declared_path_lands_although_it_is_ignored_and_nothing_else_ignored_does() {
    let repo = Repo::counted(
        "off",
        ONE,
        &[("one", "mkdir -p dist; echo made > dist/out.txt; echo x > dist/more.o\n")],
    );
    repo.edit(PLAN, "\"out.txt\"", "\"dist/out.txt\"");
    repo.write(".gitignore", "dist/\n*.o\n");
    repo.commit("Ignore");
    repo.exec(&[]).expect(0);
    assert_eq!(repo.git(&["diff", "--name-only", "main", BRANCH]), "dist/out.txt");
}

#[test]
fn a_blocked_unit_holds_back_what_needs_it_and_nothing_else() {
    let body = r#"
        unit one { goal "Fails."; creates "out.txt"; accept "made" by=check; }
        unit rest { needs one; goal "More."; creates "rest.txt"; accept "made" by=check; }
        unit two { goal "Works."; creates "two.txt"; accept "made" by=check; }
        unit three { needs two; goal "Works."; creates "three.txt"; accept "made" by=check; }"#;
    for jobs in ["1", "3"] {
        let scripts = [
            ("one", "exit 1\n"),
            ("rest", "exit 1\n"),
            ("two", "echo 2 > two.txt\n"),
            ("three", "cp two.txt three.txt\n"),
        ];
        let repo = Repo::counted("off", body, &scripts);
        repo.exec(&["--jobs", jobs]).expect(4);
        assert_eq!(repo.landed(BRANCH), ["two", "three"], "finished work lands behind a blocked unit");
        assert_eq!(repo.count("agent"), 3);
        let records = repo.journal().records.len();
        repo.exec(&["--jobs", jobs]).expect(4);
        assert_eq!((repo.count("agent"), repo.journal().records.len()), (3, records));
    }
}

#[test]
fn a_unit_that_left_the_plan_costs_nothing() {
    let repo = Repo::counted("off", TWO, &BOTH);
    repo.exec(&[]).expect(0);
    let head = repo.git(&["rev-parse", BRANCH]);
    repo.write(PLAN, format!("feature feat {{ {ONE} }}\n"));
    repo.exec(&[]).expect(0);
    assert_eq!((repo.count("agent"), repo.git(&["rev-parse", BRANCH])), (2, head));
}

#[test]
fn a_deleted_branch_costs_nothing_unasked() {
    let repo = Repo::counted("off", TWO, &BOTH);
    repo.exec(&[]).expect(0);
    repo.git(&["branch", "-D", BRANCH]);
    let run = repo.exec(&[]).expect(4);
    assert_eq!(repo.count("agent"), 2, "{}", run.all());
    assert!(
        run.all().contains("not on the branch any more") && run.all().contains("--redo one"),
        "{}",
        run.all()
    );
    repo.exec(&["--redo", "one", "--redo", "two"]).expect(0);
    assert_eq!((repo.count("agent"), repo.landed(BRANCH).len()), (4, 2));
}
