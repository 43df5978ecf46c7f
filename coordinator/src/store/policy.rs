//! What is stored of the policy that a study falls under.

use serde::{Deserialize, Serialize};

/// The policy that a study fell under when it was created or its budget was edited last. The policy itself may have changed since.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ByPolicy {
    /// Its name.
    pub name: String,
    /// Keys of the study file that its owner left open and the policy has set, such as `budget.cost`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sets: Vec<String>,
}
