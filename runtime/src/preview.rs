//! Pictures for people who look at a run from outside: made only when somebody wants one, so that a run nobody looks at does no work for
//! them, and never waited for.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use caf_contract::IrLimits;
use caf_geometry::Size;

use crate::frame::{ImageView, PixelFormat};
use crate::pixels;

/// A preview is no larger than this.
pub const PREVIEW: Size = Size::new(240, 180);

/// A picture in RGB.
#[derive(Clone, Debug, Default)]
pub struct Picture {
    /// `width × height × 3` bytes.
    pub rgb: Vec<u8>,
    /// Its size.
    pub size: Size,
    /// Counts the pictures from 1; 0 before the first.
    pub number: u64,
    /// When it was made.
    pub made: Option<Instant>,
    /// Memory to sort values in.
    values: Vec<f32>,
}

impl Picture {
    /// Takes an image as it is, dense rows of RGB.
    pub fn copy(&mut self, rgb: &[u8], size: Size) {
        self.rgb.clear();
        self.rgb.extend_from_slice(rgb);
        self.size = size;
    }

    /// Takes every n-th pixel of every n-th row, so that it is no larger than [`PREVIEW`]. Values of 16 bits and floats are shown from
    /// their 1st to their 99th percentile.
    pub fn show(&mut self, image: &ImageView<'_>) {
        let size = image.size();
        let step = size.width.div_ceil(PREVIEW.width).max(size.height.div_ceil(PREVIEW.height)).max(1);
        self.size = Size::new(size.width.div_ceil(step), size.height.div_ceil(step));
        self.rgb.clear();
        let rows = || image.rows().step_by(step);
        let (rgb, values) = (&mut self.rgb, &mut self.values);
        match image.format() {
            PixelFormat::Rgb8 => {
                rows().for_each(|row| rgb.extend(row.as_chunks::<3>().0.iter().step_by(step).flatten()))
            }
            PixelFormat::Gray8 => rows().for_each(|row| rgb.extend(row.iter().step_by(step).flat_map(|v| [*v; 3]))),
            PixelFormat::Gray16Le => {
                let wide = |v: &[u8; 2]| f32::from(u16::from_le_bytes(*v));
                stretched(
                    |out| rows().for_each(|row| out.extend(row.as_chunks().0.iter().step_by(step).map(wide))),
                    values,
                    rgb,
                );
            }
            PixelFormat::GrayF32Le => {
                let float = |v: &[u8; 4]| f32::from_le_bytes(*v);
                stretched(
                    |out| rows().for_each(|row| out.extend(row.as_chunks().0.iter().step_by(step).map(float))),
                    values,
                    rgb,
                );
            }
        }
    }
}

/// Gray values that `fill` gives, twice: to find their percentiles, and to show them.
fn stretched(fill: impl Fn(&mut Vec<f32>), values: &mut Vec<f32>, rgb: &mut Vec<u8>) {
    values.clear();
    fill(values);
    values.sort_unstable_by(f32::total_cmp);
    let at = |percent: usize| values.get(values.len().saturating_sub(1) * percent / 100).copied().unwrap_or(0.0);
    let limits = IrLimits { low: at(1), high: at(99) };
    values.clear();
    fill(values);
    rgb.extend(values.iter().flat_map(|v| [pixels::byte(limits.unit(*v)); 3]));
}

/// The newest picture of something.
#[derive(Debug, Default)]
pub struct Newest {
    wanted: AtomicBool,
    picture: Mutex<Picture>,
}

impl Newest {
    /// Lets `fill` replace the picture when somebody has asked for one; never waits for those who look at it.
    pub fn offer(&self, fill: impl FnOnce(&mut Picture)) {
        if !self.wanted.load(Ordering::Relaxed) {
            return;
        }
        if let Ok(mut picture) = self.picture.try_lock() {
            fill(&mut picture);
            picture.number += 1;
            picture.made = Some(Instant::now());
            self.wanted.store(false, Ordering::Relaxed);
        }
    }

    /// A copy of the newest picture when it has another number than `seen`, and asks for the next one.
    #[must_use]
    pub fn after(&self, seen: u64) -> Option<Picture> {
        let picture = self.picture.lock().unwrap_or_else(PoisonError::into_inner);
        self.wanted.store(true, Ordering::Relaxed);
        (picture.number != seen && picture.number > 0).then(|| picture.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_picture_is_made_only_when_one_is_wanted() {
        let newest = Newest::default();
        let offer = |value: u8| newest.offer(|p| p.copy(&[value; 3], Size::new(1, 1)));
        offer(1);
        assert!(newest.after(0).is_none());
        offer(2);
        offer(3);
        let picture = newest.after(0).unwrap();
        assert_eq!((picture.rgb.as_slice(), picture.number), (&[2; 3][..], 1), "the second was not asked for");
        assert!(newest.after(1).is_none());
        offer(4);
        assert_eq!(newest.after(1).unwrap().rgb, [4; 3]);
        // Whoever looks at it holds up nobody.
        let held = newest.picture.lock().unwrap();
        offer(5);
        drop(held);
        assert_eq!(newest.after(0).unwrap().rgb, [4; 3]);
        offer(6);
        assert_eq!(newest.after(2).unwrap().rgb, [6; 3], "it is still wanted");
    }

    #[test]
    fn previews_are_small_and_show_what_is_there() {
        let size = Size::new(500, 3);
        let mut picture = Picture::default();
        let rgb: Vec<u8> = (0..1500_u32).flat_map(|i| [(i % 500 / 2) as u8, 7, 9]).collect();
        picture.show(&ImageView::new(&rgb, size, 1500, PixelFormat::Rgb8).unwrap());
        assert_eq!((picture.size, picture.rgb.len()), (Size::new(167, 1), 167 * 3));
        assert_eq!(picture.rgb[3..6], [1, 7, 9], "the fourth pixel of the first row");
        picture.show(&ImageView::new(&[3, 4, 5, 6], Size::new(2, 2), 2, PixelFormat::Gray8).unwrap());
        assert_eq!(picture.rgb, [3, 3, 3, 4, 4, 4, 5, 5, 5, 6, 6, 6]);
        // 100 values around 30,000, and two that are far away.
        let wide: Vec<u8> =
            (0..102_u16).flat_map(|i| if i < 100 { 30_000 + i } else { 60_000 }.to_le_bytes()).collect();
        picture.show(&ImageView::new(&wide, Size::new(102, 1), 204, PixelFormat::Gray16Le).unwrap());
        let gray: Vec<u8> = picture.rgb.iter().step_by(3).copied().collect();
        assert!(gray[0] == 0 && gray[101] == 255 && (100..155).contains(&gray[50]), "{gray:?}");
        let floats: Vec<u8> = [1.0_f32, 2.0, f32::NAN].iter().flat_map(|v| v.to_le_bytes()).collect();
        picture.show(&ImageView::new(&floats, Size::new(3, 1), 12, PixelFormat::GrayF32Le).unwrap());
        assert_eq!((picture.rgb[0], picture.rgb.len()), (0, 9));
    }
}
