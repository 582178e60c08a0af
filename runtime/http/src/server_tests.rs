//! Clients of every kind: plain ones, wrong ones, silent ones, slow ones.

use super::super::connections::MOST;
use super::*;
use std::cell::Cell;

/// How long a test waits for what must happen: only a failing one takes so long.
const LIMIT: Duration = Duration::from_secs(60);

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

/// Waits until so many are connected and so many of them answered.
fn wait_for(server: &Server, count: (usize, usize)) {
    let began = Instant::now();
    while server.shared.connections.count() != count {
        assert!(began.elapsed() < LIMIT, "{:?}, expected {count:?}", server.shared.connections.count());
        std::thread::sleep(Duration::from_millis(1));
    }
}

#[test]
fn requests_are_answered_one_after_the_other_on_one_connection() {
    let server = server();
    let text = talk(&server, "GET /a?b=c HTTP/1.1\r\nHost: h:1\r\n\r\nHEAD /b HTTP/1.1\r\nconnection: close\r\n\r\n");
    let answers: Vec<&str> = text.split("HTTP/1.1 ").skip(1).collect();
    assert_eq!(answers.len(), 2, "{text}");
    assert!(answers[0].starts_with("200 OK\r\n") && answers[0].ends_with("\r\n\r\n/a b=c Some(\"h:1\")\n"), "{text}");
    let (head, body) = answers[1].split_once("\r\n\r\n").unwrap();
    assert!(head.contains("Content-Length: 9") && head.contains("Connection: close") && body.is_empty(), "{text}");
    assert!(talk(&server, "GET / HTTP/1.0\r\n\r\n").contains("Connection: close"));
}

#[test]
fn what_is_no_plain_request_is_refused() {
    let server = server();
    let long = format!("GET /{} HTTP/1.1\r\n", "x".repeat(LONGEST_REQUEST));
    for (request, code) in [
        ("POST / HTTP/1.1\r\nContent-Length: 5\r\n\r\nhello", "405"),
        ("\x16\x03\x01\x02\x00\x01", "400"),
        (&long, "431"),
    ] {
        assert!(talk(&server, request).starts_with(&format!("HTTP/1.1 {code} ")), "{request}");
    }
    assert_eq!(talk(&server, "GET / HT"), "", "half a request is none");
}

#[test]
fn whoever_asks_is_answered_whoever_else_is_connected_and_the_server_ends_with_them() {
    let server = server();
    let (mut silent, mut askers): (Vec<TcpStream>, Vec<TcpStream>) = (vec![], vec![]);
    for count in 1..=MOST {
        silent.push(TcpStream::connect(server.address()).unwrap());
        wait_for(&server, (count, 0));
    }
    for (turn, longest) in silent.iter_mut().take(3).enumerate() {
        let mut asks = TcpStream::connect(server.address()).unwrap();
        asks.write_all(b"GET /live HTTP/1.0\r\nConnection: keep-alive\r\n\r\n").unwrap();
        let mut first = [0; 12];
        asks.read_exact(&mut first).unwrap();
        assert_eq!(&first, b"HTTP/1.1 200", "turn {turn}");
        // The one that was silent for the longest time is hung up on.
        assert_eq!(longest.read(&mut first).unwrap(), 0);
        askers.push(asks);
    }
    let shared = Arc::downgrade(&server.shared);
    drop(server);
    assert_eq!(shared.strong_count(), 0, "every thread has ended");
    assert!(
        silent.iter_mut().chain(&mut askers).all(|stream| stream.read_to_end(&mut vec![]).is_ok()),
        "every connection is closed"
    );
}

#[test]
fn a_viewer_that_takes_nothing_does_not_hold_up_the_end() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let limits = Limits { silence: LIMIT * 60, answer: LIMIT * 60 };
    // More than the system keeps for a reader.
    let server = Server::start_within(limits, listener, |_| Answer::new(200, "x/y", vec![7; 16 << 20])).unwrap();
    let mut viewer = TcpStream::connect(server.address()).unwrap();
    viewer.write_all(b"GET / HTTP/1.1\r\n\r\n").unwrap();
    wait_for(&server, (1, 1));
    let end = std::thread::spawn(move || drop(server));
    let began = Instant::now();
    while !end.is_finished() {
        assert!(began.elapsed() < LIMIT, "the viewer holds up the end");
        std::thread::sleep(Duration::from_millis(1));
    }
    end.join().unwrap();
}

/// Takes a byte every four seconds of its own clock.
struct Slow<'a>(&'a Cell<Duration>, usize);

impl Taker for Slow<'_> {
    fn take(&mut self, _: &[u8], at_most: Duration) -> std::io::Result<usize> {
        self.0.set(self.0.get() + at_most.min(Duration::from_secs(4)));
        if at_most < Duration::from_secs(4) {
            return Err(ErrorKind::WouldBlock.into());
        }
        self.1 += 1;
        Ok(1)
    }
}

#[test]
fn an_answer_has_one_time_for_the_whole_of_it() {
    let (zero, passed) = (Instant::now(), Cell::new(Duration::ZERO));
    let mut slow = Slow(&passed, 0);
    let sent = send(&mut slow, &[0; 100], LIMITS.answer, &|| zero + passed.get());
    assert_eq!(sent.unwrap_err().kind(), ErrorKind::TimedOut);
    assert_eq!((slow.1, passed.get()), (1, LIMITS.answer));
}
