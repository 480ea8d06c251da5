//! Storage for the bytes of objects and parts: memory, a folder, or nowhere; knows nothing of S3's rules.
//!
//! In a folder, the object `a/b.parquet` of bucket `c` is the plain file `c/a/b.parquet`. Keys that cannot be a plain
//! path (an empty, `.` or `..` segment, a segment over 255 bytes, a control character, a key that is another key's
//! folder) go to `.devstore/other/<bucket>/<SHA-256 of the key>`. Incomplete objects are in `.devstore/parts` until
//! they are complete.

use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::{Bytes, BytesMut};
use futures::stream::{self, Stream};
use sha2::{Digest, Sha256};
use tokio::io::AsyncWriteExt;

use crate::hex;

/// The place where a store keeps what it is sent.
#[derive(Debug, Clone, Default)]
pub enum Storage {
    /// In memory; gone when the store is dropped.
    #[default]
    Memory,
    /// As plain files in this folder (created when missing). A store started on it again has the finished objects;
    /// open uploads end with the process.
    Folder(PathBuf),
    /// Nowhere: sizes, ETags, checksums and headers are kept, reading an object is `NotImplemented`. For benches.
    Discard {
        /// Whether to check `x-amz-content-sha256` against the body, which costs about as much as all the rest.
        verify_payload_hash: bool,
    },
}

/// Memory reserved up front for a body, whatever length it announces: one large part of a usual client.
const RESERVE_LIMIT_BYTES: u64 = 64 << 20;

/// Files are sent in pieces of this size: large enough that the calls cost little, small compared with any limit.
const READ_PIECE_BYTES: u64 = 256 << 10;

/// Longest file name that Linux file systems take.
const SEGMENT_LIMIT_BYTES: usize = 255;

/// An object's bytes as they are read.
pub(crate) type Pieces = Pin<Box<dyn Stream<Item = io::Result<Bytes>> + Send + Sync>>;

/// The opened storage.
pub(crate) enum Keeper {
    Memory,
    Folder(Folder),
    Discard,
}

/// The bytes of one part, or of an object that is not in place yet.
pub(crate) enum PartData {
    Memory(Bytes),
    File(Scratch),
    Discarded,
}

impl PartData {
    fn in_memory(&self) -> Option<Bytes> {
        match self {
            Self::Memory(bytes) => Some(bytes.clone()),
            Self::File(_) | Self::Discarded => None,
        }
    }

    fn in_file(&self) -> Option<&Path> {
        match self {
            Self::File(scratch) => Some(&scratch.0),
            Self::Memory(_) | Self::Discarded => None,
        }
    }
}

/// Parts end to end, not yet under an object's name.
pub(crate) enum Joined {
    Memory(Vec<Bytes>),
    /// Either a single part's own file, or a new one that goes away unless it is placed.
    File {
        path: PathBuf,
        owned: Option<Scratch>,
    },
    Discarded,
}

/// The bytes of an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum ObjectData {
    Memory(Vec<Bytes>),
    File(PathBuf),
    Discarded,
}

/// A part being received.
pub(crate) enum Sink {
    Memory(BytesMut),
    File(tokio::fs::File, Scratch),
    Discard,
}

impl Keeper {
    pub fn open(storage: &Storage, buckets: &[String]) -> io::Result<Self> {
        match storage {
            Storage::Memory => Ok(Self::Memory),
            Storage::Folder(root) => Folder::open(root, buckets).map(Self::Folder),
            Storage::Discard { .. } => Ok(Self::Discard),
        }
    }

    /// Begins to receive a body that announces `size_bytes`.
    pub async fn sink(&self, size_bytes: u64) -> io::Result<Sink> {
        match self {
            Self::Memory => Ok(Sink::Memory(BytesMut::with_capacity(
                size_bytes.min(RESERVE_LIMIT_BYTES) as usize,
            ))),
            Self::Folder(folder) => {
                let scratch = folder.scratch();
                Ok(Sink::File(tokio::fs::File::create(&scratch.0).await?, scratch))
            }
            Self::Discard => Ok(Sink::Discard),
        }
    }

    /// Puts parts end to end. The parts must live until the result is placed.
    pub fn join(&self, parts: &[&PartData]) -> io::Result<Joined> {
        match self {
            Self::Memory => Ok(Joined::Memory(
                parts.iter().filter_map(|part| part.in_memory()).collect(),
            )),
            Self::Folder(folder) => {
                let files: Vec<&Path> = parts.iter().filter_map(|part| part.in_file()).collect();
                folder.join(&files)
            }
            Self::Discard => Ok(Joined::Discarded),
        }
    }

