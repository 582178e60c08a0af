//! Searches and trainings on input that is odd or bad: what is odd works, what is bad leaves nothing behind.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "helpers of tests stop at the line that fails"
)]

use caf_console::{Progress, Silent, StopFlag};
use caf_fusion_loss::VggFile;
use caf_geometry::Size;
use caf_image::{Gray8, IrRange, Rgb8};
use caf_image::{write_gray8, write_rgb8};
use caf_net::zoo::caf::CafConfig;
use caf_net::zoo::yolov5::Variant;
use caf_search::error::SearchError;
use caf_search::fusion::{FusionTrainConfig, train};
use caf_search::run_settings::{DataSettings, RunSettings};
use caf_search::search::{SearchConfig, run};
use caf_search::tasks::{DetectionSettings, TaskSettings};
use caf_weights::{HostTensor, load_safetensors, save_safetensors};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use tempfile::TempDir;

/// Remembers what it is told, and raises a flag once so many iterations are done.
#[derive(Default)]
struct Told {
    lines: Mutex<Vec<String>>,
    stop_at: Option<(u64, StopFlag)>,
}

impl Told {
    fn text(&self) -> String {
        self.lines.lock().unwrap().join("\n")
    }
}

impl Progress for Told {
    fn begin(&self, _: &str, _: u64, _: u64) {}
    fn advance(&self, done: u64, state: &str) {
        self.say(state);
        if let Some((at, flag)) = &self.stop_at
            && *at == done
        {
            flag.raise();
        }
    }
    fn end(&self) {}
    fn say(&self, line: &str) {
        self.lines.lock().unwrap().push(line.to_owned());
    }
}

/// Pairs of some noise with one object each.
struct Pairs(TempDir);

impl Pairs {
    fn new(sizes: &[(usize, usize)]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        for folder in ["ir", "vi", "labels"] {
            std::fs::create_dir(dir.path().join(folder)).unwrap();
        }
        std::fs::write(dir.path().join("classes.txt"), "thing\n").unwrap();
        for (i, (w, h)) in sizes.iter().enumerate() {
            let noise = |n: usize, step: usize| (0..n).map(|p| ((p * step + i * 31) % 251) as u8).collect::<Vec<_>>();
            let file = |folder: &str, end: &str| dir.path().join(format!("{folder}/n{:04}.{end}", i * 100));
            write_gray8(&file("ir", "png"), &Gray8::new(Size::new(*w, *h), noise(w * h, 37 + i)).unwrap()).unwrap();
            write_rgb8(&file("vi", "png"), &Rgb8::new(Size::new(*w, *h), noise(w * h * 3, 101 + i)).unwrap()).unwrap();
            std::fs::write(file("labels", "txt"), "0 0.5 0.5 0.3 0.4\n").unwrap();
        }
        Pairs(dir)
    }

