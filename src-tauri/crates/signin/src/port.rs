//! The loopback redirect URI of one attempt (RFC 8252, section 7.3).

use std::net::{Ipv4Addr, TcpListener};

use url::Url;

use crate::FaultKind;

/// A port on 127.0.0.1 that is free now. Whoever listens there binds it before anything is shown, and the attempt
/// ends if another program was faster.
///
/// # Errors
/// What the operating system said when no port could be bound.
pub fn free_loopback_port() -> std::io::Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}

/// A redirect URI with the fixed path `/callback` and a port of its own.
///
/// # Errors
/// [`FaultKind::Internal`] where no port is free.
pub fn loopback_redirect() -> Result<Url, FaultKind> {
    let port = free_loopback_port().map_err(|fault| FaultKind::Internal(format!("no free port: {fault}")))?;
    Url::parse(&format!("http://127.0.0.1:{port}/callback"))
        .map_err(|fault| FaultKind::Internal(fault.to_string()))
}
