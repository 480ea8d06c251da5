//! Decoders that compressed none of the files they read. An exported file must be exactly one stream, whole, and
//! nothing after it; a source's file may be several. Never guesses a codec.

use std::io::{self, BufRead, BufReader, Read};

use brotli_decompressor::{BrotliDecompressStream, BrotliResult, BrotliState, StandardAlloc};
use crc_fast::{CrcAlgorithm, Digest as Crc};
use miniz_oxide::inflate::stream::{InflateState, inflate};
use miniz_oxide::{DataFormat, MZError, MZFlush, MZStatus};
use ruzstd::decoding::errors::{FrameDecoderError, ReadFrameHeaderError};
use ruzstd::decoding::{BlockDecodingStrategy, FrameDecoder, StreamingDecoder};

/// Bytes read at once from a file and handed at once to a reader: enough that calls cost nothing.
const BUFFER_BYTES: usize = 64 << 10;

/// How many streams a file may be.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Streams {
    One,
    Many,
}

/// Opens the text inside an exported file with this codec, as the plan names it.
pub(super) fn open(file: impl Read + 'static, codec: &str) -> io::Result<Box<dyn BufRead>> {
    let file = BufReader::with_capacity(BUFFER_BYTES, file);
    Ok(match codec {
        "none" => Box::new(file),
        "gzip" => {
            let text = Gunzip::new(file, Streams::One)?;
            Box::new(BufReader::with_capacity(BUFFER_BYTES, text))
        }
        "zstd" => Box::new(BufReader::with_capacity(BUFFER_BYTES, Unzstd::new(file)?)),
        "brotli" => Box::new(BufReader::with_capacity(BUFFER_BYTES, Unbrotli::new(file))),
        other => {
            return Err(invalid(format!(
                "verify does not know the codec `{other}` for JSON Lines"
            )));
        }
    })
}

/// Opens the text inside a source's file: any number of gzip members or zstd frames.
pub(super) fn open_many(file: impl Read + 'static, codec: &str) -> io::Result<Box<dyn Read>> {
    let file = BufReader::with_capacity(BUFFER_BYTES, file);
    Ok(match codec {
        "none" => Box::new(file),
        "gzip" => Box::new(Gunzip::new(file, Streams::Many)?),
        "zstd" => Box::new(UnzstdMany::new(file)),
        "brotli" => Box::new(Unbrotli::new(file)),
        other => return Err(invalid(format!("there is no second decoder for {other}"))),
    })
}

fn invalid(message: impl Into<String>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, message.into())
}

/// The file ends inside its stream.
fn cut_short(what: &str) -> io::Error {
    invalid(format!("its {what} stream is truncated"))
}

/// Bytes that belong to a gzip stream whatever its content.
fn framing<const N: usize>(mut file: impl Read) -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    match file.read_exact(&mut bytes) {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Err(cut_short("gzip")),
        read => read.map(|()| bytes),
    }
}

/// Errors unless the file ends here.
fn nothing_behind(mut file: impl BufRead, what: &str) -> io::Result<()> {
    match file.fill_buf()?.len() {
        0 => Ok(()),
        _ => Err(invalid(format!("bytes follow the end of the {what}"))),
    }
}

/// One gzip member (RFC 1952), or several: header, deflate stream, CRC-32 and length.
struct Gunzip<R> {
    file: R,
    streams: Streams,
    state: Box<InflateState>,
    crc: Crc,
    /// Modulo 2^32, as in the trailer.
    length: u32,
    ended: bool,
}

/// Flags of a gzip header: header CRC, extra field, name, comment. The plugin writes none of them.
const HEADER_CRC: u8 = 1 << 1;
const EXTRA: u8 = 1 << 2;
const NAME: u8 = 1 << 3;
const COMMENT: u8 = 1 << 4;
const GZIP_FIELDS: u8 = HEADER_CRC | EXTRA | NAME | COMMENT;

