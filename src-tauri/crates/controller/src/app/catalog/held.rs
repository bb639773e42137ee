//! What of a connector is offered, what is held because it is not what was accepted, and how a change is accepted.

use audit::{AuditEvent, EventRecord};
use model::{AccountId, Advice, Digest, ForPerson as _, Subject, ToolName};
use org_protocol::{ChangesAcceptedBy, ConnectorSpec};
use serde_json::value::RawValue;
use tokio::sync::{mpsc, oneshot};

use super::*;
use crate::app::definitions::{Change, Definitions, Part, admitted, changes, listed};
use crate::state::HeldPart;

/// What of one connector is offered.
#[derive(Default)]
pub(super) struct Judged {
    /// Its tools: accepted, unchanged, and still there as far as is known.
    pub(super) tools: Tools,
    /// Every tool that was accepted: what the person's own policies may speak of, although it is held for now.
    pub(super) typed: Tools,
    /// What it lists beside them and says of itself, without what is not to be passed on.
    pub(super) heard: Option<Arc<Listing>>,
}

/// What of one connector is held.
#[derive(Default)]
pub(crate) struct Held {
    changes: Vec<Change>,
    /// The same for people to look at, in the same order.
    parts: Vec<HeldPart>,
    /// The changes that were recorded.
    recorded: BTreeSet<String>,
    /// When the last of them was, on the clock that nobody sets.
    recorded_at: Option<Duration>,
}

/// How long a connector that changes again and again waits for the next record of it.
const BETWEEN_RECORDS: Duration = Duration::from_secs(60);
/// How many recorded changes of a connector are remembered.
const MOST_RECORDED: usize = 1_000;
/// How many parts a record names.
const MOST_NAMED: usize = 20;

/// What is accepted of a connector for the person who is present, and what differs from that.
struct Compared {
    accepted: Definitions,
    held: Vec<Change>,
}

/// A person's wish to accept a change.
pub(crate) struct Acceptance {
    account: AccountId,
    /// Which: of these very words.
    change: String,
    done: oneshot::Sender<Result<(), Advice>>,
}

/// Accepts changes of what connectors say to models. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Acceptances(mpsc::UnboundedSender<Acceptance>);

impl Acceptances {
    pub(crate) fn new() -> (Self, mpsc::UnboundedReceiver<Acceptance>) {
        let (send, wishes) = mpsc::unbounded_channel();
        (Self(send), wishes)
    }

    /// Accepts a change that was shown by this id. It is in force when this returns, and recorded.
    ///
    /// # Errors
    /// [`Advice`] if it is not (any more) what the connector says, is not the person's to accept, or cannot be kept.
    pub async fn accept(&self, account: &AccountId, change: &str) -> Result<(), Advice> {
        let (done, answer) = oneshot::channel();
        let wish = Acceptance { account: account.clone(), change: change.to_owned(), done };
        let ending = || Advice::new("ending", "Deskgate is ending.", "", "");
        self.0.send(wish).map_err(|_| ending())?;
        answer.await.unwrap_or_else(|_| Err(ending()))
    }
}

impl Catalog {
    /// Compares what a connector lists with what was accepted of it.
    pub(super) async fn judge(
        &mut self,
        offering: &Offering,
        id: &AccountId,
        spec: &ConnectorSpec,
    ) -> Judged {
        self.tell_status(offering, id);
        let listing = self.connectors.listing(id);
        let Compared { accepted, held } = match self.compared(offering, id, spec, listing.as_deref()).await {
            Ok(compared) => compared,
            Err(advice) => {
                self.tell.event(Event::FaultRaised(advice));
                return Judged::default();
            }
        };
        let known = match &listing {
            Some(listing) => listing.tools.len(),
            None => accepted.keys().filter(|part| !part.is_beside_tools()).count(),
        };
        if known > 0 || listing.is_some() {
            let tools = u32::try_from(known).unwrap_or(u32::MAX);
            self.tell.event(Event::ConnectorTools { connector: id.clone(), tools });
        }
        let heard = listing.as_ref().map(|listing| admitted(listing, &accepted, &held));
        let typed = tools(accepted);
        let tools = in_order(typed.clone(), listing.as_deref(), &held);
        self.tell_held(offering, id, spec, held);
        Judged { tools, typed, heard }
    }

    /// What was accepted of a connector, and what it says otherwise now.
    async fn compared(
        &mut self,
        offering: &Offering,
        id: &AccountId,
        spec: &ConnectorSpec,
        listing: Option<&Listing>,
    ) -> Result<Compared, Advice> {
        let listed = listing.map(listed);
        let (accepted, instructed) = match (&offering.by, &listed) {
            (By::Organisation(managed), _) => {
                (managed.definitions(&id.connector), managed.pinned_beside.contains_key(&id.connector))
            }
            (By::Person, None) => (self.pins.definitions(&id.connector), true),
            (By::Person, Some(listed)) => {
                let accepted = self.pins.grow(&id.connector, spec, listed).await.map_err(|fault| {
                    tracing::error!(connector = %id, %fault, "accepted tools could not be kept");
                    fault.advice()
                })?;
                (accepted, true)
            }
        };
        let Some(listed) = listed else { return Ok(Compared { accepted, held: Vec::new() }) };
        let accepted = if is_theirs(offering, spec) {
            self.pins.accepted_of(self.present.now().as_deref(), id, spec, accepted, &listed)
        } else {
            accepted
        };
        let held = changes(&accepted, &listed, instructed);
        Ok(Compared { accepted, held })
    }

