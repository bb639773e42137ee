//! Forbids that refuse unless a person approves.

use std::convert::Infallible;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use model::{ApprovalScope, ApprovalTarget, CallId, DeviceId, Digest, Timestamp};
use org_protocol::dpop::Jwk;
use org_protocol::{
    APPROVAL_FORMAT, APPROVAL_LIFE, ApprovalProof, ApprovalStatement, Approved, ArgumentsKey, Factor,
    statement_target,
};
use p256::ecdsa::signature::Signer as _;
use p256::ecdsa::{Signature, SigningKey};
use policy::{Aim, ApprovalNeeded, Circumstance, DenialKind, Permit, Policy, Question, Target};

use crate::desk::{circumstance, desk, listed, user, with_question_at};

/// A person's leave for this call, but for the change.
pub(crate) fn approved(
    question: &Question<'_>,
    needed: &ApprovalNeeded,
    change: impl FnOnce(&mut ApprovalStatement),
) -> Approved {
    let key = SigningKey::from_slice(&[7; 32]).expect("a scalar");
    let point = key.verifying_key().to_sec1_point(false);
    let coordinate = |range: std::ops::Range<usize>| URL_SAFE_NO_PAD.encode(&point.as_bytes()[range]);
    let (x, y) = (coordinate(1..33), coordinate(33..65));
    let jwk = Jwk { kty: "EC".to_owned(), crv: "P-256".to_owned(), x, y };
    let arguments_key = ArgumentsKey::of(&[1; 32], question.call);
    let text = match question.target {
        Target::Tool { arguments, .. } | Target::Prompt { arguments, .. } => arguments,
        Target::Resource { uri } => uri,
    };
    let now = question.circumstance.now;
    let mut statement = ApprovalStatement {
        format: APPROVAL_FORMAT,
        call: question.call,
        device: question.circumstance.device.expect("a device"),
        issuer: question.subject.issuer.clone(),
        subject: question.subject.subject.clone(),
        client_id: question.circumstance.client_id.clone(),
        server: question.server.clone(),
        connector: question.connector.clone(),
        target: statement_target(&Aim::of(&question.target).to_approve()),
        arguments: arguments_key.seal(text),
        rules: needed.rules().iter().map(ToString::to_string).collect(),
        terms: needed.terms(),
        policy: Digest::of(b"any"),
        scope: ApprovalScope::Once,
        answered: now,
        factor: None,
        continues: None,
        issued: now,
        valid_until: now.plus(APPROVAL_LIFE),
    };
    change(&mut statement);
    let signed = statement.signed(&jwk, |input| {
        let signature: Signature = key.sign(input);
        Ok::<_, Infallible>(signature.to_bytes().into())
    });
    let proof = ApprovalProof { signed: signed.expect("infallible"), arguments_key };
    Approved::verified(&proof, &jwk.thumbprint(), now).expect("signed and good")
}

/// The same circumstances at a device: only there somebody is asked.
pub(crate) fn at_device(moment: Circumstance) -> Circumstance {
    Circumstance { device: Some(DeviceId::new()), ..moment }
}

const ASKED: &str = r#"
@id("everything") permit (principal, action, resource);
@id("sending") @reason("Mail needs a person.") @approval("session")
forbid (principal, action == Action::"mail/send", resource);
@id("writing") @approval
forbid (principal, action == Action::"files/write_file", resource) when { context.input.path like "/etc/*" };
@id("never-replace")
forbid (principal, action == Action::"files/write_file", resource)
when { context.input has mode && context.input.mode == "replace" };
"#;

const SEND: &str = r#"{"to":["a@x.test"],"body":"b"}"#;

/// What comes of a call of which a person approves what `change` makes of it.
fn outcome(
    policy: &Policy,
    what: &str,
    arguments: &str,
    change: impl FnOnce(&mut ApprovalStatement),
) -> Result<Permit, DenialKind> {
    let moment = at_device(circumstance());
    with_question_at(&moment, &user("ann", &[]), what, arguments, |question| {
        let denial = match policy.decide(question) {
            Ok(permit) => return Ok(permit),
            Err(denial) => denial,
        };
        let Some(needed) = denial.approval() else { return Err(denial.kind()) };
        let approved = approved(question, needed, change);
        policy.decide_approved(question, &approved).map_err(|denial| denial.kind())
    })
}

