//! kiln through its built program, and the whole of the sources. A module is a subject; `docs/testing.md` says what is asserted where.

mod bad_input;
mod boot;
mod cli;
mod cluster;
mod common;
mod disk;
mod disk_boot;
mod hardware;
mod image;
mod import;
mod layering;
mod layers;
mod profiles;
mod registry;
mod roles;
mod upstream;
