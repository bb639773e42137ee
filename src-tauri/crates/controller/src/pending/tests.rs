use std::sync::atomic::{AtomicI64, Ordering};

use model::{CallId, SignInPurpose, Subject, UserCode};

use super::*;

struct Stage {
    desk: PendingDesk,
    events: mpsc::UnboundedReceiver<Event>,
    seconds: Arc<AtomicI64>,
}

fn stage(surface: Surface) -> Stage {
    let seconds = Arc::new(AtomicI64::new(1_000));
    let clock = Arc::clone(&seconds);
    let (send, events) = mpsc::unbounded_channel();
    let now: Now = Arc::new(move || Timestamp::from_seconds(clock.load(Ordering::SeqCst)));
    Stage { desk: PendingDesk::new(surface, now, send), events, seconds }
}

impl Stage {
    async fn added(&mut self) -> PendingItem {
        match self.events.recv().await {
            Some(Event::PendingAdded(item)) => item,
            other => panic!("a question was expected, not {other:?}"),
        }
    }

    async fn gone(&mut self) -> (PendingId, Ending) {
        match self.events.recv().await {
            Some(Event::PendingGone { id, ending }) => (id, ending),
            other => panic!("an ending was expected, not {other:?}"),
        }
    }
}

const HOUR: Duration = Duration::from_secs(3600);

fn consent(client: &str) -> ConsentRequest {
    ConsentRequest {
        server: "analyst".parse().unwrap(),
        server_title: "Analyst".to_owned(),
        client_name: client.to_owned(),
        client_id: format!("id-{client}"),
        redirect_uri: Some("http://127.0.0.1:4000/callback".parse().unwrap()),
        process: None,
        through: None,
        subject: Subject::local("ada"),
        deadline: HOUR,
    }
}

fn approval() -> ApprovalRequest {
    ApprovalRequest {
        call: CallId::new(),
        server: "analyst".parse().unwrap(),
        connector: "mail".parse().unwrap(),
        target: model::ApprovalTarget::Tool("send".parse().unwrap()),
        arguments: "{}".to_owned(),
        earlier: None,
        client_id: "c".to_owned(),
        client_name: "Claude Code".to_owned(),
        program: None,
        subject: Subject::local("ada"),
        reason: String::new(),
        most: ApprovalScope::Session,
        deadline: HOUR,
    }
}

fn sign_in(state: &str) -> SignInRequest {
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    SignInRequest {
        purpose: SignInPurpose::Connector { account: "mail".parse().unwrap(), title: "Mail".to_owned() },
        authorize_url: format!("https://idp.test/auth?state={state}").parse().unwrap(),
        entrance: None,
        redirect_uri: format!("http://127.0.0.1:{port}/callback").parse().unwrap(),
        deadline: HOUR,
    }
}

#[tokio::test]
async fn the_first_answer_counts_and_only_once() {
    let mut stage = stage(Surface::Desktop);
    let desk = stage.desk.clone();
    let asked = tokio::spawn(async move { desk.consent(consent("Claude Code")).await });
    let item = stage.added().await;

    assert_eq!(stage.desk.answer(&item.id, Answer::Consent(Consent::Allow)), Ok(()));
    assert_eq!(
        stage.desk.answer(&item.id, Answer::Consent(Consent::Deny)),
        Err(AnswerFault::Unknown(item.id.clone())),
        "a second answer changes nothing"
    );

    assert_eq!(asked.await.unwrap(), Ok(Consent::Allow));
    assert_eq!(stage.gone().await, (item.id, Ending::Answered));
    assert_eq!(stage.desk.items(), []);
}

#[tokio::test(start_paused = true)]
async fn a_deadline_is_a_refusal() {
    let mut stage = stage(Surface::Desktop);
    let answer = stage.desk.approve(approval()).await;
    assert_eq!(answer, Err(PersonFault::Deadline));
    let item = stage.added().await;
    assert_eq!(item.deadline, Timestamp::from_seconds(1_000 + 3600));
    assert_eq!(stage.gone().await, (item.id, Ending::Deadline));
}

