//! Protection against other processes of the same user.

use std::io;

/// Denies memory reads by other processes of the same user and core dumps (`PR_SET_DUMPABLE` 0, `RLIMIT_CORE` 0).
/// Called first thing in every `main`. It does not stop root or a debugger with administrator's rights.
///
/// # Errors
/// Whatever the kernel says; [`io::ErrorKind::Unsupported`] where the platform has no such call here.
#[cfg(target_os = "linux")]
pub fn harden_process() -> io::Result<()> {
    use rustix::process::{DumpableBehavior, Resource, Rlimit, set_dumpable_behavior, setrlimit};
    set_dumpable_behavior(DumpableBehavior::NotDumpable)?;
    setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) })?;
    Ok(())
}

/// Not available on this platform yet.
///
/// # Errors
/// Always [`io::ErrorKind::Unsupported`].
#[cfg(not(target_os = "linux"))]
pub fn harden_process() -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

#[cfg(test)]
#[cfg(target_os = "linux")]
mod tests {
    use super::*;

    #[test]
    fn the_kernel_confirms_both_settings() {
        use rustix::process::{DumpableBehavior, Resource, Rlimit, dumpable_behavior, getrlimit};
        harden_process().unwrap();
        assert_eq!(dumpable_behavior().unwrap(), DumpableBehavior::NotDumpable);
        assert_eq!(getrlimit(Resource::Core), Rlimit { current: Some(0), maximum: Some(0) });
    }
}
