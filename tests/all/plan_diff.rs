//! `loopc plan diff` over two files, and over revisions of one, with the real git.
//!
//! Does not know how keys are hashed.

use std::process::Command;

use loop_tests::{Place, output_of, text};

const PROJECT: &str = "project p {\n    agent w via=command { run \"./a.sh\"; }\n    defaults agent=w { verify test; }\n    \
                       verifier test { run make; }\n}\n";
const PLAN: &str = "feature F {\n    gate one {\n        unit a { goal \"first\"; inputs \"docs/**\"; creates \"a\"; }\n        \
                    unit b { needs a; goal \"second\"; creates \"b\"; }\n        \
                    unit c { goal \"third\"; ref \"notes.md#Two\"; creates \"c\"; }\n    }\n}\n";
const NOTES: &str = "# One\n\nfirst\n\n# Two\n\nsecond\n";

fn git(place: &Place, arguments: &[&str]) {
    let output = Command::new("git")
        .current_dir(place.root())
        .args(["-c", "user.name=A", "-c", "user.email=a@example.org", "-c", "commit.gpgsign=false"])
        .args(arguments)
        .output()
        .expect("git starts");
    assert!(output.status.success(), "{}", text(&output.stderr));
}

fn committed() -> Place {
    let place = Place::new(&[
        ("loop.kdl", PROJECT),
        ("plans/x.loop.kdl", PLAN),
        ("notes.md", NOTES),
        ("docs/api.md", "one\n"),
    ]);
    std::fs::remove_dir(place.root().join(".git")).expect("it is empty");
    git(&place, &["init", "-q"]);
    git(&place, &["add", "-A"]);
    git(&place, &["commit", "-qm", "first"]);
    place
}

fn compared(place: &Place, old: &str, new: &str) -> String {
    let output = place.loopc(&["plan", "diff", old, new]);
    assert_eq!((output.status.code(), text(&output.stderr)), (Some(0), String::new()));
    text(&output.stdout)
}

#[test]
fn what_does_not_change_the_meaning_is_no_difference() {
    let place = committed();
    place.write("plans/x.loop.kdl", format!("// a comment\n{}", PLAN.replace("    ", "\t")));
    place.write("notes.md", NOTES.replace("first", "1st"));
    assert_eq!(
        compared(&place, "HEAD", "plans/x.loop.kdl"),
        "the plans mean the same: nothing would run again\n"
    );
}

#[test]
fn each_unit_is_told_with_the_reason() {
    let place = committed();
    let new = PLAN.replace("third", "third, and more").replace("unit b {", "unit b title=\"B\" {");
    place.write(
        "plans/x.loop.kdl",
        new.replace("    }\n}", "        unit d { goal \"fourth\"; creates \"d\"; }\n    }\n}"),
    );
    place.write("docs/api.md", "two\n");
    place.write("docs/new.md", "three\n");
    place.write("notes.md", NOTES.replace("second", "2nd"));
    let found = compared(&place, "HEAD:plans/x.loop.kdl", "plans/x.loop.kdl");
    assert_eq!(
        found,
        "\
runs, as nothing was asked under this name before
  d

runs again: what was asked, or what it is about, differs
  a
    input docs/api.md: other content
    input docs/new.md: new
  c
    goal
      - third
      + third, and more
    ref notes.md: other content

runs again only if a unit that it needs leaves something else
  b
    needs a
    title
      + B

gate one: an approval given before does not hold for it
3 of 4 units would run, 1 more may
"
    );
    let json = place.loopc(&["plan", "diff", "HEAD", "plans/x.loop.kdl", "--format", "json", "--exit-code"]);
    assert_eq!(json.status.code(), Some(1));
    let value: serde_json::Value = serde_json::from_slice(&json.stdout).expect("it is JSON");
    assert_eq!(value["units"][0]["id"], "a");
    assert_eq!(value["units"][0]["change"], "key");
    assert_eq!(value["gates"][0]["change"], "closure");
}

#[test]
fn limits_run_nothing_again() {
    let place = committed();
    place.write("loop.kdl", PROJECT.replace("run make", "timeout total=\"9m\"; run make"));
    place.write("other.loop.kdl", PLAN.replace("creates \"a\"", "creates \"a\"; retry attempts=2"));
    let found = compared(&place, "HEAD:plans/x.loop.kdl", "other.loop.kdl");
    assert!(
        found.contains("is checked again and not paid again\n  a\n    attempts\n      - 3\n      + 2\n"),
        "{found}"
    );
    assert!(found.contains("what units share\n    verifier test\n"), "{found}");
    assert!(found.ends_with("0 of 3 units would run\n"), "{found}");
}

#[test]
fn a_removed_unit_and_what_cannot_be_read() {
    let place = committed();
    let new: String =
        PLAN.lines().filter(|line| !line.contains("unit c")).map(|line| format!("{line}\n")).collect();
    place.write("plans/x.loop.kdl", &new);
    let found = compared(&place, "HEAD", "plans/x.loop.kdl");
    assert!(found.contains("is in the old plan only; what it did stays until `loop drop`\n  c\n"), "{found}");
    for (arguments, code, words) in [
        (["nowhere", "plans/x.loop.kdl"], 2, "git knows no revision `nowhere`"),
        (["HEAD:no.loop.kdl", "plans/x.loop.kdl"], 2, "`HEAD` has no no.loop.kdl"),
        (["no.loop.kdl", "plans/x.loop.kdl"], 2, "cannot read no.loop.kdl"),
        (["HEAD", "no.loop.kdl"], 2, "cannot read no.loop.kdl"),
        (["--upload-pack=x", "plans/x.loop.kdl"], 2, "unexpected argument"),
    ] {
        let output = place.loopc(&["plan", "diff", arguments[0], arguments[1]]);
        assert_eq!(output.status.code(), Some(code), "{arguments:?}");
        assert!(text(&output.stderr).contains(words), "{}", text(&output.stderr));
    }
    place.write("plans/x.loop.kdl", PLAN.replace("needs a", "needs z"));
    let output = place.loopc(&["plan", "diff", "HEAD", "plans/x.loop.kdl"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("unknown-unit"));
}

#[test]
fn paths_of_a_revision_count_from_the_root_or_with_a_dot_from_here() {
    let place = committed();
    let directory = place.root().join("plans");
    place.write("plans/x.loop.kdl", PLAN.replace("third", "3rd"));
    for old in ["HEAD", "HEAD:plans/x.loop.kdl", "HEAD:./x.loop.kdl"] {
        let output = output_of(&directory, &["plan", "diff", old, "x.loop.kdl"], b"");
        assert!(text(&output.stdout).contains("+ 3rd"), "{old}: {}", text(&output.stderr));
    }
}
