//! The bytes of a file on their way to a decoder: counted, with a look ahead, and compared with the length that the
//! file had when it was opened. Knows no codec.

use std::io::{self, BufRead, Read};

use batch_export_system::Token;

use super::frames::FrameError;

/// Bytes that can be looked at before they are consumed: a magic number and a length.
pub(crate) const AHEAD_BYTES: usize = 8;

/// The bytes of a file, counted, with a look ahead at the next few. An end before the length that the file had when it
/// was opened is an error.
pub(crate) struct Input<R> {
    inner: R,
    length: u64,
    token: Token,
    /// Bytes consumed so far.
    pub at: u64,
    /// Bytes looked at and not yet consumed: `ahead[from..to]`.
    ahead: [u8; AHEAD_BYTES],
    from: usize,
    to: usize,
    /// Whether the end of the bytes was reported.
    pub has_ended: bool,
}

impl<R: BufRead> Input<R> {
    pub(crate) fn new(inner: R, length: u64, token: Token) -> Self {
        Self {
            inner,
            length,
            token,
            at: 0,
            ahead: [0; AHEAD_BYTES],
            from: 0,
            to: 0,
            has_ended: false,
        }
    }

    /// Returns the next bytes without consuming them, up to [`AHEAD_BYTES`]; fewer than asked for only at the end.
    pub(crate) fn peek(&mut self, bytes: usize) -> io::Result<&[u8]> {
        self.ahead.copy_within(self.from..self.to, 0);
        self.to -= self.from;
        self.from = 0;
        while self.to < bytes {
            match self.inner.read(&mut self.ahead[self.to..bytes]) {
                Ok(0) => break,
                Ok(read) => self.to += read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(&self.ahead[..self.to.min(bytes)])
    }

    /// Consumes this many bytes; `false` if the file ends before that.
    pub(crate) fn skip(&mut self, bytes: u64) -> io::Result<bool> {
        let skipped = io::copy(&mut self.by_ref().take(bytes), &mut io::sink())?;
        Ok(skipped == bytes)
    }

    /// Consumes all that is left; whether it was nothing but zeros.
    pub(crate) fn is_padding(&mut self) -> io::Result<bool> {
        loop {
            let bytes = self.fill_buf()?;
            if bytes.is_empty() {
                return Ok(true);
            }
            if bytes.iter().any(|byte| *byte != 0) {
                return Ok(false);
            }
            let length = bytes.len();
            self.consume(length);
        }
    }

    /// No more bytes are there; an error if there were to be more.
    pub(crate) fn ended(&mut self) -> io::Result<()> {
        self.has_ended = true;
        if self.at < self.length {
            return Err(FrameError::Shrunk {
                expected: self.length,
                found: self.at,
            }
            .into());
        }
        Ok(())
    }
}

impl<R: BufRead> BufRead for Input<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.from < self.to {
            return Ok(&self.ahead[self.from..self.to]);
        }
        // Whoever reads sees that it is the token's doing by asking it as well.
        self.token.check().map_err(io::Error::other)?;
        // The decoders do not all go on after an interruption.
        while let Err(error) = self.inner.fill_buf() {
            if error.kind() != io::ErrorKind::Interrupted {
                return Err(error);
            }
        }
        if self.inner.fill_buf()?.is_empty() {
            self.ended()?;
        }
        self.inner.fill_buf()
    }

    fn consume(&mut self, bytes: usize) {
        self.at += bytes as u64;
        if self.from < self.to {
            self.from += bytes;
        } else {
            self.inner.consume(bytes);
        }
    }
}

impl<R: BufRead> Read for Input<R> {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        let bytes = self.fill_buf()?;
        let read = bytes.len().min(to.len());
        to[..read].copy_from_slice(&bytes[..read]);
        self.consume(read);
        Ok(read)
    }
}
