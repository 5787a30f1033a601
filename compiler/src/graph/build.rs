//! A checked plan becomes a graph.
//!
//! Does not know how the graph is hashed or written.

use std::collections::{BTreeMap, BTreeSet};

use super::hash::{ask_digest, graph_digest};
use super::node::{self, *};
use crate::check::CheckedPlan;
use crate::glob::Pattern;
use crate::plan::{self, GateIx, Plan, PredicateKind, Role, Tier, UnitIx, VerifierIx};
use crate::source::Spanned;

/// The graph of a plan in which no error was found.
///
/// The same meaning gives the same graph, byte for byte: what is a set in the plan is sorted here, and nothing of
/// the plan's layout or file names goes in.
pub fn build(checked: &CheckedPlan) -> Graph {
    let plan: &Plan = checked;
    let items = in_plan_order(plan);
    let mut place = Places { units: vec![0; plan.units.len()], gates: vec![0; plan.gates.len()] };
    for (index, item) in items.iter().enumerate() {
        match item {
            Item::Unit(unit) => place.units[unit.0 as usize] = index as u32,
            Item::Gate(gate) => place.gates[gate.0 as usize] = index as u32,
        }
    }
    let mut members: Vec<Vec<&plan::Unit>> = vec![Vec::new(); plan.gates.len()];
    for unit in &plan.units {
        members[unit.gate.0 as usize].push(unit);
    }
    let nodes: Vec<Node> = items
        .iter()
        .enumerate()
        .map(|(index, item)| match item {
            Item::Unit(unit) => unit_node(plan, *unit, index as u32),
            Item::Gate(gate) => gate_node(plan, *gate, &members[gate.0 as usize], index as u32),
        })
        .collect();
    let mut graph = Graph {
        format_version: FORMAT_VERSION,
        digest: String::new(),
        feature: feature(plan),
        edges: edges(checked, &place),
        verifiers: verifiers(plan, &nodes),
        agents: agents(plan, &nodes),
        protect: protect(plan),
        reviewers: reviewers(plan, &nodes),
        shared: patterns(&plan.shared),
        derived: derived(plan),
        discard: patterns(&plan.discard),
        agent_sandbox: sandbox(plan.sandbox.agent.as_ref(), plan::Network::Allow),
        verifier_sandbox: sandbox(plan.sandbox.verifier.as_ref(), plan::Network::Deny),
        worktree: WorktreeDef {
            prepare: plan.worktree.prepare.clone(),
            share: set(plan.worktree.share.iter().map(|path| path.to_string())),
        },
        nodes,
    };
    graph.digest = graph_digest(&graph);
    graph
}

#[derive(Clone, Copy)]
enum Item {
    Unit(UnitIx),
    Gate(GateIx),
}

struct Places {
    units: Vec<u32>,
    gates: Vec<u32>,
}

/// Units in plan order, each gate directly behind its last unit; a gate without units behind the gate before it.
fn in_plan_order(plan: &Plan) -> Vec<Item> {
    let mut behind: Vec<Option<u32>> = vec![None; plan.gates.len()];
    for (at, unit) in plan.units.iter().enumerate() {
        behind[unit.gate.0 as usize] = Some(at as u32);
    }
    let mut gates_behind: BTreeMap<Option<u32>, Vec<GateIx>> = BTreeMap::new();
    let mut last = None;
    for (at, behind) in behind.into_iter().enumerate() {
        last = behind.or(last);
        gates_behind.entry(last).or_default().push(GateIx(at as u32));
    }
    let mut items = Vec::with_capacity(plan.units.len() + plan.gates.len());
    let gates = |at: Option<u32>| gates_behind.get(&at).into_iter().flatten().map(|gate| Item::Gate(*gate));
    items.extend(gates(None));
    for at in 0..plan.units.len() as u32 {
        items.push(Item::Unit(UnitIx(at)));
        items.extend(gates(Some(at)));
    }
    items
}

