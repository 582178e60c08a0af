//! The fifteen fusion-loss terms, their saliency masks and VGG-16 features, on libtorch.
