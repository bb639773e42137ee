//! What a fact is, for a call.

use std::collections::{BTreeMap, BTreeSet};

use cedar_policy::RestrictedExpression;

/// A fact, or a part of one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Value {
    Bool(bool),
    Long(i64),
    Text(String),
    Texts(BTreeSet<String>),
    Record(BTreeMap<&'static str, Value>),
}

impl Value {
    /// The value as policies see it.
    pub(crate) fn expression(&self) -> Option<RestrictedExpression> {
        let text = |text: &String| RestrictedExpression::new_string(text.clone());
        Some(match self {
            Self::Bool(value) => RestrictedExpression::new_bool(*value),
            Self::Long(value) => RestrictedExpression::new_long(*value),
            Self::Text(value) => text(value),
            Self::Texts(values) => RestrictedExpression::new_set(values.iter().map(text)),
            Self::Record(members) => {
                return record(members.iter().map(|(name, value)| (*name, value)));
            }
        })
    }
}

/// A record of values; none where a name stands in it twice.
pub(crate) fn record<'a>(
    members: impl Iterator<Item = (&'a str, &'a Value)>,
) -> Option<RestrictedExpression> {
    let fields: Option<Vec<_>> =
        members.map(|(name, value)| Some((name.to_owned(), value.expression()?))).collect();
    RestrictedExpression::new_record(fields?).ok()
}

/// As Cedar would write it.
impl std::fmt::Display for Value {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Bool(value) => write!(f, "{value}"),
            Self::Long(value) => write!(f, "{value}"),
            Self::Text(value) => write!(f, "{value:?}"),
            Self::Texts(values) => f.debug_list().entries(values).finish(),
            Self::Record(members) => {
                f.write_str("{")?;
                for (at, (name, value)) in members.iter().enumerate() {
                    write!(f, "{}{name}: {value}", if at == 0 { "" } else { ", " })?;
                }
                f.write_str("}")
            }
        }
    }
}
