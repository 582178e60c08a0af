//! Weight files as parts of a model.
//!
//! Which network a file holds is found out by [`caf_weights::NetworkFile`], in safetensors and in original checkpoints; here stand the
//! demands of a vehicle's model: an infrared range, and a name for every class.

use crate::error::ExportError;
use caf_contract::IrRange;
use caf_file::Sha256Hash;
use caf_geometry::Size;
use caf_net::zoo::fusion::FusionNetwork;
use caf_net::zoo::network::{Family, NetworkConfig};
use caf_net::zoo::task::TaskNetwork;
use caf_weights::{NetworkFile, Weights, WeightsError};
use std::path::Path;

/// The detector's input where nothing else is said.
const DEFAULT_SIDE_PX: usize = 640;

/// The weights of a network of a family, with what a contract says of them.
#[derive(Debug)]
pub struct Part<F: ?Sized + 'static> {
    file: NetworkFile<F>,
    sha256: Sha256Hash,
}

/// The weights of a fusion network.
pub type FusionFile = Part<dyn FusionNetwork>;

impl<F: Family + ?Sized> Part<F> {
    /// Opens and checks a file.
    ///
    /// # Errors
    /// When it cannot be read, holds another network, does not fit (everything is listed), or says something of itself that
    /// cannot be understood.
    pub fn open(path: &Path) -> Result<Self, ExportError> {
        let file = NetworkFile::<F>::open(path)?;
        let sha256 = Sha256Hash::of_file(path).map_err(WeightsError::io("read", path))?;
        Ok(Part { file, sha256 })
    }

    /// How 16-bit infrared became [0, 1] in its training, where the file says so.
    pub fn ir_range(&self) -> Option<IrRange> {
        self.file.metadata.ir_range
    }

    /// The network.
    pub fn network(&self) -> &NetworkConfig<F> {
        &self.file.network
    }

    /// Its tensors.
    pub fn weights(&self) -> &Weights {
        &self.file.weights
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.file.path
    }

    /// What was changed while the file was read, for people.
    pub fn notes(&self) -> &[String] {
        &self.file.notes
    }

    /// SHA-256 of the file.
    pub fn sha256(&self) -> Sha256Hash {
        self.sha256
    }
}

/// The weights of a task network, with a name for every class.
#[derive(Debug)]
pub struct TaskFile {
    part: Part<dyn TaskNetwork>,
    classes: Vec<String>,
    image_size: Size,
}

impl TaskFile {
    /// Opens and checks a file. Class names that are given go before those of the file.
    ///
    /// # Errors
    /// When it cannot be read, holds another network, nobody says what its classes are called, their number is not the
    /// head's, or the tensors do not fit (everything is listed).
    pub fn open(path: &Path, classes: Option<&[String]>) -> Result<Self, ExportError> {
        let part = Part::<dyn TaskNetwork>::open(path)?;
        let metadata = &part.file.metadata;
        let named = classes.or(metadata.classes.as_deref()).map(<[_]>::to_vec);
        let classes =
            named.ok_or_else(|| ExportError::settings("the task file names no classes: give a list with --classes"))?;
        let heads = part.network().classes();
        if classes.len() != heads {
            return Err(ExportError::Network {
                path: path.to_owned(),
                expected: format!("names for the head's {heads} classes"),
                found: format!("{} class names", classes.len()),
            });
        }
        let default = Size { width: DEFAULT_SIDE_PX, height: DEFAULT_SIDE_PX };
        let image_size = metadata.image_size.unwrap_or(default);
        Ok(TaskFile { part, classes, image_size })
    }

    /// Its weights.
    pub fn part(&self) -> &Part<dyn TaskNetwork> {
        &self.part
    }

    /// Class names by number.
    pub fn classes(&self) -> &[String] {
        &self.classes
    }

    /// Size of its training images in pixels; 640×640 where the file does not say.
    pub fn image_size(&self) -> Size {
        self.image_size
    }
}
