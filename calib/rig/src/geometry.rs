use std::fs;
use std::path::Path;

use caf_geometry::Size;
use serde::Deserialize;

use crate::error::RigError;
use crate::matrix::Homography;
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
        let text = fs::read_to_string(path).map_err(RigError::reading(path))?;
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

    /// The same with other delays of the timestamps.
    #[must_use]
    pub fn with_latency_ms(mut self, latency_ms: Latency) -> Geometry {
        match &mut self {
            Self::Pose(rig) => rig.latency_ms = latency_ms,
            Self::Plane(rig) => rig.latency_ms = latency_ms,
        }
        self
    }

    /// Writes the file; it appears complete or not at all.
    ///
    /// # Errors
    /// Those of [`Rig::write`] and [`PlaneRig::write`].
    pub fn write(&self, path: &Path) -> Result<(), RigError> {
        match self {
            Self::Pose(rig) => rig.write(path),
            Self::Plane(rig) => rig.write(path),
        }
    }

    /// Sizes of the infrared and of the visible images.
    #[must_use]
    pub fn sizes(&self) -> [Size; 2] {
        match self {
            Self::Pose(rig) => [rig.infrared.size(), rig.visible.size()],
            Self::Plane(rig) => [rig.infrared, rig.visible],
        }
    }

    /// From infrared to visible pixels. A rig with a pose says it for what is `distance_m` away, by default [`DEFAULT_DISTANCE_M`]; one
    /// with a homography has no choice of a distance.
    ///
    /// # Errors
    /// [`RigError::Distance`] for a distance that is not in front of both cameras, [`RigError::NoDistance`] for one beside a homography.
    pub fn vis_from_ir(&self, distance_m: Option<f64>) -> Result<Homography, RigError> {
        match (self, distance_m) {
            (Self::Pose(rig), distance_m) => rig.vis_from_ir_at(distance_m.unwrap_or(DEFAULT_DISTANCE_M)),
            (Self::Plane(rig), None) => Ok(rig.vis_from_ir),
            (Self::Plane(_), Some(found_m)) => Err(RigError::NoDistance { found_m }),
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
    use crate::matrix::Mat3;

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
        let other = Latency { visible: 0.0, infrared: -3.5 };
        read.clone().with_latency_ms(other).write(&path).unwrap();
        assert_eq!(Geometry::read(&path).unwrap().latency_ms(), other);
        assert_eq!(read.sizes(), [Size::new(32, 24), Size::new(64, 48)]);
        assert_eq!(read.vis_from_ir(None).unwrap().map([3.0, 4.0]), Some([6.0, 8.0]));
        assert!(matches!(read.vis_from_ir(Some(20.0)), Err(RigError::NoDistance { .. })));
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
