//! Writes `loop.kdl` and the example plan as KDL with a comment for each line.
//!
//! Does not know where the files go.

use kdl::{KdlDocument, KdlEntry, KdlEntryFormat, KdlNode, KdlNodeFormat, KdlValue};

use super::found::{Found, Verifier};

/// What is known beside the manifests.
pub(super) struct Facts {
    /// The repository's directory.
    pub name: String,
    /// The branch to start from, if it must be named.
    pub base: Option<String>,
    /// The real CLI is on the PATH.
    pub claude: bool,
    /// What the example's unit writes.
    pub target: &'static str,
}

/// The verifiers' names as they are written.
pub(super) fn verifier_names(found: &[Found]) -> Vec<String> {
    verifiers(found).into_iter().map(|(name, _)| name).collect()
}

/// Verifiers under names of their own.
fn verifiers(found: &[Found]) -> Vec<(String, Option<&Verifier>)> {
    let count = |name: &str| {
        found.iter().flat_map(|kind| &kind.verifiers).filter(|verifier| verifier.name == name).count()
    };
    let all: Vec<(String, Option<&Verifier>)> = found
        .iter()
        .flat_map(|kind| kind.verifiers.iter().map(move |verifier| (kind, verifier)))
        .map(|(kind, verifier)| match count(&verifier.name) {
            1 => (verifier.name.clone(), Some(verifier)),
            _ => (format!("{}-{}", kind.prefix, verifier.name), Some(verifier)),
        })
        .collect();
    if all.is_empty() { vec![("merge-marks".to_owned(), None)] } else { all }
}

/// The text of `loop.kdl`.
pub(super) fn project(found: &[Found], facts: &Facts) -> String {
    let verifiers = verifiers(found);
    let mut project = Line::new(
        "project",
        "What the plans of this repository share. Paths count from the repository's root.",
    )
    .word(&name(&facts.name));
    if let Some(base) = &facts.base {
        project = project.text_property("base", base);
    }
    let agent = if facts.claude {
        Line::new("agent", "Who does the work. Claude Code runs without asking back; what it may change is checked afterwards.")
            .word("implementer")
            .word_property("via", "claude")
    } else {
        let run = Line::new("run", "Put your agent's command here. It reads the prompt on standard input, changes files and exits with 0.")
            .word("your-agent");
        Line::new("agent", "Who does the work.")
            .word("implementer")
            .word_property("via", "command")
            .child(run)
    };
    let names: Vec<&str> = verifiers.iter().map(|(name, _)| name.as_str()).collect();
    let mut defaults = Line::new("defaults", "For every unit, unless it says otherwise.")
        .word_property("agent", "implementer")
        .child(
            Line::new(
                "verify",
                "Run by `loop` itself in a clean copy of the tree; what the agent says does not count.",
            )
            .words(&names),
        )
        .child(
            Line::new("retry", "An attempt that fails is followed by a new one, which is shown why.")
                .number("attempts", 2),
        )
        .child(Line::new("timeout", "An attempt that takes longer is ended.").text_property("total", "30m"));
    // Other agents do not say what they cost, so a limit of money would mean nothing.
    if facts.claude {
        defaults =
            defaults.child(Line::new("budget", "What one attempt may cost, in dollars.").number("usd", 5));
    }
    project = project.child(agent).child(defaults.gap());
    if let Some(worktree) = worktree(found) {
        project = project.child(worktree.gap());
    }
    for (at, (name, verifier)) in verifiers.iter().enumerate() {
        project = project.child(verify(name, *verifier, at == 0).gap());
    }
    render("The repository's file for `loop`. `loop init` wrote it; change what does not fit.", vec![project])
}

/// Commands that make a new worktree ready.
fn worktree(found: &[Found]) -> Option<Line> {
    let prepares: Vec<&Vec<String>> = found.iter().filter_map(|kind| kind.prepare.as_ref()).collect();
    let says = "Runs first in each of them. It may use the network, which verifiers may not.";
    let prepare = match prepares.as_slice() {
        [] => return None,
        [one] => one.iter().fold(Line::new("prepare", says), |line, word| line.word(word)),
        several => {
            let script: Vec<String> = several.iter().map(|words| words.join(" ")).collect();
            Line::new("prepare", says).word("sh").word("-c").text(&script.join(" && "))
        }
    };
    Some(
        Line::new("worktree", "The directories that agents and verifiers work in, outside your checkout.")
            .child(prepare),
    )
}

/// What holds for every verifier is said at the first.
fn verify(name: &str, verifier: Option<&Verifier>, first: bool) -> Line {
    let Some(verifier) = verifier else {
        let shell = Line::new("shell", "An example. Put the command here that says whether your repository is good; exit code 0 means yes.")
            .text("! grep -rnIE '^(<<<<<<<|>>>>>>>) ' .");
        return Line::new("verifier", "No file holds the marks of an unfinished merge.")
            .word(name)
            .child(shell);
    };
    let mut line = Line::new("verifier", verifier.says).word(name);
    line = line.child(verifier.run.iter().fold(
        Line::new("run", if first { "The command, word for word; there is no shell." } else { "" }),
        |line, word| line.word(word),
    ));
    for (at, tool) in verifier.tools.iter().enumerate() {
        let says =
            if first && at == 0 { "With another version of the tool, the check runs again." } else { "" };
        line = line.child(tool.iter().fold(Line::new("tool", says), |line, word| line.word(word)));
    }
    line
}

