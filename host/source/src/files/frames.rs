//! The bytes inside a compressed file: every frame of it, one after the other, up to the file's last byte. Skippable
//! frames are skipped; bytes that belong to no frame are an error that says where they begin. Never ends before the
//! file does.

use std::io::{self, BufRead, Read, Seek};
use std::mem;

use brotli_decompressor::{BrotliDecompressStream, BrotliResult, BrotliState, StandardAlloc};
use flate2::bufread::GzDecoder;
use lz4_flex::frame::FrameDecoder;
use zstd::stream::read::Decoder as ZstdDecoder;

use super::input::Input;

/// The compression of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Codec {
    Gzip,
    Zstd,
    Lz4,
    Brotli,
}

/// Magic numbers are at most this long.
const MAGIC_BYTES: usize = 4;
/// A skippable frame begins with its magic number and its length.
const SKIPPABLE_HEAD_BYTES: usize = 8;

impl Codec {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Codec::Gzip => "gzip",
            Codec::Zstd => "zstd",
            Codec::Lz4 => "lz4",
            Codec::Brotli => "brotli",
        }
    }

    /// Returns what every frame begins with; brotli has nothing of the kind.
    fn magic(self) -> &'static [u8] {
        match self {
            Codec::Gzip => &[0x1f, 0x8b],
            Codec::Zstd => &[0x28, 0xb5, 0x2f, 0xfd],
            Codec::Lz4 => &[0x04, 0x22, 0x4d, 0x18],
            Codec::Brotli => &[],
        }
    }

    fn has_skippable_frames(self) -> bool {
        matches!(self, Codec::Zstd | Codec::Lz4)
    }

    /// Told by the first frame that is not skippable, which zstd and lz4 have in common, and by the name where no
    /// magic number can tell. `name` is in lower case.
    pub(crate) fn detect(mut file: impl BufRead + Seek, name: &str) -> io::Result<Option<Self>> {
        let mut skipped = false;
        loop {
            let mut head = Vec::with_capacity(SKIPPABLE_HEAD_BYTES);
            (&mut file).take(SKIPPABLE_HEAD_BYTES as u64).read_to_end(&mut head)?;
            for codec in [Codec::Gzip, Codec::Zstd, Codec::Lz4] {
                if head.starts_with(codec.magic()) {
                    return Ok(Some(codec));
                }
            }
            let Some(length) = skippable_bytes(&head) else {
                break;
            };
            skipped = true;
            file.seek_relative(i64::from(length))?;
        }
        Ok(if name.ends_with(".br") && !skipped {
            Some(Codec::Brotli)
        } else if skipped && name.ends_with(".lz4") {
            Some(Codec::Lz4)
        } else {
            skipped.then_some(Codec::Zstd)
        })
    }
}

/// Returns the length of what a skippable frame carries, if one begins here.
fn skippable_bytes(head: &[u8]) -> Option<u32> {
    match head {
        [0x50..=0x5f, 0x2a, 0x4d, 0x18, a, b, c, d] => Some(u32::from_le_bytes([*a, *b, *c, *d])),
        _ => None,
    }
}

