//! Finds a section of a Markdown text by its heading.
//!
//! Does not know who asks, nor where the text came from. Of Markdown it knows headings and what hides them:
//! fenced code, comments, front matter. Source: CommonMark 0.31, sections 4.2 (ATX), 4.3 (setext), 4.5 (fences).

/// Why a heading does not name one section.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SectionError {
    /// No heading has this text or begins with these words.
    Missing {
        /// The heading that comes nearest, if one is near enough to be meant.
        nearest: Option<String>,
    },
    /// Several headings fit; their 1-based lines.
    Ambiguous(Vec<usize>),
}

/// A heading: its text without marks, and the bytes of the lines that it stands on.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Heading {
    level: u8,
    text: String,
    start: usize,
    /// 1-based.
    line: usize,
}

/// The section under `heading`: the heading's own line up to the next heading of the same or a higher level.
///
/// `heading` is the heading's exact text, or its first words if only one heading begins with them. Runs of white
/// space count as one space.
///
/// # Errors
/// [`SectionError::Missing`] if no heading fits, [`SectionError::Ambiguous`] if several do.
pub fn section<'t>(text: &'t str, heading: &str) -> Result<&'t str, SectionError> {
    let wanted = words(heading);
    let headings = headings(text);
    let exact: Vec<usize> = (0..headings.len()).filter(|at| headings[*at].text == wanted).collect();
    let found = if exact.is_empty() {
        (0..headings.len()).filter(|at| begins_with_words(&headings[*at].text, &wanted)).collect()
    } else {
        exact
    };
    match found.as_slice() {
        [] => Err(SectionError::Missing { nearest: nearest(&wanted, &headings) }),
        [at] => {
            let this = &headings[*at];
            let end = headings[at + 1..].iter().find(|next| next.level <= this.level);
            Ok(&text[this.start..end.map_or(text.len(), |next| next.start)])
        }
        several => Err(SectionError::Ambiguous(several.iter().map(|at| headings[*at].line).collect())),
    }
}

/// The text of the last heading that stands at or above the 1-based `line`.
pub fn heading_at(text: &str, line: usize) -> Option<String> {
    let above = headings(text).into_iter().take_while(|heading| heading.line <= line);
    above.last().map(|heading| heading.text)
}

