//! Constraints: what a point of a space must satisfy before it is worth a trial, such as `batch * width <= 16384`.
//!
//! The language, loosest binding first:
//!
//! | | |
//! |---|---|
//! | `or`, `\|\|` | |
//! | `and`, `&&` | |
//! | `not`, `!` | |
//! | `==` `!=` `<` `<=` `>` `>=` | may be chained, `1 <= depth < width`; only numbers have an order |
//! | `in [a, b]`, `not in [a, b]` | one of a list of numbers, texts or booleans |
//! | `+` `-` | |
//! | `*` `/` `%` | the remainder has the sign of the divisor |
//! | `-x` | |
//! | `**` | power, grouped from the right: `2 ** 3 ** 2` is `2 ** 9` |
//! | `min(..)` `max(..)` `abs(x)` `sqrt(x)` `log(x)` `log2(x)` | `log` is the natural logarithm |
//!
//! Numbers are written `16384`, `0.1` or `1e-3`, texts `"sgd"` or `'sgd'`, booleans `true` and `false`. A parameter is written as it is
//! called; one whose name contains `-`, or is a word of the language, in backticks: `` `weight-decay` < 0.1 ``.
//!
//! Computing is done in floating-point numbers. What cannot be computed (a division by zero, the root of a negative number, an overflow)
//! is neither true nor false: `bias or 1 / width > 2` holds where `bias` does, whatever `width` is; a constraint that comes to neither does
//! not hold.

mod definition;
mod expression;
mod kind;
mod parse;
mod token;

#[cfg(test)]
mod tests;

pub use definition::{Constraint, ConstraintError};
