//! What a path or a pattern that names nothing was probably meant to name.
//!
//! Does not know who names it. The repository's files are listed when the first question is asked, not before.

use std::cell::OnceCell;
use std::collections::BTreeMap;

use camino::{Utf8Path, Utf8PathBuf};

use crate::diagnostic::did_you_mean;
use crate::glob::Pattern;
use crate::source::Sources;

/// Questions after this many are not answered: a plan with that many wrong paths has one mistake, not many.
const MOST: u32 = 200;

pub(super) struct Near<'s> {
    sources: &'s dyn Sources,
    names: OnceCell<Names<'s>>,
    asked: std::cell::Cell<u32>,
}

struct Names<'s> {
    files: &'s [Utf8PathBuf],
    /// By file name in lower case.
    by_name: BTreeMap<String, Vec<usize>>,
}

impl<'s> Near<'s> {
    pub(super) fn new(sources: &'s dyn Sources) -> Near<'s> {
        Near { sources, names: OnceCell::new(), asked: std::cell::Cell::new(0) }
    }

    /// The repository's files; none if nobody knows them.
    pub(super) fn files(&self) -> &'s [Utf8PathBuf] {
        self.sources.files().unwrap_or_default()
    }

    /// The files at or below a path.
    pub(super) fn below(&self, path: &str) -> &'s [Utf8PathBuf] {
        below(self.files(), path)
    }

    fn names(&self) -> &Names<'s> {
        self.names.get_or_init(|| {
            let files = self.files();
            let mut by_name: BTreeMap<String, Vec<usize>> = BTreeMap::new();
            for (at, file) in files.iter().enumerate() {
                let name = file.file_name().unwrap_or_default().to_lowercase();
                by_name.entry(name).or_default().push(at);
            }
            Names { files, by_name }
        })
    }

    fn tired(&self) -> bool {
        self.asked.set(self.asked.get().saturating_add(1));
        self.asked.get() > MOST || self.files().is_empty()
    }

    /// The file that `path` is a misspelling of.
    pub(super) fn file(&self, path: &Utf8Path) -> Option<&'s Utf8Path> {
        if self.tired() {
            return None;
        }
        let names = self.names();
        let name = path.file_name()?.to_lowercase();
        let alike: Vec<&'s Utf8Path> =
            names.by_name.get(&name).into_iter().flatten().map(|at| names.files[*at].as_path()).collect();
        let folded = path.as_str().to_lowercase();
        if let Some(same) = alike.iter().find(|file| file.as_str().to_lowercase() == folded) {
            return Some(same);
        }
        // A neighbour: another extension, or a slip in the name.
        let directory = path.parent().unwrap_or(Utf8Path::new(""));
        let neighbours: Vec<&'s Utf8Path> = below(names.files, directory.as_str())
            .iter()
            .map(Utf8PathBuf::as_path)
            .filter(|file| file.parent() == Some(directory))
            .collect();
        let stem = path.file_stem();
        let mut same_stem = neighbours.iter().filter(|file| file.file_stem() == stem);
        if let (Some(only), None) = (same_stem.next(), same_stem.next()) {
            return Some(only);
        }
        let slip = did_you_mean(path.file_name()?, neighbours.iter().filter_map(|file| file.file_name()));
        if let Some(slip) = slip {
            return neighbours.iter().find(|file| file.file_name() == Some(slip)).copied();
        }
        // The name is right and the directory is not.
        match alike.as_slice() {
            [only] => Some(only),
            several => {
                let near = did_you_mean(path.as_str(), several.iter().map(|file| file.as_str()))?;
                several.iter().find(|file| file.as_str() == near).copied()
            }
        }
    }

    /// The pattern that `pattern`, which matches no file, was probably meant to be: one that matches some.
    pub(super) fn pattern(&self, pattern: &Pattern) -> Option<String> {
        if self.tired() {
            return None;
        }
        let text = pattern.as_str();
        let works = |text: &String| {
            Pattern::parse(text).is_ok_and(|candidate| {
                self.below(prefix(text)).iter().any(|file| candidate.matches(file.as_str()))
            })
        };
        let (directory, last) = text.rsplit_once('/').unwrap_or(("", text));
        let join = |directory: &str, last: &str| match directory {
            "" => last.to_owned(),
            directory => format!("{directory}/{last}"),
        };
        let mut candidates: Vec<String> = Vec::new();
        // A directory that is not there.
        let start = prefix(text);
        if !start.is_empty() && self.below(start).is_empty() {
            let fixed = self.directory(start)?;
            return Some(format!("{fixed}{}", &text[start.len()..])).filter(works);
        }
        if !directory.ends_with("**") && last != "**" {
            candidates.push(join(directory, &format!("**/{last}")));
        }
        if let Some((stem, extension)) = last.rsplit_once('.')
            && !extension.contains(['*', '?', '[', '{'])
        {
            // Extensions of what is there, the most frequent first.
            let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
            for file in self.below(start) {
                *counts.entry(file.extension().unwrap_or("")).or_default() += 1;
            }
            let mut known: Vec<(&str, usize)> =
                counts.into_iter().filter(|(other, _)| !other.is_empty()).collect();
            known.sort_by_key(|(other, count)| (std::cmp::Reverse(*count), *other));
            let kin = |other: &str| akin(extension, other);
            let ordered = known.iter().filter(|(other, _)| kin(other)).map(|(other, _)| *other);
            candidates.extend(ordered.map(|other| join(directory, &format!("{stem}.{other}"))));
        }
        candidates.into_iter().find(works)
    }

    /// The directory that was meant, where each part in turn is looked up among those that are there.
    fn directory(&self, wanted: &str) -> Option<String> {
        let mut found = String::new();
        for part in wanted.split('/') {
            let here = match found.as_str() {
                "" => part.to_owned(),
                above => format!("{above}/{part}"),
            };
            if !self.below(&here).is_empty() {
                found = here;
                continue;
            }
            let skip = if found.is_empty() { 0 } else { found.len() + 1 };
            let mut parts: Vec<&str> = self
                .below(&found)
                .iter()
                .filter_map(|file| Some(file.as_str().get(skip..)?.split_once('/')?.0))
                .collect();
            parts.dedup();
            let near = did_you_mean(part, parts)?;
            found = if found.is_empty() { near.to_owned() } else { format!("{found}/{near}") };
        }
        Some(found)
    }
}

