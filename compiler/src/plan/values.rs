//! Values as they stand in a plan: ids, durations, money, paths, and how a text is written in KDL.
//!
//! Does not know which node a value stands in. Errors are half sentences that say what is wrong.

use camino::Utf8Path;

use crate::source::Date;
use crate::syntax::Value;

/// How the name of a plan ends, and that of a file that a plan is made of.
pub const PLAN_SUFFIX: &str = ".loop.kdl";
/// The name of the project's file.
pub const PROJECT_FILE: &str = "loop.kdl";

/// May a unit of this kind write the path, or what a pattern of this text names? Plan files are for units of kind
/// `plan`, and the project's file is for nobody.
pub fn may_write_plan_file(path: &str, kind: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or(path);
    let is_plan = name.ends_with(PLAN_SUFFIX);
    name != PROJECT_FILE && (!is_plan || kind == super::schema::PLAN_KIND)
}

/// Longest id, in bytes (ids are ASCII).
pub const MAX_ID: usize = 64;

/// Checks the text of an id.
///
/// # Errors
/// What is wrong, to stand behind "`x` cannot be an id: ".
pub fn id(text: &str) -> Result<(), String> {
    let Some(first) = text.chars().next() else { return Err("it is empty".to_owned()) };
    if let Some(odd) = text.chars().find(|c| !(c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-'))) {
        return Err(match odd {
            '/' => "`/` is made only by `use`".to_owned(),
            ' ' => "it holds a space".to_owned(),
            odd => format!("it holds `{}`", odd.escape_debug()),
        });
    }
    if !first.is_ascii_alphanumeric() {
        return Err(format!("it begins with `{first}`"));
    }
    if text.len() > MAX_ID {
        return Err(format!("it has {} characters, and {MAX_ID} is the most", text.len()));
    }
    Ok(())
}

/// What a feature's id may not be besides: it becomes the name of a branch.
/// Source: git-check-ref-format(1).
pub fn feature_id(text: &str) -> Result<(), String> {
    id(text)?;
    if text.contains("..") {
        return Err("it holds `..`, which no branch name may".to_owned());
    }
    if text.ends_with('.') {
        return Err("it ends with `.`, which no branch name may".to_owned());
    }
    if text.to_ascii_lowercase().ends_with(".lock") {
        return Err("it ends with `.lock`, which no branch name may".to_owned());
    }
    Ok(())
}

/// The name of an environment variable.
pub fn is_variable(text: &str) -> bool {
    let mut bytes = text.bytes();
    bytes.next().is_some_and(|first| first.is_ascii_alphabetic() || first == b'_')
        && bytes.all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

const UNITS: [(&str, u64); 5] = [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)];

/// Milliseconds of a hundred years. Nothing runs that long, and far beyond it numbers would not fit into a journal.
const LONGEST: u64 = 36_525 * 86_400_000;

/// Milliseconds of `1h30m`, `45m`, `500ms`: whole numbers with `d`, `h`, `m`, `s`, `ms`, the greater unit first.
///
/// # Errors
/// What is wrong, as a half sentence.
pub fn duration(text: &str) -> Result<u64, String> {
    const SHAPE: &str = "write it as \"1h30m\", \"45m\" or \"500ms\"";
    let mut rest = text;
    let mut total: u64 = 0;
    let mut largest = 0;
    if rest.is_empty() {
        return Err(format!("it is empty; {SHAPE}"));
    }
    while !rest.is_empty() {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        if digits == 0 {
            return Err(format!("a number is missing before `{rest}`; {SHAPE}"));
        }
        let (number, behind) = rest.split_at(digits);
        let letters = behind.bytes().take_while(u8::is_ascii_alphabetic).count();
        let (unit, behind) = behind.split_at(letters);
        let Some(at) = UNITS.iter().position(|(name, _)| *name == unit) else {
            return Err(match unit {
                "" => format!("the unit is missing behind `{number}`; {SHAPE}"),
                _ => format!("`{unit}` is no unit of time: d, h, m, s and ms are"),
            });
        };
        if at < largest {
            return Err(format!("`{unit}` stands twice or behind a smaller unit; {SHAPE}"));
        }
        largest = at + 1;
        let amount = number.parse::<u64>().ok().and_then(|number| number.checked_mul(UNITS[at].1));
        total = amount.and_then(|amount| total.checked_add(amount)).ok_or("it is too long")?;
        rest = behind;
    }
    match total {
        0 => Err("it must be longer than nothing".to_owned()),
        LONGEST.. => Err("it is too long: more than a hundred years".to_owned()),
        _ => Ok(total),
    }
}

/// A day written as `2027-01-31`: year, month and day, with all their digits.
///
/// # Errors
/// What is wrong, as a half sentence.
pub fn date(text: &str) -> Result<Date, String> {
    Date::parse(text)
        .ok_or_else(|| "write year, month and day of a day that there is: \"2027-01-31\"".to_owned())
}

/// Micro-dollars of a number of US dollars, exactly.
///
/// # Errors
/// What is wrong, as a half sentence.
pub fn money(value: &Value) -> Result<u64, String> {
    let text = match value {
        Value::Integer(number) => number.get().to_string(),
        Value::Number(text) => text.to_string(),
        _ => return Err("it is not a number".to_owned()),
    };
    if text.starts_with('-') {
        return Err("it is less than nothing".to_owned());
    }
    let too_much = || "it is too much".to_owned();
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, exponent.parse::<i32>().map_err(|_| too_much())?),
        None => (text.as_str(), 0),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits: String = [whole.trim_start_matches('+'), fraction].concat();
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err("it is not an amount".to_owned());
    }
    let significant = digits.trim_start_matches('0').trim_end_matches('0');
    if significant.is_empty() {
        return Ok(0);
    }
    // value = digits * 10^shift micro-dollars
    let dropped = digits.trim_start_matches('0').len() - significant.len();
    let shift = i64::from(exponent) - fraction.len() as i64 + dropped as i64 + 6;
    if shift < 0 {
        return Err("it has more than six decimals".to_owned());
    }
    let number: u64 = significant.parse().map_err(|_| too_much())?;
    let scale = u32::try_from(shift).ok().and_then(|shift| 10_u64.checked_pow(shift)).ok_or_else(too_much)?;
    number.checked_mul(scale).ok_or_else(too_much)
}

