use std::fs;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::camera::Camera;
use crate::error::RigError;
use crate::rig::{Latency, Pose, Rig};

/// Pixel i covers [i, i + 1). Files of version 1, which carry no number, put the first pixel's centre at 0; those of version 3 hold a
/// homography ([`PlaneRig`](crate::PlaneRig)).
const VERSION: u32 = 2;
/// What version 1 lacks in both coordinates of a principal point.
const FIRST_CENTRE_PX: f64 = 0.5;

/// The part of a file that says how to read the rest.
#[derive(Deserialize)]
struct Header {
    #[serde(default = "first_version")]
    version: u32,
}

fn first_version() -> u32 {
    1
}

/// A rig as it stands in the file.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct RigFile {
    #[serde(default = "first_version")]
    version: u32,
    visible: Camera,
    infrared: Camera,
    vis_from_ir: Pose,
    #[serde(default)]
    latency_ms: Latency,
}

impl RigFile {
    fn of(rig: &Rig) -> RigFile {
        let Rig { visible, infrared, vis_from_ir, latency_ms } = *rig;
        RigFile { version: VERSION, visible, infrared, vis_from_ir, latency_ms }
    }

    fn into_rig(self) -> Rig {
        let shift = if self.version == VERSION { 0.0 } else { FIRST_CENTRE_PX };
        let moved = |c: Camera| Camera { cx_px: c.cx_px + shift, cy_px: c.cy_px + shift, ..c };
        Rig {
            visible: moved(self.visible),
            infrared: moved(self.infrared),
            vis_from_ir: self.vis_from_ir,
            latency_ms: self.latency_ms,
        }
    }
}

impl Rig {
    /// Reads and validates a rig file. Principal points of a file of version 1 (without a `version`) count from the first
    /// pixel's centre, as OpenCV's calibrations do; they are moved by half a pixel, which leaves the geometry as it was.
    ///
    /// # Errors
    /// [`RigError::Io`], [`RigError::Version`], [`RigError::Parse`] (unknown keys included; the cause has line and column)
    /// or [`RigError::Invalid`], each with the path.
    pub fn read(path: &Path) -> Result<Rig, RigError> {
        let text = fs::read_to_string(path).map_err(RigError::reading(path))?;
        Rig::from_toml(&text, path)
    }

    /// Parses and validates the text of a rig file; `path` is named in errors.
    ///
    /// # Errors
    /// As [`Rig::read`], without [`RigError::Io`].
    pub fn from_toml(text: &str, path: &Path) -> Result<Rig, RigError> {
        let parse = |source| RigError::Parse { path: path.to_owned(), source: Box::new(source) };
        // First of all the version: what a later one has beside it, this one cannot judge.
        let Header { version } = toml::from_str(text).map_err(parse)?;
        if !(1..=VERSION).contains(&version) {
            return Err(RigError::Version { path: path.to_owned(), latest: VERSION, found: version });
        }
        let rig = toml::from_str::<RigFile>(text).map_err(parse)?.into_rig();
        rig.validate().map_err(|source| RigError::Invalid { path: path.to_owned(), source: Box::new(source) })?;
        Ok(rig)
    }

    /// Validates the rig and writes it; the file appears complete or not at all.
    ///
    /// # Errors
    /// [`RigError::Invalid`], [`RigError::Format`] or [`RigError::Io`], each with the path.
    pub fn write(&self, path: &Path) -> Result<(), RigError> {
        self.validate().map_err(|source| RigError::Invalid { path: path.to_owned(), source: Box::new(source) })?;
        let body = toml::to_string(&RigFile::of(self))
            .map_err(|source| RigError::Format { path: path.to_owned(), source: Box::new(source) })?;
        let text = format!(
            "# Two cameras. Pixel i covers [i, i + 1), its centre is at i + 0.5; frames x right, y down, z forward, metres;\n\
             # x_vis = rotation * x_ir + translation_m.\n\n{body}"
        );
        caf_file::write(path, text.as_bytes()).map_err(RigError::io(path, "writing"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::matrix::Mat3;
    use caf_geometry::Size;

    fn rig() -> Rig {
        Rig {
            visible: Camera::with_field_of_view(Size::new(640, 480), 63.0),
            infrared: Camera::with_field_of_view(Size::new(320, 256), 55.0),
            vis_from_ir: Pose {
                rotation: Mat3::from_rotation_vector([0.01, -0.03, 0.02]),
                translation_m: [0.12, -0.02, 0.04],
            },
            latency_ms: Latency { visible: 20.0, infrared: 45.0 },
        }
    }

    #[test]
    fn what_was_written_is_read_back_to_the_bit() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("rig.toml");
        rig().write(&path).unwrap();
        assert_eq!(Rig::read(&path).unwrap(), rig());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "nothing is left beside the file");
    }

    #[test]
    fn unknown_keys_are_refused_at_every_level() {
        let text = toml::to_string(&RigFile::of(&rig())).unwrap();
        let at = Path::new("rig.toml");
        assert!(Rig::from_toml(&text, at).is_ok());
        for (old, new) in [
            ("[visible]", "extra = 1\n[visible]"),
            ("[visible]", "[visible]\nk1 = 0.1"),
            ("[vis_from_ir]", "[vis_from_ir]\nscale = 2.0"),
            ("[latency_ms]", "[latency_ms]\nradar = 2.0"),
        ] {
            assert!(text.contains(old), "{text}");
            let error = Rig::from_toml(&text.replace(old, new), at).unwrap_err();
            assert!(matches!(error, RigError::Parse { .. }), "{error}");
        }
    }

    /// A file as version 1 wrote it.
    const FIRST: &str = "# Two cameras: pixel centres at integers; frames x right, y down, z forward, metres; \
        x_vis = rotation * x_ir + translation_m.\n
        [visible]\nwidth_px = 640\nheight_px = 480\nfx_px = 522.25\nfy_px = 520.5\ncx_px = 319.5\ncy_px = 241.75\n
        [infrared]\nwidth_px = 320\nheight_px = 256\nfx_px = 300.0\nfy_px = 298.0\ncx_px = 161.0\ncy_px = 126.5\n
        [vis_from_ir]\nrotation = [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]]\ntranslation_m = [0.1, 0.0, 0.0]\n
        [latency_ms]\nvisible = 20.0\ninfrared = 45.0\n";

