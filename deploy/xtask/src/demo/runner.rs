//! Runs one step: not at all when it is up to date, from where it stopped when it was cut off, else anew.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use caf_console::StopFlag;

use super::files;
use super::stamp::{Stamp, Stamps, fingerprint, key};
use super::step::{Own, Phase, Program, Resume, Step, Work};

use crate::process::{self, quoted};
use crate::repo::Repo;
use crate::report::{End, readable};
use crate::setup::Libraries;

/// A step that came to its end, now or in an earlier call.
#[derive(Debug, Clone)]
pub struct Ran {
    /// Name of the step.
    pub name: String,
    /// What it was for.
    pub phase: Phase,
    /// The whole command line, as it can be pasted at the workspace root.
    pub line: String,
    /// Time it took when it ran.
    pub time: Duration,
}

/// What every step needs to run.
pub struct Runner<'a> {
    repo: &'a Repo,
    libraries: Libraries,
    /// Folder of the programs.
    programs: PathBuf,
    /// Hashes of the programs.
    fingerprints: Vec<(Program, String)>,
    /// The output folder, absolute.
    out: PathBuf,
    stamps: Stamps,
    /// Raised when the user asks for an end. Programs get the same signal and end by themselves.
    stop: StopFlag,
}

impl<'a> Runner<'a> {
    /// Prepares the output folder `out` for `programs`.
    pub fn new(repo: &'a Repo, libraries: Libraries, programs: PathBuf, out: PathBuf, stop: StopFlag) -> Result<Self> {
        let stamps = Stamps::open(out.join(".stamps"))?;
        let logs = out.join(files::LOGS);
        fs::create_dir_all(&logs).with_context(|| format!("cannot create {}", logs.display()))?;
        let one = |program: Program| Ok((program, fingerprint(&programs.join(program.binary()))?));
        let fingerprints = Program::ALL.into_iter().map(one).collect::<Result<_>>()?;
        Ok(Self { repo, libraries, programs, fingerprints, out, stamps, stop })
    }

    /// Runs a step and adds it to `ran` once it is complete.
    pub fn run(&self, step: &Step, ran: &mut Vec<Ran>) -> Result<End> {
        let job = self.job(&step.work);
        let (line, program) = match &job {
            Job::Call(program, command) => (self.line(command), self.fingerprint(*program)),
            Job::Own(own) => (own.line(), ""),
        };
        let at_root = |path: &PathBuf| self.repo.root().join(path);
        let reads: Vec<PathBuf> = step.reads.iter().map(at_root).collect();
        let writes: Vec<PathBuf> = step.writes.iter().map(at_root).collect();
        let key = key(&line, program, &reads)?;
        let finished = |seconds| Ran {
            name: step.name.clone(),
            phase: step.phase,
            line: line.clone(),
            time: Duration::from_secs_f64(seconds),
        };

        let before = self.stamps.read(&step.name).filter(|stamp| stamp.key == key);
        if let Some(stamp) =
            before.as_ref().filter(|stamp| stamp.is_complete && writes.iter().all(|path| path.exists()))
        {
            println!("$ {line}\nup to date, took {}", readable(Duration::from_secs_f64(stamp.seconds)));
            ran.push(finished(stamp.seconds));
            return Ok(End::Skipped);
        }
        let cut_off = before.filter(|stamp| !stamp.is_complete && writes.iter().any(|path| path.exists()));
        let earlier = self.prepare(step, cut_off.as_ref(), &writes)?;
        let stamp =
            |is_complete, seconds| self.stamps.write(&step.name, &Stamp { key: key.clone(), is_complete, seconds });
        stamp(false, earlier)?;
        let begun = Instant::now();
        let outcome = self.carry_out(&step.name, job, if cut_off.is_some() { step.resume } else { Resume::Anew });
        let seconds = earlier + begun.elapsed().as_secs_f64();
        let is_stopped = self.stop.is_raised();
        if is_stopped || outcome.is_err() {
            stamp(false, seconds)?;
        }
        if is_stopped {
            return Ok(End::Stopped);
        }
        outcome?;
        if let Some(absent) = writes.iter().find(|path| !path.exists()) {
            bail!("it ended well but left no {}", absent.display());
        }
        stamp(true, seconds)?;
        ran.push(finished(seconds));
        Ok(End::Done)
    }

