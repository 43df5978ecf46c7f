//! How people name studies and trials on the command line, and the resource names that the API uses.

use std::str::FromStr;

use tunesmith_common::{StudyName, TrialNumber, WorkerName};
use tunesmith_proto::convert;

/// A study, as `digits` or `studies/digits`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StudyRef(pub StudyName);

impl StudyRef {
    /// `studies/{study}`.
    #[must_use]
    pub fn resource(&self) -> String {
        convert::study_resource(&self.0)
    }
}

impl FromStr for StudyRef {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let name = text.strip_prefix("studies/").unwrap_or(text);
        if let Some((study, _)) = name.split_once('/') {
            return Err(format!("this names a trial; a study is meant, such as {study}"));
        }
        name.parse().map(Self).map_err(|error| error.to_string())
    }
}

/// A trial, as `digits/7` or `studies/digits/trials/7`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrialRef {
    /// The study.
    pub study: StudyName,
    /// The trial in it.
    pub number: TrialNumber,
}

impl TrialRef {
    /// `studies/{study}/trials/{number}`.
    #[must_use]
    pub fn resource(&self) -> String {
        convert::trial_resource(&self.study, self.number)
    }

    /// Another trial of the same study.
    #[must_use]
    pub fn sibling(&self, number: u64) -> Self {
        let mut sibling = self.clone();
        sibling.number = tunesmith_common::TrialNumber(number);
        sibling
    }

    /// `studies/{study}`.
    #[must_use]
    pub fn study_resource(&self) -> String {
        convert::study_resource(&self.study)
    }
}

impl std::fmt::Display for TrialRef {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.study, self.number)
    }
}

impl FromStr for TrialRef {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let short = text
            .strip_prefix("studies/")
            .unwrap_or(text)
            .replacen("/trials/", "/", 1);
        let Some((study, number)) = short.split_once('/') else {
            return Err("a trial is named STUDY/NUMBER, such as digits/7".to_owned());
        };
        let study = study
            .parse()
            .map_err(|error: tunesmith_common::id::NameError| error.to_string())?;
        match number.parse() {
            Ok(number) if number > 0 => Ok(Self {
                study,
                number: TrialNumber(number),
            }),
            _ => Err(format!(
                "{number:?} is no trial number; a trial is named STUDY/NUMBER, such as digits/7"
            )),
        }
    }
}

/// A worker, as `gpu1` or `workers/gpu1`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WorkerRef(pub WorkerName);

impl WorkerRef {
    /// `workers/{worker}`.
    #[must_use]
    pub fn resource(&self) -> String {
        convert::worker_resource(&self.0)
    }
}

impl FromStr for WorkerRef {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let name = text.strip_prefix("workers/").unwrap_or(text);
        name.parse()
            .map(Self)
            .map_err(|error: tunesmith_common::id::NameError| error.to_string())
    }
}

/// The last part of a resource name, safe to show: `digits` of `studies/digits`, `7` of `studies/digits/trials/7`.
#[must_use]
pub(crate) fn short(resource: &str) -> String {
    crate::output::human::clean(resource.rsplit('/').next().unwrap_or(resource))
}

/// `digits/7` of `studies/digits/trials/7`, safe to show; other names as they are.
#[must_use]
pub(crate) fn short_trial(resource: &str) -> String {
    let short = resource
        .strip_prefix("studies/")
        .unwrap_or(resource)
        .replacen("/trials/", "/", 1);
    crate::output::human::clean(&short)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trials_are_named_the_short_and_the_long_way() {
        for text in ["digits/7", "studies/digits/trials/7", "studies/digits/7"] {
            let trial: TrialRef = text.parse().unwrap();
            assert_eq!(
                (trial.to_string().as_str(), trial.resource().as_str()),
                ("digits/7", "studies/digits/trials/7")
            );
        }
        for bad in [
            "digits",
            "digits/",
            "digits/x",
            "digits/0",
            "digits/-1",
            "/7",
            "a/b/7",
            "digits/7/8",
        ] {
            assert!(bad.parse::<TrialRef>().is_err(), "{bad}");
        }
        assert!("digits/7".parse::<StudyRef>().is_err());
        assert_eq!(
            "studies/digits".parse::<StudyRef>().unwrap().resource(),
            "studies/digits"
        );
        assert_eq!(short_trial("studies/digits/trials/7"), "digits/7");
    }
}