#[test]
fn a_call_is_permitted_by_leave_for_this_very_call_and_by_no_other() {
    let policy = desk().policy(ASKED);
    let permit = outcome(&policy, "analyst mail/send", SEND, |_| ()).expect("approved");
    assert_eq!(permit.approval().expect("by leave").statement().rules, ["sending"]);
    assert_eq!(permit.rules().iter().map(ToString::to_string).collect::<Vec<_>>(), ["everything"]);
    assert!(
        outcome(&policy, "analyst mail/search", r#"{"query":"q"}"#, |_| ())
            .expect("permitted")
            .approval()
            .is_none()
    );

    type Change = fn(&mut ApprovalStatement);
    let changes: [(&str, Change); 11] = [
        ("another call", |it| it.call = CallId::new()),
        ("another device", |it| it.device = DeviceId::new()),
        ("another person", |it| it.subject = "bob".to_owned()),
        ("another issuer", |it| it.issuer = "https://other.example".to_owned()),
        ("another assistant", |it| it.client_id = "client-2".to_owned()),
        ("another virtual server", |it| it.server = "desk".parse().expect("an id")),
        ("another connector", |it| it.connector = "files".parse().expect("an id")),
        ("another tool", |it| it.target = ApprovalTarget::Tool("search".parse().expect("a tool"))),
        ("other arguments", |it| it.arguments = Digest::of(b"{}")),
        ("other terms", |it| it.terms = Digest::of(b"")),
        ("more than is allowed", |it| it.scope = ApprovalScope::Always),
    ];
    for (what, change) in changes {
        let found = outcome(&policy, "analyst mail/send", SEND, change);
        assert_eq!(found, Err(DenialKind::ApprovalNeeded), "{what}");
    }
    assert!(outcome(&policy, "analyst mail/send", SEND, |it| it.scope = ApprovalScope::Session).is_ok());
}

#[test]
fn nobody_is_asked_about_what_is_refused_anyway() {
    let policy = desk().policy(ASKED);
    let write = |mode: &str| format!(r#"{{"path":"/etc/x","content":"c","mode":"{mode}"}}"#);
    let asked = outcome(&policy, "analyst files/write_file", &write("append"), |_| ());
    assert!(asked.expect("approved").approval().is_some());
    assert_eq!(
        outcome(&policy, "analyst files/write_file", &write("replace"), |_| ()),
        Err(DenialKind::Forbidden)
    );
    let elsewhere = r#"{"path":"/home/x","content":"c"}"#;
    assert!(
        outcome(&policy, "analyst files/write_file", elsewhere, |_| ())
            .expect("permitted")
            .approval()
            .is_none()
    );
    let undeclared = r#"{"path":"/home/x","content":"c","more":1}"#;
    assert_eq!(outcome(&policy, "analyst files/write_file", undeclared, |_| ()), Err(DenialKind::Arguments));
    let nothing = desk().policy(&ASKED.replace(
        "permit (principal, action, resource)",
        "permit (principal, action == Action::\"see_server\", resource)",
    ));
    assert_eq!(outcome(&nothing, "analyst mail/send", SEND, |_| ()), Err(DenialKind::NoPermit));
}

#[test]
fn who_cannot_be_understood_refuses_whoever_approves() {
    let policy = desk().policy(
        r#"@id("everything") permit (principal, action, resource);
        @id("broken") @approval forbid (principal, action == Action::"mail/send", resource)
        when { context.now.offset(duration("9223372036854775807ms")) > context.now };"#,
    );
    assert_eq!(outcome(&policy, "analyst mail/send", SEND, |_| ()), Err(DenialKind::Error));
}

#[test]
fn a_shared_account_may_need_a_person() {
    let policy = desk().policy(
        r#"@id("everything") permit (principal, action, resource);
        @id("finance") @approval
        forbid (principal, action == Action::"use_shared_credential", resource == Credential::"warehouse-finance");"#,
    );
    let permit =
        outcome(&policy, "analyst warehouse/execute_sql", r#"{"sql":"s"}"#, |_| ()).expect("approved");
    assert!(permit.approval().is_some());
    assert_eq!(format!("{:?}", permit.credential()), "Shared(CredentialId(warehouse-finance))");
}

#[test]
fn the_narrowest_leave_counts_and_other_words_are_other_terms() {
    let needed = |policies: &str| {
        let policy = desk().policy(policies);
        let moment = at_device(circumstance());
        with_question_at(&moment, &user("ann", &[]), "analyst mail/send", SEND, |question| {
            policy.decide(question).expect_err("asked").approval().expect("asked").clone()
        })
    };
    let one = needed(ASKED);
    assert_eq!(
        (one.most(), one.reasons()),
        (ApprovalScope::Session, &["Mail needs a person.".to_owned()][..])
    );
    let more = format!(
        "{ASKED}@id(\"more\") @approval(\"always\") forbid (principal, action, resource in Connector::\"mail\");"
    );
    assert_eq!(needed(&more).most(), ApprovalScope::Session);
    assert_ne!(needed(&more).terms(), one.terms());
    for (from, to) in [
        ("Mail needs", "Post needs"),
        ("\"session\"", "\"always\""),
        ("action == Action::\"mail/send\"", "action in [Action::\"mail/send\"]"),
    ] {
        assert_ne!(needed(&ASKED.replacen(from, to, 1)).terms(), one.terms(), "{from}");
    }
    let beside = ASKED.replace("never-replace", "replace-never");
    assert_eq!(needed(&beside).terms(), one.terms(), "what else the policies say is not asked about");
}

#[test]
fn what_a_person_is_asked_about_is_shown_and_explained() {
    let policy = desk().policy(ASKED);
    let ann = user("ann", &[]);
    assert!(listed(&policy, &ann, "analyst").contains(&"mail/send".to_owned()));
    let (server, moment) = ("analyst".parse().expect("an id"), circumstance());
    let asks = |connector: &str, tool: &str| {
        policy.asks(
            &ann,
            &server,
            &connector.parse().expect("an id"),
            &tool.parse().expect("a tool"),
            &moment,
        )
    };
    assert_eq!(asks("mail", "send").as_deref(), Some("Mail needs a person."));
    assert_eq!(asks("files", "write_file").as_deref(), Some(""), "it depends on the arguments");
    assert_eq!(asks("mail", "search"), None);

    let explained =
        with_question_at(&moment, &ann, "analyst mail/send", SEND, |question| policy.explain(question));
    let text = explained.to_string();
    assert!(text.contains("may call send on mail through analyst, if a person approves the call."), "{text}");
    assert!(text.contains("  - a person is asked: forbid sending (policies/desk.cedar:3)"), "{text}");
    assert!(!text.contains("other arguments"), "{text}");
    assert_eq!((explained.permitted, explained.listed), (false, true));
    let denial =
        with_question_at(&moment, &ann, "analyst mail/send", SEND, |question| policy.decide(question));
    let words = denial.expect_err("asked").outside_text();
    assert_eq!(words, "A person has to approve this call: sending (Mail needs a person).");
}

#[test]
fn an_approval_that_nobody_asked_for_changes_nothing() {
    let policy = desk().policy(ASKED);
    let moment = at_device(Circumstance { now: Timestamp::from_seconds(1_795_443_620), ..circumstance() });
    with_question_at(&moment, &user("ann", &[]), "analyst mail/send", SEND, |question| {
        let denial = policy.decide(question).expect_err("asked");
        let leave = approved(question, denial.approval().expect("asked"), |_| ());
        let open = desk().policy("@id(\"everything\") permit (principal, action, resource);");
        assert!(open.decide_approved(question, &leave).expect("permitted").approval().is_none());
        let closed =
            desk().policy("@id(\"x\") permit (principal, action == Action::\"see_server\", resource);");
        assert_eq!(
            closed.decide_approved(question, &leave).expect_err("refused").kind(),
            DenialKind::NoPermit
        );
    });
}

#[test]
fn where_a_factor_is_asked_for_a_click_does_not_do() {
    let policies = r#"@id("all") permit (principal, action, resource);
        @id("sending") @approval("session") @factor("system") forbid (principal, action == Action::"mail/send", resource);"#;
    let (policy, user, moment) = (desk().policy(policies), user("u", &[]), at_device(circumstance()));
    with_question_at(&moment, &user, "desk mail/send", "{}", |question| {
        let denial = policy.decide(question).expect_err("a person is asked");
        let needed = denial.approval().expect("a person is asked");
        assert!(needed.factor());
        let clicked = approved(question, needed, |_| ());
        let refused = policy.decide_approved(question, &clicked).expect_err("nothing was proved");
        assert_eq!(refused.kind(), DenialKind::ApprovalNeeded);
        let proved = approved(question, needed, |statement| statement.factor = Some(Factor::Polkit));
        policy.decide_approved(question, &proved).expect("proved");
    });
}
