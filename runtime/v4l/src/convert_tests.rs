//! Conversions against their definitions, sample by sample, with padding between rows that must not appear.

use super::*;
use crate::abi::MOST_PLANES;
use crate::device::DeviceFormat;
use crate::scripted::Description;
use caf_geometry::Size;
use caf_runtime::frame::Camera;

/// What lies between rows.
const PADDING: u8 = 0xEE;

/// A byte that depends on where it is.
fn byte_at(x: usize, y: usize) -> u8 {
    (x * 37 + y * 101 + x * y * 3 + 11) as u8
}

/// Rows of so many bytes with three bytes of padding, and the plan of an image of that size.
fn image(code: &[u8; 4], size: Size, row: usize, rows: usize, camera: Camera) -> (Plan, Vec<u8>) {
    let stride = row + 3;
    let mut data = vec![PADDING; stride * rows];
    for y in 0..rows {
        (0..row).for_each(|x| data[y * stride + x] = byte_at(x, y));
    }
    let format = Description::new(code, size, stride, data.len()).format;
    (Plan::new(&format, camera).unwrap(), data)
}

fn converted(plan: &Plan, data: &[u8]) -> Vec<u8> {
    let mut out = vec![];
    convert(plan, [data, &[]], &mut out);
    assert_eq!(out.len(), plan.size.width * plan.size.height * plan.output.bytes());
    out
}

fn counts_of(bytes: &[u8]) -> Vec<u16> {
    bytes.as_chunks().0.iter().map(|v| u16::from_le_bytes(*v)).collect()
}

const SIZE: Size = Size::new(6, 5);

/// All pixels of an image in the order of its bytes.
fn pixels() -> impl Iterator<Item = (usize, usize)> {
    (0..SIZE.height).flat_map(|y| (0..SIZE.width).map(move |x| (x, y)))
}

#[test]
fn gray_and_colours_lose_their_padding() {
    let (plan, data) = image(b"GREY", SIZE, 6, 5, Camera::Infrared);
    let expected: Vec<u8> = pixels().map(|(x, y)| byte_at(x, y)).collect();
    assert_eq!(converted(&plan, &data), expected);
    for (code, order) in [(b"RGB3", [0, 1, 2]), (b"BGR3", [2, 1, 0])] {
        let (plan, data) = image(code, SIZE, 18, 5, Camera::Visible);
        let expected: Vec<u8> = pixels().flat_map(|(x, y)| order.map(|c| byte_at(3 * x + c, y))).collect();
        assert_eq!(converted(&plan, &data), expected);
    }
}

#[test]
fn counts_of_sixteen_bits_keep_their_values_and_become_bytes_by_their_depth() {
    for (code, bits) in [(b"Y16 ", 16), (b"Y14 ", 14), (b"Y12 ", 12), (b"Y10 ", 10)] {
        let (plan, mut data) = image(code, SIZE, 12, 5, Camera::Infrared);
        // A camera uses its bits only.
        let high = |x: usize, y: usize| (u16::from(byte_at(2 * x + 1, y)) << 8) & ((1_u32 << bits) - 1) as u16;
        for (x, y) in pixels() {
            data[y * 15 + 2 * x + 1] = (high(x, y) >> 8) as u8;
        }
        let count = |x, y| u16::from(byte_at(2 * x, y)) | high(x, y);
        let expected: Vec<u16> = pixels().map(|(x, y)| count(x, y)).collect();
        assert_eq!(counts_of(&converted(&plan, &data)), expected, "{bits}");
        let plan = Plan { output: PixelFormat::Gray8, ..plan };
        let most = f64::from((1_u32 << bits) - 1);
        let expected: Vec<u8> = pixels().map(|(x, y)| (f64::from(count(x, y)) * 255.0 / most).round() as u8).collect();
        assert_eq!(converted(&plan, &data), expected, "{bits}");
    }
    let size = SIZE;
    let (_, data) = image(b"Y16 ", size, 12, 5, Camera::Infrared);
    let mut format = Description::new(b"Y16 ", size, 15, data.len()).format;
    format.code = format.code.high_byte_first();
    let plan = Plan::new(&format, Camera::Infrared).unwrap();
    let expected: Vec<u16> =
        pixels().map(|(x, y)| u16::from_be_bytes([byte_at(2 * x, y), byte_at(2 * x + 1, y)])).collect();
    assert_eq!(counts_of(&converted(&plan, &data)), expected);
}

#[test]
fn every_count_becomes_the_nearest_byte() {
    for bits in 9..=16 {
        let most = (1_u32 << bits) - 1;
        for v in 0..=most {
            assert_eq!(byte(v as u16, bits), (f64::from(v) * 255.0 / f64::from(most)).round() as u8, "{v} of {bits}");
        }
    }
    assert_eq!(byte(u16::MAX, 10), 255);
}

