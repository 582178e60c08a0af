//! Opening a camera: which node it is, and what was agreed on with its driver.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use caf_geometry::Size;
use caf_runtime::frame::Camera;

use super::controls;
use super::device::{Device, Devices, Errno, FourCc, Identity};
use super::error::V4lError;
use super::format::{Plan, choose};
use super::stream::{Stream, StreamError};
use super::text::Request;

/// Where the system keeps names that stay with a camera.
const STABLE_NAMES: &str = "/dev/v4l";
/// More formats than any device has: an end for drivers that begin again.
const MOST_FORMATS: u32 = 256;
/// What a driver may make of a rate: 30000/1001 of 30.
const RATE_TOLERANCE: f64 = 0.01;

/// A camera that could stream.
pub struct Opened {
    /// Its node.
    pub path: PathBuf,
    /// Which camera.
    pub identity: Identity,
    /// What its frames become.
    pub plan: Plan,
    /// The format's code.
    pub code: FourCc,
    /// The size that was agreed on; controls may turn the image afterwards.
    pub agreed: Size,
    /// Frames per second as a fraction; a numerator of 0 where it does not say.
    pub rate: (i32, i32),
    device: Arc<dyn Device>,
    buffers: u32,
}

/// How a camera was opened the first time.
#[derive(Clone, Debug)]
pub struct FirstTime {
    identity: Identity,
    code: FourCc,
    agreed: Size,
    /// Of its images.
    size: Size,
}

impl std::fmt::Debug for Opened {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Opened").field("path", &self.path).field("plan", &self.plan).finish_non_exhaustive()
    }
}

impl Opened {
    /// Opens the camera that the request names, or the one that had this name before (`known`), and agrees with its driver on all that
    /// was asked for.
    ///
    /// # Errors
    /// [`V4lError`].
    pub fn open(
        devices: &dyn Devices,
        request: &Request,
        camera: Camera,
        known: Option<&Identity>,
    ) -> Result<Self, V4lError> {
        let (path, identity, device) = match find(devices, &request.path, known) {
            // A camera that was plugged in again may have another number now.
            Err(
                V4lError::OtherCamera { .. } | V4lError::Open { errno: Errno::NOENT | Errno::NODEV | Errno::NXIO, .. },
            ) if known.is_some() => {
                let nodes = devices.nodes();
                let elsewhere = nodes.iter().find_map(|node| find(devices, node, known).ok());
                elsewhere.map_or_else(|| find(devices, &request.path, known), Ok)?
            }
            found => found?,
        };
        let (code, agreed) = agree_on_format(&*device, request, camera)?;
        let rate = agree_on_rate(&*device, request.fps)?;
        controls::set(&*device, &request.controls)?;
        // Controls may turn the image or change its colour space.
        let format = device.format().map_err(V4lError::call("VIDIOC_G_FMT"))?;
        let plan = Plan::new(&format, camera)?;
        Ok(Self { path, identity, plan, code, agreed, rate, device, buffers: request.buffers })
    }

    /// Opens the camera of the request again as it was the first time: in another format or size than then it is refused, since the model, the
    /// rig and the other camera fit those.
    ///
    /// # Errors
    /// [`V4lError`].
    pub fn again(
        devices: &dyn Devices,
        request: &Request,
        camera: Camera,
        first: &FirstTime,
    ) -> Result<Self, V4lError> {
        let asked = Request { format: Some(first.code), size: Some(first.agreed), ..request.clone() };
        let opened = Self::open(devices, &asked, camera, Some(&first.identity))?;
        if opened.plan.size != first.size {
            return Err(V4lError::Size { code: first.code, asked: first.size, found: opened.plan.size });
        }
        Ok(opened)
    }

    /// What must be the same when it is opened again.
    #[must_use]
    pub fn first_time(&self) -> FirstTime {
        FirstTime { identity: self.identity.clone(), code: self.code, agreed: self.agreed, size: self.plan.size }
    }

