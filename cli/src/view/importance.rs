//! Which parameters matter.

use std::fmt::Write as _;

use tunesmith_proto::v1 as pb;

use crate::output::table::{self, number, text};
use crate::output::{Style, human};

/// Characters of the bar of all there is.
const BAR: usize = 30;
/// Pairs that are listed, and what one has to have for that: there are many, and most do nothing.
const LISTED: usize = 5;
const LEAST_SHARE: f64 = 0.01;
/// Less than this explained is said to be no more than chance.
const TRUSTED: f64 = 0.2;

/// The parameters and the pairs with bars, below how far that is to be trusted.
#[must_use]
pub(crate) fn show(found: &pb::GetImportanceResponse, style: Style) -> String {
    let among = if found.best < found.results {
        format!(" among the best {}", found.best)
    } else {
        String::new()
    };
    let mut out = format!(
        "Importance for {} of {}: unseen results{among} are explained to {}{}\n\n",
        human::clean(&found.metric),
        human::plural(found.results, "result"),
        percent(found.explained),
        if found.explained < TRUSTED {
            ", so the shares are little more than chance."
        } else {
            "."
        },
    );
    let header = ["PARAMETER", "SHARE", "+-", "", "ACTIVE IN"].map(str::to_owned);
    let rows = found.parameters.iter().map(|parameter| {
        vec![
            text(parameter.parameter.as_str()),
            number(percent(parameter.share)),
            number(percent(parameter.deviation)),
            text(bar(parameter.share)),
            number(if parameter.active < found.results {
                parameter.active.to_string()
            } else {
                "all".to_owned()
            }),
        ]
    });
    let _ = write!(out, "{}", table::render(style, &header, rows.collect()));
    let pairs: Vec<&pb::PairImportance> = found
        .pairs
        .iter()
        .filter(|pair| pair.share >= LEAST_SHARE)
        .take(LISTED)
        .collect();
    if !pairs.is_empty() {
        let header = ["TOGETHER", "SHARE", "+-", ""].map(str::to_owned);
        let rows = pairs.into_iter().map(|pair| {
            vec![
                text(format!("{} x {}", pair.first, pair.second)),
                number(percent(pair.share)),
                number(percent(pair.deviation)),
                text(bar(pair.share)),
            ]
        });
        let _ = write!(out, "\n{}", table::render(style, &header, rows.collect()));
    }
    out
}

fn percent(share: f64) -> String {
    format!("{:.0} %", share * 100.0)
}

/// As long as the share is large; something for whatever is not nothing.
fn bar(share: f64) -> String {
    let full = (0..BAR)
        .filter(|place| (*place as f64 + 0.5) / BAR as f64 <= share)
        .count();
    if full == 0 && share >= LEAST_SHARE {
        ".".to_owned()
    } else {
        "#".repeat(full)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars_are_as_long_as_shares_are_large() {
        assert_eq!(bar(1.0).len(), BAR);
        assert_eq!(bar(0.5).len(), BAR / 2);
        assert_eq!(bar(0.011), ".");
        assert_eq!(bar(0.0), "");
        assert_eq!(bar(f64::NAN), "");
    }
}
