//! What a window may ask for: each command sends one request. Which window may call which is said in `capabilities`.

use std::path::Path;

use controller::app::{Home, Wanted};
use controller::doctor::Examination;
use controller::tray::TrayAction;
use controller::view::{
    self, ActivityFilter, ActivityView, AdviceView, AssistantChangeView, Count, LocalAssistantView, LogView,
    PastView, PendingView, RecordView, TrialView, WindowView,
};
use controller::{Act, Answer, PendingId, Place};
use model::{Advice, Approval, ApprovalScope, Consent, ForPerson as _};
use serde::{Deserialize, Serialize};
use specta::Type;
use tauri::{AppHandle, State};

use crate::core::{Core, act};

/// What the About place shows.
#[derive(Debug, Clone, Serialize, Type)]
pub(crate) struct AboutView {
    /// The program's version.
    version: String,
    /// The folder that holds this installation's state.
    home: String,
    /// The operating system, in a word.
    system: String,
    /// The version of the web view that shows the windows.
    web_view: String,
}

/// An answer to a request to make one call.
#[derive(Debug, Clone, Copy, Deserialize, Type)]
#[serde(rename_all = "snake_case")]
pub(crate) enum ApprovalReply {
    /// This call only.
    AllowOnce,
    /// Every call of this tool for the session.
    AllowForSession,
    /// Every call of this tool until the person takes it back.
    AllowAlways,
    /// Not at all.
    Deny,
}

/// How long calls are refused.
#[derive(Debug, Clone, Copy, Deserialize, Type)]
#[serde(rename_all = "snake_case")]
pub(crate) enum PauseLength {
    /// A quarter of an hour.
    Short,
    /// Until the person's next day begins.
    Tomorrow,
    /// Until they resume.
    Open,
}

/// Everything that the main window shows, except the list of calls.
#[tauri::command]
#[specta::specta]
pub(crate) fn view(core: State<'_, Core>) -> WindowView {
    view::window(&core.state())
}

/// The calls that are kept, the newest first.
#[tauri::command]
#[specta::specta]
pub(crate) fn activity(core: State<'_, Core>, filter: ActivityFilter) -> Vec<ActivityView> {
    view::activity(&core.state(), &filter)
}

/// One question that waits; none once it has ended.
#[tauri::command]
#[specta::specta]
pub(crate) fn question(core: State<'_, Core>, id: String) -> Option<PendingView> {
    let state = core.state();
    state.pending.get(&PendingId::typed(id)).map(|item| view::pending(&state, item))
}

/// What a connector's log holds from the entry of this number on.
#[tauri::command]
#[specta::specta]
pub(crate) fn connector_log(
    core: State<'_, Core>,
    connector: String,
    after: Count,
) -> Result<LogView, AdviceView> {
    let logs = core.logs().ok_or_else(not_running)?;
    let id = connector.parse().map_err(|_| unknown(&connector))?;
    logs.view(&id, after.0).ok_or_else(|| unknown(&connector))
}

/// The records of one call as they were written, and who receives them.
#[tauri::command]
#[specta::specta]
pub(crate) async fn call_records(core: State<'_, Core>, call: String) -> Result<Vec<RecordView>, AdviceView> {
    let records = core.records().ok_or_else(not_running)?.clone();
    let call = call.parse().map_err(|_| unknown(&call))?;
    records.of_call(call).await.map_err(|fault| view::advice(&fault.advice()))
}

/// Begins to look back through the calls that were made: what further ones are asked for with.
#[tauri::command]
#[specta::specta]
pub(crate) fn look_back(core: State<'_, Core>) -> u32 {
    // Where no gateway runs nothing was done.
    core.records().map_or(0, controller::app::Records::look_back)
}

