//! What was changed in any way is refused, and named.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "helpers of tests fail like tests")]

mod common;

use caf_bundle::{BundleError, FileFault, MANIFEST, ManifestFault, NameFault, SIGNATURE};
use common::{Place, draft, key, name, relative, sealed};
use std::fs;
use std::os::unix::fs::symlink;

#[test]
fn a_whole_bundle_is_opened_and_hands_out_what_was_written() {
    let place = Place::new(None);
    let bundle = place.open().unwrap();
    for (file, _, bytes) in draft().files {
        assert_eq!(&**bundle.bytes(&file).unwrap(), bytes, "{file}");
    }
    assert_eq!(bundle.bytes(&name("absent")), None);
    let model = bundle.model(None).unwrap();
    assert_eq!((model.onnx, model.path), (&b"\x08\x08 no model"[..], place.at("model.fp32.onnx")));
    assert_eq!(model.external_data.iter().map(|(name, _)| *name).collect::<Vec<_>>(), ["model.fp32.onnx.data"]);
    assert_eq!(bundle.rig().unwrap(), ("version = 2\n".to_owned(), place.at("rig.toml")));
    assert_eq!(bundle.probes().unwrap().reference, "by hand");
    let manifest = bundle.manifest();
    assert_eq!((manifest.models.clone(), manifest.infrared_range), (draft().models, draft().infrared_range));
    assert_eq!(manifest.detection, draft().detection);
    // What a file becomes after it was opened changes nothing.
    fs::write(place.at("model.fp32.onnx"), "another").unwrap();
    assert_eq!(bundle.model(None).unwrap().onnx, b"\x08\x08 no model");
    // The folder may be reached through a link, as when versions are switched.
    let place = Place::new(None);
    symlink(place.bundle(), place.folder.path().join("current")).unwrap();
    caf_bundle::Bundle::open(&place.folder.path().join("current"), &caf_bundle::Trust::Integrity).unwrap();
}

/// Every byte of every file, each of its bits by turns; without a key and with one.
#[test]
fn a_flipped_byte_of_any_file_is_found_and_the_file_named() {
    let secret = key(1);
    let place = Place::new(Some(&secret));
    let mut flipped = 0;
    for path in place.files() {
        let file = relative(&place, &path);
        let whole = fs::read(&path).unwrap();
        for at in 0..whole.len() {
            let mut bytes = whole.clone();
            bytes[at] ^= 1 << (at % 8);
            fs::write(&path, &bytes).unwrap();
            for (demanded, result) in [(false, place.open()), (true, place.open_with(&[secret.public()]))] {
                let error = result.err().unwrap_or_else(|| panic!("byte {at} of {file} makes no difference"));
                let right = match &error {
                    BundleError::Manifest { path, fault } => {
                        let told = matches!(
                            fault,
                            ManifestFault::Checksum { .. } | ManifestFault::NoChecksum | ManifestFault::NoText { .. }
                        );
                        told && !demanded && file == MANIFEST && *path == place.at(MANIFEST)
                    }
                    BundleError::BadSignature { path, .. } => {
                        *path == place.at(SIGNATURE) && (file == SIGNATURE || (demanded && file == MANIFEST))
                    }
                    // The signer's own digits were changed.
                    BundleError::WrongKey { .. } => demanded && file == MANIFEST,
                    BundleError::Files { faults, .. } => {
                        faults.len() == 1 && faults[0].name == file && matches!(faults[0].fault, FileFault::Hash { .. })
                    }
                    _ => false,
                };
                assert!(right, "byte {at} of {file}, key demanded: {demanded}: {error}");
                assert!(error.to_string().contains("bundle") && !error.is_wrong_call());
            }
            flipped += 1;
        }
        fs::write(&path, &whole).unwrap();
    }
    place.open_with(&[secret.public()]).unwrap();
    println!("{flipped} bytes flipped");
}

