//! What is said of a model's distance from the references of its probe set.

use caf_console::{OutputError, out};
use caf_export::probes::Compared;
use caf_export::verify::Distance;

/// A line for every output of every probe.
pub(crate) fn tell(compared: &[Compared]) -> Result<(), OutputError> {
    for Compared { probe, distance, limit } in compared {
        let Distance { output, max_abs, mean_abs, range: [low, high], values } = distance;
        let most = limit.max_abs.map_or("any".to_owned(), |max| format!("{max:.1e}"));
        let limits = format!("limits {most}, {:.1e}", limit.mean_abs);
        out!(
            "  {probe} {output}: at most {max_abs:.2e}, on average {mean_abs:.2e} from the reference ({values} values, {limits})"
        )?;
        if low == high {
            out!("  {probe} {output}: is {low} everywhere, a comparison there proves little")?;
        }
    }
    Ok(())
}

/// The outputs that are further away than they may be, in words; none where all are near.
pub(crate) fn far(compared: &[Compared]) -> Option<String> {
    let far = compared.iter().filter(|compared| !compared.is_near());
    let words = |Compared { probe, distance, limit }: &Compared| {
        let Distance { output, max_abs, mean_abs, .. } = distance;
        match limit.max_abs.filter(|max| max_abs > max) {
            Some(max) => format!("`{output}` of {probe} by {max_abs:.2e} > {max:.1e}"),
            None => format!("`{output}` of {probe} by {mean_abs:.2e} > {:.1e} on average", limit.mean_abs),
        }
    };
    let far: Vec<String> = far.map(words).collect();
    (!far.is_empty()).then(|| far.join(", "))
}
