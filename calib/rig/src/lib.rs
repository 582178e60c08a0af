//! Camera geometry, the rig file and remap tables.
