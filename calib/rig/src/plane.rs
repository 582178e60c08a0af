use std::fs;
use std::path::Path;

use caf_file::Sha256Hash;
use caf_geometry::Size;
use serde::{Deserialize, Serialize};

use crate::error::RigError;
use crate::matrix::{Homography, Mat3};
use crate::rig::Latency;

/// Files with a homography; those with a pose are of a version before it.
pub(crate) const VERSION: u32 = 3;
/// Where the checksum of a file begins; it covers what stands before.
const CHECKSUM: &str = "[checksum]\n";

/// Two cameras of which the map between their images is known, and nothing else: one homography for all distances, as it is right for
/// far scenes, for a plane, and for cameras close beside one another.
#[derive(Clone, Debug, PartialEq)]
pub struct PlaneRig {
    /// Size of the visible images.
    pub visible: Size,
    /// Size of the infrared images.
    pub infrared: Size,
    /// From infrared pixels to visible pixels; pixel i covers [i, i + 1).
    pub vis_from_ir: Homography,
    /// Delays of the timestamps.
    pub latency_ms: Latency,
    /// How it was found and how far it can be trusted; `None` for a map that was written by hand.
    pub measured: Option<Measured>,
}

/// How a map was found from recordings.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Measured {
    /// Day of the calibration, `YYYY-MM-DD`, UTC.
    pub date: String,
    /// Pairs that it rests on.
    pub pairs: usize,
    /// What the map was found by.
    pub similarity: String,
    /// Median of the displacements, in infrared pixels, that are left in parts of pairs which the tested map had not seen.
    pub held_out_median_px: f64,
    /// 95 % of them are smaller, infrared pixels.
    pub held_out_p95_px: f64,
    /// Largest distance, in infrared pixels, between the corners of the maps of the two halves of the pairs.
    pub halves_differ_px: f64,
    /// Share of the infrared image that the visible camera sees.
    pub seen_by_both: f64,
    /// Standard deviation of where each corner of the infrared image lies, in infrared pixels: left and right top, left and right bottom.
    pub corner_deviation_px: [f64; 4],
    /// Covariance, in squared infrared pixels, of x and y of these corners.
    pub corner_covariance_px2: [[f64; 8]; 8],
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Image {
    width_px: usize,
    height_px: usize,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Map {
    homography: Mat3,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Checksum {
    sha256: String,
}

/// A rig as it stands in the file.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct PlaneFile {
    version: u32,
    visible: Image,
    infrared: Image,
    vis_from_ir: Map,
    #[serde(default)]
    latency_ms: Latency,
    #[serde(skip_serializing_if = "Option::is_none")]
    measured: Option<Measured>,
    #[serde(skip_serializing)]
    checksum: Option<Checksum>,
}

impl PlaneRig {
    /// Checks every value.
    ///
    /// # Errors
    /// [`RigError::Value`] for the first that is wrong; [`RigError::Singular`], [`RigError::BehindCamera`] and [`RigError::Mirrors`] for a
    /// homography that cannot be that of two cameras.
    pub fn validate(&self) -> Result<(), RigError> {
        let sides = [("visible", self.visible), ("infrared", self.infrared)]
            .map(|(name, size)| [(name, "width_px", size.width), (name, "height_px", size.height)]);
        for (name, side, found) in sides.into_iter().flatten() {
            if !Size::new(found, 1).is_possible() {
                let place = format!("{name}.{side}");
                return Err(RigError::Value { place, expected: "a side from 1 to 65535", found: found as f64 });
            }
        }
        for found in self.vis_from_ir.0.0.as_flattened() {
            if !found.is_finite() {
                let (place, found) = ("vis_from_ir.homography".to_owned(), *found);
                return Err(RigError::Value { place, expected: "finite numbers", found });
            }
        }
        self.latency_ms.validate()?;
        let determinant = self.vis_from_ir.0.determinant();
        let [w, h] = self.infrared.wh().map(|v| v as f64);
        if determinant == 0.0 || !determinant.is_finite() {
            return Err(RigError::Singular { determinant });
        }
        let corners = [[0.0, 0.0], [w, 0.0], [0.0, h], [w, h]];
        if let Some(corner) = corners.into_iter().find(|corner| self.vis_from_ir.map(*corner).is_none()) {
            return Err(RigError::BehindCamera { corner });
        }
        if determinant < 0.0 {
            return Err(RigError::Mirrors { determinant });
        }
        Ok(())
    }

    /// Reads and validates a rig file with a homography.
    ///
    /// # Errors
    /// Those of [`Geometry::read`](crate::Geometry::read).
    pub fn read(path: &Path) -> Result<PlaneRig, RigError> {
        let text = fs::read_to_string(path).map_err(RigError::reading(path))?;
        PlaneRig::from_toml(&text, path)
    }

    /// Parses and validates the text of a rig file with a homography; `path` is named in errors.
    ///
    /// # Errors
    /// As [`PlaneRig::read`], without [`RigError::Io`].
    pub fn from_toml(text: &str, path: &Path) -> Result<PlaneRig, RigError> {
        let file: PlaneFile = toml::from_str(text)
            .map_err(|source| RigError::Parse { path: path.to_owned(), source: Box::new(source) })?;
        if file.version != VERSION {
            return Err(RigError::Version { path: path.to_owned(), latest: VERSION, found: file.version });
        }
        if let Some(Checksum { sha256: expected }) = file.checksum {
            // What stands behind it would not be covered.
            let (covered, last) = text.rsplit_once(CHECKSUM).unwrap_or(("", text));
            let found = sha256(covered);
            if found != expected || last.trim() != checksum_line(&found) {
                return Err(RigError::Checksum { path: path.to_owned(), expected, found });
            }
        }
        let size = |image: Image| Size::new(image.width_px, image.height_px);
        let rig = PlaneRig {
            visible: size(file.visible),
            infrared: size(file.infrared),
            vis_from_ir: Homography(file.vis_from_ir.homography),
            latency_ms: file.latency_ms,
            measured: file.measured,
        };
        rig.validate().map_err(|source| RigError::Invalid { path: path.to_owned(), source: Box::new(source) })?;
        Ok(rig)
    }

    /// Validates the rig and writes it with its checksum; the file appears complete or not at all.
    ///
    /// # Errors
    /// [`RigError::Invalid`], [`RigError::Format`] or [`RigError::Io`], each with the path.
    pub fn write(&self, path: &Path) -> Result<(), RigError> {
        caf_file::write(path, self.to_toml(path)?.as_bytes()).map_err(RigError::io(path, "writing"))
    }

    /// The text of the rig's file, checksum included; `path` is named in errors.
    ///
    /// # Errors
    /// As [`PlaneRig::write`], without [`RigError::Io`].
    pub fn to_toml(&self, path: &Path) -> Result<String, RigError> {
        self.validate().map_err(|source| RigError::Invalid { path: path.to_owned(), source: Box::new(source) })?;
        let image = |size: Size| Image { width_px: size.width, height_px: size.height };
        let file = PlaneFile {
            version: VERSION,
            visible: image(self.visible),
            infrared: image(self.infrared),
            vis_from_ir: Map { homography: self.vis_from_ir.0 },
            latency_ms: self.latency_ms,
            measured: self.measured.clone(),
            checksum: None,
        };
        let body = toml::to_string(&file)
            .map_err(|source| RigError::Format { path: path.to_owned(), source: Box::new(source) })?;
        let text = format!(
            "# Two cameras and the map between their images. Pixel i covers [i, i + 1), its centre is at i + 0.5;\n\
             # (x, y, w)_vis = homography * (x, y, 1)_ir, in pixels.\n\n{body}\n"
        );
        Ok(format!("{text}{CHECKSUM}{}\n", checksum_line(&sha256(&text))))
    }
}

fn checksum_line(sha256: &str) -> String {
    format!("sha256 = \"{sha256}\"")
}

fn sha256(text: &str) -> String {
    Sha256Hash::of(text.as_bytes()).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rig() -> PlaneRig {
        PlaneRig {
            visible: Size::new(640, 480),
            infrared: Size::new(320, 256),
            vis_from_ir: Homography(Mat3([[1.9, 0.02, 7.25], [-0.01, 1.88, 3.5], [1e-5, -2e-5, 1.0]])),
            latency_ms: Latency { visible: 20.0, infrared: 45.0 },
            measured: Some(Measured {
                date: "2026-01-31".to_owned(),
                pairs: 10,
                similarity: "orientation".to_owned(),
                held_out_median_px: 0.4,
                held_out_p95_px: 1.25,
                halves_differ_px: 0.75,
                seen_by_both: 0.97,
                corner_deviation_px: [0.5, 0.6, 0.7, 0.8],
                corner_covariance_px2: [[0.1; 8]; 8],
            }),
        }
    }

    #[test]
    fn what_was_written_is_read_back_to_the_bit() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("rig.toml");
        for rig in [rig(), PlaneRig { measured: None, ..rig() }] {
            rig.write(&path).unwrap();
            assert_eq!(PlaneRig::read(&path).unwrap(), rig);
        }
    }

    #[test]
    fn a_file_that_was_changed_is_refused_until_its_checksum_is_taken_out() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("rig.toml");
        rig().write(&path).unwrap();
        let text = fs::read_to_string(&path).unwrap();
        let changed = text.replace("7.25", "8.25");
        assert_ne!(changed, text);
        let error = PlaneRig::from_toml(&changed, &path).unwrap_err();
        assert!(matches!(error, RigError::Checksum { .. }) && error.to_string().contains("rig.toml"), "{error}");
        // Nor may anything be added behind the checksum.
        let bare = PlaneRig { measured: None, ..rig() }.to_toml(&path).unwrap();
        let (_, measured) = text.split_once("[measured]").unwrap();
        let (measured, _) = measured.rsplit_once(CHECKSUM).unwrap();
        assert!(PlaneRig::from_toml(&bare, &path).is_ok());
        let error = PlaneRig::from_toml(&format!("{bare}\n[measured]{measured}"), &path).unwrap_err();
        assert!(matches!(error, RigError::Checksum { .. }), "{error}");
        let (before, _) = changed.rsplit_once(CHECKSUM).unwrap();
        assert_eq!(PlaneRig::from_toml(before, &path).unwrap().vis_from_ir.0.0[0][2], 8.25);
    }

    #[test]
    fn maps_that_are_none_and_unknown_keys_are_refused() {
        let mut wrong = rig();
        wrong.vis_from_ir.0.0[2][0] = -0.1;
        assert!(matches!(wrong.validate(), Err(RigError::BehindCamera { corner: [320.0, 0.0] })));
        wrong = rig();
        wrong.vis_from_ir.0.0[0] = [-1.9, 0.0, 640.0];
        assert!(matches!(wrong.validate(), Err(RigError::Mirrors { determinant }) if determinant < 0.0));
        wrong.vis_from_ir.0.0[0] = [0.0; 3];
        assert!(matches!(wrong.validate(), Err(RigError::Singular { determinant: 0.0 })));
        wrong.vis_from_ir.0.0[1][1] = f64::NAN;
        assert!(matches!(wrong.validate(), Err(RigError::Value { .. })));
        for (infrared, word) in
            [(Size::new(0, 256), "infrared.width_px"), (Size::new(480, 70_000), "infrared.height_px")]
        {
            let told = PlaneRig { infrared, ..rig() }.validate().unwrap_err().to_string();
            let found = if infrared.width == 0 { "0" } else { "70000" };
            assert_eq!(told, format!("{word}: expected a side from 1 to 65535, found {found}"));
        }
        wrong = PlaneRig { latency_ms: Latency { visible: f64::NAN, infrared: 0.0 }, ..rig() };
        assert!(matches!(wrong.validate(), Err(RigError::Value { .. })));
        let plain = "version = 3\n[visible]\nwidth_px = 4\nheight_px = 3\n[infrared]\nwidth_px = 4\nheight_px = 3\n\
                     [vis_from_ir]\nhomography = [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]]\n";
        let at = Path::new("rig.toml");
        assert!(PlaneRig::from_toml(plain, at).is_ok());
        let extra = plain.replace("[infrared]", "focus = 1\n[infrared]");
        assert!(matches!(PlaneRig::from_toml(&extra, at), Err(RigError::Parse { .. })));
        let second = plain.replace("version = 3", "version = 2");
        assert!(matches!(PlaneRig::from_toml(&second, at), Err(RigError::Version { found: 2, .. })));
    }
}
