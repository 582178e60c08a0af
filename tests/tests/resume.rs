//! Interrupted and killed runs give the same bits as uninterrupted ones; the β step leaves nothing behind but β.

#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests stop at the line that fails")]

use caf_console::{Progress, Silent, StopFlag};
use caf_golden::{StopAfter, say};
use caf_search::error::SearchError;
use caf_search::fusion::train;
use caf_search::search::{SearchConfig, UnrolledSettings, run};
use caf_search::settings::load;
use caf_tests::scenes::{Scenes, differing};
use caf_weights::load_safetensors;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::Path;
use std::process::{Command, Stdio};

/// Names the folder of the process that is going to be killed.
const VICTIM: &str = "CAF_TESTS_VICTIM";

/// Reports every iteration on standard output, and stays in the seventh: a process that is going to be killed does not end by
/// itself, however late the kill comes. It does end when the one that would kill it is gone.
struct Victim;

impl Progress for Victim {
    fn begin(&self, _: &str, _: u64, _: u64) {}
    fn advance(&self, done: u64, _: &str) {
        // Not `println!`, which the test harness captures.
        let mut out = std::io::stdout();
        writeln!(out, "iteration {done}").and_then(|()| out.flush()).unwrap();
        if done == 7 {
            let end = std::io::stdin().read(&mut [0]);
            panic!("nobody killed the victim: {end:?}");
        }
    }
    fn end(&self) {}
    fn say(&self, _: &str) {}
}

fn search_until(config: &SearchConfig, out: &Path, iterations: u64) {
    let stop = StopFlag::default();
    let finished = run(config, out, &StopAfter(iterations, &stop), &stop).unwrap();
    assert_eq!((finished.iterations as u64, finished.interrupted), (iterations, true));
}

/// The log without what the clock decides.
fn log(out: &Path) -> Vec<Vec<String>> {
    let text = std::fs::read_to_string(out.join("log.csv")).unwrap();
    let rows: Vec<Vec<String>> = text.lines().map(|line| line.split(',').map(str::to_owned).collect()).collect();
    let kept: Vec<usize> = (0..rows[0].len()).filter(|i| !rows[0][*i].starts_with("ms")).collect();
    assert!(kept.len() > 20, "{:?}", rows[0]);
    rows.iter().map(|row| kept.iter().map(|i| row[*i].clone()).collect()).collect()
}

/// Everything two searches leave must be the same bits.
fn assert_same_search(a: &Path, b: &Path) {
    let mut tensors = 0;
    for file in ["state.safetensors", "fusion.safetensors", "task.safetensors"] {
        assert_eq!(differing(&a.join(file), &b.join(file)), Vec::<String>::new(), "{file}");
        tensors += load_safetensors(a.join(file)).unwrap().len();
    }
    assert_eq!(log(a), log(b));
    let beta = |out: &Path| std::fs::read_to_string(out.join("beta.toml")).unwrap();
    assert_eq!(beta(a), beta(b));
    let name = b.file_name().unwrap().to_string_lossy();
    say(&format!("search, {name} and resumed: {tensors} tensors, {} rows of the log equal", log(a).len() - 1));
}

#[test]
fn a_search_that_was_stopped_gives_the_same_bits() {
    let scenes = Scenes::new(2);
    let config = scenes.search(4);
    let (straight, stopped) = (scenes.out("straight"), scenes.out("stopped"));
    run(&config, &straight, &Silent, &StopFlag::default()).unwrap();
    search_until(&config, &stopped, 1);
    search_until(&config, &stopped, 3);
    let finished = run(&config, &stopped, &Silent, &StopFlag::default()).unwrap();
    assert_eq!((finished.iterations, finished.interrupted), (4, false));
    assert_same_search(&straight, &stopped);
}

