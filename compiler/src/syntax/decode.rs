//! The bytes of a file become text.
//!
//! Does not know KDL: it looks at encodings alone.

use crate::diagnostic::Diagnostic;
use crate::source::{FileId, Span};

/// Turns the bytes of a file into text. What is not UTF-8 is replaced by U+FFFD and reported once
/// (`unreadable-text`), so that the rest of the file can still be read; spans refer to the returned text. A byte
/// order mark stays where it is ([`parse`](super::parse) skips it), so that offsets of a good file are those of its bytes.
pub fn decode(file: FileId, bytes: Vec<u8>) -> (String, Vec<Diagnostic>) {
    let bytes = match String::from_utf8(bytes) {
        Ok(text) => return (text, Vec::new()),
        Err(error) => error.into_bytes(),
    };
    if let Some((text, order)) = from_utf16(&bytes) {
        let end = text.chars().next().map_or(0, char::len_utf8);
        let found = Diagnostic::new(
            "unreadable-text",
            Span::new(file, 0, end),
            format!("the file is UTF-16 text ({order} byte first); it must be UTF-8"),
        )
        .at("the byte order mark says so")
        .help("save the file as UTF-8 in your editor");
        return (text, vec![found]);
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

/// The text and its byte order, if a byte order mark says UTF-16.
fn from_utf16(bytes: &[u8]) -> Option<(String, &'static str)> {
    let (order, unit): (_, fn([u8; 2]) -> u16) = match bytes {
        [0xFF, 0xFE, ..] => ("low", u16::from_le_bytes),
        [0xFE, 0xFF, ..] => ("high", u16::from_be_bytes),
        _ => return None,
    };
    let units = bytes[2..].chunks_exact(2).map(|pair| unit([pair[0], pair[1]]));
    Some((char::decode_utf16(units).map(|c| c.unwrap_or(char::REPLACEMENT_CHARACTER)).collect(), order))
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
}
