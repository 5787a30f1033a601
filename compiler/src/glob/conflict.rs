//! Finds the overlapping ones among many patterns without comparing each with each.
//!
//! Does not know whose patterns they are.
//!
//! Every path that a pattern covers begins with the text before its first wildcard, its key. Two patterns can overlap
//! only if one of their keys begins with the other. Sorted, keys that begin with one key lie in one run, and those that it
//! begins with on a chain of ever shorter ones. Where many patterns have one key, as those with a wildcard in front,
//! they are told apart by the names of the files that they match.

use std::borrow::Cow;
use std::cell::OnceCell;
use std::cmp::Ordering;
use std::ops::Range;

use super::automaton::{Fold, prefixes};
use super::grouped::beginning;
use super::names::{FileName, Names};
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
    PatternIndex::new(patterns.to_vec()).pairs()
}

/// All pairs of a pattern of `left` and one of `right` that overlap, sorted.
pub fn overlapping_between(left: &[&Pattern], right: &[&Pattern]) -> Vec<Overlap> {
    if left.is_empty() || right.is_empty() {
        return Vec::new();
    }
    PatternIndex::new(right.to_vec()).met_by(left)
}

/// Patterns, put in order once, to be asked which of them meet others.
#[derive(Debug)]
pub struct PatternIndex<'p> {
    patterns: Vec<&'p Pattern>,
    /// Sorted by key.
    entries: Vec<Entry<'p>>,
    /// Each distinct key.
    nodes: Vec<Node>,
}

/// One alternative of a pattern. Every path that it covers, with a `/` put behind it, begins with `key`, behind which
/// a `/` is to be thought if it is `whole`.
#[derive(Debug)]
struct Entry<'p> {
    key: Cow<'p, str>,
    /// The first bytes of the key, the `/` included.
    beginning: u128,
    whole: bool,
    alternative: u32,
    index: u32,
}

/// The entries of one key.
#[derive(Debug)]
struct Node {
    first: u32,
    end: u32,
    /// The longest other key that this one begins with.
    above: Option<u32>,
    names: OnceCell<Box<Names>>,
}

/// For fewer entries of one key it is less work to look at each.
const MANY: usize = 16;

impl<'p> PatternIndex<'p> {
    pub fn new(patterns: Vec<&'p Pattern>) -> PatternIndex<'p> {
        let mut entries = Vec::with_capacity(patterns.len());
        patterns.iter().enumerate().for_each(|(at, pattern)| add_entries(&mut entries, pattern, at as u32));
        // Stable, because it is quick with what is sorted for the most part, as patterns mostly are that come here.
        entries.sort_by(Entry::order);
        let mut index = PatternIndex { patterns, entries, nodes: Vec::new() };
        index.nodes = index.gather();
        index
    }

    /// As they were given.
    pub fn patterns(&self) -> &[&'p Pattern] {
        &self.patterns
    }

    fn gather(&self) -> Vec<Node> {
        let mut nodes: Vec<Node> = Vec::with_capacity(self.entries.len());
        for (at, entry) in self.entries.iter().enumerate() {
            let at = at as u32;
            if let Some(last) = nodes.last_mut()
                && self.entries[last.first as usize].order(entry) == Ordering::Equal
            {
                last.end = at + 1;
                continue;
            }
            let mut above = nodes.len().checked_sub(1).map(|last| last as u32);
            while let Some(other) = above
                && !entry.begins_with(&self.entries[nodes[other as usize].first as usize])
            {
                above = nodes[other as usize].above;
            }
            nodes.push(Node { first: at, end: at + 1, above, names: OnceCell::new() });
        }
        nodes
    }

    /// All overlapping pairs, `first < second`, sorted.
    pub fn pairs(&self) -> Vec<Overlap> {
        let mut pairs = Vec::new();
        for (at, node) in self.nodes.iter().enumerate() {
            if node.above.is_none() && node.end - node.first == 1 {
                continue;
            }
            for entry in &self.entries[node.first as usize..node.end as usize] {
                let name = OnceCell::new();
                let mut next = Some(at as u32);
                while let Some(above) = next {
                    let above = &self.nodes[above as usize];
                    self.in_node(above, entry, &self.patterns, &name, |other| {
                        let (a, b) = (entry.index as usize, other.index as usize);
                        if a != b {
                            pairs.push((a.min(b), a.max(b)));
                        }
                    });
                    next = above.above;
                }
            }
        }
        decide(pairs, &self.patterns, &self.patterns)
    }

    /// All pairs of one of `asked` and one of these that overlap, sorted.
    pub fn met_by(&self, asked: &[&Pattern]) -> Vec<Overlap> {
        let mut entries = Vec::with_capacity(asked.len());
        asked.iter().enumerate().for_each(|(at, pattern)| add_entries(&mut entries, pattern, at as u32));
        let mut pairs = Vec::new();
        let mut below: Vec<Range<u32>> = Vec::with_capacity(entries.len());
        for one in &entries {
            let at = self.place(one);
            self.above(at, one, asked, |own| pairs.push((one.index as usize, own.index as usize)));
            below.push(self.below(at, one));
        }
        if below.iter().map(Range::len).sum::<usize>() <= 4 * (self.entries.len() + entries.len()) {
            for (one, below) in entries.iter().zip(below) {
                let name = OnceCell::new();
                for own in &self.entries[below.start as usize..below.end as usize] {
                    if may_share_a_name((one, asked, &name), own, &self.patterns) {
                        pairs.push((one.index as usize, own.index as usize));
                    }
                }
            }
        } else {
            let other = PatternIndex::new(asked.to_vec());
            for own in &self.entries {
                let at = other.place(own);
                let mut meet = |one: &Entry<'_>| pairs.push((one.index as usize, own.index as usize));
                other.above(at, own, &self.patterns, &mut meet);
                if let Some(node) = other.nodes.get(at).filter(|node| other.key(node).order(own).is_eq()) {
                    other.in_node(node, own, &self.patterns, &OnceCell::new(), meet);
                }
            }
        }
        decide(pairs, asked, &self.patterns)
    }

    fn key(&self, node: &Node) -> &Entry<'p> {
        &self.entries[node.first as usize]
    }

