//! Scripted cameras and a fake clock.

use super::*;

const MS: i64 = 1_000_000;

type Lost = (Camera, i64, Cause);

impl Timed for i64 {
    fn capture_ns(&self) -> i64 {
        *self
    }
}

fn rule(max_skew_ms: i64) -> PairRule {
    PairRule { max_skew_ns: max_skew_ms * MS, patience_ns: [0, 0], window: 16 }
}

/// Feeds both cameras as a file would be read (only what is needed) and returns pairs and unpaired frames in ms.
fn from_files(rule: PairRule, ir_ms: &[i64], vi_ms: &[i64]) -> (Vec<(i64, i64)>, Vec<Lost>, [PairCount; 2]) {
    let mut feeds = [ir_ms.iter(), vi_ms.iter()];
    let mut pairer = Pairer::new(rule);
    let (mut pairs, mut lost) = (vec![], vec![]);
    for _ in 0..10_000 {
        match pairer.poll(None) {
            Step::Pair { infrared, visible, skew_ns } => {
                assert_eq!(skew_ns, visible - infrared);
                pairs.push((infrared / MS, visible / MS));
            }
            Step::Unpaired(camera, frame, cause) => lost.push((camera, frame / MS, cause)),
            Step::Alone(..) => panic!("no camera is out"),
            Step::Finished => return (pairs, lost, pairer.counts()),
            Step::Wait { needs, until_ns } => {
                assert_eq!(until_ns, None, "files decide nothing by waiting");
                let camera = Camera::BOTH.into_iter().find(|c| needs[c.index()]).expect("somebody is waited for");
                match feeds[camera.index()].next() {
                    Some(time) => pairer.offer(camera, time * MS),
                    None => pairer.end(camera),
                }
            }
        }
    }
    panic!("the pairer does not finish");
}

#[test]
fn equal_times_pair_one_to_one() {
    let times = [0, 40, 80, 120];
    let (pairs, lost, counts) = from_files(rule(20), &times, &times);
    assert_eq!(pairs, [(0, 0), (40, 40), (80, 80), (120, 120)]);
    assert!(lost.is_empty());
    assert_eq!((counts[0].paired, counts[1].paired, counts[0].offered), (4, 4, 4));
}

#[test]
fn the_nearest_of_a_faster_camera_is_taken() {
    let ir: Vec<i64> = (0..30).map(|i| i * 10).collect();
    let vi = [4, 37, 71, 104];
    let (pairs, lost, counts) = from_files(rule(20), &ir, &vi);
    assert_eq!(pairs, [(0, 4), (40, 37), (70, 71), (100, 104)]);
    assert_eq!(counts[0].offered, counts[0].paired + counts[0].no_partner + counts[0].partner_nearer_to_another);
    assert_eq!(lost.len(), 26);
}

#[test]
fn a_drop_does_not_shift_the_pairs_after_it() {
    let ir = [0, 40, 120, 160];
    let vi = [1, 41, 81, 121, 161];
    let (pairs, lost, _) = from_files(rule(20), &ir, &vi);
    assert_eq!(pairs, [(0, 1), (40, 41), (120, 121), (160, 161)]);
    assert_eq!(lost, [(Camera::Visible, 81, Cause::NoPartner)]);
}

#[test]
fn nothing_beyond_the_bound_is_paired() {
    let (pairs, lost, _) = from_files(rule(20), &[0, 100], &[20, 121]);
    assert_eq!(pairs, [(0, 20)]);
    assert_eq!(lost, [(Camera::Infrared, 100, Cause::NoPartner), (Camera::Visible, 121, Cause::NoPartner)]);
}

#[test]
fn duplicates_and_time_running_backwards_are_refused() {
    let (pairs, lost, counts) = from_files(rule(20), &[0, 0, 40, 30, 80], &[0, 40, 80]);
    assert_eq!(pairs, [(0, 0), (40, 40), (80, 80)]);
    assert_eq!(lost, [(Camera::Infrared, 0, Cause::NotLater), (Camera::Infrared, 30, Cause::NotLater)]);
    assert_eq!(counts[0].not_later, 2);
}

