//! Findings about expansions become findings about texts: the place in the template, and the `use` beside it; what is
//! the same in every expansion is told once.
//!
//! Does not know what was found.

use std::collections::BTreeMap;

use crate::diagnostic::{Applicability, Diagnostic, Fix, Label};
use crate::source::{Expansion, FileId, SourceMap, Span};

/// How many uses within uses are shown; the outermost one always is.
const SHOWN: usize = 3;

/// Moves every place to the file that holds its text.
pub(crate) fn settle(diagnostics: Vec<Diagnostic>, map: &SourceMap) -> Vec<Diagnostic> {
    let mut settled: Vec<Diagnostic> = Vec::with_capacity(diagnostics.len());
    // What is alike in several expansions: the first finding, and how many there are.
    let mut alike: BTreeMap<(&'static str, Span, String), (usize, usize)> = BTreeMap::new();
    for found in diagnostics {
        if spans(&found).all(|span| map.expansion(span.file).is_none()) {
            settled.push(found);
            continue;
        }
        if let Some(expansion) = map.expansion(found.primary.span.file) {
            let key = (
                found.rule.code,
                written(found.primary.span, map),
                without_ids(&found, map, &expansion.template),
            );
            if let Some((_, count)) = alike.get_mut(&key) {
                *count += 1;
                continue;
            }
            alike.insert(key, (settled.len(), 1));
        }
        settled.push(moved(found, map));
    }
    for (at, count) in alike.into_values() {
        if count > 1 {
            let more = count - 1;
            let times = if more == 1 { "once more".to_owned() } else { format!("{more} times more") };
            settled[at].help.push(format!("the same is found {times}, where the template is used again"));
        }
    }
    settled
}

fn spans(found: &Diagnostic) -> impl Iterator<Item = Span> {
    let edits = found.fixes.iter().flat_map(|fix| fix.edits.iter().map(|edit| edit.span));
    found.labels.iter().map(|label| label.span).chain([found.primary.span]).chain(edits)
}

fn written(span: Span, map: &SourceMap) -> Span {
    Span { file: map.written(span.file), ..span }
}

/// The uses that led to a place, the innermost first.
fn chain(file: FileId, map: &SourceMap) -> Vec<&Expansion> {
    let mut chain = Vec::new();
    let mut next = file;
    while let Some(expansion) = map.expansion(next) {
        chain.push(expansion);
        next = expansion.at.file;
    }
    chain
}

/// The message as it would be without the ids of the expansions that it is about.
fn without_ids(found: &Diagnostic, map: &SourceMap, template: &str) -> String {
    let mut ids: Vec<&str> = spans(found)
        .filter_map(|span| map.expansion(span.file))
        .map(|expansion| expansion.id.as_str())
        .collect();
    ids.sort_by_key(|id| std::cmp::Reverse((id.len(), *id)));
    ids.dedup();
    let mut message = found.message.clone();
    for id in ids {
        message = message.replace(&format!("`{id}/"), "`/").replace(&format!("`{id}`"), "``");
    }
    format!("{template}: {message}")
}

fn moved(found: Diagnostic, map: &SourceMap) -> Diagnostic {
    let mut labels: Vec<Label> = Vec::new();
    let mut shown: Vec<Span> = Vec::new();
    let primary = found.primary.span.file;
    let mut uses: Vec<Label> = Vec::new();
    let files = std::iter::once(primary).chain(found.labels.iter().map(|label| label.span.file));
    for file in files {
        let chain = chain(file, map);
        let last = chain.len().saturating_sub(1);
        for (at, expansion) in chain.iter().enumerate() {
            let span = written(expansion.at, map);
            if (at >= SHOWN && at != last) || shown.contains(&expansion.at) {
                continue;
            }
            shown.push(expansion.at);
            let id = &expansion.id;
            let message = match at == last {
                true => format!("expanded here, as `{id}`"),
                false => "expanded here".to_owned(),
            };
            uses.push(Label { span, message });
        }
    }
    labels.extend(
        found
            .labels
            .into_iter()
            .map(|label| Label { span: written(label.span, map), message: label.message }),
    );
    labels.extend(uses);
    let fixes = found.fixes.into_iter().filter_map(|fix| fix_in_template(fix, map)).collect();
    let primary = Label { span: written(found.primary.span, map), message: found.primary.message };
    Diagnostic { primary, labels, fixes, ..found }
}

/// An edit of a template is an edit of every expansion. What replaces a word that stands there letter for letter may
/// be meant for all of them; a further line is shown and never applied, and what names units of one expansion would be
/// wrong in the others.
fn fix_in_template(mut fix: Fix, map: &SourceMap) -> Option<Fix> {
    for edit in &mut fix.edits {
        if map.expansion(edit.span.file).is_none() {
            continue;
        }
        let old = map.text(edit.span);
        let id = map.expansion(edit.span.file).map(|expansion| format!("{}/", expansion.id));
        let of_one =
            id.is_some_and(|id| edit.text.contains(&id)) || (old.is_empty() && edit.text.contains('/'));
        if of_one || old.contains("${") {
            return None;
        }
        if edit.span.is_empty() {
            fix.applicability = Applicability::Display;
        }
        edit.span = written(edit.span, map);
    }
    Some(fix)
}
