//! Patterns as automata over the characters of a path.
//!
//! Does not know how a pattern is written.
//!
//! A position is an index into a pattern's tokens. Two more positions end it: `len` (the pattern is matched) and
//! `len + 1` (the path has gone on below it). Every path is read character by character, `/` included; that no
//! part is empty is seen to by whoever feeds the characters.

use std::collections::HashSet;

use super::{Pattern, Shape};

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Token {
    Char(char),
    /// `/`
    Separator,
    /// `?`
    Any,
    /// `*`
    Run,
    /// `[...]`
    Set(Box<Set>),
    /// `**/`: any number of parts, each with the `/` behind it. Never last.
    Parts,
}

/// The characters of a `[...]`; ranges are sorted and hold both ends.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Set {
    pub(super) negated: bool,
    pub(super) ranges: Vec<(char, char)>,
}

/// Whether `A` and `a` are one character.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fold {
    Exact,
    Case,
}

impl Fold {
    /// One character for all that differ from it in case only. Simple folding: `ß` stays one character.
    pub(super) fn char(self, c: char) -> char {
        match self {
            Fold::Exact => c,
            Fold::Case if c.is_ascii() => c.to_ascii_lowercase(),
            Fold::Case => {
                let upper = single(c.to_uppercase()).unwrap_or(c);
                single(upper.to_lowercase()).unwrap_or(c)
            }
        }
    }
}

fn single(mut chars: impl Iterator<Item = char>) -> Option<char> {
    let first = chars.next();
    if chars.next().is_none() { first } else { None }
}

impl Token {
    /// May the path's next character, `/` left aside, be `c`?
    fn takes(&self, c: char, fold: Fold) -> bool {
        match self {
            Token::Char(own) => fold.char(*own) == c,
            Token::Separator => false,
            Token::Any | Token::Run | Token::Parts => true,
            Token::Set(set) => {
                let Set { negated, ranges } = &**set;
                let holds = |c: char| ranges.iter().any(|(low, high)| *low <= c && c <= *high);
                let single_item = |(low, high): &(char, char)| low == high && fold.char(*low) == c;
                match fold {
                    Fold::Exact => holds(c) != *negated,
                    Fold::Case if *negated => case_variants(c).any(|variant| !holds(variant)),
                    Fold::Case => case_variants(c).any(holds) || ranges.iter().any(single_item),
                }
            }
        }
    }
}

fn case_variants(c: char) -> impl Iterator<Item = char> {
    [Some(c), single(c.to_uppercase()), single(c.to_lowercase())].into_iter().flatten()
}

/// May the token match nothing here? `at_start`: a part of the path begins here.
fn skippable(token: &Token, at_start: bool) -> bool {
    matches!(token, Token::Run) || (at_start && matches!(token, Token::Parts))
}

/// Where `position` goes when the path's next character is `c`.
fn step(tokens: &[Token], position: usize, c: char, fold: Fold) -> Option<usize> {
    let Some(token) = tokens.get(position) else {
        let below = tokens.len() + 1;
        return (position == below || c == '/').then_some(below);
    };
    match token {
        Token::Parts => Some(position),
        Token::Separator => (c == '/').then_some(position + 1),
        _ if c == '/' || !token.takes(c, fold) => None,
        Token::Run => Some(position),
        _ => Some(position + 1),
    }
}

/// `position` and those behind it that can be reached without a character.
fn reach(tokens: &[Token], position: usize, at_start: bool) -> impl Iterator<Item = usize> {
    let skipped =
        tokens.get(position..).unwrap_or_default().iter().take_while(move |token| skippable(token, at_start));
    position..=position + skipped.count()
}

/// The path of a pattern without wildcards.
pub(super) fn literal(tokens: &[Token]) -> Option<String> {
    tokens
        .iter()
        .map(|token| match token {
            Token::Char(c) => Some(*c),
            Token::Separator => Some('/'),
            _ => None,
        })
        .collect()
}

/// The tokens of a path that is meant as it stands, in normal form.
pub(super) fn spelt(path: &str) -> Vec<Token> {
    let parts = path.split('/').filter(|part| !part.is_empty() && *part != ".");
    let mut tokens = Vec::new();
    for part in parts {
        if !tokens.is_empty() {
            tokens.push(Token::Separator);
        }
        tokens.extend(part.chars().map(Token::Char));
    }
    tokens
}

pub(super) fn spells_part(tokens: &[Token], name: &str) -> bool {
    let spelt = |part: &[Token]| {
        let chars: Option<Vec<char>> = part
            .iter()
            .map(|token| if let Token::Char(c) = token { Some(Fold::Case.char(*c)) } else { None })
            .collect();
        chars.is_some_and(|chars| chars.into_iter().eq(name.chars().map(|c| Fold::Case.char(c))))
    };
    // `**/` is a separator of its own here: what stands before it is a whole part.
    tokens.split(|token| matches!(token, Token::Separator | Token::Parts)).any(spelt)
}

