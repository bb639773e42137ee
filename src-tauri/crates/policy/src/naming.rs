//! Cedar identifiers for names that need not be identifiers. Authors never write these; they only have to be unique.

use std::collections::BTreeSet;

use cedar_policy::pst;

/// A member's name as an identifier that is no type of Cedar's: the generator makes types named after members.
pub(crate) fn encoded(name: &str) -> String {
    if is_identifier(name) {
        return format!("m_{name}");
    }
    name.bytes().fold(String::from("x_"), |hex, byte| format!("{hex}{byte:02x}"))
}

/// Whether a name is an identifier as it stands. Cedar's own reader also takes one with white space or a comment around it,
/// which is not the same name, and reserves those that begin with `__`.
fn is_identifier(name: &str) -> bool {
    let bare = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    name.bytes().all(bare) && pst::Id::new(name).is_ok() && !name.starts_with("__")
}

/// The name that was encoded.
pub(crate) fn decoded(name: &str) -> Option<String> {
    if let Some(plain) = name.strip_prefix("m_") {
        return Some(plain.to_owned());
    }
    let digits = name.strip_prefix("x_")?;
    let bytes: Option<Vec<u8>> =
        (0..digits.len()).step_by(2).map(|at| u8::from_str_radix(digits.get(at..at + 2)?, 16).ok()).collect();
    String::from_utf8(bytes?).ok()
}

/// Cedar identifiers made from ids, no two alike.
#[derive(Default)]
pub(crate) struct Names(BTreeSet<String>);

impl Names {
    /// An identifier like the id, and unlike all before.
    pub(crate) fn fresh(&mut self, id: &str) -> String {
        let mut name = id.replace(['-', '.'], "_");
        if !is_identifier(&name) {
            name.insert_str(0, "t_");
        }
        let mut candidate = name.clone();
        let mut count = 1;
        while !self.0.insert(candidate.clone()) {
            count += 1;
            candidate = format!("{name}_{count}");
        }
        candidate
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn ids_become_identifiers_of_their_own() {
        let mut names = Names::default();
        let fresh = ["mail", "my-mail", "my.mail", "if", "2fast", "__cedar"].map(|id| names.fresh(id));
        assert_eq!(fresh, ["mail", "my_mail", "my_mail_2", "t_if", "t_2fast", "t___cedar"]);
    }

    #[test]
    fn what_only_reads_like_an_identifier_is_none() {
        for name in [" a", "a ", "a\n", "a//b", "", "if", "__a", "\u{e9}"] {
            assert!(encoded(name).starts_with("x_"), "{name:?}");
            assert_eq!(decoded(&encoded(name)).as_deref(), Some(name));
        }
        assert_eq!(encoded("a_1"), "m_a_1");
    }

    proptest! {
        #[test]
        fn every_name_is_encoded_and_read_back(name in "(\\PC|[a-zA-Z_]){0,12}") {
            let code = encoded(&name);
            prop_assert!(pst::Id::new(&code).is_ok(), "{code}");
            prop_assert_eq!(decoded(&code), Some(name));
        }
    }
}
