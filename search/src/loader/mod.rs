//! Samples on their way into libtorch: prepared once, seen through random views, batched in threads of their own.
//!
//! Everything random is a function of seed and iteration, so that a resumed run sees what an uninterrupted one would have
//! seen, without any generator to save, and whatever the number of threads.

mod annotations;
mod cache;
mod feed;
mod images;
mod order;
mod pairs;

pub use annotations::{Annotated, Annotation, Annotations};
pub use feed::Feed;
pub use images::{HostImages, ImageBatches, ImageSource, Pixels, TaskImage, TaskImages, byte_tensor, unit_tensor};
pub use order::{Order, Stream};
pub use pairs::{HostPairs, PairBatch, PairBatches, PairStore, PreparedPair, check_crop, plane_tensor};
