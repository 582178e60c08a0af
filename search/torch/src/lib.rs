//! Runs a caf-net graph on libtorch with parameters as an argument; optimisers and devices.
