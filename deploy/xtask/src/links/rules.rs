//! Which crate must not link what: the borders of the workspace as a table.

/// Families of packages that borders are drawn around.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Family {
    /// libtorch: tch and its binding.
    Torch,
    /// ONNX Runtime: ort and its binding.
    OnnxRuntime,
    /// GStreamer and its bindings.
    GStreamer,
    /// Protocol buffers, the format of ONNX files.
    Protobuf,
    /// What only a command line needs: arguments, progress bars, signals.
    CommandLine,
    /// Image files, array and thread-pool crates: more than plain geometry needs.
    Bulky,
    /// One crate of the workspace.
    Crate(&'static str),
}

impl Family {
    /// Whether a package belongs to the family.
    pub fn contains(self, package: &str) -> bool {
        match self {
            Self::Torch => matches!(package, "tch" | "torch-sys"),
            Self::OnnxRuntime => matches!(package, "ort" | "ort-sys"),
            Self::GStreamer => package.starts_with("gstreamer"),
            Self::Protobuf => package.starts_with("prost"),
            Self::CommandLine => matches!(package, "clap" | "indicatif" | "ctrlc"),
            Self::Bulky => matches!(package, "image" | "ndarray" | "rayon" | "plotters"),
            Self::Crate(name) => package == name,
        }
    }
}

use Family::{Bulky, CommandLine, Crate, GStreamer, OnnxRuntime, Protobuf, Torch};

/// One row: a crate of the workspace and what it must not link, directly or through others.
pub type Row = (&'static str, &'static [Family]);

/// Every crate of the workspace. A crate without a row is an error, so that nobody forgets to draw its border.
pub const ROWS: &[Row] = &[
    ("caf-image", &[Torch, OnnxRuntime, GStreamer, Protobuf]),
    ("caf-net", &[Torch, Protobuf, OnnxRuntime, GStreamer]),
    ("caf-weights", &[Torch, OnnxRuntime, GStreamer]),
    ("caf-geometry", &[Torch, OnnxRuntime, GStreamer, Protobuf, Bulky]),
    ("caf-jpeg", &[Torch, OnnxRuntime, GStreamer, Protobuf, Bulky]),
    ("caf-data", &[Torch, OnnxRuntime, GStreamer]),
    ("caf-scene", &[Torch, OnnxRuntime, GStreamer]),
    ("caf-eval", &[Torch, OnnxRuntime, GStreamer]),
    ("caf-report", &[Torch, OnnxRuntime, GStreamer]),
    ("caf-ranks", &[OnnxRuntime, GStreamer, Protobuf]),
    ("caf-torch", &[OnnxRuntime, GStreamer]),
    ("caf-fusion-loss", &[OnnxRuntime, GStreamer]),
    ("caf-yolo", &[OnnxRuntime, GStreamer]),
    ("caf-search", &[OnnxRuntime, GStreamer]),
    ("caf-contract", &[Torch, OnnxRuntime, GStreamer, Protobuf, Bulky]),
    ("caf-bundle", &[Torch, OnnxRuntime, GStreamer, Protobuf, CommandLine, Bulky]),
    ("caf-export", &[Torch, GStreamer]),
    ("caf-calib", &[Torch, OnnxRuntime, GStreamer, Protobuf]),
    ("caf-rig", &[Torch, OnnxRuntime, GStreamer, Protobuf, Bulky]),
    ("caf-runtime", &[Torch, GStreamer, CommandLine, Crate("caf-net"), Crate("caf-data")]),
    ("caf-gst", &[Torch, CommandLine, Crate("caf-net"), Crate("caf-data")]),
    ("caf-v4l", &[Torch, GStreamer, CommandLine, Crate("caf-net"), Crate("caf-data")]),
    ("caf-mqtt", &[Torch, GStreamer, CommandLine, Crate("caf-net"), Crate("caf-data")]),
    ("caf-http", &[Torch, GStreamer, CommandLine, Crate("caf-net"), Crate("caf-data")]),
    ("caf-run", &[Torch, Crate("caf-net"), Crate("caf-data")]),
    ("caf-engine", &[Torch, GStreamer, Protobuf, Crate("caf-net"), Crate("caf-data")]),
    ("caf-file", &[Torch, OnnxRuntime, GStreamer, Protobuf, Bulky]),
    ("caf-console", &[Torch, OnnxRuntime, GStreamer, Protobuf, Bulky]),
    ("caf-golden", &[Torch, OnnxRuntime, GStreamer, Protobuf, Bulky]),
    ("caf-reference", &[Torch, OnnxRuntime, GStreamer]),
    ("caf-tests", &[]),
    ("xtask", &[Torch, OnnxRuntime, GStreamer]),
];

/// What no default member may link, so that `cargo build` at the root works where libtorch is not.
pub const NOT_IN_DEFAULT_MEMBERS: &[Family] = &[Torch];
