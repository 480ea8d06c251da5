//! How messages quote input, write numbers, and guess what was meant. Decides nothing.

/// Maximum number of characters of a value that a message quotes.
pub const MAX_SHOWN_CHARS: usize = 80;

/// Returns a value as messages quote it: cut to [`MAX_SHOWN_CHARS`], with control characters escaped.
pub fn shown(text: &str) -> String {
    let printable = printable(text);
    match text.chars().nth(MAX_SHOWN_CHARS) {
        Some(_) => format!("`{printable}…`"),
        None => format!("`{printable}`"),
    }
}

/// Returns the first [`MAX_SHOWN_CHARS`] of a text, with control characters escaped.
pub(crate) fn printable(text: &str) -> String {
    text.chars()
        .take(MAX_SHOWN_CHARS)
        .flat_map(|c| {
            let control = c.is_control();
            c.escape_default()
                .take(if control { usize::MAX } else { 0 })
                .chain((!control).then_some(c))
        })
        .collect()
}

/// Returns a number with its thousands separated: `1,234,567`.
pub fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.char_indices() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Returns the candidate that was probably meant: the nearest by edit distance, ignoring case.
pub fn nearest<'a>(written: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let written = written.to_lowercase();
    candidates
        .into_iter()
        .map(|candidate| {
            let distance = strsim::damerau_levenshtein(&written, &candidate.to_lowercase());
            (distance, candidate)
        })
        // With more than a third of the letters wrong it is a different word.
        .filter(|(distance, candidate)| distance * 3 <= candidate.chars().count())
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}
