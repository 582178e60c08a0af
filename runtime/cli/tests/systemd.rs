//! The run as a service: the unit that is handed out, and what a service manager is told.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "helpers of tests fail like tests")]

mod common;

use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use common::{Bench, text};

/// No machine is so slow.
const PATIENCE: Duration = Duration::from_secs(120);
const CAMERA: &str = "videotestsrc is-live=true pattern=ball ! video/x-raw,width=64,height=48,framerate=20/1";

/// What `systemd-analyze` says of a unit.
fn complaints(unit: &str, folder: &Path) -> String {
    let path = folder.join("caf-live.service");
    std::fs::write(&path, unit).unwrap();
    let output = Command::new("systemd-analyze").arg("verify").arg(&path).output().unwrap();
    // Of other units of the machine nothing is expected.
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    said.lines().filter(|line| line.contains("caf-live")).map(|line| format!("{line}\n")).collect()
}

#[test]
fn the_unit_is_one_that_systemd_understands() {
    if Command::new("systemd-analyze").arg("--version").output().is_err() {
        println!("SKIP the unit of the service: systemd-analyze is missing");
        return;
    }
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy/systemd/caf-live.service");
    let unit = std::fs::read_to_string(path).unwrap();
    // The program is not installed here.
    let unit = unit.replace("/usr/local/bin/caf-run", env!("CARGO_BIN_EXE_caf-run"));
    let folder = tempfile::tempdir().unwrap();
    assert_eq!(complaints(&unit, folder.path()), "");
    let wrong = unit.replace("WatchdogSec=30s", "WatchdogSek=30s");
    assert!(complaints(&wrong, folder.path()).contains("WatchdogSek"), "a mistake would not be noticed");
}

/// A run that is ended when a test fails.
struct Live(Child);

impl Drop for Live {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn a_service_manager_hears_how_the_run_is_that_it_lives_and_ends() {
    let bench = Bench::new();
    let path = bench.at("notify");
    let socket = UnixDatagram::bind(&path).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_caf-run"));
    command.args(["live", "--model", text(&bench.model), "--ir", CAMERA, "--vi", CAMERA]);
    command.env("NOTIFY_SOCKET", &path).env("WATCHDOG_USEC", "2000000").env_remove("WATCHDOG_PID");
    let mut live = Live(command.stdout(Stdio::null()).spawn().unwrap());
    let until = |line: &str| {
        let began = Instant::now();
        let mut bytes = [0; 4096];
        loop {
            let count = socket.recv(&mut bytes).unwrap();
            if String::from_utf8_lossy(&bytes[..count]).lines().any(|said| said.starts_with(line)) {
                return;
            }
            assert!(began.elapsed() < PATIENCE, "{line} is not said");
        }
    };
    // Whether it becomes ready depends on how fast the machine is; when that is said is tested beside the code.
    until("STATUS=");
    until("WATCHDOG=1");
    until("WATCHDOG=1");
    let killed = Command::new("sh").args(["-c", &format!("kill -TERM {}", live.0.id())]).status().unwrap();
    assert!(killed.success());
    until("STOPPING=1");
    assert_eq!(live.0.wait().unwrap().code(), Some(0));
}
