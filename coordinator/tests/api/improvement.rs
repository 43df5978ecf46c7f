//! A study that ends because going on is not worth it, as callers see it.

use tonic::Code;
use tunesmith_proto::v1;

use crate::support::{World, refusal, refused, soon, spec};

/// Runs one trial. False if none is handed out because going on is not worth it, or the study is over.
async fn run(world: &World, study: &str) -> bool {
    let request = v1::AskTrialsRequest {
        parent: format!("studies/{study}"),
        ..Default::default()
    };
    let asked = match world.trials().ask_trials(request).await {
        Ok(answer) => answer.into_inner().trials.remove(0),
        Err(status) => {
            let (code, _, message) = refusal::<()>(Err(status));
            assert!(message.contains("no_improvement"), "{message}");
            assert!(
                matches!(code, Code::ResourceExhausted | Code::FailedPrecondition),
                "{message}"
            );
            return false;
        }
    };
    let trial = asked.trial.unwrap();
    let x = match trial.parameters.unwrap().fields["x"].kind {
        Some(pbjson_types::value::Kind::NumberValue(x)) => x,
        ref other => panic!("{other:?}"),
    };
    let told = v1::TellTrialRequest {
        name: trial.name,
        lease: asked.lease,
        value: Some(x * x),
        ..Default::default()
    };
    world.trials().tell_trial(told).await.unwrap();
    true
}

#[tokio::test(flavor = "multi_thread")]
async fn a_study_of_random_trials_ends_by_what_a_model_says_is_left_to_gain() {
    let world = World::start().await;
    let mut study = spec("content");
    study.budget = Some(v1::Budget {
        no_improvement: Some(v1::NoImprovement {
            gain_below: Some(1e6),
            confidence: Some(0.9),
            ..Default::default()
        }),
        ..Default::default()
    });
    world.create(study).await;
    let before = world.study("content").await.improvement.unwrap();
    assert_eq!((before.results, before.gain_left), (0, None));
    assert!(
        before.note.contains("looked at from 13 results on"),
        "{}",
        before.note
    );
    // The model is asked beside the trials, so that some more of them may run meanwhile.
    let study = soon(async {
        while run(&world, "content").await {}
        loop {
            let study = world.study("content").await;
            if study.state() == v1::StudyState::Done {
                return study;
            }
            tokio::task::yield_now().await;
        }
    })
    .await;
    assert_eq!(study.done_reason(), v1::DoneReason::Budget);
    assert!(
        study.state_reason.starts_with("budget: no_improvement: at most ")
            && study.state_reason.ends_with("not more than 1000000"),
        "{}",
        study.state_reason
    );
    let improvement = study.improvement.unwrap();
    assert!(
        improvement.results >= 15,
        "three looks have to agree: {improvement:?}"
    );
    assert_eq!(improvement.confidence, Some(0.9));
    assert!(
        improvement
            .gain_left
            .is_some_and(|gain| (0.0..1.0).contains(&gain)),
        "{improvement:?}"
    );

    let resume = || async {
        let name = "studies/content".to_owned();
        world
            .studies()
            .resume_study(v1::ResumeStudyRequest { name })
            .await
    };
    refused(
        resume().await,
        Code::FailedPrecondition,
        "STUDY_STATE",
        "change or remove budget.no_improvement with an edit, then resume",
    );
    let removed = v1::UpdateStudyRequest {
        name: "studies/content".to_owned(),
        spec: Some(v1::StudySpec::default()),
        update_mask: Some(pbjson_types::FieldMask {
            paths: vec!["budget".to_owned()],
        }),
    };
    world.studies().update_study(removed).await.unwrap();
    resume().await.unwrap();
    assert!(run(&world, "content").await);
    assert_eq!(world.study("content").await.improvement, None);
}
