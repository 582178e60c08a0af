//! The steps of the demo as a table: what each one calls, reads, writes and shows.

use std::path::{Path, PathBuf};

use super::page::Shown;
use super::plan::Plan;

/// A program of the workspace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Program {
    /// Scenes, search, training, evaluation.
    Search,
    /// ONNX files.
    Export,
    /// The live runtime.
    Run,
}

impl Program {
    /// Every program the demo calls.
    pub const ALL: [Self; 3] = [Self::Search, Self::Export, Self::Run];

    /// Name of the executable.
    pub fn binary(self) -> &'static str {
        match self {
            Self::Search => "caf-search",
            Self::Export => "caf-export",
            Self::Run => "caf-run",
        }
    }

    /// Name of its package.
    pub fn package(self) -> &'static str {
        match self {
            Self::Search => "caf-search",
            Self::Export => "caf-export",
            Self::Run => "caf-runtime",
        }
    }
}

/// One call of a program.
#[derive(Debug, Clone)]
pub struct Step {
    /// Name, also that of its stamp: letters and hyphens.
    pub name: &'static str,
    /// Heading on the page.
    pub title: &'static str,
    /// What it does and how to read what it shows.
    pub text: &'static str,
    /// Which program.
    pub program: Program,
    /// Its arguments.
    pub arguments: Vec<String>,
    /// Added when an earlier run of the same call was cut off; `None` when the step begins anew.
    pub resume: Option<&'static str>,
    /// Files and folders whose change makes the step run again.
    pub reads: Vec<PathBuf>,
    /// Files and folders it leaves, all in the output folder; cleared before the step begins.
    pub writes: Vec<PathBuf>,
    /// What the page shows of it.
    pub shows: Vec<Shown>,
}

/// How long each phase lasts.
struct Lengths {
    scenes: &'static str,
    search_iterations: &'static str,
    fusion_iterations: &'static str,
    task_epochs: &'static str,
}

/// Minutes on two processor cores.
const QUICK: Lengths = Lengths { scenes: "160", search_iterations: "60", fusion_iterations: "300", task_epochs: "12" };
/// Hours on two processor cores; meant for a GPU.
const FULL: Lengths =
    Lengths { scenes: "2000", search_iterations: "2000", fusion_iterations: "20000", task_epochs: "100" };

/// Size of rendered pictures and of the exported model, `width x height` in pixels.
const SIZE: &str = "256x192";

