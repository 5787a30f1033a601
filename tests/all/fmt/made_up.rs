//! Sound plans made up at random, in any layout that KDL allows.
//!
//! Does not know the layout that they should have.

use proptest::prelude::*;

/// The project file that the plans are written for.
pub(super) const PROJECT: &str = "project p {\n    agent w via=command { run \"./a.sh\"; }\n    defaults agent=w { verify test; }\n    \
                                  verifier test { param filter type=text default=\"\"; run verify-all \"${filter}\"; }\n}\n";

/// A node before its layout: its words, then its block.
#[derive(Clone, Debug)]
struct Node {
    words: Vec<String>,
    children: Vec<Node>,
}

fn leaf(words: &[&str]) -> Node {
    Node { words: words.iter().map(|word| (*word).to_owned()).collect(), children: Vec::new() }
}

/// The contents of one unit, which may need those before it.
#[derive(Clone, Debug)]
struct Unit {
    goal: String,
    paths: usize,
    needs: Vec<prop::sample::Index>,
    prompt: Option<(String, String)>,
    matches: bool,
    filter: Option<String>,
    step: bool,
}

fn words() -> impl Strategy<Value = String> {
    "[a-zäß{};/#=é ]{0,60}[a-z]"
}

fn unit() -> impl Strategy<Value = Unit> {
    (
        words(),
        1..6_usize,
        prop::collection::vec(any::<prop::sample::Index>(), 0..3),
        prop::option::of((words(), words())),
        any::<bool>(),
        prop::option::of("[a-z:]{1,9}"),
        any::<bool>(),
    )
        .prop_map(|(goal, paths, needs, prompt, matches, filter, step)| Unit {
            goal,
            paths,
            needs,
            prompt,
            matches,
            filter,
            step,
        })
}

fn quoted(text: &str) -> String {
    format!("\"{text}\"")
}

fn unit_node(at: usize, unit: &Unit) -> Node {
    let mut children = vec![leaf(&["goal", &quoted(&unit.goal)])];
    let mut creates = leaf(&["creates"]);
    creates.words.extend((0..unit.paths).map(|path| quoted(&format!("src/part-{at}/file-{path}.rs"))));
    children.push(creates);
    let mut needs: Vec<usize> =
        if at == 0 { Vec::new() } else { unit.needs.iter().map(|index| index.index(at)).collect() };
    needs.sort_unstable();
    needs.dedup();
    if !needs.is_empty() {
        let mut node = leaf(&["needs"]);
        node.words.extend(needs.iter().map(|need| format!("u{need}")));
        children.push(node);
    }
    if let Some((first, second)) = &unit.prompt {
        // `\u{1}` becomes a line break with a margin that the layout picks.
        let text = format!("\"\"\"\u{1}{}\u{1}\u{1}  {}\u{1}\"\"\"", first.trim(), second.trim());
        children.push(leaf(&["prompt", &text]));
    }
    let mut accept = leaf(&["accept", &quoted("it is there")]);
    if unit.matches {
        accept.children.push(leaf(&["exists", &quoted(&format!("src/part-{at}/file-0.rs"))]));
        accept.children.push(leaf(&["unchanged", "\"Cargo.lock\""]));
    } else {
        accept.words.push("by=test".to_owned());
    }
    children.push(accept);
    if let Some(filter) = &unit.filter {
        children.push(leaf(&["verify", "test", &format!("filter={}", quoted(filter))]));
    }
    if unit.step {
        children.push(leaf(&["step", "#\"one \\ \"two\"\"#"]));
    }
    Node { words: vec!["unit".to_owned(), format!("u{at}")], children }
}

/// Plan text: the tree, printed with whatever `choices` say.
pub(super) fn plan() -> impl Strategy<Value = String> {
    (prop::collection::vec(unit(), 1..6), prop::collection::vec(any::<u8>(), 16..64)).prop_map(
        |(units, choices)| {
            let mut feature = leaf(&["feature", "F-1", "title=\"made up\""]);
            feature.children = units.iter().enumerate().map(|(at, unit)| unit_node(at, unit)).collect();
            let mut layout = Layout { choices, next: 0, out: String::new() };
            layout.node(&feature);
            layout.out
        },
    )
}

struct Layout {
    choices: Vec<u8>,
    next: usize,
    out: String,
}

impl Layout {
    fn pick<'a>(&mut self, from: &[&'a str]) -> &'a str {
        self.next += 1;
        let choice = self.choices[self.next % self.choices.len()] as usize + self.next / self.choices.len();
        from[choice % from.len()]
    }

    fn node(&mut self, node: &Node) {
        let before =
            self.pick(&["", "", "  ", "\t", "    ", "/* note */ ", "/-gone { x; }\n", "\n\n", "// note\n"]);
        self.out.push_str(before);
        for (at, word) in node.words.iter().enumerate() {
            if at > 0 {
                let between = self.pick(&[
                    " ",
                    " ",
                    "  ",
                    "\t",
                    " \\\n",
                    " \\ // why\n    ",
                    " /* c */ ",
                    " /-gone ",
                    " /- x=1 ",
                    "\u{A0}",
                ]);
                self.out.push_str(between);
            }
            let margin = self.pick(&["", "  ", "\t", "        "]);
            let word = word.replace('\u{1}', &format!("\n{margin}"));
            match word.split_once('=').filter(|_| !word.starts_with(['"', '#'])) {
                Some((key, value)) => {
                    let equals = self.pick(&["=", "=", " = ", "= "]);
                    self.out.push_str(&format!("{key}{equals}{value}"));
                }
                None => self.out.push_str(&word),
            }
        }
        if !node.children.is_empty() {
            let open = self.pick(&[" { ", " {\n", "{", " {\n\n", " { // note\n", " /-{ x; } {\n"]);
            self.out.push_str(open);
            for child in &node.children {
                self.node(child);
            }
            let close = self.pick(&["}", " }", "\n}", "\n// note\n}"]);
            self.out.push_str(close);
        }
        let end = self.pick(&["\n", ";", " ;\n", "\n\n\n", " // note\n", "; /* note */ ", "\r\n"]);
        self.out.push_str(end);
    }
}
