//! Weight files: safetensors in and out, original checkpoints read without executing them.
