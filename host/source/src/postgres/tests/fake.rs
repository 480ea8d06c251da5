//! A server that speaks as much of PostgreSQL's protocol as the source needs, and breaks where a test says.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use crate::postgres::{PostgresServer, SslMode};

const SSL_REQUEST: u32 = 80_877_103;
const CANCEL_REQUEST: u32 = 80_877_102;

/// What the server does. By default it is a table with three rows of this hour, and two without a time.
#[derive(Clone)]
pub(super) struct Answer {
    /// Closes the connection after so many bytes of the answer to the copy.
    pub cut_after: Option<usize>,
    /// Sends an error of this code after so many rows.
    pub fails_after: Option<(usize, &'static str)>,
    /// Sends nothing more after so many rows.
    pub stalls_after: Option<usize>,
    pub has_trailer: bool,
    pub after_trailer: Vec<u8>,
    pub instead_of_rows: Option<Vec<u8>>,
    /// The code of the error that the last statement gets.
    pub commit_fails: Option<&'static str>,
    pub password: Option<String>,
    /// Takes connections, and never says a word.
    pub is_silent: bool,
}

impl Default for Answer {
    fn default() -> Self {
        Self {
            cut_after: None,
            fails_after: None,
            stalls_after: None,
            has_trailer: true,
            after_trailer: Vec::new(),
            instead_of_rows: None,
            commit_fails: None,
            password: None,
            is_silent: false,
        }
    }
}

/// A running server.
pub(super) struct Fake {
    address: SocketAddr,
    shared: Arc<Shared>,
}

struct Shared {
    answer: Answer,
    statements: Mutex<Vec<String>>,
    was_cancelled: AtomicBool,
    is_over: AtomicBool,
}

impl Fake {
    pub(super) fn new(answer: Answer) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address");
        let shared = Arc::new(Shared {
            answer,
            statements: Mutex::default(),
            was_cancelled: AtomicBool::new(false),
            is_over: AtomicBool::new(false),
        });
        let served = Arc::clone(&shared);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if served.is_over.load(Ordering::SeqCst) {
                    return;
                }
                let served = Arc::clone(&served);
                // How a connection ends is for the other side to judge.
                thread::spawn(move || served.serve(stream).ok());
            }
        });
        Self { address, shared }
    }

    pub(super) fn server(&self) -> PostgresServer {
        PostgresServer {
            host: Some("127.0.0.1".to_owned()),
            port: Some(self.address.port()),
            user: Some("reader".to_owned()),
            sslmode: Some(SslMode::Disable),
            ..PostgresServer::default()
        }
    }

    pub(super) fn statements(&self) -> Vec<String> {
        lock(&self.shared.statements).clone()
    }

    /// Returns whether it was asked to end a statement, for which it waits a little.
    pub(super) fn was_cancelled(&self) -> bool {
        for _ in 0..100 {
            if self.shared.was_cancelled.load(Ordering::SeqCst) {
                return true;
            }
            thread::sleep(Duration::from_millis(20));
        }
        false
    }
}

