//! A change outside the scope never lands; its patch is kept, and adopted once the plan allows it.
//!
//! Does not know how the compiler proves scopes disjoint.

use loop_tests::{BRANCH, PLAN, Repo, creates};

const ONE: &str = r#"
    unit a { goal "Make one."; creates "out/one.txt"; accept "it is checked" by=check; }
"#;

#[test]
fn a_stray_change_is_kept_shown_and_adopted() {
    let script = format!("{}{}", creates("out/one.txt", "1"), creates("src/stray.txt", "stray"));
    let repo = Repo::scripted(ONE, &[("a", &script)]);
    assert_ne!(repo.exec(&[]).code, 0);
    assert_eq!(repo.journal().failures("a"), ["out-of-scope"]);
    assert_eq!(repo.git(&["branch", "--list", BRANCH]), "");
    let log = repo.run_loop(&["log", "a"]).expect(0).all();
    assert!(log.contains(r#"writes "src/stray.txt""#), "the log has the line to add:\n{log}");

    repo.edit(PLAN, r#"creates "out/one.txt""#, r#"creates "out/one.txt"; writes "src/stray.txt""#);
    repo.exec(&[]).expect(0);
    assert_eq!(repo.landed(BRANCH), ["a"]);
    assert_eq!(repo.git(&["show", &format!("{BRANCH}:src/stray.txt")]), "stray");
    assert_eq!(repo.journal().dispatched(), ["a"], "the kept patch was taken, no agent was called");
    assert!(!repo.journal().of("verify.done").is_empty(), "what is adopted is verified");
}

#[test]
fn an_adopted_patch_is_still_verified() {
    let script = format!("{}mkdir -p src/x; touch src/x/broken", creates("out/one.txt", "1"));
    let repo = Repo::scripted(ONE, &[("a", &script)]);
    assert_ne!(repo.exec(&[]).code, 0);
    repo.edit(PLAN, r#"creates "out/one.txt""#, r#"creates "out/one.txt"; writes "src/x/**""#);
    assert_ne!(repo.exec(&[]).code, 0);
    assert_eq!(repo.journal().failures("a")[..2], ["out-of-scope", "verify-failed"]);
    assert_eq!(repo.git(&["branch", "--list", BRANCH]), "");
}

#[test]
fn deleting_outside_the_scope_is_a_change() {
    let repo = Repo::scripted(ONE, &[("a", &format!("{}rm src/a.txt", creates("out/one.txt", "1")))]);
    assert_ne!(repo.exec(&[]).code, 0);
    assert_eq!(repo.journal().failures("a"), ["out-of-scope"]);
}

#[test]
fn the_mode_of_a_file_is_a_change() {
    let repo = Repo::scripted(ONE, &[("a", &format!("{}chmod +x src/a.txt", creates("out/one.txt", "1")))]);
    assert_ne!(repo.exec(&[]).code, 0);
    assert_eq!(repo.journal().failures("a"), ["out-of-scope"]);
}

/// What an agent commits in its private repository is work like any other.
#[test]
fn an_agents_own_commits_count_as_its_changes() {
    let commit = "git add -A && git -c user.name=x -c user.email=x@example.org commit -qm mine && git checkout -q -b other";
    let repo = Repo::scripted(ONE, &[("a", &format!("{}{commit}", creates("out/one.txt", "1")))]);
    repo.exec(&[]).expect(0);
    assert_eq!(repo.landed(BRANCH), ["a"], "one commit, made by the executor");
    assert_eq!(repo.git(&["branch", "--list", "other"]), "");
}

#[test]
fn a_link_that_leaves_the_tree_does_not_land() {
    let repo = Repo::scripted(ONE, &[("a", "mkdir -p out; ln -s /etc/passwd out/one.txt")]);
    assert_ne!(repo.exec(&[]).code, 0);
    assert_eq!(repo.git(&["branch", "--list", BRANCH]), "");
}

#[test]
fn a_repository_inside_the_tree_does_not_land() {
    let script = format!("{}mkdir -p out/inner; git init -q out/inner", creates("out/one.txt", "1"));
    let body = ONE.replace("creates \"out/one.txt\"", "creates \"out/one.txt\"; writes \"out/**\"");
    let repo = Repo::scripted(&body, &[("a", &script)]);
    assert_ne!(repo.exec(&[]).code, 0);
    assert_eq!(repo.git(&["branch", "--list", BRANCH]), "");
}
