//! Agents that attack: the repository around them, the directories they were given, the terminal, the gate.
//!
//! Does not know how they are kept out; without a sandbox the promise is that it is noticed and nothing is taken.

use std::fs;
use std::time::Duration;

use loop_tests::{BRANCH, PLAN, Repo, each_level, wait_until};

const ONE: &str = r#"unit one { goal "Make it."; creates "out.txt"; accept "it is made" by=check; }"#;

/// Where an unconfined agent finds the user's repository.
const USER: &str = r#"user="$COUNTS/../repo""#;

#[test]
fn every_change_of_the_repository_by_an_unconfined_agent_is_noticed_and_nothing_is_taken() {
    let attacks = [
        ("git -C \"$user\" branch evil", "branch evil (new)"),
        (
            "git -C \"$user\" update-ref refs/heads/main \"$(git -C \"$user\" rev-parse main~1)\"",
            "branch main (changed)",
        ),
        ("git -C \"$user\" tag evil", "tag evil (new)"),
        ("git -C \"$user\" config core.fsmonitor 'touch /tmp/x'", "configuration"),
        ("printf '#!/bin/sh\\n' > \"$user/.git/hooks/pre-commit\"", "hook pre-commit (new)"),
        (
            "echo dirty > \"$user/src/a.txt\"; git -C \"$user\" -c user.name=x -c user.email=x@y stash -q",
            "stash",
        ),
        ("echo new > \"$user/n\"; git -C \"$user\" add n", "index"),
        ("git -C \"$user\" checkout -q --detach", "HEAD"),
        ("echo '*.secret' > \"$user/.git/info/exclude\"", "info/exclude"),
        ("echo /elsewhere > \"$user/.git/objects/info/alternates\"", "alternates"),
    ];
    for (attack, words) in attacks {
        let repo = Repo::counted("off", ONE, &[("one", &format!("echo made > out.txt\n{USER}\n{attack}\n"))]);
        let run = repo.exec(&[]).expect(1);
        assert_eq!(repo.journal().units_of("tampered"), ["one"], "{attack}: {}", run.all());
        assert!(run.all().contains(words), "{attack}: {}", run.all());
        assert!(repo.journal().of("unit.accepted").is_empty(), "{attack}");
        assert!(!repo.root().join(".git/refs/heads/loop/feat").exists(), "{attack}");
    }
}

#[test]
fn an_agent_that_turns_its_directories_into_links_deletes_nothing_behind_them() {
    // What is removed after an attempt is removed without following links.
    let attacks = [
        "cd /; rm -rf \"$here\"; ln -s \"$precious\" \"$here\"",
        "rm -rf \"$here/src\"; ln -s \"$precious\" \"$here/src\"",
        "rm -rf \"$(dirname \"$LOOP_REPORT\")\"; ln -s \"$precious\" \"$(dirname \"$LOOP_REPORT\")\"",
        "rm -rf \"$HOME\"; ln -s \"$precious\" \"$HOME\"",
        "up=\"$(dirname \"$here\")\"; cd /; rm -rf \"$up\"; ln -s \"$precious\" \"$up\"",
        "rm -rf .git; ln -s \"$precious/.git\" .git",
        "git=\"$(git rev-parse --absolute-git-dir)\"; rm -rf \"$git\"; ln -s \"$precious/.git\" \"$git\"",
    ];
    for attack in attacks {
        let script = format!("echo made > out.txt\nhere=\"$PWD\"; precious=\"$COUNTS/precious\"\n{attack}\n");
        let repo = Repo::counted("off", ONE, &[("one", &script)]);
        let precious = repo.outside().join("counts/precious");
        fs::create_dir_all(precious.join("deep/er")).expect("a directory");
        for name in ["report.json", "deep/er/file", "out.txt"] {
            fs::write(precious.join(name), "precious\n").expect("a file");
        }
        loop_tests::git_at(&precious, repo.outside(), &["init", "--quiet"]);
        let before = repo.snapshot();
        let run = repo.exec(&[]);
        before.assert_same(&repo.snapshot());
        for name in ["report.json", "deep/er/file", "out.txt", ".git/HEAD"] {
            assert!(precious.join(name).is_file(), "{attack}: {name} is gone\n{}", run.all());
        }
        assert!(!run.all().contains("panicked") && run.code != 70, "{attack}: {}", run.all());
        if let Some(landed) = repo.landed_file("out.txt") {
            assert_eq!(landed, "made\n", "{attack}");
        }
        assert_eq!(repo.landed_file("src/deep/er/file"), None, "{attack}");
    }
}

