//! Copies the text of JSON columns byte for byte when it is valid, and repairs it where a line of JSON needs that.
//! One pass decides, without recursion (nesting is a stack of bits), without building values, and without judging
//! content: numbers of any length, duplicate keys and any Unicode pass.

use std::ops::AddAssign;

/// Repairs made to JSON columns, by kind: how often each was made.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Repairs {
    /// Texts that are not JSON at all (including the empty text), written as JSON strings.
    pub invalid_json_as_string: u64,
    /// Raw control characters inside strings, now escaped.
    pub control_characters_escaped: u64,
    /// Line breaks between tokens, dropped.
    pub line_breaks_dropped: u64,
    /// Escapes of half a surrogate pair, now U+FFFD.
    pub lone_surrogates_replaced: u64,
}

impl Repairs {
    /// Name and count of the kinds that occurred, for the report.
    pub fn counts(&self) -> Vec<(&'static str, u64)> {
        let all = [
            ("invalid-json-as-string", self.invalid_json_as_string),
            ("control-characters-escaped", self.control_characters_escaped),
            ("line-breaks-dropped", self.line_breaks_dropped),
            ("lone-surrogates-replaced", self.lone_surrogates_replaced),
        ];
        all.into_iter().filter(|(_, count)| *count > 0).collect()
    }
}

impl AddAssign for Repairs {
    fn add_assign(&mut self, other: Self) {
        self.invalid_json_as_string += other.invalid_json_as_string;
        self.control_characters_escaped += other.control_characters_escaped;
        self.line_breaks_dropped += other.line_breaks_dropped;
        self.lone_surrogates_replaced += other.lone_surrogates_replaced;
    }
}

/// Writes JSON texts; keeps its stack between them.
#[derive(Debug, Default)]
pub struct Writer {
    nesting: Nesting,
}

impl Writer {
    /// Appends `text` as one line of JSON, repaired where it must be.
    pub fn write(&mut self, text: &str, out: &mut Vec<u8>, repairs: &mut Repairs) {
        let bytes = text.as_bytes();
        self.nesting.clear();
        match scan(bytes, &mut self.nesting) {
            Some(Scan::Clean) => out.extend_from_slice(bytes),
            Some(Scan::NeedsRepair) => repair(bytes, out, repairs),
            None => {
                repairs.invalid_json_as_string += 1;
                write_string(bytes, out);
            }
        }
    }
}

/// Open brackets, one bit each (object or array): 64 to a word, deeper words in a heap stack that a text of n bytes
/// fills with n/8 bytes at most.
#[derive(Debug, Default)]
struct Nesting {
    depth: usize,
    /// The innermost levels, the last one in the lowest bit.
    word: u64,
    outer: Vec<u64>,
}

impl Nesting {
    fn clear(&mut self) {
        self.depth = 0;
        self.outer.clear();
    }

    fn push(&mut self, is_object: bool) {
        if self.depth.is_multiple_of(64) && self.depth > 0 {
            self.outer.push(self.word);
        }
        self.word = (self.word << 1) | u64::from(is_object);
        self.depth += 1;
    }

    fn pop(&mut self) {
        self.word >>= 1;
        self.depth -= 1;
        if self.depth.is_multiple_of(64)
            && let Some(word) = self.outer.pop()
        {
            self.word = word;
        }
    }

    fn in_object(&self) -> bool {
        self.word & 1 == 1
    }
}

/// What a valid text needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Scan {
    Clean,
    NeedsRepair,
}

