mod personal;

use proptest::prelude::*;

use super::*;

fn device() -> DeviceId {
    "01939a5e-0000-7000-8000-000000000001".parse().unwrap()
}

const EPOCH: u64 = 7;

fn at(second: i64) -> Timestamp {
    Timestamp::from_seconds(1_795_442_400 + second)
}

fn event(text: &str) -> PreparedBody {
    PreparedBody::event(&EventRecord::new(AuditEvent::Start).with("version", text)).unwrap()
}

/// A line, without its end, that follows `head`.
fn line(head: &mut Head, text: &str) -> String {
    let mut out = String::new();
    *head = AuditRecord::seal_into(&mut out, device(), head, at(0), 1, &event(text)).unwrap();
    assert_eq!(out.pop(), Some('\n'));
    out
}

fn chain(length: u64) -> Vec<String> {
    let mut head = Head::before(EPOCH);
    (1..=length).map(|n| line(&mut head, &n.to_string())).collect()
}

fn head_of(line: &str) -> Head {
    ChainLink::parse(line).unwrap().head()
}

fn verify(lines: &[String], known: &[Head]) -> Vec<(FindingKind, u64, u64)> {
    let known: Vec<Known> =
        known.iter().map(|head| Known { head: *head, from: "a receipt".to_owned() }).collect();
    let report = verify_chain(device(), EPOCH, lines.iter().map(String::as_str), &known);
    report.findings.iter().map(|finding| (finding.kind, finding.from, finding.to)).collect()
}

/// The lines anew from index `from` on, as somebody who can compute digests would write them.
fn rewritten(lines: &[String], from: usize) -> Vec<String> {
    let mut head = head_of(&lines[from - 1]);
    let mut all = lines[..from].to_vec();
    all.extend((from..lines.len()).map(|n| line(&mut head, &format!("forged {n}"))));
    all
}

#[test]
fn an_unbroken_chain_that_reaches_what_is_known_has_no_finding() {
    let lines = chain(20);
    let known = [head_of(&lines[4]), head_of(&lines[19])];
    let known = known.map(|head| Known { head, from: String::new() });
    let report = verify_chain(device(), EPOCH, lines.iter().map(String::as_str), &known);
    assert_eq!(report.findings, []);
    assert_eq!(report.records, 20);
    assert_eq!(report.first, Some(head_of(&lines[0])));
    assert_eq!(report.last, Some(head_of(&lines[19])));
}

