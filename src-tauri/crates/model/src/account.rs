//! Which of a person's accounts is meant, at which connector.

use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::{AccountName, ConnectorId, IdFault};

/// Between connector and account, where the account is named. No id has it.
const SEPARATOR: char = '/';

impl AccountName {
    /// Whether it is the account that is used where none is named.
    pub fn is_default(&self) -> bool {
        self.as_str() == Self::DEFAULT
    }
}

/// One account of a person at a connector; of a connector without accounts of people, the connector itself. As text `mail`, or
/// `mail/shared-inbox` where the account is another one than the default.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct AccountId {
    /// The connector.
    pub connector: ConnectorId,
    /// The account's name.
    pub account: AccountName,
}

impl AccountId {
    /// The account that is used where none is named.
    pub fn default_of(connector: ConnectorId) -> Self {
        Self { connector, account: AccountName::default() }
    }

    /// The connector's title as people read it: with the account, where it is another one than the default.
    pub fn titled(&self, connector: &str) -> String {
        if self.account.is_default() {
            connector.to_owned()
        } else {
            format!("{connector} ({})", self.account)
        }
    }
}

impl std::fmt::Display for AccountId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.account.is_default() {
            self.connector.fmt(f)
        } else {
            write!(f, "{}{SEPARATOR}{}", self.connector, self.account)
        }
    }
}

impl FromStr for AccountId {
    type Err = IdFault;

    fn from_str(text: &str) -> Result<Self, IdFault> {
        let Some((connector, account)) = text.split_once(SEPARATOR) else {
            return Ok(Self::default_of(text.parse()?));
        };
        Ok(Self { connector: connector.parse()?, account: account.parse()? })
    }
}

impl TryFrom<String> for AccountId {
    type Error = IdFault;

    fn try_from(text: String) -> Result<Self, IdFault> {
        text.parse()
    }
}

impl From<AccountId> for String {
    fn from(id: AccountId) -> Self {
        id.to_string()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn id() -> impl Strategy<Value = AccountId> {
        ("[a-z][a-z0-9-]{0,30}", prop_oneof![Just("default".to_owned()), "[a-z][a-z0-9-]{0,30}"]).prop_map(
            |(connector, account)| AccountId {
                connector: connector.parse().unwrap(),
                account: account.parse().unwrap(),
            },
        )
    }

    proptest! {
        #[test]
        fn an_account_is_read_as_it_was_written_and_two_are_never_written_alike(one in id(), other in id()) {
            prop_assert_eq!(&one.to_string().parse::<AccountId>().unwrap(), &one);
            prop_assert_eq!(one.to_string() == other.to_string(), one == other);
        }
    }

    #[test]
    fn an_account_that_nobody_named_is_written_as_its_connector() {
        let mail: AccountId = "mail".parse().unwrap();
        assert_eq!((mail.titled("Mail"), mail.to_string()), ("Mail".to_owned(), "mail".to_owned()));
        assert_eq!("mail/default".parse(), Ok(mail));
        let inbox: AccountId = "mail/shared-inbox".parse().unwrap();
        assert_eq!(inbox.titled("Mail"), "Mail (shared-inbox)");
        for wrong in ["", "/", "mail/", "/work", "mail/work/home", "mail/Work", "mail/../x"] {
            assert!(wrong.parse::<AccountId>().is_err(), "{wrong}");
        }
    }
}