#[test]
fn jitter_within_half_a_period_pairs_everything_like_brute_force() {
    // A small multiplicative generator: the script must be the same on every machine.
    let mut state = 12345_u64;
    let mut jitter = |span: i64| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        i64::try_from(state >> 33).unwrap() % (2 * span + 1) - span
    };
    let ir: Vec<i64> = (0..200).map(|i| 1000 + i * 40 + jitter(8)).collect();
    let vi: Vec<i64> = (0..200).filter(|i| i % 17 != 5).map(|i| 1000 + i * 40 + jitter(8)).collect();
    let (pairs, _, counts) = from_files(rule(16), &ir, &vi);
    let nearest = |time: i64, others: &[i64]| *others.iter().min_by_key(|o| (*o - time).abs()).unwrap();
    let expected: Vec<(i64, i64)> = ir
        .iter()
        .map(|&i| (i, nearest(i, &vi)))
        .filter(|&(i, v)| (i - v).abs() <= 16 && nearest(v, &ir) == i)
        .collect();
    assert_eq!(pairs, expected);
    assert_eq!(counts[1].paired, vi.len() as u64);
}

#[test]
fn against_a_clock_the_decision_falls_when_no_nearer_frame_can_come() {
    let mut pairer = Pairer::new(PairRule { max_skew_ns: 20 * MS, patience_ns: [5 * MS, 50 * MS], window: 8 });
    pairer.offer(Camera::Infrared, 100 * MS);
    // The visible camera needs up to 50 ms to deliver what it captured up to 20 ms later.
    assert_eq!(pairer.poll(Some(101 * MS)), Step::Wait { needs: [false, true], until_ns: Some(170 * MS + 1) });
    pairer.offer(Camera::Visible, 104 * MS);
    // An infrared frame before 108 ms would be nearer, and it would be here by 113 ms.
    assert_eq!(pairer.poll(Some(112 * MS)), Step::Wait { needs: [true, false], until_ns: Some(113 * MS) });
    assert_eq!(pairer.poll(Some(113 * MS)), Step::Pair { infrared: 100 * MS, visible: 104 * MS, skew_ns: 4 * MS });
    // A camera that stopped does not hold the other's frames for ever.
    pairer.offer(Camera::Infrared, 200 * MS);
    assert!(matches!(pairer.poll(Some(270 * MS)), Step::Wait { .. }));
    assert_eq!(pairer.poll(Some(270 * MS + 1)), Step::Unpaired(Camera::Infrared, 200 * MS, Cause::NoPartner));
    pairer.end(Camera::Infrared);
    pairer.end(Camera::Visible);
    assert_eq!(pairer.poll(Some(271 * MS)), Step::Finished);
}

#[test]
fn a_latency_offset_moves_the_partner() {
    // The infrared camera stamps its frames 60 ms late: compensated times pair, raw ones pair with the wrong frame.
    let stamped: Vec<i64> = (0..6).map(|i| 60 + i * 40).collect();
    let visible: Vec<i64> = (0..6).map(|i| i * 40).collect();
    let corrected: Vec<i64> = stamped.iter().map(|t| t - 60).collect();
    assert_eq!(from_files(rule(20), &corrected, &visible).0, (0..6).map(|i| (i * 40, i * 40)).collect::<Vec<_>>());
    assert_ne!(from_files(rule(20), &stamped, &visible).0.first(), Some(&(0, 0)));
}

#[test]
fn a_full_window_gives_up_its_oldest_frame() {
    let mut pairer = Pairer::new(PairRule { max_skew_ns: 1000 * MS, patience_ns: [0, 0], window: 3 });
    (0..5).for_each(|i| pairer.offer(Camera::Visible, i * MS));
    assert_eq!(pairer.poll(Some(0)), Step::Unpaired(Camera::Visible, 0, Cause::WindowFull));
    assert_eq!(pairer.poll(Some(0)), Step::Unpaired(Camera::Visible, MS, Cause::WindowFull));
    assert!(matches!(pairer.poll(Some(0)), Step::Wait { .. }));
    assert_eq!(pairer.counts()[1].window_full, 2);
}

