//! `--config` and `--print-config`: a file says the same as the command line.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "helpers of tests fail like tests")]

mod common;

use common::report::{json, lines, number};
use common::{Bench, fails, save_gray, save_rgb, succeeds, text};

#[test]
fn a_file_says_the_same_as_the_command_line_which_goes_before_it() {
    let bench = Bench::new();
    for i in 0..4 {
        save_gray(&bench.at(&format!("ir/{i}.png")), 20, 12, i);
        save_rgb(&bench.at(&format!("vi/{i}.png")), 20, 12, i);
    }
    let (config, summary) = (bench.at("live.toml"), bench.at("summary.json"));
    let said = format!(
        "model = {:?}\nir = {:?}\nvi = {:?}\njsonl = [{:?}]\nsummary = {summary:?}\nfps = 10\n",
        bench.model,
        bench.at("ir"),
        bench.at("vi"),
        bench.at("a.jsonl"),
    );
    std::fs::write(&config, said).unwrap();
    let times = |name: &str| lines(&bench.at(name)).iter().map(|l| number(l, "/t_ns")).collect::<Vec<_>>();
    let call = ["live", "--config", text(&config)];
    succeeds(&call);
    assert_eq!(times("a.jsonl"), [0, 100_000_000, 200_000_000, 300_000_000]);
    assert_eq!(number(&json(&summary), "/pairs/fused"), 4);
    let other = bench.at("b.jsonl");
    let more = [&call[..], &["--fps", "20", "--jsonl", text(&other)]].concat();
    // What is printed is the call, and does nothing.
    let printed = succeeds(&[&more[..], &["--print-config"]].concat());
    assert!(printed.contains("\nfps = 20\n") && !other.exists(), "{printed}");
    succeeds(&more);
    assert_eq!(times("b.jsonl"), [0, 50_000_000, 100_000_000, 150_000_000]);
    std::fs::remove_file(&other).unwrap();
    std::fs::write(&config, printed).unwrap();
    succeeds(&call);
    assert_eq!(times("b.jsonl")[3], 150_000_000);

    std::fs::write(&config, "provder = 'cpu'").unwrap();
    fails(2, &["live.toml", "unknown key `provder`", "provider"], &call);
    std::fs::write(&config, "fps = -1").unwrap();
    fails(2, &["live.toml", "fps: expected frames per second from 0.01 to 1000, found `-1`"], &call);
    std::fs::write(&config, "fps = 1").unwrap();
    fails(2, &["--ir", "--vi"], &call);
    let (ir, vi) = (bench.at("ir"), bench.at("vi"));
    let rest = ["--model", text(&bench.model), "--ir", text(&ir), "--vi", text(&vi), "--summary", text(&config)];
    fails(2, &["--summary", "would replace what --config reads"], &[&call[..], &rest].concat());
}
