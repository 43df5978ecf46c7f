//! What a study's model expects along its parameters.

use std::fmt::Write as _;

use tunesmith_proto::v1 as pb;

use super::parts;
use crate::output::table::{self, number, text};
use crate::output::{Style, human};

/// One table for each parameter.
#[must_use]
pub(crate) fn show(slices: &pb::SliceStudyResponse, style: Style) -> String {
    let point = slices.parameters.clone().unwrap_or_default();
    let mut out = format!(
        "What {} expects after {}, through {}. LOW and HIGH are one standard deviation off; the larger {}, the sooner a value is tried.\n",
        human::clean(&slices.strategy),
        human::plural(slices.results, "result"),
        in_line(&point),
        human::clean(&slices.acquisition).to_uppercase(),
    );
    if let Some(chosen) = slices.chosen.as_ref().filter(|chosen| **chosen != point) {
        let _ = writeln!(out, "Next would be tried: {}.", in_line(chosen));
    }
    for slice in &slices.slices {
        let mut header = vec![slice.parameter.clone()];
        for objective in &slice.objectives {
            header.extend([
                objective.metric.to_uppercase(),
                "LOW".to_owned(),
                "HIGH".to_owned(),
            ]);
        }
        header.push(slices.acquisition.to_uppercase());
        // The most promising value is marked.
        let best = (0..slice.acquisition.len())
            .max_by(|&a, &b| slice.acquisition[a].total_cmp(&slice.acquisition[b]));
        header.push(String::new());
        let at = |numbers: &[f64], row: usize| {
            number(
                numbers
                    .get(row)
                    .map_or_else(String::new, |number| human::short_number(*number)),
            )
        };
        let rows = slice.values.iter().enumerate().map(|(row, value)| {
            let mut cells = vec![text(parts::value_short(value))];
            for objective in &slice.objectives {
                cells.extend(
                    [&objective.mean, &objective.low, &objective.high].map(|numbers| at(numbers, row)),
                );
            }
            cells.push(at(&slice.acquisition, row));
            cells.push(text(if best == Some(row) { "<" } else { "" }));
            cells
        });
        let _ = write!(out, "\n{}", table::render(style, &header, rows.collect()));
    }
    out
}

fn in_line(point: &pbjson_types::Struct) -> String {
    let values: Vec<String> = parts::parameters(point, &[])
        .into_iter()
        .map(|(name, value)| format!("{}={}", human::clean(name), parts::value_short(value)))
        .collect();
    values.join(" ")
}