/// Further calls that were made, back from the newest.
#[tauri::command]
#[specta::specta]
pub(crate) async fn past_calls(
    core: State<'_, Core>,
    look: u32,
    filter: ActivityFilter,
) -> Result<PastView, AdviceView> {
    let Some(records) = core.records().cloned() else { return Ok(PastView::default()) };
    let page = records.past(core.state(), look, filter).await;
    page.map_err(|fault| view::advice(&fault.advice()))
}

/// The assistants on this computer, and what they are connected to. None where no gateway runs.
#[tauri::command]
#[specta::specta]
pub(crate) async fn local_assistants(core: State<'_, Core>) -> Result<Vec<LocalAssistantView>, AdviceView> {
    let Some(connections) = core.connections().cloned() else { return Ok(Vec::new()) };
    let here = connections.here(view::addresses(&core.state())).await;
    let mut here = here.map_err(|advice| view::advice(&advice))?;
    let imports = core.imports().ok_or_else(not_running)?.clone();
    imports.complete(&mut here).await.map_err(|advice| view::advice(&advice))?;
    Ok(here)
}

/// The change that connects an assistant to a virtual server, or takes that back, to be looked at. None where nothing changes.
#[tauri::command]
#[specta::specta]
pub(crate) async fn propose_change(
    core: State<'_, Core>,
    assistant: String,
    server: String,
    connected: bool,
) -> Result<Option<AssistantChangeView>, AdviceView> {
    let connections = core.connections().ok_or_else(not_running)?.clone();
    let id = server.parse().map_err(|_| unknown(&server))?;
    let wanted = if connected {
        let address = view::addresses(&core.state()).into_iter().find(|address| address.id == id);
        Wanted::Connected(address.ok_or_else(|| unknown(&server))?)
    } else {
        Wanted::Disconnected(id)
    };
    connections.propose(assistant, wanted).await.map_err(|advice| view::advice(&advice))
}

/// Makes the change that was looked at.
#[tauri::command]
#[specta::specta]
pub(crate) async fn make_change(core: State<'_, Core>, id: u32) -> Result<(), AdviceView> {
    let connections = core.connections().ok_or_else(not_running)?.clone();
    connections.make(id).await.map_err(|advice| view::advice(&advice))
}

/// Allows or denies an assistant the use of a virtual server.
#[tauri::command]
#[specta::specta]
pub(crate) fn answer_consent(core: State<'_, Core>, id: String, allow: bool) -> Result<(), AdviceView> {
    answer(&core, id, Answer::Consent(if allow { Consent::Allow } else { Consent::Deny }))
}

/// Allows or denies one call.
#[tauri::command]
#[specta::specta]
pub(crate) fn answer_approval(
    core: State<'_, Core>,
    id: String,
    reply: ApprovalReply,
    seen: u32,
) -> Result<(), AdviceView> {
    let approval = match reply {
        ApprovalReply::AllowOnce => Approval::Allow(ApprovalScope::Once),
        ApprovalReply::AllowForSession => Approval::Allow(ApprovalScope::Session),
        ApprovalReply::AllowAlways => Approval::Allow(ApprovalScope::Always),
        ApprovalReply::Deny => Approval::Deny,
    };
    let desk = core.desk().ok_or_else(not_running)?;
    let seen = usize::try_from(seen).unwrap_or_default();
    desk.answer_approval(&PendingId::typed(id), approval, seen).map_err(|fault| view::advice(&fault.advice()))
}

/// Takes back what was allowed for more than one call.
#[tauri::command]
#[specta::specta]
pub(crate) fn forget_approval(app: AppHandle, id: String) {
    act(&app, Act::ForgetApproval(id));
}

/// Gives up a sign-in.
#[tauri::command]
#[specta::specta]
pub(crate) fn cancel(core: State<'_, Core>, id: String) -> Result<(), AdviceView> {
    answer(&core, id, Answer::Cancel)
}

/// Opens the window of a question, or the sign-in again.
#[tauri::command]
#[specta::specta]
pub(crate) fn look(app: AppHandle, id: String) {
    act(&app, Act::Look(PendingId::typed(id)));
}

