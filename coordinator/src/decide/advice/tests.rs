use tunesmith_common::study::StudyFile;

use super::*;

/// A strategy whose models cannot be fitted, or which panics.
#[derive(Debug)]
pub(in super::super) struct Unfit {
    pub(in super::super) panics: bool,
}

impl SearchStrategy for Unfit {
    fn name(&self) -> &'static str {
        "unfit"
    }

    fn propose(&self, _: &StudyView<'_>, _: usize, _: &mut Memory) -> Result<Proposal, StrategyError> {
        assert!(!self.panics, "the matrix is singular");
        Err(StrategyError::Fit {
            reason: "the covariance matrix of 9 results has no Cholesky factor".to_owned(),
        })
    }
}

#[test]
fn where_no_model_can_be_fitted_a_point_is_drawn_at_random_and_says_so() {
    let spec = StudyFile::parse(
        "objective: {metric: loss, goal: minimize}\nspace: {x: {type: bool}}\n",
        "unfit.yaml",
    );
    let spec = Arc::new(spec.unwrap().1);
    let answer = |panics| {
        let question = PointQuestion {
            spec: spec.clone(),
            strategy: Arc::new(Unfit { panics }),
            desk: Desk::default(),
            next: TrialNumber(4),
            proposed: 3,
            cursor: None,
            running: Vec::new(),
            count: 2,
        };
        let PointAdvice { proposal, panic, .. } = question.answer();
        let points = proposal.unwrap().points;
        assert_eq!(
            points.len(),
            1,
            "the next one is asked for with what is known then"
        );
        (points[0].note.clone(), points[0].encoded.clone(), panic)
    };
    let (note, point, panic) = answer(false);
    assert_eq!(
        note,
        "drawn at random: the model cannot be fitted: the covariance matrix of 9 results has no Cholesky factor"
    );
    assert_eq!(panic, None);
    let (note, same, panic) = answer(true);
    assert!(
        note.starts_with("drawn at random: ") && note.contains("panicked"),
        "{note}"
    );
    assert_eq!((same, panic.as_deref()), (point, Some("the matrix is singular")));
}
