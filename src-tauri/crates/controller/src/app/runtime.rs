//! The runtime that Deskgate runs on.

use model::Advice;
use tokio::runtime::{Builder, Runtime};

/// The stack of the runtime's threads, in bytes: as much as a program's first thread has. What is made for a call lies on it
/// for a moment, unoptimized builds make several copies, and an overflow ends the program. Only what is touched takes memory.
const STACK: usize = 8 * 1024 * 1024;

/// One worker: a call waits for the disk and for the connector, not for the processor, and a second worker costs every
/// call more in waking each other than it takes over. So nothing may hold the worker up: what takes long or blocks -
/// the disk, the keychain, compiling policies - happens on the runtime's other threads.
///
/// # Errors
/// When the system gives no thread.
pub fn runtime() -> std::io::Result<Runtime> {
    Builder::new_multi_thread()
        .worker_threads(1)
        .thread_stack_size(STACK)
        .thread_name("deskgate")
        .enable_all()
        .build()
}

/// Does what blocks on one of the runtime's other threads.
///
/// # Errors
/// That of `work`, or that the program is ending.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Advice> + Send + 'static,
) -> Result<T, Advice> {
    blocking_or(Advice::new("stopping", "Deskgate is being ended.", "Nothing was changed.", ""), work).await
}

/// The same, where `ended` says that the program is ending.
///
/// # Errors
/// That of `work`, or `ended`.
pub(super) async fn blocking_or<T: Send + 'static, E: Send + 'static>(
    ended: E,
    work: impl FnOnce() -> Result<T, E> + Send + 'static,
) -> Result<T, E> {
    tokio::task::spawn_blocking(work).await.unwrap_or(Err(ended))
}