#[test]
fn a_file_that_is_cut_off_or_longer_is_told_by_its_size() {
    let place = Place::new(None);
    for (file, _, bytes) in draft().files {
        for found in [bytes.len().wrapping_sub(1), bytes.len() + 1] {
            let mut changed = bytes.clone();
            changed.resize(found.min(1 << 20), 0);
            if changed.len() == found {
                fs::write(place.at(file.as_str()), changed).unwrap();
                let fault = FileFault::Size { expected: bytes.len() as u64, found: found as u64 };
                assert_eq!(place.faults(), [(file.to_string(), fault)]);
            }
        }
        fs::write(place.at(file.as_str()), bytes).unwrap();
    }
    let text = fs::read(place.at(MANIFEST)).unwrap();
    for cut in [&text[..text.len() - 1], &text[..text.len() / 2], b""] {
        fs::write(place.at(MANIFEST), cut).unwrap();
        let fault = place.open().unwrap_err();
        assert!(matches!(fault, BundleError::Manifest { fault: ManifestFault::NoChecksum, .. }), "{fault}");
    }
    fs::write(place.at(MANIFEST), vec![b'#'; (1 << 20) + 1]).unwrap();
    let fault = place.open().unwrap_err();
    assert!(matches!(fault, BundleError::Manifest { fault: ManifestFault::Long { .. }, .. }), "{fault}");
}

#[test]
fn missing_extra_and_renamed_files_are_named() {
    for (file, ..) in draft().files {
        let place = Place::new(None);
        fs::remove_file(place.at(file.as_str())).unwrap();
        assert_eq!(place.faults(), [(file.to_string(), FileFault::Missing)]);
        let place = Place::new(None);
        let other = file.beside("other").unwrap();
        fs::rename(place.at(file.as_str()), place.at(other.as_str())).unwrap();
        let mut expected = [(file.to_string(), FileFault::Missing), (other.to_string(), FileFault::Extra)];
        expected.sort_by(|a, b| a.0.cmp(&b.0));
        assert_eq!(place.faults(), expected);
    }
    for extra in ["extra", ".hidden", "provenance/extra", "manifest.sig", "Rig.toml"] {
        let place = Place::new(None);
        fs::write(place.at(extra), "x").unwrap();
        assert_eq!(place.faults(), [(extra.to_owned(), FileFault::Extra)]);
    }
    let place = Place::new(None);
    fs::create_dir_all(place.at("empty/deep")).unwrap();
    assert_eq!(place.faults(), [("empty".to_owned(), FileFault::Extra)]);
    let place = Place::new(None);
    fs::remove_file(place.at(MANIFEST)).unwrap();
    assert!(matches!(place.open(), Err(BundleError::NoManifest { folder }) if folder == place.bundle()));
    // All at once.
    let place = Place::new(None);
    fs::remove_file(place.at("rig.toml")).unwrap();
    fs::write(place.at("x"), "").unwrap();
    fs::write(place.at("provenance/beta.toml"), "BETA\n").unwrap();
    let named: Vec<String> = place.faults().into_iter().map(|(name, _)| name).collect();
    assert_eq!(named, ["provenance/beta.toml", "rig.toml", "x"]);
}

#[test]
fn what_is_no_ordinary_file_is_refused() {
    let outside = tempfile::tempdir().unwrap();
    for file in ["rig.toml", "model.fp32.onnx", "provenance/run.toml"] {
        // A link to the very same bytes, within and outside.
        for within in [false, true] {
            let place = Place::new(None);
            let target = if within { place.at("twin") } else { outside.path().join("twin") };
            fs::copy(place.at(file), &target).unwrap();
            fs::remove_file(place.at(file)).unwrap();
            symlink(&target, place.at(file)).unwrap();
            let faults = place.faults();
            assert!(faults.contains(&(file.to_owned(), FileFault::Link)), "{faults:?}");
        }
        let place = Place::new(None);
        fs::remove_file(place.at(file)).unwrap();
        fs::create_dir(place.at(file)).unwrap();
        assert_eq!(place.faults(), [(file.to_owned(), FileFault::NoFile { found: "a folder" })]);
        // Opening a pipe that nobody writes to would wait for ever.
        let place = Place::new(None);
        fs::remove_file(place.at(file)).unwrap();
        assert!(std::process::Command::new("mkfifo").arg(place.at(file)).status().unwrap().success());
        assert_eq!(place.faults(), [(file.to_owned(), FileFault::NoFile { found: "a pipe" })]);
    }
    // A folder that is a link to an equal folder.
    let place = Place::new(None);
    fs::rename(place.at("provenance"), outside.path().join("provenance")).unwrap();
    symlink(outside.path().join("provenance"), place.at("provenance")).unwrap();
    assert_eq!(place.faults(), [("provenance".to_owned(), FileFault::Link)]);
    // A loop, and links that lead nowhere.
    let place = Place::new(None);
    symlink(place.bundle(), place.at("loop")).unwrap();
    symlink("absent", place.at("nowhere")).unwrap();
    assert_eq!(place.faults().len(), 2);
    for file in [MANIFEST, SIGNATURE] {
        let place = Place::new(Some(&key(1)));
        fs::rename(place.at(file), outside.path().join(file)).unwrap();
        symlink(outside.path().join(file), place.at(file)).unwrap();
        assert_eq!(place.faults(), [(file.to_owned(), FileFault::Link)]);
    }
    let socket = Place::new(None);
    fs::remove_file(socket.at("rig.toml")).unwrap();
    let _listener = std::os::unix::net::UnixListener::bind(socket.at("rig.toml")).unwrap();
    assert_eq!(socket.faults(), [("rig.toml".to_owned(), FileFault::NoFile { found: "a socket" })]);
    // A hard link is a file like any other.
    let place = Place::new(None);
    fs::hard_link(place.at("rig.toml"), outside.path().join("hard")).unwrap();
    place.open().unwrap();
}

