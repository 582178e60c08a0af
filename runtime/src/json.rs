//! A line of JSON, written entry by entry. What a model finds is known at run time only, so that no derived type has its keys.

use std::io::Write;

use serde::Serialize;

/// An object being written.
pub struct Object<'a> {
    out: &'a mut dyn Write,
    is_empty: bool,
}

impl<'a> Object<'a> {
    /// Writes an object whose entries `fill` adds.
    ///
    /// # Errors
    /// When `out` takes no more, and those of `fill`.
    pub fn write(
        out: &'a mut dyn Write,
        fill: impl FnOnce(&mut Self) -> serde_json::Result<()>,
    ) -> serde_json::Result<()> {
        let mut object = Self { out, is_empty: true };
        object.raw(b"{")?;
        fill(&mut object)?;
        object.raw(b"}")
    }

    /// Adds an entry.
    ///
    /// # Errors
    /// When no more is taken.
    pub fn entry(&mut self, key: &str, value: &(impl Serialize + ?Sized)) -> serde_json::Result<()> {
        self.entry_by(key, |out| serde_json::to_writer(out, value))
    }

    /// Adds an entry whose value `write` writes.
    ///
    /// # Errors
    /// When no more is taken, and those of `write`.
    pub fn entry_by(
        &mut self,
        key: &str,
        write: impl FnOnce(&mut dyn Write) -> serde_json::Result<()>,
    ) -> serde_json::Result<()> {
        if !std::mem::take(&mut self.is_empty) {
            self.raw(b",")?;
        }
        serde_json::to_writer(&mut *self.out, key)?;
        self.raw(b":")?;
        write(self.out)
    }

    fn raw(&mut self, bytes: &[u8]) -> serde_json::Result<()> {
        self.out.write_all(bytes).map_err(serde_json::Error::io)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_object_is_what_serde_writes() {
        let mut text = vec![];
        let inner = |out: &mut dyn Write| Object::write(out, |inner| inner.entry("c", &[0.5]));
        Object::write(&mut text, |o| {
            o.entry("a \"1\"", &1)?;
            o.entry("b", "x")?;
            o.entry_by("in", inner)
        })
        .unwrap();
        assert_eq!(String::from_utf8(text).unwrap(), r#"{"a \"1\"":1,"b":"x","in":{"c":[0.5]}}"#);
        let mut text = vec![];
        Object::write(&mut text, |_| Ok(())).unwrap();
        assert_eq!(text, b"{}");
    }
}
