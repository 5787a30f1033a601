//! Plans for tests, written in a few words a line.
//!
//! Does not know KDL: what is tested here is what follows from a plan, however it was written.

use crate::diagnostic::{Diagnostic, Level};
use crate::glob::Pattern;
use crate::plan::*;
use crate::source::memory::MemorySources;
use crate::source::{FileId, SourceFile, SourceMap, Span, Spanned};

/// Hands out places, each its own.
struct Places(u32);

impl Places {
    fn next(&mut self) -> Span {
        self.0 += 1;
        Span { file: FileId(0), start: self.0, end: self.0 }
    }

    fn of<T>(&mut self, value: T) -> Spanned<T> {
        Spanned::new(value, self.next())
    }
}

/// A plan with an agent `coder`, a verifier `test` that every unit has, and what the lines say:
/// `gate ID needs=A,B`, `shared P`, `discard P`, `derived P`, `unit ID writes=.. creates=.. needs=.. after=.. inputs=.. ref=.. rules=..`, `protect P`.
pub(crate) fn plan(text: &str) -> Plan {
    let mut places = Places(0);
    let mut plan = empty(&mut places);
    let lines = || text.lines().map(str::trim).filter(|line| !line.is_empty());
    let ids = |kind: &str| -> Vec<String> {
        let own = lines().filter_map(|line| line.strip_prefix(kind)?.strip_prefix(' '));
        own.filter_map(|rest| Some(rest.split(' ').next()?.to_owned())).collect()
    };
    let (gates, units) = (ids("gate"), ids("unit"));
    let index: std::collections::BTreeMap<&str, u32> =
        units.iter().enumerate().map(|(at, id)| (id.as_str(), at as u32)).collect();
    if gates.is_empty() {
        let id = places.of("main".to_owned());
        plan.gates.push(Gate { implied: true, approve: Approve::Auto(Bounds::default()), ..gate(id) });
    }
    for line in lines() {
        let mut words = line.split(' ');
        let (kind, id) = (words.next().unwrap_or_default(), words.next().unwrap_or_default().to_owned());
        let id = places.of(id);
        let mut settings: Vec<(&str, Vec<&str>)> = Vec::new();
        for word in words {
            let (key, values) = word.split_once('=').unwrap_or((word, ""));
            settings.push((key, values.split(',').filter(|value| !value.is_empty()).collect()));
        }
        match kind {
            "protect" => plan.protect.push(Spanned::new(pattern(&id.value), id.span)),
            "shared" => plan.shared.push(Spanned::new(pattern(&id.value), id.span)),
            "discard" => plan.discard.push(Spanned::new(pattern(&id.value), id.span)),
            "derived" => plan.derived.push(Derived {
                span: id.span,
                command: Command::Run(vec!["make".to_owned()]),
                paths: vec![Spanned::new(pattern(&id.value), id.span)],
            }),
            "gate" => {
                let mut gate = gate(id);
                for value in settings.iter().flat_map(|(_, values)| values) {
                    let at = gates.iter().position(|gate| gate == value).expect("a gate of the plan");
                    gate.needs.push(places.of(GateIx(at as u32)));
                }
                gate.needs_stated = !settings.is_empty();
                plan.gates.push(gate);
            }
            "unit" => {
                let mut unit = unit(id, GateIx(plan.gates.len() as u32 - 1));
                unit.verify.push(Verification {
                    verifier: VerifierIx(0),
                    arguments: Vec::new(),
                    expect_fail: false,
                    span: places.next(),
                });
                for (key, values) in settings {
                    for value in &values {
                        set(&mut unit, key, value, &index, &mut places);
                    }
                    unit.writes_stated |= key == "writes";
                }
                plan.units.push(unit);
            }
            other => panic!("no line begins with {other}"),
        }
    }
    plan
}

fn set(
    unit: &mut Unit,
    key: &str,
    value: &str,
    index: &std::collections::BTreeMap<&str, u32>,
    places: &mut Places,
) {
    let other = || UnitIx(index[value]);
    match key {
        "needs" => unit.needs.push(places.of(other())),
        "after" => unit.after.push(places.of(other())),
        "inputs" => unit.inputs.push(places.of(pattern(value))),
        "writes" => unit.writes.push(places.of(pattern(value))),
        "creates" => unit.creates.push(places.of(pattern(value))),
        "ref" | "rules" => {
            let (path, heading) = match value.split_once('#') {
                Some((path, heading)) => (path, Some(heading.to_owned())),
                None => (value, None),
            };
            let reference = Reference { path: path.into(), heading, span: places.next() };
            if key == "ref" { unit.refs.push(reference) } else { unit.rules.push(reference) }
        }
        other => panic!("no setting is called {other}"),
    }
}

fn pattern(text: &str) -> Pattern {
    Pattern::parse(text).expect("a pattern")
}

