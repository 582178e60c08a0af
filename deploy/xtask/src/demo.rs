//! `cargo xtask demo`: the whole chain on this machine, ending in a page.

mod html;
mod page;
mod plan;
mod stamp;
mod step;
mod steps;
mod table;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use anyhow::{Context as _, Result, bail};
use clap::Args;

use crate::process::{self, quoted};
use crate::repo::Repo;
use crate::report::{End, Report, readable};
use crate::setup::{self, Libraries};
use page::{Page, Ran, Section};
use plan::Plan;
use stamp::{Stamp, Stamps, key};
use step::{Program, Resume, Step};
use steps::steps;

/// What to show, and how long it may take.
#[derive(Debug, Args)]
pub struct DemoArguments {
    /// Labelled pairs in the plain layout (ir, vi, labels, classes.txt) instead of rendered scenes.
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// A longer search and longer trainings.
    #[arg(long)]
    full: bool,
    /// Weights the detectors start from, such as YOLOv5n's COCO checkpoint [default: our own, trained on rendered scenes].
    #[arg(long, value_name = "FILE")]
    weights: Option<PathBuf>,
    /// VGG-16 weights for the perceptual terms; these are off without it.
    #[arg(long, value_name = "FILE")]
    vgg: Option<PathBuf>,
    /// Where everything is written [default: demo-out in the workspace].
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

/// Runs the demo; steps whose outputs are complete and whose inputs did not change are skipped.
pub fn run(repo: &Repo, arguments: &DemoArguments) -> Result<()> {
    let plan = Plan::new(repo, arguments)?;
    let mut report = Report::new();
    let mut libraries = None;
    report.step("setup", || {
        libraries = Some(setup::run(repo, &setup::Options::everything())?);
        Ok(End::Done)
    });
    let Some(libraries) = libraries else { return report.finish("cargo xtask demo") };
    let mut programs = None;
    report.step("build", || {
        programs = Some(build(repo, &libraries)?);
        Ok(End::Done)
    });
    let Some(programs) = programs else { return report.finish("cargo xtask demo") };

    let runner = Runner {
        repo,
        libraries,
        programs,
        out: repo.root().join(&plan.out),
        stamps: Stamps::open(repo.root().join(plan.at(".stamps")))?,
    };
    let steps = steps(&plan);
    let mut ran = Vec::new();
    let mut failed = false;
    for step in &steps {
        if failed {
            report.not_run(step.name);
            continue;
        }
        failed = report.step(step.name, || runner.run(step, &mut ran)) == End::Failed;
    }
    let page = make_page(&plan, &steps, ran, failed).write(&runner.out)?;
    let outcome = report.finish("cargo xtask demo");
    println!("\nThe page: {}", page.display());
    outcome
}

/// Builds the programs in the release profile and returns the folder they lie in.
fn build(repo: &Repo, libraries: &Libraries) -> Result<PathBuf> {
    let mut cargo = Command::new("cargo");
    cargo.args(["build", "--release", "--locked"]).current_dir(repo.root());
    for program in Program::ALL {
        cargo.args(["--package", program.package()]);
    }
    process::run(libraries.for_cargo(&mut cargo))?;
    let mut metadata = Command::new("cargo");
    metadata.args(["metadata", "--format-version=1", "--no-deps", "--locked"]).current_dir(repo.root());
    let text = process::capture(libraries.for_cargo(&mut metadata))?;
    let read: serde_json::Value = serde_json::from_str(&text).context("cannot read what `cargo metadata` printed")?;
    let target = read.get("target_directory").and_then(|target| target.as_str());
    Ok(Path::new(target.context("`cargo metadata` names no target_directory")?).join("release"))
}

/// What every step needs to run.
struct Runner<'a> {
    repo: &'a Repo,
    libraries: Libraries,
    programs: PathBuf,
    out: PathBuf,
    stamps: Stamps,
}

