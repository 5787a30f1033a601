//! The bytes of a file become text.
//!
//! Does not know KDL: it looks at encodings alone.

use crate::diagnostic::Diagnostic;
use crate::source::{FileId, Span};

/// Turns the bytes of a file into text. What is not UTF-8 is replaced by U+FFFD and reported once
/// (`unreadable-text`), so that the rest of the file can still be read; spans refer to the returned text. What is no
/// text at all is not read any further: the returned text is empty then. A byte order mark stays where it is
/// ([`parse`](super::parse) skips it), so that offsets of a good file are those of its bytes.
pub fn decode(file: FileId, bytes: Vec<u8>) -> (String, Vec<Diagnostic>) {
    if let Some((text, encoding)) = other_unicode(&bytes) {
        let end = text.chars().next().map_or(0, char::len_utf8);
        let found = Diagnostic::new(
            "unreadable-text",
            Span::new(file, 0, end),
            format!("the file is {encoding}; it must be UTF-8"),
        )
        .at(if encoding.ends_with("mark") {
            "every second byte is zero"
        } else {
            "the byte order mark says so"
        })
        .help("save the file as UTF-8 in your editor");
        return (text, vec![found]);
    }
    let bytes = match String::from_utf8(bytes) {
        Ok(text) => return (text, Vec::new()),
        Err(error) => error.into_bytes(),
    };
    if bytes.contains(&0) {
        let found = Diagnostic::new(
            "unreadable-text",
            Span::new(file, 0, 0),
            "the file is not text: it holds zero bytes, and bytes that are not UTF-8",
        )
        .help("look whether another file was meant, or was put in its place; nothing in it was read");
        return (String::new(), vec![found]);
    }

    let mut text = String::with_capacity(bytes.len() + 16);
    let mut first = None;
    let mut places = 0_usize;
    for chunk in bytes.utf8_chunks() {
        text.push_str(chunk.valid());
        if let Some(bad) = chunk.invalid().first() {
            first.get_or_insert((text.len(), *bad));
            places += 1;
            text.push(char::REPLACEMENT_CHARACTER);
        }
    }
    let Some((offset, byte)) = first else { return (text, Vec::new()) };
    let line = text[..offset].matches('\n').count() + 1;
    let more = match places {
        1 => String::new(),
        2 => "; one more place is not UTF-8 either".to_owned(),
        count => format!("; {} more places are not UTF-8 either", count - 1),
    };
    let found = Diagnostic::new(
        "unreadable-text",
        Span::new(file, offset, offset + char::REPLACEMENT_CHARACTER.len_utf8()),
        format!("the file is not UTF-8 text: byte 0x{byte:02X} at offset {offset}, on line {line}{more}"),
    )
    .at("this byte is not part of any character")
    .help("save the file as UTF-8; an editor may show its present encoding as Latin-1 or Windows-1252");
    (text, vec![found])
}

/// The text and what it is, if it is UTF-16 or UTF-32: a byte order mark says so, or it is plain that it lacks one.
fn other_unicode(bytes: &[u8]) -> Option<(String, &'static str)> {
    type Two = fn([u8; 2]) -> u16;
    type Four = fn([u8; 4]) -> u32;
    let utf16 = |bytes: &[u8], unit: Two| {
        let units = bytes.chunks_exact(2).map(|pair| unit([pair[0], pair[1]]));
        char::decode_utf16(units).map(|c| c.unwrap_or(char::REPLACEMENT_CHARACTER)).collect()
    };
    let utf32 = |bytes: &[u8], unit: Four| {
        let units = bytes.chunks_exact(4).map(|four| unit([four[0], four[1], four[2], four[3]]));
        units.map(|c| char::from_u32(c).unwrap_or(char::REPLACEMENT_CHARACTER)).collect()
    };
    let is = |text: String, what| Some((text, what));
    match bytes {
        [0xFF, 0xFE, 0, 0, rest @ ..] if rest.len().is_multiple_of(4) => {
            is(utf32(rest, u32::from_le_bytes), "UTF-32 text (low byte first)")
        }
        [0, 0, 0xFE, 0xFF, rest @ ..] => is(utf32(rest, u32::from_be_bytes), "UTF-32 text (high byte first)"),
        [0xFF, 0xFE, rest @ ..] => is(utf16(rest, u16::from_le_bytes), "UTF-16 text (low byte first)"),
        [0xFE, 0xFF, rest @ ..] => is(utf16(rest, u16::from_be_bytes), "UTF-16 text (high byte first)"),
        // Every second byte of plain text is zero then.
        [_, 0, ..] if mostly_zero(bytes, 1) => {
            is(utf16(bytes, u16::from_le_bytes), "UTF-16 text (low byte first) without a byte order mark")
        }
        [0, _, ..] if mostly_zero(bytes, 0) => {
            is(utf16(bytes, u16::from_be_bytes), "UTF-16 text (high byte first) without a byte order mark")
        }
        _ => None,
    }
}

