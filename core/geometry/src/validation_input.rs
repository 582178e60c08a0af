//! How YOLOv5's validation loader brings an image into the network, which is not one bilinear letterbox.

use crate::boxes::Xyxy;
use crate::error::{DetectError, packed_len};
use crate::letterbox::{Letterbox, LetterboxPainter};
use crate::resize_area::AreaResize;
use crate::resize_bilinear::BilinearResize;

/// Fraction of a stride added before rounding the batch shape up.
const BATCH_PAD: f64 = 0.5;

/// The two steps of the validation loader: the longer side is resized to `imgsz` (by area when that shrinks, bilinear
/// when it enlarges), then the result is letterboxed, without enlarging, into a shape that suits its proportions.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ValidationInput {
    /// Height and width of the source.
    pub src_hw: (usize, usize),
    /// Height and width after the first step, sides rounded up.
    pub resized_hw: (usize, usize),
    /// The second step; its source is the resized image.
    pub letterbox: Letterbox,
}

impl ValidationInput {
    /// For an image that is a batch of its own, or whose batch has its proportions.
    ///
    /// # Errors
    /// [`DetectError::Size`] when a side is zero, [`DetectError::Setting`] when `imgsz` or `stride` is.
    pub fn new(src_h: usize, src_w: usize, imgsz: usize, stride: usize) -> Result<Self, DetectError> {
        let shape = batch_shape_hw(&[(src_h, src_w)], imgsz, stride)?;
        Self::in_batch(src_h, src_w, imgsz, shape)
    }

    /// For an image of a batch of `batch_hw` pixels (see [`batch_shape_hw`]).
    ///
    /// # Errors
    /// [`DetectError::Size`] when a side is zero, [`DetectError::Setting`] when `imgsz` is.
    pub fn in_batch(src_h: usize, src_w: usize, imgsz: usize, batch_hw: (usize, usize)) -> Result<Self, DetectError> {
        packed_len("validation source", src_h, src_w, 1)?;
        check_positive("imgsz", imgsz)?;
        let ratio = imgsz as f64 / src_h.max(src_w) as f64;
        let side = |n: usize| if ratio == 1.0 { n } else { ((n as f64 * ratio).ceil() as usize).max(1) };
        let resized_hw = (side(src_h), side(src_w));
        let letterbox = Letterbox::new(resized_hw.0, resized_hw.1, batch_hw.0, batch_hw.1, false)?;
        Ok(Self { src_hw: (src_h, src_w), resized_hw, letterbox })
    }

    /// Pixels of the network's input per pixel of the source. The loader uses the vertical ratio for both axes.
    pub fn gain(&self) -> f64 {
        self.resized_hw.0 as f64 / self.src_hw.0 as f64 * self.letterbox.ratio
    }

    /// A box of the network's input in pixels of the source, not clipped.
    pub fn box_to_source(&self, input: Xyxy) -> Xyxy {
        let (dw, dh) = self.letterbox.pad_wh;
        input.unshift_then_divide(self.gain() as f32, dw as f32, dh as f32)
    }

    /// A box of the source in pixels of the network's input. Labels are stored as fractions of the image, so each axis
    /// has its own ratio here, unlike in [`box_to_source`](Self::box_to_source).
    pub fn box_to_input(&self, source: Xyxy) -> Xyxy {
        let (dw, dh) = self.letterbox.pad_wh;
        let x_gain = self.resized_hw.1 as f64 / self.src_hw.1 as f64 * self.letterbox.ratio;
        let map = |v: f32, gain: f64, pad: f64| (f64::from(v) * gain + pad) as f32;
        Xyxy::new(
            map(source.x1, x_gain, dw),
            map(source.y1, self.gain(), dh),
            map(source.x2, x_gain, dw),
            map(source.y2, self.gain(), dh),
        )
    }

