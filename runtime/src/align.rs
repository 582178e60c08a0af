//! Brings the infrared image into the visible camera's geometry with the tables of a rig.

use caf_geometry::Size;
use caf_rig::{PlaneMut, PlaneRef, RemapTable, RigError};

use crate::frame::{FULL, FrameError, ImageView, PixelFormat};
use crate::pixels::luma_u16;

/// A remap table with the memory it needs; nothing is allocated per image.
#[derive(Debug)]
pub struct Aligner {
    table: RemapTable,
    infrared: Size,
    source: Vec<u16>,
    aligned: Vec<u16>,
    bytes: Vec<u8>,
}

impl Aligner {
    /// Takes memory for the table's sizes, in which both images are expected.
    #[must_use]
    pub fn new(table: RemapTable) -> Self {
        let infrared = table.source();
        let [source, aligned] = [infrared, table.size()].map(|size| size.width * size.height);
        Self { table, infrared, source: vec![0; source], aligned: vec![0; aligned], bytes: vec![0; aligned * 2] }
    }

    /// Size of the aligned image, that of the visible camera.
    #[must_use]
    pub fn size(&self) -> Size {
        self.table.size()
    }

    /// Share of the visible image that the infrared camera sees, above 0 and at most 1.
    #[must_use]
    pub fn coverage(&self) -> f64 {
        self.table.coverage()
    }

    /// Resamples an infrared image, bilinear; what the infrared camera does not see becomes 0. Colour counts as its luma, and
    /// floats become 16 bits between the limits of the image.
    pub fn align(&mut self, image: &ImageView<'_>) -> Result<ImageView<'_>, FrameError> {
        let from = image.size();
        if from != self.infrared {
            let (plane, expected, found) = ("source", self.infrared, from);
            return Err(FrameError::Rig(RigError::PlaneSize { plane, expected, found }));
        }
        let mut limits = image.limits();
        for (row, out) in image.rows().zip(self.source.chunks_exact_mut(from.width)) {
            match image.format() {
                // 257 · 255 = 65535, so that eight bits keep their share of the full range.
                PixelFormat::Gray8 => out.iter_mut().zip(row).for_each(|(o, v)| *o = u16::from(*v) * 257),
                PixelFormat::Gray16Le => {
                    out.iter_mut().zip(row.as_chunks().0).for_each(|(o, v)| *o = u16::from_le_bytes(*v));
                }
                PixelFormat::GrayF32Le => {
                    let units = row.as_chunks().0.iter().map(|v| image.limits().unit(f32::from_le_bytes(*v)));
                    // At most 65535.
                    out.iter_mut().zip(units).for_each(|(o, v)| *o = (v * 65_535.0).round() as u16);
                    limits = FULL;
                }
                PixelFormat::Rgb8 => out.iter_mut().zip(row.as_chunks().0).for_each(|(o, rgb)| *o = luma_u16(rgb)),
            }
        }
        let to = self.table.size();
        let source = PlaneRef::new(&self.source, from, from.width)?;
        let mut target = PlaneMut::new(&mut self.aligned, to, to.width)?;
        self.table.apply(&source, &mut target, 0)?;
        self.bytes.as_chunks_mut().0.iter_mut().zip(&self.aligned).for_each(|(o, v)| *o = v.to_le_bytes());
        let aligned = ImageView::new(&self.bytes, to, to.width * 2, PixelFormat::Gray16Le)?;
        Ok(aligned.with_limits(limits))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pixels::to_bytes;
    use caf_contract::Colour;
    use caf_rig::Rig;

    fn aligner(shift_px: f64) -> Aligner {
        let camera = caf_rig::Camera { width_px: 7, height_px: 5, fx_px: 10.0, fy_px: 10.0, cx_px: 3.0, cy_px: 2.0 };
        let mut rig = Rig::aligned(camera);
        rig.infrared.cx_px += shift_px;
        Aligner::new(RemapTable::vis_from_ir(&rig, 10.0).unwrap())
    }

    #[test]
    fn an_aligned_rig_changes_nothing_and_a_shifted_one_shifts() {
        let data: Vec<u8> = (0..35).map(|i| i * 7).collect();
        let view = ImageView::new(&data, Size::new(7, 5), 7, PixelFormat::Gray8).unwrap();
        let mut out = [0; 35];
        to_bytes(&aligner(0.0).align(&view).unwrap(), Colour::Gray, &mut out).unwrap();
        assert_eq!(out, data[..]);
        to_bytes(&aligner(2.0).align(&view).unwrap(), Colour::Gray, &mut out).unwrap();
        for (to, from) in out.chunks(7).zip(data.chunks(7)) {
            assert_eq!(to[..5], from[2..]);
            assert_eq!(to[5..], [0, 0]);
        }
    }

    #[test]
    fn another_size_is_refused_and_colour_counts_as_its_luma() {
        let mut aligner = aligner(0.0);
        let data = [0; 7 * 6 * 3];
        let tall = ImageView::new(&data, Size::new(7, 6), 7, PixelFormat::Gray8).unwrap();
        assert!(aligner.align(&tall).unwrap_err().to_string().contains("7x6"));
        let rgb: Vec<u8> = (0..35).flat_map(|i| [i * 7; 3]).collect();
        let colour = ImageView::new(&rgb, Size::new(7, 5), 21, PixelFormat::Rgb8).unwrap();
        let mut out = [0; 35];
        to_bytes(&aligner.align(&colour).unwrap(), Colour::Gray, &mut out).unwrap();
        assert!(out.iter().zip(0..35).all(|(v, i)| *v == i * 7));
        let limits = caf_contract::IrLimits { low: 280.0, high: 330.0 };
        let kelvin: Vec<u8> = (0..35_u8).flat_map(|i| (280.0 + f32::from(i)).to_le_bytes()).collect();
        let kelvin = ImageView::new(&kelvin, Size::new(7, 5), 28, PixelFormat::GrayF32Le).unwrap().with_limits(limits);
        to_bytes(&aligner.align(&kelvin).unwrap(), Colour::Gray, &mut out).unwrap();
        assert!(out.iter().zip(0..35_u8).all(|(v, i)| *v == (f32::from(i) / 50.0 * 255.0).round() as u8), "{out:?}");
    }
}
