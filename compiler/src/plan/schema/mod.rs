//! The schema: what a node, an argument, a property and a value can be, and where each node may stand.
//!
//! Does not know any plan, nor what the nodes mean. Validation, did-you-mean and the reference card read the table.

mod card;
#[cfg(test)]
mod fixture;
mod table;

pub use card::{LINES as CARD_LINES, card};
pub use table::{PARAMETER, PLAN_FILE, PROJECT_FILE};

/// A node as it may stand in one kind of parent.
#[derive(Debug)]
pub struct NodeSpec {
    pub name: &'static str,
    pub arguments: Arguments,
    pub properties: &'static [Property],
    pub children: &'static [&'static NodeSpec],
    /// May it stand more than once in one parent? Then its repetitions add up.
    pub many: bool,
    pub open: Open,
    pub since: Since,
    /// One line: what it says.
    pub doc: &'static str,
}

/// Whether this version acts on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Since {
    Now,
    /// Part of the language, refused for now; what to do meanwhile, as an imperative.
    NotYet(&'static str),
}

/// Whether names beyond the table may stand in a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Open {
    Closed,
    /// Properties and child nodes are parameters of what the first argument names.
    Parameters,
    /// Properties are `local=exported` names.
    Renames,
}

/// The arguments of a node, by position.
#[derive(Clone, Copy, Debug)]
pub struct Arguments {
    pub positions: &'static [Argument],
    /// How many of them must be there.
    pub required: usize,
    /// The last one may be repeated.
    pub repeats: bool,
}

#[derive(Clone, Copy, Debug)]
pub struct Argument {
    /// What it is, with an article: "a path".
    pub what: &'static str,
    pub ty: Type,
}

#[derive(Clone, Copy, Debug)]
pub struct Property {
    pub name: &'static str,
    pub ty: Type,
    pub required: bool,
    pub since: Since,
    pub doc: &'static str,
}

/// One word of a choice.
#[derive(Clone, Copy, Debug)]
pub struct Word {
    pub name: &'static str,
    pub since: Since,
}

/// What a value must be.
#[derive(Clone, Copy, Debug)]
pub enum Type {
    /// A new id.
    Id,
    /// The id of something that stands elsewhere.
    Name,
    /// A kind of work; any id but the words listed is taken as it stands.
    Kind,
    /// A text that is not empty.
    Text,
    Path,
    Glob,
    /// A path, or a path and a heading: `path#Heading`.
    Reference,
    Regex,
    /// The name of an environment variable.
    Variable,
    Word(&'static [Word]),
    /// A whole number within these bounds.
    Count(u64, u64),
    /// US dollars, at most six decimals.
    Money,
    /// `1h30m`, `45m`, `500ms`.
    Duration,
    /// A day: `2027-01-31`.
    Date,
    /// A word of a command: taken as written.
    Argv,
    /// A parameter's value: a text or a number.
    Value,
}

pub const MANUAL_KIND: &str = "manual";
pub const DEFAULT_KIND: &str = "code";
/// The kind of a unit that may write plan files.
pub const PLAN_KIND: &str = "plan";

impl NodeSpec {
    /// The child of this name.
    pub fn child(&self, name: &str) -> Option<&'static NodeSpec> {
        // Asked for each node of a plan: most names are told apart by their length and first letter.
        let first = name.as_bytes().first();
        let near =
            |child: &&&NodeSpec| child.name.len() == name.len() && child.name.as_bytes().first() == first;
        self.children.iter().filter(near).find(|child| child.name == name).copied()
    }

    /// The property of this name.
    pub fn property(&self, name: &str) -> Option<&'static Property> {
        self.properties.iter().find(|property| property.name == name)
    }

    /// Its only argument repeats: `needs a b`.
    pub fn is_list(&self) -> bool {
        self.arguments.repeats
    }
}

/// Every pair of parent and node in the table, parents first; each parent once.
pub fn places() -> Vec<(&'static NodeSpec, &'static NodeSpec)> {
    let mut parents: Vec<&'static NodeSpec> = vec![&PLAN_FILE, &PROJECT_FILE];
    let mut found = Vec::new();
    let mut next = 0;
    while let Some(&parent) = parents.get(next) {
        next += 1;
        for &child in parent.children {
            found.push((parent, child));
            if !child.children.is_empty() && !parents.iter().any(|known| std::ptr::eq(*known, child)) {
                parents.push(child);
            }
        }
    }
    found
}

/// The nodes of this version in which a node called `name` may stand, without repetition.
pub fn parents_of(name: &str) -> Vec<&'static str> {
    let mut found: Vec<&'static str> = Vec::new();
    for (parent, child) in places() {
        if child.name == name && parent.since == Since::Now && !found.contains(&parent.name) {
            found.push(parent.name);
        }
    }
    found
}
