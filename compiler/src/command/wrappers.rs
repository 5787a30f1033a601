//! Takes off what only starts another program: `env`, `timeout 60`, `npx`, `poetry run`, `sh -c`.
//!
//! Does not know what the program behind it does.

use super::shell::{Call, Line, assignment, split};

/// As many wrappers in one another are looked through; more are nobody's plan.
const MOST: usize = 8;

/// How the options in front of the wrapped program look.
struct Wrapper {
    words: &'static [&'static str],
    /// Options that take the next word as their value.
    values: &'static [&'static str],
    /// Words of its own that come before the program.
    own: usize,
}

const fn wrapper(words: &'static [&'static str], values: &'static [&'static str], own: usize) -> Wrapper {
    Wrapper { words, values, own }
}

static WRAPPERS: &[Wrapper] = &[
    wrapper(&["env"], &["-u", "--unset", "-C", "--chdir"], 0),
    wrapper(&["timeout"], &["-k", "--kill-after", "-s", "--signal"], 1),
    wrapper(&["gtimeout"], &["-k", "--kill-after", "-s", "--signal"], 1),
    wrapper(&["nice"], &["-n", "--adjustment"], 0),
    wrapper(&["time"], &[], 0),
    wrapper(&["nohup"], &[], 0),
    wrapper(&["exec"], &[], 0),
    wrapper(&["command"], &[], 0),
    wrapper(&["sudo"], &["-u", "-g"], 0),
    wrapper(&["stdbuf"], &["-i", "-o", "-e"], 0),
    wrapper(&["xvfb-run"], &["-s", "--server-args", "-n"], 0),
    wrapper(&["npx"], &["-p", "--package"], 0),
    wrapper(&["pnpx"], &[], 0),
    wrapper(&["bunx"], &[], 0),
    wrapper(&["uvx"], &["--from", "--with", "-p", "--python"], 0),
    wrapper(&["npm", "exec"], &["-p", "--package"], 0),
    wrapper(&["pnpm", "exec"], &[], 0),
    wrapper(&["pnpm", "dlx"], &[], 0),
    wrapper(&["yarn", "exec"], &[], 0),
    wrapper(&["yarn", "dlx"], &[], 0),
    wrapper(&["bun", "x"], &[], 0),
    wrapper(
        &["uv", "run"],
        &[
            "--with",
            "--extra",
            "--group",
            "-p",
            "--python",
            "--package",
            "--directory",
            "--project",
            "--env-file",
        ],
        0,
    ),
    wrapper(&["poetry", "run"], &[], 0),
    wrapper(&["pipenv", "run"], &[], 0),
    wrapper(&["pdm", "run"], &[], 0),
    wrapper(&["rye", "run"], &[], 0),
    wrapper(&["pixi", "run"], &["-e", "--environment"], 0),
    wrapper(&["bundle", "exec"], &[], 0),
    wrapper(&["rustup", "run"], &[], 1),
    wrapper(&["mise", "exec"], &[], 0),
    wrapper(&["direnv", "exec"], &[], 1),
    wrapper(&["dotenv"], &["-e", "-f"], 0),
    wrapper(&["cross-env"], &[], 0),
];

const SHELLS: &[&str] = &["sh", "bash", "dash", "zsh", "ksh", "ash"];

/// Every call without its wrappers; what a `sh -c` says takes its place.
pub(super) fn opened(line: Line) -> Line {
    let mut out = Line { calls: Vec::new(), opaque: line.opaque };
    // Calls still to look at, the next one last, with the number of shells around them.
    let mut waiting: Vec<(Call, usize)> = line.calls.into_iter().rev().map(|call| (call, 0)).collect();
    while let Some((mut call, depth)) = waiting.pop() {
        for _ in 0..MOST {
            if !unwrap(&mut call) {
                break;
            }
        }
        match inline_script(&call).filter(|_| depth < MOST) {
            // Only where nothing hangs on it but its end: `!` or an operator would bind the whole script.
            Some(script) => {
                let mut inner = split(script);
                let several = inner.calls.len() > 1;
                let bound = call.negated || call.link != super::Link::Then || !out.calls.is_empty();
                out.opaque |= inner.opaque || (several && bound);
                if let Some(last) = inner.calls.last_mut() {
                    last.link = call.link;
                    last.negated |= call.negated;
                }
                for (at, mut call_inside) in inner.calls.into_iter().enumerate().rev() {
                    if at == 0 {
                        call_inside.env.splice(0..0, call.env.clone());
                    }
                    waiting.push((call_inside, depth + 1));
                }
            }
            None => out.calls.push(call),
        }
    }
    out
}

/// The text behind `sh -c`.
fn inline_script(call: &Call) -> Option<&str> {
    let shell = call.program().rsplit('/').next()?;
    if !SHELLS.contains(&shell) {
        return None;
    }
    // Only in front of a script's name: behind it, options are the script's.
    let mut options = call.words.iter().enumerate().skip(1).take_while(|(_, word)| word.starts_with('-'));
    let (at, _) = options.find(|(_, word)| !word.starts_with("--") && word.ends_with('c'))?;
    call.words.get(at + 1).map(String::as_str)
}

/// Takes one wrapper off.
fn unwrap(call: &mut Call) -> bool {
    let words = &call.words;
    let Some(program) = words.first() else { return false };
    let program = program.strip_prefix("/usr/bin/").or(program.strip_prefix("/bin/")).unwrap_or(program);
    let is = |wrapper: &&Wrapper| {
        wrapper.words[0] == program
            && wrapper.words[1..].iter().zip(&words[1..]).filter(|(a, b)| a == b).count()
                == wrapper.words.len() - 1
    };
    let Some(wrapper) = WRAPPERS.iter().find(is) else { return python_module(call) };
    let mut at = wrapper.words.len();
    let mut own = wrapper.own;
    while let Some(word) = words.get(at) {
        if word == "--" {
            at += 1;
            break;
        }
        if let Some(option) = word.strip_prefix('-').filter(|option| !option.is_empty()) {
            // Text behind `npx -c` is a script of its own.
            if option == "c" || option == "-call" {
                return false;
            }
            at += if wrapper.values.contains(&word.as_str()) { 2 } else { 1 };
        } else if let Some((name, value)) = assignment(word) {
            call.env.push((name.to_owned(), value.to_owned()));
            at += 1;
        } else if own > 0 {
            own -= 1;
            at += 1;
        } else {
            break;
        }
    }
    if at >= words.len() {
        return false;
    }
    call.words.drain(..at);
    true
}

/// `python -m pytest x` starts pytest.
fn python_module(call: &mut Call) -> bool {
    let python = call.program().rsplit('/').next().unwrap_or_default();
    let number = python.strip_prefix("python").or(python.strip_prefix("pypy"));
    if !number.is_some_and(|rest| rest.chars().all(|c| c.is_ascii_digit() || c == '.')) {
        return false;
    }
    let mut at = 1;
    loop {
        match call.words.get(at).map(String::as_str) {
            Some("-m") => break,
            Some("-W" | "-X") => at += 2,
            // Only options may stand before it: behind a script's name it is the script's.
            Some(word) if word.starts_with('-') => at += 1,
            _ => return false,
        }
    }
    if at + 1 >= call.words.len() {
        return false;
    }
    call.words.drain(..at + 1);
    true
}
