//! A trail of what is committed: triggers of the test's own in the coordinator's database write down, in order, every change of a
//! study's owner, every chunk of points, every decision and every end of a trial, each with the revision that it is part of.
//!
//! By it the auditor knows what the tables themselves forget: who committed when, and in which order things became known.

use std::collections::{BTreeSet, HashMap};

use serde_json::Value;

use crate::tables::Tables;

/// One line of a trail.
#[derive(Clone, Debug)]
pub(crate) struct Step {
    /// The study's revision with it.
    pub(crate) revision: u64,
    /// What it is.
    pub(crate) fact: Fact,
}

/// What became of a study.
#[derive(Clone, Debug)]
pub(crate) enum Fact {
    /// The owner's row changed: epoch and commits before, and after; and whose connection did it.
    Owner {
        before: (u64, u64),
        after: (u64, u64),
        by: String,
    },
    /// Points of one metric were stored: step, value, time.
    Points {
        trial: u64,
        attempt: u64,
        metric: String,
        points: Vec<(i64, f64, i64)>,
    },
    /// A rule said stop: rule, step, value, reference, trials compared.
    Decision {
        trial: u64,
        rule: u32,
        step: i64,
        numbers: [f64; 3],
    },
    /// Something else was written.
    Row,
    /// A trial ended, in this state.
    End {
        trial: u64,
        state: String,
        value: Option<f64>,
    },
}

/// A trail of one database.
#[derive(Clone, Debug)]
pub struct Trail {
    tables: Tables,
}

impl Trail {
    /// Lays triggers in a database whose tables exist. Studies that exist already have no whole trail.
    pub async fn lay(tables: Tables) -> Self {
        tables
            .execute(if tables.is_postgres() { POSTGRES } else { SQLITE })
            .await;
        Self { tables }
    }

    /// Checks who committed: every commit is the next one, by the owner with the newest epoch, and has something in it.
    ///
    /// # Panics
    /// If a commit is missing, was made twice, was made by an owner of the past, or is only half there.
    pub async fn check_owners(&self) {
        for (study, steps) in self.studies().await {
            let mut now = (0, 0);
            let mut owner = String::new();
            for step in &steps {
                let Fact::Owner { before, after, by } = &step.fact else {
                    continue;
                };
                assert_eq!(*before, now, "study {study}: the owner's row was replaced");
                if after.0 == now.0 + 1 && after.1 == now.1 {
                    owner.clone_from(by);
                } else {
                    assert_eq!(
                        *after,
                        (now.0, now.1 + 1),
                        "study {study}: not the commit after {now:?}"
                    );
                    assert_eq!(
                        *by, owner,
                        "study {study}: a commit of an owner before, at {after:?}"
                    );
                }
                now = *after;
            }
            let written: BTreeSet<u64> = steps
                .iter()
                .filter(|step| !matches!(step.fact, Fact::Owner { .. }))
                .map(|step| step.revision)
                .collect();
            let empty: Vec<u64> = (1..=now.1)
                .filter(|revision| !written.contains(revision))
                .collect();
            assert!(empty.is_empty(), "study {study}: commits {empty:?} wrote nothing");
            let row = format!(
                "SELECT owner_epoch, commit_seq FROM study_owner WHERE {} = '{study}'",
                self.study_id()
            );
            let row = self.tables.query(&row).await;
            assert_eq!(
                row,
                [vec![now.0.to_string(), now.1.to_string()]],
                "study {study}: the trail ends elsewhere"
            );
        }
    }

    /// The trail of a study by name.
    pub(crate) async fn of(&self, name: &str) -> Vec<Step> {
        let id = format!("SELECT {} FROM study WHERE name = '{name}'", self.id());
        let id = self.tables.query(&id).await.remove(0).remove(0);
        self.studies().await.remove(&id).unwrap_or_default()
    }

    fn id(&self) -> &'static str {
        if self.tables.is_postgres() {
            "id::text"
        } else {
            "lower(hex(id))"
        }
    }

    fn study_id(&self) -> &'static str {
        if self.tables.is_postgres() {
            "study_id::text"
        } else {
            "lower(hex(study_id))"
        }
    }

    async fn studies(&self) -> HashMap<String, Vec<Step>> {
        let rows = self
            .tables
            .query("SELECT study, revision, what, facts FROM trail ORDER BY id")
            .await;
        let mut studies: HashMap<String, Vec<Step>> = HashMap::new();
        for row in rows {
            let [study, revision, what, facts] = &row[..] else {
                panic!("{row:?}")
            };
            let facts: Value = serde_json::from_str(facts).unwrap();
            let step = Step {
                revision: revision.parse().unwrap(),
                fact: fact(what, &facts),
            };
            studies.entry(study.clone()).or_default().push(step);
        }
        studies
    }
}

