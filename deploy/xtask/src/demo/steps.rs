//! The steps of the demo as a table: what each one calls, reads, writes and shows.

use std::path::{Path, PathBuf};

use super::page::Shown;
use super::plan::Plan;
use super::step::{Program, Resume, Step};

/// How long each phase lasts, and on how much.
struct Lengths {
    scenes: &'static str,
    search: &'static str,
    fusion: &'static str,
    detector: &'static str,
}

/// Minutes on two processor cores. The fusion network learns at ten times the paper's rate: eighty iterations of it were
/// seen to give a picture of balanced brightness with both sources in it.
const QUICK: Lengths = Lengths {
    scenes: "--count 160",
    search: "--iterations 60 --batch 2 --crop 128x128 --set task.variant=n --set task.rate=0.001 --set fusion.rate=0.001",
    fusion: "--iterations 250 --batch 2 --crop 128x128 --set validate_every=125 --set fusion.rate=0.001",
    detector: "--variant n --epochs 10 --batch 8 --set optimizer.warmup_min_iterations=20 --set optimizer.nominal_batch=8",
};
/// Hours on two processor cores; meant for a GPU.
const FULL: Lengths = Lengths {
    scenes: "--count 1200",
    search: "--iterations 600 --batch 4 --crop 192x192 --set task.variant=n",
    fusion: "--iterations 5000 --batch 4 --crop 192x192 --set validate_every=1000",
    detector: "--variant n --epochs 100 --batch 16",
};

/// All steps in order.
pub fn steps(plan: &Plan) -> Vec<Step> {
    let lengths = if plan.full { FULL } else { QUICK };
    let chain = Chain::new(plan);
    let mut steps = Vec::new();
    steps.extend(chain.pairs(&lengths));
    steps.push(chain.search(&lengths));
    steps.push(chain.train_fusion(&lengths));
    steps.extend([chain.fuse(), chain.average()]);
    steps.push(chain.train_task(&lengths));
    steps.extend([chain.eval(), chain.eval_average(), chain.export(), chain.verify(), chain.clip(), chain.live()]);
    steps
}

/// The files that steps hand to each other.
struct Chain<'a> {
    plan: &'a Plan,
    data: PathBuf,
    train: PathBuf,
    val: PathBuf,
    /// Size of the detector's input and of the clip: `WIDTHxHEIGHT` in pixels, multiples of 32.
    size: &'static str,
}

impl<'a> Chain<'a> {
    fn new(plan: &'a Plan) -> Self {
        let data = plan.pairs.as_ref().map_or_else(|| plan.at("scenes"), |pairs| pairs.root.clone());
        // Programs read lists relative to the data set, so that lists from elsewhere need their whole path.
        let lists = match &plan.pairs {
            Some(pairs) if !pairs.has_lists => plan.absolute("lists"),
            _ => PathBuf::new(),
        };
        // Published pairs are a few hundred pixels wide; rendered ones are this size.
        let size = if plan.pairs.is_some() { "448x320" } else { "256x192" };
        Self { plan, data, train: lists.join("train.txt"), val: lists.join("val.txt"), size }
    }

    fn at(&self, name: &str) -> PathBuf {
        self.plan.at(name)
    }

    /// The pairs: rendered, or the caller's with lists when they bring none.
    fn pairs(&self, lengths: &Lengths) -> Option<Step> {
        match &self.plan.pairs {
            None => Some(Step {
                name: "scenes",
                title: "Scenes",
                text: "Road scenes rendered for both cameras from one description, with exact boxes. Infrared shows \
                       what is warm, visible shows what is lit; many objects can be seen in one of the two only.",
                program: Program::Search,
                arguments: words(
                    "scene",
                    &[("--out", &self.data)],
                    &format!("{} --size {} --seed 1", lengths.scenes, self.size),
                ),
                resume: Resume::Anew,
                reads: vec![],
                writes: vec![self.data.clone()],
                shows: vec![Shown::Pictures("scenes/vi", 3), Shown::Pictures("scenes/ir", 3)],
            }),
            Some(pairs) if !pairs.has_lists => Some(Step {
                name: "split",
                title: "Split",
                text: "The pairs divided into training and validation by blocks of neighbouring names, so that no \
                       scene is in both; what looks like a leak is listed.",
                program: Program::Search,
                arguments: words(
                    "split",
                    &[("--data", &self.data), ("--out", &self.at("lists")), ("--json", &self.at("lists/leaks.json"))],
                    "",
                ),
                resume: Resume::Anew,
                reads: vec![self.data.clone()],
                writes: vec![self.at("lists")],
                shows: vec![Shown::Report("lists/leaks.json", &[])],
            }),
            Some(_) => None,
        }
    }

