//! What a report is made of: findings, the texts they point into, and how much was looked at. Secrets are taken out
//! here, before any format sees them.
//!
//! Does not know any format.

use std::borrow::Cow;

use camino::{Utf8Component, Utf8Path, Utf8PathBuf};

use super::{Summary, one_line, plural};
use crate::diagnostic::{Diagnostic, Severity};
use crate::source::{FileId, SourceMap, Span};

/// Stands for a secret in messages.
const MASK: &str = "***";

/// Shorter secrets would be found in half of all words; they are masked in their own place alone.
const LEAST_SECRET: usize = 4;

/// How much was looked at.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Scope {
    /// From the repository's root; `None` where nobody counts.
    pub plans: Option<Vec<Utf8PathBuf>>,
    /// Where the person stands, from the repository's root. Paths for people count from here.
    pub base: Utf8PathBuf,
}

/// Findings, ready to be written.
#[derive(Debug)]
pub struct Report<'r> {
    diagnostics: Cow<'r, [Diagnostic]>,
    masked: Option<SourceMap>,
    map: &'r SourceMap,
    scope: Scope,
}

impl<'r> Report<'r> {
    /// A report of findings in the order in which they are given.
    pub fn new(diagnostics: &'r [Diagnostic], map: &'r SourceMap) -> Report<'r> {
        let secrets: Vec<Span> = diagnostics.iter().flat_map(|found| found.secrets.iter().copied()).collect();
        let mut report =
            Report { diagnostics: Cow::Borrowed(diagnostics), masked: None, map, scope: Scope::default() };
        if !secrets.is_empty() {
            let mask = Mask::new(&secrets, map);
            report.diagnostics = Cow::Owned(diagnostics.iter().map(|found| mask.diagnostic(found)).collect());
            report.masked = Some(mask.map(&secrets, map));
        }
        report
    }

    pub fn with_scope(mut self, scope: Scope) -> Report<'r> {
        self.scope = scope;
        self
    }

    pub fn diagnostics(&self) -> &[Diagnostic] {
        &self.diagnostics
    }

    /// The texts, secrets masked. Offsets are those of the files.
    pub fn map(&self) -> &SourceMap {
        self.masked.as_ref().unwrap_or(self.map)
    }

    pub fn scope(&self) -> &Scope {
        &self.scope
    }

    pub fn summary(&self) -> Summary {
        Summary::of(&self.diagnostics, self.map())
    }

    /// Takes secrets out of a text that was made from the same files: a diff, for example.
    pub fn mask_text(diagnostics: &[Diagnostic], map: &SourceMap, text: String) -> String {
        let secrets: Vec<Span> = diagnostics.iter().flat_map(|found| found.secrets.iter().copied()).collect();
        if secrets.is_empty() { text } else { Mask::new(&secrets, map).text(&text).into_owned() }
    }

    /// How many there are, and of how much that was looked at.
    pub(super) fn sentence(&self) -> String {
        let counted = self.summary().sentence();
        match &self.scope.plans {
            Some(plans) => format!("{counted} ({} checked)", plural(plans.len(), "plan")),
            None => counted,
        }
    }

    /// The findings to show: with a limit the heaviest, in their old order.
    pub(super) fn shown(&self, limit: Option<usize>) -> Vec<&Diagnostic> {
        let Some(limit) = limit.filter(|limit| *limit < self.diagnostics.len()) else {
            return self.diagnostics.iter().collect();
        };
        let mut order: Vec<usize> = (0..self.diagnostics.len()).collect();
        order.sort_by_key(|at| self.diagnostics[*at].severity);
        order.truncate(limit);
        order.sort_unstable();
        order.into_iter().map(|at| &self.diagnostics[at]).collect()
    }

    /// What a limit hides: `900 errors, 3 notes`.
    pub(super) fn hidden(&self, shown: &[&Diagnostic]) -> Option<String> {
        let count = |severity| {
            let all = self.diagnostics.iter().filter(|found| found.severity == severity).count();
            all - shown.iter().filter(|found| found.severity == severity).count()
        };
        let parts: Vec<String> = [Severity::Error, Severity::Warning, Severity::Note]
            .into_iter()
            .map(|severity| (count(severity), severity.as_str()))
            .filter(|(count, _)| *count > 0)
            .map(|(count, word)| plural(count, word))
            .collect();
        if parts.is_empty() { None } else { Some(parts.join(", ")) }
    }

    /// A file's path as a person would type it from where they stand.
    pub(super) fn path_for_people(&self, file: FileId) -> Cow<'_, str> {
        let path = relative(&self.scope.base, &self.map().file(file).path);
        match path {
            Cow::Borrowed(path) => one_line(path),
            Cow::Owned(path) => Cow::Owned(one_line(&path).into_owned()),
        }
    }

    /// A file's path from the repository's root.
    pub(super) fn path(&self, file: FileId) -> &str {
        self.map().file(file).path.as_str()
    }

    /// `path:line:col` of a place, for people.
    pub(super) fn place(&self, span: Span) -> String {
        let position = self.map().file(span.file).position(span.start);
        format!("{}:{}:{}", self.path_for_people(span.file), position.line, position.column)
    }
}

