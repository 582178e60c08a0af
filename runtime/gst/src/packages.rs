//! Which Debian package holds a part of GStreamer.

const BASE: &str = "gstreamer1.0-plugins-base";
const GOOD: &str = "gstreamer1.0-plugins-good";
const BAD: &str = "gstreamer1.0-plugins-bad";
const UGLY: &str = "gstreamer1.0-plugins-ugly";
const LIBAV: &str = "gstreamer1.0-libav";

/// Elements by their whole name.
const ELEMENTS: &[(&str, &str)] = &[
    ("appsink", BASE),
    ("appsrc", BASE),
    ("avidemux", GOOD),
    ("avimux", GOOD),
    ("decodebin", BASE),
    ("decodebin3", BASE),
    ("h264parse", BAD),
    ("h265parse", BAD),
    ("jpegdec", GOOD),
    ("jpegenc", GOOD),
    ("jpegparse", BAD),
    ("mp4mux", GOOD),
    ("mpegvideoparse", BAD),
    ("openh264dec", BAD),
    ("openh264enc", BAD),
    ("oggdemux", BASE),
    ("oggmux", BASE),
    ("playbin", BASE),
    ("playbin3", BASE),
    ("pngdec", GOOD),
    ("pngenc", GOOD),
    ("qtdemux", GOOD),
    ("qtmux", GOOD),
    ("souphttpsrc", GOOD),
    ("srtsrc", BAD),
    ("srtsink", BAD),
    ("theoradec", BASE),
    ("theoraenc", BASE),
    ("tsdemux", BAD),
    ("tsparse", BAD),
    ("udpsrc", GOOD),
    ("udpsink", GOOD),
    ("uridecodebin", BASE),
    ("uridecodebin3", BASE),
    ("v4l2src", GOOD),
    ("v4l2sink", GOOD),
    ("videoconvert", BASE),
    ("videoconvertscale", BASE),
    ("videocrop", GOOD),
    ("videorate", BASE),
    ("videoscale", BASE),
    ("videotestsrc", BASE),
    ("webmmux", GOOD),
    ("webpdec", BAD),
    ("webpenc", BAD),
    ("x264enc", UGLY),
    ("x265enc", BAD),
];

/// Families of elements, which one package holds whole, by the beginning of their names; the longer beginning first.
const FAMILIES: &[(&str, &str)] = &[
    ("avdec_", LIBAV),
    ("avenc_", LIBAV),
    ("av1", BAD),
    ("matroska", GOOD),
    ("multifile", GOOD),
    ("nvh26", BAD),
    ("nvjpeg", BAD),
    ("nvvp", BAD),
    ("nvav1", BAD),
    ("rtmp", BAD),
    ("rtp", GOOD),
    ("rtsp", GOOD),
    ("v4l2sl", BAD),
    ("vah26", BAD),
    ("vajpeg", BAD),
    ("vapostproc", BAD),
    ("vavp", BAD),
    ("vp8", GOOD),
    ("vp9", GOOD),
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
    let whole = ELEMENTS.iter().find(|(element, _)| *element == name).map(|(_, package)| *package);
    whole.or_else(|| find(FAMILIES, name))
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
        // A slip in the name of an element is no missing package.
        assert_eq!((of_element("videotestsrc"), of_element("videotestsrcx")), (Some(BASE), None));
        assert_eq!((of_element("v4l2slh264dec"), of_element("rtpjitterbuffer")), (Some(BAD), Some(GOOD)));
        assert_eq!(of_missing("decoder", "video/x-h264, profile=(string)high"), Some(LIBAV));
        assert_eq!(of_missing("decoder", "video/mpegts, systemstream=(boolean)true"), Some(BAD));
        assert_eq!(of_missing("urisource", "rtsp"), Some(GOOD));
        assert_eq!(of_missing("element", "h264parse"), Some(BAD));
    }
}
