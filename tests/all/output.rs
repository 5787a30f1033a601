//! What `loopc check` does beside looking, end to end: fixes, patches, statistics, watching; and its formats, held against
//! validators that others wrote and against names that break naive writers.
//!
//! Does not know any rule; small plans with known mistakes are enough.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use loop_tests::{Lane, Place, lane, loopc_binary, loopc_command, output_of, text};
use serde_json::Value;

const PROJECT: &str = "project shop base=main {\n    agent writer via=command { run \"./agent.sh\"; }\n    defaults agent=writer { verify test; }\n    verifier test { run cargo test; }\n}\n";
const PLAN: &str = "feature F-1 {\n    unit a { goal \"a\"; creates \"a\"; }\n}\n";
/// Two safe fixes, one unsafe, one finding without any.
const WRONG: &str = "feature F-2 { // kept\n    unit b { gaol \"b\"; creates \"b\"; }\n    unit c { goal \"c\"; creates \"c\"; needs b, d; verify tset; }\n    unit d { goal \"d\"; creates \"d\"; goal \"e\"; } // kept too\n}\n";

fn place() -> Place {
    Place::new(&[("loop.kdl", PROJECT), ("plan.loop.kdl", PLAN), ("sub/wrong.loop.kdl", WRONG)])
}

fn code(output: &Output) -> i32 {
    output.status.code().expect("loopc is not killed")
}

fn told(output: &Output) -> String {
    format!("{}\n{}exit {}", text(&output.stdout), text(&output.stderr), code(output))
}

fn json(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {}", told(output)))
}

#[test]
fn safe_fixes_are_written_and_the_rest_is_reported() {
    let place = place();
    let output = place.loopc(&["check", "--fix", "--format", "json"]);
    assert_eq!(code(&output), 1, "{}", told(&output));
    assert!(text(&output.stderr).contains("fixed 2 findings in 1 file"), "{}", told(&output));
    let fixed = place.read("sub/wrong.loop.kdl");
    assert_eq!(fixed, WRONG.replace("gaol", "goal").replace("b, d", "b d"));
    let left = json(&output);
    assert_eq!(left["summary"]["errors"], 2, "{left:#}");
    assert_eq!(left["summary"]["fixable"], 0);
    // What was reported is what a second look finds, and there is nothing more to do.
    assert_eq!(json(&place.loopc(&["check", "--format", "json"])), left);
    let again = place.loopc(&["check", "--fix"]);
    assert!(!text(&again.stderr).contains("fixed"), "{}", told(&again));
    let all = place.loopc(&["check", "--fix", "--unsafe-fixes", "--format", "short"]);
    assert_eq!(text(&all.stdout).lines().count(), 1, "{}", told(&all));
    assert!(place.read("sub/wrong.loop.kdl").contains("verify test;"));
    assert_eq!(std::fs::read_dir(place.root().join("sub")).expect("it is readable").count(), 1);
}

#[test]
fn a_patch_changes_nothing_and_fits_git_apply() {
    let place = place();
    let odd = "sub/a b\"c\\d\u{e9}.loop.kdl";
    place.write(odd, WRONG.replace("F-2", "F-3").replace('\n', "\r\n").trim_end());
    let before = (place.read("sub/wrong.loop.kdl"), place.read(odd));
    let output = place.loopc(&["check", "--diff"]);
    assert_eq!(code(&output), 1);
    assert_eq!((place.read("sub/wrong.loop.kdl"), place.read(odd)), before);
    assert!(text(&output.stderr).contains("would fix 4 findings in 2 files"), "{}", told(&output));
    let mut git = Command::new("git")
        .args(["apply", "-"])
        .current_dir(place.root())
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .env("GIT_CEILING_DIRECTORIES", place.root())
        .spawn()
        .expect("git runs");
    git.stdin.take().expect("it is piped").write_all(&output.stdout).expect("git reads");
    let applied = git.wait_with_output().expect("git ends");
    assert!(applied.status.success(), "{}\n{}", text(&applied.stderr), told(&output));
    let patched = (place.read("sub/wrong.loop.kdl"), place.read(odd));
    place.write("sub/wrong.loop.kdl", &before.0);
    place.write(odd, &before.1);
    place.loopc(&["check", "--fix"]);
    assert_eq!((place.read("sub/wrong.loop.kdl"), place.read(odd)), patched);
    let clean = place.loopc(&["check", "plan.loop.kdl", "--diff"]);
    assert_eq!((code(&clean), text(&clean.stdout)), (0, String::new()), "{}", told(&clean));
}