#[tokio::test]
async fn an_answer_after_the_machine_slept_through_the_deadline_is_not_taken() {
    let mut stage = stage(Surface::Desktop);
    let desk = stage.desk.clone();
    let asked = tokio::spawn(async move { desk.approve(approval()).await });
    let item = stage.added().await;
    stage.seconds.store(1_000 + 3600, Ordering::SeqCst);

    let answer = stage.desk.answer(&item.id, Answer::Approval(Approval::Allow(ApprovalScope::Once)));

    assert_eq!(answer, Err(AnswerFault::Unknown(item.id.clone())));
    assert_eq!(asked.await.unwrap(), Err(PersonFault::Deadline));
}

#[tokio::test]
async fn the_same_consent_is_asked_once_and_answers_all() {
    let mut stage = stage(Surface::Desktop);
    let (one, two) = (stage.desk.clone(), stage.desk.clone());
    let first = tokio::spawn(async move { one.consent(consent("Claude Code")).await });
    let item = stage.added().await;
    let second = tokio::spawn(async move { two.consent(consent("Claude Code")).await });
    assert_eq!(stage.added().await.id, item.id, "asked again under the same id");

    stage.desk.answer(&item.id, Answer::Consent(Consent::Allow)).unwrap();

    assert_eq!((first.await.unwrap(), second.await.unwrap()), (Ok(Consent::Allow), Ok(Consent::Allow)));
}

#[tokio::test]
async fn a_consent_that_differs_in_anything_shown_is_asked_anew() {
    let mut stage = stage(Surface::Desktop);
    let (one, two) = (stage.desk.clone(), stage.desk.clone());
    let _first = tokio::spawn(async move { one.consent(consent("Claude Code")).await });
    let item = stage.added().await;
    let process = model::ListeningProcess { pid: 7, executable: "/tmp/other".to_owned(), user_id: 1000 };
    let other = ConsentRequest { process: Some(process), ..consent("Claude Code") };
    let _second = tokio::spawn(async move { two.consent(other).await });
    assert_ne!(stage.added().await.id, item.id);
}

#[tokio::test]
async fn identical_calls_of_one_assistant_are_one_question_with_their_number() {
    let mut stage = stage(Surface::Desktop);
    let ask = |request: ApprovalRequest| {
        let desk = stage.desk.clone();
        tokio::spawn(async move { desk.approve(request).await })
    };
    let first = ask(approval());
    let item = stage.events.recv().await;
    let Some(Event::PendingAdded(item)) = item else { panic!("a question was expected, not {item:?}") };
    let second = ask(approval());
    assert!(
        matches!(stage.events.recv().await, Some(Event::PendingAdded(again)) if again.id == item.id && again.count == 2)
    );
    let other = ask(ApprovalRequest { arguments: "{\"to\":\"all\"}".to_owned(), ..approval() });
    assert!(matches!(stage.events.recv().await, Some(Event::PendingAdded(other)) if other.id != item.id));

    let once = Approval::Allow(ApprovalScope::Once);
    let more = Err(AnswerFault::More(item.id.clone()));
    assert_eq!(stage.desk.answer_approval(&item.id, once, 1), more, "the person saw one");
    assert_eq!(stage.desk.answer_approval(&item.id, once, 2), Ok(()));
    assert_eq!((first.await.unwrap(), second.await.unwrap()), (Ok(once), Ok(once)));
    assert!(!other.is_finished());
}

#[tokio::test]
async fn whoever_hangs_up_is_counted_no_more_and_nobody_allows_more_than_policy_does() {
    let mut stage = stage(Surface::Desktop);
    let ask = || {
        let desk = stage.desk.clone();
        tokio::spawn(async move { desk.approve(approval()).await })
    };
    let (first, second) = (ask(), ask());
    let item = stage.added().await;
    assert_eq!(stage.added().await.count, 2);
    first.abort();
    assert_eq!(stage.added().await.count, 1);
    let always = Answer::Approval(Approval::Allow(ApprovalScope::Always));
    assert_eq!(stage.desk.answer(&item.id, always), Err(AnswerFault::Kind(item.id.clone())));
    let session = Approval::Allow(ApprovalScope::Session);
    assert_eq!(stage.desk.answer(&item.id, Answer::Approval(session)), Ok(()));
    assert_eq!(second.await.unwrap(), Ok(session));
}

#[tokio::test]
async fn whoever_goes_away_takes_the_question_along() {
    let mut stage = stage(Surface::Desktop);
    let desk = stage.desk.clone();
    let asked = tokio::spawn(async move { desk.consent(consent("Claude Code")).await });
    let item = stage.added().await;
    asked.abort();
    assert_eq!(stage.gone().await, (item.id, Ending::Withdrawn));
}

