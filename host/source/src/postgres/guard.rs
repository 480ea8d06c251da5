//! A connection whose server cannot announce more than a row may take: the client would keep room for whatever length a
//! message says. Changes nothing that passes.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_postgres::tls::{ChannelBinding, TlsStream};

use super::copy::MAX_ROW_BYTES;

/// A message's kind and its length.
const HEADER_BYTES: usize = 5;
/// What a message has around the row in it.
const AROUND_A_ROW_BYTES: u32 = 64 << 10;
/// The length that counts itself.
const LENGTH_BYTES: u32 = 4;

/// A connection after its handshakes: the server sends nothing but messages.
#[derive(Debug)]
pub(super) struct Guarded<S> {
    inner: S,
    header: [u8; HEADER_BYTES],
    /// Bytes of the header that are there.
    known: usize,
    /// Bytes of the message's body that are not there yet.
    left: usize,
}

impl<S> Guarded<S> {
    pub(super) fn new(inner: S) -> Self {
        Self {
            inner,
            header: [0; HEADER_BYTES],
            known: 0,
            left: 0,
        }
    }

    /// Takes note of what the server sent.
    fn note(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            if self.left > 0 {
                let taken = self.left.min(bytes.len());
                self.left -= taken;
                bytes = &bytes[taken..];
                continue;
            }
            let taken = (HEADER_BYTES - self.known).min(bytes.len());
            self.header[self.known..self.known + taken].copy_from_slice(&bytes[..taken]);
            self.known += taken;
            bytes = &bytes[taken..];
            if self.known < HEADER_BYTES {
                return Ok(());
            }
            let [_, length @ ..] = self.header;
            let length = u32::from_be_bytes(length);
            let limit = u32::try_from(MAX_ROW_BYTES)
                .unwrap_or(u32::MAX)
                .saturating_add(AROUND_A_ROW_BYTES);
            if length > limit {
                return Err(io::Error::new(
                    io::ErrorKind::InvalidData,
                    "the server announces a message that is larger than any row that can be exported",
                ));
            }
            self.left = usize::try_from(length.saturating_sub(LENGTH_BYTES)).unwrap_or(usize::MAX);
            self.known = 0;
        }
        Ok(())
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Guarded<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        ready!(Pin::new(&mut self.inner).poll_read(cx, buf))?;
        Poll::Ready(self.note(&buf.filled()[before..]))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Guarded<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}

impl<S: TlsStream + Unpin> TlsStream for Guarded<S> {
    fn channel_binding(&self) -> ChannelBinding {
        self.inner.channel_binding()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_are_seen_however_the_bytes_are_cut() {
        let mut messages = Vec::new();
        for length in [4_u32, 5, 300, 4] {
            messages.push(b'd');
            messages.extend(length.to_be_bytes());
            messages.extend(vec![0xff; length as usize - 4]);
        }
        for size in 1..messages.len() {
            let mut guarded = Guarded::new(());
            for piece in messages.chunks(size) {
                guarded.note(piece).expect("small messages");
            }
            assert_eq!((guarded.left, guarded.known), (0, 0), "{size}");
            guarded.note(&[b'd', 0x7f]).expect("not known yet");
            guarded.note(&[0xff, 0xff, 0xff]).expect_err("two GiB");
        }
    }
}
