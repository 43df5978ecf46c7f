//! Which trials to list, and in which order.

use super::TrialRow;

/// How trials are listed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TrialOrder {
    /// By number, ascending.
    #[default]
    Number,
    /// By number, descending.
    Newest,
    /// Best value first by the given goal; trials without a finite value last, by number.
    BestMinimize,
    /// As above, larger is better.
    BestMaximize,
}

impl TrialOrder {
    /// Which of two trials comes first, as in the databases: finite values first, the best of them first; then by number.
    pub(super) fn compare(self, a: &TrialRow, b: &TrialRow) -> std::cmp::Ordering {
        let finite = |row: &TrialRow| row.value.filter(|value| value.is_finite());
        let by_value = match (self, finite(a), finite(b)) {
            (Self::Newest, ..) => b.number.cmp(&a.number),
            (Self::Number, ..) | (_, None, None) => std::cmp::Ordering::Equal,
            (_, Some(_), None) => std::cmp::Ordering::Less,
            (_, None, Some(_)) => std::cmp::Ordering::Greater,
            (Self::BestMinimize, Some(a), Some(b)) => a.partial_cmp(&b).unwrap_or(std::cmp::Ordering::Equal),
            (Self::BestMaximize, Some(a), Some(b)) => b.partial_cmp(&a).unwrap_or(std::cmp::Ordering::Equal),
        };
        by_value.then(a.number.cmp(&b.number))
    }
}

/// Which trials to list.
#[derive(Clone, Debug, Default)]
pub struct TrialQuery {
    /// Names of states ([`tunesmith_common::trial::TrialState::name`]); all if empty.
    pub states: Vec<&'static str>,
    /// In which order.
    pub order: TrialOrder,
    /// Skip that many.
    pub offset: u64,
    /// Return at most that many.
    pub limit: u32,
}

/// Trials by name of state ([`tunesmith_common::trial::TrialState::name`]).
pub type StateCounts = Vec<(String, u64)>;