/// Copies the URL of a virtual server.
#[tauri::command]
#[specta::specta]
pub(crate) fn copy_address(app: AppHandle, server: String) -> Result<(), AdviceView> {
    act(&app, Act::CopyUrl(server.parse().map_err(|_| unknown(&server))?));
    Ok(())
}

/// Copies a text that the window shows.
#[tauri::command]
#[specta::specta]
pub(crate) fn copy_text(app: AppHandle, text: String) {
    crate::shell::copy(&app, text);
}

/// Takes the organisation that was met by its address alone for the person's own, if this is its fingerprint.
#[tauri::command]
#[specta::specta]
pub(crate) async fn confirm_organisation(
    core: State<'_, Core>,
    fingerprint: String,
) -> Result<(), AdviceView> {
    let introduction = core.introduction().cloned().ok_or_else(not_running)?;
    introduction.confirm(&fingerprint).await.map(drop).map_err(|advice| view::advice(&advice))
}

/// Has an organisation decide that is found at this address: Deskgate begins anew with it.
#[tauri::command]
#[specta::specta]
pub(crate) async fn join_organisation(core: State<'_, Core>, address: String) -> Result<(), AdviceView> {
    let welcome = core.welcome().cloned().ok_or_else(not_running)?;
    welcome.join(&address).await.map_err(|advice| view::advice(&advice))
}

/// Tries a virtual server out with a call that changes nothing.
#[tauri::command]
#[specta::specta]
pub(crate) async fn try_out(core: State<'_, Core>, server: String) -> Result<TrialView, AdviceView> {
    let welcome = core.welcome().cloned().ok_or_else(not_running)?;
    let server = server.parse().map_err(|_| unknown(&server))?;
    welcome.try_out(server).await.map_err(|advice| view::advice(&advice))
}

/// The person was shown around, or does not want to be.
#[tauri::command]
#[specta::specta]
pub(crate) async fn end_welcome(core: State<'_, Core>) -> Result<(), AdviceView> {
    let welcome = core.welcome().cloned().ok_or_else(not_running)?;
    welcome.done().await.map_err(|advice| view::advice(&advice))
}

/// Accepts what a connector says otherwise than before: these very words.
#[tauri::command]
#[specta::specta]
pub(crate) async fn accept_change(
    core: State<'_, Core>,
    connector: String,
    change: String,
) -> Result<(), AdviceView> {
    let acceptances = core.acceptances().cloned().ok_or_else(not_running)?;
    let account = connector.parse().map_err(|_| unknown(&connector))?;
    acceptances.accept(&account, &change).await.map_err(|advice| view::advice(&advice))
}

/// Signs in: to the organisation, or to a connector.
#[tauri::command]
#[specta::specta]
pub(crate) fn sign_in(app: AppHandle, connector: Option<String>) -> Result<(), AdviceView> {
    act(
        &app,
        match connector {
            Some(id) => Act::SignInTo(id.parse().map_err(|_| unknown(&id))?),
            None => Act::SignIn,
        },
    );
    Ok(())
}

/// Signs out of a connector, or of the organisation. There the person's accounts at connectors are forgotten too where they
/// want that.
#[tauri::command]
#[specta::specta]
pub(crate) fn sign_out(
    app: AppHandle,
    connector: Option<String>,
    forget_accounts: bool,
) -> Result<(), AdviceView> {
    act(
        &app,
        match connector {
            Some(id) => Act::SignOutOf(id.parse().map_err(|_| unknown(&id))?),
            None => Act::SignOut { forget_accounts },
        },
    );
    Ok(())
}

/// Takes back what an assistant was allowed.
#[tauri::command]
#[specta::specta]
pub(crate) fn revoke(app: AppHandle, client_id: String, server: String) -> Result<(), AdviceView> {
    let server = server.parse().map_err(|_| unknown(&server))?;
    act(&app, Act::Revoke { client_id, server });
    Ok(())
}