    /// Says what is held, records it once for each change, and takes it back when nothing is.
    fn tell_held(&mut self, offering: &Offering, id: &AccountId, spec: &ConnectorSpec, changes: Vec<Change>) {
        let mut held = self.held.remove(id).unwrap_or_default();
        let ids: Vec<String> = changes.iter().map(|change| change.id(id)).collect();
        let is_same = self.basis.as_ref().is_some_and(|basis| std::ptr::eq(&*basis.offering, offering))
            && held.parts.iter().map(|part| &part.id).eq(&ids);
        if !is_same {
            held.parts = changes.iter().map(|change| self.shown(offering, id, spec, change)).collect();
            self.tell.event(Event::ConnectorHeld { connector: id.clone(), held: held.parts.clone() });
        }
        let code = format!("tools-held-{id}");
        if changes.is_empty() {
            self.tell.event(Event::FaultCleared { code });
        } else {
            self.tell.event(Event::FaultRaised(held_words(offering, spec, code, &held.parts)));
            self.record_held(id, &mut held, &changes);
        }
        held.changes = changes;
        self.held.insert(id.clone(), held);
    }

    /// What is new among the changes is recorded; where one follows the other, all of them together after a while.
    fn record_held(&self, id: &AccountId, held: &mut Held, changes: &[Change]) {
        let now = self.clock.boot_time();
        let is_new = |change: &&Change| !held.recorded.contains(&change.id(id));
        let new: Vec<Change> = changes.iter().filter(is_new).cloned().collect();
        let waits = held.recorded_at.is_some_and(|at| now.saturating_sub(at) < BETWEEN_RECORDS);
        if new.is_empty() || waits {
            return;
        }
        self.tell.note(&self.journal, &record(AuditEvent::ToolHeld, id, &new));
        if held.recorded.len() > MOST_RECORDED {
            held.recorded.clear();
        }
        held.recorded.extend(new.iter().map(|change| change.id(id)));
        held.recorded_at = Some(now);
    }

    /// Says once more what is held, to whoever has just heard which connectors there are.
    pub(super) fn tell_held_again(&self) {
        for (id, held) in &self.held {
            self.tell.event(Event::ConnectorHeld { connector: id.clone(), held: held.parts.clone() });
        }
    }

    /// A change as people look at it.
    fn shown(&self, offering: &Offering, id: &AccountId, spec: &ConnectorSpec, change: &Change) -> HeldPart {
        let offered = self.basis.iter().flat_map(|basis| basis.offered.iter());
        let others: Vec<&str> = offered
            .filter(|(other, _)| other.connector != id.connector)
            .flat_map(|(_, tools)| tools.iter().map(|(name, _)| name.as_str()))
            .collect();
        let differences = change.differences();
        HeldPart {
            id: change.id(id),
            part: model::visible(&change.part.to_string()),
            waits_for: waits_for(offering, spec, change, &differences),
            differences,
            flags: mcp::flags(&change.now, others).iter().map(ToString::to_string).collect(),
        }
    }

    /// Accepts a change, and says whether it is in force.
    pub(super) async fn accept(&mut self, offering: &Arc<Offering>, wish: Acceptance) {
        let Acceptance { account, change, done } = wish;
        let mut accepted = self.accepted(offering, &account, &change).await;
        if accepted.is_ok() && !self.rebuild(offering).await {
            accepted = Err(Advice::new(
                "change-does-not-fit",
                "The change is accepted, but your policies do not fit it.",
                "What was in force before stays so, without it.",
                "Correct the policies; what is wrong with them says: deskgate status",
            ));
        }
        // Whoever wished it may have gone away.
        let _ = done.send(accepted);
    }

    async fn accepted(&mut self, offering: &Offering, account: &AccountId, id: &str) -> Result<(), Advice> {
        let held = self.held.get(account);
        let mut each = held.into_iter().flat_map(|held| held.changes.iter().zip(&held.parts));
        let Some((change, part)) = each.find(|(_, part)| part.id == id) else {
            return Err(Advice::new(
                "change-unknown",
                "There is no such change any more.",
                "It may have changed again, or is accepted already.",
                "See what is held now with: deskgate held",
            ));
        };
        let (Some(spec), None, Some(person)) =
            (offering.accounts.get(account), &part.waits_for, self.present.now())
        else {
            let why = part.waits_for.as_deref().unwrap_or("Nobody is signed in.");
            return Err(Advice::new("change-not-yours", why, "Until then it is held back.", ""));
        };
        let change = change.clone();
        let recorded = record(AuditEvent::ToolAccepted, account, std::slice::from_ref(&change));
        // What cannot be told afterwards is not done.
        let recorded = self.journal.event(recorded.of(Subject::clone(&person))).await;
        recorded.map_err(|fault| fault.advice())?;
        let before = change.accepted.as_deref();
        let kept = self.pins.accept(&person, account, spec, before, &change).await;
        kept.map_err(|fault| fault.advice())
    }
}