impl Runner<'_> {
    fn run(&self, step: &Step, ran: &mut Vec<Ran>) -> Result<End> {
        let program = self.programs.join(step.program.binary());
        let mut command = Command::new(self.repo.short(&program));
        // A relative program is looked for from the folder the child starts in.
        command.args(&step.arguments).current_dir(self.repo.root());
        command.envs(self.libraries.for_program());
        let line = self.line(&command);
        let at_root = |path: &PathBuf| self.repo.root().join(path);
        let reads: Vec<PathBuf> = step.reads.iter().map(at_root).collect();
        let writes: Vec<PathBuf> = step.writes.iter().map(at_root).collect();
        let key = key(&line, &program, &reads)?;

        let before = self.stamps.read(step.name).filter(|stamp| stamp.key == key);
        if let Some(stamp) =
            before.as_ref().filter(|stamp| stamp.is_complete && writes.iter().all(|path| path.exists()))
        {
            println!("$ {line}\nup to date, took {:.1} s", stamp.seconds);
            ran.push(Ran { name: step.name.to_owned(), line, seconds: stamp.seconds });
            return Ok(End::Skipped);
        }
        let was_cut_off =
            before.as_ref().is_some_and(|stamp| !stamp.is_complete) && writes.iter().any(|path| path.exists());
        if was_cut_off && let Resume::With(option) = step.resume {
            command.arg(option);
        }
        let earlier = if was_cut_off && step.resume != Resume::Anew {
            before.map_or(0.0, |stamp| stamp.seconds)
        } else {
            writes.iter().try_for_each(|path| self.clear(path))?;
            0.0
        };
        for parent in writes.iter().filter_map(|path| path.parent()) {
            fs::create_dir_all(parent).with_context(|| format!("cannot create {}", parent.display()))?;
        }
        self.stamps.write(step.name, &Stamp { key: key.clone(), is_complete: false, seconds: earlier })?;
        println!("$ {}", self.line(&command));
        let begun = Instant::now();
        process::run_silently_announced(&mut command)?;
        let seconds = earlier + begun.elapsed().as_secs_f64();
        if let Some(absent) = writes.iter().find(|path| !path.exists()) {
            bail!("it ended well but left no {}", absent.display());
        }
        self.stamps.write(step.name, &Stamp { key, is_complete: true, seconds })?;
        ran.push(Ran { name: step.name.to_owned(), line, seconds });
        Ok(End::Done)
    }

    /// The command as it can be pasted at the workspace root, with the variables it needs.
    fn line(&self, command: &Command) -> String {
        let assigned =
            |(name, path): (&str, PathBuf)| format!("{name}={} ", quoted(self.repo.short(&path).as_os_str()));
        let variables: String = self.libraries.for_program().into_iter().map(assigned).collect();
        variables + &process::line(command)
    }

    /// Removes what a step is about to write anew; nothing outside the output folder is ever removed.
    fn clear(&self, path: &Path) -> Result<()> {
        if !path.starts_with(&self.out) || path == self.out {
            bail!("{} lies outside of {}", path.display(), self.out.display());
        }
        let context = || format!("cannot remove {}", path.display());
        match fs::symlink_metadata(path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(error).with_context(context),
            Ok(metadata) if metadata.is_dir() => fs::remove_dir_all(path).with_context(context),
            Ok(_) => fs::remove_file(path).with_context(context),
        }
    }
}

