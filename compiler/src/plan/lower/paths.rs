//! Paths, patterns, references and prompt texts.
//!
//! Does not know what a path is used for. Of files it reads prompts only; whether other paths exist is for `check`.

use camino::{Utf8Path, Utf8PathBuf};

use super::Lowering;
use crate::diagnostic::{Applicability, Diagnostic};
use crate::glob::Pattern;
use crate::markdown::{self, SectionError};
use crate::plan::model::{PromptPart, Reference};
use crate::plan::read::{self, File, Node};
use crate::plan::values;
use crate::plan::{headings, import};
use crate::source::{Span, Spanned};
use crate::syntax::Entry;

/// Whether `!` may stand in front of a pattern.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Negation {
    Allowed,
    Refused,
}

impl<'a> Lowering<'a> {
    /// The patterns that are the node's arguments.
    pub(super) fn patterns(&mut self, node: Node, negation: Negation) -> Vec<Spanned<Pattern>> {
        let mut patterns = Vec::new();
        self.add_patterns(node, negation, &mut patterns);
        patterns
    }

    /// Adds the patterns that are the node's arguments to those of nodes before it.
    pub(super) fn add_patterns(
        &mut self,
        node: Node,
        negation: Negation,
        patterns: &mut Vec<Spanned<Pattern>>,
    ) {
        // Nearly always one node says it all: then the list is as long as it need be, and each unit keeps several.
        if patterns.is_empty() {
            patterns.reserve_exact(node.entries().len());
        }
        for entry in node.arguments() {
            patterns.extend(self.pattern(node.file, entry, negation));
        }
    }

    pub(super) fn pattern(
        &mut self,
        file: &File,
        entry: &Entry,
        negation: Negation,
    ) -> Option<Spanned<Pattern>> {
        let span = entry.value_span;
        let written = read::name(entry).filter(|text| !text.is_empty())?;
        let (mark, path) = match written.strip_prefix('!') {
            Some(rest) => ("!", rest),
            None => ("", written),
        };
        if !mark.is_empty() && negation == Negation::Refused {
            let found = Diagnostic::new("invalid-glob", span, "`!` may stand in `inputs` only")
                .at("this would exclude")
                .help("name the paths that are meant; a file whose name begins with `!` is written `\\!`");
            self.report(found);
            return None;
        }
        let relative = matches!(path, "." | "..") || path.starts_with("./") || path.starts_with("../");
        if !relative
            && !written.contains(':')
            && let Some(pattern) = Pattern::plain(written)
        {
            return Some(Spanned::new(pattern, span));
        }
        let literal_directory =
            if relative { escaped(self.directory(file, span).as_str()) } else { String::new() };
        let directory = literal_directory.as_str();
        let path = match values::resolve(directory.into(), path) {
            Ok(path) if path.is_empty() => "**".to_owned(),
            Ok(path) => path,
            Err(problem) => {
                self.report(import::path_problem(problem, written, span));
                return None;
            }
        };
        let marked = if mark.is_empty() { path } else { format!("{mark}{path}") };
        match Pattern::parse(&marked) {
            Ok(pattern) => Some(Spanned::new(pattern, span)),
            Err(problem) => {
                let found = Diagnostic::new(
                    "invalid-glob",
                    span,
                    format!("`{written}` is not a path pattern: {problem}"),
                )
                .at(problem)
                .help(
                    "`*` and `?` match in one part of a path, `**` any number of parts, `{a,b}` either; \
                         `\\` takes a letter as it stands",
                );
                self.report(found);
                None
            }
        }
    }