#[test]
fn a_known_rhythm_decides_without_waiting() {
    let mut pairer = Pairer::new(PairRule { max_skew_ns: 20 * MS, patience_ns: [50 * MS; 2], window: 8 });
    for i in 0..6 {
        pairer.offer(Camera::Infrared, i * 40 * MS);
        pairer.offer(Camera::Visible, (i * 40 + 5) * MS);
        let step = pairer.poll(Some((i * 40 + 6) * MS));
        match i {
            // Four intervals have not been seen yet: the next infrared frame might come at once.
            0..=3 => {
                assert!(matches!(step, Step::Wait { needs: [true, false], .. }), "frame {i}: {step:?}");
                assert!(matches!(pairer.poll(Some((i * 40 + 60) * MS)), Step::Pair { .. }));
            }
            _ => assert!(matches!(step, Step::Pair { skew_ns: 5_000_000, .. }), "frame {i}: {step:?}"),
        }
    }
    // 16 ms is more than half of the 30 ms after which the next frame may come.
    pairer.offer(Camera::Infrared, 240 * MS);
    pairer.offer(Camera::Visible, 256 * MS);
    assert!(matches!(pairer.poll(Some(257 * MS)), Step::Wait { .. }));
}

#[test]
fn while_a_camera_is_out_the_other_goes_on_alone_and_times_never_go_back() {
    let mut pairer = Pairer::new(PairRule { max_skew_ns: 20 * MS, patience_ns: [50 * MS; 2], window: 8 });
    let poll = |pairer: &mut Pairer<i64>, at: i64| pairer.poll(Some(at * MS));
    pairer.offer(Camera::Visible, 0);
    assert!(matches!(poll(&mut pairer, 1), Step::Wait { .. }));
    pairer.set_out(Camera::Infrared, true);
    assert_eq!(poll(&mut pairer, 1), Step::Alone(Camera::Visible, 0));
    // What the infrared camera delivered before it went out still has its partner, and nobody waits for a nearer one.
    pairer.offer(Camera::Infrared, 45 * MS);
    pairer.offer(Camera::Visible, 40 * MS);
    assert!(
        matches!(poll(&mut pairer, 46), Step::Wait { needs: [false, true], .. }),
        "a nearer visible frame may come"
    );
    pairer.offer(Camera::Visible, 80 * MS);
    assert_eq!(poll(&mut pairer, 81), Step::Pair { infrared: 45 * MS, visible: 40 * MS, skew_ns: -5 * MS });
    assert_eq!(poll(&mut pairer, 81), Step::Alone(Camera::Visible, 80 * MS));
    // The infrared camera alone, then back: a visible frame from before the latest result makes none any more.
    pairer.set_out(Camera::Infrared, false);
    pairer.set_out(Camera::Visible, true);
    pairer.offer(Camera::Infrared, 100 * MS);
    assert_eq!(poll(&mut pairer, 101), Step::Alone(Camera::Infrared, 100 * MS));
    pairer.set_out(Camera::Visible, false);
    pairer.offer(Camera::Visible, 99 * MS);
    pairer.offer(Camera::Infrared, 105 * MS);
    assert_eq!(poll(&mut pairer, 106), Step::Unpaired(Camera::Visible, 99 * MS, Cause::NotLater));
    // With both out nothing is good enough to go on with.
    pairer.set_out(Camera::Infrared, true);
    pairer.set_out(Camera::Visible, true);
    assert_eq!(poll(&mut pairer, 107), Step::Unpaired(Camera::Infrared, 105 * MS, Cause::NoPartner));
    pairer.count_unfit(Camera::Infrared);
    let [infrared, visible] = pairer.counts();
    assert_eq!((infrared.alone, infrared.unfit, infrared.paired, infrared.no_partner), (1, 1, 1, 1));
    assert_eq!((visible.alone, visible.paired, visible.not_later), (2, 1, 1));
    assert_eq!([infrared.decided(), visible.decided()], [infrared.offered, visible.offered]);
}
