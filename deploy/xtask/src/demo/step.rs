//! One step of the demo: a call of one of the workspace's programs, or something small that needs none.

use std::path::{Path, PathBuf};

use anyhow::Result;

use super::pairs::{Lists, Stills};

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

    /// Name of the executable and of its package.
    pub fn binary(self) -> &'static str {
        match self {
            Self::Search => "caf-search",
            Self::Export => "caf-export",
            Self::Run => "caf-run",
        }
    }
}

/// What steps are for; the page sums up their times by it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Getting pairs.
    Pairs,
    /// Searching the loss.
    Search,
    /// Training the fusion network.
    Fusion,
    /// Fusing all pairs.
    Fuse,
    /// Training and measuring detectors.
    Detectors,
    /// The ONNX file.
    Export,
    /// The live run.
    Live,
}

impl Phase {
    /// All, in the order of work.
    pub const ALL: [Self; 7] =
        [Self::Pairs, Self::Search, Self::Fusion, Self::Fuse, Self::Detectors, Self::Export, Self::Live];

    /// For the page.
    pub fn title(self) -> &'static str {
        match self {
            Self::Pairs => "Pairs",
            Self::Search => "Search of the loss",
            Self::Fusion => "Fusion network, trained",
            Self::Fuse => "All pairs fused",
            Self::Detectors => "Four detectors, trained and measured",
            Self::Export => "Exported and checked",
            Self::Live => "Live run",
        }
    }
}

/// One step.
#[derive(Debug, Clone)]
pub struct Step {
    /// Name, also that of its stamp and log: letters and hyphens.
    pub name: String,
    /// What it is for.
    pub phase: Phase,
    /// What is done.
    pub work: Work,
    /// How a call that was cut off goes on.
    pub resume: Resume,
    /// Files and folders whose change makes the step run again.
    pub reads: Vec<PathBuf>,
    /// Files and folders it leaves, all in the output folder; cleared before the step begins.
    pub writes: Vec<PathBuf>,
}

/// What a step does.
#[derive(Debug, Clone)]
pub enum Work {
    /// Calls a program with these arguments.
    Call(Program, Vec<String>),
    /// Does something small itself.
    Own(Own),
}

/// What needs no program.
#[derive(Debug, Clone)]
pub enum Own {
    /// Chooses pairs of the caller.
    Choose(Lists),
    /// Links images of the caller under running numbers.
    Link(Stills),
}

impl Own {
    /// For people, and to tell one from another.
    pub fn line(&self) -> String {
        match self {
            Self::Choose(Lists { from, most: [train, val], out }) => {
                format!("# at most {train} and {val} names of the lists in {} to {}", from.display(), out.display())
            }
            Self::Link(Stills { data, out, .. }) => format!("# links in {} to {}", out.display(), data.display()),
        }
    }

    /// Does it. Paths are taken relative to `root`.
    pub fn carry_out(&self, root: &Path) -> Result<()> {
        match self {
            Self::Choose(lists) => lists.write(root),
            Self::Link(stills) => stills.link(root),
        }
    }
}

/// How a call that was cut off goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Resume {
    /// It does not: its outputs are removed and it begins anew.
    Anew,
    /// By the same call.
    SameCall,
    /// By the same call with this option.
    With(&'static str),
}
