//! Early stoppers (interface; see `engine`).
mod engine;
pub use engine::Stoppers;
