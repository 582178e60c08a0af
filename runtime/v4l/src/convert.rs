//! From a camera's samples to images, row by row. Rows may be further apart than they are long; results are dense. Nothing is allocated once
//! the result has had its size.
//!
//! Chroma of half the resolution is repeated, not interpolated: what is fused is luma, and the colours of one pixel more do not move it.

use super::format::{Plan, Samples};
use super::yuv::Matrix;
use caf_runtime::frame::PixelFormat;

/// Bytes of a row of the result.
fn row_bytes(plan: &Plan) -> usize {
    plan.size.width * plan.output.bytes()
}

/// The rows of an image.
fn rows(data: &[u8], stride: usize) -> impl Iterator<Item = &[u8]> {
    data.chunks(stride.max(1))
}

/// Converts a frame that is not compressed; `planes` are the bytes that hold its data. They are as many as the plan needs.
pub fn convert(plan: &Plan, planes: [&[u8]; 2], out: &mut Vec<u8>) {
    let row = row_bytes(plan);
    out.resize(row * plan.size.height, 0);
    let [first, second] = planes;
    let [stride, chroma_stride] = plan.strides;
    let lines = rows(first, stride).zip(out.chunks_exact_mut(row.max(1)));
    match (plan.samples, plan.output) {
        (Samples::Gray8 | Samples::Rgb | Samples::Jpeg, _) => {
            lines.for_each(|(from, to)| to.iter_mut().zip(from).for_each(|(to, from)| *to = *from));
        }
        (Samples::Bgr, _) => lines.for_each(|(from, to)| swap_ends(from, to)),
        (Samples::Gray16 { high_byte_first, .. }, PixelFormat::Gray16Le) => {
            lines.for_each(|(from, to)| counts(from, high_byte_first, pairs(to), |to, v| *to = v.to_le_bytes()));
        }
        (Samples::Gray16 { bits, high_byte_first }, _) => {
            lines.for_each(|(from, to)| counts(from, high_byte_first, to.iter_mut(), |to, v| *to = byte(v, bits)));
        }
        (Samples::Packed10, PixelFormat::Gray16Le) => {
            lines.for_each(|(from, to)| unpack10(from, pairs(to), |to, v| *to = v.to_le_bytes()));
        }
        (Samples::Packed10, _) => lines.for_each(|(from, to)| unpack10(from, to.iter_mut(), |to, v| *to = byte(v, 10))),
        (Samples::Packed12, PixelFormat::Gray16Le) => {
            lines.for_each(|(from, to)| unpack12(from, pairs(to), |to, v| *to = v.to_le_bytes()));
        }
        (Samples::Packed12, _) => lines.for_each(|(from, to)| unpack12(from, to.iter_mut(), |to, v| *to = byte(v, 12))),
        (Samples::Yuyv, PixelFormat::Gray8) => lines.for_each(|(from, to)| luma(from, 0, &plan.matrix, to)),
        (Samples::Uyvy, PixelFormat::Gray8) => lines.for_each(|(from, to)| luma(from, 1, &plan.matrix, to)),
        (Samples::Yuyv, _) => lines.for_each(|(from, to)| packed(from, [0, 1, 2, 3], &plan.matrix, to)),
        (Samples::Uyvy, _) => lines.for_each(|(from, to)| packed(from, [1, 0, 3, 2], &plan.matrix, to)),
        (Samples::Nv12 | Samples::Nv12InTwo, PixelFormat::Gray8) => lines.for_each(|(from, to)| {
            to.iter_mut().zip(from).for_each(|(to, y)| *to = plan.matrix.gray(*y));
        }),
        (Samples::Nv12 | Samples::Nv12InTwo, _) => {
            let after_luma = || first.get(stride * plan.size.height..).unwrap_or_default();
            let chroma = if plan.samples == Samples::Nv12 { after_luma() } else { second };
            // Each row of chroma serves two of luma.
            let chroma = rows(chroma, chroma_stride).flat_map(|row| [row, row]);
            lines.zip(chroma).for_each(|((luma, to), chroma)| planar(luma, chroma, &plan.matrix, to));
        }
    }
}

fn pairs(to: &mut [u8]) -> impl Iterator<Item = &mut [u8; 2]> {
    to.as_chunks_mut().0.iter_mut()
}

/// A count as eight bits: `round(255 · v / (2^bits − 1))`; bits that a camera must not set are cut.
fn byte(v: u16, bits: u8) -> u8 {
    let most = (1_u32 << bits) - 1;
    ((u32::from(v).min(most) * 255 + most / 2) / most) as u8
}

fn swap_ends(from: &[u8], to: &mut [u8]) {
    let pixels = to.as_chunks_mut::<3>().0.iter_mut().zip(from.as_chunks::<3>().0);
    pixels.for_each(|(to, [b, g, r])| *to = [*r, *g, *b]);
}

fn counts<T>(from: &[u8], high_byte_first: bool, to: impl Iterator<Item = T>, set: impl Fn(T, u16)) {
    let value = |v: &[u8; 2]| if high_byte_first { u16::from_be_bytes(*v) } else { u16::from_le_bytes(*v) };
    to.zip(from.as_chunks().0).for_each(|(to, v)| set(to, value(v)));
}

fn unpack10<T>(from: &[u8], to: impl Iterator<Item = T>, set: impl Fn(T, u16)) {
    let four = |&[a, b, c, d, low]: &[u8; 5]| {
        let value = move |high: u8, place: u32| u16::from(high) << 2 | u16::from(low >> (2 * place) & 3);
        [value(a, 0), value(b, 1), value(c, 2), value(d, 3)]
    };
    to.zip(from.as_chunks().0.iter().flat_map(four)).for_each(|(to, v)| set(to, v));
}

fn unpack12<T>(from: &[u8], to: impl Iterator<Item = T>, set: impl Fn(T, u16)) {
    let two =
        |&[a, b, low]: &[u8; 3]| [u16::from(a) << 4 | u16::from(low & 15), u16::from(b) << 4 | u16::from(low >> 4)];
    to.zip(from.as_chunks().0.iter().flat_map(two)).for_each(|(to, v)| set(to, v));
}

/// The luma of two pixels in four bytes, which is every second byte.
fn luma(from: &[u8], first: usize, matrix: &Matrix, to: &mut [u8]) {
    to.iter_mut().zip(from.iter().skip(first).step_by(2)).for_each(|(to, y)| *to = matrix.gray(*y));
}

/// Two pixels in four bytes; `places` are those of luma, blueness, luma, redness.
fn packed(from: &[u8], places: [usize; 4], matrix: &Matrix, to: &mut [u8]) {
    let two = |bytes: &[u8; 4]| {
        let [first, u, second, v] = places.map(|place| bytes[place]);
        [matrix.rgb(first, u, v), matrix.rgb(second, u, v)]
    };
    let pixels = from.as_chunks().0.iter().flat_map(two);
    to.as_chunks_mut().0.iter_mut().zip(pixels).for_each(|(to, rgb)| *to = rgb);
}

fn planar(luma: &[u8], chroma: &[u8], matrix: &Matrix, to: &mut [u8]) {
    let chroma = chroma.as_chunks().0.iter().flat_map(|uv: &[u8; 2]| [uv, uv]);
    let pixels = luma.iter().zip(chroma);
    to.as_chunks_mut().0.iter_mut().zip(pixels).for_each(|(to, (y, [u, v]))| *to = matrix.rgb(*y, *u, *v));
}

#[cfg(test)]
#[path = "convert_tests.rs"]
mod tests;
