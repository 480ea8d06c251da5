//! What comes back of notes: after a crash, on a full disk, and from files that something damaged.

use super::*;

const FIRST: &[u8] = b"first";

#[test]
fn notes_come_back_in_order_and_every_torn_tail_is_dropped() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("notes");
    let journal = FileJournal::create(&path, FIRST).unwrap();
    let written: Vec<Vec<u8>> = vec![FIRST.to_vec(), b"upload a".to_vec(), vec![], vec![0xff; 4096]];
    for note in &written[1..] {
        journal.note(note, true).unwrap();
    }
    assert_eq!(read_notes(&path).unwrap().notes, written);

    let whole = std::fs::read(&path).unwrap();
    let last_begins = whole.len() - HEADER_BYTES - 4096;
    let mut pieces = Vec::new();
    for end in [last_begins + 1, last_begins + HEADER_BYTES, whole.len() - 1] {
        pieces.push(whole[..end].to_vec());
    }
    // Room that the file system granted and never filled.
    pieces.push([&whole[..last_begins], &[0; 4096]].concat());
    for piece in pieces {
        std::fs::write(&path, &piece).unwrap();
        let read = read_notes(&path).unwrap();
        assert_eq!(read.notes, written[..3], "{} bytes", piece.len());
        assert_eq!(read.torn_bytes, piece.len() - last_begins);
        assert_eq!(read.damaged_bytes, 0);
    }
}

#[test]
fn damage_is_told_from_a_torn_note() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("notes");
    let journal = FileJournal::create(&path, FIRST).unwrap();
    journal.note(b"upload", true).unwrap();
    let whole = std::fs::read(&path).unwrap();
    // A bit in the check or the text of the first of two notes, or an absurd length.
    for at in [3, 4, HEADER_BYTES] {
        let mut bytes = whole.clone();
        bytes[at] ^= 0x80;
        std::fs::write(&path, &bytes).unwrap();
        let read = read_notes(&path).unwrap();
        assert_eq!(read.notes.len(), 0, "byte {at}");
        assert_eq!((read.torn_bytes, read.damaged_bytes), (0, bytes.len()), "byte {at}");
    }
}

#[test]
fn an_attempt_never_writes_into_another_attempts_notes() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("notes");
    FileJournal::create(&path, FIRST).unwrap();
    let error = FileJournal::create(&path, FIRST).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::AlreadyExists);
    assert_eq!(read_notes(&path).unwrap().notes, [FIRST], "and leaves them alone");
}

/// Set in the process that plays the full disk: the folder to write to.
const FULL_DISK: &str = "BATCH_EXPORT_TEST_FULL_DISK";

/// Runs in a process of its own, in which no file may grow beyond 4 KiB.
#[cfg(unix)]
fn write_on_a_full_disk(folder: &Path) {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let path = folder.join("notes");
    let limit = Rlimit {
        current: Some(4096),
        ..getrlimit(Resource::Fsize)
    };
    setrlimit(Resource::Fsize, limit).unwrap();
    let journal = FileJournal::create(&path, FIRST).unwrap();
    journal.note(b"small", true).unwrap();
    let error = journal.note(&[7; 5000], true).unwrap_err();
    let (message, hint) = error.into_parts();
    let journal_path = path.display();
    assert_eq!(
        message,
        format!("the journal {journal_path} cannot be written: file too large")
    );
    assert_eq!(hint, Some(format!("free some space on the disk of {journal_path}")));
    journal.note(b"acknowledged", true).unwrap();
    journal.note(&[8; 4090], true).unwrap_err();
    FileJournal::create(&path.with_file_name("large"), &[9; 5000]).unwrap_err();
}

#[cfg(unix)]
#[test]
fn acknowledged_notes_survive_one_that_the_disk_had_no_room_for() {
    if let Some(folder) = std::env::var_os(FULL_DISK) {
        return write_on_a_full_disk(Path::new(&folder));
    }
    let folder = tempfile::tempdir().unwrap();
    // The signal that says that a file is too large must be ignored, and a shell can arrange that.
    let this = "capability::journal::tests::acknowledged_notes_survive_one_that_the_disk_had_no_room_for";
    let output = std::process::Command::new("sh")
        .args(["-c", "trap '' XFSZ; exec \"$0\" --exact \"$1\""])
        .arg(std::env::current_exe().unwrap())
        .arg(this)
        .env(FULL_DISK, folder.path())
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    let path = folder.path().join("notes");
    let read = read_notes(&path).unwrap();
    assert_eq!(read.notes, [FIRST, b"small", b"acknowledged"]);
    assert_eq!((read.torn_bytes, read.damaged_bytes), (0, 0));
    assert!(
        !path.with_file_name("large").exists(),
        "no journal without its first note"
    );
}

#[cfg(target_os = "linux")]
#[test]
fn a_journal_that_cannot_be_repaired_takes_no_further_note() {
    // Every write to this device says that the disk is full, and it cannot be cut back.
    let journal = FileJournal {
        file: std::fs::OpenOptions::new().append(true).open("/dev/full").unwrap(),
        name: "notes".to_owned(),
        length: Mutex::new(Length::Good(0)),
    };
    let first = journal.note(b"a", true).unwrap_err();
    assert_eq!(
        first.in_one_text(),
        "the journal notes cannot be written: no space left on device; free some space on the disk of notes"
    );
    let second = journal.note(b"b", true).unwrap_err();
    assert_eq!(
        second.in_one_text(),
        "the journal notes cannot be written: an earlier note could not be written, and its remains could not be removed; \
         check the disk of notes"
    );
}