fn words(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn begins_with_words(text: &str, wanted: &str) -> bool {
    !wanted.is_empty()
        && text
            .strip_prefix(wanted)
            .is_some_and(|rest| rest.chars().next().is_none_or(|next| !next.is_alphanumeric() && next != '_'))
}

/// Bytes of a heading that is still compared with others: the comparison costs the product of both lengths.
const COMPARED: usize = 300;

/// Compares with whole headings and with as many first words of them as were asked for.
fn nearest(wanted: &str, headings: &[Heading]) -> Option<String> {
    if wanted.len() > COMPARED {
        return None;
    }
    let count = wanted.split(' ').count();
    let wanted = wanted.to_lowercase();
    let limit = (wanted.chars().count() / 3).max(1);
    headings
        .iter()
        .filter(|heading| heading.text.len() <= COMPARED)
        .map(|heading| {
            let text = heading.text.to_lowercase();
            let first = text.split(' ').take(count).collect::<Vec<_>>().join(" ");
            let distance =
                strsim::damerau_levenshtein(&wanted, &text).min(strsim::damerau_levenshtein(&wanted, &first));
            (distance, heading)
        })
        .filter(|(distance, heading)| *distance <= limit && !heading.text.is_empty())
        .min_by_key(|(distance, heading)| (*distance, heading.line))
        .map(|(_, heading)| heading.text.clone())
}

/// What the line before left open.
enum State {
    Open,
    Fence { mark: u8, length: usize },
    Comment,
    FrontMatter,
}

fn headings(text: &str) -> Vec<Heading> {
    let mut found = Vec::new();
    let mut state = State::Open;
    // A paragraph that a setext underline would turn into a heading: where it starts, its first line, its text.
    let mut paragraph: Option<(usize, usize, String)> = None;
    for (at, (start, line)) in lines(text).enumerate() {
        match state {
            State::Fence { mark, length } => {
                if fence(line)
                    .is_some_and(|(found, run, info)| found == mark && run >= length && info.is_empty())
                {
                    state = State::Open;
                }
                continue;
            }
            State::Comment => {
                if line.contains("-->") {
                    state = State::Open;
                }
                continue;
            }
            State::FrontMatter => {
                if matches!(line.trim_end(), "---" | "...") {
                    state = State::Open;
                }
                continue;
            }
            State::Open => {}
        }
        if at == 0
            && line.trim_end() == "---"
            && lines(text).skip(1).any(|(_, line)| line.trim_end() == "---")
        {
            state = State::FrontMatter;
            continue;
        }
        if let Some((mark, length, info)) = fence(line)
            && (mark == b'~' || !info.contains('`'))
        {
            state = State::Fence { mark, length };
            paragraph = None;
            continue;
        }
        let body = line.trim_start();
        let indent = line.len() - body.len();
        if indent < 4 && body.starts_with("<!--") {
            if !body.contains("-->") {
                state = State::Comment;
            }
            paragraph = None;
            continue;
        }
        if let Some((level, title)) = atx(line) {
            found.push(Heading { level, text: words(title), start, line: at + 1 });
            paragraph = None;
            continue;
        }
        if let Some(level) = underline(line)
            && let Some((start, line, title)) = paragraph.take()
        {
            found.push(Heading { level, text: words(&title), start, line });
            continue;
        }
        if body.is_empty() || starts_container(body) || underline(line).is_some() {
            paragraph = None;
        } else if let Some((_, _, title)) = &mut paragraph {
            title.push(' ');
            title.push_str(body);
        } else if indent < 4 {
            paragraph = Some((start, at + 1, body.to_owned()));
        }
    }
    found
}

/// Lines with the byte they start at, without their `\n`, `\r\n` or `\r`.
fn lines(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut next = 0;
    std::iter::from_fn(move || {
        if next >= text.len() {
            return None;
        }
        let start = next;
        let rest = &text[start..];
        let end = rest.find(['\n', '\r']).unwrap_or(rest.len());
        let width = match &rest.as_bytes()[end..] {
            [b'\r', b'\n', ..] => 2,
            [] => 0,
            _ => 1,
        };
        next = start + end + width;
        Some((start, &rest[..end]))
    })
}

/// Mark, length and info string of a code fence.
fn fence(line: &str) -> Option<(u8, usize, &str)> {
    let body = line.trim_start_matches(' ');
    let mark = *body.as_bytes().first().filter(|mark| matches!(mark, b'`' | b'~'))?;
    let length = body.bytes().take_while(|byte| *byte == mark).count();
    (length >= 3 && line.len() - body.len() < 4).then(|| (mark, length, body[length..].trim()))
}

/// Level and raw text of a `# heading`.
fn atx(line: &str) -> Option<(u8, &str)> {
    let body = line.trim_start_matches(' ');
    let level = body.bytes().take_while(|byte| *byte == b'#').count();
    let rest = &body[level..];
    if !(1..=6).contains(&level)
        || line.len() - body.len() > 3
        || !(rest.is_empty() || rest.starts_with([' ', '\t']))
    {
        return None;
    }
    let title = rest.trim();
    let open = title.trim_end_matches('#');
    let closed = open.is_empty() || open.ends_with([' ', '\t']);
    Some((level as u8, if closed { open.trim_end() } else { title }))
}

/// Level of a setext underline.
fn underline(line: &str) -> Option<u8> {
    let body = line.trim_start_matches(' ');
    let marks = body.trim_end();
    let first = *marks.as_bytes().first()?;
    if line.len() - body.len() > 3 || !marks.bytes().all(|byte| byte == first) {
        return None;
    }
    match first {
        b'=' => Some(1),
        b'-' => Some(2),
        _ => None,
    }
}

/// List items and quotes: text in them is not a paragraph that an underline at the margin ends.
fn starts_container(body: &str) -> bool {
    let digits = body.bytes().take_while(u8::is_ascii_digit).count();
    body.starts_with('>')
        || ["- ", "* ", "+ "].iter().any(|mark| body.starts_with(mark))
        || (digits > 0 && (body[digits..].starts_with(". ") || body[digits..].starts_with(") ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str =
        "# Title\nintro\n## One\na\n### Deep\nb\n## Two words here ##\nc\n```\n## In code\n```\n# End\n";

    #[test]
    fn a_section_ends_at_the_next_heading_of_its_level() {
        assert_eq!(section(TEXT, "One"), Ok("## One\na\n### Deep\nb\n"));
        assert_eq!(section(TEXT, "Deep"), Ok("### Deep\nb\n"));
        assert_eq!(section(TEXT, "End"), Ok("# End\n"));
    }

    #[test]
    fn first_words_are_enough_when_only_one_heading_begins_with_them() {
        assert!(section(TEXT, "Two words").is_ok());
        assert!(section("# Story 1 - album\n# Story 10\n", "Story 1").is_ok());
        assert_eq!(section("# Story 1\n# Story 1\n", "Story 1"), Err(SectionError::Ambiguous(vec![1, 2])));
        assert_eq!(section("# Story a\n\n# Story b\n", "Story"), Err(SectionError::Ambiguous(vec![1, 3])));
        assert!(section("# Story\n# Story b\n", "Story").is_ok());
    }

    #[test]
    fn what_stands_in_code_comments_and_front_matter_is_no_heading() {
        assert_eq!(section(TEXT, "In code"), Err(SectionError::Missing { nearest: None }));
        for text in
            ["<!--\n# A\n-->\n", "---\n# A\n---\n", "~~~ x\n# A\n```\n", "    # A\n", "#A\n", "####### A\n"]
        {
            assert!(section(text, "A").is_err(), "{text:?}");
        }
        assert_eq!(section("```a`b\n# A\n", "A"), Ok("# A\n"));
    }

    #[test]
    fn underlined_headings_and_carriage_returns_count() {
        let text = "Top\r\n===\r\nx\r\n\r\nSub\r\n---\r\ny\r\n\r\nNext\r\n===\r\n";
        assert_eq!(section(text, "Sub"), Ok("Sub\r\n---\r\ny\r\n\r\n"));
        assert_eq!(section(text, "Top"), Ok("Top\r\n===\r\nx\r\n\r\nSub\r\n---\r\ny\r\n\r\n"));
        assert!(section("- item\n---\n", "- item").is_err());
        assert!(section("a\n\n---\n", "a").is_err());
    }

    #[test]
    fn a_near_heading_is_named() {
        let nearest = |heading| match section("# Month index on orders\n# Other\n", heading) {
            Err(SectionError::Missing { nearest }) => nearest,
            other => panic!("{other:?}"),
        };
        assert_eq!(nearest("Month indx").as_deref(), Some("Month index on orders"));
        assert_eq!(nearest("other").as_deref(), Some("Other"));
        assert_eq!(nearest("Something else"), None);
    }

    #[test]
    fn a_line_stands_under_the_nearest_heading_above_it() {
        let at = |line| heading_at(TEXT, line);
        assert_eq!(at(1).as_deref(), Some("Title"));
        assert_eq!(at(4).as_deref(), Some("One"));
        assert_eq!(at(10).as_deref(), Some("Two words here"), "what stands in code is no heading");
        assert_eq!(at(999).as_deref(), Some("End"));
        assert_eq!(heading_at("text\n# A\n", 1), None);
    }

    proptest::proptest! {
        #[test]
        fn a_section_is_whole_lines_from_its_heading_on(
            lines in proptest::collection::vec(proptest::sample::select(LINES), 0..12),
            end in proptest::sample::select(vec!["\n", "\r\n", "\r"]),
        ) {
            let text = lines.join(end);
            for wanted in ["A", "B", "A b"] {
                if let Ok(found) = section(&text, wanted) {
                    let start = found.as_ptr() as usize - text.as_ptr() as usize;
                    proptest::prop_assert!(start == 0 || text[..start].ends_with(end));
                    proptest::prop_assert!(found.contains(wanted.split(' ').next().unwrap_or(wanted)));
                    proptest::prop_assert!(found.len() + start == text.len() || found.ends_with(end));
                }
            }
        }
    }

    const LINES: &[&str] = &[
        "# A", "## A b", "### B", "A", "B", "===", "---", "```", "~~~", "", "    # A", "<!--", "-->", "- A",
        "> B", "# A #",
    ];
}
