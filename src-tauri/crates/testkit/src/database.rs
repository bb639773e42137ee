//! An empty PostgreSQL database, for a program that keeps its own things in one.

use crate::PeerFault;
use crate::cluster::{Cluster, OWNER};

/// A cluster with an empty database: the one that each has from the beginning.
#[derive(Debug)]
pub struct Database(Cluster);

const NAME: &str = "postgres";

impl Database {
    /// Makes a fresh cluster and starts it.
    ///
    /// # Errors
    /// If it cannot be made or started.
    pub async fn start() -> Result<Self, PeerFault> {
        Ok(Self(Cluster::start().await?))
    }

    /// Ends it as its machine's end would.
    pub fn stop(&mut self) {
        self.0.stop();
    }

    /// Starts it again where it was.
    ///
    /// # Errors
    /// If it does not come back.
    pub async fn again(&mut self) -> Result<(), PeerFault> {
        self.0.again().await
    }

    /// Its address, with the owner's name and password.
    pub fn url(&self) -> String {
        let (name, password) = OWNER;
        format!("postgres://{name}:{password}@127.0.0.1:{}/{NAME}?sslmode=disable", self.0.port)
    }

    /// What its owner gets for a statement: unaligned rows, or the error.
    ///
    /// # Errors
    /// With the database's words if it refuses.
    pub fn ask(&self, sql: &str) -> Result<String, PeerFault> {
        self.0.query(NAME, OWNER, sql)
    }

    /// Empties it: what comes next finds a database as new as the first.
    ///
    /// # Errors
    /// With the database's words if it refuses.
    pub fn empty(&self) -> Result<(), PeerFault> {
        self.ask("drop schema public cascade; create schema public").map(drop)
    }
}
