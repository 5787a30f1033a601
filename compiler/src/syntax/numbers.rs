//! Numbers: from the words of a file to values.
//!
//! Does not know what a number is used for, and computes with no floating point.
//! Source: KDL 2.0.1, section "Number".

use super::Value;

/// Numbers longer than this are refused: nobody means them, and turning them into decimal digits takes time.
pub(super) const MOST_CHARS: usize = 1024;

/// True if a word must be read as a number, so that it is a mistake if it is none: digits, with a sign before them.
pub(super) fn begins_like_a_number(word: &str) -> bool {
    let unsigned = word.strip_prefix(['+', '-']).unwrap_or(word);
    let first = unsigned.strip_prefix('.').unwrap_or(unsigned);
    first.starts_with(|c: char| c.is_ascii_digit())
}

/// The value of a word that is a number as a whole.
pub(super) fn parse(word: &str) -> Option<Value> {
    if word.len() > MOST_CHARS {
        return None;
    }
    let (negative, unsigned) = match word.as_bytes().first()? {
        b'-' => (true, &word[1..]),
        b'+' => (false, &word[1..]),
        _ => (false, word),
    };
    let radix = match unsigned.as_bytes() {
        [b'0', b'x', ..] => 16,
        [b'0', b'o', ..] => 8,
        [b'0', b'b', ..] => 2,
        _ => return decimal(negative, unsigned),
    };
    let digits = &unsigned.as_bytes()[2..];
    if digits.first()? == &b'_' {
        return None;
    }
    // Base 10^9, the lowest limb first.
    let mut limbs = vec![0_u32];
    for byte in digits {
        if *byte == b'_' {
            continue;
        }
        let mut carry = u64::from(char::from(*byte).to_digit(radix)?);
        for limb in &mut limbs {
            let wide = u64::from(*limb) * u64::from(radix) + carry;
            *limb = (wide % 1_000_000_000) as u32;
            carry = wide / 1_000_000_000;
        }
        if carry > 0 {
            limbs.push(carry as u32);
        }
    }
    let mut text = limbs.pop()?.to_string();
    for limb in limbs.iter().rev() {
        text.push_str(&format!("{limb:09}"));
    }
    Some(integer(negative, &text))
}

/// `digits`: decimal digits without a leading zero, or `0`.
fn integer(negative: bool, digits: &str) -> Value {
    let text = if negative && digits != "0" { format!("-{digits}") } else { digits.to_owned() };
    match text.parse::<i128>() {
        Ok(number) => Value::integer(number),
        Err(_) => Value::Number(text.into()),
    }
}

fn decimal(negative: bool, unsigned: &str) -> Option<Value> {
    if unsigned.bytes().all(|byte| byte.is_ascii_digit()) && (1..=18).contains(&unsigned.len()) {
        let number: i128 = unsigned.parse().ok()?;
        return Some(Value::integer(if negative { -number } else { number }));
    }
    let (mantissa, exponent) = match unsigned.find(['e', 'E']) {
        Some(at) => (&unsigned[..at], Some(&unsigned[at + 1..])),
        None => (unsigned, None),
    };
    let (whole, fraction) = match mantissa.find('.') {
        Some(at) => (&mantissa[..at], Some(&mantissa[at + 1..])),
        None => (mantissa, None),
    };
    let whole = digits(whole)?;
    let whole = match whole.trim_start_matches('0') {
        "" => "0",
        trimmed => trimmed,
    };
    if fraction.is_none() && exponent.is_none() {
        return Some(integer(negative, whole));
    }
    let fraction = match fraction {
        Some(fraction) => digits(fraction)?,
        None => "0".to_owned(),
    };
    let fraction = match fraction.trim_end_matches('0') {
        "" => "0",
        trimmed => trimmed,
    };
    let mut text = format!("{}{whole}.{fraction}", if negative { "-" } else { "" });
    if let Some(exponent) = exponent {
        let (sign, power) = match exponent.as_bytes().first()? {
            b'-' => ("-", &exponent[1..]),
            b'+' => ("", &exponent[1..]),
            _ => ("", exponent),
        };
        let power = digits(power)?;
        let power = power.trim_start_matches('0');
        if !power.is_empty() {
            text.push_str(&format!("E{sign}{power}"));
        }
    }
    Some(Value::Number(text.into()))
}

/// The digits of KDL's `integer`: a digit, then digits and `_`.
fn digits(text: &str) -> Option<String> {
    if !text.starts_with(|c: char| c.is_ascii_digit())
        || !text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'_')
    {
        return None;
    }
    Some(text.replace('_', ""))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn number(text: &str) -> Option<Value> {
        Some(Value::Number(text.into()))
    }

    #[test]
    fn integers_of_every_radix() {
        assert_eq!(parse("0"), Some(Value::integer(0)));
        assert_eq!(parse("-0"), Some(Value::integer(0)));
        assert_eq!(parse("+1_000_"), Some(Value::integer(1000)));
        assert_eq!(parse("-0xFf_"), Some(Value::integer(-255)));
        assert_eq!(parse("0o17"), Some(Value::integer(15)));
        assert_eq!(parse("0b1_0"), Some(Value::integer(2)));
        assert_eq!(parse("00012345678901234567890"), Some(Value::integer(12345678901234567890)));
        assert_eq!(parse("-170141183460469231731687303715884105728"), Some(Value::integer(i128::MIN)));
    }

    #[test]
    fn what_fits_no_integer_stays_exact() {
        assert_eq!(
            parse("170141183460469231731687303715884105728"),
            number("170141183460469231731687303715884105728")
        );
        assert_eq!(
            parse("0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF"),
            number("340282366920938463463374607431768211455")
        );
        assert_eq!(parse("1.50"), number("1.5"));
        assert_eq!(parse("-2.5e+010"), number("-2.5E10"));
        assert_eq!(parse("1e-3"), number("1.0E-3"));
        assert_eq!(parse("07.0E0"), number("7.0"));
    }

    #[test]
    fn near_misses_are_no_numbers() {
        for word in [
            "1.", "1._0", "1.0v2", "0x", "0x_1", "0X1", "0b2", "0o8", "1e", "1e_1", "1e1.0", "1.2.3", "1,",
            "_1", "", "-", "--1",
        ] {
            assert_eq!(parse(word), None, "{word}");
        }
        assert_eq!(parse(&"1".repeat(MOST_CHARS + 1)), None);
    }

    #[test]
    fn what_must_be_a_number() {
        for word in ["1", "-1", "+1", ".1", "-.1", "1a"] {
            assert!(begins_like_a_number(word), "{word}");
        }
        for word in ["a", "-a", "-", ".", "-.", "..1", "--1", ""] {
            assert!(!begins_like_a_number(word), "{word}");
        }
    }
}
