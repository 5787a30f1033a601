//! What nobody uses: definitions, imports, and `lint` nodes that lower nothing.
//!
//! Does not know one plan alone: what plans share is used if one of them uses it, and only when all plans of the
//! project were looked at can it be said that none does.

use std::collections::{BTreeMap, BTreeSet};

use super::edit;
use super::lint::{Levels, written};
use crate::diagnostic::{Applicability, Diagnostic, PROBED, Severity};
use crate::plan::{Declared, DeclaredKind, Lint, Plan};
use crate::source::{FileId, SourceMap, Span};

/// What the plans of one project use, put together plan by plan.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    project: Option<FileId>,
    plans: Vec<FileId>,
    /// Files that say what is used only in part, because something in them could not be read.
    spoiled: BTreeSet<FileId>,
    /// By the place of the name.
    declared: BTreeMap<Span, Declared>,
    used_definitions: BTreeSet<Span>,
    lints: Vec<Lint>,
    used_lints: BTreeSet<Span>,
}

impl Tally {
    /// Adds a plan, what was found before its rules were looked at, and the `lint` nodes that lowered something.
    pub(super) fn add(&mut self, plan: &Plan, earlier: &[Diagnostic], used_lints: BTreeSet<Span>) {
        self.project = self.project.or(plan.project.as_ref().map(|project| project.file));
        let Some(feature) = &plan.feature else { return };
        self.plans.push(feature.file);
        if earlier.iter().any(|found| found.severity == Severity::Error) {
            self.spoiled.insert(feature.file);
        }
        for declared in &plan.declared {
            if declared.used {
                self.used_definitions.insert(declared.definition);
            }
            let known = self.declared.entry(declared.name.span).or_insert_with(|| declared.clone());
            known.used |= declared.used;
        }
        self.lints.extend(plan.lints.iter().cloned());
        self.used_lints.extend(used_lints);
    }

    /// What nobody uses. `whole`: every plan of the project was added. Also given back: findings of rules that must be
    /// asked for.
    pub(crate) fn finish(self, whole: bool, map: &SourceMap) -> (Vec<Diagnostic>, Vec<Diagnostic>) {
        let whole = whole && !self.plans.is_empty() && self.spoiled.is_empty();
        let judged = |file: FileId| match Some(file) == self.project {
            true => whole,
            false => self.plans.contains(&file) && !self.spoiled.contains(&file),
        };
        // What `loop.kdl` offers is a stock for plans to come: that none of them takes it yet is told on request.
        let (mut found, mut stock) = (Vec::new(), Vec::new());
        let mut imports: BTreeMap<Span, Vec<&Declared>> = BTreeMap::new();
        for declared in self.declared.values().filter(|declared| judged(declared.name.span.file)) {
            match declared.import {
                Some((_, node)) => imports.entry(node).or_default().push(declared),
                None if declared.used || self.used_definitions.contains(&declared.definition) => {}
                None if Some(declared.name.span.file) == self.project => {
                    stock.push(definition(declared, true))
                }
                None => found.push(definition(declared, false)),
            }
        }
        for (node, names) in &imports {
            let list = if Some(node.file) == self.project { &mut stock } else { &mut found };
            list.extend(import(*node, names, map));
        }
        let mut levels = Levels::new(&self.lints, map);
        let mut unasked = levels.apply(&mut found);
        let (mut asked, quiet): (Vec<_>, Vec<_>) = stock.into_iter().partition(|found| levels.sets(found));
        unasked.extend(levels.apply(&mut asked));
        found.extend(asked);
        unasked.extend(quiet.into_iter().map(|found| Diagnostic { severity: Severity::Note, ..found }));
        let used: BTreeSet<Span> = self.used_lints.union(&levels.used).copied().collect();
        let mut seen = BTreeSet::new();
        let idle = |lint: &&Lint| {
            judged(map.written(lint.span.file))
                && lint.level != crate::diagnostic::Level::Deny
                && !used.contains(&written(lint.span, map))
                && lint.rule.value != "unused-allow"
                // Whether it lowers something shows only when checks run.
                && crate::diagnostic::rule(&lint.rule.value).is_none_or(|rule| rule.family() != PROBED)
        };
        // One that raises is about what may come.
        let lowering = |lint: &&Lint| lint.lowers || lint.level == crate::diagnostic::Level::Allow;
        let mut idle: Vec<Diagnostic> = self
            .lints
            .iter()
            .filter(idle)
            .filter(lowering)
            .filter(|lint| seen.insert(written(lint.span, map)))
            .map(|lint| unused_lint(lint, map))
            .collect();
        unasked.extend(Levels::new(&self.lints, map).apply(&mut idle));
        found.extend(idle);
        (found, unasked)
    }
}

