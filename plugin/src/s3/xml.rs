//! The small XML documents in S3's responses, as a tree of bounded size. Takes any bytes and never panics; what is
//! not well formed is not a document. Knows no entities but XML's five and reads no DTD.

use quick_xml::Reader;
use quick_xml::events::Event;

/// Largest document read: a listing of a thousand uploads with keys of 1,024 bytes, thrice escaped.
const MAX_DOCUMENT_BYTES: usize = 8 * 1024 * 1024;
/// Deepest nesting: S3's documents have four levels.
const MAX_DEPTH: usize = 16;
/// Most elements: a thousand uploads with a dozen elements each.
const MAX_ELEMENTS: usize = 50_000;

/// An element with its text and children; attributes and namespaces are omitted.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Element {
    /// Without its prefix.
    pub name: String,
    /// Directly inside, entities resolved.
    pub text: String,
    pub children: Vec<Element>,
}

impl Element {
    /// Returns the text of the first child of that name, without white space around it; `None` where it is missing or
    /// empty.
    pub fn child_text(&self, name: &str) -> Option<&str> {
        let child = self.children.iter().find(|child| child.name == name)?;
        Some(child.text.trim()).filter(|text| !text.is_empty())
    }
}

/// Returns the document's root, or why there is none.
pub fn parse(bytes: &[u8]) -> Result<Element, String> {
    if bytes.len() > MAX_DOCUMENT_BYTES {
        return Err(format!("a document of {} bytes", bytes.len()));
    }
    let mut reader = Reader::from_reader(bytes);
    let mut open: Vec<Element> = Vec::new();
    let mut elements = 0;
    loop {
        let event = reader
            .read_event()
            .map_err(|error| format!("no well-formed XML ({error})"))?;
        match event {
            Event::Start(start) => {
                elements += 1;
                if open.len() == MAX_DEPTH || elements > MAX_ELEMENTS {
                    return Err("XML with too many or too deeply nested elements".into());
                }
                open.push(named(start.local_name().as_ref()));
            }
            Event::Empty(start) => {
                elements += 1;
                if elements > MAX_ELEMENTS {
                    return Err("XML with too many elements".into());
                }
                let element = named(start.local_name().as_ref());
                match open.last_mut() {
                    Some(parent) => parent.children.push(element),
                    None => return Ok(element),
                }
            }
            Event::End(_) => {
                let Some(element) = open.pop() else {
                    return Err("XML that ends before it begins".into());
                };
                match open.last_mut() {
                    Some(parent) => parent.children.push(element),
                    None => return Ok(element),
                }
            }
            Event::Text(text) => {
                let text = text
                    .xml10_content()
                    .map_err(|error| format!("undecodable text ({error})"))?;
                append(&mut open, &text)?;
            }
            Event::CData(text) => {
                let text = text.decode().map_err(|error| format!("undecodable text ({error})"))?;
                append(&mut open, &text)?;
            }
            Event::GeneralRef(reference) => {
                let character = match reference.resolve_char_ref() {
                    Ok(Some(character)) => character,
                    Ok(None) => entity(&reference).ok_or("XML with an unknown entity")?,
                    Err(error) => return Err(format!("no well-formed XML ({error})")),
                };
                append(&mut open, character.encode_utf8(&mut [0; 4]))?;
            }
            Event::Eof => return Err("no complete XML document".into()),
            Event::DocType(_) => return Err("a web page rather than XML".into()),
            Event::Decl(_) | Event::PI(_) | Event::Comment(_) => {}
        }
    }
}

fn named(name: &[u8]) -> Element {
    Element {
        name: String::from_utf8_lossy(name).into_owned(),
        ..Element::default()
    }
}

fn append(open: &mut [Element], text: &str) -> Result<(), String> {
    match open.last_mut() {
        Some(element) => element.text.push_str(text),
        // Line breaks around the root are fine, anything else is no XML.
        None if text.trim_start_matches('\u{feff}').trim().is_empty() => {}
        None => return Err("text rather than XML".into()),
    }
    Ok(())
}

fn entity(name: &[u8]) -> Option<char> {
    match name {
        b"quot" => Some('"'),
        b"amp" => Some('&'),
        b"lt" => Some('<'),
        b"gt" => Some('>'),
        b"apos" => Some('\''),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn documents_are_read() {
        let root = parse(
            b"<?xml version=\"1.0\"?>\n<s3:R xmlns:s3='x'><ETag>&quot;a&#45;1&quot;</ETag><U><K>a&amp;b</K></U>\
              <U><K><![CDATA[<x>]]></K></U><Empty/><Blank> </Blank></s3:R>",
        )
        .unwrap();
        assert_eq!(root.name, "R");
        assert_eq!(root.child_text("ETag"), Some("\"a-1\""));
        let keys: Vec<_> = root.children.iter().filter_map(|child| child.child_text("K")).collect();
        assert_eq!(keys, ["a&b", "<x>"]);
        assert_eq!(root.child_text("Empty"), None);
        assert_eq!(root.child_text("Blank"), None);
    }

    #[test]
    fn what_is_no_document_is_said() {
        let deep = "<a>".repeat(MAX_DEPTH + 1);
        let wide = format!("<a>{}</a>", "<b/>".repeat(MAX_ELEMENTS + 1));
        let table = [
            ("", "no complete XML document"),
            ("plain", "text rather than XML"),
            ("<a>", "no complete XML document"),
            ("<a><b></a>", "no well-formed XML"),
            ("<!DOCTYPE html><html></html>", "a web page rather than XML"),
            ("<a>&unknown;</a>", "XML with an unknown entity"),
            (&deep, "XML with too many or too deeply nested elements"),
            (&wide, "XML with too many elements"),
        ];
        for (document, expected) in table {
            let error = parse(document.as_bytes()).unwrap_err();
            assert!(error.starts_with(expected), "{error}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_taken(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            parse(&bytes).ok();
        }

        #[test]
        fn anything_like_xml_is_taken(text in "[<>&;/!\\[\\]a-c #x\"=?-]{0,60}") {
            parse(text.as_bytes()).ok();
        }
    }
}
