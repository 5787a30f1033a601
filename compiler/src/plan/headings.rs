//! What is said of a heading that names more than one section.
//!
//! Does not know whether a prompt, a reference or a requirement names it.

use camino::Utf8Path;

use crate::diagnostic::Diagnostic;
use crate::markdown::heading_at;
use crate::source::Span;

/// More headings than these are counted, not listed.
const MOST_PLACES: usize = 4;

/// The finding about a heading that names several sections.
pub(crate) fn ambiguous(
    path: &Utf8Path,
    heading: &str,
    text: &str,
    lines: &[usize],
    span: Span,
) -> Diagnostic {
    let count = lines.len();
    let message = format!("{count} headings of `{path}` are \"{heading}\", or begin with it");
    let texts: Vec<String> = lines.iter().filter_map(|line| heading_at(text, *line)).collect();
    let mut found = Diagnostic::new("ambiguous-heading", span, message).at("which one?");
    for (line, text) in lines.iter().zip(&texts).take(MOST_PLACES) {
        found = found.help(format!("line {line}: \"{text}\""));
    }
    if count > MOST_PLACES {
        found = found.help(format!("and {} more", count - MOST_PLACES));
    }
    if texts.iter().all(|text| text == heading) {
        found.help("they are called alike: rename one, or name the section that holds the one you mean")
    } else {
        found.help("write the whole text of the heading that is meant")
    }
}
