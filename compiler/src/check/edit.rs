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
    // Between quotes most texts may stand; a bare word may not have all characters.
    let quoted = written[..at].matches('"').count() % 2 == 1;
    let plain = !new.contains(['"', '\\', '\n'])
        && (quoted || !new.contains(['/', '(', ')', '{', '}', '[', ']', '#', ';', '=']));
    plain.then(|| {
        let start = span.start as usize + at;
        Edit { span: Span::new(span.file, start, start + old.len()), text: new.to_owned() }
    })
}

/// Takes a node out: with its line if it stands there alone, else with the `;` behind it.
pub(super) fn remove_node(node: Span, map: &SourceMap) -> Edit {
    let text = &map.file(node.file).text;
    let line_start = text[..node.start as usize].rfind(['\n', '\r']).map_or(0, |at| at + 1);
    let before = &text[line_start..node.start as usize];
    let behind = &text[node.end as usize..];
    let semicolon = behind.len() - behind.trim_start_matches([' ', '\t']).len();
    let closed = if behind[semicolon..].starts_with(';') { semicolon + 1 } else { 0 };
    let line_end = behind.find(['\n', '\r']).unwrap_or(behind.len());
    let rest = behind.get(closed..line_end).unwrap_or("");
    let alone = before.trim().is_empty() && rest.trim().is_empty();
    let (start, end) = if alone {
        let break_length = if behind[line_end..].starts_with("\r\n") { 2 } else { 1 };
        (line_start, node.end as usize + (line_end + break_length).min(behind.len()))
    } else if closed > 0 {
        let space = usize::from(behind[closed..].starts_with(' '));
        (node.start as usize, node.end as usize + closed + space)
    } else {
        let space = before.len() - before.trim_end().len();
        (node.start as usize - space, node.end as usize)
    };
    Edit { span: Span::new(node.file, start, end), text: String::new() }
}

/// Takes an argument or property out, with the space in front of it.
pub(super) fn remove_entry(entry: Span, map: &SourceMap) -> Edit {
    let before = &map.file(entry.file).text[..entry.start as usize];
    let start = before.trim_end_matches([' ', '\t']).len();
    Edit { span: Span::new(entry.file, start, entry.end as usize), text: String::new() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::{FileId, SourceFile};

    #[test]
    fn a_node_goes_with_its_line_or_its_semicolon() {
        for (text, expected) in [
            ("a\n    X\nb\n", "a\nb\n"),
            ("a\n    X;\nb\n", "a\nb\n"),
            ("a\r\n\tX\r\nb", "a\r\nb"),
            ("a\nX", "a\n"),
            ("{ a; X; b; }", "{ a; b; }"),
            ("{ a; X ; b; }", "{ a; b; }"),
            ("{ a; X }", "{ a; }"),
            ("{ X; }", "{ }"),
            ("{ X }", "{ }"),
            ("X // why", " // why"),
        ] {
            let mut map = SourceMap::default();
            let file = map.add(SourceFile::new("p".into(), text.to_owned()));
            assert_eq!(file, FileId(0));
            let at = text.find('X').expect("it is there");
            let edit = remove_node(Span::new(file, at, at + 1), &map);
            let mut edited = text.to_owned();
            edited.replace_range(edit.span.start as usize..edit.span.end as usize, "");
            assert_eq!(edited, expected, "{text:?}");
        }
    }
}
