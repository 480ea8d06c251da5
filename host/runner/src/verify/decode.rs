//! Decoders for JSON Lines files, none of which wrote them: a file must be exactly one stream, whole, with nothing
//! behind it. Never guesses a codec: the plan says it.

use std::io::{self, BufRead, BufReader, Read};

use brotli_decompressor::{BrotliDecompressStream, BrotliResult, BrotliState, StandardAlloc};
use crc_fast::{CrcAlgorithm, Digest as Crc};
use miniz_oxide::inflate::stream::{InflateState, inflate};
use miniz_oxide::{DataFormat, MZError, MZFlush, MZStatus};
use ruzstd::decoding::{FrameDecoder, StreamingDecoder};

/// Bytes read at once from a file and handed at once to a reader: enough that calls cost nothing.
const BUFFER_BYTES: usize = 64 << 10;

/// The text inside a file with this codec, as the plan names it.
pub fn open(file: impl Read + 'static, codec: &str) -> io::Result<Box<dyn BufRead>> {
    let file = BufReader::with_capacity(BUFFER_BYTES, file);
    Ok(match codec {
        "none" => Box::new(file),
        "gzip" => Box::new(BufReader::with_capacity(BUFFER_BYTES, Gunzip::new(file)?)),
        "zstd" => Box::new(BufReader::with_capacity(BUFFER_BYTES, Unzstd::new(file)?)),
        "brotli" => Box::new(BufReader::with_capacity(BUFFER_BYTES, Unbrotli::new(file))),
        other => {
            return Err(invalid(format!(
                "verify knows no codec `{other}` for JSON Lines"
            )));
        }
    })
}

fn invalid(message: impl Into<String>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, message.into())
}

