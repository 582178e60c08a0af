//! Data sets of infrared and visible pairs, labels, splits, augmentation, rendered scenes.
