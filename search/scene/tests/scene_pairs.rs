//! What rendered pairs promise: the same bytes again, exact annotation, and objects that one camera alone shows.

// Helpers of tests may fail loudly too.
#![allow(clippy::unwrap_used, reason = "helpers of tests stop at the line that fails")]

use caf_geometry::Size;
use caf_scene::{
    Class, Condition, Contrast, IGNORED_LABEL, LEAST_SHARE, Rendered, SEEN_FROM, Scene, SceneSpec, contrasts,
    offset_rig,
};
use rayon::prelude::*;

fn spec(seed: u64, condition: Option<Condition>) -> SceneSpec {
    SceneSpec { seed, size: Size::new(192, 144), condition, rig: None }
}

fn pair(seed: u64, condition: Option<Condition>) -> Rendered {
    Scene::generate(&spec(seed, condition)).unwrap().render(0.0)
}

/// Contrasts of all labelled objects in `count` scenes of each condition, with the condition.
fn survey(conditions: &[Condition], count: u64) -> Vec<(Condition, Contrast)> {
    let scenes: Vec<_> = conditions.iter().flat_map(|c| (1000..1000 + count).map(|seed| (*c, seed))).collect();
    let measured = scenes.into_par_iter().flat_map_iter(|(condition, seed)| {
        contrasts(&pair(seed, Some(condition))).into_iter().map(move |c| (condition, c))
    });
    measured.collect()
}

/// Below this many levels an object is lost in a camera.
const LOST_BELOW: f64 = 10.0;

/// Seen in the infrared and lost in the visible.
fn is_infrared_only(c: &Contrast) -> bool {
    c.ir >= SEEN_FROM && c.vi < LOST_BELOW
}

/// Seen in the visible and lost in the infrared.
fn is_visible_only(c: &Contrast) -> bool {
    c.vi >= SEEN_FROM && c.ir < LOST_BELOW
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut sorted: Vec<f64> = values.collect();
    sorted.sort_by(f64::total_cmp);
    sorted[sorted.len() / 2]
}

#[test]
fn a_scene_is_the_same_to_the_bit_on_every_run() {
    for condition in Condition::ALL {
        let first = Scene::generate(&spec(5, Some(condition))).unwrap();
        let second = Scene::generate(&spec(5, Some(condition))).unwrap();
        // Rendering is free of memory: what was rendered before does not matter.
        let _ = second.render(1.0);
        assert_eq!(first.render(0.4), second.render(0.4));
        assert_ne!(first.render(0.4).vi, pair(6, Some(condition)).vi);
    }
    let drawn = Scene::generate(&spec(9, None)).unwrap();
    assert_eq!(drawn.render(0.0), pair(9, Some(drawn.condition())), "naming the drawn condition changes nothing");
}

#[test]
fn boxes_and_masks_are_the_extents_of_the_pixels() {
    let pairs: Vec<Rendered> = (0..30u64).into_par_iter().map(|seed| pair(seed, None)).collect();
    let (mut labels, mut ignored) = (0, 0);
    for pair in &pairs {
        let [width, height] = pair.vi_size.wh().map(|side| side as u32);
        assert_eq!((pair.vi.len(), pair.ir.len()), (3 * (width * height) as usize, (width * height) as usize));
        for object in &pair.objects {
            let (mut x0, mut y0, mut x1, mut y1, mut pixels) = (u32::MAX, u32::MAX, 0, 0, 0);
            for (i, number) in pair.instances.iter().enumerate() {
                if *number == object.number {
                    let (x, y) = (i as u32 % width, i as u32 / width);
                    (x0, y0, x1, y1, pixels) = (x0.min(x), y0.min(y), x1.max(x + 1), y1.max(y + 1), pixels + 1);
                    let expected = if object.ignored { IGNORED_LABEL } else { object.class.id() as u8 + 1 };
                    assert_eq!(pair.mask[i], expected);
                }
            }
            assert_eq!((object.box_px, object.pixels), ([x0, y0, x1, y1], pixels));
            assert!(object.ignored || object.visible_share >= LEAST_SHARE);
            assert!(object.visible_share > 0.0 && object.visible_share <= 1.0, "{object:?}");
            let label = object.label(pair.vi_size);
            let listed = if object.ignored { &pair.ignore } else { &pair.labels };
            assert!(listed.contains(&label));
            // Half a thousandth of a pixel.
            let left = (label.cx - label.w / 2.0) * f64::from(width);
            assert!((left - f64::from(x0)).abs() < 5e-4);
        }
        labels += pair.labels.len();
        ignored += pair.ignore.len();
        assert_eq!(pair.labels.len() + pair.ignore.len(), pair.objects.len());
    }
    println!("{} pairs, {labels} labels, {ignored} ignore regions", pairs.len());
    assert!(labels > 150 && ignored > 10, "{labels} {ignored}");
    assert!(pairs.iter().flat_map(|p| &p.objects).any(|o| o.visible_share < 0.9), "something hides something");
}

