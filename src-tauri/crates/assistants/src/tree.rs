//! What a configuration file says, in whichever format: enough to compare two states of it and to read an entry.

use serde_json::Value;

/// A value of a file. Members keep their order.
#[derive(Debug, Clone)]
pub(crate) enum Tree {
    /// A string.
    Text(String),
    /// A number, truth value, date or nothing, as it is written.
    Other(String),
    /// A list.
    List(Vec<Tree>),
    /// An object, table or mapping.
    Map(Vec<(String, Tree)>),
}

/// Two say the same in whatever order their members stand; those of one name keep theirs.
impl PartialEq for Tree {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Text(one), Self::Text(other)) | (Self::Other(one), Self::Other(other)) => one == other,
            (Self::List(one), Self::List(other)) => one == other,
            (Self::Map(one), Self::Map(other)) => one.len() == other.len() && sorted(one) == sorted(other),
            (Self::Text(_) | Self::Other(_) | Self::List(_) | Self::Map(_), _) => false,
        }
    }
}

impl Eq for Tree {}

fn sorted(members: &[(String, Tree)]) -> Vec<&(String, Tree)> {
    let mut sorted: Vec<_> = members.iter().collect();
    sorted.sort_by(|(one, _), (other, _)| one.cmp(other));
    sorted
}

/// A name stands twice where it must stand once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Twice(pub(crate) String);

impl Tree {
    /// What stands at a path; nothing where there is nothing.
    pub(crate) fn at(&self, path: &[&str]) -> Result<Option<&Self>, Twice> {
        let Some((first, rest)) = path.split_first() else { return Ok(Some(self)) };
        let Self::Map(members) = self else { return Ok(None) };
        let mut named = members.iter().filter(|(name, _)| name == first);
        match (named.next(), named.next()) {
            (Some(_), Some(_)) => Err(Twice((*first).to_owned())),
            (Some((_, value)), None) => value.at(rest),
            (None, _) => Ok(None),
        }
    }

    /// Whether nothing is in it.
    pub(crate) fn is_empty(&self) -> bool {
        match self {
            Self::Map(members) => members.is_empty(),
            Self::List(items) => items.is_empty(),
            Self::Other(text) => matches!(text.as_str(), "" | "null" | "~"),
            Self::Text(_) => false,
        }
    }

    /// The same without what stands at a path, and without what is empty on the way there.
    pub(crate) fn without(&self, path: &[&str]) -> Self {
        let (Self::Map(members), Some((first, rest))) = (self, path.split_first()) else {
            return self.clone();
        };
        let kept = members.iter().filter_map(|(name, value)| {
            if name != first {
                return Some((name.clone(), value.clone()));
            }
            let less = if rest.is_empty() { return None } else { value.without(rest) };
            (!less.is_empty()).then(|| (name.clone(), less))
        });
        Self::Map(kept.collect())
    }

    pub(crate) fn text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            Self::Other(_) | Self::List(_) | Self::Map(_) => None,
        }
    }
}

impl From<&Tree> for Value {
    fn from(tree: &Tree) -> Self {
        match tree {
            Tree::Text(text) => Self::from(text.as_str()),
            Tree::Other(text) => serde_json::from_str(text).unwrap_or_else(|_| Self::from(text.as_str())),
            Tree::List(items) => Self::from(items.iter().map(Self::from).collect::<Vec<_>>()),
            Tree::Map(members) => {
                Self::Object(members.iter().map(|(name, value)| (name.clone(), Self::from(value))).collect())
            }
        }
    }
}

impl From<&Value> for Tree {
    fn from(value: &Value) -> Self {
        match value {
            Value::String(text) => Self::Text(text.clone()),
            Value::Array(items) => Self::List(items.iter().map(Self::from).collect()),
            Value::Object(members) => {
                Self::Map(members.iter().map(|(name, value)| (name.clone(), Self::from(value))).collect())
            }
            Value::Null | Value::Bool(_) | Value::Number(_) => Self::Other(value.to_string()),
        }
    }
}
