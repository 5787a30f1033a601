//! Applies fixes: which of them go together, whether the result is better, and again until nothing is left to do.
//!
//! Does not know where the texts end up: it returns them. Nor does it know any rule; it believes the compiler, which it
//! asks after every step.

use std::collections::{BTreeMap, BTreeSet};

use camino::{Utf8Path, Utf8PathBuf};

use crate::compile::{Compilation, Group, compile_groups};
use crate::diagnostic::{Applicability, Diagnostic, Edit, Fix, Severity};
use crate::source::memory::Layered;
use crate::source::{SourceMap, Sources};

/// Which fixes may be applied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Allow {
    /// Those that mean the same as what was plainly meant.
    Safe,
    /// Also those that change what the plan asks for.
    Unsafe,
}

/// Rounds of fixes over the texts; a fix can make room for the next one.
const ROUNDS: usize = 32;

/// Compilations in search of fixes that make things worse, over all rounds. What is not tried by then is left.
const TRIALS: usize = 256;

/// What came out.
#[derive(Debug)]
pub struct Mended {
    /// The texts as they are now, and what is still wrong with them.
    pub compilation: Compilation,
    /// By path: what each changed file was and is.
    pub files: Vec<MendedFile>,
    /// Findings that were fixed.
    pub fixed: usize,
    /// Findings whose fix was left out, since it would not help or make other findings.
    pub left_out: usize,
}

/// A file whose text changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MendedFile {
    pub path: Utf8PathBuf,
    pub before: String,
    pub after: String,
    /// Findings that were fixed in it.
    pub fixed: usize,
}

/// Applies the fixes of what the compiler finds in the groups, as long as that helps. `may_edit` says which files are
/// the user's to change.
pub fn mend(
    groups: &[Group],
    sources: &dyn Sources,
    allow: Allow,
    may_edit: &dyn Fn(&Utf8Path) -> bool,
) -> Mended {
    let mut work = Work {
        groups,
        sources,
        compilation: compile_groups(groups, sources),
        texts: BTreeMap::new(),
        fixed: BTreeMap::new(),
        left_out: BTreeSet::new(),
        trials: TRIALS,
    };
    for _ in 0..ROUNDS {
        let batch = work.candidates(allow, may_edit);
        if batch.is_empty() || !work.settle(batch) {
            break;
        }
    }
    let mut files = Vec::new();
    for (path, after) in work.texts {
        let before =
            sources.read(&path).ok().and_then(|bytes| String::from_utf8(bytes).ok()).unwrap_or_default();
        if before != after {
            let fixed = work.fixed.get(&path).copied().unwrap_or_default();
            files.push(MendedFile { path, before, after, fixed });
        }
    }
    Mended {
        fixed: work.fixed.values().sum(),
        left_out: work.left_out.len(),
        compilation: work.compilation,
        files,
    }
}

/// A fix that is to be tried.
#[derive(Clone, Debug)]
struct Candidate {
    path: Utf8PathBuf,
    edits: Vec<Edit>,
    rule: &'static str,
    severity: Severity,
    class: Class,
    /// By what it is known again in later rounds, when its place has moved.
    name: Name,
}

/// Rule, path, message, title.
type Name = (&'static str, Utf8PathBuf, String, String);

/// What has to be right before the rest can be judged: a text that cannot be read hides every other mistake.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Class {
    Syntax,
    Shape,
    Rest,
}

fn class(found: &Diagnostic) -> Class {
    match found.rule.family() {
        '0' => Class::Syntax,
        '1' => Class::Shape,
        _ => Class::Rest,
    }
}

