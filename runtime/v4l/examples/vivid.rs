//! The source against a real kernel: the first and only program of a virtual machine, started by `cargo xtask vivid`.
//!
//! It loads the kernel's test driver `vivid`, whose cameras show known pictures and fail on demand, runs the same code as
//! `caf-run live`, says what it found, and switches the machine off.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use caf_runtime::frame::{Camera, Frame, PixelFormat};
use caf_runtime::queue::{Lanes, Popped, WhenFull};
use caf_runtime::source::clock::MonotonicClock;
use caf_runtime::source::kind::{Pace, Source, SourceSettings};
use caf_runtime::source::port::{Capture, Port};
use caf_runtime::source::report::{Intake, SourceReport};
use caf_v4l::device::{ControlInfo, Device, Devices, FourCc};
use caf_v4l::node::Kernel;
use caf_v4l::source::V4lSource;
use rustix::mount::{MountFlags, mount};
use rustix::system::{RebootCommand, finit_module, reboot};

/// What `cargo xtask vivid` looks for in the log.
const PASSED: &str = "vivid: passed";
/// One camera in each way of laying out memory, no other nodes, one webcam input each.
const DRIVER: &std::ffi::CStr = c"n_devs=2 node_types=0x1,0x1 num_inputs=1,1 input_types=0,0 multiplanar=1,2";
const SINGLE: &str = "/dev/video0";
const MULTI: &str = "/dev/video1";
/// The whole machine is switched off after this: something hangs.
const LIMIT: Duration = Duration::from_secs(540);
/// One frame is waited for so long.
const PATIENCE: Duration = Duration::from_secs(10);
/// Frames of each format that are looked at.
const FRAMES: u64 = 12;

fn main() {
    std::thread::spawn(|| {
        std::thread::sleep(LIMIT);
        println!("vivid: FAILED: not done after {} s", LIMIT.as_secs());
        let _ = reboot(RebootCommand::PowerOff);
    });
    let cycles = std::env::args().skip(1).find_map(|word| word.strip_prefix("cycles=")?.parse().ok()).unwrap_or(1000);
    match machine().and_then(|()| checks(cycles)) {
        Ok(()) => println!("{PASSED}"),
        Err(error) => println!("vivid: FAILED: {error:#}"),
    }
    // The serial line is slower than the switch.
    std::thread::sleep(Duration::from_millis(300));
    let _ = reboot(RebootCommand::PowerOff);
}

/// What every system has, and the driver.
fn machine() -> Result<()> {
    for (kind, place) in [("devtmpfs", "/dev"), ("proc", "/proc"), ("sysfs", "/sys")] {
        fs::create_dir_all(place)?;
        mount(kind, place, kind, MountFlags::empty(), None).with_context(|| format!("cannot mount {place}"))?;
    }
    // In the order of their names, which is that of their needs.
    let mut modules: Vec<_> = fs::read_dir("/modules")?.flatten().map(|entry| entry.path()).collect();
    modules.sort();
    for module in &modules {
        let is_driver = module.to_string_lossy().ends_with("-vivid.ko");
        let parameters = if is_driver { DRIVER } else { c"" };
        let loaded = finit_module(fs::File::open(module)?, parameters, 0);
        loaded.with_context(|| format!("cannot load {}", module.display()))?;
    }
    println!("kernel {}, {} modules", fs::read_to_string("/proc/sys/kernel/osrelease")?.trim(), modules.len());
    Ok(())
}

fn checks(cycles: u64) -> Result<()> {
    let mut total = 0;
    for node in [SINGLE, MULTI] {
        total += formats(node)?;
    }
    println!("formats: {total} checked");
    pictures()?;
    refusals()?;
    for node in [SINGLE, MULTI] {
        dropped(node)?;
        damaged(node)?;
        fatal(node)?;
        refused_start(node)?;
        reconnects(node, cycles / 2)?;
    }
    Ok(())
}

/// A source with a consumer.
struct Run {
    source: V4lSource,
    port: Port,
    capture: Capture,
}

