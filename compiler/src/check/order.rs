//! Who comes after whom: cycles, waits for a later gate, and questions about order.
//!
//! Does not know what units write or read.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, VecDeque};

use petgraph::algo::kosaraju_scc;
use petgraph::graph::{DiGraph, NodeIndex};

use crate::diagnostic::Diagnostic;
use crate::plan::{GateIx, Plan, UnitIx};
use crate::source::Span;

/// The order of a plan's units, as far as it has one.
///
/// Items are the units, then the gates: a gate comes after its units, and the units of the gates that need it
/// come after it, so that the number of edges stays in proportion to the plan.
#[derive(Debug)]
pub(super) struct Order {
    units: usize,
    /// Items in canonical order. What is in a cycle, or comes after one, is missing.
    order: Vec<u32>,
    /// Where an item stands in `order`.
    position: Vec<Option<u32>>,
    /// What each item directly waits for.
    all: Vec<Vec<u32>>,
    /// The same without `after`.
    data: Vec<Vec<u32>>,
}

/// Which edges count as order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum By {
    Anything,
    /// `needs` and gates, not `after`.
    NeedsAndGates,
}

/// For each gate, the gates it directly comes after: those it names, else the one before it.
pub fn gate_predecessors(plan: &Plan) -> Vec<Vec<GateIx>> {
    let named = |gate: &crate::plan::Gate| gate.needs.iter().map(|need| need.value).collect();
    let before = |at: usize| at.checked_sub(1).map(|before| GateIx(before as u32)).into_iter().collect();
    plan.gates
        .iter()
        .enumerate()
        .map(|(at, gate)| if gate.needs_stated { named(gate) } else { before(at) })
        .collect()
}

