//! What the names of the files that a pattern matches are like.
//!
//! Does not know the directories that they lie in, the last one excepted.

use super::automaton::{Fold, Token, has_extension};

/// What the names begin and end with, and the directory right above them, if it is spelt out.
#[derive(Debug)]
pub(super) struct FileName {
    pub(super) begin: String,
    /// Its characters from the last one to the first, so that what sorts next to each other ends alike.
    pub(super) end: String,
    pub(super) parent: Option<String>,
}

impl FileName {
    /// What the name of a match is like, if the pattern names files by their extension and spells no directory like
    /// one. Two such patterns have nothing below each other: they meet only at a path whose name fits both.
    pub(super) fn of(tokens: &[Token], fold: Fold) -> Option<FileName> {
        let mut directories = (0..tokens.len()).filter(|at| tokens[*at] == Token::Separator);
        if !has_extension(tokens, tokens.len()) || directories.any(|at| has_extension(tokens, at)) {
            return None;
        }
        let part = |end: usize| {
            let boundary = |token: &Token| matches!(token, Token::Separator | Token::Parts);
            tokens[..end].iter().rposition(boundary).map_or(0, |at| at + 1)
        };
        let spelt = |token: &Token| if let Token::Char(c) = token { Some(fold.char(*c)) } else { None };
        let start = part(tokens.len());
        let name = &tokens[start..];
        // Behind `**/` the directory above is any.
        let parent = (start > 0 && tokens[start - 1] == Token::Separator)
            .then(|| tokens[part(start - 1)..start - 1].iter().map(spelt).collect::<Option<String>>())
            .flatten();
        Some(FileName {
            begin: name.iter().map_while(spelt).collect(),
            end: name.iter().rev().map_while(spelt).collect(),
            parent,
        })
    }

    /// May one file have both names?
    pub(super) fn may_be(&self, other: &FileName) -> bool {
        let related = |a: &str, b: &str| a.starts_with(b) || b.starts_with(a);
        related(&self.begin, &other.begin)
            && related(&self.end, &other.end)
            && (self.parent.is_none() || other.parent.is_none() || self.parent == other.parent)
    }
}

/// Many names, to be asked which of them a file may have beside another one.
#[derive(Debug, Default)]
pub(super) struct Names {
    /// Those about which nothing is known.
    unknown: Vec<u32>,
    known: Vec<(FileName, u32)>,
    /// Indices into `known`, sorted by what the names begin with, what they end with, and their directories.
    by_begin: Vec<u32>,
    by_end: Vec<u32>,
    by_parent: Vec<u32>,
}

impl Names {
    pub(super) fn new(names: impl Iterator<Item = (Option<FileName>, u32)>) -> Names {
        let mut all = Names::default();
        for (name, item) in names {
            match name {
                Some(name) => all.known.push((name, item)),
                None => all.unknown.push(item),
            }
        }
        let order: Vec<u32> = (0..all.known.len() as u32).collect();
        let sorted = |by: &dyn Fn(&FileName) -> Option<&str>| {
            let mut order = order.clone();
            order.sort_by(|a, b| by(&all.known[*a as usize].0).cmp(&by(&all.known[*b as usize].0)));
            order
        };
        let by_begin = sorted(&|name| Some(&name.begin));
        let by_end = sorted(&|name| Some(&name.end));
        let by_parent = sorted(&|name| name.parent.as_deref());
        Names { by_begin, by_end, by_parent, ..all }
    }

    /// Calls `found` with each item whose name the file may have as well. Of beginning, end and directory, the one that
    /// leaves the fewest names is looked up; the others are held against each of those.
    pub(super) fn alike(&self, name: Option<&FileName>, mut found: impl FnMut(u32)) {
        self.unknown.iter().for_each(|item| found(*item));
        let Some(name) = name else {
            self.known.iter().for_each(|(_, item)| found(*item));
            return;
        };
        let begin = self.related(&self.by_begin, &name.begin, |name| &name.begin);
        let end = self.related(&self.by_end, &name.end, |name| &name.end);
        let parent = match &name.parent {
            None => vec![self.by_parent.as_slice()],
            Some(_) => vec![self.in_directory(&None), self.in_directory(&name.parent)],
        };
        let count = |slices: &Vec<&[u32]>| slices.iter().map(|slice| slice.len()).sum::<usize>();
        let least = [begin, end, parent].into_iter().min_by_key(count).unwrap_or_default();
        for at in least.into_iter().flatten() {
            let (other, item) = &self.known[*at as usize];
            if name.may_be(other) {
                found(*item);
            }
        }
    }

    /// Those whose text begins with `text`, and those with which it begins.
    fn related<'n>(
        &'n self,
        sorted: &'n [u32],
        text: &str,
        of: impl Fn(&FileName) -> &str,
    ) -> Vec<&'n [u32]> {
        let of = |at: &u32| of(&self.known[*at as usize].0);
        let start = sorted.partition_point(|at| of(at) < text);
        let longer = sorted[start..].partition_point(|at| of(at).starts_with(text));
        let mut slices = vec![&sorted[start..start + longer]];
        for (length, _) in text.char_indices() {
            let shorter = &text[..length];
            let from = sorted[..start].partition_point(|at| of(at) < shorter);
            let same = sorted[from..start].partition_point(|at| of(at) == shorter);
            slices.push(&sorted[from..from + same]);
        }
        slices
    }

    fn in_directory(&self, directory: &Option<String>) -> &[u32] {
        let of = |at: &u32| &self.known[*at as usize].0.parent;
        let from = self.by_parent.partition_point(|at| of(at) < directory);
        let same = self.by_parent[from..].partition_point(|at| of(at) == directory);
        &self.by_parent[from..from + same]
    }
}