/// Why a path cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PathProblem {
    Empty,
    Absolute,
    /// `..` leads out of the repository.
    Escapes,
}

/// The path from the repository's root, without `.`, `..` and doubled `/`. `./` and `../` in front mean "from the
/// directory `dir`". The root itself is the empty text.
pub fn resolve(dir: &Utf8Path, text: &str) -> Result<String, PathProblem> {
    if text.is_empty() {
        return Err(PathProblem::Empty);
    }
    if text.starts_with('/')
        || matches!(text.as_bytes(), [drive, b':', b'/' | b'\\', ..] if drive.is_ascii_alphabetic())
    {
        return Err(PathProblem::Absolute);
    }
    if is_resolved(text) {
        return Ok(text.to_owned());
    }
    let relative = text == "." || text == ".." || text.starts_with("./") || text.starts_with("../");
    let mut parts: Vec<&str> = Vec::new();
    if relative {
        parts.extend(dir.as_str().split('/').filter(|part| !part.is_empty()));
    }
    for part in text.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop().ok_or(PathProblem::Escapes)?;
            }
            part => parts.push(part),
        }
    }
    Ok(parts.join("/"))
}

/// Has the path no part that [`resolve`] would take out? Few have, and this costs one look at each byte.
fn is_resolved(text: &str) -> bool {
    let mut part_start = 0;
    for (at, byte) in text.bytes().chain([b'/']).enumerate() {
        if byte == b'/' {
            if matches!(&text.as_bytes()[part_start..at], b"" | b"." | b"..") {
                return false;
            }
            part_start = at + 1;
        }
    }
    true
}