#[test]
fn people_at_night_are_bright_in_the_infrared_and_often_lost_in_the_visible() {
    let people: Vec<Contrast> = survey(&[Condition::Night], 60).into_iter().map(|(_, c)| c).collect();
    let people: Vec<&Contrast> = people.iter().filter(|c| c.class == Class::Person).collect();
    let warm = people.iter().filter(|c| c.ir_difference > 0.0).count();
    let lost = people.iter().filter(|c| is_infrared_only(c)).count();
    let (ir, vi) = (median(people.iter().map(|c| c.ir)), median(people.iter().map(|c| c.vi)));
    println!(
        "{} people, {warm} brighter than around, {lost} in the infrared only; medians {ir:.1} {vi:.1}",
        people.len()
    );
    assert!(people.len() > 50 && warm * 20 >= people.len() * 19);
    assert!(lost * 10 >= people.len() && ir > 2.0 * vi);
    // Somebody behind the glass of a bus shelter is the exception.
    let behind_glass = people.iter().filter(|c| is_visible_only(c)).count();
    assert!(behind_glass * 20 <= people.len(), "{behind_glass}");
}

#[test]
fn by_day_the_infrared_loses_people_to_warm_streets() {
    let people: Vec<Contrast> = survey(&[Condition::Day], 60).into_iter().map(|(_, c)| c).collect();
    let people: Vec<&Contrast> = people.iter().filter(|c| c.class == Class::Person).collect();
    let dark = people.iter().filter(|c| c.ir_difference < 0.0).count();
    let lost = people.iter().filter(|c| is_visible_only(c)).count();
    let seen = people.iter().filter(|c| c.vi >= SEEN_FROM).count();
    println!("{} people, {dark} darker than around, {lost} in the visible only, {seen} in the visible", people.len());
    assert!(people.len() > 100 && dark * 10 >= people.len() && lost * 20 >= people.len());
    assert!(seen * 10 >= people.len() * 9);
}

#[test]
fn signs_are_bright_in_the_visible_and_faint_in_the_infrared() {
    let signs = survey(&[Condition::Day, Condition::Night, Condition::Tunnel], 25);
    let signs: Vec<Contrast> = signs.into_iter().map(|(_, c)| c).filter(|c| c.class == Class::Sign).collect();
    let faint = signs.iter().filter(|c| is_visible_only(c)).count();
    let (ir, vi) = (median(signs.iter().map(|c| c.ir)), median(signs.iter().map(|c| c.vi)));
    println!("{} signs, {faint} in the visible only; medians {ir:.1} {vi:.1}", signs.len());
    assert!(signs.len() > 60 && faint * 3 >= signs.len() && vi > 2.5 * ir);
}

