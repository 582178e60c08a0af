use std::collections::BTreeSet;

use super::*;
use crate::demo::pairs::Kind;
use crate::demo::plan::Pairs;
use crate::demo::settings::Settings;

fn plan(pairs: Option<Pairs>) -> Plan {
    Plan {
        settings: Settings::choose(false, pairs.is_some()),
        root: "/repo".into(),
        out: "demo-out".into(),
        pairs,
        full: false,
        weights: "weights.safetensors".into(),
        vgg: None,
    }
}

fn pairs(has_lists: bool, kinds: Option<[Kind; 2]>) -> Option<Pairs> {
    Some(Pairs { root: "../pairs".into(), has_lists, kinds })
}

fn all_plans() -> Vec<Plan> {
    let jpeg = Some([Kind::Jpeg; 2]);
    let vgg = Some("vgg.safetensors".into());
    vec![
        plan(None),
        plan(pairs(true, jpeg)),
        plan(pairs(false, jpeg)),
        plan(pairs(true, None)),
        Plan { full: true, vgg, settings: Settings::choose(true, false), ..plan(None) },
    ]
}

fn arguments(step: &Step) -> &[String] {
    match &step.work {
        Work::Call(_, arguments) => arguments,
        Work::Own(_) => &[],
    }
}

fn named<'a>(steps: &'a [Step], name: &str) -> &'a Step {
    steps.iter().find(|step| step.name == name).unwrap()
}

#[test]
fn what_a_step_reads_was_written_before_or_belongs_to_the_caller() {
    for plan in all_plans() {
        let mut written: Vec<PathBuf> = Vec::new();
        for step in steps(&plan) {
            for read in step.reads.iter().filter(|path| path.starts_with(&plan.out)) {
                assert!(written.iter().any(|path| read.starts_with(path)), "{}: {}", step.name, read.display());
            }
            written.extend(step.writes);
        }
    }
}

#[test]
fn steps_clear_only_their_own_outputs() {
    for plan in all_plans() {
        let mut seen: Vec<PathBuf> = Vec::new();
        let mut names = BTreeSet::new();
        for step in steps(&plan) {
            assert!(names.insert(step.name.clone()), "{} twice", step.name);
            assert!(!step.writes.is_empty(), "{}", step.name);
            for path in step.writes {
                assert!(path.starts_with(&plan.out) && path != plan.out, "{}: {}", step.name, path.display());
                let is_apart = |other: &PathBuf| !path.starts_with(other) && !other.starts_with(&path);
                assert!(seen.iter().all(is_apart), "{}", path.display());
                seen.push(path);
            }
        }
    }
}

#[test]
fn what_the_page_shows_is_written_by_some_step() {
    for plan in all_plans() {
        let written: Vec<PathBuf> = steps(&plan).into_iter().flat_map(|step| step.writes).collect();
        let measured = Images::ALL.map(|images| files::measured(images.name()));
        let fixed = [
            files::SEARCH_PLOTS,
            files::FUSION_PLOT,
            files::PANELS,
            files::VERIFIED,
            files::LIVE_VIDEO,
            files::WHOLE_VIDEO,
            files::SUMMARY,
        ];
        let shown = fixed.into_iter().chain(measured.iter().map(String::as_str));
        for name in shown {
            assert!(written.iter().any(|path| plan.at(name).starts_with(path)), "{name}");
        }
    }
}

#[test]
fn pairs_of_the_caller_are_read_where_they_lie() {
    let steps = steps(&plan(pairs(true, None)));
    assert!(steps.iter().all(|step| step.name != "scenes" && step.name != "split"));
    let search = arguments(named(&steps, "search"));
    assert!(search.windows(2).any(|pair| pair == ["--data", "../pairs"]), "{search:?}");
    assert!(steps.iter().flat_map(|step| &step.writes).all(|path| path.starts_with("demo-out")));
}

#[test]
fn lists_of_the_callers_pairs_are_named_by_their_whole_path() {
    for has_lists in [true, false] {
        let steps = steps(&plan(pairs(has_lists, None)));
        let has = |step: &str, words: [&str; 2]| {
            let arguments = arguments(named(&steps, step));
            assert!(arguments.windows(2).any(|pair| pair == words), "{arguments:?}");
        };
        has("search", ["--train", "/repo/demo-out/lists/train.txt"]);
        has("fuse", ["--list", "/repo/demo-out/lists/all.txt"]);
        assert_eq!(steps.iter().any(|step| step.name == "split"), !has_lists);
    }
}

#[test]
fn the_live_run_shows_the_callers_stills_where_it_can() {
    let stills = steps(&plan(pairs(true, Some([Kind::Png, Kind::Jpeg]))));
    let live = arguments(named(&stills, "live")).join(" ");
    assert!(live.contains("stills/ir/%05d") && live.contains("pngdec") && live.contains("jpegdec"), "{live}");
    assert!(stills.iter().all(|step| step.name != "clip"));
    let clip = steps(&plan(pairs(true, None)));
    assert!(arguments(named(&clip, "live")).contains(&"demo-out/clip/ir".to_owned()));
}

#[test]
fn detectors_differ_in_nothing_but_their_images() {
    let steps = steps(&plan(None));
    let of = |images: Images| {
        let step = arguments(named(&steps, &format!("detector-{}", images.name())));
        let options = step.chunks(1).flatten().filter(|word| !word.contains(images.name()));
        options.cloned().collect::<Vec<_>>()
    };
    for images in Images::ALL {
        assert_eq!(of(images), of(Images::Fused));
    }
}

#[test]
fn an_option_keeps_its_value_in_one_piece() {
    let plan = Plan { weights: "a b.safetensors".into(), ..plan(None) };
    let search = named(&steps(&plan), "search").clone();
    assert!(arguments(&search).windows(2).any(|pair| pair == ["--init", "a b.safetensors"]), "{search:?}");
}
