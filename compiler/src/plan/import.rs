//! Loads the files of one compilation: the project's, the plan, and what they import, and puts together which
//! verifiers, reviewers, agents and templates each of them can name.
//!
//! Does not know what any of them says.

use std::collections::{BTreeMap, BTreeSet};

use camino::{Utf8Path, Utf8PathBuf};

use super::names::{Names, duplicate};
use super::read::{self, File, Node};
use super::schema::{PLAN_FILE, PROJECT_FILE};
use super::stdlib;
use super::values::{self, PathProblem};
use crate::diagnostic::{Applicability, Diagnostic, did_you_mean};
use crate::source::{FileId, ReadError, SourceFile, SourceMap, Sources, Span};
use crate::syntax::{self, NodeId};

/// Index into [`Loaded::files`].
pub(crate) type FileIx = usize;

/// A node in one of the loaded files.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place {
    pub(crate) file: FileIx,
    pub(crate) node: NodeId,
}

/// The names that one file can use, a table for each name space.
#[derive(Clone, Debug)]
pub(crate) struct Visible {
    /// Verifiers and reviewers: both judge, so they share their names.
    pub(crate) verifiers: Names<Place>,
    pub(crate) agents: Names<Place>,
    pub(crate) templates: Names<Place>,
}

/// Everything that was read.
#[derive(Debug)]
pub(crate) struct Loaded {
    pub(crate) files: Vec<File>,
    pub(crate) project: Option<FileIx>,
    pub(crate) plan: Option<FileIx>,
    /// What the plan can name: its own, its imports, and `loop.kdl`'s.
    pub(crate) visible: Visible,
    /// What each file can name: its own and its imports.
    pub(crate) tables: Vec<Visible>,
    /// Files that gates of the plan name, by the place of `file=`.
    pub(crate) gates: BTreeMap<Span, GateFile>,
}

/// The file of a gate.
#[derive(Clone, Debug)]
pub(crate) struct GateFile {
    pub(crate) path: Utf8PathBuf,
    /// `None`: it is not there yet, or what stands in it cannot be used, which was reported.
    pub(crate) file: Option<FileIx>,
    /// It is not there yet, and need not be.
    pub(crate) draft: bool,
}

impl Loaded {
    /// The files in which gates of the plan stand.
    pub(crate) fn gate_bodies(&self) -> impl Iterator<Item = FileIx> {
        self.gates.values().filter_map(|gate| gate.file)
    }

    /// The plan, or a gate's file, is read from another file now.
    pub(crate) fn replace(&mut self, from: FileIx, to: FileIx) {
        let bodies = self.gates.values_mut().filter_map(|gate| gate.file.as_mut());
        for file in self.plan.as_mut().into_iter().chain(bodies).filter(|file| **file == from) {
            *file = to;
        }
    }
}

struct Import {
    target: Option<FileIx>,
    path: Span,
    names: Vec<Imported>,
}

struct Imported {
    local: String,
    local_span: Span,
    exported: String,
    exported_span: Span,
}

pub(super) struct Loader<'l> {
    sources: &'l dyn Sources,
    map: &'l mut SourceMap,
    pub(super) diagnostics: &'l mut Vec<Diagnostic>,
    pub(super) files: Vec<File>,
    imports: Vec<Vec<Import>>,
    by_path: BTreeMap<Utf8PathBuf, FileIx>,
}