/// What a manifest says by itself: the checksum is right, the file was made by somebody.
#[test]
fn a_manifest_that_says_what_cannot_be_is_refused() {
    let fault = |old: &str, new: &str| {
        let place = Place::new(None);
        place.replace(old, new);
        match place.open() {
            Err(BundleError::Manifest { fault, path }) => {
                assert_eq!(path, place.at(MANIFEST));
                fault
            }
            other => panic!("{old} -> {new}: {other:?}"),
        }
    };
    for (wrong, expected) in [
        ("../rig.toml", NameFault::Detour),
        ("a/../../rig.toml", NameFault::Detour),
        ("/etc/passwd", NameFault::Absolute),
        ("C:rig.toml", NameFault::Character(':')),
        ("", NameFault::Empty),
        (".rig", NameFault::Hidden),
    ] {
        let found = fault("path = \"rig.toml\"", &format!("path = \"{wrong}\""));
        assert!(
            matches!(&found, ManifestFault::Name { name, fault } if name == wrong && *fault == expected),
            "{found}"
        );
    }
    let found = fault("path = \"rig.toml\"", "path = \"probes.safetensors\"");
    assert!(matches!(&found, ManifestFault::Duplicate { name } if name == "probes.safetensors"), "{found}");
    for reserved in [MANIFEST, SIGNATURE] {
        let found = fault("path = \"rig.toml\"", &format!("path = \"{reserved}\""));
        assert!(matches!(&found, ManifestFault::Duplicate { name } if name == reserved), "{found}");
    }
    for (case, other) in [("Probes.safetensors", "probes.safetensors"), ("Provenance/rig.toml", "provenance")] {
        let found = fault("path = \"rig.toml\"", &format!("path = \"{case}\""));
        let named = matches!(&found, ManifestFault::Case { first, second } if [first, second].iter().any(|n| n.as_str() == other));
        assert!(named, "{found}");
    }
    let found = fault("path = \"rig.toml\"", "path = \"report\"");
    assert!(
        matches!(&found, ManifestFault::Duplicate { name } if name == "report"),
        "a file in a folder's place: {found}"
    );
    assert!(matches!(fault("version = 1", "version = 2\nnew = 1"), ManifestFault::Version { found: 2 }));
    let found = fault("format = \"caf-bundle\"", "format = \"other\"");
    assert!(matches!(&found, ManifestFault::Format { found } if found == "other"), "{found}");
    for (old, new) in [
        ("version = 1", "version = 1\nunknown = 1"),
        ("score = 0.25", "score = 0.25\nscore_of_all = 1"),
        ("role = \"rig\"", "role = \"virus\""),
        ("score = 0.25", "score = \"much\""),
        ("bytes = 12", "bytes = -1"),
        ("version = 1", "version = 1\nversion = 1"),
    ] {
        let found = fault(old, new);
        assert!(matches!(found, ManifestFault::Toml(_)), "{new}: {found}");
    }
    for (old, new, place) in [
        ("score = 0.25", "score = 1.5", "detection.score"),
        ("score = 0.25", "score = nan", "detection.score"),
        ("max_detections = 300", "max_detections = 0", "detection.max_detections"),
        ("max_detections = 300", "max_detections = 100001", "detection.max_detections"),
        ("distance_m = 30.0", "distance_m = inf", "rig.distance_m"),
        ("role = \"rig\"", "role = \"report\"", "rig.toml"),
        ("role = \"report\"", "role = \"model\"", "report/notes.html"),
        ("precision = \"fp32\"", "precision = \"int8\"", "models.model.fp32.onnx"),
        ("task = \"detection\"", "task = \"depth\"", "tasks"),
        ("max = 9000.0", "max = 7000.0", "infrared_range"),
        ("path = \"rig.toml\"", "path = \"z.toml\"", "rig.toml"),
        ("bytes = 12", "bytes = 999999999999999", "model.fp32.onnx.modelinfo"),
    ] {
        let found = fault(old, new);
        let ManifestFault::Inconsistent(list) = &found else { panic!("{new}: {found}") };
        assert!(list.iter().any(|mismatch| mismatch.place == place), "{place} in {found}");
    }
    // A model of less precision with its loss, good and such as cannot have been measured.
    let with_loss = |loss: &str| {
        let place = Place::new(None);
        place.replace("precision = \"fp32\"", "precision = \"int8\"");
        let last = "modelinfo = \"model.fp32.onnx.modelinfo\"\n";
        place.replace(last, &format!("{last}\n[models.loss]\n{loss}\n"));
        place.open()
    };
    let good = "pairs = 54\nfused_psnr_db = 44.2\nfused_ssim = 0.984\npoints_lost = { detection = -0.2 }";
    assert_eq!(with_loss(good).unwrap().manifest().models[0].loss.as_ref().unwrap().fused_ssim, Some(0.984));
    for (old, new) in [
        ("pairs = 54", "pairs = 0"),
        ("fused_psnr_db = 44.2\n", ""),
        ("fused_psnr_db = 44.2", "fused_psnr_db = inf"),
        ("fused_ssim = 0.984\n", ""),
        ("fused_ssim = 0.984", "fused_ssim = 1.1"),
        ("fused_ssim = 0.984", "fused_ssim = nan"),
        ("-0.2", "nan"),
        ("detection = -0.2", "depth = -0.2"),
        ("points_lost = { detection = -0.2 }", "vif_lost = -inf"),
    ] {
        assert!(good.contains(old), "{old}");
        let error = with_loss(&good.replace(old, new)).unwrap_err();
        let BundleError::Manifest { fault: ManifestFault::Inconsistent(list), .. } = &error else {
            panic!("{new}: {error}")
        };
        assert!(list.iter().any(|mismatch| mismatch.place == "models.model.fp32.onnx"), "{new}: {error}");
    }
    // The list of classes beside says something else.
    let place = Place::new(None);
    place.replace("\"person\"", "\"human\"");
    let faults = place.faults();
    assert!(
        matches!(&faults[..], [(name, FileFault::Contents { .. })] if name == "detection.classes.txt"),
        "{faults:?}"
    );
}

