//! `loop exec`: runs a plan, or says what a run would do.
//!
//! Does not know how a run goes on: `drive` does.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::rc::Rc;

use camino::Utf8PathBuf;
use loop_compiler::graph::NodeKind;

use super::ExecArgs;
use super::follow::Follow;
use super::load::{Loaded, load, look};
use super::output::{Failure, print};
use crate::drive::{self, Decision, Options, Redo, Setup};
use crate::fault::ExitCode;
use crate::sandbox::{Containment, Detected, detect};
use crate::schedule::Halt;

pub(super) fn run(args: ExecArgs) -> Result<ExitCode, Failure> {
    let loaded = load(args.plan.as_deref())?;
    loaded.must_be_supported()?;
    let options = options(&args, &loaded)?;
    if args.dry_run {
        return dry_run(loaded, &options);
    }
    let setup = Setup {
        graph: loaded.graph,
        plan: loaded.plan,
        repository: loaded.repository,
        environment: environment(),
        detected: containment()?,
        options,
    };
    let progress = Rc::new(Follow::new(args.json));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|error| {
        Failure::new(ExitCode::Environment, format!("cannot start the event loop: {error}"))
    })?;
    let local = tokio::task::LocalSet::new();
    let ended =
        runtime.block_on(local.run_until(drive::run(setup, Rc::clone(&progress) as Rc<dyn drive::Progress>)));
    progress.close();
    Ok(ended?)
}

/// The environment that `loop` was started in.
pub(super) fn environment() -> BTreeMap<String, OsString> {
    std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value))).collect()
}

/// The best containment there is; `LOOP_CONTAINMENT=off` switches it off, `bwrap` insists on it.
pub(super) fn containment() -> Result<Detected, Failure> {
    let prefer = match std::env::var("LOOP_CONTAINMENT").as_deref() {
        Ok("off") => Some(Containment::Shim),
        Ok("bwrap") => Some(Containment::Bwrap),
        Ok("") | Err(_) => None,
        Ok(other) => {
            return Err(Failure::usage(format!(
                "LOOP_CONTAINMENT is `{other}`; it must be `off` or `bwrap`"
            )));
        }
    };
    let program = std::env::current_exe().ok().and_then(|path| Utf8PathBuf::from_path_buf(path).ok());
    let detected = match program {
        Some(program) => detect(prefer, &program),
        None => Detected::unconfined("the path of this program is not known"),
    };
    if prefer == Some(Containment::Bwrap) && !detected.containment.is_confined() {
        let message =
            format!("LOOP_CONTAINMENT=bwrap, and it does not work here: {}", detected.reasons.join("; "));
        return Err(Failure::new(ExitCode::Environment, message));
    }
    Ok(detected)
}

fn options(args: &ExecArgs, loaded: &Loaded) -> Result<Options, Failure> {
    let nodes = &loaded.graph.nodes;
    let units = || nodes.iter().filter(|node| node.kind != NodeKind::Gate).map(|node| node.id.as_str());
    let gates = || nodes.iter().filter(|node| node.kind == NodeKind::Gate).map(|node| node.gate.as_str());
    for unit in args.unit.iter().chain(&args.redo) {
        if !units().any(|known| known == unit) {
            return Err(unknown("unit", unit, units()));
        }
    }
    if let Some(gate) = &args.gate
        && !gates().any(|known| known == gate)
    {
        return Err(unknown("gate", gate, gates()));
    }
    Ok(Options {
        gate: args.gate.clone(),
        unit: args.unit.clone(),
        jobs: usize::from(args.jobs),
        base: args.base.clone(),
        redo: args.redo.iter().cloned().collect::<BTreeSet<_>>(),
    })
}

/// "No such thing", with the nearest name.
pub(super) fn unknown<'n>(kind: &str, name: &str, known: impl Iterator<Item = &'n str>) -> Failure {
    let known: Vec<&str> = known.collect();
    let near = loop_compiler::diagnostic::did_you_mean(name, known.iter().copied());
    let hint = match near {
        Some(near) => format!("; did you mean `{near}`?"),
        None if known.is_empty() => ", and no other".to_owned(),
        None => format!("; the plan has {}", known.join(", ")),
    };
    Failure::usage(format!("the plan has no {kind} `{name}`{hint}"))
}

/// Judges every node without starting or writing anything. Behind a unit that would run, keys are not known yet.
fn dry_run(loaded: Loaded, options: &Options) -> Result<ExitCode, Failure> {
    drive::branch_is_free(&loaded.repository, &loaded.graph.feature.id)?;
    let (mut ground, state, base) = look(loaded, options.base.as_deref())?;
    let redo = Redo { units: options.redo.clone(), since: state.records() };
    let selected = drive::selection(&ground, options);
    let mut text = format!("Would start from {base} at {}\n", ground.tip.short());
    let mut open = BTreeSet::new();
    let mut runs = 0;
    for index in ground.topology.canonical_order() {
        if !selected[index as usize] {
            continue;
        }
        let id = ground.node(index).id.clone();
        let behind = ground.topology.predecessors(index).iter().any(|before| {
            open.contains(before)
                || ground.node(*before).kind == NodeKind::Gate
                    && !drive::gate_is_open(&ground, &state, *before)
        });
        let data = ground.topology.needs(index).iter().any(|need| open.contains(need));
        if data {
            text.push_str(&format!("  maybe    {id}: depends on what the units before it leave\n"));
            open.insert(index);
            continue;
        }
        let decision = ground.judge(index, &state, &redo)?;
        let line = match decision {
            Decision::Done(settled) => {
                ground.settled.insert(index, settled);
                format!("  cached   {id}\n")
            }
            Decision::Accepted(settled) => {
                ground.settled.insert(index, settled);
                format!("  land     {id}: accepted earlier\n")
            }
            Decision::Run(work) => {
                open.insert(index);
                runs += usize::from(!behind);
                let why = match options.redo.contains(&id) {
                    true => "asked for with `--redo`".to_owned(),
                    false => super::why::reason(&ground, &state, &id, &work.keyed),
                };
                let after = if behind { ", after what is before it" } else { "" };
                format!("  run      {id}: {why}{after}\n")
            }
            Decision::Halt(halt, why) => {
                open.insert(index);
                let word = if halt == Halt::Waiting { "wait" } else { "stop" };
                format!("  {word:<8} {id}: {}\n", why.lines().next().unwrap_or_default())
            }
        };
        text.push_str(&line);
    }
    text.push_str(&format!("{runs} unit{} would run now\n", if runs == 1 { "" } else { "s" }));
    print(&text)?;
    Ok(ExitCode::Complete)
}
