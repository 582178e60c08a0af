//! The caller's pairs: which of them take part, and how they become two cameras.
//!
//! In minutes there is time for some pairs only: lists are cut to names spread over them. The live run shows unrelated stills, one after
//! the other: GStreamer reads running numbers, so that links with such names are made in the output folder; the caller's folder is only
//! read. Pictures of any size are fitted into the model's size, with borders where the shape differs.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use caf_geometry::Size;
use caf_image::folder::{Files, images};
use caf_image::format::Format;
use caf_image::header;
use caf_image::list::{read_names, resolve, write_names};

/// Lists to be made of longer ones.
#[derive(Debug, Clone)]
pub struct Lists {
    /// Folder of `train.txt` and `val.txt`.
    pub from: PathBuf,
    /// How many names of each are taken at most, spread over the list.
    pub most: [usize; 2],
    /// Folder of the lists made, with `all.txt` beside the two.
    pub out: PathBuf,
}

impl Lists {
    /// Writes the lists. Paths are taken relative to `root`.
    pub fn write(&self, root: &Path) -> Result<()> {
        let (from, out) = (root.join(&self.from), root.join(&self.out));
        fs::create_dir_all(&out).with_context(|| format!("cannot create {}", out.display()))?;
        let mut all = Vec::new();
        for (list, most) in ["train.txt", "val.txt"].into_iter().zip(self.most) {
            let there = names(&from.join(list))?;
            let taken = spread(&there, most);
            println!("{list}: {} of {} pairs", taken.len(), there.len());
            write_names(&out.join(list), "", &taken)?;
            all.extend(taken);
        }
        Ok(write_names(&out.join("all.txt"), "", &all)?)
    }
}

/// Names of a list as written.
///
/// # Errors
/// When the list cannot be read or names nothing.
pub fn names(list: &Path) -> Result<Vec<String>> {
    Ok(read_names(list)?.into_iter().map(|listed| listed.name).collect())
}

/// At most `most` of the items, evenly spread, the first included.
pub fn spread(items: &[String], most: usize) -> Vec<String> {
    let count = most.min(items.len());
    (0..count).filter_map(|index| items.get(index * items.len() / count)).cloned().collect()
}

/// Pairs shown, and how many of them a second.
pub const MOST: usize = 16;
const PER_SECOND: u32 = 1;

/// A kind of image file that GStreamer's basic plugins read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// JPEG.
    Jpeg,
    /// PNG.
    Png,
}

impl Kind {
    /// By the file's content.
    fn of(path: &Path) -> Option<Self> {
        match header(path).ok()?.format {
            Format::Jpeg => Some(Self::Jpeg),
            Format::Png => Some(Self::Png),
            _ => None,
        }
    }

    /// The one kind of all images of a folder; none when there are several, others, or no images at all.
    pub fn of_folder(folder: &Path) -> Option<Self> {
        let files = images(folder).ok()?.files;
        let mut kinds = files.values().map(|path| Self::of(path));
        let first = kinds.next()??;
        kinds.all(|kind| kind == Some(first)).then_some(first)
    }

    fn mime(self) -> &'static str {
        match self {
            Self::Jpeg => "image/jpeg",
            Self::Png => "image/png",
        }
    }

    fn decoder(self) -> &'static str {
        match self {
            Self::Jpeg => "jpegdec",
            Self::Png => "pngdec",
        }
    }
}

/// Which pairs to link, and where.
#[derive(Debug, Clone)]
pub struct Stills {
    /// The caller's pairs.
    pub data: PathBuf,
    /// Names of pairs, one a line.
    pub list: PathBuf,
    /// Folder of the links, with `ir` and `vi` in it.
    pub out: PathBuf,
}

impl Stills {
    /// Makes the links `out/ir/00000` and so on, and `out/names.txt` with the pairs' names in their order. Paths are taken
    /// relative to `root`.
    pub fn link(&self, root: &Path) -> Result<()> {
        let (data, out) = (root.join(&self.data), root.join(&self.out));
        let names = spread(&names(&root.join(&self.list))?, MOST);
        for camera in ["ir", "vi"] {
            let folder = out.join(camera);
            fs::create_dir_all(&folder).with_context(|| format!("cannot create {}", folder.display()))?;
            let there = images(&data.join(camera))?.files;
            for (number, name) in names.iter().enumerate() {
                let image = found(&there, &data.join(camera), name)?;
                let link = folder.join(format!("{number:05}"));
                std::os::unix::fs::symlink(image, &link)
                    .with_context(|| format!("cannot link {} to {}", link.display(), image.display()))?;
            }
        }
        Ok(write_names(&out.join("names.txt"), "", &names)?)
    }

