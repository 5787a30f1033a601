//! Arguments, exit codes, and what all commands share.
//!
//! Does not know what a command prints.

mod build;
mod check;
mod diff;
mod fix;
mod fmt;
mod graph;
mod output;
mod reference;
mod rules;
mod target;
mod watch;

use camino::Utf8PathBuf;
use clap::{Parser, Subcommand, ValueEnum};
use loopc::report::{Color, Output};
use output::Failure;

/// How `loopc` ends; the one table of its exit codes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    /// No errors; there may be warnings and notes.
    Clean = 0,
    /// The plan has errors. A syntax error is one of them.
    Errors = 1,
    /// Wrong usage, or a file that cannot be read or written: nothing was judged.
    Usage = 2,
}

impl From<Exit> for std::process::ExitCode {
    fn from(exit: Exit) -> std::process::ExitCode {
        std::process::ExitCode::from(exit as u8)
    }
}

const EXIT_CODES: &str = "\
Exit codes:
  0  no errors (there may be warnings and notes)
  1  the plan has errors, syntax errors among them; with `--diff`, also if there is something to fix
  2  wrong usage, or a file that cannot be read or written

`check --watch` runs until it is interrupted, and then ends as the signal says (130 in a shell).

Environment:
  NO_COLOR         not empty: no colour
  CLICOLOR_FORCE   not 0: colour even when the output is piped";

#[derive(Debug, Parser)]
#[command(
    name = "loopc",
    version,
    about = "Compiles plans of agent work, written in KDL 2, into a content-hashed execution graph",
    long_about = "Compiles plans of agent work, written in KDL 2, into a content-hashed execution graph.\n\n\
                  Plans are files that end in `.loop.kdl`; `loop.kdl` at the repository's root holds what they \
                  share. `loopc` finds every mistake of a plan before anything is run or paid; `loop exec` runs \
                  what it has compiled.",
    after_help = EXIT_CODES,
    arg_required_else_help = true
)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
    /// When to print in colour; wins over the environment
    #[arg(long, global = true, value_enum, default_value_t = Color::Auto, value_name = "WHEN")]
    color: Color,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Check plans and show every mistake with its place and a way out
    ///
    /// Without a path: the nearest `loop.kdl` upwards, with every `*.loop.kdl` of the repository. What git
    /// ignores, and hidden directories, are left out.
    #[command(after_help = EXIT_CODES)]
    Check {
        /// Plans, directories that are searched for plans, or `-` for a plan on standard input, which is
        /// checked as if it stood at the repository's root
        #[arg(value_name = "PATH")]
        paths: Vec<Utf8PathBuf>,
        #[command(flatten)]
        output: Output,
        #[command(flatten)]
        options: check::Options,
    },
    /// Compile a plan into its graph, as deterministic JSON
    #[command(after_help = EXIT_CODES)]
    Build {
        /// The plan, or `-` for standard input
        plan: Utf8PathBuf,
        /// Write the graph to FILE, whole or not at all, and not to standard output
        #[arg(short, long, value_name = "FILE")]
        output: Option<Utf8PathBuf>,
        /// Print the graph's digest alone
        #[arg(long)]
        digest: bool,
    },
    /// Lay out plans: one layout for all, every literal and comment as it was written
    ///
    /// Without a path: every `loop.kdl` and `*.loop.kdl` of the repository. What git ignores, and hidden
    /// directories, are left out. A file with syntax errors is reported and left as it is; a plan that is wrong
    /// in any other way is laid out like any other.
    #[command(after_help = fmt::EXIT_CODES)]
    Fmt {
        /// KDL files, directories that are searched for plans, or `-` for standard input
        #[arg(value_name = "PATH")]
        paths: Vec<Utf8PathBuf>,
        /// Write nothing; list the files that would change
        #[arg(long)]
        check: bool,
        /// Write nothing; show what would change
        #[arg(long)]
        diff: bool,
        /// Lay out standard input and print it; the same as `-`
        #[arg(long, conflicts_with = "paths")]
        stdin: bool,
    },
    /// Show what a plan will do: gates, the waves of units, what they write, who checks them
    #[command(after_help = EXIT_CODES)]
    Graph {
        /// The plan, or `-` for standard input
        plan: Utf8PathBuf,
        /// As text, or as a picture
        #[arg(long, value_enum, default_value_t = GraphFormat::Text)]
        format: GraphFormat,
        /// Write to FILE, whole or not at all, and not to standard output
        #[arg(short, long, value_name = "FILE")]
        output: Option<Utf8PathBuf>,
    },
    /// List the rules: code, name, level, whether their examples can be fixed, what is wrong
    #[command(after_help = EXIT_CODES)]
    Rules {
        /// How to print them
        #[arg(long, value_enum, default_value_t = RulesFormat::Human)]
        format: RulesFormat,
    },
    /// Explain rules, each with an example; without a rule, list them all
    #[command(after_help = EXIT_CODES)]
    Explain {
        /// A rule's code (`L0401`) or name (`write-conflict`)
        #[arg(value_name = "CODE-OR-NAME")]
        rules: Vec<String>,
        /// How to print them
        #[arg(long, value_enum, default_value_t = RulesFormat::Human)]
        format: RulesFormat,
    },
    /// Compare plans, or two states of one
    Plan {
        #[command(subcommand)]
        command: PlanCommand,
    },
    /// Print the language on one card, for whoever writes plans
    #[command(after_help = EXIT_CODES)]
    Reference,
}

