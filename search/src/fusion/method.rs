//! Ways of fusing a pair: the network, and the simple ones that any network must beat.

use crate::error::SearchError;
use crate::fusion_net::FusionNet;
use crate::loader::plane_tensor;
use caf_data::Sample;
use caf_file::Sha256Hash;
use caf_geometry::Size;
use caf_image::Plane;
use caf_image::rule::{INFRARED, Rule};
use caf_torch::Mode;
use std::path::PathBuf;
use tch::{Device, Kind, Tensor};

/// Which way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Method {
    /// A trained network.
    Network(PathBuf),
    /// A way that learns nothing.
    Rule(Rule),
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
            Method::Rule(rule) => rule.name.to_owned(),
        })
    }

    /// Whether its images can have the colours of the visible image: nothing of that is in the infrared image alone.
    pub fn shows_visible(&self) -> bool {
        *self != Method::Rule(INFRARED)
    }
}

/// A way of fusing, ready to be used.
#[derive(Debug)]
pub enum Fuser {
    /// A network on its device.
    Network(Box<FusionNet>),
    /// A way that learns nothing.
    Rule(Rule),
}

impl Fuser {
    /// Loads what the method needs.
    ///
    /// # Errors
    /// When the network's file cannot be used.
    pub fn new(method: &Method, device: Device) -> Result<Self, SearchError> {
        Ok(match method {
            Method::Network(path) => Fuser::Network(Box::new(FusionNet::read(path, device)?)),
            Method::Rule(rule) => Fuser::Rule(*rule),
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
            Fuser::Rule(rule) => Ok(rule.fuse(&sample.ir, &vi)?),
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
