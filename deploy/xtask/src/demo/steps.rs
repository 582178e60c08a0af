//! The steps of the demo: what each one calls, reads and writes.

use std::path::{Path, PathBuf};

use caf_geometry::Size;

use super::files;
use super::pairs::{Lists, Stills};
use super::plan::{Live, Plan};
use super::step::{Own, Phase, Program, Resume, Step, Work};

/// What a detector is trained and measured on. All are trained alike, so that their images can be compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Images {
    /// Fused by the trained network.
    Fused,
    /// The pixel average, the simplest fusion.
    Average,
    /// The visible images alone.
    Visible,
    /// The infrared images alone.
    Infrared,
}

impl Images {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Fused, Self::Average, Self::Visible, Self::Infrared];

    /// In names of steps and files.
    pub fn name(self) -> &'static str {
        match self {
            Self::Fused => "fused",
            Self::Average => "average",
            Self::Visible => "visible",
            Self::Infrared => "infrared",
        }
    }

    /// Where they lie; none for those that the data set holds itself.
    fn folder(self) -> Option<&'static str> {
        match self {
            Self::Fused => Some(files::FUSED),
            Self::Average => Some(files::AVERAGE),
            Self::Visible | Self::Infrared => None,
        }
    }
}

/// All steps in order.
pub fn steps(plan: &Plan) -> Vec<Step> {
    let chain = Chain { plan, size: plan.settings.size };
    let mut steps = chain.pairs();
    steps.extend([chain.search(), chain.train_fusion(), chain.fuse(), chain.average()]);
    steps.extend(Images::ALL.map(|images| chain.train_detector(images)));
    steps.extend(Images::ALL.map(|images| chain.measure(images)));
    steps.extend([chain.export(), chain.verify()]);
    steps.push(match plan.live() {
        Live::Clip => chain.clip(),
        Live::Stills(_) => chain.stills(),
    });
    steps.extend([chain.live(), chain.whole()]);
    steps.extend((plan.live() == Live::Clip).then(|| chain.frames()));
    steps
}

struct Chain<'a> {
    plan: &'a Plan,
    size: Size,
}