fn feature(plan: &Plan) -> Feature {
    let project = plan.project.as_ref();
    let feature = plan.feature.as_ref().expect("`check` passes no plan without a feature");
    Feature {
        id: feature.id.value.clone(),
        title: feature.title.clone(),
        goal: feature.goal.clone(),
        base: feature.base.clone().or_else(|| project.and_then(|project| project.base.clone())),
        budget: limits(&feature.budget),
        project_budget: project.map(|project| limits(&project.budget)).unwrap_or_default(),
        milestone: feature.milestone.clone(),
        labels: set(feature.labels.iter().cloned()),
    }
}

fn unit_node(plan: &Plan, ix: UnitIx, index: u32) -> Node {
    let unit = &plan.units[ix.0 as usize];
    let ask = Ask {
        goal: unit.goal.as_ref().map(|goal| goal.value.clone()),
        prompt: unit.prompt.iter().map(|part| part.text.clone()).collect(),
        criteria: unit.accept.iter().map(criterion).collect(),
        constraints: unit.constraints.clone(),
        steps: unit.steps.iter().map(|step| step.value.clone()).collect(),
        refs: set(unit
            .refs
            .iter()
            .map(|reference| Ref { path: reference.path.to_string(), heading: reference.heading.clone() })),
        rules: set(unit.rules.iter().map(|reference| match &reference.heading {
            Some(heading) => format!("{}#{heading}", reference.path),
            None => reference.path.to_string(),
        })),
        inputs: unit.inputs.iter().map(|pattern| pattern.value.to_string()).collect(),
        handoffs: handoffs(plan, unit),
    };
    let work = unit.role == Role::Work;
    let agent = unit.agent.as_ref().map(|agent| &plan.agents[agent.value.0 as usize]).filter(|_| work);
    let narrow = |verification: &&plan::Verification| {
        plan.verifiers[verification.verifier.0 as usize].tier == Tier::Narrow
    };
    let mut policy = Policy {
        title: unit.title.clone(),
        work_kind: unit.kind.clone(),
        agent: agent.map(|agent| agent.id.value.clone()),
        model: unit.model.clone().or_else(|| agent.and_then(|agent| agent.model.clone())),
        effort: unit.effort.clone().or_else(|| agent.and_then(|agent| agent.effort.clone())),
        verify: set(unit.verify.iter().filter(narrow).map(|verification| verify(plan, verification))),
        stops: unit.stops.iter().map(stop).collect(),
        manuals: manuals(plan, &unit.accept),
        attempts: if work { unit.retry.attempts } else { 0 },
        backoff_ms: unit.retry.backoff_ms,
        from_patch: unit.retry.from_patch,
        retry_on: unit.retry.on.clone(),
        review: reviews(plan, &unit.review),
        timeout: timeout(&unit.timeout),
        budget: limits(&unit.budget),
        labels: set(unit.labels.iter().cloned()),
        skip: set(unit.skip.iter().map(|skip| Skip {
            verifier: skip.verifier.value.clone(),
            reason: skip.reason.clone().unwrap_or_default(),
        })),
        shows: unit
            .shows
            .iter()
            .map(|show| Show { text: show.text.clone(), command: command(&show.command) })
            .collect(),
        priority: unit.priority,
        estimate_ms: unit.estimate_ms,
        was: unit.was.as_ref().map(|was| was.value.clone()),
        oracles: oracles(plan, &unit.accept, &unit.verify),
        ..Policy::default()
    };
    if let Role::Manual { owner, evidence } = &unit.role {
        policy.owner = owner.clone();
        policy.evidence = patterns(evidence);
    }
    Node {
        id: unit.id.value.clone(),
        kind: if work { NodeKind::Dispatch } else { NodeKind::Manual },
        index,
        gate: plan.gates[unit.gate.0 as usize].id.value.clone(),
        ask_digest: ask_digest(&ask),
        ask,
        policy,
        scope: Scope { writes: patterns(&unit.writes), creates: patterns(&unit.creates) },
    }
}

