//! Files of every codec, whole, damaged, repeated and cut short.

use super::*;
use std::io::Write;

fn decoded(bytes: &[u8], codec: &str) -> io::Result<Vec<u8>> {
    let mut text = Vec::new();
    open(io::Cursor::new(bytes.to_vec()), codec)?.read_to_end(&mut text)?;
    Ok(text)
}

fn compressed(text: &[u8], codec: &str) -> Vec<u8> {
    match codec {
        "gzip" => {
            let mut encoder = flate2::write::GzEncoder::new(Vec::new(), Default::default());
            encoder.write_all(text).expect("compressed");
            encoder.finish().expect("compressed")
        }
        "zstd" => {
            let mut encoder = zstd::Encoder::new(Vec::new(), 1).expect("an encoder");
            encoder.include_checksum(true).expect("a checksum");
            encoder.write_all(text).expect("compressed");
            encoder.finish().expect("compressed")
        }
        "brotli" => {
            let mut bytes = Vec::new();
            let mut encoder = brotli::CompressorWriter::new(&mut bytes, 4096, 5, 20);
            encoder.write_all(text).expect("compressed");
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
        let bytes = compressed(&text, codec);
        assert_eq!(decoded(&bytes, codec).expect(codec), text, "{codec}");
        if codec == "none" {
            continue;
        }
        for cut in [bytes.len() - 1, bytes.len() / 2, 3] {
            assert!(decoded(&bytes[..cut], codec).is_err(), "{codec} cut to {cut}");
        }
    }
    for codec in ["gzip", "zstd"] {
        let bytes = compressed(&text, codec);
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

/// A compressed file with some of its bytes replaced.
fn with(mut bytes: Vec<u8>, at: usize, new: &[u8]) -> Vec<u8> {
    bytes[at..at + new.len()].copy_from_slice(new);
    bytes
}

#[test]
fn every_damage_has_its_name() {
    let gzip = compressed(b"{\"a\":1}\n", "gzip");
    let zstd = compressed(b"{\"a\":1}\n", "zstd");
    let brotli = compressed(b"{\"a\":1}\n", "brotli");
    let (crc, length) = (gzip.len() - 8, gzip.len() - 4);
    let text = b"{\"a\":1}\n{\"a\":2}\n".to_vec();
    let cases = [
        ("gzip", text.clone(), "it does not begin with a gzip header"),
        ("gzip", gzip[..9].to_vec(), "its gzip stream is truncated"),
        ("gzip", gzip[..12].to_vec(), "its gzip stream is truncated"),
        ("gzip", gzip[..length].to_vec(), "its gzip stream is truncated"),
        (
            "gzip",
            with(gzip.clone(), 3, &[0b1000]),
            "its gzip header has fields that exports never use",
        ),
        ("gzip", with(gzip.clone(), 10, &[0xff; 4]), "its gzip stream is corrupt"),
        (
            "gzip",
            with(gzip.clone(), crc, &[0; 4]),
            "its gzip CRC-32 does not match its content",
        ),
        (
            "gzip",
            with(gzip.clone(), length, &[0; 4]),
            "its gzip length does not match its content",
        ),
        (
            "gzip",
            [gzip.clone(), gzip].concat(),
            "bytes follow the end of the gzip stream",
        ),
        ("zstd", text.clone(), "it does not begin with a zstd frame: "),
        (
            "zstd",
            zstd[..zstd.len() - 6].to_vec(),
            "its zstd frame is corrupt or truncated: ",
        ),
        (
            "zstd",
            with(zstd.clone(), zstd.len() - 4, &[0; 4]),
            "its zstd checksum does not match its content",
        ),
        (
            "zstd",
            [zstd.clone(), zstd].concat(),
            "bytes follow the end of the zstd frame",
        ),
        ("brotli", brotli[..5].to_vec(), "its brotli stream is truncated"),
        ("brotli", text.clone(), "its brotli stream is corrupt"),
        (
            "brotli",
            [brotli.clone(), brotli].concat(),
            "bytes follow the end of the brotli stream",
        ),
        ("lzma", text, "verify does not know the codec `lzma` for JSON Lines"),
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