fn fact(what: &str, facts: &Value) -> Fact {
    let whole = |index: usize| facts[index].as_u64().unwrap();
    let text = |index: usize| facts[index].as_str().unwrap().to_owned();
    match what {
        "owner" => Fact::Owner {
            before: (whole(0), whole(1)),
            after: (whole(2), whole(3)),
            by: text(4),
        },
        "points" => {
            let points = facts[3].as_array().unwrap();
            let point = |point: &Value| {
                (
                    point[0].as_i64().unwrap(),
                    number(&point[1]),
                    point[2].as_i64().unwrap(),
                )
            };
            Fact::Points {
                trial: whole(0),
                attempt: whole(1),
                metric: text(2),
                points: points.iter().map(point).collect(),
            }
        }
        "decision" => Fact::Decision {
            trial: whole(0),
            rule: u32::try_from(whole(1)).unwrap(),
            step: facts[2].as_i64().unwrap(),
            numbers: [3, 4, 5].map(|index| number(&facts[index])),
        },
        "end" => Fact::End {
            trial: whole(0),
            state: text(1),
            value: (!facts[2].is_null()).then(|| number(&facts[2])),
        },
        "row" => Fact::Row,
        other => panic!("{other}: {facts}"),
    }
}

/// A number; those that are not finite, and those that are to keep all their digits, are texts.
fn number(value: &Value) -> f64 {
    value
        .as_f64()
        .unwrap_or_else(|| value.as_str().unwrap().parse().unwrap())
}

const POSTGRES: &str = "
CREATE TABLE trail (id bigserial PRIMARY KEY, study text NOT NULL, revision bigint NOT NULL, what text NOT NULL, facts json NOT NULL);
CREATE FUNCTION trail() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    facts json;
BEGIN
    IF TG_ARGV[0] = 'owner' THEN
        facts := json_build_array(OLD.owner_epoch, OLD.commit_seq, NEW.owner_epoch, NEW.commit_seq, current_setting('application_name'));
    ELSIF TG_ARGV[0] = 'points' THEN
        facts := json_build_array(NEW.trial, NEW.attempt, NEW.metric, (
            SELECT json_agg(json_build_array(p.step, p.value, p.at)) FROM unnest(NEW.steps, NEW.vals, NEW.times) AS p (step, value, at)));
    ELSIF TG_ARGV[0] = 'decision' THEN
        facts := json_build_array(NEW.trial, NEW.rule_index, NEW.step, NEW.value, NEW.reference, NEW.compared_trials);
    ELSIF TG_ARGV[0] = 'end' THEN
        facts := json_build_array(NEW.number, NEW.state, NEW.value);
    ELSE
        facts := json_build_array(TG_TABLE_NAME);
    END IF;
    INSERT INTO trail (study, revision, what, facts)
        SELECT study_id::text, commit_seq, TG_ARGV[0], facts FROM study_owner
        WHERE study_id = CASE WHEN TG_TABLE_NAME = 'study' THEN (to_json(NEW) ->> 'id')::uuid ELSE (to_json(NEW) ->> 'study_id')::uuid END;
    RETURN NULL;
END $$;
CREATE TRIGGER trail_of_owners AFTER UPDATE ON study_owner FOR EACH ROW EXECUTE FUNCTION trail('owner');
CREATE TRIGGER trail_of_points AFTER INSERT ON point_chunk FOR EACH ROW EXECUTE FUNCTION trail('points');
CREATE TRIGGER trail_of_decisions AFTER INSERT ON decision FOR EACH ROW EXECUTE FUNCTION trail('decision');
CREATE TRIGGER trail_of_ends AFTER INSERT OR UPDATE ON trial FOR EACH ROW WHEN (NEW.ended_at IS NOT NULL)
    EXECUTE FUNCTION trail('end');
