//! What is learnt from which results, on histories made for it.

use tunesmith_common::params::ParamValue;
use tunesmith_common::space::Scale;

use super::*;

fn parameter(name: &str, domain: Domain) -> Parameter {
    Parameter {
        name: name.parse().unwrap(),
        domain,
        conditions: Vec::new(),
    }
}

/// Two floats, six levels and three categories.
fn mixed() -> Space {
    let float = |name| {
        let domain = Domain::Float {
            low: 0.0,
            high: 1.0,
            scale: Scale::Linear,
            step: None,
        };
        parameter(name, domain)
    };
    let ints = |count| (0..count).map(ParamValue::Int).collect();
    let levels = parameter("level", Domain::Ordinal { choices: ints(6) });
    let kinds = parameter("kind", Domain::Categorical { choices: ints(3) });
    Space::new(vec![float("x"), float("y"), levels, kinds], Vec::new()).unwrap()
}

/// A study that does what its strategy proposes, `parallel` at a time; they end in another order than they began.
struct Study {
    space: Space,
    cmaes: Cmaes,
    known: Known,
    open: Vec<(u64, Vec<f64>)>,
    next: u64,
    finished: Vec<FinishedTrial>,
}

impl Study {
    fn new(space: Space) -> Self {
        Self {
            cmaes: Cmaes::new(&space),
            space,
            known: Known::default(),
            open: Vec::new(),
            next: 1,
            finished: Vec::new(),
        }
    }

    fn view(&self) -> StudyView<'_> {
        StudyView {
            space: &self.space,
            seed: 3,
            next: TrialNumber(self.next),
            proposed: self.next - 1,
            cursor: None,
            finished: &self.finished,
            running: &[],
        }
    }

    fn run(&mut self, results: usize, parallel: usize, objective: impl Fn(&[f64]) -> f64) {
        for _ in 0..results {
            while self.open.len() < parallel {
                let mut known = std::mem::take(&mut self.known);
                let point = self.cmaes.suggest(&self.view(), &mut known).unwrap();
                self.known = known;
                self.open.push((self.next, point.encoded));
                self.next += 1;
            }
            let (trial, encoded) = self.open.remove(self.finished.len() % parallel);
            self.finished.push(FinishedTrial {
                trial: TrialNumber(trial),
                value: Some(objective(&encoded)),
                encoded: encoded.into(),
                failed: false,
                partial: false,
                last_step: None,
                others: Box::default(),
                violations: Box::default(),
            });
        }
        let mut known = std::mem::take(&mut self.known);
        self.cmaes.learn(&self.view(), &mut known.learnt);
        self.known = known;
    }

    fn search(&self) -> &Search {
        self.known.learnt.search.as_ref().unwrap()
    }
}

fn bowl(encoded: &[f64]) -> f64 {
    encoded.iter().map(|x| (x - 0.3).powi(2)).sum()
}

#[test]
fn a_result_counts_with_its_own_step_if_it_was_drawn_from_the_distribution_as_it_is() {
    let mut study = Study::new(mixed());
    study.run(STARTUP, 1, bowl);
    // The next population, but for the last of it: all were drawn from the same distribution.
    let size = study.search().weights.ranks.len();
    study.run(size - 1, 1, bowl);
    let (view, search) = (study.view(), study.search());
    assert_eq!(search.population.len(), size - 1);
    for trial in &study.finished[STARTUP..] {
        let own = study.cmaes.own_step(&view, search, trial).unwrap();
        let foreign = study.cmaes.foreign_step(search, &trial.encoded);
        // For floats the point tells the step as well; for levels it tells that of the level's centre.
        let scale = search.gaussian.sigma;
        for k in 0..2 {
            assert!((search.gaussian.mean[k] + scale * own[k] - trial.encoded[k]).abs() < 1e-9);
        }
        let off = scale * search.widened[2] * (own[2] - foreign[2]).abs();
        assert!(off < 0.5 / 6.0, "{off}");
        // Another trial's point is not its own.
        let other = FinishedTrial {
            trial: TrialNumber(trial.trial.0 + 100),
            ..trial.clone()
        };
        assert!(study.cmaes.own_step(&view, search, &other).is_none());
    }
    // Results of before the last update are foreign.
    study.run(1, 1, bowl);
    assert!(study.search().population.is_empty());
    for trial in &study.finished[STARTUP..] {
        assert!(
            study
                .cmaes
                .own_step(&study.view(), study.search(), trial)
                .is_none()
        );
    }
}

