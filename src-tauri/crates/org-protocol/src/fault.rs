//! How the control plane says that it will not.

use model::Advice;
use serde::{Deserialize, Serialize};

/// The body of every answer that is an error.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErrorBody {
    /// A stable code and words for a person.
    pub error: Advice,
}
