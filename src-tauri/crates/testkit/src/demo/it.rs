//! What Acme's IT department does, with nothing but `deskgate-control`.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Stdio;

use serde_json::Value;
use testkit::{Acme, Desktop, PeerFault};

use crate::desk::{SOON, expect};
use crate::guide::{Guide, PUBLISH};

const CREDENTIAL: &str = "warehouse-analyst";

/// Types `context.input.recipient` where the tool has `to`.
const MISTAKE: &str = "@id(\"mistake\")\n@reason(\"A rule with a slip of the pen.\")\n\
    forbid (principal, action == Action::\"mail/send_message\", resource)\n\
    when { context.input.recipient like \"*\" };\n";

/// Somebody of IT.
pub(crate) struct It<'a>(pub(crate) &'a mut Acme);

/// Types the lines of the guide into a shell of IT.
async fn typed(guide: &Guide<'_>, lines: &[&str]) -> Result<(), PeerFault> {
    let script = format!("set -e\n{}\n{}", guide.environment()?, lines.join("\n"));
    let mut shell = tokio::process::Command::new("sh");
    shell.args(["-c", &script]).current_dir(guide.acme.organisation.home()).stdin(Stdio::null());
    let output = shell.kill_on_drop(true).output().await?;
    let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    expect(output.status.success(), "the lines of the guide", || said)
}

impl It<'_> {
    pub(crate) async fn collector_has_the_call(&mut self) -> Result<(), PeerFault> {
        self.0.collector.receives(CREDENTIAL, SOON).await
    }

    /// The desktop and the control plane have each written down the same call, in chains of their own.
    pub(crate) async fn finds_both_sides(&mut self) -> Result<(), PeerFault> {
        let records = self.0.organisation.records(&["--credential", CREDENTIAL]).await?;
        let mut sides: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
        for record in &records {
            if let (Some(call), Some(device)) = (record["body"]["call"].as_str(), record["device"].as_str()) {
                sides.entry(call).or_default().insert(device);
            }
        }
        let both = sides.values().any(|devices| devices.len() == 2);
        expect(both, "audit query", || format!("{} records: {sides:?}", records.len()))
    }

    pub(crate) async fn forbids_mail(&mut self, desktop: &mut Desktop) -> Result<(), PeerFault> {
        let before = self.version().await?;
        let address = desktop.listens().await?;
        let home = desktop.home();
        typed(&Guide { acme: self.0, home, address: &address, folder: home, opener: None }, &PUBLISH).await?;
        let now = self.version().await?;
        expect(now == before + 1, "bundle publish", || format!("version {now} after {before}"))
    }

    pub(crate) async fn makes_a_mistake(&mut self) -> Result<(), PeerFault> {
        let before = self.version().await?;
        let file = self.0.organisation.folder().join("policies/mistake.cedar");
        std::fs::write(&file, MISTAKE)?;
        let outcome = self.0.organisation.publish(|_| ()).await;
        std::fs::remove_file(&file)?;
        let Err(fault) = outcome else {
            return Err(PeerFault::answer("bundle sign", "it signed a policy with a mistake"));
        };
        let said = fault.to_string();
        let named = said.contains("policies/mistake.cedar") && said.contains("recipient");
        expect(named, "bundle sign", || said)?;
        self.is_still(before).await
    }

    pub(crate) async fn publishes_a_forgery(&mut self) -> Result<(), PeerFault> {
        let before = self.version().await?;
        let manifest = self.0.organisation.home().join("public/v1/manifest.json");
        let signed = std::fs::read_to_string(&manifest)?;
        std::fs::write(&manifest, signed.replacen("\"sig\":\"", "\"sig\":\"AAAA", 1))?;
        let output = self.0.organisation.control(&["bundle", "publish", "public"]).await?;
        std::fs::write(&manifest, signed)?;
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        let refused = !output.status.success() && said.contains("Nothing was published");
        expect(refused, "bundle publish", || said)?;
        self.is_still(before).await
    }

    async fn is_still(&self, version: u64) -> Result<(), PeerFault> {
        let now = self.version().await?;
        expect(now == version, "deskgate-control status", || format!("version {now}, not {version}"))
    }

    async fn version(&self) -> Result<u64, PeerFault> {
        let status: Value = self.0.organisation.control_json(&["status"]).await?;
        status["version"]
            .as_u64()
            .ok_or_else(|| PeerFault::answer("deskgate-control status", status.to_string()))
    }
}
