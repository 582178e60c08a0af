//! The connections that there are: how many at most, which one has to go for another, and how all end.

use std::net::{Shutdown, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Connections at a time: five browsers with six each, and some scrapers.
pub const MOST: usize = 32;
/// How often it is looked whether answers are through.
const NAP: Duration = Duration::from_millis(5);

#[derive(Debug)]
struct Entry {
    number: u64,
    stream: TcpStream,
    /// Since when nothing came, or since when it is answered.
    since: Instant,
    is_answered: bool,
}

#[derive(Debug, Default)]
struct Inner {
    entries: Vec<Entry>,
    next: u64,
}

/// All connections. Clones are of the same ones.
#[derive(Clone, Debug, Default)]
pub struct Connections(Arc<Mutex<Inner>>);

/// A connection, as long as it lives.
#[derive(Debug)]
pub struct Connection {
    all: Connections,
    number: u64,
}

impl Connections {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a connection in. Among too many, the one that has been silent for the longest time is hung up on, or where all are being answered, the
    /// one that takes longest: whoever asks is answered, whoever else is connected.
    ///
    /// # Errors
    /// When the system gives no second handle.
    pub fn add(&self, stream: &TcpStream) -> std::io::Result<Connection> {
        let stream = stream.try_clone()?;
        let mut inner = self.lock();
        if inner.entries.len() >= MOST {
            let goes = inner.entries.iter().enumerate().min_by_key(|(_, entry)| (entry.is_answered, entry.since));
            if let Some(place) = goes.map(|(place, _)| place) {
                hang_up(&inner.entries.swap_remove(place));
            }
        }
        let number = inner.next;
        inner.next += 1;
        inner.entries.push(Entry { number, stream, since: Instant::now(), is_answered: false });
        Ok(Connection { all: self.clone(), number })
    }

    /// Hangs up on all: at once on those that wait, after `grace` at the latest on those that are being answered.
    pub fn end(&self, grace: Duration) {
        self.lock().entries.iter().filter(|entry| !entry.is_answered).for_each(hang_up);
        let until = Instant::now().checked_add(grace);
        while !self.lock().entries.is_empty() && until.is_some_and(|until| Instant::now() < until) {
            std::thread::sleep(NAP);
        }
        self.lock().entries.iter().for_each(hang_up);
    }

    /// How many there are, and how many of them are being answered.
    #[cfg(test)]
    pub fn count(&self) -> (usize, usize) {
        let inner = self.lock();
        (inner.entries.len(), inner.entries.iter().filter(|entry| entry.is_answered).count())
    }
}

/// Its thread finds the connection closed, whether it reads or writes.
fn hang_up(entry: &Entry) {
    let _ = entry.stream.shutdown(Shutdown::Both);
}

impl Connection {
    /// Tells that a request came which is being answered, or that this is over.
    pub fn is_answered(&self, is_answered: bool) {
        let mut inner = self.all.lock();
        if let Some(entry) = inner.entries.iter_mut().find(|entry| entry.number == self.number) {
            (entry.since, entry.is_answered) = (Instant::now(), is_answered);
        }
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.all.lock().entries.retain(|entry| entry.number != self.number);
    }
}
