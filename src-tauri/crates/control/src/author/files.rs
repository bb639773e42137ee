//! Files that others read while they are written.

use std::fs::File;
use std::io::{self, Write as _};
use std::path::Path;

/// Replaces a file in one step, so that whoever reads it meanwhile sees all of the old one or all of the new one. The new one
/// is on disk before it has the name; until then it is a hidden file beside it. The folder is made if need be. Who may read both is
/// for the umask to say.
pub(super) fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    path.parent().map_or(Ok(()), std::fs::create_dir_all)?;
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let fresh = path.with_file_name(format!(".{name}.new"));
    let mut file = File::create(&fresh)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    drop(file);
    std::fs::rename(&fresh, path)
}
