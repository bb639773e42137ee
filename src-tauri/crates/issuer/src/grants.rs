//! Grants: one consent to one virtual server, with the digests of its tokens. The check of an access token is a look-up.
//!
//! A grant's refresh token is rotated at every use (OAuth 2.1, section 4.3.1). A spent one ends the whole grant, for it
//! cannot be told who of the two that hold it is the assistant (RFC 9700, section 4.14.2).

use std::collections::BTreeSet;
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use model::{Digest, ServerId, Subject, Timestamp};

use crate::ledger::{FORMAT, Ledger};
use crate::secret::{FamilyHandle, FamilyId, RandomFault, Secret, is_access};
use crate::table::{AccessRecord, Family, GrantRecord, Table};
use crate::{
    AccessGrant, AssistantGrant, Event, Limits, RecordKind, RevocationCause, StoreFault, TokenFault,
};

/// How many unexpired access tokens of one grant are good at a time: refreshing ends none that calls in flight still use.
const ACCESS_TOKENS: usize = 4;

/// What a person agreed to.
pub(crate) struct Agreement {
    pub(crate) client_id: String,
    pub(crate) client_name: String,
    pub(crate) server: ServerId,
    pub(crate) resource: String,
    pub(crate) subject: Arc<Subject>,
    pub(crate) executable: Option<String>,
}

/// A fresh pair of tokens.
pub(crate) struct Tokens {
    pub(crate) family: FamilyId,
    pub(crate) server: ServerId,
    pub(crate) access: Secret,
    pub(crate) refresh: Secret,
    pub(crate) lasts: Duration,
}

/// A refresh request (RFC 6749, section 6).
pub(crate) struct Renewal<'a> {
    pub(crate) token: &'a str,
    pub(crate) client_id: &'a str,
    pub(crate) resource: Option<&'a str>,
    pub(crate) present: Option<&'a Subject>,
}

