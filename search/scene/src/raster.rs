//! Which solid each sample sees: a depth buffer filled solid by solid, each cut exactly by the rays of the window it covers.

use super::model::{NO_INSTANCE, Solid};
use super::vector::V3;
use super::view::{NEAR_M, View};

/// What a sample sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Seen {
    Sky,
    Ground,
    /// Index into the solids.
    Solid(u16),
}

const SKY: u16 = u16::MAX;
const GROUND: u16 = u16::MAX - 1;
/// More solids than this are not drawn.
pub(crate) const MOST_SOLIDS: usize = GROUND as usize;

/// The nearest surface of every sample.
pub(crate) struct Raster {
    pub view: View,
    depth: Vec<f32>,
    seen: Vec<u16>,
    /// Nearest pane in front of that, [`SKY`] for none; empty when no pane is in sight.
    panes: Vec<(f32, u16)>,
    /// Samples each instance would cover were nothing in front of it, by instance number.
    pub alone: Vec<u32>,
}

impl Raster {
    /// Draws the solids over the ground plane y = 0 (and, above the horizon, the sky).
    ///
    /// Solids of one instance must follow one another for [`Raster::alone`] to count every sample once; nothing is counted
    /// when there are no `instances`.
    pub fn draw(view: View, solids: &[Solid], instances: usize) -> Raster {
        let (depth, seen) = background(&view);
        let mut raster = Raster { view, depth, seen, panes: Vec::new(), alone: vec![0; instances + 1] };
        let mut counted = vec![NO_INSTANCE; raster.seen.len()];
        for (index, solid) in solids.iter().enumerate().take(MOST_SOLIDS) {
            raster.add(index as u16, solid, &mut counted);
        }
        raster
    }

    fn add(&mut self, index: u16, solid: &Solid, counted: &mut [u16]) {
        let Some(window) = self.view.window(solid.low, solid.high) else { return };
        let ([x0, x1], [y0, y1]) = (window.x, window.y);
        if solid.pane && self.panes.is_empty() {
            self.panes = vec![(f32::INFINITY, SKY); self.seen.len()];
        }
        let width = self.view.size.width;
        let counts = self.alone.len() > 1;
        let mut fresh = 0;
        for y in y0..y1 {
            let row = y * width + x0..y * width + x1;
            let (Some(depths), Some(seen), Some(counted)) =
                (self.depth.get_mut(row.clone()), self.seen.get_mut(row.clone()), counted.get_mut(row.clone()))
            else {
                return;
            };
            let mut panes = self.panes.get_mut(row).unwrap_or_default().iter_mut();
            let samples = depths.iter_mut().zip(seen).zip(counted);
            for (x, ((depth, seen), counted)) in (x0..x1).zip(samples) {
                let pane = panes.next();
                let once = counts && solid.instance != NO_INSTANCE && *counted != solid.instance;
                // What is hidden is cut only to be counted.
                if window.nearest_m >= *depth && !once {
                    continue;
                }
                let (origin, dir) = self.view.ray(x as f32 + 0.5, y as f32 + 0.5);
                let Some(t) = solid.shape.hit(origin, dir, NEAR_M) else { continue };
                if solid.surface.has_hole(solid.frame.local(origin + dir * t)) {
                    continue;
                }
                if once {
                    *counted = solid.instance;
                    fresh += 1;
                }
                if solid.pane {
                    if let Some(pane) = pane.filter(|pane| t < pane.0) {
                        *pane = (t, index);
                    }
                } else if t < *depth {
                    (*depth, *seen) = (t, index);
                }
            }
        }
        if let Some(count) = self.alone.get_mut(usize::from(solid.instance)) {
            *count += fresh;
        }
    }

    /// What sample `at` (row-major) sees, through panes, and how far away.
    pub fn through(&self, at: usize) -> (Seen, f32) {
        let seen = match self.seen.get(at) {
            Some(&GROUND) => Seen::Ground,
            None | Some(&SKY) => Seen::Sky,
            Some(&solid) => Seen::Solid(solid),
        };
        (seen, self.depth.get(at).copied().unwrap_or(f32::INFINITY))
    }

    /// The pane in front of what sample `at` sees.
    pub fn pane(&self, at: usize) -> Option<(u16, f32)> {
        let &(t, index) = self.panes.get(at)?;
        (index != SKY && t < self.through(at).1).then_some((index, t))
    }

    /// Depth of the nearest surface at a sample position; infinite outside the buffer.
    pub fn depth_at(&self, x: f32, y: f32) -> f32 {
        let (x, y) = (x.floor(), y.floor());
        if x < 0.0 || y < 0.0 || x >= self.view.size.width as f32 || y >= self.view.size.height as f32 {
            return f32::INFINITY;
        }
        self.depth.get(y as usize * self.view.size.width + x as usize).copied().unwrap_or(f32::INFINITY)
    }

