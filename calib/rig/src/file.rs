use std::fs;
use std::path::Path;

use crate::error::RigError;
use crate::rig::Rig;

impl Rig {
    /// Reads and validates a rig file.
    ///
    /// # Errors
    /// [`RigError::Io`], [`RigError::Parse`] (unknown keys included; the cause has line and column) or
    /// [`RigError::Invalid`], each with the path.
    pub fn read(path: &Path) -> Result<Rig, RigError> {
        let text = fs::read_to_string(path).map_err(|source| RigError::Io {
            path: path.to_owned(),
            doing: "reading",
            source,
        })?;
        Rig::from_toml(&text, path)
    }

    /// Parses and validates the text of a rig file; `path` is named in errors.
    ///
    /// # Errors
    /// As [`Rig::read`], without [`RigError::Io`].
    pub fn from_toml(text: &str, path: &Path) -> Result<Rig, RigError> {
        let rig: Rig = toml::from_str(text)
            .map_err(|source| RigError::Parse { path: path.to_owned(), source: Box::new(source) })?;
        rig.validate().map_err(|source| RigError::Invalid { path: path.to_owned(), source: Box::new(source) })?;
        Ok(rig)
    }

    /// Validates the rig and writes it; the file appears complete or not at all.
    ///
    /// # Errors
    /// [`RigError::Invalid`], [`RigError::Format`] or [`RigError::Io`], each with the path.
    pub fn write(&self, path: &Path) -> Result<(), RigError> {
        self.validate().map_err(|source| RigError::Invalid { path: path.to_owned(), source: Box::new(source) })?;
        let body = toml::to_string(self)
            .map_err(|source| RigError::Format { path: path.to_owned(), source: Box::new(source) })?;
        let text = format!(
            "# Two cameras: pixel centres at integers; frames x right, y down, z forward, metres; \
             x_vis = rotation * x_ir + translation_m.\n\n{body}"
        );
        caf_file::write(path, text.as_bytes()).map_err(|source| RigError::Io {
            path: path.to_owned(),
            doing: "writing",
            source,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::camera::Camera;
    use crate::matrix::Mat3;
    use crate::rig::{Latency, Pose};

    fn rig() -> Rig {
        Rig {
            visible: Camera::with_field_of_view(640, 480, 63.0),
            infrared: Camera::with_field_of_view(320, 256, 55.0),
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
        let text = toml::to_string(&rig()).unwrap();
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

    #[test]
    fn wrong_values_and_missing_files_name_the_path() {
        let text = toml::to_string(&rig()).unwrap().replace("width_px = 640", "width_px = 0");
        let error = Rig::from_toml(&text, Path::new("some/rig.toml")).unwrap_err();
        assert!(error.to_string().contains("some/rig.toml"), "{error}");
        assert!(std::error::Error::source(&error).unwrap().to_string().contains("visible.width_px"));
        let error = Rig::read(Path::new("no/such/rig.toml")).unwrap_err();
        assert!(error.to_string().contains("no/such/rig.toml"));
        assert!(matches!(rig().write(Path::new("no/such/rig.toml")), Err(RigError::Io { .. })));
    }
}
