//! What a picture says of the cameras: a line in the image of one alone, a picture of its own when both are out. Nothing is allocated.

use std::io::Write as _;
use std::time::Duration;

use caf_geometry::Size;

use crate::draw::{Canvas, Rgb};
use crate::font;
use crate::frame::Camera;
use crate::health::Faults;
use crate::result::{PairResult, ResultState};
use crate::task::FusedImage;

/// Dark, so that it is no lamp at night, but not black, which a broken screen is as well.
const GROUND: Rgb = [24, 24, 40];
const INK: Rgb = [255, 255, 255];
const ALARM: Rgb = [255, 196, 0];
const PLATE: Rgb = [0, 0, 0];
/// Characters that a line has room for.
const LINE: usize = 40;

/// A line of text without memory of its own.
struct Line {
    bytes: [u8; LINE],
    length: usize,
}

impl Line {
    /// What does not fit is left out.
    fn new(text: std::fmt::Arguments<'_>) -> Self {
        let mut bytes = [0; LINE];
        let mut rest = &mut bytes[..];
        let _fits = rest.write_fmt(text);
        let length = LINE - rest.len();
        Self { bytes, length }
    }

    fn characters(&self) -> impl Iterator<Item = char> {
        self.bytes.iter().take(self.length).map(|b| char::from(*b))
    }

    /// Paints the line with pixels of `scale`, in the middle of the width, `top` pixels down.
    fn paint(&self, canvas: &mut Canvas<'_>, size: Size, top: i64, scale: i64, colour: Rgb) {
        let width = (self.length * font::ADVANCE) as i64 * scale;
        canvas.text((size.width as i64 - width) / 2, top, scale, colour, self.characters());
    }
}

/// How many image pixels a font pixel is when `characters` fill that share of the width at most.
fn scale(size: Size, characters: usize, share: f64) -> i64 {
    ((size.width as f64 * share / (characters * font::ADVANCE) as f64) as i64).max(1)
}

/// The reason of a camera's fault, or that it has none.
fn reason(faults: &Faults, camera: Camera) -> &'static str {
    faults[camera.index()].map_or("ok", |fault| fault.name())
}

/// Says in the image of one camera that it is alone, and why.
pub fn caption(result: &mut PairResult) {
    let missing = match result.state {
        ResultState::VisibleOnly => Camera::Infrared,
        ResultState::InfraredOnly => Camera::Visible,
        ResultState::Fused | ResultState::Offline => return,
    };
    let (name, faults) = (result.state.name(), result.faults);
    let line = Line::new(format_args!("{name} - {} {}", missing.name(), reason(&faults, missing)));
    let FusedImage { rgb, size, .. } = &mut result.image;
    let scale = scale(*size, LINE, 0.6);
    let Some(mut canvas) = Canvas::new(rgb, *size) else { return };
    let height = (font::HEIGHT as i64 + 4) * scale;
    canvas.fill(0, 0, ((line.length * font::ADVANCE + 4) as i64) * scale, height, PLATE);
    canvas.text(2 * scale, 2 * scale, scale, ALARM, line.characters());
}

/// A picture that says that both cameras are out, why, and for how long; without anything found in it.
pub fn offline(image: &mut FusedImage, size: Size, faults: &Faults, since: Duration) {
    image.clear_found();
    image.size = size;
    image.rgb.resize(size.width * size.height * 3, 0);
    let Some(mut canvas) = Canvas::new(&mut image.rgb, size) else { return };
    let (width, height) = (size.width as i64, size.height as i64);
    canvas.fill(0, 0, width, height, GROUND);
    let title = Line::new(format_args!("SOURCE OFFLINE"));
    let large = scale(size, title.length, 0.8);
    let small = scale(size, LINE, 0.8);
    let step = (font::HEIGHT as i64 + 5) * small;
    let mut top = height / 2 - font::HEIGHT as i64 * large;
    title.paint(&mut canvas, size, top, large, ALARM);
    top += (font::HEIGHT as i64 + 5) * large;
    for camera in Camera::BOTH {
        Line::new(format_args!("{}: {}", camera.name(), reason(faults, camera))).paint(
            &mut canvas,
            size,
            top,
            small,
            INK,
        );
        top += step;
    }
    Line::new(format_args!("for {:.1} s", since.as_secs_f64())).paint(&mut canvas, size, top, small, INK);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::health::Fault;

    fn colours(image: &FusedImage) -> Vec<[u8; 3]> {
        let mut all: Vec<[u8; 3]> = image.rgb.as_chunks().0.to_vec();
        all.sort_unstable();
        all.dedup();
        all
    }

    #[test]
    fn the_picture_says_that_nothing_is_seen_why_and_for_how_long() {
        let faults = [Some(Fault::Lost), Some(Fault::Black)];
        let mut image = FusedImage::default();
        let mut pictures = vec![];
        for (faults, seconds) in [(faults, 1.0), (faults, 1.2), ([faults[0]; 2], 1.2)] {
            offline(&mut image, Size::new(640, 480), &faults, Duration::from_secs_f64(seconds));
            assert_eq!(colours(&image), [GROUND, ALARM, INK]);
            pictures.push(image.rgb.clone());
        }
        pictures.dedup();
        assert_eq!(pictures.len(), 3, "no two of them look the same");
        for (width, height) in [(1, 1), (20, 10), (3000, 40)] {
            offline(&mut image, Size::new(width, height), &faults, Duration::MAX);
            assert_eq!(image.rgb.len(), width * height * 3);
        }
    }

    #[test]
    fn the_image_of_one_camera_says_which_and_why() {
        let result = |state, faults| {
            let size = Size::new(320, 200);
            let image = FusedImage { rgb: vec![77; 320 * 200 * 3], size, found: vec![] };
            let mut result = PairResult { image, state, faults, ..PairResult::default() };
            caption(&mut result);
            result.image
        };
        let captioned = result(ResultState::VisibleOnly, [Some(Fault::Frozen), None]);
        assert_eq!(colours(&captioned), [PLATE, [77; 3], ALARM]);
        assert!(captioned.rgb[320 * 3 * 40..].iter().all(|v| *v == 77), "the line is at the top");
        assert_ne!(captioned.rgb, result(ResultState::VisibleOnly, [Some(Fault::Black), None]).rgb);
        assert_eq!(colours(&result(ResultState::Fused, [None; 2])), [[77; 3]]);
    }
}
