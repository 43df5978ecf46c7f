//! Points of curves: columns on the wire, [`PointBatch`] inside.

use tunesmith_common::Timestamp;
use tunesmith_common::measurement::{
    MAX_METRICS_PER_TRIAL, MAX_POINTS_PER_BATCH, MetricName, Point, PointBatch,
};

use super::{ConvertError, parse};
use crate::v1;

/// Points on the wire.
#[must_use]
pub fn to_wire(batch: &PointBatch) -> v1::Points {
    v1::Points {
        metrics: batch.metrics.iter().map(ToString::to_string).collect(),
        metric: batch.points.iter().map(|point| point.metric).collect(),
        step: batch.points.iter().map(|point| point.step).collect(),
        value: batch.points.iter().map(|point| point.value).collect(),
        at_micros: batch.points.iter().map(|point| point.at.as_micros()).collect(),
    }
}

/// Points from the wire. Where the sender left times out, `now` takes their place.
///
/// # Errors
/// If the columns differ in length, a metric's name is malformed or missing from the table, a step is negative, or there is more
/// of something than a report may carry.
pub fn from_wire(points: &v1::Points, now: Timestamp) -> Result<PointBatch, ConvertError> {
    let count = points.metric.len();
    if count > MAX_POINTS_PER_BATCH {
        let message = format!("{count} points, at most {MAX_POINTS_PER_BATCH} fit one report; split it");
        return Err(ConvertError::new("points.metric", message));
    }
    for (name, length) in [
        ("points.step", points.step.len()),
        ("points.value", points.value.len()),
    ] {
        if length != count {
            return Err(ConvertError::new(
                name,
                format!("has {length} entries where points.metric has {count}"),
            ));
        }
    }
    if !points.at_micros.is_empty() && points.at_micros.len() != count {
        let message = format!(
            "has {} entries where points.metric has {count}",
            points.at_micros.len()
        );
        return Err(ConvertError::new("points.at_micros", message));
    }
    if points.metrics.len() > MAX_METRICS_PER_TRIAL {
        let message = format!(
            "{} metrics, at most {MAX_METRICS_PER_TRIAL} are allowed",
            points.metrics.len()
        );
        return Err(ConvertError::new("points.metrics", message));
    }
    let metrics = points
        .metrics
        .iter()
        .map(|name| parse::<MetricName>(name, "points.metrics"))
        .collect::<Result<Vec<_>, _>>()?;

    let mut batch = PointBatch {
        metrics,
        points: Vec::with_capacity(count),
    };
    for (index, ((&metric, &step), &value)) in points
        .metric
        .iter()
        .zip(&points.step)
        .zip(&points.value)
        .enumerate()
    {
        if usize::try_from(metric).map_or(true, |metric| metric >= batch.metrics.len()) {
            let message = format!("is {metric}, but only {} metrics are named", batch.metrics.len());
            return Err(ConvertError::new(format!("points.metric[{index}]"), message));
        }
        if step < 0 {
            return Err(ConvertError::new(
                format!("points.step[{index}]"),
                format!("must be at least 0, got {step}"),
            ));
        }
        let at = points
            .at_micros
            .get(index)
            .map_or(now, |&micros| Timestamp::from_micros(micros));
        batch.points.push(Point {
            metric,
            step,
            value,
            at,
        });
    }
    Ok(batch)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn points() -> v1::Points {
        v1::Points {
            metrics: vec!["loss".to_owned()],
            metric: vec![0, 0],
            step: vec![1, 2],
            value: vec![0.5, f64::NEG_INFINITY],
            at_micros: vec![],
        }
    }

    #[test]
    fn points_survive_the_wire_infinities_included() {
        let batch = from_wire(&points(), Timestamp::from_micros(7)).unwrap();
        assert_eq!(batch.points[1].at, Timestamp::from_micros(7));
        assert_eq!(from_wire(&to_wire(&batch), Timestamp::UNIX_EPOCH).unwrap(), batch);
    }

    #[test]
    fn malformed_points_are_refused_by_field() {
        type Spoil = fn(&mut v1::Points);
        let cases: [(Spoil, &str); 5] = [
            (
                |p| p.step.truncate(1),
                "points.step: has 1 entries where points.metric has 2",
            ),
            (
                |p| p.metric[1] = 9,
                "points.metric[1]: is 9, but only 1 metrics are named",
            ),
            (|p| p.step[0] = -1, "points.step[0]: must be at least 0, got -1"),
            (
                |p| p.at_micros = vec![1],
                "points.at_micros: has 1 entries where points.metric has 2",
            ),
            (
                |p| p.metrics[0] = "a\nb".to_owned(),
                "points.metrics: '\\n' at position 2 is not allowed",
            ),
        ];
        for (spoil, message) in cases {
            let mut wire = points();
            spoil(&mut wire);
            let error = from_wire(&wire, Timestamp::UNIX_EPOCH).unwrap_err().to_string();
            assert!(error.starts_with(message), "{error}");
        }
    }
}