/// Refuses calls for a while.
#[tauri::command]
#[specta::specta]
pub(crate) fn pause(app: AppHandle, length: PauseLength) {
    let entry = match length {
        PauseLength::Short => TrayAction::PauseShort,
        PauseLength::Tomorrow => TrayAction::PauseTomorrow,
        PauseLength::Open => TrayAction::PauseOpen,
    };
    act(&app, crate::tray::act_of(&entry));
}

/// Takes calls again.
#[tauri::command]
#[specta::specta]
pub(crate) fn resume(app: AppHandle) {
    act(&app, Act::Resume);
}

/// Tries the keychain again.
#[tauri::command]
#[specta::specta]
pub(crate) fn try_keychain(app: AppHandle) {
    act(&app, Act::TryKeychain);
}

/// Gives Deskgate another port, where another program has its own, and begins anew where assistants are connected again.
#[tauri::command]
#[specta::specta]
pub(crate) async fn use_another_port(app: AppHandle, home: State<'_, Home>) -> Result<(), AdviceView> {
    controller::app::move_port(&home, None).await.map_err(|advice| view::advice(&advice))?;
    crate::launch::start_anew(&app, Some(Place::Assistants));
    Ok(())
}

/// Installs the update that is ready: an administrator is asked for.
#[tauri::command]
#[specta::specta]
pub(crate) fn install_update(app: AppHandle) {
    act(&app, Act::InstallUpdate);
}

/// Looks for an update now.
#[tauri::command]
#[specta::specta]
pub(crate) fn look_for_update(app: AppHandle) {
    act(&app, Act::LookForUpdate);
}

/// Begins anew as the version that is installed by now.
#[tauri::command]
#[specta::specta]
pub(crate) fn restart(app: AppHandle) {
    act(&app, Act::StartAnew);
}

/// Opens the organisation's support page.
#[tauri::command]
#[specta::specta]
pub(crate) fn support(app: AppHandle) {
    act(&app, Act::Support);
}

/// Opens the person's settings file in whatever edits it.
#[tauri::command]
#[specta::specta]
pub(crate) fn open_settings(core: State<'_, Core>) -> Result<(), AdviceView> {
    opened(Path::new(&core.state().settings_file))
}

/// Opens a file or folder of the person's own in whatever they have for it.
pub(crate) fn opened(path: &Path) -> Result<(), AdviceView> {
    open::that_detached(path).map_err(|error| {
        let what = format!("{} could not be opened: {error}.", path.display());
        view::advice(&Advice::new("not-opened", what, "", "Open it yourself."))
    })
}

/// What the About place shows.
#[tauri::command]
#[specta::specta]
pub(crate) fn about(core: State<'_, Core>) -> AboutView {
    let settings = core.state().settings_file.clone();
    let home = Path::new(&settings).parent().map(|home| home.display().to_string());
    AboutView {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        home: home.unwrap_or_default(),
        system: format!("{} {}", std::env::consts::OS, std::env::consts::ARCH),
        web_view: tauri::webview_version().unwrap_or_default(),
    }
}

/// What is wrong, and what to do about it.
#[tauri::command]
#[specta::specta]
pub(crate) async fn doctor(core: State<'_, Core>) -> Result<Examination, AdviceView> {
    let doctor = core.doctor().cloned().ok_or_else(not_running)?;
    Ok(doctor.examine().await)
}

fn answer(core: &Core, id: String, answer: Answer) -> Result<(), AdviceView> {
    let desk = core.desk().ok_or_else(not_running)?;
    desk.answer(&PendingId::typed(id), answer).map_err(|fault| view::advice(&fault.advice()))
}

pub(crate) fn not_running() -> AdviceView {
    view::advice(&Advice::new("not-running", "Deskgate is not running yet.", "", "Try again in a moment."))
}

pub(crate) fn unknown(id: &str) -> AdviceView {
    view::advice(&Advice::new("unknown", format!("There is nothing called {id} any more."), "", ""))
}
