//! Decides what happens next: state and event in, actions out.
//!
//! Does not know time, files, journal, agents or keys; whoever calls it does the work and reports back.
//!
//! Accepted is not landed: dependants start when a unit is accepted, commits are made in canonical order. When
//! nothing more can run, accepted units behind a halted one land too, skipping it and what depends on it.

use std::collections::BTreeSet;

/// A node's index in the graph.
pub type Index = u32;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Work,
    Manual,
    Gate,
}

/// The part of the graph that scheduling needs.
#[derive(Clone, Debug)]
pub struct Shape {
    pub nodes: Vec<NodeShape>,
    /// Work and manual nodes in canonical order.
    pub canonical: Vec<Index>,
}

#[derive(Clone, Debug)]
pub struct NodeShape {
    pub kind: Kind,
    /// Direct predecessors over all kinds of edges.
    pub predecessors: Vec<Index>,
    /// Does this run concern the node (`--unit`, `--gate`)?
    pub selected: bool,
    /// Of several nodes that are ready the one with the smallest starts first; `u32::MAX` if nothing is said.
    pub priority: u32,
}

/// Why a node does not go on in this run. The order is that of no exit code; the caller maps it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Halt {
    /// Failed its attempts, or reported blocked, now or in an earlier run.
    Blocked,
    /// Its commit was reverted.
    Undone,
    /// What it needs was edited by somebody, and running it again would cost.
    Drift,
    /// The gate's merged head is red.
    RedGate,
    /// A person has to act: approve a gate, do a manual.
    Waiting,
    /// Money or another limit.
    Limit,
    /// Something outside is missing or refused: program, credentials.
    Environment,
    /// It failed and no person's decision is asked for.
    Failed,
}

/// What is known of a node before anything is paid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Judgement {
    /// A result with this key is on the branch, or the manual is done.
    Done,
    /// Accepted in an earlier run and not on the branch.
    Accepted,
    /// It has to run (an agent, or the verification of a captured patch).
    Run,
    Halt(Halt),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    Judged(Index, Judgement),
    /// The work is accepted; `lands` is false if there is nothing to commit.
    Accepted {
        node: Index,
        lands: bool,
    },
    Halted(Index, Halt),
    Landed(Index),
    /// The gate's verifiers pass on the merged head and it needs no decision any more.
    Opened(Index),
    /// Start nothing new; what runs is ended by the caller.
    Stop,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Find out what is known of the node; answer with `Judged`.
    Judge(Index),
    /// Run the unit; answer with `Accepted` or `Halted`.
    Run(Index),
    /// Put the unit's commit on the branch; answer with `Landed` or `Halted`. Never two at once.
    Land(Index),
    /// Verify the merged head; answer with `Opened` or `Halted`.
    Check(Index),
    /// Nothing more can happen.
    End,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Unknown,
    Judging,
    /// Waits for one of `jobs` places.
    Queued,
    Running,
    Accepted,
    Landing,
    /// On the branch, or nothing to land; for gates: open; for manuals: done.
    Settled,
    Halted(Halt),
}

/// The scheduler's state.
#[derive(Clone, Debug)]
pub struct Schedule {
    shape: Shape,
    successors: Vec<Vec<Index>>,
    stages: Vec<Stage>,
    /// Predecessors that are not ready for the node yet.
    unmet: Vec<u32>,
    /// Queued nodes by priority, then canonical rank.
    queue: BTreeSet<(u32, u32, Index)>,
    /// Some node has a priority: what becomes ready together is judged before the first of it starts.
    prioritized: bool,
    rank: Vec<u32>,
    /// Something before it was accepted and could not land: nothing is begun on top of it.
    cut_off: Vec<bool>,
    /// Everything in `shape.canonical` before this has been settled, or was skipped for good.
    land_from: usize,
    jobs: usize,
    running: usize,
    judging: usize,
    landing: bool,
    stopped: bool,
    ended: bool,
}

impl Schedule {
    /// `jobs` is how many units may run at once; at least one.
    pub fn new(shape: Shape, jobs: usize) -> Schedule {
        let count = shape.nodes.len();
        let mut successors = vec![Vec::new(); count];
        let mut unmet = vec![0; count];
        for (at, node) in shape.nodes.iter().enumerate() {
            for before in &node.predecessors {
                successors[*before as usize].push(at as Index);
            }
            unmet[at] = node.predecessors.len() as u32;
        }
        let mut rank = vec![u32::MAX; count];
        for (at, node) in shape.canonical.iter().enumerate() {
            rank[*node as usize] = at as u32;
        }
        Schedule {
            successors,
            stages: vec![Stage::Unknown; count],
            unmet,
            queue: BTreeSet::new(),
            prioritized: shape.nodes.iter().any(|node| node.priority != u32::MAX),
            rank,
            cut_off: vec![false; count],
            land_from: 0,
            jobs: jobs.max(1),
            running: 0,
            judging: 0,
            landing: false,
            stopped: false,
            ended: false,
            shape,
        }
    }

