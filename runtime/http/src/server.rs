//! Answers requests from memory, over connections that last.
//!
//! Every connection has a thread, of which there are [`connections::MOST`](super::connections::MOST) at most. Whoever sends no whole request or takes no
//! answer in time is hung up on.

use std::io::{Error, ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::connections::{Connection, Connections};
use super::message::{Answer, LONGEST_REQUEST, Parsed, Request, parse};

/// Times that are read from a connection that is closed.
const LAST_READS: usize = 8;
/// How often a waiting connection looks whether the server ends.
const NAP: Duration = Duration::from_millis(100);
/// How long a server that ends waits for answers that are under way.
const GRACE: Duration = Duration::from_millis(250);
/// How long it is tried to wake the listener.
const WAKE: Duration = Duration::from_secs(5);

/// How long others may take.
#[derive(Clone, Copy, Debug)]
struct Limits {
    /// How long a connection may be silent, and a request take.
    silence: Duration,
    /// How long an answer may take, however its reader takes it.
    answer: Duration,
}

const LIMITS: Limits = Limits { silence: Duration::from_secs(10), answer: Duration::from_secs(5) };

type Answerer = dyn Fn(&Request<'_>) -> Answer + Send + Sync;

struct Shared {
    ends: AtomicBool,
    connections: Connections,
    limits: Limits,
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
        Self::start_within(LIMITS, listener, answer)
    }

    fn start_within(
        limits: Limits,
        listener: TcpListener,
        answer: impl Fn(&Request<'_>) -> Answer + Send + Sync + 'static,
    ) -> std::io::Result<Self> {
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared {
            ends: AtomicBool::new(false),
            connections: Connections::default(),
            limits,
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
        let is_woken = TcpStream::connect_timeout(&self.address, WAKE).is_ok();
        match self.listener.take().filter(|_| is_woken) {
            Some(thread) => drop(thread.join()),
            None => self.shared.connections.end(GRACE),
        }
    }
}

fn listen(listener: &TcpListener, shared: &Arc<Shared>) {
    let mut threads: Vec<JoinHandle<()>> = vec![];
    loop {
        let accepted = listener.accept();
        if shared.ends.load(Ordering::SeqCst) {
            break;
        }
        threads.retain(|thread| !thread.is_finished());
        let added = accepted.and_then(|(stream, _)| Ok((shared.connections.add(&stream)?, stream)));
        let (connection, stream) = match added {
            Ok(added) => added,
            Err(error) => {
                // Too many open files, as a rule.
                tracing::warn!("http: no connection: {error}");
                std::thread::sleep(NAP);
                continue;
            }
        };
        let viewer = Arc::clone(shared);
        let thread = std::thread::Builder::new().name("http viewer".to_owned()).spawn(move || {
            // What a connection ends with concerns its other end alone.
            let _ = serve(stream, &connection, &viewer);
        });
        threads.extend(thread);
    }
    shared.connections.end(GRACE);
    for thread in threads {
        let _ = thread.join();
    }
}

fn serve(mut stream: TcpStream, connection: &Connection, shared: &Shared) -> std::io::Result<()> {
    stream.set_read_timeout(Some(NAP))?;
    stream.set_nodelay(true)?;
    let mut bytes = Vec::with_capacity(1024);
    let mut heard = Instant::now();
    loop {
        match parse(&bytes) {
            Parsed::Whole { length, is_head, stays, request } => {
                connection.is_answered(true);
                let answer = (shared.answer)(&request);
                send(&mut stream, &answer.bytes(is_head, !stays), shared.limits.answer, &Instant::now)?;
                if !stays || shared.ends.load(Ordering::SeqCst) {
                    return close(stream);
                }
                connection.is_answered(false);
                bytes.drain(..length);
                heard = Instant::now();
                continue;
            }
            Parsed::Wrong(status, why) => return refuse(stream, connection, shared, status, why),
            Parsed::More => {}
        }
        let mut chunk = [0; 1024];
        match stream.read(&mut chunk) {
            Ok(0) => return Ok(()),
            Ok(count) => bytes.extend_from_slice(chunk.get(..count).unwrap_or_default()),
            Err(error) if is_wait(&error) => {}
            Err(error) => return Err(error),
        }
        if shared.ends.load(Ordering::SeqCst) {
            return Ok(());
        }
        if heard.elapsed() >= shared.limits.silence {
            if bytes.is_empty() {
                return Ok(());
            }
            return refuse(stream, connection, shared, 408, "the request did not come in time");
        }
    }
}

fn is_wait(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted)
}

/// Says why and hangs up.
fn refuse(
    mut stream: TcpStream,
    connection: &Connection,
    shared: &Shared,
    status: u16,
    why: &str,
) -> std::io::Result<()> {
    connection.is_answered(true);
    let answer = Answer::text(status, why).bytes(false, true);
    send(&mut stream, &answer, shared.limits.answer, &Instant::now)?;
    close(stream)
}

/// Hangs up. What the other end still sends is read for a moment: a connection that is closed with unread bytes takes the answer back.
fn close(mut stream: TcpStream) -> std::io::Result<()> {
    stream.shutdown(Shutdown::Write)?;
    let mut rest = [0; LONGEST_REQUEST];
    for _ in 0..LAST_READS {
        if stream.read(&mut rest)? == 0 {
            break;
        }
    }
    Ok(())
}

/// Somebody who takes bytes in pieces, as they like.
trait Taker {
    /// Takes some bytes, waiting at most so long.
    fn take(&mut self, bytes: &[u8], at_most: Duration) -> std::io::Result<usize>;
}

impl Taker for TcpStream {
    fn take(&mut self, bytes: &[u8], at_most: Duration) -> std::io::Result<usize> {
        self.set_write_timeout(Some(at_most))?;
        self.write(bytes)
    }
}

/// Sends all of it within one time for the whole.
fn send(taker: &mut impl Taker, mut bytes: &[u8], within: Duration, now: &dyn Fn() -> Instant) -> std::io::Result<()> {
    let began = now();
    while !bytes.is_empty() {
        let left = within.saturating_sub(now().saturating_duration_since(began));
        if left.is_zero() {
            return Err(ErrorKind::TimedOut.into());
        }
        match taker.take(bytes, left) {
            Ok(0) => return Err(ErrorKind::WriteZero.into()),
            Ok(count) => bytes = bytes.get(count..).unwrap_or_default(),
            Err(error) if is_wait(&error) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

#[cfg(test)]
#[path = "server_tests.rs"]
mod tests;