fn gate_node(plan: &Plan, ix: GateIx, members: &[&plan::Unit], index: u32) -> Node {
    let gate = &plan.gates[ix.0 as usize];
    let mut checks: BTreeSet<Verify> =
        gate.verify.iter().map(|verification| verify(plan, verification)).collect();
    let named: BTreeSet<VerifierIx> = gate.verify.iter().map(|verification| verification.verifier).collect();
    let by = gate.accept.iter().flat_map(|criterion| &criterion.by).filter_map(|by| match by {
        plan::By::Verifier(verifier) => Some(*verifier),
        plan::By::Reviewer(_) | plan::By::Manual(_) => None,
    });
    for verifier in by.filter(|verifier| !named.contains(verifier)) {
        checks.insert(plain(plan, verifier, &[]));
    }
    for verification in members.iter().flat_map(|unit| &unit.verify) {
        checks.insert(plain(plan, verification.verifier, &verification.arguments));
    }
    let ask = Ask { goal: gate.goal.clone(), ..Ask::default() };
    Node {
        id: format!("gate:{}", gate.id.value),
        kind: NodeKind::Gate,
        index,
        gate: gate.id.value.clone(),
        ask_digest: ask_digest(&ask),
        ask,
        policy: Policy {
            title: gate.title.clone(),
            verify: checks.into_iter().collect(),
            gate_criteria: gate
                .accept
                .iter()
                .filter(|criterion| !criterion.predicates.is_empty())
                .map(criterion)
                .collect(),
            manuals: manuals(plan, &gate.accept),
            budget: limits(&gate.budget),
            review: reviews(plan, &gate.review),
            labels: set(gate.labels.iter().cloned()),
            human_approval: gate.approve == plan::Approve::Human,
            oracles: oracles(plan, &gate.accept, &gate.verify),
            bounds: match gate.approve {
                plan::Approve::Human => Bounds::default(),
                plan::Approve::Auto(bounds) => {
                    Bounds { micro_usd: bounds.micro_usd, attempts: bounds.attempts }
                }
            },
            draft: gate.draft.is_some(),
            draft_file: gate.draft.as_ref().and_then(|draft| Some(draft.file.as_ref()?.to_string())),
            repair: gate
                .repair
                .map(|repair| Repair { attempts: repair.attempts, micro_usd: repair.micro_usd }),
            milestone: gate.milestone.clone(),
            ..Policy::default()
        },
        scope: Scope::default(),
    }
}

/// What the needed units hand on, in plan order. It stands in the ask of the unit that reads it: another word there
/// is asked of that one again, and not of the unit that handed it on.
fn handoffs(plan: &Plan, unit: &plan::Unit) -> Vec<String> {
    let mut needs: Vec<UnitIx> = unit.needs.iter().map(|need| need.value).collect();
    needs.sort_unstable();
    needs.dedup();
    needs.iter().flat_map(|need| plan.units[need.0 as usize].handoffs.iter().cloned()).collect()
}

/// Criteria that must fail before the work begins. A verifier runs with the parameters that the unit gives it.
fn oracles(plan: &Plan, criteria: &[plan::Criterion], uses: &[plan::Verification]) -> Vec<Oracle> {
    let used = |by: &plan::By| match by {
        plan::By::Verifier(verifier) => {
            Some(match uses.iter().find(|verification| verification.verifier == *verifier) {
                Some(verification) => verify(plan, verification),
                None => plain(plan, *verifier, &[]),
            })
        }
        plan::By::Reviewer(_) | plan::By::Manual(_) => None,
    };
    let prepared = criteria.iter().filter(|criterion| criterion.red_before.is_some());
    prepared
        .map(|criterion| Oracle {
            text: criterion.text.clone(),
            verify: set(criterion.by.iter().filter_map(used)),
            predicates: predicates(&criterion.predicates),
        })
        .collect()
}

