//! Finds the overlapping ones among many patterns without comparing each with each.
//!
//! Does not know whose patterns they are.
//!
//! Every path that a pattern covers begins with the text before its first wildcard. Two patterns can overlap only
//! if one of these texts begins with the other; sorted, those lie on a stack.

use super::automaton::{Fold, file_suffix, prefix};
use super::{Pattern, overlap};

/// Two patterns, by their index, and a path that both cover.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Overlap {
    pub first: usize,
    pub second: usize,
    pub path: String,
}

/// All overlapping pairs of the list, `first < second`, sorted.
pub fn overlapping_pairs(patterns: &[&Pattern]) -> Vec<Overlap> {
    let entries = patterns.iter().enumerate().flat_map(|(at, pattern)| keys(pattern, 0, at)).collect();
    let mut pairs = near(entries, false);
    pairs.iter_mut().for_each(|(a, b)| (*a, *b) = ((*a).min(*b), (*a).max(*b)));
    decide(pairs.into_iter().filter(|(a, b)| a != b).collect(), patterns, patterns)
}

/// All pairs of a pattern of `left` and one of `right` that overlap, sorted.
pub fn overlapping_between(left: &[&Pattern], right: &[&Pattern]) -> Vec<Overlap> {
    let lefts = left.iter().enumerate().flat_map(|(at, pattern)| keys(pattern, 0, at));
    let rights = right.iter().enumerate().flat_map(|(at, pattern)| keys(pattern, 1, at));
    decide(near(lefts.chain(rights).collect(), true), left, right)
}

struct Entry {
    key: String,
    /// Tells most patterns with a wildcard in front, such as `**/a.rs` and `**/b.rs`, apart.
    suffix: Option<String>,
    side: usize,
    index: usize,
}

fn keys(pattern: &Pattern, side: usize, index: usize) -> impl Iterator<Item = Entry> {
    let tokens = pattern.alternatives.iter();
    tokens.map(move |tokens| Entry {
        key: prefix(tokens, Fold::Case),
        suffix: file_suffix(tokens, Fold::Case),
        side,
        index,
    })
}

fn suffixes_meet(a: &Entry, b: &Entry) -> bool {
    match (&a.suffix, &b.suffix) {
        (Some(a), Some(b)) => a.ends_with(b.as_str()) || b.ends_with(a.as_str()),
        _ => true,
    }
}

/// Pairs of which one key begins with the other, as (left, right) if `across`.
fn near(mut entries: Vec<Entry>, across: bool) -> Vec<(usize, usize)> {
    entries.sort_by(|a, b| a.key.cmp(&b.key));
    let mut stacks: [Vec<&Entry>; 2] = [Vec::new(), Vec::new()];
    let mut pairs = Vec::new();
    for entry in &entries {
        for stack in &mut stacks {
            while stack.pop_if(|top| !entry.key.starts_with(&top.key)).is_some() {}
        }
        let others = if across { &stacks[1 - entry.side] } else { &stacks[entry.side] };
        for other in others.iter().filter(|other| suffixes_meet(entry, other)) {
            pairs.push(if entry.side == 0 { (entry.index, other.index) } else { (other.index, entry.index) });
        }
        stacks[entry.side].push(entry);
    }
    pairs
}

fn decide(mut pairs: Vec<(usize, usize)>, left: &[&Pattern], right: &[&Pattern]) -> Vec<Overlap> {
    pairs.sort_unstable();
    pairs.dedup();
    let overlap = |(first, second): (usize, usize)| {
        Some(Overlap { first, second, path: overlap(left[first], right[second])? })
    };
    pairs.into_iter().filter_map(overlap).collect()
}