impl Run {
    fn start(text: &str, camera: Camera) -> Result<Self> {
        let settings = SourceSettings { camera, latency_ns: 0, fps: 25.0, patience: PATIENCE };
        let mut source = V4lSource::open(Arc::new(Kernel), text, &settings).with_context(|| text.to_owned())?;
        let capture: Capture = Arc::new(Lanes::new(64, WhenFull::DropOldest));
        let clock = Arc::new(MonotonicClock::default());
        caf_runtime::source::clock::Clock::start(&*clock);
        let port = Port::new(camera, &capture, clock, true);
        source.start(port.clone(), Pace::Realtime)?;
        Ok(Self { source, port, capture })
    }

    fn frame(&self) -> Result<Frame> {
        match self.capture.pop([true; 2], Instant::now().checked_add(PATIENCE)) {
            Popped::Item(_, frame) => Ok(frame),
            _ => match self.port.failure() {
                Some(error) => Err(error.into()),
                None => bail!("no frame came: {:?}", self.port.report()),
            },
        }
    }

    fn report(&self) -> SourceReport {
        self.port.report()
    }

    fn stop(mut self) -> SourceReport {
        self.source.stop();
        self.report()
    }
}

/// A control by its title.
fn control(device: &dyn Device, title: &str) -> Result<ControlInfo> {
    let mut last = 0;
    while let Some(found) = device.control_after(last)? {
        if found.title == title {
            return Ok(found);
        }
        last = found.id;
    }
    bail!("the driver has no control {title}")
}

/// Sets a control through a file of its own, which is closed at once.
fn set(node: &str, title: &str, value: i32) -> Result<()> {
    let device = Kernel.open(Path::new(node))?;
    let id = control(&*device, title)?.id;
    device.set_control(id, value).with_context(|| title.to_owned())
}

/// Every format that both sides know, at two sizes: whole frames, one after the other, in time.
fn formats(node: &str) -> Result<u32> {
    let device = Kernel.open(Path::new(node))?;
    let mut offered = vec![];
    while let Some(code) = device.offered(offered.len() as u32)? {
        offered.push(code);
    }
    drop(device);
    let known: Vec<FourCc> =
        caf_v4l::format::FORMATS.iter().map(|(code, _)| *code).filter(|code| offered.contains(code)).collect();
    let names = known.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ");
    println!("{node}: offers {} formats, of which are read: {names}", offered.len());
    for code in &known {
        for (size, fps) in [("320x180", 60), ("640x360", 30)] {
            let camera = if matches!(code.to_string().as_bytes(), [b'Y', b'1', ..]) {
                Camera::Infrared
            } else {
                Camera::Visible
            };
            let run = Run::start(
                &format!("v4l2:{node}?format={code}&size={size}&fps={fps}&test_pattern=75% Colorbar"),
                camera,
            )?;
            let (mut last_ns, mut least_ms, mut most_ms) = (None::<i64>, f64::MAX, 0.0_f64);
            for expected in 0..FRAMES {
                let frame = run.frame()?;
                let report = run.report();
                let sequence = expected + report.intake.missed + report.intake.overtaken;
                ensure!(frame.sequence <= sequence, "{code} {size}: frame {} where {sequence} was due", frame.sequence);
                if let Some(last) = last_ns.replace(frame.capture_ns) {
                    let apart_ms = (frame.capture_ns - last) as f64 / 1e6;
                    ensure!(apart_ms > 0.0, "{code} {size}: times run backwards");
                    (least_ms, most_ms) = (least_ms.min(apart_ms), most_ms.max(apart_ms));
                }
            }
            let report = run.stop();
            let (intake, delivery) = (report.intake, report.delivery);
            println!(
                "  {code:<6} {size}: {FRAMES} frames {least_ms:.1} to {most_ms:.1} ms apart, delivered {:.1} ms after capture (p50), \
                 {} missed, {} overtaken, {} copied",
                delivery.p50_ms, intake.missed, intake.overtaken, intake.copied
            );
            ensure!(intake.damaged == 0 && intake.restarts == 0 && report.lost == 0, "{code}: {report:?}");
        }
    }
    Ok(known.len() as u32 * 2)
}

