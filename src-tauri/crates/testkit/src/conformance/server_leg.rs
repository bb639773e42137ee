//! The suite as an assistant: in front of our connector, and of a gateway that has it behind.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::try_join_all;
use testkit::{Gateway, Injector, PeerFault, Process, Program, Spec, beside};
use tokio::sync::Semaphore;
use url::Url;

use crate::era::Era;
use crate::findings::Findings;
use crate::matrix::{Kind, Matrix};
use crate::requirements::Leg;
use crate::settings::{Connector, Way, gateway, token};
use crate::suite::Suite;
use crate::verdict::Verdict;

const SOON: Duration = Duration::from_secs(30);

/// Runs wait more than they work; more at once would make each other late, and the suite waits less than a second for some
/// things.
const AT_ONCE: usize = 3;

/// One connector and what the suite asks of it.
struct Cell {
    /// What the suite speaks.
    revision: &'static str,
    /// What the connector speaks.
    era: Era,
    transport: &'static str,
}

impl Cell {
    fn all() -> impl Iterator<Item = Self> {
        let ways =
            || Era::BOTH.into_iter().flat_map(|era| ["http", "stdio"].map(|transport| (era, transport)));
        Era::BOTH.into_iter().flat_map(move |suite| {
            ways().map(move |(era, transport)| Self { revision: suite.revision(), era, transport })
        })
    }

    fn id(&self) -> String {
        format!("r{}-{}-{}", &self.revision[..4], self.era, self.transport)
    }

    fn name(&self) -> String {
        format!("server {} {} {}", self.revision, self.era, self.transport)
    }
}

/// Runs the leg.
///
/// # Errors
/// If something cannot be started.
pub(crate) async fn run(suite: &Suite, only: &str, matrix: &mut Matrix) -> Result<(), PeerFault> {
    let cells: Vec<Cell> = Cell::all().filter(|cell| cell.name().contains(only)).collect();
    if cells.is_empty() {
        return Ok(());
    }
    let turns = Arc::new(Semaphore::new(AT_ONCE));
    let (direct, through) = tokio::join!(directly(suite, &turns), through(suite, &cells, &turns));
    let (direct, through) = (direct?, through?);
    for (revision, era, found) in &direct {
        let scenarios = suite.requirements(revision)?;
        let kind = if era.revision() == *revision { Kind::Clean } else { Kind::Compared };
        let verdict = Verdict::of(scenarios.of(Leg::Server), found, None);
        matrix.add(format!("direct {revision} {era} http"), kind, verdict);
    }
    for (cell, found) in cells.iter().zip(&through) {
        let scenarios = suite.requirements(cell.revision)?;
        let same = direct.iter().find(|(revision, era, _)| *revision == cell.revision && *era == cell.era);
        let verdict = Verdict::of(scenarios.of(Leg::Server), found, same.map(|(.., found)| found));
        matrix.add(cell.name(), Kind::Through, verdict);
    }
    Ok(())
}

type Direct = Vec<(&'static str, Era, Findings)>;

async fn directly(suite: &Suite, turns: &Semaphore) -> Result<Direct, PeerFault> {
    let runs = Era::BOTH.into_iter().flat_map(|suite| Era::BOTH.map(|era| (suite.revision(), era)));
    try_join_all(runs.map(async |(revision, era)| {
        let _turn = turns.acquire().await;
        let (_fixture, url) = fixture(era).await?;
        let found = suite.server(&format!("direct-{revision}-{era}"), revision, &url).await?;
        Ok((revision, era, found))
    }))
    .await
}

async fn through(suite: &Suite, cells: &[Cell], turns: &Semaphore) -> Result<Vec<Findings>, PeerFault> {
    let (mut fixtures, mut connectors) = (Vec::new(), Vec::new());
    for cell in cells {
        let way = if cell.transport == "http" {
            let (process, url) = fixture(cell.era).await?;
            fixtures.push(process);
            Way::Url(url)
        } else {
            let program = beside(Program::Fixture)?.to_string_lossy().into_owned();
            let arguments =
                ["--era".to_owned(), cell.era.to_string(), "--transport".to_owned(), "stdio".to_owned()];
            Way::Command(std::iter::once(program).chain(arguments).collect())
        };
        connectors.push(Connector { id: cell.id(), way, credential: None });
    }
    let gateway = gateway(&connectors, "").await?;
    // One after the other: the person answers one question at a time.
    let mut doors = Vec::new();
    for cell in cells {
        doors.push(door(&gateway, &cell.id()).await?);
    }
    let runs = cells.iter().zip(&doors).map(async |(cell, (_injector, url))| {
        let _turn = turns.acquire().await;
        suite.server(&cell.name(), cell.revision, url).await
    });
    let found = try_join_all(runs).await;
    std::fs::write(suite.file("gateway.log"), gateway.log())?;
    drop(fixtures);
    found
}

/// A way in that needs no token.
async fn door(gateway: &Gateway, server: &str) -> Result<(Injector, Url), PeerFault> {
    let injector = Injector::start(gateway.port(), &token(gateway, server).await?).await?;
    let url = Url::parse(&format!("http://{}/s/{server}/mcp", injector.address()))?;
    Ok((injector, url))
}

async fn fixture(era: Era) -> Result<(Process, Url), PeerFault> {
    let mut process = Spec::new(format!("fixture ({era})"), beside(Program::Fixture)?)
        .args(["--era", &era.to_string(), "--transport", "http"])
        .start()?;
    let address = process.ready_line("ready ", SOON).await?;
    Ok((process, Url::parse(&address)?))
}
