//! `${name}` in a text: where it stands, and what comes of it. `$${` is a literal `${`.
//!
//! Does not know whose parameters the names are; verifiers and templates share this.

/// A piece of a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part<'t> {
    Text(&'t str),
    /// `$${`
    Literal,
    /// `${name}`, whose `$` stands at this byte.
    Placeholder {
        name: &'t str,
        at: usize,
    },
    /// A `${` at this byte that no name and `}` follow.
    Open(usize),
}

/// The text's pieces, in order.
pub(crate) fn parts(text: &str) -> impl Iterator<Item = Part<'_>> {
    let mut at = 0;
    let mut waiting: Option<Part> = None;
    std::iter::from_fn(move || {
        if let Some(part) = waiting.take() {
            return Some(part);
        }
        let rest = text.get(at..).filter(|rest| !rest.is_empty())?;
        let Some(found) = rest.find("${") else {
            at = text.len();
            return Some(Part::Text(rest));
        };
        let doubled = rest[..found].ends_with('$');
        let front = &rest[..found - usize::from(doubled)];
        let start = at + found;
        let behind = &text[start + 2..];
        let part = if doubled {
            at = start + 2;
            Part::Literal
        } else {
            match behind.find(['}', '{', '$']).filter(|end| behind[*end..].starts_with('}')) {
                Some(end) => {
                    at = start + 2 + end + 1;
                    Part::Placeholder { name: &behind[..end], at: start }
                }
                None => {
                    at = start + 2;
                    Part::Open(start)
                }
            }
        };
        if front.is_empty() {
            return Some(part);
        }
        waiting = Some(part);
        Some(Part::Text(front))
    })
}

/// The name, if the text is `${name}` and nothing else.
pub(crate) fn whole(text: &str) -> Option<&str> {
    let mut parts = parts(text);
    match (parts.next(), parts.next()) {
        (Some(Part::Placeholder { name, .. }), None) => Some(name),
        _ => None,
    }
}

/// A word with its values put in: several words if it is exactly `${list}`.
pub(crate) fn word<'v>(word: &str, value: &impl Fn(&str) -> Option<&'v [String]>) -> Vec<String> {
    match whole(word).and_then(value) {
        Some(values) => values.to_vec(),
        None => vec![text(word, value)],
    }
}

/// A text with its values put in, those of a list with spaces between them. What has no value stays as it stands.
pub(crate) fn text<'v>(text: &str, value: &impl Fn(&str) -> Option<&'v [String]>) -> String {
    let mut out = String::with_capacity(text.len());
    for part in parts(text) {
        match part {
            Part::Text(text) => out.push_str(text),
            Part::Literal | Part::Open(_) => out.push_str("${"),
            Part::Placeholder { name, .. } => match value(name) {
                Some(values) => out.push_str(&values.join(" ")),
                None => {
                    out.push_str("${");
                    out.push_str(name);
                    out.push('}');
                }
            },
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn texts_come_apart_at_placeholders() {
        let all = |text| parts(text).collect::<Vec<_>>();
        assert_eq!(all(""), []);
        assert_eq!(all("a $ b"), [Part::Text("a $ b")]);
        assert_eq!(all("a${b}c"), [Part::Text("a"), Part::Placeholder { name: "b", at: 1 }, Part::Text("c")]);
        assert_eq!(all("$${b}"), [Part::Literal, Part::Text("b}")]);
        assert_eq!(all("x$$${b}"), [Part::Text("x$"), Part::Literal, Part::Text("b}")]);
        assert_eq!(all("ä${"), [Part::Text("ä"), Part::Open(2)]);
        assert_eq!(whole("${a}"), Some("a"));
        assert_eq!((whole("${a} "), whole("$${a}"), whole("a"), whole("${a}${a}")), (None, None, None, None));
    }

    #[test]
    fn values_are_put_in_and_what_has_none_stays() {
        let list = ["x".to_owned(), "y".to_owned()];
        let none: [String; 0] = [];
        let value = |name: &str| match name {
            "list" => Some(&list[..]),
            "none" => Some(&none[..]),
            _ => None,
        };
        assert_eq!(word("${list}", &value), ["x", "y"]);
        assert!(word("${none}", &value).is_empty());
        assert_eq!(word("a ${list}", &value), ["a x y"]);
        assert_eq!(text("${HOME} $${list} ${list", &value), "${HOME} ${list} ${list");
        assert_eq!(text("${HOME:-${list}}", &value), "${HOME:-x y}");
    }

    proptest! {
        #[test]
        fn without_values_only_doubled_dollars_change(text in "[a$\\{\\}]{0,12}") {
            let out = super::text(&text, &|_| None);
            prop_assert_eq!(out, text.replace("$${", "${"));
        }
    }
}
