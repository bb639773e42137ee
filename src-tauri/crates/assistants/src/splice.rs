//! A change of a text at one place, which can be taken back.

use serde::{Deserialize, Serialize};

/// At `at` in the text before, `removed` is replaced by `inserted`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Splice {
    /// Bytes from the beginning of the text before.
    pub at: usize,
    /// What stood there.
    pub removed: String,
    /// What stands there now.
    pub inserted: String,
}

impl Splice {
    /// Puts something in.
    pub(crate) fn insert(at: usize, inserted: impl Into<String>) -> Self {
        Self { at, removed: String::new(), inserted: inserted.into() }
    }

    /// Takes out what stands from `at` to `end`.
    pub(crate) fn remove(text: &str, at: usize, end: usize) -> Option<Self> {
        Some(Self { at, removed: text.get(at..end)?.to_owned(), inserted: String::new() })
    }
}

/// The text after all splices, which stand in order and do not overlap; nothing where the text is not the one before.
pub(crate) fn apply(text: &str, splices: &[Splice]) -> Option<String> {
    let mut after = String::with_capacity(text.len() + 256);
    let mut from = 0;
    for splice in splices {
        after.push_str(text.get(from..splice.at)?);
        from = splice.at.checked_add(splice.removed.len())?;
        if text.get(splice.at..from)? != splice.removed {
            return None;
        }
        after.push_str(&splice.inserted);
    }
    after.push_str(text.get(from..)?);
    Some(after)
}

/// The splices that lead back from the text after.
pub(crate) fn inverse(splices: &[Splice]) -> Option<Vec<Splice>> {
    let (mut put_in, mut taken_out) = (0_usize, 0_usize);
    let mut back = Vec::with_capacity(splices.len());
    for Splice { at, removed, inserted } in splices {
        let at = at.checked_add(put_in)?.checked_sub(taken_out)?;
        back.push(Splice { at, removed: inserted.clone(), inserted: removed.clone() });
        put_in = put_in.checked_add(inserted.len())?;
        taken_out = taken_out.checked_add(removed.len())?;
    }
    Some(back)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn splices_are_taken_back() {
        let splices =
            [Splice::insert(1, ","), Splice { at: 3, removed: "d".to_owned(), inserted: "DDD".to_owned() }];
        let after = apply("abcdef", &splices);
        assert_eq!(after.as_deref(), Some("a,bcDDDef"));
        let back = inverse(&splices).unwrap();
        assert_eq!(apply("a,bcDDDef", &back).as_deref(), Some("abcdef"));
        assert_eq!(apply("a,bcXXXef", &back), None, "another text is not guessed at");
        assert_eq!(apply("a", &back), None);
    }
}
