//! Objects as lists of solids.

use super::shape::{Shape, Slab};
use super::surface::Surface;
use super::vector::{Frame, V3, v3};

/// Solids that belong to nothing that is labelled.
pub(crate) const NO_INSTANCE: u16 = 0;

/// One solid with its surface.
#[derive(Clone, Debug)]
pub(crate) struct Solid {
    pub shape: Shape,
    pub low: V3,
    pub high: V3,
    pub frame: Frame,
    pub surface: Surface,
    /// 1-based number of the labelled object, or [`NO_INSTANCE`].
    pub instance: u16,
    /// A pane: the visible camera sees through it, the infrared camera does not.
    pub pane: bool,
}

/// Collects the solids of one object, given in its own frame: x to its right, y up, z ahead.
pub(crate) struct Body<'a> {
    pub frame: Frame,
    pub instance: u16,
    pub solids: &'a mut Vec<Solid>,
}

impl Body<'_> {
    fn push(&mut self, shape: Shape, bounds: (V3, V3), surface: Surface) {
        let (low, high) = bounds;
        let (frame, instance) = (self.frame, self.instance);
        self.solids.push(Solid { shape, low, high, frame, surface, instance, pane: false });
    }

    /// A box from corner to corner.
    pub fn block(&mut self, low: [f32; 3], high: [f32; 3], surface: Surface) {
        let slab = |y| Slab { y, x: [low[0], high[0]], z: [low[2], high[2]] };
        self.tapered(slab(low[1]), slab(high[1]), surface);
    }

    /// A box whose top differs from its bottom.
    pub fn tapered(&mut self, bottom: Slab, top: Slab, surface: Surface) {
        let (shape, low, high) = Shape::block(&self.frame, bottom, top);
        self.push(shape, (low, high), surface);
    }

    /// A box of glass.
    pub fn pane(&mut self, low: [f32; 3], high: [f32; 3], surface: Surface) {
        self.block(low, high, surface);
        if let Some(last) = self.solids.last_mut() {
            last.pane = true;
        }
    }

    pub fn capsule(&mut self, a: [f32; 3], b: [f32; 3], radius: f32, surface: Surface) {
        let shape = Shape::Capsule { a: self.point(a), b: self.point(b), radius };
        let bounds = shape.round_bounds();
        self.push(shape, bounds, surface);
    }

    pub fn cylinder(&mut self, a: [f32; 3], b: [f32; 3], radius: f32, surface: Surface) {
        let shape = Shape::Cylinder { a: self.point(a), b: self.point(b), radius };
        let bounds = shape.round_bounds();
        self.push(shape, bounds, surface);
    }

    /// Radii along the world's axes: the object's heading does not turn them.
    pub fn ellipsoid(&mut self, centre: [f32; 3], radii: [f32; 3], surface: Surface) {
        let [rx, ry, rz] = radii;
        let shape = Shape::Ellipsoid { centre: self.point(centre), radii: v3(rx, ry, rz) };
        let bounds = shape.round_bounds();
        self.push(shape, bounds, surface);
    }

    pub fn ring(&mut self, centre: [f32; 3], normal: [f32; 3], inner: f32, outer: f32, surface: Surface) {
        let [nx, ny, nz] = normal;
        let normal = self.frame.world_dir(v3(nx, ny, nz)).unit();
        let shape = Shape::Ring { centre: self.point(centre), normal, inner, outer };
        let bounds = shape.round_bounds();
        self.push(shape, bounds, surface);
    }

    fn point(&self, [x, y, z]: [f32; 3]) -> V3 {
        self.frame.world(v3(x, y, z))
    }
}
