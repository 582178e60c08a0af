//! A bundle appears complete or not at all.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "helpers of tests fail like tests")]

mod common;

use caf_bundle::{BundleError, Existing, MANIFEST, ManifestFault, Role, SIGNATURE};
use common::{Place, draft, key, name};
use std::fs;
use std::os::unix::fs::PermissionsExt as _;

fn entries(folder: &std::path::Path) -> Vec<String> {
    let mut names: Vec<String> =
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().to_str().unwrap().to_owned()).collect();
    names.sort();
    names
}

#[test]
fn the_same_contents_make_the_same_bytes() {
    let places = [Place::new(Some(&key(1))), Place::new(Some(&key(1)))];
    let [a, b] =
        places.each_ref().map(|place| (fs::read(place.at(MANIFEST)).unwrap(), fs::read(place.at(SIGNATURE)).unwrap()));
    assert_eq!(a, b);
    let mut shuffled = draft();
    shuffled.files.reverse();
    let folder = tempfile::tempdir().unwrap();
    shuffled.write(&folder.path().join("b"), Some(&key(1)), Existing::Refuse).unwrap();
    assert_eq!(fs::read(folder.path().join("b").join(MANIFEST)).unwrap(), a.0);
    let identities = places.map(|place| place.open().unwrap().identity());
    assert_eq!(identities[0], identities[1]);
    println!("{}", String::from_utf8(a.0).unwrap());
}

#[test]
fn the_folder_is_as_readable_as_any_other() {
    let place = Place::new(None);
    let usual = place.folder.path().join("usual");
    fs::create_dir(&usual).unwrap();
    let mode = |path: &std::path::Path| fs::metadata(path).unwrap().permissions().mode();
    assert_eq!(mode(&place.bundle()), mode(&usual));
    assert_eq!(mode(&place.at("provenance")), mode(&usual));
    fs::write(usual.join("f"), "").unwrap();
    assert_eq!(mode(&place.at(MANIFEST)), mode(&usual.join("f")));
}

#[test]
fn nothing_that_is_there_is_lost() {
    let place = Place::new(None);
    let write = |existing| draft().write(&place.bundle(), None, existing);
    let error = write(Existing::Refuse).unwrap_err();
    assert!(
        matches!(&error, BundleError::Exists { path } if *path == place.bundle()) && error.is_wrong_call(),
        "{error}"
    );
    // A bundle, whole or damaged, is replaced.
    fs::remove_file(place.at("rig.toml")).unwrap();
    fs::write(place.at("model.fp32.onnx"), "damaged").unwrap();
    write(Existing::Replace).unwrap();
    assert_eq!(entries(place.folder.path()), ["bundle"]);
    place.open().unwrap();
    // One with something of somebody else's in it is not, nor is what is none.
    fs::write(place.at("notes.txt"), "mine").unwrap();
    let error = write(Existing::Replace).unwrap_err();
    assert!(matches!(&error, BundleError::NotReplaced { why, .. } if why.contains("notes.txt")), "{error}");
    assert_eq!(fs::read(place.at("notes.txt")).unwrap(), b"mine");
    for (name, make) in [
        ("file", (|path| fs::write(path, "x").unwrap()) as fn(&std::path::Path)),
        ("folder", |path| {
            fs::create_dir(path).unwrap();
            fs::write(path.join("precious"), "x").unwrap();
        }),
        ("link", |path| std::os::unix::fs::symlink("bundle", path).unwrap()),
    ] {
        let path = place.folder.path().join(name);
        make(&path);
        for existing in [Existing::Refuse, Existing::Replace] {
            let error = draft().write(&path, None, existing).unwrap_err();
            assert!(error.is_wrong_call() && error.to_string().contains(name), "{error}");
        }
    }
    // An empty folder is nothing.
    let empty = place.folder.path().join("empty");
    fs::create_dir(&empty).unwrap();
    assert!(matches!(draft().write(&empty, None, Existing::Refuse), Err(BundleError::Exists { .. })));
    draft().write(&empty, None, Existing::Replace).unwrap();
    assert_eq!(entries(place.folder.path()), ["bundle", "empty", "file", "folder", "link"]);
}