#[test]
fn a_plan_on_standard_input_comes_out_fixed() {
    let place = place();
    let output = output_of(&place.root(), &["check", "-", "--fix"], WRONG.as_bytes());
    assert_eq!(text(&output.stdout), WRONG.replace("gaol", "goal").replace("b, d", "b d"));
    assert_eq!(code(&output), 1);
    assert!(text(&output.stderr).contains("error[L0204/unknown-verifier]"), "{}", told(&output));
    // What cannot be fixed comes out byte for byte.
    let odd = b"feature F-9 { unit x { gaol \"\xff\"; } }\r\n";
    assert_eq!(output_of(&place.root(), &["check", "-", "--fix"], odd).stdout, odd);
    let both = output_of(&place.root(), &["check", "-", "plan.loop.kdl", "--fix"], b"");
    assert_eq!(code(&both), 2, "{}", told(&both));
}

#[test]
fn what_may_not_be_written_stays_and_nothing_else_is_written_then() {
    let place = place();
    place.write("second.loop.kdl", WRONG.replace("F-2", "F-4"));
    let file = place.root().join("sub/wrong.loop.kdl");
    std::fs::set_permissions(&file, PermissionsExt::from_mode(0o444)).expect("it is ours");
    let output = place.loopc(&["check", "--fix"]);
    assert_eq!(code(&output), 2, "{}", told(&output));
    assert!(text(&output.stderr).contains("cannot write sub/wrong.loop.kdl: it is read-only"));
    assert_eq!(place.read("sub/wrong.loop.kdl"), WRONG);
    assert_eq!(
        place.read("second.loop.kdl"),
        WRONG.replace("F-2", "F-4"),
        "none is written if one cannot be"
    );
    // A full disk: every write to this one fails.
    if Path::new("/dev/full").exists() {
        let full = Command::new("sh")
            .args(["-c", "exec \"$0\" check --format json > /dev/full"])
            .arg(loopc_binary())
            .current_dir(place.root())
            .output()
            .expect("a shell runs");
        assert_eq!(code(&full), 2, "{}", told(&full));
        assert!(text(&full.stderr).contains("no space left"), "{}", told(&full));
    }
}

#[test]
fn statistics_count_what_the_report_lists() {
    let place = place();
    let report = json(&place.loopc(&["check", "--format", "json"]));
    let counts = json(&place.loopc(&["check", "--statistics", "--format", "json"]));
    let listed = report["diagnostics"].as_array().expect("a list").len() as u64;
    let rows = counts["statistics"].as_array().expect("a list");
    assert_eq!(rows.iter().filter_map(|row| row["count"].as_u64()).sum::<u64>(), listed);
    let words = text(&place.loopc(&["check", "--statistics"]).stdout);
    assert_eq!(words.lines().count(), rows.len() + 1, "{words}");
    assert_eq!(code(&place.loopc(&["check", "--statistics", "--format", "sarif"])), 2);
}

#[test]
fn options_that_do_not_go_together_are_wrong_usage() {
    let place = place();
    for arguments in [
        &["check", "--unsafe-fixes"][..],
        &["check", "--fix", "--diff"],
        &["check", "--watch", "--fix"],
        &["check", "--watch", "--format", "sarif"],
        &["check", "--watch", "-"],
        &["check", "--max-diagnostics", "few"],
        &["check", "--color", "sometimes"],
    ] {
        let output = output_of(&place.root(), arguments, b"");
        assert_eq!(code(&output), 2, "{arguments:?}: {}", told(&output));
        assert!(output.stdout.is_empty());
    }
}

#[test]
fn many_findings_are_cut_for_people_and_counted() {
    let units: String = (0..300)
        .map(|at| format!("    unit u{at} {{ gaol \"g\"; creates \"f{at}\"; needs nobody; }}\n"))
        .collect();
    let place = Place::new(&[("loop.kdl", PROJECT), ("p.loop.kdl", &format!("feature F {{\n{units}}}\n"))]);
    let people = text(&place.loopc(&["check"]).stdout);
    assert_eq!(people.matches("\nerror[").count() + 1, 100);
    assert!(
        people.contains("and 500 errors more; `--max-diagnostics all` shows them"),
        "{}",
        &people[people.len() - 300..]
    );
    assert!(people.contains("600 errors in 1 file (1 plan checked)"));
    for format in ["json", "jsonl", "sarif", "github", "gitlab", "junit", "short"] {
        let output = place.loopc(&["check", "--format", format]);
        assert!(text(&output.stdout).matches("nobody").count() >= 300, "{format} has all of them");
    }
    let fixed = place.loopc(&["check", "--fix", "--format", "json"]);
    assert!(text(&fixed.stderr).contains("fixed 300 findings in 1 file"), "{}", text(&fixed.stderr));
}

