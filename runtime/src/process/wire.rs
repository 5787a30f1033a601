//! What executor and shim say to each other over their socket.
//!
//! Does not know how either acts on it. Both ends are the same program, so there is no version.
//!
//! Executor to shim: one [`Task`], then single-byte orders. Shim to executor: [`Report`]s, one a line. The end of
//! either side is the end of the socket.

use std::ffi::{OsStr, OsString};
use std::io::Read;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};

/// Start the command.
pub(super) const GO: u8 = b'G';
/// End it politely: TERM, the grace, then KILL.
pub(super) const TERM: u8 = b'T';
/// End it now.
pub(super) const KILL: u8 = b'K';

/// Everything a shim needs to know.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Task {
    /// The whole command line, the sandbox's part included.
    pub(super) argv: Vec<OsString>,
    /// `NAME=value`, each name once.
    pub(super) env: Vec<OsString>,
    /// Where the command line is started.
    pub(super) cwd: OsString,
    pub(super) stdin: OsString,
    pub(super) lock: OsString,
    pub(super) grace_ms: u64,
    /// Contents of `/etc/passwd` and `/etc/group`; there if the command line is bubblewrap's.
    pub(super) identity: Option<(OsString, OsString)>,
}

/// No task is anywhere near: arguments and environment together are bounded by the kernel (a few MiB).
const MOST_BYTES: u64 = 64 << 20;

impl Task {
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut body = Vec::new();
        list(&mut body, &self.argv);
        list(&mut body, &self.env);
        item(&mut body, &self.cwd);
        item(&mut body, &self.stdin);
        item(&mut body, &self.lock);
        body.extend_from_slice(&self.grace_ms.to_le_bytes());
        match &self.identity {
            Some((passwd, group)) => list(&mut body, &[passwd.clone(), group.clone()]),
            None => list(&mut body, &[]),
        }
        let mut message = (body.len() as u64).to_le_bytes().to_vec();
        message.append(&mut body);
        message
    }

    /// Reads one task; the stream stands behind it afterwards.
    pub(super) fn read(stream: &mut impl Read) -> std::io::Result<Task> {
        let mut length = [0; 8];
        stream.read_exact(&mut length)?;
        let length = u64::from_le_bytes(length);
        if length > MOST_BYTES {
            return Err(malformed());
        }
        let mut body = Vec::new();
        stream.take(length).read_to_end(&mut body)?;
        Task::decode(&mut body.as_slice()).ok_or_else(malformed)
    }

    fn decode(body: &mut &[u8]) -> Option<Task> {
        Some(Task {
            argv: take_list(body)?,
            env: take_list(body)?,
            cwd: take_item(body)?,
            stdin: take_item(body)?,
            lock: take_item(body)?,
            grace_ms: take_number(body)?,
            identity: match <[OsString; 2]>::try_from(take_list(body)?) {
                Ok([passwd, group]) => Some((passwd, group)),
                Err(_) => None,
            },
        })
    }
}

fn malformed() -> std::io::Error {
    std::io::Error::new(std::io::ErrorKind::InvalidData, "malformed task")
}

fn item(body: &mut Vec<u8>, text: &OsStr) {
    body.extend_from_slice(&(text.len() as u64).to_le_bytes());
    body.extend_from_slice(text.as_bytes());
}

fn list(body: &mut Vec<u8>, items: &[OsString]) {
    body.extend_from_slice(&(items.len() as u64).to_le_bytes());
    items.iter().for_each(|text| item(body, text));
}

fn take_number(body: &mut &[u8]) -> Option<u64> {
    let (number, rest) = body.split_first_chunk::<8>()?;
    *body = rest;
    Some(u64::from_le_bytes(*number))
}

fn take_item(body: &mut &[u8]) -> Option<OsString> {
    let length = usize::try_from(take_number(body)?).ok()?;
    let (bytes, rest) = body.split_at_checked(length)?;
    *body = rest;
    Some(OsString::from_vec(bytes.to_vec()))
}