    /// Gives joined bytes an object's name. In a folder it is not visible under its name before it is whole.
    pub fn place(&self, bucket: &str, key: &str, joined: Joined) -> io::Result<ObjectData> {
        match (self, joined) {
            (Self::Folder(folder), Joined::File { path, owned: _owned }) => {
                folder.place(bucket, key, &path).map(ObjectData::File)
            }
            (_, Joined::Memory(parts)) => Ok(ObjectData::Memory(parts)),
            (_, Joined::File { path, .. }) => Ok(ObjectData::File(path)),
            (_, Joined::Discarded) => Ok(ObjectData::Discarded),
        }
    }

    /// Removes an object's bytes.
    pub fn remove(&self, data: &ObjectData) -> io::Result<()> {
        match (self, data) {
            (Self::Folder(folder), ObjectData::File(path)) => folder.remove(path),
            _ => Ok(()),
        }
    }
}

impl Sink {
    pub async fn write(&mut self, bytes: &Bytes) -> io::Result<()> {
        match self {
            Self::Memory(buffer) => buffer.extend_from_slice(bytes),
            Self::File(file, _) => file.write_all(bytes).await?,
            Self::Discard => {}
        }
        Ok(())
    }

    pub async fn finish(self) -> io::Result<PartData> {
        match self {
            Self::Memory(buffer) => Ok(PartData::Memory(buffer.freeze())),
            Self::File(mut file, scratch) => {
                file.flush().await?;
                Ok(PartData::File(scratch))
            }
            Self::Discard => Ok(PartData::Discarded),
        }
    }
}

impl ObjectData {
    /// The bytes from `start` up to `end`, or `None` if they were discarded. The object may be replaced meanwhile.
    pub fn read(&self, start: u64, end: u64) -> io::Result<Option<Pieces>> {
        match self {
            Self::Memory(parts) => {
                let pieces: Vec<_> = slices(parts, start, end).into_iter().map(Ok).collect();
                Ok(Some(Box::pin(stream::iter(pieces))))
            }
            Self::File(path) => {
                let mut file = File::open(path)?;
                file.seek(SeekFrom::Start(start))?;
                let pieces = stream::try_unfold((file, end - start), |(file, left)| async move {
                    if left == 0 {
                        return Ok(None);
                    }
                    let piece = tokio::task::spawn_blocking(move || read_piece(file, left));
                    let (bytes, file) = piece.await.map_err(io::Error::other)??;
                    let left = left - bytes.len() as u64;
                    Ok(Some((bytes, (file, left))))
                });
                Ok(Some(Box::pin(pieces)))
            }
            Self::Discarded => Ok(None),
        }
    }

    /// All bytes at once, or `None` if they were discarded.
    pub fn bytes(&self) -> io::Result<Option<Bytes>> {
        match self {
            Self::Memory(parts) => Ok(Some(parts.concat().into())),
            Self::File(path) => fs::read(path).map(|bytes| Some(bytes.into())),
            Self::Discarded => Ok(None),
        }
    }
}

fn read_piece(mut file: File, left: u64) -> io::Result<(Bytes, File)> {
    let mut piece = vec![0; left.min(READ_PIECE_BYTES) as usize];
    file.read_exact(&mut piece)?;
    Ok((piece.into(), file))
}

/// The part of `parts`, end to end, that lies in `[start, end)`.
fn slices(parts: &[Bytes], start: u64, end: u64) -> Vec<Bytes> {
    let mut offset = 0;
    let mut pieces = Vec::new();
    for part in parts {
        let length = part.len() as u64;
        let from = start.clamp(offset, offset + length) - offset;
        let to = end.clamp(offset, offset + length) - offset;
        if from < to {
            pieces.push(part.slice(from as usize..to as usize));
        }
        offset += length;
    }
    pieces
}

/// A file that goes away with its owner unless it has been moved into place.
pub(crate) struct Scratch(PathBuf);

impl Drop for Scratch {
    fn drop(&mut self) {
        match fs::remove_file(&self.0) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                eprintln!(
                    "devstore: cannot remove the temporary file {}: {error}",
                    self.0.display()
                );
            }
            _ => {}
        }
    }
}