/// Is `path` the same as `top`, or below it?
pub(super) fn covers(top: &str, path: &str) -> bool {
    path.strip_prefix(top).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// As [`covers`], of texts that are not folded yet.
fn covers_folded(top: &str, path: &str, fold: Fold) -> bool {
    rest_folded(top, path, fold).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// What follows in `text` behind `beginning`, if it begins so.
fn rest_folded<'t>(beginning: &str, text: &'t str, fold: Fold) -> Option<&'t str> {
    let mut rest = text.chars();
    let begins = beginning.chars().all(|c| rest.next().is_some_and(|other| fold.char(other) == fold.char(c)));
    begins.then_some(rest.as_str())
}

/// Is the pattern spelt out up to a last `**` or `*`, and does the path lie below that directory?
fn lies_in_tree(path: &str, pattern: &Pattern, fold: Fold) -> bool {
    let Shape::Wild(alternatives) = &pattern.shape else { return false };
    let [tokens] = &**alternatives else { return false };
    let Some((Token::Run, directory)) = tokens.split_last() else { return false };
    let mut rest = path.chars();
    let mut at_end = false;
    for token in directory {
        let spelt = match token {
            Token::Char(c) => fold.char(*c),
            Token::Separator => '/',
            _ => return false,
        };
        if rest.next().map(|c| fold.char(c)) != Some(spelt) {
            return false;
        }
        at_end = spelt == '/';
    }
    (at_end || directory.is_empty()) && !rest.as_str().is_empty()
}

/// Beginnings that a small set such as `[ab]` may multiply to.
const MOST_PREFIXES: usize = 16;

/// What every covered path, with a `/` put behind it, begins with: one of these. Small sets of plain letters are spelt out.
pub(super) fn prefixes(tokens: &[Token], fold: Fold) -> Vec<String> {
    let mut prefixes = vec![String::new()];
    for token in tokens {
        match token {
            Token::Char(c) => prefixes.iter_mut().for_each(|prefix| prefix.push(fold.char(*c))),
            Token::Separator => prefixes.iter_mut().for_each(|prefix| prefix.push('/')),
            Token::Set(set) => match set.letters(fold) {
                Some(letters) if letters.len() * prefixes.len() <= MOST_PREFIXES => {
                    prefixes = prefixes
                        .iter()
                        .flat_map(|prefix| letters.iter().map(move |letter| format!("{prefix}{letter}")))
                        .collect();
                }
                _ => return prefixes,
            },
            _ => return prefixes,
        }
    }
    prefixes.iter_mut().for_each(|prefix| prefix.push('/'));
    prefixes
}

impl Set {
    /// The folded letters that it holds, if they are few and ASCII: no other letter is one of these in another case.
    fn letters(&self, fold: Fold) -> Option<Vec<char>> {
        let small =
            |(low, high): &(char, char)| high.is_ascii() && *high as usize - (*low as usize) < MOST_PREFIXES;
        if self.negated || !self.ranges.iter().all(small) {
            return None;
        }
        let all = self.ranges.iter().flat_map(|(low, high)| *low..=*high);
        let mut letters: Vec<char> = all.map(|c| fold.char(c)).filter(|c| *c != '/').collect();
        letters.sort_unstable();
        letters.dedup();
        Some(letters)
    }
}

/// A set of positions of one token list.
#[derive(Clone, PartialEq, Eq, Hash)]
struct Positions(Vec<u64>);

impl Positions {
    fn empty(tokens: &[Token]) -> Positions {
        Positions(vec![0; (tokens.len() + 2).div_ceil(64)])
    }

    fn start(tokens: &[Token]) -> Positions {
        let mut positions = Positions::empty(tokens);
        positions.insert(0);
        positions
    }

    fn insert(&mut self, position: usize) {
        self.0[position / 64] |= 1 << (position % 64);
    }

    fn iter(&self) -> impl Iterator<Item = usize> {
        self.0.iter().enumerate().flat_map(|(word, bits)| {
            let mut bits = *bits;
            std::iter::from_fn(move || {
                let bit = (bits != 0).then(|| bits.trailing_zeros() as usize)?;
                bits &= bits - 1;
                Some(word * 64 + bit)
            })
        })
    }

    fn is_empty(&self) -> bool {
        self.0.iter().all(|bits| *bits == 0)
    }

