//! Fitting an image into the detector's input: resized with its proportions kept, the rest filled with gray.

use crate::boxes::Xyxy;
use crate::error::{GeometryError, check_size};
use crate::nms::Detection;
use crate::size::Size;

/// Gray value of the padding.
pub const FILL: u8 = 114;

/// The geometry of one letterbox, by the rule of YOLOv5.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Letterbox {
    /// Height and width of the source in pixels.
    pub src_hw: (usize, usize),
    /// Height and width after resizing, before padding.
    pub resized_hw: (usize, usize),
    /// Height and width with padding. Equal to the requested size unless made by [`Letterbox::auto`].
    pub out_hw: (usize, usize),
    /// Pixels of the resized image per pixel of the source, the same for both axes.
    pub ratio: f64,
    /// Half of the padding, horizontal then vertical, **not rounded**. Boxes are mapped with these halves although the
    /// borders are whole pixels; training and evaluation of YOLOv5 share that half-pixel convention.
    pub pad_wh: (f64, f64),
    /// Whole rows above and below.
    pub top_bottom: (usize, usize),
    /// Whole columns left and right.
    pub left_right: (usize, usize),
}

impl Letterbox {
    /// Fits `src_h` × `src_w` into exactly `dst_h` × `dst_w`. Without `scale_up` a smaller source keeps its size.
    ///
    /// A source so long that its short side would vanish keeps one pixel of it.
    ///
    /// # Errors
    /// [`GeometryError::Size`] when a side is zero.
    pub fn new(src_h: usize, src_w: usize, dst_h: usize, dst_w: usize, scale_up: bool) -> Result<Self, GeometryError> {
        Self::fit(src_h, src_w, dst_h, dst_w, scale_up, None)
    }

    /// As [`Letterbox::new`], but pads only up to the next multiple of `stride`, so that the output may be smaller than
    /// `dst_h` × `dst_w`.
    ///
    /// # Errors
    /// [`GeometryError::Size`] when a side is zero, [`GeometryError::Setting`] when `stride` is.
    pub fn auto(
        src_h: usize,
        src_w: usize,
        dst_h: usize,
        dst_w: usize,
        scale_up: bool,
        stride: usize,
    ) -> Result<Self, GeometryError> {
        if stride == 0 {
            return Err(GeometryError::Setting { name: "stride", expected: "at least 1 pixel", found: 0.0 });
        }
        Self::fit(src_h, src_w, dst_h, dst_w, scale_up, Some(stride))
    }

    /// How training's validation, evaluation and vehicle fit an image into a network's `input`: as large as its proportions allow,
    /// enlarged too.
    ///
    /// # Errors
    /// [`GeometryError::Size`] when a side is zero.
    pub fn within(image: Size, input: Size) -> Result<Self, GeometryError> {
        Self::new(image.height, image.width, input.height, input.width, true)
    }

    fn fit(
        src_h: usize,
        src_w: usize,
        dst_h: usize,
        dst_w: usize,
        scale_up: bool,
        stride: Option<usize>,
    ) -> Result<Self, GeometryError> {
        check_size("letterbox source", src_w, src_h)?;
        check_size("letterbox output", dst_w, dst_h)?;
        let mut ratio = (dst_h as f64 / src_h as f64).min(dst_w as f64 / src_w as f64);
        if !scale_up {
            ratio = ratio.min(1.0);
        }
        let side = |src: usize, dst: usize| ((src as f64 * ratio).round_ties_even() as usize).clamp(1, dst);
        let resized_hw = (side(src_h, dst_h), side(src_w, dst_w));
        let rest = |dst: usize, resized: usize| {
            let rest = dst - resized;
            stride.map_or(rest, |s| rest % s) as f64 / 2.0
        };
        let pad_wh = (rest(dst_w, resized_hw.1), rest(dst_h, resized_hw.0));
        // A half is 0.5 away from both neighbours; the tenth decides which side gets the extra pixel.
        let borders =
            |half: f64| ((half - 0.1).round_ties_even().max(0.0) as usize, (half + 0.1).round_ties_even() as usize);
        let (left_right, top_bottom) = (borders(pad_wh.0), borders(pad_wh.1));
        Ok(Self {
            src_hw: (src_h, src_w),
            resized_hw,
            out_hw: (resized_hw.0 + top_bottom.0 + top_bottom.1, resized_hw.1 + left_right.0 + left_right.1),
            ratio,
            pad_wh,
            top_bottom,
            left_right,
        })
    }

