//! `caf-search run`: killed and stopped in each step it ends with the bits of an undisturbed run; nothing is done twice; the
//! configurations of the project are what the paper says.

#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests stop at the line that fails")]

use caf_console::{Progress, Silent, StopFlag};
use caf_search::ablate::Study;
use caf_search::chain::{ChainConfig, Steps, files, run};
use caf_search::settings::load;
use std::cell::Cell;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

const SMALL: &str = "scenes-yolov5n.toml";
/// What makes it tiny.
const TINY: [&str; 12] = [
    "scenes.count=8",
    "scenes.val_share=0.5",
    "scenes.size_px=[112, 80]",
    "run.threads=1",
    "fusion.network={ width = 4, depth = 2 }",
    "task={ kind = \"detection\", variant = \"n\", width_multiple = 0.125 }",
    "search.run={ iterations = 3, batch = 2, size_px = [64, 64] }",
    "train_fusion.run={ iterations = 3, batch = 2, size_px = [64, 64], save_every = 1 }",
    "train_task.run={ iterations = 3, batch = 2, size_px = [128, 96], save_every = 1 }",
    "train_task.task.optimizer.warmup=1",
    "train_fusion.validation.pairs=2",
    "run.seed=3",
];

fn configs() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../configs")
}

fn tiny(more: &[&str]) -> ChainConfig {
    let set: Vec<String> = TINY.iter().chain(more).map(|text| (*text).to_owned()).collect();
    load(Some(&configs().join(SMALL)), &set).unwrap()
}

/// Names and contents of everything in a folder, but what is of the clock, of paths, or of the machine.
fn results(out: &Path) -> Vec<(String, Vec<u8>)> {
    let mut files: Vec<(String, Vec<u8>)> = Vec::new();
    for name in
        ["search/beta.toml", "search/fusion.safetensors", "search/task.safetensors", "fusion/fusion.safetensors"]
    {
        files.push((name.to_owned(), std::fs::read(out.join(name)).unwrap()));
    }
    for name in ["task/last.safetensors", "evaluation/evaluation.json"] {
        files.push((name.to_owned(), std::fs::read(out.join(name)).unwrap()));
    }
    let mut images: Vec<PathBuf> =
        std::fs::read_dir(out.join(files::FUSED)).unwrap().map(|e| e.unwrap().path()).collect();
    images.retain(|path| path.extension().is_some_and(|extension| extension == "png"));
    images.sort();
    assert_eq!(images.len(), 8, "{images:?}");
    files.extend(images.iter().map(|path| {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        (name, std::fs::read(path).unwrap())
    }));
    files
}

/// Weights that name the folder of the run in their metadata would differ for that alone.
fn assert_same(straight: &Path, other: &Path) {
    for ((name, a), (of, b)) in results(straight).into_iter().zip(results(other)) {
        let name = format!("{}: {name}", other.display());
        assert!(name.ends_with(&of), "{name} and {of}");
        let text = |bytes: &[u8], out: &Path| String::from_utf8_lossy(bytes).replace(&out.display().to_string(), "OUT");
        match name.rsplit_once('.').map(|(_, kind)| kind) {
            Some("toml" | "json") => assert_eq!(text(&a, straight), text(&b, other), "{name}"),
            Some("safetensors") => {
                let [a, b] = [straight, other].map(|out| caf_weights::load_safetensors(out.join(&of)).unwrap());
                let differing: Vec<&str> = a.iter().filter(|(n, t)| b.get(n) != Some(t)).map(|(n, _)| n).collect();
                assert!(differing.is_empty() && a.len() == b.len(), "{name}: {differing:?}");
            }
            _ => assert!(a == b, "{name}"),
        }
    }
}

/// Raises a flag when something has advanced so often in all.
struct StopAt<'a> {
    left: Cell<u64>,
    stop: &'a StopFlag,
}

impl Progress for StopAt<'_> {
    fn begin(&self, _: &str, _: u64, _: u64) {}
    fn advance(&self, _: u64, _: &str) {
        self.left.set(self.left.get().saturating_sub(1));
        if self.left.get() == 0 {
            self.stop.raise();
        }
    }
    fn end(&self) {}
    fn say(&self, _: &str) {}
}

