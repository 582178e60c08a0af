//! Reading a pickle's bytes, never past their end.

/// A position in a pickle.
pub(super) struct Cursor<'a> {
    bytes: &'a [u8],
    at: usize,
}

/// What a short pickle is reported with.
pub(super) const ENDS_EARLY: &str = "the pickle ends in the middle of it";

impl<'a> Cursor<'a> {
    pub fn new(bytes: &'a [u8], at: usize) -> Self {
        Cursor { bytes, at }
    }

    pub fn position(&self) -> usize {
        self.at
    }

    pub fn take(&mut self, n: usize) -> Result<&'a [u8], &'static str> {
        let end = self.at.checked_add(n).ok_or(ENDS_EARLY)?;
        let slice = self.bytes.get(self.at..end).ok_or(ENDS_EARLY)?;
        self.at = end;
        Ok(slice)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], &'static str> {
        self.take(N)?.first_chunk::<N>().copied().ok_or(ENDS_EARLY)
    }

    pub fn u8(&mut self) -> Result<u8, &'static str> {
        Ok(u8::from_le_bytes(self.array()?))
    }

    pub fn u16(&mut self) -> Result<u16, &'static str> {
        Ok(u16::from_le_bytes(self.array()?))
    }

    pub fn u32(&mut self) -> Result<u32, &'static str> {
        Ok(u32::from_le_bytes(self.array()?))
    }

    pub fn i32(&mut self) -> Result<i32, &'static str> {
        Ok(i32::from_le_bytes(self.array()?))
    }

    pub fn u64(&mut self) -> Result<u64, &'static str> {
        Ok(u64::from_le_bytes(self.array()?))
    }

    /// As many bytes as a 64-bit length says.
    pub fn take_u64(&mut self, n: u64) -> Result<&'a [u8], &'static str> {
        self.take(usize::try_from(n).map_err(|_| ENDS_EARLY)?)
    }

    /// Text up to the end of the line, which is consumed.
    pub fn line(&mut self) -> Result<&'a str, &'static str> {
        let rest = self.bytes.get(self.at..).ok_or(ENDS_EARLY)?;
        let n = rest.iter().position(|b| *b == b'\n').ok_or(ENDS_EARLY)?;
        let line = self.take(n)?;
        self.at += 1;
        std::str::from_utf8(line).map_err(|_| "the line is not text")
    }
}
