//! What the shipped packages happen not to do.
