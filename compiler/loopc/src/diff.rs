//! The difference between two texts, line by line, as people and `patch` read it.
//!
//! Does not know what the texts are.

use similar::TextDiff;

/// A unified diff with three lines of context; empty if the texts are equal.
pub fn unified(path: &str, before: &str, after: &str) -> String {
    if before == after {
        return String::new();
    }
    TextDiff::from_lines(before, after)
        .unified_diff()
        .context_radius(3)
        .header(&name("a/", path), &name("b/", path))
        .to_string()
}

/// A path in a patch as git writes it: quoted if it has control characters, quotes or backslashes, and closed by a tab
/// if it has a space.
fn name(side: &str, path: &str) -> String {
    let odd = |c: char| c.is_control() || c == '"' || c == '\\';
    if !path.contains(odd) {
        let tab = if path.contains(' ') { "\t" } else { "" };
        return format!("{side}{path}{tab}");
    }
    let mut out = format!("\"{side}");
    for c in path.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            c if c.is_control() => {
                c.encode_utf8(&mut [0; 4]).bytes().for_each(|byte| out.push_str(&format!("\\{byte:03o}")))
            }
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

/// A unified diff for a terminal: what goes in red, what comes in green.
pub fn colored(diff: &str) -> String {
    let mut colored = String::with_capacity(diff.len() + diff.len() / 4);
    for line in diff.split_inclusive('\n') {
        let (text, end) = line.strip_suffix('\n').map_or((line, ""), |text| (text, "\n"));
        let color = match text.as_bytes().first() {
            _ if text.starts_with("--- ") || text.starts_with("+++ ") => "1",
            Some(b'-') => "31",
            Some(b'+') => "32",
            Some(b'@') => "36",
            _ => {
                colored.push_str(line);
                continue;
            }
        };
        colored.push_str(&format!("\u{1b}[{color}m{text}\u{1b}[0m{end}"));
    }
    colored
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_difference_names_the_file_and_shows_three_lines_around() {
        let before = "1\n2\n3\n4\n5\n6\n7\n8\n9\n";
        let after = before.replace('6', "six");
        let diff = unified("p.kdl", before, &after);
        assert_eq!(diff, "--- a/p.kdl\n+++ b/p.kdl\n@@ -3,7 +3,7 @@\n 3\n 4\n 5\n-6\n+six\n 7\n 8\n 9\n");
        assert_eq!(unified("p", before, before), "");
        assert!(unified("p", "a", "a\n").contains("No newline at end of file"));
    }

    #[test]
    fn odd_names_are_written_as_git_reads_them() {
        assert_eq!(name("a/", "x.kdl"), "a/x.kdl");
        assert_eq!(name("a/", "x y.kdl"), "a/x y.kdl\t");
        assert_eq!(name("b/", "x\ny\"\\\u{1}.kdl"), "\"b/x\\ny\\\"\\\\\\001.kdl\"");
    }

    #[test]
    fn colours_change_no_text() {
        let diff = unified("p", "a\nb\n", "a\nc\n");
        let shown = colored(&diff);
        assert!(
            shown.contains("\u{1b}[31m-b\u{1b}[0m\n") && shown.contains("\u{1b}[32m+c\u{1b}[0m\n"),
            "{shown}"
        );
        let plain = ["1", "31", "32", "36", "0"]
            .iter()
            .fold(shown, |text, code| text.replace(&format!("\u{1b}[{code}m"), ""));
        assert_eq!(plain, diff);
    }
}
