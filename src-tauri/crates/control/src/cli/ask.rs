//! Commands that ask the running server.

use std::collections::BTreeMap;
use std::path::Path;

use control::admin::{Answer, Ask};
use control::author::{self, Documents};
use control::{KnownPerson, Published, StandingHalt};
use model::{DeviceId, LeaseId};
use org_protocol::Content;
use os::Clock as _;
use serde_json::json;

use super::remote::Socket;
use super::{Failure, said};

/// What the running server publishes.
pub(super) async fn live(socket: &Socket) -> Result<Live, Failure> {
    let Answer::Content { published, content, halts, people } = asked(socket, &Ask::Content).await? else {
        return Err(Failure::new("Nothing is published yet, so there is nothing to compare with."));
    };
    let content = serde_json::from_str(&content).map_err(|_| unexpected())?;
    Ok(Live { published, content, halts, hit: people, people: self::people(socket).await })
}

/// Who has signed in; nobody where the administrator may not know.
pub(super) async fn people(socket: &Socket) -> Vec<KnownPerson> {
    match asked(socket, &Ask::People).await {
        Ok(Answer::People { people }) => people,
        Ok(_) | Err(_) => Vec::new(),
    }
}

/// What is live, to be compared with.
pub(super) struct Live {
    pub(super) published: Published,
    pub(super) content: Content,
    /// What is stopped beside it.
    pub(super) halts: Vec<StandingHalt>,
    /// Whom that hits.
    pub(super) hit: Vec<KnownPerson>,
    /// Who has signed in, if that could be asked.
    pub(super) people: Vec<KnownPerson>,
}

pub(super) async fn publish(
    folder: &Path,
    leave_behind: bool,
    socket: &Socket,
    json: bool,
) -> Result<(), Failure> {
    let Documents(documents) = super::author::read_signed(folder)?;
    let documents = documents
        .into_iter()
        .map(|(path, bytes)| {
            let text = String::from_utf8(bytes);
            text.map(|text| (path.clone(), text)).map_err(|_| Failure::new(format!("{path} is no text")))
        })
        .collect::<Result<BTreeMap<_, _>, _>>()?;
    answer_published(&asked(socket, &Ask::Publish { documents, leave_behind }).await?, json)
}

pub(super) fn publish_to(folder: &Path, to: &Path, json: bool) -> Result<(), Failure> {
    let documents = super::author::read_signed(folder)?;
    let published = author::publish_to(&documents, to, os::SystemClock.now()).map_err(Failure::new)?;
    answer_published(&Answer::Published(published), json)
}

pub(super) async fn status(socket: &Socket, json: bool) -> Result<(), Failure> {
    answer_published(&asked(socket, &Ask::Status).await?, json)
}

pub(super) async fn list_devices(socket: &Socket, json: bool) -> Result<(), Failure> {
    let Answer::Devices { devices } = asked(socket, &Ask::ListDevices).await? else {
        return Err(unexpected());
    };
    let now = os::SystemClock.now();
    said(json, &devices, || {
        let line = |one: &control::Device| {
            let state = match (one.revoked_at, one.suspended_at) {
                (Some(at), _) => format!("revoked {at}"),
                (None, Some(at)) => format!("SUSPENDED {at}: two computers hold its key"),
                (None, None) if one.is_silent(now) => match one.recorded_at {
                    Some(at) => format!("SILENT: no audit record since {at}"),
                    None => "SILENT: no audit record yet".to_owned(),
                },
                (None, None) => "active".to_owned(),
            };
            let key = one.key_protection.map_or("?", org_protocol::KeyProtection::as_str);
            format!(
                "{}  {:<24} {:<28} key in {key:<6} seen {}  {state}",
                one.id, one.name, one.enrolled_by, one.seen_at
            )
        };
        lines_or(devices.iter().map(line).collect(), "No device is enrolled.")
    });
    Ok(())
}

pub(super) async fn revoke_device(id: DeviceId, socket: &Socket, json: bool) -> Result<(), Failure> {
    done(&asked(socket, &Ask::RevokeDevice { id }).await?)?;
    said(json, &json!({"revoked": id}), || format!("Revoked {id}."));
    Ok(())
}

pub(super) async fn list_leases(socket: &Socket, json: bool) -> Result<(), Failure> {
    let Answer::Leases { leases } = asked(socket, &Ask::ListLeases).await? else { return Err(unexpected()) };
    said(json, &leases, || {
        let line = |one: &control::LiveLease| {
            format!(
                "{}  {:<24} {:<28} {} on {}  until {}",
                one.id,
                one.credential.to_string(),
                one.subject.label(),
                one.connector,
                one.device,
                one.expires
            )
        };
        lines_or(leases.iter().map(line).collect(), "Nothing is lent.")
    });
    Ok(())
}

pub(super) async fn revoke_lease(id: LeaseId, socket: &Socket, json: bool) -> Result<(), Failure> {
    done(&asked(socket, &Ask::RevokeLease { id }).await?)?;
    said(json, &json!({"revoked": id}), || {
        format!(
            "Ended lease {id}. Its secret was known on that device: rotate it where it must not be used there again."
        )
    });
    Ok(())
}

pub(super) async fn sign_out_person(person: String, socket: &Socket, json: bool) -> Result<(), Failure> {
    let question = Ask::SignOutPerson { person: person.clone() };
    let Answer::SignedOut { devices } = asked(socket, &question).await? else { return Err(unexpected()) };
    said(json, &json!({"signed_out": person, "devices": devices}), || {
        let where_ = if devices == 1 { "1 device".to_owned() } else { format!("{devices} devices") };
        format!("{person} is signed out of {where_}.")
    });
    Ok(())
}

pub(super) async fn asked(socket: &Socket, question: &Ask) -> Result<Answer, Failure> {
    socket.ask(question).await
}

fn answer_published(answer: &Answer, json: bool) -> Result<(), Failure> {
    let Answer::Published(published) = answer else {
        return Err(Failure::new("Nothing is published yet."));
    };
    said(json, published, || {
        format!(
            "organisation  {}\nversion       {} (epoch {})\nbundle        {}\nexpires       {}\nfingerprint   {}",
            published.org,
            published.version,
            published.epoch,
            published.bundle,
            published.expires,
            published.fingerprint
        ) + &published.root_expires.map(|at| format!("\nroot expires  {at}")).unwrap_or_default()
            + &author_lines(published)
    });
    Ok(())
}

/// A rollout and what is revoked, a line each.
pub(super) fn author_lines(published: &Published) -> String {
    let stages = published.rollout.iter().map(|stage| {
        let percent = f64::from(stage.share) / 100.0;
        format!("\nrollout       {percent} % of the desktops have {}", stage.bundle)
    });
    let revoked = published.revoked.iter().map(|digest| format!("\nrevoked       {digest}"));
    stages.chain(revoked).collect()
}

pub(super) fn done(answer: &Answer) -> Result<(), Failure> {
    let Answer::Done = answer else { return Err(unexpected()) };
    Ok(())
}

pub(super) fn unexpected() -> Failure {
    Failure::new("the server gave another answer than expected; is it of another version?")
}

pub(super) fn lines_or(lines: Vec<String>, none: &str) -> String {
    if lines.is_empty() { none.to_owned() } else { lines.join("\n") }
}
