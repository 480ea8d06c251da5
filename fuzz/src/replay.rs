//! Replays the committed corpus of a fuzz target natively, and random neighbours of it: what a fuzzer once found stays
//! found, without one. Needs no nightly compiler. Shared by the tests of the crates that have targets.

#![allow(
    clippy::print_stdout,
    reason = "captured, and shown with the panic of a check that fails"
)]

use std::fs;
use std::path::{Path, PathBuf};

/// Files and bytes of all targets of one crate that a clone can bear: the corpus is a start for the fuzzer, and a test
/// for what it found.
const MAX_FILES: usize = 40;
const MAX_BYTES: u64 = 100_000;

fn corpus(target: &str) -> Vec<PathBuf> {
    // Crates are at several depths.
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .ancestors()
        .map(|above| above.join("fuzz/corpus"))
        .find(|folder| folder.is_dir())
        .expect("the folder of all corpora");
    let mut files: Vec<PathBuf> = fs::read_dir(folder.join(target))
        .unwrap_or_else(|error| panic!("the corpus of `{target}`: {error}"))
        .map(|entry| entry.unwrap().path())
        .collect();
    files.sort();
    files
}

/// Neighbours of each corpus file: enough for every kind of change, and few compared with a fuzzer's millions.
const NEIGHBOURS: u64 = 200;
/// Most changes between a file and its neighbour.
const MAX_CHANGES: usize = 4;

/// Runs the check on a target's corpus.
pub fn replay(target: &str, check: fn(&[u8])) {
    let files = corpus(target);
    assert!(!files.is_empty(), "the corpus of `{target}` is empty");
    for file in files {
        let input = fs::read(&file).unwrap();
        println!("{}", file.display());
        check(&input);
        for seed in 1..=NEIGHBOURS {
            let changed = neighbour(&input, Random(seed));
            println!("its neighbour {seed}: {}", changed.escape_ascii());
            check(&changed);
        }
    }
}

/// SplitMix64: <https://prng.di.unimi.it/splitmix64.c>
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((mixed ^ (mixed >> 31)) % limit as u64) as usize
    }
}

/// The input with a few bytes changed, inserted, omitted or repeated.
fn neighbour(input: &[u8], mut random: Random) -> Vec<u8> {
    let mut bytes = input.to_vec();
    for _ in 0..=random.below(MAX_CHANGES) {
        let from = random.below(bytes.len() + 1);
        let to = from + random.below((bytes.len() - from).min(8) + 1);
        match random.below(4) {
            0 => bytes[from..to].fill_with(|| random.below(256) as u8),
            1 => {
                let inserted: Vec<u8> = (0..3).map(|_| random.below(256) as u8).collect();
                drop(bytes.splice(from..from, inserted));
            }
            2 => drop(bytes.drain(from..to)),
            _ => {
                let repeated = bytes[from..to].to_vec();
                drop(bytes.splice(from..from, repeated));
            }
        }
    }
    bytes
}

/// Every target has a corpus, and together they are small.
pub fn bearable<'a>(targets: impl IntoIterator<Item = &'a str>) {
    let files: Vec<PathBuf> = targets.into_iter().flat_map(corpus).collect();
    let bytes: u64 = files.iter().map(|file| fs::metadata(file).unwrap().len()).sum();
    assert!(
        files.len() <= MAX_FILES && bytes <= MAX_BYTES,
        "{} files, {bytes} bytes",
        files.len()
    );
}