#[test]
fn a_tree_that_is_hard_to_walk_or_to_remove_stops_nobody() {
    each_level("rules_attack::a_tree_that_is_hard", |level| {
        let script = r#"echo made > out.txt
i=0; d=.; while [ $i -lt 120 ]; do d="$d/ddddddddddddddddddddddddddddd"; i=$((i+1)); done; mkdir -p "$d"
mkdir locked; echo x > locked/x; chmod 000 locked
mkdir -p .git/x 2>/dev/null
"#;
        let repo = Repo::counted(level, ONE, &[("one", script)]);
        let run = repo.exec(&[]);
        assert!([0, 4].contains(&run.code), "{}", run.all());
        // Whatever was made of it, nothing of the place is left.
        let attempts = repo.outside().join("cache/loop");
        let left: Vec<_> = fs::read_dir(attempts)
            .into_iter()
            .flatten()
            .flatten()
            .flat_map(|clone| fs::read_dir(clone.path().join("attempts")).into_iter().flatten().flatten())
            .collect();
        assert!(left.is_empty(), "{left:?}");
    });
}

#[test]
fn words_of_an_agent_cannot_steer_the_terminal() {
    let cases = [
        "printf 'bad\\033[2J\\033]0;owned\\007words\\n' >&2; exit 3",
        r#"printf '{"status":"blocked","reason":"\\u001b[2J\\u001b]0;owned\\u0007 no"}' > "$LOOP_REPORT""#,
        r#"printf '{"status":"\\u001b[2J"}' > "$LOOP_REPORT""#,
        "printf 'x' > \"$(printf 'evil\\033[2Jname')\"",
        "printf '\\033[2J\\n'; touch broken out.txt",
    ];
    for script in cases {
        let repo = Repo::counted("off", ONE, &[("one", &format!("echo made > out.txt\n{script}\n"))]);
        let run = repo.exec(&[]).expect(4);
        let log = repo.run_loop(&["log", "one"]).expect(0);
        let status = repo.run_loop(&["status"]).expect(0);
        for shown in [run.all(), log.all(), status.all()] {
            assert!(!shown.contains(['\u{1b}', '\u{7}']), "{script}: {shown:?}");
        }
    }
}

#[test]
fn an_agent_cannot_approve_its_own_gate() {
    let body = r#"gate first {
        unit one { goal "Make it."; creates "out.txt"; accept "it is made" by=check; }
        unit two { needs one; goal "More."; creates "two.txt"; accept "it is made" by=check; }
    }"#;
    let program = loop_tests::loop_binary();
    let script = format!(
        r#"echo 2 > two.txt
cd "$COUNTS/../repo"
'{0}' approve first plan.loop.kdl > "$COUNTS/said" 2>&1; echo "exit $?" >> "$COUNTS/said"
setsid '{0}' approve first plan.loop.kdl >> "$COUNTS/said" 2>&1
exit 0
"#,
        program.display()
    );
    let repo = Repo::counted("off", body, &[("one", "echo made > out.txt\n"), ("two", &script)]);
    repo.exec(&[]).expect(3);
    // The gate waits; the agent of the next run tries to decide.
    repo.edit(PLAN, "goal \"More.\"", "goal \"More and more.\"");
    repo.exec(&[]).expect(3);
    let said = fs::read_to_string(repo.outside().join("counts/said")).expect("the agent wrote it");
    assert!(said.contains("exit 2") && said.matches("a person has to do it").count() == 2, "{said}");
    assert!(repo.journal().of("gate.decided").is_empty());
}

