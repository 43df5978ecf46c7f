//! What every store owes its callers: one suite, run for memory, SQLite and Postgres, without exceptions.
//!
//! What one of them could not keep is not in here, and not promised.

mod commits;
mod lists;
mod random;
pub(crate) mod rows;
mod studies;
mod upkeep;

use std::sync::Arc;

use tunesmith_common::{Attempt, StudyId, TrialNumber};

use super::testing::Backend;
use super::{Changes, Ownership, Store, StoreError, TrialQuery};

/// A store under test.
struct Fixture {
    backend: Backend,
    store: Arc<dyn Store>,
}

impl Fixture {
    async fn new(backend: Backend) -> Self {
        let store = backend.open().await;
        Self { backend, store }
    }

    /// Closes the store and opens it again, as a restart does.
    async fn reopen(&mut self) {
        self.store.close().await;
        self.store = self.backend.open().await;
    }

    /// A study that the test owns.
    async fn study(&self, n: u128) -> Owner {
        let row = rows::study(n);
        self.store
            .study_create(&row, &[], None, &rows::audit("studies", 0))
            .await
            .unwrap();
        Owner {
            ownership: self.store.study_take(row.id).await.unwrap(),
            store: Arc::clone(&self.store),
        }
    }

    async fn finish(self) {
        self.store.close().await;
        self.backend.remove().await;
    }
}

/// Commits to a study, one after the other.
struct Owner {
    store: Arc<dyn Store>,
    ownership: Ownership,
}

impl Owner {
    fn id(&self) -> StudyId {
        self.ownership.study
    }

    #[track_caller]
    fn commit(&mut self, changes: Changes) -> impl Future<Output = ()> + '_ {
        let caller = std::panic::Location::caller();
        async move {
            self.ownership = match self.store.commit(&self.ownership, &changes).await {
                Ok(ownership) => ownership,
                Err(error) => panic!("commit at {caller}: {error}"),
            }
        }
    }

    /// Joins all chunks of an attempt.
    async fn compact(&self, trial: u64, attempt: u32) {
        let (trial, attempt) = (TrialNumber(trial), Attempt(attempt));
        let mut from = None;
        loop {
            let round = self
                .store
                .point_compact(&self.ownership, trial, attempt, from.as_ref());
            match round.await.expect("the owner may do this") {
                Some(next) => from = Some(next),
                None => return,
            }
        }
    }

    async fn refused(&self, changes: Changes) -> StoreError {
        self.store
            .commit(&self.ownership, &changes)
            .await
            .expect_err("the commit is refused")
    }
}

fn all() -> TrialQuery {
    TrialQuery {
        limit: 1_000_000,
        ..TrialQuery::default()
    }
}

/// Runs each case for each store.
macro_rules! contract {
    ($($module:ident :: $case:ident),+ $(,)?) => {
        contract!(in memory: $($module :: $case),+);
        contract!(in sqlite: $($module :: $case),+);
        contract!(in postgres: $($module :: $case),+);
    };
    (in $backend:ident: $($module:ident :: $case:ident),+) => {
        mod $backend {
            use super::{Backend, Fixture};

            $(
                #[tokio::test]
                async fn $case() {
                    let mut fixture = Fixture::new(Backend::$backend().await).await;
                    super::$module::$case(&mut fixture).await;
                    fixture.finish().await;
                }
            )+
        }
    };
}

contract![
    studies::a_study_reads_back_as_it_was_created,
    studies::trials_of_other_studies_read_back_in_order,
    studies::creating_again_with_the_same_request_returns_the_first_study,
    studies::a_name_that_is_taken_is_refused,
    studies::two_calls_with_one_request_at_once_make_one_study,
    studies::studies_are_listed_newest_first_and_archived_ones_on_demand,
    studies::every_state_of_a_study_reads_back,
    studies::taking_a_study_fences_the_owner_before,
    studies::a_study_that_is_not_there_cannot_be_taken,
    studies::deleting_leaves_nothing_behind,
    studies::owners_that_race_commit_without_gap_and_one_at_a_time,
    commits::a_late_commit_of_the_owner_itself_is_refused,
    commits::a_bad_row_rolls_everything_back,
    commits::rows_that_contradict_themselves_are_refused,
    commits::an_empty_commit_advances_the_revision,
    commits::every_state_of_a_trial_reads_back,
    commits::extreme_values_of_a_trial_read_back,
    commits::a_trial_is_replaced_as_a_whole,
    commits::attempts_read_back,
    commits::text_with_nul_is_kept_but_for_the_nul,
    commits::requests_are_listed_and_pruned_by_time,
    upkeep::an_answer_is_kept_until_its_trials_have_ended,
    upkeep::answers_are_pruned_a_few_at_a_time,
    commits::decisions_keep_their_order,
    commits::a_large_commit_is_stored_whole,
    commits::what_was_committed_is_there_after_a_restart,
    commits::a_caller_who_goes_away_leaves_no_transaction_open,
    lists::trials_are_ranked_with_those_without_a_finite_value_last,
    lists::trials_are_filtered_and_paged,
    lists::points_are_ordered_by_attempt_metric_and_sequence,
    lists::points_of_any_value_and_time_read_back,
    lists::of_trials_that_have_ended_as_much_is_loaded_as_decides,
    lists::points_are_paged_by_whole_trials,
    lists::the_last_sequence_number_of_open_attempts_is_known,
    upkeep::readers_do_not_see_compaction,
    upkeep::compaction_cut_off_anywhere_loses_nothing,
    upkeep::compaction_by_an_earlier_owner_changes_nothing,
    lists::points_are_counted_by_attempt,
    lists::a_study_that_is_not_there_has_nothing,
    lists::audit_rows_are_found_by_subject,
    lists::workers_are_saved_listed_and_forgotten,
    lists::tokens_are_added_listed_and_revoked,
];
