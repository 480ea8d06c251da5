//! How messages quote input, and guess what was meant. Decides nothing.

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
