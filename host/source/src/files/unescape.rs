//! JSON strings as text. Half a surrogate pair, which no text can hold, becomes U+FFFD and is counted; everything
//! else stays as it is.

use std::borrow::Cow;
use std::fmt;
use std::str;

use serde::de::{Deserialize, Deserializer, Error, Visitor};

/// A JSON string without its escapes; borrowed when it has none.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Unescaped<'a> {
    pub text: Cow<'a, str>,
    /// Halves of surrogate pairs that were replaced.
    pub replaced: u64,
}

/// A surrogate as the parser hands it over: three bytes, in the manner of UTF-8.
const SURROGATE_BYTES: usize = 3;

fn replaced(mut bytes: &[u8]) -> (String, u64) {
    let mut text = String::with_capacity(bytes.len());
    let mut replaced = 0;
    loop {
        match str::from_utf8(bytes) {
            Ok(rest) => {
                text.push_str(rest);
                return (text, replaced);
            }
            Err(error) => {
                let (good, bad) = bytes.split_at(error.valid_up_to());
                text.push_str(&String::from_utf8_lossy(good));
                text.push(char::REPLACEMENT_CHARACTER);
                replaced += 1;
                bytes = bad.get(SURROGATE_BYTES..).unwrap_or_default();
            }
        }
    }
}

impl<'de> Deserialize<'de> for Unescaped<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;

        impl<'de> Visitor<'de> for Text {
            type Value = Unescaped<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("text")
            }

            fn visit_borrowed_bytes<E: Error>(self, bytes: &'de [u8]) -> Result<Self::Value, E> {
                match str::from_utf8(bytes) {
                    Ok(text) => Ok(Unescaped {
                        text: Cow::Borrowed(text),
                        replaced: 0,
                    }),
                    Err(_) => self.visit_bytes(bytes),
                }
            }

            fn visit_bytes<E: Error>(self, bytes: &[u8]) -> Result<Self::Value, E> {
                let (text, replaced) = replaced(bytes);
                Ok(Unescaped {
                    text: Cow::Owned(text),
                    replaced,
                })
            }
        }

        // As bytes, because as text the parser refuses half a pair.
        deserializer.deserialize_bytes(Text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn halves_of_pairs_are_replaced_and_counted_and_nothing_else_changes() {
        let cases = [
            (r#""plain""#, "plain", 0),
            (r#""\"\\\/\b\f\n\r\t\u0000é\u00e9""#, "\"\\/\u{8}\u{c}\n\r\t\0éé", 0),
            (r#""\ud83d\ude00""#, "😀", 0),
            (r#""user \ud83d""#, "user \u{fffd}", 1),
            (r#""\ude00 end""#, "\u{fffd} end", 1),
            (r#""\ude00\ud83d""#, "\u{fffd}\u{fffd}", 2),
            (r#""\ud83d\ud83d\ude00\ud83dx""#, "\u{fffd}😀\u{fffd}x", 2),
            (r#""\ud83d\n""#, "\u{fffd}\n", 1),
            (r#""\\ud83d""#, "\\ud83d", 0),
        ];
        for (json, text, replaced) in cases {
            let found: Unescaped<'_> = serde_json::from_str(json).expect("a string");
            assert_eq!((found.text.as_ref(), found.replaced), (text, replaced), "{json}");
        }
        for json in ["1", "null", "[1]", "[\"a\"]", "{}"] {
            assert!(serde_json::from_str::<Unescaped<'_>>(json).is_err(), "{json}");
        }
    }
}