/// `path` as seen from the directory `base`, both from the root. `<stdin>` is no path.
pub(super) fn relative<'p>(base: &Utf8Path, path: &'p Utf8Path) -> Cow<'p, str> {
    if base.as_str().is_empty() || path.as_str().starts_with('<') {
        return Cow::Borrowed(path.as_str());
    }
    if let Ok(inside) = path.strip_prefix(base) {
        return Cow::Borrowed(inside.as_str());
    }
    let parts = |path: &Utf8Path| path.components().map(|part| part.as_str().to_owned()).collect::<Vec<_>>();
    if path.components().any(|part| !matches!(part, Utf8Component::Normal(_))) {
        return Cow::Owned(path.as_str().to_owned());
    }
    let (from, to) = (parts(base), parts(path));
    let common = from.iter().zip(&to).take_while(|(a, b)| a == b).count();
    let up = std::iter::repeat_n("..", from.len() - common);
    Cow::Owned(up.chain(to[common..].iter().map(String::as_str)).collect::<Vec<_>>().join("/"))
}

/// The texts that must not be seen.
struct Mask {
    /// Longest first, so that a secret within another leaves nothing of it.
    texts: Vec<String>,
}

impl Mask {
    fn new(secrets: &[Span], map: &SourceMap) -> Mask {
        let mut texts: Vec<String> = secrets
            .iter()
            .map(|span| map.text(*span).trim_matches(['"', '#']).to_owned())
            .filter(|text| text.len() >= LEAST_SECRET)
            .collect();
        texts.sort_by(|a, b| b.len().cmp(&a.len()).then_with(|| a.cmp(b)));
        texts.dedup();
        Mask { texts }
    }

    fn text<'t>(&self, text: &'t str) -> Cow<'t, str> {
        let mut text = Cow::Borrowed(text);
        for secret in self.texts.iter().filter(|secret| !secret.is_empty()) {
            if text.contains(secret.as_str()) {
                text = Cow::Owned(text.replace(secret.as_str(), MASK));
            }
        }
        text
    }

    fn diagnostic(&self, found: &Diagnostic) -> Diagnostic {
        let mut found = found.clone();
        let clean = |text: &mut String| {
            if let Cow::Owned(masked) = self.text(text) {
                *text = masked;
            }
        };
        clean(&mut found.message);
        clean(&mut found.primary.message);
        found.labels.iter_mut().for_each(|label| clean(&mut label.message));
        found.help.iter_mut().for_each(&clean);
        // An edit that writes the secret again cannot be shown, and masked it would destroy the text.
        found
            .fixes
            .retain(|fix| fix.edits.iter().all(|edit| matches!(self.text(&edit.text), Cow::Borrowed(_))));
        found.fixes.iter_mut().for_each(|fix| clean(&mut fix.title));
        found
    }

    /// The same files; each secret is replaced by as many bytes, so that every offset stays.
    fn map(&self, secrets: &[Span], map: &SourceMap) -> SourceMap {
        map.with_texts(|id, file| {
            let mut places: Vec<(usize, usize)> = secrets
                .iter()
                .filter(|span| map.written(span.file) == id)
                .map(|span| (span.start as usize, span.end as usize))
                .collect();
            for secret in &self.texts {
                let found = file.text.match_indices(secret.as_str());
                places.extend(found.map(|(start, text)| (start, start + text.len())));
            }
            if places.is_empty() { file.text.clone() } else { blacked_out(&file.text, places) }
        })
    }
}

