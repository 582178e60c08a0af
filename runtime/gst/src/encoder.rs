//! Which encoders can fill which kind of video file.

use std::fmt::Write as _;
use std::path::Path;

use gstreamer as gst;

use super::error::GstError;
use super::packages;

/// An encoder with the settings it is used with. They favour speed: the video is a by-product of a live run.
#[derive(Debug)]
struct Encoder {
    /// The element that compresses.
    element: &'static str,
    /// Settings, and what must follow.
    settings: &'static str,
    /// Further elements it needs.
    needs: &'static [&'static str],
}

const VP8: Encoder = Encoder {
    element: "vp8enc",
    settings: "deadline=1 cpu-used=8 threads=2 target-bitrate=6000000 max-quantizer=40 keyframe-max-dist=60",
    needs: &[],
};
const X264: Encoder = Encoder {
    element: "x264enc",
    settings: "speed-preset=veryfast tune=zerolatency quantizer=20 key-int-max=60 ! h264parse",
    needs: &["h264parse"],
};
const OPENH264: Encoder = Encoder {
    element: "openh264enc",
    settings: "bitrate=6000000 rate-control=quality complexity=low gop-size=60 ! h264parse",
    needs: &["h264parse"],
};
const JPEG: Encoder = Encoder { element: "jpegenc", settings: "quality=90", needs: &[] };

/// A kind of file.
struct Container {
    extension: &'static str,
    muxer: &'static str,
    /// Best first.
    encoders: &'static [&'static Encoder],
}

const CONTAINERS: [Container; 4] = [
    Container { extension: "webm", muxer: "webmmux", encoders: &[&VP8] },
    Container { extension: "mp4", muxer: "mp4mux", encoders: &[&X264, &OPENH264] },
    Container { extension: "mkv", muxer: "matroskamux", encoders: &[&X264, &OPENH264, &VP8, &JPEG] },
    Container { extension: "avi", muxer: "avimux", encoders: &[&JPEG] },
];

/// The way chosen to make a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chosen {
    /// The element that compresses.
    pub encoder: &'static str,
    /// The launch string from raw video to the file's bytes.
    pub launch: String,
}

/// The best way to make `path`, by its ending, from the elements for which `exists` is true.
fn choose_from(path: &Path, exists: impl Fn(&str) -> bool) -> Result<Chosen, GstError> {
    let ending = path.extension().map(|e| e.to_string_lossy().to_ascii_lowercase()).unwrap_or_default();
    let Some(container) = CONTAINERS.iter().find(|c| c.extension == ending) else {
        let expected = CONTAINERS.map(|c| format!(".{}", c.extension)).join(", ");
        return Err(GstError::Container { path: path.to_path_buf(), expected, found: ending });
    };
    let mut tried = String::new();
    for encoder in container.encoders {
        let needs = [encoder.element, container.muxer].into_iter().chain(encoder.needs.iter().copied());
        let missing: Vec<&str> = needs.filter(|e| !exists(e)).collect();
        if missing.is_empty() {
            let launch = format!("{} {} ! {}", encoder.element, encoder.settings, container.muxer);
            return Ok(Chosen { encoder: encoder.element, launch });
        }
        // Writing to a string cannot fail.
        let _ = write!(tried, "\n  {}: missing {}", encoder.element, missing.join(", "));
        let mut packages: Vec<&str> = missing.iter().filter_map(|e| packages::of_element(e)).collect();
        packages.sort_unstable();
        packages.dedup();
        if !packages.is_empty() {
            let _ = write!(tried, " (apt-get install {})", packages.join(" "));
        }
    }
    Err(GstError::Encoder { path: path.to_path_buf(), container: container.extension, tried })
}

/// The best way to make `path` with what is installed here. GStreamer must have been initialised.
pub fn choose(path: &Path) -> Result<Chosen, GstError> {
    choose_from(path, |element| gst::ElementFactory::find(element).is_some())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ending_decides_and_the_best_installed_encoder_wins() {
        let all = |_: &str| true;
        assert_eq!(choose_from(Path::new("a.WebM"), all).unwrap().encoder, "vp8enc");
        assert_eq!(choose_from(Path::new("a.mp4"), all).unwrap().encoder, "x264enc");
        assert_eq!(choose_from(Path::new("a.mkv"), |e| !e.contains("264")).unwrap().encoder, "vp8enc");
        assert!(choose_from(Path::new("a.mp4"), |e| e != "x264enc").unwrap().launch.ends_with("h264parse ! mp4mux"));
    }

    #[test]
    fn what_was_tried_is_listed() {
        let error = choose_from(Path::new("a.mp4"), |e| e == "openh264enc").unwrap_err().to_string();
        assert!(error.contains("x264enc: missing x264enc, mp4mux, h264parse"), "{error}");
        assert!(error.contains("openh264enc: missing mp4mux, h264parse"), "{error}");
        assert!(error.contains("apt-get install gstreamer1.0-plugins-bad gstreamer1.0-plugins-good"), "{error}");
        let error = choose_from(Path::new("video"), |_| true).unwrap_err().to_string();
        assert!(error.contains(".webm, .mp4, .mkv, .avi"), "{error}");
    }
}
