//! What a demo shall do: which data, how long, where to.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use caf_console::WrongCall;
use clap::Args;

use crate::repo::{Repo, from_caller};

use super::files;
use super::pairs::Kind;
use super::settings::Settings;

/// Marks a folder as one that the demo may write into and clear.
const MARK: &str = ".caf-demo";

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

/// A demo, decided.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The workspace root, absolute.
    pub root: PathBuf,
    /// Where everything is written, relative to the workspace root when it lies inside.
    pub out: PathBuf,
    /// The labelled pairs of the caller; `None` renders scenes.
    pub pairs: Option<Pairs>,
    /// Longer searches and trainings.
    pub full: bool,
    /// Weights the detectors of the search and of the training start from.
    pub weights: PathBuf,
    /// VGG-16 weights, if the perceptual terms shall take part.
    pub vgg: Option<PathBuf>,
    /// Sizes and lengths.
    pub settings: Settings,
}

/// What the live run looks at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Live {
    /// A rendered drive.
    Clip,
    /// The caller's validation pairs, infrared and visible files of these kinds.
    Stills([Kind; 2]),
}

/// Our own detector, trained on rendered scenes of other seeds (its README says how), relative to the workspace root.
const OWN_WEIGHTS: &str = "deploy/weights/yolov5n-scenes.safetensors";

/// Labelled pairs on disk in the plain layout.
#[derive(Debug, Clone)]
pub struct Pairs {
    /// The folder with `ir`, `vi` and `labels`.
    pub root: PathBuf,
    /// Whether it brings its own `train.txt` and `val.txt`.
    pub has_lists: bool,
    /// Kinds of all infrared and of all visible files, where GStreamer can show them one after the other.
    pub kinds: Option<[Kind; 2]>,
}

impl Plan {
    /// Validates the call: a folder of pairs must be one, and the output folder must be ours or empty.
    pub fn new(repo: &Repo, arguments: &DemoArguments) -> Result<Self> {
        let out = match &arguments.out {
            Some(out) => from_caller(out)?,
            None => repo.root().join("demo-out"),
        };
        let pairs = arguments.data.as_deref().map(|data| Pairs::open(&from_caller(data)?)).transpose()?;
        let given = |file: &Option<PathBuf>| -> Result<Option<PathBuf>> {
            let Some(file) = file else { return Ok(None) };
            let path = from_caller(file)?;
            if !path.is_file() {
                return Err(WrongCall(format!("{}: expected a weight file, found none", path.display())).into());
            }
            Ok(Some(repo.short(&path).to_path_buf()))
        };
        let weights = given(&arguments.weights)?.unwrap_or_else(|| PathBuf::from(OWN_WEIGHTS));
        let vgg = given(&arguments.vgg)?;
        if let Some(pairs) = &pairs {
            apart(&pairs.root, &out)?;
        }
        claim(&out)?;
        Ok(Self {
            settings: Settings::choose(arguments.full, pairs.is_some()),
            root: repo.root().to_path_buf(),
            out: repo.short(&out).to_path_buf(),
            pairs: pairs.map(|pairs| Pairs { root: repo.short(&pairs.root).to_path_buf(), ..pairs }),
            full: arguments.full,
            weights,
            vgg,
        })
    }

    /// Whether detectors start from our own weights, which saw rendered scenes only.
    pub fn has_own_weights(&self) -> bool {
        self.weights == Path::new(OWN_WEIGHTS)
    }

    /// A path in the output folder.
    pub fn at(&self, name: &str) -> PathBuf {
        self.out.join(name)
    }

    /// The folder of pairs.
    pub fn data(&self) -> PathBuf {
        self.pairs.as_ref().map_or_else(|| self.at(files::SCENES), |pairs| pairs.root.clone())
    }

    /// A list of pairs: `train.txt` or `val.txt`.
    pub fn list(&self, name: &str) -> PathBuf {
        if self.pairs.is_some() { self.at(files::LISTS).join(name) } else { self.data().join(name) }
    }

    /// The same as options take it. Programs read lists relative to the pairs, so that lists from elsewhere need their
    /// whole path.
    pub fn list_option(&self, name: &str) -> PathBuf {
        if self.pairs.is_some() { self.root.join(self.list(name)) } else { PathBuf::from(name) }
    }

    /// What the live run looks at: the caller's pairs where they can be shown, else a rendered drive.
    pub fn live(&self) -> Live {
        self.pairs.as_ref().and_then(|pairs| pairs.kinds).map_or(Live::Clip, Live::Stills)
    }
}

