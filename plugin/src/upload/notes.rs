//! Notes about uploads that outlive the instance: written before an upload is relied on, and read by `recover`. They
//! contain only keys and upload ids.

use std::collections::{BTreeMap, BTreeSet};

/// Longest note, as in the contract.
const MAX_NOTE_BYTES: usize = 4_096;

/// The contents of one note.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Note {
    /// From now on, an upload of this key may exist under an unknown id.
    Begun { key: String },
    /// The upload has this id; parts follow.
    Opened { key: String, upload_id: String },
    /// The upload has ended: it was completed or aborted.
    Closed { upload_id: String },
    /// No upload of unknown id is left under this key.
    Settled { key: String },
}

/// Returns a note's bytes, and with them as many closed uploads as fit in front of it: that an upload is closed need
/// not be kept at once, and a host counts notes. Each closed upload is two lines, the word and its id; then comes the
/// word of what else is noted, the id (empty where none), and the key, which comes last because only it may hold line
/// breaks.
pub fn with_closed(note: Option<&Note>, closed: &mut Vec<String>) -> Vec<u8> {
    let last = match note {
        Some(Note::Begun { key }) => format!("begun\n\n{key}"),
        Some(Note::Opened { key, upload_id }) => format!("opened\n{upload_id}\n{key}"),
        Some(Note::Closed { upload_id }) => format!("closed\n{upload_id}\n"),
        Some(Note::Settled { key }) => format!("settled\n\n{key}"),
        None => String::new(),
    };
    let mut text = String::new();
    while let Some(upload_id) = closed.last()
        && let line = format!("closed\n{upload_id}\n")
        && text.len() + line.len() + last.len() <= MAX_NOTE_BYTES
    {
        text.push_str(&line);
        closed.pop();
    }
    text.push_str(&last);
    text.into_bytes()
}

/// Parses a saved note; `None` if it is not a valid note (a damaged journal, or another version's).
pub fn parse(bytes: &[u8]) -> Option<Vec<Note>> {
    let mut rest = std::str::from_utf8(bytes).ok()?;
    let mut notes = Vec::new();
    while !rest.is_empty() {
        let (word, after) = rest.split_once('\n')?;
        let (upload_id, after) = after.split_once('\n')?;
        let (key, id) = (after.to_owned(), upload_id.to_owned());
        rest = "";
        notes.push(match (word, upload_id.is_empty()) {
            ("begun", true) => Note::Begun { key },
            ("opened", false) => Note::Opened { key, upload_id: id },
            ("closed", false) => {
                rest = after;
                Note::Closed { upload_id: id }
            }
            ("settled", true) => Note::Settled { key },
            _ => return None,
        });
    }
    Some(notes).filter(|notes| !notes.is_empty())
}

/// The uploads that are still open according to the notes of an instance.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Open {
    /// Upload ids and their keys.
    pub uploads: BTreeMap<String, String>,
    /// Keys under which an upload with an unknown id may be open.
    pub in_doubt: BTreeSet<String>,
    /// Number of notes that could not be read.
    pub unreadable: usize,
}

impl Open {
    /// Replays the notes in order.
    pub fn after<'a>(notes: impl IntoIterator<Item = &'a [u8]>) -> Self {
        let mut open = Open::default();
        for bytes in notes {
            match parse(bytes) {
                Some(notes) => notes.into_iter().for_each(|note| open.follow(note)),
                None => open.unreadable += 1,
            }
        }
        open
    }

    fn follow(&mut self, note: Note) {
        match note {
            Note::Begun { key } => {
                self.in_doubt.insert(key);
            }
            Note::Opened { key, upload_id } => {
                self.in_doubt.remove(&key);
                self.uploads.insert(upload_id, key);
            }
            Note::Closed { upload_id } => {
                self.uploads.remove(&upload_id);
            }
            Note::Settled { key } => {
                self.in_doubt.remove(&key);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::s3::reply::MAX_UPLOAD_ID_BYTES;

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
    fn closed(id: &str) -> Note {
        Note::Closed { upload_id: id.into() }
    }
    fn bytes(note: &Note) -> Vec<u8> {
        with_closed(Some(note), &mut Vec::new())
    }
    fn settled(key: &str) -> Note {
        Note::Settled { key: key.into() }
    }

    #[test]
    fn every_note_reads_back_even_with_line_breaks_in_the_key() {
        for key in ["a/b", "", "line\nbreak\n", "ключ 🗝"] {
            for note in [begun(key), opened(key, "id"), closed("id"), settled(key)] {
                assert_eq!(parse(&bytes(&note)), Some(vec![note]));
            }
        }
    }

    #[test]
    fn the_longest_note_fits_the_contract() {
        let note = opened(&"k".repeat(1_024), &"i".repeat(MAX_UPLOAD_ID_BYTES));
        assert!(bytes(&note).len() <= MAX_NOTE_BYTES);
    }

    /// However long ids and key are, every closed upload is eventually noted, and no note is too long.
    #[test]
    fn closed_uploads_go_along_with_the_next_note_as_far_as_it_has_room() {
        for id_bytes in [1, 130, MAX_UPLOAD_ID_BYTES - 9] {
            let id = |n: usize| format!("{n}{}", "i".repeat(id_bytes));
            let mut ids: Vec<String> = (0..5).map(id).collect();
            let last = begun(&"k\n".repeat(512));
            let mut told = Vec::new();
            let mut note = Some(&last);
            while note.is_some() || !ids.is_empty() {
                let kept = with_closed(note.take(), &mut ids);
                assert!(kept.len() <= MAX_NOTE_BYTES);
                told.extend(parse(&kept).expect("a note"));
            }
            assert!(told.contains(&last));
            let closed = (0..5).filter(|n| told.contains(&closed(&id(*n))));
            assert_eq!((closed.count(), told.len()), (5, 6));
        }
    }

    #[test]
    fn what_is_open_after_the_notes() {
        let table: Vec<Case> = vec![
            (vec![], &[], &[]),
            (vec![begun("a")], &[], &["a"]),
            (vec![begun("a"), opened("a", "1")], &[("1", "a")], &[]),
            (vec![begun("a"), opened("a", "1"), closed("1")], &[], &[]),
            (vec![begun("a"), settled("a")], &[], &[]),
            (vec![begun("a"), opened("a", "1"), begun("a")], &[("1", "a")], &["a"]),
            (
                vec![begun("a"), opened("a", "1"), begun("b"), opened("b", "2"), closed("1")],
                &[("2", "b")],
                &[],
            ),
            (vec![closed("1")], &[], &[]),
        ];
        for (notes, uploads, in_doubt) in table {
            let kept: Vec<Vec<u8>> = notes.iter().map(bytes).collect();
            let open = Open::after(kept.iter().map(Vec::as_slice));
            let found: Vec<(&str, &str)> = open
                .uploads
                .iter()
                .map(|(id, key)| (id.as_str(), key.as_str()))
                .collect();
            assert_eq!(found, uploads, "{notes:?}");
            assert_eq!(open.in_doubt.iter().collect::<Vec<_>>(), in_doubt, "{notes:?}");
        }
    }

    #[test]
    fn unreadable_notes_are_counted_and_never_panic() {
        let notes: [&[u8]; 8] = [
            b"",
            b"opened",
            b"opened\n\nkey",
            b"begun\nid\nkey",
            b"\xff\xfe\n\n",
            b"new\n\nkey",
            b"closed\n\n",
            b"closed\nid\nkey",
        ];
        assert_eq!(Open::after(notes).unreadable, notes.len());
    }
}
