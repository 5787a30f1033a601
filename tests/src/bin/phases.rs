//! Times the phases of a compilation in one process: `phases PLAN RUNS`, in the repository's root.
//!
//! Does not know how a phase works; what it prints is for people.
#![allow(clippy::print_stdout, reason = "a program that prints a table")]

use std::time::{Duration, Instant};

use camino::Utf8Path;
use loop_compiler::check::check;
use loop_compiler::graph;
use loop_compiler::plan::{Input, lower};
use loop_compiler::source::{FileId, SourceMap, Sources};
use loop_compiler::syntax;
use loopc::disk::Repository;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let (Some(plan), Some(runs)) = (arguments.next(), arguments.next()) else {
        return Err("usage: phases PLAN RUNS".into());
    };
    let runs: usize = runs.parse()?;
    let current = camino::Utf8PathBuf::try_from(std::env::current_dir()?)?;
    let repository = Repository::find(Utf8Path::new(&plan))?;
    let path = repository.relative(&current, Utf8Path::new(&plan))?;
    let project = repository.project_of(&path);
    let sources = repository.sources();

    let mut phases: Vec<(&str, Vec<Duration>)> =
        ["read", "parse", "lower (with parsing)", "check", "graph"].map(|name| (name, Vec::new())).into();
    let mut bytes = 0;
    for _ in 0..runs.max(1) {
        let mut at = 0;
        let mut took = |since: Instant| {
            phases[at].1.push(since.elapsed());
            at += 1;
        };
        let start = Instant::now();
        let read = sources.read(&path).map_err(|error| format!("{path}: {error:?}"))?;
        let (text, _) = syntax::decode(FileId(0), read);
        took(start);
        bytes = text.len();

        let start = Instant::now();
        let parsed = syntax::parse(FileId(0), &text);
        took(start);
        drop(parsed);

        let mut map = SourceMap::default();
        let start = Instant::now();
        let lowered = lower(&Input { project: project.as_deref(), plan: Some(&path) }, &sources, &mut map);
        took(start);
        let start = Instant::now();
        let (checked, _) = check(lowered.plan, &sources, &map, &lowered.diagnostics);
        took(start);
        let checked = checked.ok_or("the plan has errors")?;
        let start = Instant::now();
        let built = graph::build(&checked);
        took(start);
        drop(built);
    }
    for (name, mut times) in phases {
        times.sort();
        let (least, middle) = (times[0], times[times.len() / 2]);
        let speed = bytes as f64 / 1e6 / middle.as_secs_f64();
        println!(
            "{name:22} {:8.2} ms {:8.2} ms {speed:8.0} MB/s",
            least.as_secs_f64() * 1e3,
            middle.as_secs_f64() * 1e3
        );
    }
    Ok(())
}