    fn at(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn data(&self) -> DataSettings {
        DataSettings { root: self.0.path().to_owned(), ..DataSettings::default() }
    }

    fn run(&self, iterations: usize) -> RunSettings {
        RunSettings {
            device: "cpu".into(),
            threads: 1,
            iterations: Some(iterations),
            batch: 2,
            size_px: Size::new(32, 32),
            ..RunSettings::default()
        }
    }

    fn search(&self, iterations: usize) -> SearchConfig {
        let mut config = SearchConfig {
            run: self.run(iterations),
            data: self.data(),
            task: task(&detection()),
            ..SearchConfig::default()
        };
        config.fusion.network = CafConfig { width: 4, depth: 2, normalised: true }.into();
        config
    }

    fn fusion(&self, iterations: usize) -> FusionTrainConfig {
        let beta = self.at("beta.toml");
        std::fs::write(&beta, "[weights]\n\"l1.ir\" = 0.4\n\"ssim.vi\" = 0.6\n").unwrap();
        FusionTrainConfig {
            beta,
            run: RunSettings { save_every: 50, ..self.run(iterations) },
            data: DataSettings { allow_overlap: true, ..self.data() },
            fusion: self.search(iterations).fusion,
            ..FusionTrainConfig::default()
        }
    }
}

fn detection() -> DetectionSettings {
    let mut settings = DetectionSettings { variant: Some(Variant::N), ..DetectionSettings::default() };
    settings.optimizer.warmup = Some(1);
    settings
}

fn task(settings: &DetectionSettings) -> TaskSettings {
    TaskSettings::new("detection", settings).unwrap()
}

fn searched(config: &SearchConfig, out: &Path) -> Result<caf_search::search::Finished, SearchError> {
    run(config, out, &Silent, &StopFlag::default())
}

#[test]
fn a_search_that_cannot_begin_leaves_nothing_behind() {
    let pairs = Pairs::new(&[(40, 36); 4]);
    let out = pairs.at("out");
    let broken = pairs.at("broken.safetensors");
    std::fs::write(&broken, b"no weights").unwrap();
    type Change = fn(&mut SearchConfig, &Path);
    let changes: [(&str, Change); 6] = [
        ("absent.txt", |c, _| c.data.train = Some("absent.txt".into())),
        ("absent.txt", |c, _| c.data.val = Some("absent.txt".into())),
        ("broken.safetensors", |c, broken| {
            c.task = task(&DetectionSettings { init: Some(broken.to_owned()), ..detection() })
        }),
        ("broken.safetensors", |c, broken| c.fusion.init = Some(broken.to_owned())),
        ("broken.safetensors", |c, broken| {
            c.loss.vgg = Some(VggFile { file: broken.to_owned(), ..VggFile::default() })
        }),
        ("64x64", |c, _| c.run.size_px = Size::new(64, 64)),
    ];
    for (word, change) in changes {
        let mut config = pairs.search(1);
        change(&mut config, &broken);
        let error = searched(&config, &out).unwrap_err();
        assert!(format!("{error}").contains(word), "{word}: {error}");
        assert!(!out.exists(), "{word}: a folder was made");
    }
    // Pixels that cannot be read, behind a good header.
    let path = pairs.at("ir/n0200.png");
    let bytes = std::fs::read(&path).unwrap();
    std::fs::write(&path, &bytes[..bytes.len() - 30]).unwrap();
    assert!(searched(&pairs.search(1), &out).is_err() && !out.exists());
    let mut whole_batch = pairs.fusion(1);
    whole_batch.run.batch = 4;
    let other = pairs.at("other");
    assert!(train(&whole_batch, &other, &Silent, &StopFlag::default()).is_err() && !other.exists());
}

#[test]
fn a_half_without_any_object_is_refused() {
    let pairs = Pairs::new(&[(40, 36); 2]);
    std::fs::write(pairs.at("train.txt"), "n0000\n").unwrap();
    std::fs::write(pairs.at("val.txt"), "n0100\n").unwrap();
    let mut config = pairs.search(1);
    (config.data.train, config.data.val) = (Some("train.txt".into()), Some("val.txt".into()));
    for (name, what) in [("n0000", "train on"), ("n0100", "validate on")] {
        let path = pairs.at(&format!("labels/{name}.txt"));
        let labels = std::fs::read(&path).unwrap();
        std::fs::write(&path, "").unwrap();
        let error = searched(&config, &pairs.at("out")).unwrap_err();
        assert!(matches!(error, SearchError::NothingLabelled { .. }) && error.to_string().contains(what), "{error}");
        std::fs::write(&path, labels).unwrap();
    }
    assert!(!pairs.at("out").exists());
}

#[test]
fn one_pair_in_each_half_a_larger_batch_gray_images_and_crops_without_objects_work() {
    let pairs = Pairs::new(&[(200, 160); 2]);
    for (i, name) in ["n0000", "n0100"].into_iter().enumerate() {
        let noise = |n: usize, step: usize| (0..n).map(move |p| (p * step + p / 200 * (i + 3) * 17) % 200);
        let gray: Vec<u8> = noise(200 * 160, 7 + 6 * i).map(|v| v as u8).collect();
        write_gray8(&pairs.at(&format!("vi/{name}.png")), &Gray8::new(Size::new(200, 160), gray).unwrap()).unwrap();
        let warm: Vec<u16> = noise(200 * 160, 31 + 8 * i).map(|v| 3000 + v as u16).collect();
        let ir = image::ImageBuffer::<image::Luma<u16>, _>::from_raw(200, 160, warm).unwrap();
        ir.save(pairs.at(&format!("ir/{name}.png"))).unwrap();
        // In a corner, where few crops reach it.
        std::fs::write(pairs.at(&format!("labels/{name}.txt")), "0 0.01 0.01 0.02 0.02\n").unwrap();
    }
    let mut config = pairs.search(2);
    (config.run.batch, config.data.neighbour_gap, config.data.ir_range) = (5, 0, IrRange::MinMax);
    let done = searched(&config, &pairs.at("out")).unwrap();
    assert_eq!((done.iterations, done.interrupted), (2, false));
    assert!(done.beta.weights.values().all(|w| w.is_finite()));
    for file in ["fusion.safetensors", "task.safetensors"] {
        assert_eq!(ir_range(&pairs.at("out").join(file)), "min_max", "{file}");
    }
    let mut config = pairs.fusion(1);
    for (name, range, said) in [
        ("full", IrRange::Full, serde_json::json!("full")),
        (
            "percentile",
            IrRange::Percentile { low: 1.0, high: 99.5 },
            serde_json::json!({ "percentile": { "low": 1.0, "high": 99.5 } }),
        ),
    ] {
        config.data.ir_range = range;
        let out = pairs.at(name);
        train(&config, &out, &Silent, &StopFlag::default()).unwrap();
        assert_eq!(ir_range(&out.join("fusion.safetensors")), said);
    }
}

/// What a weight file says of the infrared images it was trained on.
fn ir_range(path: &Path) -> serde_json::Value {
    serde_json::from_str(load_safetensors(path).unwrap().metadata().get("ir_range").unwrap()).unwrap()
}

#[test]
fn a_batch_that_is_a_single_value_is_refused_and_the_smallest_larger_one_stays_finite() {
    let pairs = Pairs::new(&[(70, 40); 4]);
    let out = pairs.at("out");
    let mut alone = pairs.search(1);
    alone.run.batch = 1;
    let error = searched(&alone, &out).unwrap_err();
    assert!(matches!(error, SearchError::Setting { name: "run.batch", .. }) && !out.exists(), "{error}");
    // Two cells of one image.
    alone.run.size_px = Size::new(64, 32);
    searched(&alone, &out).unwrap();
    let state = load_safetensors(out.join("state.safetensors")).unwrap();
    let variances: Vec<_> = state.iter().filter(|(name, _)| name.ends_with("running_var")).collect();
    assert!(variances.len() > 10);
    for (name, tensor) in variances {
        assert!(tensor.to_f64_vec().unwrap().iter().all(|v| v.is_finite()), "{name}");
    }
    alone.run.iterations = Some(2);
    searched(&alone, &out).unwrap();
}

#[test]
fn a_state_of_more_iterations_is_left_alone_and_one_of_other_iterations_than_steps_is_refused() {
    let pairs = Pairs::new(&[(40, 36); 4]);
    let (search, fusion) = (pairs.at("search"), pairs.at("fusion"));
    let told = Told::default();
    let stop = StopFlag::default();
    let go = |iterations: usize| -> Result<[usize; 2], SearchError> {
        let searched = run(&pairs.search(iterations), &search, &told, &stop)?;
        let trained = train(&pairs.fusion(iterations), &fusion, &told, &stop)?;
        Ok([searched.iterations, trained.iterations])
    };
    go(2).unwrap();
    let states = || [&search, &fusion].map(|out| std::fs::read(out.join("state.safetensors")).unwrap());
    let before = states();
    assert_eq!(go(1).unwrap(), [2, 2]);
    assert_eq!(told.text().matches("the state is of 2 iterations, more than the 1 asked for").count(), 2);
    assert!(states() == before);

    for out in [&search, &fusion] {
        let path = out.join("state.safetensors");
        for wrong in [i64::MAX, 1, -1] {
            let mut state = load_safetensors(&path).unwrap();
            state.replace("iteration", HostTensor::from_i64(&[], &[wrong]).unwrap());
            save_safetensors(&state, &path).unwrap();
            let error = if out == &search {
                searched(&pairs.search(2), out).unwrap_err()
            } else {
                train(&pairs.fusion(2), out, &Silent, &stop).unwrap_err()
            };
            let text = error.to_string();
            assert!(text.contains("expected the optimiser's 2 steps") && text.contains(&wrong.to_string()), "{text}");
        }
    }
}

#[test]
fn a_search_of_one_pair_is_refused() {
    let pairs = Pairs::new(&[(40, 36)]);
    let error = searched(&pairs.search(1), &pairs.at("out")).unwrap_err().to_string();
    assert!(error.contains("cannot split"), "{error}");
    assert!(!pairs.at("out").exists());
}

#[test]
fn small_pairs_are_counted_and_only_small_pairs_are_refused() {
    let pairs = Pairs::new(&[(40, 36), (20, 40), (40, 36), (30, 30)]);
    let told = Told::default();
    train(&pairs.fusion(1), &pairs.at("out"), &told, &StopFlag::default()).unwrap();
    let text = told.text();
    assert!(text.contains("2 of 4 pairs are smaller than the crop of 32x32"), "{text}");
    assert!(text.contains("by up to 1.60") && text.contains("n0100 20x40"), "{text}");
    let mut large = pairs.fusion(1);
    large.run.size_px = Size::new(41, 32);
    let error = train(&large, &pairs.at("large"), &told, &StopFlag::default()).unwrap_err();
    assert!(matches!(error, SearchError::Crop { pairs: 4, largest: Size { width: 40, height: 36 }, .. }), "{error}");
    assert!(!pairs.at("large").exists());
}

#[test]
fn a_folder_of_another_run_is_refused_with_what_differs() {
    let pairs = Pairs::new(&[(40, 36); 4]);
    let out = pairs.at("out");
    searched(&pairs.search(1), &out).unwrap();
    let mut other = pairs.search(2);
    (other.run.seed, other.run.save_every) = (9, 7);
    let text = searched(&other, &out).unwrap_err().to_string();
    assert!(text.contains("run.seed: saved 1, now 9") && !text.contains("save_every"), "{text}");
    let text = train(&pairs.fusion(1), &out, &Silent, &StopFlag::default()).unwrap_err().to_string();
    assert!(text.contains("it is of a search"), "{text}");
    // The same names with other labels are other pairs.
    std::fs::write(pairs.at("labels/n0000.txt"), "0 0.5 0.5 0.1 0.1\n").unwrap();
    let text = searched(&pairs.search(2), &out).unwrap_err().to_string();
    assert!(text.contains("pairs: saved"), "{text}");
}

#[test]
fn a_finished_search_says_so_and_writes_the_same_results() {
    let pairs = Pairs::new(&[(40, 36); 4]);
    let out = pairs.at("out");
    let first = searched(&pairs.search(1), &out).unwrap();
    let log = std::fs::read(out.join("log.csv")).unwrap();
    // A kill between the last state and the results.
    std::fs::remove_file(out.join("beta.toml")).unwrap();
    let told = Told::default();
    let again = run(&pairs.search(1), &out, &told, &StopFlag::default()).unwrap();
    assert!(told.text().contains("nothing left to do: 1 iterations are done"), "{}", told.text());
    assert_eq!((again.iterations, again.interrupted, again.median_ms), (1, false, None));
    assert_eq!(again.beta, first.beta);
    assert!(out.join("beta.toml").exists());
    assert_eq!(std::fs::read(out.join("log.csv")).unwrap(), log);
}

/// Weights of the objectness levels move in double precision; a search that goes on must have the same ones.
#[test]
fn a_resumed_search_has_the_same_objectness_weights() {
    let pairs = Pairs::new(&[(40, 36); 4]);
    let mut config = pairs.search(3);
    let mut settings = detection();
    settings.loss.autobalance = true;
    config.task = task(&settings);
    let (straight, stopped) = (pairs.at("straight"), pairs.at("stopped"));
    searched(&config, &straight).unwrap();
    let stop = StopFlag::default();
    let told = Told { stop_at: Some((1, stop.clone())), ..Told::default() };
    assert!(run(&config, &stopped, &told, &stop).unwrap().interrupted);
    searched(&config, &stopped).unwrap();
    let [a, b] = [&straight, &stopped].map(|out| load_safetensors(out.join("state.safetensors")).unwrap());
    assert!(a.len() > 100);
    for (name, tensor) in a.iter() {
        assert_eq!(b.get(name), Some(tensor), "{name}");
    }
}

fn lines(path: &Path) -> Vec<String> {
    std::fs::read_to_string(path).unwrap().lines().map(str::to_owned).collect()
}

#[test]
fn validation_changes_nothing_and_its_log_follows_the_state() {
    let pairs = Pairs::new(&[(40, 36); 5]);
    std::fs::write(pairs.at("val.txt"), "n0000\nn0300\nn0400\n").unwrap();
    let mut config = pairs.fusion(5);
    (config.validation.every, config.validation.pairs, config.run.save_every) = (2, 2, 3);
    let silent = pairs.at("silent");
    train(&config, &silent, &Silent, &StopFlag::default()).unwrap();
    assert!(!silent.join("validation.csv").exists());

    config.data.val = Some("val.txt".into());
    let straight = pairs.at("straight");
    let told = Told::default();
    let done = train(&config, &straight, &told, &StopFlag::default()).unwrap();
    let network = |out: &Path| std::fs::read(out.join("fusion.safetensors")).unwrap();
    assert!(network(&silent) == network(&straight), "validation has moved the network");
    let rows = lines(&straight.join("validation.csv"));
    assert!(rows[0].starts_with("iteration,loss,MI,SD,VIF,SCD,term.l1.ir"), "{}", rows[0]);
    assert_eq!(rows[1..].iter().map(|r| r.split(',').next().unwrap()).collect::<Vec<_>>(), ["2", "4", "5"]);
    let last = done.validation.unwrap();
    assert_eq!(last.iteration, 5);
    // The weighted loss is the sum of its terms.
    let sum = 0.4 * last.terms["l1.ir"] + 0.6 * last.terms["ssim.vi"];
    assert!((sum - last.loss).abs() < 1e-5 && last.loss > 0.0, "{sum} {}", last.loss);
    assert!(told.text().contains(" MI "), "{}", told.text());

    // Stopped after iteration 4, of which validation and state are still owed.
    let stopped = pairs.at("stopped");
    let stop = StopFlag::default();
    let told = Told { stop_at: Some((4, stop.clone())), ..Told::default() };
    let part = train(&config, &stopped, &told, &stop).unwrap();
    assert_eq!((part.iterations, part.interrupted, part.validation.unwrap().iteration), (4, true, 2));
    // What a kill after the validation of an unsaved iteration leaves: a row of the future.
    let mut future = rows[3].clone();
    future.push('\n');
    let log = std::fs::read_to_string(stopped.join("validation.csv")).unwrap();
    std::fs::write(stopped.join("validation.csv"), log + &future).unwrap();
    let done = train(&config, &stopped, &Silent, &StopFlag::default()).unwrap();
    assert_eq!((done.iterations, done.interrupted), (5, false));
    assert_eq!(lines(&stopped.join("validation.csv")), rows);
    assert!(network(&stopped) == network(&straight));
    // A finished training tells its last numbers without computing them again.
    let again = train(&config, &stopped, &Silent, &StopFlag::default()).unwrap();
    assert_eq!(again, done);
}

/// What `eval` measures on the images that `fuse --gray` writes is what a validation measured.
#[test]
fn validation_measures_what_eval_measures() {
    let pairs = Pairs::new(&[(40, 36), (48, 32), (33, 47)]);
    std::fs::write(pairs.at("all.txt"), "n0000\nn0100\nn0200\n").unwrap();
    let mut config = pairs.fusion(2);
    config.data.val = Some("all.txt".into());
    let out = pairs.at("out");
    let validated = train(&config, &out, &Silent, &StopFlag::default()).unwrap().validation.unwrap();

    use caf_search::evaluate::{METRICS, fusion_report};
    use caf_search::fusion::{FuseJob, Fuser, Method, fuse_folder};
    let dataset = caf_data::Dataset::open(
        &pairs.at(""),
        &caf_data::DatasetOptions { labels: caf_data::Need::Ignore, ..caf_data::DatasetOptions::default() },
    )
    .unwrap();
    let method = Method::Network(out.join("fusion.safetensors"));
    let fuser = Fuser::new(&method, tch::Device::Cpu).unwrap();
    let fused = pairs.at("fused");
    let existing = caf_image::results::Existing::Refuse;
    let job = FuseJob { dataset: &dataset, fuser: &fuser, method: &method, out: &fused, colour: false, existing };
    fuse_folder(&job, &Silent, &StopFlag::default()).unwrap();
    let report = fusion_report(&dataset, &fused, &METRICS, &Silent, &StopFlag::default()).unwrap();
    for (name, mean) in report {
        let (a, b) = (mean.mean.unwrap(), validated.metrics[&name].unwrap());
        assert!((a - b).abs() <= 1e-9 * a.abs(), "{name}: eval {a}, validation {b}");
    }
}

#[test]
fn a_gradient_that_is_no_number_stops_before_anything_is_saved() {
    let pairs = Pairs::new(&[(40, 36); 4]);
    let config = pairs.fusion(1);
    // Finite terms, whose weighted sum and derivatives overflow.
    std::fs::write(&config.beta, "[weights]\n\"grad.max\" = 3e38\n\"grad.ir\" = 3e38\n").unwrap();
    let out = pairs.at("out");
    let error = train(&config, &out, &Silent, &StopFlag::default()).unwrap_err();
    assert!(matches!(&error, SearchError::NonFinite { what, iteration: 0 } if what.contains("gradient")), "{error}");
    assert!(!out.join("state.safetensors").exists() && !out.join("fusion.safetensors").exists());
}