    /// Clears what a step is about to write anew, and its log; says how many seconds of work are there already.
    fn prepare(&self, step: &Step, cut_off: Option<&Stamp>, writes: &[PathBuf]) -> Result<f64> {
        for parent in writes.iter().filter_map(|path| path.parent()) {
            fs::create_dir_all(parent).with_context(|| format!("cannot create {}", parent.display()))?;
        }
        match cut_off {
            Some(stamp) if step.resume != Resume::Anew => Ok(stamp.seconds),
            _ => {
                writes.iter().try_for_each(|path| self.clear(path))?;
                self.clear(&self.log(&step.name))?;
                Ok(0.0)
            }
        }
    }

    fn carry_out(&self, name: &str, job: Job<'_>, resume: Resume) -> Result<()> {
        let mut command = match job {
            Job::Own(own) => return own.carry_out(self.repo.root()),
            Job::Call(_, command) => command,
        };
        if let Resume::With(option) = resume {
            command.arg(option);
        }
        let line = self.line(&command);
        let log = self.log(name);
        let status = process::run_logged(&mut command, &line, &log)?;
        if !status.success() {
            bail!(
                "{status}\n  its log: {}\n  to repeat this step alone: cd {} && {line}",
                log.display(),
                quoted(self.repo.root().as_os_str())
            );
        }
        Ok(())
    }

    fn job<'b>(&self, work: &'b Work) -> Job<'b> {
        match work {
            Work::Own(own) => Job::Own(own),
            Work::Call(program, arguments) => {
                // A relative program is looked for from the folder the child starts in.
                let mut command = Command::new(self.repo.short(&self.programs.join(program.binary())));
                command.args(arguments).current_dir(self.repo.root());
                command.envs(self.libraries.for_program());
                Job::Call(*program, command)
            }
        }
    }

    fn fingerprint(&self, program: Program) -> &str {
        self.fingerprints.iter().find(|known| known.0 == program).map_or("", |known| &known.1)
    }

    fn log(&self, name: &str) -> PathBuf {
        self.out.join(files::LOGS).join(format!("{name}.log"))
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

/// A step's work, ready to be done.
enum Job<'a> {
    Call(Program, Command),
    Own(&'a Own),
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::setup::Place;

    /// A runner whose programs are `sh`, so that steps can be scripts.
    fn with_runner(test: impl FnOnce(&mut Runner<'_>, &Path)) {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("bin")).unwrap();
        for program in Program::ALL {
            std::os::unix::fs::symlink("/bin/sh", folder.path().join("bin").join(program.binary())).unwrap();
        }
        let repo = Repo::at(folder.path());
        let libraries = Libraries { libtorch: None, onnxruntime: Place::Own("/nowhere.so".into()) };
        let (programs, out) = (folder.path().join("bin"), folder.path().join("out"));
        let mut runner = Runner::new(&repo, libraries, programs, out, StopFlag::default()).unwrap();
        test(&mut runner, folder.path());
    }

    fn script(text: &str, resume: Resume) -> Step {
        Step {
            name: "step".to_owned(),
            phase: Phase::Search,
            work: Work::Call(Program::Search, vec!["-c".to_owned(), text.to_owned()]),
            resume,
            reads: vec!["input".into()],
            writes: vec!["out/made".into()],
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
            for part in ["exit status: 1", "logs/step.log", "to repeat this step alone", "mkdir out/made && false"] {
                assert!(error.contains(part), "{part}: {error}");
            }
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
    fn a_step_that_the_user_stopped_is_not_complete_however_it_ended() {
        with_runner(|runner, folder| {
            fs::write(folder.join("input"), "1").unwrap();
            let step = script("mkdir -p out/made; echo said \"$0\"", Resume::With("again"));
            runner.stop.raise();
            let mut ran = Vec::new();
            assert_eq!(runner.run(&step, &mut ran).unwrap(), End::Stopped);
            assert!(ran.is_empty());
            runner.stop = StopFlag::default();
            assert_eq!(runner.run(&step, &mut ran).unwrap(), End::Done);
            let log = fs::read_to_string(folder.join("out/logs/step.log")).unwrap();
            assert_eq!(log.lines().last(), Some("said again"), "{log}");
            assert_eq!(log.lines().filter(|line| line.starts_with("$ ")).count(), 2, "{log}");
        });
    }
}
