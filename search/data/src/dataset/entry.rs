//! One checked pair: its files, size and boxes, and the reading of its pixels.

use caf_geometry::Size;
use std::path::{Path, PathBuf};

use caf_image::label::Outline;
use caf_image::{
    Gray8, IrRange, IrScratch, Label, Plane, Rgb8, decode_fourth, read_ir, read_mask, read_vi, unit_plane,
};

use crate::error::DataError;

/// One checked pair of a data set.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// Name of the pair: that of its files without extension, in most layouts.
    pub name: String,
    /// The file of the infrared half; that of the visible half where it is its fourth channel.
    pub ir: PathBuf,
    /// The file of the visible half.
    pub vi: PathBuf,
    /// The file of the class mask, when there is one; its size is that of the pair.
    pub mask: Option<PathBuf>,
    /// Size of both images.
    pub size: Size,
    /// Objects; empty when the pair has no label file or labels are ignored.
    pub labels: Vec<Label>,
    /// Regions that are neither right nor wrong.
    pub ignore: Vec<Label>,
    /// Whether a label file was read, so that "no objects" can be told from "nobody looked".
    pub labelled: bool,
    /// Whether the infrared half is the fourth channel of the visible half's file.
    pub(super) fourth_channel: bool,
    /// Outlines that make a mask, where there is no file of one.
    pub(super) outlines: Option<Vec<Outline>>,
}

impl Entry {
    /// The infrared half in \[0,1\], see [`read_ir`].
    ///
    /// # Errors
    /// Those of [`read_ir`]; [`DataError::Changed`] when the file has another size than at opening.
    pub fn read_ir(&self, range: IrRange) -> Result<Plane, DataError> {
        let plane = if self.fourth_channel {
            range.validate()?;
            unit_plane(decode_fourth(&self.ir)?, range, &self.ir, &mut IrScratch::default())?
        } else {
            read_ir(&self.ir, range)?
        };
        self.of_its_size(&self.ir, plane.size()).map(|()| plane)
    }

    /// The visible half, see [`read_vi`].
    ///
    /// # Errors
    /// Those of [`read_vi`]; [`DataError::Changed`] when the file has another size than at opening.
    pub fn read_vi(&self) -> Result<Rgb8, DataError> {
        let image = read_vi(&self.vi)?;
        self.of_its_size(&self.vi, image.size()).map(|()| image)
    }

    /// Whether [`Entry::read_mask`] gives a mask.
    #[must_use]
    pub fn has_mask(&self) -> bool {
        self.mask.is_some() || self.outlines.is_some()
    }

    /// Whether its mask is drawn from outlines in its label file.
    #[must_use]
    pub fn is_outlined(&self) -> bool {
        self.mask.is_none() && self.outlines.is_some()
    }

    /// The class mask: that of its file, or drawn from the outlines of its label file (0 for the background, then class
    /// number + 1, later ones over earlier ones).
    ///
    /// # Errors
    /// Those of [`read_mask`]; [`DataError::Changed`] when the file has another size than at opening.
    pub fn read_mask(&self) -> Result<Option<Gray8>, DataError> {
        if let Some(path) = &self.mask {
            let mask = read_mask(path)?;
            return self.of_its_size(path, mask.size()).map(|()| Some(mask));
        }
        let Some(outlines) = &self.outlines else { return Ok(None) };
        let mut mask = Gray8::filled(self.size, 0)?;
        for outline in outlines {
            // Numbers that no mask can hold were refused at opening.
            outline.draw(u8::try_from(outline.class + 1).unwrap_or(u8::MAX), &mut mask);
        }
        Ok(Some(mask))
    }

    fn of_its_size(&self, path: &Path, found: Size) -> Result<(), DataError> {
        let expected = self.size;
        if found == expected { Ok(()) } else { Err(DataError::Changed { path: path.to_owned(), expected, found }) }
    }
}