/// Reads the project's file and the plan, and what they import.
pub(crate) fn load(
    project: Option<&Utf8Path>,
    plan: Option<&Utf8Path>,
    sources: &dyn Sources,
    map: &mut SourceMap,
    diagnostics: &mut Vec<Diagnostic>,
) -> Loaded {
    let mut loader = Loader {
        sources,
        map,
        diagnostics,
        files: Vec::new(),
        imports: Vec::new(),
        by_path: BTreeMap::new(),
    };
    let project = project.and_then(|path| loader.root(path));
    let plan = plan.and_then(|path| loader.root(path));
    let gates = plan.map(|plan| loader.gate_files(plan)).unwrap_or_default();
    let mut next = 0;
    while next < loader.files.len() {
        loader.imports_of(next);
        next += 1;
    }
    let order = loader.leaves_first();
    let mut tables: Vec<Option<Visible>> = (0..loader.files.len()).map(|_| None).collect();
    for file in order {
        tables[file] = Some(loader.table(file, &tables));
    }
    let tables: Vec<Visible> = tables.into_iter().map(|table| table.unwrap_or_else(Visible::new)).collect();
    let mut visible = project.map_or_else(Visible::new, |file| tables[file].clone());
    let bodies: BTreeSet<FileIx> = gates.values().filter_map(|gate| gate.file).collect();
    for file in plan.into_iter().chain(bodies.iter().copied()) {
        for (all, own) in visible.spaces_mut().into_iter().zip(tables[file].spaces()) {
            for (name, place, span) in own.iter() {
                loader.diagnostics.extend(all.declare(name, place, span));
            }
        }
    }
    loader.stray_gates(plan, &bodies);
    Loaded { files: loader.files, project, plan, visible, tables, gates }
}

impl Visible {
    fn new() -> Visible {
        Visible {
            verifiers: Names::new("verifier"),
            agents: Names::new("agent"),
            templates: Names::new("template"),
        }
    }

    fn spaces(&self) -> [&Names<Place>; 3] {
        [&self.verifiers, &self.agents, &self.templates]
    }

    fn spaces_mut(&mut self) -> [&mut Names<Place>; 3] {
        [&mut self.verifiers, &mut self.agents, &mut self.templates]
    }

    /// The name space of what a node at the top defines.
    fn space_of(&mut self, node: &str) -> Option<&mut Names<Place>> {
        match node {
            "verifier" | "reviewer" => Some(&mut self.verifiers),
            "agent" => Some(&mut self.agents),
            "template" => Some(&mut self.templates),
            _ => None,
        }
    }
}

