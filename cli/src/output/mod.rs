//! Everything that reaches a terminal, a pipe or a file: the screen, numbers and times for people, tables, ProtoJSON.

pub(crate) mod human;
pub(crate) mod protojson;
mod screen;
pub(crate) mod table;

pub(crate) use screen::{Screen, Style};
