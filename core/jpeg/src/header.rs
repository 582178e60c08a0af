//! Markers and what they carry (T.81, annex B).

use caf_geometry::Size;

use crate::JpegError;
use crate::huffman::Huffman;

/// Position in a block of the k-th coefficient in the file.
pub const ZIGZAG: [usize; 64] = [
    0, 1, 8, 16, 9, 2, 3, 10, 17, 24, 32, 25, 18, 11, 4, 5, 12, 19, 26, 33, 40, 48, 41, 34, 27, 20, 13, 6, 7, 14, 21,
    28, 35, 42, 49, 56, 57, 50, 43, 36, 29, 22, 15, 23, 30, 37, 44, 51, 58, 59, 52, 45, 38, 31, 39, 46, 53, 60, 61, 54,
    47, 55, 62, 63,
];

/// One component of the frame.
#[derive(Clone, Debug)]
pub struct Component {
    id: u8,
    /// Samples across and down in the smallest unit.
    pub sampling: [usize; 2],
    table: usize,
}

/// What a frame header says.
#[derive(Clone, Debug)]
pub struct Frame {
    pub size: Size,
    pub components: Vec<Component>,
    /// Largest sampling across and down.
    pub most: [usize; 2],
}

/// A component's part in a scan.
pub struct InScan {
    /// In the frame.
    pub index: usize,
    pub quantisation: [u16; 64],
    pub dc: Huffman,
    pub ac: Huffman,
}

/// What a scan header says, with the tables that hold for it.
pub struct Scan {
    pub components: Vec<InScan>,
    /// Units between restart markers; 0 without them.
    pub restart: usize,
}

/// What the decoder stops at.
pub enum Segment {
    Frame(Frame),
    Scan(Scan),
    End,
}

/// How samples become red, green and blue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Colour {
    AsStored,
    YCbCr,
}

/// A file and the tables read so far.
pub struct File<'a> {
    pub bytes: &'a [u8],
    pub at: usize,
    quantisation: [Option<[u16; 64]>; 4],
    dc: [Option<Huffman>; 4],
    ac: [Option<Huffman>; 4],
    restart: usize,
    jfif: bool,
    adobe: Option<u8>,
    frame: Option<Frame>,
}

impl<'a> File<'a> {
    pub fn new(bytes: &'a [u8]) -> Self {
        let tables = || [None, None, None, None];
        let (quantisation, dc, ac) = ([None; 4], tables(), tables());
        Self { bytes, at: 0, quantisation, dc, ac, restart: 0, jfif: false, adobe: None, frame: None }
    }

    pub fn broken(&self, what: &'static str) -> JpegError {
        JpegError::Broken { at: self.at, what }
    }

    fn byte(&mut self) -> Result<u8, JpegError> {
        let byte = *self.bytes.get(self.at).ok_or(JpegError::CutOff { at: self.bytes.len() })?;
        self.at += 1;
        Ok(byte)
    }

    /// The next marker, behind any number of fill bytes.
    fn marker(&mut self) -> Result<u8, JpegError> {
        if self.byte()? != 0xFF {
            return Err(self.broken("expected a marker"));
        }
        loop {
            match self.byte()? {
                0xFF => {}
                0 => return Err(self.broken("expected a marker, found image data")),
                marker => return Ok(marker),
            }
        }
    }

