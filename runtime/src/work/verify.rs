//! Judges a check by the way its command ended.
//!
//! Does not know which unit it is for, nor whether a failure is expected: that is policy, judged each time.

use loop_compiler::graph::Check;

use super::predicate::regex;
use crate::process::{End, Outcome};
use crate::record::Verdict;

/// What a check's run says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Judged {
    pub verdict: Verdict,
    /// Sorted ids of what failed; for a plain command `exit:1` or `stdout`.
    pub failures: Vec<String>,
    pub exit: Option<i32>,
    pub signal: Option<i32>,
    /// One line for people; empty if it passed.
    pub message: String,
    /// Not judged for want of something outside: another attempt at the work would not help.
    pub environment: bool,
}

/// Judges an ended check. A timeout, a signal or a program that is not there is no verdict on the work: it is
/// `Errored`, never kept and never a pass.
pub fn judge(check: &Check, outcome: &Outcome) -> Judged {
    let errored = |message: String, signal: Option<i32>| Judged {
        verdict: Verdict::Errored,
        failures: Vec::new(),
        exit: None,
        signal,
        message,
        environment: matches!(outcome.end, End::NotFound(_) | End::ShimLost),
    };
    let code = match &outcome.end {
        End::Exited(code) => *code,
        End::Signaled(signal) => return errored(format!("was ended by signal {signal}"), Some(*signal)),
        End::TimedOut => return errored("ran longer than its total time".into(), None),
        End::IdleTimedOut => return errored("printed nothing for its idle time".into(), None),
        End::Cancelled => return errored("was stopped".into(), None),
        End::NotFound(what) => return errored(format!("could not be started: {what}"), None),
        End::ShimLost => {
            return errored("was lost: something killed the process that watches it".into(), None);
        }
    };
    let mut failures = Vec::new();
    let mut message = String::new();
    if !check.exit.contains(&code) {
        failures.push(format!("exit:{code}"));
        message = format!("exited with {code}");
    }
    if let Some(text) = &check.stdout {
        match regex(text) {
            Ok(regex) if regex.is_match(&outcome.stdout.bytes) => {}
            Ok(_) => {
                failures.push("stdout".into());
                message = format!("printed nothing that matches {text}");
            }
            Err(error) => return errored(format!("{text} is not a regular expression: {error}"), None),
        }
    }
    let verdict = if failures.is_empty() { Verdict::Passed } else { Verdict::Failed };
    Judged { verdict, failures, exit: Some(code), signal: None, message, environment: false }
}

/// The part of a program's output that is kept for people and for the next attempt: its beginning and its end.
pub fn excerpt(bytes: &[u8], limit: usize) -> Vec<u8> {
    if bytes.len() <= limit {
        return bytes.to_owned();
    }
    let head = limit / 4;
    let tail = limit - head;
    let left_out = bytes.len() - limit;
    let mut out = bytes[..head].to_owned();
    out.extend_from_slice(format!("\n[... {left_out} bytes left out ...]\n").as_bytes());
    out.extend_from_slice(&bytes[bytes.len() - tail..]);
    out
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use loop_compiler::graph::Command;

    use super::*;
    use crate::process::Captured;

    fn run(end: End, stdout: &str, exit: &[i32], pattern: Option<&str>) -> Verdict {
        let check = Check {
            command: Command::Shell("x".into()),
            exit: exit.to_vec(),
            stdout: pattern.map(str::to_owned),
        };
        let captured = |text: &str| Captured { bytes: text.as_bytes().to_vec(), ..Captured::default() };
        let outcome = Outcome {
            end,
            stdout: captured(stdout),
            stderr: captured(""),
            duration: Duration::ZERO,
            tree_empty: true,
        };
        judge(&check, &outcome).verdict
    }

    #[test]
    fn only_a_declared_exit_passes() {
        assert_eq!(run(End::Exited(0), "", &[0], None), Verdict::Passed);
        assert_eq!(run(End::Exited(1), "", &[0], None), Verdict::Failed);
        assert_eq!(run(End::Exited(1), "", &[0, 1], None), Verdict::Passed);
        assert_eq!(run(End::Exited(0), "", &[1], None), Verdict::Failed);
    }

    #[test]
    fn what_could_not_be_judged_is_no_verdict() {
        for end in [
            End::Signaled(9),
            End::TimedOut,
            End::IdleTimedOut,
            End::Cancelled,
            End::ShimLost,
            End::NotFound("x".into()),
        ] {
            assert_eq!(run(end, "", &[0], None), Verdict::Errored);
        }
    }

    #[test]
    fn output_must_match_at_a_line() {
        assert_eq!(run(End::Exited(0), "a\n6\n", &[0], Some("^6$")), Verdict::Passed);
        assert_eq!(run(End::Exited(0), "16\n", &[0], Some("^6$")), Verdict::Failed);
    }

    #[test]
    fn an_excerpt_keeps_both_ends() {
        let text = [b"start".as_slice(), &[b'.'; 1000], b"end"].concat();
        let cut = String::from_utf8(excerpt(&text, 100)).expect("text");
        assert!(cut.starts_with("start") && cut.ends_with("end") && cut.contains("left out"), "{cut}");
    }
}
