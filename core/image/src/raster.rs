//! Images as plain arrays whose size always fits their data.

use caf_geometry::Size;

use crate::error::ImageError;

/// An image of `C` interleaved channels, row-major: the sample of channel `c` at column `x` of row `y` is at index
/// `(y * width + x) * C + c`. Width and height are at least 1.
#[derive(Debug, Clone, PartialEq)]
pub struct Raster<T, const C: usize> {
    size: Size,
    data: Vec<T>,
}

/// One `f32` channel; infrared and luma planes are in \[0,1\].
pub type Plane = Raster<f32, 1>;
/// One 8-bit channel.
pub type Gray8 = Raster<u8, 1>;
/// Three 8-bit channels in the order red, green, blue.
pub type Rgb8 = Raster<u8, 3>;

impl<T: Copy, const C: usize> Raster<T, C> {
    /// Wraps `data`, which must hold `C` samples a pixel.
    ///
    /// # Errors
    /// [`ImageError::Shape`] when a side is zero or the length of `data` is another.
    pub fn new(size: Size, data: Vec<T>) -> Result<Self, ImageError> {
        let expected = samples::<C>(size)?;
        if data.len() != expected {
            return Err(ImageError::Shape {
                what: "image samples",
                expected: format!("{expected}, {C} for each of {size} pixels"),
                found: data.len().to_string(),
            });
        }
        Ok(Self { size, data })
    }

    /// An image whose every sample is `value`.
    ///
    /// # Errors
    /// [`ImageError::Shape`] when a side is zero or the size does not fit in memory's address range.
    pub fn filled(size: Size, value: T) -> Result<Self, ImageError> {
        let length = samples::<C>(size)?;
        Ok(Self { size, data: vec![value; length] })
    }

    /// An image of the size of `other`, every sample `value`.
    #[must_use]
    pub fn like<U: Copy, const D: usize>(other: &Raster<U, D>, value: T) -> Self {
        Self { size: other.size, data: vec![value; other.size.width * other.size.height * C] }
    }

    /// Columns.
    #[must_use]
    pub fn width(&self) -> usize {
        self.size.width
    }

    /// Rows.
    #[must_use]
    pub fn height(&self) -> usize {
        self.size.height
    }

    /// Columns and rows.
    #[must_use]
    pub fn size(&self) -> Size {
        self.size
    }

    /// All samples, row-major, channels interleaved.
    #[must_use]
    pub fn data(&self) -> &[T] {
        &self.data
    }

    /// All samples, writable.
    pub fn data_mut(&mut self) -> &mut [T] {
        &mut self.data
    }

    /// The samples, without a copy.
    #[must_use]
    pub fn into_data(self) -> Vec<T> {
        self.data
    }

    /// The samples of one pixel, `None` outside the image.
    #[must_use]
    pub fn pixel(&self, x: usize, y: usize) -> Option<[T; C]> {
        if x >= self.size.width || y >= self.size.height {
            return None;
        }
        self.data.get((y * self.size.width + x) * C..)?.first_chunk::<C>().copied()
    }

    /// Pixels in row-major order.
    pub fn pixels(&self) -> impl ExactSizeIterator<Item = &[T; C]> {
        // The constructor made the length a multiple of C, so the remainder is empty.
        self.data.as_chunks::<C>().0.iter()
    }
}

fn samples<const C: usize>(size: Size) -> Result<usize, ImageError> {
    let length = size.pixels().and_then(|n| n.checked_mul(C)).filter(|&n| n > 0);
    length.ok_or_else(|| ImageError::Shape {
        what: "image size",
        expected: "width and height of at least 1, and a size that can be addressed".into(),
        found: format!("{size}, {C} samples a pixel"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_raster_refuses_other_lengths_and_empty_sides() {
        assert!(Rgb8::new(Size::new(2, 2), vec![0; 12]).is_ok());
        assert!(matches!(Rgb8::new(Size::new(2, 2), vec![0; 11]), Err(ImageError::Shape { .. })));
        assert!(matches!(Plane::new(Size::new(0, 2), vec![]), Err(ImageError::Shape { .. })));
        assert!(matches!(Plane::filled(Size::new(usize::MAX, 2), 0.0), Err(ImageError::Shape { .. })));
    }

    #[test]
    fn pixels_are_row_major_with_interleaved_channels() {
        let image = Rgb8::new(Size::new(2, 2), (0..12).collect()).unwrap();
        assert_eq!(image.pixel(1, 0), Some([3, 4, 5]));
        assert_eq!(image.pixel(0, 1), Some([6, 7, 8]));
        assert_eq!(image.pixel(2, 0), None);
        assert_eq!(image.pixels().count(), 4);
    }
}