fn blacked_out(text: &str, mut places: Vec<(usize, usize)>) -> String {
    places.sort_unstable();
    let mut places = places.into_iter().peekable();
    let mut out = String::with_capacity(text.len());
    let mut until = 0;
    for (at, c) in text.char_indices() {
        while let Some((_, end)) = places.next_if(|(start, _)| *start <= at) {
            until = until.max(end);
        }
        // Of each length in UTF-8 one character that says nothing.
        out.push(match c.len_utf8() {
            _ if at >= until || c == '\n' || c == '\r' => c,
            1 => '*',
            2 => '·',
            3 => '•',
            _ => '\u{10101}',
        });
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diagnostic::render::{Format, Look, Style, render};
    use crate::diagnostic::{Applicability, Edit};
    use crate::source::{Expansion, SourceFile};

    #[test]
    fn paths_are_seen_from_where_one_stands() {
        for (base, path, wanted) in [
            ("", "a/b", "a/b"),
            ("a", "a/b", "b"),
            ("a", "b/c", "../b/c"),
            ("a/b", "a/c", "../c"),
            ("a/b", "ab", "../../ab"),
            ("a", "<stdin>", "<stdin>"),
        ] {
            assert_eq!(relative(Utf8Path::new(base), Utf8Path::new(path)), wanted, "{base} {path}");
        }
    }

    /// A secret is in none of the formats, wherever it stands: in its place, in another finding's line, in a
    /// message, in a fix, in another file.
    #[test]
    fn no_format_shows_a_secret() {
        let secret = "tök_1234secret";
        let text = format!("run curl {secret} x\nrun {secret} y\n");
        let mut map = SourceMap::default();
        let one = map.add(SourceFile::new("a".into(), text.clone()));
        let two = map.add(SourceFile::new("b".into(), format!("z {secret}\n")));
        let at = text.find(secret).expect("it is there");
        let span = Span::new(one, at, at + secret.len());
        let x = Span::new(one, at + secret.len() + 1, at + secret.len() + 2);
        let found = [
            Diagnostic::new("unknown-node", span, format!("{secret} is a secret")).secret(span).at(secret),
            Diagnostic::new("unknown-node", x, format!("no {secret}"))
                .label(Span::new(two, 0, 1), secret)
                .help(format!("not {secret}"))
                .fix(
                    format!("write {secret}"),
                    Applicability::Safe,
                    vec![Edit { span: x, text: format!("\"{secret}\"") }],
                )
                .replace(x, "y", format!("not {secret}"), Applicability::Safe),
        ];
        for (format, word, _) in Format::ALL {
            let report = Report::new(&found, &map);
            let out = render(&report, &Look { format: *format, style: Style::PLAIN, limit: None });
            assert!(!out.contains("1234secret") && !out.contains("tök_"), "{word}:\n{out}");
            assert!(out.contains("unknown-node") || out.contains("L0101"), "{word}:\n{out}");
        }
        // A place in an expansion of a template is one in the template's file, masked or not.
        let expansion = Expansion { file: one, at: x, id: "csv".to_owned(), template: "t".to_owned() };
        let inside = Span { file: map.expand(expansion), ..span };
        let in_template = [
            Diagnostic::new("unknown-node", inside, "m").secret(inside),
            Diagnostic::new("unknown-node", x, "m"),
        ];
        let report = Report::new(&in_template, &map);
        let out = render(&report, &Look { format: Format::Human, style: Style::PLAIN, limit: None });
        assert!(!out.contains("1234secret") && out.contains("2 errors in 1 file"), "{out}");
        let report = Report::new(&found, &map);
        assert_eq!(report.map().file(one).text.len(), text.len());
        assert_eq!(report.diagnostics()[1].fixes.len(), 1, "a fix that would write the secret is left out");
    }

    #[test]
    fn a_limit_keeps_the_heaviest_in_their_order() {
        let mut map = SourceMap::default();
        let file = map.add(SourceFile::new("a".into(), "abcdef".to_owned()));
        let note = |at| Diagnostic::new("whole-tree-key", Span::new(file, at, at + 1), "n");
        let error = |at| Diagnostic::new("unknown-node", Span::new(file, at, at + 1), "e");
        let found = [note(0), error(1), note(2), error(3)];
        let report = Report::new(&found, &map);
        let shown = report.shown(Some(3));
        let places: Vec<u32> = shown.iter().map(|found| found.primary.span.start).collect();
        assert_eq!(places, [0, 1, 3]);
        assert_eq!(report.hidden(&shown).as_deref(), Some("1 note"));
        assert_eq!(report.hidden(&report.shown(None)), None);
    }
}
