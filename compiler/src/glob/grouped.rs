//! Gathers what is said about equal patterns.
//!
//! Does not know what that is.

use std::ops::Index;

use super::Pattern;

/// Each distinct pattern, in their order, and what belongs to it, in the order in which it comes.
pub fn grouped<'p, T>(pairs: impl IntoIterator<Item = (&'p Pattern, T)>) -> (Vec<&'p Pattern>, Lists<T>) {
    let pairs = pairs.into_iter().map(|(pattern, item)| (beginning(pattern.as_str()), pattern, item));
    let mut pairs: Vec<(u128, &Pattern, T)> = pairs.collect();
    // Stable, for the items of one pattern.
    pairs.sort_by(|(a, one, _), (b, two, _)| a.cmp(b).then_with(|| one.cmp(two)));
    let mut patterns: Vec<&Pattern> = Vec::with_capacity(pairs.len());
    let mut lists =
        Lists { starts: Vec::with_capacity(pairs.len() + 1), items: Vec::with_capacity(pairs.len()) };
    for (_, pattern, item) in pairs {
        if patterns.last() != Some(&pattern) {
            lists.starts.push(lists.items.len() as u32);
            patterns.push(pattern);
        }
        lists.items.push(item);
    }
    lists.starts.push(lists.items.len() as u32);
    (patterns, lists)
}

/// Lists one behind the other in one place: a list of its own for each of many patterns would cost more than it holds.
#[derive(Clone, Debug)]
pub struct Lists<T> {
    /// Where each list begins, and where the last one ends.
    starts: Vec<u32>,
    items: Vec<T>,
}

impl<T> Lists<T> {
    pub fn len(&self) -> usize {
        self.starts.len() - 1
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub fn iter(&self) -> impl Iterator<Item = &[T]> {
        (0..self.len()).map(|at| &self[at])
    }

    /// Lets `change` sort each list, or drop some of it.
    pub fn change_each(&mut self, mut change: impl FnMut(&mut Vec<T>)) {
        let mut items = std::mem::take(&mut self.items).into_iter();
        let mut changed = Vec::with_capacity(items.len());
        let mut list = Vec::new();
        for at in 0..self.len() {
            let count = (self.starts[at + 1] - self.starts[at]) as usize;
            self.starts[at] = changed.len() as u32;
            list.extend(items.by_ref().take(count));
            change(&mut list);
            changed.append(&mut list);
        }
        if let Some(end) = self.starts.last_mut() {
            *end = changed.len() as u32;
        }
        self.items = changed;
    }
}

impl<T> Index<usize> for Lists<T> {
    type Output = [T];

    fn index(&self, at: usize) -> &[T] {
        &self.items[self.starts[at] as usize..self.starts[at + 1] as usize]
    }
}

/// The first bytes of a text, as a number that sorts like them: it decides nearly every comparison.
pub(super) fn beginning(text: &str) -> u128 {
    let mut bytes = [0; 16];
    let taken = text.len().min(16);
    bytes[..taken].copy_from_slice(&text.as_bytes()[..taken]);
    u128::from_be_bytes(bytes)
}