/// All steps in order.
pub fn steps(plan: &Plan) -> Vec<Step> {
    let lengths = if plan.full { FULL } else { QUICK };
    let rendered = plan.at("scenes");
    let data = plan.pairs.as_ref().map_or(rendered.as_path(), |pairs| pairs.root.as_path());
    let lists = match &plan.pairs {
        Some(pairs) if !pairs.has_lists => plan.at("lists"),
        _ => data.to_path_buf(),
    };
    let (train, val) = (lists.join("train.txt"), lists.join("val.txt"));
    let beta = plan.at("search/beta.toml");
    let fusion = plan.at("fusion/fusion.safetensors");
    let task = plan.at("task/task.safetensors");
    let model = plan.at("model/model.onnx");
    let clip = plan.at("clip");

    let mut steps = Vec::new();
    match &plan.pairs {
        None => steps.push(Step {
            name: "scenes",
            title: "Scenes",
            text: "Road scenes rendered for both cameras from one description, with exact boxes. Infrared shows what \
                   is warm, visible shows what is lit; many objects can be seen in one of the two only.",
            program: Program::Search,
            arguments: words(&["scene", "dataset", "--count", lengths.scenes, "--size", SIZE, "--seed", "1", "--out"], &[&rendered]),
            resume: None,
            reads: vec![],
            writes: vec![rendered.clone()],
            shows: vec![Shown::Pictures("scenes/vi", 3), Shown::Pictures("scenes/ir", 3)],
        }),
        Some(pairs) if !pairs.has_lists => steps.push(Step {
            name: "split",
            title: "Split",
            text: "The pairs divided into training and validation by blocks of neighbouring names, so that no scene is in both.",
            program: Program::Search,
            arguments: call(&[("split", None), ("--data", Some(data)), ("--out", Some(&lists))]),
            resume: None,
            reads: vec![data.to_path_buf()],
            writes: vec![lists.clone()],
            shows: vec![],
        }),
        Some(_) => {}
    }
    steps.push(Step {
        name: "search",
        title: "Search",
        text: "The weights of the fusion loss, searched so that a detector does best on the fused image. The trajectory \
               shows every weight over the iterations, the composition what the loss consists of in the end.",
        program: Program::Search,
        arguments: [
            call(&[("search", None), ("--data", Some(data)), ("--train", Some(&train)), ("--out", Some(&plan.at("search")))]),
            words(&["--iterations", lengths.search_iterations], &[]),
        ]
        .concat(),
        resume: Some("--resume"),
        reads: vec![data.to_path_buf(), train.clone()],
        writes: vec![plan.at("search")],
        shows: vec![Shown::Plots("search"), Shown::Weights("search/beta.toml")],
    });
    steps.push(Step {
        name: "train-fusion",
        title: "Fusion network",
        text: "Trained from scratch with the found loss. Each panel is infrared, visible, fused.",
        program: Program::Search,
        arguments: [
            call(&[
                ("train", None),
                ("fusion", None),
                ("--beta", Some(&beta)),
                ("--data", Some(data)),
                ("--train", Some(&train)),
                ("--val", Some(&val)),
                ("--out", Some(&plan.at("fusion"))),
            ]),
            words(&["--iterations", lengths.fusion_iterations], &[]),
        ]
        .concat(),
        resume: Some("--resume"),
        reads: vec![beta, data.to_path_buf(), train.clone(), val.clone()],
        writes: vec![plan.at("fusion")],
        shows: vec![Shown::Strips("fusion/panels", 4)],
    });
    steps.push(Step {
        name: "train-task",
        title: "Detector",
        text: "A small detector, trained on the fused images.",
        program: Program::Search,
        arguments: [
            call(&[
                ("train", None),
                ("task", None),
                ("--fusion", Some(&fusion)),
                ("--data", Some(data)),
                ("--train", Some(&train)),
                ("--val", Some(&val)),
                ("--out", Some(&plan.at("task"))),
            ]),
            words(&["--epochs", lengths.task_epochs], &[]),
        ]
        .concat(),
        resume: Some("--resume"),
        reads: vec![fusion.clone(), data.to_path_buf(), train, val.clone()],
        writes: vec![plan.at("task")],
        shows: vec![],
    });
    steps.push(Step {
        name: "eval",
        title: "Measured",
        text: "On the validation pairs, which no training saw: detection (AP) and fusion metrics. No single one of \
               them is a goal: a plain pixel maximum tops MI and VIF.",
        program: Program::Search,
        arguments: call(&[
            ("eval", None),
            ("--fusion", Some(&fusion)),
            ("--task", Some(&task)),
            ("--data", Some(data)),
            ("--list", Some(&val)),
            ("--json", Some(&plan.at("eval/eval.json"))),
        ]),
        resume: None,
        reads: vec![fusion.clone(), task.clone(), data.to_path_buf(), val],
        writes: vec![plan.at("eval/eval.json")],
        shows: vec![Shown::Report("eval/eval.json")],
    });
    steps.push(Step {
        name: "export",
        title: "Export",
        text: "Fusion, detector, colour handling and decoding as one ONNX file with its contract inside.",
        program: Program::Export,
        arguments: [
            call(&[
                ("onnx", None),
                ("--fusion", Some(&fusion)),
                ("--task", Some(&task)),
                ("--classes", Some(&data.join("classes.txt"))),
                ("--output", Some(&model)),
                ("--json", Some(&plan.at("model/export.json"))),
            ]),
            words(&["--size", SIZE], &[]),
        ]
        .concat(),
        resume: None,
        reads: vec![fusion, task, data.join("classes.txt")],
        writes: vec![model.clone(), plan.at("model/export.json")],
        shows: vec![Shown::Report("model/export.json")],
    });
    steps.push(Step {
        name: "clip",
        title: "A drive, seen by two cameras",
        text: "A rendered clip: the scene moves, and the two cameras do not take their frames at the same time.",
        program: Program::Search,
        arguments: words(
            &[
                "scene",
                "clip",
                "--seconds",
                "8",
                "--fps",
                "12",
                "--size",
                SIZE,
                "--seed",
                "7",
                "--skew-ms",
                "8",
                "--out",
            ],
            &[&clip],
        ),
        resume: None,
        reads: vec![],
        writes: vec![clip.clone()],
        shows: vec![],
    });
    steps.push(Step {
        name: "live",
        title: "Live",
        text: "The exported model on the two streams: frames paired by their times, fused, detected, drawn. The tables \
               give the time of every stage in milliseconds at the 50th, 95th and 99th percentile on this machine.",
        program: Program::Run,
        arguments: [
            call(&[
                ("live", None),
                ("--model", Some(&model)),
                ("--ir", Some(&clip.join("ir"))),
                ("--vi", Some(&clip.join("vi"))),
                ("--video", Some(&plan.at("live/fused.webm"))),
                ("--jsonl", Some(&plan.at("live/detections.jsonl"))),
                ("--summary", Some(&plan.at("live/summary.json"))),
            ]),
            words(&["--every-frame"], &[]),
        ]
        .concat(),
        resume: None,
        reads: vec![model, clip],
        writes: ["live/fused.webm", "live/detections.jsonl", "live/summary.json"].map(|name| plan.at(name)).to_vec(),
        shows: vec![Shown::Video("live/fused.webm"), Shown::Report("live/summary.json")],
    });
    steps
}

