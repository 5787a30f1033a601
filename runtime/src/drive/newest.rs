//! The newest line of a command's output, for people who follow a run.
//!
//! Does not keep output: what is recorded of it is kept elsewhere, capped.

/// Splits output into lines for people; long ones are cut.
#[derive(Default)]
pub(super) struct Lines {
    rest: Vec<u8>,
}

impl Lines {
    /// The longest line that is looked at.
    const LONGEST: usize = 64 * 1024;

    /// Takes in more output and returns the newest complete line of it that `shown` makes something of.
    pub(super) fn newest(&mut self, bytes: &[u8], shown: impl Fn(&str) -> Option<String>) -> Option<String> {
        let mut ends = bytes.iter().enumerate().filter(|(_, byte)| **byte == b'\n').map(|(at, _)| at);
        let Some(first) = ends.next() else {
            self.keep(bytes);
            return None;
        };
        self.keep(&bytes[..first]);
        let carried = std::mem::take(&mut self.rest);
        let last = ends.next_back().unwrap_or(first);
        self.keep(&bytes[last + 1..]);
        let within = bytes[first + 1..(last + 1).max(first + 1)].rsplit(|byte| *byte == b'\n');
        // Most lines of a stream say nothing to people; a flood of them is not searched through.
        let candidates =
            within.map(|line| &line[..line.len().min(Self::LONGEST)]).chain([carried.as_slice()]);
        candidates.take(64).find_map(|line| {
            let text = String::from_utf8_lossy(line);
            let text = text.trim_end();
            if text.is_empty() { None } else { shown(text) }
        })
    }

    fn keep(&mut self, bytes: &[u8]) {
        let room = Self::LONGEST.saturating_sub(self.rest.len());
        self.rest.extend_from_slice(&bytes[..bytes.len().min(room)]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_line_is_shown() {
        let mut lines = Lines::default();
        let mut feed =
            |text: &str| lines.newest(text.as_bytes(), |line| (line != "no").then(|| line.to_owned()));
        assert_eq!(feed("fir"), None);
        assert_eq!(feed("st\nsec"), Some("first".into()));
        assert_eq!(feed("ond\nthird\n"), Some("third".into()));
        assert_eq!(feed("fourth\nno\n\nno\nfif"), Some("fourth".into()));
        assert_eq!(feed("th\n"), Some("fifth".into()));
        assert_eq!(feed("no\n"), None);
    }
}