#[test]
fn a_line_of_a_megabyte_is_shown_around_its_mistakes() {
    let words = "x ".repeat(500_000);
    let place = Place::new(&[
        ("loop.kdl", PROJECT),
        (
            "p.loop.kdl",
            &format!("feature F {{ unit a {{ goal \"{words}\"; gaol \"x\"; creates \"a\"; }} }}\n"),
        ),
    ]);
    let output = place.loopc(&["check"]);
    let shown = text(&output.stdout);
    assert!(
        shown.contains("^^^^") && shown.lines().all(|line| line.chars().count() <= 110),
        "{}",
        &shown[..2000.min(shown.len())]
    );
}

/// Names of files and words in plans that are syntax to somebody.
const ODD: &[&str] =
    &["a b", "100%", "x::y", "c,d:e", "<&>\"'", "é日本", "line\nbreak", "esc\u{1b}[31m", "]]>", "%0A"];

#[test]
fn odd_names_and_words_break_no_format() {
    let place = Place::new(&[("loop.kdl", PROJECT)]);
    for (at, odd) in ODD.iter().enumerate() {
        let word: String =
            odd.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n").replace('\u{1b}', "\\u{1b}");
        let plan = format!(
            "feature F-{at} {{\n    unit a {{ goal \"{word}\"; creates \"f{at}\"; needs \"{word}\"; }}\n}}\n"
        );
        place.write(&format!("{odd}.loop.kdl"), plan);
    }
    let run = |format: &str| text(&place.loopc(&["check", "--format", format]).stdout);
    let findings =
        json(&place.loopc(&["check", "--format", "json"]))["diagnostics"].as_array().expect("a list").len();
    assert!(findings >= ODD.len());
    assert_eq!(run("short").lines().count(), findings);
    let github = run("github");
    assert_eq!(github.lines().count(), findings, "{github}");
    for line in github.lines() {
        let (properties, _) =
            line.strip_prefix("::error ").and_then(|rest| rest.split_once("::")).expect("a command");
        let keys: Vec<&str> =
            properties.split(',').filter_map(|pair| pair.split_once('=')).map(|(key, _)| key).collect();
        assert_eq!(keys, ["file", "line", "endLine", "col", "endColumn", "title"], "{line}");
    }
    assert!(
        github.contains("file=x%3A%3Ay.loop.kdl,") && github.contains("file=100%25.loop.kdl,"),
        "{github}"
    );
    assert!(github.contains("file=line%0Abreak.loop.kdl,") && github.contains("file=c%2Cd%3Ae.loop.kdl,"));
    assert_eq!(run("jsonl").lines().count(), findings + 1);
    for line in run("jsonl").lines() {
        serde_json::from_str::<Value>(line).expect("each line is JSON");
    }
    let sarif = run("sarif");
    assert!(
        sarif.contains("\"x%3A%3Ay.loop.kdl\"") && sarif.contains("\"line%0Abreak.loop.kdl\""),
        "{sarif}"
    );
    for people in ["human", "plain", "short"] {
        let shown = run(people);
        assert!(!shown.chars().any(|c| c.is_control() && c != '\n'), "{people}");
    }
    let gitlab: Value = serde_json::from_str(&run("gitlab")).expect("it is JSON");
    let prints: std::collections::BTreeSet<&str> =
        gitlab.as_array().expect("a list").iter().filter_map(|issue| issue["fingerprint"].as_str()).collect();
    assert_eq!(prints.len(), findings, "fingerprints are unique");
    // They stay when the lines move.
    place.write("a b.loop.kdl", format!("// one more line\n{}", place.read("a b.loop.kdl")));
    let moved: Value = serde_json::from_str(&run("gitlab")).expect("it is JSON");
    let again: std::collections::BTreeSet<&str> =
        moved.as_array().expect("a list").iter().filter_map(|issue| issue["fingerprint"].as_str()).collect();
    assert_eq!(prints, again);
}