    /// The first actions.
    pub fn start(&mut self) -> Vec<Action> {
        let mut actions = Vec::new();
        for node in 0..self.shape.nodes.len() as Index {
            if self.unmet[node as usize] == 0 {
                self.begin(node, &mut actions);
            }
        }
        self.advance(&mut actions);
        actions
    }

    /// Takes in what happened and says what to do next.
    pub fn on(&mut self, event: Event) -> Vec<Action> {
        let mut actions = Vec::new();
        match event {
            Event::Judged(node, judgement) => {
                self.judging -= 1;
                match judgement {
                    Judgement::Done => self.settle(node, &mut actions),
                    Judgement::Accepted => self.accept(node, &mut actions),
                    Judgement::Run if self.cut_off[node as usize] => {
                        self.stages[node as usize] = Stage::Unknown;
                    }
                    Judgement::Run => {
                        self.stages[node as usize] = Stage::Queued;
                        self.queue.insert(self.place(node));
                    }
                    Judgement::Halt(halt) => self.stages[node as usize] = Stage::Halted(halt),
                }
            }
            Event::Accepted { node, lands } => {
                self.running -= 1;
                if lands {
                    self.accept(node, &mut actions);
                } else {
                    self.settle_accepted(node, &mut actions);
                }
            }
            Event::Halted(node, halt) => {
                match self.stages[node as usize] {
                    Stage::Landing => {
                        self.landing = false;
                        self.cut_off_behind(node);
                    }
                    Stage::Judging => self.judging -= 1,
                    _ => self.running -= 1,
                }
                self.stages[node as usize] = Stage::Halted(halt);
            }
            Event::Landed(node) => {
                self.landing = false;
                // Dependants were told at acceptance; gates wait for the landing.
                self.stages[node as usize] = Stage::Settled;
                self.tell(node, &mut actions, |kind| kind == Kind::Gate);
            }
            Event::Opened(node) => {
                self.running -= 1;
                self.settle(node, &mut actions);
            }
            Event::Stop => self.stopped = true,
        }
        self.advance(&mut actions);
        actions
    }

    /// Halted nodes with their reasons, in graph order.
    pub fn halted(&self) -> impl Iterator<Item = (Index, Halt)> {
        self.stages.iter().enumerate().filter_map(|(at, stage)| match stage {
            Stage::Halted(halt) => Some((at as Index, *halt)),
            _ => None,
        })
    }

    /// Selected nodes that were never reached: something before them halted, or the run was stopped.
    pub fn unreached(&self) -> impl Iterator<Item = Index> {
        self.stages.iter().enumerate().filter_map(|(at, stage)| {
            let open = matches!(stage, Stage::Unknown | Stage::Queued | Stage::Accepted)
                && self.shape.nodes[at].selected;
            open.then_some(at as Index)
        })
    }

    /// May the unit land at once when it is accepted now? True if every unit before it in canonical order is
    /// settled and no landing is under way: acceptance and intent can then share one append.
    pub fn lands_next(&self, node: Index) -> bool {
        !self.landing
            && self.shape.canonical[self.land_from..].iter().take_while(|before| **before != node).all(
                |before| {
                    self.stages[*before as usize] == Stage::Settled
                        || !self.shape.nodes[*before as usize].selected
                },
            )
    }

    fn begin(&mut self, node: Index, actions: &mut Vec<Action>) {
        let shape = &self.shape.nodes[node as usize];
        if !shape.selected || self.cut_off[node as usize] || self.stages[node as usize] != Stage::Unknown {
            return;
        }
        match shape.kind {
            Kind::Gate => {
                self.stages[node as usize] = Stage::Running;
                self.running += 1;
                actions.push(Action::Check(node));
            }
            Kind::Work | Kind::Manual => {
                self.stages[node as usize] = Stage::Judging;
                self.judging += 1;
                actions.push(Action::Judge(node));
            }
        }
    }

    fn accept(&mut self, node: Index, actions: &mut Vec<Action>) {
        self.stages[node as usize] = Stage::Accepted;
        self.tell(node, actions, |kind| kind != Kind::Gate);
    }

