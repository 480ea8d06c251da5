//! The spellings of a text that servers use in headers, XML, HTML, JSON and URLs: undoes escapes and remembers where
//! each byte was. Knows no secret.

use std::ops::Range;

/// Longest character reference, such as `&#0000047;`.
const REFERENCE_BYTES: usize = 16;
/// The named references that stand for characters of keys, tokens and passwords.
const NAMED: [(&[u8], u8); 8] = [
    (b"amp", b'&'),
    (b"lt", b'<'),
    (b"gt", b'>'),
    (b"quot", b'"'),
    (b"apos", b'\''),
    (b"plus", b'+'),
    (b"sol", b'/'),
    (b"equals", b'='),
];

/// A text some of whose escapes are undone, and where each byte ends in the text as it came.
pub(super) struct Layer {
    begins_at: usize,
    bytes: Vec<u8>,
    ends: Vec<usize>,
}

impl Layer {
    /// Returns the piece of a text that begins there, as it came.
    pub(super) fn of(piece: &[u8], begins_at: usize) -> Self {
        Layer {
            begins_at,
            bytes: piece.to_vec(),
            ends: (begins_at + 1..=begins_at + piece.len()).collect(),
        }
    }

    /// Returns the text as far as its escapes are undone.
    pub(super) fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }

    /// Adds where the text is found, in upper or lower case.
    pub(super) fn find(&self, text: &[u8], found: &mut Vec<Range<usize>>) {
        let mut from = 0;
        let at = |from: usize| {
            self.bytes[from..]
                .windows(text.len())
                .position(|window| window.eq_ignore_ascii_case(text))
        };
        while let Some(position) = at(from) {
            let start = from + position;
            from = start + text.len();
            found.push(self.end_before(start)..self.end_before(from));
        }
    }

    fn end_before(&self, index: usize) -> usize {
        index.checked_sub(1).map_or(self.begins_at, |last| self.ends[last])
    }

    /// Returns the same with one layer of escapes undone; `None` when it has none.
    pub(super) fn unescaped(&self) -> Option<Self> {
        let mut next = Layer {
            begins_at: self.begins_at,
            bytes: Vec::with_capacity(self.bytes.len()),
            ends: Vec::with_capacity(self.bytes.len()),
        };
        let mut at = 0;
        while at < self.bytes.len() {
            let rest = &self.bytes[at..];
            at += unescape(rest, &mut next.bytes).unwrap_or_else(|| {
                next.bytes.push(rest[0]);
                1
            });
            next.ends.resize(next.bytes.len(), self.end_before(at));
        }
        (next.bytes.len() < self.bytes.len()).then_some(next)
    }
}

/// Undoes the escape with which the text begins, and returns its length.
fn unescape(text: &[u8], into: &mut Vec<u8>) -> Option<usize> {
    match text {
        [b'%', digits @ ..] => {
            into.push(u8::try_from(number(digits.get(..2)?, 16)?).ok()?);
            Some(3)
        }
        [b'&', name @ ..] => {
            let length = name.iter().take(REFERENCE_BYTES).position(|b| *b == b';')?;
            reference(&name[..length], into)?;
            Some(length + 2)
        }
        [b'\\', b'u', digits @ ..] => {
            push(number(digits.get(..4)?, 16)?, into)?;
            Some(6)
        }
        [b'\\', escaped @ (b'/' | b'\\' | b'"' | b'\''), ..] => {
            into.push(*escaped);
            Some(2)
        }
        _ => None,
    }
}

fn reference(name: &[u8], into: &mut Vec<u8>) -> Option<()> {
    match name {
        [b'#', b'x' | b'X', digits @ ..] => push(number(digits, 16)?, into),
        [b'#', digits @ ..] => push(number(digits, 10)?, into),
        _ => {
            let (_, byte) = NAMED.iter().find(|(known, _)| *known == name)?;
            into.push(*byte);
            Some(())
        }
    }
}

fn push(character: u32, into: &mut Vec<u8>) -> Option<()> {
    let character = char::from_u32(character)?;
    into.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
    Some(())
}

fn number(digits: &[u8], radix: u32) -> Option<u32> {
    digits.iter().try_fold(0_u32, |number, digit| {
        let digit = char::from(*digit).to_digit(radix)?;
        number.checked_mul(radix)?.checked_add(digit)
    })
}