/// The folder storage.
pub(crate) struct Folder {
    root: PathBuf,
    next_scratch: AtomicU64,
}

impl Folder {
    fn open(root: &Path, buckets: &[String]) -> io::Result<Self> {
        let folder = Self {
            root: root.to_owned(),
            next_scratch: AtomicU64::new(0),
        };
        // Parts of an earlier process belong to uploads that nobody can name any more.
        match fs::remove_dir_all(folder.parts()) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        fs::create_dir_all(folder.parts())?;
        for bucket in buckets {
            fs::create_dir_all(root.join(bucket))?;
            fs::create_dir_all(folder.index(bucket))?;
        }
        Ok(folder)
    }

    fn parts(&self) -> PathBuf {
        self.root.join(".devstore/parts")
    }

    /// Returns the folder of the bucket's index entries, one file per object.
    pub fn index(&self, bucket: &str) -> PathBuf {
        self.root.join(".devstore/index").join(bucket)
    }

    /// The index entry of an object.
    pub fn index_entry(&self, bucket: &str, key: &str) -> PathBuf {
        self.index(bucket).join(format!("{}.json", hex(&Sha256::digest(key))))
    }

    /// Writes a file so that it is either whole or not there.
    pub fn write_whole(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        let scratch = self.scratch();
        fs::write(&scratch.0, bytes)?;
        fs::rename(&scratch.0, path)
    }

    fn scratch(&self) -> Scratch {
        Scratch(
            self.parts()
                .join(self.next_scratch.fetch_add(1, Ordering::Relaxed).to_string()),
        )
    }

    fn join(&self, files: &[&Path]) -> io::Result<Joined> {
        if let [file] = files {
            return Ok(Joined::File {
                path: file.to_path_buf(),
                owned: None,
            });
        }
        let whole = self.scratch();
        let mut target = File::create(&whole.0)?;
        for file in files {
            io::copy(&mut File::open(file)?, &mut target)?;
        }
        Ok(Joined::File {
            path: whole.0.clone(),
            owned: Some(whole),
        })
    }

    /// Moves a file to where the key's object belongs.
    fn place(&self, bucket: &str, key: &str, file: &Path) -> io::Result<PathBuf> {
        if is_plain_path(key) {
            let path = self.root.join(bucket).join(key);
            if move_into(file, &path).is_ok() {
                return Ok(path);
            }
        }
        // Also when one key is the folder of another: only one of them can have the plain name.
        let path = self
            .root
            .join(".devstore/other")
            .join(bucket)
            .join(hex(&Sha256::digest(key)));
        move_into(file, &path)?;
        Ok(path)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)?;
        // Folders exist only for the keys in them. A folder that is not empty stays, and ends the walk.
        let own = path
            .strip_prefix(&self.root)
            .map_or(0, |inside| inside.components().count());
        for folder in path.ancestors().skip(1).take(own.saturating_sub(2)) {
            if fs::remove_dir(folder).is_err() {
                break;
            }
        }
        Ok(())
    }
}

fn move_into(file: &Path, path: &Path) -> io::Result<()> {
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent)?;
    }
    fs::rename(file, path)
}

/// Whether a key can be a path below the bucket's folder and nowhere else.
fn is_plain_path(key: &str) -> bool {
    key.split('/').all(|segment| {
        !matches!(segment, "" | "." | "..")
            && segment.len() <= SEGMENT_LIMIT_BYTES
            && !segment.chars().any(char::is_control)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slices_are_those_of_the_joined_parts() {
        let parts: Vec<Bytes> = ["ab", "", "cde", "f"].map(Bytes::from).to_vec();
        let joined = parts.concat();
        for start in 0..=joined.len() {
            for end in start..=joined.len() {
                assert_eq!(
                    slices(&parts, start as u64, end as u64).concat(),
                    joined[start..end],
                    "{start}..{end}"
                );
            }
        }
    }

    #[test]
    fn only_plain_keys_become_paths() {
        for key in ["a", "a/b c:d+e=.parquet", "..a/...", "emoji/🦔"] {
            assert!(is_plain_path(key), "{key}");
        }
        let long = "x".repeat(256);
        for key in [
            "/a",
            "a//b",
            "a/",
            "./a",
            "a/../../b",
            "..",
            "a\nb",
            "a\0b",
            long.as_str(),
        ] {
            assert!(!is_plain_path(key), "{key}");
        }
    }
}
