//! A stand-in for a ClickHouse: answers what the source asks with what was prepared. Knows as much SQL as tells its
//! questions apart.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::thread;

use anyhow::{Context, Result, bail};

use super::Subject;
use super::inputs::{Inputs, alias};

/// A piece of a prepared answer.
const CHUNK_BYTES: usize = 1 << 20;
const COLUMNS: [(&str, &str); 10] = [
    ("uuid", "String"),
    ("event", "String"),
    ("distinct_id", "String"),
    ("person_id", "Nullable(String)"),
    ("properties", "String"),
    ("person_properties", "Nullable(String)"),
    ("elements_chain", "Nullable(String)"),
    ("timestamp", "DateTime64(6, 'UTC')"),
    ("created_at", "DateTime64(6, 'UTC')"),
    ("_inserted_at", "DateTime64(6, 'UTC')"),
];

/// The server, until the process ends.
pub struct Server {
    address: SocketAddr,
}

impl Server {
    pub fn start(inputs: &Inputs) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").context("cannot listen")?;
        let address = listener.local_addr()?;
        let (rows, stream) = (inputs.rows, inputs.clickhouse.clone());
        thread::spawn(move || {
            for connection in listener.incoming().flatten() {
                let stream = stream.clone();
                thread::spawn(move || {
                    if let Err(error) = answer(connection, rows, stream) {
                        eprintln!("bench: the stand-in for ClickHouse: {error:#}");
                    }
                });
            }
        });
        Ok(Self { address })
    }

    /// What is read from it, next to a client that throws the answer away.
    pub fn subject(&self) -> Result<Subject> {
        let this = std::env::current_exe().context("cannot find this program")?;
        Ok(Subject {
            name: "clickhouse (a stand-in)",
            source: format!(
                "type = \"clickhouse\"\nurl = \"http://{}\"\ntable = \"events\"\ntime_column = \"_inserted_at\"\n",
                self.address
            ),
            client: Some(vec![
                this.display().to_string(),
                "drain".to_owned(),
                self.address.to_string(),
            ]),
        })
    }
}

/// Asks a stand-in for its rows and throws them away: what a reader does at least.
pub fn drain(address: &str) -> Result<()> {
    let mut connection = TcpStream::connect(address)?;
    let sql = "SELECT 1";
    write!(
        connection,
        "POST / HTTP/1.1\r\nHost: {address}\r\nContent-Length: {}\r\n\r\n{sql}",
        sql.len()
    )?;
    io::copy(&mut connection, &mut io::sink())?;
    Ok(())
}

fn answer(connection: TcpStream, rows: u64, stream: PathBuf) -> Result<()> {
    let mut reader = BufReader::new(connection.try_clone()?);
    let mut length = 0;
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 {
            return Ok(());
        }
        let line = line.trim_end().to_ascii_lowercase();
        if let Some(value) = line.strip_prefix("content-length:") {
            length = value.trim().parse()?;
        }
        if line.is_empty() {
            break;
        }
    }
    let mut sql = vec![0; length];
    reader.read_exact(&mut sql)?;
    let sql = String::from_utf8(sql)?;
    let mut connection = connection;
    connection.write_all(
        b"HTTP/1.1 200 OK\r\nX-ClickHouse-Server-Display-Name: stand-in\r\nTransfer-Encoding: chunked\r\nConnection: \
          close\r\n\r\n",
    )?;
    let text = match sql.as_str() {
        sql if sql.contains("system.settings") => "[\"26.9.2.1\",\"readonly\",\"0\",0]\n".to_owned(),
        sql if sql.starts_with("DESCRIBE") => COLUMNS
            .iter()
            .map(|(name, kind)| format!("[\"{name}\",\"{kind}\"]\n"))
            .collect(),
        sql if sql.starts_with("SELECT count()") => format!("{rows}\n"),
        sql if sql.contains("FORMAT ArrowStream") && !sql.contains(&format!("AS {},", alias(0))) => {
            bail!("the aliases are not those of the prepared answer: {sql}")
        }
        _ => return send(&mut connection, File::open(stream)?),
    };
    send(&mut connection, text.as_bytes())
}

fn send(connection: &mut TcpStream, mut from: impl Read) -> Result<()> {
    let mut chunk = vec![0; CHUNK_BYTES];
    loop {
        let length = from.read(&mut chunk)?;
        write!(connection, "{length:x}\r\n")?;
        connection.write_all(&chunk[..length])?;
        connection.write_all(b"\r\n")?;
        if length == 0 {
            return Ok(());
        }
    }
}
