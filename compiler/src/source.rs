//! Source files, spans in them, and the one door through which the compiler reads the outside world.
//!
//! Does not know what a plan is, and never touches a disk: implementations of [`Sources`] do.

use camino::{Utf8Path, Utf8PathBuf};

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
    line_starts: Vec<u32>,
}

/// A place for people: 1-based line and 1-based column, the column counted in Unicode scalar values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Position {
    pub line: u32,
    pub column: u32,
}

impl SourceFile {
    pub fn new(path: Utf8PathBuf, text: String) -> SourceFile {
        let mut line_starts = vec![0];
        let bytes = text.as_bytes();
        for (at, byte) in bytes.iter().enumerate() {
            if *byte == b'\n' || (*byte == b'\r' && bytes.get(at + 1) != Some(&b'\n')) {
                line_starts.push(at as u32 + 1);
            }
        }
        SourceFile { path, text, line_starts }
    }

    /// 0-based number of the line that holds the byte `offset`.
    pub fn line_of(&self, offset: u32) -> usize {
        self.line_starts.partition_point(|start| *start <= offset).saturating_sub(1)
    }

    pub fn line_count(&self) -> usize {
        self.line_starts.len()
    }

    /// Byte offset at which the 0-based `line` begins; the end of the text past the last line.
    pub fn line_start(&self, line: usize) -> u32 {
        self.line_starts.get(line).copied().unwrap_or(self.text.len() as u32)
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
        let column = self.text[start..(offset as usize).min(self.text.len())].chars().count();
        Position { line: line as u32 + 1, column: column as u32 + 1 }
    }
}

/// Every file that one compilation read.
#[derive(Debug, Default)]
pub struct SourceMap {
    files: Vec<SourceFile>,
}

impl SourceMap {
    pub fn add(&mut self, file: SourceFile) -> FileId {
        self.files.push(file);
        FileId(self.files.len() as u32 - 1)
    }

    pub fn file(&self, id: FileId) -> &SourceFile {
        &self.files[id.0 as usize]
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
    /// The day on which the plan is compiled, for what expires; `None`: nothing does.
    fn today(&self) -> Option<Date> {
        None
    }
}

/// A day of the Gregorian calendar. Days compare as they follow each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Date {
    pub year: u16,
    pub month: u8,
    pub day: u8,
}

impl Date {
    /// A date as plans write it: `2027-01-31`.
    pub fn parse(text: &str) -> Option<Date> {
        let bytes = text.as_bytes();
        let shape = bytes.len() == 10 && bytes[4] == b'-' && bytes[7] == b'-';
        let digits =
            shape && bytes.iter().enumerate().all(|(at, c)| [4, 7].contains(&at) || c.is_ascii_digit());
        if !digits {
            return None;
        }
        let year = text[..4].parse().ok()?;
        let (month, day) = (text[5..7].parse().ok()?, text[8..].parse().ok()?);
        let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
        let days = match month {
            2 => 28 + u8::from(leap),
            4 | 6 | 9 | 11 => 30,
            1..=12 => 31,
            _ => return None,
        };
        (1..=days).contains(&day).then_some(Date { year, month, day })
    }

    /// The day that many seconds after the beginning of 1970, in UTC. Years beyond 9999 are all the last day of it.
    pub fn of_unix_seconds(seconds: u64) -> Date {
        // Days are counted from 1 March of year 0, so that the leap day is a year's last.
        let days = seconds / 86_400 + 719_468;
        let (era, of_era) = (days / 146_097, days % 146_097);
        let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
        let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let from_march = (5 * of_year + 2) / 153;
        let day = of_year - (153 * from_march + 2) / 5 + 1;
        let month = if from_march < 10 { from_march + 3 } else { from_march - 9 };
        let year = era * 400 + year_of_era + u64::from(month <= 2);
        match u16::try_from(year) {
            Ok(year @ ..=9_999) => Date { year, month: month as u8, day: day as u8 },
            _ => Date { year: 9_999, month: 12, day: 31 },
        }
    }
}

impl std::fmt::Display for Date {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:04}-{:02}-{:02}", self.year, self.month, self.day)
    }
}

pub mod memory {
    //! Sources that are held in memory: for tests, for editors and for standard input.
    //!
    //! Does not know any real file.

    use std::collections::BTreeMap;

    use camino::{Utf8Path, Utf8PathBuf};

    use super::{Date, PathKind, ReadError, Sources};

    /// Files by normalised path; a path above a file is a directory.
    #[derive(Clone, Debug, Default)]
    pub struct MemorySources {
        files: BTreeMap<Utf8PathBuf, Vec<u8>>,
        /// What [`Sources::today`] says.
        pub today: Option<Date>,
    }

    impl MemorySources {
        pub fn new<P: Into<Utf8PathBuf>, T: Into<Vec<u8>>>(
            files: impl IntoIterator<Item = (P, T)>,
        ) -> MemorySources {
            MemorySources {
                files: files.into_iter().map(|(path, text)| (path.into(), text.into())).collect(),
                today: None,
            }
        }

        pub fn insert(&mut self, path: impl Into<Utf8PathBuf>, text: impl Into<Vec<u8>>) {
            self.files.insert(path.into(), text.into());
        }
    }

    impl Sources for MemorySources {
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

        fn today(&self) -> Option<Date> {
            self.today
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Date;

    #[test]
    fn dates_are_read_as_they_are_written() {
        for (text, known) in [
            ("2027-01-31", true),
            ("2024-02-29", true),
            ("2000-02-29", true),
            ("2100-02-29", false),
            ("2023-02-29", false),
            ("2023-04-31", false),
            ("2023-13-01", false),
            ("2023-00-10", false),
            ("2023-01-00", false),
            ("2023-1-1", false),
            ("+023-01-01", false),
            ("2023-01-01 ", false),
            ("31.01.2027", false),
            ("\u{661}023-01-01", false),
            ("", false),
        ] {
            assert_eq!(
                Date::parse(text).map(|date| date.to_string()),
                known.then(|| text.to_owned()),
                "{text}"
            );
        }
        assert!(Date::parse("2026-12-31") < Date::parse("2027-01-01"));
    }

    #[test]
    fn seconds_become_days() {
        for (seconds, date) in [
            (0, "1970-01-01"),
            (86_399, "1970-01-01"),
            (951_782_400, "2000-02-29"),
            (1_709_251_199, "2024-02-29"),
            (1_709_251_200, "2024-03-01"),
            (4_107_542_399, "2100-02-28"),
            (4_107_542_400, "2100-03-01"),
            (u64::MAX, "9999-12-31"),
        ] {
            assert_eq!(Date::of_unix_seconds(seconds).to_string(), date, "{seconds}");
        }
    }
}
