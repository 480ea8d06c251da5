//! Notes about uploads that outlive the instance: written before an upload is relied on, read by `recover`. Never
//! holds more than keys and upload ids.

use std::collections::{BTreeMap, BTreeSet};

/// Longest upload id that is accepted: S3's are about 130 bytes, those of other stores up to a few hundred. With a
/// key of 1,024 bytes a note stays under the contract's 4 KiB.
pub const MAX_UPLOAD_ID_BYTES: usize = 2_048;

/// One note. Its form is three lines: the word, the upload id (empty where none), and the key, which comes last
/// because only it may hold line breaks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Note {
    /// An upload of this key may exist from now on, under an id that is not known.
    Begun { key: String },
    /// The upload has this id; parts follow.
    Opened { key: String, upload_id: String },
    /// The upload is no more: completed or aborted.
    Closed { key: String, upload_id: String },
    /// No upload of unknown id is left under this key.
    Settled { key: String },
}

impl Note {
    /// The bytes to keep.
    pub fn to_bytes(&self) -> Vec<u8> {
        let (word, upload_id, key) = match self {
            Note::Begun { key } => ("begun", "", key),
            Note::Opened { key, upload_id } => ("opened", upload_id.as_str(), key),
            Note::Closed { key, upload_id } => ("closed", upload_id.as_str(), key),
            Note::Settled { key } => ("settled", "", key),
        };
        format!("{word}\n{upload_id}\n{key}").into_bytes()
    }

    /// A kept note; `None` when this is none (a damaged journal, or another version's).
    pub fn parse(bytes: &[u8]) -> Option<Note> {
        let mut lines = std::str::from_utf8(bytes).ok()?.splitn(3, '\n');
        let (word, upload_id, key) = (lines.next()?, lines.next()?, lines.next()?);
        let (key, id) = (key.to_owned(), upload_id.to_owned());
        match (word, upload_id.is_empty()) {
            ("begun", true) => Some(Note::Begun { key }),
            ("opened", false) => Some(Note::Opened { key, upload_id: id }),
            ("closed", false) => Some(Note::Closed { key, upload_id: id }),
            ("settled", true) => Some(Note::Settled { key }),
            _ => None,
        }
    }
}

/// What the notes of an instance say is still open.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Open {
    /// Upload ids and their keys.
    pub uploads: BTreeMap<String, String>,
    /// Keys under which an upload of unknown id may be open.
    pub in_doubt: BTreeSet<String>,
    /// Notes that could not be read.
    pub unreadable: usize,
}

impl Open {
    /// Follow the notes in order.
    pub fn after<'a>(notes: impl IntoIterator<Item = &'a [u8]>) -> Self {
        let mut open = Open::default();
        for bytes in notes {
            match Note::parse(bytes) {
                Some(Note::Begun { key }) => {
                    open.in_doubt.insert(key);
                }
                Some(Note::Opened { key, upload_id }) => {
                    open.in_doubt.remove(&key);
                    open.uploads.insert(upload_id, key);
                }
                Some(Note::Closed { upload_id, .. }) => {
                    open.uploads.remove(&upload_id);
                }
                Some(Note::Settled { key }) => {
                    open.in_doubt.remove(&key);
                }
                None => open.unreadable += 1,
            }
        }
        open
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Notes, the uploads they leave open, the keys they leave in doubt.
    type Case = (
        Vec<Note>,
        &'static [(&'static str, &'static str)],
        &'static [&'static str],
    );

    fn begun(key: &str) -> Note {
        Note::Begun { key: key.into() }
    }
    fn opened(key: &str, id: &str) -> Note {
        Note::Opened {
            key: key.into(),
            upload_id: id.into(),
        }
    }
    fn closed(key: &str, id: &str) -> Note {
        Note::Closed {
            key: key.into(),
            upload_id: id.into(),
        }
    }
    fn settled(key: &str) -> Note {
        Note::Settled { key: key.into() }
    }

    #[test]
    fn every_note_reads_back_even_with_line_breaks_in_the_key() {
        for key in ["a/b", "", "line\nbreak\n", "ключ 🗝"] {
            for note in [
                begun(key),
                opened(key, "id"),
                closed(key, "id"),
                settled(key),
            ] {
                assert_eq!(Note::parse(&note.to_bytes()), Some(note));
            }
        }
    }

    #[test]
    fn the_longest_note_fits_the_contract() {
        let note = opened(&"k".repeat(1_024), &"i".repeat(MAX_UPLOAD_ID_BYTES));
        assert!(note.to_bytes().len() <= 4_096);
    }

    #[test]
    fn what_is_open_after_the_notes() {
        let table: Vec<Case> = vec![
            (vec![], &[], &[]),
            (vec![begun("a")], &[], &["a"]),
            (vec![begun("a"), opened("a", "1")], &[("1", "a")], &[]),
            (
                vec![begun("a"), opened("a", "1"), closed("a", "1")],
                &[],
                &[],
            ),
            (vec![begun("a"), settled("a")], &[], &[]),
            (
                vec![begun("a"), opened("a", "1"), begun("a")],
                &[("1", "a")],
                &["a"],
            ),
            (
                vec![
                    begun("a"),
                    opened("a", "1"),
                    begun("b"),
                    opened("b", "2"),
                    closed("a", "1"),
                ],
                &[("2", "b")],
                &[],
            ),
            (vec![closed("a", "1")], &[], &[]),
        ];
        for (notes, uploads, in_doubt) in table {
            let bytes: Vec<Vec<u8>> = notes.iter().map(Note::to_bytes).collect();
            let open = Open::after(bytes.iter().map(Vec::as_slice));
            let found: Vec<(&str, &str)> = open
                .uploads
                .iter()
                .map(|(id, key)| (id.as_str(), key.as_str()))
                .collect();
            assert_eq!(found, uploads, "{notes:?}");
            assert_eq!(
                open.in_doubt.iter().collect::<Vec<_>>(),
                in_doubt,
                "{notes:?}"
            );
        }
    }

    #[test]
    fn unreadable_notes_are_counted_and_never_panic() {
        let notes: [&[u8]; 6] = [
            b"",
            b"opened",
            b"opened\n\nkey",
            b"begun\nid\nkey",
            b"\xff\xfe\n\n",
            b"new\n\nkey",
        ];
        assert_eq!(Open::after(notes).unreadable, notes.len());
    }
}