    /// The launch string that shows one camera's stills of the folder `out`, fitted into a size.
    pub fn launch(out: &Path, camera: &str, kind: Kind, size: Size) -> String {
        let Size { width, height } = size;
        let location = out.join(camera).join("%05d");
        // A backslash and a quote are the two characters that mean something within quotes.
        let location = location.display().to_string().replace('\\', r"\\").replace('"', "\\\"");
        format!(
            "multifilesrc location=\"{location}\" index=0 caps={},framerate={PER_SECOND}/1 ! {} ! videoconvert ! videoscale ! \
             video/x-raw,width={width},height={height},pixel-aspect-ratio=1/1",
            kind.mime(),
            kind.decoder()
        )
    }
}

/// The image of a folder that a listed name means.
pub fn find(folder: &Path, name: &str) -> Result<PathBuf> {
    Ok(found(&images(folder)?.files, folder, name)?.to_path_buf())
}

fn found<'a>(there: &'a Files, folder: &Path, name: &str) -> Result<&'a Path> {
    let image = there.get(&resolve(name, |name| there.contains_key(name)));
    image.map(PathBuf::as_path).with_context(|| format!("{}: found no image named {name}", folder.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_are_spread_over_the_list() {
        let names: Vec<String> = (0..10).map(|i| i.to_string()).collect();
        assert_eq!(spread(&names, 3), ["0", "3", "6"]);
        assert_eq!(spread(&names, 99).len(), 10);
        assert!(spread(&[], 3).is_empty());
    }

    #[test]
    fn lists_are_cut_and_joined() {
        let root = tempfile::tempdir().unwrap();
        fs::write(root.path().join("train.txt"), "# four\na\nb\n\nc\nd\n").unwrap();
        fs::write(root.path().join("val.txt"), "x\ny").unwrap();
        let lists = Lists { from: "".into(), most: [2, usize::MAX], out: "out/lists".into() };
        lists.write(root.path()).unwrap();
        let read = |name: &str| fs::read_to_string(root.path().join("out/lists").join(name)).unwrap();
        assert_eq!((read("train.txt"), read("val.txt")), ("a\nc\n".to_owned(), "x\ny\n".to_owned()));
        assert_eq!(read("all.txt"), "a\nc\nx\ny\n");
        fs::write(root.path().join("val.txt"), "# none\n").unwrap();
        assert!(lists.write(root.path()).unwrap_err().to_string().contains("val.txt"));
    }

    /// The beginning of a JPEG of 16x8 pixels, up to its frame header.
    const JPEG: &[u8] = b"\xFF\xD8\xFF\xC0\x00\x0B\x08\x00\x08\x00\x10\x01\x01\x11\x00";

    #[test]
    fn links_are_numbered_and_lead_to_the_callers_images() {
        let root = tempfile::tempdir().unwrap();
        for camera in ["ir", "vi"] {
            fs::create_dir_all(root.path().join("pairs").join(camera)).unwrap();
            // The content decides which kind a file is, not its ending.
            for name in ["#b.jpg", "a.png"] {
                let bytes = [JPEG, camera.as_bytes(), name.as_bytes()].concat();
                fs::write(root.path().join("pairs").join(camera).join(name), bytes).unwrap();
            }
            fs::write(root.path().join("pairs").join(camera).join("Thumbs.db"), "").unwrap();
        }
        fs::write(root.path().join("val.txt"), "# two\n#b\n\na.png\n").unwrap();
        let stills = Stills { data: "pairs".into(), list: "val.txt".into(), out: "out/stills".into() };
        stills.link(root.path()).unwrap();
        let read = |path: &str| fs::read(root.path().join("out/stills").join(path)).unwrap();
        assert!(read("ir/00000").ends_with(b"ir#b.jpg"));
        assert!(read("vi/00001").ends_with(b"via.png"));
        assert_eq!(read("names.txt"), b"#b\na.png\n");
        assert_eq!(Kind::of_folder(&root.path().join("pairs/ir")), Some(Kind::Jpeg));

        fs::write(root.path().join("pairs/ir/c.tiff"), "").unwrap();
        assert_eq!(Kind::of_folder(&root.path().join("pairs/ir")), None);
        fs::write(root.path().join("val.txt"), "z\n").unwrap();
        let elsewhere = Stills { out: "out/others".into(), ..stills };
        assert!(format!("{:#}", elsewhere.link(root.path()).unwrap_err()).contains("no image named z"));
    }

    #[test]
    fn a_launch_string_keeps_its_path_in_one_piece() {
        let launch = Stills::launch(Path::new("a \"b\"/stills"), "ir", Kind::Png, Size::new(64, 32));
        assert!(launch.starts_with("multifilesrc location=\"a \\\"b\\\"/stills/ir/%05d\" "), "{launch}");
        assert!(launch.contains("pngdec") && launch.ends_with("width=64,height=32,pixel-aspect-ratio=1/1"), "{launch}");
    }
}
