use super::*;
use crate::augment::{CropSettings, ScaleShiftSettings};
use caf_geometry::Size;
use caf_image::{Plane, Rgb8};
use rand::{Rng as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;

impl View {
    /// Whether left and right are exchanged.
    pub(crate) fn is_mirrored(&self) -> bool {
        self.scale.0 < 0.0
    }

    /// A box of the target in the source's pixels, not cut: the inverse of [`View::map_box`].
    pub(crate) fn unmap_box(&self, target: Xyxy) -> Xyxy {
        let x = |v: f32| ((f64::from(v) - self.shift.0) / self.scale.0) as f32;
        let y = |v: f32| ((f64::from(v) - self.shift.1) / self.scale.1) as f32;
        let (a, b) = (x(target.x1), x(target.x2));
        Xyxy::new(a.min(b), y(target.y1), a.max(b), y(target.y2))
    }
}

const EVERYTHING: CutRule = CutRule { min_side_px: 0.0, min_area_fraction: 0.0 };

/// A plane with 255 inside a box of whole pixels.
fn object_plane(width: usize, height: usize, bounds: Xyxy) -> Gray8 {
    let mut image = Gray8::filled(Size { width, height }, 0).unwrap();
    for y in bounds.y1 as usize..bounds.y2 as usize {
        for x in bounds.x1 as usize..bounds.x2 as usize {
            image.data_mut()[y * width + x] = 255;
        }
    }
    image
}

/// The smallest box around all pixels of at least `level`.
fn extent(image: &Gray8, level: u8) -> Option<Xyxy> {
    let mut found: Option<Xyxy> = None;
    for (index, _) in image.data().iter().enumerate().filter(|(_, v)| **v >= level) {
        let (x, y) = ((index % image.width()) as f32, (index / image.width()) as f32);
        let b = found.get_or_insert(Xyxy::new(x, y, x + 1.0, y + 1.0));
        *b = Xyxy::new(b.x1.min(x), b.y1.min(y), b.x2.max(x + 1.0), b.y2.max(y + 1.0));
    }
    found
}

fn random_box(width: usize, height: usize, rng: &mut ChaCha8Rng) -> Xyxy {
    let x1 = rng.random_range(0..width - 1);
    let y1 = rng.random_range(0..height - 1);
    let (x2, y2) = (rng.random_range(x1 + 1..=width), rng.random_range(y1 + 1..=height));
    Xyxy::new(x1 as f32, y1 as f32, x2 as f32, y2 as f32)
}

fn worst_edge(a: Xyxy, b: Xyxy) -> f32 {
    [a.x1 - b.x1, a.y1 - b.y1, a.x2 - b.x2, a.y2 - b.y2].into_iter().fold(0.0, |w, d| w.max(d.abs()))
}

#[test]
fn boxes_of_crops_and_mirrors_are_the_extents_of_their_pixels() {
    let mut rng = ChaCha8Rng::seed_from_u64(3);
    let settings = CropSettings { size: Size::new(24, 16), mirror_probability: 0.5, object_probability: 0.0 };
    let (mut inside, mut outside) = (0, 0);
    for _ in 0..300 {
        let bounds = random_box(40, 30, &mut rng);
        let view = settings.draw(Size::new(40, 30), &[], &mut rng).unwrap();
        let seen = extent(&view.render(&object_plane(40, 30, bounds), 0).unwrap(), 255);
        let mapped = view.map_labels(&[Label::from_pixels(5, bounds, Size::new(40, 30))], EVERYTHING).kept;
        match seen {
            Some(seen) => {
                assert_eq!((mapped.len(), mapped[0].class), (1, 5));
                // Labels are relative and in f32: a millionth of the side.
                assert!(worst_edge(mapped[0].to_pixels(Size::new(24, 16)), seen) < 1e-4);
                inside += 1;
            }
            None => {
                assert!(mapped.is_empty(), "{bounds:?} {view:?}");
                outside += 1;
            }
        }
    }
    assert!(inside > 100 && outside > 50, "{inside} {outside}");
}

#[test]
fn boxes_of_scaled_views_are_the_extents_of_their_pixels_within_a_pixel() {
    let mut rng = ChaCha8Rng::seed_from_u64(4);
    let settings = ScaleShiftSettings::default();
    let mut compared = 0;
    for _ in 0..300 {
        let bounds = random_box(60, 40, &mut rng);
        let view = settings.draw(Size::new(60, 40), Size::new(48, 48), &mut rng).unwrap();
        // Covered by half is the pixel's centre inside, so edges are right to half a pixel.
        let seen = extent(&view.render(&object_plane(60, 40, bounds), 0).unwrap(), 128);
        let mapped = view.map_labels(&[Label::from_pixels(0, bounds, Size::new(60, 40))], CutRule::default()).kept;
        if let (Some(seen), Some(label)) = (seen, mapped.first()) {
            let error = worst_edge(label.to_pixels(Size::new(48, 48)), seen);
            assert!(error <= 0.75, "{error} {bounds:?} {view:?}");
            compared += 1;
        }
    }
    assert!(compared > 150, "{compared}");
}

#[test]
fn float_and_byte_images_move_alike() {
    let mut rng = ChaCha8Rng::seed_from_u64(5);
    let bytes: Vec<u8> = (0..33 * 21).map(|_| rng.random()).collect();
    let plane = Plane::new(Size::new(33, 21), bytes.iter().map(|&v| f32::from(v)).collect()).unwrap();
    let rgb = Rgb8::new(Size::new(33, 21), bytes.iter().flat_map(|&v| [v; 3]).collect()).unwrap();
    for _ in 0..20 {
        let view = ScaleShiftSettings::default().draw(Size::new(33, 21), Size::new(32, 32), &mut rng).unwrap();
        let (float, byte) = (view.render(&plane, 114.0).unwrap(), view.render(&rgb, 114).unwrap());
        for (a, b) in float.data().iter().zip(byte.pixels()) {
            assert!((a - f32::from(b[1])).abs() <= 0.5 && b[0] == b[2]);
        }
    }
}

#[test]
fn a_scaled_ramp_stays_the_ramp() {
    // Bilinear sampling keeps a linear image linear away from its edges: value = x of the pixel centre.
    let ramp = Plane::new(Size::new(64, 64), (0..64 * 64).map(|i| (i % 64) as f32 + 0.5).collect()).unwrap();
    for scale in [0.2, 0.5, 0.7, 1.0, 1.9] {
        let view = View::centred(Size::new(64, 64), Size::new(20, 20), scale, (0.3, 0.0)).unwrap();
        let seen = view.render(&ramp, -1000.0).unwrap();
        for x in 6..14 {
            let expected = view.unmap_box(Xyxy::new(x as f32 + 0.5, 0.0, x as f32 + 0.5, 0.0)).x1;
            let found = seen.pixel(x, 10).unwrap()[0];
            assert!((found - expected).abs() < 1e-3, "scale {scale}, column {x}: {found} {expected}");
        }
    }
}

#[test]
fn the_border_fills_what_the_source_does_not_reach() {
    let image = Gray8::filled(Size::new(10, 10), 7).unwrap();
    let view = View::centred(Size::new(10, 10), Size::new(20, 20), 1.0, (0.0, 0.0)).unwrap();
    let seen = view.render(&image, BORDER).unwrap();
    assert_eq!(seen.data().iter().filter(|&&v| v == 7).count(), 100);
    assert_eq!(seen.data().iter().filter(|&&v| v == BORDER).count(), 300);
    assert_eq!(
        extent(&Gray8::new(Size::new(20, 20), seen.data().iter().map(|&v| u8::from(v == 7)).collect()).unwrap(), 1),
        Some(Xyxy::new(5.0, 5.0, 15.0, 15.0))
    );
}

#[test]
fn masks_move_with_the_images_without_mixing_ids() {
    let mut rng = ChaCha8Rng::seed_from_u64(6);
    let ids: Vec<u8> = (0..33 * 21).map(|_| rng.random_range(0..9)).collect();
    let source = Gray8::new(Size::new(33, 21), ids).unwrap();
    for _ in 0..40 {
        let view = ScaleShiftSettings::default().draw(Size::new(33, 21), Size::new(40, 32), &mut rng).unwrap();
        let seen = view.render_mask(&source).unwrap();
        for (i, &id) in seen.data().iter().enumerate() {
            // By the inverse of the box mapping, which is another path through the same equation.
            let centre = ((i % 40) as f32 + 0.5, (i / 40) as f32 + 0.5);
            let at = view.unmap_box(Xyxy::new(centre.0, centre.1, centre.0, centre.1));
            let on_an_edge = |v: f32| (v - v.round()).abs() < 1e-4;
            if on_an_edge(at.x1) || on_an_edge(at.y1) {
                continue;
            }
            let inside = at.x1 > 0.0 && at.y1 > 0.0 && at.x1 < 33.0 && at.y1 < 21.0;
            let expected =
                if inside { source.pixel(at.x1 as usize, at.y1 as usize).unwrap()[0] } else { IGNORED_LABEL };
            assert_eq!(id, expected, "pixel {i} of {view:?}");
        }
    }
    assert!(View::crop(Size::new(33, 20), 0, 0, Size::new(4, 4)).unwrap().render_mask(&source).is_err());
}

#[test]
fn mirroring_twice_is_the_view_itself() {
    let view = View::crop(Size::new(20, 10), 3, 2, Size::new(8, 6)).unwrap();
    assert_eq!(view.mirrored().mirrored(), view);
    let image = Gray8::new(Size::new(20, 10), (0..200).collect()).unwrap();
    let (plain, mirrored) = (view.render(&image, 0).unwrap(), view.mirrored().render(&image, 0).unwrap());
    for (row, turned) in plain.data().chunks(8).zip(mirrored.data().chunks(8)) {
        assert!(row.iter().eq(turned.iter().rev()));
    }
    assert_eq!(plain.pixel(0, 0), Some([43]));
}

#[test]
fn cut_boxes_become_remainders_by_the_rule() {
    let view = View::crop(Size::new(100, 100), 50, 0, Size::new(50, 100)).unwrap();
    let label = |x1, x2| Label::from_pixels(0, Xyxy::new(x1, 10.0, x2, 30.0), Size::new(100, 100));
    // Inside: all; 15 of 20 columns; 2 of 40 columns (5 %); 1 of 5 columns (under 2 px); none.
    let labels = [label(60.0, 80.0), label(45.0, 65.0), label(12.0, 52.0), label(46.0, 51.0), label(0.0, 50.0)];
    let cut = view.map_labels(&labels, CutRule::default());
    assert_eq!((cut.kept.len(), cut.remainders.len()), (2, 2), "{cut:?}");
    assert!(worst_edge(cut.kept[1].to_pixels(Size::new(50, 100)), Xyxy::new(0.0, 10.0, 15.0, 30.0)) < 1e-3);
    assert!(worst_edge(cut.remainders[0].to_pixels(Size::new(50, 100)), Xyxy::new(0.0, 10.0, 2.0, 30.0)) < 1e-3);
}

#[test]
fn a_whole_sample_moves_together() {
    let object = Xyxy::new(4.0, 4.0, 12.0, 12.0);
    let mut plane = Plane::filled(Size::new(16, 16), 0.0).unwrap();
    plane.data_mut().iter_mut().zip(object_plane(16, 16, object).data()).for_each(|(p, m)| *p = f32::from(*m) / 255.0);
    let rgb = object_plane(16, 16, object).data().iter().flat_map(|&v| [v; 3]).collect();
    let sample = Sample {
        name: "a".into(),
        ir: plane,
        vi: Rgb8::new(Size::new(16, 16), rgb).unwrap(),
        vi_is_gray: true,
        labels: vec![
            Label::from_pixels(1, object, Size::new(16, 16)),
            Label::from_pixels(2, Xyxy::new(0.0, 0.0, 9.0, 1.0), Size::new(16, 16)),
        ],
        ignore: vec![Label::from_pixels(0, Xyxy::new(0.0, 0.0, 16.0, 9.0), Size::new(16, 16))],
        mask: Some(object_plane(16, 16, object)),
    };
    let seen = View::crop(Size::new(16, 16), 8, 0, Size::new(8, 16))
        .unwrap()
        .mirrored()
        .apply(&sample, CutRule::default())
        .unwrap();
    assert_eq!(
        extent(&Gray8::new(Size::new(8, 16), seen.ir.data().iter().map(|&v| (v * 255.0) as u8).collect()).unwrap(), 1),
        Some(Xyxy::new(4.0, 4.0, 8.0, 12.0))
    );
    assert_eq!(extent(seen.mask.as_ref().unwrap(), 1), Some(Xyxy::new(4.0, 4.0, 8.0, 12.0)));
    assert_eq!(seen.labels.len(), 1);
    assert!(worst_edge(seen.labels[0].to_pixels(Size::new(8, 16)), Xyxy::new(4.0, 4.0, 8.0, 12.0)) < 1e-4);
    assert_eq!(seen.ignore.len(), 2, "its own region and the sliver of the second object");
    assert!(View::crop(Size::new(15, 16), 0, 0, Size::new(8, 8)).unwrap().apply(&sample, CutRule::default()).is_err());
}

#[test]
fn impossible_views_are_refused() {
    assert!(matches!(View::crop(Size::new(10, 10), 5, 0, Size::new(6, 4)), Err(DataError::Shape { .. })));
    assert!(matches!(View::crop(Size::new(10, 10), usize::MAX, 0, Size::new(6, 4)), Err(DataError::Shape { .. })));
    assert!(matches!(View::crop(Size::new(10, 10), 0, 0, Size::new(0, 4)), Err(DataError::Shape { .. })));
    assert!(matches!(View::centred(Size::new(10, 10), Size::new(0, 4), 1.0, (0.0, 0.0)), Err(DataError::Shape { .. })));
    for scale in [0.0, -1.0, f64::NAN, f64::INFINITY] {
        assert!(matches!(
            View::centred(Size::new(10, 10), Size::new(4, 4), scale, (0.0, 0.0)),
            Err(DataError::Setting { .. })
        ));
    }
    let view = View::crop(Size::new(10, 10), 0, 0, Size::new(4, 4)).unwrap();
    let mut wrong = Gray8::filled(Size::new(5, 4), 0).unwrap();
    assert!(matches!(
        view.render_into(&Gray8::filled(Size::new(10, 10), 0).unwrap(), 0, &mut wrong),
        Err(DataError::Shape { .. })
    ));
    assert!(matches!(view.render(&Gray8::filled(Size::new(9, 10), 0).unwrap(), 0), Err(DataError::Shape { .. })));
}