/// True if most bytes at `from`, `from + 2`, ... are zero, and none between them is.
fn mostly_zero(bytes: &[u8], from: usize) -> bool {
    let zeros = |from: usize| bytes.iter().skip(from).step_by(2).filter(|byte| **byte == 0).count();
    bytes.len() >= 4
        && bytes.len().is_multiple_of(2)
        && 10 * zeros(from) > 9 * (bytes.len() / 2)
        && zeros(1 - from) == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn good_text_keeps_its_bytes_and_its_byte_order_mark() {
        let (text, found) = decode(FileId(0), "\u{FEFF}a ä\r\n".into());
        assert_eq!((text.as_str(), found.len()), ("\u{FEFF}a ä\r\n", 0));
    }

    #[test]
    fn the_first_bad_byte_is_named_with_offset_and_line() {
        let (text, found) = decode(FileId(0), b"a\nb \xE9t\xE9 c\n".to_vec());
        assert_eq!(text, "a\nb \u{FFFD}t\u{FFFD} c\n");
        assert_eq!(found.len(), 1);
        assert_eq!(
            (found[0].rule.name, found[0].primary.span.start, found[0].primary.span.end),
            ("unreadable-text", 4, 7)
        );
        assert_eq!(
            found[0].message,
            "the file is not UTF-8 text: byte 0xE9 at offset 4, on line 2; one more place is not UTF-8 either"
        );
    }

    #[test]
    fn utf16_is_named_and_still_read() {
        let bytes =
            [0xFF, 0xFE].into_iter().chain("a b\n".encode_utf16().flat_map(u16::to_le_bytes)).collect();
        let (text, found) = decode(FileId(0), bytes);
        assert_eq!(text, "a b\n");
        assert_eq!(found[0].message, "the file is UTF-16 text (low byte first); it must be UTF-8");
    }

    #[test]
    fn every_other_unicode_is_named_and_still_read() {
        let low = |text: &str| text.encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<u8>>();
        let high = |text: &str| text.encode_utf16().flat_map(u16::to_be_bytes).collect::<Vec<u8>>();
        let wide = |text: &str| text.chars().flat_map(|c| u32::from(c).to_le_bytes()).collect::<Vec<u8>>();
        for (bytes, says) in [
            (high("\u{FEFF}feature ä\n"), "UTF-16 text (high byte first);"),
            (low("feature ä\n"), "UTF-16 text (low byte first) without a byte order mark;"),
            (high("feature ä\n"), "UTF-16 text (high byte first) without a byte order mark;"),
            (wide("\u{FEFF}feature ä\n"), "UTF-32 text (low byte first);"),
            (b"\0\0\xFE\xFF\0\0\0f".to_vec(), "UTF-32 text (high byte first);"),
        ] {
            let (text, found) = decode(FileId(0), bytes);
            assert!(found.len() == 1 && found[0].message.contains(says), "{found:?}");
            assert!("feature ä\n".starts_with(&text), "{text:?}");
        }
        for bytes in [&b"a\0"[..], b"a\0b", b"\0\0\0\0", b"a b c d e f g h\0i\n"] {
            let (text, found) = decode(FileId(0), bytes.to_vec());
            assert_eq!((text.as_bytes(), found.len()), (bytes, 0), "UTF-8 as it stands");
        }
    }

    #[test]
    fn what_is_no_text_is_told_once_and_not_read() {
        let (text, found) = decode(FileId(0), b"\x7FELF\x02\0\0\xFF".to_vec());
        assert_eq!((text.as_str(), found.len()), ("", 1));
        assert!(found[0].message.starts_with("the file is not text"), "{}", found[0].message);
    }
}
