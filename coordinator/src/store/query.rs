//! Which trials to list, and in which order.

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
