//! Checking one pair: headers, sizes, labels, masks. No pixel is read.

use std::path::{Path, PathBuf};

use caf_geometry::Size;
use caf_image::label::{LabelFile, LabelNotes, Outline};
use caf_image::{Header, ImageProblem, Label, header};

use super::entry::Entry;
use super::need::Need;
use crate::layout::{Boxes, Infrared, Item, read_voc};
use crate::offence::Offence;

/// Ids of masks that outlines can have: 0 is the background, 255 is ignored.
const MOST_OUTLINED_CLASS: u32 = 253;

/// How strictly pairs are checked.
pub(super) struct Check<'a> {
    pub labels: Need,
    pub masks: Need,
    /// Class names of boxes; none leave class numbers unchecked.
    pub classes: &'a [String],
}

/// What was found out about one pair.
#[derive(Default)]
pub(super) struct Checked {
    /// The pair, unless an offence leaves none.
    pub entry: Option<Entry>,
    pub offences: Vec<Offence>,
    /// What had to be set right in its label files.
    pub notes: LabelNotes,
    /// The first such file.
    pub noted: Option<PathBuf>,
}

/// The content of a label file.
#[derive(Default)]
struct ReadLabels {
    file: LabelFile,
    /// Objects that do not count.
    difficult: Vec<Label>,
}

impl Check<'_> {
    pub(super) fn pair(&self, item: &Item) -> Checked {
        let mut found = Checked::default();
        let (ir_path, fourth_channel) = match &item.ir {
            Infrared::File(path) => (path, false),
            Infrared::FourthChannel => (&item.vi, true),
        };
        let ir = found.header(ir_path);
        if !fourth_channel {
            let vi = found.header(&item.vi);
            found.compare(&item.name, (ir_path, ir), (&item.vi, vi));
        }
        let mask = item.mask.as_ref().filter(|path| path.is_file());
        if let Some(path) = mask {
            let about = found.header(path);
            found.compare(&item.name, (ir_path, ir), (path, about));
        }
        let Some(Header { size, .. }) = ir else { return found };
        let labels = self.read_labels(item, size, &mut found);
        let outlines = if mask.is_none() { self.outlines(labels.as_ref()) } else { None };
        self.require(item, labels.is_some(), mask.is_some() || outlines.is_some(), &mut found);
        let labels = labels.filter(|_| self.labels != Need::Ignore);
        let labelled = labels.is_some();
        let ReadLabels { file, difficult } = labels.unwrap_or_default();
        let mut ignore = difficult;
        if let Some(path) = item.ignore.as_ref().filter(|_| self.labels != Need::Ignore) {
            ignore.extend(self.read_yolo(path, &mut found).unwrap_or_default().file.labels);
        }
        found.entry = Some(Entry {
            name: item.name.clone(),
            ir: ir_path.clone(),
            vi: item.vi.clone(),
            mask: mask.cloned(),
            size,
            labelled,
            labels: file.labels,
            ignore,
            fourth_channel,
            outlines,
        });
        found
    }

    /// The labels of a pair, if there is such a file and somebody wants it: for boxes, or for the outlines of a mask.
    fn read_labels(&self, item: &Item, size: Size, found: &mut Checked) -> Option<ReadLabels> {
        match item.labels.as_ref()? {
            Boxes::Yolo(path) if self.labels != Need::Ignore || self.masks != Need::Ignore => {
                self.read_yolo(path, found)
            }
            Boxes::Voc(path) if self.labels != Need::Ignore => {
                let text = found.text(path)?;
                let voc = read_voc(&text, self.classes, size);
                found.note(path, &voc.objects);
                Some(ReadLabels { file: voc.objects, difficult: voc.difficult })
            }
            Boxes::Yolo(_) | Boxes::Voc(_) => None,
        }
    }

    fn read_yolo(&self, path: &Path, found: &mut Checked) -> Option<ReadLabels> {
        let text = found.text(path)?;
        // With a broken list of names, class numbers must not hide other offences.
        let file = LabelFile::parse(&text, (!self.classes.is_empty()).then_some(self.classes.len()));
        found.note(path, &file);
        Some(ReadLabels { file, difficult: Vec::new() })
    }

    /// The outlines that make a mask: every object must have one. A file without objects says that all is background, where masks
    /// are required; where they are optional, it may as well be one of boxes.
    fn outlines(&self, labels: Option<&ReadLabels>) -> Option<Vec<Outline>> {
        let outlines = &labels?.file.outlines;
        let complete = outlines.len() == labels?.file.labels.len();
        let wanted = match self.masks {
            Need::Required => complete,
            Need::Optional => complete && !outlines.is_empty(),
            Need::Ignore => false,
        };
        (wanted && outlines.iter().all(|o| o.class <= MOST_OUTLINED_CLASS)).then(|| outlines.clone())
    }

    /// What must be there and is not. Layouts that have no such thing at all are told once, by the data set.
    fn require(&self, item: &Item, labelled: bool, masked: bool, found: &mut Checked) {
        let name = || item.name.clone();
        if let Some(boxes) = item.labels.as_ref().filter(|_| self.labels == Need::Required && !labelled)
            && !boxes.path().exists()
        {
            found.offences.push(Offence::MissingLabels { name: name(), path: boxes.path().to_owned() });
        }
        if let Some(path) = item.mask.as_ref().filter(|_| self.masks == Need::Required && !masked) {
            found.offences.push(Offence::MissingMask { name: name(), path: path.clone() });
        }
    }
}

impl Checked {
    fn header(&mut self, path: &Path) -> Option<Header> {
        header(path).map_err(|error| self.offences.push(ImageProblem::of_header(path, &error).into())).ok()
    }

    fn compare(&mut self, name: &str, first: (&Path, Option<Header>), second: (&Path, Option<Header>)) {
        let (Some(a), Some(b)) = (first.1, second.1) else { return };
        if a.size != b.size {
            let problem = ImageProblem::SizeMismatch {
                name: name.to_owned(),
                first: first.0.to_owned(),
                first_size: a.size,
                second: second.0.to_owned(),
                second_size: b.size,
                turned: a.turned || b.turned,
            };
            self.offences.push(problem.into());
        }
    }

    /// The text of a file; `None` when it does not exist, `None` and an offence when it cannot be read.
    fn text(&mut self, path: &Path) -> Option<String> {
        match std::fs::read_to_string(path) {
            Ok(text) => Some(text),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
            Err(error) => {
                self.offences.push(Offence::Unreadable { path: path.to_owned(), cause: error.to_string() });
                None
            }
        }
    }

    fn note(&mut self, path: &Path, file: &LabelFile) {
        self.offences.extend(file.problems.iter().map(|p| Offence::LabelLine {
            path: path.to_owned(),
            line: p.line,
            expected: p.expected.clone(),
            found: p.found.clone(),
        }));
        if !file.notes.is_empty() {
            self.notes.add(file.notes);
            self.noted.get_or_insert_with(|| path.to_owned());
        }
    }
}
