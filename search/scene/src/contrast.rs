//! How clearly each camera shows an object against what surrounds it.

use super::{Class, Instance, Rendered};

/// From this many levels an object is seen by a camera.
pub const SEEN_FROM: f64 = 20.0;

/// Below this many levels in both cameras nobody could find an object: it becomes an ignore region.
pub const HIDDEN_BELOW: f64 = 5.0;

/// Pixels around an object that count as its surroundings.
const RING_PX: i64 = 4;

/// One labelled object's contrast in both images of an aligned pair.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Contrast {
    /// What it is.
    pub class: Class,
    /// Number in [`Rendered::instances`].
    pub number: u16,
    /// Mean level of the object minus that of its ring: infrared, and visible luma.
    pub ir_difference: f64,
    /// See `ir_difference`; 0.299 R + 0.587 G + 0.114 B.
    pub vi_difference: f64,
    /// Distance of the levels of object and ring, in levels; see [`contrasts`].
    pub ir: f64,
    /// The largest such distance over luma, red, green and blue.
    pub vi: f64,
}

/// Mean and deviation of a set of levels.
#[derive(Clone, Copy, Default)]
struct Moments {
    count: f64,
    sum: f64,
    squares: f64,
}

impl Moments {
    fn add(&mut self, v: f64) {
        self.count += 1.0;
        self.sum += v;
        self.squares += v * v;
    }

    fn mean(&self) -> f64 {
        self.sum / self.count.max(1.0)
    }

    fn deviation(&self) -> f64 {
        (self.squares / self.count.max(1.0) - self.mean().powi(2)).max(0.0).sqrt()
    }

    fn distance(&self, other: &Moments) -> f64 {
        (self.mean() - other.mean()).hypot(self.deviation() - other.deviation())
    }
}

/// Contrast of every labelled object of an aligned pair.
///
/// The distance is the 2-Wasserstein distance of two normal distributions with the mean and deviation of the object's pixels
/// and of its ring (pixels up to 4 px outside that belong to no object): √(Δμ² + Δσ²), in 8-bit levels. An object whose ring
/// is empty is left out.
#[must_use]
pub fn contrasts(pair: &Rendered) -> Vec<Contrast> {
    if pair.vi_size != pair.ir_size {
        return Vec::new();
    }
    let labelled = pair.objects.iter().filter(|object| !object.ignored);
    labelled.filter_map(|object| contrast_of(pair, object)).collect()
}

pub(crate) fn contrast_of(pair: &Rendered, object: &Instance) -> Option<Contrast> {
    let (inside, ring) = levels(pair, object.number, object.box_px);
    let [ir, luma, ..] = &ring;
    if ir.count == 0.0 {
        return None;
    }
    let [ir_inside, luma_inside, ..] = &inside;
    let vi = inside.iter().zip(&ring).skip(1).map(|(a, b)| a.distance(b)).fold(0.0, f64::max);
    Some(Contrast {
        class: object.class,
        number: object.number,
        ir_difference: ir_inside.mean() - ir.mean(),
        vi_difference: luma_inside.mean() - luma.mean(),
        ir: ir_inside.distance(ir),
        vi,
    })
}

/// Infrared, luma, red, green, blue: inside the object and in its ring.
fn levels(pair: &Rendered, number: u16, box_px: [u32; 4]) -> ([Moments; 5], [Moments; 5]) {
    let [width, height] = pair.vi_size.wh().map(|side| side as i64);
    let at = |x: i64, y: i64| {
        let inside = (0..width).contains(&x) && (0..height).contains(&y);
        inside.then(|| pair.instances.get((y * width + x) as usize).copied()).flatten()
    };
    let [x0, y0, x1, y1] = box_px.map(i64::from);
    let (mut object, mut ring) = ([Moments::default(); 5], [Moments::default(); 5]);
    for y in (y0 - RING_PX).max(0)..(y1 + RING_PX).min(height) {
        for x in (x0 - RING_PX).max(0)..(x1 + RING_PX).min(width) {
            let sums = match at(x, y) {
                Some(n) if n == number => &mut object,
                Some(0) if is_near(&at, number, x, y) => &mut ring,
                _ => continue,
            };
            let i = (y * width + x) as usize;
            let (Some(ir), Some(&[r, g, b])) = (pair.ir.get(i), pair.vi.get(3 * i..).and_then(|s| s.first_chunk()))
            else {
                continue;
            };
            let [r, g, b] = [r, g, b].map(f64::from);
            let values = [f64::from(*ir), 0.299 * r + 0.587 * g + 0.114 * b, r, g, b];
            for (sum, v) in sums.iter_mut().zip(values) {
                sum.add(v);
            }
        }
    }
    (object, ring)
}

fn is_near(at: &impl Fn(i64, i64) -> Option<u16>, number: u16, x: i64, y: i64) -> bool {
    let reach = -RING_PX..=RING_PX;
    reach.clone().any(|dy| reach.clone().any(|dx| at(x + dx, y + dy) == Some(number)))
}
