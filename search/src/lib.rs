//! Loss search, training and evaluation on libtorch.
