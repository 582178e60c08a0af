//! Graph and weights to ONNX: folding, pre- and post-processing inside the graph, verification.
