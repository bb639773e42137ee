//! Running the server until somebody ends it.

use std::sync::Arc;
use std::time::Duration;

use control::author::read_signing;
use control::{MasterKey, ServeConfig, TraceConfig, start};
use serde_json::json;
use tokio::signal::unix::{SignalKind, signal};

use super::{Failure, ServeArgs, said};

pub(super) async fn serve(args: ServeArgs, json: bool) -> Result<(), Failure> {
    if let Err(fault) = os::harden_process() {
        tracing::warn!(%fault, "the process's memory is not protected");
    }
    let config = ServeConfig {
        database: args.database.database(&args.data)?,
        data: args.data,
        revocations: args.revocations,
        listen: args.listen,
        public_url: args.public_url,
        admin_socket: args.admin_socket,
        commands_user: args.commands_user,
        master_key: MasterKey::load(args.master_key.as_deref(), args.vault_token.as_deref())
            .await
            .map_err(Failure::new)?,
        receipt_key: read_signing(&args.receipts_key).map_err(Failure::new)?,
        sinks: args.sinks.config()?,
        traces: TraceConfig::read(args.traces_url, |name| std::env::var(name).ok()).map_err(Failure::new)?,
        diagnostics_kept: Duration::from_secs(u64::from(args.keep_diagnostics) * 24 * 3600),
        metrics: args.metrics,
    };
    let mut terminate = signal(SignalKind::terminate()).map_err(Failure::new)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(Failure::new)?;
    let running = start(config, Arc::new(os::SystemClock)).await.map_err(Failure::new)?;
    let where_ = json!({
        "config_url": running.public_url,
        "listening": running.address.to_string(),
        "admin_socket": running.admin_socket,
        "metrics": running.metrics.map(|address| address.to_string()),
    });
    said(json, &where_, || {
        format!("Serving {}; administrators use {}.", running.public_url, running.admin_socket.display())
    });
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    running.stop().await;
    Ok(())
}