    /// Nanoseconds from frame to frame, where the camera says it.
    #[must_use]
    pub fn interval_ns(&self) -> Option<i64> {
        let (frames, seconds) = self.rate;
        (frames > 0).then(|| (1e9 * f64::from(seconds) / f64::from(frames)).round() as i64)
    }

    /// Starts it.
    ///
    /// # Errors
    /// What the driver refuses.
    pub fn stream(&self) -> Result<Stream, StreamError> {
        Stream::start(Arc::clone(&self.device), self.buffers, self.plan.needs)
    }
}

type Found = (PathBuf, Identity, Arc<dyn Device>);

/// Opens a node and looks whether it is the right one.
fn find(devices: &dyn Devices, path: &Path, known: Option<&Identity>) -> Result<Found, V4lError> {
    let unopened = |errno| V4lError::Open { path: path.to_owned(), errno };
    let device = devices.open(path).map_err(unopened)?;
    let capabilities = device.capabilities().map_err(unopened)?;
    let identity = capabilities.identity;
    // A stable name is right by itself, also on another plug.
    if let Some(expected) = known.filter(|known| **known != identity && !path.starts_with(STABLE_NAMES)) {
        let (expected, found) = (Box::new(expected.clone()), Box::new(identity));
        return Err(V4lError::OtherCamera { path: path.to_owned(), expected, found });
    }
    if !(capabilities.captures && capabilities.streams) {
        return Err(V4lError::NoImages { path: path.to_owned(), identity: Box::new(identity) });
    }
    Ok((path.to_owned(), identity, device))
}

fn agree_on_format(device: &dyn Device, request: &Request, camera: Camera) -> Result<(FourCc, Size), V4lError> {
    let mut offered = vec![];
    while let Some(code) = device.offered(offered.len() as u32).map_err(V4lError::call("VIDIOC_ENUM_FMT"))?
        && (offered.len() as u32) < MOST_FORMATS
    {
        offered.push(code);
    }
    let code = match request.format {
        Some(asked) if !offered.contains(&asked) => return Err(V4lError::Format { asked, offered }),
        Some(asked) => asked,
        None => choose(camera, &offered).ok_or(V4lError::NoFormat { offered })?,
    };
    let size = match request.size {
        Some(size) => size,
        None => device.format().map_err(V4lError::call("VIDIOC_G_FMT"))?.size,
    };
    let format = device.set_format(code, size).map_err(V4lError::call("VIDIOC_S_FMT"))?;
    if format.code != code {
        return Err(V4lError::Format { asked: code, offered: vec![format.code] });
    }
    if let Some(asked) = request.size.filter(|asked| *asked != format.size) {
        return Err(V4lError::Size { code, asked, found: format.size });
    }
    Ok((code, format.size))
}

