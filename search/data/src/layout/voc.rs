//! Boxes in the XML of the PASCAL VOC challenge.

use caf_geometry::Size;
use caf_image::label::{Label, LabelFile, LineProblem};

/// What a file of annotations says, in fractions of the image.
#[derive(Debug, Default)]
pub(crate) struct VocFile {
    /// Objects.
    pub objects: LabelFile,
    /// Objects marked as difficult, which the challenge does not count.
    pub difficult: Vec<Label>,
}

/// Reads `annotation/object` elements: `name`, and `bndbox` with `xmin`, `ymin`, `xmax`, `ymax`, the edges of the box in pixels, or
/// with `x`, `y`, `w`, `h`, its upper left corner and its size. What is wrong becomes a problem with its line.
pub(crate) fn read_voc(text: &str, classes: &[String], image: Size) -> VocFile {
    let mut file = VocFile::default();
    let problem = |line, expected: String, found: String| LineProblem { line, expected, found };
    let document = match roxmltree::Document::parse(text.trim_start_matches('\u{feff}')) {
        Ok(document) => document,
        Err(error) => {
            let line = error.pos().row as usize;
            file.objects.problems.push(problem(line, "XML".to_owned(), error.to_string()));
            return file;
        }
    };
    let root = document.root_element();
    let line = |node: roxmltree::Node<'_, '_>| document.text_pos_at(node.range().start).row as usize;
    let child = |node: roxmltree::Node<'_, '_>, name: &str| {
        node.children().find(|c| c.has_tag_name(name)).and_then(|c| c.text()).map(|t| t.trim().to_owned())
    };
    if !root.has_tag_name("annotation") {
        let found = format!("<{}>", root.tag_name().name());
        file.objects.problems.push(problem(line(root), "the element <annotation>".to_owned(), found));
        return file;
    }
    // Some writers leave the size at 0; a size of another image means boxes of another image.
    if let Some(size) = root.children().find(|c| c.has_tag_name("size")) {
        let side = |name: &str| child(size, name).and_then(|t| t.parse::<usize>().ok()).filter(|n| *n > 0);
        if let (Some(w), Some(h)) = (side("width"), side("height"))
            && Size::new(w, h) != image
        {
            let expected = format!("boxes of the image's size, {image}");
            file.objects.problems.push(problem(line(size), expected, format!("{w}x{h}")));
            return file;
        }
    }
    for object in root.children().filter(|c| c.has_tag_name("object")) {
        let mut refuse = |expected: String, found: String| {
            file.objects.problems.push(problem(line(object), expected, found));
        };
        let name = child(object, "name").unwrap_or_default();
        let Some(class) = classes.iter().position(|c| c.eq_ignore_ascii_case(&name)) else {
            refuse(format!("a class among {}", classes.join(", ")), format!("{name:?}"));
            continue;
        };
        let bounds = object.children().find(|c| c.has_tag_name("bndbox"));
        let edge = |name: &str| {
            bounds.and_then(|b| child(b, name)).and_then(|t| t.parse::<f64>().ok()).filter(|v| v.is_finite())
        };
        let four = |names: [&str; 4]| match names.map(edge) {
            [Some(a), Some(b), Some(c), Some(d)] => Some([a, b, c, d]),
            _ => None,
        };
        let corner_and_size = || four(["x", "y", "w", "h"]).map(|[x, y, w, h]| [x, y, x + w, y + h]);
        let Some([x1, y1, x2, y2]) = four(["xmin", "ymin", "xmax", "ymax"]).or_else(corner_and_size) else {
            refuse(
                "<bndbox> with xmin, ymin, xmax, ymax or x, y, w, h in pixels".to_owned(),
                "another object".to_owned(),
            );
            continue;
        };
        let (w, h) = (image.width as f64, image.height as f64);
        let edges = [x1 / w, y1 / h, x2 / w, y2 / h];
        let class = u32::try_from(class).unwrap_or(u32::MAX);
        let added = if child(object, "difficult").as_deref() == Some("1") {
            let mut alone = LabelFile::default();
            let added = alone.add_edges(class, edges);
            file.difficult.extend(alone.labels);
            added
        } else {
            file.objects.add_edges(class, edges)
        };
        if let Err((expected, found)) = added {
            file.objects.problems.push(problem(line(object), expected, found));
        }
    }
    file
}

#[cfg(test)]
mod tests {
    use super::*;

    const CLASSES: [&str; 2] = ["People", "Car"];

    fn read(objects: &str) -> VocFile {
        let text =
            format!("<annotation>\n<size><width>100</width><height>50</height></size>\n{objects}\n</annotation>");
        read_voc(&text, &CLASSES.map(str::to_owned), Size::new(100, 50))
    }

    fn object(name: &str, edges: [&str; 4], rest: &str) -> String {
        let [x1, y1, x2, y2] = edges;
        format!(
            "<object><name>{name}</name>{rest}<bndbox><xmin>{x1}</xmin><ymin>{y1}</ymin><xmax>{x2}</xmax><ymax>{y2}</ymax></bndbox>\
             </object>\n"
        )
    }

    #[test]
    fn names_and_pixel_edges_become_labels() {
        let text = object("people", ["10", "5", "30", "45"], "") + &object("Car", ["-10", "0.5", " 40 ", "20"], "");
        let file = read(&text);
        assert_eq!(file.objects.problems, []);
        assert_eq!(file.objects.labels[0], Label { class: 0, cx: 0.2, cy: 0.5, w: 0.2, h: 0.8 });
        assert_eq!((file.objects.labels[1].class, file.objects.notes.clipped), (1, 1));
        let hard = read(&object("Car", ["10", "5", "30", "45"], "<difficult>1</difficult>"));
        assert_eq!((hard.objects.labels.len(), hard.difficult.len()), (0, 1));
        let corner = read("<object><name>Car</name><bndbox><x>10</x><y>5</y><w>20</w><h>40</h></bndbox></object>");
        assert_eq!(corner.objects.labels, [Label { class: 1, cx: 0.2, cy: 0.5, w: 0.2, h: 0.8 }]);
    }

    #[test]
    fn what_is_wrong_is_named_with_its_line() {
        let text = object("Tree", ["1", "1", "9", "9"], "")
            + &object("Car", ["1", "1", "x", "9"], "")
            + &object("Car", ["9", "1", "1", "9"], "")
            + &object("Car", ["200", "1", "300", "9"], "")
            + "<object><name>Car</name></object>\n"
            + "<object><name>Car</name><bndbox><x>10</x><y>5</y><w>20</w></bndbox></object>";
        let file = read(&text);
        assert_eq!(file.objects.problems.iter().map(|p| p.line).collect::<Vec<_>>(), [3, 4, 5, 6, 7, 8]);
        assert!(file.objects.problems[0].expected.contains("People, Car"));
        for (text, line) in [("<annotation>\n</other>", 2), ("<other/>", 1), ("", 1)] {
            let file = read_voc(text, &[], Size::new(1, 1));
            assert_eq!((file.objects.problems.len(), file.objects.problems[0].line), (1, line), "{text}");
        }
        let other =
            read_voc("<annotation><size><width>9</width><height>9</height></size></annotation>", &[], Size::new(8, 9));
        assert!(other.objects.problems[0].to_string().contains("expected boxes of the image's size, 8x9, found 9x9"));
    }
}
