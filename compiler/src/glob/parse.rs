//! The text of a pattern becomes tokens.
//!
//! Does not know what a pattern is compared with.

use std::borrow::Cow;

use super::automaton::{Set, Token};

/// More alternatives than this are refused: `{a,b}` beside `{a,b}` multiplies.
const MOST_ALTERNATIVES: usize = 256;
/// Braces within braces.
const DEEPEST: usize = 8;

/// Does the text spell a path, in normal form, of ASCII characters that mean nothing else?
pub(super) fn is_plain(text: &str) -> bool {
    let ordinary =
        |byte: u8| byte.is_ascii() && !matches!(byte, b'*' | b'?' | b'[' | b']' | b'{' | b'}' | b'\\' | 0);
    text.bytes().all(ordinary) && is_normal(text) && !text.split('/').any(|part| part == "..")
}

/// Nothing is to be dropped, and the path is not absolute.
fn is_normal(text: &str) -> bool {
    text.split('/').all(|part| !part.is_empty() && part != ".")
}

/// Drops what does not change the meaning: `.` parts, doubled and trailing `/`.
pub(super) fn normal_form(text: &str) -> Cow<'_, str> {
    if is_normal(text) {
        return Cow::Borrowed(text);
    }
    let absolute = text.starts_with('/');
    let parts: Vec<&str> = text.split('/').filter(|part| !part.is_empty() && *part != ".").collect();
    let rest = parts.join("/");
    Cow::Owned(if absolute { format!("/{rest}") } else { rest })
}

/// The pattern without braces: one token list an alternative.
pub(super) fn alternatives(text: &str) -> Result<Vec<Vec<Token>>, String> {
    if !text.contains(['{', '}']) {
        return Ok(vec![tokens(text)?]);
    }
    let mut alternatives: Vec<Vec<Token>> =
        expand(text, 0)?.iter().map(|text| tokens(text)).collect::<Result<_, _>>()?;
    alternatives.sort();
    alternatives.dedup();
    Ok(alternatives)
}

/// Expands braces; escapes and sets stay as they stand.
fn expand(text: &str, depth: usize) -> Result<Vec<String>, String> {
    if depth > DEEPEST {
        return Err(format!("braces stand more than {DEEPEST} deep in each other"));
    }
    let mut done = vec![String::new()];
    let mut rest = text;
    loop {
        let plain = plain_length(rest)?;
        done.iter_mut().for_each(|text| append(text, &rest[..plain]));
        rest = &rest[plain..];
        if rest.is_empty() {
            return Ok(done);
        }
        let (choices, length) = choices(rest)?;
        let mut expanded = Vec::new();
        for choice in choices {
            expanded.extend(expand(choice, depth + 1)?);
        }
        if done.len() * expanded.len() > MOST_ALTERNATIVES {
            return Err(format!("the braces make more than {MOST_ALTERNATIVES} alternatives"));
        }
        done = done
            .iter()
            .flat_map(|before| {
                expanded.iter().map(move |choice| {
                    let mut text = before.clone();
                    append(&mut text, choice);
                    text
                })
            })
            .collect();
        rest = &rest[length..];
    }
}

/// Joins without making a `**` out of two `*` that were written apart.
fn append(text: &mut String, more: &str) {
    let star = text.ends_with('*') && !text.ends_with("\\*");
    text.push_str(if star { more.strip_prefix('*').unwrap_or(more) } else { more });
}

/// Bytes up to the first brace that opens.
fn plain_length(text: &str) -> Result<usize, String> {
    let mut at = 0;
    while let Some(c) = text[at..].chars().next() {
        match c {
            '{' => return Ok(at),
            '}' => return Err("`}` closes nothing (write `\\}` for the character)".to_owned()),
            _ => at += unit_length(&text[at..])?,
        }
    }
    Ok(at)
}

/// Bytes of one character, escape or set at the beginning of `text`, which is not empty.
fn unit_length(text: &str) -> Result<usize, String> {
    let mut chars = text.char_indices();
    match chars.next().map(|(_, c)| c) {
        Some('\\') => match chars.next() {
            Some((at, c)) if "*?[]{}!,-^\\".contains(c) => Ok(at + c.len_utf8()),
            Some((_, c)) => Err(format!(
                "`\\{c}`: a backslash stands only before one of *?[]{{}}!,-^\\; parts are separated by `/`"
            )),
            None => Err("nothing follows the last `\\`".to_owned()),
        },
        Some('[') => {
            let mut at = 1;
            loop {
                match text[at..].chars().next() {
                    None => return Err("`[` is never closed (write `\\[` for the character)".to_owned()),
                    Some(']') => return Ok(at + 1),
                    Some('\\') => at += unit_length(&text[at..])?,
                    Some(c) => at += c.len_utf8(),
                }
            }
        }
        Some(c) => Ok(c.len_utf8()),
        None => Ok(0),
    }
}

