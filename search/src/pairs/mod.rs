//! Pairs on their way into libtorch: prepared once, cropped by a plan, batched in a thread of their own.
//!
//! Everything random is a function of seed and iteration, so that a resumed run sees what an uninterrupted one would have
//! seen, without any generator to save.

mod batch;
mod feed;
mod fit;
mod plan;
mod store;

pub use batch::{HostBatch, PairBatch, plane_tensor};
pub use feed::Feed;
pub use fit::check_crop;
pub use plan::{CropPlan, Stream};
pub use store::{PairStore, PreparedPair};
