//! Draws a run: one live line per running unit on a terminal, plain lines elsewhere, records with `--json`.
//!
//! Does not know what a note means for the run.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io::Write as _;
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use loopc::terminal::{Stream, terminal};

use crate::drive::{Note, Progress};
use crate::fault::ExitCode;

/// Shows notes.
pub(crate) struct Follow {
    json: bool,
    color: bool,
    live: Option<MultiProgress>,
    bars: RefCell<BTreeMap<String, ProgressBar>>,
}

impl Follow {
    pub(crate) fn new(json: bool) -> Follow {
        let out = terminal(Stream::Out);
        let live = (!json && out.live)
            .then(|| MultiProgress::with_draw_target(ProgressDrawTarget::stdout_with_hz(8)));
        Follow { json, color: out.color && !json, live, bars: RefCell::new(BTreeMap::new()) }
    }

    /// Removes what is still drawn.
    pub(crate) fn close(&self) {
        for bar in std::mem::take(&mut *self.bars.borrow_mut()).into_values() {
            bar.finish_and_clear();
        }
        if let Some(live) = &self.live {
            let _ = live.clear();
        }
    }

    /// A line that stays. With `--json` standard output is for records alone.
    fn line(&self, text: &str) {
        if self.json {
            let _ = writeln!(std::io::stderr().lock(), "{text}");
        } else if let Some(live) = &self.live {
            let _ = live.println(text);
        } else {
            let _ = writeln!(std::io::stdout().lock(), "{text}");
        }
    }

    fn mark(&self, mark: &str, color: u8, text: &str) {
        let painted = if self.color { format!("\x1b[{color}m{mark}\x1b[0m") } else { mark.to_owned() };
        let pad = " ".repeat(9usize.saturating_sub(mark.chars().count()));
        self.line(&format!("{painted}{pad}{text}"));
    }

    fn bar(&self, unit: &str, text: String) {
        let Some(live) = &self.live else { return };
        let mut bars = self.bars.borrow_mut();
        let bar = bars.entry(unit.to_owned()).or_insert_with(|| {
            let bar = live.add(ProgressBar::new_spinner());
            if let Ok(style) = ProgressStyle::with_template("{spinner} {prefix} {elapsed:>4} {wide_msg}") {
                bar.set_style(style);
            }
            bar.set_prefix(unit.to_owned());
            bar.enable_steady_tick(Duration::from_millis(125));
            bar
        });
        bar.set_message(text);
    }

    fn clear(&self, unit: &str) {
        if let Some(bar) = self.bars.borrow_mut().remove(unit) {
            bar.finish_and_clear();
        }
    }
}

fn attempt(number: u32, of: u32) -> String {
    format!("attempt {number} of {of}")
}

impl Progress for Follow {
    fn note(&self, note: &Note<'_>) {
        match note {
            Note::RunStarted { feature, branch, head, resumed, containment } => {
                let how = if *resumed { "resumes" } else { "starts" };
                let confined =
                    if *containment == "bwrap" { "" } else { " (unconfined; `loop doctor` says why)" };
                self.line(&format!("{feature} {how} on {branch} at {}{confined}", head.short()));
            }
            Note::Cached { .. } => {}
            Note::AttemptStarted { unit, number, of, agent, model } => {
                let model = model.map(|model| format!(" ({model})")).unwrap_or_default();
                self.bar(unit, format!("{}, {agent}{model}", attempt(*number, *of)));
                if self.live.is_none() {
                    self.mark("start", 36, &format!("{unit}: {} with {agent}{model}", attempt(*number, *of)));
                }
            }
            Note::Output { unit, line } => self.bar(unit, one_line(line)),
            Note::Verifying { subject, verifier } => self.bar(subject, format!("verifying: {verifier}")),
            Note::Verified { subject, verifier, passed, cached } => {
                if self.live.is_none() && !cached {
                    let (mark, color) = if *passed { ("pass", 32) } else { ("fail", 31) };
                    self.mark(mark, color, &format!("{subject}: {verifier}"));
                }
            }
            Note::NotRun { subject, verifier, why } => {
                self.mark("skip", 33, &format!("{subject}: {verifier} {}", one_line(why)));
            }
            Note::AttemptFailed { unit, number, of, message } => {
                self.clear(unit);
                self.mark("failed", 31, &format!("{unit}: {}: {message}", attempt(*number, *of)));
            }
            Note::Adopted { unit, why } => {
                self.mark("adopt", 36, &format!("{unit}: checked again without an agent, as {why}"))
            }
            Note::Accepted { unit, empty, micro_usd } => {
                self.clear(unit);
                let cost = micro_usd
                    .map(|micro| format!(" (${}.{:04})", micro / 1_000_000, micro % 1_000_000 / 100))
                    .unwrap_or_default();
                let what = if *empty { ": nothing to change, and its checks pass" } else { "" };
                self.mark("accept", 32, &format!("{unit}{what}{cost}"));
            }
            Note::Landed { unit, commit } => self.mark("land", 32, &format!("{unit} as {}", commit.short())),
            Note::Halted { unit, why } => {
                self.clear(unit);
                self.mark("stop", 33, &format!("{unit}: {why}"));
            }
            Note::GateWaiting { gate, page, plan } => {
                self.clear(&format!("gate:{gate}"));
                self.line("");
                for line in page.lines() {
                    self.line(&format!("  {line}"));
                }
                self.line(&format!(
                    "\nThe gate waits for you. Look at the branch, then: loop approve {gate} {plan}"
                ));
            }
            Note::GatePassed { gate } => {
                self.clear(&format!("gate:{gate}"));
                self.mark("gate", 32, &format!("{gate} is open"));
            }
            Note::GateRed { gate, failing } => {
                self.clear(&format!("gate:{gate}"));
                self.mark(
                    "red",
                    31,
                    &format!("gate {gate}: the merged head does not pass, although each unit did alone"),
                );
                for line in *failing {
                    self.line(&format!("           {line}"));
                }
                self.line("           mend it on a unit (`loop exec --redo UNIT`), or change the plan");
            }
            Note::Warning { text } => {
                let line = format!("warning: {text}");
                match &self.live {
                    Some(live) => drop(live.println(line)),
                    None => drop(writeln!(std::io::stderr().lock(), "{line}")),
                }
            }
            Note::RunEnded { exit, reason } => {
                self.close();
                match exit {
                    ExitCode::Complete => {
                        self.line("Complete: everything the plan asks for is on the branch.")
                    }
                    _ => self.line(&format!("Ended: {reason} (exit {})", exit.code())),
                }
            }
        }
    }

    fn record(&self, line: &[u8]) {
        if self.json {
            let mut out = std::io::stdout().lock();
            let _ = out.write_all(line).and_then(|()| out.flush());
        }
    }
}

/// Output of an agent, harmless for a terminal.
fn one_line(line: &str) -> String {
    line.chars().map(|c| if c.is_control() { ' ' } else { c }).take(400).collect()
}
