//! The measuring stick: what a call through the gateway costs beside the same call made directly and through a relay
//! that does nothing.
//!
//! Everything is measured in one run, in turn, on the machine at hand: figures of two runs are not to be compared. Each
//! answer is checked; a wrong one ends the measurement.

mod echo;
mod light;
mod load;
mod measure;
mod meter;
mod pass_through;
mod report;
mod scale;
mod search;
mod subject;
mod toolbox;

pub use echo::Echo;
pub use light::Lightness;
pub use load::{Round, Speaker, Target, round};
pub use measure::{Plan, lightness, measure};
pub use pass_through::PassThrough;
pub use report::Report;
pub use scale::Growth;
pub use search::SearchFigures;
pub use subject::Size;

/// The newest revision with sessions.
const LEGACY: &str = "2025-11-25";
/// The revision without.
const MODERN: &str = "2026-07-28";