    /// A box of the source in pixels of the letterboxed image.
    pub fn box_to_letterbox(&self, source: Xyxy) -> Xyxy {
        source.scale_then_shift(self.ratio as f32, self.pad_wh.0 as f32, self.pad_wh.1 as f32)
    }

    /// A box of the letterboxed image in pixels of the source, not clipped: the inverse of
    /// [`box_to_letterbox`](Self::box_to_letterbox), and what YOLOv5's validation does.
    pub fn box_to_source(&self, letterboxed: Xyxy) -> Xyxy {
        letterboxed.unshift_then_divide(self.ratio as f32, self.pad_wh.0 as f32, self.pad_wh.1 as f32)
    }

    /// Brings detections of the letterboxed image back to the source, cut at its borders; what lies outside is left out. The one way
    /// for evaluation and vehicle.
    pub fn detections_to_source(&self, detections: &mut Vec<Detection>) {
        let (height, width) = self.src_hw;
        detections.retain_mut(|d| {
            *d = d.with_box(self.box_to_source(d.xyxy()).clip(height, width));
            d.x2 > d.x1 && d.y2 > d.y1
        });
    }

    /// As [`box_to_source`](Self::box_to_source), but with halves `(out - src · gain) / 2` taken from the sizes alone,
    /// before the resized size is rounded: what YOLOv5's *detection* script does, which does not hand its padding on.
    /// Differs from the other by at most `0.25 / ratio` pixels. Only for comparing with that script's output.
    pub fn box_to_source_from_sizes(&self, letterboxed: Xyxy) -> Xyxy {
        let side = |out: usize, src: usize| out as f64 / src as f64;
        let gain = side(self.out_hw.0, self.src_hw.0).min(side(self.out_hw.1, self.src_hw.1));
        let half = |out: usize, src: usize| ((out as f64 - src as f64 * gain) / 2.0) as f32;
        let (dw, dh) = (half(self.out_hw.1, self.src_hw.1), half(self.out_hw.0, self.src_hw.0));
        letterboxed.unshift_then_divide(gain as f32, dw, dh)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn borders_fill_the_output_for_every_size() {
        for src_h in [1, 2, 3, 17, 218, 417, 480] {
            for src_w in [1, 5, 64, 333, 640, 1999] {
                for scale_up in [false, true] {
                    let l = Letterbox::new(src_h, src_w, 320, 256, scale_up).unwrap();
                    assert_eq!(l.out_hw, (320, 256), "{src_h}x{src_w}");
                    let a = Letterbox::auto(src_h, src_w, 320, 256, scale_up, 32).unwrap();
                    assert!(a.out_hw.0 <= 320 && a.out_hw.1 <= 256);
                    if scale_up {
                        assert_eq!((a.out_hw.0 % 32, a.out_hw.1 % 32), (0, 0), "{src_h}x{src_w}");
                    }
                }
            }
        }
    }

    #[test]
    fn boxes_return() {
        let l = Letterbox::new(374, 554, 320, 320, true).unwrap();
        let b = Xyxy::new(10.0, 20.0, 300.0, 200.0);
        let back = l.box_to_source(l.box_to_letterbox(b));
        for (a, b) in [(back.x1, b.x1), (back.y1, b.y1), (back.x2, b.x2), (back.y2, b.y2)] {
            assert!((a - b).abs() < 1e-3, "{a} {b}");
        }
    }

    #[test]
    fn impossible_sizes_are_refused() {
        assert!(Letterbox::new(0, 4, 8, 8, true).is_err());
        assert!(Letterbox::auto(4, 4, 8, 8, true, 0).is_err());
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
