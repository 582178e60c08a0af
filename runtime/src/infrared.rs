//! Which infrared values are black and white, from frame to frame.
//!
//! The range is a property of the network ([`IrRange`], in the contract). Where it follows the image, a hot object that enters the
//! view would darken all else from one frame to the next: for live cameras the limits follow slowly.

use caf_contract::{IrLimits, IrRange, IrScratch, LEAST_USED_SHARE};

use crate::frame::{FrameError, ImageView, PixelFormat};

/// Frames of a stream from one look at how much of the range they use to the next; the look costs a histogram.
const LOOK_EVERY: u64 = 64;

/// How the limits of a range follow the images.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Follow {
    /// At once: images that have nothing to do with one another.
    #[default]
    AtOnce,
    /// Slowly: each frame of a stream keeps this share of the limits before it, in (0, 1).
    Slowly(f32),
}

/// The range of a network with what it needs from image to image. Allocates nothing after the first image.
#[derive(Clone, Debug)]
pub struct InfraredRange {
    range: IrRange,
    follow: Follow,
    scratch: IrScratch,
    /// Values of a float image.
    floats: Vec<f32>,
    last: Option<IrLimits>,
    images: u64,
    warned: bool,
}

/// The values of a 16-bit image.
fn values<'a>(image: &ImageView<'a>) -> impl Iterator<Item = u16> + use<'a> {
    image.rows().flat_map(|row| row.as_chunks().0.iter().map(|v| u16::from_le_bytes(*v)))
}

impl InfraredRange {
    /// From the range of a network.
    #[must_use]
    pub fn new(range: IrRange, follow: Follow) -> Self {
        Self { range, follow, scratch: IrScratch::default(), floats: Vec::new(), last: None, images: 0, warned: false }
    }