#[test]
fn what_cannot_be_written_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("bundle");
    let refused = |change: &dyn Fn(&mut caf_bundle::Draft)| {
        let mut wrong = draft();
        change(&mut wrong);
        match wrong.write(&path, None, Existing::Refuse).unwrap_err() {
            BundleError::Draft(fault) => fault,
            other => panic!("{other}"),
        }
    };
    assert!(matches!(
        refused(&|d| d.files.push((name("rig.toml"), Role::Report, vec![]))),
        ManifestFault::Duplicate { .. }
    ));
    assert!(matches!(refused(&|d| d.files.push((name("RIG.toml"), Role::Report, vec![]))), ManifestFault::Case { .. }));
    assert!(matches!(
        refused(&|d| d.files.push((name(MANIFEST), Role::Report, vec![]))),
        ManifestFault::Duplicate { .. }
    ));
    for change in [
        (&|d: &mut caf_bundle::Draft| d.models.clear()) as &dyn Fn(&mut caf_bundle::Draft),
        &|d| d.detection = None,
        &|d| d.tasks.clear(),
        &|d| d.files.retain(|(_, role, _)| *role != Role::Probes),
        &|d| d.rig = None,
        &|d| d.models.push(d.models[0].clone()),
        &|d| d.models[0].external_data = vec![name("provenance/beta.toml")],
    ] {
        assert!(matches!(refused(change), ManifestFault::Inconsistent(_)));
    }
    // Classes beside the manifest that say something else: found when the folder aside is opened.
    let mut wrong = draft();
    wrong.tasks[0].classes[0] = "human".into();
    assert!(matches!(wrong.write(&path, None, Existing::Refuse), Err(BundleError::Files { .. })));
    let error = draft().write(&folder.path().join("absent/bundle"), None, Existing::Refuse).unwrap_err();
    assert!(matches!(error, BundleError::Write { .. }) && !error.to_string().contains(".partial"), "{error}");
    for none in ["", "..", "/"] {
        assert!(draft().write(none.as_ref(), None, Existing::Replace).is_err(), "{none}");
    }
    assert_eq!(entries(folder.path()), Vec::<String>::new());
}

/// A process that may write no more than some bytes a file is stopped between the first files and the last: what was there is whole.
#[test]
fn a_process_that_is_killed_on_the_way_leaves_the_old_bundle() {
    const CHILD: &str = "CAF_BUNDLE_TEST_TARGET";
    if let Some(target) = std::env::var_os(CHILD) {
        let mut larger = draft();
        larger.files.push((name("zz"), Role::Report, vec![7; 1 << 16]));
        drop(larger.write(target.as_ref(), None, Existing::Replace));
        return;
    }
    let place = Place::new(None);
    let before = fs::read(place.at(MANIFEST)).unwrap();
    let script = "ulimit -f 16; exec \"$0\" --exact a_process_that_is_killed_on_the_way_leaves_the_old_bundle";
    let child = std::process::Command::new("bash")
        .args(["-c", script])
        .arg(std::env::current_exe().unwrap())
        .env(CHILD, place.bundle())
        .output()
        .unwrap();
    assert!(!child.status.success(), "the child was not stopped: {child:?}");
    assert_eq!(fs::read(place.at(MANIFEST)).unwrap(), before);
    place.open().unwrap();
    // What it had begun is hidden and part of nothing.
    let left: Vec<String> = entries(place.folder.path()).into_iter().filter(|name| name != "bundle").collect();
    assert!(left.iter().all(|name| name.starts_with(".partial-")) && left.len() == 1, "{left:?}");
    draft().write(&place.bundle(), None, Existing::Replace).unwrap();
}
