//! Days, for what expires.
//!
//! Does not know which day it is: [`super::Sources::today`] says so, if anybody does.

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

#[cfg(test)]
mod tests {
    use super::*;

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