fn make_page(plan: &Plan, steps: &[Step], ran: Vec<Ran>, failed: bool) -> Page {
    let work = std::time::Duration::from_secs_f64(ran.iter().map(|step| step.seconds).sum());
    let source = match &plan.pairs {
        Some(pairs) => format!("Real pairs from {}", pairs.root.display()),
        None => "Rendered road scenes".to_owned(),
    };
    let end = if failed { " A step failed; what follows it is missing." } else { "" };
    let lead = format!(
        "{source}, a searched fusion loss, a fusion network, a detector, an ONNX file and a live run: {} of work.{end}",
        readable(work)
    );
    let length = if plan.full {
        "This was the longer run; the published recipe trains longer still, with a larger detector and real data."
    } else {
        "A search and a training of minutes show that every link of the chain works and in which direction the loss \
         weights move. They do not show what the method reaches: the weights are still moving when the search ends, the \
         detector has seen each picture a few times, and differences of a few points of AP are within what another seed \
         gives."
    };
    let data = match &plan.pairs {
        Some(_) => {
            " The clip of the live run is rendered, so that a model trained on real pairs is far from its data there."
        }
        None => " Rendered scenes are not the road: nothing here says how the model does on real cameras.",
    };
    let has_run = |step: &&Step| ran.iter().any(|ran| ran.name == step.name) && !step.shows.is_empty();
    // The last step is what the others were for, so that it is seen first.
    let (last, others) = steps.split_last().map_or((None, steps), |(last, others)| (Some(last), others));
    let sections = last
        .into_iter()
        .chain(others)
        .filter(has_run)
        .map(|step| Section { title: step.title, text: step.text, shown: step.shows.clone() })
        .collect();
    Page { lead, limits: format!("{length}{data}"), sections, ran }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::setup::Place;

    /// A runner whose program is `sh`, so that steps can be scripts.
    fn with_runner(test: impl FnOnce(&Runner<'_>, &Path)) {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("bin")).unwrap();
        std::os::unix::fs::symlink("/bin/sh", folder.path().join("bin/caf-search")).unwrap();
        let repo = Repo::at(folder.path());
        let runner = Runner {
            repo: &repo,
            libraries: Libraries { libtorch: None, onnxruntime: Place::Own("/nowhere.so".into()) },
            programs: folder.path().join("bin"),
            out: folder.path().join("out"),
            stamps: Stamps::open(folder.path().join("out/.stamps")).unwrap(),
        };
        test(&runner, folder.path());
    }

    fn script(text: &str, resume: Resume) -> Step {
        Step {
            name: "step",
            title: "",
            text: "",
            program: Program::Search,
            arguments: vec!["-c".to_owned(), text.to_owned()],
            resume,
            reads: vec!["input".into()],
            writes: vec!["out/made".into()],
            shows: vec![],
        }
    }

    #[test]
    fn a_step_runs_once_until_its_input_changes() {
        with_runner(|runner, folder| {
            fs::write(folder.join("input"), "1").unwrap();
            let step = script("mkdir out/made && echo x >> out/count", Resume::Anew);
            let mut ran = Vec::new();
            assert_eq!(runner.run(&step, &mut ran).unwrap(), End::Done);
            assert_eq!(runner.run(&step, &mut ran).unwrap(), End::Skipped);
            fs::write(folder.join("input"), "22").unwrap();
            assert_eq!(runner.run(&step, &mut ran).unwrap(), End::Done);
            fs::remove_dir(folder.join("out/made")).unwrap();
            assert_eq!(runner.run(&step, &mut ran).unwrap(), End::Done);
            assert_eq!(fs::read_to_string(folder.join("out/count")).unwrap(), "x\nx\nx\n");
            assert_eq!(ran.len(), 4);
        });
    }

    #[test]
    fn a_step_that_was_cut_off_resumes_where_it_can_and_begins_anew_where_it_cannot() {
        with_runner(|runner, folder| {
            fs::write(folder.join("input"), "1").unwrap();
            // `$0` is the first word after the script: the flag, when there is one.
            let text = "echo \"$0\" >> out/count; if [ \"$0\" = again ]; then test -e out/made/part; else mkdir out/made && touch out/made/part && false; fi";
            let step = script(text, Resume::With("again"));
            assert!(runner.run(&step, &mut Vec::new()).is_err());
            assert_eq!(runner.run(&step, &mut Vec::new()).unwrap(), End::Done);
            assert_eq!(fs::read_to_string(folder.join("out/count")).unwrap().lines().last(), Some("again"));

            fs::remove_dir_all(folder.join("out/made")).unwrap();
            let anew = script("mkdir out/made && false", Resume::Anew);
            assert!(runner.run(&anew, &mut Vec::new()).is_err());
            let error = format!("{:#}", runner.run(&anew, &mut Vec::new()).unwrap_err());
            assert!(error.contains("exit status: 1"), "{error}");
        });
    }

    #[test]
    fn a_step_that_leaves_nothing_or_lacks_its_input_fails() {
        with_runner(|runner, folder| {
            let step = script("true", Resume::Anew);
            assert!(format!("{:#}", runner.run(&step, &mut Vec::new()).unwrap_err()).contains("cannot read the input"));
            fs::write(folder.join("input"), "1").unwrap();
            assert!(runner.run(&step, &mut Vec::new()).unwrap_err().to_string().contains("left no"));
        });
    }

    #[test]
    fn nothing_outside_the_output_folder_is_removed() {
        with_runner(|runner, folder| {
            fs::write(folder.join("input"), "1").unwrap();
            assert!(runner.clear(&folder.join("input")).is_err());
            assert!(runner.clear(&folder.join("out")).is_err());
            assert!(folder.join("input").exists());
        });
    }

    #[test]
    fn the_page_says_what_a_short_run_cannot_show() {
        let plan = Plan {
            root: "/repo".into(),
            out: "demo-out".into(),
            pairs: None,
            full: false,
            weights: "w".into(),
            vgg: None,
        };
        let page = make_page(&plan, &[], vec![], true);
        assert!(page.limits.contains("minutes") && page.lead.contains("failed"), "{page:?}");
    }
}