    /// Nothing more is begun, and paid, behind a unit that could not land.
    fn cut_off_behind(&mut self, node: Index) {
        let mut open = vec![node];
        while let Some(at) = open.pop() {
            for next in &self.successors[at as usize] {
                if std::mem::replace(&mut self.cut_off[*next as usize], true) {
                    continue;
                }
                let place = self.place(*next);
                self.queue.remove(&place);
                open.push(*next);
            }
        }
    }

    fn settle_accepted(&mut self, node: Index, actions: &mut Vec<Action>) {
        self.stages[node as usize] = Stage::Settled;
        self.tell(node, actions, |_| true);
    }

    fn settle(&mut self, node: Index, actions: &mut Vec<Action>) {
        self.settle_accepted(node, actions);
    }

    /// One predecessor less for those successors that `which` names.
    fn tell(&mut self, node: Index, actions: &mut Vec<Action>, which: impl Fn(Kind) -> bool) {
        for at in 0..self.successors[node as usize].len() {
            let next = self.successors[node as usize][at];
            if which(self.shape.nodes[next as usize].kind) {
                self.unmet[next as usize] -= 1;
                if self.unmet[next as usize] == 0 && !self.stopped {
                    self.begin(next, actions);
                }
            }
        }
    }

    /// Where a node stands in the queue. What starts first is all that a priority decides: commits are made in
    /// canonical order, and what an agent sees depends on the graph alone.
    fn place(&self, node: Index) -> (u32, u32, Index) {
        (self.shape.nodes[node as usize].priority, self.rank[node as usize], node)
    }

    fn advance(&mut self, actions: &mut Vec<Action>) {
        if self.stopped {
            self.queue.clear();
        }
        let hold = self.prioritized && self.judging > 0;
        while self.running < self.jobs && !hold {
            let Some((_, _, node)) = self.queue.pop_first() else { break };
            self.stages[node as usize] = Stage::Running;
            self.running += 1;
            actions.push(Action::Run(node));
        }
        let idle = self.running == 0 && self.judging == 0 && self.queue.is_empty();
        self.land(idle, actions);
        if idle && !self.landing && !self.ended {
            self.ended = true;
            actions.push(Action::End);
        }
    }

    /// Are all units that the node directly comes after on the branch? Gates were open when it started.
    fn rests_on_landed(&self, node: Index) -> bool {
        self.shape.nodes[node as usize]
            .predecessors
            .iter()
            .all(|before| self.stages[*before as usize] == Stage::Settled)
    }

