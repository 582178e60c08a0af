//! What crosses crates: engine parity, round trips, the whole chain.
