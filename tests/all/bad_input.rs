//! Input that no plan should be: any bytes, any kind of file, any name. The real `loopc` answers with a finding that has a
//! place, or with one sentence on standard error; it neither panics nor hangs nor passes over anything in silence.
//!
//! Does not know every way to be wrong; the fuzz targets look for more.

use std::ffi::OsStr;
use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use loop_tests::{Place, loopc_binary, loopc_command, text};

const PROJECT: &str = "project shop {\n    agent w via=command { run \"./a.sh\"; }\n    defaults agent=w { verify test; }\n    verifier test { run verify-all --strict; }\n}\n";
const PLAN: &str = "feature F-1 {\n    unit a {\n        goal \"a\"\n        creates \"a\"\n    }\n}\n";

/// Generous: what takes a second here would be felt, what takes a minute on a busy machine is a hang.
const LIMIT: Duration = Duration::from_secs(60);

struct Answer {
    code: i32,
    out: String,
    err: String,
}

impl Answer {
    fn all(&self) -> String {
        format!("exit {}\n{}{}", self.code, &self.out[..floor(&self.out)], &self.err[..floor(&self.err)])
    }
}

/// As much of an answer as one wants to read in a failed test.
fn floor(text: &str) -> usize {
    text.floor_char_boundary(3_000)
}

