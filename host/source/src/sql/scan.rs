//! SQL text taken apart as far as quotes, comments and braces go. Knows no other syntax.

use batch_export_system::explain::Cause;

/// The way in which a database reads quotes and comments.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Syntax {
    /// A backslash escapes in texts that begin with `E` alone; comments nest.
    Postgres,
    /// A backslash escapes in all quotes; comments do not nest, and `#` begins one too.
    ClickHouse,
}

/// A piece of a statement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Piece<'a> {
    /// What is neither of the others.
    Code(&'a str),
    /// A text or a name in quotes, with them.
    Quoted(&'a str),
    /// A comment, with its signs.
    Comment(&'a str),
    /// The name between braces.
    Place(&'a str),
    /// The semicolon.
    End,
}

/// Takes a text apart. The pieces together are the text, but for the braces of places.
pub(super) fn pieces(text: &str, syntax: Syntax) -> Result<Vec<Piece<'_>>, Cause> {
    let mut pieces = Vec::new();
    let (mut at, mut code) = (0, 0);
    while let Some(c) = text[at..].chars().next() {
        let Some((piece, length)) = special(text, at, syntax)? else {
            at += c.len_utf8();
            continue;
        };
        if code < at {
            pieces.push(Piece::Code(&text[code..at]));
        }
        pieces.push(piece);
        at += length;
        code = at;
    }
    if code < text.len() {
        pieces.push(Piece::Code(&text[code..]));
    }
    Ok(pieces)
}

/// Returns the piece that begins here, if one does that is not code, and its length.
fn special(text: &str, at: usize, syntax: Syntax) -> Result<Option<(Piece<'_>, usize)>, Cause> {
    let rest = &text[at..];
    let to = |end: usize| &text[at..end];
    let is_hash = || syntax == Syntax::ClickHouse && (rest.starts_with("# ") || rest.starts_with("#!"));
    let piece = match rest.as_bytes().first() {
        Some(b'\'' | b'"' | b'`') => Piece::Quoted(to(quoted(text, at, syntax)?)),
        Some(b'$') => match dollar(text, at)? {
            Some(end) => Piece::Quoted(to(end)),
            None => return Ok(None),
        },
        _ if rest.starts_with("--") || is_hash() => Piece::Comment(to(line(text, at))),
        _ if rest.starts_with("/*") => Piece::Comment(to(block(text, at, syntax)?)),
        Some(b'{') => return Ok(place(rest).map(|(name, length)| (Piece::Place(name), length))),
        Some(b';') => return Ok(Some((Piece::End, 1))),
        _ => return Ok(None),
    };
    let length = match piece {
        Piece::Quoted(text) | Piece::Comment(text) => text.len(),
        _ => 0,
    };
    Ok(Some((piece, length)))
}

/// Returns the end of a text or a name in quotes. A doubled quote is one inside.
fn quoted(text: &str, start: usize, syntax: Syntax) -> Result<usize, Cause> {
    let quote = text[start..].chars().next().unwrap_or('\'');
    let escapes = match syntax {
        Syntax::ClickHouse => true,
        Syntax::Postgres => quote == '\'' && follows_e(&text[..start]),
    };
    let mut rest = text[start..].char_indices().skip(1).peekable();
    while let Some((offset, c)) = rest.next() {
        if c == '\\' && escapes {
            rest.next();
        } else if c == quote && rest.next_if(|(_, next)| *next == quote).is_none() {
            return Ok(start + offset + c.len_utf8());
        }
    }
    Err(not_closed(&format!("quote `{quote}`"), text, start))
}

/// Returns whether a text ends with the `E` of a PostgreSQL text with escapes.
fn follows_e(before: &str) -> bool {
    let mut before = before.chars().rev();
    let is_e = before.next().is_some_and(|c| matches!(c, 'e' | 'E'));
    is_e && !before.next().is_some_and(is_of_name)
}

fn is_of_name(c: char) -> bool {
    c.is_alphanumeric() || matches!(c, '_' | '$')
}

fn not_closed(what: &str, text: &str, start: usize) -> Cause {
    let line = text[..start].matches('\n').count() + 1;
    Cause::new(format!("the {what} in line {line} is not closed")).with_hint("close it")
}

/// Returns the end of a text between `$$` or `$tag$`, as PostgreSQL has it.
fn dollar(text: &str, start: usize) -> Result<Option<usize>, Cause> {
    // `a$b` is a name, and `$1` is not a quote either.
    if text[..start].chars().next_back().is_some_and(is_of_name) {
        return Ok(None);
    }
    let Some(length) = text[start + 1..].find('$') else {
        return Ok(None);
    };
    let tag = &text[start + 1..start + 1 + length];
    let is_tag = tag.chars().all(|c| c.is_alphanumeric() || c == '_') && !tag.starts_with(|c: char| c.is_ascii_digit());
    if !is_tag {
        return Ok(None);
    }
    let mark = &text[start..start + length + 2];
    let inside = start + mark.len();
    match text[inside..].find(mark) {
        Some(end) => Ok(Some(inside + end + mark.len())),
        None => Err(not_closed(&format!("quote `{mark}`"), text, start)),
    }
}

/// Returns the end of a comment that ends with its line.
fn line(text: &str, start: usize) -> usize {
    text[start..].find('\n').map_or(text.len(), |end| start + end + 1)
}

/// Returns the end of a comment between its signs.
fn block(text: &str, start: usize, syntax: Syntax) -> Result<usize, Cause> {
    let (mut at, mut depth) = (start + 2, 1);
    while let Some(c) = text[at..].chars().next() {
        let rest = &text[at..];
        if rest.starts_with("*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                return Ok(at);
            }
        } else if rest.starts_with("/*") && syntax == Syntax::Postgres {
            depth += 1;
            at += 2;
        } else {
            at += c.len_utf8();
        }
    }
    Err(not_closed("comment", text, start))
}

/// Returns the name between braces and the length of both, where that is all there is between them.
fn place(rest: &str) -> Option<(&str, usize)> {
    let end = rest.find('}')?;
    let name = rest[1..end].trim();
    let is_name = !name.is_empty() && name.chars().all(|c| c.is_alphanumeric() || c == '_');
    is_name.then_some((name, end + 1))
}

/// Takes the name of a table apart at its dots; a part in double quotes may hold any character.
pub(super) fn name_parts(name: &str) -> Result<Vec<String>, Cause> {
    let mut parts = Vec::new();
    let mut rest = name.trim();
    loop {
        let (part, after) = match rest.strip_prefix('"') {
            Some(inside) => quoted_part(inside)?,
            None => {
                let end = rest.find('.').unwrap_or(rest.len());
                (rest[..end].to_owned(), &rest[end..])
            }
        };
        let is_odd = part.is_empty()
            || (!rest.starts_with('"') && part.contains(|c: char| c.is_whitespace() || ";\"'()".contains(c)));
        if is_odd {
            return Err(Cause::new(format!("`{name}` is not the name of a table"))
                .with_hint("write it as schema.table, with odd names in double quotes, or use `query` for a query"));
        }
        parts.push(part);
        match after.strip_prefix('.') {
            Some(more) => rest = more,
            None if after.is_empty() => return Ok(parts),
            None => {
                return Err(Cause::new(format!("`{name}` is not the name of a table"))
                    .with_hint("put a dot between schema and table"));
            }
        }
    }
}

/// Returns what is in quotes, and what follows them.
fn quoted_part(inside: &str) -> Result<(String, &str), Cause> {
    let mut part = String::new();
    let mut chars = inside.char_indices().peekable();
    while let Some((at, c)) = chars.next() {
        match (c, chars.peek()) {
            ('"', Some((_, '"'))) => {
                chars.next();
                part.push('"');
            }
            ('"', _) => return Ok((part, &inside[at + 1..])),
            _ => part.push(c),
        }
    }
    Err(Cause::new("its double quote is not closed").with_hint("close it"))
}
