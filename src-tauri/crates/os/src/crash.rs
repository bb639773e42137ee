//! Where a test has the program die in the middle of [`crate::write_durable`], as by a crash. Builds without debug
//! assertions, and so all that is handed out, hold nothing of it.

use std::path::Path;

/// How far the replacement of a file has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    /// Nothing was done.
    Begun,
    /// The new bytes are in a temporary file.
    Written,
    /// They are on disk.
    Synced,
    /// They have the file's name.
    Renamed,
    /// The name is on disk.
    Durable,
}

/// Dies if `DESKGATE_CRASH_AT` asks for it: `<step> <n> <path>` stands for the `n`th time that a file whose path
/// holds `<path>` comes to this step.
#[cfg(debug_assertions)]
pub(crate) fn reached(path: &Path, step: Step) {
    static PLAN: std::sync::LazyLock<Option<Plan>> =
        std::sync::LazyLock::new(|| Plan::read(&std::env::var("DESKGATE_CRASH_AT").ok()?));
    if PLAN.as_ref().is_some_and(|plan| plan.is_due(path, step)) {
        std::process::abort();
    }
}

#[cfg(not(debug_assertions))]
pub(crate) fn reached(_path: &Path, _step: Step) {}

#[cfg(debug_assertions)]
struct Plan {
    step: Step,
    path: String,
    left: std::sync::atomic::AtomicUsize,
}

#[cfg(debug_assertions)]
impl Plan {
    fn read(text: &str) -> Option<Self> {
        let mut words = text.splitn(3, ' ');
        let step = match words.next()? {
            "begun" => Step::Begun,
            "written" => Step::Written,
            "synced" => Step::Synced,
            "renamed" => Step::Renamed,
            "durable" => Step::Durable,
            _ => return None,
        };
        let left = words.next()?.parse::<usize>().ok()?.into();
        Some(Self { step, path: words.next()?.to_owned(), left })
    }

    fn is_due(&self, path: &Path, step: Step) -> bool {
        use std::sync::atomic::Ordering;
        step == self.step
            && path.to_string_lossy().contains(&self.path)
            && self.left.fetch_sub(1, Ordering::SeqCst) == 1
    }
}

#[cfg(all(test, debug_assertions))]
mod tests {
    use super::*;

    #[test]
    fn a_plan_is_due_once_at_its_step_of_its_file() {
        let plan = Plan::read("renamed 2 vault/grant").unwrap();
        let (grant, index) = (Path::new("/home/vault/grant/1"), Path::new("/home/vault/index"));
        let met = [
            (grant, Step::Written),
            (grant, Step::Renamed),
            (index, Step::Renamed),
            (grant, Step::Renamed),
            (grant, Step::Renamed),
        ];
        let due: Vec<bool> = met.into_iter().map(|(path, step)| plan.is_due(path, step)).collect();
        assert_eq!(due, [false, false, false, true, false]);
        assert!(Plan::read("melted 1 vault").is_none());
    }
}
