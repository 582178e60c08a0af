//! Which of the nodes of a camera a node is: a depth camera has several of one driver, one name and one plug.

use std::path::Path;

use rustix::fs::{Dev, major, minor};

/// Where the kernel describes the devices behind nodes, by their numbers.
const DEVICES: &str = "/sys/dev/char";

/// Which of the nodes of its device a node is: the interface of a USB device (`1.3`, from a folder such as `2-1:1.3`), since a depth camera has
/// one for depth and another for colour, and its place there. The kernel gives places in the order in which a driver makes its nodes, which is
/// the same at every plugging in. Empty where the kernel does not describe it.
pub fn place(device: Dev) -> String {
    described_place(&Path::new(DEVICES).join(format!("{}:{}", major(device), minor(device))))
}

fn described_place(described: &Path) -> String {
    let Ok(index) = std::fs::read_to_string(described.join("index")) else { return String::new() };
    let device = std::fs::canonicalize(described.join("device")).ok();
    let name = device.as_deref().and_then(Path::file_name).and_then(|name| name.to_str());
    let interface = name.and_then(|name| name.rsplit_once(':')).map_or("", |(_, interface)| interface);
    let gap = if interface.is_empty() { "" } else { "/" };
    format!("{interface}{gap}{}", index.trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nodes_of_one_device_are_told_apart_by_interface_and_place() {
        let folder = tempfile::tempdir().unwrap();
        let describe = |number: &str, device: &str, index: &str| {
            let (node, device) = (folder.path().join(number), folder.path().join(device));
            std::fs::create_dir_all(&node).unwrap();
            std::fs::create_dir_all(&device).unwrap();
            std::fs::write(node.join("index"), index).unwrap();
            std::os::unix::fs::symlink(device, node.join("device")).unwrap();
            described_place(&node)
        };
        assert_eq!(describe("81:0", "2-1:1.0", "0\n"), "1.0/0");
        assert_eq!(describe("81:1", "2-1:1.0", "2\n"), "1.0/2");
        assert_eq!(describe("81:2", "2-1:1.3", "0\n"), "1.3/0");
        assert_eq!(describe("81:3", "vivid.0", "1\n"), "1");
        assert_eq!(described_place(&folder.path().join("81:4")), "");
    }
}
