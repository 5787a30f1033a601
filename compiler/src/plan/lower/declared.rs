//! Names that the plan's own file and `loop.kdl` define and import, and whether anything names them.
//!
//! Does not know whether another plan of the project does: `check` puts the plans together.

use std::collections::{BTreeMap, BTreeSet};

use super::Lowering;
use super::definitions::id_span;
use crate::plan::import::Loaded;
use crate::plan::model::{Agent, AgentIx, Declared, DeclaredKind, ReviewerIx, VerifierIx};
use crate::plan::read;
use crate::source::{Span, Spanned};

impl Lowering<'_> {
    /// Everything that was looked up has been by now.
    pub(super) fn declared(
        &self,
        loaded: &Loaded,
        agents: &[Agent],
        mut used_templates: BTreeSet<String>,
    ) -> Vec<Declared> {
        let own = [loaded.project, loaded.plan].into_iter().flatten().map(|file| &loaded.files[file]);
        // By the place of the name under which it is known here.
        let mut imports: BTreeMap<Span, (Span, Span)> = BTreeMap::new();
        let mut files = Vec::new();
        for file in own {
            files.push(file.id());
            for node in file.roots().filter(|node| node.name() == "import") {
                let path = node.argument(0).map(|path| path.span);
                for entry in node.entries().iter().filter(|entry| Some(entry.span) != path) {
                    let local = entry.key.as_ref().map_or(entry.value_span, |key| key.span);
                    if read::name(entry).is_some() {
                        imports.insert(local, (entry.span, node.span()));
                    }
                }
            }
        }
        // Templates use templates; they stand in the files as they were read, not in the expanded plan.
        for file in loaded.files.iter().filter(|file| files.contains(&file.id())) {
            for template in file.roots().filter(|node| node.name() == "template") {
                let uses = template.children().filter(|node| node.name() == "use");
                used_templates
                    .extend(uses.filter_map(|node| node.argument(0).and_then(read::name)).map(str::to_owned));
            }
        }
        let of = |what, name: &str, span: Span, definition: Span, used: bool| {
            let import = imports.get(&span).copied();
            let here = files.contains(&span.file) && (import.is_some() || span == definition);
            let name = Spanned::new(name.to_owned(), span);
            here.then_some(Declared { what, name, definition, used, import })
        };
        let mut all = Vec::new();
        for (name, verifier, span) in self.verifier_names.iter() {
            let Some(verifier) = verifier else { continue };
            let definition = self.verifiers[verifier.0 as usize].id.span;
            let used = self.used_verifiers.contains(&VerifierIx(verifier.0));
            all.extend(of(DeclaredKind::Verifier, name, span, definition, used));
        }
        for (name, reviewer, span) in self.reviewer_names.iter() {
            let Some(reviewer) = reviewer else { continue };
            let definition = self.reviewers[reviewer.0 as usize].id.span;
            let used = self.used_reviewers.contains(&ReviewerIx(reviewer.0));
            all.extend(of(DeclaredKind::Reviewer, name, span, definition, used));
        }
        for (name, agent, span) in self.agents.iter() {
            let Some(agent) = agent else { continue };
            let used = self.used_agents.contains(&AgentIx(agent.0));
            all.extend(of(DeclaredKind::Agent, name, span, agents[agent.0 as usize].id.span, used));
        }
        for (name, place, span) in loaded.visible.templates.iter() {
            let Some(node) = place.and_then(|place| loaded.files[place.file].node(place.node)) else {
                continue;
            };
            all.extend(of(DeclaredKind::Template, name, span, id_span(node), used_templates.contains(name)));
        }
        all
    }
}

#[cfg(test)]
mod tests {
    use crate::plan::{Input, lower};
    use crate::source::SourceMap;
    use crate::source::memory::MemorySources;

    #[test]
    fn what_is_defined_and_imported_is_known_with_its_use() {
        let sources = MemorySources::new([
            (
                "loop.kdl",
                "import \"./checks.loop.kdl\" fmt tests=test\nproject p {\n    agent a via=claude\n    agent b via=claude\n    \
                 defaults agent=a { verify tests; }\n    verifier lint { run lint; }\n}\n",
            ),
            (
                "checks.loop.kdl",
                "verifier fmt { run fmt; }\nverifier test { run test; }\nverifier other { run other; }\n",
            ),
            (
                "p.loop.kdl",
                "feature f {\n    unit u { goal \"g\"; writes \"x\"; accept \"it is\" by=own; }\n}\nverifier own { run own; }\n",
            ),
        ]);
        let mut map = SourceMap::default();
        let input = Input { project: Some("loop.kdl".into()), plan: Some("p.loop.kdl".into()) };
        let lowered = lower(&input, &sources, &mut map);
        let told: Vec<(&str, bool, Option<&str>)> = lowered
            .plan
            .declared
            .iter()
            .map(|declared| {
                let import = declared.import.map(|(entry, _)| map.text(entry));
                (declared.name.value.as_str(), declared.used, import)
            })
            .collect();
        assert_eq!(
            told,
            [
                ("fmt", false, Some("fmt")),
                ("lint", false, None),
                ("own", true, None),
                ("tests", true, Some("tests=test")),
                ("a", true, None),
                ("b", false, None),
            ]
        );
    }
}