#[test]
fn two_trials_in_a_row_are_mirror_images() {
    let mut study = Study::new(mixed());
    study.run(STARTUP, 1, bowl);
    let (view, search) = (study.view(), study.search());
    let step = |trial| {
        let mut draws = study.cmaes.draws(&view, search, TrialNumber(trial));
        let (latent, _) = draws.next();
        [0, 1].map(|k| latent[k] - search.gaussian.mean[k])
    };
    let near = |a: [f64; 2], b: [f64; 2]| (a[0] - b[0]).abs() + (a[1] - b[1]).abs() < 1e-12;
    let even = step(1_000);
    assert!(near(step(1_001), even.map(|x| -x)));
    assert!(!near(step(1_002), even) && !near(step(999), even.map(|x| -x)));
}

#[test]
fn levels_stay_within_reach_of_their_neighbours_and_categories_of_one_another() {
    let mut study = Study::new(mixed());
    // The lowest level and the first category are best by far.
    study.run(300, 3, |encoded| {
        bowl(&encoded[..2]) + 9.0 * (encoded[2] + encoded[3])
    });
    let (view, search) = (study.view(), study.search());
    let mut levels = [0; 6];
    let mut kinds = [0; 3];
    let mut snapped = [0.0; 4];
    for trial in 0..2_000 {
        let (latent, _) = study.cmaes.draws(&view, search, TrialNumber(trial)).next();
        study.space.snap(&latent, &mut snapped);
        levels[category((2, 6), &snapped).unwrap()] += 1;
        kinds[category((3, 3), &snapped).unwrap()] += 1;
    }
    // At least: half of what leaves a level by more than two standard deviations, and the margin.
    assert!(levels[0] > 1_000 && levels[1] > 20, "{levels:?}");
    assert!(kinds[0] > 1_500 && kinds[1] > 150 && kinds[2] > 150, "{kinds:?}");
}

#[test]
fn a_search_that_has_converged_begins_again_with_twice_the_population() {
    let mut study = Study::new(mixed());
    let first = study.cmaes.population(0);
    study.run(STARTUP, 4, |_| 1.0);
    assert_eq!(study.search().weights.ranks.len(), first);
    // All results are the same.
    for _ in 0..1_000 {
        study.run(1, 4, |_| 1.0);
        if study.known.learnt.restarts > 0 {
            break;
        }
    }
    assert_eq!(study.known.learnt.restarts, 1);
    assert_eq!(study.search().weights.ranks.len(), 2 * first);
    // Three trials of the search before were open. Their results are left out.
    assert_eq!(study.search().left_over, 3);
    for open in [3, 2, 1] {
        study.run(1, open, bowl);
    }
    assert!(study.search().population.is_empty());
    // With the first result of its own nothing is left over any more.
    study.run(2, 3, bowl);
    assert_eq!(
        (study.search().population.len(), study.search().left_over),
        (2, 0)
    );
}

#[test]
fn a_point_of_a_person_pulls_but_does_not_tear() {
    let mut study = Study::new(mixed());
    study.run(150, 1, |encoded| bowl(encoded).sqrt());
    let before = study.search().gaussian.mean.clone();
    assert!((&before - 0.3).iter().take(2).all(|x| x.abs() < 0.05), "{before}");
    let size = study.search().weights.ranks.len();
    for k in 0..size {
        study.finished.push(FinishedTrial::completed(
            TrialNumber(1_000_000 + k as u64),
            [0.9, 0.9, 5.5 / 6.0, 0.5],
            -1.0,
        ));
        study.run(0, 1, bowl);
    }
    let moved = &study.search().gaussian.mean - &before;
    assert!(moved.iter().take(2).all(|x| *x > 0.0 && *x < 0.4), "{moved}");
}

#[test]
fn populations_grow_with_the_logarithm_of_the_number_of_parameters() {
    let size = |count: usize| {
        let cmaes = Cmaes {
            sobol: Sobol::new(count),
            dimensions: count,
            numbers: (0..count).map(|k| (k, None)).collect(),
            choices: Vec::new(),
            tries: 1,
        };
        [0, 1, 50].map(|restarts| cmaes.population(restarts))
    };
    assert_eq!(size(1), [4, 8, 512]);
    assert_eq!(size(10), [8, 16, 1_024]);
    assert_eq!(size(1_000), [22, 44, 2_816]);
}
