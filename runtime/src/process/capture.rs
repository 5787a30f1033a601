//! Keeps the beginning and the end of a stream within a bound.
//!
//! Does not know where the bytes come from.

use std::collections::VecDeque;

/// A captured stream.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Captured {
    /// What was kept. If something was left out, one line in the middle says how much.
    pub bytes: Vec<u8>,
    /// Number of bytes that were left out.
    pub truncated: u64,
}

impl Captured {
    /// The text for people; what is not UTF-8 is replaced.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.bytes).into_owned()
    }
}

/// Collects a stream: the first half of the bound as it comes, and then a ring of the last half.
pub(super) struct Collector {
    head: Vec<u8>,
    tail: VecDeque<u8>,
    half: usize,
    omitted: u64,
}

impl Collector {
    pub(super) fn new(bound: usize) -> Collector {
        Collector { head: Vec::new(), tail: VecDeque::new(), half: bound / 2, omitted: 0 }
    }

    pub(super) fn push(&mut self, bytes: &[u8]) {
        let room = self.half.saturating_sub(self.head.len()).min(bytes.len());
        let (first, rest) = bytes.split_at(room);
        self.head.extend_from_slice(first);
        let skipped = rest.len().saturating_sub(self.half);
        let rest = &rest[skipped..];
        let surplus = (self.tail.len() + rest.len()).saturating_sub(self.half);
        self.tail.drain(..surplus);
        self.tail.extend(rest);
        self.omitted += (skipped + surplus) as u64;
    }

    pub(super) fn finish(self) -> Captured {
        let mut bytes = self.head;
        if self.omitted > 0 {
            bytes.extend_from_slice(format!("\n[{} bytes left out]\n", self.omitted).as_bytes());
        }
        let (front, back) = self.tail.as_slices();
        bytes.extend_from_slice(front);
        bytes.extend_from_slice(back);
        Captured { bytes, truncated: self.omitted }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn short_output_is_whole() {
        let mut collector = Collector::new(10);
        collector.push(b"hello");
        collector.push(b"world");
        assert_eq!(collector.finish(), Captured { bytes: b"helloworld".to_vec(), truncated: 0 });
    }

    #[test]
    fn long_output_keeps_both_ends() {
        let mut collector = Collector::new(6);
        collector.push(b"abcdefghij");
        collector.push(b"k");
        assert_eq!(
            collector.finish(),
            Captured { bytes: b"abc\n[5 bytes left out]\nijk".to_vec(), truncated: 5 }
        );
    }

    proptest! {
        #[test]
        fn pieces_make_no_difference(
            pieces in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..40), 0..12),
            bound in 0usize..64,
        ) {
            let mut in_pieces = Collector::new(bound);
            pieces.iter().for_each(|piece| in_pieces.push(piece));
            let all = pieces.concat();
            let mut at_once = Collector::new(bound);
            at_once.push(&all);
            let result = in_pieces.finish();
            prop_assert_eq!(&result, &at_once.finish());
            prop_assert_eq!(result.truncated, all.len().saturating_sub(bound / 2 * 2) as u64);
        }
    }
}
