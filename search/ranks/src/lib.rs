//! Several processes that train as one, each on its part of every batch.
//!
//! A process is one rank of one group, or alone: that is a fact of the process like its working directory, and so are the functions here.
//! [`join`] makes it a rank; without it all of them do nothing at no cost, and a training is the same with and without.
//!
//! The engine is libtorch's own `c10d`: its store, and its process group over Gloo, which sums in host memory over TCP. It reaches Rust
//! through a shim of a page (`shim/ranks.cpp`). Over a death of a rank Gloo's operations fail at some neighbours and wait for ever at
//! others; the watch (`watch.rs`) knows who it was, and ends the waiting.
//!
//! All ranks must call the functions that speak with the others in the same order.

mod address;
mod error;
mod shim;
mod watch;

pub use address::Address;
pub use error::RanksError;

use std::net::{TcpListener, UdpSocket};
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Condvar, Mutex, OnceLock};
use std::time::Duration;
use tch::{TchError, Tensor};
use watch::Watch;

/// How long the others may take to appear.
const JOIN_MS: i64 = 300_000;
/// How long a failed operation waits for the verdict that explains it. The connections of a process that ends are closed together, so
/// that it is here at once; other failures have none.
const VERDICT: Duration = Duration::from_secs(10);

static GROUP: OnceLock<Group> = OnceLock::new();
static VERDICTS: Mutex<Option<String>> = Mutex::new(None);
static PRONOUNCED: Condvar = Condvar::new();
static FAILED: Mutex<bool> = Mutex::new(false);
/// Texts of rank 0 that this process has asked for.
static ASKED: AtomicU64 = AtomicU64::new(0);

/// The group that this process is part of.
#[derive(Debug)]
struct Group {
    address: Address,
    watch: Watch,
}

/// Makes this process a rank; waits until all others have come.
///
/// # Errors
/// [`RanksError::Join`] when they cannot be met, or this process has joined before; [`RanksError::Gone`] when one of them ends before all
/// have come.
pub fn join(address: Address) -> Result<(), RanksError> {
    let Address { rank, size, .. } = address;
    let place = format!("{}:{}", address.host, address.port);
    let refuse = |why: String| RanksError::Join { rank, size, place: place.clone(), why };
    if GROUP.get().is_some() {
        return Err(refuse("this process is a rank already".to_owned()));
    }
    let serves = rank == 0 && !address.store_is_launchers;
    let prefix = format!("caf/{}", address.attempt);
    let said = |error: RanksError| refuse(error.to_string());
    shim::open(&address.host, address.port, serves, &prefix, size, JOIN_MS).map_err(said)?;
    let own = own_address(&address.host, address.port).map_err(|error| refuse(error.to_string()))?;
    let watch = if rank == 0 {
        let listener = TcpListener::bind((own.as_str(), 0)).map_err(|error| refuse(error.to_string()))?;
        let at = listener.local_addr().map_err(|error| refuse(error.to_string()))?;
        let watchword = watch::new_watchword();
        let watch = Watch::serve(listener, &watchword, size, pronounce);
        shim::put("watch", &format!("{at} {watchword}")).map_err(said)?;
        watch
    } else {
        let place = shim::get("watch").map_err(said)?;
        let (at, watchword) = place.split_once(' ').ok_or_else(|| refuse(format!("{place}: no place of a watch")))?;
        let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
        let who = format!("host {}, process {}", host.trim(), std::process::id());
        Watch::join(at, watchword, [rank, size], &who, pronounce).map_err(|error| refuse(format!("{at}: {error}")))?
    };
    if let Err(error) = shim::connect(rank, size, &own, address.interface.as_deref(), JOIN_MS) {
        let gone = VERDICTS.lock().ok().and_then(|verdict| verdict.clone()).map(|what| RanksError::Gone { what });
        let error = gone.unwrap_or_else(|| said(error));
        watch.leave(Some(&error.to_string()));
        return Err(error);
    }
    GROUP.set(Group { address, watch }).map_err(|_| refuse("this process is a rank already".to_owned()))
}

