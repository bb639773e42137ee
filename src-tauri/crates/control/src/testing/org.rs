//! An organisation that is really served: its own database, journal, socket and HTTP on a free port; a warehouse as
//! brokered connector, scripted in a shell.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use axum::http::HeaderMap;
use axum::serve::Listener;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use model::{Digest, Timestamp};
use org_protocol::{AuditRecord, SigningKey};
use os::Clock as _;
use secrecy::SecretString;
use serde_json::Value;
use url::Url;

use super::{CLIENT_ID, StandInProvider};
use crate::admin::{Answer, Ask, AskFault, Secret, ask};
use crate::author::{Documents, RootPlan, SignPlan, check, new_root, sign};
use crate::relay::SinkConfig;
use crate::serve::{DIAGNOSTICS_KEPT, start_at};
use crate::store::Store;
use crate::{
    Database, Filter, MasterKey, Published, RestorePlan, Restored, Running, ServeConfig, ServeFault,
    TraceConfig, restore, start,
};

/// The secret of the warehouse's analyst account.
pub const ANALYST_SECRET: &str = "postgres://analyst:an-analyst's-password@db/warehouse";
/// The secret of its finance account.
pub const FINANCE_SECRET: &str = "postgres://finance:the-finance-password@db/warehouse";

/// A connector in a shell. `query` tells its account, its process and the statement, but never answers the statement `sleep`;
/// `crash` ends it.
const WAREHOUSE: &str = include_str!("warehouse.sh");

const TOOLS: &str = r#"[
{"name":"query","inputSchema":{"type":"object","properties":{"sql":{"type":"string"}},"required":["sql"]}},
{"name":"crash","inputSchema":{"type":"object"}}
]"#;

const POLICIES: &str = r#"
@id("staff")
permit (principal in Group::"analysts", action in [Action::"see_server", Action::"expose_connector", Action::"call_tool"], resource in Server::"analyst");

@id("finance-account")
permit (principal in Group::"finance", action == Action::"use_shared_credential", resource == Credential::"warehouse-finance");

@id("analyst-account")
permit (principal in Group::"analysts", action == Action::"use_shared_credential", resource == Credential::"warehouse-analyst");

@id("no-drop")
@reason("Nothing is dropped.")
forbid (principal, action == Action::"warehouse/query", resource) when { context.input.sql like "*drop*" };
"#;

/// An organisation named `acme` that is served as long as this value lives.
#[derive(Debug)]
pub struct ServedOrg {
    /// Holds the authored folder and the server's data.
    pub dir: tempfile::TempDir,
    /// Its identity provider.
    pub idp: StandInProvider,
    /// The server.
    pub running: Running,
    /// The root version, and what was published last.
    root_version: u64,
    published: BTreeMap<String, Vec<u8>>,
    /// How many percent of the desktops take the next version; all without it.
    pub rollout: Option<u32>,
    told: Collectors,
    /// Whom connectors' programs run as.
    commands_user: String,
    database: Database,
    /// Where desktops find it, if that is somewhere else.
    public_url: Option<Url>,
    /// What the database lives in, if it is no file.
    _kept: Option<Kept>,
}

/// Whom the server tells what.
#[derive(Debug, Clone, Default)]
struct Collectors {
    sinks: SinkConfig,
    traces: Option<TraceConfig>,
}

/// What ends with the organisation.
pub type Kept = Box<dyn std::any::Any + Send + Sync>;

fn key(seed: u8) -> SigningKey {
    SigningKey::from_seed(&[seed; 32])
}

impl ServedOrg {
    /// Published, and with both accounts stored.
    pub async fn new() -> Self {
        Self::unpublished(None).await.begun().await
    }

    /// Published, and with both accounts stored.
    #[must_use]
    pub async fn begun(mut self) -> Self {
        self.publish(|_| ()).await.expect("publishes");
        for (id, secret) in [("warehouse-analyst", ANALYST_SECRET), ("warehouse-finance", FINANCE_SECRET)] {
            self.put_credential(id, secret).await;
        }
        self
    }

    /// Served, but nothing is published.
    pub async fn unpublished(otlp: Option<Url>) -> Self {
        Self::served_on(None, records(otlp), os::current_user().1).await
    }