impl<R: BufRead> Gunzip<R> {
    fn new(mut file: R, streams: Streams) -> io::Result<Self> {
        gzip_header(&mut file, streams)?;
        Ok(Gunzip {
            file,
            streams,
            state: InflateState::new_boxed(DataFormat::Raw),
            crc: Crc::new(CrcAlgorithm::Crc32IsoHdlc),
            length: 0,
            ended: false,
        })
    }

    fn end(&mut self) -> io::Result<()> {
        self.ended = true;
        let [a, b, c, d, e, f, g, h] = framing(&mut self.file)?;
        if u64::from(u32::from_le_bytes([a, b, c, d])) != self.crc.finalize() {
            return Err(invalid("its gzip CRC-32 does not match its content"));
        }
        if u32::from_le_bytes([e, f, g, h]) != self.length {
            return Err(invalid("its gzip length does not match its content"));
        }
        match self.streams {
            Streams::One => nothing_behind(&mut self.file, "gzip stream"),
            Streams::Many => self.next_member(),
        }
    }

    /// Begins the next member, unless nothing but padding follows.
    fn next_member(&mut self) -> io::Result<()> {
        while let [0, ..] = self.file.fill_buf()? {
            self.file.consume(1);
        }
        if self.file.fill_buf()?.is_empty() {
            return Ok(());
        }
        gzip_header(&mut self.file, self.streams)?;
        self.state = InflateState::new_boxed(DataFormat::Raw);
        self.crc = Crc::new(CrcAlgorithm::Crc32IsoHdlc);
        (self.length, self.ended) = (0, false);
        Ok(())
    }
}

/// Reads a member's header. Fields that exports never have are skipped in files that are none.
fn gzip_header(file: &mut impl BufRead, streams: Streams) -> io::Result<()> {
    let [0x1f, 0x8b, 8, flags, ..] = framing::<10>(&mut *file)? else {
        return Err(invalid("it does not begin with a gzip header"));
    };
    if flags & GZIP_FIELDS != 0 && streams == Streams::One {
        return Err(invalid("its gzip header has fields that exports never use"));
    }
    if flags & EXTRA != 0 {
        let length = u16::from_le_bytes(framing(&mut *file)?);
        io::copy(&mut file.take(length.into()), &mut io::sink())?;
    }
    for text in [NAME, COMMENT] {
        while flags & text != 0 && framing(&mut *file)? != [0] {}
    }
    if flags & HEADER_CRC != 0 {
        framing::<2>(&mut *file)?;
    }
    Ok(())
}

impl<R: BufRead> Read for Gunzip<R> {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        while !self.ended && !to.is_empty() {
            let input = self.file.fill_buf()?;
            let is_last = input.is_empty();
            let result = inflate(&mut self.state, input, to, MZFlush::None);
            self.file.consume(result.bytes_consumed);
            let written = result.bytes_written;
            self.crc.update(&to[..written]);
            self.length = self.length.wrapping_add(written as u32);
            match result.status {
                Ok(MZStatus::StreamEnd) => self.end()?,
                Ok(_) | Err(MZError::Buf) if written > 0 || !is_last => {}
                Ok(_) | Err(MZError::Buf) => return Err(cut_short("gzip")),
                Err(_) => return Err(invalid("its gzip stream is corrupt")),
            }
            if written > 0 {
                return Ok(written);
            }
        }
        Ok(0)
    }
}

/// One zstd frame (RFC 8878) with its checksum.
struct Unzstd<R: Read> {
    frame: StreamingDecoder<R, FrameDecoder>,
    ended: bool,
}

impl<R: BufRead> Unzstd<R> {
    fn new(file: R) -> io::Result<Self> {
        let frame = StreamingDecoder::new(file)
            .map_err(|error| invalid(format!("it does not begin with a zstd frame: {error}")))?;
        Ok(Unzstd { frame, ended: false })
    }
}

