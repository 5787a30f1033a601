//! Arguments, properties, type annotations and names: what stands on the line of a node.
//!
//! Does not know nodes and blocks; that is `parser`. What is inside strings and numbers, `strings` and `numbers` know.
//! Source: KDL 2.0.1, full grammar.

use super::lexer::{Kind, is_disallowed};
use super::mistakes::shown;
use super::parser::{OpenNode, Parser, is_node_space, is_string};
use super::{Entry, Key, StringStyle, Text, TypeAnnotation, Value, numbers, strings};
use crate::diagnostic::{Applicability, Severity, did_you_mean};
use crate::source::Span;

const KEYWORDS: [&str; 6] = ["#true", "#false", "#null", "#inf", "#-inf", "#nan"];

/// What a bare word that KDL 2 reserves means with a `#` before it.
fn reserved(word: &str) -> Option<(&'static str, Value)> {
    Some(match word {
        "true" => ("#true", Value::Bool(true)),
        "false" => ("#false", Value::Bool(false)),
        "null" => ("#null", Value::Null),
        "inf" => ("#inf", Value::Number("#inf".into())),
        "-inf" => ("#-inf", Value::Number("#-inf".into())),
        "nan" => ("#nan", Value::Number("#nan".into())),
        _ => return None,
    })
}