impl Drop for Fake {
    fn drop(&mut self) {
        self.shared.is_over.store(true, Ordering::SeqCst);
        // Wakes the thread that accepts.
        TcpStream::connect(self.address).ok();
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn message(kind: u8, body: &[u8]) -> Vec<u8> {
    let mut message = vec![kind];
    message.extend((u32::try_from(body.len()).expect("small") + 4).to_be_bytes());
    message.extend(body);
    message
}

fn ready() -> Vec<u8> {
    message(b'Z', b"T")
}

fn error(code: &str, said: &str) -> Vec<u8> {
    message(b'E', format!("SERROR\0VERROR\0C{code}\0M{said}\0\0").as_bytes())
}

/// Describes columns by their types.
fn columns(columns: &[(&str, u32, i16)]) -> Vec<u8> {
    let mut body = u16::try_from(columns.len()).expect("few").to_be_bytes().to_vec();
    for (number, (name, oid, size)) in (1_i16..).zip(columns) {
        body.extend(name.as_bytes());
        body.push(0);
        body.extend(16_384_u32.to_be_bytes());
        body.extend(number.to_be_bytes());
        body.extend(oid.to_be_bytes());
        body.extend(size.to_be_bytes());
        body.extend((-1_i32).to_be_bytes());
        body.extend(0_u16.to_be_bytes());
    }
    message(b'T', &body)
}

fn row_of_text(value: &str) -> Vec<u8> {
    let mut body = 1_u16.to_be_bytes().to_vec();
    body.extend(u32::try_from(value.len()).expect("small").to_be_bytes());
    body.extend(value.as_bytes());
    message(b'D', &body)
}

fn row(id: i32) -> Vec<u8> {
    // 2026-01-01T00:30:00Z
    let at: i64 = (1_767_227_400 - 946_684_800) * 1_000_000;
    let mut body = 3_u16.to_be_bytes().to_vec();
    for value in [id.to_be_bytes().to_vec(), at.to_be_bytes().to_vec(), b"name".to_vec()] {
        body.extend(u32::try_from(value.len()).expect("small").to_be_bytes());
        body.extend(value);
    }
    body
}

impl Answer {
    /// Returns what is sent for the copy, from its beginning to the end of the request.
    pub(super) fn copy_bytes(&self) -> Vec<u8> {
        let mut bytes = message(b'2', b"");
        bytes.extend(message(b'H', &[1, 0, 3, 0, 1, 0, 1, 0, 1]));
        if let Some(instead) = &self.instead_of_rows {
            bytes.extend(instead);
            return bytes;
        }
        let mut header = b"PGCOPY\n\xff\r\n\0".to_vec();
        header.extend([0; 8]);
        bytes.extend(message(b'd', &header));
        for id in 1..=3 {
            let sent = usize::try_from(id - 1).expect("small");
            if let Some((after, code)) = self.fails_after
                && after == sent
            {
                bytes.extend(error(code, "it failed"));
                bytes.extend(ready());
                return bytes;
            }
            if self.stalls_after == Some(sent) {
                return bytes;
            }
            bytes.extend(message(b'd', &row(id)));
        }
        if let Some((3, code)) = self.fails_after {
            bytes.extend(error(code, "it failed"));
            bytes.extend(ready());
            return bytes;
        }
        if self.has_trailer {
            bytes.extend(message(b'd', &(-1_i16).to_be_bytes()));
        }
        if !self.after_trailer.is_empty() {
            bytes.extend(message(b'd', &self.after_trailer));
        }
        bytes.extend(message(b'c', b""));
        bytes.extend(message(b'C', b"COPY 3\0"));
        bytes.extend(ready());
        bytes
    }
}

impl Shared {
    fn serve(&self, mut stream: TcpStream) -> io::Result<()> {
        stream.set_read_timeout(Some(Duration::from_secs(20)))?;
        if self.answer.is_silent {
            let mut sink = [0; 1];
            while stream.read(&mut sink)? > 0 {}
            return Ok(());
        }
        loop {
            let body = body(&mut stream)?;
            match u32::from_be_bytes(body[..4].try_into().expect("four bytes")) {
                SSL_REQUEST => stream.write_all(b"N")?,
                CANCEL_REQUEST => {
                    assert_eq!(body[4..], [0, 0, 0, 7, 0, 0, 0, 9]);
                    self.was_cancelled.store(true, Ordering::SeqCst);
                    return Ok(());
                }
                _ => break,
            }
        }
        if let Some(password) = &self.answer.password {
            stream.write_all(&message(b'R', &3_u32.to_be_bytes()))?;
            let (_, given) = request(&mut stream)?;
            let given = String::from_utf8_lossy(&given[..given.len() - 1]).into_owned();
            if given != *password {
                let said = format!("password authentication failed, it was {given}");
                return stream.write_all(&error("28P01", &said));
            }
        }
        stream.write_all(&message(b'R', &0_u32.to_be_bytes()))?;
        stream.write_all(&message(b'K', &[0, 0, 0, 7, 0, 0, 0, 9]))?;
        stream.write_all(&message(b'Z', b"I"))?;
        loop {
            let (kind, body) = request(&mut stream)?;
            match kind {
                b'Q' => {
                    let statement = text(&body);
                    self.note(statement);
                    stream.write_all(&self.simple(statement))?;
                }
                b'P' => {
                    let statement = text(&body[text(&body).len() + 1..]);
                    self.note(statement);
                    let described = match statement.starts_with("COPY") {
                        true => message(b'n', b""),
                        false => columns(&[("id", 23, 4), ("at", 1184, 8), ("name", 25, -1)]),
                    };
                    assert_eq!([request(&mut stream)?.0, request(&mut stream)?.0], *b"DS");
                    let known = [message(b'1', b""), message(b't', &[0, 0]), described, ready()];
                    stream.write_all(&known.concat())?;
                }
                b'B' => {
                    assert_eq!([request(&mut stream)?.0, request(&mut stream)?.0], *b"ES");
                    let bytes = self.answer.copy_bytes();
                    let cut = self.answer.cut_after;
                    stream.write_all(&bytes[..cut.unwrap_or(bytes.len()).min(bytes.len())])?;
                    if cut.is_some() {
                        return Ok(());
                    }
                    while self.answer.stalls_after.is_some() {
                        request(&mut stream)?;
                    }
                }
                b'C' => stream.write_all(&message(b'3', b""))?,
                b'S' => stream.write_all(&ready())?,
                b'X' => return Ok(()),
                _ => {}
            }
        }
    }

    fn note(&self, statement: &str) {
        lock(&self.statements).push(statement.to_owned());
    }

    fn simple(&self, statement: &str) -> Vec<u8> {
        let done = |tag: &str| message(b'C', format!("{tag}\0").as_bytes());
        let number = |value: &str| [columns(&[("x", 20, 8)]), row_of_text(value), done("SELECT 1")].concat();
        let mut answer = match statement {
            _ if statement.contains("attnotnull") => [columns(&[("x", 16, 1)]), done("SELECT 0")].concat(),
            _ if statement.contains("count(*)") => number("2"),
            "SELECT 1; COMMIT" => match self.answer.commit_fails {
                Some(code) => error(code, "current transaction is aborted"),
                None => [number("1"), done("COMMIT")].concat(),
            },
            _ => done("BEGIN"),
        };
        answer.extend(ready());
        answer
    }
}

/// Reads a request with its kind.
fn request(stream: &mut TcpStream) -> io::Result<(u8, Vec<u8>)> {
    let mut kind = [0];
    stream.read_exact(&mut kind)?;
    Ok((kind[0], body(stream)?))
}

fn body(stream: &mut TcpStream) -> io::Result<Vec<u8>> {
    let mut length = [0; 4];
    stream.read_exact(&mut length)?;
    let mut body = vec![0; u32::from_be_bytes(length) as usize - 4];
    stream.read_exact(&mut body)?;
    Ok(body)
}

/// Returns a text up to its zero byte.
fn text(bytes: &[u8]) -> &str {
    let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
    std::str::from_utf8(&bytes[..end]).expect("UTF-8")
}