impl Chain<'_> {
    /// The pairs: rendered, or the caller's with lists of those that take part.
    fn pairs(&self) -> Vec<Step> {
        let Some(pairs) = &self.plan.pairs else {
            let scenes = self
                .call("scenes", Phase::Pairs, Program::Search, "scene")
                .output("--out", files::SCENES)
                .words(&format!("--size {} {}", self.size, self.plan.settings.scenes));
            return vec![scenes.step(Resume::Anew)];
        };
        let split = || self.call("split", Phase::Pairs, Program::Search, "split").data().output("--out", files::SPLIT);
        let from = if pairs.has_lists { pairs.root.clone() } else { self.plan.at(files::SPLIT) };
        let out = self.plan.at(files::LISTS);
        let lists = Step {
            name: "lists".to_owned(),
            phase: Phase::Pairs,
            reads: ["train.txt", "val.txt"].map(|name| from.join(name)).into(),
            writes: vec![out.clone()],
            work: Work::Own(Own::Choose(Lists { from, most: self.plan.settings.most_pairs, out })),
            resume: Resume::Anew,
        };
        (!pairs.has_lists).then(|| split().step(Resume::Anew)).into_iter().chain([lists]).collect()
    }

    fn search(&self) -> Step {
        let call = self.call("search", Phase::Search, Program::Search, "search").data().list("--train");
        let call = call.given("--init", &self.plan.weights);
        let call = match &self.plan.vgg {
            Some(vgg) => call.given("--vgg", vgg),
            None => call,
        };
        call.output("--out", files::SEARCH).words(self.plan.settings.search).step(Resume::SameCall)
    }

    fn train_fusion(&self) -> Step {
        self.call("train-fusion", Phase::Fusion, Program::Search, "train fusion")
            .input("--beta", files::BETA)
            .data()
            .list("--train")
            .list("--val")
            .output("--out", files::FUSION)
            .words(self.plan.settings.fusion)
            .step(Resume::SameCall)
    }

    fn fuse(&self) -> Step {
        self.call("fuse", Phase::Fuse, Program::Search, "fuse")
            .data()
            .all_pairs()
            .input("--fusion", files::FUSION_NETWORK)
            .output("--out", files::FUSED)
            .step(Resume::With("--resume"))
    }

    fn average(&self) -> Step {
        self.call("average", Phase::Fuse, Program::Search, "fuse --method average")
            .data()
            .all_pairs()
            .output("--out", files::AVERAGE)
            .step(Resume::With("--resume"))
    }

    fn train_detector(&self, images: Images) -> Step {
        self.call(&format!("detector-{}", images.name()), Phase::Detectors, Program::Search, "train task")
            .data()
            .images(images)
            .list("--train")
            .list("--val")
            .given("--init", &self.plan.weights)
            .output("--out", &files::detector(images.name()))
            .words(&format!("--size {} {}", self.size, self.plan.settings.detector))
            .step(Resume::SameCall)
    }

    fn measure(&self, images: Images) -> Step {
        self.call(&format!("measure-{}", images.name()), Phase::Detectors, Program::Search, "eval")
            .data()
            .list_as("--list", "val.txt")
            .images(images)
            .input("--task", &best(images))
            .output("--json", &files::measured(images.name()))
            .words(&format!("--size {}", self.size))
            .step(Resume::Anew)
    }

    fn export(&self) -> Step {
        self.call("export", Phase::Export, Program::Export, "onnx")
            .input("--fusion", files::FUSION_NETWORK)
            .input("--task", &best(Images::Fused))
            .output("--output", files::MODEL)
            .output("--json", files::EXPORTED)
            .words(&format!("--size {}", self.size))
            .step(Resume::Anew)
    }

    fn verify(&self) -> Step {
        self.call("verify", Phase::Export, Program::Export, "verify")
            .input("", files::MODEL)
            .input("--against", files::FUSION_NETWORK)
            .input("--task", &best(Images::Fused))
            .output("--json", files::VERIFIED)
            .step(Resume::Anew)
    }

    fn clip(&self) -> Step {
        self.call("clip", Phase::Live, Program::Search, "scene")
            .output("--out", files::CLIP)
            .words(&format!("--size {} {}", self.size, self.plan.settings.clip))
            .step(Resume::Anew)
    }

    fn stills(&self) -> Step {
        let (data, list) = (self.plan.data(), self.plan.list("val.txt"));
        let out = self.plan.at(files::STILLS);
        Step {
            name: "stills".to_owned(),
            phase: Phase::Live,
            work: Work::Own(Own::Link(Stills { data: data.clone(), list: list.clone(), out: out.clone() })),
            resume: Resume::Anew,
            reads: vec![data, list],
            writes: vec![out],
        }
    }

    fn live(&self) -> Step {
        self.call("live", Phase::Live, Program::Run, "live")
            .input("--model", files::MODEL)
            .cameras()
            .output("--video", files::LIVE_VIDEO)
            .output("--jsonl", files::DETECTIONS)
            .output("--summary", files::SUMMARY)
            .words("--realtime --pairs-only")
            .step(Resume::Anew)
    }

    /// The same again without giving up frames: a video to look at, from a machine of any speed.
    fn whole(&self) -> Step {
        self.call("whole", Phase::Live, Program::Run, "live")
            .input("--model", files::MODEL)
            .cameras()
            .output("--video", files::WHOLE_VIDEO)
            .words("--every-frame")
            .step(Resume::Anew)
    }

    /// What the page shows still of the clip: the same model on the same frames, as pictures.
    fn frames(&self) -> Step {
        self.call("frames", Phase::Live, Program::Run, "fuse")
            .input("--model", files::MODEL)
            .cameras()
            .output("--out", files::FRAMES)
            .words("--draw")
            .step(Resume::Anew)
    }

    fn call(&self, name: &str, phase: Phase, program: Program, command: &str) -> Call<'_> {
        let call = Call {
            plan: self.plan,
            name: name.to_owned(),
            phase,
            program,
            arguments: Vec::new(),
            reads: Vec::new(),
            writes: Vec::new(),
        };
        call.words(command)
    }
}

