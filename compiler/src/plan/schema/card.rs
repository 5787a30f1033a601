//! The author's card: the whole language on two pages, from the schema table.
//!
//! Does not know what the nodes mean; their lines are the table's.

use std::fmt::Write;

use super::{Arguments, NodeSpec, Open, PLAN_FILE, PROJECT_FILE, Property, Since, Type, places};

/// Lines that an author, human or agent, is asked to read at most (rule 30 of the language).
pub const LINES: usize = 150;
/// Columns.
const WIDTH: usize = 120;
/// Where the words behind a node begin.
const WORDS: usize = 44;

const HEAD: &str = "\
Plans for loopc, on one card. A feature's plan is a file NAME.loop.kdl; what plans share stands in loop.kdl at the root.

  node NAMES-OR-TEXT key=value { more }    one line says one thing; `;` ends a node too, `//` and `/* */` are comments
  NAME      bare: a letter or digit, then letters, digits, . _ -; in quotes if it begins with a digit
  TEXT      in quotes; raw: #\"...\"#; several lines: \"\"\" on lines of its own around them
  PATH      in quotes, from the repository's root, or with ./ from the file it stands in; GLOB: also * ** ? [ab] {a,b}
  TIME \"1h30m\"   DATE \"2027-01-31\"   USD 2.5   REGEX as in ripgrep   REF \"path\" or \"path#Heading\"   no true, false, null
  node*     may stand several times, and adds up        key=X!  must be given        X...  one or more
";

/// The card. Nodes of which this version knows only the name are left out.
pub fn card() -> String {
    let mut out = HEAD.to_owned();
    let places: Vec<_> = places().into_iter().filter(|(_, child)| child.since == Since::Now).collect();
    let mut shown: Vec<*const NodeSpec> = Vec::new();
    let mut parents: Vec<&'static NodeSpec> = Vec::new();
    for (parent, _) in &places {
        if parent.since == Since::Now && !parents.iter().any(|known| std::ptr::eq(*known, *parent)) {
            parents.push(parent);
        }
    }
    for parent in parents {
        let children = places.iter().filter(|(of, _)| std::ptr::eq(*of, parent)).map(|(_, child)| *child);
        let (known, new): (Vec<_>, Vec<_>) =
            children.partition(|child| shown.contains(&std::ptr::from_ref(*child)));
        let _ = writeln!(out, "\n{}", title(parent));
        for child in new {
            shown.push(std::ptr::from_ref(child));
            line(&mut out, &signature(child), child.doc);
        }
        if !known.is_empty() {
            let names: Vec<_> = known.iter().map(|child| name(child)).collect();
            wrapped(&mut out, "  as above: ", &names.join(" "), 4);
        }
    }
    out
}

fn title(parent: &'static NodeSpec) -> String {
    if std::ptr::eq(parent, &PLAN_FILE) {
        "IN NAME.loop.kdl".to_owned()
    } else if std::ptr::eq(parent, &PROJECT_FILE) {
        "IN loop.kdl".to_owned()
    } else {
        format!("IN {}", parent.name)
    }
}

fn name(node: &NodeSpec) -> String {
    format!("{}{}", node.name, if node.many { "*" } else { "" })
}

/// `verify* NAME... expect=fail PARAMETER=VALUE`.
fn signature(node: &NodeSpec) -> String {
    let mut words = vec![name(node)];
    words.extend(arguments(&node.arguments));
    words.extend(node.properties.iter().filter(|property| property.since == Since::Now).map(written));
    match node.open {
        Open::Closed => {}
        Open::Parameters => words.push("PARAMETER=VALUE".to_owned()),
        Open::Renames => words.push("LOCAL=NAME".to_owned()),
    }
    words.join(" ")
}

fn arguments(arguments: &Arguments) -> Vec<String> {
    let last = arguments.positions.len().saturating_sub(1);
    let word = |(at, argument): (usize, &super::Argument)| {
        let many = if arguments.repeats && at == last { "..." } else { "" };
        let word = format!("{}{many}", kind(argument.ty));
        if at < arguments.required { word } else { format!("[{word}]") }
    };
    arguments.positions.iter().enumerate().map(word).collect()
}

fn written(property: &Property) -> String {
    format!("{}={}{}", property.name, kind(property.ty), if property.required { "!" } else { "" })
}

fn kind(ty: Type) -> String {
    let kind = match ty {
        Type::Id | Type::Name | Type::Kind => "NAME",
        Type::Text => "TEXT",
        Type::Path => "PATH",
        Type::Glob => "GLOB",
        Type::Reference => "REF",
        Type::Regex => "REGEX",
        Type::Variable => "VARIABLE",
        Type::Count(..) => "N",
        Type::Money => "USD",
        Type::Duration => "TIME",
        Type::Date => "DATE",
        Type::Argv => "WORD",
        Type::Value => "VALUE",
        Type::Word(words) => {
            let words = words.iter().filter(|word| word.since == Since::Now).map(|word| word.name);
            return words.collect::<Vec<_>>().join("|");
        }
    };
    kind.to_owned()
}

fn line(out: &mut String, signature: &str, doc: &str) {
    let mut head = String::new();
    wrapped(&mut head, "  ", signature, 6);
    let head = head.trim_end();
    let column = head.lines().last().map_or(0, |last| last.chars().count());
    let gap = if column < WORDS { WORDS - column } else { 3 };
    let behind = format!("{head}{}", " ".repeat(gap));
    wrapped(out, &behind, doc, WORDS);
}

/// `text` behind `head`, further lines indented.
fn wrapped(out: &mut String, head: &str, text: &str, indent: usize) {
    let mut column = head.lines().last().map_or(0, |last| last.chars().count());
    out.push_str(head);
    let mut first = true;
    for word in text.split(' ') {
        let width = word.chars().count();
        if column + 1 + width > WIDTH && column > indent {
            let kept = out.trim_end_matches(' ').len();
            out.truncate(kept);
            let _ = write!(out, "\n{}", " ".repeat(indent));
            column = indent;
        } else if !first {
            out.push(' ');
            column += 1;
        }
        out.push_str(word);
        column += width;
        first = false;
    }
    out.push('\n');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_card_is_short_narrow_and_complete() {
        let card = card();
        assert!(card.lines().count() <= LINES, "{} lines\n{card}", card.lines().count());
        for line in card.lines() {
            assert!(line.chars().count() <= WIDTH, "{line}");
            assert_eq!(line.trim_end(), line);
        }
        for (parent, child) in places() {
            if parent.since == Since::Now && child.since == Since::Now {
                let section =
                    card.split("\nIN ").find(|section| section.lines().next() == title(parent).get(3..));
                let section = section.unwrap_or_else(|| panic!("no section for {}", parent.name));
                let listed = section.lines().skip(1).flat_map(|line| line.split(' '));
                assert!(
                    listed.into_iter().any(|word| word.trim_end_matches('*') == child.name),
                    "{} in {}",
                    child.name,
                    parent.name
                );
            }
        }
    }
}
