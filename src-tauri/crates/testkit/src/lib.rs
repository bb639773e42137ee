//! Real peers for tests: programs that nobody here wrote, started by a test and ended with it.
//!
//! Every peer lives in folders and on ports of its own, so that tests run in parallel and again. Readiness is a
//! condition that is waited for, never a pause. What is started here dies with the test, also when the test is killed.
//! `cargo xtask setup` installs the programs; a test without them fails and says so.
#![forbid(unsafe_code)]

mod acme;
mod assistant;
pub mod bench;
mod bridge;
mod browser;
mod canary;
mod claude;
mod cluster;
mod codex;
mod collector;
mod database;
mod desktop;
mod driver;
mod editor;
mod fault;
mod fuzzer;
mod gateway;
mod http_loop;
mod idp;
mod injector;
mod interceptor;
mod mail;
mod managed_machine;
mod moved_clock;
mod oauth;
mod odd;
mod organisation;
mod place;
mod postgres;
mod process;
mod program;
mod rusty_vault;
mod saml;
mod screen;
mod session;
mod small_disk;
mod static_host;
mod tray;
mod wait;
mod warehouse;

pub use acme::Acme;
pub use assistant::{Access, Assistant, Step, Transcript};
pub use bridge::Bridge;
pub use browser::Browser;
pub use claude::Claude;
pub use codex::Codex;
pub use collector::Collector;
pub use database::Database;
pub use desktop::Desktop;
pub use driver::Driver;
pub use editor::{Marked, marked};
pub use fault::PeerFault;
pub use fuzzer::{Caller, Insider, Nonsense, send_nonsense};
pub use gateway::{Connected, Gateway, Setup};
pub use idp::{Client, Employee, Idp, IdpSettings, ServiceClient, ServiceProof};
pub use injector::Injector;
pub use interceptor::Interceptor;
pub use mail::Mail;
pub use managed_machine::ManagedMachine;
pub use moved_clock::MovedClock;
pub use oauth::{OAuthClient, Tokens};
pub use odd::{Manner, OddEra, OddHttp, OddList, serve_stdio};
pub use organisation::{Organisation, OrganisationParts};
pub use place::{conformance_suite, filesystem_server, tools};
pub use postgres::{Postgres, Role};
pub use process::{Process, Spec};
pub use program::{Opened, Program, beside, full_size, program};
pub use rusty_vault::RustyVault;
pub use saml::{SamlAnswer, SamlIdp, SamlServiceProvider, SamlSettings};
pub use screen::Screen;
pub use session::{Session, SessionParts};
pub use small_disk::SmallDisk;
pub use static_host::StaticHost;
pub use tray::{Entry, Picture, Tray};
pub use wait::{free_port, lasting_port, until};
pub use warehouse::dbhub;
