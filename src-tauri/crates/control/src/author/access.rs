//! Who gains and who loses what by a change: the two contents, each asked what it shows to whom.
//!
//! It is asked with the very policy that would be signed, as of now and for an assistant without a name. What can be enumerated is
//! compared: virtual servers, tools, the reading of resources at all, and which shared credential is used. Arguments, URIs and
//! names of prompts cannot; where the policies about a tool's arguments change, that is told of the tool instead.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use model::{ConnectorId, CredentialId, ServerId, Subject, Timestamp};
use org_protocol::Content;
use policy::{Circumstance, Policy};
use serde::Serialize;

use super::compile::compile;
use crate::store::KnownPerson;

/// Who gains and who loses.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct AccessChange {
    /// Whether `who` are people; else they stand for whoever is in the groups that policies name.
    pub people: bool,
    /// How many were looked at.
    pub asked: usize,
    /// What changes for whom; those for whom the same changes are told together.
    pub changes: Vec<Change>,
    /// Tools, as `server: connector/tool`, whose arguments are judged by other policies than before, and by which.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub conditions: BTreeMap<String, BTreeSet<String>>,
}

/// What changes for somebody.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Change {
    /// For whom.
    pub who: Vec<String>,
    /// What they have that they had not.
    pub gains: BTreeSet<String>,
    /// What they have no more.
    pub loses: BTreeSet<String>,
}

/// What somebody has. In words, as it is told.
type Access = BTreeSet<String>;

/// What changes for the people, or, where none are known, for whoever is in the groups that either content's policies name.
/// `None`: one of the contents has no policy that can be asked.
pub fn access_change(
    before: &Content,
    after: &Content,
    people: &[KnownPerson],
    now: Timestamp,
) -> Option<AccessChange> {
    let (old, new) = (compile(before).ok()?, compile(after).ok()?);
    let known = known(people);
    let named = if known.is_empty() { groups(after, [&old, &new]) } else { known };
    let mut alike: BTreeMap<(Access, Access), Vec<String>> = BTreeMap::new();
    for (name, seats) in &named {
        let had = seats.iter().flat_map(|seat| seat.access(before, &old, now)).collect::<Access>();
        let has = seats.iter().flat_map(|seat| seat.access(after, &new, now)).collect::<Access>();
        let (gains, loses) = (&has - &had, &had - &has);
        if !(gains.is_empty() && loses.is_empty()) {
            alike.entry((gains, loses)).or_default().push(name.clone());
        }
    }
    let changes = alike.into_iter().map(|((gains, loses), who)| Change { who, gains, loses });
    Some(AccessChange {
        people: !people.is_empty(),
        asked: named.len(),
        changes: changes.collect(),
        conditions: conditions(before, after, &old, &new),
    })
}

/// Somebody at a device.
struct Seat {
    subject: Subject,
    circumstance: Circumstance,
}

impl Seat {
    fn new(subject: Subject, device: Option<model::DeviceId>) -> Self {
        let now = Timestamp::from_micros(0);
        Self { subject, circumstance: Circumstance { device, ..Circumstance::of_nobody(now) } }
    }

    fn access(&self, content: &Content, policy: &Policy, now: Timestamp) -> Access {
        let circumstance = Circumstance { now, ..self.circumstance.clone() };
        let mut access = Access::new();
        for server in policy.visible_servers(&self.subject, &circumstance) {
            access.insert(format!("virtual server {server}"));
            for (connector, tool) in policy.listed(&self.subject, &server, &circumstance) {
                let asks = policy.asks(&self.subject, &server, &connector, &tool, &circumstance).is_some();
                let asking = if asks { ", asking a person" } else { "" };
                access.insert(format!("{server}: {connector}/{tool}{asking}"));
            }
            let viewer = policy.viewer(&self.subject, &server, &circumstance);
            let connectors = content.servers.get(&server).map(|spec| spec.connectors.as_slice());
            for connector in connectors.unwrap_or_default() {
                if viewer.shows_templates(connector) {
                    access.insert(format!("{server}: resources of {connector}"));
                }
                if let Some(credential) = policy.lends(&self.subject, &server, connector, &circumstance) {
                    access.insert(with_credential(&server, connector, &credential));
                }
            }
        }
        access
    }
}