    fn step(&self, tokens: &[Token], c: char, at_start: bool, fold: Fold) -> Positions {
        let mut next = Positions::empty(tokens);
        for position in self.iter().flat_map(|position| reach(tokens, position, at_start)) {
            if let Some(position) = step(tokens, position, c, fold) {
                next.insert(position);
            }
        }
        next
    }

    /// Is the path read so far, which ends inside a part, covered?
    fn accepts(&self, tokens: &[Token]) -> bool {
        self.iter()
            .flat_map(|position| reach(tokens, position, false))
            .any(|position| position >= tokens.len())
    }
}

/// Does the pattern name `path` or a path above it?
pub(super) fn matches(tokens: &[Token], path: &str) -> bool {
    let mut positions = Positions::start(tokens);
    let mut at_start = true;
    for c in path.chars() {
        if c == '/' && positions.accepts(tokens) {
            return true;
        }
        positions = positions.step(tokens, c, at_start, Fold::Exact);
        if positions.is_empty() {
            return false;
        }
        at_start = c == '/';
    }
    !at_start && positions.accepts(tokens)
}

/// More states than this are given up on, in favour of "they overlap": only patterns made for it get there.
const MOST_STATES: usize = 20_000;

/// A path that both patterns cover and none of `excluded` does, as short as there is one.
///
/// Searches the product of two automata; of the excluded ones, all positions are followed at once.
pub(super) fn common_path(a: &Pattern, b: &Pattern, excluded: &[&Pattern], fold: Fold) -> Option<String> {
    if excluded.is_empty() {
        // By far the most frequent cases need no search.
        match (a.literal(), b.literal()) {
            (Some(one), Some(two)) if one == two => return Some(one.to_owned()),
            (Some(one), Some(two)) => {
                let (deeper, top) =
                    if one.chars().count() >= two.chars().count() { (one, two) } else { (two, one) };
                return covers_folded(top, deeper, fold).then(|| deeper.to_owned());
            }
            (Some(path), None) if lies_in_tree(path, b, fold) => return Some(path.to_owned()),
            (None, Some(path)) if lies_in_tree(path, a, fold) => return Some(path.to_owned()),
            _ => {}
        }
    }
    let [a, b] = [a.alternatives(), b.alternatives()];
    let excluded: Vec<_> = excluded.iter().map(|pattern| pattern.alternatives()).collect();
    let excluded: Vec<&[Token]> =
        excluded.iter().flat_map(|alternatives| alternatives.iter().map(Vec::as_slice)).collect();
    let all = a.iter().chain(b.iter()).map(Vec::as_slice).chain(excluded.iter().copied());
    let letters = alphabet(all, fold);
    for left in a.iter() {
        for right in b.iter() {
            let product = Product { left, right, excluded: &excluded, letters: &letters, fold };
            if let Some(path) = product.search() {
                return Some(as_written(path, [left, right], fold));
            }
        }
    }
    None
}

/// The path as a pattern spells it, where one of them is spelt out.
fn as_written(path: String, sides: [&Vec<Token>; 2], fold: Fold) -> String {
    let folded: String = path.chars().map(|c| fold.char(c)).collect();
    let spelt = sides.into_iter().filter_map(|tokens| literal(tokens));
    let same = |text: &String| text.chars().map(|c| fold.char(c)).eq(folded.chars());
    spelt.into_iter().find(same).unwrap_or(path)
}

/// Characters enough to tell the patterns apart: those they spell, the ends of their ranges, and one more.
fn alphabet<'t>(all: impl Iterator<Item = &'t [Token]>, fold: Fold) -> Vec<char> {
    let mut spelt = Vec::new();
    let mut edges = Vec::new();
    let mut ranged = false;
    for token in all.flatten() {
        match token {
            Token::Char(c) => spelt.push(*c),
            Token::Set(set) => {
                ranged = true;
                edges.extend(set.ranges.iter().flat_map(|(low, high)| [Some(*low), after(*high)]).flatten());
            }
            _ => {}
        }
    }
    if ranged {
        edges.extend(spelt.iter().filter_map(|c| after(*c)));
        let variants: Vec<char> = edges.iter().chain(&spelt).flat_map(|c| case_variants(*c)).collect();
        edges.extend(variants.iter().filter_map(|c| after(*c)).chain(variants.iter().copied()));
    }
    let usual = "xyzabcdefghijklmnopqrstuvw0123456789_".chars();
    let strange = '\u{2600}'..='\u{26ff}';
    let fresh = usual.chain(strange).find(|c| !spelt.contains(c) && !edges.contains(c));
    let mut letters: Vec<char> = Vec::new();
    edges.sort_by_key(|c| (!c.is_alphanumeric(), *c));
    for c in fresh.into_iter().chain(spelt).chain(edges) {
        let c = fold.char(c);
        if c != '/' && c != '\0' && !letters.contains(&c) {
            letters.push(c);
        }
    }
    letters.push('/');
    letters
}