/// The text as a quoted KDL string.
pub fn quote(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if c.is_control() => out.push_str(&format!("\\u{{{:x}}}", c as u32)),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

/// The text as a name: bare if KDL allows that without doubt, else quoted.
pub fn spell(text: &str) -> String {
    let mut bytes = text.bytes();
    let plain = bytes.next().is_some_and(|first| first.is_ascii_alphabetic() || first == b'_')
        && bytes.all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-'))
        && !matches!(text, "true" | "false" | "null" | "inf" | "nan");
    if plain { text.to_owned() } else { quote(text) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn durations_are_read_exactly() {
        assert_eq!(duration("1h30m"), Ok(5_400_000));
        assert_eq!(duration("500ms"), Ok(500));
        assert_eq!(duration("1d2h3m4s5ms"), Ok(93_784_005));
        for wrong in ["", "5", "m", "1.5h", "1m1h", "1m1m", "0s", "1 h", "1w", "99999999999999999999d"] {
            assert!(duration(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn dates_are_days_that_exist() {
        assert_eq!(date("2027-01-31").map(|day| day.to_string()), Ok("2027-01-31".to_owned()));
        assert_eq!(date("2028-02-29").map(|day| day.to_string()), Ok("2028-02-29".to_owned()));
        assert!(date("2000-02-29").is_ok() && date("2027-12-01") < date("2028-01-01"));
        for wrong in [
            "",
            "2027-1-31",
            "27-01-31",
            "2027/01/31",
            "2027-02-29",
            "1900-02-29",
            "2027-04-31",
            "2027-00-10",
            "2027-13-10",
            "2027-01-00",
            "2027-01-32",
            "2027-01-3\u{661}",
            "2027-01-31 ",
            "+027-01-31",
        ] {
            assert!(date(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn money_is_exact_or_refused() {
        let number = |text: &str| money(&Value::Number(text.into()));
        assert_eq!(number("2.5"), Ok(2_500_000));
        assert_eq!(number("0.000001"), Ok(1));
        assert_eq!(number("1.0000000"), Ok(1_000_000));
        assert_eq!(number("2.5E3"), Ok(2_500_000_000));
        assert_eq!(number("5E-6"), Ok(5));
        assert_eq!(number("0.0"), Ok(0));
        assert_eq!(money(&Value::integer(40)), Ok(40_000_000));
        for wrong in ["0.0000001", "-1.0", "1E30", "#inf", "#nan", "5E-7", "1E99999999999"] {
            assert!(number(wrong).is_err(), "{wrong}");
        }
        assert!(money(&Value::integer(i128::MAX)).is_err());
    }

    #[test]
    fn ids_are_plain_words() {
        for good in ["a", "T01", "001-x", "a.b_c-d", "1.1"] {
            assert_eq!(id(good), Ok(()), "{good}");
        }
        for wrong in ["", "-a", ".a", "a/b", "a b", "ä", "a:"] {
            assert!(id(wrong).is_err(), "{wrong}");
        }
        assert!(id(&"x".repeat(64)).is_ok() && id(&"x".repeat(65)).is_err());
        for wrong in ["a..b", "a.", "a.lock", "a.LOCK"] {
            assert!(id(wrong).is_ok() && feature_id(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn paths_stay_in_the_repository() {
        let dir = Utf8Path::new("plans/a");
        assert_eq!(resolve(dir, "src//x/./y/"), Ok("src/x/y".to_owned()));
        assert_eq!(resolve(dir, "./x"), Ok("plans/a/x".to_owned()));
        assert_eq!(resolve(dir, "../../x"), Ok("x".to_owned()));
        assert_eq!(resolve(dir, "../../../x"), Err(PathProblem::Escapes));
        assert_eq!(resolve(dir, "a/../../x"), Err(PathProblem::Escapes));
        assert_eq!(resolve(dir, "/etc/passwd"), Err(PathProblem::Absolute));
        assert_eq!(resolve(dir, ""), Err(PathProblem::Empty));
    }

    proptest! {
        #[test]
        fn a_resolved_path_has_no_dots_and_resolves_to_itself(text in "[./a-c]{1,20}") {
            if let Ok(path) = resolve(Utf8Path::new("d"), &text) {
                prop_assert!(path.split('/').all(|part| part != "." && part != ".."));
                if !path.is_empty() {
                    prop_assert_eq!(resolve(Utf8Path::new("d"), &path), Ok(path.clone()));
                }
            }
        }

        #[test]
        fn money_of_whole_micro_dollars_survives(micro in 0_u64..u64::MAX / 2) {
            let text = format!("{}.{:06}", micro / 1_000_000, micro % 1_000_000);
            prop_assert_eq!(money(&Value::Number(text.into())), Ok(micro));
        }
    }
}
