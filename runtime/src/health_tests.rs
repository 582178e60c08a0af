//! Images of sensors that fail, and of some that only look odd.

use super::*;
use caf_geometry::Size;

const SIZE: Size = Size::new(97, 61);
const MS: i64 = 1_000_000;

/// A number that looks random, the same on every machine.
fn noise(seed: u64) -> u64 {
    let mut x = seed.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    x ^= x >> 30;
    x = x.wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x ^ (x >> 27)
}

fn look8(value: impl Fn(usize) -> u8) -> Look {
    let bytes: Vec<u8> = (0..SIZE.width * SIZE.height).map(value).collect();
    Look::at(&ImageView::new(&bytes, SIZE, SIZE.width, PixelFormat::Gray8).unwrap())
}

fn look16(value: impl Fn(usize) -> u16) -> Look {
    let bytes: Vec<u8> = (0..SIZE.width * SIZE.height).flat_map(|i| value(i).to_le_bytes()).collect();
    Look::at(&ImageView::new(&bytes, SIZE, SIZE.width * 2, PixelFormat::Gray16Le).unwrap())
}

/// A scene: a slope with a bright spot and noise, other noise in every image.
fn scene(image: u64) -> Look {
    look8(|i| (40 + i % 97 + (noise(image * 10_000 + i as u64) % 5) as usize) as u8)
}

fn wide_scene(image: u64, spread: u64) -> Look {
    look16(|i| (7000 + i as u64 % 97 * spread / 97 + noise(image * 10_000 + i as u64) % 8) as u16)
}

/// Faults after each image, 33 ms apart.
fn judged(health: &mut Health, begin_ms: i64, looks: impl IntoIterator<Item = Look>) -> Vec<Option<Fault>> {
    let mut now = begin_ms * MS;
    let mut see = |look: Look| {
        now += 33 * MS;
        assert_eq!(health.see(&look, false, now), health.fault().is_none());
        health.fault()
    };
    looks.into_iter().map(&mut see).collect()
}

#[test]
fn a_look_agrees_with_a_look_at_every_pixel() {
    // Sixty-one rows are looked at every second one and 97 columns every fourth: counted here by the definition.
    let value = |i: usize| (noise(i as u64) % 256) as u8;
    let mut seen: Vec<u8> = vec![];
    for y in (1..61).step_by(2) {
        seen.extend((2..97).step_by(4).map(|x| value(y * 97 + x)));
    }
    seen.sort_unstable();
    let look = look8(value);
    let at = |percent: usize| u16::from(seen[seen.len() * percent / 100]);
    assert_eq!(look.percentiles, [at(1), at(10), at(99)]);
    let clipped = seen.iter().filter(|v| **v <= 8 || **v >= 250).count() as f32 / seen.len() as f32;
    assert_eq!(look.clipped, clipped);
    // One bit of one byte of a row that is looked at.
    assert_ne!(look8(|i| value(i) ^ u8::from(i == 97 + 50)).checksum, look.checksum);
    // Padding between rows is not looked at.
    let rows = |padding: u8| -> Vec<u8> {
        (0..61).flat_map(|y| (0..100).map(move |x| if x < 97 { value(y * 97 + x) } else { padding })).collect()
    };
    let padded = rows(1);
    assert_eq!(Look::at(&ImageView::new(&padded, SIZE, 100, PixelFormat::Gray8).unwrap()), look);
}

#[test]
fn images_of_every_size_and_format_are_looked_at() {
    for format in [PixelFormat::Gray8, PixelFormat::Gray16Le, PixelFormat::GrayF32Le, PixelFormat::Rgb8] {
        for (width, height) in [(1, 1), (2, 1), (1, 31), (32, 32), (33, 33), (64, 7), (641, 481)] {
            let bytes = vec![100; width * height * format.bytes()];
            let view = ImageView::new(&bytes, Size::new(width, height), width * format.bytes(), format).unwrap();
            let look = Look::at(&view);
            let expected = match format {
                PixelFormat::Gray8 | PixelFormat::Rgb8 => 100,
                PixelFormat::Gray16Le => 100 * 257,
                PixelFormat::GrayF32Le => 0,
            };
            assert_eq!(look.percentiles, [expected; 3], "{format:?} {width}x{height}");
        }
    }
}

