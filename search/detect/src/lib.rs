//! Detection geometry on plain arrays: boxes, IoU, letterbox, decoding, non-maximum suppression.
