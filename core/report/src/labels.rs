//! What stands on and beside the lines of a picture: colours, places of labels, numbers, means.

use plotters::style::HSLColor;

/// Colours of labels: one hue a family, and its members from dark to light.
pub(crate) fn inks<'a>(labels: impl Iterator<Item = &'a str>) -> Vec<HSLColor> {
    const HUES: [f64; 7] = [0.59, 0.07, 0.39, 0.77, 0.97, 0.51, 0.14];
    let mut families: Vec<(&str, usize)> = Vec::new();
    let mut ink = |label: &'a str| {
        let family = label.split('.').next().unwrap_or(label);
        let row = families.iter().position(|(known, _)| *known == family).unwrap_or_else(|| {
            families.push((family, 0));
            families.len() - 1
        });
        let member = families.get_mut(row).map_or(0, |(_, members)| std::mem::replace(members, *members + 1));
        let hue = HUES.get(row % HUES.len()).copied().unwrap_or_default();
        HSLColor(hue, 0.75, [0.28, 0.45, 0.60, 0.36, 0.52].get(member % 5).copied().unwrap_or(0.4))
    };
    labels.map(&mut ink).collect()
}

/// Sorted places moved as little as needed to lie at least `gap` apart, between `low` and `high` as far as there is room.
pub(crate) fn apart(wanted: &[i32], gap: i32, [low, high]: [i32; 2]) -> Vec<i32> {
    let mut places: Vec<i32> = Vec::with_capacity(wanted.len());
    for want in wanted {
        places.push(places.last().map_or((*want).max(low), |last| (*want).max(last + gap)));
    }
    let mut below = high + gap;
    for place in places.iter_mut().rev() {
        *place = (*place).min(below - gap);
        below = *place;
    }
    places
}

/// Three significant digits, without zeros at the end of what is no whole number; very large and small ones with a power.
pub(crate) fn short(value: f64) -> String {
    let whole = |text: &str| text.trim_end_matches('0').trim_end_matches('.').to_owned();
    if value.is_finite() && value != 0.0 && !(1e-6..1e7).contains(&value.abs()) {
        let text = format!("{value:.2e}");
        return text
            .split_once('e')
            .map_or_else(|| text.clone(), |(digits, power)| format!("{}e{power}", whole(digits)));
    }
    let decimals = (2.0 - value.abs().max(1e-9).log10().floor()).clamp(0.0, 6.0) as usize;
    let text = format!("{value:.decimals$}");
    if text.contains('.') { whole(&text) } else { text }
}

/// The mean of each point and those before it, `over` in all. Gaps stay gaps and count in no mean.
pub(crate) fn running_mean(points: &[(f64, f64)], over: usize) -> Vec<(f64, f64)> {
    let at = |i: usize, x: f64, y: f64| {
        let window = points.get((i + 1).saturating_sub(over.max(1))..=i).unwrap_or_default();
        let finite: Vec<f64> = window.iter().map(|p| p.1).filter(|v| v.is_finite()).collect();
        let mean = finite.iter().sum::<f64>() / finite.len().max(1) as f64;
        (x, if y.is_finite() { mean } else { f64::NAN })
    };
    points.iter().enumerate().map(|(i, (x, y))| at(i, *x, *y)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_keep_their_order_and_distance_inside_the_picture() {
        for (wanted, expected) in [
            (vec![10, 50], vec![10, 50]),
            (vec![10, 12, 13], vec![10, 20, 30]),
            (vec![95, 97, 99], vec![80, 90, 100]),
            (vec![-5, 50], vec![0, 50]),
        ] {
            assert_eq!(apart(&wanted, 10, [0, 100]), expected);
        }
    }

    #[test]
    fn running_means_leave_gaps_and_do_not_look_ahead() {
        let mean = running_mean(&[(0.0, 1.0), (1.0, 3.0), (2.0, f64::NAN), (3.0, 5.0)], 2);
        assert_eq!((mean[0].1, mean[1].1, mean[3].1), (1.0, 2.0, 5.0));
        assert!(mean[2].1.is_nan());
    }

    #[test]
    fn families_share_a_hue_and_members_differ() {
        let [a, b, c] = inks(["ssim.ir", "l1.ir", "ssim.vi"].into_iter())[..] else { panic!("three colours") };
        assert!(a.0 == c.0 && a.2 != c.2 && a.0 != b.0);
    }

    #[test]
    fn numbers_are_short() {
        for (value, text) in
            [(0.0, "0"), (0.14, "0.14"), (0.0456, "0.0456"), (1234.5, "1234"), (40.0, "40"), (2.5, "2.5")]
        {
            assert_eq!(short(value), text);
        }
        for (value, text) in [(1e308, "1e308"), (-2.5e9, "-2.5e9"), (5e-324, "4.94e-324"), (3e-7, "3e-7")] {
            assert_eq!(short(value), text);
        }
    }
}
