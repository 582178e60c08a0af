//! Fusion in a Laplacian pyramid: Burt and Adelson, "The Laplacian Pyramid as a Compact Image Code", IEEE Transactions on
//! Communications 31(4), 1983.
//!
//! Generating kernel (1 4 6 4 1)/16 over mirrored borders (the edge pixel is the mirror). Of the details of each level the one of
//! larger size counts, of equally large ones their mean; of the coarsest level the mean.

use super::by_pixel;
use crate::error::ImageError;
use crate::raster::Plane;
use caf_geometry::Size;

/// Levels of details; fewer where a side becomes a single pixel before.
const LEVELS: usize = 4;
/// The generating kernel in sixteenths.
const KERNEL: [f32; 5] = [1.0, 4.0, 6.0, 4.0, 1.0];

/// For each sample of a result, which samples of a line it is made of, and how much of each.
type Taps = Vec<Vec<(usize, f32)>>;

pub(super) fn fuse(ir: &Plane, vi: &Plane) -> Result<Plane, ImageError> {
    level(ir, vi, LEVELS)
}

fn level(a: &Plane, b: &Plane, levels: usize) -> Result<Plane, ImageError> {
    let size = a.size();
    if levels == 0 || size.width.min(size.height) < 2 {
        return by_pixel(a, b, |a, b| 0.5 * (a + b));
    }
    let (small_a, small_b) = (reduced(a)?, reduced(b)?);
    let detail = |image: &Plane, small: &Plane| by_pixel(image, &expanded(small, size)?, |v, rest| v - rest);
    let details = by_pixel(&detail(a, &small_a)?, &detail(b, &small_b)?, |a, b| {
        if a.abs() > b.abs() {
            a
        } else if b.abs() > a.abs() {
            b
        } else {
            0.5 * (a + b)
        }
    })?;
    let rest = expanded(&level(&small_a, &small_b, levels - 1)?, size)?;
    by_pixel(&rest, &details, |rest, detail| rest + detail)
}

/// Every second pixel of the smoothed image.
fn reduced(image: &Plane) -> Result<Plane, ImageError> {
    let taps = |side: usize| -> Taps {
        let of = |i: usize| around(2 * i, side).map(|(at, weight)| (at, weight / 16.0)).collect();
        (0..side.div_ceil(2)).map(of).collect()
    };
    resampled(image, &taps(image.width()), &taps(image.height()))
}

/// An image of `size` with zeros between the pixels, smoothed with four times the weight.
fn expanded(image: &Plane, size: Size) -> Result<Plane, ImageError> {
    let taps = |side: usize| -> Taps {
        let of = |i: usize| around(i, side).filter(|(at, _)| at % 2 == 0).map(|(at, w)| (at / 2, w / 8.0)).collect();
        (0..side).map(of).collect()
    };
    resampled(image, &taps(size.width), &taps(size.height))
}

/// The kernel around a place of a line of at least two samples.
fn around(centre: usize, side: usize) -> impl Iterator<Item = (usize, f32)> {
    let period = 2 * (side - 1);
    let mirrored = move |at: usize| {
        let at = at % period;
        at.min(period - at)
    };
    // A period further, so that nothing is negative; the kernel reaches two samples, and the shortest period is two.
    KERNEL.into_iter().enumerate().map(move |(k, weight)| (mirrored(centre + period + k - 2), weight))
}

fn resampled(image: &Plane, columns: &Taps, rows: &Taps) -> Result<Plane, ImageError> {
    let sum = |line: &[f32], taps: &[(usize, f32)]| -> f32 {
        taps.iter().map(|(at, weight)| line.get(*at).copied().unwrap_or_default() * weight).sum()
    };
    let wide: Vec<Vec<f32>> = image
        .data()
        .chunks_exact(image.width())
        .map(|row| columns.iter().map(|taps| sum(row, taps)).collect())
        .collect();
    let mut values = Vec::with_capacity(columns.len() * rows.len());
    for taps in rows {
        let mut row = vec![0.0; columns.len()];
        for (from, weight) in taps.iter().filter_map(|(at, weight)| Some((wide.get(*at)?, weight))) {
            row.iter_mut().zip(from).for_each(|(sum, v)| *sum += v * weight);
        }
        values.append(&mut row);
    }
    Plane::new(Size::new(columns.len(), rows.len()), values)
}

