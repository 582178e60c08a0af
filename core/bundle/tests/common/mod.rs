//! A small bundle, and ways to change it.

#![allow(dead_code, reason = "every test program takes a part of it")]

use caf_bundle::{
    Bundle, BundleError, Draft, Existing, Fault, FileFault, FileName, MANIFEST, Made, ModelEntry, Probe, ProbeSet,
    PublicKey, RigEntry, Role, SecretKey, Sha256Hash, TaskEntry, Thresholds, Trust,
};
use caf_contract::{Array, IrRange, Precision, Source, Values};
use std::path::{Path, PathBuf};

/// How the last line of a manifest begins.
const CHECKSUM: &str = "# sha256 of the lines above: ";

pub fn name(text: &str) -> FileName {
    FileName::new(text).unwrap()
}

/// Everything that a bundle can hold; its model is no model, which opening does not look at.
pub fn draft() -> Draft {
    let array = Array { shape: vec![1, 2], values: Values::U8(vec![1, 2]) };
    let probe =
        Probe { name: "0".into(), inputs: vec![("ir".into(), array.clone())], outputs: vec![("fused".into(), array)] };
    let probes = ProbeSet { reference: "by hand".into(), probes: vec![probe] }.to_bytes().unwrap();
    let classes = vec!["person".to_owned(), "car".to_owned()];
    Draft {
        made: Made {
            program: "a test 1.0".into(),
            beta: Some(name("provenance/beta.toml")),
            run: Some(name("provenance/run.toml")),
            sources: vec![Source { role: "fusion".into(), sha256: "0".repeat(64) }],
        },
        infrared_range: IrRange::Window { min: 7000.1, max: 9000.0 },
        tasks: vec![TaskEntry { task: "detection".into(), classes, classes_file: name("detection.classes.txt") }],
        detection: Some(Thresholds::default()),
        rig: Some(RigEntry { file: name("rig.toml"), distance_m: Some(30.0) }),
        probes: name("probes.safetensors"),
        models: vec![ModelEntry {
            file: name("model.fp32.onnx"),
            precision: Precision::Fp32,
            external_data: vec![name("model.fp32.onnx.data")],
            modelinfo: name("model.fp32.onnx.modelinfo"),
            loss: None,
        }],
        files: [
            ("model.fp32.onnx", Role::Model, &b"\x08\x08 no model"[..]),
            ("model.fp32.onnx.data", Role::ExternalData, b"weights"),
            ("model.fp32.onnx.modelinfo", Role::Modelinfo, b"[modelinfo]\n"),
            ("detection.classes.txt", Role::Classes, b"person\ncar\n"),
            ("rig.toml", Role::Rig, b"version = 2\n"),
            ("probes.safetensors", Role::Probes, &probes),
            ("provenance/beta.toml", Role::Provenance, b"beta\n"),
            ("provenance/run.toml", Role::Provenance, b"run\n"),
            ("report/notes.html", Role::Report, b""),
        ]
        .map(|(file, role, bytes)| (name(file), role, bytes.to_vec()))
        .into(),
    }
}

/// A folder, removed at the end, with a bundle in it.
pub struct Place {
    pub folder: tempfile::TempDir,
}

impl Place {
    pub fn new(key: Option<&SecretKey>) -> Self {
        let place = Self { folder: tempfile::tempdir().unwrap() };
        draft().write(&place.bundle(), key, Existing::Refuse).unwrap();
        place
    }

    pub fn bundle(&self) -> PathBuf {
        self.folder.path().join("bundle")
    }

    pub fn at(&self, file: &str) -> PathBuf {
        self.bundle().join(file)
    }

    pub fn open(&self) -> Result<Bundle, BundleError> {
        Bundle::open(&self.bundle(), &Trust::Integrity)
    }

    pub fn open_with(&self, keys: &[PublicKey]) -> Result<Bundle, BundleError> {
        Bundle::open(&self.bundle(), &Trust::Keys(keys.to_vec()))
    }

    /// The faults of files for which the bundle is refused.
    pub fn faults(&self) -> Vec<(String, FileFault)> {
        match self.open() {
            Err(BundleError::Files { faults, .. }) => {
                faults.into_iter().map(|Fault { name, fault }| (name, fault)).collect()
            }
            other => panic!("{other:?}"),
        }
    }

    /// Changes the manifest's text and makes its checksum fit again.
    pub fn edit(&self, change: impl FnOnce(&str) -> String) {
        let text = std::fs::read_to_string(self.at(MANIFEST)).unwrap();
        let body = text.split_once(CHECKSUM).unwrap().0;
        let changed = change(body);
        assert_ne!(changed, body, "nothing was changed");
        std::fs::write(self.at(MANIFEST), sealed(&changed)).unwrap();
    }

    /// [`Place::edit`] by replacing one text, which must be there.
    pub fn replace(&self, old: &str, new: &str) {
        self.edit(|body| {
            assert!(body.contains(old), "{old} in {body}");
            body.replacen(old, new, 1)
        });
    }

    /// Every file of the bundle.
    pub fn files(&self) -> Vec<PathBuf> {
        let mut found = vec![];
        let mut left = vec![self.bundle()];
        while let Some(folder) = left.pop() {
            for entry in std::fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() { left.push(path) } else { found.push(path) }
            }
        }
        found.sort();
        found
    }
}

/// A manifest's text with its checksum.
pub fn sealed(body: &str) -> String {
    format!("{body}{CHECKSUM}{}\n", Sha256Hash::of(body.as_bytes()))
}

/// A key from 32 equal bytes, through a file as a user has it.
pub fn key(byte: u8) -> SecretKey {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), format!("{}\n", format!("{byte:02x}").repeat(32))).unwrap();
    SecretKey::read(file.path()).unwrap()
}

/// Where a file lies in the bundle.
pub fn relative(place: &Place, path: &Path) -> String {
    path.strip_prefix(place.bundle()).unwrap().to_str().unwrap().to_owned()
}
