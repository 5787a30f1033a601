//! Source files, spans in them, and the one door through which the compiler reads the outside world.
//!
//! Does not know what a plan is, and never touches a disk: implementations of [`Sources`] do.

mod date;

use std::sync::OnceLock;

use camino::{Utf8Path, Utf8PathBuf};

pub use date::Date;

/// Index of a file in a [`SourceMap`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FileId(pub u32);

/// A byte range in one file. `start <= end`; both lie on character boundaries of the file's text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Span {
    pub file: FileId,
    pub start: u32,
    pub end: u32,
}

impl Span {
    pub fn new(file: FileId, start: usize, end: usize) -> Span {
        Span { file, start: start as u32, end: end as u32 }
    }

    /// The smallest span that covers both; both must lie in the same file.
    pub fn to(self, other: Span) -> Span {
        Span { file: self.file, start: self.start.min(other.start), end: self.end.max(other.end) }
    }

    pub fn len(self) -> usize {
        (self.end - self.start) as usize
    }

    pub fn is_empty(self) -> bool {
        self.start == self.end
    }

    /// Does `other` lie in it?
    pub fn contains(self, other: Span) -> bool {
        self.file == other.file && self.start <= other.start && other.end <= self.end
    }
}

/// A value and the place it was written at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Spanned<T> {
    pub value: T,
    pub span: Span,
}

impl<T> Spanned<T> {
    pub fn new(value: T, span: Span) -> Spanned<T> {
        Spanned { value, span }
    }
}

/// One file's text with its line index.
#[derive(Debug)]
pub struct SourceFile {
    /// Repository-relative, `/`-separated; `<stdin>` for standard input.
    pub path: Utf8PathBuf,
    pub text: String,
    /// Found when somebody asks for a line: who reads a sound plan never does.
    line_starts: OnceLock<Vec<u32>>,
    /// Every character is one byte: then columns need no counting, which matters where a megabyte is one line.
    ascii: bool,
}

/// A place for people: 1-based line and 1-based column, the column counted in Unicode scalar values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Position {
    pub line: u32,
    pub column: u32,
}

impl SourceFile {
    pub fn new(path: Utf8PathBuf, text: String) -> SourceFile {
        let ascii = text.is_ascii();
        SourceFile { path, text, line_starts: OnceLock::new(), ascii }
    }

    fn line_starts(&self) -> &[u32] {
        self.line_starts.get_or_init(|| {
            let bytes = self.text.as_bytes();
            // Plans have about forty bytes a line.
            let mut line_starts = Vec::with_capacity(bytes.len() / 32 + 1);
            line_starts.push(0);
            for at in memchr::memchr2_iter(b'\n', b'\r', bytes) {
                if bytes[at] == b'\n' || bytes.get(at + 1) != Some(&b'\n') {
                    line_starts.push(at as u32 + 1);
                }
            }
            line_starts
        })
    }

    /// 0-based number of the line that holds the byte `offset`.
    pub fn line_of(&self, offset: u32) -> usize {
        self.line_starts().partition_point(|start| *start <= offset).saturating_sub(1)
    }

    pub fn line_count(&self) -> usize {
        self.line_starts().len()
    }

    /// Byte offset at which the 0-based `line` begins; the end of the text past the last line.
    pub fn line_start(&self, line: usize) -> u32 {
        self.line_starts().get(line).copied().unwrap_or(self.text.len() as u32)
    }

    /// The 0-based `line` without its line break.
    pub fn line_text(&self, line: usize) -> &str {
        let start = self.line_start(line) as usize;
        let end = self.line_start(line + 1) as usize;
        self.text[start..end].trim_end_matches(['\n', '\r'])
    }

    pub fn position(&self, offset: u32) -> Position {
        let line = self.line_of(offset);
        let start = self.line_start(line) as usize;
        let before = &self.text[start..(offset as usize).min(self.text.len())];
        let column = if self.ascii { before.len() } else { before.chars().count() };
        Position { line: line as u32 + 1, column: column as u32 + 1 }
    }
}

/// One expansion of a template. It has a [`FileId`] of its own, so that a place in a template is another place in each
/// expansion: what is said about one of them is not taken for the others.
#[derive(Clone, Debug)]
pub struct Expansion {
    /// The file in which the template stands.
    pub file: FileId,
    /// The `use` that asked for it; it may lie in an expansion itself.
    pub at: Span,
    /// What the ids of its units begin with: `csv`, `csv/inner`.
    pub id: String,
    /// The template's name.
    pub template: String,
}

/// Set in the id of a file that stands for an expansion.
const EXPANDED: u32 = 1 << 31;

