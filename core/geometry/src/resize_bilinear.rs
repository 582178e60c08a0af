//! Bilinear resize of 8-bit images in OpenCV's fixed-point arithmetic, byte for byte.
//!
//! A float resize with rounding differs by one in about 12 % of the bytes, enough to move borderline detections between
//! training, evaluation and vehicle.

use crate::error::{DetectError, check_rows, packed_len};

/// Fixed-point one of the interpolation weights.
const ONE: f32 = 2048.0;

/// Where one output coordinate reads: two neighbours and their weights (2048 = 1).
#[derive(Clone, Copy, Debug)]
struct Tap {
    first: usize,
    second: usize,
    w_first: i32,
    w_second: i32,
}

/// A resize of one geometry: tables and two row buffers made once.
#[derive(Clone, Debug)]
pub struct BilinearResize {
    src_hw: (usize, usize),
    dst_hw: (usize, usize),
    channels: usize,
    columns: Vec<Tap>,
    rows: Vec<Tap>,
    /// Horizontally interpolated source rows, with the row each one holds.
    lines: [(Option<usize>, Vec<i32>); 2],
}

impl BilinearResize {
    /// Prepares the resize of interleaved images from `src_hw` to `dst_hw` (height, width).
    ///
    /// # Errors
    /// [`DetectError::Size`] when a side or `channels` is zero or the image does not fit the address space.
    pub fn new(src_hw: (usize, usize), dst_hw: (usize, usize), channels: usize) -> Result<Self, DetectError> {
        packed_len("resize source", src_hw.0, src_hw.1, channels)?;
        packed_len("resize output", dst_hw.0, dst_hw.1, channels)?;
        let line = || (None, vec![0i32; dst_hw.1 * channels]);
        Ok(Self {
            src_hw,
            dst_hw,
            channels,
            columns: (0..dst_hw.1).map(|x| column_tap(x, src_hw.1, dst_hw.1)).collect(),
            rows: (0..dst_hw.0).map(|y| row_tap(y, src_hw.0, dst_hw.0)).collect(),
            lines: [line(), line()],
        })
    }

    /// Resizes `src` (rows `src_stride` bytes apart) into `dst` (rows `dst_stride` bytes apart). Allocates nothing.
    ///
    /// # Errors
    /// [`DetectError::Length`] or [`DetectError::RowStride`] when a buffer does not fit.
    pub fn run(&mut self, src: &[u8], src_stride: usize, dst: &mut [u8], dst_stride: usize) -> Result<(), DetectError> {
        let (src_row, dst_row) = (self.src_hw.1 * self.channels, self.dst_hw.1 * self.channels);
        check_rows("resize source", self.src_hw.0, src_row, src_stride, src.len())?;
        check_rows("resize output", self.dst_hw.0, dst_row, dst_stride, dst.len())?;
        if self.src_hw == self.dst_hw {
            for (from, to) in src.chunks(src_stride).zip(dst.chunks_mut(dst_stride)).take(self.src_hw.0) {
                to[..dst_row].copy_from_slice(&from[..src_row]);
            }
        } else if self.src_hw.0 == 2 * self.dst_hw.0 && self.src_hw.1 == 2 * self.dst_hw.1 {
            halve(self.channels, src, src_stride, dst, dst_stride, self.dst_hw);
        } else {
            self.interpolate(src, src_stride, dst, dst_stride);
        }
        Ok(())
    }

    fn interpolate(&mut self, src: &[u8], src_stride: usize, dst: &mut [u8], dst_stride: usize) {
        let (src_row, dst_row) = (self.src_hw.1 * self.channels, self.dst_hw.1 * self.channels);
        for line in &mut self.lines {
            line.0 = None;
        }
        let [upper, lower] = &mut self.lines;
        for (tap, out) in self.rows.iter().zip(dst.chunks_mut(dst_stride)) {
            if upper.0 != Some(tap.first) && lower.0 == Some(tap.first) {
                std::mem::swap(upper, lower);
            }
            for (line, wanted) in [(&mut *upper, tap.first), (&mut *lower, tap.second)] {
                if line.0 != Some(wanted) {
                    let from = &src[wanted * src_stride..][..src_row];
                    interpolate_row(&self.columns, self.channels, from, &mut line.1);
                    line.0 = Some(wanted);
                }
            }
            for ((out, &a), &b) in out[..dst_row].iter_mut().zip(&upper.1).zip(&lower.1) {
                let sum = ((tap.w_first * (a >> 4)) >> 16) + ((tap.w_second * (b >> 4)) >> 16) + 2;
                *out = (sum >> 2).clamp(0, 255) as u8;
            }
        }
    }
}