#[test]
fn what_a_failing_sensor_shows_is_named_with_its_second_image_and_over_with_the_third_good_one() {
    let red = {
        let bytes: Vec<u8> = (0..97 * 61).flat_map(|i| [255, (i % 6) as u8 + 250, 255]).collect();
        Look::at(&ImageView::new(&bytes, SIZE, 97 * 3, PixelFormat::Rgb8).unwrap())
    };
    type Images = Box<dyn Fn(u64) -> Look>;
    let bad: [(Camera, Fault, Images); 8] = [
        (Camera::Visible, Fault::Black, Box::new(|n| look8(|i| (noise(n * 9999 + i as u64) % 8) as u8))),
        (Camera::Infrared, Fault::Black, Box::new(|n| look16(|i| (noise(n * 9999 + i as u64) % 60) as u16))),
        (Camera::Visible, Fault::Saturated, Box::new(move |n| Look { checksum: n, ..red })),
        (Camera::Infrared, Fault::Saturated, Box::new(|n| Look { checksum: n, ..look16(|_| 16_383) })),
        (
            Camera::Visible,
            Fault::Exposure,
            Box::new(|n| look8(|i| if noise(n * 9999 + i as u64).is_multiple_of(2) { 3 } else { 253 })),
        ),
        (Camera::Visible, Fault::Exposure, Box::new(|n| look8(|i| 128 + (noise(n * 9999 + i as u64) % 2) as u8))),
        (Camera::Infrared, Fault::Shutter, Box::new(|n| look8(|i| 128 + (noise(n * 9999 + i as u64) % 2) as u8))),
        (Camera::Infrared, Fault::Shutter, Box::new(|n| look16(|i| 7400 + (noise(n * 9999 + i as u64) % 8) as u16))),
    ];
    for (camera, fault, image) in bad {
        let mut health = Health::new(camera);
        assert_eq!(judged(&mut health, 0, (0..20).map(scene)), [None; 20]);
        let f = Some(fault);
        assert_eq!(judged(&mut health, 660, (0..4).map(&image)), [None, f, f, f], "{camera:?} {fault:?}");
        assert_eq!(judged(&mut health, 800, (20..24).map(scene)), [f, f, None, None]);
        // A single one is passed over, and so is a single good one among bad ones.
        assert_eq!(judged(&mut health, 900, [image(9), scene(30), image(10), scene(31)]), [None; 4]);
        let mixed = [image(11), image(12), scene(32), scene(33), image(13), scene(34), scene(35), scene(36)];
        assert_eq!(judged(&mut health, 999, mixed), [None, f, f, f, f, f, f, None]);
    }
}

#[test]
fn scenes_that_only_look_odd_are_no_faults() {
    let night = |n: u64| look8(|i| if i % 97 > 90 { 200 } else { (noise(n * 9999 + i as u64) % 6) as u8 });
    let snow = |n: u64| look8(|i| if i % 97 > 80 { 180 } else { 250 + (noise(n * 9999 + i as u64) % 6) as u8 });
    // 20 mK of noise and half a kelvin of scene.
    let fog = |n: u64| wide_scene(n, 50);
    for looks in [(0..40).map(night).collect::<Vec<_>>(), (0..40).map(snow).collect(), (0..40).map(fog).collect()] {
        for camera in Camera::BOTH {
            assert!(judged(&mut Health::new(camera), 0, looks.clone()).iter().all(Option::is_none));
        }
    }
}

