//! The YOLOv5 training loss, target assignment and training recipe on libtorch.