    /// The content of a segment with a length.
    fn content(&mut self) -> Result<&'a [u8], JpegError> {
        let length = usize::from(self.byte()?) << 8 | usize::from(self.byte()?);
        let end =
            self.at + length.checked_sub(2).ok_or_else(|| self.broken("a segment shorter than its length field"))?;
        let content = self.bytes.get(self.at..end).ok_or(JpegError::CutOff { at: self.bytes.len() })?;
        self.at = end;
        Ok(content)
    }

    /// Reads tables and the like up to the next frame, scan or end.
    pub fn next_segment(&mut self) -> Result<Segment, JpegError> {
        loop {
            match self.marker()? {
                0xD9 => return Ok(Segment::End),
                0x01 | 0xD0..=0xD8 => {}
                0xC0 | 0xC1 => {
                    let content = self.content()?;
                    let frame = self.frame_of(content)?;
                    self.frame = Some(frame.clone());
                    return Ok(Segment::Frame(frame));
                }
                marker @ (0xC2 | 0xC3 | 0xC5..=0xC7 | 0xC9..=0xCB | 0xCD..=0xCF) => {
                    let found = match marker {
                        0xC2 => "a progressive one".to_owned(),
                        0xC9..=0xCF => "one with arithmetic codes".to_owned(),
                        other => format!("one of frame type {}", other - 0xC0),
                    };
                    return Err(JpegError::Unsupported { found });
                }
                0xC4 => {
                    let content = self.content()?;
                    self.huffman(content)?;
                }
                0xDB => {
                    let content = self.content()?;
                    self.quantisation(content)?;
                }
                0xDD => match self.content()? {
                    [high, low] => self.restart = usize::from(*high) << 8 | usize::from(*low),
                    _ => return Err(self.broken("a restart interval of other than two bytes")),
                },
                0xDA => {
                    let content = self.content()?;
                    return Ok(Segment::Scan(self.scan_of(content)?));
                }
                0xE0 => self.jfif |= self.content()?.starts_with(b"JFIF\0"),
                0xEE => {
                    let content = self.content()?;
                    if content.starts_with(b"Adobe") {
                        self.adobe = content.get(11).copied();
                    }
                }
                _ => {
                    self.content()?;
                }
            }
        }
    }

    fn frame_of(&self, content: &[u8]) -> Result<Frame, JpegError> {
        let [bits, h1, h0, w1, w0, count, rest @ ..] = content else { return Err(self.broken("a short frame header")) };
        let size = Size::new(usize::from(*w1) << 8 | usize::from(*w0), usize::from(*h1) << 8 | usize::from(*h0));
        let count = usize::from(*count);
        if *bits != 8 {
            return Err(JpegError::Unsupported { found: format!("one of {bits} bits") });
        }
        if count != 1 && count != 3 {
            return Err(JpegError::Unsupported { found: format!("one of {count} components") });
        }
        if size.width == 0 || size.height == 0 || rest.len() != 3 * count {
            return Err(self.broken("a frame header without pixels or of a wrong length"));
        }
        let mut components = vec![];
        for part in rest.chunks_exact(3) {
            let [id, sampling, table] = *part else { continue };
            let sampling = [usize::from(sampling >> 4), usize::from(sampling & 15)];
            if sampling.iter().any(|s| !(1..=4).contains(s)) || table > 3 {
                return Err(self.broken("a component with a sampling beyond 1 to 4 or a table beyond 0 to 3"));
            }
            // Alone, a component is its own largest.
            let sampling = if count == 1 { [1, 1] } else { sampling };
            components.push(Component { id, sampling, table: usize::from(table) });
        }
        let most = [0, 1].map(|k: usize| components.iter().map(|c| c.sampling[k]).max().unwrap_or(1));
        if components.iter().any(|c| most[0] % c.sampling[0] != 0 || most[1] % c.sampling[1] != 0) {
            return Err(JpegError::Unsupported { found: "one of samplings that are no multiples".to_owned() });
        }
        Ok(Frame { size, components, most })
    }

    fn scan_of(&self, content: &[u8]) -> Result<Scan, JpegError> {
        let frame = self.frame.as_ref().ok_or_else(|| self.broken("image data before a frame header"))?;
        let [count, rest @ ..] = content else { return Err(self.broken("a short scan header")) };
        let count = usize::from(*count);
        if count == 0 || rest.len() != 2 * count + 3 {
            return Err(self.broken("a scan header of a wrong length"));
        }
        let mut components: Vec<InScan> = vec![];
        for part in rest.chunks_exact(2).take(count) {
            let [id, tables] = *part else { continue };
            let index = frame.components.iter().position(|c| c.id == id);
            let index = index.ok_or_else(|| self.broken("a scan of a component that the frame lacks"))?;
            if components.iter().any(|c| c.index == index) {
                return Err(self.broken("a scan with a component twice"));
            }
            let missing = || self.broken("a scan without one of its tables");
            let table = |all: &[Option<Huffman>; 4], k: u8| all.get(usize::from(k)).cloned().flatten();
            components.push(InScan {
                index,
                quantisation: self.quantisation[frame.components[index].table].ok_or_else(missing)?,
                dc: table(&self.dc, tables >> 4).ok_or_else(missing)?,
                ac: table(&self.ac, tables & 15).ok_or_else(missing)?,
            });
        }
        Ok(Scan { components, restart: self.restart })
    }

    fn quantisation(&mut self, mut content: &[u8]) -> Result<(), JpegError> {
        while let [kind, rest @ ..] = content {
            let (wide, slot) = (kind >> 4, usize::from(kind & 15));
            let length = if wide == 0 { 64 } else { 128 };
            let (Some(values), true) = (rest.get(..length), wide < 2 && slot < 4) else {
                return Err(self.broken("a quantisation table of a wrong length or number"));
            };
            let mut table = [0u16; 64];
            for (k, &to) in ZIGZAG.iter().enumerate() {
                let wide_value = || u16::from(values[2 * k]) << 8 | u16::from(values[2 * k + 1]);
                table[to] = if wide == 0 { u16::from(values[k]) } else { wide_value() };
            }
            self.quantisation[slot] = Some(table);
            content = &rest[length..];
        }
        Ok(())
    }

    fn huffman(&mut self, mut content: &[u8]) -> Result<(), JpegError> {
        while let [kind, rest @ ..] = content {
            let wrong = || JpegError::Broken { at: self.at, what: "a Huffman table of a wrong length or number" };
            let counts: [u8; 16] = rest.get(..16).and_then(|c| c.try_into().ok()).ok_or_else(wrong)?;
            let total: usize = counts.iter().map(|&c| usize::from(c)).sum();
            let symbols = rest.get(16..16 + total).ok_or_else(wrong)?;
            let table = Huffman::new(&counts, symbols).ok_or_else(wrong)?;
            let (of, slot) = (if kind >> 4 == 0 { &mut self.dc } else { &mut self.ac }, usize::from(kind & 15));
            if kind >> 4 > 1 || slot > 3 {
                return Err(JpegError::Broken { at: self.at, what: "a Huffman table of a wrong number" });
            }
            of[slot] = Some(table);
            content = &rest[16 + total..];
        }
        Ok(())
    }

    /// As libjpeg guesses: JFIF is YCbCr; Adobe's marker says; else the names of the components do.
    pub fn colour(&self, frame: &Frame) -> Colour {
        let ids: Vec<u8> = frame.components.iter().map(|c| c.id).collect();
        match (self.jfif, self.adobe, ids.as_slice()) {
            (_, _, [_]) => Colour::AsStored,
            (true, ..) => Colour::YCbCr,
            (_, Some(0), _) => Colour::AsStored,
            (_, None, [b'R', b'G', b'B']) => Colour::AsStored,
            _ => Colour::YCbCr,
        }
    }
}
