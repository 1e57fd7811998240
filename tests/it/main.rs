//! Tests of the built `kiln` program and of the source tree. Each module is a subject;
//! `docs/testing.md` lists what is asserted where.

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
