//! What was chosen and lost, as a page for people.

use super::choose::Sensitivity;
use super::gate::{Both, Verdict};
use super::reduction::Reduction;
use caf_report::html::{Cell, Table, document, escape, paragraph, short};

/// One HTML page, which nothing else belongs to.
#[must_use]
pub fn page(title: &str, reduction: &Reduction) -> String {
    let mut body = format!("<h1>{}</h1>\n{}", escape(title), verdict(reduction));
    body += &loss(reduction);
    body += "<h2>Layers</h2>\n";
    let (less, kept) = (reduction.layers.len(), reduction.kept.len());
    body += &paragraph(&format!("{less} layers in {}, {kept} in fp32.", reduction.precision.name()));
    if !reduction.kept.is_empty() {
        let mut table = Table::new("Layers that stay in single precision", &["layer", "why"]);
        for kept in &reduction.kept {
            table.row(vec![Cell::Head(kept.layer.clone()), Cell::Number(kept.why.clone())]);
        }
        body += &table.html();
    }
    body += &sensitivities(reduction);
    if !reduction.ranges.is_empty() {
        body += "<h2>Calibration</h2>\n";
        let method = reduction.method.map_or("", |m| m.name());
        body += &paragraph(&format!(
            "Ranges by {method} on {} frames: {}.",
            reduction.frames.len(),
            reduction.frames.join(", ")
        ));
        let mut table = Table::new("Ranges of tensors", &["tensor", "from", "to"]);
        for named in &reduction.ranges {
            let number = |v: f64| Cell::Number(short(v));
            table.row(vec![Cell::Head(named.tensor.clone()), number(named.range.min), number(named.range.max)]);
        }
        body += &table.html();
    }
    document(title, &body)
}

fn verdict(reduction: &Reduction) -> String {
    match reduction.verdict.as_ref().map(|verdict| (verdict.faults.as_slice(), verdict.loss.pairs)) {
        None => paragraph("The loss was not measured: no held-out pairs were given."),
        Some(([], pairs)) => format!("<p class=\"lead\">Within its limits on {pairs} held-out pairs.</p>\n"),
        Some((faults, _)) => format!("<p class=\"failed\">Refused: {}.</p>\n", escape(&faults.join("; "))),
    }
}

fn loss(reduction: &Reduction) -> String {
    let Some(Verdict { loss, limits, .. }) = &reduction.verdict else { return String::new() };
    let heads = ["measure", "fp32", reduction.precision.name(), "worst pair", "limit"];
    let mut table = Table::new("Loss on held-out pairs", &heads);
    let number = |value: Option<f64>| Cell::Number(value.map_or("–".to_owned(), |v| format!("{v:.4}")));
    let against =
        [("PSNR against fp32, dB", loss.psnr_db, limits.psnr_db), ("SSIM against fp32", loss.ssim, limits.ssim)];
    for (name, found, limit) in against {
        if let Some(found) = found {
            let cells = [None, Some(found.mean), Some(found.worst), limit].map(number);
            table.row([Cell::Head(name.to_owned())].into_iter().chain(cells).collect());
        }
    }
    let mut row = |name: &str, both: Both, limit: Option<f64>| {
        let cells = [Some(both.single), Some(both.reduced), None, limit].map(number);
        table.row([Cell::Head(name.to_owned())].into_iter().chain(cells).collect());
    };
    for (name, found) in [("MI", loss.mi), ("VIF", loss.vif)] {
        found.into_iter().for_each(|both| row(name, both, None));
    }
    for task in &loss.tasks {
        row(&format!("{}, points", task.score), task.points, limits.points.map(|most| task.points.single - most));
    }
    table.html()
}

/// Layers by what they cost alone, the worst first.
fn sensitivities(reduction: &Reduction) -> String {
    let outputs: Vec<String> = match reduction.sensitivities.first() {
        Some(first) => first.losses.iter().map(|l| l.output.clone()).collect(),
        None => return String::new(),
    };
    let mut heads = vec!["layer"];
    heads.extend(outputs.iter().map(String::as_str));
    let mut table = Table::new("PSNR of each layer alone in less precision, in dB; the worst first", &heads);
    let worst = |s: &Sensitivity| s.losses.iter().map(|l| l.noise).fold(0.0, f64::max);
    let mut order: Vec<&Sensitivity> = reduction.sensitivities.iter().collect();
    order.sort_by(|a, b| worst(b).total_cmp(&worst(a)));
    for sensitivity in order {
        let mut cells = vec![Cell::Head(sensitivity.layer.clone())];
        for output in &outputs {
            let noise = sensitivity.losses.iter().find(|l| l.output == *output).filter(|l| l.noise > 0.0);
            cells.push(Cell::Number(noise.map_or("equal".to_owned(), |l| format!("{:.1}", l.psnr_db()))));
        }
        table.row(cells);
    }
    table.html()
}
