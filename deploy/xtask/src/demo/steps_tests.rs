use std::collections::BTreeSet;

use super::*;
use crate::demo::plan::Pairs;

fn plan(pairs: Option<Pairs>) -> Plan {
    Plan {
        root: "/repo".into(),
        out: "demo-out".into(),
        pairs,
        full: false,
        weights: "weights.safetensors".into(),
        vgg: None,
    }
}

fn all_plans() -> Vec<Plan> {
    let pairs = |has_lists| Some(Pairs { root: "../pairs".into(), has_lists });
    vec![plan(None), plan(pairs(true)), plan(pairs(false)), Plan { full: true, ..plan(None) }]
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
            assert!(names.insert(step.name), "{} twice", step.name);
            assert!(!step.writes.is_empty(), "{}", step.name);
            for path in step.writes {
                assert!(path.starts_with(&plan.out) && path != plan.out, "{}: {}", step.name, path.display());
                assert!(
                    !seen.iter().any(|other| path.starts_with(other) || other.starts_with(&path)),
                    "{}",
                    path.display()
                );
                seen.push(path);
            }
        }
    }
}

#[test]
fn what_is_shown_is_written_by_the_step_that_shows_it() {
    for plan in all_plans() {
        for step in steps(&plan) {
            for shown in &step.shows {
                let (Shown::Plots(name)
                | Shown::Pictures(name, _)
                | Shown::Strips(name, _)
                | Shown::Report(name, _)
                | Shown::Weights(name)
                | Shown::Video(name)) = *shown;
                assert!(step.writes.iter().any(|path| plan.at(name).starts_with(path)), "{}: {name}", step.name);
            }
        }
    }
}

#[test]
fn pairs_of_the_caller_are_read_where_they_lie() {
    let with_pairs = steps(&plan(Some(Pairs { root: "../pairs".into(), has_lists: true })));
    assert!(with_pairs.iter().all(|step| step.name != "scenes" && step.name != "split"));
    let search = with_pairs.iter().find(|step| step.name == "search").unwrap();
    assert!(search.arguments.windows(2).any(|pair| pair == ["--data", "../pairs"]), "{:?}", search.arguments);
    assert!(search.arguments.windows(2).any(|pair| pair == ["--train", "train.txt"]), "{:?}", search.arguments);
}

#[test]
fn lists_that_were_split_are_named_by_their_whole_path() {
    let split = steps(&plan(Some(Pairs { root: "../pairs".into(), has_lists: false })));
    let search = split.iter().find(|step| step.name == "search").unwrap();
    let whole = ["--train", "/repo/demo-out/lists/train.txt"];
    assert!(search.arguments.windows(2).any(|pair| pair == whole), "{:?}", search.arguments);
}

#[test]
fn words_keep_spaces_in_paths_and_split_the_rest() {
    let all = words("train task", &[("--out", Path::new("a b"))], "--size  8x8");
    assert_eq!(all, ["train", "task", "--out", "a b", "--size", "8x8"]);
}
