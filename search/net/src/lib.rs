//! Networks as data: a graph of named ops with shapes, and the zoo built with it.