/// Judges a text: `None` if it is not JSON. Raw control characters in strings and half surrogate pairs are accepted,
/// because they can be repaired.
fn scan(text: &[u8], nesting: &mut Nesting) -> Option<Scan> {
    let mut repair = false;
    let mut at = skip_blank(text, 0, &mut repair);
    loop {
        // A value begins here.
        match *text.get(at)? {
            b'"' => at = string(text, at + 1, &mut repair)?,
            b'{' => {
                nesting.push(true);
                at = skip_blank(text, at + 1, &mut repair);
                if text.get(at) != Some(&b'}') {
                    at = key(text, at, &mut repair)?;
                    continue;
                }
                nesting.pop();
                at += 1;
            }
            b'[' => {
                nesting.push(false);
                at = skip_blank(text, at + 1, &mut repair);
                if text.get(at) != Some(&b']') {
                    continue;
                }
                nesting.pop();
                at += 1;
            }
            b't' => at = literal(text, at, b"true")?,
            b'f' => at = literal(text, at, b"false")?,
            b'n' => at = literal(text, at, b"null")?,
            _ => at = number(text, at)?,
        }
        // A value ended here; so may the values that hold it.
        loop {
            at = skip_blank(text, at, &mut repair);
            if nesting.depth == 0 {
                let verdict = if repair { Scan::NeedsRepair } else { Scan::Clean };
                return (at == text.len()).then_some(verdict);
            }
            match (*text.get(at)?, nesting.in_object()) {
                (b',', true) => {
                    at = skip_blank(text, at + 1, &mut repair);
                    at = key(text, at, &mut repair)?;
                    break;
                }
                (b',', false) => {
                    at = skip_blank(text, at + 1, &mut repair);
                    break;
                }
                (b'}', true) | (b']', false) => {
                    nesting.pop();
                    at += 1;
                }
                _ => return None,
            }
        }
    }
}

/// Over blanks between tokens; a line break is noted for repair.
fn skip_blank(text: &[u8], mut at: usize, repair: &mut bool) -> usize {
    while let Some(byte) = text.get(at) {
        match byte {
            b' ' | b'\t' => {}
            b'\n' | b'\r' => *repair = true,
            _ => break,
        }
        at += 1;
    }
    at
}

/// Over a key, its colon and the blanks up to its value.
fn key(text: &[u8], at: usize, repair: &mut bool) -> Option<usize> {
    if *text.get(at)? != b'"' {
        return None;
    }
    let at = string(text, at + 1, repair)?;
    let at = skip_blank(text, at, repair);
    (*text.get(at)? == b':').then(|| skip_blank(text, at + 1, repair))
}

fn literal(text: &[u8], at: usize, word: &[u8]) -> Option<usize> {
    text[at..].starts_with(word).then_some(at + word.len())
}

/// Over a number as RFC 8259 section 6 has it, of any length.
fn number(text: &[u8], mut at: usize) -> Option<usize> {
    if text.get(at) == Some(&b'-') {
        at += 1;
    }
    match text.get(at)? {
        b'0' => at += 1,
        b'1'..=b'9' => at = digits(text, at),
        _ => return None,
    }
    if text.get(at) == Some(&b'.') {
        at = some_digits(text, at + 1)?;
    }
    if matches!(text.get(at), Some(b'e' | b'E')) {
        at += 1;
        if matches!(text.get(at), Some(b'+' | b'-')) {
            at += 1;
        }
        at = some_digits(text, at)?;
    }
    Some(at)
}

fn digits(text: &[u8], mut at: usize) -> usize {
    while text.get(at).is_some_and(u8::is_ascii_digit) {
        at += 1;
    }
    at
}

fn some_digits(text: &[u8], at: usize) -> Option<usize> {
    let end = digits(text, at);
    (end > at).then_some(end)
}

