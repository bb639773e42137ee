//! The organisation's warehouse: Debian's PostgreSQL, with a schema and a role for each department.

use crate::cluster::{Cluster, OWNER};
use crate::{PeerFault, Process};

/// Schemas `analytics` (table `visits`, 3 rows) and `finance` (table `salaries`, 2 rows).
const CONTENT: &str = "
create schema analytics;
create table analytics.visits (page text primary key, visits integer not null);
insert into analytics.visits values ('/', 120), ('/prices', 45), ('/jobs', 7);
create schema finance;
create table finance.salaries (login text primary key, euros integer not null);
insert into finance.salaries values ('alice', 61000), ('bob', 58000);
create role analyst_ro login password 'analyst-s3cret';
create role finance_ro login password 'finance-s3cret';
revoke all on schema public from public;
grant usage on schema analytics to analyst_ro, finance_ro;
grant select on all tables in schema analytics to analyst_ro, finance_ro;
grant usage on schema finance to finance_ro;
grant select on all tables in schema finance to finance_ro;
";

/// A service account of the warehouse.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Reads `analytics`.
    Analyst,
    /// Reads `analytics` and `finance`.
    Finance,
}

impl Role {
    /// The role's name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Analyst => "analyst_ro",
            Self::Finance => "finance_ro",
        }
    }

    /// The role's password: the secret that no desktop may see.
    pub fn password(self) -> &'static str {
        match self {
            Self::Analyst => "analyst-s3cret",
            Self::Finance => "finance-s3cret",
        }
    }
}

/// A running database cluster with the database `warehouse`.
#[derive(Debug)]
pub struct Postgres(Cluster);

impl Postgres {
    /// Makes a fresh cluster, starts it and fills it.
    ///
    /// # Errors
    /// If it cannot be made or started.
    pub async fn start() -> Result<Self, PeerFault> {
        let cluster = Cluster::start().await?;
        cluster.query("postgres", OWNER, "create database warehouse")?;
        cluster.query("warehouse", OWNER, CONTENT)?;
        Ok(Self(cluster))
    }

    /// The port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.0.port
    }

    /// The address of the warehouse without user and password.
    pub fn url(&self) -> String {
        format!("postgres://127.0.0.1:{}/warehouse?sslmode=disable", self.0.port)
    }

    /// The address with a role's name and password: what IT stores as the shared credential.
    pub fn dsn(&self, role: Role) -> String {
        let (name, password) = (role.name(), role.password());
        format!("postgres://{name}:{password}@127.0.0.1:{}/warehouse?sslmode=disable", self.0.port)
    }

    /// What its owner gets for statements: changed passwords, say. Sessions that are open stay so.
    ///
    /// # Errors
    /// With the database's words if it refuses.
    pub fn as_owner(&self, sql: &str) -> Result<String, PeerFault> {
        self.0.query("warehouse", OWNER, sql)
    }

    /// What a role gets for a statement: unaligned rows, or the error.
    ///
    /// # Errors
    /// With the database's words if it refuses.
    pub fn ask(&self, role: Role, sql: &str) -> Result<String, PeerFault> {
        self.0.query("warehouse", (role.name(), role.password()), sql)
    }

    /// Its process, to kill or to look into.
    pub fn process(&mut self) -> &mut Process {
        &mut self.0.process
    }
}