/// Every file that one compilation read, and every expansion of a template that it made.
#[derive(Debug, Default)]
pub struct SourceMap {
    files: Vec<SourceFile>,
    expansions: Vec<Expansion>,
}

impl SourceMap {
    pub fn add(&mut self, file: SourceFile) -> FileId {
        self.files.push(file);
        FileId(self.files.len() as u32 - 1)
    }

    /// The file; of an expansion, the one in which the template stands.
    pub fn file(&self, id: FileId) -> &SourceFile {
        let id = self.expansion(id).map_or(id, |expansion| expansion.file);
        &self.files[id.0 as usize]
    }

    /// The same files and expansions with other texts; every id means here what it means there.
    pub fn with_texts(&self, mut text: impl FnMut(FileId, &SourceFile) -> String) -> SourceMap {
        let files =
            self.files().map(|(id, file)| SourceFile::new(file.path.clone(), text(id, file))).collect();
        SourceMap { files, expansions: self.expansions.clone() }
    }

    /// Notes an expansion; places in it have the returned file.
    pub fn expand(&mut self, expansion: Expansion) -> FileId {
        let expansion = Expansion { file: self.written(expansion.file), ..expansion };
        self.expansions.push(expansion);
        FileId(EXPANDED | (self.expansions.len() as u32 - 1))
    }

    /// The expansion that the file stands for, if it stands for one.
    pub fn expansion(&self, id: FileId) -> Option<&Expansion> {
        (id.0 & EXPANDED != 0).then(|| &self.expansions[(id.0 & !EXPANDED) as usize])
    }

    /// The file that holds the text.
    pub fn written(&self, id: FileId) -> FileId {
        self.expansion(id).map_or(id, |expansion| expansion.file)
    }

    pub fn files(&self) -> impl Iterator<Item = (FileId, &SourceFile)> {
        self.files.iter().enumerate().map(|(at, file)| (FileId(at as u32), file))
    }

    pub fn by_path(&self, path: &Utf8Path) -> Option<FileId> {
        self.files.iter().position(|file| file.path == path).map(|at| FileId(at as u32))
    }

    pub fn text(&self, span: Span) -> &str {
        &self.file(span.file).text[span.start as usize..span.end as usize]
    }
}

/// Why a file could not be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ReadError {
    Missing,
    NotAFile,
    /// A symbolic link on the way leads out of the repository.
    Escapes,
    /// Larger than the reader allows; the limit in bytes.
    TooLarge(u64),
    /// The operating system's words.
    Denied(String),
}

/// What stands at a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PathKind {
    File,
    Directory,
    Other,
}

/// The outside world, as far as the compiler may see it. Paths are relative to the repository's root, use
/// `/`, and hold no `.` or `..` parts; the compiler normalises before it asks.
pub trait Sources {
    /// The bytes of a file; they need not be UTF-8.
    fn read(&self, path: &Utf8Path) -> Result<Vec<u8>, ReadError>;
    /// What stands at the path, following symbolic links; `None` if nothing does.
    fn kind(&self, path: &Utf8Path) -> Option<PathKind>;

    /// How many bytes a file has; `None` if it cannot be read.
    fn size(&self, path: &Utf8Path) -> Option<u64> {
        self.read(path).ok().map(|bytes| bytes.len() as u64)
    }

    /// The day on which the plan is compiled, for what expires; `None`: nothing does.
    fn today(&self) -> Option<Date> {
        None
    }

    /// Every file of the repository, sorted by its bytes: what git tracks, and what it does not track and does not ignore.
    /// `None` if nobody knows; rules that would need the list are silent then. Found once, when it is first asked
    /// for: a rule asks only after it has something to look up.
    fn files(&self) -> Option<&[Utf8PathBuf]> {
        None
    }

    /// Why git would leave a new file (or directory) at this path out of a commit, by the repository's own
    /// `.gitignore` files; `None` if it would take it, if git tracks it already, or if nobody knows.
    fn ignored(&self, _path: &Utf8Path, _kind: PathKind) -> Option<Ignored> {
        None
    }

    /// May the file be started as a program? `None` if it is no file, or nobody knows.
    fn executable(&self, _path: &Utf8Path) -> Option<bool> {
        None
    }
}

/// The line of a `.gitignore` that decides about a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ignored {
    /// The ignored path itself, or the directory above it that is ignored as a whole.
    pub path: Utf8PathBuf,
    /// The file that the line stands in.
    pub file: Utf8PathBuf,
    /// 1-based.
    pub line: usize,
    /// As written.
    pub pattern: String,
}

pub mod memory {
    //! Sources that are held in memory: for tests, for editors and for standard input.
    //!
    //! Does not know any real file.

    use std::collections::BTreeMap;

    use camino::{Utf8Path, Utf8PathBuf};

