//! Small servers on loopback that misbehave or stand in between: one that redirects, one that counts, a proxy. Each
//! ends with the test's runtime.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

/// Bytes of a request's head; these servers only meet our own program's.
const HEAD_BYTES: usize = 64 << 10;

/// A listener, and the first line of every request that it got.
pub struct Server {
    pub address: SocketAddr,
    seen: Arc<Mutex<Vec<String>>>,
}

impl Server {
    /// Answers every request with this status and these header lines, and no body.
    pub async fn answering(status: &'static str, headers: String) -> Self {
        Self::serve(move |mut stream, head| {
            let headers = headers.clone();
            async move {
                drain(&mut stream, &head).await;
                let answer = format!("HTTP/1.1 {status}\r\n{headers}content-length: 0\r\nconnection: close\r\n\r\n");
                // A client that goes away in the middle is its own business.
                drop(stream.write_all(answer.as_bytes()).await);
            }
        })
        .await
    }

    /// An HTTP proxy: `CONNECT` makes a tunnel, anything else is one request in absolute form, passed on.
    pub async fn proxy() -> Self {
        Self::serve(|stream, head| async move {
            relay(stream, head).await;
        })
        .await
    }

    /// The same, for those who send this `Proxy-Authorization`; 407 for all others.
    pub async fn proxy_for(authorization: &'static str) -> Self {
        Self::serve(move |mut stream, head| async move {
            let line = format!("\r\nproxy-authorization: {authorization}\r\n");
            let text = String::from_utf8_lossy(&head).to_ascii_lowercase();
            if text.contains(&line.to_ascii_lowercase()) {
                relay(stream, head).await;
                return;
            }
            drain(&mut stream, &head).await;
            let refusal = "HTTP/1.1 407 Proxy Authentication Required\r\nproxy-authenticate: Basic\r\n\
                content-length: 0\r\nconnection: close\r\n\r\n";
            drop(stream.write_all(refusal.as_bytes()).await);
        })
        .await
    }

    /// Speaks TLS with this acceptor and passes what comes to another server.
    pub async fn behind_tls(acceptor: TlsAcceptor, server: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let acceptor = acceptor.clone();
                tokio::spawn(async move {
                    let mut client = acceptor.accept(stream).await.ok()?;
                    let mut server = TcpStream::connect(server).await.ok()?;
                    copy_bidirectional(&mut client, &mut server).await.ok()
                });
            }
        });
        Server {
            address,
            seen: Arc::default(),
        }
    }

    /// The first lines of the requests so far.
    pub fn requests(&self) -> Vec<String> {
        self.seen.lock().expect("the list").clone()
    }

    pub async fn serve<F, A>(answer: F) -> Self
    where
        F: Fn(TcpStream, Vec<u8>) -> A + Send + Sync + 'static,
        A: Future<Output = ()> + Send + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let seen = Arc::new(Mutex::new(Vec::new()));
        let list = Arc::clone(&seen);
        let answer = Arc::new(answer);
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let (list, answer) = (Arc::clone(&list), Arc::clone(&answer));
                tokio::spawn(async move {
                    let Some(head) = head_of(&mut stream).await else {
                        return;
                    };
                    let text = String::from_utf8_lossy(&head);
                    let line = text.lines().next().unwrap_or_default().to_owned();
                    list.lock().expect("the list").push(line);
                    answer(stream, head).await;
                });
            }
        });
        Server { address, seen }
    }
}

/// Everything up to the empty line, and what of the body came with it.
async fn head_of(stream: &mut TcpStream) -> Option<Vec<u8>> {
    let mut head = Vec::new();
    while end_of_head(&head).is_none() {
        if head.len() > HEAD_BYTES || stream.read_buf(&mut head).await.ok()? == 0 {
            return None;
        }
    }
    Some(head)
}

fn end_of_head(bytes: &[u8]) -> Option<usize> {
    let end = bytes.windows(4).position(|four| four == b"\r\n\r\n")?;
    Some(end + 4)
}

/// Bytes of the body that are still to come.
fn missing(head: &[u8]) -> Option<usize> {
    let end = end_of_head(head)?;
    let text = std::str::from_utf8(&head[..end]).ok()?;
    let length = text.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length")
            .then(|| value.trim().parse::<usize>().ok())?
    });
    Some(length.unwrap_or(0) - (head.len() - end))
}

/// The whole body, what came with the head included.
pub async fn body_of(stream: &mut TcpStream, head: &[u8]) -> Option<Vec<u8>> {
    let mut body = head[end_of_head(head)?..].to_vec();
    let mut rest = stream.take(missing(head)? as u64);
    rest.read_to_end(&mut body).await.ok()?;
    Some(body)
}

/// Reads the rest of the body, so that closing the connection does not reset it under the client's feet.
async fn drain(stream: &mut TcpStream, head: &[u8]) {
    let Some(missing) = missing(head) else { return };
    let mut body = stream.take(missing as u64);
    drop(tokio::io::copy(&mut body, &mut tokio::io::sink()).await);
}

/// `None` when one of the two ends went away.
async fn relay(mut client: TcpStream, head: Vec<u8>) -> Option<()> {
    let end = end_of_head(&head)?;
    let text = std::str::from_utf8(&head[..end]).ok()?;
    let (line, headers) = text.split_once("\r\n")?;
    let mut words = line.split(' ');
    let (method, target) = (words.next()?, words.next()?);
    if method == "CONNECT" {
        let mut server = TcpStream::connect(target).await.ok()?;
        client.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await.ok()?;
        copy_bidirectional(&mut client, &mut server).await.ok()?;
        return Some(());
    }
    let (host, path) = target.strip_prefix("http://")?.split_once('/')?;
    let mut server = TcpStream::connect(host).await.ok()?;
    let line = format!("{method} /{path} HTTP/1.1\r\nconnection: close\r\n");
    server.write_all(line.as_bytes()).await.ok()?;
    // What is meant for the proxy stays with it.
    for line in headers.split_inclusive("\r\n") {
        if !line.to_ascii_lowercase().starts_with("proxy-") {
            server.write_all(line.as_bytes()).await.ok()?;
        }
    }
    server.write_all(&head[end..]).await.ok()?;
    let mut body = (&mut client).take(missing(&head)? as u64);
    tokio::io::copy(&mut body, &mut server).await.ok()?;
    tokio::io::copy(&mut server, &mut client).await.ok()?;
    client.shutdown().await.ok()
}