/// The colour of a point of a frame, as red, green and blue from 0 to 1.
fn colour(frame: &Frame, x: f64, y: f64) -> Result<[f64; 3]> {
    let image = frame.view()?;
    let size = image.size();
    let (x, y) = ((x * size.width as f64) as usize, (y * size.height as f64) as usize);
    let row = image.rows().nth(y).context("no such row")?;
    let bytes = image.format().bytes();
    Ok(match (image.format(), row.get(x * bytes..(x + 1) * bytes)) {
        (PixelFormat::Gray8, Some([v])) => [f64::from(*v) / 255.0; 3],
        (PixelFormat::Gray16Le, Some([low, high])) => [f64::from(u16::from_le_bytes([*low, *high])) / 65_535.0; 3],
        (PixelFormat::Rgb8, Some([r, g, b])) => [r, g, b].map(|v| f64::from(*v) / 255.0),
        _ => bail!("no such pixel"),
    })
}

/// Known pictures come out with their colours, in every format and range.
fn pictures() -> Result<()> {
    /// The driver cuts luma and chroma off where it should round, and takes 255/256 of the full scale: one and a half steps of each, which
    /// are 1.7 and 3.2 steps of blue in limited range by BT.709.
    const NEAR: f64 = 5.0 / 255.0;
    let patterns = [
        ("100% White", [1.0; 3]),
        ("100% Black", [0.0; 3]),
        ("100% Red", [1.0, 0.0, 0.0]),
        ("100% Green", [0.0, 1.0, 0.0]),
        ("100% Blue", [0.0, 0.0, 1.0]),
    ];
    // `CSC` patterns would follow the colour space; these are plain.
    let mut checked = 0;
    for (node, formats) in [
        (SINGLE, &["YUYV", "UYVY", "NV12", "RGB3", "BGR3", "GREY"][..]),
        (MULTI, &["YUYV", "NV12", "NM12", "RGB3", "BGR3", "GREY"]),
    ] {
        for format in formats {
            for (encoding, range) in [
                ("Default", "Default"),
                ("ITU-R 601", "Full Range"),
                ("Rec. 709", "Limited Range"),
                ("Rec. 709", "Full Range"),
            ] {
                let (is_gray, is_rgb) = (*format == "GREY", matches!(*format, "RGB3" | "BGR3"));
                if (is_rgb || is_gray) && range != "Default" {
                    // RGB of limited range is not undone, and of gray the driver says no range.
                    continue;
                }
                for (pattern, expected) in patterns {
                    let is_neutral = expected[0] == expected[1] && expected[1] == expected[2];
                    if is_gray && !is_neutral {
                        continue;
                    }
                    let text = format!(
                        "v4l2:{node}?format={format}&size=320x180&fps=60&test_pattern={pattern}&osd_text_mode=None&y_cbcr_encoding={encoding}&quantization={range}"
                    );
                    let run = Run::start(&text, Camera::Visible)?;
                    let frame = run.frame()?;
                    for (x, y) in [(0.0, 0.0), (0.5, 0.5), (0.999, 0.999)] {
                        let found = colour(&frame, x, y)?;
                        let is_near = found.iter().zip(expected).all(|(f, e)| (f - e).abs() <= NEAR);
                        ensure!(is_near, "{node} {format} {encoding} {range}: {pattern} is {found:?}");
                    }
                    checked += 1;
                }
            }
        }
    }
    // Where things are: bars from left to right.
    let bars = [[1, 1, 1], [1, 1, 0], [0, 1, 1], [0, 1, 0], [1, 0, 1], [1, 0, 0], [0, 0, 1], [0, 0, 0]];
    for (node, format) in [(SINGLE, "YUYV"), (SINGLE, "RGB3"), (MULTI, "NM12"), (MULTI, "NV12")] {
        let text = format!(
            "v4l2:{node}?format={format}&size=640x360&test_pattern=100% Colorbar&osd_text_mode=None&y_cbcr_encoding=Default&quantization=Default"
        );
        let run = Run::start(&text, Camera::Visible)?;
        let frame = run.frame()?;
        for (bar, expected) in bars.iter().enumerate() {
            for y in [0.1, 0.5, 0.9] {
                let found = colour(&frame, (bar as f64 + 0.5) / 8.0, y)?.map(|v| i32::from(v > 0.5));
                ensure!(found == *expected, "{node} {format}: bar {bar} is {found:?}");
            }
        }
        checked += 1;
    }
    println!("pictures: {checked} with their colours");
    Ok(())
}

