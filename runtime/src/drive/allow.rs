//! The `writes` line that would allow paths which a unit may not change.
//!
//! Does not know the unit: whether to add the line is for its author.

/// The line that would allow these paths and nothing else: characters that mean something in a pattern are escaped
/// for the pattern, and then the pattern is escaped for a KDL string.
pub(super) fn writes_line(paths: &[String]) -> String {
    let quoted: Vec<String> = paths.iter().map(|path| quoted(&pattern_of(path))).collect();
    format!("writes {}", quoted.join(" "))
}

/// The pattern that matches this path alone.
fn pattern_of(path: &str) -> String {
    let mut pattern = String::with_capacity(path.len());
    for (at, c) in path.char_indices() {
        // `!` excludes only at the beginning.
        if "*?[]{}\\".contains(c) || (at == 0 && c == '!') {
            pattern.push('\\');
        }
        pattern.push(c);
    }
    pattern
}

/// A quoted KDL string. Characters that a plan may not hold, or that nobody would see in it, are written by number.
fn quoted(text: &str) -> String {
    let mut string = String::from("\"");
    for c in text.chars() {
        match c {
            '\\' | '"' => string.extend(['\\', c]),
            '\n' => string.push_str("\\n"),
            '\t' => string.push_str("\\t"),
            '\r' => string.push_str("\\r"),
            '\u{85}'
            | '\u{200e}'
            | '\u{200f}'
            | '\u{2028}'..='\u{202e}'
            | '\u{2066}'..='\u{2069}'
            | '\u{feff}' => {
                string.push_str(&format!("\\u{{{:x}}}", u32::from(c)));
            }
            c if c.is_control() => string.push_str(&format!("\\u{{{:x}}}", u32::from(c))),
            c => string.push(c),
        }
    }
    string.push('"');
    string
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_to_add_matches_its_paths_alone() {
        for path in
            ["a[b].txt", "*", "what?", "{a,b}", "!no", "a!b", "back\\slash", "it's \"so\"", "ü\t\n\u{202e}x"]
        {
            let pattern = pattern_of(path);
            let pattern =
                loop_compiler::glob::Pattern::parse(&pattern).unwrap_or_else(|_| panic!("{pattern}"));
            assert!(pattern.matches(path), "{path}");
            assert_eq!(pattern.literal(), Some(path), "{path} alone");
        }
        let line = writes_line(&["a\"b\\c\u{7}".to_owned(), "x [y]".to_owned()]);
        assert_eq!(line, r#"writes "a\"b\\\\c\u{7}" "x \\[y\\]""#);
    }
}
