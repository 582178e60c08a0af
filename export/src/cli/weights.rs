//! Weight files and how a model is made of them: options that several subcommands share.

use super::parse::{self, Batch};
use caf_console::{Paths, tell_notes};
use caf_contract::IrRange;
use caf_export::ExportError;
use caf_export::model::{FusionFile, Model, Parts, Settings, TaskFile};
use caf_net::zoo::pipeline::{ColourMode, Samples};
use clap::Args;
use std::path::PathBuf;

/// What a model is made of.
#[derive(Debug, Args)]
pub(crate) struct WeightArguments {
    /// Weights of the fusion network: safetensors, or an original checkpoint.
    #[arg(long)]
    pub fusion: Option<PathBuf>,
    /// Weights of a task network that sees the fused image: a detector, or a segmentation; safetensors, or an original checkpoint.
    /// May be given once for each task.
    #[arg(long = "task", value_name = "TASK")]
    pub tasks: Vec<PathBuf>,
    /// Class names of the one task network, one a line; otherwise those in the task file's metadata.
    #[arg(long, requires = "tasks")]
    pub classes: Option<PathBuf>,
    #[command(flatten)]
    settings: SettingArguments,
}

/// How it is made.
#[derive(Debug, Args)]
#[group(id = "settings", multiple = true)]
struct SettingArguments {
    /// Images are exactly this large, which TensorRT needs; otherwise any size.
    #[arg(long, value_name = "WIDTHxHEIGHT")]
    size: Option<caf_geometry::Size>,
    /// The detector sees the image fitted into exactly this, in multiples of 32; otherwise its training size. The nearer its
    /// proportions are to the images', the less is computed on the border.
    #[arg(long, requires = "tasks", value_name = "WIDTHxHEIGHT")]
    task_size: Option<caf_geometry::Size>,
    /// Images at once, or `any` [default: 1]
    #[arg(long, value_parser = parse::batch)]
    batch: Option<Batch>,
    /// Floats in [0, 1] laid out NCHW in and out, instead of bytes laid out NHWC.
    #[arg(long)]
    float: bool,
    /// A gray visible image in, a gray fused image out, instead of colour.
    #[arg(long)]
    gray: bool,
    /// Keep normalisations apart from convolutions.
    #[arg(long)]
    no_fold: bool,
    /// How 16-bit infrared becomes [0, 1], for weights that do not say what they were trained on: full, min_max, two percentiles
    /// such as 1,99, or a window such as 7000..9000.
    #[arg(long, value_name = "RANGE")]
    ir_range: Option<IrRange>,
}

/// The files, read.
pub(crate) struct Opened {
    pub fusion: Option<FusionFile>,
    pub tasks: Vec<TaskFile>,
}

impl Opened {
    /// As the parts of a model; none without any file.
    pub fn parts(&self) -> Option<Parts<'_>> {
        match (&self.fusion, self.tasks.as_slice()) {
            (None, []) => None,
            (Some(fusion), []) => Some(Parts::Fusion(fusion)),
            (Some(fusion), tasks) => Some(Parts::Pipeline(fusion, tasks)),
            (None, tasks) => Some(Parts::Tasks(tasks)),
        }
    }

    /// Says what was changed while the files were read.
    pub fn tell_notes(&self) {
        self.fusion.iter().for_each(|file| tell_notes(file.path(), file.notes()));
        self.tasks.iter().for_each(|file| tell_notes(file.part().path(), file.part().notes()));
    }
}

impl WeightArguments {
    /// Adds the files to what is read.
    pub fn paths(&self, paths: Paths) -> Paths {
        let paths = paths.file("--fusion", self.fusion.as_deref());
        let paths = self.tasks.iter().fold(paths, |paths, task| paths.file("--task", task.as_path()));
        paths.file("--classes", self.classes.as_deref())
    }

    /// Reads the files.
    pub fn open(&self) -> anyhow::Result<Opened> {
        let fusion = self.fusion.as_deref().map(FusionFile::open).transpose()?;
        let classes = self.classes.as_deref().map(parse::class_names).transpose()?;
        if classes.is_some() && self.tasks.len() > 1 {
            let what =
                format!("--classes: expected one --task, found {}, whose files name their classes", self.tasks.len());
            return Err(ExportError::settings(what).into());
        }
        let open = |path: &PathBuf| TaskFile::open(path, classes.as_deref());
        let opened = Opened { fusion, tasks: self.tasks.iter().map(open).collect::<Result<_, _>>()? };
        opened.tell_notes();
        Ok(opened)
    }

    /// The model of the files.
    pub fn model(&self, opened: &Opened) -> anyhow::Result<Model> {
        let parts = opened.parts().ok_or_else(|| ExportError::settings("give --fusion, --task or both"))?;
        let SettingArguments { size, task_size, batch, float, gray, ir_range, .. } = self.settings;
        let settings = Settings {
            samples: if float { Samples::Unit } else { Samples::Bytes },
            colour: if gray { ColourMode::Gray } else { ColourMode::Rgb },
            size,
            batch: batch.map_or(Some(1), |batch| batch.0),
            task_size,
            ir_range,
        };
        Ok(Model::new(parts, &settings)?)
    }

    /// Whether normalisations become part of the convolutions.
    pub fn folds(&self) -> bool {
        !self.settings.no_fold
    }
}
