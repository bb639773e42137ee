//! Authorization codes: single use, short-lived, in memory only. A restart forgets them, which only asks for another try.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use model::{Digest, ListeningProcess, Timestamp};

use crate::grants::Agreement;
use crate::pkce::Challenge;
use crate::secret::FamilyId;

/// How long a redeemed code is remembered, so that its reuse ends what was issued from it.
const MEMORY: Duration = Duration::from_secs(10 * 60);

/// What a code is bound to.
pub(crate) struct Binding {
    pub(crate) agreement: Agreement,
    /// As the request wrote it, with its port.
    pub(crate) redirect_uri: String,
    pub(crate) challenge: Challenge,
    /// The program that the person was shown.
    pub(crate) process: Option<ListeningProcess>,
}

/// What presenting a code found.
pub(crate) enum Presented {
    /// The first time, in time: the binding is taken out, so there is no second.
    Fresh(Box<Binding>),
    /// Not the first time; the grant that was issued from it, if one was.
    Again(Option<FamilyId>),
    /// Never issued, expired, or long forgotten.
    Unknown,
}

enum Code {
    Waiting { binding: Box<Binding>, until: Timestamp },
    Presented { family: Option<FamilyId>, until: Timestamp },
}

/// The codes that were issued lately.
#[derive(Default)]
pub(crate) struct Codes(Mutex<HashMap<Digest, Code>>);

impl Codes {
    pub(crate) fn keep(&self, code: Digest, binding: Binding, until: Timestamp, now: Timestamp) {
        let mut codes = self.codes();
        codes.retain(|_, code| code.until() > now);
        codes.insert(code, Code::Waiting { binding: Box::new(binding), until });
    }

    /// Presents a code. Whatever follows, it is spent.
    pub(crate) fn present(&self, code: Digest, now: Timestamp) -> Presented {
        let mut codes = self.codes();
        match codes.remove(&code) {
            None => Presented::Unknown,
            Some(Code::Presented { family, until }) => {
                codes.insert(code, Code::Presented { family, until });
                Presented::Again(family)
            }
            Some(Code::Waiting { binding, until }) => {
                codes.insert(code, Code::Presented { family: None, until: now.plus(MEMORY) });
                if until > now { Presented::Fresh(binding) } else { Presented::Unknown }
            }
        }
    }

    /// Notes the grant that was issued from a code.
    pub(crate) fn redeemed(&self, code: Digest, grant: FamilyId) {
        if let Some(Code::Presented { family, .. }) = self.codes().get_mut(&code) {
            *family = Some(grant);
        }
    }

    /// Forgets codes that wait to be redeemed.
    pub(crate) fn withdraw(&self, chosen: impl Fn(&Agreement) -> bool) {
        self.codes().retain(|_, code| match code {
            Code::Waiting { binding, .. } => !chosen(&binding.agreement),
            Code::Presented { .. } => true,
        });
    }

    fn codes(&self) -> MutexGuard<'_, HashMap<Digest, Code>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Code {
    fn until(&self) -> Timestamp {
        match self {
            Self::Waiting { until, .. } | Self::Presented { until, .. } => *until,
        }
    }
}