    /// The first node whose key is not less than that of `entry`.
    fn place(&self, entry: &Entry<'_>) -> usize {
        self.nodes.partition_point(|node| self.key(node).order(entry).is_lt())
    }

    /// The entries whose keys begin with that of `entry`, whose place is `at`.
    fn below(&self, at: usize, entry: &Entry<'_>) -> Range<u32> {
        let Some(first) = self.nodes.get(at).filter(|node| self.key(node).begins_with(entry)) else {
            return 0..0;
        };
        let behind = self.nodes[at..].partition_point(|node| self.key(node).begins_with(entry));
        first.first..self.nodes[at + behind - 1].end
    }

    /// Calls `found` with each entry whose key is shorter than that of `entry`, and its beginning.
    fn above(&self, at: usize, entry: &Entry<'_>, of: &[&Pattern], mut found: impl FnMut(&Entry<'p>)) {
        let name = OnceCell::new();
        let mut next = at.checked_sub(1).map(|before| before as u32);
        let mut sure = false;
        while let Some(above) = next {
            let node = &self.nodes[above as usize];
            sure = sure || entry.begins_with(self.key(node));
            if sure {
                self.in_node(node, entry, of, &name, &mut found);
            }
            next = node.above;
        }
    }

    /// Calls `found` with each entry of the node that may share a name with `entry`, which is one of `of`.
    fn in_node(
        &self,
        node: &Node,
        entry: &Entry<'_>,
        of: &[&Pattern],
        name: &OnceCell<Option<FileName>>,
        mut found: impl FnMut(&Entry<'p>),
    ) {
        let own = &self.entries[node.first as usize..node.end as usize];
        if own.len() <= MANY {
            own.iter()
                .filter(|other| may_share_a_name((entry, of, name), other, &self.patterns))
                .for_each(found);
            return;
        }
        let names = node.names.get_or_init(|| {
            let all = own.iter().zip(node.first..).map(|(entry, at)| (entry.name(&self.patterns), at));
            Box::new(Names::new(all))
        });
        let name = name.get_or_init(|| entry.name(of)).as_ref();
        names.alike(name, |at| found(&self.entries[at as usize]));
    }
}

fn add_entries<'p>(entries: &mut Vec<Entry<'p>>, pattern: &'p Pattern, index: u32) {
    let mut add = |key: Cow<'p, str>, whole: bool, alternative| {
        let mut first = beginning(&key);
        if whole && key.len() < 16 {
            first |= u128::from(b'/') << (8 * (15 - key.len()));
        }
        entries.push(Entry { key, beginning: first, whole, alternative, index });
    };
    let folded = |text: &str| text.bytes().all(|byte| byte.is_ascii() && !byte.is_ascii_uppercase());
    let text = pattern.as_str();
    match &pattern.shape {
        Shape::Plain if folded(text) => return add(Cow::Borrowed(text), true, 0),
        Shape::Wild(_) => {
            let spelt = text.find(['*', '?', '[', '{', '\\']).unwrap_or(0);
            let key = &text[..spelt];
            if text[spelt..].starts_with(['*', '?']) && !text.contains('{') && folded(key) {
                return add(Cow::Borrowed(key), false, 0);
            }
        }
        _ => {}
    }
    for (at, tokens) in pattern.alternatives().iter().enumerate() {
        for prefix in prefixes(tokens, Fold::Case) {
            add(Cow::Owned(prefix), false, at as u32);
        }
    }
}

impl Entry<'_> {
    fn order(&self, other: &Entry<'_>) -> Ordering {
        self.beginning.cmp(&other.beginning).then_with(|| self.order_behind(other))
    }

    fn order_behind(&self, other: &Entry<'_>) -> Ordering {
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

    fn name(&self, patterns: &[&Pattern]) -> Option<FileName> {
        let alternatives = patterns[self.index as usize].alternatives();
        alternatives.get(self.alternative as usize).and_then(|tokens| FileName::of(tokens, Fold::Case))
    }
}

/// May both match a file of one name? The name of the first one is kept, since it is asked for again.
fn may_share_a_name(
    (one, of_one, name): (&Entry<'_>, &[&Pattern], &OnceCell<Option<FileName>>),
    two: &Entry<'_>,
    of_two: &[&Pattern],
) -> bool {
    if one.whole && two.whole {
        // Of two paths, one of which begins with the other, there is nothing more to know.
        return true;
    }
    let Some(name) = name.get_or_init(|| one.name(of_one)) else { return true };
    two.name(of_two).is_none_or(|other| name.may_be(&other))
}

fn decide(mut pairs: Vec<(usize, usize)>, left: &[&Pattern], right: &[&Pattern]) -> Vec<Overlap> {
    pairs.sort_unstable();
    pairs.dedup();
    let overlap = |(first, second): (usize, usize)| {
        Some(Overlap { first, second, path: overlap(left[first], right[second])? })
    };
    pairs.into_iter().filter_map(overlap).collect()
}
