//! What units may write: each distinct pattern once, with everybody who uses it.
//!
//! Does not know what is made of that: several rules ask, and the patterns are put in order for all of them together.

use super::Context;
use crate::glob::{Lists, Overlap, Pattern, PatternIndex, grouped};
use crate::plan::UnitIx;
use crate::source::Span;

/// A place where a unit uses a pattern.
#[derive(Clone, Copy, Debug)]
pub(super) struct Use {
    pub(super) unit: UnitIx,
    pub(super) span: Span,
    /// Must the unit leave a file there? Then it is more than lines added to a shared one.
    pub(super) creates: bool,
    /// The unit's place in landing order; `u32::MAX` if a cycle leaves it without one.
    pub(super) position: u32,
}

/// Each distinct pattern of `writes` and `creates` with its uses, in plan order.
#[derive(Debug)]
pub(super) struct Written<'p> {
    index: PatternIndex<'p>,
    pub(super) uses: Lists<Use>,
}

impl<'p> Written<'p> {
    pub(super) fn of(context: &Context<'p>) -> Written<'p> {
        let units = context.plan.units.iter().enumerate();
        let (patterns, uses) = grouped(units.flat_map(|(at, said)| {
            let unit = UnitIx(at as u32);
            let position = context.order.position(unit).unwrap_or(u32::MAX);
            let lists = [(&said.writes, false), (&said.creates, true)];
            lists.into_iter().flat_map(move |(list, creates)| {
                list.iter()
                    .map(move |pattern| (&pattern.value, Use { unit, span: pattern.span, creates, position }))
            })
        }));
        Written { index: PatternIndex::new(patterns), uses }
    }

    pub(super) fn patterns(&self) -> &[&'p Pattern] {
        self.index.patterns()
    }

    /// Which of the patterns meet each other.
    pub(super) fn pairs(&self) -> Vec<Overlap> {
        self.index.pairs()
    }

    /// Which of the patterns (`second`) meet which of those asked about (`first`).
    pub(super) fn met_by(&self, asked: &[&Pattern]) -> Vec<Overlap> {
        self.index.met_by(asked)
    }

    /// For each of `asked`: the uses of what meets it.
    pub(super) fn writers(&self, asked: &[&Pattern]) -> Vec<Vec<Use>> {
        let mut writers: Vec<Vec<Use>> = vec![Vec::new(); asked.len()];
        for overlap in self.met_by(asked) {
            writers[overlap.first].extend(&self.uses[overlap.second]);
        }
        writers
    }
}
