//! Names of ClickHouse's types taken apart as far as quotes and brackets go, and names and texts put into quotes.

/// Returns a type's name and its arguments. `None` where quotes or brackets do not match.
pub(super) fn parts(written: &str) -> Option<(&str, Vec<&str>)> {
    let written = written.trim();
    let Some(open) = written.find('(') else {
        return is_word(written).then_some((written, Vec::new()));
    };
    let name = &written[..open];
    let inside = written[open + 1..].strip_suffix(')')?;
    is_word(name).then_some(())?;
    Some((name, split(inside)?))
}

fn is_word(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

/// Cuts arguments apart at the commas that are in no brackets and no quotes.
fn split(inside: &str) -> Option<Vec<&str>> {
    let (mut parts, mut start, mut depth) = (Vec::new(), 0, 0_usize);
    let mut chars = inside.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '(' => depth += 1,
            ')' => depth = depth.checked_sub(1)?,
            ',' if depth == 0 => {
                parts.push(inside[start..at].trim());
                start = at + 1;
            }
            '\'' | '`' | '"' => loop {
                match chars.next()?.1 {
                    '\\' => {
                        chars.next()?;
                    }
                    // A doubled quote opens the next piece of the same text at once.
                    end if end == c => break,
                    _ => {}
                }
            },
            _ => {}
        }
    }
    (depth == 0).then_some(())?;
    let last = inside[start..].trim();
    if !(last.is_empty() && parts.is_empty()) {
        parts.push(last);
    }
    Some(parts)
}

/// Returns the name of a tuple's member, where it has one, and its type.
pub(super) fn member(argument: &str) -> Option<(Option<String>, &str)> {
    if let Some(quote) = argument.chars().next().filter(|c| matches!(c, '`' | '"')) {
        let (name, rest) = unquoted(argument, quote)?;
        return Some((Some(name), rest.trim_start()));
    }
    let end = argument
        .find(|c: char| !(c.is_ascii_alphanumeric() || c == '_'))
        .unwrap_or(argument.len());
    let rest = &argument[end..];
    match rest.starts_with(char::is_whitespace) {
        true => Some((Some(argument[..end].to_owned()), rest.trim_start())),
        false => Some((None, argument)),
    }
}

/// Returns what is in quotes, and what follows them.
fn unquoted(text: &str, quote: char) -> Option<(String, &str)> {
    let mut name = String::new();
    let mut chars = text.char_indices().skip(1).peekable();
    while let Some((at, c)) = chars.next() {
        if c == '\\' {
            name.push(match chars.next()?.1 {
                'n' => '\n',
                't' => '\t',
                'r' => '\r',
                '0' => '\0',
                'b' => '\u{8}',
                'f' => '\u{c}',
                'a' => '\u{7}',
                'v' => '\u{b}',
                'e' => '\u{1b}',
                other => other,
            });
        } else if c == quote {
            if chars.next_if(|(_, next)| *next == quote).is_none() {
                return Some((name, &text[at + c.len_utf8()..]));
            }
            name.push(quote);
        } else {
            name.push(c);
        }
    }
    None
}

/// Returns a text between quotes, with what would end it or mean something else escaped.
pub(super) fn quoted(text: &str, quote: char) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push(quote);
    for c in text.chars() {
        match c {
            '\0' => quoted.push_str("\\0"),
            '\\' => quoted.push_str("\\\\"),
            c if c == quote => quoted.extend(['\\', c]),
            c => quoted.push(c),
        }
    }
    quoted.push(quote);
    quoted
}
