//! Pictures on the page, each with what it shows.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use crate::demo::files;
use crate::demo::pairs::{find, names, spread};
use crate::demo::plan::Plan;
use caf_geometry::Size;
use caf_report::html::{address, escape, missing, picture, side_by_side};

/// Pairs of the gallery.
const PAIRS: usize = 3;
/// A video is enlarged to this width at most, by whole factors only.
const WIDEST_VIDEO_PX: usize = 640;

/// Plots side by side, each with what it shows.
pub fn plots(out: &Path, plots: &[(String, &str)]) -> String {
    side_by_side(&plots.iter().map(|(path, caption)| plot(out, path, caption)).collect::<String>())
}

/// One plot.
pub fn plot(out: &Path, path: &str, caption: &str) -> String {
    if out.join(path).is_file() { picture(Path::new(path), caption, false) } else { missing(path, "it was not drawn") }
}

/// Validation pairs, each as infrared, visible, plain average and fused image.
pub fn gallery(plan: &Plan, out: &Path) -> String {
    match names(&plan.root.join(plan.list("val.txt"))) {
        Ok(names) => spread(&names, PAIRS).iter().map(|name| pair(plan, out, name)).collect(),
        Err(error) => missing("the validation pairs", &format!("{error:#}")),
    }
}

fn pair(plan: &Plan, out: &Path, name: &str) -> String {
    let data = plan.root.join(plan.data());
    let shown = [
        ("infrared", data.join("ir")),
        ("visible", data.join("vi")),
        ("plain average", out.join(files::AVERAGE)),
        ("fused by the network", out.join(files::FUSED)),
    ];
    let mut html = format!("<h3>Validation pair {}</h3>\n<div class=\"row\">\n", escape(name));
    for (what, folder) in shown {
        html += &match find(&folder, name).and_then(|path| beside_the_page(&path, what, out)) {
            Ok(path) => picture(&path, what, false),
            Err(error) => missing(what, &format!("{error:#}")),
        };
    }
    html + "</div>\n"
}

/// The path of a picture relative to the page. What lies outside of the output folder is copied into it, so that the folder
/// can be moved.
fn beside_the_page(picture: &Path, what: &str, out: &Path) -> Result<PathBuf> {
    if let Ok(inside) = picture.strip_prefix(out) {
        return Ok(inside.to_path_buf());
    }
    let name = picture.file_name().unwrap_or_default().to_string_lossy();
    let copy = Path::new(files::COPIES).join(format!("{what}-{name}"));
    let bytes = fs::read(picture).with_context(|| format!("cannot read {}", picture.display()))?;
    fs::create_dir_all(out.join(files::COPIES)).context("cannot make the folder of pictures")?;
    caf_file::write(&out.join(&copy), &bytes).with_context(|| format!("cannot write {}", copy.display()))?;
    Ok(copy)
}

/// The first and the last picture that the training of the fusion network made of some validation pairs.
pub fn panels(out: &Path) -> String {
    let iteration = |path: PathBuf| Some((path.file_stem()?.to_str()?.parse::<u64>().ok()?, path));
    let listed = fs::read_dir(out.join(files::PANELS)).map(|entries| {
        let mut panels: Vec<(u64, PathBuf)> = entries.flatten().filter_map(|entry| iteration(entry.path())).collect();
        panels.sort();
        panels
    });
    let panels = match listed {
        Ok(panels) if panels.is_empty() => return missing(files::PANELS, "it holds no pictures"),
        Ok(panels) => panels,
        Err(error) => return missing(files::PANELS, &error.to_string()),
    };
    let (first, last) = (panels.first(), panels.last().filter(|_| panels.len() > 1));
    let mut html = String::new();
    for (which, (iterations, path)) in
        [("early", first), ("at its end", last)].into_iter().filter_map(|(w, p)| Some((w, p?)))
    {
        let caption = format!(
            "The training {which}, after {iterations} iterations. Each row is a validation pair: infrared, visible, fused"
        );
        html += &picture(path.strip_prefix(out).unwrap_or(path), &caption, false);
    }
    html
}

