//! Solids that a ray can be cut with exactly.

use super::vector::{Frame, V3, v3};

/// A half-space: inside where `normal · p <= offset`.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Side {
    normal: V3,
    offset: f32,
}

#[derive(Clone, Debug)]
pub(crate) enum Shape {
    /// Six planes: a box, or a box whose top is smaller or shifted.
    Block([Side; 6]),
    /// All points within `radius` of the segment.
    Capsule { a: V3, b: V3, radius: f32 },
    /// With flat ends.
    Cylinder { a: V3, b: V3, radius: f32 },
    /// Axes along the world's.
    Ellipsoid { centre: V3, radii: V3 },
    /// A flat ring, seen from both sides; a disc when `inner` is 0.
    Ring { centre: V3, normal: V3, inner: f32, outer: f32 },
}

/// A rectangle at one height: the bottom or top of a block.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Slab {
    pub y: f32,
    pub x: [f32; 2],
    pub z: [f32; 2],
}

impl Shape {
    /// A block between two slabs given in the object's frame, with its bounds in the world.
    pub fn block(frame: &Frame, bottom: Slab, top: Slab) -> (Shape, V3, V3) {
        let corner = |slab: &Slab, i: usize, k: usize| frame.world(v3(slab.x[i.min(1)], slab.y, slab.z[k.min(1)]));
        let (mut low, mut high) = (v3(f32::MAX, f32::MAX, f32::MAX), v3(f32::MIN, f32::MIN, f32::MIN));
        for slab in [&bottom, &top] {
            for (i, k) in [(0, 0), (0, 1), (1, 0), (1, 1)] {
                let p = corner(slab, i, k);
                low = low.min(p);
                high = high.max(p);
            }
        }
        let middle = (low + high) * 0.5;
        // Each side through three corners; the sign is set by the block's middle, so the corners' order does not matter.
        let side = |a: V3, b: V3, c: V3| {
            let normal = (b - a).cross(c - a).unit();
            let offset = normal.dot(a);
            if normal.dot(middle) <= offset {
                Side { normal, offset }
            } else {
                Side { normal: -normal, offset: -offset }
            }
        };
        let (b, t) = (|i, k| corner(&bottom, i, k), |i, k| corner(&top, i, k));
        let sides = [
            Side { normal: v3(0.0, -1.0, 0.0), offset: -(bottom.y + frame.origin.y) },
            Side { normal: v3(0.0, 1.0, 0.0), offset: top.y + frame.origin.y },
            side(b(0, 0), b(0, 1), t(0, 0)),
            side(b(1, 0), b(1, 1), t(1, 0)),
            side(b(0, 0), b(1, 0), t(0, 0)),
            side(b(0, 1), b(1, 1), t(0, 1)),
        ];
        (Shape::Block(sides), low, high)
    }

    /// Bounds in the world of everything but blocks, which know theirs from their corners.
    pub fn round_bounds(&self) -> (V3, V3) {
        match *self {
            Shape::Block(_) => (V3::default(), V3::default()),
            Shape::Capsule { a, b, radius } | Shape::Cylinder { a, b, radius } => {
                let r = v3(radius, radius, radius);
                (a.min(b) - r, a.max(b) + r)
            }
            Shape::Ellipsoid { centre, radii } => (centre - radii, centre + radii),
            Shape::Ring { centre, normal, outer, .. } => {
                let reach = |n: f32| outer * (1.0 - n * n).max(0.0).sqrt();
                let r = v3(reach(normal.x), reach(normal.y), reach(normal.z));
                (centre - r, centre + r)
            }
        }
    }

