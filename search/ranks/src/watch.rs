//! Who is alive. Every rank keeps a connection to rank 0 open for this alone: the operating system closes it when a process ends,
//! however it ends, so that a death is known at once and by name, where the neighbour in a ring sees a closed socket at best. A machine
//! that vanishes closes nothing; its silence is noticed later.
//!
//! Lines go both ways: `here WATCHWORD RANK WORDS` at first, `.` now and then, `end` before a proper end, `failed WORDS` before another
//! one, `gone WORDS` from rank 0 to all, also to who comes after that. The watchword is in the store that the ranks meet at: whatever
//! else finds the port does not know it, and is hung up on.

use std::collections::BTreeSet;
use std::hash::{BuildHasher, RandomState};
use std::io::{BufRead, BufReader, Error, ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream, ToSocketAddrs};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

/// Time between two signs of life.
const BEAT: Duration = Duration::from_secs(5);
/// Silence after which a rank counts as gone.
const SILENCE: Duration = Duration::from_secs(60);

/// Bytes of the longest line that is listened to.
const LONGEST: usize = 16 << 10;

/// Told once what has become of the first rank that is gone.
type Verdict = Arc<dyn Fn(&str) + Send + Sync>;

/// The connections of this process: to all others at rank 0, to rank 0 at the others.
#[derive(Debug, Default)]
pub struct Watch {
    lines: Arc<Mutex<Lines>>,
}

#[derive(Debug, Default)]
struct Lines {
    streams: Vec<TcpStream>,
    /// Ranks that have come, at rank 0; one that ends does not come back.
    known: BTreeSet<usize>,
    verdict: Option<String>,
    /// This process has said that it ends: what closes from then on is no death.
    has_left: bool,
}

impl Lines {
    /// Says something to all there are connections to. One that is closed is its reader's business.
    fn say(&mut self, line: &str) {
        for stream in &mut self.streams {
            let _ = stream.write_all(line.as_bytes());
        }
    }
}

/// A line of a word and what it is about, not longer than what is listened to.
fn told(word: &str, about: &str) -> String {
    let about = &about[..about.floor_char_boundary(LONGEST - 16)];
    format!("{word} {}\n", about.replace(['\n', '\r'], " "))
}

/// Reads a line, without its end; none at the end of the connection.
///
/// # Errors
/// [`ErrorKind::InvalidData`] for what no rank says: a line that is too long, or no text.
fn line_of(reader: &mut impl BufRead) -> std::io::Result<Option<String>> {
    let mut line = String::new();
    if reader.by_ref().take(LONGEST as u64).read_line(&mut line)? == LONGEST && !line.ends_with('\n') {
        return Err(Error::new(ErrorKind::InvalidData, "a line that has no end"));
    }
    Ok(Some(line.trim_end().to_owned()).filter(|_| !line.is_empty()))
}

/// A word that nobody says by chance.
pub fn new_watchword() -> String {
    format!("{:016x}", RandomState::new().hash_one(std::process::id()))
}

impl Watch {
    /// Rank 0: takes the connections of the others of `size`, who know the watchword.
    pub fn serve(
        listener: TcpListener,
        watchword: &str,
        size: usize,
        verdict: impl Fn(&str) + Send + Sync + 'static,
    ) -> Self {
        let watch = Watch::default();
        let watchword: Arc<str> = Arc::from(watchword);
        let (lines, verdict): (_, Verdict) = (Arc::clone(&watch.lines), Arc::new(verdict));
        thread::spawn(move || {
            // For ever: whatever else finds the port must not take the place of a rank.
            for stream in listener.incoming().flatten() {
                let (lines, verdict, watchword) = (Arc::clone(&lines), Arc::clone(&verdict), Arc::clone(&watchword));
                thread::spawn(move || hear(stream, &watchword, size, &lines, &verdict));
            }
        });
        watch.beat();
        watch
    }

    /// Another rank: connects to rank 0, and says who it is.
    ///
    /// # Errors
    /// When rank 0 cannot be reached.
    pub fn join(
        place: impl ToSocketAddrs,
        watchword: &str,
        [rank, size]: [usize; 2],
        who: &str,
        verdict: impl Fn(&str) + Send + Sync + 'static,
    ) -> std::io::Result<Self> {
        let mut stream = TcpStream::connect(place)?;
        stream.write_all(told("here", &format!("{watchword} {rank} {who}")).as_bytes())?;
        stream.set_read_timeout(Some(SILENCE))?;
        let watch = Watch::default();
        if let Ok(mut lines) = watch.lines.lock() {
            lines.streams.push(stream.try_clone()?);
        }
        let (lines, verdict): (_, Verdict) = (Arc::clone(&watch.lines), Arc::new(verdict));
        thread::spawn(move || {
            let first = || format!("rank 0 of {size}");
            let words = match last_word(&mut BufReader::new(stream)) {
                Last::End => return,
                Last::Gone(words) => words,
                Last::Failed(words) => format!("{} failed: {words}", first()),
                Last::Nothing(how) => format!("{} {how}", first()),
            };
            pronounce(&lines, &verdict, &words);
        });
        watch.beat();
        Ok(watch)
    }

