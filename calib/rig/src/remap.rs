use caf_geometry::Size;

use crate::error::RigError;
use crate::matrix::Homography;
use crate::plane::PlaneRig;
use crate::rig::Rig;

/// Bits of a bilinear weight: 1/1024 pixel keeps the error of an 8-bit result below a quarter level, and the products of
/// two weights and a byte, or of one weight and 16 bits, fit 32 bits with their sign.
const WEIGHT_BITS: u32 = 10;
const ONE: u32 = 1 << WEIGHT_BITS;

/// Widest and highest image that a [`Tap`] can address.
const MOST_EXTENT_PX: u64 = Tap::OUTSIDE as u64 - 1;
/// Largest image: a table of a gigabyte. Cameras have a tenth of it; a file that says more is wrong.
const MOST_PIXELS: u64 = 1 << 27;

/// An element of an image plane that can be interpolated.
pub trait Sample: Copy + sealed::Sealed {
    /// Weighted mean of the four neighbours; `wx`, `wy` in 1/1024.
    #[doc(hidden)]
    fn mix(corners: [Self; 4], wx: u32, wy: u32) -> Self;
}

mod sealed {
    pub trait Sealed {}
    impl Sealed for u8 {}
    impl Sealed for u16 {}
}

impl Sample for u8 {
    fn mix([a, b, c, d]: [u8; 4], wx: u32, wy: u32) -> u8 {
        let [a, b, c, d, wx, wy]: [i32; 6] = [a.into(), b.into(), c.into(), d.into(), wx as i32, wy as i32];
        // One product an axis: a + (b − a) · w, in 1/1024.
        let (top, bottom) = ((a << WEIGHT_BITS) + (b - a) * wx, (c << WEIGHT_BITS) + (d - c) * wx);
        let sum = (top << WEIGHT_BITS) + (bottom - top) * wy;
        // From 0 to 255: the result lies between its corners.
        ((sum + (1 << (2 * WEIGHT_BITS - 1))) >> (2 * WEIGHT_BITS)) as u8
    }
}

impl Sample for u16 {
    fn mix([a, b, c, d]: [u16; 4], wx: u32, wy: u32) -> u16 {
        let [a, b, c, d, wx]: [i32; 5] = [a.into(), b.into(), c.into(), d.into(), wx as i32];
        let (top, bottom) = ((a << WEIGHT_BITS) + (b - a) * wx, (c << WEIGHT_BITS) + (d - c) * wx);
        let sum = (i64::from(top) << WEIGHT_BITS) + i64::from(bottom - top) * i64::from(wy);
        ((sum + (1 << (2 * WEIGHT_BITS - 1))) >> (2 * WEIGHT_BITS)) as u16
    }
}

/// One channel of an image in memory that may have longer rows than the image is wide.
#[derive(Clone, Copy, Debug)]
pub struct PlaneRef<'a, T> {
    data: &'a [T],
    size: Size,
    stride: usize,
}

/// As [`PlaneRef`], to be written.
#[derive(Debug)]
pub struct PlaneMut<'a, T> {
    data: &'a mut [T],
    size: Size,
    stride: usize,
}

fn check(len: usize, size: Size, stride: usize) -> Result<(), RigError> {
    // The last row needs no padding behind it.
    let expected = size.height.saturating_sub(1).checked_mul(stride).and_then(|rows| rows.checked_add(size.width));
    let expected = expected.unwrap_or(usize::MAX);
    if stride < size.width || len < expected {
        return Err(RigError::PlaneBuffer { size, stride, expected, found: len });
    }
    Ok(())
}

impl<'a, T> PlaneRef<'a, T> {
    /// A view of `data`; `stride` counts elements from one row's start to the next.
    ///
    /// # Errors
    /// [`RigError::PlaneBuffer`] when rows overlap or the buffer is too short.
    pub fn new(data: &'a [T], size: Size, stride: usize) -> Result<Self, RigError> {
        check(data.len(), size, stride)?;
        Ok(Self { data, size, stride })
    }
}

impl<'a, T> PlaneMut<'a, T> {
    /// A view of `data`; `stride` counts elements from one row's start to the next.
    ///
    /// # Errors
    /// [`RigError::PlaneBuffer`] when rows overlap or the buffer is too short.
    pub fn new(data: &'a mut [T], size: Size, stride: usize) -> Result<Self, RigError> {
        check(data.len(), size, stride)?;
        Ok(Self { data, size, stride })
    }
}

