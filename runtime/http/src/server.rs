//! The part of HTTP/1.1 that a page, a probe and a scraper need: GET and HEAD, answered from memory, over connections that last.
//!
//! Every connection has a thread, of which there are [`CONNECTIONS`] at most. Whoever sends no whole request or takes no answer in time
//! is hung up on.

use std::borrow::Cow;
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Connections at a time: five browsers with six each, and some scrapers.
const CONNECTIONS: usize = 32;
/// Bytes of a request without its body; browsers send less than two thousand.
const LONGEST_REQUEST: usize = 8192;
/// Lines of a request's head.
const HEADERS: usize = 64;
/// Times that are read from a connection that was refused.
const REFUSED_READS: usize = 8;
/// How long a connection may be silent, and a request take.
const SILENCE: Duration = Duration::from_secs(10);
/// How long an answer may wait for a reader that takes nothing.
const STUCK: Duration = Duration::from_secs(5);
/// How often a waiting connection looks whether the server ends.
const NAP: Duration = Duration::from_millis(100);

/// What was asked for.
#[derive(Debug)]
pub struct Request<'a> {
    /// The path, without what follows `?`.
    pub path: &'a str,
    /// What follows `?`.
    pub query: &'a str,
    /// The host that the client believes to talk to, with its port.
    pub host: Option<&'a str>,
}

/// An answer.
#[derive(Debug)]
pub struct Answer {
    /// Status code.
    pub status: u16,
    /// Media type.
    pub kind: &'static str,
    /// Further headers.
    pub headers: Vec<(&'static str, String)>,
    /// What it says.
    pub body: Cow<'static, [u8]>,
}

impl Answer {
    /// One without further headers.
    pub fn new(status: u16, kind: &'static str, body: impl Into<Cow<'static, [u8]>>) -> Self {
        Self { status, kind, headers: vec![], body: body.into() }
    }

    /// A line of text.
    pub fn text(status: u16, text: &str) -> Self {
        Self::new(status, "text/plain; charset=utf-8", format!("{text}\n").into_bytes())
    }
}

fn phrase(status: u16) -> &'static str {
    match status {
        200 => "OK",
        204 => "No Content",
        400 => "Bad Request",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        408 => "Request Timeout",
        431 => "Request Header Fields Too Large",
        503 => "Service Unavailable",
        _ => "",
    }
}