/// What the camera has not is said.
fn refusals() -> Result<()> {
    let settings = SourceSettings { camera: Camera::Visible, latency_ns: 0, fps: 25.0, patience: PATIENCE };
    for (options, expected) in [
        ("?format=H264", "no format H264"),
        ("?format=YUYV&size=123x45", "no 123x45 images"),
        ("?format=YUYV&size=640x360&fps=999", "does not deliver 999"),
        ("?no_such_control=1", "no control `no_such_control`; it has brightness (0 to 255)"),
        ("?brightness=256", "expected 0 to 255, found `256`"),
        ("?test_pattern=Nonsense", "expected one of 0 (75% Colorbar)"),
    ] {
        let text = format!("v4l2:{SINGLE}{options}");
        let Err(error) = V4lSource::open(Arc::new(Kernel), &text, &settings) else { bail!("{text} is accepted") };
        ensure!(error.to_string().contains(expected), "{text}: {error}");
    }
    let first = Run::start(&format!("v4l2:{SINGLE}"), Camera::Visible)?;
    first.frame()?;
    let second = V4lSource::open(Arc::new(Kernel), &format!("v4l2:{SINGLE}"), &settings).err().map(|e| e.to_string());
    ensure!(second.as_ref().is_some_and(|e| e.contains("another program uses the camera")), "{second:?}");
    println!("refusals: 7, each with its reason");
    Ok(())
}

fn text(node: &str) -> String {
    format!("v4l2:{node}?format=YUYV&size=320x180&fps=60")
}

/// Frames that the driver drops are counted, to the last one.
fn dropped(node: &str) -> Result<()> {
    const SPAN: u64 = 100;
    set(node, "Percentage of Dropped Buffers", 30)?;
    let run = Run::start(&text(node), Camera::Visible)?;
    let (mut frames, mut last) = (0, 0);
    while last < SPAN {
        last = run.frame()?.sequence;
        frames += 1;
    }
    set(node, "Percentage of Dropped Buffers", 0)?;
    let report = run.stop();
    let Intake { missed, overtaken, .. } = report.intake;
    println!(
        "{node}: of {} frames {missed} were dropped by the driver, {overtaken} overtaken, and {frames} came",
        last + 1
    );
    // What came between the last look and the end is counted too.
    ensure!(missed > 0 && frames + missed + overtaken > last, "{report:?}");
    Ok(())
}

/// Frames that the driver says are damaged do not come, and the others do.
fn damaged(node: &str) -> Result<()> {
    let run = Run::start(&text(node), Camera::Visible)?;
    for _ in 0..5 {
        run.frame()?;
        set(node, "Inject V4L2_BUF_FLAG_ERROR", 1)?;
        run.frame()?;
        run.frame()?;
    }
    let report = run.stop();
    println!(
        "{node}: {} frames flagged as damaged were passed by, {} restarts",
        report.intake.damaged, report.intake.restarts
    );
    ensure!(report.intake.damaged == 5 && report.intake.restarts == 0, "{report:?}");
    Ok(())
}

