//! Sampling an image along two axes that are mapped apart.
//!
//! Two other samplers stand where this one cannot: `caf-rig`'s remap tables follow any map, with weights of whole numbers made once, for
//! the frames of a live vehicle; `caf-calib` warps by maps that change at every step and must know which pixels came from outside.

use crate::raster::Raster;

/// Fills `target` with the samples of `source`, `border` where an axis leaves it: copied where pixels fall on pixels, bilinear
/// between pixel centres otherwise, at every scale. That is the rule of the graph's letterbox, and it has no low-pass filter.
pub fn render<T: Blend, const C: usize>(
    source: &Raster<T, C>,
    x_axis: &Axis,
    y_axis: &Axis,
    border: T,
    target: &mut Raster<T, C>,
) {
    let target_width = target.width();
    // Which columns are read is the same in every row.
    let columns: Vec<Option<Tap>> = (0..target_width).map(|x| x_axis.tap(x)).collect();
    let rows = Rows { pixels: source.data().as_chunks::<C>().0, width: source.width(), border };
    let target_rows = target.data_mut().as_chunks_mut::<C>().0.chunks_exact_mut(target_width);
    for (y, target_row) in target_rows.enumerate() {
        if x_axis.whole && y_axis.whole {
            rows.copy(y_axis.tap(y), &columns, target_row);
        } else {
            rows.blend(y_axis.tap(y), &columns, target_row);
        }
    }
}

/// One direction of a mapping: source position `x` becomes target position `scale * x + shift`, in pixels; pixel `i` covers `[i, i + 1)`.
#[derive(Clone, Copy, Debug)]
pub struct Axis {
    scale: f64,
    shift: f64,
    length: f64,
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
    /// Of a source of `length` pixels; a negative `scale` mirrors, 0 is none.
    #[must_use]
    pub fn new(scale: f64, shift: f64, length: usize) -> Self {
        let whole = scale.abs() == 1.0 && shift.fract() == 0.0;
        Self { scale, shift, length: length as f64, whole }
    }

    /// The source pixel that the centre of target pixel `i` lies in, `None` outside the source.
    #[must_use]
    pub fn nearest(&self, i: usize) -> Option<usize> {
        let source = (i as f64 + 0.5 - self.shift) / self.scale;
        (0.0..self.length).contains(&source).then_some(source as usize)
    }

    /// What target pixel `i` is sampled from, `None` outside the source.
    fn tap(&self, i: usize) -> Option<Tap> {
        let source = (i as f64 + 0.5 - self.shift) / self.scale;
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

    /// A target row between pixels.
    fn blend(&self, y: Option<Tap>, columns: &[Option<Tap>], target: &mut [[T; C]]) {
        let lines = y.map(|tap| (self.row(tap.first), self.row(tap.second), tap.weight));
        for (out, x) in target.iter_mut().zip(columns) {
            let corners = lines.zip(*x).and_then(|((upper, lower, wy), x)| {
                let corners = [upper.get(x.first)?, upper.get(x.second)?, lower.get(x.first)?, lower.get(x.second)?];
                Some((corners, x.weight, wy))
            });
            let Some(([a, b, c, d], wx, wy)) = corners else {
                *out = [self.border; C];
                continue;
            };
            *out = std::array::from_fn(|i| {
                let (a, b, c, d) = (a[i].to_f32(), b[i].to_f32(), c[i].to_f32(), d[i].to_f32());
                let (above, below) = (a + (b - a) * wx, c + (d - c) * wx);
                T::from_f32(above + (below - above) * wy)
            });
        }
    }
}

/// A sample type that can be blended.
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
