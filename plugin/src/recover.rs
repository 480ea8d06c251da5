//! Cleans up what an earlier instance of the run left open, according to its notes. Writes no objects and touches only
//! uploads of the noted keys.

use std::rc::Rc;

use crate::failure::Explanation;
use crate::imports::{Imports, Level};
use crate::s3::client::Client;
use crate::s3::request::Target;
use crate::settings::{Run, Settings};
use crate::upload::notes::{Note, Open, with_closed};
use crate::upload::sweep::Gone;
use crate::upload::{LeftOpen, sweep};

/// The result of cleaning up: the contract's `recovery`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Recovery {
    /// Uploads that are gone.
    pub aborted: Vec<Aborted>,
    /// Uploads that are or may be left open.
    pub left_open: Vec<LeftOpen>,
    /// Number of notes that could not be read: what they name may be left open.
    pub unreadable: usize,
}

/// An upload that is gone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Aborted {
    pub key: String,
    pub upload_id: String,
}

/// Aborts every upload that the notes mention. If the earlier instance ended before it learned an upload's id, the
/// store is asked for the uploads of that key. What the store refuses is reported, and does not stop the rest.
pub fn recover<I: Imports>(imports: Rc<I>, settings: &Settings, run: &Run, notes: &[Vec<u8>]) -> Recovery {
    let mut client = Client::new(imports, Target::new(settings, run));
    let open = Open::after(notes.iter().map(Vec::as_slice));
    let mut recovery = Recovery {
        unreadable: open.unreadable,
        ..Recovery::default()
    };
    for (upload_id, key) in open.uploads {
        match sweep::abort(&mut client, &key, &upload_id) {
            Ok(Gone::Aborted) => recovery.gone(&client, key, upload_id),
            Ok(Gone::Before) => note(&client, &Note::Closed { upload_id }),
            Err(left) => recovery.left_open.push(left),
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
        recovery.left_open.extend(left_open);
    }
    recovery
}

impl Recovery {
    /// Describes what the unreadable notes may hide.
    pub fn hidden(&self) -> Option<Explanation> {
        let message = match self.unreadable {
            0 => return None,
            1 => "a note could not be read, and an upload that it names may be left open".to_owned(),
            many => format!("{many} notes could not be read, and an upload that one of them names may be left open"),
        };
        Some(Explanation::new(message).with_hint("look for open uploads in the store, and abort them".to_owned()))
    }

    fn gone<I: Imports>(&mut self, client: &Client<I>, key: String, upload_id: String) {
        self.aborted.push(Aborted {
            key,
            upload_id: upload_id.clone(),
        });
        note(client, &Note::Closed { upload_id });
    }
}

/// Keeps a note that saves a later recovery some work, so a failure is only logged.
fn note<I: Imports>(client: &Client<I>, note: &Note) {
    if let Err(error) = client.imports().note(&with_closed(Some(note), &mut Vec::new()), false) {
        client.imports().log(
            Level::Warn,
            &format!(
                "could not save a note about a finished upload: {}",
                error.explanation().message
            ),
        );
    }
}
