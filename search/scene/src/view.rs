//! From pixels to rays and back. Sample i covers [i, i + 1), its ray goes through i + 0.5.

use caf_geometry::Size;
use caf_rig::Camera;

use super::vector::{V3, mix, v3};

/// Nothing closer than this to the eye is drawn.
pub(crate) const NEAR_M: f32 = 0.3;

/// A perspective camera, or parallel rays for the sun.
#[derive(Clone, Copy, Debug)]
pub(crate) struct View {
    pub eye: V3,
    right: V3,
    down: V3,
    pub forward: V3,
    scale: [f32; 2],
    centre: [f32; 2],
    parallel: bool,
    /// Samples across and down.
    pub size: Size,
}

/// Part of an image.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Window {
    /// From and to (exclusive).
    pub x: [usize; 2],
    pub y: [usize; 2],
    /// Nothing in the box is nearer.
    pub nearest_m: f32,
}

/// Which way a camera looks from where.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stance {
    pub eye: V3,
    /// Axes of the camera's frame in the world.
    pub right: V3,
    pub down: V3,
    pub forward: V3,
}

impl Stance {
    /// `yaw_rad` turns to the right, `pitch_rad` downwards.
    pub fn looking(eye: V3, yaw_rad: f32, pitch_rad: f32) -> Stance {
        let (sy, cy) = yaw_rad.sin_cos();
        let (sp, cp) = pitch_rad.sin_cos();
        Stance { eye, right: v3(cy, 0.0, -sy), down: v3(-sp * sy, -cp, -sp * cy), forward: v3(cp * sy, -sp, cp * cy) }
    }

    /// The stance of the infrared camera of a rig whose visible camera stands here.
    pub fn infrared_of(&self, pose: &caf_rig::Pose) -> Stance {
        let world = |p: [f64; 3]| {
            let [x, y, z] = p.map(|v| v as f32);
            self.right * x + self.down * y + self.forward * z
        };
        // The columns of vis_from_ir's rotation are the infrared axes in the visible frame.
        let [right, down, forward] = pose.rotation.transposed().0;
        Stance {
            eye: self.eye + world(pose.translation_m),
            right: world(right),
            down: world(down),
            forward: world(forward),
        }
    }
}

impl View {
    /// The view of a camera, with `samples` × `samples` rays to a pixel.
    pub fn camera(camera: &Camera, stance: &Stance, samples: usize) -> View {
        let k = samples as f64;
        View {
            eye: stance.eye,
            right: stance.right,
            down: stance.down,
            forward: stance.forward,
            scale: [(camera.fx_px * k) as f32, (camera.fy_px * k) as f32],
            centre: [(camera.cx_px * k) as f32, (camera.cy_px * k) as f32],
            parallel: false,
            size: Size::new(camera.size().width * samples, camera.size().height * samples),
        }
    }

    /// Parallel rays along `forward` that cover `extent_m` around `middle`.
    pub fn parallel(middle: V3, forward: V3, extent_m: f32, samples: usize) -> View {
        let right = v3(0.0, 1.0, 0.0).cross(forward).unit();
        let down = right.cross(forward).unit();
        let scale = samples as f32 / extent_m;
        let centre = samples as f32 / 2.0;
        View {
            eye: middle - forward * 120.0,
            right,
            down,
            forward,
            scale: [scale, scale],
            centre: [centre, centre],
            parallel: true,
            size: Size::new(samples, samples),
        }
    }

    /// Origin and direction of the ray through a sample position; the direction's component along `forward` is 1, so that
    /// distances along it are depths.
    pub fn ray(&self, x: f32, y: f32) -> (V3, V3) {
        let aside =
            self.right * ((x - self.centre[0]) / self.scale[0]) + self.down * ((y - self.centre[1]) / self.scale[1]);
        if self.parallel { (self.eye + aside, self.forward) } else { (self.eye, self.forward + aside) }
    }

    /// Sample position and depth of a point.
    pub fn project(&self, p: V3) -> [f32; 3] {
        let from = p - self.eye;
        let depth = from.dot(self.forward);
        let k = if self.parallel { 1.0 } else { 1.0 / depth };
        [
            from.dot(self.right) * self.scale[0] * k + self.centre[0],
            from.dot(self.down) * self.scale[1] * k + self.centre[1],
            depth,
        ]
    }

