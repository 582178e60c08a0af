//! What is said of outputs and how far they are from their references.

use caf_console::{OutputError, out};
use caf_export::distance::{Compared, Distance, Limit};

/// A line for every output.
pub(crate) fn tell(compared: &[Compared]) -> Result<(), OutputError> {
    for Compared { probe, distance, limit } in compared {
        let Distance { output, max_abs, mean_abs, range: [low, high], values, .. } = distance;
        let psnr = if distance.noise > 0.0 { format!(", {:.1} dB", distance.psnr_db()) } else { String::new() };
        out!(
            "  {probe} {output}: at most {max_abs:.2e}, on average {mean_abs:.2e}{psnr} from the reference ({values} values; limits: {})",
            words(limit)
        )?;
        if low == high {
            out!("  {probe} {output}: is {low} everywhere, a comparison there proves little")?;
        }
    }
    Ok(())
}

fn words(limit: &Limit) -> String {
    let Limit { max_abs, mean_abs, psnr_db } = limit;
    let words = [
        max_abs.map(|most| format!("at most {most:.1e}")),
        mean_abs.map(|most| format!("on average {most:.1e}")),
        psnr_db.map(|least| format!("at least {least} dB")),
    ];
    words.into_iter().flatten().collect::<Vec<_>>().join(", ")
}

/// The outputs that are further away than they may be, in words; none where all are near.
pub(crate) fn far(compared: &[Compared]) -> Option<String> {
    let far = compared.iter().filter(|compared| !compared.is_near());
    let far: Vec<String> = far
        .map(|Compared { probe, distance, limit }| {
            let Distance { output, max_abs, mean_abs, .. } = distance;
            let found = format!("at most {max_abs:.2e}, on average {mean_abs:.2e}, {:.1} dB", distance.psnr_db());
            format!("`{output}` of {probe}: expected {}, found {found}", words(limit))
        })
        .collect();
    (!far.is_empty()).then(|| far.join("; "))
}
