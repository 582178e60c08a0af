//! Pictures to look at: infrared, visible and fused side by side.

use super::folder::{coloured, gray};
use super::method::Fuser;
use crate::error::SearchError;
use caf_data::image_file::write_rgb8;
use caf_data::{Dataset, Gray8, Plane, Rgb8, Sample};
use std::path::Path;

/// Gap between pictures, px.
const GAP_PX: usize = 4;

/// Rows of pictures.
#[derive(Debug, Default)]
pub struct Panel {
    rows: Vec<Vec<Rgb8>>,
}

impl Panel {
    /// Adds a row: infrared, visible, then the given lumas in the visible image's colours.
    ///
    /// # Errors
    /// When sizes differ.
    pub fn add(&mut self, sample: &Sample, fused: &[Plane]) -> Result<(), SearchError> {
        let mut row = vec![repeated(&gray(&sample.ir)?)?, sample.vi.clone()];
        for luma in fused {
            row.push(coloured(sample, luma)?);
        }
        self.rows.push(row);
        Ok(())
    }

    /// All rows in one picture on white.
    ///
    /// # Errors
    /// When there is no row.
    pub fn picture(&self) -> Result<Rgb8, SearchError> {
        let width_of = |row: &Vec<Rgb8>| row.iter().map(|p| p.width() + GAP_PX).sum::<usize>() + GAP_PX;
        let height_of = |row: &Vec<Rgb8>| row.iter().map(Rgb8::height).max().unwrap_or(0) + GAP_PX;
        let width = self.rows.iter().map(width_of).max().unwrap_or(0);
        let height = self.rows.iter().map(height_of).sum::<usize>() + GAP_PX;
        let mut canvas = Rgb8::filled(width, height, 255)?;
        let mut top = GAP_PX;
        for row in &self.rows {
            let mut left = GAP_PX;
            for picture in row {
                for (y, line) in picture.data().chunks_exact(picture.width() * 3).enumerate() {
                    let start = ((top + y) * width + left) * 3;
                    canvas.data_mut()[start..start + line.len()].copy_from_slice(line);
                }
                left += picture.width() + GAP_PX;
            }
            top += height_of(row);
        }
        Ok(canvas)
    }
}

/// Writes infrared | visible | fused of some pairs of a data set, spread evenly over it.
///
/// # Errors
/// When a pair cannot be read or the picture not written.
pub fn panel(dataset: &Dataset, fusers: &[&Fuser], rows: usize, path: &Path) -> Result<(), SearchError> {
    let mut panel = Panel::default();
    let count = rows.min(dataset.len());
    for i in 0..count {
        let sample = dataset.load(i * dataset.len() / count)?;
        let lumas = fusers.iter().map(|f| f.luma(&sample)).collect::<Result<Vec<_>, _>>()?;
        panel.add(&sample, &lumas)?;
    }
    Ok(write_rgb8(path, &panel.picture()?)?)
}

fn repeated(gray: &Gray8) -> Result<Rgb8, SearchError> {
    let (width, height) = gray.size_wh();
    Ok(Rgb8::new(width, height, gray.data().iter().flat_map(|v| [*v; 3]).collect())?)
}
