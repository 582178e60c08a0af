//! `caf-search import`

use anyhow::Result;
use caf_console::{Paths, claim, out, write_json};
use caf_weights::import::{ImportOptions, import_checkpoint};
use caf_weights::save_safetensors;
use std::collections::BTreeMap;
use std::path::PathBuf;

#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    caf-search import yolov5n.pt yolov5n.safetensors\n  \
    caf-search import Det_final.pth det.safetensors --list\n\n\
    Nothing from the checkpoint is executed: a pickle that asks for anything but plain data is refused by name. Every program\n  \
    that takes weights takes original checkpoints too; importing makes one file that other tools read.")]
pub(super) struct Args {
    /// Original checkpoint.
    checkpoint: PathBuf,
    /// Result.
    out: PathBuf,
    /// Entry of the checkpoint's dictionary that holds the network; found by itself where there is one.
    #[arg(long)]
    entry: Option<String>,
    /// Text to remove from the front of every name; `module.` and `_orig_mod.` of a wrapped network go by themselves.
    #[arg(long)]
    strip_prefix: Option<String>,
    /// Keep half and double precision.
    #[arg(long)]
    keep_types: bool,
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
    left_out: &'a [String],
    notes: &'a [String],
    metadata: &'a BTreeMap<String, String>,
    shapes: BTreeMap<&'a str, &'a [usize]>,
}

pub(super) fn run(args: &Args) -> Result<()> {
    let paths = Paths::default().file("CHECKPOINT", args.checkpoint.as_path()).writes("OUT", args.out.as_path());
    paths.writes("--json", args.json.as_deref()).check()?;
    claim(args.json.as_deref())?;
    let options = ImportOptions {
        entry: args.entry.clone(),
        strip_prefix: args.strip_prefix.clone(),
        keep_types: args.keep_types,
    };
    let found = import_checkpoint(&args.checkpoint, &options)?;
    save_safetensors(&found.weights, &args.out)?;
    if args.list {
        for (name, tensor) in found.weights.iter() {
            out!("{name} {tensor:?}")?;
        }
    }
    let shapes = found.weights.iter().map(|(name, tensor)| (name, tensor.shape())).collect();
    let report = Report {
        class: found.class.as_deref(),
        left_out: &found.ignored,
        notes: &found.notes,
        metadata: found.weights.metadata(),
        shapes,
    };
    write_json(args.json.as_deref(), &report)?;
    let class = found.class.map_or_else(String::new, |c| format!(" of a pickled {c}"));
    out!("{} tensors{class} in {}", found.weights.len(), args.out.display())?;
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
