//! Keeps the README true: its plan checks clean and has its promised size, and its diagnostics are what `loopc` prints.
//!
//! Does not know what a good README is.

use loop_tests::{BRANCH, PLAN, Repo, creates, workspace_root};

fn readme() -> String {
    std::fs::read_to_string(workspace_root().join("README.md")).expect("the README is readable")
}

/// The first block with this info string, from `text` on.
fn block<'t>(text: &'t str, info: &str) -> &'t str {
    let fence = format!("```{info}\n");
    let start = text.find(&fence).unwrap_or_else(|| panic!("no block {info:?}")) + fence.len();
    let length = text[start..].find("```").expect("the block ends");
    &text[start..start + length]
}

/// A repository with the README's project and this plan.
fn repository(project: &str, plan: &str) -> Repo {
    let repo = Repo::empty();
    repo.write("loop.kdl", project);
    repo.write("health.loop.kdl", plan);
    repo
}

/// Both sides of a diff block: the lines that go, and those that come.
fn sides(diff: &str) -> (String, String) {
    let side = |mark: char| {
        let lines = diff.lines().filter_map(|line| line.strip_prefix(mark));
        lines.map(|line| format!("{line}\n")).collect::<String>()
    };
    (side('-'), side('+'))
}

#[test]
fn the_plan_of_the_readme_checks_clean() {
    let text = readme();
    let (project, plan) = (block(&text, "kdl loop.kdl"), block(&text, "kdl plan"));
    assert!(project.lines().count() + plan.lines().count() <= 13, "it is short enough to be read at once");
    let checked = repository(project, plan).run_loopc(&["check"]).expect(0);
    assert!(checked.all().contains("nothing to report"), "{}", checked.all());
}

#[test]
fn the_diagnostics_of_the_readme_are_real() {
    let text = readme();
    let (project, plan) = (block(&text, "kdl loop.kdl"), block(&text, "kdl plan"));
    let at = text.find("```diff\n").expect("the mistakes are shown as a diff");
    let (clean, wrong) = sides(block(&text[at..], "diff"));
    assert_eq!(plan.matches(&clean).count(), 1, "the diff fits the plan");
    let checked = repository(project, &plan.replacen(&clean, &wrong, 1)).run_loopc(&["check"]).expect(1);
    let printed = if checked.stdout.is_empty() { &checked.stderr } else { &checked.stdout };
    assert_eq!(block(&text[at..], "text"), printed, "copy this into the README");
}

/// Every command that the README names is one.
#[test]
fn the_commands_of_the_readme_exist() {
    let text = readme();
    let repo = Repo::empty();
    let commands = text.lines().filter_map(|line| line.strip_prefix("| `")?.split_once('`'));
    let mut seen = 0;
    for (command, _) in commands {
        let words: Vec<&str> =
            command.split(' ').take_while(|word| !word.contains(|c: char| c.is_ascii_uppercase())).collect();
        let arguments = [words.get(1..).unwrap_or_default(), &["--help"]].concat();
        match words.first() {
            Some(&"loop") => repo.run_loop(&arguments).expect(0),
            Some(&"loopc") => repo.run_loopc(&arguments).expect(0),
            _ => continue,
        };
        seen += 1;
    }
    assert!(seen >= 14, "the table of commands was found: {seen}");
}

#[test]
fn the_readme_says_how_to_remove_everything() {
    let text = readme();
    let at = text.find("this removes all of it").expect("the README says how");
    let body = r#"unit one { goal "Make one."; creates "out.txt"; accept "it is checked" by=check; }"#;
    let repo = Repo::scripted(body, &[("one", &creates("out.txt", "one"))]);
    let before = repo.git(&["for-each-ref"]);
    repo.run_loop(&["exec", PLAN]).expect(0);
    assert!(repo.exists(".git/loop") && repo.outside().join("cache/loop").exists());
    assert_eq!(repo.git(&["branch", "--list", BRANCH, "--format=%(refname:short)"]), BRANCH);
    let removed = repo.command("sh").args(["-euc", block(&text[at..], "sh")]).status().expect("a shell runs");
    assert!(removed.success());
    assert!(!repo.exists(".git/loop") && !repo.outside().join("cache/loop").exists());
    assert_eq!(repo.git(&["for-each-ref"]), before);
    repo.git(&["fsck", "--strict"]);
}