impl Loader<'_> {
    /// A file that the caller named.
    fn root(&mut self, path: &Utf8Path) -> Option<FileIx> {
        match self.file(path) {
            Ok(file) => Some(file),
            Err(problem) => {
                let file = self.map.by_path(path);
                let file =
                    file.unwrap_or_else(|| self.map.add(SourceFile::new(path.to_owned(), String::new())));
                let (rule, words) = unreadable(&problem);
                let found = Diagnostic::new(rule, Span::new(file, 0, 0), format!("`{path}` {words}"));
                self.diagnostics.push(found);
                None
            }
        }
    }

    /// Reads, parses and checks the shape of a file of the repository, once.
    pub(super) fn file(&mut self, path: &Utf8Path) -> Result<FileIx, ReadProblem> {
        self.parsed(path, None)
    }

    /// `standard`: the text of a file of the standard library, which is not read from anywhere.
    fn parsed(&mut self, path: &Utf8Path, standard: Option<&str>) -> Result<FileIx, ReadProblem> {
        if let Some(known) = self.by_path.get(path) {
            return Ok(*known);
        }
        let id = match self.map.by_path(path) {
            Some(id) => id,
            None => {
                let bytes = match standard {
                    Some(text) => text.as_bytes().to_vec(),
                    None => self.sources.read(path).map_err(ReadProblem::Source)?,
                };
                let next = FileId(self.map.files().count() as u32);
                let (text, found) = syntax::decode(next, bytes);
                self.diagnostics.extend(found);
                self.map.add(SourceFile::new(path.to_owned(), text))
            }
        };
        let source = self.map.file(id);
        let parsed = syntax::parse(id, &source.text);
        self.diagnostics.extend(parsed.diagnostics);
        let root = if path.file_name() == Some("loop.kdl") { &PROJECT_FILE } else { &PLAN_FILE };
        let file = File::new(source, parsed.document, root, self.diagnostics);
        self.files.push(file);
        self.imports.push(Vec::new());
        self.by_path.insert(path.to_owned(), self.files.len() - 1);
        Ok(self.files.len() - 1)
    }

    /// Reads the `import` nodes of a file and loads what they name.
    fn imports_of(&mut self, at: FileIx) {
        let nodes: Vec<NodeId> =
            self.files[at].roots().filter(|node| node.name() == "import").map(|n| n.id).collect();
        for id in nodes {
            let Some(node) = self.files[at].node(id) else { continue };
            let Some(import) = self.import(at, node.id) else { continue };
            self.imports[at].push(import);
        }
    }

    fn import(&mut self, at: FileIx, id: NodeId) -> Option<Import> {
        let file = &self.files[at];
        let node = file.node(id)?;
        let mut names = Vec::new();
        for entry in node.entries() {
            let Some(exported) = read::name(entry).filter(|name| !name.is_empty()) else { continue };
            let (local, local_span) = match &entry.key {
                Some(key) => (key.name.to_string(), key.span),
                None if node.argument(0).is_some_and(|path| path.span == entry.span) => continue,
                None => (exported.to_owned(), entry.value_span),
            };
            names.push(Imported {
                local,
                local_span,
                exported: exported.to_owned(),
                exported_span: entry.value_span,
            });
        }
        let path = node.argument(0)?;
        let written = read::text(path).unwrap_or("").to_owned();
        let span = path.value_span;
        if names.is_empty() && !node.is_broken() {
            self.diagnostics.push(
                Diagnostic::new("missing-argument", node.head(), "`import` lists the names that it takes")
                    .at("no name is listed")
                    .help("write the names behind the path; `local=exported` renames"),
            );
        }
        let target = self.target(at, &written, span);
        Some(Import { target, path: span, names })
    }

    /// The file that an import's path names.
    fn target(&mut self, at: FileIx, written: &str, span: Span) -> Option<FileIx> {
        if written.is_empty() {
            return None;
        }
        let relative = written.starts_with("./") || written.starts_with("../");
        if !relative && !written.starts_with('/') {
            return self.standard(written, span);
        }
        if relative && stdlib::is_path(&self.files[at].path) {
            let found =
                Diagnostic::new("unknown-import", span, format!("`{written}` leads nowhere from here"))
                    .at("this file stands in no repository")
                    .help("files of the standard library import each other as `std/NAME`");
            self.diagnostics.push(found);
            return None;
        }
        let path = match values::resolve(self.files[at].directory(), written) {
            Ok(path) => Utf8PathBuf::from(path),
            Err(problem) => {
                self.diagnostics.push(path_problem(problem, written, span));
                return None;
            }
        };
        match self.file(&path) {
            Ok(file) => Some(file),
            Err(problem) => {
                let (rule, words) = unreadable(&problem);
                let rule = if rule == "missing-file" { "unknown-import" } else { rule };
                self.diagnostics.push(
                    Diagnostic::new(rule, span, format!("the file to import, `{path}`, {words}"))
                        .at("this file")
                        .help("a path that begins with `./` or `../` counts from the file it stands in"),
                );
                None
            }
        }
    }

    /// The file of the standard library that is imported under this name.
    fn standard(&mut self, written: &str, span: Span) -> Option<FileIx> {
        if let Some(text) = stdlib::text(written) {
            return self.parsed(&stdlib::path(written), Some(text)).ok();
        }
        let found =
            Diagnostic::new("unknown-import", span, format!("the standard library has no file `{written}`"))
                .at("no such file in the standard library");
        let names = stdlib::FILES.iter().map(|(name, _)| *name);
        let bare = format!("std/{}", written.trim_end_matches(".kdl").trim_start_matches("std/"));
        let near = stdlib::FILES.iter().map(|(name, _)| *name).find(|name| *name == bare);
        let found = match near.or_else(|| did_you_mean(written, names.clone())) {
            Some(near) => found.help(format!("a file with a similar name exists: `{near}`")).replace(
                span,
                values::quote(near),
                format!("replace with `{near}`"),
                Applicability::Unsafe,
            ),
            None if !written.starts_with("std/") => {
                found.help(format!("a path to a file of yours begins with `./` or `../`: \"./{written}\""))
            }
            None => found.help(format!("it has {}", names.collect::<Vec<_>>().join(", "))),
        };
        self.diagnostics.push(found);
        None
    }

    /// Files, each behind those that it imports. An import that closes a circle is reported and cut.
    fn leaves_first(&mut self) -> Vec<FileIx> {
        #[derive(Clone, Copy, PartialEq)]
        enum Mark {
            New,
            Open,
            Done,
        }
        let mut marks = vec![Mark::New; self.files.len()];
        let mut order = Vec::with_capacity(self.files.len());
        for start in 0..self.files.len() {
            if marks[start] != Mark::New {
                continue;
            }
            // Each file on the path, with the import that is followed next.
            let mut path: Vec<(FileIx, usize)> = vec![(start, 0)];
            marks[start] = Mark::Open;
            while let Some((file, next)) = path.last().copied() {
                let Some(import) = self.imports[file].get(next) else {
                    marks[file] = Mark::Done;
                    order.push(file);
                    path.pop();
                    continue;
                };
                if let Some(top) = path.last_mut() {
                    top.1 += 1;
                }
                match import.target {
                    Some(target) if marks[target] == Mark::New => {
                        marks[target] = Mark::Open;
                        path.push((target, 0));
                    }
                    Some(target) if marks[target] == Mark::Open => {
                        let from = path.iter().position(|(open, _)| *open == target).unwrap_or(0);
                        let steps: Vec<(FileIx, usize)> =
                            path[from..].iter().map(|(file, next)| (*file, next - 1)).collect();
                        self.report_cycle(&steps);
                        self.imports[file][next].target = None;
                    }
                    _ => {}
                }
            }
        }
        order
    }

    fn report_cycle(&mut self, steps: &[(FileIx, usize)]) {
        let name = |file: FileIx| self.files[file].path.as_str();
        // However it was come upon, a circle is told from the file whose path sorts first: then it is one finding.
        let begin = (0..steps.len()).min_by_key(|at| name(steps[*at].0)).unwrap_or(0);
        let steps: Vec<(FileIx, usize)> = steps[begin..].iter().chain(&steps[..begin]).copied().collect();
        let Some(((last, import), before)) = steps.split_last() else { return };
        let first = steps[0].0;
        let mut path: Vec<&str> = steps.iter().map(|(file, _)| name(*file)).collect();
        path.push(name(first));
        let message = format!("files import each other: {}", path.join(" -> "));
        let mut found = Diagnostic::new("import-cycle", self.imports[*last][*import].path, message)
            .at("this import closes the circle");
        for (file, import) in before {
            found = found.label(self.imports[*file][*import].path, format!("`{}` imports this", name(*file)));
        }
        self.diagnostics.push(found.help("move what both files need into a third one"));
    }

    /// What a file can name: its definitions and its imports. The tables of the files it imports are there.
    fn table(&mut self, at: FileIx, tables: &[Option<Visible>]) -> Visible {
        let mut table = Visible::new();
        let file = &self.files[at];
        let tops = file.roots().filter(|node| node.name() != "project");
        let project = file.roots().filter(|node| node.name() == "project").flat_map(Node::children);
        for node in tops.chain(project) {
            let Some(name) = node.argument(0).and_then(read::name) else { continue };
            let place = Some(Place { file: at, node: node.id });
            let span = node.argument(0).map_or(node.name_span(), |entry| entry.value_span);
            let clash = table.space_of(node.name()).and_then(|names| names.declare(name, place, span));
            self.diagnostics.extend(clash);
        }
        for import in std::mem::take(&mut self.imports[at]) {
            let from = import.target.and_then(|target| Some((target, tables[target].as_ref()?)));
            for name in &import.names {
                match from {
                    Some((target, exports)) => self.take(&mut table, name, exports, target),
                    None => self.unusable(&mut table, name),
                }
            }
        }
        table
    }

    /// Puts one imported name into `table`: into each name space that exports it.
    fn take(&mut self, table: &mut Visible, name: &Imported, exports: &Visible, target: FileIx) {
        let mut known = false;
        for (own, exported) in table.spaces_mut().into_iter().zip(exports.spaces()) {
            if let Some((place, _)) = exported.get(&name.exported) {
                known = true;
                self.diagnostics.extend(own.declare(&name.local, place, name.local_span));
            }
        }
        if known {
            return;
        }
        if !self.files[target].is_broken() {
            let path = &self.files[target].path;
            let found = Diagnostic::new(
                "unknown-import",
                name.exported_span,
                format!("`{path}` defines no `{}`", name.exported),
            )
            .at("not defined there");
            let mut all = Names::new("name");
            for (name, _, span) in exports.spaces().into_iter().flat_map(Names::iter) {
                let _ = all.declare(name, Some(()), span);
            }
            let offered: Vec<String> = all.iter().map(|(name, ..)| format!("`{name}`")).collect();
            let found = all.suggest(found, &name.exported, name.exported_span);
            let few = !offered.is_empty() && offered.len() <= 12;
            self.diagnostics.push(match found.fixes.is_empty() && few {
                true => found.help(format!("it defines {}", offered.join(", "))),
                false => found,
            });
        }
        self.unusable(table, name);
    }

    /// An imported name of which is not known what it stands for: whoever uses it is not told that it is unknown.
    fn unusable(&mut self, table: &mut Visible, name: &Imported) {
        let mut clash = None;
        for names in table.spaces_mut() {
            let first = names.get(&name.local).map(|(_, span)| span);
            let _ = names.declare(&name.local, None, name.local_span);
            clash = clash.or(first);
        }
        self.diagnostics.extend(clash.map(|first| duplicate("name", &name.local, first, name.local_span)));
    }
}

