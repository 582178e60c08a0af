//! Several ranks are one run: the same β as one rank with the same batch, one log, one state; and a rank that dies ends all.
//!
//! Every rank is a process: this test program again, told what to do by the environment.

#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests stop at the line that fails")]

use caf_console::{Progress, StopFlag};
use caf_golden::say;
use caf_ranks::Address;
use caf_search::search::{SearchConfig, run};
use caf_search::settings::load;
use caf_search::task_training::{self, TaskTrainConfig};
use caf_tests::scenes::{Scenes, differing};
use caf_weights::load_safetensors;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};

/// Names the settings of a rank.
const CONFIG: &str = "CAF_TESTS_RANK_CONFIG";
/// Names its result folder.
const OUT: &str = "CAF_TESTS_RANK_OUT";
/// After how many iterations it dies.
const DIES: &str = "CAF_TESTS_RANK_DIES";

/// Ends the process without a word after so many iterations.
struct DiesAfter(Option<u64>);

impl Progress for DiesAfter {
    fn begin(&self, _: &str, _: u64, _: u64) {}
    fn advance(&self, done: u64, _: &str) {
        if self.0 == Some(done) {
            std::process::abort();
        }
    }
    fn end(&self) {}
    fn say(&self, _: &str) {}
}

/// What a process of [`start`] does. In the test program of a person it does nothing.
#[test]
fn a_rank() {
    let Some(config) = std::env::var_os(CONFIG).map(PathBuf::from) else { return };
    let out = PathBuf::from(std::env::var_os(OUT).unwrap());
    if let Some(address) = Address::from_environment().unwrap() {
        caf_ranks::join(address).unwrap();
    }
    let dies = DiesAfter(std::env::var(DIES).ok().map(|text| text.parse().unwrap()));
    let stop = StopFlag::default();
    let error = if config.ends_with("task.toml") {
        let config = load(Some(&config), &[]).unwrap();
        task_training::train(&config, &out, &dies, &stop).err()
    } else {
        let config = load(Some(&config), &[]).unwrap();
        run(&config, &out, &dies, &stop).err()
    };
    caf_ranks::leave(error.as_ref().map(ToString::to_string).as_deref());
    if let Some(error) = error {
        // Not `eprintln!`, which the test harness captures.
        use std::io::Write;
        writeln!(std::io::stderr(), "rank ended: {error}").unwrap();
        std::process::exit(1);
    }
}

/// A port that nothing listens at, below those that the system hands out to whoever asks for any.
fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let first = 20_000 + (std::process::id() % 100) as u16 * 100;
    let ports = (0..100).map(|_| first + NEXT.fetch_add(1, Ordering::Relaxed) % 100);
    ports.into_iter().find(|port| TcpListener::bind(("127.0.0.1", *port)).is_ok()).unwrap()
}

/// Starts the ranks of a group, each with a folder of `outs` in turn; rank `dies.0` dies after `dies.1` iterations.
fn start(config: &Path, outs: &[&Path], ranks: usize, dies: Option<(usize, u64)>) -> Vec<Child> {
    let port = free_port();
    let start = |rank: usize| {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command
            .args(["--exact", "a_rank"])
            .env(CONFIG, config)
            .env(OUT, outs[rank % outs.len()])
            .env("OMP_NUM_THREADS", "1");
        if ranks > 1 {
            command.env("MASTER_ADDR", "127.0.0.1").env("MASTER_PORT", port.to_string());
            command.env("RANK", rank.to_string()).env("WORLD_SIZE", ranks.to_string());
        }
        if let Some((_, after)) = dies.filter(|(victim, _)| *victim == rank) {
            command.env(DIES, after.to_string());
        }
        command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap()
    };
    (0..ranks).map(start).collect()
}

fn finish(ranks: Vec<Child>) -> Vec<Output> {
    ranks.into_iter().map(|child| child.wait_with_output().unwrap()).collect()
}

/// Runs a group to its end.
fn through(config: &Path, out: &Path, ranks: usize) {
    for (rank, output) in finish(start(config, &[out], ranks, None)).iter().enumerate() {
        let words = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "rank {rank} of {ranks}: {} {words}", output.status);
    }
}

/// Writes settings where a rank finds them.
fn settings(scenes: &Scenes, name: &str, text: &str) -> PathBuf {
    let file = scenes.out(name);
    std::fs::write(&file, text).unwrap();
    file
}

