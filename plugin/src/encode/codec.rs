//! The codecs of JSON Lines files: one stream per file, which does not reveal when or where it was written. Never
//! decodes.

use std::io::{self, Write};

use brotli::CompressorWriter;
use brotli::enc::BrotliEncoderParams;
use flate2::write::GzEncoder;
use flate2::{Compression, GzBuilder};
use zstd::stream::raw::CParameter;
use zstd::stream::write::Encoder as ZstdEncoder;

use crate::settings::JsonLinesCodec;

/// The brotli window, 2^20 bytes: the encoder's tables are several times as large, and a guest is small.
const BROTLI_WINDOW_LOG: i32 = 20;
/// How much text brotli is told to expect: that of a large file, whatever comes. It chooses its tables by it, and takes
/// the first write for all there is where it is told nothing: at level 5 files were 69 % larger for that.
const BROTLI_EXPECTED_BYTES: usize = 1 << 30;
/// Bytes that brotli hands on at a time.
const BROTLI_BUFFER_BYTES: usize = 64 << 10;

/// Zstandard's own tables take up to 700 MiB at its highest levels; from this level on they are held to the sizes
/// below (36 MiB in all) and only the search gets deeper.
const ZSTD_BOUNDED_FROM_LEVEL: i32 = 10;
/// The window, 2^22 bytes: 4 MiB.
const ZSTD_WINDOW_LOG: u32 = 22;
/// Hash and chain tables of 2^22 entries of 4 bytes.
const ZSTD_TABLE_LOG: u32 = 22;

/// The sink of a file's text: a codec, and the output that has not been taken yet.
pub struct Stream {
    encoder: Encoder,
    /// Bytes of output taken so far.
    taken_bytes: u64,
}

enum Encoder {
    None(Vec<u8>),
    Gzip(GzEncoder<Vec<u8>>),
    Brotli(Box<CompressorWriter<Vec<u8>>>),
    Zstd(ZstdEncoder<'static, Vec<u8>>),
}

impl Stream {
    /// Opens a stream.
    ///
    /// # Errors
    /// The codec cannot be set up.
    pub fn new(codec: JsonLinesCodec) -> io::Result<Self> {
        let encoder = match codec {
            JsonLinesCodec::None => Encoder::None(Vec::new()),
            JsonLinesCodec::Gzip(level) => Encoder::Gzip(
                // No name, no time (0 is "none", RFC 1952 section 2.3.1), and an operating system of "unknown".
                GzBuilder::new()
                    .mtime(0)
                    .operating_system(255)
                    .write(Vec::new(), Compression::new(level)),
            ),
            JsonLinesCodec::Brotli(level) => {
                let parameters = BrotliEncoderParams {
                    quality: level.cast_signed(),
                    lgwin: BROTLI_WINDOW_LOG,
                    size_hint: BROTLI_EXPECTED_BYTES,
                    ..BrotliEncoderParams::default()
                };
                Encoder::Brotli(Box::new(CompressorWriter::with_params(
                    Vec::new(),
                    BROTLI_BUFFER_BYTES,
                    &parameters,
                )))
            }
            JsonLinesCodec::Zstd(level) => {
                let mut encoder = ZstdEncoder::new(Vec::new(), level)?;
                encoder.include_checksum(true)?;
                encoder.include_contentsize(false)?;
                if level >= ZSTD_BOUNDED_FROM_LEVEL {
                    encoder.set_parameter(CParameter::WindowLog(ZSTD_WINDOW_LOG))?;
                    encoder.set_parameter(CParameter::HashLog(ZSTD_TABLE_LOG))?;
                    encoder.set_parameter(CParameter::ChainLog(ZSTD_TABLE_LOG))?;
                }
                Encoder::Zstd(encoder)
            }
        };
        Ok(Stream {
            encoder,
            taken_bytes: 0,
        })
    }

    /// Returns the output that has not been taken. Text appended to it is text written where there is no codec.
    pub fn output(&mut self) -> &mut Vec<u8> {
        match &mut self.encoder {
            Encoder::None(output) => output,
            Encoder::Gzip(encoder) => encoder.get_mut(),
            Encoder::Brotli(encoder) => encoder.get_mut(),
            Encoder::Zstd(encoder) => encoder.get_mut(),
        }
    }

    /// Returns how much output has not been taken.
    pub fn output_len(&self) -> usize {
        match &self.encoder {
            Encoder::None(output) => output.len(),
            Encoder::Gzip(encoder) => encoder.get_ref().len(),
            Encoder::Brotli(encoder) => encoder.get_ref().len(),
            Encoder::Zstd(encoder) => encoder.get_ref().len(),
        }
    }

    /// Takes the output.
    pub fn take_output(&mut self) -> Vec<u8> {
        let output = std::mem::take(self.output());
        self.taken_bytes += output.len() as u64;
        output
    }

    /// Returns the number of bytes produced so far, taken or not.
    pub fn produced_bytes(&self) -> u64 {
        self.taken_bytes + self.output_len() as u64
    }

    /// Compresses text. The codec may hold some of it back.
    ///
    /// # Errors
    /// The codec failed.
    pub fn write(&mut self, text: &[u8]) -> io::Result<()> {
        match &mut self.encoder {
            Encoder::None(output) => {
                output.extend_from_slice(text);
                Ok(())
            }
            Encoder::Gzip(encoder) => encoder.write_all(text),
            Encoder::Brotli(encoder) => encoder.write_all(text),
            Encoder::Zstd(encoder) => encoder.write_all(text),
        }
    }

    /// Produces everything that the codec holds back; the stream goes on, with its window.
    ///
    /// # Errors
    /// The codec failed.
    pub fn flush(&mut self) -> io::Result<()> {
        match &mut self.encoder {
            Encoder::None(_) => Ok(()),
            Encoder::Gzip(encoder) => encoder.flush(),
            Encoder::Brotli(encoder) => encoder.flush(),
            Encoder::Zstd(encoder) => encoder.flush(),
        }
    }

    /// Ends the stream; gives the output that has not been taken.
    ///
    /// # Errors
    /// The codec failed.
    pub fn finish(self) -> io::Result<Vec<u8>> {
        match self.encoder {
            Encoder::None(output) => Ok(output),
            Encoder::Gzip(encoder) => encoder.finish(),
            Encoder::Brotli(encoder) => Ok(encoder.into_inner()),
            Encoder::Zstd(encoder) => encoder.finish(),
        }
    }
}

/// Returns the most that `text_bytes` of text can become between two flushes of any codec, the flush included. Data
/// that does not compress is stored: with 5 bytes per stored block of at most 64 KiB in deflate (zlib's are as small as
/// 4 KiB), with 3 per 128 KiB in Zstandard, with 4 per 64 KiB in brotli. A 32nd and 64 bytes cover each.
pub fn bound_bytes(text_bytes: u64) -> u64 {
    text_bytes.saturating_add(text_bytes / 32).saturating_add(FLUSH_BYTES)
}

/// What a flush or the end of a stream adds at most: deflate's empty block and gzip's trailer take 5 and 8 bytes, a
/// Zstandard block and checksum 3 and 4, brotli's empty blocks 3.
pub const FLUSH_BYTES: u64 = 64;