/// Why no tokens were issued.
#[derive(Debug, thiserror::Error)]
pub(crate) enum GrantFault {
    #[error("the refresh token is not known")]
    Unknown,
    #[error("the refresh token was used before; the grant has ended")]
    Reused,
    #[error("the refresh token expired")]
    Expired,
    #[error("the refresh token was issued to another client")]
    OtherClient,
    #[error("the refresh token is for another resource")]
    OtherResource,
    #[error("the refresh token stands for another person than the one signed in")]
    OtherPerson,
    #[error(transparent)]
    Random(#[from] RandomFault),
    #[error(transparent)]
    Store(#[from] StoreFault),
}

/// All live grants. Changes are made by one writer at a time, which the caller sees to; checks go on meanwhile.
pub(crate) struct Grants {
    ledger: Ledger,
    limits: Limits,
    table: RwLock<Table>,
}

impl Grants {
    /// None yet.
    pub(crate) fn new(ledger: Ledger, limits: Limits) -> Self {
        Self { ledger, limits, table: RwLock::default() }
    }

    /// Takes up what the store holds, beside what is known. Grants for which `ours` does not name their resource are ended:
    /// the server has moved.
    pub(crate) async fn read(&self, now: Timestamp, ours: impl Fn(&ServerId) -> String) {
        let Self { ledger, .. } = self;
        let mut ended = Vec::new();
        for (key, record) in ledger.load::<GrantRecord>(RecordKind::Grant).await {
            let moved = record.resource != ours(&record.server);
            match FamilyId::of_key(&key) {
                Some(family) if !moved && record.refresh_expires > now => {
                    let mut table = self.table.write().unwrap_or_else(PoisonError::into_inner);
                    if !table.families.contains_key(&family) {
                        table.insert(family, record);
                    }
                }
                Some(_) | None => ended.push((key, record, moved)),
            }
        }
        for (key, record, moved) in ended {
            // A failure is reported by the ledger; the record is then ended again at the next start.
            let _ = ledger.delete(RecordKind::Grant, key).await;
            if moved {
                ledger.report(revoked(&record, RevocationCause::Moved));
            }
        }
    }

    /// What `token` stands for at `resource`, for the person who is `present`.
    pub(crate) fn check(
        &self,
        token: &str,
        resource: &str,
        present: Option<&Arc<Subject>>,
        now: Timestamp,
    ) -> Result<Arc<AccessGrant>, TokenFault> {
        if !is_access(token) {
            return Err(TokenFault::Unknown);
        }
        let digest = Digest::of(token.as_bytes());
        let table = self.table.read().unwrap_or_else(PoisonError::into_inner);
        let access = table.access.get(&digest).ok_or(TokenFault::Unknown)?;
        if access.grant.expires <= now {
            return Err(TokenFault::Expired);
        }
        if *access.resource != *resource {
            return Err(TokenFault::Audience);
        }
        let present = present.ok_or(TokenFault::SignedOut)?;
        access.used.fetch_max(now.micros(), Ordering::Relaxed);
        if Arc::ptr_eq(&access.grant.subject, present) || access.grant.subject == *present {
            return Ok(Arc::clone(&access.grant));
        }
        if !access.grant.subject.is_same_person(present) {
            return Err(TokenFault::OtherPerson);
        }
        drop(table);
        self.describe_anew(&digest, present)
    }

    /// Issues the first tokens of a grant; durable on return.
    pub(crate) async fn issue(&self, agreement: &Agreement, now: Timestamp) -> Result<Tokens, GrantFault> {
        self.make_room(agreement).await?;
        let handle = FamilyHandle::fresh()?;
        let (access, refresh) = (Secret::access()?, Secret::refresh(&handle)?);
        let mut record = self.first_record(agreement, refresh.digest(), now);
        record.access.push(self.access_record(&access, now));
        self.keep(handle.id(), record).await?;
        Ok(self.tokens(handle.id(), agreement.server.clone(), access, refresh))
    }

    /// The grant that stands for local connections of a client to a virtual server, kept as others are; durable on return.
    /// Nobody holds a token of it.
    pub(crate) async fn admit(&self, agreement: &Agreement, now: Timestamp) -> Result<FamilyId, GrantFault> {
        let known = self.families(|family| {
            family.record.client_id == agreement.client_id
                && family.record.server == agreement.server
                && family.record.is_for(&agreement.subject)
        });
        let known = known.first().and_then(|family| Some((*family, self.record(family)?)));
        let (family, record) = match known {
            Some(known) => known,
            None => {
                let handle = FamilyHandle::fresh()?;
                (handle.id(), self.first_record(agreement, Secret::refresh(&handle)?.digest(), now))
            }
        };
        let refresh_expires = now.plus(self.limits.refresh_life);
        self.keep(family, GrantRecord { last_used: now, refresh_expires, ..record }).await?;
        Ok(family)
    }

    /// When a grant ends, if it has not ended yet; it is used at this moment.
    pub(crate) fn used(&self, family: &FamilyId, now: Timestamp) -> Result<Timestamp, TokenFault> {
        let table = self.table.read().unwrap_or_else(PoisonError::into_inner);
        let family = table.families.get(family).ok_or(TokenFault::Unknown)?;
        if family.record.refresh_expires <= now {
            return Err(TokenFault::Expired);
        }
        family.used.fetch_max(now.micros(), Ordering::Relaxed);
        Ok(family.record.refresh_expires)
    }

    /// Rotates a refresh token; durable on return. A spent token ends its grant.
    pub(crate) async fn renew(&self, renewal: &Renewal<'_>, now: Timestamp) -> Result<Tokens, GrantFault> {
        let handle = FamilyHandle::of_refresh(renewal.token).ok_or(GrantFault::Unknown)?;
        let family = handle.id();
        let mut record = self.record(&family).ok_or(GrantFault::Unknown)?;
        if record.client_id != renewal.client_id {
            return Err(GrantFault::OtherClient);
        }
        if record.refresh != Digest::of(renewal.token.as_bytes()) {
            self.end(&family, RevocationCause::RefreshReuse).await?;
            return Err(GrantFault::Reused);
        }
        if record.refresh_expires <= now {
            return Err(GrantFault::Expired);
        }
        if renewal.resource.is_some_and(|resource| resource != record.resource) {
            return Err(GrantFault::OtherResource);
        }
        if renewal.present.is_some_and(|present| !record.is_for(present)) {
            return Err(GrantFault::OtherPerson);
        }
        let (access, refresh) = (Secret::access()?, Secret::refresh(&handle)?);
        record.access.retain(|known| known.expires > now);
        record.access.push(self.access_record(&access, now));
        let surplus = record.access.len().saturating_sub(ACCESS_TOKENS);
        record.access.drain(..surplus);
        record.refresh = refresh.digest();
        record.refresh_expires = now.plus(self.limits.refresh_life);
        record.last_used = now;
        let server = record.server.clone();
        self.keep(family, record).await?;
        Ok(self.tokens(family, server, access, refresh))
    }

    /// The grant that a token of either kind belongs to, and whether it is the access token.
    pub(crate) fn of_token(&self, token: &str) -> Option<(FamilyId, GrantRecord, bool)> {
        let digest = Digest::of(token.as_bytes());
        let table = self.table.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(access) = table.access.get(&digest) {
            let family = table.families.get(&access.family)?;
            return Some((access.family, family.record.clone(), true));
        }
        let id = FamilyHandle::of_refresh(token)?.id();
        table.families.get(&id).map(|family| (id, family.record.clone(), false))
    }

    /// Ends one access token.
    pub(crate) async fn end_access(&self, family: FamilyId, token: &str) -> Result<(), StoreFault> {
        let digest = Digest::of(token.as_bytes());
        let record = {
            let mut table = self.table.write().unwrap_or_else(PoisonError::into_inner);
            table.access.remove(&digest);
            let Some(family) = table.families.get_mut(&family) else { return Ok(()) };
            family.record.access.retain(|known| known.digest != digest);
            family.record.clone()
        };
        self.ledger.put(RecordKind::Grant, family.key(), &record).await
    }

    /// Ends a grant with all its tokens: at once in memory, then in the store.
    pub(crate) async fn end(&self, family: &FamilyId, cause: RevocationCause) -> Result<(), StoreFault> {
        let removed = self.table.write().unwrap_or_else(PoisonError::into_inner).remove(family);
        let Some(record) = removed else { return Ok(()) };
        self.ledger.report(revoked(&record, cause));
        self.ledger.delete(RecordKind::Grant, family.key()).await
    }

    /// Ends all grants that `chosen` names; returns how many. A failure of the store ends none the less in memory.
    pub(crate) async fn end_all(
        &self,
        cause: RevocationCause,
        chosen: impl Fn(&GrantRecord) -> bool,
    ) -> Result<usize, StoreFault> {
        let families = self.families(|family| chosen(&family.record));
        let mut outcome = Ok(families.len());
        for family in families {
            if let Err(fault) = self.end(&family, cause).await {
                outcome = Err(fault);
            }
        }
        outcome
    }

    /// Lets go of what has expired.
    pub(crate) async fn sweep(&self, now: Timestamp) {
        let expired = self.families(|family| family.record.refresh_expires <= now);
        {
            let mut table = self.table.write().unwrap_or_else(PoisonError::into_inner);
            table.access.retain(|_, access| access.grant.expires > now);
            for family in &expired {
                table.remove(family);
            }
        }
        for family in expired {
            // Reported by the ledger; an expired record does no harm and is deleted at the next start.
            let _ = self.ledger.delete(RecordKind::Grant, family.key()).await;
        }
    }

    /// The clients that hold live grants.
    pub(crate) fn clients(&self) -> BTreeSet<String> {
        let table = self.table.read().unwrap_or_else(PoisonError::into_inner);
        table.families.values().map(|family| family.record.client_id.clone()).collect()
    }

    /// Every grant for display, by client id, with the client's name.
    pub(crate) fn list(&self) -> Vec<(String, String, AssistantGrant)> {
        let table = self.table.read().unwrap_or_else(PoisonError::into_inner);
        table.families.values().map(Family::shown).collect()
    }

    async fn keep(&self, family: FamilyId, record: GrantRecord) -> Result<(), StoreFault> {
        self.ledger.put(RecordKind::Grant, family.key(), &record).await?;
        self.table.write().unwrap_or_else(PoisonError::into_inner).insert(family, record);
        Ok(())
    }

    /// Ends the least recently used grants of the client at the server, until there is room for one more.
    async fn make_room(&self, agreement: &Agreement) -> Result<(), StoreFault> {
        let mut rivals = self.families(|family| {
            family.record.client_id == agreement.client_id && family.record.server == agreement.server
        });
        {
            let table = self.table.read().unwrap_or_else(PoisonError::into_inner);
            rivals.sort_by_key(|id| table.families.get(id).map(Family::last_used));
        }
        let surplus = (rivals.len() + 1).saturating_sub(self.limits.grants_per_client);
        for family in rivals.iter().take(surplus) {
            self.end(family, RevocationCause::Bound).await?;
        }
        Ok(())
    }

    /// The same person is described anew (other groups): so is the grant from now on.
    fn describe_anew(&self, digest: &Digest, present: &Arc<Subject>) -> Result<Arc<AccessGrant>, TokenFault> {
        let mut table = self.table.write().unwrap_or_else(PoisonError::into_inner);
        let access = table.access.get_mut(digest).ok_or(TokenFault::Unknown)?;
        let grant = AccessGrant { subject: Arc::clone(present), ..AccessGrant::clone(&access.grant) };
        access.grant = Arc::new(grant);
        Ok(Arc::clone(&access.grant))
    }

    fn record(&self, family: &FamilyId) -> Option<GrantRecord> {
        let table = self.table.read().unwrap_or_else(PoisonError::into_inner);
        table.families.get(family).map(|family| family.record.clone())
    }

    fn families(&self, chosen: impl Fn(&Family) -> bool) -> Vec<FamilyId> {
        let table = self.table.read().unwrap_or_else(PoisonError::into_inner);
        table.families.iter().filter(|(_, family)| chosen(family)).map(|(id, _)| *id).collect()
    }

    /// A grant as it begins, without an access token.
    fn first_record(&self, agreement: &Agreement, refresh: Digest, now: Timestamp) -> GrantRecord {
        GrantRecord {
            format: FORMAT,
            client_id: agreement.client_id.clone(),
            client_name: agreement.client_name.clone(),
            server: agreement.server.clone(),
            resource: agreement.resource.clone(),
            subject: Subject::clone(&agreement.subject),
            executable: agreement.executable.clone(),
            since: now,
            last_used: now,
            access: Vec::new(),
            refresh,
            refresh_expires: now.plus(self.limits.refresh_life),
        }
    }

    fn access_record(&self, access: &Secret, now: Timestamp) -> AccessRecord {
        AccessRecord { digest: access.digest(), expires: now.plus(self.limits.access_life) }
    }

    fn tokens(&self, family: FamilyId, server: ServerId, access: Secret, refresh: Secret) -> Tokens {
        Tokens { family, server, access, refresh, lasts: self.limits.access_life }
    }
}

fn revoked(record: &GrantRecord, cause: RevocationCause) -> Event {
    Event::Revoked { client_id: record.client_id.clone(), server: record.server.clone(), cause }
}