#[cfg(test)]
mod tests {
    use super::super::tests::{apart, plane};
    use super::*;

    /// The definition in double precision: the whole kernel at once, zeros written between the pixels.
    #[derive(Clone)]
    struct Exact {
        size: Size,
        values: Vec<f64>,
    }

    impl Exact {
        fn of(size: Size, value: impl Fn(usize, usize) -> f64) -> Self {
            let at = |i: usize| value(i % size.width, i / size.width);
            Exact { size, values: (0..size.width * size.height).map(at).collect() }
        }

        fn at(&self, x: i64, y: i64) -> f64 {
            let mirror = |mut at: i64, side: usize| {
                let last = side as i64 - 1;
                while !(0..=last).contains(&at) {
                    at = if at < 0 { -at } else { 2 * last - at };
                }
                at as usize
            };
            self.values[mirror(y, self.size.height) * self.size.width + mirror(x, self.size.width)]
        }

        fn smooth(&self, x: usize, y: usize) -> f64 {
            let w = [1.0, 4.0, 6.0, 4.0, 1.0];
            let offsets = (0..25).map(|i| (i % 5, i / 5));
            offsets.map(|(i, j)| w[i] * w[j] / 256.0 * self.at((x + i) as i64 - 2, (y + j) as i64 - 2)).sum()
        }

        fn reduced(&self) -> Self {
            let size = Size::new(self.size.width.div_ceil(2), self.size.height.div_ceil(2));
            Exact::of(size, |x, y| self.smooth(2 * x, 2 * y))
        }

        fn expanded(&self, size: Size) -> Self {
            let zeros =
                Exact::of(
                    size,
                    |x, y| {
                        if x % 2 == 0 && y % 2 == 0 { self.at(x as i64 / 2, y as i64 / 2) } else { 0.0 }
                    },
                );
            Exact::of(size, |x, y| 4.0 * zeros.smooth(x, y))
        }

        fn fused(&self, other: &Self, levels: usize) -> Self {
            let value = |of: &Self, x: usize, y: usize| of.at(x as i64, y as i64);
            if levels == 0 {
                return Exact::of(self.size, |x, y| (value(self, x, y) + value(other, x, y)) / 2.0);
            }
            let (a, b) = (self.reduced(), other.reduced());
            let (back_a, back_b) = (a.expanded(self.size), b.expanded(self.size));
            let rest = a.fused(&b, levels - 1).expanded(self.size);
            Exact::of(self.size, |x, y| {
                let a = value(self, x, y) - value(&back_a, x, y);
                let b = value(other, x, y) - value(&back_b, x, y);
                value(&rest, x, y) + if a.abs() > b.abs() { a } else { b }
            })
        }
    }

    #[test]
    fn it_is_the_pyramid_of_the_definition() {
        for (i, size) in [[64, 48], [57, 39], [33, 17], [16, 16]].map(|[w, h]| Size::new(w, h)).into_iter().enumerate()
        {
            let (a, b) = (plane(2 * i as u64, size), plane(2 * i as u64 + 1, size));
            let exact = |p: &Plane| Exact { size, values: p.data().iter().map(|v| f64::from(*v)).collect() };
            let expected = exact(&a).fused(&exact(&b), LEVELS);
            let fused = fuse(&a, &b).unwrap();
            let apart = apart(fused.data(), &expected.values);
            // Measured 1.7e-7 to 2.6e-7: the rounding of single precision. No two details here are so equal that it would decide.
            assert!(apart < 6e-7, "{size}: {apart}");
        }
    }

    #[test]
    fn the_stronger_detail_of_either_image_is_there() {
        let size = Size::new(64, 64);
        let dot = |x: usize| {
            let mut plane = Plane::filled(size, 0.5).unwrap();
            plane.data_mut()[32 * 64 + x] = 1.0;
            plane
        };
        let (left, right) = (dot(16), dot(48));
        let fused = fuse(&left, &right).unwrap();
        for image in [&left, &right] {
            for (x, y) in [(16, 32), (48, 32)] {
                let (fused, own) = (fused.pixel(x, y).unwrap()[0], image.pixel(x, y).unwrap()[0]);
                // Nothing but the mean of the coarsest level is lost: 2 % of a dot of this size.
                assert!(fused >= own - 0.02, "{x}: {fused} {own}");
            }
        }
    }
}
