//! Controls of a camera by name.

use super::device::{ControlInfo, ControlKind, Device, Errno};
use super::error::V4lError;

/// More controls than any device has: an end for drivers that begin again.
const MOST_CONTROLS: usize = 1024;

/// A control's name as it is written: lower case, words joined by `_`, as `v4l2-ctl` writes it.
fn name_of(title: &str) -> String {
    let words = title.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
    words.map(str::to_ascii_lowercase).collect::<Vec<_>>().join("_")
}

fn all(device: &dyn Device) -> Result<Vec<ControlInfo>, V4lError> {
    let mut controls: Vec<ControlInfo> = vec![];
    let mut last = 0;
    while let Some(control) = device.control_after(last).map_err(V4lError::call("VIDIOC_QUERYCTRL"))? {
        if control.id <= last || controls.len() >= MOST_CONTROLS {
            break;
        }
        last = control.id;
        controls.push(control);
    }
    Ok(controls)
}

/// The entries of a control's list that exist, with their numbers.
fn menu(device: &dyn Device, control: &ControlInfo) -> Result<Vec<(i32, String)>, Errno> {
    let mut entries = vec![];
    for index in control.least..=control.greatest.min(control.least.saturating_add(MOST_CONTROLS as i32)) {
        if let Some(name) = device.menu_entry(control, index)? {
            entries.push((index, name));
        }
    }
    Ok(entries)
}

/// What a control takes, in words.
fn takes(device: &dyn Device, control: &ControlInfo) -> String {
    let ControlInfo { least, greatest, .. } = *control;
    if !control.is_writable {
        return "nothing (it can only be read)".to_owned();
    }
    match control.kind {
        ControlKind::Menu | ControlKind::IntegerMenu => {
            let entries = menu(device, control).unwrap_or_default();
            let entries: Vec<String> = entries.iter().map(|(index, name)| format!("{index} ({name})")).collect();
            format!("one of {}", entries.join(", "))
        }
        ControlKind::Other => "nothing (its value is no number of 32 bits)".to_owned(),
        ControlKind::Bits => format!("0 to 0x{greatest:x}"),
        ControlKind::Button => "1".to_owned(),
        ControlKind::Integer | ControlKind::Boolean => format!("{least} to {greatest}"),
    }
}

/// The number that a text means to a control.
fn value(device: &dyn Device, control: &ControlInfo, text: &str) -> Option<i32> {
    let number = || text.parse::<i32>().ok();
    let hexadecimal = || u32::from_str_radix(text.strip_prefix("0x")?, 16).ok().map(u32::cast_signed);
    match control.kind {
        _ if !control.is_writable => None,
        ControlKind::Integer => number().filter(|v| (control.least..=control.greatest).contains(v)),
        ControlKind::Boolean => match text {
            "true" | "on" => Some(1),
            "false" | "off" => Some(0),
            _ => number().filter(|v| matches!(v, 0 | 1)),
        },
        ControlKind::Menu | ControlKind::IntegerMenu => {
            let entries = menu(device, control).ok()?;
            let by_name = entries.iter().find(|(_, name)| name.eq_ignore_ascii_case(text));
            let by_number = || entries.iter().find(|(index, _)| Some(*index) == number());
            by_name.or_else(by_number).map(|(index, _)| *index)
        }
        ControlKind::Bits => hexadecimal().or_else(number),
        ControlKind::Button => number(),
        ControlKind::Other => None,
    }
}

