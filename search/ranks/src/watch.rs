//! Who is alive. Every rank keeps a connection to rank 0 open for this alone: the operating system closes it when a process ends,
//! however it ends, so that a death is known at once and by name, where the neighbour in a ring sees a closed socket at best. A machine
//! that vanishes closes nothing; its silence is noticed later.
//!
//! Lines go both ways: `here RANK WORDS` at first, `.` now and then, `end` before a proper end, `failed WORDS` before another one,
//! `gone WORDS` from rank 0 to all.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream, ToSocketAddrs};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

/// Time between two signs of life.
const BEAT: Duration = Duration::from_secs(5);
/// Silence after which a rank counts as gone.
const SILENCE: Duration = Duration::from_secs(60);

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

impl Watch {
    /// Rank 0: takes the connections of the others of `size`.
    pub fn serve(listener: TcpListener, size: usize, verdict: impl Fn(&str) + Send + Sync + 'static) -> Self {
        let watch = Watch::default();
        let (lines, verdict): (_, Verdict) = (Arc::clone(&watch.lines), Arc::new(verdict));
        thread::spawn(move || {
            // For ever: whatever else finds the port must not take the place of a rank.
            for stream in listener.incoming().flatten() {
                let (lines, verdict) = (Arc::clone(&lines), Arc::clone(&verdict));
                thread::spawn(move || hear(stream, size, &lines, &verdict));
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
        [rank, size]: [usize; 2],
        who: &str,
        verdict: impl Fn(&str) + Send + Sync + 'static,
    ) -> std::io::Result<Self> {
        let mut stream = TcpStream::connect(place)?;
        stream.write_all(format!("here {rank} {who}\n").as_bytes())?;
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
            Some(words) => lines.say(&format!("failed {}\n", words.replace('\n', " "))),
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
        let mut line = String::new();
        match reader.read_line(&mut line) {
            Ok(0) => return Last::Nothing("ended without a word (killed, or out of memory?)"),
            Err(e) if matches!(e.kind(), std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut) => {
                return Last::Nothing("has not been heard of for a minute (machine or network down?)");
            }
            Err(_) => return Last::Nothing("ended without a word (killed, or out of memory?)"),
            Ok(_) => {}
        }
        let line = line.trim_end();
        if line == "end" {
            return Last::End;
        } else if let Some(words) = line.strip_prefix("failed ") {
            return Last::Failed(words.to_owned());
        } else if let Some(words) = line.strip_prefix("gone ") {
            return Last::Gone(words.to_owned());
        }
    }
}

/// Rank 0: listens to one of the others until its end.
fn hear(stream: TcpStream, size: usize, lines: &Mutex<Lines>, verdict: &Verdict) {
    let Ok(clone) = stream.try_clone() else { return };
    if stream.set_read_timeout(Some(SILENCE)).is_err() {
        return;
    }
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    // What does not say who it is, is no rank: something else has found the port.
    if reader.read_line(&mut line).is_err() {
        return;
    }
    let Some((rank, who)) = line.trim_end().strip_prefix("here ").and_then(|rest| rest.split_once(' ')) else { return };
    let rank = format!("rank {rank} of {size} ({who})");
    if let Ok(mut lines) = lines.lock() {
        lines.streams.push(clone);
    }
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
    lines.say(&format!("gone {}\n", words.replace('\n', " ")));
    verdict(words);
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc::{Receiver, channel};

    /// A group of three in this process: the watches, and the verdict of each.
    fn three() -> ([Watch; 3], [Receiver<String>; 3]) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let place = listener.local_addr().unwrap();
        let channels = [(); 3].map(|()| channel());
        let tell = |i: usize| {
            let sender: std::sync::mpsc::Sender<String> = channels[i].0.clone();
            move |words: &str| sender.send(words.to_owned()).unwrap()
        };
        let first = Watch::serve(listener, 3, tell(0));
        let [second, third] =
            [1, 2].map(|rank| Watch::join(place, [rank, 3], &format!("host {rank}"), tell(rank)).unwrap());
        // Until rank 0 knows both.
        while first.lines.lock().unwrap().streams.len() < 2 {
            thread::yield_now();
        }
        ([first, second, third], channels.map(|(_, receiver)| receiver))
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
}