/// The canonical order: again and again the ready item with the smallest number. Barriers are no work and pass as
/// soon as they are ready. `waits` lists what each item waits for. Items in a cycle, and behind one, are left out.
pub(crate) fn smallest_first(waits: &[impl AsRef<[u32]>], barrier: impl Fn(u32) -> bool) -> Vec<u32> {
    let mut followers: Vec<Vec<u32>> = vec![Vec::new(); waits.len()];
    let mut open = vec![0usize; waits.len()];
    for (item, waits) in waits.iter().enumerate() {
        open[item] = waits.as_ref().len();
        for wait in waits.as_ref() {
            followers[*wait as usize].push(item as u32);
        }
    }
    let rank = |item: u32| Reverse((!barrier(item), item));
    let ready = (0..waits.len() as u32).filter(|item| open[*item as usize] == 0);
    let mut ready: BinaryHeap<Reverse<(bool, u32)>> = ready.map(rank).collect();
    let mut order = Vec::with_capacity(waits.len());
    while let Some(Reverse((_, item))) = ready.pop() {
        order.push(item);
        for follower in &followers[item as usize] {
            open[*follower as usize] -= 1;
            if open[*follower as usize] == 0 {
                ready.push(rank(*follower));
            }
        }
    }
    order
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum WaitKind {
    Needs,
    After,
    /// A gate for its units, and what comes after a gate for the gate.
    Gate,
}

/// One thing that an item waits for, and where that is written.
#[derive(Clone, Copy, Debug)]
struct Wait {
    on: u32,
    kind: WaitKind,
    span: Span,
}

impl Order {
    /// Finds the order of the plan, and says where there is none.
    pub(super) fn new(plan: &Plan) -> (Order, Vec<Diagnostic>) {
        let mut diagnostics = Vec::new();
        let gates = acyclic_gates(plan, &mut diagnostics);
        let waits = waits(plan, &gates, &mut diagnostics);
        report_cycles(plan, &waits, &mut diagnostics);
        (Order::over(plan, &waits), diagnostics)
    }

    fn over(plan: &Plan, waits: &[Vec<Wait>]) -> Order {
        let units = plan.units.len();
        let pick = |keep: &dyn Fn(&Wait) -> bool| -> Vec<Vec<u32>> {
            let picked = |waits: &Vec<Wait>| {
                let mut on: Vec<u32> = waits.iter().filter(|wait| keep(wait)).map(|wait| wait.on).collect();
                on.sort_unstable();
                on.dedup();
                on
            };
            waits.iter().map(picked).collect()
        };
        let all = pick(&|_| true);
        let order = smallest_first(&all, |item| item as usize >= units);
        let mut position = vec![None; waits.len()];
        for (at, item) in order.iter().enumerate() {
            position[*item as usize] = Some(at as u32);
        }
        Order { units, order, position, data: pick(&|wait| wait.kind != WaitKind::After), all }
    }

    /// Units and manuals in canonical order.
    pub(super) fn canonical(&self) -> Vec<UnitIx> {
        self.order.iter().filter(|item| (**item as usize) < self.units).map(|item| UnitIx(*item)).collect()
    }

    /// Units, then gates, in canonical order, each with what it directly waits for.
    pub(super) fn with_waits(&self) -> impl Iterator<Item = (u32, &[u32])> {
        self.order.iter().map(|item| (*item, self.all[*item as usize].as_slice()))
    }

    /// The unit's place in the canonical order; `None` if it has none because of a cycle.
    pub(super) fn position(&self, unit: UnitIx) -> Option<u32> {
        self.position[unit.0 as usize]
    }

    /// For each pair, does the second unit come after the first?
    ///
    /// The first units are taken 64 at a time, and one sweep over the part of the order between them and the last
    /// unit asked for answers for all of them: for neighbours in a chain of any length that is linear.
    pub(super) fn comes_after(&self, by: By, pairs: &[(UnitIx, UnitIx)]) -> Vec<bool> {
        let waits = match by {
            By::Anything => &self.all,
            By::NeedsAndGates => &self.data,
        };
        let mut answers = vec![false; pairs.len()];
        let mut asked: Vec<(u32, u32, usize)> = Vec::with_capacity(pairs.len());
        for (at, (first, second)) in pairs.iter().enumerate() {
            if let (Some(from), Some(to)) = (self.position(*first), self.position(*second))
                && from < to
            {
                asked.push((from, to, at));
            }
        }
        asked.sort_unstable();
        let mut rest = asked.as_slice();
        while let Some((low, _, _)) = rest.first().copied() {
            let mut sources: Vec<u32> = Vec::with_capacity(64);
            let mut taken = 0;
            for (from, _, _) in rest {
                if sources.last() != Some(from) {
                    if sources.len() == 64 {
                        break;
                    }
                    sources.push(*from);
                }
                taken += 1;
            }
            let (batch, behind) = rest.split_at(taken);
            rest = behind;
            let high = batch.iter().map(|(_, to, _)| *to).max().unwrap_or(low);
            // Bit n of a position: the n-th source comes before it, or is it.
            let mut before = vec![0u64; (high - low) as usize + 1];
            for position in low..=high {
                let mut bits = sources.binary_search(&position).map_or(0, |bit| 1 << bit);
                for wait in &waits[self.order[position as usize] as usize] {
                    if let Some(earlier) = self.position[*wait as usize]
                        && earlier >= low
                    {
                        bits |= before[(earlier - low) as usize];
                    }
                }
                before[(position - low) as usize] = bits;
            }
            for (from, to, at) in batch {
                let bit = sources.binary_search(from).unwrap_or(0);
                answers[*at] = before[(to - low) as usize] & (1 << bit) != 0;
            }
        }
        answers
    }
}

/// What each gate comes after, cycles reported and cut.
fn acyclic_gates(plan: &Plan, diagnostics: &mut Vec<Diagnostic>) -> Vec<Vec<GateIx>> {
    let gates = gate_predecessors(plan);
    let offset = plan.units.len() as u32;
    let mut waits: Vec<Vec<Wait>> = vec![Vec::new(); plan.units.len()];
    for (at, gate) in plan.gates.iter().enumerate() {
        let span_of =
            |other: GateIx| gate.needs.iter().find(|need| need.value == other).map(|need| need.span);
        waits.push(
            gates[at]
                .iter()
                .map(|other| Wait {
                    on: offset + other.0,
                    kind: WaitKind::Needs,
                    span: span_of(*other).unwrap_or(gate.id.span),
                })
                .collect(),
        );
    }
    let components = report_cycles(plan, &waits, diagnostics);
    let cut = |at: usize, other: &GateIx| match components.get(&(offset + at as u32)) {
        Some(component) => components.get(&(offset + other.0)) != Some(component),
        None => true,
    };
    gates
        .into_iter()
        .enumerate()
        .map(|(at, gates)| gates.into_iter().filter(|other| cut(at, other)).collect())
        .collect()
}

/// What each item waits for; waits for a unit of a later gate are reported and left out.
fn waits(plan: &Plan, gates: &[Vec<GateIx>], diagnostics: &mut Vec<Diagnostic>) -> Vec<Vec<Wait>> {
    let offset = plan.units.len() as u32;
    let mut waits: Vec<Vec<Wait>> = Vec::with_capacity(plan.units.len() + plan.gates.len());
    for unit in &plan.units {
        let gate = &plan.gates[unit.gate.0 as usize];
        let span_of =
            |other: GateIx| gate.needs.iter().find(|need| need.value == other).map(|need| need.span);
        let needs =
            unit.needs.iter().map(|need| Wait { on: need.value.0, kind: WaitKind::Needs, span: need.span });
        let after = unit.after.iter().map(|after| Wait {
            on: after.value.0,
            kind: WaitKind::After,
            span: after.span,
        });
        let barriers = gates[unit.gate.0 as usize].iter().map(|other| Wait {
            on: offset + other.0,
            kind: WaitKind::Gate,
            span: span_of(*other).unwrap_or(unit.id.span),
        });
        waits.push(needs.chain(after).chain(barriers).collect());
    }
    for (gate, predecessors) in plan.gates.iter().zip(gates) {
        let barrier =
            |other: &GateIx| Wait { on: offset + other.0, kind: WaitKind::Gate, span: gate.id.span };
        waits.push(predecessors.iter().map(barrier).collect());
    }
    drop_later_gates(plan, gates, &mut waits, diagnostics);
    for (at, unit) in plan.units.iter().enumerate() {
        waits[(offset + unit.gate.0) as usize].push(Wait {
            on: at as u32,
            kind: WaitKind::Gate,
            span: unit.id.span,
        });
    }
    waits
}

fn drop_later_gates(
    plan: &Plan,
    gates: &[Vec<GateIx>],
    waits: &mut [Vec<Wait>],
    diagnostics: &mut Vec<Diagnostic>,
) {
    let units = plan.units.len();
    // Gates alone, as if they were units: their order is asked for.
    let alone: Vec<Vec<u32>> = gates.iter().map(|gates| gates.iter().map(|gate| gate.0).collect()).collect();
    let order = smallest_first(&alone, |_| false);
    let mut position = vec![None; gates.len()];
    for (at, gate) in order.iter().enumerate() {
        position[*gate as usize] = Some(at as u32);
    }
    let gates_only = Order { units: gates.len(), order, position, data: Vec::new(), all: alone };
    let gate_of = |unit: u32| UnitIx(plan.units[unit as usize].gate.0);
    let mut crossing: Vec<(usize, usize)> = Vec::new();
    for (unit, waits) in waits[..units].iter().enumerate() {
        let crosses = |wait: &Wait| (wait.on as usize) < units && gate_of(wait.on) != gate_of(unit as u32);
        crossing.extend(waits.iter().enumerate().filter(|(_, wait)| crosses(wait)).map(|(at, _)| (unit, at)));
    }
    let pairs: Vec<(UnitIx, UnitIx)> =
        crossing.iter().map(|(unit, at)| (gate_of(*unit as u32), gate_of(waits[*unit][*at].on))).collect();
    let later = gates_only.comes_after(By::Anything, &pairs);
    for ((unit, at), later) in crossing.into_iter().zip(later).rev() {
        if !later {
            continue;
        }
        let wait = waits[unit].remove(at);
        let (unit, other) = (&plan.units[unit], &plan.units[wait.on as usize]);
        let (own, others) = (&plan.gates[unit.gate.0 as usize], &plan.gates[other.gate.0 as usize]);
        diagnostics.push(
            Diagnostic::new(
                "later-gate-dependency",
                wait.span,
                format!(
                    "`{}` waits for `{}`, but its gate `{}` is passed before `{}` begins",
                    unit.id.value, other.id.value, own.id.value, others.id.value
                ),
            )
            .at(format!("in gate `{}`", own.id.value))
            .label(other.id.span, format!("in gate `{}`, which comes later", others.id.value))
            .help(format!("move `{}` to gate `{}` or a later one", unit.id.value, others.id.value))
            .help(format!("or move `{}` to gate `{}` or an earlier one", other.id.value, own.id.value)),
        );
    }
}

/// Reports each knot of items that wait on each other, by its shortest cycle. Gives the knot of each item in one.
fn report_cycles(plan: &Plan, waits: &[Vec<Wait>], diagnostics: &mut Vec<Diagnostic>) -> BTreeMap<u32, u32> {
    let mut graph: DiGraph<(), ()> = DiGraph::with_capacity(waits.len(), waits.iter().map(Vec::len).sum());
    for _ in waits {
        graph.add_node(());
    }
    for (item, waits) in waits.iter().enumerate() {
        for wait in waits {
            graph.add_edge(NodeIndex::new(item), NodeIndex::new(wait.on as usize), ());
        }
    }
    let mut knots: Vec<Vec<u32>> = Vec::new();
    // Kosaraju's algorithm, because petgraph's version of Tarjan's recurses and a plan may be one long chain.
    for component in kosaraju_scc(&graph) {
        let mut items: Vec<u32> = component.iter().map(|item| item.index() as u32).collect();
        items.sort_unstable();
        if items.len() > 1 || waits[items[0] as usize].iter().any(|wait| wait.on == items[0]) {
            knots.push(items);
        }
    }
    knots.sort();
    let mut knot_of = BTreeMap::new();
    for (at, items) in knots.iter().enumerate() {
        knot_of.extend(items.iter().map(|item| (*item, at as u32)));
    }
    for items in &knots {
        let cycle = shortest_cycle(items, waits, &knot_of);
        diagnostics.push(cycle_found(plan, &cycle));
    }
    knot_of
}

/// After so many steps the search settles for the shortest cycle so far; a huge knot may have a shorter one.
const MOST_STEPS: usize = 200_000;

/// The shortest cycle within a knot: each item with its wait for the next one, the last for the first.
fn shortest_cycle(items: &[u32], waits: &[Vec<Wait>], knot_of: &BTreeMap<u32, u32>) -> Vec<(u32, Wait)> {
    let mut best: Vec<(u32, Wait)> = Vec::new();
    let mut steps = 0;
    for start in items {
        if steps > MOST_STEPS {
            break;
        }
        let mut from: BTreeMap<u32, (u32, Wait)> = BTreeMap::new();
        let mut open = VecDeque::from([*start]);
        while let Some(item) = open.pop_front()
            && !from.contains_key(start)
        {
            steps += 1;
            for wait in &waits[item as usize] {
                if knot_of.get(&wait.on) == knot_of.get(start) && !from.contains_key(&wait.on) {
                    from.insert(wait.on, (item, *wait));
                    open.push_back(wait.on);
                }
            }
        }
        let mut cycle = Vec::new();
        let mut at = *start;
        while let Some((item, wait)) = from.get(&at) {
            cycle.push((*item, *wait));
            at = *item;
            if at == *start {
                break;
            }
        }
        cycle.reverse();
        if best.is_empty() || cycle.len() < best.len() {
            best = cycle;
        }
    }
    best
}

fn cycle_found(plan: &Plan, cycle: &[(u32, Wait)]) -> Diagnostic {
    let units = plan.units.len() as u32;
    let name = |item: u32| match item.checked_sub(units) {
        None => format!("`{}`", plan.units[item as usize].id.value),
        Some(gate) => format!("gate `{}`", plan.gates[gate as usize].id.value),
    };
    let mut path: Vec<String> = cycle.iter().map(|(item, _)| name(*item)).collect();
    path.extend(cycle.first().map(|(item, _)| name(*item)));
    let message = match cycle {
        [(item, _)] => format!("{} waits for itself", name(*item)),
        _ => format!("these wait on each other: {}", path.join(" -> ")),
    };
    let step = |(item, wait): &(u32, Wait)| match wait.kind {
        WaitKind::Needs => format!("{} needs {}", name(*item), name(wait.on)),
        WaitKind::After => format!("{} comes after {}", name(*item), name(wait.on)),
        WaitKind::Gate if *item >= units && wait.on < units => {
            format!("{} belongs to {}", name(wait.on), name(*item))
        }
        WaitKind::Gate => format!("{} comes after {}", name(*item), name(wait.on)),
    };
    let span = cycle.first().map(|(_, wait)| wait.span);
    let span = span.unwrap_or_else(|| Span::new(crate::source::FileId(0), 0, 0));
    let mut diagnostic = Diagnostic::new("dependency-cycle", span, message);
    for (at, pair) in cycle.iter().enumerate() {
        diagnostic =
            if at == 0 { diagnostic.at(step(pair)) } else { diagnostic.label(pair.1.span, step(pair)) };
    }
    diagnostic
        .help("remove one of these steps; what two units both need can be a unit of its own that both need")
}
