//! Methods of fusing side by side on one set of pairs: images of all, one table of metrics with ranks, times and costs, one page.
//!
//! ```text
//! pairs ── fused/METHOD/NAME.png ── values/METHOD.jsonl ──► table.csv, table.md, images.csv, compare.json, report.html
//! ```
//!
//! What is there already is kept as long as method, pair and image are the same: a row of `values` names them by their hashes.

mod entrant;
mod page;
mod rows;
mod run;
mod table;
mod zoom;

pub use entrant::{Entrant, Source};
pub use page::{Drawn, draw};
pub use rows::Row;
pub use run::{Comparison, Measured};
pub use table::{Line, Table};