/// Words, then paths.
fn words(plain: &[&str], paths: &[&Path]) -> Vec<String> {
    let paths = paths.iter().map(|path| path.display().to_string());
    plain.iter().map(|word| (*word).to_owned()).chain(paths).collect()
}

/// Words, each with the path that follows it.
fn call(parts: &[(&str, Option<&Path>)]) -> Vec<String> {
    let pair = |(word, path): &(&str, Option<&Path>)| {
        std::iter::once((*word).to_owned()).chain(path.map(|path| path.display().to_string()))
    };
    parts.iter().flat_map(pair).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::super::plan::Pairs;
    use super::*;

    fn plan(pairs: Option<Pairs>) -> Plan {
        Plan { out: "demo-out".into(), pairs, full: false }
    }

    fn all_plans() -> Vec<Plan> {
        let pairs = |has_lists| Some(Pairs { root: "../pairs".into(), has_lists });
        vec![plan(None), plan(pairs(true)), plan(pairs(false)), Plan { full: true, ..plan(None) }]
    }

    #[test]
    fn what_a_step_reads_was_written_before_or_belongs_to_the_caller() {
        for plan in all_plans() {
            let mut written: Vec<PathBuf> = Vec::new();
            for step in steps(&plan) {
                for read in step.reads.iter().filter(|path| path.starts_with(&plan.out)) {
                    assert!(written.iter().any(|path| read.starts_with(path)), "{}: {}", step.name, read.display());
                }
                written.extend(step.writes);
            }
        }
    }

    #[test]
    fn steps_clear_only_their_own_outputs() {
        for plan in all_plans() {
            let mut seen: Vec<PathBuf> = Vec::new();
            let mut names = BTreeSet::new();
            for step in steps(&plan) {
                assert!(names.insert(step.name), "{} twice", step.name);
                assert!(!step.writes.is_empty(), "{}", step.name);
                for path in step.writes {
                    assert!(path.starts_with(&plan.out) && path != plan.out, "{}: {}", step.name, path.display());
                    assert!(
                        !seen.iter().any(|other| path.starts_with(other) || other.starts_with(&path)),
                        "{}",
                        path.display()
                    );
                    seen.push(path);
                }
            }
        }
    }

    #[test]
    fn what_is_shown_is_written_by_the_step_that_shows_it() {
        for plan in all_plans() {
            for step in steps(&plan) {
                for shown in &step.shows {
                    let (Shown::Plots(name)
                    | Shown::Pictures(name, _)
                    | Shown::Strips(name, _)
                    | Shown::Report(name)
                    | Shown::Weights(name)
                    | Shown::Video(name)) = *shown;
                    assert!(step.writes.iter().any(|path| plan.at(name).starts_with(path)), "{}: {name}", step.name);
                }
            }
        }
    }

    #[test]
    fn pairs_of_the_caller_are_read_where_they_lie() {
        let with_pairs = steps(&plan(Some(Pairs { root: "../pairs".into(), has_lists: true })));
        assert!(with_pairs.iter().all(|step| step.name != "scenes" && step.name != "split"));
        let search = with_pairs.iter().find(|step| step.name == "search").unwrap();
        assert!(search.arguments.windows(2).any(|pair| pair == ["--data", "../pairs"]), "{:?}", search.arguments);
    }
}
