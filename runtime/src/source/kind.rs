//! What a kind of source is: one file that can open what a user names, and one line in a list.

use std::path::Path;
use std::time::Duration;

use super::error::SourceError;
use super::port::Port;
use crate::frame::Camera;

/// How time passes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pace {
    /// Frames come when they come (or, from files, at their own times); what cannot be kept up with is dropped.
    Realtime,
    /// Files are read as fast as they are used; nothing is dropped.
    EveryFrame,
}

/// What every kind of source needs to know.
#[derive(Clone, Debug)]
pub struct SourceSettings {
    /// Which camera.
    pub camera: Camera,
    /// How late its timestamps are, in nanoseconds; subtracted from them.
    pub latency_ns: i64,
    /// Frames per second of what has no times of its own.
    pub fps: f64,
    /// How long it may take to start.
    pub patience: Duration,
}

/// An opened source. It delivers frames through its [`Port`] from threads of its own, and tells there when it is lost, when
/// it is back and when it has ended for good.
pub trait Source: Send {
    /// True when frames come at their own times whether they are used or not.
    fn is_live(&self) -> bool;

    /// Whether the run is to open it again when it has ended: what is not live has told all it had, and some look after themselves.
    fn can_return(&self) -> bool {
        self.is_live()
    }

    /// Lets frames flow; returns at once.
    fn start(&mut self, port: Port, pace: Pace) -> Result<(), SourceError>;

    /// Called about forty times a second while the run goes on, for a source that has to look after itself. It may take its time: each source
    /// has a thread that looks after it.
    fn poll(&mut self) {}

    /// Stops and waits until nothing is delivered any more. The port takes nothing by then.
    fn stop(&mut self);
}

/// Opens the source that the user named.
pub type OpenSource = fn(&str, &SourceSettings) -> Result<Box<dyn Source>, SourceError>;

/// A kind of source.
#[derive(Clone, Copy)]
pub struct SourceKind {
    /// Name in messages.
    pub name: &'static str,
    /// Whether that text names such a source. Kinds are asked in the order of their list.
    pub takes: fn(&str) -> bool,
    /// Brings a source to the point where it could deliver its first frame.
    pub open: OpenSource,
}

impl std::fmt::Debug for SourceKind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name)
    }
}

/// A source as the user named it, with the kind that can open it, and open it again.
#[derive(Clone, Debug)]
pub struct SourceSpec {
    /// The kind.
    pub kind: SourceKind,
    /// What the user wrote.
    pub text: String,
}

impl SourceSpec {
    /// The first of `kinds` that takes the text.
    pub fn find(camera: Camera, text: &str, kinds: &[SourceKind]) -> Result<Self, SourceError> {
        let kind = kinds.iter().copied().find(|kind| (kind.takes)(text));
        let none = || {
            let kinds = kinds.iter().map(|k| k.name).collect();
            SourceError::NoKind { camera, text: text.to_owned(), kinds }
        };
        kind.map(|kind| Self { kind, text: text.to_owned() }).ok_or_else(none)
    }

    /// Opens the source.
    pub fn open(&self, settings: &SourceSettings) -> Result<Box<dyn Source>, SourceError> {
        (self.kind.open)(&self.text, settings)
    }

    /// The place on the disk that the text names, if there is one.
    #[must_use]
    pub fn path(&self) -> Option<&Path> {
        Some(Path::new(&self.text)).filter(|path| path.exists())
    }
}
