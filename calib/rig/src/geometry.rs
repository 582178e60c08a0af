use std::fs;
use std::path::Path;

use serde::Deserialize;

use crate::error::RigError;
use crate::plane::{self, PlaneRig};
use crate::remap::RemapTable;
use crate::rig::{Latency, Rig};

/// Distance for which a rig with a pose is aligned where none is asked for, metres.
pub const DEFAULT_DISTANCE_M: f64 = 30.0;

/// What a rig file may hold.
#[derive(Clone, Debug, PartialEq)]
pub enum Geometry {
    /// Two cameras and the pose between them (versions 1 and 2).
    Pose(Rig),
    /// The map between two images (version 3).
    Plane(Box<PlaneRig>),
}

impl From<Rig> for Geometry {
    fn from(rig: Rig) -> Self {
        Self::Pose(rig)
    }
}

#[derive(Deserialize)]
struct Header {
    #[serde(default)]
    version: Option<u32>,
}

impl Geometry {
    /// Reads and validates a rig file of any version.
    ///
    /// # Errors
    /// [`RigError::Io`], [`RigError::Version`], [`RigError::Parse`] (unknown keys included; the cause has line and column),
    /// [`RigError::Checksum`] or [`RigError::Invalid`], each with the path.
    pub fn read(path: &Path) -> Result<Geometry, RigError> {
        let text = fs::read_to_string(path).map_err(RigError::io(path, "reading"))?;
        Geometry::from_toml(&text, path)
    }

    /// Parses and validates the text of a rig file; `path` is named in errors.
    ///
    /// # Errors
    /// As [`Geometry::read`], without [`RigError::Io`].
    pub fn from_toml(text: &str, path: &Path) -> Result<Geometry, RigError> {
        let parse = |source| RigError::Parse { path: path.to_owned(), source: Box::new(source) };
        let Header { version } = toml::from_str(text).map_err(parse)?;
        match version {
            None | Some(1..plane::VERSION) => Rig::from_toml(text, path).map(Self::Pose),
            Some(plane::VERSION) => PlaneRig::from_toml(text, path).map(|rig| Self::Plane(Box::new(rig))),
            Some(found) => Err(RigError::Version { path: path.to_owned(), latest: plane::VERSION, found }),
        }
    }

    /// Delays of the timestamps.
    #[must_use]
    pub fn latency_ms(&self) -> Latency {
        match self {
            Self::Pose(rig) => rig.latency_ms,
            Self::Plane(rig) => rig.latency_ms,
        }
    }

    /// The table that brings infrared frames into the visible image. A rig with a pose is right for what is `distance_m` away, by
    /// default [`DEFAULT_DISTANCE_M`]; one with a homography has no choice of a distance.
    ///
    /// # Errors
    /// Those of [`RemapTable::vis_from_ir`] and [`RemapTable::plane`]; [`RigError::NoDistance`] for a distance beside a homography.
    pub fn table(&self, distance_m: Option<f64>) -> Result<RemapTable, RigError> {
        match (self, distance_m) {
            (Self::Pose(rig), distance_m) => RemapTable::vis_from_ir(rig, distance_m.unwrap_or(DEFAULT_DISTANCE_M)),
            (Self::Plane(rig), None) => RemapTable::plane(rig),
            (Self::Plane(_), Some(found_m)) => Err(RigError::NoDistance { found_m }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::camera::Camera;
    use crate::matrix::{Homography, Mat3};
    use caf_geometry::Size;

    #[test]
    fn every_version_is_read_as_what_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("rig.toml");
        let pose = Rig::aligned(Camera::with_field_of_view(Size::new(64, 48), 50.0));
        pose.write(&path).unwrap();
        assert_eq!(Geometry::read(&path).unwrap(), pose.into());
        let plane = PlaneRig {
            visible: Size::new(64, 48),
            infrared: Size::new(32, 24),
            vis_from_ir: Homography(Mat3([[2.0, 0.0, 0.0], [0.0, 2.0, 0.0], [0.0, 0.0, 1.0]])),
            latency_ms: Latency { visible: 1.0, infrared: 2.0 },
            measured: None,
        };
        plane.write(&path).unwrap();
        let read = Geometry::read(&path).unwrap();
        assert_eq!((read.latency_ms(), read.clone()), (plane.latency_ms, Geometry::Plane(Box::new(plane))));
        let table = read.table(None).unwrap();
        assert_eq!((table.size(), table.source(), table.coverage()), (Size::new(64, 48), Size::new(32, 24), 1.0));
        let error = read.table(Some(20.0)).unwrap_err();
        assert!(matches!(error, RigError::NoDistance { .. }) && error.is_wrong_call(), "{error}");
        let error = Geometry::from_toml("version = 4\nmirrors = 2\n", &path).unwrap_err();
        assert!(matches!(error, RigError::Version { latest: 3, found: 4, .. }), "{error}");
        let error = Rig::read(&path).unwrap_err();
        assert!(matches!(error, RigError::Version { latest: 2, found: 3, .. }), "{error}");
    }
}