/// After a fatal error of the driver it is started again, without being called lost.
fn fatal(node: &str) -> Result<()> {
    let run = Run::start(&text(node), Camera::Visible)?;
    let mut slowest = Duration::ZERO;
    for round in 1..=10 {
        run.frame()?;
        let began = Instant::now();
        set(node, "Inject Fatal Streaming Error", 1)?;
        while run.report().intake.restarts < round {
            ensure!(began.elapsed() < PATIENCE, "the error is not noticed: {:?}", run.report());
            let _ = run.capture.pop([true; 2], Instant::now().checked_add(Duration::from_millis(5)));
        }
        run.frame()?;
        slowest = slowest.max(began.elapsed());
    }
    let report = run.stop();
    println!(
        "{node}: 10 fatal errors, {} restarts, lost {} times, at most {:.0} ms without a frame",
        report.intake.restarts,
        report.lost,
        slowest.as_secs_f64() * 1e3
    );
    ensure!(report.intake.restarts == 10 && report.lost == 0, "{report:?}");
    Ok(())
}

/// A driver that refuses to start fails the start with its reason.
fn refused_start(node: &str) -> Result<()> {
    for (title, expected) in [
        ("Inject VIDIOC_REQBUFS Error", "VIDIOC_REQBUFS fails"),
        ("Inject VIDIOC_QBUF Error", "VIDIOC_QBUF fails"),
        ("Inject VIDIOC_STREAMON Error", "VIDIOC_STREAMON fails"),
    ] {
        set(node, title, 1)?;
        let run = Run::start(&text(node), Camera::Visible)?;
        let Err(error) = run.frame() else { bail!("{title}: a frame came") };
        ensure!(error.to_string().contains(expected), "{title}: {error}");
        drop(run);
        // The next start works.
        Run::start(&text(node), Camera::Visible)?.frame()?;
    }
    println!("{node}: refusals of REQBUFS, QBUF and STREAMON fail the start by name, and the next one works");
    Ok(())
}

/// Open files, threads and kilobytes of memory of this process.
fn usage() -> Result<(usize, usize, u64)> {
    let files = fs::read_dir("/proc/self/fd")?.count();
    let threads = fs::read_dir("/proc/self/task")?.count();
    let status = fs::read_to_string("/proc/self/status")?;
    let memory = status.lines().find_map(|line| line.strip_prefix("VmRSS:")?.trim().strip_suffix(" kB")?.parse().ok());
    Ok((files, threads, memory.context("no VmRSS")?))
}

/// The camera vanishes and comes back, again and again.
fn reconnects(node: &str, cycles: u64) -> Result<()> {
    /// What comes and goes with allocators and queues; a leak of a page a cycle would be 2 MiB in 500.
    const GROWTH_KIB: u64 = 1024;
    let run = Run::start(&text(node), Camera::Visible)?;
    let mut times_ms: Vec<f64> = vec![];
    let mut before = usage()?;
    for cycle in 0..cycles {
        if cycle == 20 {
            // Pools and arenas are filled.
            before = usage()?;
        }
        drop(run.frame()?);
        let began = Instant::now();
        set(node, "Disconnect", 1)?;
        while run.report().lost <= cycle {
            ensure!(began.elapsed() < PATIENCE, "cycle {cycle}: not noticed: {:?}", run.report());
            let _ = run.capture.pop([true; 2], Instant::now().checked_add(Duration::from_millis(5)));
        }
        drop(run.frame()?);
        times_ms.push(began.elapsed().as_secs_f64() * 1e3);
    }
    let after = usage()?;
    let report = run.stop();
    times_ms.sort_by(f64::total_cmp);
    let at = |share: f64| times_ms.get((share * (times_ms.len() - 1) as f64) as usize).copied().unwrap_or_default();
    println!(
        "{node}: {cycles} disconnects, lost {} times, back {} times; from the disconnect to the next frame {:.0} ms (p50), {:.0} ms (p99), {:.0} ms (most)",
        report.lost,
        report.returned,
        at(0.5),
        at(0.99),
        at(1.0)
    );
    println!(
        "{node}: files {} -> {}, threads {} -> {}, memory {} -> {} KiB",
        before.0, after.0, before.1, after.1, before.2, after.2
    );
    ensure!((report.lost, report.returned) == (cycles, cycles), "{report:?}");
    ensure!(after.0 <= before.0 && after.1 <= before.1, "descriptors or threads grow");
    ensure!(after.2 <= before.2 + GROWTH_KIB, "memory grows");
    Ok(())
}
