//! One step of the demo: a call of one of the workspace's programs.

use std::path::PathBuf;

use super::page::Shown;

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

    /// Name of the executable.
    pub fn binary(self) -> &'static str {
        match self {
            Self::Search => "caf-search",
            Self::Export => "caf-export",
            Self::Run => "caf-run",
        }
    }

    /// Name of its package.
    pub fn package(self) -> &'static str {
        match self {
            Self::Search => "caf-search",
            Self::Export => "caf-export",
            Self::Run => "caf-runtime",
        }
    }
}

/// One call of a program.
#[derive(Debug, Clone)]
pub struct Step {
    /// Name, also that of its stamp: letters and hyphens.
    pub name: &'static str,
    /// Heading on the page.
    pub title: &'static str,
    /// What it does and how to read what it shows.
    pub text: &'static str,
    /// Which program.
    pub program: Program,
    /// Its arguments.
    pub arguments: Vec<String>,
    /// How a call that was cut off goes on.
    pub resume: Resume,
    /// Files and folders whose change makes the step run again.
    pub reads: Vec<PathBuf>,
    /// Files and folders it leaves, all in the output folder; cleared before the step begins.
    pub writes: Vec<PathBuf>,
    /// What the page shows of it.
    pub shows: Vec<Shown>,
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