/// The text of the example plan.
pub(super) fn example(facts: &Facts) -> String {
    let criterion = Line::new("accept", "When it is done, in words, and how `loop` sees that it is.")
        .text("it begins with a heading and names the repository's parts")
        .child(
            Line::new("matches", "A file, and a regular expression that must be found in it.")
                .text(facts.target)
                .text("(?s)^# .*\\n## "),
        );
    let unit = Line::new("unit", "One piece of work: one prompt, one commit.")
        .word("overview")
        .child(Line::new("goal", "What there is when it is done.").text("One page tells a newcomer what this repository is for and where things are."))
        .child(Line::new("creates", "It must write this file. Nothing but what is named here may change.").text(facts.target))
        .child(criterion)
        .child(
            Line::new("prompt", "Whatever else the agent has to know.")
                .text("Write one title (#) and a section (##) for each important part. Read the code first, and name real paths only."),
        );
    let feature =
        Line::new("feature", "A plan is about one feature. Its commits go to the branch loop/example.")
            .word("example")
            .child(
                Line::new("goal", "What the whole is for; it stands in every prompt.")
                    .text("Newcomers find their way in this repository."),
            )
            .child(unit.gap());
    render(
        "An example of a plan. Check it with `loop doctor`, run it with `loop exec`, and write your own.",
        vec![feature],
    )
}

/// An id made of the directory's name.
fn name(directory: &str) -> String {
    let kept: String = directory
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() || "._-".contains(c) { c } else { '-' })
        .skip_while(|c| !c.is_ascii_alphanumeric())
        .take(56)
        .collect();
    let starts_well = kept.starts_with(|c: char| c.is_ascii_alphabetic());
    match kept.trim_end_matches(['.', '-']).replace("..", ".") {
        kept if kept.is_empty() => "project".to_owned(),
        kept if starts_well => kept,
        kept => format!("project-{kept}"),
    }
}

/// A node, before it has a place.
struct Line {
    node: KdlNode,
    comment: String,
    children: Vec<Line>,
    gap: bool,
}

impl Line {
    fn new(name: &str, comment: &str) -> Line {
        Line { node: KdlNode::new(name), comment: comment.to_owned(), children: Vec::new(), gap: false }
    }

    /// An argument: bare if it can be, as names are.
    fn word(self, word: &str) -> Line {
        let repr = if is_bare(word) { word.to_owned() } else { quoted(word) };
        self.entry(KdlEntry::new(word), repr)
    }

    fn words(self, words: &[&str]) -> Line {
        words.iter().fold(self, |line, word| line.word(word))
    }

    /// An argument in quotes, as texts and paths are.
    fn text(self, text: &str) -> Line {
        self.entry(KdlEntry::new(text), quoted(text))
    }

    fn word_property(self, key: &str, word: &str) -> Line {
        self.entry(KdlEntry::new_prop(key, word), word.to_owned())
    }

    fn text_property(self, key: &str, text: &str) -> Line {
        self.entry(KdlEntry::new_prop(key, text), quoted(text))
    }

    fn number(self, key: &str, number: i128) -> Line {
        self.entry(KdlEntry::new_prop(key, KdlValue::Integer(number)), number.to_string())
    }

    fn entry(mut self, mut entry: KdlEntry, value_repr: String) -> Line {
        entry.set_format(KdlEntryFormat {
            value_repr,
            leading: " ".to_owned(),
            autoformat_keep: true,
            ..KdlEntryFormat::default()
        });
        self.node.push(entry);
        self
    }

    fn child(mut self, child: Line) -> Line {
        self.children.push(child);
        self
    }

    /// With an empty line before it.
    fn gap(mut self) -> Line {
        self.gap = true;
        self
    }

    fn build(mut self, depth: usize) -> KdlNode {
        let indent = " ".repeat(4 * depth);
        let gap = if self.gap { "\n" } else { "" };
        let comment =
            if self.comment.is_empty() { String::new() } else { format!("{indent}// {}\n", self.comment) };
        self.node.set_format(KdlNodeFormat {
            leading: format!("{gap}{comment}{indent}"),
            before_children: " ".to_owned(),
            terminator: "\n".to_owned(),
            ..KdlNodeFormat::default()
        });
        if !self.children.is_empty() {
            let mut children = KdlDocument::new();
            children.nodes_mut().extend(self.children.into_iter().map(|child| child.build(depth + 1)));
            self.node.set_children(children);
        }
        self.node
    }
}

fn render(title: &str, lines: Vec<Line>) -> String {
    let mut document = KdlDocument::new();
    document.nodes_mut().extend(lines.into_iter().map(|line| line.build(0)));
    format!("// {title}\n\n{document}")
}

/// May it stand without quotes? Stricter than KDL: what reads like a number, a path or a text gets quotes.
fn is_bare(word: &str) -> bool {
    let rest = word.trim_start_matches('-');
    rest.starts_with(|c: char| c.is_ascii_alphabetic())
        && rest.chars().all(|c| c.is_ascii_alphanumeric() || "-_".contains(c))
        && !["true", "false", "null", "inf", "nan"].contains(&rest)
}

/// A string of KDL.
fn quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            '\n' => out.push_str("\\n"),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn directories_become_ids() {
        for (directory, id) in [
            ("shop", "shop"),
            ("my shop (old)", "my-shop--old"),
            ("2026", "project-2026"),
            (".dotfiles", "dotfiles"),
            ("..", "project"),
            ("", "project"),
            ("größe", "gr--e"),
        ] {
            assert_eq!(name(directory), id);
        }
    }

    #[test]
    fn what_is_written_reads_back_as_it_was_meant() {
        for text in ["plain", "--all", "./...", "a \"b\" \\ c", "true", "-1", "(?s)^# .*\\n## "] {
            let written = render("x", vec![Line::new("node", "c").word(text).text(text)]);
            let read: KdlDocument = written.parse().unwrap();
            let values: Vec<_> =
                read.nodes()[0].entries().iter().map(|entry| entry.value().as_string()).collect();
            assert_eq!(values, [Some(text), Some(text)], "{written}");
        }
    }
}