/// The detector that did best on the validation pairs.
fn best(images: Images) -> String {
    format!("{}/best.safetensors", files::detector(images.name()))
}

/// A step that calls a program, in the making: what is an input or an output is known from its option.
struct Call<'a> {
    plan: &'a Plan,
    name: String,
    phase: Phase,
    program: Program,
    arguments: Vec<String>,
    reads: Vec<PathBuf>,
    writes: Vec<PathBuf>,
}

impl Call<'_> {
    /// Words without spaces in them.
    fn words(mut self, line: &str) -> Self {
        self.arguments.extend(line.split_whitespace().map(str::to_owned));
        self
    }

    /// An option with its value; without a name, the value alone.
    fn option(mut self, name: &str, value: String) -> Self {
        self.arguments.extend((!name.is_empty()).then(|| name.to_owned()));
        self.arguments.push(value);
        self
    }

    /// Something in the output folder that is read.
    fn input(self, option: &str, name: &str) -> Self {
        let path = self.plan.at(name);
        self.given(option, &path)
    }

    /// Something in the output folder that is read without being named on the command line.
    fn reads(mut self, name: &str) -> Self {
        self.reads.push(self.plan.at(name));
        self
    }

    /// A file of the caller that is read.
    fn given(mut self, option: &str, path: &Path) -> Self {
        self.reads.push(path.to_path_buf());
        self.option(option, text(path))
    }

    /// Something in the output folder that is written.
    fn output(mut self, option: &str, name: &str) -> Self {
        let path = self.plan.at(name);
        self.writes.push(path.clone());
        self.option(option, text(&path))
    }

    /// The two cameras: folders of the clip, whose capture times lie beside them, or stills by launch strings.
    fn cameras(self) -> Self {
        match self.plan.live() {
            Live::Clip => self.input("--ir", files::CLIP_IR).input("--vi", files::CLIP_VI).reads(files::CLIP),
            Live::Stills([ir, vi]) => {
                let (out, size) = (self.plan.at(files::STILLS), self.plan.settings.size);
                let launch = |camera, kind| Stills::launch(&out, camera, kind, size);
                self.option("--ir", launch("ir", ir)).option("--vi", launch("vi", vi)).reads(files::STILLS)
            }
        }
    }

    /// The pairs.
    fn data(self) -> Self {
        let data = self.plan.data();
        self.given("--data", &data)
    }

    /// The list of training or validation pairs, by the option of the same name.
    fn list(self, option: &str) -> Self {
        let name = format!("{}.txt", option.trim_start_matches('-'));
        self.list_as(option, &name)
    }

    fn list_as(mut self, option: &str, name: &str) -> Self {
        self.reads.push(self.plan.list(name));
        let value = text(&self.plan.list_option(name));
        self.option(option, value)
    }

    /// All pairs that take part; of rendered ones that is every one.
    fn all_pairs(self) -> Self {
        if self.plan.pairs.is_some() { self.list_as("--list", "all.txt") } else { self }
    }

    fn images(self, images: Images) -> Self {
        match images.folder() {
            Some(folder) => self.input("--images", folder),
            None => self.option("--images", images.name().to_owned()),
        }
    }

    fn step(self, resume: Resume) -> Step {
        let Call { name, phase, program, arguments, reads, writes, .. } = self;
        Step { name, phase, work: Work::Call(program, arguments), resume, reads, writes }
    }
}

fn text(path: &Path) -> String {
    path.display().to_string()
}

#[cfg(test)]
#[path = "steps_tests.rs"]
mod tests;