/// Every format against a validator of somebody else: JSON Schema, the schema that OASIS publishes, an XML parser.
#[test]
fn other_programs_accept_what_is_printed() {
    let Some(schemas) = lane(Lane::Schemas, "other_programs_accept_what_is_printed") else { return };
    let place = place();
    for (at, odd) in ODD.iter().enumerate() {
        place.write(&format!("{odd}.loop.kdl"), WRONG.replace("F-2", &format!("G-{at}")));
    }
    place.write("bytes.loop.kdl", b"feature \xff { unit a { goal \"x\x00\"\x1b; } }");
    place.write("empty.loop.kdl", "");
    let out = tempfile::tempdir().expect("a temporary directory");
    for format in ["json", "jsonl", "sarif", "gitlab", "junit"] {
        let output = place.loopc(&["check", "--format", format]);
        std::fs::write(out.path().join(format), &output.stdout).expect("it can be written");
        let clean = place.loopc(&["check", "plan.loop.kdl", "--format", format]);
        assert_eq!(code(&clean), 0);
        std::fs::write(out.path().join(format!("{format}.clean")), &clean.stdout).expect("it can be written");
    }
    for (name, arguments) in [
        ("statistics", &["check", "--statistics", "--format", "json"][..]),
        ("rules", &["rules", "--format", "json"]),
        ("explain", &["explain", "L0401", "unknown-node", "--format", "json"]),
    ] {
        std::fs::write(out.path().join(name), place.loopc(arguments).stdout).expect("it can be written");
    }
    let judged = Command::new("python3")
        .arg(loop_tests::fixture("schemas/validate.py"))
        .args([out.path(), &loop_tests::workspace_root().join("spec/schemas"), &schemas])
        .env("PYTHONPATH", schemas.join("python"))
        .output()
        .expect("python runs");
    assert!(judged.status.success(), "{}", told(&judged));
    assert!(text(&judged.stdout).contains("13 documents"), "{}", told(&judged));
}

/// A `loopc check --watch`, its lines, and its end.
struct Watching {
    child: Child,
    lines: Receiver<String>,
}

impl Watching {
    fn start(place: &Place) -> Watching {
        let mut child = loopc_command(&place.root(), &["check", "--watch", "--format", "jsonl"])
            .spawn()
            .expect("loopc starts");
        let out = child.stdout.take().expect("it is piped");
        let (sender, lines) = channel();
        std::thread::spawn(move || {
            for line in BufReader::new(out).lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
        Watching { child, lines }
    }

    /// Errors and plans of the next report that has these; others may come before it.
    fn until(&self, errors: u64, plans: u64) {
        let deadline = Instant::now() + Duration::from_secs(60);
        let mut seen = Vec::new();
        while let Ok(line) = self.lines.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
            let value: Value = serde_json::from_str(&line).expect("each line is JSON");
            if value["type"] == "summary" {
                seen.push((value["errors"].as_u64(), value["plans"].as_u64()));
                if seen.last() == Some(&(Some(errors), Some(plans))) {
                    return;
                }
            }
        }
        panic!("no report of {errors} errors in {plans} plans; there were {seen:?}");
    }
}

impl Drop for Watching {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn watching_sees_edits_renames_new_plans_and_their_end() {
    use std::os::unix::process::ExitStatusExt;
    let place = Place::new(&[("loop.kdl", PROJECT), ("plan.loop.kdl", PLAN)]);
    let mut watching = Watching::start(&place);
    watching.until(0, 1);
    place.write("plan.loop.kdl", PLAN.replace("goal", "gaol"));
    watching.until(1, 1);
    // As many editors save: a new file takes the name of the old one.
    place.write(".plan.new", PLAN);
    std::fs::rename(place.root().join(".plan.new"), place.root().join("plan.loop.kdl"))
        .expect("it can be renamed");
    watching.until(0, 1);
    place.write("new/deep/more.loop.kdl", PLAN.replace("F-1", "F-7").replace("unit a", "unti a"));
    watching.until(1, 2);
    place.write("new/deep/more.loop.kdl", PLAN.replace("F-1", "F-7").replace("\"a\"", "\"b\""));
    watching.until(0, 2);
    std::fs::remove_dir_all(place.root().join("new")).expect("it can be removed");
    watching.until(0, 1);
    // The same directory once more: it is another one.
    place.write("new/deep/more.loop.kdl", PLAN.replace("F-1", "F-7").replace("unit a", "unti a"));
    watching.until(1, 2);
    std::fs::remove_dir_all(place.root().join("new")).expect("it can be removed");
    watching.until(0, 1);
    place.write("loop.kdl", PROJECT.replace("agent=writer", "agent=wirter"));
    watching.until(1, 1);
    // Interrupted, it ends as the signal says.
    let id = rustix::process::Pid::from_child(&watching.child);
    rustix::process::kill_process(id, rustix::process::Signal::INT).expect("it runs");
    let status = watching.child.wait().expect("it ends");
    assert_eq!(status.signal(), Some(2), "{status:?}");
}