/// Why a text could not be had.
pub(crate) enum ReadProblem {
    Source(ReadError),
    NotText,
}

pub(crate) fn read_text(sources: &dyn Sources, path: &Utf8Path) -> Result<String, ReadProblem> {
    let bytes = sources.read(path).map_err(ReadProblem::Source)?;
    String::from_utf8(bytes).map_err(|_| ReadProblem::NotText)
}

/// The rule, and the rest of a sentence that begins with the path.
pub(crate) fn unreadable(problem: &ReadProblem) -> (&'static str, String) {
    match problem {
        ReadProblem::NotText => ("unreadable-text", "is not UTF-8 text".to_owned()),
        ReadProblem::Source(ReadError::Missing) => ("missing-file", "does not exist".to_owned()),
        ReadProblem::Source(ReadError::NotAFile) => ("missing-file", "is not a file".to_owned()),
        ReadProblem::Source(ReadError::Escapes) => {
            ("path-escape", "is a symbolic link that leads out of the repository".to_owned())
        }
        ReadProblem::Source(ReadError::TooLarge(limit)) => {
            ("unreadable-text", format!("is larger than {} MiB, the most that is read", limit >> 20))
        }
        ReadProblem::Source(ReadError::Denied(words)) => ("missing-file", format!("cannot be read: {words}")),
    }
}

/// The finding about a path that cannot be used.
pub(crate) fn path_problem(problem: PathProblem, written: &str, span: Span) -> Diagnostic {
    match problem {
        PathProblem::Empty => Diagnostic::new("wrong-type", span, "the path is empty").at("no path"),
        PathProblem::Absolute => {
            Diagnostic::new("path-escape", span, format!("`{written}` is an absolute path"))
                .at("this is not a path in the repository")
                .help("paths count from the repository's root, or with `./` from the file they stand in")
        }
        PathProblem::Escapes => {
            Diagnostic::new("path-escape", span, format!("`{written}` leads out of the repository"))
                .at("more `..` than there are directories")
                .help("nothing outside the repository can be named")
        }
    }
}

/// The paths of the files; standard input has none, and the standard library stands in no repository.
pub(crate) fn paths(files: &[File]) -> BTreeSet<Utf8PathBuf> {
    let in_repository = |path: &Utf8PathBuf| path != "<stdin>" && !stdlib::is_path(path);
    files.iter().map(|file| file.path.clone()).filter(in_repository).collect()
}