    fn search(&self, lengths: &Lengths) -> Step {
        let out = self.at("search");
        // Every rendered pair is a scene of its own, so that halving them need not keep neighbours together.
        let halving = if self.plan.pairs.is_none() { "--set data.neighbour_gap=0" } else { "" };
        let weights = &self.plan.weights;
        let mut paths: Vec<(&str, &Path)> =
            vec![("--data", &self.data), ("--train", &self.train), ("--out", &out), ("--task-init", weights)];
        paths.extend(self.plan.vgg.as_deref().map(|vgg| ("--vgg", vgg)));
        Step {
            name: "search",
            title: "Search",
            text: "The weights of the fusion loss, searched so that a detector does best on the fused image. The \
                   trajectory shows every weight over the iterations, the composition what the loss consists of in \
                   the end. The perceptual terms need VGG-16 weights (--vgg FILE) and are off without.",
            program: Program::Search,
            arguments: words("search", &paths, &format!("{} {halving}", lengths.search)),
            resume: Resume::SameCall,
            reads: self.with_lists(std::slice::from_ref(weights)),
            writes: vec![out],
            shows: vec![Shown::Plots("search/plots"), Shown::Weights("search/beta.toml")],
        }
    }

    fn train_fusion(&self, lengths: &Lengths) -> Step {
        let (beta, out) = (self.at("search/beta.toml"), self.at("fusion"));
        Step {
            name: "train-fusion",
            title: "Fusion network",
            text: "Trained from scratch with the found loss. The panels show validation pairs early and late in the \
                   training, with the iteration as their name.",
            program: Program::Search,
            arguments: words(
                "train fusion",
                &[
                    ("--beta", &beta),
                    ("--data", &self.data),
                    ("--train", &self.train),
                    ("--val", &self.val),
                    ("--out", &out),
                ],
                lengths.fusion,
            ),
            resume: Resume::SameCall,
            reads: self.with_lists(&[beta]),
            writes: vec![out],
            shows: vec![Shown::Strips("fusion/panels", 2), Shown::Plots("fusion")],
        }
    }

    fn fuse(&self) -> Step {
        let (fusion, out) = (self.at("fusion/fusion.safetensors"), self.at("fused"));
        Step {
            name: "fuse",
            title: "Fused pairs",
            text: "All pairs, fused by the trained network; the detector learns on these.",
            program: Program::Search,
            arguments: words("fuse", &[("--data", &self.data), ("--fusion", &fusion), ("--out", &out)], ""),
            resume: Resume::With("--resume"),
            reads: vec![self.data.clone(), fusion],
            writes: vec![out],
            shows: vec![Shown::Pictures("fused", 3)],
        }
    }

    fn average(&self) -> Step {
        let out = self.at("average");
        Step {
            name: "average",
            title: "Plain average",
            text: "The validation pairs averaged pixel by pixel: the simplest fusion, to compare with.",
            program: Program::Search,
            arguments: words(
                "fuse",
                &[("--data", &self.data), ("--list", &self.val), ("--out", &out)],
                "--method average",
            ),
            resume: Resume::With("--resume"),
            reads: self.with_lists(&[]),
            writes: vec![out],
            shows: vec![],
        }
    }

    fn train_task(&self, lengths: &Lengths) -> Step {
        let (images, out) = (self.at("fused"), self.at("task"));
        Step {
            name: "train-task",
            title: "Detector",
            text: "A small detector, trained on the fused images from weights that saw other pairs before (ours: rendered \
                   scenes of other seeds, averaged); average precision on validation images after every epoch.",
            program: Program::Search,
            arguments: words(
                "train task",
                &[
                    ("--data", &self.data),
                    ("--images", &images),
                    ("--train", &self.train),
                    ("--val", &self.val),
                    ("--out", &out),
                    ("--weights", &self.plan.weights),
                ],
                &format!("--size {} {}", self.size, lengths.detector),
            ),
            resume: Resume::With("--resume"),
            reads: self.with_lists(&[images, self.plan.weights.clone()]),
            writes: vec![out],
            shows: vec![Shown::Plots("task")],
        }
    }

    fn eval(&self) -> Step {
        let (images, task) = (self.at("fused"), self.at("task/best.safetensors"));
        let out = self.at("eval/fused.json");
        Step {
            name: "eval",
            title: "Measured",
            text: "On the validation pairs, on which nothing was trained: average precision by class and fusion metrics \
                   of the fused images. No single one of them is a goal: a plain pixel maximum tops MI and VIF.",
            program: Program::Search,
            arguments: words(
                "eval",
                &[
                    ("--data", &self.data),
                    ("--list", &self.val),
                    ("--images", &images),
                    ("--task", &task),
                    ("--json", &out),
                ],
                &format!("--size {}", self.size),
            ),
            resume: Resume::Anew,
            reads: self.with_lists(&[images, task]),
            writes: vec![out],
            shows: vec![Shown::Report("eval/fused.json", &[])],
        }
    }

