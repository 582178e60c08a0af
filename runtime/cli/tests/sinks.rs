//! Sinks that go over the network.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "helpers of tests fail like tests")]

mod common;

use std::net::UdpSocket;
use std::time::Duration;

use caf_net::zoo::pipeline::{ColourMode, Samples};
use common::report::{accounts_balance, json, lines, number, sink};
use common::{caf_run, fails, said, succeeds, text};
use serde_json::Value;

const FILE: &str = "videotestsrc num-buffers=12 ! video/x-raw,width=20,height=10,framerate=25/1";

#[test]
fn every_result_is_a_datagram_with_the_line_in_it() {
    let folder = tempfile::tempdir().unwrap();
    let model = common::fusion_model(folder.path(), "m.onnx", Samples::Bytes, ColourMode::Rgb);
    let (jsonl, summary) = (folder.path().join("o.jsonl"), folder.path().join("o.json"));
    let receiver = UdpSocket::bind("127.0.0.1:0").unwrap();
    receiver.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    let address = receiver.local_addr().unwrap().to_string();
    let call = ["live", "--model", text(&model), "--ir", FILE, "--vi", FILE, "--udp", &address];
    let files = ["--jsonl", text(&jsonl), "--summary", text(&summary)];
    succeeds(&[&call[..], &files].concat());
    let mut bytes = [0; 65_536];
    for line in lines(&jsonl) {
        let length = receiver.recv(&mut bytes).unwrap();
        assert_eq!(serde_json::from_slice::<Value>(&bytes[..length]).unwrap(), line);
    }
    let summary = json(&summary);
    accounts_balance(&summary);
    assert_eq!(number(sink(&summary, "udp"), "/written"), 12);
}

#[test]
fn nobody_has_to_listen_and_wrong_addresses_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let model = common::fusion_model(folder.path(), "m.onnx", Samples::Bytes, ColourMode::Rgb);
    let summary = folder.path().join("o.json");
    let address = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let call = ["live", "--model", text(&model), "--ir", FILE, "--vi", FILE, "--summary", text(&summary), "--udp"];
    let output = caf_run(&[&call[..], &[&address]].concat());
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    assert_eq!(said(&output).matches("is not delivered").count(), 1, "{}", said(&output));
    let summary = json(&summary);
    accounts_balance(&summary);
    assert!(number(sink(&summary, "udp"), "/undelivered") > 0, "{summary:#}");
    fails(2, &["--udp", "HOST:PORT", "`nonsense`"], &[&call[..], &["nonsense"]].concat());
}

#[test]
fn lines_take_the_shape_that_was_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let model = common::fusion_model(folder.path(), "m.onnx", Samples::Bytes, ColourMode::Rgb);
    let call = ["live", "--model", text(&model), "--ir", FILE, "--vi", FILE];
    for (shape, key) in [("deepstream", "/version"), ("ros", "/header/stamp/sec"), ("own", "/t_ns")] {
        let jsonl = folder.path().join(shape);
        succeeds(&[&call[..], &["--jsonl", text(&jsonl), "--lines", shape]].concat());
        let lines = lines(&jsonl);
        assert!(lines.len() == 12 && lines.iter().all(|line| line.pointer(key).is_some()), "{shape}: {lines:?}");
    }
    fails(2, &["--lines", "deepstream", "'yaml'"], &[&call[..], &["--lines", "yaml"]].concat());
    fails(2, &["--mqtt", "mqtt://[USER@]HOST", "`broker`"], &[&call[..], &["--mqtt", "broker"]].concat());
}