CREATE TRIGGER trail_of_studies AFTER UPDATE ON study FOR EACH ROW EXECUTE FUNCTION trail('row');
CREATE TRIGGER trail_of_trials AFTER INSERT OR UPDATE ON trial FOR EACH ROW EXECUTE FUNCTION trail('row');
CREATE TRIGGER trail_of_attempts AFTER INSERT OR UPDATE ON attempt FOR EACH ROW EXECUTE FUNCTION trail('row');
";

const SQLITE: &str = "
CREATE TABLE trail (id INTEGER PRIMARY KEY AUTOINCREMENT, study TEXT NOT NULL, revision INTEGER NOT NULL, what TEXT NOT NULL, facts TEXT NOT NULL);
CREATE TRIGGER trail_of_owners AFTER UPDATE ON study_owner BEGIN
    INSERT INTO trail (study, revision, what, facts) VALUES (lower(hex(NEW.study_id)), NEW.commit_seq, 'owner',
        json_array(OLD.owner_epoch, OLD.commit_seq, NEW.owner_epoch, NEW.commit_seq, ''));
END;
CREATE TRIGGER trail_of_points AFTER INSERT ON point_chunk BEGIN
    INSERT INTO trail (study, revision, what, facts) SELECT lower(hex(study_id)), commit_seq, 'points',
        json_array(NEW.trial, NEW.attempt, NEW.metric, json(NEW.points)) FROM study_owner WHERE study_id = NEW.study_id;
END;
CREATE TRIGGER trail_of_decisions AFTER INSERT ON decision BEGIN
    INSERT INTO trail (study, revision, what, facts) SELECT lower(hex(study_id)), commit_seq, 'decision',
        json_array(NEW.trial, NEW.rule_index, NEW.step,
            CASE typeof(NEW.value) WHEN 'real' THEN format('%!.17g', NEW.value) ELSE NEW.value END,
            CASE typeof(NEW.reference) WHEN 'real' THEN format('%!.17g', NEW.reference) ELSE NEW.reference END, NEW.compared_trials)
        FROM study_owner WHERE study_id = NEW.study_id;
END;
CREATE TRIGGER trail_of_trials_made_ended AFTER INSERT ON trial WHEN NEW.ended_at IS NOT NULL BEGIN
    INSERT INTO trail (study, revision, what, facts) SELECT lower(hex(study_id)), commit_seq, 'end',
        json_array(NEW.number, NEW.state, CASE typeof(NEW.value) WHEN 'real' THEN format('%!.17g', NEW.value) ELSE NEW.value END)
        FROM study_owner WHERE study_id = NEW.study_id;
END;
CREATE TRIGGER trail_of_ends AFTER UPDATE ON trial WHEN NEW.ended_at IS NOT NULL BEGIN
    INSERT INTO trail (study, revision, what, facts) SELECT lower(hex(study_id)), commit_seq, 'end',
        json_array(NEW.number, NEW.state, CASE typeof(NEW.value) WHEN 'real' THEN format('%!.17g', NEW.value) ELSE NEW.value END)
        FROM study_owner WHERE study_id = NEW.study_id;
END;
CREATE TRIGGER trail_of_studies AFTER UPDATE ON study BEGIN
    INSERT INTO trail (study, revision, what, facts) SELECT lower(hex(study_id)), commit_seq, 'row', '[]' FROM study_owner WHERE study_id = NEW.id;
END;
CREATE TRIGGER trail_of_trials_made AFTER INSERT ON trial BEGIN
    INSERT INTO trail (study, revision, what, facts) SELECT lower(hex(study_id)), commit_seq, 'row', '[]' FROM study_owner WHERE study_id = NEW.study_id;
END;
CREATE TRIGGER trail_of_trials AFTER UPDATE ON trial BEGIN
    INSERT INTO trail (study, revision, what, facts) SELECT lower(hex(study_id)), commit_seq, 'row', '[]' FROM study_owner WHERE study_id = NEW.study_id;
END;
CREATE TRIGGER trail_of_attempts_made AFTER INSERT ON attempt BEGIN
    INSERT INTO trail (study, revision, what, facts) SELECT lower(hex(study_id)), commit_seq, 'row', '[]' FROM study_owner WHERE study_id = NEW.study_id;
END;
CREATE TRIGGER trail_of_attempts AFTER UPDATE ON attempt BEGIN
    INSERT INTO trail (study, revision, what, facts) SELECT lower(hex(study_id)), commit_seq, 'row', '[]' FROM study_owner WHERE study_id = NEW.study_id;
END;
";
