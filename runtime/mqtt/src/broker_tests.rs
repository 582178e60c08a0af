//! Against a real broker: mosquitto, with its own subscriber. Without them the tests are skipped, and say so.

use std::ffi::OsStr;
use std::io::{BufRead as _, BufReader};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread::sleep;
use std::time::{Duration, Instant};

use caf_runtime::line::LineShape;
use caf_runtime::result::PairResult;
use caf_runtime::sink::kind::{Sent, Sink};

use crate::KIND;
use crate::address::Address;
use crate::link::Link;

/// Against hanging only: nothing is expected to take a time.
const PATIENCE: Duration = Duration::from_secs(60);

fn program(name: &str) -> Option<PathBuf> {
    let folders = std::env::var_os("PATH")?;
    let folders = std::env::split_paths(&folders).chain(["/usr/sbin".into(), "/usr/local/sbin".into()]);
    folders.map(|folder| folder.join(name)).find(|path| path.is_file())
}

/// The broker and its programs, when they are installed.
struct Broker {
    folder: tempfile::TempDir,
    program: PathBuf,
    port: u16,
    process: Option<Child>,
}

impl Broker {
    /// A broker that is not started yet.
    fn find(test: &str) -> Option<Self> {
        let missing = |name: &str| {
            caf_golden::say(&format!("SKIP {test}: `{name}` is missing (Debian: mosquitto, mosquitto-clients)"))
        };
        let found = ["mosquitto", "mosquitto_sub", "mosquitto_passwd"].map(|name| program(name).ok_or(name));
        let [Ok(program), Ok(_), Ok(_)] = &found else {
            found.iter().filter_map(|found| found.as_ref().err()).for_each(|name| missing(name));
            return None;
        };
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let folder = tempfile::tempdir().unwrap();
        Some(Self { folder, program: program.clone(), port, process: None })
    }

    /// Starts it, for everybody or for one user, and waits until it listens.
    fn start(&mut self, login: Option<(&str, &str)>) {
        let conf = self.folder.path().join("broker.conf");
        let mut text =
            format!("listener {} 127.0.0.1\npersistence false\nallow_anonymous {}\n", self.port, login.is_none());
        if let Some((user, password)) = login {
            let file = self.folder.path().join("users");
            let mut make = Command::new(program("mosquitto_passwd").unwrap());
            assert!(make.args(["-b", "-c"]).arg(&file).args([user, password]).status().unwrap().success());
            // The broker gives up the rights of root, and must read it all the same.
            readable(self.folder.path());
            readable(&file);
            text += &format!("password_file {}\n", file.display());
        }
        std::fs::write(&conf, text).unwrap();
        let mut process = Command::new(&self.program).arg("-c").arg(&conf).stderr(Stdio::null()).spawn().unwrap();
        let until = Instant::now() + PATIENCE;
        while TcpStream::connect(("127.0.0.1", self.port)).is_err() {
            assert!(process.try_wait().unwrap().is_none() && Instant::now() < until, "the broker does not start");
            sleep(Duration::from_millis(20));
        }
        self.process = Some(process);
    }

    fn stop(&mut self) {
        let mut process = self.process.take().unwrap();
        process.kill().unwrap();
        process.wait().unwrap();
    }

    /// What a subscriber of `front/#` prints, line by line, `TOPIC MESSAGE`.
    fn listen(&self, login: &[&str]) -> (Subscriber, Receiver<String>) {
        let port = self.port.to_string();
        let call = ["-h", "127.0.0.1", "-p", &port, "-v", "-t", "front/#"];
        let sub = Command::new(program("mosquitto_sub").unwrap()).args(call).args(login).stdout(Stdio::piped()).spawn();
        let mut sub = sub.unwrap();
        let out = BufReader::new(sub.stdout.take().unwrap());
        let (sender, lines) = channel();
        std::thread::spawn(move || out.lines().map_while(Result::ok).try_for_each(|line| sender.send(line)));
        (Subscriber(sub), lines)
    }

    fn place(&self) -> String {
        format!("mqtt://127.0.0.1:{}/front", self.port)
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        if self.process.is_some() {
            self.stop();
        }
    }
}

/// A subscriber, which would connect again and again; dropping it ends it.
struct Subscriber(Child);