#[tokio::test]
async fn a_terminal_answers_only_where_it_may() {
    let mut stage = stage(Surface::Terminal { browser: true, answers_allowed: true });
    let desk = stage.desk.clone();
    let asked = tokio::spawn(async move { desk.consent(consent("Claude Code")).await });
    let item = stage.added().await;
    assert_eq!(stage.desk.answer_from_terminal(&item.id, true), Ok(()));
    assert_eq!(asked.await.unwrap(), Ok(Consent::Allow));

    let closed = self::stage(Surface::Terminal { browser: true, answers_allowed: false });
    assert!(matches!(closed.desk.consent(consent("Claude Code")).await, Err(PersonFault::Nobody(_))));

    let mut desktop = self::stage(Surface::Desktop);
    let desk = desktop.desk.clone();
    let _asked = tokio::spawn(async move { desk.consent(consent("Claude Code")).await });
    let item = desktop.added().await;
    assert_eq!(desktop.desk.answer_from_terminal(&item.id, true), Err(AnswerFault::OnDesktop));
}

#[tokio::test]
async fn an_answer_of_another_kind_leaves_the_question() {
    let mut stage = stage(Surface::Desktop);
    let desk = stage.desk.clone();
    let _asked = tokio::spawn(async move { desk.consent(consent("Claude Code")).await });
    let item = stage.added().await;
    let answer = stage.desk.answer(&item.id, Answer::Approval(Approval::Allow(ApprovalScope::Once)));
    assert_eq!(answer, Err(AnswerFault::Kind(item.id.clone())));
    assert_eq!(stage.desk.items().len(), 1);
}

#[tokio::test]
async fn a_sign_in_ends_with_its_own_redirect_only() {
    let mut stage = stage(Surface::Desktop);
    let desk = stage.desk.clone();
    let request = sign_in("s-1");
    let place = request.redirect_uri.clone();
    let asked = tokio::spawn(async move { desk.sign_in(request).await });
    let item = stage.added().await;

    let forged = Url::parse(&format!("{place}?code=c&state=other")).unwrap();
    assert_eq!(stage.desk.redirected(&item.id, forged), Err(AnswerFault::Kind(item.id.clone())));
    let own = Url::parse(&format!("{place}?code=c&state=s-1")).unwrap();
    assert_eq!(stage.desk.redirected(&item.id, own.clone()), Ok(()));

    assert_eq!(asked.await.unwrap(), Ok(SignInOutcome { redirected_to: own }));
}

#[tokio::test]
async fn a_browser_ends_a_sign_in_through_the_loopback_port() {
    let mut stage = stage(Surface::Terminal { browser: true, answers_allowed: false });
    let desk = stage.desk.clone();
    let request = sign_in("s-1");
    let own = Url::parse(&format!("{}?code=c&state=s-1", request.redirect_uri)).unwrap();
    let asked = tokio::spawn(async move { desk.sign_in(request).await });
    let item = stage.added().await;

    let page = crate::redirect::tests::fetch(&own, &[]).await;

    assert!(page.starts_with("HTTP/1.1 200"), "{page}");
    assert_eq!(asked.await.unwrap(), Ok(SignInOutcome { redirected_to: own }));
    assert_eq!(stage.gone().await, (item.id, Ending::Answered));
}

#[tokio::test]
async fn a_newer_sign_in_for_the_same_account_takes_the_place_of_the_older() {
    let mut stage = stage(Surface::Desktop);
    let (one, two) = (stage.desk.clone(), stage.desk.clone());
    let older = tokio::spawn(async move { one.sign_in(sign_in("s-1")).await });
    let first = stage.added().await;
    let newer = tokio::spawn(async move { two.sign_in(sign_in("s-2")).await });

    assert_eq!(stage.gone().await, (first.id, Ending::Withdrawn));
    let second = stage.added().await;
    assert_eq!(older.await.unwrap(), Err(PersonFault::Cancelled));
    stage.desk.answer(&second.id, Answer::Cancel).unwrap();
    assert_eq!(newer.await.unwrap(), Err(PersonFault::Cancelled));
}

