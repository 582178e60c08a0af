//! Pictures of a pair brought together by a map: a checkerboard of both images, and both in two colours.

use caf_geometry::Size;
use caf_image::{ImageError, Rgb8};
use caf_rig::Homography;

use crate::map::Map;
use crate::plane::Seen;
use crate::recording::Shot;

/// Squares of the checkerboard along the width.
const SQUARES: usize = 12;

/// The pair in the infrared image's geometry, twice side by side: left a checkerboard of infrared and visible squares, right infrared in red
/// and visible in cyan, which is gray where they agree. Contrast is stretched; what the visible camera does not see is black.
///
/// # Errors
/// [`ImageError::Shape`] for images of an impossible size.
pub fn overlay(shot: &Shot, vis_from_ir: &Homography) -> Result<Rgb8, ImageError> {
    let size = shot.ir.size();
    let Size { width, height } = size;
    let wide = Size::new(2 * width, height);
    let visible = shot.vi.warped(&Map::new(*vis_from_ir, size), size, 0);
    let visible = visible.as_ref().unwrap_or(&shot.ir);
    let (ir, vi) = (bytes(&shot.ir), bytes(visible));
    let square = (width / SQUARES).max(1);
    let mut out = Vec::with_capacity(wide.width * height * 3);
    for (y, (ir, vi)) in ir.chunks_exact(width).zip(vi.chunks_exact(width)).enumerate() {
        for (x, (a, b)) in ir.iter().zip(vi).enumerate() {
            out.extend([if (x / square + y / square).is_multiple_of(2) { *a } else { *b }; 3]);
        }
        out.extend(ir.iter().zip(vi).flat_map(|(a, b)| [*a, *b, *b]));
    }
    Rgb8::new(wide, out)
}

/// The darkest and the lightest hundredth of what is seen become black and white.
fn bytes(image: &Seen) -> Vec<u8> {
    let seen = || image.gray.data().iter().zip(image.seen.data());
    let mut sorted: Vec<f32> = seen().filter(|(_, s)| **s > 0.0).map(|(v, _)| *v).collect();
    sorted.sort_by(f32::total_cmp);
    let at = |share: f32| sorted.get((share * sorted.len() as f32) as usize).copied().unwrap_or(0.0);
    let (low, high) = (at(0.01), at(0.99));
    let unit = |v: f32| ((v - low) / (high - low).max(1e-6)).clamp(0.0, 1.0);
    // From 0 to 255.
    seen().map(|(v, s)| (255.0 * unit(*v) * s).round() as u8).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use caf_image::Plane;
    use caf_rig::Mat3;

    #[test]
    fn squares_alternate_and_agreement_is_gray() {
        let size = Size::new(120, 48);
        let ramp = Plane::new(size, (0..120 * 48).map(|i| 0.1 + (i % 120) as f32 / 200.0).collect()).unwrap();
        let shot = Shot::new("a", ramp.clone(), ramp);
        let same = overlay(&shot, &Homography(Mat3::IDENTITY)).unwrap();
        assert_eq!(same.size(), Size::new(240, 48));
        // The visible image lacks its last column, a hundredth of the ramp, so that its contrast is stretched by that much more.
        assert!((0..118).all(|x| same.pixel(x + 120, 20).is_some_and(|[r, g, b]| r.abs_diff(g) <= 3 && g == b)));
        let away = Homography(Mat3([[1.0, 0.0, 500.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]]));
        let apart = overlay(&shot, &away).unwrap();
        assert_eq!((apart.pixel(15, 5), apart.pixel(135, 5).map(|[_, g, b]| [g, b])), (Some([0; 3]), Some([0; 2])));
        assert_ne!(apart.pixel(25, 5), Some([0; 3]));
    }
}
