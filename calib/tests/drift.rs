//! A rig that moves is found out: that, by how much, and since when. One that holds is not.

#![allow(clippy::unwrap_used, reason = "the file is tests throughout")]

mod common;

use std::path::Path;

use caf_calib::{CalibError, Drift, DriftSettings, Look, Settings, Shot, Watch, drift, find, list};
use caf_geometry::Size;
use caf_image::folder::Pair;
use caf_image::resample::{Axis, render};
use caf_image::{IrRange, Plane, color, read_ir, read_vi};
use caf_rig::{Geometry, Latency, PlaneRig};
use common::{IR, Scene, VI, shots, truth};
use rand::SeedableRng as _;
use rand::seq::SliceRandom as _;
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;

const SETTINGS: DriftSettings = DriftSettings { stretch: 5, false_alarm: 0.01, scenes_px: 0.3, seed: 1 };

/// The cameras' rig, known exactly.
fn exact() -> Geometry {
    let rig =
        PlaneRig { visible: VI, infrared: IR, vis_from_ir: truth(), latency_ms: Latency::default(), measured: None };
    Geometry::Plane(Box::new(rig))
}

/// Forty pairs of other scenes than those of `shots`; what the infrared camera shows is moved by `of` each pair.
fn recording(of: impl Fn(u64) -> ([f64; 2], f64)) -> Vec<Shot> {
    let shot = |i: u64| {
        let (scene, (shift, turn_deg)) = (Scene::new(1000 + i), of(i));
        Shot::new(&format!("p{i:02}"), scene.infrared_after(shift, turn_deg), scene.visible(&truth()))
    };
    (0..40).map(shot).collect()
}

fn watched(rig: &Geometry, shots: &[Shot], settings: &DriftSettings) -> Result<Drift, CalibError> {
    let watch = Watch::new(rig, None, Some(0.0)).unwrap();
    let looks: Vec<_> = shots.iter().map(|shot| watch.look(shot).unwrap()).collect();
    drift(&watch, &looks, settings, |places| Ok(places.iter().map(|place| shots[*place].clone()).collect()))
}

#[test]
fn a_rig_that_holds_raises_no_alarm() {
    let still = recording(|_| ([0.0; 2], 0.0));
    let measured =
        Geometry::Plane(Box::new(find(&shots(6), &Settings { scale: None, least_pairs: 4 }, "").unwrap().rig));
    for rig in [exact(), measured] {
        let found = watched(&rig, &still, &SETTINGS).unwrap();
        assert!(found.holds && found.since.is_none() && found.probability.unwrap() > 0.01, "{found:?}");
        assert!(found.offset.corners_px < 0.6 && found.pairs == 40 && found.stretches.len() == 8, "{found:?}");
    }
}

#[test]
fn a_knock_is_found_with_its_pair_and_its_size() {
    for (shift, turn_deg, at) in
        [([2.0, 0.0], 0.0, 22), ([-3.0, 4.0], 0.0, 13), ([0.0, 0.0], 0.8, 27), ([1.0, -1.5], -0.5, 18)]
    {
        let knocked = recording(|i| if i < at { ([0.0; 2], 0.0) } else { (shift, turn_deg) });
        let found = watched(&exact(), &knocked, &SETTINGS).unwrap();
        let since = found.since.as_ref().unwrap();
        println!("{shift:?} {turn_deg} {at}: {since:?} {:?} {:?}", found.offset, found.probability);
        assert!(!found.holds && !since.may_be_older, "{found:?}");
        assert!((since.earliest.index..=since.latest.index).contains(&(at as usize)), "{since:?}");
        assert!(since.pair.index.abs_diff(at as usize) <= 1 && since.pair.name == format!("p{:02}", since.pair.index));
        let off = [0, 1].map(|axis| found.offset.shift_px[axis] - shift[axis]);
        let turned_px = (found.offset.turn_deg - turn_deg).to_radians() * 128.0;
        let error = off[0].hypot(off[1]).hypot(turned_px);
        // Within three of the deviations that are stated.
        assert!(error < 3.0 * found.offset.deviation_px && found.offset.deviation_px < 0.5, "{error} {found:?}");
    }
}

#[test]
fn a_mount_that_gives_way_slowly_is_found() {
    let sinking = recording(|i| ([0.0, 0.2 * i.saturating_sub(10) as f64], 0.0));
    let found = watched(&exact(), &sinking, &SETTINGS).unwrap();
    let since = found.since.as_ref().unwrap();
    println!("{since:?} {:?}", found.offset);
    // A drift has no first pair; the one named lies in it, and the offset is the mean since then.
    assert!(!found.holds && (11..35).contains(&since.pair.index), "{found:?}");
    let mean = (since.pair.index..40).map(|i| 0.2 * (i as f64 - 10.0)).sum::<f64>() / (40 - since.pair.index) as f64;
    assert!((found.offset.shift_px[1] - mean).abs() < 0.7, "{mean} {found:?}");
    let last = found.stretches.last().unwrap();
    assert!((last.offset.shift_px[1] - 5.4).abs() < 0.7, "{last:?}");
}

