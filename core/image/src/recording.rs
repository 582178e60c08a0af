//! Recordings: a folder of the frames of one camera, and the times at which they were captured.
//!
//! `timestamps.csv` lies in the folder or beside it. Its first line names the columns: the first holds the file's stem (or
//! name, or its number when the file is `000012.png`), and the time is in a column whose name ends in its unit, `_s`, `_ms`,
//! `_us` or `_ns`, and may carry the camera as a part, `ir`, `infrared`, `vi` or `visible` (`infrared_s`, `t_vi_ns`). A
//! column without a camera serves both.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use crate::camera::Camera;
use crate::error::{ImageError, ImageProblem};
use crate::folder::images;

/// Name of the file of times.
pub const FILE_NAME: &str = "timestamps.csv";

/// A frame of a recording.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordedFrame {
    /// The image.
    pub path: PathBuf,
    /// Its timestamp, nanoseconds.
    pub stamped_ns: i64,
}

/// The frames of a folder in the order of their names, with the times of its `timestamps.csv`; without one, `fps` of them a second.
///
/// # Errors
/// [`ImageError::Read`] when the folder or the file of times cannot be read, [`ImageError::Unfit`] for what is no image in the folder,
/// [`ImageError::NoImages`] for an empty one, [`ImageError::Times`] for a wrong line, [`ImageError::NoTime`] for a frame without one.
pub fn recording(folder: &Path, camera: Camera, fps: f64) -> Result<Vec<RecordedFrame>, ImageError> {
    let listing = images(folder)?;
    let times_file = folder.join(FILE_NAME);
    let is_times = |p: &ImageProblem| matches!(p, ImageProblem::NotAnImage { path, .. } if *path == times_file);
    if let Some(problem) = listing.problems.into_iter().find(|problem| !is_times(problem)) {
        return Err(ImageError::Unfit { folder: folder.to_owned(), problem: Box::new(problem) });
    }
    if listing.files.is_empty() {
        return Err(ImageError::NoImages { path: folder.to_owned() });
    }
    let times = Timestamps::find(folder, camera)?;
    let timed = |(index, (stem, path)): (usize, (String, PathBuf))| match &times {
        None => Ok(RecordedFrame { path, stamped_ns: (index as f64 * 1e9 / fps).round() as i64 }),
        Some(times) => match times.get(&stem) {
            Some(stamped_ns) => Ok(RecordedFrame { path, stamped_ns }),
            None => Err(ImageError::NoTime { path, times: FILE_NAME }),
        },
    };
    listing.files.into_iter().enumerate().map(timed).collect()
}

/// Nanoseconds by file stem.
#[derive(Debug, PartialEq, Eq)]
struct Timestamps(HashMap<String, i64>);

fn names(camera: Camera, part: &str) -> bool {
    match camera {
        Camera::Infrared => matches!(part, "ir" | "infrared"),
        Camera::Visible => matches!(part, "vi" | "visible"),
    }
}

/// Numbers are compared as numbers: `12` names `000012.png`.
fn key(stem: &str) -> String {
    let short = stem.trim_start_matches('0');
    if stem.is_empty() || !stem.bytes().all(|b| b.is_ascii_digit()) {
        stem.to_owned()
    } else if short.is_empty() {
        "0".to_owned()
    } else {
        short.to_owned()
    }
}

/// Nanoseconds of one unit of the column, and whether the column names the camera; `None` for another column.
fn time_column(name: &str, camera: Camera) -> Option<(f64, bool)> {
    let name = name.trim().to_ascii_lowercase();
    let parts: Vec<&str> = name.split('_').collect();
    let scale = match (*parts.last()?, parts.len()) {
        (_, 1) => return None,
        ("s", _) => 1e9,
        ("ms", _) => 1e6,
        ("us", _) => 1e3,
        ("ns", _) => 1.0,
        _ => return None,
    };
    if parts.iter().any(|part| names(camera, part)) {
        return Some((scale, true));
    }
    (!parts.iter().any(|part| names(camera.other(), part))).then_some((scale, false))
}

impl Timestamps {
    /// Reads the file for `folder`, if there is one.
    fn find(folder: &Path, camera: Camera) -> Result<Option<Self>, ImageError> {
        let beside = folder.parent().map(|p| p.join(FILE_NAME));
        let Some(path) = std::iter::once(folder.join(FILE_NAME)).chain(beside).find(|p| p.is_file()) else {
            return Ok(None);
        };
        let text = std::fs::read_to_string(&path).map_err(|source| ImageError::Read { path: path.clone(), source })?;
        Self::parse(&text, &path, camera).map(Some)
    }