fn definition(declared: &Declared, shared: bool) -> Diagnostic {
    let (rule, what) = match declared.what {
        DeclaredKind::Verifier => ("unused-verifier", "verifier"),
        DeclaredKind::Reviewer => ("unused-reviewer", "reviewer"),
        DeclaredKind::Agent => ("unused-agent", "agent"),
        DeclaredKind::Template => ("unused-template", "template"),
    };
    let name = &declared.name.value;
    let message = match shared {
        true => format!("no plan of the project uses the {what} `{name}`"),
        false => format!("nothing uses the {what} `{name}`"),
    };
    let found = Diagnostic::new(rule, declared.name.span, message).at("never named");
    match declared.what {
        DeclaredKind::Verifier => {
            found.help(format!("let it check something: `verify {name}`, or `by={name}` at a criterion"))
        }
        DeclaredKind::Reviewer => found.help(format!("ask for it: `review {name}`")),
        DeclaredKind::Template => found.help(format!("expand it: `use {name} as=ID`")),
        DeclaredKind::Agent => found.help(format!("give it work: `agent={name}` at a unit or in `defaults`")),
    }
    .help("or remove it")
}

/// One finding for one `import` node, whatever number of its names is unused.
fn import(node: Span, names: &[&Declared], map: &SourceMap) -> Option<Diagnostic> {
    let unused: Vec<&&Declared> = names.iter().filter(|name| !name.used).collect();
    let (first, rest) = unused.split_first()?;
    let list = unused.iter().map(|name| format!("`{}`", name.name.value)).collect::<Vec<_>>();
    let message = match list.as_slice() {
        [one] => format!("{one} is imported, and nothing uses it"),
        [all @ .., last] => format!("{} and {last} are imported, and nothing uses them", all.join(", ")),
        [] => return None,
    };
    let mut found = Diagnostic::new("unused-import", first.name.span, message).at("never named");
    for other in rest {
        found = found.label(other.name.span, "never named");
    }
    let (title, edits) = if unused.len() == names.len() {
        ("remove the import", vec![edit::remove_node(node, map)])
    } else {
        let entries = unused.iter().filter_map(|name| name.import.map(|(entry, _)| entry));
        ("remove what is unused", entries.map(|entry| edit::remove_entry(entry, map)).collect())
    };
    Some(found.fix(title, Applicability::Safe, edits))
}

fn unused_lint(lint: &Lint, map: &SourceMap) -> Diagnostic {
    let rule = &lint.rule.value;
    let on = crate::diagnostic::rule(rule).is_none_or(|rule| rule.on);
    let message = match (&lint.within, on) {
        (_, false) => format!("`{rule}` is not reported anyway, unless it is asked for"),
        (None, _) => format!("`lint {rule}` lowers nothing: no plan breaks this rule"),
        (Some(_), _) => format!("`lint {rule}` lowers nothing: the rule is not broken here"),
    };
    Diagnostic::new("unused-allow", written(lint.rule.span, map), message)
        .at("not needed")
        .help("remove it, so that the rule speaks up when it is broken one day")
        .fix("remove it", Applicability::Safe, vec![edit::remove_node(written(lint.span, map), map)])
}

#[cfg(test)]
mod tests {
    use crate::check::testing::{compiled, project, told};
    use crate::diagnostic::render::short;

    const PLAN: &str = "feature f {\n    unit u { goal \"g\"; writes \"a\"; verify test; }\n}\n";