#[test]
fn a_frozen_camera_is_known_by_its_third_image_and_one_that_repeats_by_habit_is_not() {
    let mut health = Health::new(Camera::Visible);
    assert_eq!(judged(&mut health, 0, (0..20).map(scene)), [None; 20]);
    let frozen = Some(Fault::Frozen);
    assert_eq!(judged(&mut health, 660, [scene(19); 4]), [None, frozen, frozen, frozen]);
    assert_eq!(judged(&mut health, 2800, (20..24).map(scene)), [frozen, frozen, None, None]);
    // Nine images a second, delivered as 30: each three or four times.
    let mut slow = Health::new(Camera::Infrared);
    let images: Vec<Look> = (0..40).flat_map(|n| vec![scene(n); if n % 3 == 0 { 4 } else { 3 }]).collect();
    let faults = judged(&mut slow, 0, images);
    let settled = faults.iter().rposition(Option::is_some).unwrap();
    assert!(settled < 30, "a second at 30 images: {settled}");
    // When it really freezes it takes as many images longer.
    let faults = judged(&mut slow, 9000, vec![scene(39); 10]);
    let noticed = faults.iter().position(Option::is_some).unwrap();
    assert!(noticed <= 5, "{faults:?}");
}

#[test]
fn a_shutter_with_noise_is_known_by_the_usual_spread_and_a_lasting_one_is_a_scene() {
    let mut health = Health::new(Camera::Infrared);
    assert!(judged(&mut health, 0, (0..30).map(|n| wide_scene(n, 900))).iter().all(Option::is_none));
    // Noise of twenty counts on one temperature: not flat by itself.
    let closed = |n: u64| look16(|i| 7400 + (noise(n * 9999 + i as u64) % 40) as u16);
    let mut alone = Health::new(Camera::Infrared);
    assert!(judged(&mut alone, 0, (0..30).map(closed)).iter().all(Option::is_none));
    let shutter = Some(Fault::Shutter);
    assert_eq!(judged(&mut health, 1000, (0..5).map(closed)), [None, shutter, shutter, shutter, shutter]);
    assert_eq!(judged(&mut health, 1200, (30..34).map(|n| wide_scene(n, 900))), [shutter, shutter, None, None]);
    // 150 images are five seconds.
    let faults = judged(&mut health, 2000, (40..190).map(closed));
    assert_eq!((faults[1], faults[149]), (shutter, None));
    let lasted = faults.iter().filter(|f| f.is_some()).count() as i64 * 33;
    assert!((2900..3200).contains(&lasted), "{lasted} ms");
}

#[test]
fn one_late_frame_is_passed_over_and_two_put_a_camera_out() {
    let mut health = Health::new(Camera::Visible);
    let mut see = |image: u64, late: bool| {
        health.see(&scene(image), late, image as i64 * 33 * MS);
        health.fault()
    };
    let lates = [false, true, false, true, true, false, false, false].into_iter();
    let faults: Vec<_> = (0..).zip(lates).map(|(image, late)| see(image, late)).collect();
    let late = Some(Fault::Late);
    assert_eq!(faults, [None, None, None, None, late, late, late, None]);
}

#[test]
fn a_camera_that_was_away_is_good_after_three_images() {
    let mut health = Health::new(Camera::Visible);
    assert_eq!(judged(&mut health, 0, (0..3).map(scene)), [None; 3]);
    health.set_absent(Fault::Lost);
    let lost = Some(Fault::Lost);
    assert_eq!(health.fault(), lost);
    assert_eq!(judged(&mut health, 99, (3..7).map(scene)), [lost, lost, None, None]);
}

#[test]
fn a_camera_may_be_bad_for_as_long_as_it_likes() {
    let mut health = Health::new(Camera::Visible);
    health.bad = u32::MAX;
    assert_eq!(judged(&mut health, 0, [look8(|_| 0)]), [Some(Fault::Black)]);
    assert_eq!(health.bad, u32::MAX);
}
