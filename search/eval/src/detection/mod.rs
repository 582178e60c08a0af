//! Detection average precision.
