//! The structures and numbers of this crate against the kernel's own header, by a C compiler.

use std::mem::{offset_of, size_of};
use std::path::Path;
use std::process::Command;

use caf_v4l::{abi, sys};

/// A C expression and what this crate has for it.
type Fact = (&'static str, u64);

macro_rules! size {
    ($c:literal, $rust:ty) => {
        (concat!("sizeof(struct ", $c, ")"), size_of::<$rust>() as u64)
    };
}

macro_rules! place {
    ($c:literal, $field:literal, $rust:ty, $own:ident) => {
        (concat!("offsetof(struct ", $c, ", ", $field, ")"), offset_of!($rust, $own) as u64)
    };
}

macro_rules! number {
    ($($c:literal => $rust:expr),+ $(,)?) => { [$(($c, $rust as u64)),+] };
}

fn sizes_and_places() -> Vec<Fact> {
    use abi::{
        Buffer, Capability, CaptureParameters, Control, FormatDescription, MultiFormat, Plane, PlaneFormat,
        QueryControl, QueryMenu, RequestBuffers, SingleFormat,
    };
    vec![
        size!("v4l2_capability", Capability),
        place!("v4l2_capability", "bus_info", Capability, bus_info),
        place!("v4l2_capability", "device_caps", Capability, device_caps),
        size!("v4l2_fmtdesc", FormatDescription),
        place!("v4l2_fmtdesc", "pixelformat", FormatDescription, pixelformat),
        size!("v4l2_format", SingleFormat),
        place!("v4l2_format", "fmt.pix.width", SingleFormat, width),
        place!("v4l2_format", "fmt.pix.field", SingleFormat, field),
        place!("v4l2_format", "fmt.pix.bytesperline", SingleFormat, bytesperline),
        place!("v4l2_format", "fmt.pix.sizeimage", SingleFormat, sizeimage),
        place!("v4l2_format", "fmt.pix.ycbcr_enc", SingleFormat, ycbcr_enc),
        place!("v4l2_format", "fmt.pix.quantization", SingleFormat, quantization),
        size!("v4l2_format", MultiFormat),
        place!("v4l2_format", "fmt.pix_mp.pixelformat", MultiFormat, pixelformat),
        place!("v4l2_format", "fmt.pix_mp.plane_fmt", MultiFormat, plane_fmt),
        place!("v4l2_format", "fmt.pix_mp.num_planes", MultiFormat, num_planes),
        place!("v4l2_format", "fmt.pix_mp.quantization", MultiFormat, quantization),
        size!("v4l2_plane_pix_format", PlaneFormat),
        place!("v4l2_plane_pix_format", "bytesperline", PlaneFormat, bytesperline),
        size!("v4l2_streamparm", CaptureParameters),
        place!("v4l2_streamparm", "parm.capture.timeperframe.numerator", CaptureParameters, numerator),
        place!("v4l2_streamparm", "parm.capture.timeperframe.denominator", CaptureParameters, denominator),
        size!("v4l2_requestbuffers", RequestBuffers),
        place!("v4l2_requestbuffers", "memory", RequestBuffers, memory),
        size!("v4l2_plane", Plane),
        place!("v4l2_plane", "m.mem_offset", Plane, mem_offset),
        place!("v4l2_plane", "data_offset", Plane, data_offset),
        size!("v4l2_buffer", Buffer),
        place!("v4l2_buffer", "timestamp.tv_sec", Buffer, seconds),
        place!("v4l2_buffer", "timestamp.tv_usec", Buffer, microseconds),
        place!("v4l2_buffer", "sequence", Buffer, sequence),
        place!("v4l2_buffer", "memory", Buffer, memory),
        place!("v4l2_buffer", "m.planes", Buffer, place),
        place!("v4l2_buffer", "m.offset", Buffer, place),
        place!("v4l2_buffer", "length", Buffer, length),
        size!("v4l2_queryctrl", QueryControl),
        place!("v4l2_queryctrl", "flags", QueryControl, flags),
        size!("v4l2_querymenu", QueryMenu),
        place!("v4l2_querymenu", "name", QueryMenu, name),
        size!("v4l2_control", Control),
    ]
}

fn numbers() -> Vec<Fact> {
    let calls = number! {
        "VIDIOC_QUERYCAP" => sys::QUERYCAP.opcode,
        "VIDIOC_ENUM_FMT" => sys::ENUM_FMT.opcode,
        "VIDIOC_G_FMT" => sys::G_FMT.opcode,
        "VIDIOC_G_FMT" => sys::G_FMT_MULTI.opcode,
        "VIDIOC_S_FMT" => sys::S_FMT.opcode,
        "VIDIOC_S_FMT" => sys::S_FMT_MULTI.opcode,
        "VIDIOC_REQBUFS" => sys::REQBUFS.opcode,
        "VIDIOC_QUERYBUF" => sys::QUERYBUF.opcode(),
        "VIDIOC_QBUF" => sys::QBUF.opcode(),
        "VIDIOC_DQBUF" => sys::DQBUF.opcode(),
        "VIDIOC_STREAMON" => sys::STREAMON.opcode,
        "VIDIOC_STREAMOFF" => sys::STREAMOFF.opcode,
        "VIDIOC_G_PARM" => sys::G_PARM.opcode,
        "VIDIOC_S_PARM" => sys::S_PARM.opcode,
        "VIDIOC_S_CTRL" => sys::S_CTRL.opcode,
        "VIDIOC_QUERYCTRL" => sys::QUERYCTRL.opcode,
        "VIDIOC_QUERYMENU" => sys::QUERYMENU.opcode,
    };
    let constants = number! {
        "VIDEO_MAX_PLANES" => abi::MOST_PLANES,
        "V4L2_BUF_TYPE_VIDEO_CAPTURE" => abi::VIDEO_CAPTURE,
        "V4L2_BUF_TYPE_VIDEO_CAPTURE_MPLANE" => abi::VIDEO_CAPTURE_MPLANE,
        "V4L2_MEMORY_MMAP" => abi::MEMORY_MMAP,
        "V4L2_CAP_VIDEO_CAPTURE" => abi::CAP_VIDEO_CAPTURE,
        "V4L2_CAP_VIDEO_CAPTURE_MPLANE" => abi::CAP_VIDEO_CAPTURE_MPLANE,
        "V4L2_CAP_STREAMING" => abi::CAP_STREAMING,
        "V4L2_CAP_DEVICE_CAPS" => abi::CAP_DEVICE_CAPS,
        "V4L2_FIELD_NONE" => abi::FIELD_NONE,
        "V4L2_FIELD_ALTERNATE" => abi::FIELD_ALTERNATE,
        "V4L2_BUF_FLAG_ERROR" => abi::BUF_FLAG_ERROR,
        "V4L2_BUF_FLAG_TIMESTAMP_MASK" => abi::BUF_FLAG_TIMESTAMP_MASK,
        "V4L2_BUF_FLAG_TIMESTAMP_MONOTONIC" => abi::BUF_FLAG_TIMESTAMP_MONOTONIC,
        "V4L2_BUF_FLAG_TSTAMP_SRC_MASK" => abi::BUF_FLAG_TSTAMP_SRC_MASK,
        "V4L2_BUF_FLAG_TSTAMP_SRC_SOE" => abi::BUF_FLAG_TSTAMP_SRC_SOE,
        "V4L2_COLORSPACE_JPEG" => abi::COLORSPACE_JPEG,
        "V4L2_COLORSPACE_REC709" => abi::COLORSPACE_REC709,
        "V4L2_YCBCR_ENC_709" => abi::YCBCR_ENC_709,
        "V4L2_QUANTIZATION_FULL_RANGE" => abi::QUANTIZATION_FULL,
        "V4L2_QUANTIZATION_LIM_RANGE" => abi::QUANTIZATION_LIMITED,
        "V4L2_CAP_TIMEPERFRAME" => abi::CAP_TIMEPERFRAME,
        "V4L2_CTRL_FLAG_NEXT_CTRL" => abi::CTRL_FLAG_NEXT_CTRL,
        "V4L2_CTRL_FLAG_DISABLED" => abi::CTRL_FLAG_DISABLED,
        "V4L2_CTRL_FLAG_READ_ONLY" => abi::CTRL_FLAG_READ_ONLY,
        "V4L2_CTRL_TYPE_INTEGER" => abi::CTRL_TYPE_INTEGER,
        "V4L2_CTRL_TYPE_BOOLEAN" => abi::CTRL_TYPE_BOOLEAN,
        "V4L2_CTRL_TYPE_MENU" => abi::CTRL_TYPE_MENU,
        "V4L2_CTRL_TYPE_BUTTON" => abi::CTRL_TYPE_BUTTON,
        "V4L2_CTRL_TYPE_CTRL_CLASS" => abi::CTRL_TYPE_CLASS,
        "V4L2_CTRL_TYPE_BITMASK" => abi::CTRL_TYPE_BITMASK,
        "V4L2_CTRL_TYPE_INTEGER_MENU" => abi::CTRL_TYPE_INTEGER_MENU,
    };
    // `Y16 ` with the high byte first, and the packed ones, are named by the header too.
    let code = |text: &str| caf_v4l::device::FourCc::parse(text).map_or(0, |code| u64::from(code.0));
    let codes = [
        ("V4L2_PIX_FMT_GREY", code("GREY")),
        ("V4L2_PIX_FMT_Y10", code("Y10")),
        ("V4L2_PIX_FMT_Y12", code("Y12")),
        ("V4L2_PIX_FMT_Y14", code("Y14")),
        ("V4L2_PIX_FMT_Y16", code("Y16")),
        ("V4L2_PIX_FMT_Y16_BE", code("Y16-BE")),
        ("V4L2_PIX_FMT_Y10P", code("Y10P")),
        ("V4L2_PIX_FMT_YUYV", code("YUYV")),
        ("V4L2_PIX_FMT_UYVY", code("UYVY")),
        ("V4L2_PIX_FMT_NV12", code("NV12")),
        ("V4L2_PIX_FMT_NV12M", code("NM12")),
        ("V4L2_PIX_FMT_RGB24", code("RGB3")),
        ("V4L2_PIX_FMT_BGR24", code("BGR3")),
        ("V4L2_PIX_FMT_MJPEG", code("MJPG")),
        ("V4L2_PIX_FMT_JPEG", code("JPEG")),
    ];
    [&calls[..], &constants[..], &codes[..]].concat()
}

#[test]
fn everything_is_as_the_kernels_header_has_it() {
    if !Path::new("/usr/include/linux/videodev2.h").exists() {
        println!("skipped: no /usr/include/linux/videodev2.h (Debian: linux-libc-dev)");
        return;
    }
    let facts = [sizes_and_places(), numbers()].concat();
    let print = |(expression, _): &Fact| {
        // An ioctl's number is 32 bits, of which C may take the highest as a sign.
        let number = format!("(unsigned long long)(unsigned)({expression})");
        format!("printf(\"%llu\\n\", {number});\n")
    };
    let lines: String = facts.iter().map(print).collect();
    let source = format!(
        "#include <stdio.h>\n#include <stddef.h>\n#include <sys/time.h>\n#include <linux/videodev2.h>\nint main(void) {{\n{lines}return 0;\n}}\n"
    );
    let folder = tempfile::tempdir().unwrap();
    let (file, program) = (folder.path().join("abi.c"), folder.path().join("abi"));
    std::fs::write(&file, source).unwrap();
    let compiled = Command::new("cc").arg("-o").args([&program, &file]).status();
    let Ok(compiled) = compiled else {
        println!("skipped: no C compiler");
        return;
    };
    assert!(compiled.success());
    let printed = String::from_utf8(Command::new(&program).output().unwrap().stdout).unwrap();
    let found: Vec<u64> = printed.lines().map(|line| line.parse().unwrap()).collect();
    assert_eq!(found.len(), facts.len());
    for ((expression, own), kernels) in facts.iter().zip(found) {
        assert_eq!(*own, kernels, "{expression}");
    }
    println!("compared {} sizes, places and numbers with linux/videodev2.h", facts.len());
}
