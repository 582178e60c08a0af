//! Fusion metrics and detection average precision on plain arrays.
