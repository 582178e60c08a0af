use crate::EvalError;

/// A gray 8-bit image, row-major without gaps.
#[derive(Clone, Copy, Debug)]
pub struct Gray<'a> {
    pixels: &'a [u8],
    height: usize,
    width: usize,
}

impl<'a> Gray<'a> {
    /// Wraps `height` × `width` bytes.
    ///
    /// # Errors
    /// [`EvalError::Plane`] when the length is not height times width, or zero.
    pub fn new(pixels: &'a [u8], height: usize, width: usize) -> Result<Self, EvalError> {
        if pixels.is_empty() || height.checked_mul(width) != Some(pixels.len()) {
            return Err(EvalError::Plane { what: "gray image", height, width, found: pixels.len() });
        }
        Ok(Self { pixels, height, width })
    }

    /// The bytes, row by row.
    pub fn pixels(&self) -> &'a [u8] {
        self.pixels
    }

    /// Height and width, both at least 1.
    pub fn size_hw(&self) -> (usize, usize) {
        (self.height, self.width)
    }

    pub(crate) fn rows(&self) -> std::slice::ChunksExact<'a, u8> {
        self.pixels.chunks_exact(self.width)
    }

    pub(crate) fn to_f64(self) -> Vec<f64> {
        self.pixels.iter().map(|&v| f64::from(v)).collect()
    }

    /// The pixels minus their rounded mean, and that mean. Variances do not change, but the cancellation in
    /// `E[x²] - E[x]²` gets smaller, and a constant image has a variance of exactly 0.
    pub(crate) fn centred(self) -> (Vec<f64>, f64) {
        let sum: u64 = self.pixels.iter().map(|&v| u64::from(v)).sum();
        let centre = (sum as f64 / self.pixels.len() as f64).round();
        (self.pixels.iter().map(|&v| f64::from(v) - centre).collect(), centre)
    }

    /// Refuses an image with a side below `min_side`.
    pub(crate) fn at_least(&self, metric: &'static str, min_side: usize) -> Result<(), EvalError> {
        let (height, width) = (self.height, self.width);
        if height.min(width) < min_side {
            return Err(EvalError::TooSmall { metric, min_side, height, width });
        }
        Ok(())
    }
}

/// The two sources and the fused image, of one size.
#[derive(Clone, Copy, Debug)]
pub struct Triple<'a> {
    ir: Gray<'a>,
    vi: Gray<'a>,
    fused: Gray<'a>,
}

impl<'a> Triple<'a> {
    /// Puts three planes together.
    ///
    /// # Errors
    /// [`EvalError::Sizes`] when they differ in size.
    pub fn new(ir: Gray<'a>, vi: Gray<'a>, fused: Gray<'a>) -> Result<Self, EvalError> {
        let sizes = (ir.size_hw(), vi.size_hw(), fused.size_hw());
        if sizes.0 != sizes.1 || sizes.1 != sizes.2 {
            return Err(EvalError::Sizes { ir: sizes.0, vi: sizes.1, fused: sizes.2 });
        }
        Ok(Self { ir, vi, fused })
    }

    /// The infrared source.
    pub fn ir(&self) -> Gray<'a> {
        self.ir
    }

    /// The visible source.
    pub fn vi(&self) -> Gray<'a> {
        self.vi
    }

    /// The fused image.
    pub fn fused(&self) -> Gray<'a> {
        self.fused
    }

    /// Height and width, both at least 1.
    pub fn size_hw(&self) -> (usize, usize) {
        self.fused.size_hw()
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
        assert!(Gray::new(&[], 0, 0).is_err());
        assert!(Gray::new(&[1, 2, 3], 2, 2).is_err());
        assert!(Gray::new(&[1], usize::MAX, usize::MAX).is_err());
        let (a, b) = (Gray::new(&[1, 2], 1, 2).unwrap(), Gray::new(&[1, 2], 2, 1).unwrap());
        assert!(matches!(Triple::new(a, a, b), Err(EvalError::Sizes { fused: (2, 1), .. })));
    }

    #[test]
    fn gray_content_is_kept() {
        let rgb: Vec<u8> = (0..=255).flat_map(|v| [v, v, v]).collect();
        assert_eq!(gray_from_rgb(&rgb), (0..=255).collect::<Vec<u8>>());
        assert_eq!(gray_from_rgb(&[255, 0, 0, 0, 255, 0, 0, 0, 255]), [76, 150, 29]);
    }
}