impl Drop for Subscriber {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

fn readable(path: &Path) {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
}

fn result(time_ns: i64) -> PairResult {
    PairResult { time_ns, sequence: [Some(1), Some(2)], ..PairResult::default() }
}

/// Offers a result until it is written, or until it is not, as expected.
fn until(sink: &mut dyn Sink, expected: Sent, time_ns: i64) {
    let end = Instant::now() + PATIENCE;
    while sink.write(&result(time_ns)).unwrap() != expected {
        assert!(Instant::now() < end, "{expected:?} did not come");
        sleep(Duration::from_millis(5));
    }
}

fn next(lines: &Receiver<String>) -> String {
    lines.recv_timeout(PATIENCE).unwrap()
}

#[test]
fn results_reach_a_broker_that_comes_goes_and_comes_again() {
    let Some(mut broker) = Broker::find("results_reach_a_broker_that_comes_goes_and_comes_again") else { return };
    let mut sink = (KIND.open)(OsStr::new(&broker.place())).unwrap();
    assert_eq!(sink.write(&result(0)).unwrap(), Sent::Undelivered);
    for round in 1..3 {
        broker.start(None);
        until(sink.as_mut(), Sent::Written, 0);
        let (sub, lines) = broker.listen(&[]);
        // What is retained comes first: from here on nothing is missed.
        assert_eq!(next(&lines), "front/state online");
        for time_ns in 1..=10 {
            until(sink.as_mut(), Sent::Written, 100 * round + time_ns);
        }
        let times: Vec<i64> = std::iter::repeat_with(|| next(&lines))
            .map(|line| {
                let json = line.strip_prefix("front ").unwrap_or_else(|| panic!("{line}"));
                serde_json::from_str::<serde_json::Value>(json).unwrap()["t_ns"].as_i64().unwrap()
            })
            .filter(|time_ns| *time_ns > 0)
            .take(10)
            .collect();
        assert_eq!(times, (1..=10).map(|time_ns| 100 * round + time_ns).collect::<Vec<_>>());
        broker.stop();
        drop(sub);
        until(sink.as_mut(), Sent::Undelivered, 0);
    }
    // The end of a run does not wait for a broker that is not there.
    let began = Instant::now();
    sink.finish().unwrap();
    assert!(began.elapsed() < PATIENCE);
}

#[test]
fn a_run_that_ends_says_so_and_its_shape_is_the_one_asked_for() {
    let Some(mut broker) = Broker::find("a_run_that_ends_says_so_and_its_shape_is_the_one_asked_for") else { return };
    broker.start(None);
    let mut sink = (KIND.open)(OsStr::new(&broker.place())).unwrap();
    sink.shape(LineShape::DeepStream);
    until(sink.as_mut(), Sent::Written, 0);
    let (sub, lines) = broker.listen(&[]);
    assert_eq!(next(&lines), "front/state online");
    until(sink.as_mut(), Sent::Written, 1);
    assert!(next(&lines).starts_with(r#"front {"version":"4.0","id":2,"#));
    sink.finish().unwrap();
    let last = std::iter::repeat_with(|| next(&lines)).find(|line| line.starts_with("front/state"));
    assert_eq!(last.as_deref(), Some("front/state offline"));
    broker.stop();
    drop(sub);
}

#[test]
fn a_user_needs_the_password() {
    let Some(mut broker) = Broker::find("a_user_needs_the_password") else { return };
    broker.start(Some(("me", "hush")));
    let (sub, lines) = broker.listen(&["-u", "me", "-P", "hush"]);
    let place = format!("mqtt://me@127.0.0.1:{}/front", broker.port);
    let address = || Address::parse(OsStr::new(&place)).unwrap();
    let refused = Link::start(address(), "guess").unwrap();
    let let_in = Link::start(address(), "hush").unwrap();
    // The state of the one who is let in is retained: with it the subscriber is there, and misses nothing.
    assert_eq!(next(&lines), "front/state online");
    let end = Instant::now() + PATIENCE;
    while !let_in.publish(b"in".to_vec()) {
        assert!(Instant::now() < end);
        sleep(Duration::from_millis(5));
    }
    assert!(!refused.publish(b"out".to_vec()));
    assert_eq!(next(&lines), "front in");
    let_in.end();
    refused.end();
    broker.stop();
    drop(sub);
}