fn empty(places: &mut Places) -> Plan {
    Plan {
        project: None,
        feature: Some(Feature {
            id: places.of("F".to_owned()),
            file: FileId(0),
            title: None,
            goal: None,
            base: None,
            sources: Vec::new(),
            milestone: None,
            labels: Vec::new(),
            budget: Budget::default(),
        }),
        requirements: Vec::new(),
        gates: Vec::new(),
        units: Vec::new(),
        verifiers: vec![Verifier {
            id: places.of("test".to_owned()),
            params: Vec::new(),
            tier: Tier::Narrow,
            check: Check { command: Command::Run(vec!["true".to_owned()]), exit: vec![0], stdout: None },
            // Without a place there is no command to judge.
            command_span: None,
            inputs: Vec::new(),
            env: Vec::new(),
            tools: Vec::new(),
            timeout: Timeout::default(),
            cwd: None,
            needs: Vec::new(),
            writes: Vec::new(),
            isolation: None,
            retries: 0,
            known_failures: Vec::new(),
        }],
        reviewers: Vec::new(),
        agents: vec![Agent {
            id: places.of("coder".to_owned()),
            via: Via::Claude,
            model: None,
            effort: None,
            run: Vec::new(),
            args: Vec::new(),
            env: Vec::new(),
        }],
        protect: Vec::new(),
        plan_files: vec!["plans/f.loop.kdl".into()],
        shared: Vec::new(),
        derived: Vec::new(),
        discard: Vec::new(),
        sandbox: Sandboxes::default(),
        worktree: Worktree::default(),
        lints: Vec::new(),
        old_names: Vec::new(),
        declared: Vec::new(),
        unused_parameters: Vec::new(),
    }
}

fn gate(id: Spanned<String>) -> Gate {
    Gate {
        span: id.span,
        id,
        implied: false,
        title: None,
        goal: None,
        needs: Vec::new(),
        needs_stated: false,
        verify: Vec::new(),
        review: Vec::new(),
        accept: Vec::new(),
        budget: Budget::default(),
        approve: Approve::Human,
        draft: None,
        repair: None,
        milestone: None,
        labels: Vec::new(),
    }
}

fn unit(id: Spanned<String>, gate: GateIx) -> Unit {
    Unit {
        span: id.span,
        role: Role::Work,
        gate,
        insert_at: None,
        title: None,
        kind: "code".to_owned(),
        goal: Some(Spanned::new(format!("Do {}.", id.value), id.span)),
        id,
        needs: Vec::new(),
        after: Vec::new(),
        inputs: Vec::new(),
        writes: Vec::new(),
        creates: Vec::new(),
        writes_stated: false,
        refs: Vec::new(),
        rules: Vec::new(),
        covers: Vec::new(),
        accept: Vec::new(),
        verify: Vec::new(),
        review: Vec::new(),
        skip: Vec::new(),
        constraints: Vec::new(),
        steps: Vec::new(),
        prompt: Vec::new(),
        shows: Vec::new(),
        stops: Vec::new(),
        handoffs: Vec::new(),
        agent: Some(Spanned::new(AgentIx(0), Span { file: FileId(0), start: 0, end: 0 })),
        model: None,
        effort: None,
        retry: Retry { attempts: 3, backoff_ms: None, from_patch: false, on: Vec::new(), span: None },
        timeout: Timeout::default(),
        budget: Budget::default(),
        labels: Vec::new(),
        priority: None,
        estimate_ms: None,
        was: None,
        broken: false,
    }
}

/// Checks the plan in a repository that holds these files.
pub(crate) fn found(plan: Plan, files: &[(&str, &str)]) -> Vec<Diagnostic> {
    checked(plan, files).1
}

pub(crate) fn checked(plan: Plan, files: &[(&str, &str)]) -> (Option<super::CheckedPlan>, Vec<Diagnostic>) {
    let mut map = SourceMap::default();
    map.add(SourceFile::new("plans/f.loop.kdl".into(), " ".repeat(1 << 12)));
    let mut sources = MemorySources::default();
    for (path, text) in files {
        sources.insert(*path, *text);
    }
    super::check(plan, &sources, &map, &[])
}

/// Names of the rules that a plan breaks, in the order of the diagnostics.
pub(crate) fn rules(text: &str, files: &[(&str, &str)]) -> Vec<&'static str> {
    found(plan(text), files).iter().map(|diagnostic| diagnostic.rule.name).collect()
}

/// A `lint` node of the project.
pub(crate) fn lint(plan: &mut Plan, rule: &str, level: Level) {
    let at = 4000 + plan.lints.len() as u32;
    let span = Span { file: FileId(0), start: at, end: at };
    let known = crate::diagnostic::rule(rule).expect("a rule");
    plan.lints.push(Lint {
        rule: Spanned::new(rule.to_owned(), span),
        level,
        reason: None,
        span,
        lowers: known.lowered_by(level, None),
        within: None,
        reach: Reach::Project,
    });
}

/// A `loop.kdl` with an agent, a verifier `test` and these further lines.
pub(crate) fn project(lines: &str) -> String {
    format!(
        "project p {{\n    agent w via=claude\n    defaults agent=w\n    verifier test {{ run make; }}\n{lines}}}\n"
    )
}

/// Compiles files of which one is `loop.kdl` and each other that ends in `.loop.kdl` and holds a feature a plan.
/// Gives what `--format short` prints, without the place's end.
pub(crate) fn told(files: &[(&str, &str)]) -> Vec<String> {
    let compiled = compiled(files);
    let text = crate::diagnostic::render::short(&compiled.diagnostics, &compiled.map);
    text.lines().map(str::to_owned).collect()
}

pub(crate) fn compiled(files: &[(&str, &str)]) -> crate::compile::Compilation {
    let sources = MemorySources::new(files.iter().map(|(path, text)| (*path, *text)));
    let plans = files.iter().filter(|(path, text)| path.ends_with(".loop.kdl") && text.contains("feature "));
    let group = crate::compile::Group {
        project: Some("loop.kdl".into()),
        plans: plans.map(|(path, _)| (*path).into()).collect(),
        whole: true,
    };
    crate::compile::compile_groups(&[group], &sources)
}
