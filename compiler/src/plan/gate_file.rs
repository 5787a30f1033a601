//! Gates in files of their own: which file a gate names, whether it is there, and whether it holds that gate alone.
//!
//! Does not know what a gate says.

use std::collections::{BTreeMap, BTreeSet};

use camino::Utf8PathBuf;

use super::import::{self, FileIx, GateFile, Loader, ReadProblem};
use super::read::{self, Node};
use super::values::{self, PLAN_SUFFIX as SUFFIX};
use crate::diagnostic::Diagnostic;
use crate::source::{ReadError, Span};
use crate::syntax::NodeId;

impl Loader<'_> {
    /// Loads the files that the plan's gates name.
    pub(super) fn gate_files(&mut self, plan: FileIx) -> BTreeMap<Span, GateFile> {
        let features = self.files[plan].roots().filter(|root| root.name() == "feature");
        let gates: Vec<NodeId> = features
            .flat_map(Node::children)
            .filter(|child| child.name() == "gate")
            .map(|gate| gate.id)
            .collect();
        let mut files: BTreeMap<Span, GateFile> = BTreeMap::new();
        for gate in gates {
            if let Some((span, file)) = self.gate_file(plan, gate, &files) {
                files.insert(span, file);
            }
        }
        files
    }

    /// The file that one gate names, and where. `before` are those of the gates before it.
    fn gate_file(
        &mut self,
        plan: FileIx,
        gate: NodeId,
        before: &BTreeMap<Span, GateFile>,
    ) -> Option<(Span, GateFile)> {
        let node = self.files[plan].node(gate)?;
        let entry = node.property("file")?;
        let span = entry.value_span;
        let written = read::text(entry).filter(|text| !text.is_empty())?.to_owned();
        let draft = node.text_of("state") == Some("draft");
        let gate = node.argument(0).and_then(read::name).unwrap_or("").to_owned();
        let path = match values::resolve(self.files[plan].directory(), &written) {
            Ok(path) => Utf8PathBuf::from(path),
            Err(problem) => {
                self.diagnostics.push(import::path_problem(problem, &written, span));
                return None;
            }
        };
        if !path.as_str().ends_with(SUFFIX) {
            let found = Diagnostic::new("gate-file", span, format!("`{path}` cannot be the file of a gate"))
                .at(format!("its name does not end in `{SUFFIX}`"))
                .help("that is how plan files are told from others: no unit may write them but one with `kind=plan`");
            self.diagnostics.push(found);
            return None;
        }
        if let Some((first, _)) = before.iter().find(|(_, other)| other.path == path) {
            let found = Diagnostic::new("gate-file", span, format!("two gates stand in `{path}`"))
                .at("once more")
                .label(*first, "the first one")
                .help("give each gate a file of its own");
            self.diagnostics.push(found);
            return None;
        }
        let file = match self.file(&path) {
            Ok(file) => file,
            Err(ReadProblem::Source(ReadError::Missing)) if draft => {
                return Some((span, GateFile { path, file: None, draft: true }));
            }
            Err(problem) => {
                let (rule, words) = import::unreadable(&problem);
                let mut found =
                    Diagnostic::new(rule, span, format!("the file of the gate `{gate}`, `{path}`, {words}"))
                        .at("this file");
                if rule == "missing-file" {
                    found = found.help("add `state=draft` if it is written later");
                }
                self.diagnostics.push(found);
                return Some((span, GateFile { path, file: None, draft: false }));
            }
        };
        let holds = self.holds_gate(file, &gate, span);
        Some((span, GateFile { path, file: holds.then_some(file), draft: false }))
    }

    /// Does the file hold the gate and no feature? Otherwise that is reported.
    fn holds_gate(&mut self, at: FileIx, gate: &str, named: Span) -> bool {
        let file = &self.files[at];
        let path = &file.path;
        let found = |place: Span, message: String| {
            Diagnostic::new("gate-file", place, message)
                .label(named, format!("the gate `{gate}` names the file"))
        };
        if let Some(feature) = file.roots().find(|root| root.name() == "feature") {
            let found =
                found(feature.head(), format!("`{path}` is the plan of a feature, and not a gate's file"))
                    .at("a feature")
                    .help(format!("the file of a gate holds `gate {gate} {{ ... }}` at its top"));
            self.diagnostics.push(found);
            return false;
        }
        let Some(node) = file.roots().find(|root| root.name() == "gate") else {
            if !file.is_broken() {
                let found = Diagnostic::new("gate-file", named, format!("`{path}` holds no gate"))
                    .at("this file")
                    .help(format!("write `gate {gate} {{ ... }}` at its top, with the gate's units in it"));
                self.diagnostics.push(found);
            }
            return false;
        };
        match node.argument(0) {
            Some(id) if read::name(id).is_some_and(|name| name != gate) => {
                let found = found(id.value_span, format!("`{path}` holds another gate than `{gate}`"))
                    .at("another id")
                    .help("give both the same id");
                self.diagnostics.push(found);
                true
            }
            _ => true,
        }
    }

    /// Reports gates at the top of files that no gate names: nobody reads them.
    pub(super) fn stray_gates(&mut self, plan: Option<FileIx>, bodies: &BTreeSet<FileIx>) {
        let has_feature = |file: FileIx| self.files[file].roots().any(|root| root.name() == "feature");
        // A file that is looked at by itself may be a gate's: the plan that names it says what it is worth.
        let alone = plan.filter(|plan| !has_feature(*plan));
        for at in (0..self.files.len()).filter(|at| !bodies.contains(at) && Some(*at) != alone) {
            let file = &self.files[at];
            for gate in file.roots().filter(|root| root.name() == "gate") {
                let found = Diagnostic::new(
                    "gate-file",
                    gate.head(),
                    "a gate stands at the top of a file that no gate names",
                );
                self.diagnostics.push(match has_feature(at) {
                    true => found.at("outside of the feature").help("move it into the feature's block"),
                    false => found
                        .at("read by nobody")
                        .help(format!("name the file in the plan: `gate ID file=\"{}\"`", file.path)),
                });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use camino::Utf8Path;

    use crate::compile::compile;
    use crate::diagnostic::render::short;
    use crate::graph::build;
    use crate::source::memory::MemorySources;

    const PROJECT: &str = "project p {\n    agent w via=command { run \"./a.sh\"; }\n    defaults agent=w { verify test; }\n    \
         verifier test { run make; }\n}\n";
    const FAST: &str = r#"import "./shared/checks.loop.kdl" bench
template page { param path type=path; unit make { goal "Make it."; creates "${path}"; }; }
gate fast {
    defaults { verify bench; }
    use page as=start path="./start.md"
    unit cache { needs schema "start/make"; goal "Cache it."; creates "./cache.md"; }
    approve by=auto
}
"#;

    fn compiled(plan: &str, files: &[(&str, &str)]) -> (String, Vec<crate::graph::Graph>) {
        let all = [("loop.kdl", PROJECT), ("plans/o.loop.kdl", plan)];
        let sources = MemorySources::new(all.into_iter().chain(files.iter().copied()));
        let compiled = compile(Some(Utf8Path::new("loop.kdl")), &["plans/o.loop.kdl".into()], &sources);
        let told = short(&compiled.diagnostics, &compiled.map);
        (told, compiled.plans.into_iter().filter_map(|(_, checked)| Some(build(&checked?))).collect())
    }

    #[test]
    fn a_gate_in_a_file_of_its_own_is_the_gate_written_out() {
        let schema = "unit schema { goal \"s\"; creates \"schema\"; }";
        let bench = ("plans/shared/checks.loop.kdl", "verifier bench { run bench; }\n");
        let apart =
            format!("feature o {{\n gate first {{ {schema}; }}\n gate fast file=\"./o.fast.loop.kdl\"\n}}\n");
        let (told, graphs) = compiled(&apart, &[("plans/o.fast.loop.kdl", FAST), bench]);
        assert_eq!(told, "");
        let ids: Vec<&str> = graphs[0].nodes.iter().map(|node| node.id.as_str()).collect();
        assert_eq!(ids, ["schema", "gate:first", "start/make", "cache", "gate:fast"]);
        assert_eq!(
            graphs[0].nodes[2].scope.creates,
            ["plans/start.md"],
            "paths are relative to the gate's file"
        );
        assert!(graphs[0].protect.contains(&"plans/o.fast.loop.kdl".to_owned()));
        assert!(!graphs[0].nodes[4].policy.human_approval);

        let (import, rest) = FAST.split_once('\n').expect("two lines");
        let (template, gate) = rest.split_once('\n').expect("two lines");
        let together =
            format!("{import}\n{template}\nfeature o {{\n gate first {{ {schema}; }}\n {gate}\n}}\n");
        let (told, whole) = compiled(&together, &[bench]);
        assert_eq!(told, "");
        // But for the list of plan files, it is the same graph.
        assert_eq!(graphs[0].nodes, whole[0].nodes);
        assert_eq!(graphs[0].edges, whole[0].edges);
    }

    #[test]
    fn a_draft_needs_no_file_and_its_units_are_not_missed() {
        let plan = "feature o {\n gate first { unit a { goal \"a\"; creates \"a\"; }; }\n \
                    gate later state=draft file=\"./o.later.loop.kdl\"\n gate last { unit b { goal \"b\"; creates \"b\"; }; }\n}\n";
        let (told, graphs) = compiled(plan, &[]);
        assert_eq!(told, "");
        let draft = &graphs[0].nodes[2].policy;
        assert!(draft.draft && draft.draft_file.as_deref() == Some("plans/o.later.loop.kdl"));
        assert!(graphs[0].protect.contains(&"plans/o.later.loop.kdl".to_owned()), "before it is there");
        // With an empty file it is no draft any more, and says what is missing.
        let (told, graphs) = compiled(plan, &[("plans/o.later.loop.kdl", "// soon\n")]);
        assert!(told.contains("gate-file") && graphs.is_empty(), "{told}");
    }
}