/// Top-left source pixel and weights towards its right and lower neighbours, 0 to [`ONE`]. The pixel is never on the last
/// column or row (of several), so that both neighbours exist without a look at the border.
#[derive(Clone, Copy, Debug)]
struct Tap {
    x: u16,
    y: u16,
    wx: u16,
    wy: u16,
}

impl Tap {
    const OUTSIDE: u16 = u16::MAX;
}

/// The tap of a pixel that the source does not show.
const OUTSIDE: Tap = Tap { x: Tap::OUTSIDE, y: 0, wx: 0, wy: 0 };

/// For each pixel of the visible image, where to read the infrared image: made once, applied to every frame.
#[derive(Clone, Debug)]
pub struct RemapTable {
    taps: Vec<Tap>,
    size: Size,
    source: Size,
}

impl RemapTable {
    /// The table that brings infrared frames into the visible image, right for what is `distance_m` away from the visible
    /// camera (z of its frame; infinity is allowed).
    ///
    /// # Errors
    /// What [`Rig::validate`] and [`Rig::vis_from_ir_at`] refuse, [`RigError::TooLarge`] for an image over 65 534 pixels
    /// wide or high or over 2²⁷ pixels in all, and [`RigError::NoOverlap`] when the table would read nothing.
    pub fn vis_from_ir(rig: &Rig, distance_m: f64) -> Result<RemapTable, RigError> {
        rig.validate()?;
        check_size("visible", rig.visible.size())?;
        check_size("infrared", rig.infrared.size())?;
        let ir_from_vis = rig.vis_from_ir_at(distance_m)?.inverse()?;
        let table = RemapTable::through(&ir_from_vis, rig.visible.size(), rig.infrared.size());
        if table.coverage() > 0.0 { Ok(table) } else { Err(RigError::NoOverlap { distance_m }) }
    }

    /// The table that brings infrared frames into the visible image by a homography.
    ///
    /// # Errors
    /// What [`PlaneRig::validate`] refuses, [`RigError::TooLarge`] as above, and [`RigError::NothingShared`] when the table would read
    /// nothing.
    pub fn plane(rig: &PlaneRig) -> Result<RemapTable, RigError> {
        rig.validate()?;
        check_size("visible", rig.visible)?;
        check_size("infrared", rig.infrared)?;
        let table = RemapTable::through(&rig.vis_from_ir.inverse()?, rig.visible, rig.infrared);
        if table.coverage() > 0.0 { Ok(table) } else { Err(RigError::NothingShared) }
    }

    fn through(ir_from_vis: &Homography, size: Size, source: Size) -> RemapTable {
        let mut taps = Vec::with_capacity(size.width * size.height);
        for y in 0..size.height {
            for x in 0..size.width {
                let at = ir_from_vis.map([x as f64 + 0.5, y as f64 + 0.5]);
                taps.push(at.map_or(OUTSIDE, |at| tap(at, source)));
            }
        }
        RemapTable { taps, size, source }
    }

    /// Size of the source (infrared) image.
    #[must_use]
    pub fn source(&self) -> Size {
        self.source
    }

    /// Size of the destination (visible) image.
    #[must_use]
    pub fn size(&self) -> Size {
        self.size
    }

    /// Share of the destination that the source covers, above 0 and at most 1.
    #[must_use]
    pub fn coverage(&self) -> f64 {
        let covered = self.taps.iter().filter(|tap| tap.x != Tap::OUTSIDE).count();
        covered as f64 / self.taps.len().max(1) as f64
    }

