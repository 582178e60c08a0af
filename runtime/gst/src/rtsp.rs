//! An RTSP camera, by its address.

use caf_runtime::source::kind::SourceKind;

use super::launch::LaunchSource;

/// Milliseconds that late packets are waited for; the pairing is told of them.
const LATENCY_MS: u32 = 100;

/// An address.
pub const KIND: SourceKind = SourceKind {
    name: "an RTSP address",
    takes: |text| ["rtsp://", "rtsps://"].iter().any(|scheme| text.starts_with(scheme)),
    open: |text, settings| {
        let quoted = text.replace('\\', "\\\\").replace('"', "\\\"");
        // Old packets make nothing but an old picture.
        let launch = format!("rtspsrc location=\"{quoted}\" latency={LATENCY_MS} drop-on-latency=true ! decodebin");
        Ok(Box::new(LaunchSource::open(&launch, settings).map_err(|e| e.of(settings.camera))?))
    },
};