/// Several fusion steps a β step, after a rest, with terms divided by their size and a task network that stays as it starts.
#[test]
fn a_search_that_takes_its_steps_by_settings_gives_the_same_bits() {
    let scenes = Scenes::new(7);
    let (taught, straight, stopped) =
        (scenes.out("taught"), scenes.out("by settings"), scenes.out("stopped, by settings"));
    run(&scenes.search(1), &taught, &Silent, &StopFlag::default()).unwrap();
    let weights = taught.join("task.safetensors");
    let file = scenes.out("search.toml");
    std::fs::write(&file, toml::to_string(&scenes.search(6)).unwrap()).unwrap();
    let settings = [
        "loss.scale=gradient".to_owned(),
        "steps={ task = false, fusion_per_beta = 2 }".to_owned(),
        "beta={ freeze_iterations = 1, batch = 3, momentum = 0.5 }".to_owned(),
        format!("task.init={}", toml::Value::String(weights.display().to_string())),
    ];
    let config: SearchConfig = load(Some(&file), &settings).unwrap();
    let done = run(&config, &straight, &Silent, &StopFlag::default()).unwrap();
    search_until(&config, &stopped, 2);
    search_until(&config, &stopped, 3);
    run(&config, &stopped, &Silent, &StopFlag::default()).unwrap();
    assert_same_search(&straight, &stopped);

    // β moves in iterations 2 and 4: after one of rest, every second.
    let rows = log(&straight);
    let column = |name: &str| rows[0].iter().position(|c| c == name).unwrap_or_else(|| panic!("{name}: {:?}", rows[0]));
    let [validation, task, beta] = ["val_total", "task_total", "beta.l1.ir"].map(column);
    let moved: Vec<bool> = rows[1..].iter().map(|row| !row[validation].is_empty()).collect();
    assert_eq!(moved, [false, false, true, false, true, false]);
    assert!(rows[1..].iter().all(|row| row[task].is_empty()));
    assert_eq!((&rows[1][beta], &rows[3][beta]), (&rows[2][beta], &rows[4][beta]));
    assert_ne!(rows[2][beta], rows[3][beta]);
    // The file's weights are those of undivided terms.
    let sum: f64 = done.beta.weights.iter().map(|(term, weight)| weight * done.beta.scales[term]).sum();
    assert!((sum - 1.0).abs() < 1e-6 && done.beta.scales.values().any(|s| (s - 1.0).abs() > 0.1), "{:?}", done.beta);
    // The task network has learned nothing.
    assert_eq!(differing(&weights, &straight.join("task.safetensors")), Vec::<String>::new());
}

/// The search knows no task: the same holds for one driven by segmentation, whose network drops paths at random.
#[test]
fn a_search_driven_by_segmentation_moves_beta_and_gives_the_same_bits() {
    let scenes = Scenes::new(6);
    let config = scenes.search_by_segmentation(4);
    let (straight, stopped) = (scenes.out("straight"), scenes.out("stopped by segmentation"));
    let done = run(&config, &straight, &Silent, &StopFlag::default()).unwrap();
    let equal = 1.0 / done.beta.weights.len() as f64;
    assert!(done.beta.weights.values().any(|w| (w - equal).abs() > 1e-4), "{:?}", done.beta.weights);
    search_until(&config, &stopped, 1);
    search_until(&config, &stopped, 3);
    run(&config, &stopped, &Silent, &StopFlag::default()).unwrap();
    assert_same_search(&straight, &stopped);
    let header = std::fs::read_to_string(straight.join("log.csv")).unwrap();
    assert!(header.contains(",task_total,fusion_total,"), "{}", header.lines().next().unwrap());
}

#[test]
fn a_search_that_was_killed_loses_at_most_the_running_iteration() {
    if let Some(root) = std::env::var_os(VICTIM) {
        // The process that is going to be killed; see below.
        let config = load(Some(&Path::new(&root).join("search.toml")), &[]).unwrap();
        run(&config, &Path::new(&root).join("killed"), &Victim, &StopFlag::default()).unwrap();
        return;
    }
    let scenes = Scenes::new(3);
    let (straight, killed) = (scenes.out("straight"), scenes.out("killed"));
    let config = scenes.search(10);
    std::fs::write(scenes.out("search.toml"), toml::to_string(&config).unwrap()).unwrap();
    let mut victim = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "a_search_that_was_killed_loses_at_most_the_running_iteration"])
        .env(VICTIM, scenes.out(""))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut reports = BufReader::new(victim.stdout.take().unwrap()).lines().map(Result::unwrap);
    // Blocks until the report comes, or the process ends without it.
    let third = reports.find(|line| line.ends_with("iteration 3"));
    // While it runs its folder is its own; the kill gives it back.
    let second = run(&config, &killed, &Silent, &StopFlag::default());
    victim.kill().unwrap();
    let end = victim.wait().unwrap();
    assert!(third.is_some(), "the search ended by itself: {end}");
    assert!(matches!(second, Err(SearchError::InUse { .. })), "{second:?}");

    let saved = load_safetensors(killed.join("state.safetensors")).unwrap();
    let saved = saved.get("iteration").unwrap().to_i64_vec().unwrap()[0] as usize;
    let logged = std::fs::read_to_string(killed.join("log.csv")).unwrap().lines().count() - 1;
    assert!((2..10).contains(&saved) && saved + 1 >= logged, "{logged} iterations were logged, {saved} saved");
    // A result folder that was never finished is continued to the same end as one that was never interrupted.
    run(&config, &killed, &Silent, &StopFlag::default()).unwrap();
    run(&config, &straight, &Silent, &StopFlag::default()).unwrap();
    assert_same_search(&straight, &killed);
}