    /// Resamples `source` (infrared) into `destination` (visible geometry), bilinear, clamped at the border, rounded to
    /// nearest; pixels whose centre the source does not cover become `fill`. Allocates nothing.
    ///
    /// # Errors
    /// [`RigError::PlaneSize`] when a plane is not of the table's size; `destination` is then untouched.
    pub fn apply<T: Sample>(
        &self,
        source: &PlaneRef<'_, T>,
        destination: &mut PlaneMut<'_, T>,
        fill: T,
    ) -> Result<(), RigError> {
        for (plane, expected, found) in
            [("source", self.source, source.size), ("destination", self.size, destination.size)]
        {
            if expected != found {
                return Err(RigError::PlaneSize { plane, expected, found });
            }
        }
        // An image of a single column or row is its own neighbour.
        let right = usize::from(source.size.width > 1);
        let below = if source.size.height > 1 { source.stride } else { 0 };
        let corners = [0, right, below, below + right];
        let rows = self.taps.chunks_exact(self.size.width).zip(destination.data.chunks_mut(destination.stride));
        for (taps, row) in rows {
            for (tap, out) in taps.iter().zip(row) {
                *out = fetch(source, *tap, corners).unwrap_or(fill);
            }
        }
        Ok(())
    }
}

/// Whether a table can address the camera's image and needs a sane amount of memory for it.
fn check_size(name: &str, size: Size) -> Result<(), RigError> {
    let [width, height] = size.wh().map(|side| side as u64);
    for (place, limit, found) in [
        ("width_px", MOST_EXTENT_PX, width),
        ("height_px", MOST_EXTENT_PX, height),
        ("width_px × height_px", MOST_PIXELS, width * height),
    ] {
        if found > limit {
            return Err(RigError::TooLarge { place: format!("{name}.{place}"), limit, found });
        }
    }
    Ok(())
}

/// The tap of a pixel position on the source, [0, width) × [0, height).
fn tap([x, y]: [f64; 2], source: Size) -> Tap {
    let axis = |v: f64, extent: usize| {
        if !(0.0..extent as f64).contains(&v) {
            return None;
        }
        // From centre to centre: between the edge and the outermost centre that pixel alone counts.
        let from_first = (v - 0.5).clamp(0.0, extent as f64 - 1.0);
        // Rounded as a whole, so that 3.9999 becomes 4 and not 3 + 1024/1024.
        let fixed = (from_first * f64::from(ONE)).round() as u32;
        let whole = (fixed >> WEIGHT_BITS).min(extent.saturating_sub(2) as u32);
        Some((whole as u16, (fixed - (whole << WEIGHT_BITS)) as u16))
    };
    match (axis(x, source.width), axis(y, source.height)) {
        (Some((x, wx)), Some((y, wy))) => Tap { x, y, wx, wy },
        _ => OUTSIDE,
    }
}