#[test]
fn packed_counts_are_put_together_bit_by_bit() {
    for (code, bits, group) in [(b"Y10P", 10, 4), (b"Y12P", 12, 2)] {
        // Six pixels end in the middle of a group of four.
        let row = SIZE.width.div_ceil(group) * group * bits / 8;
        let (plan, data) = image(code, SIZE, row, 5, Camera::Infrared);
        let expected: Vec<u16> = pixels()
            .map(|(x, y)| {
                let (first, place) = (x / group * group * bits / 8, x % group);
                let high = u16::from(byte_at(first + place, y));
                let low_bits = bits - 8;
                let low = u16::from(byte_at(first + group, y)) >> (low_bits * place) & ((1 << low_bits) - 1);
                high << low_bits | low
            })
            .collect();
        assert_eq!(counts_of(&converted(&plan, &data)), expected, "{bits}");
        let plan = Plan { output: PixelFormat::Gray8, ..plan };
        let expected: Vec<u8> = expected.iter().map(|v| byte(*v, bits as u8)).collect();
        assert_eq!(converted(&plan, &data), expected);
    }
}

#[test]
fn luma_and_chroma_are_found_where_they_lie() {
    let matrix = Matrix::bt601(super::super::yuv::Range::Limited);
    for (code, luma, chroma) in [(b"YUYV", [0, 2], [1, 3]), (b"UYVY", [1, 3], [0, 2])] {
        let (plan, data) = image(code, SIZE, 12, 5, Camera::Visible);
        let at = |x: usize, y: usize, place: usize| byte_at(x / 2 * 4 + place, y);
        let expected: Vec<u8> = pixels()
            .flat_map(|(x, y)| matrix.rgb(at(x, y, luma[x % 2]), at(x, y, chroma[0]), at(x, y, chroma[1])))
            .collect();
        assert_eq!(converted(&plan, &data), expected);
        let (plan, data) = image(code, SIZE, 12, 5, Camera::Infrared);
        let expected: Vec<u8> = pixels().map(|(x, y)| matrix.gray(at(x, y, luma[x % 2]))).collect();
        assert_eq!(converted(&plan, &data), expected);
    }
}

#[test]
fn nv12_is_the_same_in_one_piece_of_memory_and_in_two() {
    let matrix = Matrix::bt601(super::super::yuv::Range::Limited);
    // Five rows of luma, three of chroma.
    let (plan, data) = image(b"NV12", SIZE, 6, 8, Camera::Visible);
    let chroma = |x: usize, y: usize, which: usize| byte_at(x / 2 * 2 + which, 5 + y / 2);
    let expected: Vec<u8> =
        pixels().flat_map(|(x, y)| matrix.rgb(byte_at(x, y), chroma(x, y, 0), chroma(x, y, 1))).collect();
    assert_eq!(converted(&plan, &data), expected);

    let mut format = DeviceFormat { plane_count: 2, ..Description::new(b"NM12", SIZE, 9, 9 * 5).format };
    format.planes[1] = crate::device::PlaneLayout { size_bytes: 9 * 3, stride_bytes: 9 };
    let two = Plan::new(&format, Camera::Visible).unwrap();
    let mut out = vec![];
    convert(&two, [&data[..9 * 5], &data[9 * 5..]], &mut out);
    assert_eq!(out, expected);

    let (plan, data) = image(b"NV12", SIZE, 6, 8, Camera::Infrared);
    let expected: Vec<u8> = pixels().map(|(x, y)| matrix.gray(byte_at(x, y))).collect();
    assert_eq!(converted(&plan, &data), expected);
}

#[test]
fn a_frame_of_exactly_the_bytes_that_are_needed_is_converted_whole() {
    for (code, row, rows) in [(b"GREY", 6, 5), (b"Y10P", 10, 5), (b"YUYV", 12, 5), (b"NV12", 6, 8), (b"RGB3", 18, 5)] {
        for camera in Camera::BOTH {
            let (plan, data) = image(code, SIZE, row, rows, camera);
            let needs: [usize; MOST_PLANES] = plan.needs;
            assert_eq!(converted(&plan, &data[..needs[0]]), converted(&plan, &data));
        }
    }
}

#[test]
fn nothing_is_allocated_after_the_first_frame() {
    let (plan, data) = image(b"YUYV", SIZE, 12, 5, Camera::Visible);
    let mut out = vec![];
    convert(&plan, [&data, &[]], &mut out);
    let (place, capacity) = (out.as_ptr(), out.capacity());
    convert(&plan, [&data, &[]], &mut out);
    assert_eq!((out.as_ptr(), out.capacity()), (place, capacity));
}