    #[test]
    fn a_file_of_the_first_version_means_what_it_meant() {
        let at = Path::new("rig.toml");
        let rig = Rig::from_toml(FIRST, at).unwrap();
        assert_eq!((rig.visible.cx_px, rig.visible.cy_px), (320.0, 242.25));
        assert_eq!((rig.infrared.cx_px, rig.infrared.cy_px), (161.5, 127.0));
        assert_eq!((rig.visible.fx_px, rig.infrared.fy_px, rig.latency_ms.infrared), (522.25, 298.0, 45.0));
        assert_eq!(Rig::from_toml(&format!("version = 1\n{FIRST}"), at).unwrap(), rig);
        // The same numbers under version 2 are those of cameras that look half a pixel elsewhere.
        let second = Rig::from_toml(&format!("version = 2\n{FIRST}"), at).unwrap();
        assert_eq!((second.visible.cx_px, second.infrared.cy_px), (319.5, 126.5));
        // The ray that version 1 saw at the centre of pixel (0, 0), its position 0, is the one seen at 0.5 now.
        let ray = rig.visible.unproject([0.5, 0.5], 1.0);
        assert_eq!(ray, [-319.5 / 522.25, -241.75 / 520.5, 1.0]);

        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("rig.toml");
        rig.write(&path).unwrap();
        assert!(fs::read_to_string(&path).unwrap().contains("\nversion = 2\n"));
        assert_eq!(Rig::read(&path).unwrap(), rig);
    }

    #[test]
    fn a_version_that_is_not_known_is_named_before_its_keys() {
        for version in [0, 3] {
            let text = format!("version = {version}\npixels = 7\n{FIRST}");
            let error = Rig::from_toml(&text, Path::new("some/rig.toml")).unwrap_err();
            assert!(matches!(error, RigError::Version { found, .. } if found == version), "{error}");
            let said = error.to_string();
            assert!(said.contains("some/rig.toml") && said.contains(&format!("found {version}")), "{said}");
        }
        let error = Rig::from_toml(&format!("version = \"2\"\n{FIRST}"), Path::new("rig.toml")).unwrap_err();
        assert!(matches!(error, RigError::Parse { .. }), "{error}");
    }

    #[test]
    fn wrong_values_and_missing_files_name_the_path() {
        let text = toml::to_string(&RigFile::of(&rig())).unwrap().replace("width_px = 640", "width_px = 0");
        let error = Rig::from_toml(&text, Path::new("some/rig.toml")).unwrap_err();
        assert!(error.to_string().contains("some/rig.toml"), "{error}");
        assert!(std::error::Error::source(&error).unwrap().to_string().contains("visible.width_px"));
        let error = Rig::read(Path::new("no/such/rig.toml")).unwrap_err();
        assert!(error.to_string().contains("no/such/rig.toml") && error.is_wrong_call());
        // A file of another kind, text or not, is a wrong call; a rig with a wrong value is a bad file.
        let folder = tempfile::tempdir().unwrap();
        for (bytes, words) in
            [(&b"# A page\n\nof text"[..], "not a rig file"), (&b"\x08\xff\xfe"[..], "bytes that are not UTF-8")]
        {
            fs::write(folder.path().join("page"), bytes).unwrap();
            let error = Rig::read(&folder.path().join("page")).unwrap_err();
            assert!(error.to_string().contains(words) && error.is_wrong_call(), "{error}");
        }
        assert!(!Rig::from_toml(&text, Path::new("rig.toml")).unwrap_err().is_wrong_call());
        assert!(matches!(rig().write(Path::new("no/such/rig.toml")), Err(RigError::Io { .. })));
    }
}
