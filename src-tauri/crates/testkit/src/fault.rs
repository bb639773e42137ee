//! Why a peer cannot be used.

/// Why a peer cannot be used. A test lets it end the test.
#[derive(Debug, thiserror::Error)]
pub enum PeerFault {
    /// Something that `cargo xtask setup` installs is not there.
    #[error("{0} is missing; run `cargo xtask setup`")]
    Missing(String),
    /// A program could not be started.
    #[error("{name} could not be started: {source}")]
    Start {
        /// The peer.
        name: String,
        /// Why.
        source: std::io::Error,
    },
    /// A program ended before its time.
    #[error("{name} ended with {status}; its last words:\n{log}")]
    Ended {
        /// The peer.
        name: String,
        /// Its exit status.
        status: String,
        /// The end of its log.
        log: String,
    },
    /// A condition did not come true in time.
    #[error("waited {seconds} s in vain for {what}; the last words of the peer:\n{log}")]
    Deadline {
        /// What was waited for.
        what: String,
        /// How long.
        seconds: u64,
        /// The end of the peer's log, if there is one.
        log: String,
    },
    /// A peer answered something that it should not have.
    #[error("{name}: {problem}")]
    Answer {
        /// The peer.
        name: String,
        /// What is wrong.
        problem: String,
    },
    /// A file could not be read or written.
    #[error("a file of the test: {0}")]
    File(#[from] std::io::Error),
    /// A request over HTTP failed.
    #[error("a request of the test: {0}")]
    Http(#[from] reqwest::Error),
    /// JSON could not be read.
    #[error("JSON of a peer: {0}")]
    Json(#[from] serde_json::Error),
    /// A URL could not be read.
    #[error("a URL of a peer: {0}")]
    Url(#[from] url::ParseError),
}

impl PeerFault {
    /// An unexpected answer.
    pub fn answer(name: impl Into<String>, problem: impl Into<String>) -> Self {
        Self::Answer { name: name.into(), problem: problem.into() }
    }
}
