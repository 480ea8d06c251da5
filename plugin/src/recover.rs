//! Cleans up what an earlier instance of the run left open, from its notes. Writes no objects and touches no upload
//! but those of the noted keys.

use std::rc::Rc;

use crate::imports::{Imports, Level};
use crate::s3::client::Client;
use crate::s3::request::Target;
use crate::settings::{Run, Settings};
use crate::upload::notes::{Note, Open, with_closed};
use crate::upload::sweep::Gone;
use crate::upload::{LeftOpen, sweep};

/// What was cleaned up: the contract's `recovery`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Recovery {
    /// Uploads that are gone, each with its key and id.
    pub aborted: Vec<String>,
    /// What is or may be left open, each with its key, its upload id where that is known, and why.
    pub left_open: Vec<String>,
}

/// Abort every upload that the notes tell of. Where the earlier instance ended before it learnt an upload's id, the
/// store is asked for the uploads of that key. What the store refuses is reported, and nothing stops the rest.
pub fn recover<I: Imports>(imports: Rc<I>, settings: &Settings, run: &Run, notes: &[Vec<u8>]) -> Recovery {
    let mut client = Client::new(imports, Target::new(settings, run));
    let open = Open::after(notes.iter().map(Vec::as_slice));
    let mut recovery = Recovery::default();
    if open.unreadable > 0 {
        let note = format!(
            "notes that could not be read: {}; an upload that one of them names may be left open",
            open.unreadable
        );
        recovery.left_open.push(note);
    }
    for (upload_id, key) in open.uploads {
        match sweep::abort(&mut client, &key, &upload_id) {
            Ok(Gone::Aborted) => recovery.gone(&client, key, upload_id),
            Ok(Gone::Before) => note(&client, &Note::Closed { upload_id }),
            Err(left) => recovery.left_open.push(left.to_string()),
        }
    }
    for key in open.in_doubt {
        let (gone, left_open) = sweep::sweep(&mut client, &key, &[]);
        if left_open.is_empty() {
            note(&client, &Note::Settled { key: key.clone() });
        }
        for upload_id in gone {
            recovery.gone(&client, key.clone(), upload_id);
        }
        recovery.left_open.extend(left_open.iter().map(LeftOpen::to_string));
    }
    recovery
}

impl Recovery {
    fn gone<I: Imports>(&mut self, client: &Client<I>, key: String, upload_id: String) {
        self.aborted.push(format!("upload `{upload_id}` of `{key}`"));
        note(client, &Note::Closed { upload_id });
    }
}

/// Spares a further recovery some work, so a failure is only logged.
fn note<I: Imports>(client: &Client<I>, note: &Note) {
    if let Err(error) = client.imports().note(&with_closed(Some(note), &mut Vec::new()), false) {
        client.imports().log(
            Level::Warn,
            &format!("a note about a finished upload could not be kept: {error}"),
        );
    }
}
