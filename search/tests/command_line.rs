//! The program as a caller meets it: exit codes, one error line, nothing half written.

#![allow(clippy::unwrap_used, reason = "helpers of tests stop at the line that fails")]

use std::path::Path;
use std::process::{Command, Output};

fn caf_search(folder: &Path, line: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_caf-search")).args(line).current_dir(folder).output().unwrap()
}

/// Runs every line in an empty folder and expects the exit code, an error, no panic and nothing left behind.
fn all_end_with(code: i32, lines: &[&[&str]]) {
    for line in lines {
        let folder = tempfile::tempdir().unwrap();
        let output = caf_search(folder.path(), line);
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(code), "{line:?}: {text}");
        assert!(text.contains("error: "), "{line:?}: {text}");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "{line:?} left something behind");
    }
}

#[test]
fn a_wrong_call_ends_with_2() {
    all_end_with(
        2,
        &[
            &["scene", "--out", "out", "--count", "0"],
            &["scene", "--out", "out", "--count", "18446744073709551615"],
            &["scene", "--out", "out", "--size", "1x1", "--count", "1"],
            &["scene", "--out", "out", "--clip", "nan"],
            &["scene", "--out", "out", "--clip", "1", "--fps", "0"],
            &["scene", "--out", "out", "--clip", "1", "--condition", "day", "--condition", "fog"],
            &["fuse", "--data", "absent", "--out", "out"],
            &["search", "--out", "out", "--batch", "0"],
            &["search", "--out", "out", "--batch", "99999999999"],
            &["search", "--out", "out", "--iterations", "0"],
            &["search", "--out", "out", "--size", "33x32"],
            &["search", "--out", "out", "--set", "beta.nothing=1"],
            &["search", "--out", "out", "--set", "beta.rate=nan"],
            &["search", "--out", "out", "--set", "task.loss.anchor_t=0.5"],
            &["search", "--out", "out", "--ir-range", "99,1"],
            &["search", "--out", "out", "--set", "data.ir_range={percentile={low=9,high=1}}"],
            &["search", "--out", "out", "--data", "absent"],
            &["search", "--out", "out", "--config", "absent.toml"],
            &["run", "absent.toml", "--out", "out"],
            &["run", concat!(env!("CARGO_MANIFEST_DIR"), "/../configs/m3fd-yolov5s.toml"), "--out", "out"],
            &["split", "--data", "absent"],
            &["import", "absent.pth", "out.safetensors"],
            &["report", "--run", "absent"],
            &["report", "--run", "."],
            &["report", "--run", ".", "--label", "a"],
            &["fuse", "--data", "absent", "--out", "out", "--method", "max"],
            &["fuse", "--data", ".", "--out", "out", "--method", "max", "--fusion", "absent"],
            &["train", "fusion", "--out", "out", "--data", "."],
            &["train", "fusion", "--out", "out", "--data", ".", "--beta", "absent.toml"],
            &["train", "task", "--data", "absent", "--images", "visible", "--out", "out"],
            &["eval", "--data", "absent", "--images", "absent"],
            &["fuse", "--data", "absent", "--out", "out", "--method", "max", "--ir-range", "half"],
            &["train", "fusion", "--out", "out", "--set", "run.batch=-1"],
            &["train", "fusion", "--out", "out", "--set", "validation.pairs=0"],
            &[
                "train",
                "task",
                "--data",
                "absent",
                "--images",
                "visible",
                "--out",
                "out",
                "--set",
                "task.loss.anchor_t=0.5",
            ],
            &["train", "task", "--data", "absent", "--images", "visible", "--out", "out", "--set", "run.threads=99999"],
            &["eval", "--data", "absent", "--images", "visible"],
            &["search", "--out", "out", "--net", "u3fusion"],
            &["search", "--out", "out", "--set", "fusion.network.width=7"],
            &["search", "--out", "out", "--net", "u2fusion", "--set", "fusion.network.widht=4"],
            &["nothing"],
        ],
    );
}

#[test]
fn a_folder_of_no_known_layout_ends_with_2() {
    all_end_with(
        2,
        &[
            &["fuse", "--data", ".", "--out", "out", "--method", "max"],
            &["split", "--data", "."],
            &["search", "--out", "out", "--data", "."],
        ],
    );
}

