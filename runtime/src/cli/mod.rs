//! The `loop` command line: arguments in, one exit code out.
//!
//! Does not run anything itself: each command is a module that reads plan, journal and store, or starts `drive`.

mod approve;
mod audit;
mod demo;
mod doctor;
mod done;
mod exec;
mod follow;
mod init;
mod load;
mod log;
mod output;
mod probe;
mod status;
mod why;

use camino::Utf8PathBuf;
use clap::{Args, Parser, Subcommand};

use crate::fault::ExitCode;

/// Runs plans of AI-agent work: checked before anything is paid, verified by the executor, resumable after any crash.
#[derive(Parser)]
#[command(name = "loop", version, disable_help_subcommand = true, after_help = EXITS)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

const EXITS: &str = "\
Exit codes: 0 complete, 1 work failed, 2 plan or usage error, 3 waiting for a person, 4 blocked, 5 budget or limit,
6 something outside is missing, 7 another run holds the lock, 70 internal error, 130 interrupted.";

#[derive(Subcommand)]
enum Command {
    /// Show a whole run in a scratch repository: needs git and a shell, no network and no AI
    Demo {
        /// A directory that is empty or not there yet; a fresh one below the temporary directory if left out
        dir: Option<Utf8PathBuf>,
    },
    /// Write a `loop.kdl` that fits the repository, and an example plan
    Init {
        /// Where; the current directory if left out
        dir: Option<Utf8PathBuf>,
    },
    /// Run a plan: dispatch units whose inputs changed, verify, and put one commit per unit on its branch
    Exec(ExecArgs),
    /// Run every check of a plan once, before any work, and say what it cannot prove
    ///
    /// The checks run on the base, each in a directory of its own that is thrown away; nothing is recorded, and no agent is
    /// started. Exit 1 if there are errors among the findings.
    Probe(ProbeArgs),
    /// Show where each unit and gate stands
    Status {
        /// The plan; may be left out when there is one
        plan: Option<Utf8PathBuf>,
        /// One JSON document instead of text
        #[arg(long)]
        json: bool,
    },
    /// Explain a unit's key: each field, and what changed since the recorded one
    Why {
        /// The unit
        unit: String,
        /// The plan; may be left out when there is one
        plan: Option<Utf8PathBuf>,
        /// One JSON document instead of text
        #[arg(long)]
        json: bool,
    },
    /// Show what happened: attempts, failures with their evidence, verdicts, landings
    Log {
        /// Only this unit or gate
        unit: Option<String>,
        /// The plan; may be left out when there is one
        #[arg(long)]
        plan: Option<Utf8PathBuf>,
        /// The journal's records, one a line
        #[arg(long)]
        json: bool,
    },
    /// Approve a gate that waits
    Approve {
        /// The gate
        gate: String,
        /// The plan; may be left out when there is one
        plan: Option<Utf8PathBuf>,
        /// Why; recorded
        #[arg(long)]
        reason: Option<String>,
        /// Refuse it instead: the gate stays closed until its units change
        #[arg(long)]
        refuse: bool,
    },
    /// Record that a person did a manual
    Done {
        /// The manual
        unit: String,
        /// The plan; may be left out when there is one
        plan: Option<Utf8PathBuf>,
        /// A file that shows it; kept in the store
        #[arg(long)]
        evidence: Vec<Utf8PathBuf>,
    },
    /// Check the journal
    Audit {
        #[command(subcommand)]
        command: AuditCommand,
    },
    /// Look for what a run needs: git, containment, agents, verifiers' tools
    Doctor {
        /// The plan whose agents and tools are looked for; may be left out when there is one
        plan: Option<Utf8PathBuf>,
    },
}

#[derive(Subcommand)]
enum AuditCommand {
    /// Verify every record's hash and chain, and that what they name is in the store
    Verify {
        /// A journal directory or file, instead of this repository's journals
        path: Option<Utf8PathBuf>,
        /// Exit 3 if anything is not anchored by a commit on a branch
        #[arg(long)]
        require_anchor: bool,
    },
}

#[derive(Args)]
pub(crate) struct ExecArgs {
    /// The plan; may be left out when there is one
    pub plan: Option<Utf8PathBuf>,
    /// Up to this gate and with it
    #[arg(long)]
    pub gate: Option<String>,
    /// This unit and what it needs
    #[arg(long, conflicts_with = "gate")]
    pub unit: Option<String>,
    /// How many units may run at once
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..))]
    pub jobs: u16,
    /// Say what would run, and why; start nothing and write nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Print the journal's records as they are written
    #[arg(long)]
    pub json: bool,
    /// The branch or commit to start from, when the feature's branch is new
    #[arg(long)]
    pub base: Option<String>,
    /// Run this unit again although a result holds, or although it is blocked; may be repeated
    #[arg(long)]
    pub redo: Vec<String>,
}

#[derive(Args)]
pub(crate) struct ProbeArgs {
    /// The plan; may be left out when there is one
    pub plan: Option<Utf8PathBuf>,
    /// The branch or commit to probe; by default what a run would start from
    #[arg(long)]
    pub base: Option<String>,
    /// How many checks may run at once
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..))]
    pub jobs: u16,
    /// Do not name on standard error what is being run
    #[arg(long, short)]
    pub quiet: bool,
    #[command(flatten)]
    pub output: loopc::report::Output,
}

/// Reads the arguments, runs the command, and says how the process ends.
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // `--help` and `--version` are no mistakes.
            let code = if error.use_stderr() { ExitCode::Usage } else { ExitCode::Complete };
            let _ = error.print();
            return code;
        }
    };
    let ended = match cli.command {
        Command::Demo { dir } => demo::run(dir.as_deref()),
        Command::Init { dir } => init::run(dir.as_deref()),
        Command::Exec(args) => exec::run(args),
        Command::Probe(args) => probe::run(&args),
        Command::Status { plan, json } => status::run(plan.as_deref(), json),
        Command::Why { unit, plan, json } => why::run(&unit, plan.as_deref(), json),
        Command::Log { unit, plan, json } => log::run(unit.as_deref(), plan.as_deref(), json),
        Command::Approve { gate, plan, reason, refuse } => {
            approve::run(&gate, plan.as_deref(), reason, refuse)
        }
        Command::Done { unit, plan, evidence } => done::run(&unit, plan.as_deref(), &evidence),
        Command::Audit { command: AuditCommand::Verify { path, require_anchor } } => {
            audit::verify(path.as_deref(), require_anchor)
        }
        Command::Doctor { plan } => doctor::run(plan.as_deref()),
    };
    match ended {
        Ok(code) => code,
        Err(failure) => failure.tell(),
    }
}
