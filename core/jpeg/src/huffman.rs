//! Huffman codes (T.81, annex C).

/// A code: of each length the first code, where its symbols begin, and one beyond the last code.
#[derive(Clone, Debug)]
pub struct Huffman {
    first: [u32; 17],
    end: [u32; 17],
    offset: [usize; 17],
    symbols: Vec<u8>,
}

impl Huffman {
    /// From the number of codes of each length and their symbols; `None` when they do not fit into the lengths.
    pub fn new(counts: &[u8; 16], symbols: &[u8]) -> Option<Self> {
        let (mut first, mut end, mut offset) = ([0; 17], [0; 17], [0; 17]);
        let (mut code, mut at) = (0u32, 0usize);
        for (length, &count) in (1..).zip(counts) {
            (first[length], offset[length]) = (code, at);
            code += u32::from(count);
            at += usize::from(count);
            if code > 1 << length {
                return None;
            }
            end[length] = code;
            code <<= 1;
        }
        Some(Self { first, end, offset, symbols: symbols.to_vec() })
    }

    /// The symbol of a code of this length, from 1 to 16; `None` when there is no such code.
    pub fn symbol(&self, length: usize, bits: u32) -> Option<u8> {
        let (first, end) = (*self.first.get(length)?, *self.end.get(length)?);
        let place = bits.checked_sub(first).filter(|_| bits < end)? as usize;
        self.symbols.get(self.offset.get(length)? + place).copied()
    }
}
