//! Against a socket that the test has bound; the time is an argument.

use super::*;
use caf_runtime::pulse::Stuck;
use caf_runtime::result::PairResult;
use caf_runtime::source::report::SourceState;
use std::path::Path;

/// A socket at a path, and one whose name is no file.
fn sockets(folder: &Path) -> [(UnixDatagram, OsString); 2] {
    let path = folder.join("notify");
    let name = format!("caf-supervisor-{}-{}", std::process::id(), folder.display());
    let address = SocketAddr::from_abstract_name(&name).unwrap();
    let sockets = [
        (UnixDatagram::bind(&path), path.into_os_string()),
        (UnixDatagram::bind_addr(&address), format!("@{name}").into()),
    ];
    sockets.map(|(socket, name)| {
        let socket = socket.unwrap();
        socket.set_nonblocking(true).unwrap();
        (socket, name)
    })
}

/// All that was said since the last time, line by line.
fn heard(socket: &UnixDatagram) -> Vec<String> {
    let mut lines = vec![];
    let mut bytes = [0; 4096];
    while let Ok(count) = socket.recv(&mut bytes) {
        let text = std::str::from_utf8(bytes.get(..count).unwrap()).unwrap();
        lines.extend(text.lines().map(str::to_owned));
    }
    lines
}

/// A result that just came.
fn result(board: &Board) {
    board.made(&PairResult { arrived: Instant::now(), ..PairResult::default() });
}

#[test]
fn a_run_is_ready_lives_is_stuck_and_ends() {
    let folder = tempfile::tempdir().unwrap();
    for (socket, name) in sockets(folder.path()) {
        let second = Duration::from_secs(1);
        let environment = Environment {
            socket: Some(name),
            watchdog_us: Some("4000000".into()),
            watchdog_pid: Some(std::process::id().to_string().into()),
        };
        let (mut supervisor, board, mut now) = (Supervisor::new(&environment), Board::default(), Instant::now());
        let mut after = |seconds: u32| {
            now += second * seconds;
            // What is written keeps a run alive for two seconds, what is made keeps it ready.
            board.write(|_| {});
            supervisor.look(&board, now);
            heard(&socket)
        };
        // The model is prepared, for as long as it takes.
        assert_eq!(
            after(0),
            ["WATCHDOG=1", "STATUS=0 pairs fused, 0 other results; the model is prepared and the cameras are opened"]
        );
        assert_eq!(after(1), [""; 0]);
        assert_eq!(after(1), ["WATCHDOG=1"]);
        board.write(|status| {
            status.phase = Phase::Running;
            status.cameras[0].source.state = SourceState::Up;
            status.results = [7, 1, 0, 0];
        });
        result(&board);
        assert_eq!(after(2), ["WATCHDOG=1"], "one camera delivers nothing yet");
        board.write(|status| status.cameras[1].source.state = SourceState::Up);
        result(&board);
        assert_eq!(after(1), ["READY=1", "STATUS=7 pairs fused, 1 other results"]);
        board.write(|status| status.stuck = Some(Stuck { stage: "infer", seconds: 60.0 }));
        result(&board);
        let stuck = "STATUS=7 pairs fused, 1 other results; the infer stage has been at one image for 60 s";
        assert_eq!((0..10).flat_map(|_| after(2)).filter(|line| line != stuck).count(), 0, "no sign of life");
        board.write(|status| (status.stuck, status.phase) = (None, Phase::Ending));
        let end = after(10);
        assert_eq!(end.iter().take(2).map(String::as_str).collect::<Vec<_>>(), ["STOPPING=1", "WATCHDOG=1"]);
        assert!(end.iter().any(|line| line.contains("the run ends")), "{end:?}");
        supervisor.end();
        assert_eq!(heard(&socket), [""; 0], "it is said once");
        let mut short = Supervisor::new(&environment);
        short.end();
        assert_eq!(heard(&socket), ["STOPPING=1"], "a run that ends before it is looked at");
    }
}

#[test]
fn nobody_who_listens_and_nothing_that_makes_sense_change_nothing() {
    let of = |socket: Option<&str>, us: Option<&str>, pid: Option<&str>| {
        let [socket, watchdog_us, watchdog_pid] = [socket, us, pid].map(|text| text.map(OsString::from));
        Environment { socket, watchdog_us, watchdog_pid }
    };
    let board = Board::default();
    for environment in
        [of(None, Some("1"), None), of(Some("notify"), None, None), of(Some("/no/such/socket"), None, None)]
    {
        let mut supervisor = Supervisor::new(&environment);
        supervisor.look(&board, Instant::now());
    }
    let own = std::process::id().to_string();
    assert_eq!(of(None, Some("30000000"), Some(&own)).watchdog(), Ok(Some(Duration::from_secs(30))));
    assert_eq!(of(None, Some("30000000"), Some("1")).watchdog(), Ok(None), "that of another process");
    assert_eq!(of(None, None, Some(&own)).watchdog(), Ok(None));
    for wrong in ["", "0", "-1", "x", "1.5"] {
        assert!(of(None, Some(wrong), None).watchdog().is_err(), "{wrong}");
    }
}