#[test]
fn an_empty_file_in_place_of_weights_ends_with_2() {
    all_end_with(
        2,
        &[
            &["eval", "--data", ".", "--images", "visible", "--no-fusion", "--task", "/dev/null"],
            &["import", "/dev/null", "out.safetensors"],
        ],
    );
}

/// Rendered pairs in `pairs`, and files that a call may name.
fn pairs() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    succeeds(folder.path(), &["scene", "--out", "pairs", "--count", "2", "--size", "96x64", "--val-share", "0.5"]);
    std::fs::write(folder.path().join("beta.toml"), "[weights]\n\"l1.ir\" = 1.0\n").unwrap();
    std::fs::write(folder.path().join("odd.toml"), "epochs = [\n").unwrap();
    std::fs::write(folder.path().join("rig.toml"), "focal_px = 400.0\n").unwrap();
    std::fs::write(folder.path().join("x.pth"), "weights").unwrap();
    folder
}

/// Calls that are wrong in themselves, which these words of their errors say.
#[test]
fn wrong_calls_say_what_is_wrong_and_no_output_replaces_an_input() {
    let folder = pairs();
    let files = || -> Vec<(std::path::PathBuf, Vec<u8>)> {
        let folders = ["", "pairs", "pairs/ir", "pairs/vi", "pairs/labels"];
        let entries = folders.iter().flat_map(|name| std::fs::read_dir(folder.path().join(name)).unwrap());
        let files = entries.map(|entry| entry.unwrap().path()).filter(|path| path.is_file());
        files.map(|path| (path.clone(), std::fs::read(path).unwrap())).collect()
    };
    let before = files();
    for (line, words) in [
        ("search --data pairs --out pairs", &["--out", "--data"][..]),
        ("search --data pairs --out pairs/vi", &["--out", "--data"]),
        ("search --data pairs --out out --json pairs/train.txt", &["--json", "--data"]),
        ("train fusion --data pairs --beta beta.toml --out pairs", &["--out", "--data"]),
        ("train fusion --data pairs --beta beta.toml --out out --json beta.toml", &["--json", "--beta"]),
        ("train task --data pairs --images visible --out pairs/labels", &["--out", "--data"]),
        ("train task --data pairs --images pairs/vi --out out --json out", &["--json", "--out"]),
        ("fuse --data pairs --method max --out pairs/ir", &["--out", "--data"]),
        ("fuse --data pairs --method max --out out --fusion x.pth", &["--fusion", "--method network"]),
        ("eval --data pairs --images pairs/vi --json pairs/vi/x.png", &["--json", "--data"]),
        ("import x.pth x.pth", &["OUT", "CHECKPOINT"]),
        ("import x.pth out --json ./out", &["--json", "OUT"]),
        ("import pairs out", &["CHECKPOINT", "expected a file"]),
        ("split --data pairs --json pairs/val.txt", &["--json", "--data"]),
        ("scene --out pairs --count 2", &["--out", "--replace"]),
        ("scene --out x.pth --count 2", &["--out", "expected a folder"]),
        ("search --data pairs --out out --config odd.toml", &["odd.toml", "line 1"]),
        ("train fusion --data pairs --size 64x64 --out out --beta odd.toml", &["odd.toml", "line 1"]),
        ("train fusion --data pairs --size 64x64 --out out --beta rig.toml", &["rig.toml", "`focal_px`", "weights"]),
        ("search --data pairs --out out --set =1", &["--set: no key in `=1`"]),
        ("search --data pairs --out out --set beta.decay_every=0", &["`iteration` or `epoch`"]),
        ("fuse --data pairs --method max --out out --device tpu", &["tpu", "cuda:N"]),
        (
            "fuse --data pairs --method max --out out --layout m3fdd",
            &["'m3fdd' for '--layout", "exists: 'm3fd'", "llvip"],
        ),
        ("search --data pairs --out out --set data.layout=m3fdd", &["`m3fdd`", "m3fd", "llvip"]),
        ("search --data pairs --out out --net caff", &["'caff' for '--net", "exists: 'caf'", "u2fusion"]),
        ("search --data pairs --out out --task detetcion", &["'detetcion' for '--task", "detection, segmentation"]),
        ("search --data pairs --out out --task segmentation --device warp", &["warp", "cuda:N"]),
        (
            "train task --data pairs --images visible --out out --task segmentation --variant n",
            &["error: --variant: ", "`n`", "`b0`"],
        ),
        ("search --data pairs --out out --train trian.txt", &["error: --train: ", "trian.txt", "train.txt, val.txt"]),
        ("train task --data pairs --images visible --out out --val x", &["error: --val: ", "train.txt, val.txt"]),
        ("fuse --data pairs --method max --out out --list x", &["error: --list: ", "train.txt, val.txt"]),
        ("split --data pairs --out out --list x", &["error: --list: ", "train.txt, val.txt"]),
    ] {
        let output = caf_search(folder.path(), &line.split(' ').collect::<Vec<_>>());
        let text = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{line}: {text}");
        assert!(words.iter().all(|word| text.contains(word)), "{line}: {words:?}: {text}");
        assert_eq!(files(), before, "{line}");
    }
    let text =
        fails(folder.path(), &["fuse", "--data", "pairs", "--method", "max", "--out", "out", "--device", "cuda:99"]);
    assert!(text.contains("cuda:99"), "{text}");
}