#[test]
fn a_camera_that_was_knocked_far_is_found_by_a_new_search() {
    let far = recording(|i| if i < 20 { ([0.0; 2], 0.0) } else { ([30.0, -24.0], 1.0) });
    let found = watched(&exact(), &far, &SETTINGS).unwrap();
    println!("{:?} {:?}", found.since, found.offset);
    assert!(!found.holds && found.since.as_ref().unwrap().pair.index == 20, "{found:?}");
    let [x, y] = found.offset.shift_px;
    assert!((x - 30.0).hypot(y + 24.0) < 2.0 && (found.offset.turn_deg - 1.0).abs() < 0.4, "{found:?}");
}

#[test]
fn a_recording_that_cannot_answer_says_so() {
    let still = recording(|_| ([0.0; 2], 0.0));
    assert!(matches!(watched(&exact(), &still[..9], &SETTINGS), Err(CalibError::TooFew { usable: 9, least: 10, .. })));
    let reason = |shots: &[Shot]| watched(&exact(), shots, &SETTINGS).unwrap_err().to_string();
    // From pair 20 on the cameras look at different scenes: nothing says that the rig holds there.
    let apart = |i: usize| {
        let other = Scene::new(5000 + i as u64);
        if i < 20 {
            still[i].clone()
        } else {
            Shot::new(&format!("p{i}"), other.infrared(), Scene::new(i as u64).visible(&truth()))
        }
    };
    let told = reason(&(0..40).map(apart).collect::<Vec<_>>());
    assert!(told.contains("no answer: from p20 on") && told.contains("does not say that the rig holds"), "{told}");
    // A camera that freezes.
    let frozen = |i: usize| {
        let scene = Scene::new(1000 + i.min(24) as u64);
        Shot::new(&format!("p{i}"), scene.infrared(), Scene::new(1000 + i as u64).visible(&truth()))
    };
    let told = reason(&(0..40).map(frozen).collect::<Vec<_>>());
    assert!(
        told.contains("of the 15 pairs after p24 none can be used") && told.contains("that of an earlier pair"),
        "{told}"
    );
    let small = Geometry::Plane(Box::new(PlaneRig {
        infrared: Size::new(200, 150),
        ..match exact() {
            Geometry::Plane(rig) => *rig,
            Geometry::Pose(_) => unreachable!(),
        }
    }));
    let wrong = Watch::new(&small, None, Some(0.0)).unwrap().look(&still[0]).unwrap_err();
    assert!(wrong.is_wrong_call() && wrong.to_string().contains("200x150"), "{wrong}");
}

/// Sides of what is shown of a road scene, and how far beside it the infrared camera can be moved, pixels.
const ROAD: Size = Size::new(512, 320);
const MARGIN_PX: usize = 16;

/// Road scenes a little larger than what is shown of them.
fn road(folder: &Path, taken: impl Fn(usize) -> bool) -> Vec<[Plane; 2]> {
    let all = list(&folder.join("ir"), &folder.join("vi")).unwrap();
    let some: Vec<_> = all.into_iter().enumerate().filter(|(i, _)| taken(*i)).map(|(_, pair)| pair).collect();
    let large = Size::new(ROAD.width + 2 * MARGIN_PX, ROAD.height + 2 * MARGIN_PX);
    let resized = |plane: Plane| {
        let [across, down] = [0, 1].map(|axis| large.wh()[axis] as f64 / plane.size().wh()[axis] as f64);
        let mut out = Plane::filled(large, 0.0).unwrap();
        render(&plane, &Axis::new(across, 0.0, plane.width()), &Axis::new(down, 0.0, plane.height()), 0.0, &mut out);
        out
    };
    let one = |pair: &Pair| {
        let ir = read_ir(&pair.ir, IrRange::Full).unwrap();
        [resized(ir), resized(color::luma(&read_vi(&pair.vi).unwrap()))]
    };
    some.par_iter().map(one).collect()
}

/// What is shown of pairs after the infrared picture was moved to the right.
fn shown(pairs: &[[Plane; 2]], right_px: usize) -> Vec<Shot> {
    let cut = |plane: &Plane, from: usize| {
        let rows = plane.data().chunks_exact(plane.width()).skip(MARGIN_PX).take(ROAD.height);
        Plane::new(ROAD, rows.flat_map(|row| &row[from..from + ROAD.width]).copied().collect()).unwrap()
    };
    let one = |(i, [ir, vi]): (usize, &[Plane; 2])| {
        Shot::new(&format!("p{i:03}"), cut(ir, MARGIN_PX - right_px), cut(vi, MARGIN_PX))
    };
    pairs.iter().enumerate().map(one).collect()
}