/// The address of this machine on the way to a host. Nothing is sent.
fn own_address(host: &str, port: u16) -> std::io::Result<String> {
    let any = |address: &std::net::SocketAddr| if address.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
    let mut last = std::io::Error::new(std::io::ErrorKind::NotFound, format!("{host}: has no address"));
    for address in std::net::ToSocketAddrs::to_socket_addrs(&(host, port))? {
        let own = UdpSocket::bind(any(&address)).and_then(|socket| {
            socket.connect(address)?;
            socket.local_addr()
        });
        match own {
            Ok(own) => return Ok(own.ip().to_string()),
            Err(error) => last = error,
        }
    }
    Err(last)
}

fn pronounce(words: &str) {
    if let Ok(mut verdict) = VERDICTS.lock() {
        *verdict = Some(words.to_owned());
    }
    PRONOUNCED.notify_all();
    shim::give_up();
}

/// What has become of the rank whose end ended the group; none while all are well, and where an operation has failed for another
/// reason.
pub fn gone() -> Option<RanksError> {
    GROUP.get()?;
    let has_failed = FAILED.lock().is_ok_and(|failed| *failed);
    let verdict = VERDICTS.lock().ok()?;
    let patience = if has_failed { VERDICT } else { Duration::ZERO };
    let (verdict, _) = PRONOUNCED.wait_timeout_while(verdict, patience, |verdict| verdict.is_none()).ok()?;
    verdict.clone().map(|what| RanksError::Gone { what })
}

/// Says to the others that this process ends: properly, or by an error. A process that ends otherwise counts as killed.
pub fn leave(error: Option<&str>) {
    if let Some(group) = GROUP.get() {
        group.watch.leave(error);
    }
}

fn address() -> Option<&'static Address> {
    GROUP.get().map(|group| &group.address)
}

/// Number of this process in its group; 0 alone.
pub fn rank() -> usize {
    address().map_or(0, |address| address.rank)
}

/// Processes in the group; 1 alone.
pub fn size() -> usize {
    address().map_or(1, |address| address.size)
}

/// Number of this process among those of its machine; none alone.
pub fn local_rank() -> Option<usize> {
    address().map(|address| address.local_rank)
}

/// Whether this process writes what the group has made: rank 0, or a process alone.
pub fn leads() -> bool {
    rank() == 0
}

/// The part of so many samples that falls to this rank. All parts are equal; the number must be a multiple of [`size`].
pub fn part(samples: usize) -> Range<usize> {
    let each = samples / size();
    rank() * each..(rank() + 1) * each
}

/// Remembers that an operation has failed.
fn noted<T>(result: Result<T, RanksError>) -> Result<T, RanksError> {
    if result.is_err()
        && let Ok(mut failed) = FAILED.lock()
    {
        *failed = true;
    }
    result
}

/// The sum of a tensor over all ranks; itself alone. Derivatives are recorded: that of a loss which is the sum of the ranks' losses.
///
/// # Errors
/// When a rank is gone ([`gone`] says which).
pub fn sum(tensor: &Tensor) -> Result<Tensor, TchError> {
    if size() == 1 {
        return Ok(tensor.shallow_clone());
    }
    Ok(noted(shim::sum(tensor))?)
}

/// The means of tensors of one element type over all ranks, without a record of derivatives; themselves alone. They travel as one.
///
/// # Errors
/// As [`sum`].
pub fn means(tensors: Vec<Tensor>) -> Result<Vec<Tensor>, TchError> {
    if size() == 1 || tensors.is_empty() {
        return Ok(tensors);
    }
    let flat = tensors.iter().map(|tensor| tensor.f_detach()?.f_reshape([-1])).collect::<Result<Vec<_>, _>>()?;
    let mean = sum(&Tensor::f_cat(&flat, 0)?)?.f_div_scalar(size() as f64)?;
    let mut start = 0;
    let mut parts = Vec::with_capacity(tensors.len());
    for tensor in &tensors {
        let part = mean.f_narrow(0, start, tensor.numel() as i64)?;
        start += tensor.numel() as i64;
        parts.push(part.f_reshape(tensor.size())?);
    }
    Ok(parts)
}