    /// Distance along `dir` (in units of its length) at which the ray enters, if beyond `near`.
    pub fn hit(&self, origin: V3, dir: V3, near: f32) -> Option<f32> {
        match self {
            Shape::Block(sides) => hit_block(sides, origin, dir),
            Shape::Capsule { a, b, radius } => hit_capsule(*a, *b, *radius, origin, dir),
            Shape::Cylinder { a, b, radius } => hit_cylinder(*a, *b, *radius, origin, dir),
            Shape::Ellipsoid { centre, radii } => {
                let scale = |v: V3| v3(v.x / radii.x, v.y / radii.y, v.z / radii.z);
                hit_sphere(scale(origin - *centre), scale(dir), 1.0)
            }
            Shape::Ring { centre, normal, inner, outer } => {
                let t = (*centre - origin).dot(*normal) / dir.dot(*normal);
                let from = origin + dir * t - *centre;
                let r2 = from.dot(from);
                (r2 >= inner * inner && r2 <= outer * outer).then_some(t)
            }
        }
        .filter(|t| *t > near)
    }

    /// Outward unit normal at a point of the surface; that of a ring faces against `dir`.
    pub fn normal(&self, p: V3, dir: V3) -> V3 {
        match self {
            Shape::Block(sides) => {
                let mut best = (f32::MIN, V3::default());
                for side in sides {
                    let inside = side.normal.dot(p) - side.offset;
                    if inside > best.0 {
                        best = (inside, side.normal);
                    }
                }
                best.1
            }
            Shape::Capsule { a, b, .. } => (p - nearest(*a, *b, p, true)).unit(),
            Shape::Cylinder { a, b, radius } => {
                let axis = (*b - *a).unit();
                let along = (p - *a).dot(axis);
                let out = p - *a - axis * along;
                let (from_side, length) = (radius - out.length(), (*b - *a).length());
                if along < from_side {
                    -axis
                } else if length - along < from_side {
                    axis
                } else {
                    out.unit()
                }
            }
            Shape::Ellipsoid { centre, radii } => {
                let d = p - *centre;
                v3(d.x / (radii.x * radii.x), d.y / (radii.y * radii.y), d.z / (radii.z * radii.z)).unit()
            }
            Shape::Ring { normal, .. } => {
                if normal.dot(dir) > 0.0 {
                    -*normal
                } else {
                    *normal
                }
            }
        }
    }
}

fn nearest(a: V3, b: V3, p: V3, clamped: bool) -> V3 {
    let axis = b - a;
    let length2 = axis.dot(axis);
    let mut k = if length2 > 0.0 { (p - a).dot(axis) / length2 } else { 0.0 };
    if clamped {
        k = k.clamp(0.0, 1.0);
    }
    a + axis * k
}

fn hit_block(sides: &[Side; 6], origin: V3, dir: V3) -> Option<f32> {
    let (mut enter, mut leave) = (f32::MIN, f32::MAX);
    for side in sides {
        let speed = side.normal.dot(dir);
        let gap = side.offset - side.normal.dot(origin);
        if speed.abs() < 1e-9 {
            if gap < 0.0 {
                return None;
            }
        } else if speed < 0.0 {
            enter = enter.max(gap / speed);
        } else {
            leave = leave.min(gap / speed);
        }
        if enter > leave {
            return None;
        }
    }
    Some(enter)
}

fn hit_sphere(from_centre: V3, dir: V3, radius: f32) -> Option<f32> {
    let a = dir.dot(dir);
    let half_b = from_centre.dot(dir);
    let c = from_centre.dot(from_centre) - radius * radius;
    let d = half_b * half_b - a * c;
    (d >= 0.0).then(|| (-half_b - d.sqrt()) / a)
}

/// First hit with the infinite cylinder's side, and where along the axis that is (0 at `a`, |b−a|² at `b`).
fn hit_side(a: V3, b: V3, radius: f32, origin: V3, dir: V3) -> Option<(f32, f32, f32)> {
    let axis = b - a;
    let from = origin - a;
    let length2 = axis.dot(axis);
    let (da, fa) = (dir.dot(axis), from.dot(axis));
    let qa = length2 * dir.dot(dir) - da * da;
    let qb = length2 * from.dot(dir) - fa * da;
    let qc = length2 * (from.dot(from) - radius * radius) - fa * fa;
    let d = qb * qb - qa * qc;
    if d < 0.0 || qa <= 1e-12 {
        return None;
    }
    let t = (-qb - d.sqrt()) / qa;
    Some((t, fa + t * da, length2))
}