#[cfg(unix)]
#[test]
fn an_interrupt_ends_with_130_and_says_so() {
    use std::io::{BufRead as _, Read as _};
    use std::process::Stdio;

    let folder = pairs();
    // One pair under so many names that nobody is done with them before the interrupt comes.
    for (part, end) in [("ir", "png"), ("vi", "png"), ("labels", "txt")] {
        let at = |name: &str| folder.path().join(name);
        let first = std::fs::read_dir(at("pairs").join(part)).unwrap().map(|e| e.unwrap().path()).min().unwrap();
        std::fs::create_dir_all(at("many").join(part)).unwrap();
        for i in 0..2000 {
            std::fs::hard_link(&first, at("many").join(part).join(format!("{i}.{end}"))).unwrap();
        }
    }
    let network = "--set fusion.network.width=4 --set fusion.network.depth=1 --device cpu --batch 1 --size 64x64";
    for (line, told) in [
        (
            &format!(
                "search --data pairs --train train.txt --val val.txt --out search --iterations 100000 --set task.variant=n {network}"
            )[..],
            "stopped; the same call goes on",
        ),
        (
            &format!("train fusion --data pairs --beta beta.toml --out fusion --iterations 100000 {network}"),
            "stopped; the same call goes on",
        ),
        (
            "train task --data pairs --images visible --out task --epochs 100000 --size 64x64 --set task.width_multiple=0.125 --device cpu",
            "the same call goes on",
        ),
        ("fuse --data many --method average --out fused", "stopped"),
        ("eval --data many --images many/vi", "stopped"),
    ] {
        let mut child = Command::new(env!("CARGO_BIN_EXE_caf-search"))
            .args(line.split(' '))
            .current_dir(folder.path())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut said = std::io::BufReader::new(child.stderr.take().unwrap());
        let mut text = String::new();
        // The first line of progress; without it the program has ended.
        while !text.contains(" steps") && said.read_line(&mut text).unwrap() > 0 {}
        assert!(text.contains(" steps"), "{line}: {text}");
        assert!(Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap().success());
        said.read_to_string(&mut text).unwrap();
        let output = child.wait_with_output().unwrap();
        let text = text + &String::from_utf8_lossy(&output.stdout);
        assert_eq!(output.status.code(), Some(130), "{line}: {text}");
        assert!(text.contains(told) && !text.contains("error:"), "{line}: {text}");
    }
}

#[test]
fn a_cause_is_told_once() {
    let folder = tempfile::tempdir().unwrap();
    let output = caf_search(folder.path(), &["search", "--out", "out", "--config", "absent.toml"]);
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(text.contains("absent.toml") && text.matches("os error 2").count() == 1, "{text}");
}

#[test]
fn rendered_pairs_are_told_in_words_and_in_json() {
    let folder = tempfile::tempdir().unwrap();
    let line = ["scene", "--out", "out", "--count", "2", "--size", "64x48", "--json", "made.json"];
    let output = caf_search(folder.path(), &line);
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    let made: serde_json::Value =
        serde_json::from_slice(&std::fs::read(folder.path().join("made.json")).unwrap()).unwrap();
    assert_eq!((made["train"].as_u64(), made["val"].as_u64()), (Some(1), Some(1)));
    assert!(String::from_utf8_lossy(&output.stdout).contains("1 train and 1 val pairs"));
}