    /// Says to the others that this process ends: properly, or by an error that it names.
    pub fn leave(&self, error: Option<&str>) {
        let Ok(mut lines) = self.lines.lock() else { return };
        lines.has_left = true;
        match error {
            None => lines.say("end\n"),
            Some(words) => lines.say(&told("failed", words)),
        }
    }

    fn beat(&self) {
        let lines = Arc::downgrade(&self.lines);
        thread::spawn(move || {
            while let Some(lines) = lines.upgrade() {
                if let Ok(mut lines) = lines.lock() {
                    lines.say(".\n");
                }
                drop(lines);
                thread::sleep(BEAT);
            }
        });
    }
}

/// What a connection ended with.
enum Last {
    End,
    Failed(String),
    Gone(String),
    /// No word; how it ended.
    Nothing(&'static str),
}

fn last_word(reader: &mut impl BufRead) -> Last {
    loop {
        let line = match line_of(reader) {
            Ok(Some(line)) => line,
            Err(e) if matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                return Last::Nothing("has not been heard of for a minute (machine or network down?)");
            }
            Err(e) if e.kind() == ErrorKind::InvalidData => return Last::Nothing("says what no rank says"),
            Ok(None) | Err(_) => return Last::Nothing("ended without a word (killed, or out of memory?)"),
        };
        if line == "end" {
            return Last::End;
        } else if let Some(words) = line.strip_prefix("failed ") {
            return Last::Failed(words.to_owned());
        } else if let Some(words) = line.strip_prefix("gone ") {
            return Last::Gone(words.to_owned());
        }
    }
}

/// The number and the words of another rank that says who it is; none for anything else.
fn introduced<'a>(line: &'a str, watchword: &str, size: usize) -> Option<(usize, &'a str)> {
    let (rank, who) = line.strip_prefix("here ")?.strip_prefix(watchword)?.strip_prefix(' ')?.split_once(' ')?;
    let rank = rank.parse().ok().filter(|rank| (1..size).contains(rank))?;
    Some((rank, who))
}

/// Rank 0: listens to one of the others until its end. What is none of them is hung up on, and changes nothing.
fn hear(stream: TcpStream, watchword: &str, size: usize, lines: &Mutex<Lines>, verdict: &Verdict) {
    let Ok(mut answer) = stream.try_clone() else { return };
    if stream.set_read_timeout(Some(SILENCE)).is_err() {
        return;
    }
    let mut reader = BufReader::new(stream);
    let Ok(Some(line)) = line_of(&mut reader) else { return };
    let Some((rank, who)) = introduced(&line, watchword, size) else { return };
    if let Ok(mut lines) = lines.lock() {
        if !lines.known.insert(rank) {
            return;
        }
        // Whoever comes when all is over must not wait for the others.
        if let Some(words) = &lines.verdict {
            let _ = answer.write_all(told("gone", words).as_bytes());
        }
        lines.streams.push(answer);
    }
    let rank = format!("rank {rank} of {size} ({who})");
    let words = match last_word(&mut reader) {
        Last::End | Last::Gone(_) => return,
        Last::Failed(words) => format!("{rank} failed: {words}"),
        Last::Nothing(how) => format!("{rank} {how}"),
    };
    pronounce(lines, verdict, &words);
}

