//! What authors may write, and what refuses the whole set.

use policy::{FaultKind, Opaque, PERSONAL};

use crate::desk::{decide, desk, listed, pinned, user};

/// The faults of one policy, which begins on line 2, as `<line>: <text>`.
fn faults(policy: &str) -> Vec<String> {
    let text = format!("\n@id(\"x\")\n{policy}\n");
    let faults = desk().compile(&text).map(|_| ()).expect_err("the policy should be refused");
    assert!(faults.iter().all(|fault| fault.file == "policies/desk.cedar"), "{faults:?}");
    faults.iter().map(|fault| format!("{}: {}", fault.line, fault.kind)).collect()
}

#[test]
fn types_are_checked() {
    assert_eq!(
        faults(
            r#"permit (principal, action == Action::"mail/search", resource) when { context.input.limt <= 3 };"#
        ),
        [
            "3: attribute `input.limt` in context for Action::\"mail/search\" not found (did you mean `limit`?)"
        ]
    );
    assert_eq!(
        faults(
            r#"permit (principal, action == Action::"mail/search", resource) when { context.input.limit <= 3 };"#
        ),
        ["3: unable to guarantee safety of access to optional attribute `input.limit` in context for \
          Action::\"mail/search\" (try testing for the attribute's presence with `context.input has limit && ..`)"]
    );
    assert_eq!(
        faults("permit (principal, action, resource) when\n{ principal.emial == \"x\" };"),
        ["4: attribute `emial` on entity type `User` not found (did you mean `email`?)"]
    );
    assert_eq!(
        faults(
            r#"permit (principal, action == Action::"mail/search", resource) when { context.input.query <= 3 };"#
        ),
        ["3: unexpected type: expected Long but saw String"]
    );
    assert_eq!(
        faults(r#"permit (principal, action == Action::"mail/serch", resource);"#),
        ["3: unrecognized action `Action::\"mail/serch\"` (did you mean `Action::\"mail/search\"`?)"]
    );
    assert_eq!(
        faults(
            r#"permit (principal, action == Action::"read_resource", resource) when { context.input.url like "file:*" };"#
        ),
        ["3: attribute `input.url` in context for Action::\"read_resource\" not found (did you mean `uri`?)"]
    );
    assert_eq!(
        faults(
            r#"forbid (principal, action == Action::"get_prompt", resource) when { context.input.uri == "review" };"#
        ),
        ["3: attribute `input.uri` in context for Action::\"get_prompt\" not found (did you mean `name`?)"]
    );
}

#[test]
fn what_could_never_apply_is_refused() {
    assert_eq!(
        faults(r#"forbid (principal, action == Action::"mail/search", resource == Server::"desk");"#),
        ["2: unable to find an applicable action given the policy scope constraints \
          (try replacing `==` with `in` in the resource clause)"]
    );
    assert_eq!(
        faults(
            r#"forbid (principal, action == Action::"mail/search", resource)
               when { context.input has limit && !(context.input has limit) };"#
        ),
        ["2: policy is impossible: the policy expression evaluates to false for all valid requests"]
    );
    assert_eq!(faults(r#"forbid (principal, action == Action::"call_tool", resource);"#).len(), 1);
}

#[test]
fn slips_that_cedar_takes_are_refused() {
    for (policy, expected) in [
        (
            r#"forbid (principal, action == Action::"mail/search", resource)
               when { if context.input has limt then true else false };"#,
            "2: nothing that this policy is about has context.input.limt",
        ),
        (
            r#"forbid (principal, action == Action::"read_resource", resource)
               when { if context.input has url then true else false };"#,
            "2: nothing that this policy is about has context.input.url",
        ),
        (
            r#"permit (principal, action, resource) when { !(principal has emial) };"#,
            "2: nothing that this policy is about has principal.emial",
        ),
        (
            r#"permit (principal, action, resource) when { !(context has inptu) };"#,
            "2: nothing that this policy is about has context.inptu",
        ),
        (
            r#"forbid (principal, action == Action::"files/write_file", resource)
               when { context.input has mode && context.input.mode == "replce" };"#,
            r#"2: context.input.mode is never "replce""#,
        ),
        (
            r#"forbid (principal, action == Action::"files/write_file", resource)
               when { context.input has mode && ["append", "overwrite"].contains(context.input.mode) };"#,
            r#"2: context.input.mode is never "overwrite""#,
        ),
        (
            r#"forbid (principal, action == Action::"files/write_file", resource)
               when { context.input has mode && context.input.mode like "ap*nt" };"#,
            r#"2: context.input.mode is never "ap*nt""#,
        ),
        (
            r#"forbid (principal, action == Action::"mail/search", resource)
               when { context.input has labels && context.input.labels.contains("trash") };"#,
            r#"2: context.input.labels is never "trash""#,
        ),
        (r#"permit (principal, action, resource in Server::"dsk");"#, r#"2: there is no Server::"dsk""#),
        (r#"permit (principal, action, resource in Connector::"m");"#, r#"2: there is no Connector::"m""#),
        (
            r#"permit (principal, action, resource) when { context.server == Server::"dsk" };"#,
            r#"2: there is no Server::"dsk""#,
        ),
        (
            r#"permit (principal, action, resource == Credential::"finance");"#,
            r#"2: there is no Credential::"finance""#,
        ),
        (
            r#"permit (principal, action == Action::"mail/search", resource) when { context.input == context.input };"#,
            "2: context, context.input and context.facts can only be read member by member",
        ),
        (
            "permit (principal in Group::\"a\u{202e}b\", action, resource);",
            "2: it contains characters that change how the text around them reads",
        ),
    ] {
        assert_eq!(faults(policy), [expected], "{policy}");
    }
}

#[test]
fn values_that_can_occur_are_taken() {
    for condition in [
        r#"context.input has mode && context.input.mode == "append""#,
        r#"context.input has mode && ["append"].contains(context.input.mode)"#,
        r#"context.input has mode && context.input.mode like "*e*""#,
        r#"context.input.path like "/home/*""#,
        r#"context has device && context.device == "d""#,
        r#"context.now < datetime("2030-01-01") && context.client.id == "c" && context.client.name like "C*""#,
        r#"principal has email && principal.email like "*@corp.example""#,
        r#"principal has department && ["research"].contains(principal.department)"#,
        r#"principal has contractor && !principal.contractor"#,
        r#"principal has roles && principal.roles.contains("approver")"#,
        r#"principal has "cost-centre" && principal["cost-centre"] > 4000"#,
        r#"principal == User::"https://idp.example#u" && principal.issuer == "i" && principal.subject == "s""#,
        r#"resource in Server::"desk" || context.server == Server::"analyst""#,
    ] {
        let policy = format!(
            r#"@id("x") permit (principal, action == Action::"files/write_file", resource) when {{ {condition} }};"#
        );
        assert_eq!(desk().compile(&policy).map(|_| ()), Ok(()), "{condition}");
    }
}

#[test]
fn one_fault_refuses_all() {
    let desk = desk();
    let faults = desk
        .compile_files(&[
            ("a.cedar", PERSONAL),
            (
                "b.cedar",
                "@id(\"ok\") permit (principal, action, resource);\npermit (principal, action, resource);",
            ),
            ("c.cedar", "permit (principal"),
        ])
        .expect_err("two faults");
    let found: Vec<(&str, u32)> = faults.iter().map(|fault| (fault.file.as_str(), fault.line)).collect();
    assert_eq!(found, [("b.cedar", 2), ("c.cedar", 1)]);
    assert_eq!(faults.first().map(|fault| &fault.kind), Some(&FaultKind::NoId));
    assert_eq!(faults.first().map(ToString::to_string).as_deref(), Some("b.cedar:2: the policy has no @id"));
    let twice = desk.compile_files(&[("a.cedar", PERSONAL), ("b.cedar", PERSONAL)]).expect_err("an id twice");
    assert_eq!(
        twice.iter().map(ToString::to_string).collect::<Vec<_>>(),
        ["b.cedar:2: policy \"personal\": the @id is already taken by a policy in a.cedar"]
    );
}

#[test]
fn an_opaque_tool_takes_policies_about_the_tool_only() {
    let about = |condition: &str| {
        desk().compile(&format!(
            r#"@id("x") permit (principal, action == Action::"warehouse/search_objects", resource) {condition};"#
        ))
    };
    assert!(about("").is_ok());
    assert!(about("when { context.input has pattern }").is_err());
    let desk = desk();
    let policy = desk.policy(PERSONAL);
    let opaque: Vec<(String, Opaque)> = policy
        .vocabulary()
        .expect("in force")
        .opaque()
        .map(|(connector, tool, why)| (format!("{connector}/{tool}"), why))
        .collect();
    assert_eq!(opaque, [("warehouse/search_objects".to_owned(), Opaque::NotAnObject)]);
}

#[test]
fn a_rule_for_all_tools_says_what_it_means_for_opaque_ones() {
    let rule = |guard: &str| {
        format!(
            r#"@id("all") permit (principal, action, resource);
               @id("limit") forbid (principal, action in Action::"call_tool", resource)
               when {{ {guard} context.input has limit && context.input.limit > 100 }};"#
        )
    };
    assert!(desk().compile(&rule("")).is_err(), "one tool has no input to look at");
    let desk = desk();
    let policy = desk.policy(&rule("context has input &&"));
    let user = user("u", &[]);
    assert!(decide(&policy, &user, "analyst mail/search", r#"{"query": "", "limit": 101}"#).is_err());
    assert!(decide(&policy, &user, "analyst mail/search", r#"{"query": "", "limit": 100}"#).is_ok());
    assert!(decide(&policy, &user, "analyst warehouse/search_objects", "any text").is_ok());
}

#[test]
fn two_connectors_may_have_tools_of_one_name() {
    let mut desk = desk();
    let other = r#"{"name": "search", "inputSchema": {"type": "object", "properties": {"limit": {"type": "string"}}}}"#;
    desk.tools.insert(crate::desk::id("files"), pinned(&[other]));
    let policy = desk.policy(
        r#"@id("all") permit (principal, action, resource) unless { action == Action::"mail/search" };
           @id("mail") permit (principal, action == Action::"mail/search", resource)
           when { context.input has limit && context.input.limit <= 3 };"#,
    );
    let user = user("u", &[]);
    assert!(decide(&policy, &user, "analyst files/search", r#"{"limit": "many"}"#).is_ok());
    assert!(decide(&policy, &user, "analyst mail/search", r#"{"query": "", "limit": 3}"#).is_ok());
    assert!(decide(&policy, &user, "analyst mail/search", r#"{"query": "", "limit": 4}"#).is_err());
}

#[test]
fn names_that_are_no_cedar_identifiers_can_be_read() {
    let mut desk = desk();
    let odd = r#"{"name": "a.b-c", "inputSchema": {"type": "object", "properties": {
        "max-rows": {"type": "integer"}, "in": {"type": "object", "properties": {"Long": {"type": "number"}}}}}}"#;
    let clash =
        r#"{"name": "a_b.c", "inputSchema": {"type": "object", "properties": {"x": {"type": "boolean"}}}}"#;
    desk.tools.insert(
        crate::desk::id("files"),
        pinned(&[odd, clash, r#"{"name": "not a name"}"#, r#"{"no": "name"}"#]),
    );
    let policy = desk.policy(
        r#"@id("see") permit (principal, action in [Action::"see_server", Action::"expose_connector"], resource);
           @id("odd") permit (principal, action == Action::"files/a.b-c", resource) when {
               context.input has "max-rows" && context.input["max-rows"] <= 3 &&
               context.input has "in" && context.input["in"] has Long && context.input["in"].Long.lessThan(decimal("1.5")) };
           @id("clash") permit (principal, action == Action::"files/a_b.c", resource) when {
               context.input has x && context.input.x };"#,
    );
    let user = user("u", &[]);
    assert_eq!(listed(&policy, &user, "analyst"), ["files/a.b-c", "files/a_b.c"]);
    assert!(
        decide(&policy, &user, "analyst files/a.b-c", r#"{"max-rows": 3, "in": {"Long": 1.4999}}"#).is_ok()
    );
    assert!(
        decide(&policy, &user, "analyst files/a.b-c", r#"{"max-rows": 3, "in": {"Long": 1.5}}"#).is_err()
    );
    assert!(decide(&policy, &user, "analyst files/a_b.c", r#"{"x": true}"#).is_ok());
}

#[test]
fn a_tool_that_is_pinned_twice_is_opaque() {
    let mut desk = desk();
    let tool = r#"{"name": "search", "inputSchema": {"type": "object", "properties": {"query": {"type": "string"}}}}"#;
    desk.tools.insert(crate::desk::id("mail"), pinned(&[tool, tool]));
    let reading = r#"@id("x") permit (principal, action == Action::"mail/search", resource) when { context.input has query };"#;
    assert!(desk.compile(reading).is_err());
}