/// A fault of a compressed file. Travels inside an [`io::Error`].
#[derive(Debug, thiserror::Error)]
pub enum FrameError {
    #[error("its {codec} data end early, in the frame that begins at byte {frame}")]
    Cut { codec: &'static str, frame: u64 },
    #[error("its {codec} data cannot be decompressed: {cause} (in the frame that begins at byte {frame})")]
    Damaged {
        codec: &'static str,
        frame: u64,
        cause: io::Error,
    },
    #[error("its {codec} data end at byte {offset}, and what follows there is not {codec}")]
    Trailing { codec: &'static str, offset: u64 },
    #[error("it had {expected} bytes when it was opened, and ends after {found}")]
    Shrunk { expected: u64, found: u64 },
    #[error("it was read again after an error")]
    Over,
}

impl From<FrameError> for io::Error {
    fn from(error: FrameError) -> Self {
        io::Error::new(io::ErrorKind::InvalidData, error)
    }
}

/// The content of all frames of a file, as one stream.
pub(crate) struct Frames<R: BufRead> {
    codec: Codec,
    state: State<R>,
    /// Where the frame in hand begins.
    frame: u64,
}

enum State<R: BufRead> {
    Between(Input<R>),
    Inside(Frame<R>),
    Ended,
    Failed,
}

enum Frame<R: BufRead> {
    Gzip(Box<GzDecoder<Input<R>>>),
    Zstd(Box<ZstdDecoder<'static, Input<R>>>),
    Lz4(Box<FrameDecoder<Input<R>>>),
    Brotli(Box<Unbrotli<R>>),
}

impl<R: BufRead> Frame<R> {
    fn begin(codec: Codec, input: Input<R>) -> io::Result<Self> {
        Ok(match codec {
            Codec::Gzip => Frame::Gzip(Box::new(GzDecoder::new(input))),
            Codec::Zstd => Frame::Zstd(Box::new(ZstdDecoder::with_buffer(input)?.single_frame())),
            Codec::Lz4 => Frame::Lz4(Box::new(FrameDecoder::new(input))),
            Codec::Brotli => Frame::Brotli(Box::new(Unbrotli::new(input))),
        })
    }

    /// Nothing at the frame's end.
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        match self {
            Frame::Gzip(decoder) => decoder.read(to),
            Frame::Zstd(decoder) => decoder.read(to),
            Frame::Lz4(decoder) => {
                let read = decoder.read(to)?;
                // The decoder takes an end between two blocks for the end of the frame. At a true one it does not
                // look for more bytes.
                if read == 0 && decoder.get_ref().has_ended {
                    return Err(io::ErrorKind::UnexpectedEof.into());
                }
                Ok(read)
            }
            Frame::Brotli(decoder) => decoder.read(to),
        }
    }

    fn into_input(self) -> Input<R> {
        match self {
            Frame::Gzip(decoder) => decoder.into_inner(),
            Frame::Zstd(decoder) => decoder.finish(),
            Frame::Lz4(decoder) => decoder.into_inner(),
            Frame::Brotli(decoder) => decoder.input,
        }
    }
}

impl<R: BufRead> Frames<R> {
    pub(crate) fn new(codec: Codec, input: Input<R>) -> Self {
        Self {
            codec,
            state: State::Between(input),
            frame: 0,
        }
    }

    /// Begins the next frame, past all that may be skipped.
    fn next_frame(&mut self, mut input: Input<R>) -> io::Result<State<R>> {
        loop {
            let (codec, offset) = (self.codec, input.at);
            let magic = codec.magic();
            let is_first = offset == 0;
            self.frame = offset;
            let head = input.peek(SKIPPABLE_HEAD_BYTES)?;
            let skippable = skippable_bytes(head).filter(|_| codec.has_skippable_frames());
            let begins = head.starts_with(magic);
            let is_cut = !head.is_empty() && head.len() < MAGIC_BYTES && magic.starts_with(head);
            // Tapes and some appliances fill the last block with zeros, and `gzip -d` takes them.
            let may_be_padding = codec == Codec::Gzip && !is_first && head.starts_with(&[0]);
            if head.is_empty() {
                input.ended()?;
                return Ok(State::Ended);
            }
            if let Some(length) = skippable {
                if !input.skip(SKIPPABLE_HEAD_BYTES as u64 + u64::from(length))? {
                    return Err(io::ErrorKind::UnexpectedEof.into());
                }
            } else if begins && (codec != Codec::Brotli || is_first) {
                return Ok(State::Inside(Frame::begin(codec, input)?));
            } else if is_cut {
                return Err(io::ErrorKind::UnexpectedEof.into());
            } else if may_be_padding && input.is_padding()? {
                return Ok(State::Ended);
            } else {
                let codec = codec.name();
                return Err(FrameError::Trailing { codec, offset }.into());
            }
        }
    }

    fn step(&mut self, to: &mut [u8]) -> io::Result<Option<usize>> {
        match mem::replace(&mut self.state, State::Failed) {
            State::Between(input) => self.state = self.next_frame(input)?,
            State::Inside(mut frame) => match frame.read(to)? {
                0 => self.state = State::Between(frame.into_input()),
                read => {
                    self.state = State::Inside(frame);
                    return Ok(Some(read));
                }
            },
            State::Ended => {
                self.state = State::Ended;
                return Ok(Some(0));
            }
            State::Failed => return Err(FrameError::Over.into()),
        }
        Ok(None)
    }

    /// Returns what a decoder's error means: the disk's own stay as they are.
    fn described(&self, error: io::Error) -> io::Error {
        let is_ours = error.get_ref().is_some_and(|inner| inner.is::<FrameError>());
        if error.raw_os_error().is_some() || is_ours {
            return error;
        }
        let (codec, frame) = (self.codec.name(), self.frame);
        match error.kind() {
            io::ErrorKind::UnexpectedEof => FrameError::Cut { codec, frame }.into(),
            _ => FrameError::Damaged {
                codec,
                frame,
                cause: error,
            }
            .into(),
        }
    }
}

impl<R: BufRead> Read for Frames<R> {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        if to.is_empty() {
            return Ok(0);
        }
        loop {
            match self.step(to) {
                Ok(Some(read)) => return Ok(read),
                Ok(None) => {}
                Err(error) => return Err(self.described(error)),
            }
        }
    }
}

/// One brotli stream. The crate's own reader reads beyond its end, and so cannot say where that is.
struct Unbrotli<R> {
    input: Input<R>,
    state: BrotliState<StandardAlloc, StandardAlloc, StandardAlloc>,
    total: usize,
    has_ended: bool,
}

impl<R: BufRead> Unbrotli<R> {
    fn new(input: Input<R>) -> Self {
        let alloc = StandardAlloc::default;
        Self {
            input,
            state: BrotliState::new(alloc(), alloc(), alloc()),
            total: 0,
            has_ended: false,
        }
    }

    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        while !self.has_ended {
            let input = self.input.fill_buf()?;
            let is_last = input.is_empty();
            let (mut available, mut consumed) = (input.len(), 0);
            let (mut room, mut written) = (to.len(), 0);
            let result = BrotliDecompressStream(
                &mut available,
                &mut consumed,
                input,
                &mut room,
                &mut written,
                to,
                &mut self.total,
                &mut self.state,
            );
            self.input.consume(consumed);
            match result {
                BrotliResult::ResultSuccess => self.has_ended = true,
                BrotliResult::ResultFailure => {
                    return Err(io::Error::other("the stream is not valid"));
                }
                BrotliResult::NeedsMoreInput if is_last && written == 0 => {
                    return Err(io::ErrorKind::UnexpectedEof.into());
                }
                BrotliResult::NeedsMoreInput | BrotliResult::NeedsMoreOutput => {}
            }
            if written > 0 {
                return Ok(written);
            }
        }
        Ok(0)
    }
}
