//! Axis-parallel boxes in pixels, 32-bit as in the detector.

use crate::size::Size;
use serde::{Deserialize, Serialize};

/// Added to the union of two boxes by YOLOv5, so that two empty boxes have an IoU of 0 and not 0/0.
pub const UNION_EPSILON: f32 = 1e-7;

/// A box by its corners: left, top, right, bottom.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Xyxy {
    /// Left edge.
    pub x1: f32,
    /// Top edge.
    pub y1: f32,
    /// Right edge.
    pub x2: f32,
    /// Bottom edge.
    pub y2: f32,
}

/// A box by its centre and its size.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Cxcywh {
    /// Centre, x.
    pub cx: f32,
    /// Centre, y.
    pub cy: f32,
    /// Width.
    pub w: f32,
    /// Height.
    pub h: f32,
}

impl Xyxy {
    /// A box from its corners.
    pub const fn new(x1: f32, y1: f32, x2: f32, y2: f32) -> Self {
        Self { x1, y1, x2, y2 }
    }

    /// `(x2 - x1)(y2 - y1)`; negative for a box with one pair of edges swapped.
    pub fn area(self) -> f32 {
        (self.x2 - self.x1) * (self.y2 - self.y1)
    }

    /// Area shared with `other`, 0 when they do not meet.
    pub fn intersection(self, other: Self) -> f32 {
        let w = (self.x2.min(other.x2) - self.x1.max(other.x1)).max(0.0);
        let h = (self.y2.min(other.y2) - self.y1.max(other.y1)).max(0.0);
        w * h
    }

    /// Intersection over union in float32, with [`UNION_EPSILON`] added to the union, in the order of operations of
    /// YOLOv5's matching.
    pub fn iou(self, other: Self) -> f32 {
        let shared = self.intersection(other);
        shared / (self.area() + other.area() - shared + UNION_EPSILON)
    }

    /// The part of this box's own area that `region` covers, in [0, 1]; 0 for a box without area. This is how a
    /// detection is compared with an ignore region, of which it may cover only a small piece.
    pub fn covered_by(self, region: Self) -> f32 {
        let area = self.area();
        if area > 0.0 { self.intersection(region) / area } else { 0.0 }
    }

    /// The box cut to an image of this size.
    pub fn clip(self, image: Size) -> Self {
        let (w, h) = (image.width as f32, image.height as f32);
        Self::new(self.x1.max(0.0).min(w), self.y1.max(0.0).min(h), self.x2.max(0.0).min(w), self.y2.max(0.0).min(h))
    }

    /// The box moved back and divided: `(x - dx) / scale`, `(y - dy) / scale`.
    pub fn unshift_then_divide(self, scale: f32, dx: f32, dy: f32) -> Self {
        Self::new((self.x1 - dx) / scale, (self.y1 - dy) / scale, (self.x2 - dx) / scale, (self.y2 - dy) / scale)
    }

    /// True when no coordinate is NaN or infinite.
    pub fn is_finite(self) -> bool {
        self.x1.is_finite() && self.y1.is_finite() && self.x2.is_finite() && self.y2.is_finite()
    }
}

impl Cxcywh {
    /// A box from its centre and size.
    pub const fn new(cx: f32, cy: f32, w: f32, h: f32) -> Self {
        Self { cx, cy, w, h }
    }

    /// A label in fractions of the image, as in YOLO's text files, in pixels of an image of this size.
    pub fn to_pixels(self, image: Size) -> Self {
        let (w, h) = (image.width as f32, image.height as f32);
        Self::new(self.cx * w, self.cy * h, self.w * w, self.h * h)
    }

    /// Pixels of an image of this size as fractions of it.
    pub fn to_fractions(self, image: Size) -> Self {
        let (w, h) = (image.width as f32, image.height as f32);
        Self::new(self.cx / w, self.cy / h, self.w / w, self.h / h)
    }
}

impl From<Cxcywh> for Xyxy {
    fn from(b: Cxcywh) -> Self {
        let (half_w, half_h) = (b.w / 2.0, b.h / 2.0);
        Self::new(b.cx - half_w, b.cy - half_h, b.cx + half_w, b.cy + half_h)
    }
}

impl From<Xyxy> for Cxcywh {
    fn from(b: Xyxy) -> Self {
        Self::new((b.x1 + b.x2) / 2.0, (b.y1 + b.y2) / 2.0, b.x2 - b.x1, b.y2 - b.y1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conversions_are_inverse() {
        let b = Xyxy::new(3.0, 5.0, 11.0, 6.0);
        assert_eq!(Xyxy::from(Cxcywh::from(b)), b);
        assert_eq!(Cxcywh::from(b), Cxcywh::new(7.0, 5.5, 8.0, 1.0));
        let (f, size) = (Cxcywh::new(0.5, 0.25, 0.1, 0.5), Size::new(256, 128));
        assert_eq!(f.to_pixels(Size::new(200, 100)), Cxcywh::new(100.0, 25.0, 20.0, 50.0));
        assert_eq!(f.to_pixels(size).to_fractions(size), f);
    }

    #[test]
    fn iou_of_known_boxes() {
        let a = Xyxy::new(0.0, 0.0, 10.0, 10.0);
        assert!((a.iou(Xyxy::new(0.0, 0.0, 10.0, 5.0)) - 0.5).abs() < 1e-6);
        assert_eq!(a.iou(Xyxy::new(10.0, 0.0, 20.0, 10.0)), 0.0);
        assert_eq!(Xyxy::default().iou(Xyxy::default()), 0.0);
        assert_eq!(Xyxy::new(8.0, 0.0, 12.0, 10.0).covered_by(a), 0.5);
        assert_eq!(Xyxy::new(3.0, 3.0, 3.0, 9.0).covered_by(a), 0.0);
    }

    #[test]
    fn clip_keeps_the_inside() {
        assert_eq!(Xyxy::new(-3.0, 2.0, 900.0, 1e9).clip(Size::new(64, 48)), Xyxy::new(0.0, 2.0, 64.0, 48.0));
        // NaN becomes the border instead of travelling on.
        assert!(Xyxy::new(f32::NAN, 0.0, 1.0, 1.0).clip(Size::new(4, 4)).is_finite());
    }
}