fn agree_on_rate(device: &dyn Device, asked: Option<f64>) -> Result<(i32, i32), V4lError> {
    let found = match asked {
        None => device.interval().map_err(V4lError::call("VIDIOC_G_PARM"))?,
        Some(asked) => {
            let seconds =
                if asked.fract() == 0.0 { (1, asked as u32) } else { (1000, (asked * 1000.0).round() as u32) };
            let found = device.set_interval(seconds).map_err(V4lError::call("VIDIOC_S_PARM"))?;
            let fps = found.map(|(seconds, frames)| f64::from(frames) / f64::from(seconds));
            if !fps.is_some_and(|fps| (fps / asked - 1.0).abs() <= RATE_TOLERANCE) {
                return Err(V4lError::Rate { asked, found: fps });
            }
            found
        }
    };
    let rate = found.and_then(|(seconds, frames)| Some((i32::try_from(frames).ok()?, i32::try_from(seconds).ok()?)));
    Ok(rate.unwrap_or((0, 1)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scripted::{Description, Script};

    fn camera() -> Script {
        let mut description = Description::new(b"GREY", Size::new(4, 3), 4, 48);
        description.offered = [b"GREY", b"YUYV"].map(|code| FourCc::new(*code)).to_vec();
        Script::new(description, [])
    }

    fn open(camera: &Script, text: &str) -> Result<Opened, String> {
        let request = Request::parse(text).unwrap();
        Opened::open(camera, &request, Camera::Infrared, None).map_err(|e| e.to_string())
    }

    #[test]
    fn what_is_agreed_on_is_what_was_asked_for() {
        let camera = camera();
        let opened = open(&camera, "v4l2:/dev/video0?fps=30&size=4x3").unwrap();
        assert_eq!((opened.code, opened.rate), (FourCc::new(*b"GREY"), (30, 1)));
        assert_eq!(opened.interval_ns(), Some(33_333_333));
        camera.description().interval = Some((1001, 30_000));
        assert_eq!(open(&camera, "v4l2:/dev/video0?fps=30").unwrap().rate, (30_000, 1001));
        camera.description().interval = None;
        assert_eq!(open(&camera, "v4l2:/dev/video0").unwrap().interval_ns(), None);
    }

    #[test]
    fn what_the_camera_has_not_is_refused_with_what_it_has() {
        let camera = camera();
        for (text, expected) in [
            ("v4l2:/dev/video0?format=Y16", "no format Y16, it offers GREY, YUYV"),
            ("v4l2:/dev/video0?size=8x6", "no 8x6 images of GREY, the nearest is 4x3"),
            ("v4l2:/dev/video0?fps=60", "does not deliver 60 frames a second, the nearest is 30.000"),
            ("v4l2:/dev/video0?zoom=1", "no control `zoom`; it has none"),
            ("v4l2:/absent", "/absent: "),
        ] {
            let error = open(&camera, text).unwrap_err();
            assert!(error.contains(expected), "{error}");
        }
        camera.description().interval = None;
        assert!(open(&camera, "v4l2:/dev/video0?fps=60").unwrap_err().contains("cannot be told a rate"));
        camera.description().offered = vec![FourCc::new(*b"H264")];
        assert!(open(&camera, "v4l2:/dev/video0").unwrap_err().contains("offers H264, none of which"));
        assert_eq!(camera.books().open, 0, "a camera that was refused is closed");
    }

    #[test]
    fn another_camera_under_the_same_name_is_not_taken_for_the_one_that_was_there() {
        let camera = camera();
        let request = Request::parse("v4l2:/dev/video0").unwrap();
        let open = |request: &Request, known: &Identity| Opened::open(&camera, request, Camera::Infrared, Some(known));
        let known = Identity { node: "0".into(), ..camera.description().identity.clone() };
        assert!(open(&request, &known).is_ok());
        let other = Identity { bus: "usb-2".into(), ..known.clone() };
        let error = open(&request, &other).unwrap_err().to_string();
        assert_eq!(
            error,
            "/dev/video0 is now camera at usb-1 (script), node 0, expected camera at usb-2 (script), node 0"
        );
        // By a stable name it may have moved to another plug.
        let stable = Request::parse("v4l2:/dev/v4l/by-id/usb-camera").unwrap();
        assert!(open(&stable, &other).is_ok());
        // The node has gone, and the camera is found under another number.
        let renamed = Request::parse("v4l2:/absent/video7").unwrap();
        assert_eq!(open(&renamed, &known).unwrap().path, Path::new("/dev/video0"));
        assert!(open(&renamed, &other).unwrap_err().to_string().contains("/absent/video7: "));
        // Of several nodes with the same names it is the one that it was, and no other where that is not there.
        let second = Identity { node: "1".into(), ..known.clone() };
        assert_eq!(open(&renamed, &second).unwrap().path, Path::new("/dev/video1"));
        assert_eq!(open(&request, &second).unwrap().path, Path::new("/dev/video1"));
        let third = Identity { node: "2".into(), ..known };
        assert!(open(&renamed, &third).unwrap_err().to_string().contains("/absent/video7: "));
    }
}
