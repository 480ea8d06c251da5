//! The server: reads requests, remembers them, and answers what the test says, else what ClickHouse would.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use arrow::array::{BinaryArray, RecordBatch, UInt64Array};
use arrow::datatypes::{DataType, Field, Schema};
use arrow::ipc::writer::StreamWriter;
use base64::Engine;

/// A request as it came.
#[derive(Debug, Clone)]
pub(super) struct Request {
    pub(super) target: String,
    pub(super) sql: String,
    headers: Vec<(String, String)>,
    before: Vec<&'static str>,
}

/// What is written back, byte by byte.
#[derive(Debug, Clone)]
pub(super) struct Answer {
    bytes: Vec<u8>,
    is_held: bool,
}

pub(super) struct Server {
    address: SocketAddr,
    seen: Arc<Mutex<Vec<Request>>>,
}

/// A line of `system.settings`.
pub(super) fn setting(name: &str, value: &str, fixed: u8) -> String {
    format!("[\"26.9.2.1\",\"{name}\",\"{value}\",{fixed}]\n")
}

pub(super) const SETTINGS: &str = "[\"26.9.2.1\",\"readonly\",\"2\",0]\n[\"26.9.2.1\",\"max_block_size\",\"65409\",0]\n\
                            [\"26.9.2.1\",\"output_format_arrow_string_as_string\",\"1\",0]\n";
const COLUMNS: &str = "[\"id\",\"UInt64\"]\n[\"name\",\"String\"]\n";

impl Request {
    pub(super) fn kind(&self) -> &'static str {
        kind(&self.sql)
    }

    /// How many requests of a kind came before.
    pub(super) fn earlier(&self, kind: &str) -> usize {
        self.before.iter().filter(|before| **before == kind).count()
    }

    pub(super) fn parameter(&self, name: &str) -> Option<String> {
        let url = reqwest::Url::parse(&format!("http://h{}", self.target)).expect("a URL");
        let mut pairs = url.query_pairs();
        pairs.find(|(key, _)| key == name).map(|(_, value)| value.into_owned())
    }

    pub(super) fn header(&self, name: &str) -> Option<String> {
        let found = self.headers.iter().find(|(key, _)| key == name);
        found.map(|(_, value)| value.clone())
    }

    /// User and password, whichever way they came.
    pub(super) fn credentials(&self) -> (String, String) {
        if let Some(user) = self.header("x-clickhouse-user") {
            return (user, self.header("x-clickhouse-key").unwrap_or_default());
        }
        let encoded = self.header("authorization").expect("credentials");
        let encoded = encoded.strip_prefix("Basic ").expect("of the basic kind");
        let pair = base64::engine::general_purpose::STANDARD
            .decode(encoded)
            .expect("base64");
        let pair = String::from_utf8(pair).expect("text");
        let (user, password) = pair.split_once(':').expect("a pair");
        (user.to_owned(), password.to_owned())
    }
}

fn kind(sql: &str) -> &'static str {
    match sql {
        sql if sql.contains("system.settings") => "settings",
        sql if sql.starts_with("DESCRIBE") => "describe",
        sql if sql.starts_with("SELECT count(), sum(byteSize(") => "sample",
        sql if sql.starts_with("SELECT count()") => "count",
        sql if sql.starts_with("KILL QUERY") => "kill",
        _ => "rows",
    }
}

/// The head of an answer in chunks.
pub(super) fn head() -> Vec<u8> {
    head_with("")
}

pub(super) fn head_with(further: &str) -> Vec<u8> {
    format!(
        "HTTP/1.1 200 OK\r\nX-ClickHouse-Query-Id: x\r\nX-ClickHouse-Server-Display-Name: y\r\n{further}Transfer-Encoding: \
         chunked\r\n\r\n"
    )
    .into_bytes()
}

pub(super) fn chunk(bytes: &[u8]) -> Vec<u8> {
    [format!("{:x}\r\n", bytes.len()).as_bytes(), bytes, b"\r\n"].concat()
}

pub(super) const LAST_CHUNK: &[u8] = b"0\r\n\r\n";

/// Two batches of two rows, as ClickHouse sends them; the third text is not UTF-8.
pub(super) fn arrow() -> Vec<u8> {
    let schema = Arc::new(Schema::new(vec![
        Field::new("c0", DataType::UInt64, false),
        Field::new("c1", DataType::Binary, false),
    ]));
    let mut writer = StreamWriter::try_new(Vec::new(), &schema).expect("a stream");
    for ids in [[1, 2], [3, 4]] {
        let names: Vec<&[u8]> = ids
            .iter()
            .map(|id| if *id == 3 { &b"\xff"[..] } else { b"name" })
            .collect();
        let columns: Vec<Arc<dyn arrow::array::Array>> = vec![
            Arc::new(UInt64Array::from(ids.to_vec())),
            Arc::new(BinaryArray::from_vec(names)),
        ];
        writer
            .write(&RecordBatch::try_new(Arc::clone(&schema), columns).expect("a batch"))
            .expect("written");
    }
    writer.finish().expect("an end");
    writer.into_inner().expect("bytes")
}

