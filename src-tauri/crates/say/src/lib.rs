//! What the application says to a person: a function for each message of the catalogue (`ui/words/en.ftl`, Project Fluent) that the
//! tray, notifications or the state in the windows need. Windows take the rest of it themselves.
//!
//! Not here: `Advice`, and what the command line, the log and the audit journal say.
#![forbid(unsafe_code)]

mod catalogue;

/// Makes the functions; a message's id is its function's name with hyphens.
macro_rules! messages {
    ($($message:ident($($variable:ident: $kind:ty),*);)*) => {
        $(
            #[doc = concat!("The message `", stringify!($message), "`, with hyphens in its id.")]
            pub fn $message($($variable: $kind),*) -> String {
                catalogue::say(stringify!($message), &[$((stringify!($variable), $variable.into())),*])
            }
        )*

        /// Every message with the names and kinds of its variables.
        #[cfg(test)]
        const MESSAGES: &[(&str, &[(&str, &str)])] =
            &[$((stringify!($message), &[$((stringify!($variable), stringify!($kind))),*])),*];
    };
}

messages! {
    // How it is, in a word and in a sentence
    status_starting();
    status_ready();
    status_attention();
    status_paused();
    status_offline();
    status_refused();
    status_expired();
    summary_starting();
    summary_refused();
    summary_paused();
    summary_away();
    summary_offline(organisation: &str);
    summary_waiting(count: usize);
    summary_sign_in(organisation: &str);
    summary_connector();
    summary_silent(connector: &str);
    summary_silent_several(count: usize);
    summary_signing_in(organisation: &str);
    summary_nothing_offered(organisation: &str);
    summary_nothing_set_up();
    summary_ready(assistants: usize, connectors: usize);
    grace_left(organisation: &str, time: &str);

    // Who is there
    person_organisation();
    person_local(person: &str);
    person_signed_in(person: &str, organisation: &str);
    person_signed_out(organisation: &str);
    person_signing_in(organisation: &str);
    person_expired(person: &str);
    person_assistant();
    list_and(first: &str, last: &str);

    // What signing out means
    farewell_ends_assistants();
    farewell_ends_sign_in(organisation: &str);
    farewell_stays_assistants(count: usize);
    farewell_stays_record(organisation: &str);
    farewell_accounts(count: usize, names: &str);

    // What waits for the person
    waits_sign_in(name: &str);
    waits_sign_out(name: &str);
    waits_consent(assistant: &str, server: &str);
    waits_tool(assistant: &str, tool: &str);
    waits_resource(assistant: &str);
    waits_prompt(assistant: &str, prompt: &str);
    waits_sign_in_what();
    waits_sign_out_what(name: &str);
    waits_account_what(connector: &str);
    waits_code_what(page: &str, code: &str, name: &str);
    waits_program(program: &str);
    waits_program_unknown();
    waits_through(socket: &str, program: &str);
    person_program();
    waits_returns_to_program();
    waits_returns_to_opener(scheme: &str);
    waits_approval(connector: &str);
    waits_approval_count(count: usize, why: &str);
    waits_diagnostics();
    waits_diagnostics_what(by: &str, reason: &str);
    waits_diagnostics_nobody(reason: &str);

    // Notifications: they are seen on locked screens
    notice_open();
    notice_deny();
    notice_sign_in();
    notice_code();
    notice_consent();
    notice_approval();
    notice_diagnostics();
    notice_several();
    notice_several_what();
    notice_not_signed_in(name: &str);
    notice_gave_up();
    notice_too_late();
    notice_gave_up_account(connector: &str);
    notice_too_late_account(connector: &str);
    notice_sign_in_again();
    notice_stopped_at(host: &str);
    notice_in_browser();
    notice_organisation();
    notice_organisation_what(host: &str);
    notice_overheard();
    notice_overheard_what();

    // The tray, and what native windows are called
    window_main();
    tray_name();
    tray_tooltip(summary: &str);
    tray_open();
    tray_help();
    tray_sign_out();
    tray_quit();
    tray_question(title: &str);
    tray_more_questions(count: usize);
    tray_sign_in(name: &str);
    tray_keychain();
    tray_more_outages(count: usize);
    tray_no_servers();
    tray_servers();
    tray_copy_url(server: &str);
    tray_assistants();
    tray_stop(assistant: &str, server: &str);
    tray_all_assistants();
    tray_activity();
    tray_all_activity();
    tray_audit_broken();
    tray_audit_here_only(count: usize);
    tray_audit_in_sync(count: usize);
    tray_audit_to_send(count: usize, rest: usize);
    tray_resume();
    tray_pause();
    tray_pause_short();
    tray_pause_tomorrow();
    tray_pause_open();
    tray_call_done(assistant: &str, thing: &str, connector: &str);
    tray_call_running(assistant: &str, thing: &str, connector: &str);
    tray_call_denied(assistant: &str, thing: &str, connector: &str);
    tray_call_sign_in(assistant: &str, thing: &str, connector: &str);
    tray_call_failed(assistant: &str, thing: &str, connector: &str);
    tray_a_prompt();
    tray_a_resource();

    // Connectors and accounts
    outage_kept(connector: &str, when: &str);
    outage_withdrawn(connector: &str, when: &str);
    outage_silent(connector: &str, when: &str);
    account_none();
    account_own(connector: &str);
    account_shared(organisation: &str);
    account_lent(organisation: &str);
    runs_here(program: &str);
    runs_at_organisation(organisation: &str);
    log_started(program: &str);
    log_ended_by_itself(status: &str);
    log_ended();

    // Calls and their records
    outcome_running();
    outcome_done();
    outcome_denied();
    call_tool_error();
    call_needed_sign_in();
    call_denied(reason: &str);
    call_failed(reason: &str);
    call_not_done();
    call_given_up();
    call_unknown();
    call_the_prompt(prompt: &str);
    record_before();
    record_outcome();
    record_denial();
    record_other();
    record_stays();
    record_waits(organisation: &str);
    record_received(organisation: &str);
    record_collected(organisation: &str);
    record_refused(organisation: &str);

    // What is decided for the person
    setting_from();
    setting_from_organisation(organisation: &str, host: &str);
    setting_connectors();
    setting_connectors_count(connectors: usize, servers: usize);
    setting_sign_in();
    setting_sign_in_window();
    setting_sign_in_browser();
    setting_records();
    setting_records_organisation(organisation: &str);
    setting_records_here();
    setting_address();
    setting_address_none();
    setting_by_it(place: &str);
    machine_config_url();
    machine_fingerprint();
    machine_enrolment_token();
    machine_enrolment_token_set();
    machine_user_override();
    machine_user_override_counts();
    machine_user_override_not();
    machine_terminal_answers();
    machine_autostart();
    machine_updates();
    machine_updates_by(yes: &str);
    update_notice(version: &str);
    update_notice_what();
    update_elsewhere();
    update_off();
    update_unable();
    update_looking();
    update_current();
    update_fetching(version: &str, percent: usize);
    update_ready(version: &str);
    update_ready_older(version: &str);
    update_for_it(version: &str);
    update_installing(version: &str);
    update_installed(version: &str);
    machine_hidden();
    machine_hidden_none();
    machine_support();
    machine_yes();
    machine_no();

    // Roughly how long
    time_just_now();
    ago_minutes(count: usize);
    ago_hours(count: usize);
    ago_days(count: usize);
    span_seconds(count: usize);
    span_minutes(count: usize);
    span_hours(count: usize);
}

#[cfg(test)]
mod tests;
