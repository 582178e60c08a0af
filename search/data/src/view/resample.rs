//! Sampling an image along two axes that are mapped apart.

use caf_image::Raster;

/// Fills `target` with the samples of `source`, `border` where an axis leaves it: copied where pixels fall on pixels, bilinear and
/// averaged otherwise.
pub(super) fn render<T: Blend, const C: usize>(
    source: &Raster<T, C>,
    x_axis: &Axis,
    y_axis: &Axis,
    border: T,
    target: &mut Raster<T, C>,
) {
    let target_width = target.width();
    // Which columns are read is the same in every row.
    let columns: Vec<Option<Tap>> = (0..target_width).flat_map(|x| x_axis.taps(x)).collect();
    let rows = Rows { pixels: source.data().as_chunks::<C>().0, width: source.width(), border };
    let samples = (x_axis.samples * y_axis.samples) as f32;
    let mut sums = vec![[0f32; C]; target_width];
    let target_rows = target.data_mut().as_chunks_mut::<C>().0.chunks_exact_mut(target_width);
    for (y, target_row) in target_rows.enumerate() {
        if x_axis.whole && y_axis.whole {
            rows.copy(y_axis.tap(y, 0), &columns, target_row);
            continue;
        }
        sums.fill([0.0; C]);
        for tap in y_axis.taps(y) {
            rows.add(tap, &columns, x_axis.samples as usize, &mut sums);
        }
        for (out, sum) in target_row.iter_mut().zip(&sums) {
            *out = sum.map(|s| T::from_f32(s / samples));
        }
    }
}

/// One direction of the inverse mapping.
pub(super) struct Axis {
    scale: f64,
    shift: f64,
    length: f64,
    /// Samples a target pixel.
    samples: u32,
    /// Pixels fall on pixels.
    whole: bool,
}

/// The two source pixels around a sample in one direction, and the weight of the second.
#[derive(Clone, Copy)]
struct Tap {
    first: usize,
    second: usize,
    weight: f32,
}

impl Axis {
    pub(super) fn new(scale: f64, shift: f64, length: usize) -> Self {
        let whole = scale.abs() == 1.0 && shift.fract() == 0.0;
        // Beyond 16 the images are specks; the limit bounds the work of an extreme setting.
        let samples = (1.0 / scale.abs()).floor().clamp(1.0, 16.0) as u32;
        Self { scale, shift, length: length as f64, samples, whole }
    }

    /// The source pixel that the centre of target pixel `i` lies in, `None` outside the source.
    pub(super) fn nearest(&self, i: usize) -> Option<usize> {
        let source = (i as f64 + 0.5 - self.shift) / self.scale;
        (0.0..self.length).contains(&source).then_some(source as usize)
    }

    /// All samples of target pixel `i`.
    fn taps(&self, i: usize) -> impl Iterator<Item = Option<Tap>> + '_ {
        (0..self.samples).map(move |k| self.tap(i, k))
    }

    /// Sample `k` of target pixel `i`, `None` outside the source.
    fn tap(&self, i: usize, k: u32) -> Option<Tap> {
        let target = i as f64 + (f64::from(k) + 0.5) / f64::from(self.samples);
        let source = (target - self.shift) / self.scale;
        if !(0.0..self.length).contains(&source) {
            return None;
        }
        let centre = (source - 0.5).clamp(0.0, self.length - 1.0);
        let first = centre.floor();
        let second = (first + 1.0).min(self.length - 1.0);
        Some(Tap { first: first as usize, second: second as usize, weight: (centre - first) as f32 })
    }
}

/// A source image by rows.
struct Rows<'a, T, const C: usize> {
    pixels: &'a [[T; C]],
    width: usize,
    border: T,
}

impl<T: Blend, const C: usize> Rows<'_, T, C> {
    /// Row `y`; taps lie inside the source, so it exists.
    fn row(&self, y: usize) -> &[[T; C]] {
        self.pixels.get(y * self.width..).unwrap_or_default()
    }

    /// A target row whose pixels fall on pixels.
    fn copy(&self, y: Option<Tap>, columns: &[Option<Tap>], target: &mut [[T; C]]) {
        let row = y.map(|tap| self.row(tap.first)).unwrap_or_default();
        for (out, x) in target.iter_mut().zip(columns) {
            *out = x.and_then(|tap| row.get(tap.first).copied()).unwrap_or([self.border; C]);
        }
    }

    /// Adds one line of samples to a target row, `samples` a pixel.
    fn add(&self, y: Option<Tap>, columns: &[Option<Tap>], samples: usize, sums: &mut [[f32; C]]) {
        let border = self.border.to_f32();
        let lines = y.map(|tap| (self.row(tap.first), self.row(tap.second), tap.weight));
        for (sum, taps) in sums.iter_mut().zip(columns.chunks_exact(samples)) {
            for tap in taps {
                let corners = lines.zip(*tap).and_then(|((upper, lower, wy), x)| {
                    let corners =
                        [upper.get(x.first)?, upper.get(x.second)?, lower.get(x.first)?, lower.get(x.second)?];
                    Some((corners, x.weight, wy))
                });
                let Some(([a, b, c, d], wx, wy)) = corners else {
                    sum.iter_mut().for_each(|s| *s += border);
                    continue;
                };
                for ((((s, a), b), c), d) in sum.iter_mut().zip(a).zip(b).zip(c).zip(d) {
                    let (a, b, c, d) = (a.to_f32(), b.to_f32(), c.to_f32(), d.to_f32());
                    let (above, below) = (a + (b - a) * wx, c + (d - c) * wx);
                    *s += above + (below - above) * wy;
                }
            }
        }
    }
}

/// A sample type that can be averaged.
pub trait Blend: Copy {
    /// The value as a float.
    fn to_f32(self) -> f32;
    /// The nearest value of the type.
    fn from_f32(value: f32) -> Self;
}

impl Blend for f32 {
    fn to_f32(self) -> f32 {
        self
    }
    fn from_f32(value: f32) -> Self {
        value
    }
}

impl Blend for u8 {
    fn to_f32(self) -> f32 {
        f32::from(self)
    }
    fn from_f32(value: f32) -> Self {
        // Float to integer casts saturate.
        value.round() as Self
    }
}