/// The log without what the clock decides, and whose header is the same text.
fn log(out: &Path) -> (Vec<String>, Vec<Vec<f64>>) {
    let text = std::fs::read_to_string(out.join("log.csv")).unwrap();
    let mut lines = text.lines().map(|line| line.split(',').map(str::to_owned).collect::<Vec<_>>());
    let header = lines.next().unwrap();
    let kept: Vec<usize> = (0..header.len()).filter(|i| !header[*i].starts_with("ms")).collect();
    let number = |text: &String| if text.is_empty() { 0.0 } else { text.parse().unwrap() };
    let rows = lines.map(|line| kept.iter().map(|i| number(&line[*i])).collect());
    (kept.iter().map(|i| header[*i].clone()).collect(), rows.collect())
}

/// The largest difference of the first `rows` rows in the columns of some names, and where; relative to the largest value of the group
/// of columns (what stands before the dot of its name): of numbers with one sum those near zero carry the rounding of the others.
fn distance([a, b]: [&[Vec<f64>]; 2], header: &[String], rows: usize, of: impl Fn(&str) -> bool) -> (f64, String) {
    let group = |name: &str| name.split('.').next().unwrap_or(name).to_owned();
    let mut worst = (0.0, String::new());
    for (column, name) in header.iter().enumerate().filter(|(_, name)| of(name)) {
        let columns = || header.iter().enumerate().filter(|(_, other)| group(other) == group(name)).map(|(c, _)| c);
        let all = [a, b].into_iter().flat_map(|log| log.iter().take(rows));
        let largest = all.flat_map(|row| columns().map(|c| row[c].abs())).fold(f64::MIN_POSITIVE, f64::max);
        let off = a.iter().zip(b).take(rows).map(|(a, b)| (a[column] - b[column]).abs() / largest).fold(0.0, f64::max);
        if off > worst.0 {
            worst = (off, name.clone());
        }
    }
    worst
}

/// A search of a batch of four, with terms divided by their size: what every rank sees has its part in the factors too.
fn search_config(scenes: &Scenes, by_segmentation: bool, own: &[&str]) -> PathBuf {
    let config = if by_segmentation { scenes.search_by_segmentation(3) } else { scenes.search(3) };
    let file = settings(scenes, "plain.toml", &toml::to_string(&config).unwrap());
    // libtorch normalises channels-last values by another, coarser sum: one rank differs from itself in the other layout by 3e-3 in
    // the norm of v of the first iteration, and one that normalises as the ranks do only by rounding.
    let usual = ["run.batch=4", "run.layout=planar", "loss.scale=gradient"];
    let set: Vec<String> = usual.iter().chain(own).map(|text| (*text).to_owned()).collect();
    let config: SearchConfig = load(Some(&file), &set).unwrap();
    settings(scenes, "search.toml", &toml::to_string(&config).unwrap())
}

#[test]
fn ranks_find_the_beta_of_one_with_the_same_batch() {
    for (seed, by_segmentation, groups) in [(11, false, &[2, 4][..]), (12, true, &[2])] {
        let scenes = Scenes::new(seed);
        let file = search_config(&scenes, by_segmentation, &[]);
        let alone = scenes.out("alone");
        through(&file, &alone, 1);
        let (header, expected) = log(&alone);
        let config = |out: &Path| std::fs::read_to_string(out.join("config.toml")).unwrap();
        for &ranks in groups {
            let out = scenes.out(&format!("of {ranks}"));
            through(&file, &out, ranks);
            let (found_header, found) = log(&out);
            assert_eq!((&found_header, found.len()), (&header, expected.len()));
            assert_eq!(config(&out), config(&alone));
            // Sums in another order were off by 7e-5 at most in the first iteration, where v is differentiated through two networks and
            // thus carries ten times the rounding of the losses, and by 2.3e-4 in beta after three: it grows by about five an iteration.
            // The distance of the two forms of the hypergradient is the difference of two numbers that are nearly the same.
            let compared = |name: &str| !name.starts_with("fd_exact");
            let first = distance([&expected, &found], &header, 1, compared);
            // Rounding grows by a factor of five an iteration.
            let beta = distance([&expected, &found], &header, 3, |name| name.starts_with("beta."));
            say(&format!(
                "{ranks} ranks: first iteration {:.1e} ({}), beta {:.1e} ({})",
                first.0, first.1, beta.0, beta.1
            ));
            assert!(first.0 < 1e-3, "{first:?}");
            assert!(beta.0 < 5e-3, "{beta:?}");
        }
        if !by_segmentation {
            // Statistics of each rank's own part are another normalisation.
            let out = scenes.out("own");
            through(&search_config(&scenes, false, &["run.norm_statistics=own"]), &out, 2);
            let (_, found) = log(&out);
            let first = distance([&expected, &found], &header, 1, |name| name == "v_norm");
            assert!(first.0 > 1e-2, "{first:?}");
        }
    }
}