    #[test]
    fn what_a_plan_defines_and_nothing_names_is_told() {
        let plan = format!("{PLAN}verifier one {{ run one; }}\nagent two via=claude\n");
        assert_eq!(
            told(&[("loop.kdl", &project("")), ("p.loop.kdl", &plan)]),
            [
                "p.loop.kdl:4:10: warning[L0615/unused-verifier]: nothing uses the verifier `one`",
                "p.loop.kdl:5:7: warning[L0617/unused-agent]: nothing uses the agent `two`",
            ]
        );
        let by = plan.replace("verify test", "accept \"x\" by=one").replace("unit u {", "unit u agent=two {");
        assert_eq!(told(&[("loop.kdl", &project("")), ("p.loop.kdl", &by)]), [] as [&str; 0]);
        let defaults = plan.replace("unit u {", "defaults kind=docs agent=two { verify one; }\n    unit u {");
        assert_eq!(
            told(&[("loop.kdl", &project("")), ("p.loop.kdl", &defaults)]),
            [] as [&str; 0],
            "for units to come"
        );
    }

    #[test]
    fn templates_are_used_by_plans_and_by_templates() {
        let template = |id: &str, more: &str| {
            format!("template {id} {{ unit x {{ goal \"g\"; creates \"{id}\"; verify test; }}\n{more} }}\n")
        };
        let plan = |using: &str| {
            format!(
                "{}{}{}",
                template("one", ""),
                template("two", "use one as=i"),
                PLAN.replace("unit u", &format!("{using}\n    unit u"))
            )
        };
        let told = |text: &str| told(&[("loop.kdl", &project("")), ("p.loop.kdl", text)]);
        assert_eq!(told(&plan("use two as=t")), [] as [&str; 0]);
        assert_eq!(
            told(&plan("")),
            ["p.loop.kdl:3:10: warning[L0618/unused-template]: nothing uses the template `two`"]
        );
    }

    /// A `lint` of the template holds in each expansion, one around the `use` for what it makes; one of them that is
    /// needed in one expansion is needed.
    #[test]
    fn lints_and_templates() {
        let template = |lint: &str| {
            format!(
                "template t {{\n    param checks type=list default=\"\"\n    unit x {{ goal \"g\"; creates \"${{checks}}\"; {lint}\n }}\n}}\n"
            )
        };
        let told = |lint: &str, gate: &str, uses: &str| {
            let text = format!("{}feature f {{\n    gate g {{ {gate}\n{uses}\n }}\n}}\n", template(lint));
            told(&[("loop.kdl", &project("")), ("p.loop.kdl", &text)])
        };
        let two = "use t as=a { checks a.txt; }; use t as=b { checks b.txt; }";
        let allow = "lint no-verification level=allow reason=\"r\"";
        assert_eq!(told("", "", two).len(), 1, "the same in both, told once");
        assert_eq!(told(allow, "", two), [] as [&str; 0]);
        assert_eq!(told("", allow, two), [] as [&str; 0]);
        let idle = told(&format!("verify test; {allow}"), "", two);
        assert_eq!(idle.len(), 1, "{idle:#?}");
        assert!(idle[0].contains("unused-allow"), "{idle:#?}");
    }

    #[test]
    fn another_plan_may_be_the_one_that_uses_it() {
        let plan = format!("{PLAN}verifier one {{ run one; }}\n");
        let other = "import \"./p.loop.kdl\" one\nfeature g {\n    unit u { goal \"g\"; writes \"a\"; verify one; }\n}\n";
        assert_eq!(
            told(&[("loop.kdl", &project("")), ("p.loop.kdl", &plan), ("q.loop.kdl", other)]),
            [] as [&str; 0]
        );
        let library = "verifier one { run one; }\n";
        assert_eq!(
            told(&[("loop.kdl", &project("")), ("p.loop.kdl", PLAN), ("l.loop.kdl", library)]),
            [] as [&str; 0]
        );
    }