/// A verifier as a gate runs it: without parameters, and it must pass. One that cannot do without its parameters
/// runs with those that the unit gave it.
fn plain(plan: &Plan, ix: VerifierIx, given: &[(String, Vec<String>)]) -> Verify {
    let verifier = &plan.verifiers[ix.0 as usize];
    let required: Vec<(String, Vec<String>)> = given
        .iter()
        .filter(|(name, _)| {
            verifier.params.iter().any(|param| param.name == *name && param.default.is_none())
        })
        .cloned()
        .collect();
    Verify {
        verifier: verifier.id.value.clone(),
        check: check(&verifier.expand(&required)),
        expect_fail: false,
    }
}

fn verify(plan: &Plan, verification: &plan::Verification) -> Verify {
    let verifier = &plan.verifiers[verification.verifier.0 as usize];
    Verify {
        verifier: verifier.id.value.clone(),
        check: check(&verifier.expand(&verification.arguments)),
        expect_fail: verification.expect_fail,
    }
}

fn manuals(plan: &Plan, criteria: &[plan::Criterion]) -> Vec<String> {
    set(criteria.iter().flat_map(|criterion| &criterion.by).filter_map(|by| match by {
        plan::By::Manual(unit) => Some(plan.units[unit.0 as usize].id.value.clone()),
        plan::By::Verifier(_) | plan::By::Reviewer(_) => None,
    }))
}

fn edges(checked: &CheckedPlan, place: &Places) -> Vec<Edge> {
    // By pair, so that `needs` swallows an `after` of the same unit.
    let mut edges: BTreeMap<(u32, u32), EdgeKind> = BTreeMap::new();
    let mut members: Vec<Vec<u32>> = vec![Vec::new(); checked.gates.len()];
    for (at, unit) in checked.units.iter().enumerate() {
        let to = place.units[at];
        let from = |other: &Spanned<UnitIx>| place.units[other.value.0 as usize];
        edges.extend(unit.after.iter().map(|other| ((from(other), to), EdgeKind::Order)));
        edges.extend(unit.needs.iter().map(|other| ((from(other), to), EdgeKind::Data)));
        edges.insert((to, place.gates[unit.gate.0 as usize]), EdgeKind::Order);
        members[unit.gate.0 as usize].push(to);
    }
    for (at, members) in members.iter().enumerate() {
        for before in checked.gate_predecessors(GateIx(at as u32)) {
            let from = place.gates[before.0 as usize];
            edges.insert((from, place.gates[at]), EdgeKind::Order);
            edges.extend(members.iter().map(|to| ((from, *to), EdgeKind::Order)));
        }
    }
    edges.into_iter().map(|((from, to), kind)| Edge { from, to, kind }).collect()
}

fn verifiers(plan: &Plan, nodes: &[Node]) -> Vec<VerifierDef> {
    let used: BTreeSet<&str> =
        nodes.iter().flat_map(|node| &node.policy.verify).map(|verify| verify.verifier.as_str()).collect();
    let mut definitions: Vec<VerifierDef> = plan
        .verifiers
        .iter()
        .filter(|verifier| used.contains(verifier.id.value.as_str()))
        .map(|verifier| VerifierDef {
            id: verifier.id.value.clone(),
            check: check(&verifier.expand(&[])),
            broad: verifier.tier == Tier::Broad,
            inputs: verifier.inputs.iter().map(|pattern| pattern.value.to_string()).collect(),
            env: set(verifier.env.iter().cloned()),
            tools: set(verifier.tools.iter().cloned()),
            timeout: timeout(&verifier.timeout),
            cwd: verifier.cwd.as_ref().map(|cwd| cwd.value.to_string()),
            needs: set(verifier
                .needs
                .iter()
                .map(|need| plan.verifiers[need.value.0 as usize].id.value.clone())),
            writes: patterns(&verifier.writes),
            isolation: match verifier.isolation.as_ref().map(|isolation| isolation.value) {
                None | Some(plan::Isolation::Off) => Isolation::Off,
                Some(plan::Isolation::Enforce) => Isolation::Enforce,
                Some(plan::Isolation::Observe) => Isolation::Observe,
            },
            retries: verifier.retries,
            known_failures: set(verifier.known_failures.iter().map(|known| KnownFailure {
                id: known.id.value.clone(),
                reason: known.reason.clone(),
                expires: known.expires.as_ref().map(|day| day.value.to_string()),
            })),
        })
        .collect();
    definitions.sort_by(|a, b| a.id.cmp(&b.id));
    definitions
}

