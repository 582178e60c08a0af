//! Fuses live camera streams and detects: capture, pairing, inference, sinks, health.