type Answerer = dyn Fn(&Request<'_>) -> Answer + Send + Sync;

struct Shared {
    ends: AtomicBool,
    connections: AtomicUsize,
    answer: Box<Answerer>,
}

/// A server that listens until it is dropped.
pub struct Server {
    address: SocketAddr,
    shared: Arc<Shared>,
    listener: Option<JoinHandle<()>>,
}

impl Server {
    /// Answers whoever connects.
    ///
    /// # Errors
    /// When the system gives neither address nor thread.
    pub fn start(
        listener: TcpListener,
        answer: impl Fn(&Request<'_>) -> Answer + Send + Sync + 'static,
    ) -> std::io::Result<Self> {
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared {
            ends: AtomicBool::new(false),
            connections: AtomicUsize::new(0),
            answer: Box::new(answer),
        });
        let threads = Arc::clone(&shared);
        let thread = std::thread::Builder::new().name("http".to_owned()).spawn(move || listen(&listener, &threads))?;
        Ok(Self { address, shared, listener: Some(thread) })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.shared.ends.store(true, Ordering::SeqCst);
        // Wakes the listener; one that cannot be woken ends with the program.
        let is_woken = TcpStream::connect_timeout(&self.address, STUCK).is_ok();
        if let Some(thread) = self.listener.take().filter(|_| is_woken) {
            let _ = thread.join();
        }
    }
}

fn listen(listener: &TcpListener, shared: &Arc<Shared>) {
    let mut threads: Vec<JoinHandle<()>> = vec![];
    while !shared.ends.load(Ordering::SeqCst) {
        let stream = match listener.accept() {
            Ok((stream, _)) => stream,
            Err(error) => {
                // Too many open files, as a rule.
                tracing::warn!("http: no connection: {error}");
                std::thread::sleep(NAP);
                continue;
            }
        };
        threads.retain(|thread| !thread.is_finished());
        if shared.connections.load(Ordering::SeqCst) >= CONNECTIONS {
            // The listener waits for nobody.
            let _ = write(stream, &Answer::text(503, "too many connections"), false, true);
            continue;
        }
        let counted = Counted::new(shared);
        let thread = std::thread::Builder::new().name("http viewer".to_owned()).spawn(move || {
            // What a connection ends with concerns its other end alone.
            let _ = serve(stream, &counted.0);
        });
        threads.extend(thread);
    }
    for thread in threads {
        let _ = thread.join();
    }
}

/// Counts a connection as long as it lives.
struct Counted(Arc<Shared>);

impl Counted {
    fn new(shared: &Arc<Shared>) -> Self {
        shared.connections.fetch_add(1, Ordering::SeqCst);
        Self(Arc::clone(shared))
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.connections.fetch_sub(1, Ordering::SeqCst);
    }
}

fn serve(mut stream: TcpStream, shared: &Shared) -> std::io::Result<()> {
    stream.set_read_timeout(Some(NAP))?;
    stream.set_write_timeout(Some(STUCK))?;
    stream.set_nodelay(true)?;
    let mut bytes = Vec::with_capacity(1024);
    let mut heard = Instant::now();
    loop {
        match parse(&bytes) {
            Parsed::Whole { length, is_head, stays, request } => {
                let answer = (shared.answer)(&request);
                write(&stream, &answer, is_head, !stays)?;
                if !stays || shared.ends.load(Ordering::SeqCst) {
                    return Ok(());
                }
                bytes.drain(..length);
                heard = Instant::now();
                continue;
            }
            Parsed::Wrong(status, why) => return refuse(stream, status, why),
            Parsed::More => {}
        }
        let mut chunk = [0; 1024];
        match stream.read(&mut chunk) {
            Ok(0) => return Ok(()),
            Ok(count) => bytes.extend_from_slice(chunk.get(..count).unwrap_or_default()),
            Err(error)
                if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted) => {}
            Err(error) => return Err(error),
        }
        if shared.ends.load(Ordering::SeqCst) {
            return Ok(());
        }
        if heard.elapsed() >= SILENCE {
            return if bytes.is_empty() { Ok(()) } else { refuse(stream, 408, "the request did not come in time") };
        }
    }
}

/// Says why and hangs up. What the other end still sends is read for a moment: a connection that is closed with unread bytes takes the
/// answer back.
fn refuse(mut stream: TcpStream, status: u16, why: &str) -> std::io::Result<()> {
    write(&stream, &Answer::text(status, why), false, true)?;
    stream.shutdown(Shutdown::Write)?;
    let mut rest = [0; LONGEST_REQUEST];
    for _ in 0..REFUSED_READS {
        if stream.read(&mut rest)? == 0 {
            break;
        }
    }
    Ok(())
}

enum Parsed<'a> {
    Whole { length: usize, is_head: bool, stays: bool, request: Request<'a> },
    Wrong(u16, &'static str),
    More,
}

fn parse(bytes: &[u8]) -> Parsed<'_> {
    let mut headers = [httparse::EMPTY_HEADER; HEADERS];
    let mut request = httparse::Request::new(&mut headers);
    let length = match request.parse(bytes) {
        Ok(httparse::Status::Complete(length)) => length,
        Ok(httparse::Status::Partial) if bytes.len() < LONGEST_REQUEST => return Parsed::More,
        Ok(httparse::Status::Partial) | Err(httparse::Error::TooManyHeaders) => {
            return Parsed::Wrong(431, "the request is too long");
        }
        Err(_) => return Parsed::Wrong(400, "this is no HTTP request"),
    };
    let is_head = match request.method {
        Some("GET") => false,
        Some("HEAD") => true,
        _ => return Parsed::Wrong(405, "expected GET or HEAD"),
    };
    let header = |name: &str| {
        let found = request.headers.iter().find(|h| h.name.eq_ignore_ascii_case(name));
        found.and_then(|h| std::str::from_utf8(h.value).ok()).map(str::trim)
    };
    if header("transfer-encoding").is_some() || header("content-length").is_some_and(|length| length != "0") {
        return Parsed::Wrong(400, "expected a request without a body");
    }
    let connection = header("connection").unwrap_or_default().to_ascii_lowercase();
    // HTTP/1.0 needs to be asked to stay.
    let stays = if request.version == Some(0) { connection == "keep-alive" } else { connection != "close" };
    let host = header("host");
    let target = request.path.unwrap_or_default();
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    Parsed::Whole { length, is_head, stays, request: Request { path, query, host } }
}