impl Parser<'_> {
    /// True at a token that can be a value.
    fn at_value(&self) -> bool {
        is_string(self.kind()) || self.kind() == Kind::Keyword
    }

    /// An argument or property. Appends it if it can be read; false if there is a mistake in it.
    pub(super) fn entry(&mut self, node: &mut OpenNode) -> bool {
        let start = self.start();
        let mut good = true;
        let mut ty = None;
        if self.kind() == Kind::LeftParen {
            (ty, good) = self.type_annotation();
            node.loose_paren |= !good;
            let end = self.last_end;
            self.skip_node_space();
            if !self.at_value() {
                if good && !node.loose_paren {
                    let found = self
                        .mistakes
                        .error(start, end, "a type annotation must be followed by its value")
                        .help("write the value right after the `)`, or put the text in quotes if the parentheses are part of it");
                    self.mistakes.add(found);
                }
                if self.kind() == Kind::Slashdash {
                    self.bump();
                }
                node.forgiving = true;
                return false;
            }
        }

        let mut look = self.at + 1;
        while is_node_space(self.tokens[look].kind) {
            look += 1;
        }
        if self.tokens[look].kind == Kind::Equals {
            return self.property(node, ty, start, look) && good;
        }
        let value_span = self.here();
        let (value, fine) = self.value();
        self.bump();
        let span = self.span(start, self.last_end);
        self.document.entries.push(Entry { key: None, ty, value, value_span, span });
        good && fine
    }

    /// At the name of a property whose `=` is the token at `equals`.
    fn property(
        &mut self,
        node: &mut OpenNode,
        before_name: Option<Box<TypeAnnotation>>,
        start: usize,
        equals: usize,
    ) -> bool {
        let mut good = true;
        if before_name.is_some() {
            good = false;
            let found = self
                .mistakes
                .error(start, self.last_end, "a type annotation cannot stand before the name of a property")
                .help("put it before the value: `name=(type)value`");
            self.mistakes.add(found);
        }
        let key_span = self.here();
        let (name, fine) = self.name("property");
        good &= fine;
        self.at = equals;
        self.bump();
        let equals_end = self.last_end;
        self.skip_node_space();
        let mut ty = None;
        if self.kind() == Kind::LeftParen {
            let (annotation, fine) = self.type_annotation();
            (ty, good) = (annotation, good && fine);
            node.loose_paren |= !fine;
            self.skip_node_space();
        }
        if !self.at_value() {
            self.report_missing_value(&name, key_span, equals_end);
            if matches!(self.kind(), Kind::Slashdash | Kind::Equals) {
                self.bump();
            }
            node.forgiving = true;
            return false;
        }
        let value_span = self.here();
        let (value, fine) = self.value();
        self.bump();
        let span = self.span(start, self.last_end);
        self.document.entries.push(Entry {
            key: Some(Box::new(Key { name, span: key_span })),
            ty,
            value,
            value_span,
            span,
        });
        good && fine
    }

    fn report_missing_value(&mut self, name: &str, key: Span, equals_end: usize) {
        let found = match self.kind() {
            Kind::Slashdash => self
                .error_here("`/-` cannot stand between a property's name and its value")
                .help("put `/-` before the property's name: it comments out the whole property"),
            Kind::Equals => self
                .error_here(format!("the property {} has two `=`", shown(name)))
                .help("delete one of them, or put the value in quotes if the `=` is part of it"),
            _ => self
                .mistakes
                .error(key.start as usize, equals_end, format!("the property {} has no value", shown(name)))
                .help(format!("write the value on the same line: {}", shown(&format!("{name}=\"…\"")))),
        };
        self.mistakes.add(found);
    }

    /// At a `(`. The annotation, and whether it is right.
    pub(super) fn type_annotation(&mut self) -> (Option<Box<TypeAnnotation>>, bool) {
        let open = self.start();
        self.bump();
        self.skip_node_space();
        if !self.at_value() {
            let (end, message) = match self.kind() {
                Kind::RightParen => (self.end(), "this type annotation is empty"),
                _ => (open + 1, "`(` begins a type annotation, which needs a name: `(name)`"),
            };
            let found = self.mistakes.error(open, end, message).help(
                "write a type's name in the parentheses, or put the text in quotes if they are part of it",
            );
            self.mistakes.add(found);
            if matches!(self.kind(), Kind::RightParen | Kind::Slashdash) {
                self.bump();
            }
            return (None, false);
        }
        let span = self.here();
        let (name, mut good) = self.name("type");
        self.bump();
        let name_end = self.last_end;
        self.skip_node_space();
        if self.kind() == Kind::RightParen {
            self.bump();
        } else {
            if good {
                let found = self
                    .mistakes
                    .error(open, name_end, "this type annotation is not closed")
                    .help("write `)` right after the type's name, or put the text in quotes if the parentheses are part of it");
                self.mistakes.add(found);
            }
            good = false;
        }
        (Some(Box::new(TypeAnnotation { name, span })), good)
    }

    // ---- words and strings ----

    /// The text of the string token at hand, how it was written, and whether it is right.
    fn string(&mut self) -> (Text, StringStyle, bool) {
        let token = self.tokens[self.at];
        let style = match token.kind {
            Kind::Word => {
                self.check_glued_comment();
                return (self.text_of(self.at).into(), StringStyle::Bare, true);
            }
            Kind::Quoted if self.meant_raw == Some(self.at) => {
                let text = self.text_of(self.at).trim_matches('"');
                return (text.into(), StringStyle::Raw, false);
            }
            Kind::Quoted => StringStyle::Quoted,
            Kind::Raw => StringStyle::Raw,
            Kind::Multiline => StringStyle::Multiline,
            Kind::RawMultiline => StringStyle::RawMultiline,
            _ => {
                let text =
                    self.text_of(self.at).chars().filter(|c| !is_disallowed(*c) && *c != '"').collect();
                return (text, StringStyle::Bare, false);
            }
        };
        let (text, good) = strings::decode(token, self.end(), &mut self.mistakes);
        (text, style, good)
    }

    /// A name of a node, property or type, and whether it is right: any string, but no number and no keyword.
    pub(super) fn name(&mut self, of: &str) -> (Text, bool) {
        let keyword = self.kind() == Kind::Keyword;
        let (text, style, good) =
            if keyword { (self.text_of(self.at).into(), StringStyle::Bare, true) } else { self.string() };
        if style != StringStyle::Bare || !good {
            return (text, good);
        }
        let fault = if keyword {
            "begin with `#`"
        } else if numbers::begins_like_a_number(&text) {
            "begin like a number"
        } else if reserved(&text).is_some() {
            "be a reserved word"
        } else {
            return (text, true);
        };
        let quoted = format!("\"{text}\"");
        let found = self
            .error_here(format!("the name of a {of} cannot {fault}: put {} in quotes", shown(&text)))
            .help(format!("write {}", shown(&quoted)))
            .replace(self.here(), quoted, "put it in quotes", Applicability::Safe);
        self.mistakes.add(found);
        (text, false)
    }

    /// The value of the token at hand, and whether it is right.
    fn value(&mut self) -> (Value, bool) {
        if self.kind() == Kind::Keyword {
            return self.keyword();
        }
        let (text, style, good) = self.string();
        if style != StringStyle::Bare || !good {
            return (Value::String(text, style), good);
        }
        let first = text.as_bytes().first().copied().unwrap_or(0);
        if (first.is_ascii_digit() || matches!(first, b'+' | b'-' | b'.'))
            && numbers::begins_like_a_number(&text)
        {
            return match numbers::parse(&text) {
                Some(number) => (number, true),
                None => {
                    self.report_bad_number(&text);
                    (Value::String(text, style), false)
                }
            };
        }
        if matches!(first, b't' | b'f' | b'n' | b'i' | b'-')
            && let Some((keyword, value)) = reserved(&text)
        {
            // Which of the two is meant only the author knows: a word of a command, say, is no keyword.
            let found = self
                .error_here(format!("`{text}` is written `{keyword}` in KDL 2"))
                .help(format!("write `\"{text}\"` if the word itself is meant, or `{keyword}`"))
                .replace(self.here(), format!("\"{text}\""), "put the word in quotes", Applicability::Unsafe);
            self.mistakes.add(found);
            return (value, false);
        }
        (Value::String(text, style), true)
    }

    fn report_bad_number(&mut self, text: &str) {
        if text.len() > numbers::MOST_CHARS {
            let found = self
                .error_here(format!("this number has more than {} characters", numbers::MOST_CHARS))
                .help("put it in quotes if it is text");
            return self.mistakes.add(found);
        }
        let span = self.here();
        let found = self.error_here(format!("{} begins like a number, but is none", shown(text)));
        let full = text.replacen('.', "0.", 1);
        let found = if let Some(number) = text.strip_suffix(',').filter(|rest| numbers::parse(rest).is_some())
        {
            found.help("values are separated by spaces, not by commas").replace(
                span,
                number,
                "delete the comma",
                Applicability::Safe,
            )
        } else if text.trim_start_matches(['+', '-']).starts_with('.') && numbers::parse(&full).is_some() {
            found.help(format!("a digit must stand before the point: `{full}`")).replace(
                span,
                full,
                "put a `0` before the point",
                Applicability::Safe,
            )
        } else {
            let quoted = format!("\"{text}\"");
            found.help(format!("if it is text, put it in quotes: {}", shown(&quoted))).replace(
                span,
                quoted,
                "put it in quotes",
                Applicability::Safe,
            )
        };
        self.mistakes.add(found);
    }

    /// The value of a word that begins with `#`.
    fn keyword(&mut self) -> (Value, bool) {
        let text = self.text_of(self.at);
        if let Some((_, value)) = reserved(&text[1..]) {
            self.check_glued_comment();
            return (value, true);
        }
        let message = match text {
            "#" => "`#` says nothing by itself".to_owned(),
            _ => format!("{} is not a keyword of KDL", shown(text)),
        };
        let mut found = self.error_here(message);
        // A short word only: the comparison costs the square of its length.
        let near = if (3..16).contains(&text.len()) { did_you_mean(text, KEYWORDS) } else { None };
        found = match near {
            Some(near) => found.help(format!("did you mean `{near}`?")).replace(
                self.here(),
                near,
                format!("replace with `{near}`"),
                Applicability::Unsafe,
            ),
            None => found.help(format!("the keywords are {}", KEYWORDS.join(", "))),
        };
        let found = found.help("a comment begins with `//`; text that begins with `#` needs quotes");
        self.mistakes.add(found);
        (Value::String(text.into(), StringStyle::Bare), false)
    }

    /// A comment right behind a bare word is KDL, but hardly ever meant: `https://…`, `src/**/x`.
    fn check_glued_comment(&mut self) {
        let next = self.at + 1;
        let glued = match self.tokens[next].kind {
            Kind::LineComment => true,
            // Of a comment in the midst of words one can see that it is one; of a glob one cannot.
            Kind::BlockComment => {
                !self.tokens[next].flawed
                    && (is_string(self.tokens[next + 1].kind)
                        || !self.text_of(next).contains(char::is_whitespace))
            }
            _ => false,
        };
        if !glued {
            return;
        }
        let start = self.tokens[next].start as usize;
        let (opening, unread) = match self.tokens[next].kind {
            Kind::LineComment => ("//", "the rest of the line"),
            _ => ("/*", "what it encloses"),
        };
        let word = shown(self.text_of(self.at));
        let mut found = self
            .mistakes
            .error(start, start + 2, format!("`{opening}` begins a comment here: {unread} is not read"))
            .label(self.here(), format!("only {word} is read"))
            .help("if it is part of the text, put the whole text in quotes")
            .help("if it is a comment, put a space before it");
        found.severity = Severity::Warning;
        self.mistakes.add(found);
    }
}