/// Sets controls in their order. All names and values are looked at before the first one is set.
///
/// # Errors
/// A name that the camera does not have, with those that it has; a value that a control does not take; what the driver refuses.
pub fn set(device: &dyn Device, wanted: &[(String, String)]) -> Result<(), V4lError> {
    if wanted.is_empty() {
        return Ok(());
    }
    let controls = all(device)?;
    let mut found = vec![];
    for (name, text) in wanted {
        let Some(control) = controls.iter().find(|control| name_of(&control.title) == *name) else {
            let settable = controls.iter().filter(|c| c.is_writable && c.kind != ControlKind::Other);
            let known = settable.map(|c| format!("{} ({})", name_of(&c.title), takes(device, c))).collect();
            return Err(V4lError::Control { name: name.clone(), known });
        };
        let Some(value) = value(device, control, text) else {
            let expected = takes(device, control);
            return Err(V4lError::ControlValue { name: name.clone(), expected, value: text.clone() });
        };
        found.push((name, control.id, value));
    }
    for (name, id, value) in found {
        let refused = |errno| V4lError::ControlSet { name: name.clone(), value, errno };
        device.set_control(id, value).map_err(refused)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scripted::{Description, Script};
    use caf_geometry::Size;

    fn control(id: u32, title: &str, kind: ControlKind, least: i32, greatest: i32) -> ControlInfo {
        ControlInfo { id, title: title.into(), kind, least, greatest, is_writable: true }
    }

    fn camera() -> Script {
        let mut description = Description::new(b"GREY", Size::new(4, 3), 4, 12);
        description.controls = vec![
            control(1, "Brightness", ControlKind::Integer, -64, 64),
            control(2, "White Balance, Auto & Preset", ControlKind::Boolean, 0, 1),
            control(3, "Power Line Frequency", ControlKind::Menu, 0, 2),
            ControlInfo { is_writable: false, ..control(4, "Sensor Temperature", ControlKind::Integer, 0, 100) },
            control(5, "Gain", ControlKind::Bits, 0, 0xff),
            control(6, "Lookup", ControlKind::Other, 0, 0),
            control(7, "Flat Field", ControlKind::Button, 0, 0),
        ];
        Script::new(description, [])
    }

    fn set_texts(camera: &Script, wanted: &[(&str, &str)]) -> Result<(), String> {
        let wanted: Vec<_> = wanted.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        set(&*camera.device(), &wanted).map_err(|e| e.to_string())
    }

    #[test]
    fn controls_are_set_by_name_in_their_order() {
        let camera = camera();
        let wanted = [
            ("power_line_frequency", "entry 2"),
            ("brightness", "-12"),
            ("white_balance_auto_preset", "on"),
            ("gain", "0x1f"),
            ("flat_field", "1"),
        ];
        set_texts(&camera, &wanted).unwrap();
        assert_eq!(camera.books().set, [(3, 2), (1, -12), (2, 1), (5, 31), (7, 1)]);
        set_texts(&camera, &[("power_line_frequency", "0")]).unwrap();
        assert_eq!(camera.books().set.last(), Some(&(3, 0)));
    }

    #[test]
    fn unknown_names_and_impossible_values_set_nothing_and_say_what_there_is() {
        let camera = camera();
        let unknown = set_texts(&camera, &[("brightness", "1"), ("colour", "1")]).unwrap_err();
        assert_eq!(
            unknown,
            "the camera has no control `colour`; it has brightness (-64 to 64), white_balance_auto_preset (0 to 1), \
             power_line_frequency (one of 0 (Entry 0), 2 (Entry 2)), gain (0 to 0xff), flat_field (1)"
        );
        for (name, value, expected) in [
            ("brightness", "65", "expected -64 to 64, found `65`"),
            ("brightness", "much", "found `much`"),
            ("white_balance_auto_preset", "2", "expected 0 to 1"),
            ("power_line_frequency", "1", "expected one of 0 (Entry 0), 2 (Entry 2), found `1`"),
            ("sensor_temperature", "3", "it can only be read"),
            ("lookup", "3", "no number of 32 bits"),
        ] {
            let error = set_texts(&camera, &[("gain", "1"), (name, value)]).unwrap_err();
            assert!(error.contains(expected), "{name}: {error}");
        }
        assert_eq!(camera.books().set, []);
    }
}