/// The choices of the braces at the beginning of `text`, and how many bytes the braces take.
fn choices(text: &str) -> Result<(Vec<&str>, usize), String> {
    let (mut depth, mut from, mut at) = (0, 1, 0);
    let mut choices = Vec::new();
    while let Some(c) = text[at..].chars().next() {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 1 => {
                choices.push(&text[from..at]);
                from = at + 1;
            }
            _ => {}
        }
        if depth == 0 {
            choices.push(&text[from..at]);
            return Ok((choices, at + 1));
        }
        at += unit_length(&text[at..])?;
    }
    Err("`{` is never closed (write `\\{` for the character)".to_owned())
}

fn tokens(text: &str) -> Result<Vec<Token>, String> {
    if text.starts_with('/') {
        return Err("the path is absolute; paths begin at the repository's root, without `/`".to_owned());
    }
    let mut parts = text.split('/').filter(|part| !part.is_empty() && *part != ".").peekable();
    if parts.peek().is_none() {
        return Err("it names no path (`**` names everything)".to_owned());
    }
    let mut tokens: Vec<Token> = Vec::with_capacity(text.len());
    while let Some(part) = parts.next() {
        let last = parts.peek().is_none();
        if part == ".." {
            return Err("`..` leads out of where the path begins".to_owned());
        }
        if part == "**" && !last {
            if tokens.last() != Some(&Token::Parts) {
                tokens.push(Token::Parts);
            }
            continue;
        }
        if part == "**" {
            // Whatever is covered below one part is covered at any depth.
            tokens.push(Token::Run);
        } else {
            part_tokens(part, &mut tokens)?;
        }
        if !last {
            tokens.push(Token::Separator);
        }
    }
    tokens.shrink_to_fit();
    Ok(tokens)
}

fn part_tokens(part: &str, tokens: &mut Vec<Token>) -> Result<(), String> {
    let mut at = 0;
    while at < part.len() {
        let length = unit_length(&part[at..])?;
        let unit = &part[at..at + length];
        at += length;
        let mut chars = unit.chars();
        tokens.push(match (chars.next(), chars.next()) {
            (Some('*'), _) if part[at..].starts_with('*') => {
                return Err("`**` must be a whole part of the path, as in `src/**/*.rs`".to_owned());
            }
            (Some('*'), _) => Token::Run,
            (Some('?'), _) => Token::Any,
            (Some('['), _) => set(&unit[1..length - 1])?,
            (Some(']'), _) => return Err("`]` closes nothing (write `\\]` for the character)".to_owned()),
            (Some('\\'), Some(c)) => Token::Char(c),
            (Some('\0'), _) => return Err("a path cannot hold the character U+0000".to_owned()),
            (Some(c), _) => Token::Char(c),
            (None, _) => continue,
        });
    }
    Ok(())
}

/// What stands between `[` and `]`.
fn set(text: &str) -> Result<Token, String> {
    let rest = text.strip_prefix(['!', '^']);
    let negated = rest.is_some();
    let mut items: Vec<(char, bool)> = Vec::new();
    let mut chars = rest.unwrap_or(text).chars();
    while let Some(c) = chars.next() {
        // An escaped `-` is a member; a bare one between two members makes a range.
        items.push(if c == '\\' { (chars.next().unwrap_or('\\'), true) } else { (c, false) });
    }
    let mut ranges = Vec::new();
    let mut at = 0;
    while at < items.len() {
        let low = items[at].0;
        let high = match (items.get(at + 1), items.get(at + 2)) {
            (Some(('-', false)), Some((high, _))) => {
                at += 2;
                *high
            }
            _ => low,
        };
        if low > high {
            return Err(format!("the range `{low}-{high}` runs backwards"));
        }
        ranges.push((low, high));
        at += 1;
    }
    if ranges.is_empty() {
        return Err("`[]` allows no character (write `\\[` for the character)".to_owned());
    }
    ranges.sort_unstable();
    ranges.dedup();
    Ok(Token::Set(Box::new(Set { negated, ranges })))
}
