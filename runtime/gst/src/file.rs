//! A video file, whatever it holds.

use std::path::Path;

use caf_runtime::source::kind::SourceKind;

use super::launch::LaunchSource;

/// An existing file.
pub const KIND: SourceKind = SourceKind {
    name: "a video file",
    takes: |text| Path::new(text).is_file(),
    open: |text, settings| {
        let quoted = text.replace('\\', "\\\\").replace('"', "\\\"");
        let launch = format!("filesrc location=\"{quoted}\" ! decodebin");
        Ok(Box::new(LaunchSource::open(&launch, settings).map_err(|e| e.of(settings.camera))?))
    },
};