/// The mean of the pixels at `corners` behind a tap; `None` outside the source.
fn fetch<T: Sample>(source: &PlaneRef<'_, T>, tap: Tap, corners: [usize; 4]) -> Option<T> {
    if tap.x == Tap::OUTSIDE {
        return None;
    }
    let from = source.data.get(usize::from(tap.y) * source.stride + usize::from(tap.x)..)?;
    let [a, b, c, d] = corners.map(|corner| from.get(corner).copied());
    Some(T::mix([a?, b?, c?, d?], u32::from(tap.wx), u32::from(tap.wy)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::camera::Camera;
    use crate::matrix::Mat3;
    use crate::rig::Pose;

    fn rig() -> Rig {
        let mut rig = Rig::aligned(Camera::with_field_of_view(Size::new(37, 29), 50.0));
        rig.infrared = Camera::with_field_of_view(Size::new(30, 22), 46.0);
        rig.vis_from_ir =
            Pose { rotation: Mat3::from_rotation_vector([0.02, 0.01, -0.05]), translation_m: [0.1, 0.02, 0.0] };
        rig
    }

    #[test]
    fn an_aligned_rig_copies_every_pixel() {
        let table =
            RemapTable::vis_from_ir(&Rig::aligned(Camera::with_field_of_view(Size::new(7, 5), 60.0)), 10.0).unwrap();
        assert_eq!(table.coverage(), 1.0);
        let source: Vec<u8> = (0..35).map(|v| v * 7).collect();
        let mut out = vec![0u8; 35];
        let from = PlaneRef::new(&source, Size::new(7, 5), 7).unwrap();
        table.apply(&from, &mut PlaneMut::new(&mut out, Size::new(7, 5), 7).unwrap(), 0).unwrap();
        assert_eq!(out, source);
    }

    #[test]
    fn the_last_column_and_row_are_read_and_a_single_one_is_enough() {
        for (width, height) in [(1, 1), (1, 4), (5, 1), (2, 2), (6, 3)] {
            let table =
                RemapTable::vis_from_ir(&Rig::aligned(Camera::with_field_of_view(Size { width, height }, 60.0)), 10.0);
            let stride = width + 3;
            let source: Vec<u16> = (0..(stride * height) as u16).map(|v| v * 977).collect();
            // The last row ends at its last pixel: nothing behind it may be needed.
            let from = PlaneRef::new(&source[..stride * (height - 1) + width], Size { width, height }, stride).unwrap();
            let mut out = vec![7u16; width * height];
            table
                .unwrap()
                .apply(&from, &mut PlaneMut::new(&mut out, Size { width, height }, width).unwrap(), 9)
                .unwrap();
            assert!(out.chunks(width).zip(source.chunks(stride)).all(|(a, b)| a == &b[..width]), "{width}x{height}");
        }
    }

    #[test]
    fn strides_are_respected_and_padding_is_left_alone() {
        let rig = rig();
        let table = RemapTable::vis_from_ir(&rig, 8.0).unwrap();
        let (stride_in, stride_out) = (41, 50);
        // A linear ramp: bilinear interpolation of it is exact, so the result is known from the position alone.
        let mut source = vec![60_000u16; stride_in * 22];
        for (y, row) in source.chunks_mut(stride_in).enumerate() {
            for (x, v) in row.iter_mut().take(30).enumerate() {
                *v = (100 * x + 1000 * y) as u16;
            }
        }
        let mut out = vec![7u16; stride_out * 29];
        let from = PlaneRef::new(&source, Size::new(30, 22), stride_in).unwrap();
        table.apply(&from, &mut PlaneMut::new(&mut out, Size::new(37, 29), stride_out).unwrap(), 9).unwrap();
        let (mut inside, mut outside, mut border) = (0, 0, 0);
        for (y, row) in out.chunks(stride_out).enumerate() {
            assert!(row[37..].iter().all(|v| *v == 7));
            for (x, v) in row[..37].iter().enumerate() {
                let at = rig.ir_pixel_of([x as f64 + 0.5, y as f64 + 0.5], 8.0).unwrap();
                if rig.infrared.contains(at) {
                    inside += 1;
                    // The ramp holds at the pixels' centres and is level beyond the outermost of them.
                    let from_first = [(at[0] - 0.5).clamp(0.0, 29.0), (at[1] - 0.5).clamp(0.0, 21.0)];
                    border += usize::from(from_first != [at[0] - 0.5, at[1] - 0.5]);
                    let expected = 100.0 * from_first[0] + 1000.0 * from_first[1];
                    // Half a weight step on each axis and half a level of rounding.
                    assert!((f64::from(*v) - expected).abs() < 1100.0 / 2048.0 + 0.5 + 1e-6, "{x} {y}: {v} {expected}");
                } else {
                    outside += 1;
                    assert_eq!(*v, 9, "{x} {y}");
                }
            }
        }
        assert!(inside > 300 && outside > 100 && border > 10, "{inside} {outside} {border}");
        assert_eq!(table.coverage(), f64::from(inside) / f64::from(37 * 29));
    }

    #[test]
    fn half_the_size_is_covered_to_the_edge_and_read_between_the_centres() {
        // The same view in half as many pixels: target centre x + 0.5 lies at (x + 0.5) / 2 of the source, which is a
        // quarter of a pixel from its nearest centre.
        let mut rig = Rig::aligned(Camera::with_field_of_view(Size::new(8, 2), 60.0));
        rig.infrared = Camera::with_field_of_view(Size::new(4, 1), 60.0);
        let table = RemapTable::vis_from_ir(&rig, 10.0).unwrap();
        assert_eq!(table.coverage(), 1.0);
        let source = [0u8, 40, 120, 80];
        let mut out = [7u8; 16];
        let from = PlaneRef::new(&source, Size::new(4, 1), 4).unwrap();
        table.apply(&from, &mut PlaneMut::new(&mut out, Size::new(8, 2), 8).unwrap(), 9).unwrap();
        for row in out.chunks(8) {
            assert_eq!(row, [0, 10, 30, 60, 100, 110, 90, 80]);
        }
    }

    #[test]
    fn full_range_does_not_overflow() {
        for (wx, wy) in [(0, 0), (1023, 1023), (512, 1), (1, 1023)] {
            assert_eq!(u8::mix([255; 4], wx, wy), 255);
            assert_eq!(u16::mix([u16::MAX; 4], wx, wy), u16::MAX);
        }
        for corners in [[u16::MAX, 0, 0, u16::MAX], [0, u16::MAX, u16::MAX, 0], [0, 0, u16::MAX, u16::MAX]] {
            for (wx, wy) in [(0, 0), (1024, 0), (0, 1024), (1024, 1024), (512, 512), (1, 1023)] {
                // The mean as it is written down, in floats that hold it exactly.
                let [a, b, c, d] = corners.map(f64::from);
                let (x, y) = (f64::from(wx) / 1024.0, f64::from(wy) / 1024.0);
                let mean = (a * (1.0 - x) + b * x) * (1.0 - y) + (c * (1.0 - x) + d * x) * y;
                assert_eq!(f64::from(u16::mix(corners, wx, wy)), mean.round(), "{corners:?} {wx} {wy}");
            }
        }
        assert_eq!(u8::mix([0, 100, 0, 100], 512, 700), 50);
        assert_eq!(u16::mix([0, 0, 1000, 1000], 3, 256), 250);
    }

    #[test]
    fn wrong_planes_are_refused() {
        let table = RemapTable::vis_from_ir(&rig(), 8.0).unwrap();
        let source = vec![0u8; 30 * 22];
        let mut out = vec![0u8; 37 * 29];
        assert!(matches!(PlaneRef::new(&source, Size::new(30, 23), 30), Err(RigError::PlaneBuffer { .. })));
        assert!(matches!(PlaneRef::new(&source, Size::new(30, 22), 29), Err(RigError::PlaneBuffer { .. })));
        assert!(matches!(PlaneRef::new(&source, Size::new(3, usize::MAX), 8), Err(RigError::PlaneBuffer { .. })));
        let small = PlaneRef::new(&source, Size::new(22, 30), 22).unwrap();
        let mut to = PlaneMut::new(&mut out, Size::new(37, 29), 37).unwrap();
        assert!(matches!(table.apply(&small, &mut to, 0), Err(RigError::PlaneSize { plane: "source", .. })));
    }

    #[test]
    fn sizes_that_no_memory_holds_are_refused() {
        let refused = |change: fn(&mut Rig)| {
            let mut rig = rig();
            change(&mut rig);
            match RemapTable::vis_from_ir(&rig, 8.0).unwrap_err() {
                RigError::TooLarge { place, found, .. } => (place, found),
                other => panic!("{other}"),
            }
        };
        assert_eq!(refused(|r| r.visible.width_px = u32::MAX), ("visible.width_px".into(), u64::from(u32::MAX)));
        assert_eq!(refused(|r| r.visible.height_px = 65_535), ("visible.height_px".into(), 65_535));
        assert_eq!(refused(|r| r.infrared.width_px = 65_535), ("infrared.width_px".into(), 65_535));
        fn square(camera: &mut Camera) {
            (camera.width_px, camera.height_px) = (65_534, 65_534);
        }
        let all = 65_534 * 65_534;
        for (place, found) in [refused(|r| square(&mut r.visible)), refused(|r| square(&mut r.infrared))] {
            assert!(place.ends_with("width_px × height_px") && found == all, "{place} {found}");
        }
    }

    #[test]
    fn cameras_that_share_nothing_make_no_table() {
        let changes: [fn(&mut Rig); 4] = [
            |r| r.visible.cx_px = 1e308,
            |r| r.infrared.cx_px = -1e6,
            |r| (r.visible.fx_px, r.visible.fy_px) = (1e-300, 1e-300),
            |r| r.vis_from_ir.rotation = Mat3([[-1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, -1.0]]),
        ];
        for (i, change) in changes.iter().enumerate() {
            let mut rig = rig();
            change(&mut rig);
            let error = RemapTable::vis_from_ir(&rig, 8.0).unwrap_err();
            assert!(matches!(error, RigError::NoOverlap { .. } | RigError::Singular { .. }), "{i}: {error}");
        }
        let mut far = rig();
        far.infrared.cx_px = -1e6;
        assert!(matches!(RemapTable::vis_from_ir(&far, 8.0), Err(RigError::NoOverlap { distance_m: 8.0 })));
    }
}
