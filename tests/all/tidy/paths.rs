//! Reads the paths that a Rust file names: `use` trees written out, and paths inside expressions and types.
//!
//! Does not know what a path means, nor macros: what stands in a macro call is read as if it were code.

use std::collections::BTreeSet;

#[derive(Clone, Debug, PartialEq)]
enum Token {
    Name(String),
    /// `::`
    Separator,
    Other(char),
}

/// The paths of the code of `source` with at least two segments, a `*` as last segment for a glob. Code below the first
/// `#[cfg(test)]` is left out: tests may use what they like, and stand at the end of a file.
pub(super) fn paths(source: &str) -> BTreeSet<Vec<String>> {
    let code = source.find("#[cfg(test)]\nmod ").map_or(source, |end| &source[..end]);
    let tokens = tokens(code);
    let mut found = BTreeSet::new();
    let mut at = 0;
    while at < tokens.len() {
        match &tokens[at] {
            Token::Name(_) => at = tree(&tokens, at, &[], &mut found),
            _ => at += 1,
        }
    }
    found.retain(|path| path.len() > 1);
    found
}

/// Reads one path, with its groups, that begins at `at`; returns the place after it.
fn tree(tokens: &[Token], mut at: usize, prefix: &[String], found: &mut BTreeSet<Vec<String>>) -> usize {
    let mut path = prefix.to_vec();
    loop {
        match tokens.get(at) {
            Some(Token::Name(name)) => path.push(name.clone()),
            Some(Token::Other('*')) if !path.is_empty() => path.push("*".into()),
            Some(Token::Other('{')) => {
                at += 1;
                while let Some(token) = tokens.get(at) {
                    match token {
                        Token::Other('}') => return at + 1,
                        // `Read as _`: the new name is no path.
                        Token::Name(name) if name == "as" => at += 2,
                        Token::Name(_) | Token::Other('{' | '*') => at = tree(tokens, at, &path, found),
                        _ => at += 1,
                    }
                }
                return at;
            }
            _ => {
                // `Vec::<u8>`, or the end of the file.
                found.insert(path);
                return at;
            }
        }
        at += 1;
        if tokens.get(at) != Some(&Token::Separator) {
            found.insert(path);
            return at;
        }
        at += 1;
    }
}

fn tokens(source: &str) -> Vec<Token> {
    let mut tokens = Vec::new();
    let mut rest = source;
    while let Some(first) = rest.chars().next() {
        let length = if let Some(end) = skipped(rest) {
            end
        } else if is_name(first) {
            let end = rest.find(|other| !is_name(other)).unwrap_or(rest.len());
            tokens.push(Token::Name(rest[..end].to_owned()));
            end
        } else if rest.starts_with("::") {
            tokens.push(Token::Separator);
            2
        } else {
            if !first.is_whitespace() {
                tokens.push(Token::Other(first));
            }
            first.len_utf8()
        };
        rest = &rest[length..];
    }
    tokens
}

fn is_name(character: char) -> bool {
    character.is_alphanumeric() || character == '_'
}

/// The length of the comment, string, character or lifetime that `rest` begins with.
fn skipped(rest: &str) -> Option<usize> {
    if rest.starts_with("//") {
        return Some(rest.find('\n').unwrap_or(rest.len()));
    }
    if rest.starts_with("/*") {
        return Some(block_comment(rest));
    }
    for prefix in ["br", "cr", "r"] {
        let Some(after) = rest.strip_prefix(prefix) else { continue };
        let hashes = after.len() - after.trim_start_matches('#').len();
        if after[hashes..].starts_with('"') {
            let end = format!("\"{}", "#".repeat(hashes));
            let body = prefix.len() + hashes + 1;
            return Some(rest[body..].find(&end).map_or(rest.len(), |found| body + found + end.len()));
        }
        if hashes == 1 && prefix == "r" {
            // `r#type`: only the marker is left out.
            return Some(2);
        }
    }
    if rest.starts_with('"') {
        return Some(quoted(rest, '"'));
    }
    let after = rest.strip_prefix('\'')?;
    let mut characters = after.chars();
    let first = characters.next()?;
    if first == '\\' || characters.next() == Some('\'') {
        return Some(quoted(rest, '\''));
    }
    // A lifetime.
    Some(1 + after.find(|other| !is_name(other)).unwrap_or(after.len()))
}

fn block_comment(rest: &str) -> usize {
    let (mut depth, mut at) = (0, 0);
    while at < rest.len() {
        if rest[at..].starts_with("/*") {
            (depth, at) = (depth + 1, at + 2);
        } else if rest[at..].starts_with("*/") {
            (depth, at) = (depth - 1, at + 2);
            if depth == 0 {
                break;
            }
        } else {
            at += rest[at..].chars().next().map_or(1, char::len_utf8);
        }
    }
    at
}

fn quoted(rest: &str, mark: char) -> usize {
    let mut escaped = false;
    for (at, character) in rest.char_indices().skip(1) {
        match character {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            _ if character == mark => return at + 1,
            _ => {}
        }
    }
    rest.len()
}

#[test]
fn use_trees_are_written_out() {
    let source = "use std::{fs, io::{self, Read as _}, env::*};\nuse crate::a::B;\nfn f(x: &'a str) -> git2::Oid { r#type::x() }";
    let found: Vec<String> = paths(source).iter().map(|path| path.join("::")).collect();
    let expected =
        ["crate::a::B", "git2::Oid", "std::env::*", "std::fs", "std::io::Read", "std::io::self", "type::x"];
    assert_eq!(found, expected);
}

#[test]
fn comments_texts_and_tests_do_not_count() {
    let source = concat!(
        "// std::fs\n/* std::fs /* a::b */ std::fs */ /// c::d\nconst A: &str = \"std::fs \\\" e::f\"; const B: char = '\"';",
        "const C: &str = r#\"g::h \" i::j\"#; fn f<'a>() { k::l::<u8>() }\n#[cfg(test)]\nmod tests { use std::fs; }",
    );
    let found: Vec<String> = paths(source).iter().map(|path| path.join("::")).collect();
    assert_eq!(found, ["k::l"]);
}