    /// The image with the values that become 0 and 1; one of 8 bits as it is. Warns once of an image that uses little of a fixed
    /// range. An error is a float image under [`IrRange::Full`].
    pub fn apply<'a>(&mut self, image: &ImageView<'a>) -> Result<ImageView<'a>, FrameError> {
        match image.format() {
            PixelFormat::Gray8 | PixelFormat::Rgb8 => return Ok(*image),
            PixelFormat::Gray16Le => {}
            PixelFormat::GrayF32Le => {
                self.floats.clear();
                let floats = image.rows().flat_map(|row| row.as_chunks().0.iter().map(|v| f32::from_le_bytes(*v)));
                self.floats.extend(floats);
            }
        }
        let looks = self.follow == Follow::AtOnce || self.images.is_multiple_of(LOOK_EVERY);
        self.images += 1;
        if looks && !self.warned {
            self.warn_of_little_use(image);
        }
        let here = match image.format() {
            PixelFormat::GrayF32Le => {
                self.range.limits_f32(&self.floats, &mut self.scratch).ok_or(FrameError::NoRange)?
            }
            _ => self.range.limits_u16(values(image), &mut self.scratch),
        };
        let limits = match (self.follow, self.last) {
            (Follow::Slowly(kept), Some(last)) => {
                let mix = |last: f32, here: f32| kept * last + (1.0 - kept) * here;
                IrLimits { low: mix(last.low, here.low), high: mix(last.high, here.high) }
            }
            _ => here,
        };
        self.last = Some(limits);
        Ok(image.with_limits(limits))
    }

    fn warn_of_little_use(&mut self, image: &ImageView<'_>) {
        let share = match image.format() {
            PixelFormat::GrayF32Le => self.range.used_share_f32(&self.floats, &mut self.scratch),
            _ => self.range.used_share_u16(values(image), &mut self.scratch),
        };
        if let Some(share) = share.filter(|share| *share < LEAST_USED_SHARE) {
            self.warned = true;
            tracing::warn!(
                "the infrared image uses {:.1} % of the range that the network was trained with ({}): it is nearly \
                 without contrast",
                share * 100.0,
                self.range
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use caf_geometry::Size;

    fn view(bytes: &[u8]) -> ImageView<'_> {
        ImageView::new(bytes, Size::new(bytes.len() / 2, 1), bytes.len(), PixelFormat::Gray16Le).unwrap()
    }

    fn bytes(values: &[u16]) -> Vec<u8> {
        values.iter().flat_map(|v| v.to_le_bytes()).collect()
    }

    #[test]
    fn a_fixed_window_stays_and_eight_bits_have_no_range() {
        let mut range = InfraredRange::new(IrRange::Window { min: 7000.0, max: 9000.0 }, Follow::Slowly(0.9));
        for values in [[7300, 8320], [0, 65535]] {
            let data = bytes(&values);
            assert_eq!(range.apply(&view(&data)).unwrap().limits(), IrLimits { low: 7000.0, high: 9000.0 });
        }
        let gray = [1, 2];
        let gray = ImageView::new(&gray, Size::new(2, 1), 2, PixelFormat::Gray8).unwrap();
        assert!(range.apply(&gray).unwrap().is_full_range());
    }

    #[test]
    fn limits_follow_a_stream_slowly_and_single_images_at_once() {
        let (cold, hot) = (bytes(&[1000, 2000]), bytes(&[1000, 12000]));
        let mut stream = InfraredRange::new(IrRange::MinMax, Follow::Slowly(0.9));
        assert_eq!(stream.apply(&view(&cold)).unwrap().limits().high, 2000.0);
        // By a tenth of the difference each frame, towards the new value and never past it.
        let mut expected = 2000.0_f32;
        for _ in 0..100 {
            expected = 0.9 * expected + 0.1 * 12_000.0;
            let found = stream.apply(&view(&hot)).unwrap().limits();
            assert!((found.high - expected).abs() < 1.0 && found.low == 1000.0, "{found:?}, {expected}");
        }
        assert!(expected > 11_990.0);
        let mut single = InfraredRange::new(IrRange::MinMax, Follow::AtOnce);
        let highs = [&cold, &hot, &cold].map(|data| single.apply(&view(data)).unwrap().limits().high);
        assert_eq!(highs, [2000.0, 12_000.0, 2000.0]);
    }

    #[test]
    fn floats_are_mapped_in_their_own_unit_and_have_no_full_range() {
        let kelvin: Vec<u8> = [280.0_f32, 300.0, f32::NAN, 320.0].iter().flat_map(|v| v.to_le_bytes()).collect();
        let view = ImageView::new(&kelvin, Size::new(2, 2), 8, PixelFormat::GrayF32Le).unwrap();
        let error = InfraredRange::new(IrRange::Full, Follow::AtOnce).apply(&view).unwrap_err();
        assert!(matches!(error, FrameError::NoRange), "{error}");
        for (range, expected) in
            [(IrRange::Window { min: 280.0, max: 360.0 }, [0, 64, 0, 128]), (IrRange::MinMax, [0, 128, 0, 255])]
        {
            let mut bytes = [9; 4];
            let mapped = InfraredRange::new(range, Follow::AtOnce).apply(&view).unwrap();
            crate::pixels::to_bytes(&mapped, caf_contract::Colour::Gray, &mut bytes).unwrap();
            assert_eq!(bytes, expected, "{range}");
            let mut floats = [9.0; 4];
            crate::pixels::to_floats(&mapped, caf_contract::Colour::Gray, &mut floats).unwrap();
            assert!(floats.iter().zip(bytes).all(|(f, b)| (f * 255.0).round() == f32::from(b)), "{range}: {floats:?}");
        }
    }

    #[test]
    fn an_image_that_uses_little_of_the_range_is_told_once() {
        let (little, much) = (bytes(&[7300, 8320]), bytes(&[0, 40_000]));
        let mut range = InfraredRange::new(IrRange::Full, Follow::AtOnce);
        range.apply(&view(&much)).unwrap();
        assert!(!range.warned);
        range.apply(&view(&little)).unwrap();
        assert!(range.warned);
        let mut window = InfraredRange::new(IrRange::Window { min: 7000.0, max: 9000.0 }, Follow::AtOnce);
        window.apply(&view(&little)).unwrap();
        assert!(!window.warned);
    }
}