fn agents(plan: &Plan, nodes: &[Node]) -> Vec<AgentDef> {
    let of_reviewers = reviewers_of(plan, nodes).filter_map(|reviewer| reviewer.agent.as_ref());
    let of_reviewers = of_reviewers.map(|agent| plan.agents[agent.value.0 as usize].id.value.as_str());
    let used: BTreeSet<&str> =
        nodes.iter().filter_map(|node| node.policy.agent.as_deref()).chain(of_reviewers).collect();
    let mut definitions: Vec<AgentDef> = plan
        .agents
        .iter()
        .filter(|agent| used.contains(agent.id.value.as_str()))
        .map(|agent| AgentDef {
            id: agent.id.value.clone(),
            via: match agent.via {
                plan::Via::Command => Via::Command,
                plan::Via::Claude => Via::Claude,
                plan::Via::Codex => Via::Codex,
                plan::Via::Opencode => Via::Opencode,
                plan::Via::Gemini => Via::Gemini,
            },
            run: agent.run.clone(),
            args: agent.args.clone(),
            env: set(agent.env.iter().cloned()),
        })
        .collect();
    definitions.sort_by(|a, b| a.id.cmp(&b.id));
    definitions
}

/// Those that a node uses, each once.
fn reviewers_of<'p>(plan: &'p Plan, nodes: &[Node]) -> impl Iterator<Item = &'p plan::Reviewer> {
    let used: BTreeSet<String> = nodes
        .iter()
        .flat_map(|node| &node.policy.review)
        .flat_map(|review| review.reviewers.clone())
        .collect();
    plan.reviewers.iter().filter(move |reviewer| used.contains(&reviewer.id.value))
}

fn reviewers(plan: &Plan, nodes: &[Node]) -> Vec<ReviewerDef> {
    let mut definitions: Vec<ReviewerDef> = reviewers_of(plan, nodes)
        .map(|reviewer| ReviewerDef {
            id: reviewer.id.value.clone(),
            agent: reviewer.agent.as_ref().map(|agent| plan.agents[agent.value.0 as usize].id.value.clone()),
            blocks: match reviewer.blocks {
                plan::Blocks::Never => Blocks::None,
                plan::Blocks::Minor => Blocks::Minor,
                plan::Blocks::Major => Blocks::Major,
                plan::Blocks::Critical => Blocks::Critical,
            },
            prompt: reviewer.prompt.iter().map(|part| part.text.clone()).collect(),
        })
        .collect();
    definitions.sort_by(|a, b| a.id.cmp(&b.id));
    definitions
}

fn reviews(plan: &Plan, reviews: &[plan::Review]) -> Vec<Review> {
    set(reviews.iter().map(|review| Review {
        reviewers: set(review
            .reviewers
            .iter()
            .map(|one| plan.reviewers[one.value.0 as usize].id.value.clone())),
        rounds: review.rounds,
        policy: match review.policy {
            plan::ReviewPolicy::All => ReviewPolicy::All,
            plan::ReviewPolicy::Any => ReviewPolicy::Any,
            plan::ReviewPolicy::Advisory => ReviewPolicy::Advisory,
        },
    }))
}

