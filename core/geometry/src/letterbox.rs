//! Fitting an image into the detector's input: resized with its proportions kept, the rest filled with gray.

use crate::boxes::Xyxy;
use crate::error::GeometryError;
use crate::nms::Detection;
use crate::size::Size;

/// Gray value of the padding.
pub const FILL: u8 = 114;

/// The geometry of one letterbox, by the rule of YOLOv5.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Letterbox {
    /// The image to be fitted.
    pub source: Size,
    /// The image after resizing, before padding.
    pub resized: Size,
    /// The image with padding. Equal to the requested size unless made by [`Letterbox::auto`].
    pub output: Size,
    /// Pixels of the resized image per pixel of the source, the same for both axes.
    pub ratio: f64,
    /// Half of the padding, horizontal then vertical, **not rounded**. Boxes are mapped with these halves although the
    /// borders are whole pixels; training and evaluation of YOLOv5 share that half-pixel convention.
    pub half_padding_px: (f64, f64),
    /// Whole rows above and below.
    pub top_bottom: (usize, usize),
    /// Whole columns left and right.
    pub left_right: (usize, usize),
}

impl Letterbox {
    /// Fits `source` into exactly `output`. Without `scale_up` a smaller source keeps its size.
    ///
    /// A source so long that its short side would vanish keeps one pixel of it.
    ///
    /// # Errors
    /// [`GeometryError::Size`] when a side is zero.
    pub fn new(source: Size, output: Size, scale_up: bool) -> Result<Self, GeometryError> {
        Self::fit(source, output, scale_up, None)
    }

    /// As [`Letterbox::new`], but pads only up to the next multiple of `stride`, so that the output may be smaller than `most`.
    ///
    /// # Errors
    /// [`GeometryError::Size`] when a side is zero, [`GeometryError::Setting`] when `stride` is.
    pub fn auto(source: Size, most: Size, scale_up: bool, stride: usize) -> Result<Self, GeometryError> {
        if stride == 0 {
            return Err(GeometryError::Setting { name: "stride", expected: "at least 1 pixel", found: 0.0 });
        }
        Self::fit(source, most, scale_up, Some(stride))
    }

    /// How training's validation, evaluation and vehicle fit an image into a network's `input`: as large as its proportions allow,
    /// enlarged too.
    ///
    /// # Errors
    /// [`GeometryError::Size`] when a side is zero.
    pub fn within(image: Size, input: Size) -> Result<Self, GeometryError> {
        Self::new(image, input, true)
    }

    fn fit(source: Size, most: Size, scale_up: bool, stride: Option<usize>) -> Result<Self, GeometryError> {
        check_size("letterbox source", source)?;
        check_size("letterbox output", most)?;
        let mut ratio = (most.height as f64 / source.height as f64).min(most.width as f64 / source.width as f64);
        if !scale_up {
            ratio = ratio.min(1.0);
        }
        let side = |from: usize, most: usize| ((from as f64 * ratio).round_ties_even() as usize).clamp(1, most);
        let resized = Size::new(side(source.width, most.width), side(source.height, most.height));
        let half = |most: usize, resized: usize| {
            let rest = most - resized;
            stride.map_or(rest, |s| rest % s) as f64 / 2.0
        };
        let half_padding_px = (half(most.width, resized.width), half(most.height, resized.height));
        // A half is 0.5 away from both neighbours; the tenth decides which side gets the extra pixel.
        let borders =
            |half: f64| ((half - 0.1).round_ties_even().max(0.0) as usize, (half + 0.1).round_ties_even() as usize);
        let (left_right, top_bottom) = (borders(half_padding_px.0), borders(half_padding_px.1));
        let output =
            Size::new(resized.width + left_right.0 + left_right.1, resized.height + top_bottom.0 + top_bottom.1);
        Ok(Self { source, resized, output, ratio, half_padding_px, top_bottom, left_right })
    }

    /// A box of the letterboxed image in pixels of the source, not clipped, as YOLOv5's validation does it.
    pub fn box_to_source(&self, letterboxed: Xyxy) -> Xyxy {
        letterboxed.unshift_then_divide(self.ratio as f32, self.half_padding_px.0 as f32, self.half_padding_px.1 as f32)
    }

    /// Brings detections of the letterboxed image back to the source, cut at its borders; what lies outside is left out. The one way
    /// for evaluation and vehicle.
    pub fn detections_to_source(&self, detections: &mut Vec<Detection>) {
        detections.retain_mut(|d| {
            *d = d.with_box(self.box_to_source(d.xyxy()).clip(self.source));
            d.x2 > d.x1 && d.y2 > d.y1
        });
    }
}

/// Refuses a size without pixels or with more than can be counted.
fn check_size(what: &'static str, size: Size) -> Result<(), GeometryError> {
    match size.pixels() {
        Some(n) if n > 0 && n <= isize::MAX as usize => Ok(()),
        _ => Err(GeometryError::Size { what, width: size.width, height: size.height }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn borders_fill_the_output_for_every_size() {
        let output = Size::new(256, 320);
        for height in [1, 2, 3, 17, 218, 417, 480] {
            for width in [1, 5, 64, 333, 640, 1999] {
                let source = Size { width, height };
                for scale_up in [false, true] {
                    let l = Letterbox::new(source, output, scale_up).unwrap();
                    assert_eq!(l.output, output, "{source}");
                    let a = Letterbox::auto(source, output, scale_up, 32).unwrap();
                    assert!(a.output.height <= 320 && a.output.width <= 256);
                    if scale_up {
                        assert_eq!((a.output.height % 32, a.output.width % 32), (0, 0), "{source}");
                    }
                }
            }
        }
    }

    #[test]
    fn boxes_return() {
        let l = Letterbox::within(Size::new(554, 374), Size::new(320, 320)).unwrap();
        let b = [10.0, 20.0, 300.0, 200.0];
        let (ratio, (dx, dy)) = (l.ratio as f32, l.half_padding_px);
        let fitted = b.map(|v| v * ratio);
        let (dx, dy) = (dx as f32, dy as f32);
        let back = l.box_to_source(Xyxy::new(fitted[0] + dx, fitted[1] + dy, fitted[2] + dx, fitted[3] + dy));
        for (a, b) in [back.x1, back.y1, back.x2, back.y2].into_iter().zip(b) {
            assert!((a - b).abs() < 1e-3, "{a} {b}");
        }
    }

    #[test]
    fn impossible_sizes_are_refused() {
        assert!(Letterbox::within(Size::new(4, 0), Size::new(8, 8)).is_err());
        assert!(Letterbox::auto(Size::new(4, 4), Size::new(8, 8), true, 0).is_err());
    }

    #[test]
    fn detections_come_back_cut_and_without_those_outside() {
        let l = Letterbox::within(Size::new(640, 480), Size::new(320, 320)).unwrap();
        let at = |x1, y1, x2, y2| Detection { x1, y1, x2, y2, score: 0.5, class: 0 };
        let mut found = vec![at(-5.0, 40.0, 10.0, 60.0), at(0.0, 0.0, 320.0, 39.0), at(90.0, 100.0, 110.0, 140.0)];
        l.detections_to_source(&mut found);
        assert_eq!(found, [at(0.0, 0.0, 20.0, 40.0), at(180.0, 120.0, 220.0, 200.0)]);
    }
}
