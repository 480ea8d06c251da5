//! Finds strftime's notation in a prefix, which other exporters read and this one does not. Never replaces it.

/// What strftime calls parts of a time, and the variables for them.
const NOTATION: [(char, &str); 8] = [
    ('Y', "{year}"),
    ('m', "{month}"),
    ('d', "{day}"),
    ('H', "{hour}"),
    ('M', "{minute}"),
    ('S', "{second}"),
    ('F', "{year}-{month}-{day}"),
    ('s', "{data_interval_end}"),
];

/// Returns the first place in a prefix where a folder's name is made of strftime's notation, and the variable that is
/// meant. A percent sign within a word (`50%discount`) is an ordinary character.
pub fn found(prefix: &str) -> Option<(String, &'static str)> {
    let mut before = None;
    let mut rest = prefix.chars();
    while let Some(c) = rest.next() {
        let mut ahead = rest.clone();
        let known = ahead
            .next()
            .and_then(|letter| NOTATION.iter().find(|(known, _)| *known == letter));
        let is_word = |c: Option<char>| c.is_some_and(char::is_alphanumeric);
        if c == '%'
            && let Some((letter, variable)) = known
            && !is_word(before)
            && !is_word(ahead.next())
        {
            return Some((format!("%{letter}"), variable));
        }
        before = Some(c);
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn notation_is_told_from_percent_signs() {
        for (prefix, expect) in [
            ("%Y/%m/%d/", Some(("%Y", "{year}"))),
            ("events/%F", Some(("%F", "{year}-{month}-{day}"))),
            ("dt=%Y%m%d", Some(("%Y", "{year}"))),
            ("{year}/hour=%H/", Some(("%H", "{hour}"))),
            ("50%discount/", None),
            ("100%/", None),
            ("a%2Fb", None),
            ("100%d", None),
            ("%", None),
            ("%é", None),
        ] {
            let found = found(prefix);
            let found = found
                .as_ref()
                .map(|(notation, variable)| (notation.as_str(), *variable));
            assert_eq!(found, expect, "{prefix}");
        }
    }
}