    /// The point that sample position (x, y) sees at depth `t`, and the direction of its ray.
    pub fn point(&self, x: f32, y: f32, t: f32) -> (V3, V3) {
        let (origin, dir) = self.view.ray(x, y);
        (origin + dir * t, dir)
    }
}

fn background(view: &View) -> (Vec<f32>, Vec<u16>) {
    let samples = view.size.width * view.size.height;
    let (mut depth, mut seen) = (Vec::with_capacity(samples), Vec::with_capacity(samples));
    for y in 0..view.size.height {
        for x in 0..view.size.width {
            let (origin, dir) = view.ray(x as f32 + 0.5, y as f32 + 0.5);
            let t = -origin.y / dir.y;
            if dir.y < -1e-6 && t > 0.0 {
                depth.push(t);
                seen.push(GROUND);
            } else {
                depth.push(f32::INFINITY);
                seen.push(SKY);
            }
        }
    }
    (depth, seen)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Body;
    use crate::surface::{Surface, gray};
    use crate::vector::{Frame, v3};
    use crate::view::Stance;

    fn solids(add: impl Fn(&mut Body<'_>)) -> Vec<Solid> {
        let mut solids = Vec::new();
        add(&mut Body { frame: Frame::new(V3::default(), 0.0), instance: NO_INSTANCE, solids: &mut solids });
        solids
    }

    fn draw(solids: &[Solid], instances: usize) -> Raster {
        let camera = caf_rig::Camera::with_field_of_view(caf_geometry::Size::new(80, 60), 60.0);
        let stance = Stance::looking(v3(0.0, 1.5, 0.0), 0.0, 0.0);
        Raster::draw(View::camera(&camera, &stance, 1), solids, instances)
    }

    const SURFACE: fn() -> Surface = || Surface::matt(gray(0.5), 10.0);

    fn seen_of(raster: &Raster, index: u16) -> usize {
        (0..80 * 60).filter(|at| raster.through(*at).0 == Seen::Solid(index)).count()
    }

    #[test]
    fn the_nearer_block_hides_the_farther_in_any_order() {
        let near = |body: &mut Body<'_>| {
            body.instance = 1;
            body.block([-1.0, 0.0, 6.0], [0.2, 2.0, 7.0], SURFACE());
        };
        let far = |body: &mut Body<'_>| {
            body.instance = 2;
            body.block([-1.0, 0.0, 9.0], [1.0, 2.0, 10.0], SURFACE());
        };
        let near_first = draw(
            &solids(|b| {
                near(b);
                far(b)
            }),
            2,
        );
        let far_first = draw(
            &solids(|b| {
                far(b);
                near(b)
            }),
            2,
        );
        assert_eq!(near_first.alone, far_first.alone);
        assert_eq!(
            (seen_of(&near_first, 0), seen_of(&near_first, 1)),
            (seen_of(&far_first, 1), seen_of(&far_first, 0))
        );
        assert_eq!(seen_of(&near_first, 0), near_first.alone[1] as usize, "nothing hides the near one");
        let (shown, alone) = (seen_of(&near_first, 1), draw(&solids(far), 2).alone[2]);
        assert_eq!(near_first.alone[2], alone, "what would be seen does not depend on what is in front");
        assert!(shown > 0 && shown < alone as usize / 2, "{shown} of {alone}");
    }

    #[test]
    fn solids_of_one_instance_are_counted_once() {
        let raster = draw(
            &solids(|body| {
                body.instance = 1;
                body.block([-1.0, 0.0, 6.0], [1.0, 2.0, 7.0], SURFACE());
                body.block([-0.5, 0.5, 5.0], [0.5, 1.5, 6.5], SURFACE());
                body.block([-0.2, 0.5, 6.2], [0.2, 1.5, 6.4], SURFACE());
            }),
            1,
        );
        assert_eq!(raster.alone[1] as usize, (0..3).map(|i| seen_of(&raster, i)).sum::<usize>());
    }

    #[test]
    fn panes_are_seen_through_and_known() {
        let raster = draw(
            &solids(|body| {
                body.block([-1.0, 0.0, 6.0], [1.0, 2.0, 7.0], SURFACE());
                body.pane([-2.0, 0.0, 4.0], [0.0, 3.0, 4.1], SURFACE());
                body.pane([-2.0, 0.0, 8.0], [2.0, 3.0, 8.1], SURFACE());
            }),
            0,
        );
        let at = |x: usize| 30 * 80 + x;
        assert_eq!(raster.through(at(36)).0, Seen::Solid(0));
        assert_eq!(raster.pane(at(36)).map(|p| p.0), Some(1), "the pane in front of the block");
        assert_eq!(
            (raster.through(at(44)).0, raster.pane(at(44))),
            (Seen::Solid(0), None),
            "the pane behind it is hidden"
        );
        assert_eq!(seen_of(&raster, 1) + seen_of(&raster, 2), 0);
    }
}