impl Answer {
    pub(super) fn raw(bytes: impl Into<Vec<u8>>) -> Self {
        Answer {
            bytes: bytes.into(),
            is_held: false,
        }
    }

    /// Writes this, and then nothing, without closing the connection.
    pub(super) fn hang(bytes: impl Into<Vec<u8>>) -> Self {
        Answer {
            bytes: bytes.into(),
            is_held: true,
        }
    }

    /// Chunks with this content.
    pub(super) fn chunks(content: &[u8]) -> Self {
        Self::raw([&head()[..], &chunk(content), LAST_CHUNK].concat())
    }

    pub(super) fn text(text: &str) -> Self {
        Self::chunks(text.as_bytes())
    }

    pub(super) fn with(status: &str, headers: &str, body: &str) -> Self {
        let length = body.len();
        Self::raw(format!(
            "HTTP/1.1 {status}\r\n{headers}Content-Length: {length}\r\n\r\n{body}"
        ))
    }

    pub(super) fn exception(status: u16, code: u32, text: &str) -> Self {
        Self::with(
            &format!("{status} Error"),
            &format!("X-ClickHouse-Exception-Code: {code}\r\n"),
            text,
        )
    }

    fn usual(kind: &str) -> Self {
        match kind {
            "settings" => Self::text(SETTINGS),
            "describe" => Self::text(COLUMNS),
            "sample" => Self::text("0\t0\n"),
            "count" => Self::text("4\n"),
            "kill" => Self::text(""),
            _ => Self::chunks(&arrow()),
        }
    }
}

impl Server {
    /// A server that answers as `script` says, and as usual where it says nothing.
    pub(super) fn new(script: impl Fn(&Request) -> Option<Answer> + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address");
        let seen: Arc<Mutex<Vec<Request>>> = Arc::default();
        let (list, script) = (Arc::clone(&seen), Arc::new(script));
        // Ends with the test's process.
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (list, script) = (Arc::clone(&list), Arc::clone(&script));
                std::thread::spawn(move || {
                    // A client that goes away in the middle is its own business.
                    let _: Option<()> = serve(stream, &list, script.as_ref());
                });
            }
        });
        Server { address, seen }
    }

    pub(super) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(super) fn origin(&self) -> String {
        format!("ClickHouse at {}", self.address)
    }

    pub(super) fn seen(&self) -> Vec<Request> {
        self.seen.lock().expect("the list").clone()
    }
}

fn serve(mut stream: TcpStream, list: &Mutex<Vec<Request>>, script: &dyn Fn(&Request) -> Option<Answer>) -> Option<()> {
    let mut bytes = Vec::new();
    let mut buffer = [0; 4096];
    let end = loop {
        if let Some(at) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            break at + 4;
        }
        match stream.read(&mut buffer).ok()? {
            0 => return None,
            length => bytes.extend_from_slice(&buffer[..length]),
        }
        // TLS, which this does not speak.
        if bytes.first() == Some(&0x16) {
            stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").ok()?;
            return None;
        }
    };
    let text = String::from_utf8_lossy(&bytes[..end]).into_owned();
    let mut lines = text.lines();
    let target = lines.next()?.split(' ').nth(1)?.to_owned();
    let headers: Vec<(String, String)> = lines
        .filter_map(|line| line.split_once(": "))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
        .collect();
    let length = headers
        .iter()
        .find(|(name, _)| name == "content-length")?
        .1
        .parse::<usize>()
        .ok()?;
    while bytes.len() < end + length {
        match stream.read(&mut buffer).ok()? {
            0 => return None,
            length => bytes.extend_from_slice(&buffer[..length]),
        }
    }
    let mut request = Request {
        target,
        headers,
        sql: String::from_utf8(bytes[end..].to_vec()).expect("text"),
        before: Vec::new(),
    };
    {
        let mut list = list.lock().expect("the list");
        request.before = list.iter().map(Request::kind).collect();
        list.push(request.clone());
    }
    let answer = script(&request).unwrap_or_else(|| Answer::usual(request.kind()));
    stream.write_all(&answer.bytes).ok()?;
    if answer.is_held {
        // Until the client goes, or the test has long failed.
        stream.set_read_timeout(Some(Duration::from_secs(30))).ok()?;
        drop(stream.read(&mut buffer));
    }
    Some(())
}