fn after(c: char) -> Option<char> {
    (c..=char::MAX).nth(1)
}

/// Does the part that ends before `end` look like a file's name: `a.rs`, `*.toml`, but not `src`, `.github` or `v1.2`?
pub(super) fn has_extension(tokens: &[Token], end: usize) -> bool {
    let boundary = |token: &Token| matches!(token, Token::Separator | Token::Parts);
    let part = &tokens[tokens[..end].iter().rposition(boundary).map_or(0, |at| at + 1)..end];
    let Some(dot) = part.iter().rposition(|token| *token == Token::Char('.')) else { return false };
    let letters = |token: &Token| matches!(token, Token::Char(c) if c.is_alphanumeric());
    let begins = matches!(part.get(dot + 1), Some(Token::Char(c)) if c.is_alphabetic());
    dot > 0 && begins && part[dot + 1..].iter().all(letters)
}

struct Product<'p> {
    left: &'p [Token],
    right: &'p [Token],
    excluded: &'p [&'p [Token]],
    letters: &'p [char],
    fold: Fold,
}

#[derive(Clone, PartialEq, Eq, Hash)]
struct State {
    left: usize,
    right: usize,
    at_start: bool,
    excluded: Vec<Positions>,
}

impl Product<'_> {
    fn search(&self) -> Option<String> {
        let excluded = self.excluded.iter().map(|tokens| Positions::start(tokens)).collect();
        // Breadth first; each state with the one it came from and the character between them.
        let mut states: Vec<(State, usize, char)> =
            vec![(State { left: 0, right: 0, at_start: true, excluded }, 0, '/')];
        let mut seen: HashSet<State> = HashSet::new();
        let mut at = 0;
        while at < states.len() {
            let state = states[at].0.clone();
            if self.accepts(&state) {
                return Some(path_to(&states, at));
            }
            if states.len() > MOST_STATES {
                return Some(path_to(&states, at));
            }
            for next in self.next(&state) {
                if seen.insert(next.0.clone()) {
                    states.push((next.0, at, next.1));
                }
            }
            at += 1;
        }
        None
    }

    fn accepts(&self, state: &State) -> bool {
        let ends = |tokens: &[Token], position| reach(tokens, position, false).any(|at| at >= tokens.len());
        !state.at_start
            && ends(self.left, state.left)
            && ends(self.right, state.right)
            && !self.excluded.iter().zip(&state.excluded).any(|(tokens, positions)| positions.accepts(tokens))
    }

    fn next(&self, state: &State) -> Vec<(State, char)> {
        let mut next = Vec::new();
        for left in reach(self.left, state.left, state.at_start) {
            for right in reach(self.right, state.right, state.at_start) {
                for c in self.letters_for(left, right) {
                    if c == '/' && (state.at_start || self.below_a_file(left, right)) {
                        continue;
                    }
                    let steps = (step(self.left, left, c, self.fold), step(self.right, right, c, self.fold));
                    let (Some(left), Some(right)) = steps else { continue };
                    let excluded = self.excluded.iter().zip(&state.excluded);
                    let excluded =
                        excluded.map(|(tokens, at)| at.step(tokens, c, state.at_start, self.fold)).collect();
                    next.push((State { left, right, at_start: c == '/', excluded }, c));
                }
            }
        }
        next
    }

    /// Would a `/` lead below a file, as from `Cargo.toml` into `**/*.rs`? A name with an extension is a file unless
    /// the other pattern spells it as a directory, as `Cargo.toml/x` does.
    fn below_a_file(&self, left: usize, right: usize) -> bool {
        let file = |tokens: &[Token], at: usize| at == tokens.len() && has_extension(tokens, at);
        let spelt = |tokens: &[Token], at: usize| {
            tokens.get(at) == Some(&Token::Separator) && has_extension(tokens, at)
        };
        (file(self.left, left) && !spelt(self.right, right))
            || (file(self.right, right) && !spelt(self.left, left))
    }

    /// The characters worth trying: a spelt character leaves no choice.
    fn letters_for(&self, left: usize, right: usize) -> Vec<char> {
        for token in [self.left.get(left), self.right.get(right)].into_iter().flatten() {
            match token {
                Token::Char(c) => return vec![self.fold.char(*c)],
                Token::Separator => return vec!['/'],
                _ => {}
            }
        }
        self.letters.to_vec()
    }
}

fn path_to(states: &[(State, usize, char)], mut at: usize) -> String {
    let mut reversed = Vec::new();
    while at != 0 {
        reversed.push(states[at].2);
        at = states[at].1;
    }
    reversed.iter().rev().collect()
}
