//! A search that is killed at any moment, again and again, ends with the bits of one that never was.

#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests stop at the line that fails")]

use caf_console::{Progress, Silent, StopFlag};
use caf_golden::say;
use caf_net::zoo::caf::CafConfig;
use caf_net::zoo::yolov5::Variant;
use caf_search::search::{SearchConfig, run};
use caf_search::settings::load;
use caf_search::tasks::{DetectionSettings, TaskSettings};
use caf_tests::scenes::{Scenes, differing};
use caf_weights::load_safetensors;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::Path;
use std::process::{Command, Stdio};

/// Names the folder of the process that is going to be killed.
const VICTIM: &str = "CAF_TESTS_KILLED_AGAIN";
/// Kills.
const KILLS: usize = 20;

/// Says how far the search is whenever a row of its log is written, and goes on when it is answered: the one that kills it decides
/// how far it comes, and not the clock. It ends when that one is gone.
struct Reporting;

impl Reporting {
    fn report(done: u64) {
        // Not `println!`, which the test harness captures.
        let mut out = std::io::stdout();
        writeln!(out, "rows {done}").and_then(|()| out.flush()).unwrap();
        if std::io::stdin().read(&mut [0]).unwrap() == 0 {
            std::process::exit(1);
        }
    }
}

impl Progress for Reporting {
    fn begin(&self, _: &str, _: u64, done: u64) {
        Self::report(done);
    }
    fn advance(&self, done: u64, _: &str) {
        Self::report(done);
    }
    fn end(&self) {}
    fn say(&self, _: &str) {}
}

/// The smallest search there is: a narrow detector and two thin layers.
fn config(scenes: &Scenes, iterations: usize) -> SearchConfig {
    let mut task =
        DetectionSettings { variant: Some(Variant::N), width_multiple: Some(0.125), ..DetectionSettings::default() };
    task.optimizer.warmup = Some(2);
    let task = TaskSettings::new("detection", &task).unwrap();
    let mut config = SearchConfig { task, ..scenes.search(iterations) };
    config.fusion.network = CafConfig { width: 4, depth: 2, normalised: true }.into();
    config
}

/// The rows of the log without what the clock decides.
fn rows(out: &Path) -> Vec<String> {
    let text = std::fs::read_to_string(out.join("log.csv")).unwrap();
    let lines: Vec<Vec<&str>> = text.lines().map(|line| line.split(',').collect()).collect();
    let kept: Vec<usize> = (0..lines[0].len()).filter(|i| !lines[0][*i].starts_with("ms")).collect();
    lines.iter().map(|line| kept.iter().map(|i| line[*i]).collect::<Vec<_>>().join(",")).collect()
}

#[test]
fn a_search_killed_twenty_times_gives_the_same_bits() {
    if let Some(root) = std::env::var_os(VICTIM) {
        let config = load(Some(&Path::new(&root).join("search.toml")), &[]).unwrap();
        run(&config, &Path::new(&root).join("killed"), &Reporting, &StopFlag::default()).unwrap();
        return;
    }
    let mut rng = ChaCha8Rng::seed_from_u64(20);
    // Rows that each process may write before it is killed on its way to the next one.
    let plan: Vec<u64> = (0..KILLS).map(|_| rng.random_range(0..3)).collect();
    // More than all of them come to, so that none ends by itself.
    let iterations = plan.iter().map(|rows| rows + 1).sum::<u64>() as usize + 2;
    let scenes = Scenes::new(9);
    let (straight, killed) = (scenes.out("straight"), scenes.out("killed"));
    let config = config(&scenes, iterations);
    std::fs::write(scenes.out("search.toml"), toml::to_string(&config).unwrap()).unwrap();
    let mut began = Vec::new();
    for wanted in plan {
        let mut victim = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "a_search_killed_twenty_times_gives_the_same_bits"])
            .env(VICTIM, scenes.out(""))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut answers = victim.stdin.take().unwrap();
        let lines = BufReader::new(victim.stdout.take().unwrap()).lines().map(Result::unwrap);
        let mut reports = lines.filter_map(|line| line.split_once("rows ")?.1.parse::<u64>().ok());
        let first = reports.next().unwrap();
        began.push(first);
        for row in first + 1..=first + wanted {
            answers.write_all(b"g").unwrap();
            assert_eq!(reports.next(), Some(row));
        }
        // On its way through the rest of the iteration: saving, the next step, the next row. It waits there at the latest.
        answers.write_all(b"g").unwrap();
        std::thread::sleep(std::time::Duration::from_micros(rng.random_range(0..120_000)));
        victim.kill().unwrap();
        victim.wait().unwrap();

        let state = killed.join("state.safetensors");
        let saved = if state.exists() {
            load_safetensors(&state).unwrap().get("iteration").unwrap().to_i64_vec().unwrap()[0] as u64
        } else {
            0
        };
        let written = std::fs::read_to_string(killed.join("log.csv")).unwrap().lines().count() as u64 - 1;
        assert!(first + wanted <= saved + 1 && saved <= first + wanted + 1, "{first} + {wanted} rows, {saved} saved");
        // What was cut off in the middle of a row counts as a line here.
        assert!(saved <= written && written <= saved + 1, "{written} rows, {saved} saved");
    }
    assert!(began.is_sorted() && began.last() > Some(&0), "{began:?}");
    run(&config, &killed, &Silent, &StopFlag::default()).unwrap();
    run(&config, &straight, &Silent, &StopFlag::default()).unwrap();
    let mut tensors = 0;
    for file in ["state.safetensors", "fusion.safetensors", "task.safetensors"] {
        assert_eq!(differing(&straight.join(file), &killed.join(file)), Vec::<String>::new(), "{file}");
        tensors += load_safetensors(straight.join(file)).unwrap().len();
    }
    assert_eq!(rows(&straight), rows(&killed));
    let beta = |out: &Path| std::fs::read_to_string(out.join("beta.toml")).unwrap();
    assert_eq!(beta(&straight), beta(&killed));
    say(&format!("killed at {began:?} of {iterations} iterations: {tensors} tensors and all rows equal"));
}