/// Horizontal pass of one row.
fn interpolate_row(columns: &[Tap], channels: usize, from: &[u8], to: &mut [i32]) {
    for (tap, to) in columns.iter().zip(to.chunks_exact_mut(channels)) {
        let first = &from[tap.first * channels..][..channels];
        let second = &from[tap.second * channels..][..channels];
        for ((to, &a), &b) in to.iter_mut().zip(first).zip(second) {
            *to = i32::from(a) * tap.w_first + i32::from(b) * tap.w_second;
        }
    }
}

/// OpenCV turns a bilinear shrink by exactly two into the mean of four, halves rounded up.
fn halve(channels: usize, src: &[u8], src_stride: usize, dst: &mut [u8], dst_stride: usize, dst_hw: (usize, usize)) {
    for (y, out) in dst.chunks_mut(dst_stride).take(dst_hw.0).enumerate() {
        let upper = &src[2 * y * src_stride..];
        let lower = &src[(2 * y + 1) * src_stride..];
        for (x, out) in out[..dst_hw.1 * channels].chunks_exact_mut(channels).enumerate() {
            for (c, out) in out.iter_mut().enumerate() {
                let (left, right) = (2 * x * channels + c, (2 * x + 1) * channels + c);
                let sum = [upper[left], upper[right], lower[left], lower[right]].map(u16::from).iter().sum::<u16>();
                *out = ((sum + 2) >> 2) as u8;
            }
        }
    }
}

/// Source coordinate of output pixel `d`: whole part and fraction, in the mixed precision of OpenCV.
fn source_position(d: usize, src: usize, dst: usize) -> (i64, f32) {
    let scale = 1.0 / (dst as f64 / src as f64);
    let position = ((d as f64 + 0.5) * scale - 0.5) as f32;
    let whole = position.floor();
    (whole as i64, position - whole)
}

fn weights(fraction: f32) -> (i32, i32) {
    (((1.0 - fraction) * ONE).round_ties_even() as i32, (fraction * ONE).round_ties_even() as i32)
}

/// Columns outside the image are replaced, fraction included.
fn column_tap(d: usize, src: usize, dst: usize) -> Tap {
    let (whole, fraction) = source_position(d, src, dst);
    let last = src as i64 - 1;
    let (whole, fraction) = match whole {
        i if i < 0 => (0, 0.0),
        i if i >= last => (last, 0.0),
        i => (i, fraction),
    };
    let (w_first, w_second) = weights(fraction);
    Tap { first: whole as usize, second: (whole + 1).min(last) as usize, w_first, w_second }
}

/// Rows outside the image are clamped but keep their fraction; the two weights round separately, which can be seen in
/// the last bit.
fn row_tap(d: usize, src: usize, dst: usize) -> Tap {
    let (whole, fraction) = source_position(d, src, dst);
    let last = src as i64 - 1;
    let (w_first, w_second) = weights(fraction);
    Tap { first: whole.clamp(0, last) as usize, second: (whole + 1).clamp(0, last) as usize, w_first, w_second }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resize(src: &[u8], src_hw: (usize, usize), dst_hw: (usize, usize)) -> Vec<u8> {
        let mut out = vec![0; dst_hw.0 * dst_hw.1];
        BilinearResize::new(src_hw, dst_hw, 1).unwrap().run(src, src_hw.1, &mut out, dst_hw.1).unwrap();
        out
    }

    #[test]
    fn constant_stays_constant_at_any_size() {
        for value in [0u8, 1, 113, 254, 255] {
            for (src, dst) in [((1, 1), (7, 5)), ((9, 4), (3, 11)), ((10, 6), (5, 3)), ((5, 5), (5, 5))] {
                let out = resize(&vec![value; src.0 * src.1], src, dst);
                assert!(out.iter().all(|&v| v == value), "{value} {src:?} {dst:?} {out:?}");
            }
        }
    }

    #[test]
    fn doubling_a_ramp_by_hand() {
        // Positions -0.25, 0.25, 0.75, 1.25 of [0, 100]: 0, 25, 75, 100.
        assert_eq!(resize(&[0, 100], (1, 2), (1, 4)), [0, 25, 75, 100]);
        assert_eq!(resize(&[0, 100], (2, 1), (4, 1)), [0, 25, 75, 100]);
    }

    #[test]
    fn halving_is_the_mean_of_four() {
        assert_eq!(resize(&[0, 1, 1, 0, 9, 9, 9, 10], (2, 4), (1, 2)), [5, 5]);
    }

    #[test]
    fn a_second_run_does_not_see_the_first() {
        let mut r = BilinearResize::new((3, 3), (5, 5), 1).unwrap();
        let mut out = [0u8; 25];
        r.run(&[255; 9], 3, &mut out, 5).unwrap();
        r.run(&[3; 9], 3, &mut out, 5).unwrap();
        assert_eq!(out, [3; 25]);
    }
}
