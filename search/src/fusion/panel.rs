//! Pictures to look at: infrared, visible and fused side by side.

use super::folder::coloured;
use crate::error::SearchError;
use caf_geometry::Size;
use caf_image::color::quantized;
use caf_image::{Gray8, ImageError, Plane, Rgb8};

/// Gap between pictures, px.
const GAP_PX: usize = 4;

/// A gray picture with three equal channels.
pub(crate) fn gray_rgb(gray: &Gray8) -> Result<Rgb8, ImageError> {
    Rgb8::new(gray.size(), gray.data().iter().flat_map(|v| [*v; 3]).collect())
}

/// Rows of pictures.
#[derive(Debug, Default)]
pub struct Panel {
    rows: Vec<Vec<Rgb8>>,
}

impl Panel {
    /// Adds a row: infrared, visible, then the fused luma in the visible image's colours.
    ///
    /// # Errors
    /// When sizes differ.
    pub fn add(&mut self, ir: &Plane, vi: &Rgb8, fused: &Plane) -> Result<(), SearchError> {
        self.push(vec![gray_rgb(&quantized(ir))?, vi.clone(), coloured(vi, fused)?]);
        Ok(())
    }

    /// Adds a row of pictures.
    pub fn push(&mut self, row: Vec<Rgb8>) {
        self.rows.push(row);
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
        let mut canvas = Rgb8::filled(Size { width, height }, 255)?;
        let mut top = GAP_PX;
        for row in &self.rows {
            let mut left = GAP_PX;
            for picture in row {
                for (y, line) in picture.data().chunks_exact(picture.width() * 3).enumerate() {
                    let start = ((top + y) * width + left) * 3;
                    if let Some(place) = canvas.data_mut().get_mut(start..start + line.len()) {
                        place.copy_from_slice(line);
                    }
                }
                left += picture.width() + GAP_PX;
            }
            top += height_of(row);
        }
        Ok(canvas)
    }
}
