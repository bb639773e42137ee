//! The organisation of all histories, and the control plane of one.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use control::admin::{Answer, Ask, AskFault, Secret, ask};
use control::testing::{ANALYST_SECRET, ServedOrg, StandInProvider, start_simulated};
use model::{DeviceId, Digest};
use org_protocol::RootFingerprint;
use os::ManualClock;
use sqlx::{ConnectOptions as _, Row as _};
use tokio::runtime::Runtime;
use tokio::task::JoinHandle;
use url::Url;

use super::network::Listening;

/// How often something is published in a history.
pub(super) const VERSIONS: usize = 6;

/// What all histories share: an organisation's documents, signed beforehand, and its identity provider, which is met over the
/// network of this machine: it is not what is simulated.
pub(super) struct Acme {
    /// Beside the simulations: the provider, administrators, and looks into databases.
    pub(super) runtime: Runtime,
    pub(super) provider: Arc<StandInProvider>,
    pub(super) fingerprint: RootFingerprint,
    pub(super) config_url: Url,
    versions: Vec<BTreeMap<String, Vec<u8>>>,
    /// The digests of the bundles.
    pub(super) signed: Arc<BTreeSet<Digest>>,
    _folder: tempfile::TempDir,
}

impl Acme {
    pub(super) fn prepared() -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
        let runtime = runtime.expect("a runtime");
        let mut served = runtime.block_on(ServedOrg::unpublished(None));
        let versions: Vec<_> =
            (1..=VERSIONS).map(|version| served.signed(|folder| write(folder, version))).collect();
        let bundles = versions.iter().flatten().filter(|(path, _)| path.starts_with("v1/bundles/"));
        let signed = bundles.map(|(_, bytes)| Digest::of(bytes)).collect();
        let fingerprint = served.fingerprint();
        let ServedOrg { dir, idp, running, .. } = served;
        runtime.block_on(running.stop());
        Self {
            runtime,
            provider: Arc::new(idp),
            fingerprint,
            config_url: "https://control.acme.test/".parse().expect("a URL"),
            versions,
            signed: Arc::new(signed),
            _folder: dir,
        }
    }

    /// What publishes a version.
    pub(super) fn publication(&self, version: usize) -> Ask {
        let text = |bytes: &Vec<u8>| String::from_utf8(bytes.clone()).expect("JSON");
        let documents = &self.versions[version - 1];
        let documents = documents.iter().map(|(path, bytes)| (path.clone(), text(bytes))).collect();
        Ask::Publish { documents, leave_behind: false }
    }

    /// Asks a control plane as an administrator, beside the simulation.
    pub(super) fn ask(&self, data: &Path, question: Ask) -> JoinHandle<Result<Answer, AskFault>> {
        let socket = data.join("admin.sock");
        self.runtime.spawn(async move { ask(&socket, &question).await })
    }

    /// The records of a device that a control plane has stored: places, and what they say.
    pub(super) fn stored(&self, data: &Path, device: DeviceId) -> Vec<(u64, u64, String)> {
        let options = sqlx::sqlite::SqliteConnectOptions::new().filename(data.join("control.sqlite"));
        let read = async {
            let mut connection = options.connect().await?;
            let statement = "SELECT epoch, seq, line FROM records WHERE device = ? ORDER BY epoch, seq";
            let rows = sqlx::query(statement).bind(device.to_string()).fetch_all(&mut connection).await?;
            let number = |value: i64| u64::try_from(value).unwrap_or(0);
            rows.iter()
                .map(|row| Ok((number(row.try_get(0)?), number(row.try_get(1)?), row.try_get(2)?)))
                .collect::<Result<_, sqlx::Error>>()
        };
        self.runtime.block_on(read).expect("the database can be read")
    }
}

/// The secret of the account that is lent.
pub(super) fn put_secret() -> Ask {
    let id = "warehouse-analyst".parse().expect("an id");
    Ask::PutCredential { id, secret: Secret(ANALYST_SECRET.into()), source: None }
}

/// The organisation with a leased account, under another name in each version.
fn write(folder: &Path, version: usize) {
    ServedOrg::with_ledger(folder);
    let replace = |file: &str, from: &str, to: &str| {
        let path = folder.join(file);
        let text = std::fs::read_to_string(&path).expect("reads");
        assert!(text.contains(from), "{file} has {from}");
        std::fs::write(path, text.replace(from, to)).expect("writes");
    };
    replace("connectors/ledger.toml", "kind = \"leased\"", "kind = \"leased\", seconds = 30");
    replace("org.toml", "name = \"Acme\"", &format!("name = \"Acme {version}\""));
}

/// A control plane as a program: from its start until it is killed.
pub(super) async fn control(data: PathBuf, config_url: Url, clock: Arc<ManualClock>) -> turmoil::Result {
    // What is cut off by a crash is let go of within its runtime, which the database's connections need.
    let program = tokio::spawn(async move {
        let listening = Listening::begin().await.map_err(|fault| fault.to_string())?;
        let running = start_simulated(&data, &config_url, listening, clock).await;
        let _running = running.map_err(|fault| fault.to_string())?;
        std::future::pending::<Result<(), String>>().await
    });
    Ok(program.await??)
}