    /// The directory from which `./` counts at a place: what a template made stands in the plan, and was written
    /// elsewhere.
    pub(super) fn directory<'f>(&self, file: &'f File, span: Span) -> &'f Utf8Path
    where
        'a: 'f,
    {
        match span.file == file.id() {
            true => file.directory(),
            false => read::directory(&self.map.file(span.file).path),
        }
    }

    /// One path without wildcards.
    pub(super) fn path(&mut self, file: &File, entry: &Entry) -> Option<Utf8PathBuf> {
        let written = read::name(entry).filter(|text| !text.is_empty())?;
        self.path_text(file, written, entry.value_span)
    }

    fn path_text(&mut self, file: &File, written: &str, span: Span) -> Option<Utf8PathBuf> {
        match values::resolve(self.directory(file, span), written) {
            Ok(path) if path.is_empty() => {
                let found =
                    Diagnostic::new("wrong-type", span, format!("`{written}` is the repository itself"))
                        .at("not a file in the repository")
                        .help("name a file");
                self.report(found);
                None
            }
            Ok(path) => Some(path.into()),
            Err(problem) => {
                self.report(import::path_problem(problem, written, span));
                None
            }
        }
    }

    /// `path` or `path#Heading`.
    pub(super) fn reference(&mut self, file: &File, entry: &Entry) -> Option<Reference> {
        let span = entry.value_span;
        let written = read::text(entry).filter(|text| !text.is_empty())?;
        let (path, heading) = match written.split_once('#') {
            Some((path, heading)) => (path, Some(heading.trim())),
            None => (written, None),
        };
        if heading == Some("") {
            let found = Diagnostic::new("wrong-type", span, "the heading behind `#` is empty")
                .at("no heading")
                .help("write the heading, or leave out the `#`");
            self.report(found);
            return None;
        }
        let path = self.path_text(file, path, span)?;
        Some(Reference { path, heading: heading.map(str::to_owned), span })
    }

    pub(super) fn references(&mut self, node: Node) -> Vec<Reference> {
        node.arguments().filter_map(|entry| self.reference(node.file, entry)).collect()
    }

    /// `prompt TEXT` or `prompt file=...`.
    pub(super) fn prompt(&mut self, node: Node) -> Option<PromptPart> {
        match (node.argument(0), node.property("file")) {
            (Some(inline), None) => {
                Some(PromptPart { text: read::text(inline)?.to_owned(), span: inline.value_span, file: None })
            }
            (None, Some(entry)) => {
                let reference = self.reference(node.file, entry)?;
                let text = self.prompt_text(&reference)?;
                Some(PromptPart { text, span: entry.value_span, file: Some(reference) })
            }
            (Some(inline), Some(file)) => {
                let found = Diagnostic::new(
                    "too-many-arguments",
                    file.span,
                    "`prompt` takes a text or a file, not both",
                )
                .at("and a file")
                .label(inline.span, "a text")
                .help("write two `prompt` nodes");
                self.report(found);
                None
            }
            (None, None) => {
                if !node.is_broken() {
                    let found =
                        Diagnostic::new("missing-argument", node.name_span(), "`prompt` lacks a text")
                            .at("a text or `file=` is missing behind it")
                            .help("write the text, or `file=\"path\"`");
                    self.report(found);
                }
                None
            }
        }
    }

    /// The text of a prompt file, or of one section of it. Line ends become `\n`, as in texts that stand in a plan.
    fn prompt_text(&mut self, reference: &Reference) -> Option<String> {
        if !self.texts.contains_key(&reference.path) {
            let text = self.read_prompt(reference);
            self.texts.insert(reference.path.clone(), text);
        }
        let text = self.texts.get(&reference.path)?.as_deref()?;
        let Some(heading) = &reference.heading else { return Some(text.to_owned()) };
        let error = match markdown::section(text, heading) {
            Ok(section) => return Some(section.to_owned()),
            Err(error) => error,
        };
        let found = missing_heading(reference, heading, error, text, self.map.text(reference.span));
        self.report(found);
        None
    }

    fn read_prompt(&mut self, reference: &Reference) -> Option<String> {
        let path = &reference.path;
        let text = match import::read_text(self.sources, path) {
            Ok(text) => text.replace("\r\n", "\n"),
            Err(problem) => {
                let (rule, words) = import::unreadable(&problem);
                let found = Diagnostic::new(
                    rule,
                    reference.span,
                    format!("the prompt file `{path}` {words}"),
                )
                .at("this file")
                .help("a path counts from the repository's root, or with `./` from the file it stands in");
                self.report(found);
                return None;
            }
        };
        let text = text.strip_prefix('\u{feff}').map(str::to_owned).unwrap_or(text);
        let mut lines = text.lines();
        let front_matter = lines.next().is_some_and(|first| first.trim_end() == "---")
            && lines.any(|line| line.trim_end() == "---");
        if front_matter {
            let found = Diagnostic::new(
                "wrong-type",
                reference.span,
                format!("the prompt file `{path}` has front matter"),
            )
            .at("begins with a `---` block")
            .help("remove the block: what it says stands in the plan (agent, model, effort, scope)");
            self.report(found);
            return None;
        }
        Some(text)
    }
}

/// The finding about a reference whose heading names no section of `text`. `written` is the reference as it stands in the plan.
fn missing_heading(
    reference: &Reference,
    heading: &str,
    error: SectionError,
    text: &str,
    written: &str,
) -> Diagnostic {
    let path = &reference.path;
    match error {
        SectionError::Missing { nearest } => {
            let found = Diagnostic::new(
                "missing-heading",
                reference.span,
                format!("`{path}` has no heading `{heading}`"),
            )
            .at("no such heading");
            match nearest {
                Some(near) => {
                    let found = found.help(format!("a similar heading exists: `{near}`"));
                    // Only where the heading stands letter for letter can it be replaced.
                    let at = written.rfind(heading).filter(|_| !near.contains(['"', '\\']));
                    match at {
                        Some(at) => {
                            let start = reference.span.start as usize + at;
                            let span = Span::new(reference.span.file, start, start + heading.len());
                            found.replace(
                                span,
                                near.as_str(),
                                format!("replace with `{near}`"),
                                Applicability::Unsafe,
                            )
                        }
                        None => found,
                    }
                }
                None => found.help(
                    "a heading is named by its exact text, or by its first words when only one begins so",
                ),
            }
        }
        SectionError::Ambiguous(lines) => headings::ambiguous(path, heading, text, &lines, reference.span),
    }
}

/// A literal path as a pattern.
pub(in crate::plan) fn escaped(path: &str) -> String {
    let mut out = String::with_capacity(path.len());
    for c in path.chars() {
        if matches!(c, '*' | '?' | '[' | ']' | '{' | '}' | '!' | ',' | '\\') {
            out.push('\\');
        }
        out.push(c);
    }
    out
}