fn looked(watch: &Watch, shots: &[Shot]) -> Vec<Look> {
    shots.par_iter().map(|shot| watch.look(shot).unwrap()).collect()
}

/// Alarms on recordings of road scenes, whose infrared picture moves from pair `STILL` on, and how well their beginning and size are told.
#[derive(Default)]
struct Told {
    recordings: usize,
    windows: usize,
    alarms: usize,
    no_answers: usize,
    off_by: Vec<f64>,
    between: usize,
    within: usize,
}

const STILL: usize = 30;

impl Told {
    /// One recording of pairs drawn at random: `still` unmoved ones, then `moved` ones.
    fn add(&mut self, watch: &Watch, [before, after]: [&[Look]; 2], [still, moved]: [usize; 2], px: f64, seed: u64) {
        let mut order: Vec<usize> = (0..before.len()).collect();
        order.shuffle(&mut ChaCha8Rng::seed_from_u64(seed));
        let looks: Vec<Look> = order[..still + moved]
            .iter()
            .enumerate()
            .map(|(place, i)| if place < still { before[*i].clone() } else { after[*i].clone() })
            .collect();
        let settings = DriftSettings { stretch: 10, false_alarm: 0.01, scenes_px: 0.5, seed };
        self.recordings += 1;
        self.windows += looks.len() / 10;
        match drift(watch, &looks, &settings, |_| Ok(Vec::new())) {
            Ok(Drift { since: Some(since), offset, .. }) => {
                self.alarms += 1;
                self.off_by.push((since.pair.index as f64 - still as f64).abs());
                self.between += usize::from((since.earliest.index..=since.latest.index).contains(&still));
                self.within += usize::from((offset.shift_px[0] - px).abs() < 2.0 * offset.deviation_px);
            }
            Ok(_) => {}
            Err(_) => self.no_answers += 1,
        }
    }

    fn print(mut self, what: &str) {
        self.off_by.sort_by(f64::total_cmp);
        let (n, alarms) = (self.recordings, self.alarms);
        println!(
            "{what}: {alarms} alarms on {n} recordings ({:.1} per 1000 windows), {} without an answer; since: off by {:?} pairs (median), \
             within what is told {}/{alarms}; size within two deviations {}/{alarms}",
            1000.0 * alarms as f64 / self.windows as f64,
            self.no_answers,
            self.off_by.get(alarms / 2),
            self.between,
            self.within
        );
    }
}

/// The figures of docs/calibration.md; `DRIFT_RIGS` rigs of ten pairs each, and recordings of other pairs.
#[test]
#[ignore = "takes 20 minutes: cargo test --release -p caf-calib --test drift -- --ignored --nocapture"]
fn figures_on_road_scenes() {
    let Some(folder) = caf_golden::find("figures_on_road_scenes", "data/roadscene") else { return };
    let rigs = std::env::var("DRIFT_RIGS").map_or(12, |n| n.parse().unwrap());
    let [for_rigs, others] = [0, 1].map(|half| road(&folder, |i| i % 2 == half));
    let sizes_px = [0, 2, 3, 5, 8];
    let lengths = [5, 10, 20, 40];
    let mut unmoved = Told::default();
    let mut moved: Vec<Vec<Told>> =
        sizes_px.iter().map(|_| lengths.iter().map(|_| Told::default()).collect()).collect();
    for rig in 0..rigs {
        let mut pairs = shown(&for_rigs, 0);
        pairs.shuffle(&mut ChaCha8Rng::seed_from_u64(rig));
        let found = find(&pairs[..10], &Settings { scale: None, least_pairs: 4 }, "").unwrap();
        // The offset that is told is that from the rig, whose own error counts.
        let middle = [256.0, 160.0];
        let rig_error_px = found.rig.vis_from_ir.map(middle).unwrap()[0] - middle[0];
        let watch = Watch::new(&Geometry::Plane(Box::new(found.rig)), None, None).unwrap();
        let before = looked(&watch, &shown(&others, 0));
        for seed in 0..25 {
            unmoved.add(&watch, [&before, &before], [60, 0], 0.0, 1000 * rig + seed);
        }
        for (size_px, by_length) in sizes_px.iter().zip(&mut moved).skip(1) {
            let after = looked(&watch, &shown(&others, *size_px));
            for (length, told) in lengths.iter().zip(by_length) {
                for seed in 0..4 {
                    let seed = 1000 * rig + 100 + seed;
                    told.add(&watch, [&before, &after], [STILL, *length], *size_px as f64 + rig_error_px, seed);
                }
            }
        }
    }
    unmoved.print("unmoved, 60 pairs");
    for (size_px, by_length) in sizes_px.iter().zip(moved).skip(1) {
        for (length, told) in lengths.iter().zip(by_length) {
            told.print(&format!("{size_px} px, {length} pairs after {STILL}"));
        }
    }
}
