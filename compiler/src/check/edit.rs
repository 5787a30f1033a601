//! Edits that fixes are made of: a line more in a unit, and how a name is written.
//!
//! Does not know which rule wants the edit.

use crate::diagnostic::Edit;
use crate::plan::Unit;
use crate::source::{SourceMap, Span};

/// Adds `line` to the unit's block; `None` if it has no block.
pub(super) fn add_line(unit: &Unit, line: &str, map: &SourceMap) -> Option<Edit> {
    let span = unit.insert_at?;
    let file = map.file(span.file);
    let last = file.line_of(span.start);
    if last == file.line_of(unit.span.start) {
        return Some(Edit { span, text: format!("; {line}") });
    }
    let text = file.line_text(last);
    let indent = &text[..text.len() - text.trim_start().len()];
    Some(Edit { span, text: format!("\n{indent}{line}") })
}

/// An id as it is written in a plan: bare where KDL allows it.
pub(super) fn name(id: &str) -> String {
    let bare = id.starts_with(|c: char| c.is_ascii_alphabetic())
        && id.chars().all(|c| c.is_ascii_alphanumeric() || "._-".contains(c))
        && !["true", "false", "null", "inf", "nan"].contains(&id);
    if bare { id.to_owned() } else { format!("\"{id}\"") }
}

/// Writes `new` for `old` inside a value, where `old` stands there letter for letter, once, and `new` needs no quoting.
pub(super) fn reword(span: Span, old: &str, new: &str, map: &SourceMap) -> Option<Edit> {
    let written = map.file(span.file).text.get(span.start as usize..span.end as usize)?;
    let at = written.find(old).filter(|at| !old.is_empty() && !written[at + old.len()..].contains(old))?;
    let plain = !new.contains(['"', '\\', '\n'])
        && (written.starts_with(['"', '#']) || !new.contains([' ', '*', '{', '/']));
    plain.then(|| {
        let start = span.start as usize + at;
        Edit { span: Span::new(span.file, start, start + old.len()), text: new.to_owned() }
    })
}
