//! What cameras really deliver: many formats, widths that no stride likes. Every pixel must arrive in its place.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "helpers of tests fail like tests")]

use caf_geometry::Size;
use std::sync::Arc;
use std::time::Duration;

use caf_runtime::frame::{Camera, PixelFormat};
use caf_runtime::queue::{Lanes, Popped, WhenFull};
use caf_runtime::source::clock::{Clock as _, MonotonicClock};
use caf_runtime::source::kind::{Pace, SourceSettings, SourceSpec};
use caf_runtime::source::port::Port;

/// A chessboard of green and red squares of eight pixels: green where the bits of x and y differ.
fn is_green(x: usize, y: usize) -> bool {
    (x ^ y) & 8 != 0
}

/// Away from the edges of the squares, where colour at half the resolution bleeds.
fn is_inner(x: usize, y: usize) -> bool {
    (2..6).contains(&(x % 8)) && (2..6).contains(&(y % 8))
}

/// Brings one frame through a source and returns its layout and, for every pixel, its three channels (gray thrice).
fn frame(camera: Camera, format: &str, width: usize, height: usize) -> (PixelFormat, Vec<Vec<[u8; 3]>>) {
    let launch = format!(
        "videotestsrc num-buffers=1 pattern=checkers-8 ! video/x-raw,format={format},width={width},height={height},\
         framerate=25/1"
    );
    let settings = SourceSettings { camera, latency_ns: 0, fps: 25.0, patience: Duration::from_secs(60) };
    let mut source = SourceSpec::find(camera, &launch, caf_gst::SOURCES).unwrap().open(&settings).unwrap();
    let (capture, clock) = (Arc::new(Lanes::new(2, WhenFull::Wait)), Arc::new(MonotonicClock::default()));
    clock.start();
    let port = Port::new(camera, &capture, clock, false);
    source.start(port.clone(), Pace::EveryFrame).unwrap();
    let wanted = Camera::BOTH.map(|c| c == camera);
    let Popped::Item(_, frame) = capture.pop(wanted, None) else {
        source.poll();
        panic!("{format}: no frame, {:?}", port.failure())
    };
    let view = frame.view().unwrap();
    assert_eq!(view.size(), Size { width, height });
    let pixels = |row: &[u8]| match view.format() {
        PixelFormat::Gray8 => row.iter().map(|v| [*v; 3]).collect(),
        // The upper byte is the share of the full range, in either byte order of the camera.
        PixelFormat::Gray16Le => row.as_chunks::<2>().0.iter().map(|[_, high]| [*high; 3]).collect(),
        PixelFormat::GrayF32Le => panic!("no camera delivers floats"),
        PixelFormat::Rgb8 => row.as_chunks().0.to_vec(),
    };
    (view.format(), view.rows().map(pixels).collect())
}

#[test]
fn every_format_and_width_keeps_every_pixel_in_its_place() {
    let mut compared = 0;
    for (format, depth, coloured) in [
        ("RGB", PixelFormat::Gray8, true),
        ("BGRx", PixelFormat::Gray8, true),
        ("I420", PixelFormat::Gray8, true),
        ("NV12", PixelFormat::Gray8, true),
        ("YUY2", PixelFormat::Gray8, true),
        ("GRAY8", PixelFormat::Gray8, false),
        ("GRAY16_LE", PixelFormat::Gray16Le, false),
        ("GRAY16_BE", PixelFormat::Gray16Le, false),
    ] {
        for (width, height) in [(318, 50), (641, 47)] {
            for camera in Camera::BOTH {
                let (layout, rows) = frame(camera, format, width, height);
                let expected = if camera == Camera::Infrared { depth } else { PixelFormat::Rgb8 };
                assert_eq!(layout, expected, "{format} from the {} camera", camera.name());
                assert_eq!(rows.len(), height);
                for (y, row) in rows.iter().enumerate() {
                    assert_eq!(row.len(), width);
                    for (x, [r, g, b]) in row.iter().enumerate().filter(|(x, _)| is_inner(*x, y)) {
                        let green = is_green(x, y);
                        let right = if camera == Camera::Visible && coloured {
                            // One of two saturated colours, whichever matrix turned it into luma and back.
                            (*g > 170) == green && (*r > 170) != green && *b < 90
                        } else {
                            // Green is the brighter one: luma 150 against 76, or 182 against 54. GStreamer dithers 16 bits.
                            (*g > 113) == green && r.abs_diff(*g) <= 2 && b.abs_diff(*g) <= 2
                        };
                        assert!(right, "{format} {width}x{height} at {x},{y}: {:?}", (r, g, b));
                        compared += 1;
                    }
                }
            }
        }
    }
    println!("compared {compared} pixels");
    assert!(compared > 100_000);
}