fn take_list(body: &mut &[u8]) -> Option<Vec<OsString>> {
    let count = take_number(body)?;
    (0..count).map(|_| take_item(body)).collect()
}

/// What a shim tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Report {
    /// It holds the lock and waits for GO.
    Ready,
    /// Somebody else holds the lock.
    Locked,
    /// It cannot do its task: words.
    Refused(String),
    /// The command could not be executed: words.
    Missing(String),
    /// Bubblewrap ended before the command was started; its words are on standard error.
    NoSandbox,
    Exited(i32),
    Signaled(i32),
    /// The last report: the tree has been ended; is nothing left?
    Empty(bool),
}

impl Report {
    pub(super) fn line(&self) -> String {
        let one_line = |text: &str| text.replace('\n', " ");
        match self {
            Report::Ready => "ready\n".to_owned(),
            Report::Locked => "locked\n".to_owned(),
            Report::Refused(why) => format!("refused {}\n", one_line(why)),
            Report::Missing(why) => format!("missing {}\n", one_line(why)),
            Report::NoSandbox => "no-sandbox\n".to_owned(),
            Report::Exited(code) => format!("exited {code}\n"),
            Report::Signaled(signal) => format!("signaled {signal}\n"),
            Report::Empty(empty) => format!("empty {}\n", u8::from(*empty)),
        }
    }

    pub(super) fn parse(line: &str) -> Option<Report> {
        let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
        Some(match word {
            "ready" => Report::Ready,
            "locked" => Report::Locked,
            "refused" => Report::Refused(rest.to_owned()),
            "missing" => Report::Missing(rest.to_owned()),
            "no-sandbox" => Report::NoSandbox,
            "exited" => Report::Exited(rest.parse().ok()?),
            "signaled" => Report::Signaled(rest.parse().ok()?),
            "empty" => Report::Empty(rest == "1"),
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn words() -> impl Strategy<Value = Vec<OsString>> {
        let word = proptest::collection::vec(any::<u8>(), 0..20).prop_map(OsString::from_vec);
        proptest::collection::vec(word, 0..5)
    }

    proptest! {
        #[test]
        fn a_task_arrives_as_it_was_sent(argv in words(), env in words(), grace_ms: u64, sandboxed: bool) {
            let identity = sandboxed.then(|| ("a\nb".into(), OsString::new()));
            let task = Task { argv, env, cwd: "/a b".into(), stdin: "/dev/null".into(), lock: "/l".into(), grace_ms, identity };
            let mut sent = task.encode();
            sent.push(GO);
            let mut stream = sent.as_slice();
            prop_assert_eq!(Task::read(&mut stream).ok(), Some(task));
            prop_assert_eq!(stream, &[GO]);
        }

        #[test]
        fn noise_is_an_error_and_no_panic(noise in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = Task::decode(&mut noise.as_slice());
            let _ = Report::parse(&String::from_utf8_lossy(&noise));
        }
    }

    #[test]
    fn a_task_that_is_cut_off_is_an_error() {
        let sent = Task { argv: vec!["true".into()], ..Task::default() }.encode();
        for length in 0..sent.len() {
            assert!(Task::read(&mut &sent[..length]).is_err(), "{length}");
        }
    }

    #[test]
    fn reports_arrive_as_they_were_sent() {
        let reports = [
            Report::Ready,
            Report::Locked,
            Report::Refused("no such file".into()),
            Report::Missing(String::new()),
            Report::NoSandbox,
            Report::Exited(-1),
            Report::Signaled(9),
            Report::Empty(true),
            Report::Empty(false),
        ];
        for report in reports {
            let line = report.line();
            assert_eq!(Report::parse(line.trim_end_matches('\n')), Some(report));
        }
        assert_eq!(Report::Refused("a\nb".into()).line(), "refused a b\n");
    }
}
