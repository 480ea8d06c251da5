//! Makes texts of others harmless on their way out: plugins, stores, sources, rows and names of files may hold
//! characters that move a terminal's cursor, turn the direction of what is next to them, or hide. Replaces them by
//! what they are, in characters that everybody sees; drops nothing.

use std::borrow::Cow;

/// Returns whether a character does something instead of showing something: a control character (C0, DEL, C1), one that
/// turns the direction of text or joins it, or one that cannot be seen. Line breaks are among them.
pub fn is_harmful(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{ad}'                        // soft hyphen
            | '\u{61c}'                     // Arabic letter mark
            | '\u{180e}'                    // Mongolian vowel separator
            | '\u{200b}'..='\u{200f}'       // zero-width space and joiners, direction marks
            | '\u{2028}'..='\u{202e}'       // line and paragraph separators, embeddings and overrides
            | '\u{2060}'..='\u{206f}'       // word joiner, invisible operators, isolates, old shaping controls
            | '\u{feff}'                    // byte order mark
            | '\u{fff9}'..='\u{fffb}'       // interlinear annotations
            | '\u{1d173}'..='\u{1d17a}'     // musical controls
            | '\u{e0000}'..='\u{e007f}'     // tags
        )
}

/// Returns a text of several lines for a terminal: line breaks stay, other harmful characters are shown as `\u{1b}`.
pub fn harmless(text: &str) -> Cow<'_, str> {
    shown(text, |c| c != '\n' && is_harmful(c))
}

/// Returns a text of others for use within a line: a line break in it is shown as `\n`, too, so that it fakes no line.
pub fn one_line(text: &str) -> Cow<'_, str> {
    shown(text, is_harmful)
}

fn shown(text: &str, replaced: impl Fn(char) -> bool) -> Cow<'_, str> {
    if !text.contains(&replaced) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        match replaced(c) {
            true => shown.extend(c.escape_default()),
            false => shown.push(c),
        }
    }
    Cow::Owned(shown)
}

/// JSON in which nothing is harmful to a terminal and which means the same: such characters are only in its strings,
/// where `\u` writes them. Line breaks between its tokens stay.
pub fn harmless_json(json: &str) -> Cow<'_, str> {
    let harmful = |c: char| c != '\n' && is_harmful(c);
    if !json.contains(harmful) {
        return Cow::Borrowed(json);
    }
    let mut escaped = String::with_capacity(json.len() + 16);
    for c in json.chars() {
        if !harmful(c) {
            escaped.push(c);
            continue;
        }
        for unit in c.encode_utf16(&mut [0; 2]) {
            escaped.push_str(&format!("\\u{unit:04x}"));
        }
    }
    Cow::Owned(escaped)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One of every kind, with how it is shown.
    const CASES: [(&str, &str); 14] = [
        ("a\u{1b}[2Jb", "a\\u{1b}[2Jb"),
        ("\0", "\\u{0}"),
        ("\u{7f}", "\\u{7f}"),
        ("\u{9b}31m", "\\u{9b}31m"),
        ("a\rb\tc", "a\\rb\\tc"),
        ("exe\u{202e}gpj", "exe\\u{202e}gpj"),
        ("\u{2066}x\u{2069}", "\\u{2066}x\\u{2069}"),
        ("\u{200e}\u{200f}\u{61c}", "\\u{200e}\\u{200f}\\u{61c}"),
        ("zero\u{200b}width", "zero\\u{200b}width"),
        ("\u{200d}\u{2060}\u{feff}", "\\u{200d}\\u{2060}\\u{feff}"),
        ("\u{2028}\u{2029}", "\\u{2028}\\u{2029}"),
        ("\u{ad}\u{180e}", "\\u{ad}\\u{180e}"),
        ("\u{e0041}", "\\u{e0041}"),
        ("ä 漢 \u{1f600} שלום", "ä 漢 \u{1f600} שלום"),
    ];

    #[test]
    fn what_does_something_is_shown_and_what_shows_something_stays() {
        for (text, expect) in CASES {
            assert_eq!(harmless(text), expect);
            assert_eq!(one_line(text), expect);
        }
        assert_eq!(harmless("a\nb\r\n"), "a\nb\\r\n");
        assert_eq!(one_line("a\nerror: b"), "a\\nerror: b");
    }

    #[test]
    fn json_means_the_same_and_holds_nothing_harmful() {
        for (text, _) in CASES {
            let json = serde_json::to_string_pretty(&vec![text, "b"]).expect("JSON");
            let escaped = harmless_json(&json);
            assert!(!escaped.contains(|c| c != '\n' && is_harmful(c)), "{escaped:?}");
            let back: Vec<String> = serde_json::from_str(&escaped).expect("JSON");
            assert_eq!(back, [text, "b"]);
        }
    }
}