fn answer(mut command: Command, input: &[u8]) -> Answer {
    let mut child = command.spawn().expect("loopc starts");
    let mut stdin = child.stdin.take().expect("it is piped");
    let input = input.to_vec();
    // In a thread: a program that does not read must not make the test wait.
    let writer = std::thread::spawn(move || stdin.write_all(&input));
    let id = child.id();
    let done = std::sync::Arc::new(AtomicBool::new(false));
    let watched = done.clone();
    let watch = std::thread::spawn(move || {
        let start = Instant::now();
        while !watched.load(Ordering::Relaxed) {
            if start.elapsed() > LIMIT {
                let id = rustix::process::Pid::from_raw(id as i32).expect("a child has an id");
                let _ = rustix::process::kill_process(id, rustix::process::Signal::KILL);
                return;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    });
    let output = child.wait_with_output().expect("loopc ends");
    done.store(true, Ordering::Relaxed);
    watch.join().expect("it only watches");
    let _ = writer.join();
    let code = output.status.code().unwrap_or_else(|| panic!("killed: {:?}", output.status));
    let answer = Answer { code, out: text(&output.stdout), err: text(&output.stderr) };
    assert!(!answer.err.contains("panicked"), "{}", answer.all());
    // 0, 1, 2 are the whole table; 101 would be a panic.
    assert!((0..=2).contains(&code), "{}", answer.all());
    assert!(answer.out.len() + answer.err.len() < 200_000, "{} bytes", answer.out.len() + answer.err.len());
    let shown = format!("{}{}", answer.out, answer.err);
    assert!(!shown.contains(|c: char| c.is_control() && c != '\n'), "a terminal would obey: {shown:?}");
    answer
}

fn loopc(place: &Place, arguments: &[&str]) -> Answer {
    answer(loopc_command(&place.root(), arguments), b"")
}

/// `loopc check` of a plan with this content: the code, and what the first finding says.
fn checked(content: impl AsRef<[u8]>) -> (i32, String) {
    let place = Place::new(&[("loop.kdl", PROJECT)]);
    place.write("plan.loop.kdl", &content);
    let found = loopc(&place, &["check", "--format", "short", "plan.loop.kdl"]);
    assert_eq!(found.err, "", "findings go to standard output");
    if found.code == 1 {
        assert!(found.out.starts_with("plan.loop.kdl:"), "a finding has a place: {}", found.all());
    }
    // Every other way in gives the same verdict.
    let human = loopc(&place, &["check", "plan.loop.kdl"]);
    assert_eq!(human.code, found.code, "{}", human.all());
    let everything = loopc(&place, &["check", "--format", "short"]);
    assert_eq!((everything.code, &everything.out), (found.code, &found.out));
    let built = loopc(&place, &["build", "--digest", "plan.loop.kdl"]);
    assert!(built.code > 0 || found.code == 0, "{}", built.all());
    let piped = answer(loopc_command(&place.root(), &["check", "--format", "short", "-"]), content.as_ref());
    assert_eq!(piped.code, found.code, "{}", piped.all());
    assert_eq!(piped.out.replace("<stdin>:", "plan.loop.kdl:"), found.out);
    let laid_out = loopc(&place, &["fmt", "--check", "plan.loop.kdl"]);
    let syntax = found.out.contains("[L0001/syntax-error]") || found.out.contains("[L0002/");
    let warnings_only = !found.out.contains(": error[L000");
    assert!(laid_out.code == 1 || !syntax || warnings_only, "{}", laid_out.all());
    (found.code, found.out.lines().next().unwrap_or_default().to_owned())
}

fn with(goal: &str) -> String {
    PLAN.replace("goal \"a\"", goal)
}

#[test]
fn any_encoding_is_read_or_named() {
    let low = |text: &str| text.encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<u8>>();
    let high = |text: &str| text.encode_utf16().flat_map(u16::to_be_bytes).collect::<Vec<u8>>();
    let wide = |text: &str| text.chars().flat_map(|c| u32::from(c).to_le_bytes()).collect::<Vec<u8>>();
    let marked = format!("\u{FEFF}{PLAN}");
    for good in
        [marked.clone(), PLAN.replace('\n', "\r\n"), PLAN.replace('\n', "\r"), PLAN.replace('\n', "\u{2028}")]
    {
        assert_eq!(checked(&good), (0, String::new()), "{good:?}");
    }
    for (bytes, says) in [
        (low(&marked), "UTF-16 text (low byte first)"),
        (high(&marked), "UTF-16 text (high byte first)"),
        (low(PLAN), "UTF-16 text (low byte first) without a byte order mark"),
        (high(PLAN), "UTF-16 text (high byte first) without a byte order mark"),
        (wide(&marked), "UTF-32 text (low byte first)"),
        (
            with("goal \"\u{1}\"")
                .replace('\u{1}', "x")
                .into_bytes()
                .iter()
                .map(|b| if *b == b'x' { 0xE9 } else { *b })
                .collect(),
            "byte 0xE9 at offset 41, on line 3",
        ),
        (
            with("goal \"?\"")
                .into_bytes()
                .iter()
                .flat_map(|b| if *b == b'?' { vec![0xED, 0xA0, 0x80] } else { vec![*b] })
                .collect(),
            "byte 0xED",
        ),
        (b"\x7FELF\x02\x01\x01\0\0\0\0\0\xFF\xFE".to_vec(), "the file is not text"),
        (b"\x1F\x8B\x08\0\0\0\0\0\0\xFF".repeat(100), "the file is not text"),
    ] {
        let (code, first) = checked(&bytes);
        assert!(
            code == 1 && first.contains("error[L0002/unreadable-text]") && first.contains(says),
            "{says}: {first}"
        );
    }
}

#[test]
fn characters_that_no_plan_has_are_named_with_their_place() {
    for (goal, says) in [
        ("goal \"a\0b\"", "plan.loop.kdl:3:16: error[L0001/syntax-error]: the control character U+0000"),
        ("goal \"a\u{1B}[31mb\"", "the control character U+001B"),
        ("goal \"a\u{202E}b\"", "the invisible character for the direction of text U+202E"),
        ("goal \"\\u{D800}\"", "3:15: error[L0001/syntax-error]: `\\u{D800}` is no Unicode character"),
        ("goal \"\\u{DFFF}\"", "is no Unicode character"),
        ("goal \"\\u{110000}\"", "is no Unicode character"),
        ("goal \"\\u{1234567}\"", "`\\u` needs one to six hexadecimal digits"),
        ("goal \"a", "error[L0001/syntax-error]"),
        ("goal /* a", "error[L0001/syntax-error]"),
        ("goal \"\"\"a\"\"\"", "error[L0001/syntax-error]"),
    ] {
        let (code, first) = checked(with(goal));
        assert!(code == 1 && first.contains(says), "{goal:?}: {first}");
    }
    let (code, first) = checked("\0".repeat(100_000));
    assert!(code == 1 && first.contains("1:1: error[L0001/syntax-error]"), "{first}");
}

#[test]
fn numbers_of_any_size_are_judged() {
    let nines = "9".repeat(5_000);
    for value in [
        format!("retry attempts={nines}"),
        format!("retry attempts=-{nines}"),
        format!("retry attempts=0x{}", "f".repeat(5_000)),
        format!("retry attempts=0b{}", "1".repeat(200)),
        "retry attempts=340282366920938463463374607431768211456".to_owned(),
        "retry attempts=0".to_owned(),
        "retry attempts=1.5".to_owned(),
        "budget usd=1e999999999999".to_owned(),
        "budget usd=1e-999999999999".to_owned(),
        "budget usd=99999999999999999999999".to_owned(),
        "budget usd=#inf".to_owned(),
        "budget usd=#nan".to_owned(),
        "budget tokens=18446744073709551616".to_owned(),
        format!("timeout total=\"{nines}d\""),
        "timeout total=\"36526d\"".to_owned(),
        "timeout total=\"0s\"".to_owned(),
    ] {
        let (code, first) = checked(with(&format!("goal \"a\"; {value}")));
        assert!(code == 1 && first.starts_with("plan.loop.kdl:3:"), "{value:.60}: {first:.200}");
    }
}

#[test]
fn size_and_depth_cost_memory_and_not_the_stack() {
    let line = "a".repeat(1_000_000);
    assert_eq!(checked(with(&format!("goal \"{line}\""))).0, 0, "a line of a megabyte");
    for (name, content) in [
        ("a line of a megabyte with a mistake in it", with(&format!("goal \"{line}\" x"))),
        ("a name of a megabyte", with(&line)),
        ("an id of a megabyte", PLAN.replace("unit a", &format!("unit \"{line}\""))),
        ("a need of a megabyte", with(&format!("goal \"a\"; needs \"{line}\""))),
        (
            "a path of a megabyte",
            PLAN.replace("creates \"a\"", &format!("creates \"{}a\"", "a/".repeat(500_000))),
        ),
        ("a pattern of many braces", with(&format!("goal \"a\"; writes \"{}\"", "{a,b}".repeat(10_000)))),
        (
            "an expression of a megabyte",
            with(&format!("goal \"a\"; stop \"x\" {{ matches \"a\" \"{}\"; }}", "(a*)*".repeat(100_000))),
        ),
        ("ten thousand levels", format!("{}{}", "a {\n".repeat(10_000), "}\n".repeat(10_000))),
        ("ten thousand levels on one line", format!("{}{}", "a {".repeat(10_000), "}".repeat(10_000))),
        ("a hundred thousand `{`", "{".repeat(100_000)),
        ("a hundred thousand open nodes", "a {".repeat(100_000)),
        ("a hundred thousand `}`", "}".repeat(100_000)),
        ("a hundred thousand `(`", "a ".to_owned() + &"(".repeat(100_000)),
        ("a hundred thousand open comments", "/*".repeat(100_000)),
        ("a hundred thousand quotation marks", "a \"".repeat(100_001)),
        ("a megabyte of backslashes", "\\".repeat(1_000_001)),
    ] {
        let (code, first) = checked(&content);
        assert!(code == 1 && !first.is_empty(), "{name}: {first:.300}");
        assert!(first.len() < 2_000, "{name}: a message of {} bytes", first.len());
    }
}

#[test]
fn nothing_is_said_to_be_fine_where_there_is_nothing() {
    for empty in ["", "\n", "\u{FEFF}", "// a\n/* b */\n", "/-feature F-1 {\n}\n"] {
        let place = Place::new(&[("loop.kdl", PROJECT), ("plan.loop.kdl", empty)]);
        let found = loopc(&place, &["check"]);
        assert_eq!(
            (found.code, found.out.as_str()),
            (0, "1 plan checked: nothing to report; plan.loop.kdl holds no feature\n"),
            "{empty:?}"
        );
        let built = loopc(&place, &["build", "plan.loop.kdl"]);
        assert!(built.code == 2 && built.err.contains("holds no feature"), "{}", built.all());
    }
}

/// Exit 2, nothing on standard output, one sentence on standard error.
fn refused(place: &Place, arguments: &[&str], says: &str) {
    let found = loopc(place, arguments);
    assert_eq!((found.code, found.out.as_str()), (2, ""), "{arguments:?}: {}", found.all());
    assert!(
        found.err.starts_with("loopc: ") && found.err.lines().count() == 1,
        "{arguments:?}: {}",
        found.err
    );
    assert!(found.err.contains(says), "{arguments:?}: {}", found.err);
}

fn refused_by_all(place: &Place, says: &str) {
    for arguments in [
        &["check", "plan.loop.kdl"][..],
        &["build", "plan.loop.kdl"],
        &["graph", "plan.loop.kdl"],
        &["fmt", "plan.loop.kdl"],
    ] {
        refused(place, arguments, says);
    }
}

#[test]
fn what_is_no_file_is_not_opened() {
    let place = Place::new(&[("loop.kdl", PROJECT), ("sub/x", "")]);
    let plan = place.root().join("plan.loop.kdl");
    let again = || std::fs::remove_file(&plan).expect("it is there");
    rustix::fs::mkfifoat(rustix::fs::CWD, &plan, rustix::fs::Mode::RUSR).expect("it can be made");
    // Opening it would wait for a writer that never comes.
    refused_by_all(&place, "cannot read plan.loop.kdl: it is not a file");
    again();
    for (target, says) in [
        ("/dev/zero", "a symbolic link leads out of the repository"),
        ("/dev/stdin", "a symbolic link leads out of the repository"),
        ("../../etc/passwd", "a symbolic link leads out of the repository"),
        ("plan.loop.kdl", "too many levels of symbolic links"),
        ("sub/gone", "no such file or directory"),
        ("plan.loop.kdl/x", "too many levels of symbolic links"),
    ] {
        symlink(target, &plan).expect("it can be made");
        refused_by_all(&place, says);
        again();
    }
    symlink("b.loop.kdl", place.root().join("a.loop.kdl")).expect("it can be made");
    symlink("a.loop.kdl", place.root().join("b.loop.kdl")).expect("it can be made");
    refused(&place, &["check", "a.loop.kdl"], "too many levels of symbolic links");
    std::fs::create_dir(&plan).expect("it can be made");
    for command in ["check", "fmt", "build"] {
        refused(&place, &[command, "plan.loop.kdl"], "plan.loop.kdl or below it");
    }
}

#[test]
fn a_directory_that_contains_itself_is_searched_once() {
    let place = Place::new(&[("loop.kdl", PROJECT), ("sub/plan.loop.kdl", PLAN)]);
    symlink("..", place.root().join("sub/up")).expect("it can be made");
    symlink("/", place.root().join("sub/all")).expect("it can be made");
    let found = loopc(&place, &["check"]);
    assert_eq!((found.code, found.out.as_str()), (0, "1 plan checked: nothing to report\n"));
    let around = loopc(&place, &["check", "sub/up/sub/up/sub/plan.loop.kdl", "sub/plan.loop.kdl"]);
    assert_eq!((around.code, around.out.as_str()), (0, "1 plan checked: nothing to report\n"));
}

#[test]
fn a_file_beyond_the_limit_is_refused_with_the_limit() {
    let place = Place::new(&[("loop.kdl", PROJECT)]);
    let file = std::fs::File::create(place.root().join("plan.loop.kdl")).expect("it can be made");
    file.set_len(200 << 20).expect("a sparse file");
    refused_by_all(&place, "it is larger than 16 MiB");
    refused(&place, &["check"], "it is larger than 16 MiB");
    place.write("importer.loop.kdl", format!("import \"./plan.loop.kdl\" x\n{PLAN}"));
    let found = loopc(&place, &["check", "--format", "short", "importer.loop.kdl"]);
    assert!(found.code == 1 && found.out.contains("importer.loop.kdl:1:8: error"), "{}", found.all());
    assert!(found.out.contains("larger than 16 MiB"), "{}", found.all());
    let endless = vec![b'\n'; 17 << 20];
    for command in ["check", "fmt"] {
        let piped = answer(loopc_command(&place.root(), &[command, "-"]), &endless);
        assert!(piped.code == 2 && piped.err.contains("larger than 16 MiB"), "{}", piped.all());
    }
    // A project file that cannot be read concerns every plan.
    place.write("fine.loop.kdl", PLAN);
    std::fs::remove_file(place.root().join("loop.kdl")).expect("it is there");
    std::fs::rename(place.root().join("plan.loop.kdl"), place.root().join("loop.kdl"))
        .expect("it can be moved");
    refused(&place, &["check", "fine.loop.kdl"], "cannot read loop.kdl: it is larger than 16 MiB");
}

#[test]
fn nothing_outside_the_repository_is_imported_or_read() {
    let place = Place::new(&[("loop.kdl", PROJECT)]);
    std::fs::write(place.root().join("../secret.loop.kdl"), "verifier secret { run true; }\n")
        .expect("it can be written");
    symlink("../secret.loop.kdl", place.root().join("link.loop.kdl")).expect("it can be made");
    symlink("..", place.root().join("way")).expect("it can be made");
    rustix::fs::mkfifoat(rustix::fs::CWD, place.root().join("pipe.kdl"), rustix::fs::Mode::RUSR)
        .expect("it can be made");
    for (line, says) in [
        ("import \"../secret.loop.kdl\" secret", "leads out of the repository"),
        ("import \"./../secret.loop.kdl\" secret", "leads out of the repository"),
        ("import \"./a/../../secret.loop.kdl\" secret", "leads out of the repository"),
        ("import \"/etc/passwd\" secret", "is an absolute path"),
        ("import \"./link.loop.kdl\" secret", "a symbolic link that leads out of the repository"),
        ("import \"./way/secret.loop.kdl\" secret", "a symbolic link that leads out of the repository"),
        ("import \"./pipe.kdl\" secret", "is not a file"),
        ("import \"./gone.kdl\" secret", "does not exist"),
        ("import \"./plan.loop.kdl\" secret", "error[L020"),
        ("import \"std/../../secret\" secret", "error[L0"),
        ("import \"\" secret", "error[L0"),
    ] {
        place.write("plan.loop.kdl", format!("{line}\n{PLAN}"));
        let found = loopc(&place, &["check", "--format", "short", "plan.loop.kdl"]);
        assert!(found.code == 1 && found.out.contains(says), "{line}: {}", found.all());
        assert!(found.out.starts_with("plan.loop.kdl:1:"), "{line}: {}", found.all());
    }
    for (node, says) in [
        ("prompt file=\"../secret.loop.kdl\"", "leads out"),
        ("prompt file=\"link.loop.kdl\"", "leads out"),
        ("prompt file=\"pipe.kdl\"", "is not a file"),
        ("ref \"way/secret.loop.kdl#x\"", "error[L0"),
        ("rules \"/etc/passwd\"", "absolute"),
        ("writes \"../x\"", "leads out"),
        ("inputs \"a/../../x\"", "leads out"),
    ] {
        place.write("plan.loop.kdl", with(&format!("goal \"a\"; {node}")));
        let found = loopc(&place, &["check", "--format", "short", "plan.loop.kdl"]);
        assert!(found.code == 1 && found.out.contains(says), "{node}: {}", found.all());
    }
}

#[test]
fn a_plan_that_is_named_twice_is_one_plan() {
    let place = Place::new(&[("loop.kdl", PROJECT), ("plan.loop.kdl", PLAN)]);
    let absolute = place.root().join("plan.loop.kdl");
    let names =
        ["plan.loop.kdl", "./plan.loop.kdl", "../repo/plan.loop.kdl", absolute.to_str().expect("UTF-8")];
    let mut arguments = vec!["check"];
    arguments.extend(names);
    let found = loopc(&place, &arguments);
    assert_eq!((found.code, found.out.as_str()), (0, "1 plan checked: nothing to report\n"));
    // Under another name it is another plan, of the same feature.
    std::fs::hard_link(&absolute, place.root().join("again.loop.kdl")).expect("it can be made");
    let found = loopc(&place, &["check", "--format", "short"]);
    assert!(found.code == 1 && found.out.contains("L0201/duplicate-id"), "{}", found.all());
}

#[test]
fn names_that_no_plan_can_name_are_told() {
    let place = Place::new(&[("loop.kdl", PROJECT), ("plan.loop.kdl", PLAN)]);
    for path in [
        "",
        "   ",
        "plan",
        "x\n.loop.kdl",
        "\u{1B}[31m.loop.kdl",
        "plan.loop.kdl/",
        "plan.loop.kdl/x.loop.kdl",
    ] {
        let found = loopc(&place, &["check", path]);
        assert_eq!((found.code, found.out.as_str()), (2, ""), "{path:?}: {}", found.all());
    }
    refused(&place, &["check", ""], "a path is empty");
    refused(&place, &["fmt", ""], "a path is empty");
    let long = format!("{}.loop.kdl", "x".repeat(5_000));
    refused(&place, &["check", &long], "file name too long");

    let strange = OsStr::from_bytes(b"strange-\xFF.loop.kdl");
    std::fs::write(place.root().join(strange), PLAN).expect("it can be written");
    for command in ["check", "fmt"] {
        refused(&place, &[command], "is not UTF-8; rename the file");
        let mut named = loopc_command(&place.root(), &[command]);
        named.arg(strange);
        let found = answer(named, b"");
        assert!(found.code == 2 && found.err.contains("invalid UTF-8"), "{}", found.all());
    }
    std::fs::remove_file(place.root().join(strange)).expect("it is there");
    // Such names are KDL and UTF-8, but a terminal must not obey them.
    place.write("bad\n\u{1B}[31mname.loop.kdl", PLAN.replace("goal", "gaol"));
    for arguments in
        [&["check"][..], &["check", "--format", "short"], &["fmt", "--check"], &["fmt", "--diff"]]
    {
        loopc(&place, arguments);
    }
}

/// Runs as somebody who may not read everything; nothing if this process is not allowed to become somebody else and is
/// not that somebody either.
fn as_nobody(place: &Place, arguments: &[&str]) -> Option<Answer> {
    if !rustix::process::geteuid().is_root() {
        return Some(loopc(place, arguments));
    }
    // The binary of the tests may lie where nobody may look.
    let program = place.root().join("../loopc");
    if !program.exists() {
        std::fs::copy(loopc_binary(), &program).expect("it can be copied");
        let above = place.root().join("..");
        std::fs::set_permissions(above, PermissionsExt::from_mode(0o755)).expect("it is ours");
    }
    let mut command = Command::new(program);
    command.current_dir(place.root()).args(arguments).uid(65_534).gid(65_534);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    Some(answer(command, b""))
}

fn forbid(path: &Path, mode: u32) {
    std::fs::set_permissions(path, PermissionsExt::from_mode(mode)).expect("it is ours");
}

#[test]
fn what_may_not_be_read_or_written_is_told_and_left_alone() {
    let ugly = PLAN.replace("    ", " ");
    let place = Place::new(&[("loop.kdl", PROJECT), ("plan.loop.kdl", &ugly), ("sub/b.loop.kdl", PLAN)]);
    let plan = place.root().join("plan.loop.kdl");
    let Some(found) = as_nobody(&place, &["check", "plan.loop.kdl"]) else { return };
    assert_eq!(found.code, 0, "readable so far: {}", found.all());

    forbid(&plan, 0o444);
    let found = as_nobody(&place, &["fmt", "plan.loop.kdl"]).expect("it ran before");
    assert!(
        found.code == 2 && found.err.contains("cannot write plan.loop.kdl: it is read-only"),
        "{}",
        found.all()
    );
    assert_eq!(place.read("plan.loop.kdl"), ugly);

    forbid(&plan, 0o000);
    for arguments in [&["check", "plan.loop.kdl"][..], &["check"], &["fmt"], &["build", "plan.loop.kdl"]] {
        let found = as_nobody(&place, arguments).expect("it ran before");
        assert_eq!((found.code, found.out.as_str()), (2, ""), "{arguments:?}: {}", found.all());
        assert_eq!(found.err, "loopc: cannot read plan.loop.kdl: permission denied\n", "{arguments:?}");
    }
    forbid(&plan, 0o644);
    forbid(&place.root().join("sub"), 0o000);
    let found = as_nobody(&place, &["check"]).expect("it ran before");
    forbid(&place.root().join("sub"), 0o755);
    assert!(found.code == 2 && found.err.contains("sub: permission denied"), "{}", found.all());

    forbid(&place.root().join("loop.kdl"), 0o000);
    let found = as_nobody(&place, &["check", "plan.loop.kdl"]).expect("it ran before");
    assert_eq!(found.err, "loopc: cannot read loop.kdl: permission denied\n", "{}", found.all());
}

#[test]
fn a_plan_that_changes_while_it_is_read_gets_one_sound_answer() {
    let place = Place::new(&[("loop.kdl", PROJECT), ("plan.loop.kdl", PLAN)]);
    let stop = AtomicBool::new(false);
    let broken = PLAN.replace("unit a {", "unit a { \"").repeat(400);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            // Not by a rename: readers see it empty, half written, and cut short.
            while !stop.load(Ordering::Relaxed) {
                place.write("plan.loop.kdl", &broken);
                place.write("plan.loop.kdl", PLAN);
            }
        });
        for _ in 0..25 {
            let found = loopc(&place, &["check", "plan.loop.kdl"]);
            let says = ["nothing to report", "error in 1 file", "errors in 1 file"];
            assert!(says.iter().any(|says| found.out.contains(says)), "{}", found.all());
        }
        stop.store(true, Ordering::Relaxed);
    });
}

#[test]
fn a_place_that_is_gone_is_told() {
    let place = Place::new(&[("gone/x", "")]);
    let mut command = Command::new("sh");
    let script = "rmdir_me=$PWD; rm -r \"$rmdir_me\"; exec \"$0\" check";
    command.current_dir(place.root().join("gone")).args(["-c", script]).arg(loopc_binary());
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let found = answer(command, b"");
    assert_eq!(
        (found.code, found.err.as_str()),
        (2, "loopc: cannot tell the current directory: no such file or directory\n")
    );
}