#[test]
fn killed_and_stopped_in_every_step_it_ends_as_one_that_never_was() {
    let dir = tempfile::tempdir().unwrap();
    let out = |name: &str| dir.path().join(name);
    let config = tiny(&[]);
    let done = run(&config, &out("straight"), &Silent, &StopFlag::default()).unwrap();
    assert!(!done.interrupted && done.evaluation.is_some(), "{done:?}");
    let names: Vec<&str> = done.steps.iter().map(|step| step.name).collect();
    assert_eq!(names, ["search", "fusion", "fused", "task", "evaluation"]);

    // Stopped again and again, a little later each time: images that are there already count as advances, too.
    let (mut starts, mut most) = (0, 0);
    loop {
        let stop = StopFlag::default();
        let stopping = StopAt { left: Cell::new(2 + starts), stop: &stop };
        let done = run(&config, &out("stopped"), &stopping, &stop).unwrap();
        starts += 1;
        assert!(done.steps.len() >= most && starts < 40, "{starts} starts: {done:?}");
        most = done.steps.len();
        if !done.interrupted {
            break;
        }
    }
    assert!(starts > 4, "{starts}");
    assert_same(&out("straight"), &out("stopped"));

    // Killed at the beginning of every step, by the program.
    let mut line = vec!["run".to_owned(), configs().join(SMALL).display().to_string()];
    line.extend(["--out".to_owned(), out("killed").display().to_string()]);
    line.extend(TINY.iter().flat_map(|set| ["--set".to_owned(), (*set).to_owned()]));
    let program = |stderr: Stdio| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_caf-search"));
        command.args(&line).stdout(Stdio::null()).stderr(stderr);
        command
    };
    for step in 1..=5 {
        let mut victim = program(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(victim.stderr.take().unwrap()).lines().map(Result::unwrap);
        let found = lines.find(|line| line.contains(&format!("step {step} of 5")));
        victim.kill().unwrap();
        victim.wait().unwrap();
        // A kill that comes late may leave the next step done already.
        assert!(found.is_some() || step > 1, "step {step} did not begin");
    }
    assert!(program(Stdio::inherit()).status().unwrap().success());
    assert_same(&out("straight"), &out("killed"));
    let page = std::fs::read_to_string(out("killed").join(files::PAGE)).unwrap();
    for part in
        ["The run is complete", "search/report.html", "fusion/report.html", "task/report.html", "map50", "l1.ir"]
    {
        assert!(page.contains(part), "{part}: {page}");
    }

    // A finished step is not run again: it could not go on without its state.
    std::fs::remove_file(out("stopped").join("search/state.safetensors")).unwrap();
    let again = run(&config, &out("stopped"), &Silent, &StopFlag::default()).unwrap();
    assert!(again.steps.len() == 5 && again.steps.iter().all(|step| step.was_done), "{again:?}");
    // What may change may; what may not is named, and so is a result that is not what the step left.
    let with = |more: &[&str]| run(&tiny(more), &out("stopped"), &Silent, &StopFlag::default());
    with(&["run.device=auto", "train_task.data.workers=1"]).unwrap();
    for (set, words) in [
        ("train_task.run.epochs=7", "train_task.run.epochs: saved 50, now 7"),
        ("search.beta.rate=0.1", "search.beta.rate: saved 0.05, now 0.1"),
        ("scenes.count=9", "scenes.count: saved 8, now 9"),
        ("evaluation.network=best", "evaluation.network: saved \"last\", now \"best\""),
    ] {
        let error = with(&[set]).unwrap_err().to_string();
        assert!(error.contains(words), "{set}: {error}");
    }
    std::fs::write(out("stopped").join("search/beta.toml"), "[weights]\n\"l1.ir\" = 1.0\n").unwrap();
    let error = with(&[]).unwrap_err().to_string();
    assert!(error.contains("beta.toml") && error.contains("what the step `search` left"), "{error}");
}

#[test]
fn every_configuration_is_valid_and_the_papers_are_the_papers() {
    let mut found = Vec::new();
    let mut of = |name: &str| -> Steps {
        found.push(name.to_owned());
        load::<ChainConfig>(Some(&configs().join(name)), &[]).unwrap().resolve().unwrap()
    };
    // Search configurations: Adam 5e-2, decay 0.998, 10 epochs. Training configurations: Adam 1e-4, 100 epochs; 100 epochs for detection,
    // 4k iterations for segmentation. Models s and b1.
    let [detection, segmentation] = ["m3fd-yolov5s.toml", "mfnet-segformer-b1.toml"].map(&mut of);
    for steps in [&detection, &segmentation] {
        assert_eq!((steps.search.beta.rate, steps.search.beta.decay), (5e-2, 0.998));
        assert_eq!((steps.search.run.epochs, steps.search.run.iterations, steps.search.run.batch), (10, None, 8));
        assert_eq!(steps.search.run.size_px.wh(), [320, 320]);
        assert_eq!((steps.train_fusion.run.epochs, steps.train_fusion.run.iterations), (100, None));
        assert_eq!((steps.search.fusion.rate, steps.train_fusion.fusion.rate), (1e-4, 1e-4));
        assert_eq!(steps.search.unrolled.eta, None);
        assert_eq!(steps.search.loss.active_terms().len(), 15);
    }
    let word = |steps: &Steps, key: &str| steps.train_task.task.table().get(key).unwrap().as_str().unwrap().to_owned();
    assert_eq!((detection.train_task.run.epochs, detection.train_task.run.iterations), (100, None));
    assert_eq!((detection.train_task.task.kind().kind, word(&detection, "variant")), ("detection", "s".to_owned()));
    assert_eq!(segmentation.train_task.run.iterations, Some(4000));
    let kind = segmentation.search.task.kind().kind;
    assert_eq!((kind, word(&segmentation, "variant")), ("segmentation", "b1".to_owned()));
    of(SMALL);
    // One of a study, which gets its methods from the command line of `ablate`.
    let study = "table3.toml";
    load::<Study>(Some(&configs().join(study)), &[]).unwrap();
    found.push(study.to_owned());
    let mut there: Vec<String> = std::fs::read_dir(configs())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
        .filter(|name| name.ends_with(".toml"))
        .collect();
    there.sort();
    found.sort();
    assert_eq!(there, found, "a configuration that nothing reads");
}