    fn eval_average(&self) -> Step {
        let (images, out) = (self.at("average"), self.at("eval/average.json"));
        Step {
            name: "eval-average",
            title: "The plain average, measured",
            text: "The same fusion metrics for the plain average of the same pairs.",
            program: Program::Search,
            arguments: words(
                "eval",
                &[("--data", &self.data), ("--list", &self.val), ("--images", &images), ("--json", &out)],
                "",
            ),
            resume: Resume::Anew,
            reads: self.with_lists(&[images]),
            writes: vec![out],
            shows: vec![Shown::Report("eval/average.json", &[])],
        }
    }

    fn export(&self) -> Step {
        let (fusion, task) = (self.at("fusion/fusion.safetensors"), self.at("task/best.safetensors"));
        let (model, report) = (self.at("model/model.onnx"), self.at("model/export.json"));
        Step {
            name: "export",
            title: "Export",
            text: "Fusion, detector, colour handling and decoding as one ONNX file with its contract inside.",
            program: Program::Export,
            arguments: words(
                "onnx",
                &[("--fusion", &fusion), ("--task", &task), ("--output", &model), ("--json", &report)],
                &format!("--size {}", self.size),
            ),
            resume: Resume::Anew,
            reads: vec![fusion, task],
            writes: vec![model, report],
            shows: vec![],
        }
    }

    fn verify(&self) -> Step {
        let (fusion, task) = (self.at("fusion/fusion.safetensors"), self.at("task/best.safetensors"));
        let (model, report) = (self.at("model/model.onnx"), self.at("model/verify.json"));
        let mut arguments = vec!["verify".to_owned(), text(&model)];
        arguments.extend(words("", &[("--against", &fusion), ("--task", &task), ("--json", &report)], ""));
        Step {
            name: "verify",
            title: "Export, checked",
            text: "The file run by ONNX Runtime and compared with the weights it was made from.",
            program: Program::Export,
            arguments,
            resume: Resume::Anew,
            reads: vec![model, fusion, task],
            writes: vec![report],
            shows: vec![Shown::Report("model/verify.json", &["model", "contract", "test_extents"])],
        }
    }

    fn clip(&self) -> Step {
        let out = self.at("clip");
        Step {
            name: "clip",
            title: "A drive, seen by two cameras",
            text: "A rendered clip: the scene moves, and the two cameras do not take their frames at the same time.",
            program: Program::Search,
            arguments: words(
                "scene",
                &[("--out", &out)],
                &format!("--clip 8 --fps 10 --skew-ms 8 --condition night --seed 5 --size {}", self.size),
            ),
            resume: Resume::Anew,
            reads: vec![],
            writes: vec![out],
            shows: vec![],
        }
    }

    fn live(&self) -> Step {
        let (model, clip) = (self.at("model/model.onnx"), self.at("clip"));
        let [video, lines, summary] =
            ["live/fused.webm", "live/detections.jsonl", "live/summary.json"].map(|name| self.at(name));
        Step {
            name: "live",
            title: "Live",
            text: "The exported model on two streams: frames paired by their times, fused, detected, drawn. The tables \
                   give the time of every stage on this machine at the 50th, 95th and 99th percentile.",
            program: Program::Run,
            arguments: words(
                "live",
                &[
                    ("--model", &model),
                    ("--ir", &clip.join("ir")),
                    ("--vi", &clip.join("vi")),
                    ("--video", &video),
                    ("--jsonl", &lines),
                    ("--summary", &summary),
                ],
                "--every-frame",
            ),
            resume: Resume::Anew,
            reads: vec![model, clip],
            writes: vec![video, lines, summary],
            shows: vec![
                Shown::Video("live/fused.webm"),
                Shown::Report(
                    "live/summary.json",
                    &["infrared", "visible", "video", "encoder", "ended_by", "provider_reason"],
                ),
            ],
        }
    }

    /// The pairs, their lists where those lie elsewhere, and more.
    fn with_lists(&self, more: &[PathBuf]) -> Vec<PathBuf> {
        let lists = self.plan.pairs.as_ref().filter(|pairs| !pairs.has_lists).map(|_| self.at("lists"));
        [self.data.clone()].into_iter().chain(lists).chain(more.iter().cloned()).collect()
    }
}

/// A command, options with their paths, and options without: the last are split at spaces.
fn words(command: &str, paths: &[(&str, &Path)], plain: &str) -> Vec<String> {
    let paths = paths.iter().flat_map(|(option, path)| [(*option).to_owned(), text(path)]);
    let split = |line: &str| line.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    split(command).into_iter().chain(paths).chain(split(plain)).collect()
}

fn text(path: &Path) -> String {
    path.display().to_string()
}

#[cfg(test)]
#[path = "steps_tests.rs"]
mod tests;
