//! The names of runs and attempts: of a run the same for every attempt and rerun, of an attempt never the same again.

use sha2::{Digest, Sha256};

use crate::failure::Failure;
use batch_export_source::Interval;

/// Characters of a destination's name that a run id repeats for people.
const ID_NAME_CHARS: usize = 32;
/// Hexadecimal digits of the hash in a run id: 96 bits distinguish all runs ever made.
const ID_HASH_DIGITS: usize = 24;

/// The same for every attempt and rerun: name, model and interval, readable in front, hashed behind.
pub fn run_id(destination: &str, model: &str, interval: Interval) -> String {
    let start = interval
        .start()
        .map_or_else(|| "START".to_owned(), |start| start.0.to_string());
    let whole = format!("{destination}\n{model}\n{start}\n{}", interval.end().0);
    let hash = hexadecimal(&Sha256::digest(whole.as_bytes()));
    let name: String = destination
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() { c } else { '-' })
        .take(ID_NAME_CHARS)
        .collect();
    format!("{name}-{}", &hash[..ID_HASH_DIGITS])
}

pub(crate) fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A name for one attempt that no other has: from the operating system's randomness, so that copies of a machine,
/// which begin with the same memory, share none.
pub fn attempt_id() -> Result<String, Failure> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).map_err(Failure::randomness)?;
    Ok(hexadecimal(&bytes))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn run_ids_are_stable_and_tell_destination_model_and_interval_apart() {
        let hour = Interval::parse("2023-07-28T00:00Z", "2023-07-28T01:00Z").expect("an hour");
        let open = Interval::parse("START", "2023-07-28T01:00Z").expect("open");
        assert_eq!(
            run_id("my_archive", "events", hour),
            run_id("my_archive", "events", hour)
        );
        let ids = BTreeSet::from([
            run_id("my_archive", "events", hour),
            run_id("my_archive", "persons", hour),
            run_id("my-archive", "events", hour),
            run_id("my_archive", "events", open),
        ]);
        assert_eq!(ids.len(), 4);
        for id in ids {
            assert!(id.starts_with("my-archive-") && id.len() <= 128, "{id}");
            assert!(id.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-'), "{id}");
        }
    }
}