    use super::{Date, Ignored, PathKind, ReadError, Sources};

    /// Files by normalised path; a path above a file is a directory.
    #[derive(Clone, Debug, Default)]
    pub struct MemorySources {
        files: BTreeMap<Utf8PathBuf, Vec<u8>>,
        /// Only if these files are a whole repository.
        list: Option<Vec<Utf8PathBuf>>,
        ignored: Vec<Utf8PathBuf>,
        programs: Vec<Utf8PathBuf>,
        /// What [`Sources::today`] says.
        pub today: Option<Date>,
    }

    impl MemorySources {
        pub fn new<P: Into<Utf8PathBuf>, T: Into<Vec<u8>>>(
            files: impl IntoIterator<Item = (P, T)>,
        ) -> MemorySources {
            MemorySources {
                files: files.into_iter().map(|(path, text)| (path.into(), text.into())).collect(),
                ..MemorySources::default()
            }
        }

        /// These files are all that the repository has, and no others are ignored than those said to be.
        pub fn whole(mut self) -> MemorySources {
            let mut list: Vec<Utf8PathBuf> = self.files.keys().cloned().collect();
            list.sort_by(|a, b| a.as_str().cmp(b.as_str()));
            self.list = Some(list);
            self
        }

        /// A line of `.gitignore` names this path, and so everything below it.
        pub fn ignoring(mut self, path: impl Into<Utf8PathBuf>) -> MemorySources {
            self.ignored.push(path.into());
            self
        }

        /// The file may be started.
        pub fn program(mut self, path: impl Into<Utf8PathBuf>) -> MemorySources {
            self.programs.push(path.into());
            self
        }

        pub fn insert(&mut self, path: impl Into<Utf8PathBuf>, text: impl Into<Vec<u8>>) {
            self.files.insert(path.into(), text.into());
        }
    }

    impl Sources for MemorySources {
        fn today(&self) -> Option<Date> {
            self.today
        }

        fn read(&self, path: &Utf8Path) -> Result<Vec<u8>, ReadError> {
            match self.kind(path) {
                Some(PathKind::File) => Ok(self.files[path].clone()),
                Some(_) => Err(ReadError::NotAFile),
                None => Err(ReadError::Missing),
            }
        }

        fn kind(&self, path: &Utf8Path) -> Option<PathKind> {
            if self.files.contains_key(path) {
                return Some(PathKind::File);
            }
            let (next, _) = self.files.range(path.to_owned()..).next()?;
            next.starts_with(path).then_some(PathKind::Directory)
        }

        fn files(&self) -> Option<&[Utf8PathBuf]> {
            self.list.as_deref()
        }

        fn ignored(&self, path: &Utf8Path, _: PathKind) -> Option<Ignored> {
            let line = self.ignored.iter().position(|ignored| path.starts_with(ignored))?;
            let pattern = &self.ignored[line];
            Some(Ignored {
                path: pattern.clone(),
                file: ".gitignore".into(),
                line: line + 1,
                pattern: pattern.to_string(),
            })
            .filter(|_| !self.files.contains_key(path))
        }

        fn executable(&self, path: &Utf8Path) -> Option<bool> {
            self.list.as_ref()?;
            self.files.contains_key(path).then(|| self.programs.iter().any(|program| program == path))
        }
    }

    /// Other sources with texts laid over them: files that somebody is about to change.
    pub struct Layered<'l> {
        under: &'l dyn Sources,
        texts: &'l BTreeMap<Utf8PathBuf, String>,
    }

    impl<'l> Layered<'l> {
        pub fn new(under: &'l dyn Sources, texts: &'l BTreeMap<Utf8PathBuf, String>) -> Layered<'l> {
            Layered { under, texts }
        }
    }

    impl Sources for Layered<'_> {
        fn read(&self, path: &Utf8Path) -> Result<Vec<u8>, ReadError> {
            match self.texts.get(path) {
                Some(text) => Ok(text.clone().into_bytes()),
                None => self.under.read(path),
            }
        }

        fn kind(&self, path: &Utf8Path) -> Option<PathKind> {
            if self.texts.contains_key(path) { Some(PathKind::File) } else { self.under.kind(path) }
        }

        fn today(&self) -> Option<Date> {
            self.under.today()
        }

        // Only files that are there get another text, so that the list stays what it is.
        fn files(&self) -> Option<&[Utf8PathBuf]> {
            self.under.files()
        }

        fn ignored(&self, path: &Utf8Path, kind: PathKind) -> Option<Ignored> {
            self.under.ignored(path, kind)
        }

        fn executable(&self, path: &Utf8Path) -> Option<bool> {
            self.under.executable(path)
        }
    }
}