/// Over the rest of a string, its closing quote included.
fn string(text: &[u8], mut at: usize, repair: &mut bool) -> Option<usize> {
    loop {
        at = plain_until(text, at);
        match *text.get(at)? {
            b'"' => return Some(at + 1),
            b'\\' => {
                let (end, escape) = escape(text, at)?;
                *repair |= escape == Escape::LoneSurrogate;
                at = end;
            }
            _ => {
                *repair = true;
                at += 1;
            }
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Escape {
    Fine,
    LoneSurrogate,
}

/// Over the escape that begins at `at`; both halves of a surrogate pair are one escape.
fn escape(text: &[u8], at: usize) -> Option<(usize, Escape)> {
    match text.get(at + 1)? {
        b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => Some((at + 2, Escape::Fine)),
        b'u' => {
            let unit = code_unit(text, at)?;
            let end = at + 6;
            match unit {
                0xD800..=0xDBFF => match code_unit(text, end) {
                    Some(0xDC00..=0xDFFF) => Some((end + 6, Escape::Fine)),
                    _ => Some((end, Escape::LoneSurrogate)),
                },
                0xDC00..=0xDFFF => Some((end, Escape::LoneSurrogate)),
                _ => Some((end, Escape::Fine)),
            }
        }
        _ => None,
    }
}

/// Returns the value of the `\uXXXX` at `at`, if there is one.
fn code_unit(text: &[u8], at: usize) -> Option<u32> {
    let digits = text.get(at..at + 6)?.strip_prefix(b"\\u")?;
    digits.iter().try_fold(0, |unit, digit| {
        let value = char::from(*digit).to_digit(16)?;
        Some((unit << 4) | value)
    })
}

/// Copies a valid text without what needs repair.
fn repair(text: &[u8], out: &mut Vec<u8>, repairs: &mut Repairs) {
    let mut in_string = false;
    let mut at = 0;
    while at < text.len() {
        let byte = text[at];
        at += 1;
        match byte {
            b'"' => in_string = !in_string,
            b'\\' if in_string => {
                let (end, kind) = escape(text, at - 1).unwrap_or((at, Escape::Fine));
                if kind == Escape::LoneSurrogate {
                    repairs.lone_surrogates_replaced += 1;
                    out.extend_from_slice(b"\\ufffd");
                } else {
                    out.extend_from_slice(&text[at - 1..end]);
                }
                at = end;
                continue;
            }
            0..0x20 if in_string => {
                repairs.control_characters_escaped += 1;
                write_escape(byte, out);
                continue;
            }
            b'\n' | b'\r' => {
                repairs.line_breaks_dropped += 1;
                continue;
            }
            _ => {}
        }
        out.push(byte);
    }
}

/// Appends `text` as a JSON string, quotes included. Only what must be escaped is.
pub fn write_string(text: &[u8], out: &mut Vec<u8>) {
    out.reserve(text.len() + 2);
    out.push(b'"');
    write_string_content(text, out);
    out.push(b'"');
}

/// Bytes of `text` as the content of a JSON string.
pub fn escaped_bytes(text: &[u8]) -> u64 {
    let mut escapes_bytes = 0;
    let mut from = 0;
    loop {
        let at = plain_until(text, from);
        match text.get(at) {
            Some(byte) => escapes_bytes += escape_bytes(*byte) - 1,
            None => return text.len() as u64 + escapes_bytes,
        }
        from = at + 1;
    }
}

/// Appends the content between the quotes of a JSON string.
pub fn write_string_content(text: &[u8], out: &mut Vec<u8>) {
    let mut from = 0;
    loop {
        let at = plain_until(text, from);
        out.extend_from_slice(&text[from..at]);
        match text.get(at) {
            Some(byte) => write_escape(*byte, out),
            None => return,
        }
        from = at + 1;
    }
}

/// Appends the escape of a quote, a backslash or a control character.
fn write_escape(byte: u8, out: &mut Vec<u8>) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    let short = match byte {
        b'"' | b'\\' => byte,
        0x08 => b'b',
        b'\t' => b't',
        b'\n' => b'n',
        0x0C => b'f',
        b'\r' => b'r',
        _ => {
            let (high, low) = (HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]);
            out.extend_from_slice(&[b'\\', b'u', b'0', b'0', high, low]);
            return;
        }
    };
    out.extend_from_slice(&[b'\\', short]);
}

/// Bytes of that escape.
fn escape_bytes(byte: u8) -> u64 {
    match byte {
        b'"' | b'\\' | 0x08 | b'\t' | b'\n' | 0x0C | b'\r' => 2,
        _ => 6,
    }
}

const ONES: u64 = u64::MAX / 255;
const HIGH_BITS: u64 = ONES * 0x80;

/// Returns the first position from `at` on that holds a quote, a backslash or a control character; the end if none
/// does. Eight bytes at a time: strings are most of an event.
#[inline]
fn plain_until(text: &[u8], mut at: usize) -> usize {
    while let Some(chunk) = text.get(at..).and_then(|rest| rest.first_chunk::<8>()) {
        let word = u64::from_le_bytes(*chunk);
        let control = word.wrapping_sub(ONES * 0x20) & !word;
        let quote = zero_bytes(word ^ (ONES * b'"' as u64));
        let backslash = zero_bytes(word ^ (ONES * b'\\' as u64));
        // The lowest bit set is exact; borrows only disturb bytes above it.
        let found = (control | quote | backslash) & HIGH_BITS;
        if found != 0 {
            return at + (found.trailing_zeros() / 8) as usize;
        }
        at += 8;
    }
    while let Some(byte) = text.get(at) {
        if matches!(byte, b'"' | b'\\' | 0..0x20) {
            break;
        }
        at += 1;
    }
    at
}

/// Returns the high bit of each byte that is zero, as far as the lowest of them.
#[inline]
fn zero_bytes(word: u64) -> u64 {
    word.wrapping_sub(ONES) & !word
}