impl<R: BufRead> Read for Unzstd<R> {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        if self.ended || to.is_empty() {
            return Ok(0);
        }
        let read = self
            .frame
            .read(to)
            .map_err(|error| invalid(format!("its zstd frame is corrupt or truncated: {error}")))?;
        if read == 0 {
            self.ended = true;
            let decoder = &self.frame.decoder;
            if decoder.get_checksum_from_data() != decoder.get_calculated_checksum() {
                return Err(invalid("its zstd checksum does not match its content"));
            }
            nothing_behind(self.frame.get_mut(), "zstd frame")?;
        }
        Ok(read)
    }
}

/// Any number of zstd frames, skippable ones among them, with or without checksums.
struct UnzstdMany<R> {
    file: R,
    frame: FrameDecoder,
    is_open: bool,
}

impl<R: BufRead> UnzstdMany<R> {
    fn new(file: R) -> Self {
        UnzstdMany {
            file,
            frame: FrameDecoder::new(),
            is_open: false,
        }
    }

    /// Begins the next frame that has content; `false` at the end of the file.
    fn begin(&mut self) -> io::Result<bool> {
        while !self.file.fill_buf()?.is_empty() {
            match self.frame.reset(&mut self.file) {
                Ok(()) => return Ok(true),
                Err(FrameDecoderError::ReadFrameHeaderError(ReadFrameHeaderError::SkipFrame { length, .. })) => {
                    io::copy(&mut (&mut self.file).take(length.into()), &mut io::sink())?;
                }
                Err(error) => return Err(invalid(format!("it has no zstd frame: {error}"))),
            }
        }
        Ok(false)
    }
}

impl<R: BufRead> Read for UnzstdMany<R> {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        while !to.is_empty() {
            if !self.is_open {
                self.is_open = self.begin()?;
                if !self.is_open {
                    break;
                }
            }
            let frame = &mut self.frame;
            while frame.can_collect() == 0 && !frame.is_finished() {
                frame
                    .decode_blocks(&mut self.file, BlockDecodingStrategy::UptoBlocks(1))
                    .map_err(|error| invalid(format!("its zstd frame is corrupt: {error}")))?;
            }
            match frame.read(to)? {
                0 => self.is_open = false,
                read => return Ok(read),
            }
            let stored = frame.get_checksum_from_data();
            if stored.is_some() && stored != frame.get_calculated_checksum() {
                return Err(invalid("its zstd checksum does not match its content"));
            }
        }
        Ok(0)
    }
}

/// One brotli stream (RFC 7932), which has no checksum.
struct Unbrotli<R> {
    file: R,
    state: Box<BrotliState<StandardAlloc, StandardAlloc, StandardAlloc>>,
    ended: bool,
}

impl<R: BufRead> Unbrotli<R> {
    fn new(file: R) -> Self {
        let memory = StandardAlloc::default;
        Unbrotli {
            file,
            state: Box::new(BrotliState::new(memory(), memory(), memory())),
            ended: false,
        }
    }
}

impl<R: BufRead> Read for Unbrotli<R> {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        while !self.ended && !to.is_empty() {
            let input = self.file.fill_buf()?;
            let is_last = input.is_empty();
            let (mut input_left, mut read) = (input.len(), 0);
            let (mut room, mut written, mut total) = (to.len(), 0, 0);
            let result = BrotliDecompressStream(
                &mut input_left,
                &mut read,
                input,
                &mut room,
                &mut written,
                to,
                &mut total,
                &mut self.state,
            );
            self.file.consume(read);
            match result {
                BrotliResult::ResultSuccess => {
                    self.ended = true;
                    nothing_behind(&mut self.file, "brotli stream")?;
                }
                BrotliResult::ResultFailure => {
                    return Err(invalid("its brotli stream is corrupt"));
                }
                BrotliResult::NeedsMoreInput if is_last && written == 0 => {
                    return Err(cut_short("brotli"));
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

#[cfg(test)]
mod tests;
