//! Expressions and their values. Parsing has checked the kinds of all operands that are known beforehand.

use crate::params::ParamValue;

/// An expression. Chains of one operator are flat, so that the depth is bounded by the nesting of the text.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Expression {
    Number(f64),
    Text(String),
    Bool(bool),
    /// The value of a parameter, by its place in the space.
    Parameter(usize),
    Negative(Box<Self>),
    /// The first, then the others added or subtracted.
    Sum(Box<Self>, Vec<(Sum, Self)>),
    Product(Box<Self>, Vec<(Product, Self)>),
    Power(Box<Self>, Box<Self>),
    Call(Function, Vec<Self>),
    /// Each neighbouring pair is compared, all must hold.
    Compare(Box<Self>, Vec<(Comparison, Self)>),
    /// Whether the first is one of the others.
    In(Box<Self>, Vec<Self>),
    Not(Box<Self>),
    And(Vec<Self>),
    Or(Vec<Self>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sum {
    Plus,
    Minus,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Product {
    Times,
    Over,
    Remainder,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Comparison {
    Equal,
    Different,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Function {
    Min,
    Max,
    Abs,
    Sqrt,
    Log,
    Log2,
}

impl Function {
    pub(super) const ALL: [(&'static str, Self); 6] = [
        ("abs", Self::Abs),
        ("log", Self::Log),
        ("log2", Self::Log2),
        ("max", Self::Max),
        ("min", Self::Min),
        ("sqrt", Self::Sqrt),
    ];
}

/// What an expression comes to.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Value<'a> {
    /// Always finite.
    Number(f64),
    Text(&'a str),
    Bool(bool),
}

impl Expression {
    /// Its value; none if it cannot be computed.
    pub(super) fn value<'a>(&'a self, read: &dyn Fn(usize) -> Option<&'a ParamValue>) -> Option<Value<'a>> {
        match self {
            Self::Number(number) => Some(Value::Number(*number)),
            Self::Text(text) => Some(Value::Text(text)),
            Self::Bool(value) => Some(Value::Bool(*value)),
            Self::Parameter(index) => match read(*index)? {
                ParamValue::Bool(value) => Some(Value::Bool(*value)),
                ParamValue::Int(value) => Some(Value::Number(*value as f64)),
                ParamValue::Float(value) => finite(*value),
                ParamValue::Text(text) => Some(Value::Text(text)),
            },
            Self::Negative(inner) => finite(-inner.number(read)?),
            Self::Sum(first, rest) => finite(rest.iter().try_fold(
                first.number(read)?,
                |sum, (operator, term)| {
                    let term = term.number(read)?;
                    Some(match operator {
                        Sum::Plus => sum + term,
                        Sum::Minus => sum - term,
                    })
                },
            )?),
            Self::Product(first, rest) => finite(rest.iter().try_fold(
                first.number(read)?,
                |product, (operator, factor)| {
                    let factor = factor.number(read)?;
                    // Once infinite, it stays so or becomes NaN: the factors are finite.
                    Some(match operator {
                        Product::Times => product * factor,
                        Product::Over => product / factor,
                        Product::Remainder => remainder(product, factor),
                    })
                },
            )?),
            Self::Power(base, exponent) => finite(base.number(read)?.powf(exponent.number(read)?)),
            Self::Call(function, arguments) => call(*function, arguments, read),
            Self::Compare(first, rest) => {
                let mut left = first.value(read);
                let pairs = rest.iter().map(|(comparison, right)| {
                    let right = right.value(read);
                    let holds = compare(*comparison, left?, right?);
                    left = right;
                    holds
                });
                all(pairs).map(Value::Bool)
            }
            Self::In(item, list) => {
                let item = item.value(read)?;
                any(list.iter().map(|choice| Some(choice.value(read)? == item))).map(Value::Bool)
            }
            Self::Not(inner) => inner.truth(read).map(|value| Value::Bool(!value)),
            Self::And(parts) => all(parts.iter().map(|part| part.truth(read))).map(Value::Bool),
            Self::Or(parts) => any(parts.iter().map(|part| part.truth(read))).map(Value::Bool),
        }
    }

    fn number<'a>(&'a self, read: &dyn Fn(usize) -> Option<&'a ParamValue>) -> Option<f64> {
        match self.value(read)? {
            Value::Number(number) => Some(number),
            Value::Text(_) | Value::Bool(_) => None,
        }
    }

    fn truth<'a>(&'a self, read: &dyn Fn(usize) -> Option<&'a ParamValue>) -> Option<bool> {
        match self.value(read)? {
            Value::Bool(value) => Some(value),
            Value::Text(_) | Value::Number(_) => None,
        }
    }
}

/// Whether all hold: false as soon as one does not, unknown if one is and the others hold (Kleene's logic).
fn all(parts: impl Iterator<Item = Option<bool>>) -> Option<bool> {
    let mut result = Some(true);
    for part in parts {
        match part {
            Some(false) => return Some(false),
            Some(true) => {}
            None => result = None,
        }
    }
    result
}

/// Whether one holds, in the same logic.
fn any(parts: impl Iterator<Item = Option<bool>>) -> Option<bool> {
    all(parts.map(|part| part.map(|value| !value))).map(|none| !none)
}

fn finite<'a>(number: f64) -> Option<Value<'a>> {
    number.is_finite().then_some(Value::Number(number))
}

/// The remainder with the sign of the divisor, as in Python; NaN for a divisor of 0.
fn remainder(number: f64, divisor: f64) -> f64 {
    let rest = number % divisor;
    if rest * divisor < 0.0 {
        rest + divisor
    } else {
        rest
    }
}

fn compare(comparison: Comparison, left: Value<'_>, right: Value<'_>) -> Option<bool> {
    match comparison {
        Comparison::Equal => return Some(left == right),
        Comparison::Different => return Some(left != right),
        Comparison::Less | Comparison::LessOrEqual | Comparison::Greater | Comparison::GreaterOrEqual => {}
    }
    let (Value::Number(left), Value::Number(right)) = (left, right) else {
        return None;
    };
    Some(match comparison {
        Comparison::Less => left < right,
        Comparison::LessOrEqual => left <= right,
        Comparison::Greater => left > right,
        _ => left >= right,
    })
}

fn call<'a>(
    function: Function,
    arguments: &'a [Expression],
    read: &dyn Fn(usize) -> Option<&'a ParamValue>,
) -> Option<Value<'a>> {
    let mut numbers = arguments.iter().map(|argument| argument.number(read));
    let first = numbers.next()??;
    finite(match function {
        Function::Abs => first.abs(),
        Function::Sqrt => first.sqrt(),
        Function::Log => first.ln(),
        Function::Log2 => first.log2(),
        Function::Min => numbers.try_fold(first, |least, number| Some(least.min(number?)))?,
        Function::Max => numbers.try_fold(first, |most, number| Some(most.max(number?)))?,
    })
}