#[test]
fn every_class_occurs_and_is_sometimes_shown_by_one_camera_alone() {
    let all = survey(&Condition::ALL, 40);
    for class in Class::ALL {
        let of: Vec<&Contrast> = all.iter().map(|(_, c)| c).filter(|c| c.class == class).collect();
        let infrared = of.iter().filter(|c| is_infrared_only(c)).count();
        let visible = of.iter().filter(|c| is_visible_only(c)).count();
        println!("{:<8} {:>4} objects, {infrared} infrared only, {visible} visible only", class.name(), of.len());
        assert!(of.len() >= 60, "{} {}", class.name(), of.len());
        assert!(visible >= 3 && infrared >= 3, "{} {infrared} {visible}", class.name());
    }
    // About half of the objects in half of the scenes are hard in one camera: fog and darkness for the visible one.
    let hard = all.iter().filter(|(_, c)| c.ir.min(c.vi) < 20.0 && c.ir.max(c.vi) >= 20.0).count();
    println!("{hard} of {} objects are below 20 levels in one camera and above in the other", all.len());
    assert!(hard * 4 >= all.len(), "{hard} of {}", all.len());
}

#[test]
fn what_drives_towards_us_grows_and_nothing_jumps() {
    let (mut followed, mut moved) = (0, 0);
    for seed in 0..24 {
        let scene = Scene::generate(&spec(seed, Some(Condition::Day))).unwrap();
        let frames: Vec<Rendered> = (0..5).into_par_iter().map(|i| scene.render(f64::from(i) * 0.3)).collect();
        for object in &frames[0].objects {
            if !matches!(object.class, Class::Car | Class::Truck) {
                continue;
            }
            let find = |frame: &Rendered| frame.objects.iter().find(|o| o.number == object.number).copied();
            let track: Vec<_> = frames.iter().filter_map(find).collect();
            let inside = |b: [u32; 4]| b[0] > 0 && b[1] > 0 && b[2] < 192 && b[3] < 144;
            if track.len() < frames.len() || track.iter().any(|o| !inside(o.box_px) || o.visible_share < 0.98) {
                continue;
            }
            followed += 1;
            let heights: Vec<i64> = track.iter().map(|o| i64::from(o.box_px[3]) - i64::from(o.box_px[1])).collect();
            let change = heights[4] - heights[0];
            moved += i32::from(change.abs() >= 2);
            for pair in heights.windows(2) {
                let step = (pair[1] - pair[0]) * if change < 0 { -1 } else { 1 };
                // A pixel of rounding at each edge.
                assert!((-1..20).contains(&step), "seed {seed}: {heights:?}");
            }
        }
    }
    println!("{followed} vehicles followed, {moved} grew or shrank by two pixels or more");
    assert!(followed >= 8 && moved >= 4);
}

#[test]
fn an_infrared_image_of_another_time_or_place_is_another() {
    let seed = 3;
    let scene = Scene::generate(&spec(seed, Some(Condition::Day))).unwrap();
    let (together, apart) = (scene.render(0.5), scene.render_skewed(0.5, 0.8));
    assert_eq!(together.vi, apart.vi);
    assert_eq!(apart.ir, scene.render(0.8).ir);
    let rig = offset_rig(Size::new(192, 144));
    let offset =
        Scene::generate(&SceneSpec { rig: Some(rig), ..spec(seed, Some(Condition::Day)) }).unwrap().render(0.5);
    assert_eq!(offset.vi, together.vi, "the visible camera is the same");
    assert_ne!(offset.ir, together.ir);
}

#[test]
fn sizes_and_rigs_that_do_not_fit_are_refused() {
    for (width, height) in [(0, 96), (31, 96), (96, 5000)] {
        assert!(Scene::generate(&SceneSpec { size: Size { width, height }, ..spec(1, None) }).is_err());
    }
    let error = Scene::generate(&SceneSpec { rig: Some(offset_rig(Size::new(96, 72))), ..spec(1, None) }).unwrap_err();
    assert!(error.to_string().contains("expected 192x144 pixels, found 96x72"), "{error}");
    let mut rig = offset_rig(Size::new(192, 144));
    rig.infrared.fx_px = -1.0;
    assert!(Scene::generate(&SceneSpec { rig: Some(rig), ..spec(1, None) }).is_err());
}