/// Frames of the clip: both cameras and what the exported model makes of them.
pub fn frames(out: &Path) -> String {
    let all = match fs::read_dir(out.join(files::FRAMES)) {
        Ok(entries) => entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned()),
        Err(error) => return missing(files::FRAMES, &error.to_string()),
    };
    let mut all: Vec<String> = all.collect();
    all.sort();
    let mut html = String::new();
    for name in spread(&all, PAIRS).iter().skip(1) {
        html += "<div class=\"row\">\n";
        let shown = [
            (files::CLIP_IR, "infrared"),
            (files::CLIP_VI, "visible"),
            (files::FRAMES, "exported model: fused, with boxes"),
        ];
        for (folder, what) in shown {
            let number = name.trim_end_matches(".png");
            html += &picture(&Path::new(folder).join(name), &format!("Frame {number}, {what}"), true);
        }
        html += "</div>\n";
    }
    html
}

/// A video at its own size or enlarged by a whole factor.
pub fn video(out: &Path, name: &str, size: Size, caption: &str) -> String {
    if !out.join(name).is_file() {
        return missing(name, "the live run did not come to its end");
    }
    let Size { width, height } = size;
    let factor = (WIDEST_VIDEO_PX / width.max(1)).max(1);
    let poster = poster(out).map(|path| format!(" poster=\"{}\"", address(&path))).unwrap_or_default();
    format!(
        "<figure><video class=\"crisp\" controls loop muted autoplay playsinline width=\"{}\" height=\"{}\" src=\"{}\"{poster}>\
         </video><figcaption>{}</figcaption></figure>\n",
        width * factor,
        height * factor,
        address(Path::new(name)),
        escape(caption)
    )
}

/// What stands in the video's place until it plays: a frame from the middle of the clip, or the first fused pair.
fn poster(out: &Path) -> Option<PathBuf> {
    let mut frames: Vec<String> = fs::read_dir(out.join(files::FRAMES))
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect();
    frames.sort();
    if let Some(middle) = frames.get(frames.len() / 2) {
        return Some(Path::new(files::FRAMES).join(middle));
    }
    let first = names(&out.join(files::STILLS_NAMES)).ok()?.into_iter().next()?;
    let path = Path::new(files::FUSED).join(format!("{first}.png"));
    out.join(&path).is_file().then_some(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_video_is_enlarged_by_whole_factors_only() {
        let out = tempfile::tempdir().unwrap();
        fs::create_dir(out.path().join("live")).unwrap();
        assert!(video(out.path(), files::LIVE_VIDEO, Size::new(256, 192), "c").contains("cannot be shown"));
        fs::write(out.path().join(files::LIVE_VIDEO), "").unwrap();
        for (size, shown) in [
            (Size::new(256, 192), "width=\"512\" height=\"384\""),
            (Size::new(448, 320), "width=\"448\""),
            (Size::new(1280, 720), "width=\"1280\""),
        ] {
            let html = video(out.path(), files::LIVE_VIDEO, size, "c");
            assert!(html.contains(shown), "{html}");
        }
    }

    #[test]
    fn the_first_and_the_last_panel_are_named_by_their_iteration() {
        let out = tempfile::tempdir().unwrap();
        let panels_in = out.path().join(files::PANELS);
        fs::create_dir_all(&panels_in).unwrap();
        for name in ["000060.png", "000120.png", "001000.png", "notes.txt"] {
            fs::write(panels_in.join(name), "").unwrap();
        }
        let html = panels(out.path());
        assert!(html.contains("after 60 iterations") && html.contains("after 1000 iterations"), "{html}");
        assert!(!html.contains("120"), "{html}");
    }

    #[test]
    fn pictures_from_outside_are_copied_and_their_folder_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let (out, data) = (folder.path().join("out"), folder.path().join("pairs"));
        fs::create_dir_all(&out).unwrap();
        fs::create_dir_all(&data).unwrap();
        fs::write(data.join("a.jpg"), "jpeg").unwrap();
        let copy = beside_the_page(&data.join("a.jpg"), "visible", &out).unwrap();
        assert_eq!(copy, Path::new("pictures/visible-a.jpg"));
        assert_eq!(fs::read(out.join(copy)).unwrap(), b"jpeg");
        assert_eq!(fs::read_dir(&data).unwrap().count(), 1);
        assert_eq!(beside_the_page(&out.join("fused/a.png"), "fused", &out).unwrap(), Path::new("fused/a.png"));
    }
}
