//! Raw MCP client transports and pools; every effect takes a permit, an intent and a credential.
#![forbid(unsafe_code)]