    fn parse(text: &str, path: &Path, camera: Camera) -> Result<Self, ImageError> {
        let wrong = |line: usize, expected: &'static str, found: &str| ImageError::Times {
            path: path.to_path_buf(),
            line,
            expected,
            found: found.to_owned(),
        };
        let mut lines = text.lines().enumerate().map(|(i, l)| (i + 1, l.trim())).filter(|(_, l)| !l.is_empty());
        let (_, header) = lines.next().ok_or_else(|| wrong(1, "a line of column names", ""))?;
        let columns = header.split(',').enumerate().skip(1);
        let mut times: Vec<_> = columns.filter_map(|(i, name)| Some((i, time_column(name, camera)?))).collect();
        if times.iter().any(|(_, (_, named))| *named) {
            times.retain(|(_, (_, named))| *named);
        }
        let [(column, (scale, _))] = times.as_slice() else {
            return Err(wrong(1, "one time column for this camera, such as `infrared_s` or `t_ns`", header));
        };
        let mut stamps = HashMap::new();
        for (line, text) in lines {
            let mut fields = text.split(',').map(str::trim);
            let name = fields.next().unwrap_or_default();
            let time = fields.nth(column - 1).unwrap_or_default();
            // Whole nanoseconds are exact beyond what a float can hold.
            let ns = match time.parse::<i64>() {
                Ok(whole) if *scale == 1.0 => whole,
                _ => {
                    let value = time.parse::<f64>().ok().filter(|v| v.is_finite() && (v * scale).abs() < 9e18);
                    (value.ok_or_else(|| wrong(line, "a time", text))? * scale).round() as i64
                }
            };
            let stem = Path::new(name).file_stem().map(|s| key(&s.to_string_lossy()));
            let stem = stem.ok_or_else(|| wrong(line, "the name of a frame", text))?;
            if stamps.insert(stem, ns).is_some() {
                return Err(wrong(line, "every frame once", name));
            }
        }
        Ok(Self(stamps))
    }

    /// The time of a frame.
    fn get(&self, stem: &str) -> Option<i64> {
        self.0.get(&key(stem)).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str, camera: Camera) -> Result<Timestamps, ImageError> {
        Timestamps::parse(text, Path::new("t.csv"), camera)
    }

    #[test]
    fn units_and_cameras_are_read_from_the_header() {
        let both = "frame,ir_s,vi_s\n000000,0.0,0.004\n000001, 0.04 ,0.044\n";
        assert_eq!(parse(both, Camera::Infrared).unwrap().get("000001"), Some(40_000_000));
        assert_eq!(parse(both, Camera::Visible).unwrap().get("000000"), Some(4_000_000));
        let numbered = "frame,visible_s,infrared_s\n0,0.000000,0.008000\n12,0.480000,0.488000\n";
        let stamps = parse(numbered, Camera::Infrared).unwrap();
        assert_eq!((stamps.get("000000"), stamps.get("000012")), (Some(8_000_000), Some(488_000_000)));
        assert_eq!(stamps.get("12a"), None);
        let one = "name,t_ns\n\n000007.png,1700000000000000001\n";
        assert_eq!(parse(one, Camera::Visible).unwrap().get("000007"), Some(1_700_000_000_000_000_001));
    }

    #[test]
    fn frames_have_the_times_of_the_file_or_of_the_rate() {
        let folder = tempfile::tempdir().unwrap();
        let image = crate::Gray8::filled(caf_geometry::Size::new(4, 3), 9).unwrap();
        for name in ["0001.png", "0002.png"] {
            crate::write_gray8(&folder.path().join(name), &image).unwrap();
        }
        let times = |fps| recording(folder.path(), Camera::Visible, fps);
        let stamps = |fps| times(fps).unwrap().iter().map(|frame| frame.stamped_ns).collect::<Vec<_>>();
        assert_eq!(stamps(50.0), [0, 20_000_000]);
        let csv = folder.path().join(FILE_NAME);
        std::fs::write(&csv, "frame,t_ms\n1,7\n2,9.5\n").unwrap();
        assert_eq!(stamps(50.0), [7_000_000, 9_500_000]);
        std::fs::write(&csv, "frame,t_ms\n1,7\n").unwrap();
        assert!(matches!(times(50.0), Err(ImageError::NoTime { path, .. }) if path.ends_with("0002.png")));
        std::fs::write(folder.path().join("notes.txt"), "hello").unwrap();
        assert!(matches!(times(50.0), Err(ImageError::Unfit { .. })));
        let empty = tempfile::tempdir().unwrap();
        assert!(matches!(recording(empty.path(), Camera::Visible, 50.0), Err(ImageError::NoImages { .. })));
    }

    #[test]
    fn errors_carry_the_line() {
        for (text, line) in [
            ("", 1),
            ("frame,time\n", 1),
            ("frame,a_s,b_ms\n", 1),
            ("frame,t_s\n0,1\n1,x\n", 3),
            ("frame,t_s\n0,1\n0,2\n", 3),
            ("frame,t_s\n0\n", 2),
            ("frame,t_s\n0,nan\n", 2),
        ] {
            let error = parse(text, Camera::Infrared).unwrap_err().to_string();
            assert!(error.starts_with(&format!("t.csv:{line}: ")), "{error}");
        }
    }
}