#[test]
fn a_fusion_training_that_was_stopped_gives_the_same_bits() {
    let scenes = Scenes::new(4);
    let beta = scenes.out("beta.toml");
    std::fs::write(&beta, "[weights]\n\"l1.ir\" = 0.4\n\"ssim.vi\" = 0.3\n\"grad.max\" = 0.3\n").unwrap();
    let config = scenes.fusion(beta, 4);
    let (straight, stopped) = (scenes.out("straight"), scenes.out("stopped"));
    train(&config, &straight, &Silent, &StopFlag::default()).unwrap();
    let stop = StopFlag::default();
    let finished = train(&config, &stopped, &StopAfter(2, &stop), &stop).unwrap();
    assert_eq!((finished.iterations, finished.interrupted), (2, true));
    train(&config, &stopped, &Silent, &StopFlag::default()).unwrap();
    for file in ["state.safetensors", "fusion.safetensors"] {
        assert_eq!(differing(&straight.join(file), &stopped.join(file)), Vec::<String>::new(), "{file}");
    }
}

/// While the weights rest the fusion network moves at a rate of its own, and at that of the search from the first β step on.
#[test]
fn the_fusion_network_settles_at_a_rate_of_its_own() {
    let scenes = Scenes::new(5);
    let mut plain = scenes.search(2);
    plain.beta.freeze_iterations = 2;
    plain.fusion.rate = 1e-3;
    plain.unrolled.eta = Some(1e-3);
    let mut settling = plain.clone();
    settling.beta.freeze_fusion_rate = Some(1e-3);
    settling.fusion.rate = 1e-5;
    let mut moving = settling.clone();
    moving.beta.freeze_iterations = 1;
    let [plain, settling, moving] =
        [("plain", plain), ("settling", settling), ("moving", moving)].map(|(name, config)| {
            let out = scenes.out(name);
            run(&config, &out, &Silent, &StopFlag::default()).unwrap();
            out.join("fusion.safetensors")
        });
    assert_eq!(differing(&plain, &settling), Vec::<String>::new());
    assert!(!differing(&plain, &moving).is_empty(), "the second iteration still took the settling rate");
}

/// Two searches, of which one takes β steps too small to show in β (its logits stay the same floats): whatever else differs was left
/// behind by the β step.
#[test]
fn the_beta_step_of_a_real_search_has_no_side_effects() {
    let scenes = Scenes::new(5);
    let mut config = scenes.search(3);
    config.beta.freeze_iterations = 3;
    let resting = scenes.out("resting");
    run(&config, &resting, &Silent, &StopFlag::default()).unwrap();
    let forms = [
        ("fd", "own", "batch"),
        ("exact", "own", "batch"),
        ("exact", "fusion_step", "batch"),
        ("exact", "own", "running"),
    ];
    let mut validation_losses = Vec::new();
    for (method, gradient, statistics) in forms {
        let mut moving = config.clone();
        moving.beta.freeze_iterations = 0;
        moving.beta.rate = 1e-20;
        // Both forms are computed in every iteration, one of them moves β.
        let set = [("method", method), ("gradient", gradient), ("task_statistics", statistics)];
        let form: SearchConfig = load(None, &set.map(|(key, value)| format!("unrolled.{key}={value}"))).unwrap();
        moving.unrolled = UnrolledSettings { check_every: 1, ..form.unrolled };
        let out = scenes.out(&format!("{method}-{gradient}-{statistics}"));
        run(&moving, &out, &Silent, &StopFlag::default()).unwrap();
        let [before, after] = [&resting, &out].map(|f| load_safetensors(f.join("state.safetensors")).unwrap());
        assert_eq!(before.get("beta"), after.get("beta"));
        let changed = differing(&resting.join("state.safetensors"), &out.join("state.safetensors"));
        let of_optimiser = |name: &&String| name.starts_with("beta_adam");
        assert!(
            changed.iter().any(|name| of_optimiser(&name)),
            "{method}: β's optimiser has not moved: no β step was taken"
        );
        // The hypergradients themselves are kept for the log.
        let foreign: Vec<&String> = changed.iter().filter(|name| !of_optimiser(name) && *name != "signal").collect();
        assert!(foreign.is_empty(), "{method}: {foreign:?}");
        say(&format!("β steps ({method}): {} tensors untouched, {changed:?} moved", before.len() - changed.len()));
        let rows = log(&out);
        let column = rows[0].iter().position(|name| name == "val_total").unwrap();
        validation_losses.push(rows[1][column].clone());
    }
    assert_ne!(validation_losses[1], validation_losses[3], "running statistics gave the loss of the batch's own");
}