/// How bad it is.
#[derive(Clone, Debug, Default)]
struct Tally {
    syntax: usize,
    shape: usize,
    /// Errors and warnings of the rest, by path and rule.
    errors: BTreeMap<(Utf8PathBuf, &'static str), usize>,
    warnings: BTreeMap<(Utf8PathBuf, &'static str), usize>,
    /// All findings, by rule.
    all: BTreeMap<&'static str, usize>,
}

impl Tally {
    fn of(compilation: &Compilation) -> Tally {
        let mut tally = Tally::default();
        for found in &compilation.diagnostics {
            *tally.all.entry(found.rule.code).or_default() += 1;
            match class(found) {
                Class::Syntax => tally.syntax += 1,
                Class::Shape => tally.shape += 1,
                Class::Rest => {
                    let path = compilation.map.file(found.primary.span.file).path.clone();
                    let rest = match found.severity {
                        Severity::Error => &mut tally.errors,
                        Severity::Warning => &mut tally.warnings,
                        Severity::Note => continue,
                    };
                    *rest.entry((path, found.rule.code)).or_default() += 1;
                }
            }
        }
        tally
    }

    /// Did the batch do what it promised, and nothing else? Text and shape may show what they hid; a fix of anything
    /// else must not lead to an error that was not there, and to a warning only if it mended an error.
    fn is_better(&self, before: &Tally, batch: &[Candidate]) -> bool {
        let count = batch.len();
        match batch.first().map_or(Class::Rest, |first| first.class) {
            Class::Syntax => self.syntax + count <= before.syntax,
            Class::Shape => self.syntax <= before.syntax && self.shape + count <= before.shape,
            Class::Rest => {
                let mut wanted: BTreeMap<&str, usize> = BTreeMap::new();
                for candidate in batch {
                    *wanted.entry(candidate.rule).or_default() += 1;
                }
                let now = |rule: &str, tally: &Tally| tally.all.get(rule).copied().unwrap_or_default();
                let mends_errors = batch.iter().any(|candidate| candidate.severity == Severity::Error);
                self.syntax <= before.syntax
                    && self.shape <= before.shape
                    && is_within(&self.errors, &before.errors)
                    && (mends_errors || is_within(&self.warnings, &before.warnings))
                    && wanted.iter().all(|(rule, count)| now(rule, self) + count <= now(rule, before))
            }
        }
    }
}

fn is_within<K: Ord>(now: &BTreeMap<K, usize>, before: &BTreeMap<K, usize>) -> bool {
    now.iter().all(|(key, count)| before.get(key).is_some_and(|was| count <= was))
}

struct Work<'w> {
    groups: &'w [Group],
    sources: &'w dyn Sources,
    /// Of the present texts.
    compilation: Compilation,
    texts: BTreeMap<Utf8PathBuf, String>,
    fixed: BTreeMap<Utf8PathBuf, usize>,
    left_out: BTreeSet<Name>,
    trials: usize,
}

impl Work<'_> {
    /// Fixes that can be applied together: of the first class that has any, one for each finding, none over another.
    fn candidates(&self, allow: Allow, may_edit: &dyn Fn(&Utf8Path) -> bool) -> Vec<Candidate> {
        let map = &self.compilation.map;
        let mut intact: BTreeMap<Utf8PathBuf, bool> = BTreeMap::new();
        let mut found: Vec<Candidate> = Vec::new();
        for diagnostic in &self.compilation.diagnostics {
            let Some(fix) = chosen(diagnostic, allow) else { continue };
            let Some(first) = fix.edits.first() else { continue };
            let path = &map.file(first.span.file).path;
            let whole = intact
                .entry(path.clone())
                .or_insert_with(|| may_edit(path) && self.is_intact(path, &map.file(first.span.file).text));
            let name = (diagnostic.rule.code, path.clone(), diagnostic.message.clone(), fix.title.clone());
            if !*whole || !is_sound(fix, map) || self.left_out.contains(&name) {
                continue;
            }
            found.push(Candidate {
                path: path.clone(),
                edits: fix.edits.clone(),
                rule: diagnostic.rule.code,
                severity: diagnostic.severity,
                class: class(diagnostic),
                name,
            });
        }
        let Some(first) = found.iter().map(|candidate| candidate.class).min() else { return found };
        found.retain(|candidate| candidate.class == first);
        let mut taken: BTreeMap<Utf8PathBuf, BTreeMap<u32, u32>> = BTreeMap::new();
        found.retain(|candidate| {
            let taken = taken.entry(candidate.path.clone()).or_default();
            let free = candidate.edits.iter().all(|edit| is_free(taken, edit));
            if free {
                taken.extend(candidate.edits.iter().map(|edit| (edit.span.start, edit.span.end)));
            }
            free
        });
        found
    }