    /// The network's input for `src` (interleaved, `channels` channels, rows `src_stride` bytes apart): packed bytes of
    /// `letterbox.out_hw`.
    ///
    /// # Errors
    /// [`DetectError`] when `src` does not fit the geometry.
    pub fn render(&self, src: &[u8], src_stride: usize, channels: usize) -> Result<Vec<u8>, DetectError> {
        let row = self.resized_hw.1 * channels;
        let mut resized = vec![0; packed_len("validation image", self.resized_hw.0, self.resized_hw.1, channels)?];
        if self.resized_hw.0 < self.src_hw.0 || self.resized_hw.1 < self.src_hw.1 {
            AreaResize::new(self.src_hw, self.resized_hw, channels)?.run(src, src_stride, &mut resized, row)?;
        } else {
            BilinearResize::new(self.src_hw, self.resized_hw, channels)?.run(src, src_stride, &mut resized, row)?;
        }
        let mut painter = LetterboxPainter::new(self.letterbox, channels)?;
        let mut out = vec![0; painter.output_len()];
        painter.paint(&resized, row, &mut out)?;
        Ok(out)
    }
}

/// Height and width of a validation batch of images of the given sizes (height, width).
///
/// All landscape: the least elongated image fits into the width `imgsz`; all portrait: likewise into the height; mixed
/// or square: a square. Half a stride is added, then each side is rounded up to a multiple of `stride`.
///
/// # Errors
/// [`DetectError::Size`] when a side is zero, [`DetectError::Setting`] when `imgsz`, `stride` or the number of images is.
pub fn batch_shape_hw(sizes_hw: &[(usize, usize)], imgsz: usize, stride: usize) -> Result<(usize, usize), DetectError> {
    check_positive("imgsz", imgsz)?;
    check_positive("stride", stride)?;
    check_positive("images in the batch", sizes_hw.len())?;
    let (mut least, mut greatest) = (f64::INFINITY, 0.0f64);
    for &(height, width) in sizes_hw {
        packed_len("validation source", height, width, 1)?;
        let aspect = height as f64 / width as f64;
        least = least.min(aspect);
        greatest = greatest.max(aspect);
    }
    let (h, w) = if greatest < 1.0 {
        (greatest, 1.0)
    } else if least > 1.0 {
        (1.0, 1.0 / least)
    } else {
        (1.0, 1.0)
    };
    let side = |part: f64| (part * imgsz as f64 / stride as f64 + BATCH_PAD).ceil() as usize * stride;
    Ok((side(h), side(w)))
}

fn check_positive(name: &'static str, value: usize) -> Result<(), DetectError> {
    if value == 0 {
        return Err(DetectError::Setting { name, expected: "at least 1", found: 0.0 });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_documented_m3fd_case() {
        let v = ValidationInput::new(768, 1024, 640, 32).unwrap();
        assert_eq!(v.letterbox.out_hw, (512, 672));
        assert_eq!(v.resized_hw, (480, 640));
    }

    #[test]
    fn batch_shapes() {
        assert_eq!(batch_shape_hw(&[(100, 200), (150, 200)], 64, 32).unwrap(), (64, 96));
        assert_eq!(batch_shape_hw(&[(200, 100)], 64, 32).unwrap(), (96, 64));
        assert_eq!(batch_shape_hw(&[(200, 100), (100, 200)], 64, 32).unwrap(), (96, 96));
        assert!(batch_shape_hw(&[], 64, 32).is_err());
        assert!(batch_shape_hw(&[(1, 1)], 64, 0).is_err());
    }

    #[test]
    fn enlarging_is_bilinear_and_boxes_return() {
        let v = ValidationInput::new(30, 50, 100, 32).unwrap();
        assert_eq!(v.resized_hw, (60, 100));
        let out = v.render(&vec![9u8; 30 * 50 * 3], 150, 3).unwrap();
        assert_eq!(out.len(), v.letterbox.out_hw.0 * v.letterbox.out_hw.1 * 3);
        assert_eq!(out.iter().filter(|&&b| b == 9).count(), 60 * 100 * 3);
        let b = Xyxy::new(4.0, 5.0, 20.0, 25.0);
        let back = v.box_to_source(v.box_to_input(b));
        assert!((back.x2 - b.x2).abs() < 1e-3 && (back.y1 - b.y1).abs() < 1e-3);
    }
}