impl Pairs {
    fn open(root: &Path) -> Result<Self> {
        let absent: Vec<_> =
            ["ir", "vi", "labels", "classes.txt"].into_iter().filter(|name| !root.join(name).exists()).collect();
        if !absent.is_empty() {
            let message = format!(
                "--data {}: expected folders ir, vi and labels and the file classes.txt, found no {}",
                root.display(),
                absent.join(", no ")
            );
            return Err(WrongCall(message).into());
        }
        let has_lists = root.join("train.txt").is_file() && root.join("val.txt").is_file();
        let kinds = Kind::of_folder(&root.join("ir")).zip(Kind::of_folder(&root.join("vi")));
        Ok(Self { root: root.to_path_buf(), has_lists, kinds: kinds.map(Into::into) })
    }
}

/// Nothing is written among the caller's pairs, and no pairs are read from where steps clear what they write.
fn apart(pairs: &Path, out: &Path) -> Result<()> {
    // Links are followed as far as the path exists.
    let real = |path: &Path| {
        let known = path.ancestors().find_map(|known| Some((known, known.canonicalize().ok()?)));
        known.map_or_else(|| path.to_path_buf(), |(known, real)| real.join(path.strip_prefix(known).unwrap_or(path)))
    };
    let (real_pairs, real_out) = (real(pairs), real(out));
    if real_out.starts_with(&real_pairs) || real_pairs.starts_with(&real_out) {
        let message = format!(
            "--data {} and --out {}: expected two folders outside of each other; give another --out",
            pairs.display(),
            out.display()
        );
        return Err(WrongCall(message).into());
    }
    Ok(())
}

/// Takes the output folder: steps clear what they are about to write, so that it must not be somebody else's.
fn claim(out: &Path) -> Result<()> {
    let mark = out.join(MARK);
    if mark.is_file() {
        return Ok(());
    }
    let is_taken = match fs::read_dir(out) {
        Ok(mut entries) => entries.next().is_some(),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => false,
        Err(error) => return Err(error).with_context(|| format!("cannot list {}", out.display())),
    };
    if is_taken {
        let message = format!(
            "--out {}: expected a new or empty folder or one of an earlier demo, found other files",
            out.display()
        );
        return Err(WrongCall(message).into());
    }
    fs::create_dir_all(out).with_context(|| format!("cannot create {}", out.display()))?;
    caf_file::write(&mark, b"Written by `cargo xtask demo`, which clears and rewrites what is here.\n")
        .with_context(|| format!("cannot write {}", mark.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_with_other_files_is_never_taken() {
        let folder = tempfile::tempdir().unwrap();
        claim(&folder.path().join("new")).unwrap();
        claim(&folder.path().join("new")).unwrap();
        fs::write(folder.path().join("new/index.html"), "").unwrap();
        claim(&folder.path().join("new")).unwrap();

        fs::create_dir(folder.path().join("home")).unwrap();
        fs::write(folder.path().join("home/thesis.txt"), "").unwrap();
        let error = claim(&folder.path().join("home")).unwrap_err();
        assert!(error.is::<WrongCall>(), "{error}");
        assert!(!folder.path().join("home").join(MARK).exists());
    }

    #[test]
    fn pairs_and_results_never_mix() {
        let folder = tempfile::tempdir().unwrap();
        let pairs = folder.path().join("pairs");
        fs::create_dir(&pairs).unwrap();
        std::os::unix::fs::symlink(&pairs, folder.path().join("link")).unwrap();
        for out in ["pairs", "pairs/new/out", "link/out", "."] {
            assert!(apart(&pairs, &folder.path().join(out)).unwrap_err().is::<WrongCall>(), "{out}");
        }
        apart(&pairs, &folder.path().join("pairs-out")).unwrap();
    }

    #[test]
    fn a_folder_of_pairs_must_hold_all_its_parts() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["ir", "vi"] {
            fs::create_dir(folder.path().join(name)).unwrap();
        }
        let error = Pairs::open(folder.path()).unwrap_err();
        assert!(error.is::<WrongCall>() && error.to_string().contains("no labels, no classes.txt"), "{error}");
        fs::create_dir(folder.path().join("labels")).unwrap();
        for name in ["classes.txt", "train.txt"] {
            fs::write(folder.path().join(name), "person\n").unwrap();
        }
        assert!(!Pairs::open(folder.path()).unwrap().has_lists);
        fs::write(folder.path().join("val.txt"), "a\n").unwrap();
        assert!(Pairs::open(folder.path()).unwrap().has_lists);
    }
}