fn with_credential(server: &ServerId, connector: &ConnectorId, credential: &CredentialId) -> String {
    format!("{server}: {connector} with credential {credential}")
}

/// The people by name, each at every device that they were seen at.
fn known(people: &[KnownPerson]) -> BTreeMap<String, Vec<Seat>> {
    let mut named: BTreeMap<String, Vec<Seat>> = BTreeMap::new();
    for KnownPerson { device, subject } in people {
        let name = match &subject.email {
            Some(email) => email.clone(),
            None => subject.subject.clone(),
        };
        named.entry(name).or_default().push(Seat::new(subject.clone(), Some(*device)));
    }
    named
}

/// Somebody in none of the groups, and somebody in each of them alone.
fn groups(content: &Content, policies: [&Policy; 2]) -> BTreeMap<String, Vec<Seat>> {
    let somebody = |groups: &[String]| Subject {
        issuer: content.org.identity_provider.issuer.to_string(),
        subject: "somebody".to_owned(),
        email: None,
        name: None,
        groups: groups.iter().cloned().collect(),
        attributes: BTreeMap::new(),
    };
    let all: BTreeSet<String> = policies.into_iter().flat_map(Policy::groups).collect();
    let in_one = |group: String| {
        let seat = Seat::new(somebody(std::slice::from_ref(&group)), None);
        (format!("whoever is in {group} alone"), vec![seat])
    };
    std::iter::once(("whoever is in no group".to_owned(), vec![Seat::new(somebody(&[]), None)]))
        .chain(all.into_iter().map(in_one))
        .collect()
}

/// The tools that both offer, of whose arguments other policies are asked.
fn conditions(
    before: &Content,
    after: &Content,
    old: &Policy,
    new: &Policy,
) -> BTreeMap<String, BTreeSet<String>> {
    let mut found = BTreeMap::new();
    for server in after.servers.keys().filter(|server| before.servers.contains_key(*server)) {
        let (had, has) = (old.conditions(server), new.conditions(server));
        for ((connector, tool), after) in &has {
            let Some(before) = had.get(&(connector.clone(), tool.clone())) else { continue };
            let ids = before.keys().chain(after.keys()).filter(|id| before.get(*id) != after.get(*id));
            let ids: BTreeSet<String> = ids.map(ToString::to_string).collect();
            if !ids.is_empty() {
                found.insert(format!("{server}: {connector}/{tool}"), ids);
            }
        }
    }
    found
}

/// How many of those for whom the same changes are named.
const NAMED: usize = 5;

impl fmt::Display for AccessChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { people, asked, changes, conditions } = self;
        match (people, changes.is_empty()) {
            (true, true) => write!(f, "None of the {asked} people who are known gains or loses anything.")?,
            (true, false) => write!(f, "Who gains and loses, of {asked} people who are known:")?,
            (false, true) => {
                f.write_str("Nobody gains or loses anything, by the groups that policies name.")?
            }
            (false, false) => f.write_str("Who gains and loses, by the groups that policies name:")?,
        }
        for change in changes {
            write!(f, "\n  {change}")?;
        }
        if !conditions.is_empty() {
            f.write_str("\nOther policies judge the arguments of:")?;
        }
        for (tool, ids) in conditions {
            let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
            write!(f, "\n  {tool} ({})", ids.join(", "))?;
        }
        Ok(())
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { who, gains, loses } = self;
        let named: Vec<&str> = who.iter().take(NAMED).map(String::as_str).collect();
        f.write_str(&named.join(", "))?;
        if let Some(more) = who.len().checked_sub(NAMED).filter(|more| *more > 0) {
            write!(f, " and {more} more")?;
        }
        for (word, things) in [("gains", gains), ("loses", loses)] {
            for thing in things {
                write!(f, "\n    {word} {thing}")?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