    /// Published, with both accounts stored, and telling traces there.
    pub async fn traced(collector: &Url) -> Self {
        let traces = TraceConfig {
            url: collector.clone(),
            headers: HeaderMap::new(),
            service: None,
            share: crate::Share::default(),
        };
        let told = Collectors { traces: Some(traces), ..Collectors::default() };
        Self::served_on(None, told, os::current_user().1).await.begun().await
    }

    /// Published, with both accounts stored, and passing records on.
    pub async fn passing_on(sinks: SinkConfig) -> Self {
        let told = Collectors { sinks, traces: None };
        Self::served_on(None, told, os::current_user().1).await.begun().await
    }

    /// The same, where connectors' programs run as this user.
    pub async fn with_commands_user(otlp: Option<Url>, commands_user: String) -> Self {
        Self::served_on(None, records(otlp), commands_user).await
    }

    /// The same on a database that is there already; on a file of its own without one.
    pub async fn unpublished_on(database: Option<(Database, Kept)>, otlp: Option<Url>) -> Self {
        Self::served_on(database, records(otlp), os::current_user().1).await
    }

    async fn served_on(database: Option<(Database, Kept)>, told: Collectors, commands_user: String) -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let idp = StandInProvider::start().await.expect("a provider");
        let (database, kept) = match database {
            Some((database, kept)) => (database, Some(kept)),
            None => (Database::Sqlite(dir.path().join("data/control.sqlite")), None),
        };
        let running =
            serve(config(&dir.path().join("data"), &database, told.clone(), &commands_user, 0)).await;
        let published = BTreeMap::new();
        Self {
            dir,
            idp,
            running,
            root_version: 1,
            published,
            rollout: None,
            told,
            commands_user,
            database,
            public_url: None,
            _kept: kept,
        }
    }

    fn config(&self, port: u16) -> ServeConfig {
        let data = self.dir.path().join("data");
        ServeConfig {
            public_url: self.public_url.clone(),
            ..config(&data, &self.database, self.told.clone(), &self.commands_user, port)
        }
    }

    /// Changes the database behind the server's back.
    pub async fn tamper(&self, sql: &'static str) {
        let store = Store::open(&self.database).await.expect("opens");
        store.tamper(sql).await;
        store.close().await;
    }

    /// Ends the server and starts it again on the same data and port.
    #[must_use]
    pub async fn restart(mut self) -> Self {
        let config = self.config(self.running.address.port());
        self.running.stop().await;
        self.running = serve(config).await;
        self
    }

    /// The same, found by desktops at `public` from then on: something stands in front.
    #[must_use]
    pub async fn restart_behind(mut self, public: Url) -> Self {
        self.public_url = Some(public);
        self.restart().await
    }

    /// Saves what the database has, while it is served.
    pub async fn backup(&self, file: &Path) {
        crate::backup(&self.database, file, os::SystemClock.now()).await.expect("saves");
    }

    /// Loses the database and begins again from a backup, on the same port.
    #[must_use]
    pub async fn restored(mut self, file: &Path) -> (Self, Restored) {
        let config = self.config(self.running.address.port());
        self.running.stop().await;
        lose(&self.database).await;
        let plan = RestorePlan {
            data: self.dir.path().join("data"),
            database: self.database.clone(),
            file: file.to_owned(),
            revocations: Vec::new(),
            without_revocations: false,
        };
        let restored = restore(&plan, os::SystemClock.now()).await.expect("restores");
        self.running = serve(config).await;
        (self, restored)
    }

    /// Starts another control plane on the same database, which serves under the same URL.
    ///
    /// # Errors
    /// Why it does not start.
    pub async fn another(&self, change: impl FnOnce(&mut ServeConfig)) -> Result<Running, ServeFault> {
        let mut config = config(
            &self.dir.path().join("another"),
            &self.database,
            self.told.clone(),
            &self.commands_user,
            0,
        );
        config.public_url = Some(self.running.public_url.clone());
        change(&mut config);
        start(config, Arc::new(os::SystemClock)).await
    }

    /// Writes the folder, changes it, signs and publishes it.
    ///
    /// # Errors
    /// The server's refusal.
    pub async fn publish(&mut self, change: impl FnOnce(&Path)) -> Result<Published, AskFault> {
        let documents = self.signed(change);
        self.publish_documents(&documents).await
    }

    /// Publishes documents as they are.
    ///
    /// # Errors
    /// The server's refusal.
    pub async fn publish_documents(
        &self,
        documents: &BTreeMap<String, Vec<u8>>,
    ) -> Result<Published, AskFault> {
        let text = |bytes: &Vec<u8>| String::from_utf8(bytes.clone()).expect("JSON");
        let documents = documents.iter().map(|(path, bytes)| (path.clone(), text(bytes))).collect();
        let answer = self.ask(&Ask::Publish { documents, leave_behind: false }).await?;
        let Answer::Published(published) = answer else { panic!("{answer:?}") };
        Ok(published)
    }

    /// Signs the next version of the folder.
    pub fn signed(&mut self, change: impl FnOnce(&Path)) -> BTreeMap<String, Vec<u8>> {
        let folder = self.dir.path().join("org");
        self.write_folder(&folder);
        change(&folder);
        let content = check(&folder).unwrap_or_else(|faults| panic!("{}", faults[0]));
        let plan = SignPlan {
            roots: self.roots(),
            previous: self.published.get("v1/manifest.json").cloned(),
            rollout: self.rollout,
            revoke: std::collections::BTreeSet::new(),
            valid_for: Duration::from_secs(86_400),
            key: key(2),
            now: os::SystemClock.now(),
        };
        let Documents(documents) = sign(&content, &plan).expect("signs");
        // Those who are in no stage stay on bundles from before.
        let mut named = std::mem::take(&mut self.published);
        named.extend(documents);
        self.published.clone_from(&named);
        named
    }

    /// Adds a connector `ledger` to an authored folder: the warehouse once more, as a program that is lent its accounts.
    pub fn with_ledger(folder: &Path) {
        let read = |file: &str| std::fs::read_to_string(folder.join(file)).expect("reads");
        let write = |file: &str, text: &str| std::fs::write(folder.join(file), text).expect("writes");
        write("connectors/ledger.toml", &read("connectors/warehouse.toml").replace("brokered", "leased"));
        write("connectors/ledger.tools.json", TOOLS);
        let servers = read("servers/analyst.toml").replace("[\"warehouse\"]", "[\"warehouse\", \"ledger\"]");
        write("servers/analyst.toml", &servers);
    }

    /// Changes the root document from the next publication on.
    pub fn rotate_root(&mut self) {
        self.root_version += 1;
    }

    /// What desktops pin.
    pub fn fingerprint(&self) -> Digest {
        let envelope = org_protocol::Envelope::parse(&self.roots()[0]).expect("an envelope");
        let payload = envelope.unverified_payload().expect("a payload");
        org_protocol::Root::parse(&payload).expect("a root").fingerprint()
    }

    /// All root documents. The first has root key 1; later ones add a key each, and all before sign.
    fn roots(&self) -> Vec<Vec<u8>> {
        let mut previous = None;
        let mut roots = Vec::new();
        for version in 1..=self.root_version {
            let added = (1..version).map(|extra| u8::try_from(100 + extra).unwrap_or(u8::MAX));
            let keys: Vec<SigningKey> = std::iter::once(1).chain(added).map(key).collect();
            let plan = RootPlan {
                org: "acme".to_owned(),
                previous: previous.clone(),
                root_keys: keys.iter().map(SigningKey::public).collect(),
                threshold: keys.len(),
                manifest_keys: vec![key(2).public()],
                receipt_keys: vec![key(3).public()],
                new_epoch: false,
                expires: Timestamp::from_seconds(2_000_000_000),
            };
            let envelope = new_root(&plan, &keys).expect("a root");
            let payload = envelope.unverified_payload().expect("a payload");
            previous = Some(org_protocol::Root::parse(&payload).expect("a root"));
            roots.push(envelope.to_json());
        }
        roots
    }

    fn write_folder(&self, folder: &Path) {
        let _ = std::fs::remove_dir_all(folder);
        let write = |file: &str, text: &str| {
            let path = folder.join(file);
            std::fs::create_dir_all(path.parent().expect("a parent")).expect("makes folders");
            std::fs::write(path, text).expect("writes");
        };
        let issuer = self.idp.issuer();
        write(
            "org.toml",
            &format!(
                "id = \"acme\"\nname = \"Acme\"\n[identity_provider]\nissuer = \"{issuer}\"\nclient_id = \"{CLIENT_ID}\"\n"
            ),
        );
        write(
            "connectors/warehouse.toml",
            &format!(
                "title = \"Warehouse\"\ncommand = [\"/bin/sh\", \"-c\", '''{WAREHOUSE}''']\n\
                 environment = {{ DSN = \"${{credential}}\" }}\n\
                 credential = {{ kind = \"brokered\", credentials = [\"warehouse-finance\", \"warehouse-analyst\"] }}\n"
            ),
        );
        write("connectors/warehouse.tools.json", TOOLS);
        write("servers/analyst.toml", "title = \"Analyst\"\nconnectors = [\"warehouse\"]\n");
        write("policies/all.cedar", POLICIES);
    }

    /// Stores a secret.
    pub async fn put_credential(&self, id: &str, secret: &str) {
        let id = id.parse().expect("an id");
        let secret = Secret(SecretString::from(secret));
        self.ask(&Ask::PutCredential { id, secret, source: None }).await.expect("stores");
    }

    /// Asks as an administrator.
    ///
    /// # Errors
    /// The server's refusal.
    pub async fn ask(&self, question: &Ask) -> Result<Answer, AskFault> {
        ask(&self.running.admin_socket, question).await
    }

    /// The records that the server keeps, as JSON.
    pub async fn records(&self, filter: Filter) -> Vec<Value> {
        let answer = self.ask(&Ask::QueryAudit { filter }).await.expect("answers");
        let Answer::Records { lines } = answer else { panic!("{answer:?}") };
        let read = |line: &String| match AuditRecord::parse(line) {
            Ok(record) => record.readable().expect("JSON"),
            // What stands for a record that was set aside.
            Err(_) => serde_json::from_str(line).expect("JSON"),
        };
        lines.iter().map(read).collect()
    }

    /// The address of `path`.
    pub fn url(&self, path: &str) -> Url {
        self.running.public_url.join(path).expect("a URL")
    }

    /// A file below the server's data directory.
    pub fn data(&self, file: &str) -> PathBuf {
        self.dir.path().join("data").join(file)
    }
}

