//! `caf-search ablate` as a caller meets it: killed, shared, copied, changed.

#![allow(clippy::unwrap_used, reason = "helpers of tests stop at the line that fails")]

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

/// Two image sources and a loss that is trained with two seeds, by a frozen detector, on scenes of a few pixels.
const STUDY: &str = r#"
seeds = [1, 2]
methods = ["infrared", "average", "only:grad.ir", { name = "random", draws = 2, seed = 3 }]
run = { device = "cpu", threads = 1 }
scenes = { count = 10, seed = 5, size_px = [64, 64], val_share = 0.5 }
fusion = { iterations = 5, batch = 1, size_px = [24, 24], rate = 0.001, save_every = 1 }
p1 = { size_px = [64, 64] }
metrics = true
"#;

struct Study(tempfile::TempDir);

impl Study {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("study.toml"), STUDY).unwrap();
        Study(folder)
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn command(&self, out: &str, more: &[&str]) -> Command {
        let weights = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/weights/yolov5n-scenes.safetensors");
        let weights = format!("p1.weights={:?}", weights.canonicalize().unwrap());
        let mut command = Command::new(env!("CARGO_BIN_EXE_caf-search"));
        command.current_dir(self.path()).args(["ablate", "--config", "study.toml", "--out", out]);
        // A detector that the study trains takes the place of the file.
        if !more.iter().any(|set| set.starts_with("p1=")) {
            command.args(["--set", &weights]);
        }
        command.args(more).env("OMP_NUM_THREADS", "1").env("RAYON_NUM_THREADS", "2");
        command
    }

    fn run(&self, out: &str, more: &[&str]) -> Output {
        self.command(out, more).output().unwrap()
    }

    fn start(&self, out: &str, more: &[&str]) -> Child {
        self.command(out, more).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
    }

    /// Starts the study and kills it, at random moments of the time that all of it takes. A start takes part of the time itself.
    fn kill(&self, out: &str, times: usize, whole: Duration, more: &[&str]) {
        let mut turn = 12345_u64;
        for _ in 0..times {
            turn = turn.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            let mut child = self.start(out, more);
            std::thread::sleep(whole.mul_f64(0.1 + 0.4 * ((turn >> 33) as f64 / f64::from(1_u32 << 31))));
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    /// Rows without the time they took, in the order of their text.
    fn rows(&self, out: &str) -> BTreeSet<String> {
        let text = fs::read_to_string(self.path().join(out).join("rows.csv")).unwrap();
        assert!(text.ends_with('\n'), "{text}");
        let rows: Vec<String> = text.lines().map(|line| line.rsplit_once(',').unwrap().0.to_owned()).collect();
        let distinct: BTreeSet<String> = rows.iter().cloned().collect();
        assert_eq!(distinct.len(), rows.len(), "a job has one row: {text}");
        distinct
    }
}

fn finished(output: &Output) {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// What is left in the folders of methods.
fn left(folder: &Path) -> BTreeSet<String> {
    let cells =
        fs::read_dir(folder.join("cells")).unwrap().flat_map(|cell| fs::read_dir(cell.unwrap().path()).unwrap());
    cells.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

#[test]
fn killed_shared_and_copied_studies_have_the_rows_of_an_undisturbed_one() {
    let study = Study::new();
    let began = Instant::now();
    let compare = "compare=[[\"grad.ir\", \"average\"], [\"grad.ir\", \"random\"]]";
    finished(&study.run("straight", &["--set", compare]));
    let whole = began.elapsed();
    let expected = study.rows("straight");
    // A header, two image sources once, three losses with two seeds.
    assert_eq!(expected.len(), 1 + 2 + 3 * 2, "{expected:?}");
    let read = |name: &str| fs::read_to_string(study.path().join("straight").join(name)).unwrap();
    assert!(read("table.txt").contains("8 of 8 rows are there") && read("table.txt").contains("random (mean of 2)"));
    assert!(read("p1.svg").contains("grad.ir") && read("report.html").contains("data:image/svg+xml"));
    let tested = read("tests.csv");
    assert!(tested.lines().nth(1).unwrap().starts_with("p1,grad.ir,average,2,"), "{tested}");
    let kept = ["beta.toml", "fusion.csv", "fusion.safetensors", "run.lock"].map(str::to_owned);
    assert_eq!(left(&study.path().join("straight")), BTreeSet::from(kept));

    // Within rendering, trainings, fusing, measuring, writing.
    study.kill("killed", 8, whole, &[]);
    // Goes on elsewhere: what lies there from another place starts again or goes on.
    fs::rename(study.path().join("killed"), study.path().join("copied")).unwrap();
    finished(&study.run("copied", &[]));
    assert_eq!(study.rows("copied"), expected);

    let mut both = [study.start("shared", &[]), study.start("shared", &[])];
    for child in &mut both {
        assert!(child.wait().unwrap().success());
    }
    assert_eq!(study.rows("shared"), expected);
}

/// A detector that the study trains itself, one that is trained anew for each method, and a loss that is searched.
const WHOLE: [&str; 10] = [
    "--set",
    r#"methods=["visible", "only:l1.max", { name = "found", search = { run = { iterations = 3, batch = 1, size_px = [64, 64] }, task = { init = "frozen" } } }]"#,
    "--set",
    r#"protocols=["p1", "p2"]"#,
    "--set",
    "seeds=[4]",
    "--set",
    r#"search={ data = { neighbour_gap = 0 }, task = { variant = "n" } }"#,
    "--set",
    r#"p2={ iterations = 3, batch = 2, size_px = [64, 64], save_every = 1, task = { variant = "n" } }"#,
];

#[test]
fn searched_losses_and_detectors_trained_on_each_method_are_rows_like_others() {
    let study = Study::new();
    let weights =
        r#"p1={ train = { iterations = 3, batch = 2, size_px = [64, 64], save_every = 1, task = { variant = "n" } } }"#;
    let text = fs::read_to_string(study.path().join("study.toml")).unwrap();
    let text: String = text.lines().filter(|line| !line.starts_with("p1 = ")).map(|line| format!("{line}\n")).collect();
    fs::write(study.path().join("study.toml"), text).unwrap();
    let all = [&WHOLE[..], &["--set", weights]].concat();
    let began = Instant::now();
    finished(&study.run("straight", &all));
    let whole = began.elapsed();
    let rows = study.rows("straight");
    // A header, the visible image by P1 once and by P2 with its seed, two losses by both.
    assert_eq!(rows.len(), 1 + 2 + 2 * 2, "{rows:?}");
    let kept = ["beta.toml", "fusion.csv", "fusion.safetensors", "run.lock", "search.csv"].map(str::to_owned);
    assert_eq!(left(&study.path().join("straight")), BTreeSet::from(kept));
    assert!(
        study.path().join("straight/frozen.safetensors").exists() && !study.path().join("straight/frozen").exists()
    );
    let found = fs::read_to_string(study.path().join("straight/cells/found.s4/beta.toml")).unwrap();
    assert!(found.contains("iterations = 3") && found.contains("seed = 4"), "{found}");
    study.kill("killed", 6, whole, &all);
    finished(&study.run("killed", &all));
    assert_eq!(study.rows("killed"), rows);
}

#[test]
fn what_rows_rest_on_cannot_change_and_what_does_not_can() {
    let study = Study::new();
    let small = ["--set", "methods=[\"infrared\"]", "--set", "seeds=[1]"];
    finished(&study.run("out", &small));
    let refused = |more: &[&str], parts: &[&str]| {
        let output = study.run("out", &[&small[..], more].concat());
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(1), "{text}");
        parts.iter().for_each(|part| assert!(text.contains(part), "{part}: {text}"));
    };
    refused(&["--set", "fusion.rate=0.5"], &["study.toml", "fusion.rate: saved 0.001, now 0.5"]);
    refused(
        &["--set", "scenes.seed=6", "--set", "metrics=false"],
        &["scenes.seed: saved 5, now 6", "metrics: saved true"],
    );
    // Another method of a name that has rows, under settings that are the same otherwise.
    let named = "methods=[\"infrared\", {name = \"x\", weights = {\"l1.ir\" = 1.0}}]";
    finished(&study.run("out", &["--set", named, "--set", "seeds=[1]"]));
    let other = "methods=[{name = \"x\", weights = {\"l1.ir\" = 2.0}}]";
    let output = study.run("out", &["--set", other, "--set", "seeds=[1]"]);
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(text.contains("method x.weights.l1.ir: saved 1.0, now 2.0"), "{text}");
    // The rows alone are enough for the table.
    let output = study.run("absent", &["--report"]);
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    fs::remove_file(study.path().join("out/table.txt")).unwrap();
    finished(&study.run("out", &[&small[..], &["--report"]].concat()));
    assert!(study.path().join("out/table.txt").exists());
    // Methods, seeds and the machine.
    finished(&study.run("out", &["--set", "methods=[\"max\"]", "--set", "seeds=[1, 2]", "--set", "run.threads=2"]));
    assert_eq!(study.rows("out").len(), 1 + 3);
}

#[test]
fn a_plan_does_nothing_and_bad_studies_are_wrong_calls() {
    let study = Study::new();
    let plan = study.run("out", &["--plan"]);
    finished(&plan);
    let text = String::from_utf8_lossy(&plan.stdout).into_owned();
    assert!(text.contains("0 of 8 jobs are done") && text.contains("random-02"), "{text}");
    assert!(!study.path().join("out").exists());
    for (set, part) in [
        ("methods=[]", "one or more"),
        ("methods=[\"maximum\"]", "unknown method `maximum`"),
        ("methods=[\"only:l1.red\"]", "l1.red"),
        ("methods=[\"max\", \"max\"]", "`max` twice"),
        ("methods=[{name = \"a,b\", draws = 2}]", "letters, digits"),
        ("methods=[{name = \"a\"}]", "expected one of"),
        ("methods=[{name = \"a\", weihgts = {}}]", "weihgts"),
        ("methods=[{name = \"a\", weights = {\"l1.ir\" = -1.0}}]", "at least 0"),
        ("methods=[{name = \"a\", weights = {\"perceptual.ir\" = 1.0}}]", "loss.vgg"),
        ("methods=[{name = \"a\", search = {run = {seed = 7}}}]", "the study decides run.seed"),
        ("methods=[{name = \"a\", search = {runs = 7}}]", "runs"),
        ("methods=[{name = \"a\", preset = \"ours\"}]", "paper, settled"),
        ("seeds=[1, 1]", "all different"),
        ("protocols=[\"p3\"]", "p3"),
        ("fusion.iteration=3", "iteration"),
        ("fusion.batch=0", "batch"),
        ("data.root=elsewhere", "none beside [scenes]"),
        ("compare=[[\"average\", \"found\"]]", "`found`"),
        ("p1.train.batch=2", "both"),
    ] {
        let output = study.run("out", &["--set", set]);
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{set}: {text}");
        assert!(text.contains(part) && !study.path().join("out").exists(), "{set}: {part}: {text}");
    }
}

#[test]
fn the_studies_of_the_documentation_are_studies() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut found = 0;
    let folders = fs::read_dir(root.join("docs/studies")).unwrap().map(|entry| entry.unwrap().path());
    for study in folders.filter(|path| path.is_dir()).map(|path| path.join("study.toml")) {
        let mut command = Command::new(env!("CARGO_BIN_EXE_caf-search"));
        let out = study.with_file_name("absent");
        command.current_dir(&root).args(["ablate", "--plan"]).arg("--config").arg(&study).arg("--out").arg(&out);
        finished(&command.output().unwrap());
        found += 1;
    }
    assert!(found > 0);
}

#[test]
fn a_loss_that_is_no_number_ends_its_job_and_not_the_study() {
    let study = Study::new();
    let methods = "methods=[\"only:l1.ir\", \"infrared\"]";
    let output = study.run("out", &["--set", methods, "--set", "seeds=[1]", "--set", "fusion.rate=1e38"]);
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(text.contains("failed jobs: 1") && text.contains("p1 l1.ir seed 1"), "{text}");
    assert_eq!(study.rows("out").len(), 2);
}

#[cfg(unix)]
#[test]
fn an_interrupt_ends_with_130_and_the_same_call_goes_on() {
    let study = Study::new();
    let set =
        ["--set", "methods=[\"infrared\", \"only:l1.ir\"]", "--set", "seeds=[1]", "--set", "fusion.iterations=60"];
    let mut child = study.start("out", &set);
    let log = study.path().join("out/cells/l1.ir.s1/fusion/log.csv");
    let rows = || fs::read_to_string(&log).map_or(0, |text| text.lines().count());
    while rows() < 3 {
        assert!(child.try_wait().unwrap().is_none(), "ended before it was interrupted");
        std::thread::sleep(Duration::from_millis(5));
    }
    Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(130));
    let done = rows() - 1;
    assert!((2..60).contains(&done), "{done}");
    let output = study.run("out", &set);
    finished(&output);
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(text.contains(&format!("going on after {done} iterations")), "{done}: {text}");
    assert_eq!(study.rows("out").len(), 3);
}
