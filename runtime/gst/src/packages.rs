//! Which Debian package holds a part of GStreamer.

const BASE: &str = "gstreamer1.0-plugins-base";
const GOOD: &str = "gstreamer1.0-plugins-good";
const BAD: &str = "gstreamer1.0-plugins-bad";
const UGLY: &str = "gstreamer1.0-plugins-ugly";
const LIBAV: &str = "gstreamer1.0-libav";

/// Elements by the beginning of their name, the longer beginning first.
const ELEMENTS: &[(&str, &str)] = &[
    ("avdec_", LIBAV),
    ("avenc_", LIBAV),
    ("av1", BAD),
    ("x264enc", UGLY),
    ("x265enc", BAD),
    ("openh264", BAD),
    ("h264parse", BAD),
    ("h265parse", BAD),
    ("jpegparse", BAD),
    ("mpegvideoparse", BAD),
    ("tsdemux", BAD),
    ("nv", BAD),
    ("v4l2sl", BAD),
    ("va", BAD),
    ("srt", BAD),
    ("rtmp", BAD),
    ("webp", BAD),
    ("v4l2", GOOD),
    ("rtsp", GOOD),
    ("rtp", GOOD),
    ("udp", GOOD),
    ("souphttp", GOOD),
    ("vp8", GOOD),
    ("vp9", GOOD),
    ("jpeg", GOOD),
    ("png", GOOD),
    ("multifile", GOOD),
    ("qtdemux", GOOD),
    ("mp4mux", GOOD),
    ("matroska", GOOD),
    ("webmmux", GOOD),
    ("avi", GOOD),
    ("videocrop", GOOD),
    ("videoconvert", BASE),
    ("videoscale", BASE),
    ("videorate", BASE),
    ("videotestsrc", BASE),
    ("decodebin", BASE),
    ("uridecodebin", BASE),
    ("playbin", BASE),
    ("app", BASE),
    ("theora", BASE),
    ("ogg", BASE),
];

/// Streams and containers by their media type.
const MEDIA: &[(&str, &str)] = &[
    ("video/x-h264", LIBAV),
    ("video/x-h265", LIBAV),
    ("video/mpegts", BAD),
    ("video/mpeg", LIBAV),
    ("video/x-h263", LIBAV),
    ("video/x-wmv", LIBAV),
    ("video/x-msmpeg", LIBAV),
    ("video/x-divx", LIBAV),
    ("video/x-prores", LIBAV),
    ("video/x-ffv", LIBAV),
    ("video/x-huffyuv", LIBAV),
    ("video/x-av1", BAD),
    ("image/webp", BAD),
    ("image/x-jpc", BAD),
    ("video/x-vp8", GOOD),
    ("video/x-vp9", GOOD),
    ("image/jpeg", GOOD),
    ("image/png", GOOD),
    ("video/quicktime", GOOD),
    ("video/x-matroska", GOOD),
    ("video/webm", GOOD),
    ("video/x-msvideo", GOOD),
    ("video/x-flv", GOOD),
    ("video/x-dv", GOOD),
    ("application/x-rtp", GOOD),
    ("video/x-theora", BASE),
    ("application/ogg", BASE),
];

/// Protocols of addresses.
const PROTOCOLS: &[(&str, &str)] = &[("rtsp", GOOD), ("http", GOOD), ("udp", GOOD), ("srt", BAD), ("rtmp", BAD)];

fn find(table: &[(&str, &'static str)], name: &str) -> Option<&'static str> {
    table.iter().find(|(begin, _)| name.starts_with(begin)).map(|(_, package)| *package)
}

/// The package of an element.
pub fn of_element(name: &str) -> Option<&'static str> {
    find(ELEMENTS, name)
}

/// The package of what a `missing-plugin` message names: its type and detail (an element, caps or a protocol).
pub fn of_missing(kind: &str, detail: &str) -> Option<&'static str> {
    match kind {
        "element" => of_element(detail),
        "urisource" | "urisink" => find(PROTOCOLS, detail),
        _ => find(MEDIA, detail),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_package_of_what_is_missing_is_known() {
        assert_eq!(of_element("avdec_h264"), Some(LIBAV));
        assert_eq!(of_element("avidemux"), Some(GOOD));
        assert_eq!(of_element("x264enc"), Some(UGLY));
        assert_eq!(of_element("v4l2src"), Some(GOOD));
        assert_eq!(of_element("nosuchelement"), None);
        assert_eq!(of_missing("decoder", "video/x-h264, profile=(string)high"), Some(LIBAV));
        assert_eq!(of_missing("decoder", "video/mpegts, systemstream=(boolean)true"), Some(BAD));
        assert_eq!(of_missing("urisource", "rtsp"), Some(GOOD));
        assert_eq!(of_missing("element", "h264parse"), Some(BAD));
    }
}
