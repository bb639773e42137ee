//! Tasks that calls of tools have begun (extension `io.modelcontextprotocol/tasks`): which connector has which, and what
//! call began it. Whatever is done with a task is decided on like that call.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use issuer::AccessGrant;
use model::{AccountId, Timestamp, ToolName};

use crate::approval::Leave;
use crate::whose::{Whose, make_room};

/// The most tasks of one assistant that are remembered; its oldest is forgotten first.
const MOST_OF_CLIENT: usize = 128;
/// The most tasks in all.
const MOST: usize = 4096;
/// The longest arguments that a task is remembered with, in bytes.
const LONGEST: usize = 64 * 1024;

/// All tasks.
#[derive(Debug, Default)]
pub(crate) struct Tasks(Mutex<HashMap<Key, Arc<Task>>>);

/// Whose task it is, and its id. A connector's ids are its own; another assistant's are none of this one's business.
type Key = (Whose, String);

/// One task.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Task {
    /// The account that it was begun with.
    pub(crate) account: AccountId,
    pub(crate) tool: ToolName,
    /// The arguments of the call that began it.
    pub(crate) arguments: Arc<str>,
    /// The leave that it was begun by, where a person was asked.
    pub(crate) leave: Option<Leave>,
    begun: Timestamp,
}

impl Tasks {
    /// Remembers a task that a call of this tool began.
    #[expect(clippy::too_many_arguments, reason = "they are those of the call")]
    pub(crate) fn began(
        &self,
        grant: &AccessGrant,
        id: String,
        account: &AccountId,
        tool: &ToolName,
        arguments: &str,
        leave: Option<Leave>,
        begun: Timestamp,
    ) {
        if arguments.len() > LONGEST {
            return tracing::warn!(%account, "a task is not remembered: its call was too long");
        }
        let (account_of, arguments) = (account.clone(), arguments.into());
        let task = Task { account: account_of, tool: tool.clone(), arguments, leave, begun };
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (Whose::of(grant), id);
        make_room(
            &mut all,
            MOST_OF_CLIENT,
            |(whose, _), _| whose.is_client(&key.0),
            |_| true,
            |task| task.begun,
        );
        make_room(&mut all, MOST, |_, _| true, |_| true, |task| task.begun);
        match all.get(&key) {
            // Whose it is cannot be told, and one of them would be told what is meant for the other.
            Some(other) if other.account != *account => {
                tracing::warn!(%account, other = %other.account, "two tasks have the same id");
                all.remove(&key);
            }
            Some(_) | None => {
                all.insert(key, Arc::new(task));
            }
        }
    }

    /// The task of this id.
    pub(crate) fn find(&self, grant: &AccessGrant, id: &str) -> Option<Arc<Task>> {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.get(&(Whose::of(grant), id.to_owned())).cloned()
    }
}

#[cfg(test)]
mod tests {
    use model::Subject;

    use super::*;

    fn grant(client: &str, person: &str, server: &str) -> AccessGrant {
        AccessGrant {
            client_id: client.to_owned(),
            client_name: client.to_owned(),
            subject: Arc::new(Subject::local(person)),
            server: server.parse().unwrap(),
            expires: Timestamp::from_seconds(1_000),
            executable: None,
            process: None,
        }
    }

    #[test]
    fn a_task_is_its_beginner_s_and_its_connector_s() {
        let (tasks, ann) = (Tasks::default(), grant("a", "ann", "desk"));
        let began = |account: &str| {
            let (account, tool) = (account.parse().unwrap(), "slow".parse().unwrap());
            tasks.began(&ann, "t".to_owned(), &account, &tool, "{}", None, Timestamp::from_seconds(1));
        };
        began("jobs");
        began("jobs");
        assert_eq!(tasks.find(&ann, "t").unwrap().account.to_string(), "jobs");
        for other in [grant("b", "ann", "desk"), grant("a", "bob", "desk"), grant("a", "ann", "other")] {
            assert_eq!(tasks.find(&other, "t"), None);
        }
        for other in ["jobs/another", "other"] {
            began("jobs");
            began(other);
            assert_eq!(tasks.find(&ann, "t"), None, "nobody takes it over, not another account either");
        }
    }

    #[test]
    fn the_oldest_of_too_many_is_forgotten() {
        let (tasks, ann) = (Tasks::default(), grant("a", "ann", "desk"));
        for number in 0..=MOST_OF_CLIENT {
            let at = Timestamp::from_seconds(i64::try_from(number).unwrap());
            let (account, tool) = ("jobs".parse().unwrap(), "slow".parse().unwrap());
            tasks.began(&ann, number.to_string(), &account, &tool, "{}", None, at);
        }
        assert_eq!(tasks.find(&ann, "0"), None);
        assert!(tasks.find(&ann, "1").is_some() && tasks.find(&ann, &MOST_OF_CLIENT.to_string()).is_some());
    }
}
