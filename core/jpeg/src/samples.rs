//! Components at their own resolution, and how they become pixels.

use caf_geometry::Size;

use crate::header::{Colour, Component, Frame};

/// The samples of one component, with those that only fill the last blocks.
pub struct Plane {
    samples: Vec<u8>,
    stride: usize,
    /// Samples that belong to the image.
    size: Size,
    /// How often a sample is repeated across and down.
    factors: [usize; 2],
}

impl Plane {
    /// Room for all units of the frame.
    pub fn new(frame: &Frame, component: &Component) -> Self {
        let [h, v] = component.sampling;
        let units = [0, 1].map(|k: usize| frame.size.wh()[k].div_ceil(8 * frame.most[k]));
        let (stride, rows) = (8 * h * units[0], 8 * v * units[1]);
        let own = [0, 1].map(|k: usize| (frame.size.wh()[k] * component.sampling[k]).div_ceil(frame.most[k]));
        let factors = [frame.most[0] / h, frame.most[1] / v];
        Self { samples: vec![0; stride * rows], stride, size: Size::new(own[0], own[1]), factors }
    }

    /// Blocks across and down that hold at least one sample of the image.
    pub fn blocks_with_samples(&self) -> [usize; 2] {
        self.size.wh().map(|n| n.div_ceil(8))
    }

    /// Puts a block in its place.
    pub fn put(&mut self, block_x: usize, block_y: usize, block: &[u8; 64]) {
        for (dy, row) in block.as_chunks::<8>().0.iter().enumerate() {
            let start = (8 * block_y + dy) * self.stride + 8 * block_x;
            if let Some(to) = self.samples.get_mut(start..start + 8) {
                to.copy_from_slice(row);
            }
        }
    }

    /// The samples of a row that belong to the image.
    fn row(&self, y: usize) -> &[u8] {
        &self.samples[y * self.stride..][..self.size.width]
    }

    /// A row of the image at full resolution. Doubled components are interpolated with weights 3/4 and 1/4, with libjpeg's
    /// rounding, which alternates; others, and those of less than three samples a row, are repeated.
    fn full_row(&self, y: usize, sums: &mut Vec<u16>, out: &mut Vec<u8>) {
        out.clear();
        let [across, down] = self.factors;
        let near = (y / down).min(self.size.height - 1);
        let wide = self.size.width > 2;
        match (across, down) {
            (2, 1) if wide => {
                let row = self.row(near);
                sums.clear();
                sums.extend(row.iter().map(|&v| u16::from(v)));
                double(sums, [1, 2], 2, out);
            }
            (2, 2) if wide => {
                self.vertical(near, y, sums);
                double(sums, [8, 7], 4, out);
            }
            (1, 2) => {
                self.vertical(near, y, sums);
                let bias = if y.is_multiple_of(2) { 1 } else { 2 };
                out.extend(sums.iter().map(|&sum| ((sum + bias) >> 2) as u8));
            }
            _ => out.extend(self.row(near).iter().flat_map(|&v| std::iter::repeat_n(v, across))),
        }
    }

    /// Three times the nearer row plus the other neighbour; beyond the image the outermost row.
    fn vertical(&self, near: usize, y: usize, sums: &mut Vec<u16>) {
        let far = if y.is_multiple_of(2) { near.saturating_sub(1) } else { (near + 1).min(self.size.height - 1) };
        sums.clear();
        let rows = self.row(near).iter().zip(self.row(far));
        sums.extend(rows.map(|(&near, &far)| 3 * u16::from(near) + u16::from(far)));
    }
}

/// Two values of each: three times the value plus its neighbour, `bias` added to left and right, `bits` taken off. Beyond the
/// ends the value is its own neighbour.
fn double(values: &[u16], bias: [u16; 2], bits: u32, out: &mut Vec<u8>) {
    for (x, &value) in values.iter().enumerate() {
        let left = x.checked_sub(1).and_then(|x| values.get(x)).map_or(4 * value, |left| 3 * value + left);
        let right = values.get(x + 1).map_or(4 * value, |right| 3 * value + right);
        out.extend([(left + bias[0]) >> bits, (right + bias[1]) >> bits].map(|v| v as u8));
    }
}

/// All pixels, channels interleaved.
pub fn interleave(frame: &Frame, planes: &[Plane], colour: Colour) -> Vec<u8> {
    let (width, height) = (frame.size.width, frame.size.height);
    let mut pixels = Vec::with_capacity(width * height * planes.len());
    let mut rows = vec![vec![]; planes.len()];
    let mut sums = vec![];
    for y in 0..height {
        for (plane, row) in planes.iter().zip(&mut rows) {
            plane.full_row(y, &mut sums, row);
        }
        match (rows.as_slice(), colour) {
            ([luma, blue, red], Colour::YCbCr) => {
                let row = luma.iter().zip(blue).zip(red).take(width);
                pixels.extend(row.flat_map(|((&y, &cb), &cr)| rgb(y, cb, cr)));
            }
            _ => pixels.extend((0..width).flat_map(|x| rows.iter().map(move |row| row[x]))),
        }
    }
    pixels
}

/// BT.601 with factors of 16 bits, as libjpeg rounds them.
fn rgb(y: u8, cb: u8, cr: u8) -> [u8; 3] {
    const HALF: i32 = 1 << 15;
    let (y, cb, cr) = (i32::from(y), i32::from(cb) - 128, i32::from(cr) - 128);
    let red = (91881 * cr + HALF) >> 16;
    let green = (-22554 * cb - 46802 * cr + HALF) >> 16;
    let blue = (116130 * cb + HALF) >> 16;
    [red, green, blue].map(|d| (y + d).clamp(0, 255) as u8)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_by_hand() {
        assert_eq!(rgb(100, 128, 128), [100; 3]);
        assert_eq!(rgb(76, 85, 255), [254, 0, 0]);
        assert_eq!(rgb(255, 0, 255), [255, 208, 28]);
    }

    #[test]
    fn doubling_by_hand() {
        let mut out = vec![];
        // 1:3 between neighbours, ends as they are; 2 bits.
        double(&[0, 100, 200], [1, 2], 2, &mut out);
        assert_eq!(out, [0, 25, 75, 125, 175, 200]);
    }
}