#[test]
fn the_digest_can_be_checked_with_a_hash_and_nothing_else() {
    let lines = chain(2);
    let (open, end) = lines[1].split_at(lines[1].len() - 84);
    assert_eq!(end, format!(r#","digest":"{}"}}"#, Digest::of(open.as_bytes())));
    assert!(
        open.contains(&format!(r#""prev":"{}""#, Digest::of(&lines[0].as_bytes()[..lines[0].len() - 84])))
    );
}

#[test]
fn an_edited_record_is_named() {
    let mut lines = chain(9);
    lines[4] = lines[4].replace(r#""version":"5""#, r#""version":"6""#);
    assert_eq!(verify(&lines, &[]), [(FindingKind::Edited, 5, 5)]);
}

#[test]
fn an_edited_record_with_a_new_digest_is_named() {
    let mut lines = chain(9);
    lines[4] = line(&mut head_of(&lines[3]), "forged");
    assert_eq!(verify(&lines, &[]), [(FindingKind::Edited, 5, 5)], "the next record follows the true one");
    let last = chain(9).len() - 1;
    let mut lines = chain(9);
    lines[last] = line(&mut head_of(&lines[last - 1]), "forged");
    assert_eq!(verify(&lines, &[]), [], "nothing follows the last one");
    assert_eq!(
        verify(&lines, &[head_of(&chain(9)[last])]),
        [(FindingKind::Forked, 9, 9)],
        "but it may be known"
    );
}

#[test]
fn an_unreadable_line_is_named_once() {
    let mut lines = chain(9);
    lines[4] = "rubbish".to_owned();
    assert_eq!(verify(&lines, &[]), [(FindingKind::Unreadable, 5, 5)]);
}

#[test]
fn removed_records_are_named() {
    let mut lines = chain(9);
    lines.drain(3..6);
    assert_eq!(verify(&lines, &[]), [(FindingKind::Removed, 4, 6)]);
    let mut lines = chain(9);
    lines.drain(..3);
    assert_eq!(verify(&lines, &[]), [(FindingKind::Removed, 1, 3)], "the beginning");
}

#[test]
fn an_inserted_record_is_named() {
    let mut lines = chain(9);
    lines.insert(5, line(&mut head_of(&lines[4]), "forged"));
    assert_eq!(verify(&lines, &[]), [(FindingKind::Inserted, 6, 6)], "before the true one");
    let mut lines = chain(9);
    lines.insert(6, line(&mut head_of(&lines[4]), "forged"));
    assert_eq!(verify(&lines, &[]), [(FindingKind::Inserted, 6, 6)], "after the true one");
    let mut lines = chain(9);
    lines.insert(5, lines[2].clone());
    assert_eq!(verify(&lines, &[]), [(FindingKind::Inserted, 3, 3)], "a copy");
    let mut lines = chain(9);
    lines.insert(5, line(&mut Head { epoch: EPOCH, seq: 700, digest: Digest::of(b"x") }, "forged"));
    let findings = verify(&lines, &[]);
    assert!(!findings.is_empty(), "a record from nowhere: {findings:?}");
}

#[test]
fn reordered_records_are_named() {
    let mut lines = chain(9);
    lines.swap(4, 5);
    assert_eq!(verify(&lines, &[]), [(FindingKind::Reordered, 6, 6)]);
    let lines = chain(9);
    let blocks: Vec<String> = [&lines[..3], &lines[6..], &lines[3..6]].concat();
    assert_eq!(
        verify(&blocks, &[]),
        [(FindingKind::Reordered, 7, 9)],
        "blocks, as when segments are swapped"
    );
    let backwards: Vec<String> = chain(9).into_iter().rev().collect();
    assert!(verify(&backwards, &[]).iter().all(|(kind, ..)| *kind == FindingKind::Reordered));
}

#[test]
fn a_cut_end_is_seen_only_against_what_is_known() {
    let lines = chain(9);
    let known = head_of(&lines[8]);
    assert_eq!(verify(&lines[..6], &[]), []);
    assert_eq!(verify(&lines[..6], &[known]), [(FindingKind::Truncated, 7, 9)]);
    assert_eq!(verify(&[], &[known]), [(FindingKind::Truncated, 1, 9)]);
}

#[test]
fn a_chain_written_anew_is_seen_only_against_what_is_known() {
    let lines = chain(9);
    let forged = rewritten(&lines, 4);
    assert_eq!(verify(&forged, &[]), []);
    assert_eq!(verify(&forged, &[head_of(&lines[3])]), [], "what is known is older");
    assert_eq!(verify(&forged, &[head_of(&lines[6])]), [(FindingKind::Forked, 7, 7)]);
}

#[test]
fn two_histories_in_one_file_are_named() {
    let lines = chain(9);
    let mut both = lines.clone();
    both.extend_from_slice(&rewritten(&lines, 4)[4..7]);
    assert_eq!(verify(&both, &[]), [(FindingKind::Inserted, 5, 7)]);
}

#[test]
fn records_of_others_are_named() {
    let mut lines = chain(3);
    let other = "01939a5e-0000-7000-8000-000000000002".parse().unwrap();
    let mut out = String::new();
    AuditRecord::seal_into(&mut out, other, &head_of(&lines[2]), at(0), 1, &event("x")).unwrap();
    lines.push(out.trim_end().to_owned());
    assert_eq!(verify(&lines, &[]), [(FindingKind::Foreign, 4, 4)]);
}

#[test]
fn a_head_is_followed_by_exactly_one_record() {
    let lines = chain(3);
    let links: Vec<ChainLink> = lines.iter().map(|line| ChainLink::parse(line).unwrap()).collect();
    let first = Head::before(EPOCH).followed_by(&links[0]).unwrap();
    assert_eq!(first, links[0].head());
    assert_eq!(Head::before(3).followed_by(&links[0]), Ok(first), "a later epoch begins");
    assert_eq!(first.followed_by(&links[0]), Err(ChainFault::Known { epoch: EPOCH, seq: 1 }));
    assert_eq!(first.followed_by(&links[2]), Err(ChainFault::Gap { epoch: EPOCH, expected: 2, found: 3 }));
    let other = Head { digest: Digest::of(b"other"), ..first };
    assert_eq!(other.followed_by(&links[1]), Err(ChainFault::Fork { epoch: EPOCH, seq: 2 }));
    assert_eq!(
        Head::before(EPOCH + 1).followed_by(&links[1]),
        Err(ChainFault::Known { epoch: EPOCH, seq: 2 })
    );
}

#[test]
fn bodies_of_later_versions_do_not_break_a_chain() {
    let mut text = format!(
        r#"{{"format":1,"device":"{}","epoch":7,"seq":1,"at":"{}","uptime":1,"kind":"novelty","body":{{"x":1}},"prev":"{GENESIS}""#,
        device(),
        at(0)
    );
    seal(&mut text, 0);
    assert_eq!(verify(&[text.clone()], &[]), []);
    assert_eq!(AuditRecord::parse(&text).unwrap().body(), &RecordBody::Unknown);
    let event = r#"{"event":"novelty"}"#;
    assert_eq!(
        read_body("event", event).unwrap(),
        RecordBody::Event(Box::new(EventRecord::new(AuditEvent::Unknown("novelty".to_owned()))))
    );
}

fn read_body(kind: &str, json: &str) -> serde_json::Result<RecordBody> {
    RecordBody::read(kind, &mut serde_json::Deserializer::from_str(json))
}

/// As calls were written before methods were recorded.
const BEFORE: &str = r#"{"call":"01939a5e-0000-7000-8000-00000000000c","subject":{"issuer":"i","subject":"s"},"server":"analyst","connector":"warehouse","tool":"execute_sql","client_id":"c","client_name":"A","policy":{"label":"1","digest":"DIGEST"},"rules":["all"],"REST}"#;

#[test]
fn calls_that_were_written_without_a_method_are_read_as_tool_calls() {
    let tool = Effect::tool_call("execute_sql");
    let before = BEFORE.replace("DIGEST", &Digest::of(b"policy").to_string());
    let intent = before.replace("\"REST", r#""credential":"","arguments":{"bytes":2}"#);
    let RecordBody::Intent(intent) = read_body("intent", &intent).unwrap() else { panic!("an intent") };
    assert_eq!((&intent.effect, &CallContext::from(&*intent).effect), (&tool, &tool));
    let denial = before.replace("\"REST", r#""kind":"forbidden","reason":"No.""#);
    let RecordBody::Denial(denial) = read_body("denial", &denial).unwrap() else { panic!("a denial") };
    assert_eq!(denial.effect, tool);
    let outcome = r#"{"of":{"call":"01939a5e-0000-7000-8000-00000000000c","issuer":"i","subject":"s","server":"analyst","connector":"warehouse","tool":"execute_sql"},"outcome":{"status":"ok"}}"#;
    let RecordBody::Outcome(outcome) = read_body("outcome", outcome).unwrap() else { panic!("an outcome") };
    assert_eq!(outcome.of.effect, tool);
    // Written anew it says what it always meant, between the same members.
    let text = serde_json::to_string(&*intent).unwrap();
    assert!(
        text.contains(
            r#""connector":"warehouse","method":"tools/call","tool":"execute_sql","client_id":"c""#
        ),
        "{text}"
    );
}

#[test]
fn every_status_of_an_outcome_has_its_word() {
    let word = |status: OutcomeStatus| serde_json::to_string(&Outcome::new(status)).unwrap();
    assert_eq!(word(OutcomeStatus::ToolError), r#"{"status":"tool_error"}"#);
    assert_eq!(word(OutcomeStatus::InputRequired), r#"{"status":"input-required"}"#);
    let read: Outcome = serde_json::from_str(r#"{"status":"input-required"}"#).unwrap();
    assert_eq!(read.status, OutcomeStatus::InputRequired);
}

#[test]
fn a_later_format_is_named_as_such() {
    let later = chain(1)[0].replace(r#""format":2"#, r#""format":3"#);
    assert_eq!(ChainLink::parse(&later), Err(LineFault::Format(3)));
}

#[test]
fn a_record_that_is_too_long_is_refused_and_leaves_nothing() {
    let mut out = "before".to_owned();
    let body = event(&"x".repeat(LONGEST_LINE));
    let refused = AuditRecord::seal_into(&mut out, device(), &Head::before(1), at(0), 1, &body);
    assert!(matches!(refused, Err(LineFault::TooLong(_))));
    assert_eq!(out, "before");
}

#[test]
fn duplicate_members_are_refused() {
    let mut text = chain(1)[0].clone();
    text.truncate(text.len() - 84);
    text.push_str(r#","seq":9"#);
    seal(&mut text, 0);
    assert!(matches!(ChainLink::parse(&text), Err(LineFault::Unreadable(_))));
}

const HOSTILE: &str = "a\r\nb\u{1b}[31m\u{2028}\u{2029}\u{85}\u{9b}31m\u{202e}\u{200b}\u{feff}\u{e0041}\u{7f}\",\"digest\":\"x\"}";

#[test]
fn hostile_text_stays_on_one_line_and_is_read_back() {
    let body = PreparedBody::event(&later().with(HOSTILE, HOSTILE)).unwrap();
    let mut out = String::new();
    AuditRecord::seal_into(&mut out, device(), &Head::before(1), at(0), 1, &body).unwrap();
    let text = out.strip_suffix('\n').unwrap();
    assert!(text.chars().all(|c| (' '..='~').contains(&c)), "{text}");
    let read = AuditRecord::parse(text).unwrap();
    let RecordBody::Event(event) = read.body() else { panic!("{read:?}") };
    assert_eq!(event.facts.get(HOSTILE).map(String::as_str), Some(HOSTILE));
    assert!(to_one_line("naïve 日本").unwrap().contains("naïve 日本"), "letters are left alone");
}

/// An event of a later version, which may have facts of any name.
fn later() -> EventRecord {
    EventRecord::new(AuditEvent::from("later".to_owned()))
}

proptest! {
    #[test]
    fn any_text_is_one_line_and_read_back(name in any::<String>(), value in any::<String>()) {
        let body = PreparedBody::event(&later().with(name.clone(), value.clone())).unwrap();
        let mut out = String::new();
        AuditRecord::seal_into(&mut out, device(), &Head::before(1), at(0), 1, &body).unwrap();
        prop_assert_eq!(out.lines().count(), 1);
        prop_assert_eq!(out.chars().filter(|c| c.is_control()).collect::<String>(), "\n");
        let read = AuditRecord::parse(out.trim_end_matches('\n')).unwrap();
        let RecordBody::Event(event) = read.body() else { panic!("{read:?}") };
        prop_assert_eq!(event.facts.get(&name), Some(&value));
    }

    #[test]
    fn no_changed_byte_goes_unnoticed(which in 0usize..5, at in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let mut lines = chain(5);
        let mut bytes = lines[which].clone().into_bytes();
        let at = at.index(bytes.len());
        prop_assume!(bytes[at] != byte);
        bytes[at] = byte;
        lines[which] = String::from_utf8_lossy(&bytes).into_owned();
        prop_assert!(!verify(&lines, &[]).is_empty());
    }

    #[test]
    fn no_permutation_or_subset_goes_unnoticed(order in Just((0..8).collect::<Vec<usize>>()).prop_shuffle(), keep in 1usize..=8) {
        let lines = chain(8);
        let chosen: Vec<String> = order[..keep].iter().map(|at| lines[*at].clone()).collect();
        let intact = order[..keep].iter().enumerate().all(|(at, from)| at == *from);
        let known = [head_of(&lines[7])];
        prop_assert_eq!(verify(&chosen, &known).is_empty(), intact && keep == 8);
        prop_assert_eq!(verify(&chosen, &[]).is_empty(), intact);
    }
}

mod arguments {
    use super::*;

    const KEY: [u8; 32] = [3; 32];

    fn summary(json: &str) -> ArgumentSummary {
        ArgumentSummary::of(json, &KEY, false)
    }

    fn paths(summary: &ArgumentSummary) -> Vec<(&str, ArgumentKind, u64)> {
        summary
            .arguments
            .iter()
            .map(|argument| (argument.path.as_str(), argument.kind, argument.bytes))
            .collect()
    }

    #[test]
    fn names_types_and_sizes_are_recorded() {
        let json = r#"{"sql":"select 1","limit":12345678901234567890123,"dry":true,"none":null,
            "in":{"a/b":"x","deep":{}},"list":[1,2,3]}"#;
        let summary = summary(json);
        assert_eq!(
            paths(&summary),
            [
                ("/sql", ArgumentKind::Text, 8),
                ("/limit", ArgumentKind::Number, 23),
                ("/dry", ArgumentKind::Boolean, 4),
                ("/none", ArgumentKind::Null, 4),
                ("/in/a~1b", ArgumentKind::Text, 1),
                ("/in/deep", ArgumentKind::Object, 2),
                ("/list", ArgumentKind::Array, 7),
            ]
        );
        assert_eq!(summary.arguments[6].elements, Some(3));
        assert_eq!(summary.bytes, json.len() as u64);
    }

    #[test]
    fn values_are_not_recorded_unless_asked_for() {
        let json = r#"{"password":"hunter2-canary"}"#;
        assert!(!to_one_line(&summary(json)).unwrap().contains("canary"));
        let captured = ArgumentSummary::of(json, &KEY, true);
        assert_eq!(captured.arguments[0].value.as_deref(), Some("\"hunter2-canary\""));
    }

    #[test]
    fn a_value_can_be_confirmed_with_the_key_only() {
        let recorded = &summary(r#"{"a":"secr\u0065t","b":"secret","c":1}"#).arguments;
        let confirmed = argument_mac(&KEY, ArgumentKind::Text, b"secret");
        assert_eq!((&recorded[0].mac, &recorded[1].mac), (&confirmed, &confirmed), "however it was escaped");
        assert_ne!(argument_mac(&[4; 32], ArgumentKind::Text, b"secret"), confirmed);
        assert_ne!(argument_mac(&KEY, ArgumentKind::Text, b"1"), recorded[2].mac, "types are told apart");
    }

    #[test]
    fn large_arguments_are_bounded() {
        let many: Vec<String> = (0..5000).map(|n| format!(r#""k{n}":{n}"#)).collect();
        let many = summary(&format!("{{{}}}", many.join(",")));
        assert_eq!((many.arguments.len(), many.omitted), (64, 4936));
        let long = format!(r#"{{"{}":"{}"}}"#, "k".repeat(10_000), "é".repeat(1_000_000));
        let long = ArgumentSummary::of(&long, &KEY, true);
        assert_eq!(long.arguments[0].bytes, 2_000_000);
        assert!(to_one_line(&long).unwrap().len() < 5_000);
        let deep = format!("{}1{}", r#"{"d":"#.repeat(100), "}".repeat(100));
        assert_eq!(paths(&summary(&deep)).len(), 1);
    }

    #[test]
    fn empty_and_invalid_arguments_are_recorded_as_such() {
        assert_eq!(summary("{}"), ArgumentSummary { bytes: 2, ..ArgumentSummary::default() });
        assert_eq!(paths(&summary("{")), [("", ArgumentKind::Invalid, 1)]);
    }

    proptest! {
        #[test]
        fn anything_is_summarised_within_bounds(json in any::<String>(), capture in any::<bool>()) {
            let summary = ArgumentSummary::of(&json, &KEY, capture);
            prop_assert_eq!(summary.bytes, json.len() as u64);
            prop_assert!(to_one_line(&summary).unwrap().len() < 128 * 1024);
        }
    }
}
