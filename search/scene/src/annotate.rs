//! Boxes, ignore regions and masks, from what the visible camera's geometry sees.

use caf_contract::IGNORED_LABEL;
use caf_geometry::Size;
use serde::{Deserialize, Serialize};

use super::Class;
use super::model::{NO_INSTANCE, Solid};
use super::object::Object;
use super::pixel::SAMPLES;
use super::raster::{Raster, Seen};

/// Fewer visible pixels than this are an ignore region.
pub const LEAST_PIXELS: u32 = 24;
/// Boxes narrower or lower than this are an ignore region.
pub const LEAST_SIDE_PX: u32 = 4;
/// An object of which a smaller share is visible (of what the image would show without what hides it) is an ignore region.
pub const LEAST_SHARE: f32 = 0.3;
/// Objects with fewer visible pixels than this are left out altogether.
pub const LEAST_TRACE_PIXELS: u32 = 5;

/// A YOLO box: centre and extents relative to the image, each in [0, 1].
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Label {
    /// What it is.
    pub class: Class,
    /// Centre x over image width.
    pub cx: f64,
    /// Centre y over image height.
    pub cy: f64,
    /// Width over image width.
    pub w: f64,
    /// Height over image height.
    pub h: f64,
}

/// An object as the image shows it.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Instance {
    /// Number in [`Rendered::instances`](super::Rendered::instances); the same in every frame of a scene.
    pub number: u16,
    /// What it is.
    pub class: Class,
    /// Pixel box of the visible pixels: left, top, right, bottom; right and bottom are exclusive.
    pub box_px: [u32; 4],
    /// Visible pixels.
    pub pixels: u32,
    /// Visible share of what the image would show of it were nothing in front, 0–1.
    pub visible_share: f32,
    /// Too small, too hidden, or shown by neither image: an ignore region.
    pub ignored: bool,
}

impl Instance {
    /// The box relative to an image of this size.
    #[must_use]
    pub fn label(&self, image: Size) -> Label {
        let [x0, y0, x1, y1] = self.box_px.map(f64::from);
        let (w, h) = (image.width.max(1) as f64, image.height.max(1) as f64);
        Label {
            class: self.class,
            cx: (x0 + x1) / 2.0 / w,
            cy: (y0 + y1) / 2.0 / h,
            w: (x1 - x0) / w,
            h: (y1 - y0) / h,
        }
    }
}

/// Instance number of every pixel, and the objects in sight in order of their numbers.
pub(crate) fn annotate(raster: &Raster, solids: &[Solid], objects: &[Object]) -> (Vec<u16>, Vec<Instance>) {
    let (width, height) = (raster.view.size.width / SAMPLES, raster.view.size.height / SAMPLES);
    let mut map = Vec::with_capacity(width * height);
    let mut samples = vec![0u32; objects.len() + 1];
    let mut found: Vec<Option<([u32; 4], u32)>> = vec![None; objects.len() + 1];
    for y in 0..height {
        for x in 0..width {
            let numbers = pixel_instances(raster, solids, x, y);
            for number in numbers {
                if let Some(count) = samples.get_mut(usize::from(number)) {
                    *count += 1;
                }
            }
            let number = most_frequent(numbers);
            map.push(number);
            let Some(entry) = found.get_mut(usize::from(number)).filter(|_| number != NO_INSTANCE) else { continue };
            let (x, y) = (x as u32, y as u32);
            let ([x0, y0, x1, y1], pixels) = entry.unwrap_or(([x, y, x + 1, y + 1], 0));
            *entry = Some(([x0.min(x), y0.min(y), x1.max(x + 1), y1.max(y + 1)], pixels + 1));
        }
    }
    let mut instances = Vec::new();
    for (index, object) in objects.iter().enumerate() {
        let number = index + 1;
        let Some(&Some((box_px, pixels))) = found.get(number) else { continue };
        let of = |counts: &[u32]| counts.get(number).copied().unwrap_or(0) as f32;
        let visible_share = of(&samples) / of(&raster.alone).max(1.0);
        let [x0, y0, x1, y1] = box_px;
        let small = pixels < LEAST_PIXELS || (x1 - x0).min(y1 - y0) < LEAST_SIDE_PX;
        if pixels >= LEAST_TRACE_PIXELS {
            let ignored = small || visible_share < LEAST_SHARE;
            let class = object.class();
            instances.push(Instance { number: number as u16, class, box_px, pixels, visible_share, ignored });
        }
    }
    (map, instances)
}

fn pixel_instances(raster: &Raster, solids: &[Solid], x: usize, y: usize) -> [u16; SAMPLES * SAMPLES] {
    std::array::from_fn(|i| {
        let at = (y * SAMPLES + i / SAMPLES) * raster.view.size.width + x * SAMPLES + i % SAMPLES;
        match raster.through(at).0 {
            Seen::Solid(index) => solids.get(usize::from(index)).map_or(NO_INSTANCE, |solid| solid.instance),
            Seen::Sky | Seen::Ground => NO_INSTANCE,
        }
    })
}

/// The first of the most frequent, objects before background: thin poles would otherwise fall apart.
fn most_frequent(numbers: [u16; SAMPLES * SAMPLES]) -> u16 {
    let count = |n: u16| numbers.iter().filter(|other| **other == n).count();
    let rank = |n: u16| 2 * count(n) + usize::from(n != NO_INSTANCE);
    numbers.into_iter().reduce(|best, n| if rank(n) > rank(best) { n } else { best }).unwrap_or(NO_INSTANCE)
}

/// Class mask: 0 is background, class id + 1 an object, [`IGNORED_LABEL`] what is an ignore region or too small for one.
pub(crate) fn class_mask(map: &[u16], instances: &[Instance]) -> Vec<u8> {
    let largest = instances.iter().map(|i| usize::from(i.number)).max().unwrap_or(0);
    let mut values = vec![IGNORED_LABEL; largest + 1];
    if let Some(background) = values.first_mut() {
        *background = 0;
    }
    for instance in instances.iter().filter(|i| !i.ignored) {
        if let Some(value) = values.get_mut(usize::from(instance.number)) {
            *value = instance.class.id() as u8 + 1;
        }
    }
    map.iter().map(|n| values.get(usize::from(*n)).copied().unwrap_or(IGNORED_LABEL)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ties_go_to_objects_and_to_the_first() {
        assert_eq!(most_frequent([0, 0, 3, 3]), 3);
        assert_eq!(most_frequent([0, 0, 0, 3]), 0);
        assert_eq!(most_frequent([5, 3, 0, 0]), 5 - 5);
        assert_eq!(most_frequent([5, 5, 3, 3]), 5);
    }

    #[test]
    fn labels_are_relative_to_the_image() {
        let instance = Instance {
            number: 1,
            class: Class::Car,
            box_px: [10, 20, 30, 60],
            pixels: 800,
            visible_share: 1.0,
            ignored: false,
        };
        let label = instance.label(Size::new(100, 200));
        assert_eq!((label.cx, label.cy, label.w, label.h), (0.2, 0.2, 0.2, 0.2));
    }

    #[test]
    fn masks_name_classes_and_blank_what_is_ignored() {
        let one = |number, class, ignored| Instance {
            number,
            class,
            box_px: [0, 0, 1, 1],
            pixels: 1,
            visible_share: 1.0,
            ignored,
        };
        let mask = class_mask(&[0, 1, 2, 3, 9], &[one(1, Class::Person, false), one(3, Class::Sign, true)]);
        assert_eq!(mask, [0, 1, 255, 255, 255]);
    }
}