/// The file ends inside its stream.
fn cut_short(what: &str) -> io::Error {
    invalid(format!("its {what} stream is cut short"))
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

/// One gzip member (RFC 1952): header, deflate stream, CRC-32 and length.
struct Gunzip<R> {
    file: R,
    state: Box<InflateState>,
    crc: Crc,
    /// Modulo 2^32, as in the trailer.
    length: u32,
    ended: bool,
}

/// Flags of a gzip header: header CRC, extra field, name, comment. The plugin writes none of them.
const GZIP_FIELDS: u8 = 0b1_1110;

impl<R: BufRead> Gunzip<R> {
    fn new(mut file: R) -> io::Result<Self> {
        let [0x1f, 0x8b, 8, flags, ..] = framing::<10>(&mut file)? else {
            return Err(invalid("it does not begin with a gzip header"));
        };
        if flags & GZIP_FIELDS != 0 {
            return Err(invalid(
                "its gzip header has fields that exports never have",
            ));
        }
        Ok(Gunzip {
            file,
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
            return Err(invalid("its gzip CRC-32 does not fit its content"));
        }
        if u32::from_le_bytes([e, f, g, h]) != self.length {
            return Err(invalid("its gzip length does not fit its content"));
        }
        nothing_behind(&mut self.file, "gzip stream")
    }
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
                Err(_) => return Err(invalid("its gzip stream is damaged")),
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
        Ok(Unzstd {
            frame,
            ended: false,
        })
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
            .map_err(|error| invalid(format!("its zstd frame is damaged or cut short: {error}")))?;
        if read == 0 {
            self.ended = true;
            let decoder = &self.frame.decoder;
            if decoder.get_checksum_from_data() != decoder.get_calculated_checksum() {
                return Err(invalid("its zstd checksum does not fit its content"));
            }
            nothing_behind(self.frame.get_mut(), "zstd frame")?;
        }
        Ok(read)
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
                    return Err(invalid("its brotli stream is damaged"));
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
mod tests {
    use super::*;
    use std::io::Write;

    fn decoded(bytes: &[u8], codec: &str) -> io::Result<Vec<u8>> {
        let mut text = Vec::new();
        open(io::Cursor::new(bytes.to_vec()), codec)?.read_to_end(&mut text)?;
        Ok(text)
    }

    fn packed(text: &[u8], codec: &str) -> Vec<u8> {
        match codec {
            "gzip" => {
                let mut encoder = flate2::write::GzEncoder::new(Vec::new(), Default::default());
                encoder.write_all(text).expect("packed");
                encoder.finish().expect("packed")
            }
            "zstd" => {
                let mut encoder = zstd::Encoder::new(Vec::new(), 1).expect("an encoder");
                encoder.include_checksum(true).expect("a checksum");
                encoder.write_all(text).expect("packed");
                encoder.finish().expect("packed")
            }
            "brotli" => {
                let mut bytes = Vec::new();
                let mut encoder = brotli::CompressorWriter::new(&mut bytes, 4096, 5, 20);
                encoder.write_all(text).expect("packed");
                drop(encoder);
                bytes
            }
            _ => text.to_vec(),
        }
    }

    #[test]
    fn whole_files_are_read_and_damaged_ones_refused() {
        let text: Vec<u8> = (0..300_000_u32)
            .flat_map(|n| (n * 7 % 1_009).to_string().into_bytes())
            .collect();
        for codec in ["none", "gzip", "zstd", "brotli"] {
            let bytes = packed(&text, codec);
            assert_eq!(decoded(&bytes, codec).expect(codec), text, "{codec}");
            if codec == "none" {
                continue;
            }
            for cut in [bytes.len() - 1, bytes.len() / 2, 3] {
                assert!(
                    decoded(&bytes[..cut], codec).is_err(),
                    "{codec} cut to {cut}"
                );
            }
        }
        for codec in ["gzip", "zstd"] {
            let bytes = packed(&text, codec);
            let mut twice = bytes.clone();
            twice.extend_from_slice(&bytes);
            assert!(decoded(&twice, codec).is_err(), "{codec} twice");
            for at in (20..bytes.len()).step_by(bytes.len() / 40) {
                let mut changed = bytes.clone();
                changed[at] ^= 0x10;
                assert!(decoded(&changed, codec).is_err(), "{codec} changed at {at}");
            }
        }
    }

    /// A packed file with some of its bytes replaced.
    fn with(mut bytes: Vec<u8>, at: usize, new: &[u8]) -> Vec<u8> {
        bytes[at..at + new.len()].copy_from_slice(new);
        bytes
    }

    #[test]
    fn every_damage_has_its_name() {
        let gzip = packed(b"{\"a\":1}\n", "gzip");
        let zstd = packed(b"{\"a\":1}\n", "zstd");
        let brotli = packed(b"{\"a\":1}\n", "brotli");
        let (crc, length) = (gzip.len() - 8, gzip.len() - 4);
        let text = b"{\"a\":1}\n{\"a\":2}\n".to_vec();
        let cases = [
            ("gzip", text.clone(), "it does not begin with a gzip header"),
            ("gzip", gzip[..9].to_vec(), "its gzip stream is cut short"),
            ("gzip", gzip[..12].to_vec(), "its gzip stream is cut short"),
            (
                "gzip",
                gzip[..length].to_vec(),
                "its gzip stream is cut short",
            ),
            (
                "gzip",
                with(gzip.clone(), 3, &[0b1000]),
                "its gzip header has fields that exports never have",
            ),
            (
                "gzip",
                with(gzip.clone(), 10, &[0xff; 4]),
                "its gzip stream is damaged",
            ),
            (
                "gzip",
                with(gzip.clone(), crc, &[0; 4]),
                "its gzip CRC-32 does not fit its content",
            ),
            (
                "gzip",
                with(gzip.clone(), length, &[0; 4]),
                "its gzip length does not fit its content",
            ),
            (
                "gzip",
                [gzip.clone(), gzip].concat(),
                "bytes follow the end of the gzip stream",
            ),
            (
                "zstd",
                text.clone(),
                "it does not begin with a zstd frame: ",
            ),
            (
                "zstd",
                zstd[..zstd.len() - 6].to_vec(),
                "its zstd frame is damaged or cut short: ",
            ),
            (
                "zstd",
                with(zstd.clone(), zstd.len() - 4, &[0; 4]),
                "its zstd checksum does not fit its content",
            ),
            (
                "zstd",
                [zstd.clone(), zstd].concat(),
                "bytes follow the end of the zstd frame",
            ),
            (
                "brotli",
                brotli[..5].to_vec(),
                "its brotli stream is cut short",
            ),
            ("brotli", text.clone(), "its brotli stream is damaged"),
            (
                "brotli",
                [brotli.clone(), brotli].concat(),
                "bytes follow the end of the brotli stream",
            ),
            ("lzma", text, "verify knows no codec `lzma` for JSON Lines"),
        ];
        for (codec, bytes, expect) in cases {
            let error = decoded(&bytes, codec).expect_err(expect).to_string();
            let fits = match expect.ends_with(' ') {
                true => error.starts_with(expect) && error.len() > expect.len(),
                false => error == expect,
            };
            assert!(fits, "{codec}: {error}, expected {expect}");
        }
    }
}