#[test]
fn folders_that_are_no_bundle_are_wrong_calls() {
    let place = Place::new(None);
    for path in [place.at("absent"), place.at("rig.toml"), place.at("provenance")] {
        let error = caf_bundle::Bundle::open(&path, &caf_bundle::Trust::Integrity).unwrap_err();
        assert!(error.is_wrong_call() && error.to_string().contains(path.to_str().unwrap()), "{error}");
    }
}

/// Manifests changed at random, with the right checksum: an error or a bundle, never a panic.
#[test]
fn no_manifest_stops_the_program() {
    let place = Place::new(None);
    let text = fs::read_to_string(place.at(MANIFEST)).unwrap();
    let body = text.split_once("# sha256").unwrap().0.to_owned();
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = |below: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize % below
    };
    let mut refused = 0;
    for _ in 0..4000 {
        let mut bytes = body.clone().into_bytes();
        for _ in 0..=next(3) {
            let at = next(bytes.len());
            match next(4) {
                0 => drop(bytes.remove(at)),
                1 => bytes.insert(at, b"\"[]=.#\n0a-"[next(10)]),
                2 => bytes[at] = next(128) as u8,
                _ => drop(bytes.drain(at..(at + next(40)).min(bytes.len()))),
            }
        }
        let Ok(changed) = String::from_utf8(bytes) else { continue };
        fs::write(place.at(MANIFEST), sealed(&changed)).unwrap();
        refused += usize::from(place.open().is_err());
    }
    assert!(refused > 3000, "{refused}");
}
