//! Points along the parameters of a study, through one of its points.

use tunesmith_common::Params;
use tunesmith_common::params::ParamValue;
use tunesmith_common::space::{Dimension, Space};

/// Points along one parameter.
#[derive(Clone, Debug, PartialEq)]
pub struct Line {
    /// The parameter.
    pub parameter: String,
    /// Its values, ascending; of a categorical in their order.
    pub values: Vec<ParamValue>,
    /// The points of the encoded space with these values, one for each.
    pub points: Vec<Vec<f64>>,
}

/// Lines through `point` along `parameters`, or along all that vary and are active there. Each has at most `count` points, evenly spread over the
/// parameter's scale, and `point` itself.
///
/// # Errors
/// The first of the parameters that is unknown, not active there, or a constant, with the reason.
pub fn lines(
    space: &Space,
    point: &Params,
    parameters: &[String],
    count: usize,
) -> Result<Vec<Line>, (usize, String)> {
    let varies = |index: usize| {
        !matches!(
            space.dimensions()[index],
            Dimension::Levels(1) | Dimension::Categorical(1)
        )
    };
    let name = |index: usize| space.parameters()[index].name.as_str();
    let is_active = |index: usize| point.value(name(index)).is_some();
    let chosen: Vec<usize> = if parameters.is_empty() {
        let all = 0..space.parameters().len();
        all.filter(|&index| varies(index) && is_active(index)).collect()
    } else {
        let find = |(place, wanted): (usize, &String)| match space.index_of(wanted) {
            None => Err((place, format!("there is no parameter {wanted:?}"))),
            Some(index) if !is_active(index) => Err((
                place,
                format!("{wanted} does not exist in the trial that the slice goes through"),
            )),
            Some(index) if !varies(index) => Err((place, format!("{wanted} has one value only"))),
            Some(index) => Ok(index),
        };
        parameters
            .iter()
            .enumerate()
            .map(find)
            .collect::<Result<_, _>>()?
    };
    // What is inactive stands in the middle, for where a value makes it active.
    let base: Vec<f64> = match space.encode(point) {
        Ok(encoded) => encoded
            .into_iter()
            .map(|x| if x.is_nan() { 0.5 } else { x })
            .collect(),
        Err(error) => return Err((0, error.to_string())),
    };
    let line = |index: usize| {
        let mut places = places(space.dimensions()[index], count.max(2));
        places.push(base[index]);
        places.sort_by(f64::total_cmp);
        let mut last = None;
        let (values, points) = places
            .into_iter()
            .filter_map(|x| {
                let mut latent = base.clone();
                latent[index] = x;
                let params = space.decode(&latent);
                let value = params.value(name(index))?.clone();
                let is_new = last.as_ref() != Some(&value);
                last = Some(value.clone());
                Some((value, space.encode(&params).ok()?)).filter(|_| is_new)
            })
            .unzip();
        Line {
            parameter: name(index).to_owned(),
            values,
            points,
        }
    };
    Ok(chosen.into_iter().map(line).collect())
}

/// At most so many places of one coordinate, from its lowest to its highest.
fn places(dimension: Dimension, count: usize) -> Vec<f64> {
    let share = |k: usize, of: usize| {
        f64::from(u32::try_from(k).unwrap_or(u32::MAX)) / f64::from(u32::try_from(of).unwrap_or(u32::MAX))
    };
    match dimension {
        Dimension::Continuous => (0..count)
            .map(|k| share(k, count - 1).min(1.0_f64.next_down()))
            .collect(),
        Dimension::Levels(levels) | Dimension::Categorical(levels) => {
            let all = usize::try_from(levels).unwrap_or(usize::MAX);
            if all <= count {
                return (0..all).map(|k| (share(k, 1) + 0.5) / share(all, 1)).collect();
            }
            // The centres of some levels, the first and the last among them.
            let margin = 0.5 / levels_as_number(levels);
            (0..count)
                .map(|k| margin + share(k, count - 1) * (1.0 - 2.0 * margin))
                .collect()
        }
    }
}

#[expect(
    clippy::cast_precision_loss,
    reason = "half a level of 2^50 is nothing that can be seen"
)]
fn levels_as_number(levels: u64) -> f64 {
    levels as f64
}

#[cfg(test)]
mod tests {
    use tunesmith_common::study::StudyFile;

    use super::*;

    #[test]
    fn lines_run_from_the_lowest_to_the_highest_value_of_each_parameter() {
        let text = "objective: {metric: loss, goal: minimize}\nspace:\n  lr: {type: float, low: 1e-4, high: 1, scale: log}\n\
                    \x20 depth: {type: int, low: 1, high: 3}\n  width: {type: int, low: 1, high: 1001}\n\
                    \x20 opt: {type: categorical, choices: [sgd, adam]}\n  momentum: {type: float, low: 0, high: 1, when: {opt: sgd}}\n\
                    \x20 epochs: {type: constant, value: 5}\n";
        let spec = StudyFile::parse(text, "study.yaml").unwrap().1;
        let number = ParamValue::Float;
        let point: Params = [
            ("lr", number(0.01)),
            ("depth", ParamValue::Int(2)),
            ("width", ParamValue::Int(7)),
            ("opt", ParamValue::Text("adam".to_owned())),
        ]
        .into_iter()
        .map(|(name, value)| (name.parse().unwrap(), value))
        .collect();
        let point = spec.space.normalize(point).unwrap();
        let all = lines(&spec.space, &point, &[], 5).unwrap();
        let names: Vec<&str> = all.iter().map(|line| line.parameter.as_str()).collect();
        assert_eq!(names, ["lr", "depth", "width", "opt"]);
        assert_eq!(
            (&all[0].values[0], &all[0].values[4]),
            (&number(1e-4), &number(1.0))
        );
        let ints = |values: [i64; 3]| values.map(ParamValue::Int).to_vec();
        assert_eq!(all[1].values, ints([1, 2, 3]));
        assert_eq!(
            (&all[2].values[0], &all[2].values[5]),
            (&ParamValue::Int(1), &ParamValue::Int(1001))
        );
        assert_eq!(all[2].values.len(), 6);
        assert_eq!(all[2].values[1], ParamValue::Int(7), "the point itself");
        assert_eq!(all[0].values.len(), 5, "0.01 is the middle one already");
        // With sgd the momentum that the trial does not have is in the middle.
        let middle = spec.space.encode(&spec.space.decode(&all[3].points[0])).unwrap();
        assert!((middle[4] - 0.5).abs() < 1e-9 && all[3].points[1][4].is_nan());
        for line in &all {
            assert_eq!(line.points.len(), line.values.len());
            let there = spec.space.encode(&point).unwrap();
            let index = spec.space.index_of(&line.parameter).unwrap();
            let others = |p: &[f64]| {
                [0, 1, 2, 3]
                    .into_iter()
                    .filter(|k| *k != index)
                    .map(|k| p[k].to_bits())
                    .collect::<Vec<_>>()
            };
            assert!(
                line.points.iter().all(|p| others(p) == others(&there)),
                "{}",
                line.parameter
            );
        }
        let refused =
            |name: &str| lines(&spec.space, &point, &["lr".to_owned(), name.to_owned()], 5).unwrap_err();
        assert_eq!(refused("lrr"), (1, "there is no parameter \"lrr\"".to_owned()));
        assert!(refused("momentum").1.contains("does not exist in the trial"));
        assert!(refused("epochs").1.contains("one value only"));
    }
}