    /// Samples that a box of the world may cover; `None` when out of sight.
    pub fn window(&self, low: V3, high: V3) -> Option<Window> {
        let mut corners = [[0.0f32; 3]; 8];
        for (i, corner) in corners.iter_mut().enumerate() {
            let pick = |bit: usize, a: f32, b: f32| if i >> bit & 1 == 0 { a } else { b };
            let from = v3(pick(0, low.x, high.x), pick(1, low.y, high.y), pick(2, low.z, high.z)) - self.eye;
            *corner = [from.dot(self.right), from.dot(self.down), from.dot(self.forward)];
        }
        let (mut x, mut y, mut nearest) = ([f32::MAX, f32::MIN], [f32::MAX, f32::MIN], f32::MAX);
        let mut cover = |[right, down, depth]: [f32; 3]| {
            let k = if self.parallel { 1.0 } else { 1.0 / depth };
            let (px, py) = (right * self.scale[0] * k + self.centre[0], down * self.scale[1] * k + self.centre[1]);
            x = [x[0].min(px), x[1].max(px)];
            y = [y[0].min(py), y[1].max(py)];
            nearest = nearest.min(depth);
        };
        for (i, a) in corners.iter().enumerate() {
            if a[2] >= NEAR_M {
                cover(*a);
                continue;
            }
            // Of an edge that reaches behind the eye, the part in front of it counts.
            for b in [1, 2, 4].into_iter().filter_map(|bit| corners.get(i ^ bit)).filter(|b| b[2] > NEAR_M) {
                let k = (NEAR_M - a[2]) / (b[2] - a[2]);
                cover([mix(a[0], b[0], k), mix(a[1], b[1], k), NEAR_M]);
            }
        }
        let range = |[low, high]: [f32; 2], extent: usize| {
            let from = low.floor().max(0.0);
            let to = (high.floor() + 1.0).min(extent as f32);
            (from < to).then_some([from as usize, to as usize])
        };
        Some(Window { x: range(x, self.size.width)?, y: range(y, self.size.height)?, nearest_m: nearest })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shape::{Shape, Slab};
    use crate::vector::Frame;

    #[test]
    fn rays_hit_what_projects_there_and_agree_with_the_rig() {
        let camera = Camera::with_field_of_view(Size::new(64, 48), 60.0);
        let stance = Stance::looking(v3(0.5, 1.4, 3.0), 0.1, 0.05);
        for samples in [1, 2] {
            let view = View::camera(&camera, &stance, samples);
            let (origin, dir) = view.ray(10.0, 30.0);
            let [x, y, depth] = view.project(origin + dir * 7.0);
            assert!((x - 10.0).abs() < 1e-3 && (y - 30.0).abs() < 1e-3 && (depth - 7.0).abs() < 1e-4);
        }
        let p = v3(1.0, 0.4, 12.0);
        let from = p - stance.eye;
        let in_camera = [from.dot(stance.right), from.dot(stance.down), from.dot(stance.forward)].map(f64::from);
        let expected = camera.project(in_camera).unwrap();
        let [x, y, _] = View::camera(&camera, &stance, 1).project(p);
        assert!((f64::from(x) - expected[0]).abs() < 1e-3 && (f64::from(y) - expected[1]).abs() < 1e-3);
    }

    #[test]
    fn the_infrared_camera_stands_where_the_rig_says() {
        let rig = crate::offset_rig(Size::new(96, 72));
        let stance = Stance::looking(v3(0.2, 1.4, 2.0), 0.08, 0.03);
        let visible = View::camera(&rig.visible, &stance, 1);
        let infrared = View::camera(&rig.infrared, &stance.infrared_of(&rig.vis_from_ir), 1);
        for p in [v3(1.0, 0.3, 8.0), v3(-3.0, 2.0, 15.0), v3(0.0, 1.0, 40.0)] {
            let [x, y, depth] = visible.project(p).map(f64::from);
            let expected = rig.ir_pixel_of([x, y], depth).unwrap();
            let [x, y, _] = infrared.project(p).map(f64::from);
            assert!((x - expected[0]).abs() < 2e-3 && (y - expected[1]).abs() < 2e-3, "{x} {y} {expected:?}");
        }
    }

    #[test]
    fn windows_hold_every_ray_that_hits_the_box() {
        let view = View::camera(
            &Camera::with_field_of_view(Size::new(64, 48), 60.0),
            &Stance::looking(v3(0.0, 1.4, 0.0), 0.1, 0.03),
            1,
        );
        let slab = |y| Slab { y, x: [1.0, 6.0], z: [-8.0, 9.0] };
        let (block, low, high) = Shape::block(&Frame::new(V3::default(), 0.0), slab(0.0), slab(3.0));
        let window = view.window(low, high).unwrap();
        assert!(window.x[0] > 20 && window.x[1] == 64, "a wall to the right covers the right: {window:?}");
        let mut hits = 0;
        for (x, y) in (0..64).flat_map(|x| (0..48).map(move |y| (x, y))) {
            let (origin, dir) = view.ray(x as f32 + 0.5, y as f32 + 0.5);
            if let Some(t) = block.hit(origin, dir, NEAR_M) {
                hits += 1;
                assert!(t >= window.nearest_m);
                assert!((window.x[0]..window.x[1]).contains(&x) && (window.y[0]..window.y[1]).contains(&y));
            }
        }
        assert!(hits > 500);
        assert!(view.window(v3(-1.0, 0.0, -9.0), v3(1.0, 1.0, -2.0)).is_none());
    }

    #[test]
    fn parallel_rays_go_back_too() {
        let view = View::parallel(v3(0.0, 0.0, 20.0), v3(0.3, -0.8, 0.5).unit(), 50.0, 100);
        let (origin, dir) = view.ray(20.0, 70.0);
        let [x, y, depth] = view.project(origin + dir * 100.0);
        assert!((x - 20.0).abs() < 1e-2 && (y - 70.0).abs() < 1e-2 && (depth - 100.0).abs() < 1e-2);
    }
}
