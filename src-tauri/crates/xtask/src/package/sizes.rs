//! How large the released programs are, and how large they may be.

use std::path::Path;

use crate::run::{Fault, say};

const MIB: u64 = 1024 * 1024;

/// The programs and their limits in MiB; the control plane has none.
const LIMITS: [(&str, Option<u64>); 3] =
    [("deskgate", Some(15)), ("deskgate-desktop", Some(25)), ("deskgate-control", None)];

/// Prints the sizes of the programs in a folder. `false` where one is too large.
///
/// # Errors
/// If a program is not there.
pub(crate) fn print(programs: &Path) -> Result<bool, Fault> {
    let mut small = true;
    for (name, limit) in LIMITS {
        let path = programs.join(name);
        let bytes = path.metadata().map_err(|source| Fault::file(&path, source))?.len();
        small &= fits(bytes, limit);
        let size = format!("{}.{} MiB", bytes / MIB, bytes % MIB * 10 / MIB);
        match limit {
            Some(limit) if fits(bytes, Some(limit)) => say(&format!("{name}: {size} of {limit}")),
            Some(limit) => say(&format!("{name}: {size}, more than the {limit} that it may have")),
            None => say(&format!("{name}: {size}")),
        }
    }
    Ok(small)
}

fn fits(bytes: u64, limit: Option<u64>) -> bool {
    limit.is_none_or(|limit| bytes <= limit * MIB)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_is_kept_to_the_byte() {
        assert!(fits(15 * MIB, Some(15)));
        assert!(!fits(15 * MIB + 1, Some(15)));
        assert!(fits(u64::MAX, None));
    }
}