fn succeeds(folder: &Path, line: &[&str]) -> String {
    let output = caf_search(folder, line);
    assert_eq!(output.status.code(), Some(0), "{line:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

fn fails(folder: &Path, line: &[&str]) -> String {
    ends_with(1, folder, line)
}

fn ends_with(code: i32, folder: &Path, line: &[&str]) -> String {
    let output = caf_search(folder, line);
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(code), "{line:?}: {text}");
    text
}

#[test]
fn pairs_that_cannot_be_read_leave_no_lists_and_no_images() {
    let folder = tempfile::tempdir().unwrap();
    succeeds(folder.path(), &["scene", "--out", "pairs", "--count", "6", "--size", "64x48"]);
    // Fused images of one data set do not fit another: all of them are named.
    succeeds(folder.path(), &["scene", "--out", "other", "--count", "6", "--size", "48x64"]);
    let names: Vec<String> = std::fs::read_dir(folder.path().join("pairs/vi"))
        .unwrap()
        .map(|e| e.unwrap().path().file_stem().unwrap().to_string_lossy().into_owned())
        .collect();
    let text = fails(folder.path(), &["eval", "--data", "pairs", "--images", "other/vi", "--json", "eval.json"]);
    assert!(text.contains("6 problem(s)") && names.iter().all(|n| text.contains(n)), "{text}");

    for name in &names {
        let path = folder.path().join(format!("pairs/vi/{name}.png"));
        let bytes = std::fs::read(&path).unwrap();
        std::fs::write(&path, &bytes[..bytes.len() / 2]).unwrap();
    }
    for line in [
        &["split", "--data", "pairs", "--out", "out", "--neighbour-gap", "0"][..],
        &["fuse", "--data", "pairs", "--out", "out", "--method", "average"],
        &["search", "--data", "pairs", "--out", "out", "--set", "data.neighbour_gap=0", "--size", "32x32"],
        &["train", "task", "--data", "pairs", "--images", "visible", "--out", "out"],
    ] {
        let text = fails(folder.path(), line);
        assert!(text.contains(".png"), "{line:?}: {text}");
        assert!(!folder.path().join("out").exists(), "{line:?} left something behind");
    }
    assert!(!folder.path().join("eval.json").exists());
}

#[test]
fn images_and_lists_that_are_there_are_not_overwritten_unasked() {
    let folder = pairs();
    let run = |line: &str, expected: i32| {
        let output = caf_search(folder.path(), &line.split(' ').collect::<Vec<_>>());
        let text = String::from_utf8_lossy(&output.stderr).into_owned() + &String::from_utf8_lossy(&output.stdout);
        assert_eq!(output.status.code(), Some(expected), "{line}: {text}");
        text
    };
    let average = "fuse --data pairs --out out --method average";
    let text = run(average, 0);
    assert!(text.contains("2 written, ") && !text.contains("there already"), "{text}");
    let text = run(average, 2);
    assert!(text.contains("2 of 2 images") && text.contains("--resume") && text.contains("--overwrite"), "{text}");
    assert!(run(&format!("{average} --resume"), 0).contains("0 written, 2 there already"));
    for line in [
        "fuse --data pairs --out out --method max --resume",
        "fuse --data pairs --out out --method average --gray --resume",
    ] {
        assert!(run(line, 2).contains("made otherwise"), "{line}");
    }
    assert!(run("fuse --data pairs --out out --method max --overwrite", 0).contains("2 written, "));
    run(&format!("{average} --resume --overwrite"), 2);
    // The record disturbs nobody who reads the images.
    run("eval --data pairs --images out", 0);

    // `scene` has written lists of its own.
    std::fs::write(folder.path().join("pairs/train.txt"), "mine\n").unwrap();
    let text = run("split --data pairs --val 0.5 --neighbour-gap 0", 2);
    assert!(text.contains("train.txt") && text.contains("--overwrite"), "{text}");
    assert_eq!(std::fs::read_to_string(folder.path().join("pairs/train.txt")).unwrap(), "mine\n");
    run("split --data pairs --val 0.5 --neighbour-gap 0 --overwrite", 0);
    run("split --data pairs --val 0.5 --neighbour-gap 0", 0);
}

#[test]
fn what_is_no_weight_file_is_called_what_it_is() {
    let folder = pairs();
    std::fs::write(folder.path().join("page.pt"), "<!DOCTYPE html>").unwrap();
    for (file, what) in [("pairs/train.txt", "a text file"), ("page.pt", "a web page")] {
        let text = ends_with(2, folder.path(), &["import", file, "out.safetensors"]);
        assert!(text.contains(file) && text.contains(what) && !text.contains("pickle"), "{text}");
    }
    assert!(!folder.path().join("out.safetensors").exists());
}

#[test]
fn files_of_another_kind_and_options_of_another_command_are_wrong_calls_that_say_so() {
    let folder = pairs();
    let weights = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/weights/yolov5n-scenes.safetensors");
    std::fs::copy(weights, folder.path().join("detector.safetensors")).unwrap();
    let pairs = ["--data", "pairs", "--out", "out", "--device", "cpu"];
    let fuse = ["fuse", "--fusion", "detector.safetensors"];
    let text = ends_with(2, folder.path(), &[&fuse[..], &pairs].concat());
    assert!(text.contains("detector.safetensors: expected the weights of a fusion network"), "{text}");
    let train = ["train", "fusion", "--beta", "detector.safetensors", "--size", "32x32"];
    let text = ends_with(2, folder.path(), &[&train[..], &pairs].concat());
    assert!(text.contains("detector.safetensors: expected a text in TOML"), "{text}");
    std::fs::remove_file(folder.path().join("beta.toml")).unwrap();
    let text = ends_with(2, folder.path(), &[&["train", "fusion", "--size", "32x32"], &pairs[..]].concat());
    assert!(text.contains("setting `beta` (no --beta is given): beta.toml: "), "{text}");
    let set = ["search", "--set", "run.itertions=3"];
    let text = ends_with(2, folder.path(), &[&set[..], &pairs].concat());
    let told = "--set: unknown field `itertions` in `run`, nearest `iterations`; there are: ";
    assert!(text.trim_end().lines().count() == 1 && text.contains(told), "{text}");
    assert!(!folder.path().join("out").exists());
}

#[test]
fn masks_without_class_names_say_which_file_to_write() {
    let folder = pairs();
    // `scene` draws exact masks.
    for file in ["classes.txt", "mask_classes.txt"] {
        let _ = std::fs::remove_file(folder.path().join("pairs").join(file));
    }
    std::fs::remove_dir_all(folder.path().join("pairs/labels")).unwrap();
    let line = "train task --data pairs --images visible --out out --task segmentation --size 64x64 --device cpu";
    let text = fails(folder.path(), &line.split(' ').collect::<Vec<_>>());
    assert!(text.contains("write mask_classes.txt"), "{text}");
}

#[test]
fn a_training_goes_on_with_the_same_call_until_it_is_finished() {
    let folder = tempfile::tempdir().unwrap();
    succeeds(folder.path(), &["scene", "--out", "pairs", "--count", "6", "--size", "64x48", "--val-share", "0.5"]);
    let call = [
        "train",
        "task",
        "--data",
        "pairs",
        "--images",
        "infrared",
        "--out",
        "out",
        "--size",
        "64x64",
        "--epochs",
        "1",
        "--set",
        "task.width_multiple=0.125",
        "--ir-range",
        "min_max",
    ];
    assert!(succeeds(folder.path(), &call).contains("done after"));
    assert!(succeeds(folder.path(), &call).contains("nothing left to do"));
    let saved = std::fs::read_to_string(folder.path().join("out/config.toml")).unwrap();
    assert!(saved.contains("ir_range = \"min_max\""), "{saved}");
    let other: Vec<&str> = call.iter().map(|w| if *w == "min_max" { "full" } else { w }).collect();
    let text = fails(folder.path(), &other);
    assert!(text.contains("ir_range: saved \"min_max\", now \"full\""), "{text}");
    let measured = succeeds(
        folder.path(),
        &["eval", "--data", "pairs", "--list", "val.txt", "--images", "infrared", "--task", "out/best.safetensors"],
    );
    assert!(measured.contains("mean") && measured.contains("detect: "), "{measured}");
}

#[test]
fn a_report_is_plots_and_one_page_and_searches_are_compared() {
    let folder = tempfile::tempdir().unwrap();
    let write = |run: &str, last: &str| {
        std::fs::create_dir_all(folder.path().join(run)).unwrap();
        let head = "iteration,ms,weight.l1.ir,weight.ssim.vi,task_total,val_total,term.l1.ir,term.ssim.vi";
        let log = format!("{head}\n0,5,0.5,0.5,1,1.5,0.1,0.01\n1,5,{last},0.5,1.25,0.05,0.02\n");
        std::fs::write(folder.path().join(run).join("log.csv"), log).unwrap();
        std::fs::write(folder.path().join(run).join("config.toml"), "iterations = 2\n").unwrap();
    };
    write("det", "0.25,0.75");
    write("seg", "0.625,0.375");
    let compared = ["report", "--run", "det", "--run", "seg", "--label", "detection", "--label", "segmentation"];
    succeeds(folder.path(), &[&compared[..], &["--compare", "beta.svg", "--json", "report.json"]].concat());
    let report = std::fs::read_to_string(folder.path().join("report.json")).unwrap();
    let report: serde_json::Value = serde_json::from_str(&report).unwrap();
    assert_eq!(report["runs"][1]["kind"], "search");
    assert_eq!(report["runs"][1]["last"]["weight.l1.ir"], 0.625);
    assert_eq!((report["runs"][0]["plots"].as_array().unwrap().len(), &report["comparison"]), (4, &"beta.svg".into()));
    for file in ["det/report.html", "seg/plots/beta.svg", "beta.svg"] {
        assert!(folder.path().join(file).is_file(), "{file}");
    }
    let comparison = std::fs::read_to_string(folder.path().join("beta.svg")).unwrap();
    assert!(comparison.contains("segmentation") && comparison.contains("0.625"), "{comparison}");
    // A run whose log has no row yet is no wrong call: it is too early.
    std::fs::write(folder.path().join("seg/log.csv"), "iteration,ms,total\n").unwrap();
    assert_eq!(caf_search(folder.path(), &["report", "--run", "seg"]).status.code(), Some(1));
}

/// Every network is listed, `--net` chooses one, and its file is known by what is in it.
#[test]
fn networks_are_listed_chosen_and_recognised() {
    let folder = pairs();
    let run = |line: &str| {
        let output = caf_search(folder.path(), &line.split(' ').collect::<Vec<_>>());
        let text = String::from_utf8_lossy(&output.stderr).into_owned() + &String::from_utf8_lossy(&output.stdout);
        assert_eq!(output.status.code(), Some(0), "{line}: {text}");
        text
    };
    let listed = run("networks --json list.json");
    for kind in caf_net::zoo::FUSION_NETWORKS {
        assert!(listed.contains(kind.facts.title), "{listed}");
    }
    let list: serde_json::Value =
        serde_json::from_slice(&std::fs::read(folder.path().join("list.json")).unwrap()).unwrap();
    let caf = list.as_array().unwrap().iter().find(|network| network["kind"] == "caf").unwrap();
    assert_eq!((&caf["parameters"], &caf["receptive_field_px"]), (&148_321.into(), &13.into()));
    // 147,776 weights meet each pixel once.
    assert_eq!(caf["macs_per_pixel"], 147_776);

    let text = run(
        "train fusion --data pairs --beta beta.toml --out run --iterations 1 --batch 1 --size 32x32 --device cpu \
         --net u2fusion --set fusion.network.width=4 --set fusion.network.decoder=[4,3,2] --set fusion.network.depth=2",
    );
    assert!(text.contains("fusion network: u2fusion"), "{text}");
    let text = run("fuse --data pairs --fusion run/fusion.safetensors --out fused --device cpu");
    assert!(
        text.contains(r#"fusion network: u2fusion {"decoder":[4,3,2],"depth":2,"first":"ir","width":4}"#),
        "{text}"
    );
    let text = run("import run/fusion.safetensors vi.safetensors --set first=vi");
    assert!(text.contains(r#"network: u2fusion {"decoder":[4,3,2],"depth":2,"first":"vi","width":4}"#), "{text}");
    let text = run("fuse --data pairs --fusion vi.safetensors --out other --device cpu");
    assert!(text.contains(r#""first":"vi""#), "{text}");
    let first = std::fs::read_dir(folder.path().join("fused")).unwrap().map(|e| e.unwrap().file_name()).min().unwrap();
    let read = |of: &str| std::fs::read(folder.path().join(of).join(&first)).unwrap();
    assert_ne!(read("fused"), read("other"), "the order of the sources is of no consequence");
}
