//! Samples kept in memory as far as a limit allows.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

/// Memory that a sample takes.
pub(super) trait Bytes {
    /// Of its pixels.
    fn bytes(&self) -> usize;
}

/// Samples by number.
#[derive(Debug)]
pub(super) struct Cache<T> {
    limit: usize,
    kept: Mutex<Kept<T>>,
}

#[derive(Debug)]
struct Kept<T> {
    samples: HashMap<usize, Arc<T>>,
    bytes: usize,
}

impl<T: Bytes> Cache<T> {
    /// Keeps at most `limit` bytes.
    pub fn new(limit: usize) -> Self {
        Cache { limit, kept: Mutex::new(Kept { samples: HashMap::new(), bytes: 0 }) }
    }

    /// Sample `index`, from memory or made. Several threads may make the same one at the same time: it is equal.
    ///
    /// # Errors
    /// Those of `make`.
    pub fn get<E>(&self, index: usize, make: impl FnOnce() -> Result<T, E>) -> Result<Arc<T>, E> {
        if let Ok(kept) = self.kept.lock()
            && let Some(sample) = kept.samples.get(&index)
        {
            return Ok(Arc::clone(sample));
        }
        let sample = Arc::new(make()?);
        if let Ok(mut kept) = self.kept.lock()
            && kept.bytes.saturating_add(sample.bytes()) <= self.limit
            && kept.samples.insert(index, Arc::clone(&sample)).is_none()
        {
            kept.bytes += sample.bytes();
        }
        Ok(sample)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    impl Bytes for Vec<u8> {
        fn bytes(&self) -> usize {
            self.len()
        }
    }

    #[test]
    fn what_fits_is_kept_and_no_more() {
        let cache = Cache::new(5);
        let get = |index: usize| cache.get(index, || Ok::<_, ()>(vec![index as u8; 4])).unwrap();
        assert!(Arc::ptr_eq(&get(0), &get(0)));
        assert!(!Arc::ptr_eq(&get(1), &get(1)));
        assert_eq!(cache.get(2, || Err::<Vec<u8>, _>("bad")), Err("bad"));
    }
}