#[derive(Debug, Subcommand)]
enum PlanCommand {
    /// Show which units' keys differ, and why
    ///
    /// A plan is a file, or REVISION:PATH for the file as it was in a revision of git; OLD may be a REVISION alone,
    /// which means NEW's path there. What a plan refers to is read from the same revision.
    #[command(after_help = EXIT_CODES)]
    Diff {
        #[arg(value_name = "OLD")]
        old: String,
        #[arg(value_name = "NEW")]
        new: String,
        /// How to print the difference
        #[arg(long, value_enum, default_value_t = DiffFormat::Human)]
        format: DiffFormat,
        /// End with 1 if something differs
        #[arg(long)]
        exit_code: bool,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum DiffFormat {
    /// In words
    Human,
    /// For programs; `spec/graph.md` describes it
    Json,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum GraphFormat {
    /// Gate by gate, in words
    Text,
    /// For Graphviz: `dot -Tsvg`
    Dot,
    /// For Markdown: a `mermaid` block
    Mermaid,
    /// A picture by itself
    Svg,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum RulesFormat {
    /// In words
    Human,
    /// One JSON object, described by `spec/schemas/rules.json`
    Json,
}

/// Runs the command that the process was called with.
pub(crate) fn main() -> Exit {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => return clap_answer(&error),
    };
    output::set_color(arguments.color);
    let result = match arguments.command {
        Command::Check { paths, output, options } => check::run(&paths, &output, &options),
        Command::Build { plan, output, digest } => build::run(&plan, output.as_deref(), digest),
        Command::Fmt { paths, check, diff, stdin } => fmt::run(&paths, fmt::Mode::of(check, diff), stdin),
        Command::Graph { plan, format, output } => graph::run(&plan, format, output.as_deref()),
        Command::Rules { format } => rules::list(format),
        Command::Explain { rules, format } => rules::explain(&rules, format),
        Command::Plan { command: PlanCommand::Diff { old, new, format, exit_code } } => {
            diff::run(&old, &new, format, exit_code)
        }
        Command::Reference => reference::run(),
    };
    match result {
        Ok(exit) => exit,
        // Whoever read the output has seen enough; `loopc check | head` did nothing wrong.
        Err(Failure::ReaderGone) => Exit::Clean,
        Err(Failure::Told(message)) => {
            output::complain(&message);
            Exit::Usage
        }
    }
}

/// Help and version go to standard output and are no failure; wrong arguments are.
fn clap_answer(error: &clap::Error) -> Exit {
    let _ = error.print();
    if error.use_stderr() { Exit::Usage } else { Exit::Clean }
}
