//! Traces: what a request spent its time on, told to the organisation's collector (OTLP/HTTP with Protobuf,
//! <https://opentelemetry.io/docs/specs/otlp/#otlphttp>), where IT names one.
//!
//! Spans are made by hand and not of log lines: one says what is named here and nothing that somebody logs, so no secret, no query, no
//! person. Nobody waits for telling: what does not fit is dropped and counted.

mod config;
mod export;
mod request;
mod share;
mod span;

pub use config::{TraceConfig, TraceConfigFault};
pub(crate) use export::{Counts, Export};
pub(crate) use request::{answered, of_request, whose};
pub use share::Share;
pub(crate) use span::{Span, Traces, carried};
