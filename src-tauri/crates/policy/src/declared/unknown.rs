//! Why a fact cannot be told. Each is one of its own, and each says what to write instead.

/// A fact that a policy asks for, and that cannot be told of a call.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the fact {fact} is not known: {why}")]
pub struct UnknownFact {
    /// Its name.
    pub fact: String,
    /// Why.
    pub why: Unknown,
}

/// Why a fact cannot be told. What the caller wrote is not repeated, but for the name of a function.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unknown {
    /// The argument is not of the type that its tool declares.
    #[error("its argument could not be read")]
    Argument,
    /// There is no statement.
    #[error("there is no statement")]
    NoStatement,
    /// More than one.
    #[error("there is more than one statement")]
    Several,
    /// More than a statement that a person reads has.
    #[error("the statement is too long or too deeply nested to be read")]
    TooLong,
    /// Readers of SQL could disagree on it: escapes, odd characters, parts of texts.
    #[error("the statement has characters or quotes that can be read in more than one way")]
    Spelling,
    /// It does not follow the grammar that is known here.
    #[error("the statement could not be understood")]
    NotUnderstood,
    /// What it does does not follow from its text: `EXECUTE`, `DO`, `SET`, `COPY` of files and the like.
    #[error("it is not one of the kinds of statement whose reach is known")]
    Kind,
    /// Where the table lies depends on the session.
    #[error("a table is named without its schema")]
    NoSchema,
    /// A name that no policy could write.
    #[error(
        "a table is named by more than schema and table, or by a name that policies cannot tell from another"
    )]
    Name,
    /// Rows come from something else than tables.
    #[error("it reads from something that is no table")]
    NoTable,
    /// A function may reach anything.
    #[error("it calls the function {0}, whose reach is not known")]
    Function(String),
    /// Not an absolute URL.
    #[error("it is not an absolute URL")]
    NotAUrl,
    /// A scheme whose URLs have no host, or other rules.
    #[error("its scheme is none of http, https, ws, wss and ftp")]
    Scheme,
    /// Readers of URLs could disagree on it.
    #[error("the URL can be read in more than one way")]
    AmbiguousUrl,
    /// It leads above where it begins.
    #[error("the path leads above its beginning")]
    Above,
    /// Readers of paths could disagree on it.
    #[error("the path can be read in more than one way")]
    AmbiguousPath,
    /// Not a plain mail address.
    #[error("there is a mail address that is not plainly name@domain")]
    Address,
}

impl Unknown {
    /// What to write instead.
    pub fn instead(&self) -> &'static str {
        match self {
            Self::Argument => "Write the argument as the tool declares it.",
            Self::NoStatement | Self::Several => {
                "Name each table with its schema, and send one statement at a time."
            }
            Self::TooLong => "Send shorter statements.",
            Self::Spelling => {
                "Write the statement with plain quotes, without escapes, prefixes of texts or special characters."
            }
            Self::NotUnderstood => "Write it as plain PostgreSQL, with each table as schema.table.",
            Self::Kind => "Use SELECT, INSERT, UPDATE or DELETE, and name each table with its schema.",
            Self::NoSchema | Self::Name => "Name each table as schema.table, one statement at a time.",
            Self::NoTable => "Read from tables, each named with its schema.",
            Self::Function(_) => "Leave the function out, or use one of the database's plain ones.",
            Self::NotAUrl | Self::Scheme => "Give the whole URL, such as https://host/path.",
            Self::AmbiguousUrl => {
                "Write the URL without user names, backslashes, double slashes or encoded delimiters."
            }
            Self::Above | Self::AmbiguousPath => {
                "Write the whole path with single slashes, without .., ~, backslashes or percent signs."
            }
            Self::Address => "Write each address as name@domain and nothing else.",
        }
    }
}
