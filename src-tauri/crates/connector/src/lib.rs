//! Connector OAuth, the choice of credential, isolation and restart; asks for shared credentials through a trait.
#![forbid(unsafe_code)]