/// The first verdict counts, and goes to all: what ends after it ends because of it. Who has left hears of none.
fn pronounce(lines: &Mutex<Lines>, verdict: &Verdict, words: &str) {
    let Ok(mut lines) = lines.lock() else { return };
    if lines.verdict.is_some() || lines.has_left {
        return;
    }
    lines.verdict = Some(words.to_owned());
    lines.say(&told("gone", words));
    verdict(words);
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::SocketAddr;
    use std::sync::mpsc::{Receiver, channel};

    /// Only a failing test waits for so long.
    const LONG: Duration = Duration::from_secs(120);

    const WATCHWORD: &str = "0123456789abcdef";

    /// Rank 0 of a group of so many, where it listens, and its verdict.
    fn first(size: usize) -> (Watch, SocketAddr, Receiver<String>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let place = listener.local_addr().unwrap();
        let (tell, verdict) = channel();
        let watch = Watch::serve(listener, WATCHWORD, size, move |words| tell.send(words.to_owned()).unwrap());
        (watch, place, verdict)
    }

    fn another(place: SocketAddr, rank: usize, size: usize) -> (Watch, Receiver<String>) {
        let (tell, verdict) = channel();
        let tell = move |words: &str| tell.send(words.to_owned()).unwrap();
        (Watch::join(place, WATCHWORD, [rank, size], &format!("host {rank}"), tell).unwrap(), verdict)
    }

    fn wait_until_known(first: &Watch, others: usize) {
        while first.lines.lock().unwrap().streams.len() < others {
            thread::yield_now();
        }
    }

    /// A group of three in this process: the watches, and the verdict of each.
    fn three() -> ([Watch; 3], [Receiver<String>; 3]) {
        let (first, place, of_first) = first(3);
        let [(second, of_second), (third, of_third)] = [1, 2].map(|rank| another(place, rank, 3));
        wait_until_known(&first, 2);
        ([first, second, third], [of_first, of_second, of_third])
    }

    fn close(watch: &Watch) {
        for stream in &watch.lines.lock().unwrap().streams {
            stream.shutdown(std::net::Shutdown::Both).unwrap();
        }
    }

    #[test]
    fn all_others_learn_which_rank_ended_without_a_word() {
        let ([_first, second, third], [of_first, _, of_third]) = three();
        close(&second);
        for verdict in [of_first, of_third] {
            let words = verdict.recv().unwrap();
            assert!(words.starts_with("rank 1 of 3 (host 1) ended without a word"), "{words}");
        }
        drop(third);
    }

    #[test]
    fn the_first_rank_is_missed_by_all_others() {
        let ([first, _second, _third], [_, of_second, of_third]) = three();
        close(&first);
        for verdict in [of_second, of_third] {
            let words = verdict.recv().unwrap();
            assert!(words.starts_with("rank 0 of 3 ended without a word"), "{words}");
        }
    }

    #[test]
    fn a_failure_is_told_with_its_reason_and_a_proper_end_is_none() {
        let ([first, second, third], [of_first, of_second, of_third]) = three();
        third.leave(None);
        close(&third);
        second.leave(Some("a.png: no\npicture"));
        assert_eq!(of_first.recv().unwrap(), "rank 1 of 3 (host 1) failed: a.png: no picture");
        // One verdict, and none where the rank has left.
        close(&second);
        drop((first, second, third));
        assert!(of_first.try_recv().is_err() && of_third.try_recv().is_err());
        drop(of_second);
    }

    #[test]
    fn who_comes_when_all_is_over_is_told() {
        let (first, place, of_first) = first(4);
        let (second, _of_second) = another(place, 1, 4);
        wait_until_known(&first, 1);
        close(&second);
        let words = of_first.recv().unwrap();
        assert!(words.starts_with("rank 1 of 4 (host 1) ended without a word"), "{words}");
        let late = [2, 3].map(|rank| another(place, rank, 4));
        for (_, verdict) in &late {
            assert_eq!(verdict.recv_timeout(LONG).unwrap(), words);
        }
    }

    /// Says something to a watch, hangs up on its half, and waits until the watch has hung up too.
    fn say(place: SocketAddr, words: &[u8]) {
        let mut stream = TcpStream::connect(place).unwrap();
        stream.set_read_timeout(Some(LONG)).unwrap();
        // The watch may hang up before all has been said.
        let _ = stream.write_all(words);
        let _ = stream.shutdown(std::net::Shutdown::Write);
        match stream.read(&mut [0; 64]) {
            Ok(said) => assert_eq!(said, 0, "to {:?}", String::from_utf8_lossy(words)),
            Err(error) => assert_eq!(error.kind(), ErrorKind::ConnectionReset),
        }
    }

    #[test]
    fn what_is_no_rank_is_hung_up_on_and_changes_nothing() {
        let (first, place, of_first) = first(3);
        let (_second, _of_second) = another(place, 1, 3);
        wait_until_known(&first, 1);
        let greeting = |rest: &str| format!("here {WATCHWORD} {rest}\n").into_bytes();
        let strangers = [
            b"here 2 x\n".to_vec(),
            b"here 0123456789abcdee 2 x\n".to_vec(),
            greeting("1 a double"),
            greeting("0 rank 0 itself"),
            greeting("3 beyond the last"),
            greeting("-1 x"),
            greeting("18446744073709551618 x"),
            greeting("two x"),
            greeting("2"),
            b"GET / HTTP/1.1\r\n\r\n".to_vec(),
            b"here \xff\xfe 2 x\n".to_vec(),
            Vec::new(),
            vec![b'x'; 2 * LONGEST],
        ];
        for words in &strangers {
            say(place, words);
        }
        assert_eq!(of_first.try_recv().ok(), None);
        assert_eq!(first.lines.lock().unwrap().streams.len(), 1);
        // The rank whose number was abused still comes, and its end is heard.
        let (third, _of_third) = another(place, 2, 3);
        wait_until_known(&first, 2);
        third.leave(Some(&"é".repeat(LONGEST)));
        let words = of_first.recv().unwrap();
        assert!(words.starts_with("rank 2 of 3 (host 2) failed: éé") && words.len() > LONGEST / 2, "{words}");
    }
}
