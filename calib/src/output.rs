//! The folder of a calibration: the rig file, overlays, and a page.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use caf_image::write_rgb8;
use caf_report::figure;
use caf_report::html::{Cell, Table, document, escape, paragraph, verbatim};

use crate::error::CalibError;
use crate::find::Finding;
use crate::overlay::overlay;
use crate::recording::Shot;

/// Pairs that are shown.
const SHOWN: usize = 4;

/// Writes `overlays/NAME-before.png` and `-after.png` of some pairs, `report.html`, and last `rig.toml`, whose presence says that all is
/// there: those of an earlier calibration are removed before. Returns the path of the rig.
///
/// # Errors
/// When one of them cannot be written.
pub fn write(folder: &Path, finding: &Finding, shots: &[Shot]) -> Result<PathBuf, CalibError> {
    let [rig, report, overlays, aside] =
        ["rig.toml", "report.html", "overlays", "overlays.part"].map(|name| folder.join(name));
    let absent = |path: &Path, removed: std::io::Result<()>| match removed {
        Err(source) if source.kind() != ErrorKind::NotFound => {
            Err(CalibError::Replace { path: path.to_owned(), source })
        }
        _ => Ok(()),
    };
    absent(&aside, std::fs::remove_dir_all(&aside))?;
    std::fs::create_dir_all(&aside).map_err(|source| CalibError::Folder { path: aside.clone(), source })?;
    let used: Vec<&Shot> = shots.iter().filter(|shot| finding.used.contains(&shot.name)).collect();
    let mut figures = String::new();
    for shot in used.iter().step_by(used.len().div_ceil(SHOWN).max(1)) {
        for (word, map) in [("before", &finding.start), ("after", &finding.rig.vis_from_ir)] {
            let path = aside.join(format!("{}-{word}.png", shot.name));
            write_rgb8(&path, &overlay(shot, map)?)?;
            let caption = format!("{}, {word}: infrared and visible in squares; infrared red, visible cyan", shot.name);
            figures += &figure(&path, &caption);
        }
    }
    let page = page(finding, &figures, &finding.rig.to_toml(&rig)?);
    // Stopped between these, it leaves no rig, rather than one beside the pictures of another.
    absent(&rig, std::fs::remove_file(&rig))?;
    absent(&overlays, std::fs::remove_dir_all(&overlays))?;
    std::fs::rename(&aside, &overlays).map_err(|source| CalibError::Replace { path: overlays.clone(), source })?;
    caf_file::write(&report, page.as_bytes()).map_err(|source| caf_report::ReportError::Io {
        action: "write",
        path: report,
        source,
    })?;
    finding.rig.write(&rig)?;
    Ok(rig)
}

fn page(finding: &Finding, figures: &str, rig: &str) -> String {
    let mut body = "<h1>Calibration: visible and infrared camera</h1>\n".to_owned();
    if let Some(m) = &finding.rig.measured {
        body += &format!(
            "<p class=\"lead\">{} pairs; held-out parts match to {:.2} infrared pixels (median).</p>\n",
            m.pairs, m.held_out_median_px
        );
        for warning in &finding.warnings {
            body += &format!("<p class=\"limits\">{}</p>\n", escape(warning));
        }
        let [measured, all] = finding.held_out_blocks;
        let mut table = Table::new("How far to trust it, in infrared pixels", &["", "value"]);
        let mut row = |name: &str, value: String| table.row(vec![Cell::Head(name.to_owned()), Cell::Number(value)]);
        row("left in held-out parts, median", format!("{:.2}", m.held_out_median_px));
        row("left in held-out parts, 95 %", format!("{:.2}", m.held_out_p95_px));
        row(
            "squares of held-out pairs with enough edges in common to measure (25 % at least)",
            format!("{measured} of {all}"),
        );
        row("maps of the two halves differ in a corner by", format!("{:.2}", m.halves_differ_px));
        for (name, px) in ["upper left", "upper right", "lower left", "lower right"].iter().zip(m.corner_deviation_px) {
            row(&format!("standard deviation, {name} corner"), format!("{px:.2}"));
        }
        row("of the infrared image seen by both", format!("{:.1} %", 100.0 * m.seen_by_both));
        body += &table.html();
    }
    body += "<h2>Overlays</h2>\n";
    body += figures;
    if !finding.set_aside.is_empty() {
        body += "<h2>Pairs that were not used</h2>\n";
        body += &finding.set_aside.iter().map(|line| paragraph(line)).collect::<String>();
    }
    body += "<h2>The rig file</h2>\n";
    body += &verbatim("rig.toml", rig, true);
    document("Calibration", &body)
}
