//! The first guess: scales and rotations by trying them, shifts by Fourier's transform.

use std::sync::Arc;

use caf_geometry::Size;
use rayon::prelude::*;
use rustfft::{Fft, FftPlanner, num_complex::Complex32};

use crate::field::Field;
use crate::map::{Map, Vector};
use crate::plane::Seen;

/// Steps of the scale to both sides, and the factor of a step: 15 % in all.
const SCALES: i32 = 4;
const SCALE_STEP: f64 = 0.035;
/// Steps of the rotation to both sides, and a step in degrees: 6° in all.
const TURNS: i32 = 3;
const TURN_STEP_DEG: f64 = 2.0;

/// Transforms of one size in two dimensions, whose results are transposed.
struct Transform {
    size: Size,
    rows: Arc<dyn Fft<f32>>,
    columns: Arc<dyn Fft<f32>>,
}

impl Transform {
    /// Of an image of this size, or back to one.
    fn new(size: Size, back: bool) -> Transform {
        let mut planner = FftPlanner::new();
        let mut plan = |n| if back { planner.plan_fft_inverse(n) } else { planner.plan_fft_forward(n) };
        let (across, down) = (plan(size.width), plan(size.height));
        // What comes back lies transposed.
        if back {
            Transform { size: Size::new(size.height, size.width), rows: down, columns: across }
        } else {
            Transform { size, rows: across, columns: down }
        }
    }

    fn run(&self, mut data: Vec<Complex32>) -> Vec<Complex32> {
        self.rows.process(&mut data);
        let mut turned = Vec::with_capacity(data.len());
        for x in 0..self.size.width {
            turned.extend(data.iter().skip(x).step_by(self.size.width));
        }
        self.columns.process(&mut turned);
        turned
    }

    fn of_field(&self, field: &Field) -> Vec<Complex32> {
        let mut out = vec![Complex32::default(); self.size.width * self.size.height];
        let width = field.size.width;
        let rows = field.re.chunks_exact(width).zip(field.im.chunks_exact(width));
        for (to, (re, im)) in out.chunks_exact_mut(self.size.width).zip(rows) {
            to.iter_mut().zip(re.iter().zip(im)).for_each(|(o, (re, im))| *o = Complex32::new(*re, *im));
        }
        self.run(out)
    }
}

/// The similarity around `start`, of any shift, under which the pairs are most alike; `None` without pairs.
pub(crate) fn search(fixed: &[Field], visible: &[&Seen], start: &Map) -> Option<Map> {
    let size = fixed.first()?.size;
    // Twice as large, so that no shift wraps around.
    let room = Size::new((2 * size.width).next_power_of_two(), (2 * size.height).next_power_of_two());
    let (forward, back) = (Transform::new(room, false), Transform::new(room, true));
    let spectra: Vec<Vec<Complex32>> = fixed.par_iter().map(|field| forward.of_field(field)).collect();
    let tried: Vec<(i32, i32)> = (-SCALES..=SCALES).flat_map(|s| (-TURNS..=TURNS).map(move |t| (s, t))).collect();
    let found = tried.par_iter().filter_map(|(scale, turn)| {
        let factor = (SCALE_STEP * f64::from(*scale)).exp();
        let map = start.after(&start.frame().similarity(factor, (TURN_STEP_DEG * f64::from(*turn)).to_radians()));
        let mut sum = vec![Complex32::default(); room.width * room.height];
        for (spectrum, image) in spectra.iter().zip(visible) {
            let other = forward.of_field(&Field::of(&image.warped(&map, size, 0)?));
            sum.iter_mut().zip(spectrum.iter().zip(&other)).for_each(|(s, (a, b))| *s += a.conj() * b);
        }
        let surface = back.run(sum);
        let (at, value) = surface.iter().map(|v| v.re).enumerate().max_by(|a, b| a.1.total_cmp(&b.1))?;
        let signed = |v: usize, n: usize| if v > n / 2 { v as f64 - n as f64 } else { v as f64 };
        let mut p = Vector::zeros();
        (p[0], p[1]) = (signed(at % room.width, room.width), signed(at / room.width, room.height));
        Some((value, map.after(&p)))
    });
    found.max_by(|a, b| a.0.total_cmp(&b.0)).map(|(_, map)| map)
}
