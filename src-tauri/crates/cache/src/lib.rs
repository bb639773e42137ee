//! sled: typed tables that can be rebuilt; their owners bring the rebuilding.
#![forbid(unsafe_code)]