/// The means of numbers over all ranks; themselves alone.
///
/// # Errors
/// As [`sum`].
pub fn mean_numbers(numbers: Vec<f64>) -> Result<Vec<f64>, TchError> {
    if size() == 1 {
        return Ok(numbers);
    }
    let sums = Vec::<f64>::try_from(sum(&Tensor::f_from_slice(&numbers)?)?)?;
    Ok(sums.into_iter().map(|sum| sum / size() as f64).collect())
}

/// Whether something holds in any rank.
///
/// # Errors
/// As [`sum`].
pub fn any(holds: bool) -> Result<bool, TchError> {
    Ok(mean_numbers(vec![f64::from(u8::from(holds))])?.iter().any(|share| *share > 0.0))
}

/// What rank 0 says: its text, in all ranks.
///
/// # Errors
/// When a rank is gone.
pub fn of_first(text: &str) -> Result<String, RanksError> {
    if size() == 1 {
        return Ok(text.to_owned());
    }
    let key = format!("said/{}", ASKED.fetch_add(1, Ordering::Relaxed));
    noted(if leads() { shim::put(&key, text).map(|()| text.to_owned()) } else { shim::get(&key) })
}

/// Refuses a rank that is not part of the run that rank 0 is in: `found` must be the same text in both. No rank goes on before rank 0 has
/// heard all others, so that the difference is told, and not that somebody who had nothing left to do is gone already.
///
/// # Errors
/// [`RanksError::Differs`], in the rank that differs and in rank 0; when a rank is gone.
pub fn agree(what: &str, found: &str) -> Result<(), RanksError> {
    let round = ASKED.load(Ordering::Relaxed);
    let expected = of_first(found)?;
    let same = |rank: usize, found: &str| {
        if expected == found {
            return Ok(());
        }
        let (what, expected, found) = (what.to_owned(), expected.clone(), found.to_owned());
        Err(RanksError::Differs { rank, size: size(), what, expected, found })
    };
    let key = |rank: usize| format!("heard/{round}/{rank}");
    if leads() {
        (1..size()).try_for_each(|other| same(other, &noted(shim::get(&key(other)))?))
    } else {
        noted(shim::put(&key(rank()), found))?;
        same(rank(), found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::{Command, Stdio};

    /// Names the port where rank 0 of the test below meets the others.
    const PORT: &str = "CAF_RANKS_TEST_PORT";

    /// A port that nothing listens at, below those that the system hands out to whoever asks for any.
    fn free_port() -> u16 {
        let first = 30_100 + (std::process::id() % 1000) as u16;
        (first..first + 100).find(|port| TcpListener::bind(("127.0.0.1", *port)).is_ok()).unwrap()
    }

    /// Rank 0 of three, as a process, waits for the others; rank 1, played here, comes and ends; rank 2 never comes.
    #[test]
    fn who_waits_for_others_to_connect_hears_of_a_death() {
        if let Ok(port) = std::env::var(PORT) {
            let variables = [("MASTER_ADDR", "127.0.0.1"), ("MASTER_PORT", &port), ("RANK", "0"), ("WORLD_SIZE", "3")];
            let variable = |name: &str| variables.iter().find(|(n, _)| *n == name).map(|(_, v)| (*v).to_owned());
            let error = join(Address::from_variables(variable).unwrap().unwrap()).unwrap_err();
            // Not `eprintln!`, which the test harness captures.
            std::io::Write::write_all(&mut std::io::stderr(), format!("rank ended: {error:?}").as_bytes()).unwrap();
            std::process::exit(1);
        }
        let port = free_port();
        let first = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "tests::who_waits_for_others_to_connect_hears_of_a_death"])
            .env(PORT, port.to_string())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        shim::open("127.0.0.1", port, false, "caf/0", 3, JOIN_MS).unwrap();
        let place = shim::get("watch").unwrap();
        let (at, watchword) = place.split_once(' ').unwrap();
        let second = Watch::join(at, watchword, [1, 3], "played", |_| {}).unwrap();
        second.leave(Some("a.png: no picture"));
        let output = first.wait_with_output().unwrap();
        let words = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{words}");
        assert!(words.contains("Gone { what: \"rank 1 of 3 (played) failed: a.png: no picture\" }"), "{words}");
    }
}