/// Whether the person at this desktop accepts changes of a connector.
fn is_theirs(offering: &Offering, spec: &ConnectorSpec) -> bool {
    match &offering.by {
        By::Person => true,
        By::Organisation(_) => spec.changes_accepted_by == ChangesAcceptedBy::User,
    }
}

/// Why the person at this desktop may not accept a change; nothing where they may.
fn waits_for(
    offering: &Offering,
    spec: &ConnectorSpec,
    change: &Change,
    differences: &[mcp::Difference],
) -> Option<String> {
    let cut = differences.iter().any(|difference| difference.cut);
    match &offering.by {
        By::Person if cut => Some(
            "It is too long to be shown whole, so it cannot be accepted. Remove the connector if you do not trust it blindly."
                .to_owned(),
        ),
        By::Person => None,
        By::Organisation(managed) => {
            let name = &managed.organisation.name;
            if change.changes_input() && is_theirs(offering, spec) {
                Some(format!("{name} has to accept it: it takes other arguments than before, and the policies are written for those."))
            } else if !is_theirs(offering, spec) || change.accepted.is_none() || cut {
                Some(format!("{name} has to accept it."))
            } else {
                None
            }
        }
    }
}

fn held_words(offering: &Offering, spec: &ConnectorSpec, code: String, held: &[HeldPart]) -> Advice {
    let names = first(held.iter().map(|part| part.part.clone()));
    let todo = match &offering.by {
        By::Organisation(managed) if held.iter().all(|part| part.waits_for.is_some()) => {
            format!("{} has to look at the change and accept it.", managed.organisation.name)
        }
        By::Organisation(_) | By::Person => {
            "Look at what changed under Pending (or with: deskgate held), and accept it if you expected it."
                .to_owned()
        }
    };
    Advice::new(
        code,
        format!("{} changed what it says to your assistants: {names}.", spec.title),
        "That is held back, because what changes after it was accepted may do something else.",
        todo,
    )
}

/// The first of several names, and how many more there are.
fn first(names: impl ExactSizeIterator<Item = String>) -> String {
    let more = names.len().saturating_sub(MOST_NAMED);
    let mut named: Vec<String> = names.take(MOST_NAMED).collect();
    if more > 0 {
        named.push(format!("and {more} more"));
    }
    named.join(", ")
}

fn record(kind: AuditEvent, id: &AccountId, held: &[Change]) -> EventRecord {
    let named = |beside: bool| -> Vec<String> {
        let of = held.iter().filter(|change| change.part.is_beside_tools() == beside);
        of.map(|change| match &change.part {
            Part::Tool(name) => name.to_string(),
            other @ (Part::Prompt(_) | Part::Template(_) | Part::Instructions) => other.to_string(),
        })
        .collect()
    };
    let digest = |change: &Change| Digest::of(mcp::canonical(&change.now).as_bytes()).to_string();
    let digests = held.iter().map(digest).collect::<Vec<_>>();
    // Of very many, one stands for all.
    let digests = match digests.len() {
        0..=MOST_NAMED => digests,
        _ => vec![Digest::of(digests.join("\n").as_bytes()).to_string()],
    };
    let facts = [("tools", named(false)), ("beside", named(true)), ("digests", digests)];
    facts
        .into_iter()
        .filter(|(_, values)| !values.is_empty())
        .fold(of_account(EventRecord::new(kind), id), |record, (name, values)| {
            record.with(name, first(values.into_iter()))
        })
}

fn tools(accepted: Definitions) -> Tools {
    let tool = |(part, definition)| match part {
        Part::Tool(name) => Some((name, definition)),
        Part::Prompt(_) | Part::Template(_) | Part::Instructions => None,
    };
    accepted.into_iter().filter_map(tool).collect()
}

/// Accepted tools that are offered, in the connector's own order as far as it is known; without those that are gone.
fn in_order(mut accepted: Tools, listing: Option<&Listing>, held: &[Change]) -> Tools {
    accepted.retain(|(name, _)| {
        !held.iter().any(|change| matches!(&change.part, Part::Tool(held) if held == name))
    });
    let Some(listing) = listing else { return accepted };
    let places: HashMap<&ToolName, usize> =
        listing.tools.iter().enumerate().map(|(place, (name, _))| (name, place)).collect();
    accepted.retain(|(name, _): &(ToolName, Box<RawValue>)| places.contains_key(name));
    accepted.sort_by_key(|(name, _)| places.get(name).copied());
    accepted
}