#[tokio::test]
async fn a_taken_port_is_said_before_anything_is_shown() {
    let stage = stage(Surface::Desktop);
    let request = sign_in("s-1");
    let port = request.redirect_uri.port().unwrap();
    let _thief = tokio::net::TcpListener::bind(("127.0.0.1", port)).await.unwrap();
    assert_eq!(stage.desk.sign_in(request).await, Err(PersonFault::PortTaken));
    assert_eq!(stage.desk.items(), []);
}

#[tokio::test]
async fn a_flood_is_refused() {
    let mut stage = stage(Surface::Desktop);
    let mut asked = tokio::task::JoinSet::new();
    for number in 0..MOST_PENDING {
        let desk = stage.desk.clone();
        asked.spawn(async move { desk.consent(consent(&format!("assistant {number}"))).await });
        stage.added().await;
    }
    let answer = stage.desk.consent(consent("one too many")).await;
    assert!(matches!(answer, Err(PersonFault::Nobody(_))), "{answer:?}");
}

#[tokio::test]
async fn a_code_is_shown_in_every_terminal_and_ends_only_by_being_given_up() {
    let mut stage = stage(Surface::Terminal { browser: false, answers_allowed: false });
    assert!(!stage.desk.opens_pages());
    let desk = stage.desk.clone();
    let request = CodeRequest {
        purpose: SignInPurpose::Organisation { name: "Acme".to_owned() },
        verification_uri: "https://idp.test/device".parse().unwrap(),
        user_code: UserCode::typeable("WDJB-MJHT").unwrap(),
        deadline: HOUR,
    };
    let shown = tokio::spawn(async move { desk.show_code(request).await });
    let item = stage.added().await;
    assert_eq!(stage.desk.sign_in_to_organisation(|_| true).await, item);
    let words = crate::words::detail(&item);
    assert!(words.contains("https://idp.test/device") && words.contains("WDJB-MJHT"), "{words}");
    let notice = crate::words::notice(&item);
    assert!(!format!("{item:?}{notice:?}").contains("WDJB"), "logs and locked screens do not show it");

    stage.desk.leave_page_of_organisation();
    let back = Url::parse("http://127.0.0.1/callback?code=c&state=s").unwrap();
    assert_eq!(stage.desk.redirected(&item.id, back), Err(AnswerFault::Kind(item.id.clone())));
    let allowed = stage.desk.answer(&item.id, Answer::Consent(Consent::Allow));
    assert_eq!(allowed, Err(AnswerFault::Kind(item.id.clone())));
    assert_eq!(stage.desk.answer(&item.id, Answer::Cancel), Ok(()));
    assert_eq!(shown.await.unwrap(), PersonFault::Cancelled);
}

fn diagnostics() -> Arc<DiagnosticsRequest> {
    let (since, until) = (Timestamp::from_seconds(900), Timestamp::from_seconds(9_000));
    Arc::new(DiagnosticsRequest { id: 3, by: None, reason: "Mail fails".parse().unwrap(), since, until })
}

#[tokio::test]
async fn diagnostics_wait_where_a_terminal_may_not_answer_and_no_word_there_sends_them() {
    for answers_allowed in [false, true] {
        let mut stage = stage(Surface::Terminal { browser: false, answers_allowed });
        let desk = stage.desk.clone();
        let asked = tokio::spawn(async move { desk.diagnostics(diagnostics()).await });
        let item = stage.added().await;
        assert_eq!(item.deadline, diagnostics().until);
        let yes = stage.desk.answer_from_terminal(&item.id, true);
        if !answers_allowed {
            assert_eq!(yes, Err(AnswerFault::NotAllowed));
            asked.abort();
            continue;
        }
        assert_eq!(yes, Err(AnswerFault::Unseen(item.id.clone())));
        assert_eq!(stage.desk.answer_from_terminal(&item.id, false), Ok(()));
        assert_eq!(asked.await.unwrap(), Ok(()), "they are not sent");
    }
}

#[tokio::test]
async fn diagnostics_that_are_wanted_no_more_wait_no_more() {
    let mut stage = stage(Surface::Desktop);
    let desk = stage.desk.clone();
    let asked = tokio::spawn(async move { desk.diagnostics(diagnostics()).await });
    let item = stage.added().await;
    assert_eq!(
        stage.desk.answer(&item.id, Answer::Consent(Consent::Allow)),
        Err(AnswerFault::Kind(item.id.clone()))
    );
    asked.abort();
    assert_eq!(stage.gone().await, (item.id, Ending::Withdrawn));
}