#[test]
fn a_branch_that_moves_during_a_run_is_never_overwritten() {
    // Between the start of the unit and its landing, somebody commits on the branch.
    let script =
        "touch \"$COUNTS/there\"; while [ ! -e \"$COUNTS/go\" ]; do sleep 0.02; done; echo made > out.txt\n";
    let body =
        format!("{}\n{ONE}", r#"unit zero { goal "First."; creates "zero.txt"; accept "made" by=check; }"#);
    let repo = Repo::counted("off", &body, &[("zero", "echo 0 > zero.txt"), ("one", script)]);
    let mut running = repo.spawn_loop(&["exec", PLAN]);
    wait_until("the agent", Duration::from_secs(60), || repo.outside().join("counts/there").exists());
    let tip = repo.git(&["rev-parse", BRANCH]);
    let tree = repo.git(&["rev-parse", "main^{tree}"]);
    let theirs = repo.git(&["commit-tree", &tree, "-p", &tip, "-m", "Theirs"]);
    repo.git(&["update-ref", &format!("refs/heads/{BRANCH}"), &theirs]);
    fs::write(repo.outside().join("counts/go"), "").expect("a file");
    let run = running.wait().expect(1);
    assert!(run.all().contains("moved by somebody else"), "{}", run.all());
    assert_eq!(repo.git(&["rev-parse", BRANCH]), theirs, "their commit stays");
    assert_eq!(repo.journal().units_of("land.void"), ["one"]);
    // What was paid for is not paid again, and nothing of theirs is lost.
    let again = repo.exec(&[]);
    assert_eq!(repo.journal().dispatched(), ["zero", "one"], "{}", again.all());
    assert_eq!(repo.git(&["merge-base", "--is-ancestor", &theirs, BRANCH]), "");
}

#[test]
fn under_bubblewrap_nothing_of_the_repository_is_there_but_its_objects_to_read() {
    if loop_tests::lane(loop_tests::Lane::Bubblewrap, "rules_attack::under_bubblewrap_nothing").is_none() {
        return;
    }
    let repo = Repo::counted("bwrap", ONE, &[]);
    let script = r#"
{ ls -A "$user"; ls -A "$user/.git"; } > out.txt 2>&1
for path in "$user/.git/objects/evil" "$user/.git/evil" "$user/evil" "$PWD/../evil" /usr/evil /evil-loop-test; do
    ( echo evil > "$path" ) 2>/dev/null && [ -e "$path" ] && echo "wrote $path" >> out.txt
done
exit 0
"#;
    repo.script("one", &format!("user='{}'\n{script}", repo.root().display()));
    repo.commit("An agent that knows the way");
    let before = repo.snapshot();
    repo.exec(&[]).expect(0);
    before.assert_same(&repo.snapshot());
    let seen = repo.landed_file("out.txt").expect("landed");
    // Directories on the way to a mount are there, empty, and what is written into them is gone afterwards.
    assert_eq!(seen.lines().take(2).collect::<Vec<_>>(), [".git", "objects"], "{seen}");
    assert!(!seen.contains("objects/evil") && !seen.contains("/usr/evil"), "{seen}");
    for path in [repo.root().join("evil"), "/usr/evil".into(), "/evil-loop-test".into()] {
        assert!(!path.exists(), "{}", path.display());
    }
}

#[test]
fn what_one_place_writes_into_shared_directories_reaches_no_other() {
    let project = r##"project test base="main" {
    protect "agents/**"
    agent scripted via=command { run sh "agents/work.sh"; env COUNTS; }
    defaults agent=scripted { verify check; retry attempts=1; timeout total="60s"; }
    worktree { prepare sh "agents/prepare.sh"; share deps; }
    verifier check { shell #"test "$(cat deps/lib)" = clean; result=$?; echo spoilt > deps/lib; exit $result"#; env COUNTS; }
}
"##;
    let body = r#"
        unit one { goal "Make it."; creates "out.txt"; accept "made" by=check; }
        unit two { needs one; goal "More."; creates "two.txt"; accept "made" by=check; }"#;
    each_level("rules_attack::what_one_place_writes", |level| {
        let scripts = [
            ("one", "cp deps/lib out.txt; echo evil > deps/lib; ln deps/lib deps/hard\n"),
            ("two", "cp deps/lib two.txt\n"),
        ];
        let repo = Repo::with_project(level, project, body, &scripts);
        repo.write("agents/prepare.sh", "mkdir -p deps; [ -e deps/lib ] || echo clean > deps/lib\n");
        repo.write(".gitignore", "deps/\n");
        repo.commit("Dependencies");
        repo.exec(&[]).expect(0);
        assert_eq!(repo.landed_file("out.txt").as_deref(), Some("clean\n"));
        assert_eq!(repo.landed_file("two.txt").as_deref(), Some("clean\n"));
    });
}

#[test]
fn programs_named_by_a_path_or_found_on_it_are_there_in_a_sandbox_too() {
    // Programs in a directory of their own, as people keep them in their homes; one is a link.
    each_level("rules_attack::programs_named_by_a_path", |level| {
        for named in ["bare", "absolute"] {
            let mut repo = Repo::counted(level, ONE, &[]);
            let (bin, far) = (repo.outside().join("tools"), repo.outside().join("far"));
            for (directory, name, text) in [
                (&bin, "my-agent", "cat > /dev/null; echo made > out.txt"),
                (&far, "check.sh", "grep -q made out.txt || [ \"$1\" = --version ]"),
            ] {
                fs::create_dir(directory).expect("a directory");
                fs::write(directory.join(name), format!("#!/bin/sh\n{text}\n")).expect("written");
                let executable = std::os::unix::fs::PermissionsExt::from_mode(0o755);
                fs::set_permissions(directory.join(name), executable).expect("executable");
            }
            std::os::unix::fs::symlink(far.join("check.sh"), bin.join("my-check")).expect("a link");
            if named == "bare" {
                repo.add_path(&bin);
            }
            let word = |name: &str| match named {
                "bare" => name.to_owned(),
                _ => format!("\"{}\"", bin.join(name).display()),
            };
            let (agent, check) = (word("my-agent"), word("my-check"));
            repo.write(
                "loop.kdl",
                format!(
                    r#"project test base="main" {{
    agent scripted via=command {{ run {agent}; }}
    defaults agent=scripted {{ verify check; retry attempts=1; }}
    verifier check {{ run {check}; tool {check} "--version"; }}
}}
"#
                ),
            );
            let run = repo.exec(&[]);
            assert_eq!(run.code, 0, "{level}, {named}: {}", run.all());
            assert_eq!(repo.landed_file("out.txt").as_deref(), Some("made\n"));
        }
    });
}

