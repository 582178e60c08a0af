//! The coefficients of a scan (T.81, annex F).

use crate::JpegError;
use crate::header::{File, Frame, InScan, Scan, ZIGZAG};
use crate::huffman::Huffman;
use crate::samples::Plane;
use crate::transform::inverse;

/// Bits of the image data. A zero byte behind 255 is no data; a marker ends it.
struct Bits<'f, 'a> {
    file: &'f mut File<'a>,
    held: u32,
    count: u32,
}

impl Bits<'_, '_> {
    fn bit(&mut self) -> Result<u32, JpegError> {
        if self.count == 0 {
            let file = &mut self.file;
            let cut_off = JpegError::CutOff { at: file.bytes.len() };
            let byte = *file.bytes.get(file.at).ok_or(cut_off.clone())?;
            if byte == 0xFF {
                match file.bytes.get(file.at + 1) {
                    Some(0) => file.at += 1,
                    Some(_) => return Err(file.broken("a marker within the image data")),
                    None => return Err(cut_off),
                }
            }
            file.at += 1;
            (self.held, self.count) = (u32::from(byte), 8);
        }
        self.count -= 1;
        Ok(self.held >> self.count & 1)
    }

    fn symbol(&mut self, code: &Huffman) -> Result<u8, JpegError> {
        let mut bits = 0;
        for length in 1..=16 {
            bits = bits << 1 | self.bit()?;
            if let Some(symbol) = code.symbol(length, bits) {
                return Ok(symbol);
            }
        }
        Err(self.file.broken("no such Huffman code"))
    }

    /// A value of so many bits; the lower half of them stands for negative ones.
    fn value(&mut self, bits: u8) -> Result<i32, JpegError> {
        if bits > 15 {
            return Err(self.file.broken("a coefficient of more than 15 bits"));
        }
        let mut value = 0;
        for _ in 0..bits {
            value = value << 1 | self.bit()? as i32;
        }
        let lowest = if bits == 0 { 0 } else { 1 << (bits - 1) };
        Ok(if value < lowest { value - (1 << bits) + 1 } else { value })
    }

    /// One block of dequantised coefficients.
    fn block(&mut self, part: &InScan, predicted: &mut i32) -> Result<[i32; 64], JpegError> {
        let mut block = [0i32; 64];
        let size = self.symbol(&part.dc)?;
        *predicted = predicted.wrapping_add(self.value(size)?);
        block[0] = predicted.wrapping_mul(i32::from(part.quantisation[0]));
        let mut k = 1;
        while k < 64 {
            let symbol = self.symbol(&part.ac)?;
            let (run, bits) = (usize::from(symbol >> 4), symbol & 15);
            match (run, bits) {
                (15, 0) => k += 16,
                (_, 0) => break,
                _ => {
                    k += run;
                    let value = self.value(bits)?;
                    let Some(&to) = ZIGZAG.get(k) else {
                        return Err(self.file.broken("coefficients beyond their block"));
                    };
                    block[to] = value.wrapping_mul(i32::from(part.quantisation[to]));
                    k += 1;
                }
            }
        }
        Ok(block)
    }

    /// Skips the rest of the byte and the restart marker of number `wanted`.
    fn restart(&mut self, wanted: u8) -> Result<(), JpegError> {
        self.count = 0;
        let file = &mut self.file;
        while file.bytes.get(file.at..file.at + 2) == Some(&[0xFF, 0xFF]) {
            file.at += 1;
        }
        match file.bytes.get(file.at..file.at + 2) {
            Some([0xFF, marker]) if *marker == 0xD0 + wanted => {
                file.at += 2;
                Ok(())
            }
            Some(_) => Err(file.broken("expected a restart marker")),
            None => Err(JpegError::CutOff { at: file.bytes.len() }),
        }
    }
}

/// Decodes a scan into the planes of its components.
pub fn scan(file: &mut File<'_>, frame: &Frame, scan: &Scan, planes: &mut [Plane]) -> Result<(), JpegError> {
    // One component alone is stored block by block, without the blocks that only fill the last unit.
    let alone = scan.components.len() == 1;
    let [across, down] = match scan.components.as_slice() {
        [one] => planes[one.index].blocks_with_samples(),
        _ => [0, 1].map(|k: usize| frame.size.wh()[k].div_ceil(8 * frame.most[k])),
    };
    let mut predicted = vec![0i32; scan.components.len()];
    let mut bits = Bits { file, held: 0, count: 0 };
    for unit in 0..across * down {
        if scan.restart > 0 && unit > 0 && unit % scan.restart == 0 {
            bits.restart(((unit / scan.restart - 1) % 8) as u8)?;
            predicted.fill(0);
        }
        let (unit_x, unit_y) = (unit % across, unit / across);
        for (part, predicted) in scan.components.iter().zip(&mut predicted) {
            let [h, v] = if alone { [1, 1] } else { frame.components[part.index].sampling };
            for (dx, dy) in (0..v).flat_map(|dy| (0..h).map(move |dx| (dx, dy))) {
                let block = bits.block(part, predicted)?;
                planes[part.index].put(unit_x * h + dx, unit_y * v + dy, &inverse(&block));
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_of_each_length() {
        // One code of one bit, one of two: 0 and 10; 11 is none.
        let mut counts = [0; 16];
        (counts[0], counts[1]) = (1, 1);
        let code = Huffman::new(&counts, &[5, 9]).unwrap();
        let mut file = File::new(&[0b0100_1100, 0xFF, 0x00]);
        let mut bits = Bits { file: &mut file, held: 0, count: 0 };
        assert_eq!([0; 3].map(|_| bits.symbol(&code).unwrap()), [5, 9, 5]);
        assert!(bits.symbol(&code).is_err());
        counts[0] = 3;
        assert!(Huffman::new(&counts, &[0; 4]).is_none());
    }

    #[test]
    fn values_of_either_sign() {
        // 101 is 5, 010 is -5; one bit: 0 is -1, 1 is 1; none is 0.
        let mut file = File::new(&[0b1010_1001]);
        let mut bits = Bits { file: &mut file, held: 0, count: 0 };
        assert_eq!([3, 3, 1, 1, 0].map(|n| bits.value(n).unwrap()), [5, -5, -1, 1, 0]);
        assert_eq!(bits.bit(), Err(JpegError::CutOff { at: 1 }));
    }
}
