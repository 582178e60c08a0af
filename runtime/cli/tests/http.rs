//! A live run looked at over HTTP while it goes on.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "helpers of tests fail like tests")]

mod common;

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use common::report::{accounts_balance, json, number, sink};
use common::{Bench, fails, text};

/// No machine is so slow.
const PATIENCE: Duration = Duration::from_secs(120);
const CAMERA: &str = "videotestsrc is-live=true pattern=ball ! video/x-raw,width=64,height=48,framerate=20/1";

/// The status, the headers and the body of an answer.
struct Answer {
    status: u16,
    head: String,
    body: Vec<u8>,
}

fn get(address: &str, path: &str) -> Option<Answer> {
    let mut stream = TcpStream::connect(address).ok()?;
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n").ok()?;
    let mut bytes = vec![];
    stream.read_to_end(&mut bytes).ok()?;
    let end = bytes.windows(4).position(|w| w == b"\r\n\r\n")?;
    let head = String::from_utf8(bytes[..end].to_vec()).unwrap();
    Some(Answer { status: head.get(9..12)?.parse().ok()?, head, body: bytes.split_off(end + 4) })
}

/// Asks until the answer is as it should be.
fn until(address: &str, path: &str, what: impl Fn(&Answer) -> bool) -> Answer {
    let began = Instant::now();
    loop {
        match get(address, path) {
            Some(answer) if what(&answer) => return answer,
            other => {
                let said = other.map(|a| (a.status, String::from_utf8_lossy(&a.body).into_owned()));
                assert!(began.elapsed() < PATIENCE, "{path}: {said:?}");
                std::thread::sleep(Duration::from_millis(20));
            }
        }
    }
}

/// A run that is ended when a test fails.
struct Live(Child);

impl Drop for Live {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A run with a page, and where the page is.
fn start(bench: &Bench, more: &[&str]) -> (Live, String) {
    // The port is free now; whoever takes it before the run does makes the test fail, not pass.
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let mut command = Command::new(env!("CARGO_BIN_EXE_caf-run"));
    command.args(["live", "--model", text(&bench.model), "--http", &address]).args(more);
    let child = command.stdout(Stdio::null()).stderr(Stdio::inherit()).spawn().unwrap();
    (Live(child), address)
}

fn terminate(live: &mut Live) -> Option<i32> {
    let killed = Command::new("sh").args(["-c", &format!("kill -TERM {}", live.0.id())]).status().unwrap();
    assert!(killed.success());
    live.0.wait().unwrap().code()
}

#[test]
fn a_run_shows_itself_and_viewers_that_come_stall_and_go_change_nothing() {
    let bench = Bench::new();
    let summary = bench.at("s.json");
    let (mut live, address) = start(&bench, &["--ir", CAMERA, "--vi", CAMERA, "--summary", text(&summary)]);
    until(&address, "/startup", |a| a.status == 200);
    // Cameras deliver and results are fresh, unless the machine pauses.
    let ready = until(&address, "/ready", |a| a.status == 200);
    assert_eq!(String::from_utf8(ready.body).unwrap(), r#"{"ok":true,"reasons":[]}"#);
    assert_eq!(get(&address, "/live").unwrap().status, 200);

    let page = get(&address, "/").unwrap();
    let html = String::from_utf8(page.body).unwrap();
    assert!(page.head.contains("text/html") && page.head.contains("default-src 'none'"), "{}", page.head);
    for part in ["/page.js", "/page.css"] {
        assert!(html.contains(part) && get(&address, part).unwrap().status == 200, "{part}");
    }
    assert!(!html.contains("http:") && !html.contains("https:"), "nothing comes from elsewhere");
    for (name, size) in [("fused", (64, 48)), ("infrared", (64, 48)), ("visible", (64, 48))] {
        let picture = until(&address, &format!("/{name}.jpg"), |a| a.status == 200);
        assert_eq!(image::load_from_memory(&picture.body).unwrap().to_rgb8().dimensions(), size, "{name}");
        let number: u64 = picture.head.split("X-Number: ").nth(1).unwrap().lines().next().unwrap().parse().unwrap();
        until(&address, &format!("/{name}.jpg?after={number}"), |a| a.status == 200);
    }

    // Viewers that ask and take nothing, that send half a request, that are gone at once.
    let stalled: Vec<TcpStream> = (0..8)
        .map(|i| {
            let mut stream = TcpStream::connect(&address).unwrap();
            let request = if i % 2 == 0 { "GET /fused.jpg HTTP/1.1\r\n\r\n".repeat(50) } else { "GET /".to_owned() };
            stream.write_all(request.as_bytes()).unwrap();
            stream
        })
        .collect();
    (0..8).for_each(|_| drop(TcpStream::connect(&address)));
    let results = || {
        let state: serde_json::Value = serde_json::from_slice(&get(&address, "/state.json").unwrap().body).unwrap();
        number(&state, "/results/0")
    };
    let before = results();
    let began = Instant::now();
    while results() < before + 10 {
        assert!(began.elapsed() < PATIENCE);
    }
    let metrics = String::from_utf8(get(&address, "/metrics").unwrap().body).unwrap();
    let value = |series: &str| -> f64 {
        let line = metrics
            .lines()
            .find_map(|l| l.strip_prefix(&format!("{series} ")))
            .unwrap_or_else(|| panic!("{series}: {metrics}"));
        line.parse().unwrap()
    };
    assert!(value("caf_results_total{state=\"fused\"}") >= 10.0 && value("caf_frames_total{source=\"ir\"}") >= 10.0);
    assert_eq!(value("caf_stage_duration_seconds_count{stage=\"infer\"}"), value("caf_result_age_seconds_count"));
    assert_eq!(get(&address, "/etc/passwd").unwrap().status, 404);

    assert_eq!(terminate(&mut live), Some(0));
    drop(stalled);
    let summary = json(&summary);
    accounts_balance(&summary);
    assert_eq!(summary["ended_by"], "interrupt");
    // What it had to do was little: no result waited for it.
    let page = sink(&summary, "http");
    assert!(number(page, "/written") > 0 && page["failure"].is_null(), "{page}");
    assert!(get(&address, "/live").is_none(), "the server is gone");
}

#[test]
fn other_machines_are_let_in_only_when_that_was_said() {
    let bench = Bench::new();
    let call = ["live", "--model", text(&bench.model), "--ir", CAMERA, "--vi", CAMERA];
    fails(2, &["--http 0.0.0.0:8080", "--http-open takes it"], &[&call[..], &["--http", "0.0.0.0:8080"]].concat());
    fails(2, &["--http: expected ADDRESS:PORT", "`8080`"], &[&call[..], &["--http", "8080"]].concat());
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let place = taken.local_addr().unwrap().to_string();
    fails(1, &["--http", &place, "in use"], &[&call[..], &["--http", &place]].concat());
}
