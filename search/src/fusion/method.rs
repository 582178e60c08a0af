//! Ways of fusing a pair: the network, and the simple ones that any network must beat.

use crate::error::SearchError;
use crate::fusion_net::FusionNet;
use crate::loader::plane_tensor;
use caf_data::Sample;
use caf_file::Sha256Hash;
use caf_geometry::Size;
use caf_image::Plane;
use caf_torch::Mode;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;
use tch::{Device, Kind, Tensor};

/// Which way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Method {
    /// A trained network.
    Network(PathBuf),
    /// The visible luma.
    Visible,
    /// The infrared image.
    Infrared,
    /// The mean of both.
    Average,
    /// The larger of both at every pixel.
    Max,
}

impl Method {
    /// The method in a line; a network by the hash of its file, wherever that lies.
    ///
    /// # Errors
    /// When the network's file cannot be read.
    pub fn describe(&self) -> Result<String, SearchError> {
        Ok(match self {
            Method::Network(path) => {
                let hash = Sha256Hash::of_file(path).map_err(SearchError::io("read", path))?;
                format!("network of SHA-256 {hash}")
            }
            Method::Visible => "visible".to_owned(),
            Method::Infrared => "infrared".to_owned(),
            Method::Average => "average".to_owned(),
            Method::Max => "max".to_owned(),
        })
    }
}

/// A way of fusing, ready to be used.
#[derive(Debug)]
pub enum Fuser {
    /// A network on its device.
    Network(Box<FusionNet>),
    /// A rule for one pixel: infrared, visible → fused.
    Pixel(fn(f32, f32) -> f32),
}

impl Fuser {
    /// Loads what the method needs.
    ///
    /// # Errors
    /// When the network's file cannot be used.
    pub fn new(method: &Method, device: Device) -> Result<Self, SearchError> {
        Ok(match method {
            Method::Network(path) => Fuser::Network(Box::new(FusionNet::read(path, device)?)),
            Method::Visible => Fuser::Pixel(|_, vi| vi),
            Method::Infrared => Fuser::Pixel(|ir, _| ir),
            Method::Average => Fuser::Pixel(|ir, vi| 0.5 * (ir + vi)),
            Method::Max => Fuser::Pixel(f32::max),
        })
    }

    /// The fused luma of a pair, clamped to [0, 1].
    ///
    /// # Errors
    /// When libtorch refuses, or the network's output is not finite.
    pub fn luma(&self, sample: &Sample) -> Result<Plane, SearchError> {
        let vi = sample.vi_luma();
        let size = vi.size();
        match self {
            Fuser::Pixel(rule) => {
                let fused = sample.ir.data().iter().zip(vi.data()).map(|(a, b)| rule(*a, *b)).collect();
                Ok(Plane::new(size, fused)?)
            }
            Fuser::Network(net) => {
                let device = net.params.device();
                let tensor =
                    |plane: &Plane| plane_tensor(plane.data(), [1, 1, size.height, size.width], device, Kind::Float);
                let (ir, vi) = (tensor(&sample.ir)?, tensor(&vi)?);
                let fused = tch::no_grad(|| net.fuse(&net.params, &ir, &vi, Mode::Eval))?;
                luma_of(&fused, size, &sample.name)
            }
        }
    }
}

/// A fused luma `[1, 1, h, w]` of a network as a plane, clamped to [0, 1].
///
/// # Errors
/// [`SearchError::NonFiniteImage`] with the pair's name.
pub(super) fn luma_of(fused: &Tensor, size: Size, name: &str) -> Result<Plane, SearchError> {
    let values = Vec::<f32>::try_from(fused.f_to_device(Device::Cpu)?.f_contiguous()?.f_view([-1])?)?;
    if values.iter().any(|v| !v.is_finite()) {
        return Err(SearchError::NonFiniteImage { name: name.to_owned() });
    }
    Ok(Plane::new(size, values.into_iter().map(|v| v.clamp(0.0, 1.0)).collect())?)
}