#[test]
fn an_unconfined_agent_that_spoils_the_journal_ends_the_run_and_lands_nothing() {
    for attack in [
        "rm -rf \"$user/.git/loop\"",
        "for f in \"$user\"/.git/loop/journal/feat/*.jsonl; do echo garbage >> \"$f\"; done",
        "for f in \"$user\"/.git/loop/journal/feat/*.jsonl; do sed -i 's/feat/xxxx/' \"$f\"; done",
        "for f in \"$user\"/.git/loop/journal/feat/*.jsonl; do : > \"$f\"; done",
        "rm -rf \"$user/.git/loop/cas\"",
    ] {
        let repo = Repo::counted("off", ONE, &[("one", &format!("echo made > out.txt\n{USER}\n{attack}\n"))]);
        let run = repo.exec(&[]);
        assert!([1, 4, 6].contains(&run.code), "{attack}: exit {}: {}", run.code, run.all());
        assert!(!run.all().contains("panicked"), "{attack}: {}", run.all());
        assert!(!repo.root().join(".git/refs/heads/loop/feat").exists(), "{attack}: {}", run.all());
    }
}

#[test]
fn a_run_in_a_linked_worktree_leaves_both_checkouts_alone() {
    each_level("rules_attack::a_run_in_a_linked_worktree", |level| {
        let repo = Repo::counted(
            level,
            ONE,
            &[("one", "echo made > out.txt; git stash -u; git branch -D main other; echo made > out.txt\n")],
        );
        let place = repo.outside().join("linked");
        repo.git(&["worktree", "add", "--quiet", "-b", "other", place.to_str().expect("UTF-8")]);
        fs::write(place.join("src/a.txt"), "dirty\n").expect("written");
        repo.write("staged.txt", "x\n");
        repo.git(&["add", "staged.txt"]);
        let before = repo.snapshot();
        let mut command = repo.command(loop_tests::loop_binary());
        let output = command
            .args(["exec", "../plan.loop.kdl"])
            .current_dir(place.join("src"))
            .output()
            .expect("it runs");
        assert_eq!(
            output.status.code(),
            Some(0),
            "{}{}",
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
        before.assert_same(&repo.snapshot());
        assert_eq!(fs::read_to_string(place.join("src/a.txt")).expect("there"), "dirty\n");
        assert!(!place.join("out.txt").exists());
        assert_eq!(repo.landed_file("out.txt").as_deref(), Some("made\n"));
    });
}

#[test]
fn a_directory_on_path_around_the_repository_shows_no_state() {
    if loop_tests::lane(loop_tests::Lane::Bubblewrap, "rules_attack::a_directory_on_path").is_none() {
        return;
    }
    // The repository's own `bin` on PATH stands for the directory that it is in.
    let mut repo = Repo::counted("bwrap", ONE, &[]);
    let root = repo.root();
    repo.write_executable("bin/tool", "#!/bin/sh\n");
    repo.add_path(root.join("bin"));
    repo.script(
        "one",
        &format!("user='{}'\n{{ ls -A \"$user/.git/loop\"; echo made; }} > out.txt\ntouch \"$user/evil\"\nexit 0\n", root.display()),
    );
    repo.commit("A curious agent");
    let before = repo.snapshot();
    repo.exec(&[]).expect(0);
    before.assert_same(&repo.snapshot());
    assert_eq!(repo.landed_file("out.txt").as_deref(), Some("made\n"));
}