    #[test]
    fn imports_are_told_once_a_node_with_the_edit() {
        let library = "verifier one { run one; }\nverifier two { run two; }\nagent three via=claude\n";
        let with = |import: &str| {
            let plan = format!("{import}\n{}", PLAN.replace("verify test", "verify test one"));
            let compiled =
                compiled(&[("loop.kdl", &project("")), ("l.loop.kdl", library), ("p.loop.kdl", &plan)]);
            let edit = compiled.diagnostics.iter().flat_map(|found| &found.fixes).flat_map(|fix| &fix.edits);
            let mut text = plan.clone();
            for edit in edit.collect::<Vec<_>>().into_iter().rev() {
                text.replace_range(edit.span.start as usize..edit.span.end as usize, &edit.text);
            }
            let first = text.lines().next().unwrap_or_default().to_owned();
            (short(&compiled.diagnostics, &compiled.map).trim_end().to_owned(), first)
        };
        assert_eq!(
            with("import \"./l.loop.kdl\" one"),
            (String::new(), "import \"./l.loop.kdl\" one".to_owned())
        );
        assert_eq!(
            with("import \"./l.loop.kdl\" second=two one three"),
            (
                "p.loop.kdl:1:23: warning[L0616/unused-import]: `second` and `three` are imported, and nothing uses them"
                    .to_owned(),
                "import \"./l.loop.kdl\" one".to_owned()
            )
        );
        let (told, text) = with("import \"./l.loop.kdl\" two\nimport \"./l.loop.kdl\" one");
        assert!(
            told.starts_with("p.loop.kdl:1:23: warning[L0616/unused-import]: `two` is imported"),
            "{told}"
        );
        assert_eq!(text, "import \"./l.loop.kdl\" one", "a node without a name goes as a whole");
    }

    #[test]
    fn what_loop_kdl_offers_is_a_stock() {
        let stock = project("    verifier spare { run spare; }\n    agent other via=claude\n");
        let compiled = compiled(&[("loop.kdl", &stock), ("p.loop.kdl", PLAN)]);
        assert_eq!(compiled.diagnostics, []);
        assert_eq!(
            short(&compiled.unasked, &compiled.map),
            "loop.kdl:5:14: note[L0615/unused-verifier]: no plan of the project uses the verifier `spare`\n\
             loop.kdl:6:11: note[L0617/unused-agent]: no plan of the project uses the agent `other`\n"
        );
        let asked = stock.replace("agent other", "lint unused-agent level=deny\n    agent other");
        assert_eq!(
            told(&[("loop.kdl", &asked), ("p.loop.kdl", PLAN)]),
            ["loop.kdl:7:11: error[L0617/unused-agent]: no plan of the project uses the agent `other`"]
        );
    }

    #[test]
    fn a_lint_that_lowers_nothing_is_told_where_all_is_known() {
        let lint = "    lint no-verification level=warn reason=\"r\"\n";
        let idle = [
            "loop.kdl:5:10: warning[L0620/unused-allow]: `lint no-verification` lowers nothing: no plan breaks this rule",
        ];
        let needs = "feature g {\n    unit u { goal \"g\"; writes \"a\"; }\n}\n";
        assert_eq!(told(&[("loop.kdl", &project(lint)), ("p.loop.kdl", PLAN)]), idle);
        let all = told(&[("loop.kdl", &project(lint)), ("p.loop.kdl", PLAN), ("q.loop.kdl", needs)]);
        assert_eq!(all.len(), 1, "{all:#?}");
        assert!(all[0].contains("warning[L0502/no-verification]"), "{all:#?}");
        let broken = "feature g {\n    unit u { gaol \"g\"; writes \"a\"; verify test; }\n}\n";
        let all = told(&[("loop.kdl", &project(lint)), ("p.loop.kdl", PLAN), ("q.loop.kdl", broken)]);
        assert!(
            !all.iter().any(|line| line.contains("unused-allow")),
            "a plan may hide what it breaks: {all:#?}"
        );
        assert_eq!(
            told(&[("loop.kdl", &project(lint))]),
            [] as [&str; 0],
            "without a plan nothing can be broken"
        );
    }

    #[test]
    fn raising_and_allowing_the_warning_itself_are_no_waste() {
        let with = |lines: &str| {
            let plan = PLAN.replace("verify test; ", &format!("verify test; {lines}; "));
            told(&[("loop.kdl", &project("")), ("p.loop.kdl", &plan)])
        };
        assert_eq!(with("lint no-verification level=deny"), [] as [&str; 0]);
        assert_eq!(with("lint unused-agent level=warn"), [] as [&str; 0], "as heavy as it is anyway");
        let allowed =
            "lint no-verification level=allow reason=\"r\"; lint unused-allow level=allow reason=\"r\"";
        assert_eq!(with(allowed), [] as [&str; 0]);
        let told = with("lint no-verification level=allow reason=\"r\"");
        assert_eq!(
            told,
            [
                "p.loop.kdl:2:54: warning[L0620/unused-allow]: `lint no-verification` lowers nothing: the rule is not broken here"
            ]
        );
    }
}
