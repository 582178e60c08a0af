use std::borrow::Cow;
use std::rc::Rc;

use caf_geometry::Size;

use super::shared::Shared;
use crate::EvalError;

/// A gray 8-bit image, row-major without gaps, with what metrics have computed of it. Cheap to clone; for one thread.
#[derive(Clone, Debug)]
pub struct Gray<'a>(Rc<Inner<'a>>);

#[derive(Debug)]
struct Inner<'a> {
    pixels: Cow<'a, [u8]>,
    size: Size,
    shared: Shared,
}

impl<'a> Gray<'a> {
    /// Wraps one byte a pixel.
    ///
    /// # Errors
    /// [`EvalError::Plane`] when there are not width times height bytes, or none.
    pub fn new(pixels: impl Into<Cow<'a, [u8]>>, size: Size) -> Result<Self, EvalError> {
        let pixels = pixels.into();
        if pixels.is_empty() || size.pixels() != Some(pixels.len()) {
            return Err(EvalError::Plane { size, channels: 1, found: pixels.len() });
        }
        Ok(Self(Rc::new(Inner { pixels, size, shared: Shared::default() })))
    }

    /// The bytes, row by row.
    pub fn pixels(&self) -> &[u8] {
        &self.0.pixels
    }

    /// Width and height, both at least 1.
    pub fn size(&self) -> Size {
        self.0.size
    }

    /// Something computed of this image alone, once for all metrics (and all channels that share the image).
    pub(super) fn shared<T: 'static>(&self, make: impl FnOnce(&Self) -> T) -> Rc<T> {
        self.0.shared.get(|| make(self))
    }

    pub(super) fn rows(&self) -> std::slice::ChunksExact<'_, u8> {
        self.0.pixels.chunks_exact(self.0.size.width)
    }

    pub(super) fn to_f64(&self) -> Vec<f64> {
        self.pixels().iter().map(|&v| f64::from(v)).collect()
    }

    /// The pixels minus their rounded mean, and that mean. Variances do not change, but the cancellation in
    /// `E[x²] - E[x]²` gets smaller, and a constant image has a variance of exactly 0.
    pub(super) fn centred(&self) -> (Vec<f64>, f64) {
        let sum: u64 = self.pixels().iter().map(|&v| u64::from(v)).sum();
        let centre = (sum as f64 / self.pixels().len() as f64).round();
        (self.pixels().iter().map(|&v| f64::from(v) - centre).collect(), centre)
    }

    /// Refuses an image with a side below `min_side_px`.
    pub(super) fn at_least(&self, metric: &'static str, min_side_px: usize) -> Result<(), EvalError> {
        let found = self.size();
        if found.width.min(found.height) < min_side_px {
            return Err(EvalError::TooSmall { metric, min_side_px, found });
        }
        Ok(())
    }
}

/// The two sources and the fused image, of one size. Cheap to clone; for one thread.
#[derive(Clone, Debug)]
pub struct Triple<'a> {
    ir: Gray<'a>,
    vi: Gray<'a>,
    fused: Gray<'a>,
    shared: Rc<Shared>,
}

impl<'a> Triple<'a> {
    /// Puts three planes together.
    ///
    /// # Errors
    /// [`EvalError::Sizes`] when they differ in size.
    pub fn new(ir: Gray<'a>, vi: Gray<'a>, fused: Gray<'a>) -> Result<Self, EvalError> {
        let sizes = [ir.size(), vi.size(), fused.size()];
        if sizes[0] != sizes[1] || sizes[1] != sizes[2] {
            return Err(EvalError::Sizes { ir: sizes[0], vi: sizes[1], fused: sizes[2] });
        }
        Ok(Self { ir, vi, fused, shared: Rc::default() })
    }

    /// The infrared source.
    pub fn ir(&self) -> &Gray<'a> {
        &self.ir
    }

    /// The visible source.
    pub fn vi(&self) -> &Gray<'a> {
        &self.vi
    }

    /// The fused image.
    pub fn fused(&self) -> &Gray<'a> {
        &self.fused
    }

    /// Both sources, infrared first.
    pub fn sources(&self) -> [&Gray<'a>; 2] {
        [&self.ir, &self.vi]
    }

    /// Width and height, both at least 1.
    pub fn size(&self) -> Size {
        self.fused.size()
    }

    /// Something computed of all three, once for all metrics.
    pub(super) fn shared<T: 'static>(&self, make: impl FnOnce(&Self) -> T) -> Rc<T> {
        self.shared.get(|| make(self))
    }
}

/// An 8-bit image as a file holds it: gray, or interleaved red, green, blue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Picture {
    pixels: Vec<u8>,
    size: Size,
    channels: usize,
}

impl Picture {
    /// From one byte a pixel.
    ///
    /// # Errors
    /// [`EvalError::Plane`] when there are not width times height bytes, or none.
    pub fn gray(pixels: Vec<u8>, size: Size) -> Result<Self, EvalError> {
        Self::new(pixels, size, 1)
    }