fn write(mut stream: impl Write, answer: &Answer, is_head: bool, closes: bool) -> std::io::Result<()> {
    let Answer { status, kind, headers, body } = answer;
    let mut text = format!(
        "HTTP/1.1 {status} {}\r\nContent-Type: {kind}\r\nCache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\n\
         Content-Security-Policy: default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; connect-src 'self'\r\n",
        phrase(*status)
    );
    if *status != 204 {
        text += &format!("Content-Length: {}\r\n", body.len());
    }
    headers.iter().for_each(|(name, value)| text += &format!("{name}: {value}\r\n"));
    text += if closes { "Connection: close\r\n\r\n" } else { "\r\n" };
    let mut bytes = text.into_bytes();
    if !is_head {
        bytes.extend_from_slice(body);
    }
    stream.write_all(&bytes)?;
    stream.flush()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server() -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        Server::start(listener, |r| Answer::text(200, &format!("{} {} {:?}", r.path, r.query, r.host))).unwrap()
    }

    /// What comes back until the server hangs up.
    fn talk(server: &Server, request: &str) -> String {
        let mut stream = TcpStream::connect(server.address()).unwrap();
        stream.write_all(request.as_bytes()).unwrap();
        stream.shutdown(Shutdown::Write).unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        text
    }

    #[test]
    fn requests_are_answered_one_after_the_other_on_one_connection() {
        let server = server();
        let text =
            talk(&server, "GET /a?b=c HTTP/1.1\r\nHost: h:1\r\n\r\nHEAD /b HTTP/1.1\r\nconnection: close\r\n\r\n");
        let answers: Vec<&str> = text.split("HTTP/1.1 ").skip(1).collect();
        assert_eq!(answers.len(), 2, "{text}");
        assert!(
            answers[0].starts_with("200 OK\r\n") && answers[0].ends_with("\r\n\r\n/a b=c Some(\"h:1\")\n"),
            "{text}"
        );
        let (head, body) = answers[1].split_once("\r\n\r\n").unwrap();
        assert!(head.contains("Content-Length: 9") && head.contains("Connection: close") && body.is_empty(), "{text}");
        assert!(talk(&server, "GET / HTTP/1.0\r\n\r\n").contains("Connection: close"));
    }

    #[test]
    fn what_is_no_plain_request_is_refused() {
        let server = server();
        let long = format!("GET /{} HTTP/1.1\r\n", "x".repeat(LONGEST_REQUEST));
        let many = format!("GET / HTTP/1.1\r\n{}\r\n", "a: b\r\n".repeat(HEADERS + 1));
        let wrong = [
            ("POST / HTTP/1.1\r\nContent-Length: 0\r\n\r\n", "405"),
            ("GET / HTTP/1.1\r\nContent-Length: 5\r\n\r\nhello", "400"),
            ("GET / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n", "400"),
            ("\x16\x03\x01\x02\x00\x01", "400"),
            (&long, "431"),
            (&many, "431"),
        ];
        for (request, code) in wrong {
            assert!(talk(&server, request).starts_with(&format!("HTTP/1.1 {code} ")), "{request}");
        }
        assert_eq!(talk(&server, "GET / HT"), "", "half a request is none");
    }

    #[test]
    fn silent_and_vanished_clients_keep_nobody_and_the_server_ends_with_them_connected() {
        let server = server();
        let silent: Vec<TcpStream> = (0..CONNECTIONS).map(|_| TcpStream::connect(server.address()).unwrap()).collect();
        // The connections are counted as they are accepted.
        while server.shared.connections.load(Ordering::SeqCst) < CONNECTIONS {
            std::thread::sleep(Duration::from_millis(1));
        }
        assert!(talk(&server, "").starts_with("HTTP/1.1 503 "));
        drop(silent);
        while server.shared.connections.load(Ordering::SeqCst) > 0 {
            std::thread::sleep(Duration::from_millis(1));
        }
        assert!(talk(&server, "GET / HTTP/1.0\r\n\r\n").starts_with("HTTP/1.1 200 "));
        let _silent = TcpStream::connect(server.address()).unwrap();
        let shared = Arc::downgrade(&server.shared);
        drop(server);
        assert_eq!(shared.strong_count(), 0, "every thread has ended");
    }
}