fn derived(plan: &Plan) -> Vec<DerivedDef> {
    let definitions = plan.derived.iter().filter(|derived| !derived.paths.is_empty());
    set(definitions
        .map(|derived| DerivedDef { paths: patterns(&derived.paths), command: command(&derived.command) }))
}

fn sandbox(sandbox: Option<&plan::Sandbox>, usual: plan::Network) -> SandboxDef {
    let Some(sandbox) = sandbox else { return SandboxDef::default() };
    SandboxDef {
        mode: match sandbox.mode {
            None | Some(plan::SandboxMode::BestEffort) => SandboxMode::BestEffort,
            Some(plan::SandboxMode::Required) => SandboxMode::Required,
            Some(plan::SandboxMode::Off) => SandboxMode::Off,
        },
        network: sandbox.network.filter(|network| *network != usual).map(|network| match network {
            plan::Network::Deny => Network::Deny,
            plan::Network::Hosts => Network::Hosts,
            plan::Network::Allow => Network::Allow,
        }),
        hosts: sandbox.hosts.clone(),
        read: sandbox.read.clone(),
        write: sandbox.write.clone(),
    }
}

fn protect(plan: &Plan) -> Vec<String> {
    let files = plan.plan_files.iter().map(|file| Pattern::of_path(file.as_str()).to_string());
    let stated = plan.protect.iter().map(|pattern| pattern.value.to_string());
    set(files.chain(stated).chain(["loop.kdl".to_owned()]))
}

fn criterion(criterion: &plan::Criterion) -> AskCriterion {
    AskCriterion { text: criterion.text.clone(), predicates: predicates(&criterion.predicates) }
}

fn stop(stop: &plan::Stop) -> Stop {
    Stop { text: stop.text.clone(), at_start: stop.at_start, predicates: predicates(&stop.predicates) }
}

/// All of a block must hold: a set.
fn predicates(predicates: &[plan::Predicate]) -> Vec<node::Predicate> {
    set(predicates.iter().map(|predicate| match &predicate.kind {
        PredicateKind::Exists(paths) => Predicate::Exists(paths_of(paths)),
        PredicateKind::Missing(paths) => Predicate::Missing(paths_of(paths)),
        PredicateKind::Changed(paths) => Predicate::Changed(paths_of(paths)),
        PredicateKind::Unchanged(paths) => Predicate::Unchanged(paths_of(paths)),
        PredicateKind::Matches(path, regex) => {
            Predicate::Matches { path: path.to_string(), regex: regex.clone() }
        }
        PredicateKind::Command(command) => Predicate::Command(check(command)),
    }))
}

fn paths_of(paths: &[Pattern]) -> Vec<String> {
    set(paths.iter().map(Pattern::to_string))
}

fn check(check: &plan::Check) -> Check {
    Check {
        command: command(&check.command),
        exit: set(check.exit.iter().copied()),
        stdout: check.stdout.clone(),
    }
}

fn command(command: &plan::Command) -> Command {
    match command {
        plan::Command::Run(words) => Command::Run(words.clone()),
        plan::Command::Shell(text) => Command::Shell(text.clone()),
    }
}

fn patterns(patterns: &[Spanned<Pattern>]) -> Vec<String> {
    set(patterns.iter().map(|pattern| pattern.value.to_string()))
}

fn timeout(timeout: &plan::Timeout) -> Timeout {
    Timeout { total_ms: timeout.total_ms, idle_ms: timeout.idle_ms }
}

fn limits(budget: &plan::Budget) -> Limits {
    Limits {
        micro_usd: budget.micro_usd,
        tokens: budget.tokens,
        time_ms: budget.time_ms,
        retry_micro_usd: budget.retry_micro_usd,
    }
}

/// Sorted, each once.
fn set<T: Ord>(items: impl IntoIterator<Item = T>) -> Vec<T> {
    items.into_iter().collect::<BTreeSet<T>>().into_iter().collect()
}