/// The literal directories that a pattern begins with.
pub(super) fn prefix(pattern: &str) -> &str {
    let special = pattern.find(['*', '?', '[', '{', '\\']).unwrap_or(pattern.len());
    match pattern[..special].rfind('/') {
        Some(end) => &pattern[..end],
        None => "",
    }
}

/// Extensions that people take for one another.
fn akin(a: &str, b: &str) -> bool {
    const KIN: &[&[&str]] = &[
        &["md", "markdown", "mdx", "txt", "rst", "adoc"],
        &["yml", "yaml"],
        &["js", "jsx", "ts", "tsx", "mjs", "cjs", "mts", "cts"],
        &["json", "jsonc", "json5"],
        &["htm", "html"],
        &["jpg", "jpeg", "png", "svg", "webp"],
        &["c", "cc", "cpp", "cxx", "h", "hh", "hpp"],
        &["py", "pyi"],
        &["sh", "bash", "zsh"],
        &["kt", "kts", "java"],
    ];
    KIN.iter().any(|kin| kin.contains(&a) && kin.contains(&b)) || did_you_mean(a, [b]).is_some()
}

/// The run of a sorted list that lies at or below a path; all of it for the root.
fn below<'s>(files: &'s [Utf8PathBuf], path: &str) -> &'s [Utf8PathBuf] {
    if path.is_empty() {
        return files;
    }
    // `a/` and what is below `a` lie together: a path that continues with a smaller character (`a-b`) comes before.
    let start = files.partition_point(|file| file.as_str() < path);
    if files.get(start).is_some_and(|file| file.as_str() == path) {
        return &files[start..start + 1];
    }
    let directory = format!("{path}/");
    let start = files.partition_point(|file| file.as_str() < directory.as_str());
    let length = files[start..].partition_point(|file| file.as_str().starts_with(&directory));
    &files[start..start + length]
}
