use model::{ListeningProcess, Timestamp};

use super::*;
use crate::event::Event;
use crate::pending::PendingId;
use crate::state::Status;
use crate::state::tests::{consent_item, managed, ready, sign_in_item, with_two_accounts};

const NOW: Timestamp = Timestamp::from_seconds(1_000_000);

fn consent_view(claimed: &str, executable: Option<&str>) -> ConsentView {
    let state = ready();
    let mut item = consent_item("a1");
    if let Question::Consent(request) = &mut item.question {
        claimed.clone_into(&mut request.client_name);
        request.process =
            executable.map(|path| ListeningProcess { pid: 42, executable: path.to_owned(), user_id: 1000 });
    }
    match pending(&state, &item).question {
        QuestionView::Consent(view) => view,
        other @ (QuestionView::SignIn { .. } | QuestionView::Approval(_) | QuestionView::Diagnostics(_)) => {
            panic!("a consent was expected, not {other:?}")
        }
    }
}

#[test]
fn a_consent_says_who_really_asks_and_what_for() {
    let view = consent_view("Claude Code", Some("/opt/claude/claude"));
    assert_eq!(
        view.program,
        Some(ProgramView { name: "claude".to_owned(), path: "/opt/claude/claude".to_owned(), pid: Some(42) })
    );
    assert_eq!(view.returns_to, "127.0.0.1:4000");
    assert_eq!(view.acts_for, "ada");
    let reach: Vec<_> = view.reach.iter().map(|it| (it.title.as_str(), it.credential.as_str())).collect();
    assert_eq!(reach, [("Files", "no account needed"), ("Mail", "your Mail account")]);
}

#[test]
fn a_virtual_server_is_shown_with_the_account_that_it_uses() {
    let mut state = with_two_accounts();
    let inbox: AccountId = "mail/shared-inbox".parse().unwrap();
    let account = Some("service@acme.test".to_owned());
    state.handle(Event::ConnectorAccount { connector: inbox.clone(), account }, NOW);
    state.handle(Event::ConnectorStatus { connector: inbox, status: ConnectorStatus::Ready }, NOW);
    let view = window(&state);
    let used: Vec<_> =
        view.servers.iter().map(|server| (server.id.as_str(), &server.connectors[..])).collect();
    let expected = [
        ("analyst", &["Files".to_owned(), "Mail".to_owned()][..]),
        ("service", &["Mail (shared-inbox)".to_owned()][..]),
    ];
    assert_eq!(used, expected);
    let accounts: Vec<_> =
        view.connectors.iter().map(|it| (it.id.as_str(), it.status, it.account.as_deref())).collect();
    assert_eq!(
        accounts[1..],
        [
            ("mail", ConnectorKind::Idle, None),
            ("mail/shared-inbox", ConnectorKind::Ready, Some("service@acme.test"))
        ]
    );
    let mut item = consent_item("a1");
    if let Question::Consent(request) = &mut item.question {
        request.server = "service".parse().unwrap();
    }
    match pending(&state, &item).question {
        QuestionView::Consent(view) => assert_eq!(view.reach[0].title, "Mail (shared-inbox)"),
        other @ (QuestionView::SignIn { .. } | QuestionView::Approval(_) | QuestionView::Diagnostics(_)) => {
            panic!("{other:?}")
        }
    }
    let connectors = &view.settings[1];
    assert_eq!(connectors.value, "2 and 2", "two accounts are one connector");
}

#[test]
fn a_consent_says_whose_document_the_assistant_names_itself_by() {
    let described_at = |client_id: &str| {
        let mut item = consent_item("a1");
        if let Question::Consent(request) = &mut item.question {
            client_id.clone_into(&mut request.client_id);
        }
        match pending(&ready(), &item).question {
            QuestionView::Consent(view) => view.described_at,
            other @ (QuestionView::SignIn { .. }
            | QuestionView::Approval(_)
            | QuestionView::Diagnostics(_)) => panic!("{other:?}"),
        }
    };
    let document = described_at("https://assistant.example/oauth/client.json");
    assert_eq!(document.as_deref(), Some("assistant.example"));
    assert_eq!(described_at("dgr_0123"), None, "it registered");
}

#[test]
fn a_name_that_the_program_does_not_bear_is_marked() {
    for (claimed, path, differs) in [
        ("Claude Code", "/opt/claude/claude", false),
        ("Claude Code", "/tmp/x/steal", true),
        ("Cursor", "/usr/share/cursor/cursor", false),
        ("AB", "/usr/bin/ab", true),
    ] {
        assert_eq!(consent_view(claimed, Some(path)).name_differs, differs, "{claimed} {path}");
    }
    assert!(!consent_view("Claude Code", None).name_differs, "nothing is known to differ");
}

#[test]
fn a_claimed_name_cannot_turn_the_reading_or_fill_the_window() {
    let view =
        consent_view("Good\u{202e}live\n\tCorp\u{200b} and more and more and more and more and more", None);
    assert_eq!(view.claimed_name, "Goodlive Corp and more and more and mor…");
    assert_eq!(consent_view("\u{200b}", None).claimed_name, "An assistant");
}

#[test]
fn no_view_bears_an_authorization_url() {
    let mut state = managed();
    let secret = "https://idp.test/auth?state=st4te&code_challenge=ch4llenge";
    state.handle(Event::PendingAdded(sign_in_item("b1", secret)), NOW);
    let shown = serde_json::to_string(&window(&state)).unwrap();
    assert!(shown.contains("idp.test"), "the host is shown");
    assert!(!shown.contains("st4te") && !shown.contains("ch4llenge"), "{shown}");
}

#[test]
fn everything_managed_is_marked_so() {
    let own: Vec<_> = window(&ready()).settings.into_iter().filter(|it| it.managed_by.is_some()).collect();
    assert_eq!(own, []);
    let managed = window(&managed());
    assert_eq!(managed.manager.organisation.as_deref(), Some("Acme"));
    assert!(
        managed
            .settings
            .iter()
            .any(|it| it.managed_by.as_deref() == Some("Acme") && it.name == "Sign-in opens")
    );
}

#[test]
fn the_window_counts_what_waits() {
    let mut state = ready();
    state.handle(Event::PendingAdded(consent_item("a1")), NOW);
    let view = window(&state);
    assert_eq!(view.status, Status::Attention);
    assert_eq!(view.summary, "One request is waiting for you.");
    assert_eq!(view.pending.len(), 1);
    assert_eq!(view.pending[0].id, PendingId::typed("a1").as_str());
}