    /// Lands the next accepted unit. Units that are not settled hold back those behind them, unless nothing else
    /// can happen any more.
    fn land(&mut self, idle: bool, actions: &mut Vec<Action>) {
        if self.landing {
            return;
        }
        let mut at = self.land_from;
        let mut contiguous = true;
        while let Some(node) = self.shape.canonical.get(at).copied() {
            let selected = self.shape.nodes[node as usize].selected;
            match self.stages[node as usize] {
                // What it rests on could not land, so it cannot either.
                Stage::Accepted if !self.rests_on_landed(node) => contiguous = false,
                Stage::Accepted => {
                    self.stages[node as usize] = Stage::Landing;
                    self.landing = true;
                    actions.push(Action::Land(node));
                    return;
                }
                Stage::Settled => {}
                _ if !selected => {}
                _ if idle => contiguous = false,
                _ => return,
            }
            at += 1;
            if contiguous {
                self.land_from = at;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn shape(edges: &[(u32, u32)], kinds: &[Kind]) -> Shape {
        let nodes = kinds
            .iter()
            .enumerate()
            .map(|(at, kind)| NodeShape {
                kind: *kind,
                predecessors: edges
                    .iter()
                    .filter(|(_, to)| *to == at as u32)
                    .map(|(from, _)| *from)
                    .collect(),
                selected: true,
                priority: u32::MAX,
            })
            .collect();
        let canonical = (0..kinds.len() as u32).filter(|at| kinds[*at as usize] != Kind::Gate).collect();
        Shape { nodes, canonical }
    }

    /// What a world answers: which units halt.
    struct Explored {
        landings: BTreeSet<Vec<Index>>,
        runs: BTreeSet<Vec<Index>>,
    }

    /// Explores every order in which what is under way can finish.
    fn explore(shape: &Shape, jobs: usize, halts: &BTreeMap<Index, Halt>) -> Explored {
        let mut found = Explored { landings: BTreeSet::new(), runs: BTreeSet::new() };
        let mut schedule = Schedule::new(shape.clone(), jobs);
        let first = schedule.start();
        let mut stack = vec![(schedule, first, Vec::new(), Vec::new())];
        while let Some((schedule, open, landed, ran)) = stack.pop() {
            if open == [Action::End] {
                let mut ran: Vec<Index> = ran;
                ran.sort_unstable();
                found.landings.insert(landed);
                found.runs.insert(ran);
                continue;
            }
            assert!(!open.contains(&Action::End), "End while something is under way: {open:?}");
            assert!(!open.is_empty(), "stuck");
            assert!(open.iter().filter(|action| matches!(action, Action::Land(_))).count() <= 1);
            for at in 0..open.len() {
                let mut next = schedule.clone();
                let mut rest = open.clone();
                let (mut landed, mut ran) = (landed.clone(), ran.clone());
                let event = match rest.remove(at) {
                    Action::Judge(node) => Event::Judged(node, Judgement::Run),
                    Action::Run(node) => {
                        ran.push(node);
                        match halts.get(&node) {
                            Some(halt) => Event::Halted(node, *halt),
                            None => Event::Accepted { node, lands: true },
                        }
                    }
                    Action::Land(node) => {
                        landed.push(node);
                        Event::Landed(node)
                    }
                    Action::Check(node) => match halts.get(&node) {
                        Some(halt) => Event::Halted(node, *halt),
                        None => Event::Opened(node),
                    },
                    Action::End => unreachable!("checked above"),
                };
                rest.extend(next.on(event));
                stack.push((next, rest, landed, ran));
            }
        }
        found
    }

    /// Every graph of `count` work nodes with a gate behind all of them.
    fn graphs(count: u32) -> Vec<Shape> {
        let pairs: Vec<(u32, u32)> = (0..count).flat_map(|to| (0..to).map(move |from| (from, to))).collect();
        (0..1u32 << pairs.len())
            .map(|bits| {
                let mut edges: Vec<(u32, u32)> = pairs
                    .iter()
                    .enumerate()
                    .filter(|(at, _)| bits >> at & 1 == 1)
                    .map(|(_, pair)| *pair)
                    .collect();
                edges.extend((0..count).map(|from| (from, count)));
                let mut kinds = vec![Kind::Work; count as usize];
                kinds.push(Kind::Gate);
                shape(&edges, &kinds)
            })
            .collect()
    }

    #[test]
    fn every_completion_order_of_small_graphs_lands_in_canonical_order() {
        for jobs in [1, 2, 4] {
            for shape in graphs(3) {
                let found = explore(&shape, jobs, &BTreeMap::new());
                assert_eq!(found.landings, BTreeSet::from([vec![0, 1, 2]]), "{shape:?}");
            }
        }
    }

    #[test]
    fn a_halted_unit_holds_back_only_what_depends_on_it() {
        for jobs in [1, 2, 4] {
            for shape in graphs(3) {
                for halted in 0..3u32 {
                    let found = explore(&shape, jobs, &BTreeMap::from([(halted, Halt::Blocked)]));
                    let dead = |node: u32| {
                        let mut reached = BTreeSet::from([halted]);
                        for at in halted..3 {
                            if shape.nodes[at as usize]
                                .predecessors
                                .iter()
                                .any(|before| reached.contains(before))
                            {
                                reached.insert(at);
                            }
                        }
                        reached.contains(&node)
                    };
                    let expected: Vec<u32> = (0..3).filter(|node| !dead(*node)).collect();
                    assert_eq!(found.landings, BTreeSet::from([expected]), "{shape:?} halted {halted}");
                }
            }
        }
    }

    #[test]
    fn what_rests_on_a_unit_that_cannot_land_does_not_land() {
        let shape = shape(&[(0, 1)], &[Kind::Work; 3]);
        let mut schedule = Schedule::new(shape, 3);
        for action in schedule.start() {
            let Action::Judge(node) = action else { panic!("{action:?}") };
            schedule.on(Event::Judged(node, Judgement::Run));
        }
        // 0 is about to land when 1, which rests on it, and 2, which does not, are accepted.
        let actions = schedule.on(Event::Accepted { node: 0, lands: true });
        assert_eq!(actions, [Action::Judge(1), Action::Land(0)]);
        schedule.on(Event::Judged(1, Judgement::Run));
        schedule.on(Event::Accepted { node: 1, lands: true });
        assert_eq!(schedule.on(Event::Accepted { node: 2, lands: true }), []);
        assert_eq!(schedule.on(Event::Halted(0, Halt::Blocked)), [Action::Land(2)]);
        assert_eq!(schedule.on(Event::Landed(2)), [Action::End]);
        assert_eq!(schedule.unreached().collect::<Vec<_>>(), [1]);
    }

    #[test]
    fn a_closed_gate_stops_what_comes_after_it() {
        let shape = shape(&[(0, 1), (1, 2)], &[Kind::Work, Kind::Gate, Kind::Work]);
        let found = explore(&shape, 2, &BTreeMap::from([(1, Halt::Waiting)]));
        assert_eq!(found.runs, BTreeSet::from([vec![0]]));
        assert_eq!(found.landings, BTreeSet::from([vec![0]]));
    }

    #[test]
    fn nothing_is_begun_behind_a_unit_that_cannot_land() {
        // 0 <- 1 <- 2; one at a time, so that 1 waits while 0 lands.
        let shape = shape(&[(0, 1), (1, 2)], &[Kind::Work; 4]);
        let mut schedule = Schedule::new(shape, 1);
        schedule.start();
        schedule.on(Event::Judged(0, Judgement::Run));
        assert_eq!(schedule.on(Event::Judged(3, Judgement::Run)), []);
        let next = schedule.on(Event::Accepted { node: 0, lands: true });
        assert_eq!(next, [Action::Judge(1), Action::Run(3), Action::Land(0)]);
        schedule.on(Event::Judged(1, Judgement::Run));
        schedule.on(Event::Halted(0, Halt::Failed));
        assert_eq!(schedule.on(Event::Accepted { node: 3, lands: true }), [Action::Land(3)]);
        assert_eq!(schedule.on(Event::Landed(3)), [Action::End]);
        assert_eq!(schedule.unreached().collect::<Vec<_>>(), [1, 2]);
    }

    #[test]
    fn jobs_limit_what_runs_at_once() {
        let shape = shape(&[], &[Kind::Work; 5]);
        let mut schedule = Schedule::new(shape, 2);
        let mut runs = 0;
        for action in schedule.start() {
            let Action::Judge(node) = action else { panic!("{action:?}") };
            runs += schedule.on(Event::Judged(node, Judgement::Run)).len();
        }
        assert_eq!(runs, 2);
    }

    #[test]
    fn priority_decides_what_starts_first_and_not_what_lands_first() {
        let mut shape = shape(&[], &[Kind::Work; 4]);
        shape.nodes[2].priority = 5;
        shape.nodes[3].priority = 0;
        let mut schedule = Schedule::new(shape, 1);
        let mut open: std::collections::VecDeque<Action> = schedule.start().into();
        let (mut ran, mut landed) = (Vec::new(), Vec::new());
        while let Some(action) = open.pop_front() {
            let event = match action {
                Action::Judge(node) => Event::Judged(node, Judgement::Run),
                Action::Run(node) => {
                    ran.push(node);
                    Event::Accepted { node, lands: true }
                }
                Action::Land(node) => {
                    landed.push(node);
                    Event::Landed(node)
                }
                Action::Check(node) => Event::Opened(node),
                Action::End => break,
            };
            open.extend(schedule.on(event));
        }
        assert_eq!(ran, [3, 2, 0, 1]);
        assert_eq!(landed, [0, 1, 2, 3]);
    }

    #[test]
    fn every_completion_order_lands_alike_whatever_the_priorities() {
        for shape in graphs(3) {
            for priorities in [[2, 1, 0], [u32::MAX, 0, u32::MAX], [1, 1, 0]] {
                let mut shape = shape.clone();
                for (node, priority) in shape.nodes.iter_mut().zip(priorities) {
                    node.priority = priority;
                }
                let found = explore(&shape, 2, &BTreeMap::new());
                assert_eq!(found.landings, BTreeSet::from([vec![0, 1, 2]]), "{shape:?}");
            }
        }
    }

    #[test]
    fn stop_starts_nothing_new() {
        let shape = shape(&[(0, 1)], &[Kind::Work; 2]);
        let mut schedule = Schedule::new(shape, 2);
        schedule.start();
        schedule.on(Event::Judged(0, Judgement::Run));
        assert_eq!(schedule.on(Event::Stop), []);
        let after = schedule.on(Event::Accepted { node: 0, lands: true });
        assert_eq!(after, [Action::Land(0)]);
        assert_eq!(schedule.on(Event::Landed(0)), [Action::End]);
        assert_eq!(schedule.unreached().collect::<Vec<_>>(), [1]);
    }
}
