//! `caf-search import`

use super::WrongCall;
use anyhow::{Result, bail};
use caf_console::{Paths, claim, out, write_json};
use caf_net::zoo::fusion::{FusionConfig, FusionNetwork};
use caf_net::zoo::network::{Family, KernelLayout};
use caf_net::zoo::task::TaskNetwork;
use caf_weights::import::{ImportOptions, Imported, import_checkpoint};
use caf_weights::{
    Metadata, NetworkFile, Weights, WeightsError, is_safetensors, load_safetensors, other_kind, read_weights,
    save_safetensors,
};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    caf-search import yolov5n.pt yolov5n.safetensors\n  \
    caf-search import Det_final.pth det.safetensors --list\n  \
    caf-search import weights.safetensors u2fusion.safetensors --set first=vi\n  \
    caf-search import model.ckpt.index u2fusion.safetensors\n  \
    caf-search import Encoder_weight_IJCAI.pkl didfuse.safetensors --with Decoder_weight_IJCAI.pkl\n\n\
    Nothing from the checkpoint is executed: a pickle that asks for anything but plain data is refused by name. Every program\n  \
    that takes weights takes original checkpoints too; importing makes one file that other tools read.")]
pub(super) struct Args {
    /// Original checkpoint of PyTorch, the .index of one of TensorFlow, or safetensors under an original's names.
    checkpoint: PathBuf,
    /// Result.
    out: PathBuf,
    /// Another checkpoint with further tensors of the same network; may be repeated.
    #[arg(long, value_name = "FILE")]
    with: Vec<PathBuf>,
    /// Entry of the checkpoint's dictionary that holds the network; found by itself where there is one.
    #[arg(long)]
    entry: Option<String>,
    /// Text to remove from the front of every name; `module.` and `_orig_mod.` of a wrapped network go by themselves.
    #[arg(long)]
    strip_prefix: Option<String>,
    /// Keep half and double precision.
    #[arg(long)]
    keep_types: bool,
    /// A setting of the fusion network that its tensors do not tell, such as `first=vi` of U2Fusion; may be repeated.
    #[arg(long, value_name = "KEY=VALUE")]
    set: Vec<String>,
    /// Print every tensor.
    #[arg(long)]
    list: bool,
    /// Write names and shapes, the pickled class and what was left out as JSON.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

#[derive(serde::Serialize)]
struct Report<'a> {
    class: Option<&'a str>,
    network: Option<String>,
    left_out: &'a [String],
    notes: &'a [String],
    metadata: &'a BTreeMap<String, String>,
    shapes: BTreeMap<&'a str, &'a [usize]>,
}

pub(super) fn run(args: &Args) -> Result<()> {
    let mut paths = Paths::default().file("CHECKPOINT", args.checkpoint.as_path()).writes("OUT", args.out.as_path());
    for other in &args.with {
        paths = paths.file("--with", other.as_path());
    }
    paths.writes("--json", args.json.as_deref()).check()?;
    claim(args.json.as_deref())?;
    let mut found = read(args, &args.checkpoint)?;
    for other in &args.with {
        let further = read(args, other)?;
        for (name, tensor) in further.weights.iter() {
            found.weights.insert(name, tensor.clone())?;
        }
        found.ignored.extend(further.ignored);
        found.notes.extend(further.notes);
    }
    let network = args.recognise(&mut found)?;
    save_safetensors(&found.weights, &args.out)?;
    if args.list {
        for (name, tensor) in found.weights.iter() {
            out!("{name} {tensor:?}")?;
        }
    }
    let shapes = found.weights.iter().map(|(name, tensor)| (name, tensor.shape())).collect();
    let report = Report {
        class: found.class.as_deref(),
        network: network.clone(),
        left_out: &found.ignored,
        notes: &found.notes,
        metadata: found.weights.metadata(),
        shapes,
    };
    write_json(args.json.as_deref(), &report)?;
    let class = found.class.map_or_else(String::new, |c| format!(" of a pickled {c}"));
    out!("{} tensors{class} in {}", found.weights.len(), args.out.display())?;
    if let Some(network) = network {
        out!("network: {network}")?;
    }
    for note in &found.notes {
        out!("{note}")?;
    }
    if let Some(names) = found.weights.metadata().get("classes") {
        out!("class names: {names}")?;
    }
    if !found.ignored.is_empty() {
        out!("left out (no tensors): {}", found.ignored.join(", "))?;
    }
    Ok(())
}

/// The file as it is, whichever kind it is.
fn read(args: &Args, path: &Path) -> Result<Imported> {
    if let Some(found) = other_kind(path)? {
        return Err(WeightsError::Format { path: path.to_owned(), found: found.to_owned() }.into());
    }
    if !is_safetensors(path)? {
        let (entry, strip_prefix) = (args.entry.clone(), args.strip_prefix.clone());
        return Ok(import_checkpoint(path, &ImportOptions { entry, strip_prefix, keep_types: args.keep_types })?);
    }
    if args.entry.is_some() || args.strip_prefix.is_some() {
        bail!(WrongCall(format!(
            "--entry and --strip-prefix need an original checkpoint; {} is safetensors",
            path.display()
        )));
    }
    let (weights, notes) = if args.keep_types {
        (load_safetensors(path)?, Vec::new())
    } else {
        let file = read_weights(path)?;
        (file.weights, file.notes)
    };
    Ok(Imported { weights, entry: None, class: None, ignored: Vec::new(), notes })
}

impl Args {
    /// Says in the file which network of the zoo it holds, if it is one, and turns its kernels as graphs have them.
    fn recognise(&self, found: &mut Imported) -> Result<Option<String>> {
        let Some(mut file) = self.of_family::<dyn FusionNetwork>(&found.weights)? else {
            if !self.set.is_empty() {
                bail!(WrongCall("--set needs the weights of a fusion network (caf-search networks)".to_owned()));
            }
            let task = self.of_family::<dyn TaskNetwork>(&found.weights)?;
            return Ok(task.map(|file| describe(&file, found)));
        };
        if !self.set.is_empty() {
            let settings = file.network.settings().as_object().into_iter().flatten();
            let mut all = vec![format!("kind={}", file.network.kind())];
            // JSON of numbers, words and lists is TOML.
            all.extend(settings.map(|(key, value)| format!("{key}={value}")));
            all.extend(self.set.iter().cloned());
            let network: FusionConfig =
                caf_search::settings::load(None, &all).map_err(|error| WrongCall(error.to_string()))?;
            file = file.as_network(network)?;
        }
        Ok(Some(describe(&file, found)))
    }

    /// The file as a network of this family; none when it is of another one, or fits none whole.
    fn of_family<F: Family + ?Sized>(&self, weights: &Weights) -> Result<Option<NetworkFile<F>>> {
        match NetworkFile::of(weights.clone(), &self.checkpoint) {
            Ok(file) => Ok(Some(file)),
            Err(WeightsError::Network { .. } | WeightsError::Mismatch { .. }) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }
}

fn describe<F: ?Sized>(file: &NetworkFile<F>, found: &mut Imported) -> String {
    if file.kernels == KernelLayout::Hwio {
        found.weights.transpose_hwio();
    }
    Metadata::of_network(&file.network).write_to(&mut found.weights);
    found.notes.extend(file.notes.iter().cloned());
    file.network.to_string()
}
