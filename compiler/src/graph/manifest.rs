//! What a walk over a value tells of its fields, and the bytes that this becomes (`spec/hashing.md`, "The encoding").
//!
//! Does not know any value, nor which digest the bytes are for.

/// What a walk over a value says of its fields. Within a group, tags never fall.
pub trait Manifest {
    /// Opens a group: a field whose value is fields. A group that turns out empty counts as absent.
    fn begin(&mut self, tag: u32, name: &str);
    fn end(&mut self);
    /// A field by which its group differs from others of the same name, such as a path.
    fn identity(&mut self, tag: u32, value: &str);
    fn text(&mut self, tag: u32, name: &str, value: &str);

    /// A number, as decimal digits: no width to outgrow.
    fn number(&mut self, tag: u32, name: &str, value: i128) {
        self.text(tag, name, &value.to_string());
    }

    /// Encoded only when true.
    fn flag(&mut self, tag: u32, name: &str, value: bool) {
        if value {
            self.number(tag, name, 1);
        }
    }

    fn optional(&mut self, tag: u32, name: &str, value: Option<&str>) {
        if let Some(value) = value {
            self.text(tag, name, value);
        }
    }

    /// One field an item, all under the same tag, in order.
    fn texts(&mut self, tag: u32, name: &str, values: &[String]) {
        for value in values {
            self.text(tag, name, value);
        }
    }
}

/// Writes fields as bytes: tag (u32), length (u64), both little-endian, value.
pub struct Encoder {
    /// The open groups, outermost first, and what each holds so far.
    frames: Vec<Frame>,
}

struct Frame {
    tag: u32,
    bytes: Vec<u8>,
    /// The tag written last, to hold the walk to its order.
    last: u32,
}

impl Encoder {
    pub fn new() -> Encoder {
        Encoder { frames: vec![Frame { tag: 0, bytes: Vec::new(), last: 0 }] }
    }

    /// The bytes of everything told so far.
    pub fn bytes(&self) -> &[u8] {
        &self.frames[0].bytes
    }

    fn field(&mut self, tag: u32, value: &[u8]) {
        if let Some(frame) = self.frames.last_mut() {
            debug_assert!(tag >= frame.last, "tag {tag} behind tag {}", frame.last);
            frame.last = tag;
            frame.bytes.extend_from_slice(&tag.to_le_bytes());
            frame.bytes.extend_from_slice(&(value.len() as u64).to_le_bytes());
            frame.bytes.extend_from_slice(value);
        }
    }
}

impl Default for Encoder {
    fn default() -> Encoder {
        Encoder::new()
    }
}

impl Manifest for Encoder {
    fn begin(&mut self, tag: u32, _name: &str) {
        self.frames.push(Frame { tag, bytes: Vec::new(), last: 0 });
    }

    fn end(&mut self) {
        debug_assert!(self.frames.len() > 1, "a group ended that never began");
        if self.frames.len() > 1
            && let Some(frame) = self.frames.pop()
            && !frame.bytes.is_empty()
        {
            self.field(frame.tag, &frame.bytes);
        }
    }

    fn identity(&mut self, tag: u32, value: &str) {
        self.field(tag, value.as_bytes());
    }

    fn text(&mut self, tag: u32, _name: &str, value: &str) {
        self.field(tag, value.as_bytes());
    }
}

impl<A: Manifest, B: Manifest> Manifest for (A, B) {
    fn begin(&mut self, tag: u32, name: &str) {
        self.0.begin(tag, name);
        self.1.begin(tag, name);
    }

    fn end(&mut self) {
        self.0.end();
        self.1.end();
    }

    fn identity(&mut self, tag: u32, value: &str) {
        self.0.identity(tag, value);
        self.1.identity(tag, value);
    }

    fn text(&mut self, tag: u32, name: &str, value: &str) {
        self.0.text(tag, name, value);
        self.1.text(tag, name, value);
    }
}