fn hit_capsule(a: V3, b: V3, radius: f32, origin: V3, dir: V3) -> Option<f32> {
    if let Some((t, along, length2)) = hit_side(a, b, radius, origin, dir)
        && along > 0.0
        && along < length2
    {
        return Some(t);
    }
    let ends = [hit_sphere(origin - a, dir, radius), hit_sphere(origin - b, dir, radius)];
    ends.into_iter().flatten().min_by(f32::total_cmp)
}

fn hit_cylinder(a: V3, b: V3, radius: f32, origin: V3, dir: V3) -> Option<f32> {
    let side = hit_side(a, b, radius, origin, dir).filter(|(_, along, length2)| *along > 0.0 && along < length2);
    let axis = (b - a).unit();
    let cap = |centre: V3| {
        let t = (centre - origin).dot(axis) / dir.dot(axis);
        let from = origin + dir * t - centre;
        (from.dot(from) <= radius * radius).then_some(t)
    };
    [side.map(|s| s.0), cap(a), cap(b)].into_iter().flatten().min_by(f32::total_cmp)
}

#[cfg(test)]
mod tests {
    use super::*;

    const AHEAD: V3 = v3(0.0, 0.0, 1.0);

    fn unit_block() -> Shape {
        let slab = |y| Slab { y, x: [-1.0, 1.0], z: [4.0, 6.0] };
        Shape::block(&Frame::new(V3::default(), 0.0), slab(-1.0), slab(1.0)).0
    }

    #[test]
    fn known_distances() {
        let capsule = Shape::Capsule { a: v3(0.0, -2.0, 5.0), b: v3(0.0, 2.0, 5.0), radius: 0.5 };
        let wheel = Shape::Cylinder { a: v3(0.0, 0.0, 3.0), b: v3(0.0, 0.0, 4.0), radius: 0.5 };
        let ball = Shape::Ellipsoid { centre: v3(0.0, 0.0, 8.0), radii: v3(1.0, 1.0, 3.0) };
        let ring = Shape::Ring { centre: v3(0.0, 0.0, 2.0), normal: AHEAD, inner: 0.2, outer: 0.5 };
        let o = V3::default();
        for (shape, expected) in [(&unit_block(), 4.0), (&capsule, 4.5), (&wheel, 3.0), (&ball, 5.0)] {
            assert!((shape.hit(o, AHEAD, 0.1).unwrap() - expected).abs() < 1e-5, "{shape:?}");
            let normal = shape.normal(AHEAD * expected, AHEAD);
            assert!((normal + AHEAD).length() < 1e-4, "{shape:?} {normal:?}");
        }
        assert!(ring.hit(o, AHEAD, 0.1).is_none());
        assert!((ring.hit(v3(0.3, 0.0, 0.0), AHEAD, 0.1).unwrap() - 2.0).abs() < 1e-6);
        assert!(unit_block().hit(v3(1.01, 0.0, 0.0), AHEAD, 0.1).is_none());
        assert!(wheel.hit(v3(0.6, 0.0, 0.0), AHEAD, 0.1).is_none());
        assert!(capsule.hit(v3(0.0, 2.6, 0.0), AHEAD, 0.1).is_none());
        assert!((capsule.hit(v3(0.0, 2.4, 0.0), AHEAD, 0.1).unwrap() - 4.7).abs() < 1e-5);
    }

    #[test]
    fn a_block_narrowed_at_the_top_has_sloping_sides() {
        let frame = Frame::new(V3::default(), 0.0);
        let (shape, low, high) = Shape::block(
            &frame,
            Slab { y: 0.0, x: [-1.0, 1.0], z: [4.0, 6.0] },
            Slab { y: 2.0, x: [-1.0, 1.0], z: [5.0, 6.0] },
        );
        assert_eq!((low, high), (v3(-1.0, 0.0, 4.0), v3(1.0, 2.0, 6.0)));
        assert!((shape.hit(v3(0.0, 1.0, 0.0), AHEAD, 0.1).unwrap() - 4.5).abs() < 1e-5);
    }
}