/// Starts a control plane on a data directory of its own, in a network that is only simulated: `listener` is what desktops reach
/// at `public_url`.
///
/// # Errors
/// Why it does not start.
pub async fn start_simulated<L: Listener<Addr: std::fmt::Debug>>(
    data: &Path,
    public_url: &Url,
    listener: L,
    clock: Arc<dyn os::Clock>,
) -> Result<Running, ServeFault> {
    let database = Database::Sqlite(data.join("control.sqlite"));
    let simulated = ServeConfig {
        public_url: Some(public_url.clone()),
        metrics: None,
        ..config(data, &database, records(None), &os::current_user().1, 0)
    };
    start_at(simulated, clock, async |address| Ok((listener, address))).await
}

async fn lose(database: &Database) {
    match database {
        Database::Sqlite(path) => std::fs::remove_file(path).expect("removes"),
        Database::Postgres(_) => {
            let store = Store::open(database).await.expect("opens");
            store.tamper("DROP SCHEMA public CASCADE; CREATE SCHEMA public").await;
            store.close().await;
        }
    }
}

fn records(collector: Option<Url>) -> Collectors {
    Collectors { sinks: SinkConfig { otlp_url: collector, ..SinkConfig::default() }, traces: None }
}

async fn serve(config: ServeConfig) -> Running {
    start(config, Arc::new(os::SystemClock)).await.expect("starts")
}

fn config(data: &Path, database: &Database, told: Collectors, commands_user: &str, port: u16) -> ServeConfig {
    ServeConfig {
        data: data.to_owned(),
        database: database.clone(),
        revocations: None,
        listen: ([127, 0, 0, 1], port).into(),
        public_url: None,
        admin_socket: None,
        commands_user: Some(commands_user.to_owned()),
        master_key: MasterKey::parse(&STANDARD.encode([7; 32])).expect("a key"),
        receipt_key: key(3),
        sinks: told.sinks,
        traces: told.traces,
        diagnostics_kept: DIAGNOSTICS_KEPT,
        metrics: Some(([127, 0, 0, 1], 0).into()),
    }
}