    /// From three bytes a pixel.
    ///
    /// # Errors
    /// [`EvalError::Plane`] when there are not three times width times height bytes, or none.
    pub fn rgb(pixels: Vec<u8>, size: Size) -> Result<Self, EvalError> {
        Self::new(pixels, size, 3)
    }

    fn new(pixels: Vec<u8>, size: Size, channels: usize) -> Result<Self, EvalError> {
        let expected = size.pixels().and_then(|n| n.checked_mul(channels));
        if pixels.is_empty() || expected != Some(pixels.len()) {
            return Err(EvalError::Plane { size, channels, found: pixels.len() });
        }
        Ok(Self { pixels, size, channels })
    }

    /// Width and height.
    pub fn size(&self) -> Size {
        self.size
    }

    /// Whether it has red, green and blue.
    pub fn is_rgb(&self) -> bool {
        self.channels == 3
    }

    /// As one gray plane: [`gray_from_rgb`] of colour.
    pub fn to_gray(&self) -> Gray<'_> {
        let pixels = if self.is_rgb() { gray_from_rgb(&self.pixels).into() } else { Cow::from(&self.pixels) };
        self.wrap(pixels)
    }

    /// Red, green and blue as planes; a gray image three times itself. Equal channels are one plane, computed on once.
    pub fn to_channels(&self) -> [Gray<'_>; 3] {
        if !self.is_rgb() {
            let gray = self.to_gray();
            return [gray.clone(), gray.clone(), gray];
        }
        let plane = |k: usize| self.wrap(self.pixels.iter().skip(k).step_by(3).copied().collect::<Vec<u8>>().into());
        let [red, mut green, mut blue] = [plane(0), plane(1), plane(2)];
        if green.pixels() == red.pixels() {
            green = red.clone();
        }
        if blue.pixels() == red.pixels() {
            blue = red.clone();
        }
        [red, green, blue]
    }

    fn wrap<'a>(&self, pixels: Cow<'a, [u8]>) -> Gray<'a> {
        Gray(Rc::new(Inner { pixels, size: self.size, shared: Shared::default() }))
    }
}

/// Gray from interleaved 8-bit RGB: `⌊0.29894 R + 0.58704 G + 0.11402 B + ½⌋` with MATLAB's full-length coefficients.
/// The fixed-point BT.601 of most image libraries differs in about 3 of a million pixels, by one. A trailing partial
/// pixel is dropped.
pub fn gray_from_rgb(rgb: &[u8]) -> Vec<u8> {
    let weights = [0.2989360212937753, 0.5870430744511212, 0.1140209042551033];
    rgb.chunks_exact(3)
        .map(|p| {
            let sum: f64 = p.iter().zip(weights).map(|(&v, w)| f64::from(v) * w).sum();
            (sum + 0.5).floor().min(255.0) as u8
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refuses_what_is_not_an_image() {
        assert!(Gray::new(&[][..], Size::new(0, 0)).is_err());
        assert!(Gray::new(&[1, 2, 3][..], Size::new(2, 2)).is_err());
        assert!(Gray::new(&[1][..], Size::new(usize::MAX, usize::MAX)).is_err());
        assert!(Picture::rgb(vec![0; 5], Size::new(2, 1)).is_err());
        let a = Gray::new(vec![1, 2], Size::new(2, 1)).unwrap();
        let b = Gray::new(vec![1, 2], Size::new(1, 2)).unwrap();
        let error = Triple::new(a.clone(), a, b).unwrap_err();
        assert!(matches!(error, EvalError::Sizes { fused: Size { width: 1, height: 2 }, .. }));
    }

    #[test]
    fn gray_content_is_kept() {
        let rgb: Vec<u8> = (0..=255).flat_map(|v| [v, v, v]).collect();
        let picture = Picture::rgb(rgb, Size::new(256, 1)).unwrap();
        assert_eq!(picture.to_gray().pixels(), (0..=255).collect::<Vec<u8>>());
        assert_eq!(gray_from_rgb(&[255, 0, 0, 0, 255, 0, 0, 0, 255]), [76, 150, 29]);
    }

    #[test]
    fn channels_are_parted_and_equal_ones_computed_on_once() {
        let picture = Picture::rgb(vec![1, 2, 1, 4, 5, 4], Size::new(2, 1)).unwrap();
        let [red, green, blue] = picture.to_channels();
        assert_eq!([red.pixels(), green.pixels(), blue.pixels()], [[1, 4], [2, 5], [1, 4]]);
        let sum = |plane: &Gray<'_>| plane.pixels().iter().map(|&v| u32::from(v)).sum::<u32>();
        assert_eq!(*red.shared(sum), 5);
        assert_eq!(*blue.shared::<u32>(|_| unreachable!("shared with red")), 5);
        assert_eq!(*green.shared(sum), 7);
    }
}