#[test]
fn a_rank_that_dies_ends_all_by_name_and_the_run_goes_on_from_its_state() {
    let scenes = Scenes::new(13);
    let file = search_config(&scenes, false, &["run.batch=3", "run.iterations=4"]);
    let (straight, died) = (scenes.out("straight"), scenes.out("died"));
    through(&file, &straight, 3);
    let began = std::time::Instant::now();
    let outputs = finish(start(&file, &[&died], 3, Some((1, 2))));
    for (rank, output) in outputs.iter().enumerate().filter(|(rank, _)| *rank != 1) {
        let words = String::from_utf8_lossy(&output.stderr);
        let expected = "rank ended: rank 1 of 3 (host ";
        assert!(words.contains(expected) && words.contains("ended without a word"), "rank {rank}: {words}");
        assert_eq!(output.status.code(), Some(1), "rank {rank}: {words}");
    }
    say(&format!(
        "a group of three, of which one dies after two iterations: over in {:.1} s",
        began.elapsed().as_secs_f64()
    ));
    let saved = load_safetensors(died.join("state.safetensors")).unwrap();
    let saved = saved.get("iteration").unwrap().to_i64_vec().unwrap()[0];
    assert!((1..=2).contains(&saved), "{saved}");
    through(&file, &died, 3);
    for name in ["state.safetensors", "fusion.safetensors", "task.safetensors"] {
        assert_eq!(differing(&straight.join(name), &died.join(name)), Vec::<String>::new(), "{name}");
    }
    assert_eq!(log(&straight), log(&died));
}

#[test]
fn a_task_is_trained_by_two_ranks_with_one_log_and_one_best_network() {
    let scenes = Scenes::new(14);
    let mut config = scenes.task(&scenes.root().join("vi"));
    config.run.batch = 2;
    config.run.iterations = Some(6);
    config.validation.every = Some(2);
    let file = settings(&scenes, "task.toml", &toml::to_string(&config).unwrap());
    let file = {
        let config: TaskTrainConfig = load(Some(&file), &["run.layout=planar".to_owned()]).unwrap();
        settings(&scenes, "task.toml", &toml::to_string(&config).unwrap())
    };
    let (alone, two) = (scenes.out("alone"), scenes.out("two"));
    through(&file, &alone, 1);
    through(&file, &two, 2);
    let ((header, expected), (found_header, found)) = (log(&alone), log(&two));
    assert_eq!((&found_header, found.len()), (&header, 6));
    let off = distance([&expected, &found], &header, 6, |_| true);
    say(&format!("a training of a task by two ranks: {:.1e} ({})", off.0, off.1));
    assert!(off.0 < 1e-3, "{off:?}");
    let rows = |out: &Path| std::fs::read_to_string(out.join("validation.csv")).unwrap().lines().count();
    assert_eq!((rows(&alone), rows(&two)), (4, 4));
    // The same names and shapes.
    let names = |out: &Path| load_safetensors(out.join("best.safetensors")).unwrap().iter().count();
    assert_eq!(names(&alone), names(&two));
}

#[test]
fn a_batch_that_cannot_be_shared_and_a_rank_of_another_run_are_refused() {
    let scenes = Scenes::new(15);
    let file = search_config(&scenes, false, &["run.batch=3"]);
    for output in finish(start(&file, &[&scenes.out("odd")], 2, None)) {
        let words = String::from_utf8_lossy(&output.stderr);
        assert!(words.contains("`run.batch`: expected a multiple of the 2 ranks, found 3"), "{words}");
    }
    // Two folders for one group: the second rank sees no state where the first does.
    let file = search_config(&scenes, false, &["run.iterations=1"]);
    let seen = scenes.out("seen");
    through(&file, &seen, 2);
    let words = finish(start(&file, &[&seen, &scenes.out("unseen")], 2, None)).remove(1).stderr;
    let words = String::from_utf8_lossy(&words);
    let expected = "rank 1 of 2: the state in ";
    assert!(words.contains(expected) && words.contains("expected 1 iterations, found 0 iterations"), "{words}");
}
