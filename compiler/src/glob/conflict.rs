//! Finds the overlapping ones among many patterns without comparing each with each.
//!
//! Does not know whose patterns they are.
//!
//! Every path that a pattern covers begins with the text before its first wildcard. Two patterns can overlap only
//! if one of these texts begins with the other; sorted, those lie on a stack.

use std::borrow::Cow;
use std::cell::OnceCell;
use std::cmp::Ordering;

use super::automaton::{FileName, Fold, file_name, prefix};
use super::grouped::beginning;
use super::{Pattern, Shape, overlap};

/// Two patterns, by their index, and a path that both cover.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Overlap {
    pub first: usize,
    pub second: usize,
    pub path: String,
}

/// All overlapping pairs of the list, `first < second`, sorted.
pub fn overlapping_pairs(patterns: &[&Pattern]) -> Vec<Overlap> {
    let mut entries = Vec::with_capacity(patterns.len());
    patterns.iter().enumerate().for_each(|(at, pattern)| add_entries(&mut entries, pattern, 0, at));
    let mut pairs = near(&entries, false);
    pairs.iter_mut().for_each(|(a, b)| (*a, *b) = ((*a).min(*b), (*a).max(*b)));
    pairs.retain(|(a, b)| a != b);
    decide(pairs, patterns, patterns)
}

/// All pairs of a pattern of `left` and one of `right` that overlap, sorted.
pub fn overlapping_between(left: &[&Pattern], right: &[&Pattern]) -> Vec<Overlap> {
    if left.is_empty() || right.is_empty() {
        return Vec::new();
    }
    let mut entries = Vec::with_capacity(left.len() + right.len());
    left.iter().enumerate().for_each(|(at, pattern)| add_entries(&mut entries, pattern, 0, at));
    let lefts = entries.len();
    right.iter().enumerate().for_each(|(at, pattern)| add_entries(&mut entries, pattern, 1, at));
    let few = left.len().min(right.len()) <= FEW;
    let pairs = if few { each_with_each(entries.split_at(lefts)) } else { near(&entries, true) };
    decide(pairs, left, right)
}

/// So few patterns are compared with all others: that is less work than to sort them.
const FEW: usize = 8;

/// One alternative of a pattern. Every path that it covers, with a `/` put behind it, begins with `key`, behind which
/// a `/` is to be thought if it is `whole`.
struct Entry<'p> {
    key: Cow<'p, str>,
    whole: bool,
    /// The first bytes of the key, the `/` included.
    beginning: u128,
    pattern: &'p Pattern,
    alternative: usize,
    side: usize,
    index: usize,
    /// Tells most patterns with a wildcard in front, such as `**/a.rs` and `**/b.rs`, apart.
    name: OnceCell<Option<FileName>>,
}

fn add_entries<'p>(entries: &mut Vec<Entry<'p>>, pattern: &'p Pattern, side: usize, index: usize) {
    let mut add = |key: Cow<'p, str>, whole: bool, alternative| {
        let mut first = beginning(&key);
        if whole && key.len() < 16 {
            first |= u128::from(b'/') << (8 * (15 - key.len()));
        }
        let name = OnceCell::new();
        entries.push(Entry { key, whole, beginning: first, pattern, alternative, side, index, name });
    };
    let folded = |text: &str| text.bytes().all(|byte| byte.is_ascii() && !byte.is_ascii_uppercase());
    let text = pattern.as_str();
    match &pattern.shape {
        Shape::Plain if folded(text) => return add(Cow::Borrowed(text), true, 0),
        Shape::Wild(_) => {
            let spelt = text.find(['*', '?', '[', '{', '\\']).unwrap_or(0);
            let key = &text[..spelt];
            if !text[spelt..].starts_with(['{', '\\']) && !text.contains('{') && folded(key) {
                return add(Cow::Borrowed(key), false, 0);
            }
        }
        _ => {}
    }
    for (at, tokens) in pattern.alternatives().iter().enumerate() {
        add(Cow::Owned(prefix(tokens, Fold::Case)), false, at);
    }
}

impl Entry<'_> {
    fn order(&self, other: &Entry<'_>) -> Ordering {
        let (one, two) = (self.key.as_bytes(), other.key.as_bytes());
        let common = one.len().min(two.len());
        let slash = |entry: &Entry<'_>| entry.whole.then_some(&b'/');
        one[..common].cmp(&two[..common]).then_with(|| {
            one[common..].iter().chain(slash(self)).cmp(two[common..].iter().chain(slash(other)))
        })
    }

    /// Does the key begin with all of the other one?
    fn begins_with(&self, other: &Entry<'_>) -> bool {
        match self.key.strip_prefix(&*other.key) {
            Some(rest) => !other.whole || rest.starts_with('/') || (rest.is_empty() && self.whole),
            None => self.whole && !other.whole && other.key.strip_suffix('/') == Some(&*self.key),
        }
    }

    fn name(&self) -> Option<&FileName> {
        let name = || {
            let alternatives = self.pattern.alternatives();
            alternatives.get(self.alternative).and_then(|tokens| file_name(tokens, Fold::Case))
        };
        self.name.get_or_init(name).as_ref()
    }

    /// May both match a file of one name?
    fn may_share_a_name(&self, other: &Entry<'_>) -> bool {
        if self.whole && other.whole {
            // Of two paths, one of which begins with the other, there is nothing more to know.
            return true;
        }
        let (Some(a), Some(b)) = (self.name(), other.name()) else { return true };
        (a.begin.starts_with(&b.begin) || b.begin.starts_with(&a.begin))
            && (a.end.ends_with(&b.end) || b.end.ends_with(&a.end))
    }
}

fn each_with_each((left, right): (&[Entry<'_>], &[Entry<'_>])) -> Vec<(usize, usize)> {
    let mut pairs = Vec::new();
    for one in left {
        for two in right {
            if (one.begins_with(two) || two.begins_with(one)) && one.may_share_a_name(two) {
                pairs.push((one.index, two.index));
            }
        }
    }
    pairs
}

/// Pairs of which one key begins with the other, as (left, right) if `across`.
fn near(entries: &[Entry<'_>], across: bool) -> Vec<(usize, usize)> {
    let mut order: Vec<(u128, u32)> =
        entries.iter().enumerate().map(|(at, entry)| (entry.beginning, at as u32)).collect();
    // Stable, because it is quick with what is sorted for the most part, as patterns mostly are that come here.
    order.sort_by(|(a, one), (b, two)| {
        a.cmp(b).then_with(|| entries[*one as usize].order(&entries[*two as usize]))
    });
    let mut stacks: [Vec<&Entry<'_>>; 2] = [Vec::new(), Vec::new()];
    let mut pairs = Vec::new();
    for entry in order.iter().map(|(_, at)| &entries[*at as usize]) {
        for stack in &mut stacks {
            while stack.pop_if(|top| !entry.begins_with(top)).is_some() {}
        }
        let others = if across { &stacks[1 - entry.side] } else { &stacks[entry.side] };
        for other in others.iter().filter(|other| entry.may_share_a_name(other)) {
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
