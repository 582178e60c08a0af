//! What carries a frame through the run: the driver's buffer itself, or memory of our own with what was made of it.

use std::sync::{Arc, Mutex, PoisonError, Weak};

use caf_runtime::frame::Pixels;

use super::stream::Lease;

/// Carriers that wait for the next frame; more are given to the allocator.
const WAITING: usize = 64;

type Boxes = Mutex<Vec<Box<Carrier>>>;

/// A frame's bytes. The box and its memory are used again.
pub struct Carrier {
    /// The driver's buffer, which goes back with the frame.
    lease: Option<Lease>,
    /// Else these.
    bytes: Vec<u8>,
    shelf: Weak<Boxes>,
}

impl Carrier {
    /// Memory for what is made of a frame.
    pub fn bytes_mut(&mut self) -> &mut Vec<u8> {
        &mut self.bytes
    }

    /// Carries the driver's buffer.
    pub fn lend(&mut self, lease: Lease) {
        self.lease = Some(lease);
    }
}

impl Pixels for Carrier {
    fn bytes(&self) -> &[u8] {
        self.lease.as_ref().map_or(&self.bytes, |lease| lease.plane(0))
    }

    fn give_back(mut self: Box<Self>) {
        self.lease = None;
        if let Some(shelf) = self.shelf.upgrade() {
            let mut boxes = shelf.lock().unwrap_or_else(PoisonError::into_inner);
            if boxes.len() < WAITING {
                boxes.push(self);
            }
        }
    }
}

/// Where carriers wait. Frames may outlive it.
pub struct Shelf(Arc<Boxes>);

impl Default for Shelf {
    fn default() -> Self {
        Self(Arc::new(Mutex::new(Vec::with_capacity(WAITING))))
    }
}

impl Shelf {
    /// A carrier, which was used before where one waits.
    pub fn take(&self) -> Box<Carrier> {
        let used = self.0.lock().unwrap_or_else(PoisonError::into_inner).pop();
        used.unwrap_or_else(|| Box::new(Carrier { lease: None, bytes: vec![], shelf: Arc::downgrade(&self.0) }))
    }
}