    /// Is the text what the file's bytes say? Where they are no UTF-8, writing it back would destroy them.
    fn is_intact(&self, path: &Utf8Path, text: &str) -> bool {
        match self.texts.get(path) {
            Some(own) => own == text,
            None => self.sources.read(path).is_ok_and(|bytes| bytes == text.as_bytes()),
        }
    }

    /// Applies as much of the batch as helps, by halves. True if anything of it did.
    fn settle(&mut self, batch: Vec<Candidate>) -> bool {
        let base = std::mem::take(&mut self.texts);
        let mut originals: BTreeMap<Utf8PathBuf, String> = BTreeMap::new();
        for candidate in &batch {
            originals.entry(candidate.path.clone()).or_insert_with(|| {
                let map = &self.compilation.map;
                map.by_path(&candidate.path).map(|id| map.file(id).text.clone()).unwrap_or_default()
            });
        }
        self.texts = base.clone();
        let mut tally = Tally::of(&self.compilation);
        let mut kept: Vec<Candidate> = Vec::new();
        let mut waiting = vec![batch];
        while let Some(batch) = waiting.pop() {
            if self.trials == 0 {
                break;
            }
            self.trials -= 1;
            let mut texts = base.clone();
            for (path, text) in &originals {
                let edits = kept.iter().chain(&batch).filter(|candidate| candidate.path == *path);
                texts.insert(path.clone(), applied(text, edits.flat_map(|candidate| &candidate.edits)));
            }
            let compilation = compile_groups(self.groups, &Layered::new(self.sources, &texts));
            let now = Tally::of(&compilation);
            if now.is_better(&tally, &batch) {
                (self.compilation, self.texts, tally) = (compilation, texts, now);
                kept.extend(batch);
            } else if let [one] = batch.as_slice() {
                self.left_out.insert(one.name.clone());
            } else {
                let (front, back) = batch.split_at(batch.len() / 2);
                waiting.extend([back.to_vec(), front.to_vec()]);
            }
        }
        for candidate in &kept {
            *self.fixed.entry(candidate.path.clone()).or_default() += 1;
        }
        !kept.is_empty()
    }
}

/// The first fix of the readiest kind. Where one is safe, no unsafe one is looked at.
fn chosen(found: &Diagnostic, allow: Allow) -> Option<&Fix> {
    let first = |wanted| found.fixes.iter().find(|fix| fix.applicability == wanted);
    first(Applicability::Safe)
        .or_else(|| if allow == Allow::Unsafe { first(Applicability::Unsafe) } else { None })
}

/// Edits in one file, in order, apart, on boundaries of characters. A rule that breaks this promise gets its fix
/// ignored and nothing destroyed.
fn is_sound(fix: &Fix, map: &SourceMap) -> bool {
    let Some(first) = fix.edits.first() else { return false };
    let text = &map.file(first.span.file).text;
    let inside = fix.edits.iter().all(|edit| {
        let (start, end) = (edit.span.start as usize, edit.span.end as usize);
        edit.span.file == first.span.file
            && start <= end
            && text.is_char_boundary(start)
            && text.is_char_boundary(end)
    });
    inside && fix.edits.windows(2).all(|pair| pair[0].span.end <= pair[1].span.start)
}

/// May the edit stand beside those that are taken? One that only touches another waits: their order would be a guess.
fn is_free(taken: &BTreeMap<u32, u32>, edit: &Edit) -> bool {
    let before = taken.range(..=edit.span.start).next_back();
    let behind = taken.range(edit.span.start..).next();
    before.is_none_or(|(_, end)| *end < edit.span.start)
        && behind.is_none_or(|(start, _)| edit.span.end < *start)
}

/// The text with the edits made; they lie apart.
fn applied<'e>(text: &str, edits: impl Iterator<Item = &'e Edit>) -> String {
    let mut edits: Vec<&Edit> = edits.collect();
    edits.sort_by_key(|edit| (edit.span.start, edit.span.end));
    let mut out = String::with_capacity(text.len() + 64);
    let mut at = 0;
    for edit in edits {
        out.push_str(&text[at..edit.span.start as usize]);
        out.push_str(&edit.text);
        at = edit.span.end as usize;
    }
    out.push_str(&text[at..]);
    out
}

#[cfg(test)]
mod tests;
