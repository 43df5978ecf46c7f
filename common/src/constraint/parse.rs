//! Reads a constraint: a recursive-descent parser that checks the kinds of operands as it goes.

use crate::params::ParamValue;
use crate::space::{Domain, Parameter, nearest, quote, show};

use super::ConstraintError;
use super::expression::{Comparison, Expression, Function, Product, Sum};
use super::kind::Kind;
use super::token::{Placed, Token, tokens};

/// Levels of parentheses, functions, signs and negations. The stack is not for a stranger to fill.
const DEEPEST: usize = 64;

/// Words that are no names.
const WORDS: [&str; 8] = ["and", "or", "not", "in", "true", "false", "True", "False"];

/// An expression, where it begins and what it may be.
#[derive(Debug)]
struct Node {
    expression: Expression,
    kind: Kind,
    column: usize,
}

type Parsed = Result<Node, ConstraintError>;

/// Reads one constraint.
pub(super) struct Parser<'a> {
    parameters: &'a [Parameter],
    tokens: Vec<Placed>,
    next: usize,
    depth: usize,
    mentioned: Vec<usize>,
}

fn fail<T>(column: usize, message: impl Into<String>) -> Result<T, ConstraintError> {
    Err(ConstraintError {
        column,
        message: message.into(),
    })
}

impl<'a> Parser<'a> {
    pub(super) fn new(text: &str, parameters: &'a [Parameter]) -> Result<Self, ConstraintError> {
        Ok(Self {
            parameters,
            tokens: tokens(text)?,
            next: 0,
            depth: 0,
            mentioned: Vec::new(),
        })
    }

    /// The whole text, and the places of the parameters it mentions, ascending.
    pub(super) fn parse(mut self) -> Result<(Expression, Vec<usize>), ConstraintError> {
        let node = self.or()?;
        if *self.peek() != Token::End {
            return self.unexpected("an operator or the end");
        }
        if self.mentioned.is_empty() {
            return fail(
                node.column,
                "no parameter is mentioned, so that this is either always true or never",
            );
        }
        if !node.kind.may_be(Kind::Bool) {
            let message = format!(
                "a constraint must be true or false, this is {}; compare it, as in x <= 10",
                node.kind.name()
            );
            return fail(node.column, message);
        }
        self.mentioned.sort_unstable();
        self.mentioned.dedup();
        Ok((node.expression, self.mentioned))
    }

    fn peek(&self) -> &Token {
        &self.tokens[self.next].token
    }

    fn column(&self) -> usize {
        self.tokens[self.next].column
    }

    /// Steps over the current token; the end stays.
    fn advance(&mut self) {
        self.next = (self.next + 1).min(self.tokens.len() - 1);
    }

    /// Steps over the current token if it is this sign.
    fn take_sign(&mut self, sign: &str) -> bool {
        let found = matches!(self.peek(), Token::Sign(found) if *found == sign);
        if found {
            self.advance();
        }
        found
    }

    /// Steps over the current token if it is this word.
    fn take_word(&mut self, word: &str) -> bool {
        let found = matches!(self.peek(), Token::Word(found) if found == word);
        if found {
            self.advance();
        }
        found
    }

    fn unexpected<T>(&self, expected: &str) -> Result<T, ConstraintError> {
        let found = &self.tokens[self.next];
        let text = if found.token == Token::End {
            "the end".to_owned()
        } else {
            quote(&found.text)
        };
        fail(found.column, format!("found {text}, expected {expected}"))
    }

    /// Reads something one level further inside.
    fn inside<T>(
        &mut self,
        read: impl FnOnce(&mut Self) -> Result<T, ConstraintError>,
    ) -> Result<T, ConstraintError> {
        if self.depth >= DEEPEST {
            return fail(
                self.column(),
                format!("nested deeper than {DEEPEST} levels; write it as several constraints"),
            );
        }
        self.depth += 1;
        let result = read(self);
        self.depth -= 1;
        result
    }

    fn or(&mut self) -> Parsed {
        let first = self.and()?;
        let mut parts = vec![first];
        while self.take_word("or") || self.take_sign("||") {
            parts.push(self.and()?);
        }
        Self::connect(parts, "or", Expression::Or)
    }

    fn and(&mut self) -> Parsed {
        let first = self.not()?;
        let mut parts = vec![first];
        while self.take_word("and") || self.take_sign("&&") {
            parts.push(self.not()?);
        }
        Self::connect(parts, "and", Expression::And)
    }

    fn connect(mut parts: Vec<Node>, operator: &str, make: fn(Vec<Expression>) -> Expression) -> Parsed {
        if parts.len() == 1
            && let Some(only) = parts.pop()
        {
            return Ok(only);
        }
        for part in &parts {
            require(part, Kind::Bool, operator)?;
        }
        let column = parts.first().map_or(1, |part| part.column);
        let parts = parts.into_iter().map(|part| part.expression).collect();
        Ok(Node {
            expression: make(parts),
            kind: Kind::Bool,
            column,
        })
    }

    fn not(&mut self) -> Parsed {
        let column = self.column();
        if !(self.take_word("not") || self.take_sign("!")) {
            return self.comparison();
        }
        let inner = self.inside(Self::not)?;
        require(&inner, Kind::Bool, "not")?;
        Ok(Node {
            expression: Expression::Not(Box::new(inner.expression)),
            kind: Kind::Bool,
            column,
        })
    }

    fn comparison(&mut self) -> Parsed {
        let first = self.sum()?;
        let column = first.column;
        if self.take_word("in") {
            return self.list(first, false);
        }
        let not_in = matches!(self.tokens.get(self.next + 1), Some(Placed { token: Token::Word(word), .. }) if word == "in");
        if not_in && self.take_word("not") {
            self.advance();
            return self.list(first, true);
        }
        let mut nodes = vec![first];
        let mut comparisons = Vec::new();
        while let Some((sign, comparison)) = self.comparison_sign() {
            let right = self.sum()?;
            if let Some(left) = nodes.last() {
                self.check_comparison(left, sign, comparison, &right)?;
            }
            nodes.push(right);
            comparisons.push(comparison);
        }
        let mut nodes = nodes.into_iter();
        let Some(first) = nodes.next() else {
            return self.unexpected("a value");
        };
        if comparisons.is_empty() {
            return Ok(first);
        }
        let rest = comparisons
            .into_iter()
            .zip(nodes.map(|node| node.expression))
            .collect();
        Ok(Node {
            expression: Expression::Compare(Box::new(first.expression), rest),
            kind: Kind::Bool,
            column,
        })
    }

    fn comparison_sign(&mut self) -> Option<(&'static str, Comparison)> {
        let Token::Sign(sign) = *self.peek() else {
            return None;
        };
        let comparison = match sign {
            "==" => Comparison::Equal,
            "!=" => Comparison::Different,
            "<" => Comparison::Less,
            "<=" => Comparison::LessOrEqual,
            ">" => Comparison::Greater,
            ">=" => Comparison::GreaterOrEqual,
            _ => return None,
        };
        self.advance();
        Some((sign, comparison))
    }

    fn check_comparison(
        &self,
        left: &Node,
        sign: &str,
        comparison: Comparison,
        right: &Node,
    ) -> Result<(), ConstraintError> {
        if let Comparison::Equal | Comparison::Different = comparison {
            return self.check_alike(left, right);
        }
        require(left, Kind::Number, sign)?;
        require(right, Kind::Number, sign)
    }

    /// Whether the two can be equal at all.
    fn check_alike(&self, left: &Node, right: &Node) -> Result<(), ConstraintError> {
        if !left.kind.may_be(right.kind) {
            let message = format!(
                "this is {}, but it is compared with {}",
                right.kind.name(),
                left.kind.name()
            );
            return fail(right.column, message);
        }
        for (parameter, text, column) in [(left, right, right.column), (right, left, left.column)] {
            if let (Expression::Parameter(index), Expression::Text(text)) =
                (&parameter.expression, &text.expression)
            {
                self.check_choice(&self.parameters[*index], text, column)?;
            }
        }
        Ok(())
    }

    /// A misspelt choice would make a constraint that silently never, or always, holds.
    fn check_choice(&self, parameter: &Parameter, text: &str, column: usize) -> Result<(), ConstraintError> {
        let possible = match &parameter.domain {
            Domain::Categorical { choices } | Domain::Ordinal { choices } => choices.as_slice(),
            Domain::Constant(value) => std::slice::from_ref(value),
            Domain::Float { .. } | Domain::Int { .. } | Domain::Boolean => return Ok(()),
        };
        let texts = || {
            possible.iter().filter_map(|value| match value {
                ParamValue::Text(text) => Some(text.as_str()),
                ParamValue::Bool(_) | ParamValue::Int(_) | ParamValue::Float(_) => None,
            })
        };
        if texts().any(|possible| possible == text) {
            return Ok(());
        }
        let hint =
            nearest(text, texts()).map_or(String::new(), |hint| format!("; did you mean {}?", quote(hint)));
        fail(
            column,
            format!("{} is never {}{hint}", parameter.name, quote(text)),
        )
    }

    /// The list after `in`.
    fn list(&mut self, item: Node, negated: bool) -> Parsed {
        if !self.take_sign("[") {
            return self.unexpected("a list such as [1, 2]");
        }
        let mut choices = Vec::new();
        loop {
            let column = self.column();
            let choice = self.sum()?;
            let literal = match &choice.expression {
                Expression::Number(_) | Expression::Text(_) | Expression::Bool(_) => true,
                Expression::Negative(inner) => matches!(**inner, Expression::Number(_)),
                _ => false,
            };
            if !literal {
                return fail(column, "a list has only numbers, texts, true and false");
            }
            self.check_alike(&item, &choice)?;
            choices.push(choice.expression);
            if self.take_sign("]") {
                break;
            }
            if !self.take_sign(",") {
                return self.unexpected("',' or ']'");
            }
        }
        let column = item.column;
        let expression = Expression::In(Box::new(item.expression), choices);
        let expression = if negated {
            Expression::Not(Box::new(expression))
        } else {
            expression
        };
        Ok(Node {
            expression,
            kind: Kind::Bool,
            column,
        })
    }

    fn sum(&mut self) -> Parsed {
        let first = self.product()?;
        let mut rest = Vec::new();
        loop {
            let (sign, operator) = match self.peek() {
                Token::Sign("+") => ("+", Sum::Plus),
                Token::Sign("-") => ("-", Sum::Minus),
                _ => break,
            };
            self.advance();
            let term = self.product()?;
            require(&first, Kind::Number, sign)?;
            require(&term, Kind::Number, sign)?;
            rest.push((operator, term.expression));
        }
        Ok(if rest.is_empty() {
            first
        } else {
            number(first.column, Expression::Sum(Box::new(first.expression), rest))
        })
    }

    fn product(&mut self) -> Parsed {
        let first = self.signed()?;
        let mut rest = Vec::new();
        loop {
            let (sign, operator) = match self.peek() {
                Token::Sign("*") => ("*", Product::Times),
                Token::Sign("/") => ("/", Product::Over),
                Token::Sign("%") => ("%", Product::Remainder),
                _ => break,
            };
            self.advance();
            let factor = self.signed()?;
            require(&first, Kind::Number, sign)?;
            require(&factor, Kind::Number, sign)?;
            rest.push((operator, factor.expression));
        }
        Ok(if rest.is_empty() {
            first
        } else {
            number(
                first.column,
                Expression::Product(Box::new(first.expression), rest),
            )
        })
    }

    fn signed(&mut self) -> Parsed {
        let column = self.column();
        let negative = self.take_sign("-");
        if !negative && !self.take_sign("+") {
            return self.power();
        }
        let inner = self.inside(Self::signed)?;
        require(&inner, Kind::Number, if negative { "-" } else { "+" })?;
        let expression = if negative {
            Expression::Negative(Box::new(inner.expression))
        } else {
            inner.expression
        };
        Ok(number(column, expression))
    }

    fn power(&mut self) -> Parsed {
        let base = self.atom()?;
        if !self.take_sign("**") {
            return Ok(base);
        }
        let exponent = self.inside(Self::signed)?;
        require(&base, Kind::Number, "**")?;
        require(&exponent, Kind::Number, "**")?;
        Ok(number(
            base.column,
            Expression::Power(Box::new(base.expression), Box::new(exponent.expression)),
        ))
    }

    fn atom(&mut self) -> Parsed {
        let column = self.column();
        let token = self.peek().clone();
        match token {
            Token::Number(value) => {
                self.advance();
                Ok(number(column, Expression::Number(value)))
            }
            Token::Text(text) => {
                self.advance();
                Ok(Node {
                    expression: Expression::Text(text),
                    kind: Kind::Text,
                    column,
                })
            }
            Token::Name(name) => {
                self.advance();
                self.parameter(&name, column)
            }
            Token::Word(word) => self.word(&word, column),
            Token::Sign("(") => {
                self.advance();
                let mut inner = self.inside(Self::or)?;
                if !self.take_sign(")") {
                    return self.unexpected(&format!("')' for the '(' at column {column}"));
                }
                inner.column = column;
                Ok(inner)
            }
            Token::Sign(_) | Token::End => self.unexpected("a parameter, a number, a text or '('"),
        }
    }

    fn word(&mut self, word: &str, column: usize) -> Parsed {
        if let "true" | "True" | "false" | "False" = word {
            self.advance();
            let value = word.eq_ignore_ascii_case("true");
            return Ok(Node {
                expression: Expression::Bool(value),
                kind: Kind::Bool,
                column,
            });
        }
        if WORDS.contains(&word) {
            return self.unexpected("a parameter, a number, a text or '('");
        }
        self.advance();
        if self.take_sign("(") {
            self.call(word, column)
        } else {
            self.parameter(word, column)
        }
    }

    /// The arguments of a function, after its parenthesis.
    fn call(&mut self, name: &str, column: usize) -> Parsed {
        let Some((_, function)) = Function::ALL.into_iter().find(|(known, _)| *known == name) else {
            let known: Vec<&str> = Function::ALL.iter().map(|(name, _)| *name).collect();
            return fail(
                column,
                format!("{} is no function; there are {}", quote(name), known.join(", ")),
            );
        };
        let mut arguments = Vec::new();
        loop {
            let argument = self.inside(Self::sum)?;
            require(&argument, Kind::Number, name)?;
            arguments.push(argument.expression);
            if self.take_sign(")") {
                break;
            }
            if !self.take_sign(",") {
                return self.unexpected("',' or ')'");
            }
        }
        let (expected, fits) = match function {
            Function::Min | Function::Max => ("at least two numbers", arguments.len() >= 2),
            Function::Abs | Function::Sqrt | Function::Log | Function::Log2 => {
                ("one number", arguments.len() == 1)
            }
        };
        if !fits {
            return fail(
                column,
                format!("{name} takes {expected}, found {}", arguments.len()),
            );
        }
        Ok(number(column, Expression::Call(function, arguments)))
    }

    fn parameter(&mut self, name: &str, column: usize) -> Parsed {
        if let Some(index) = self
            .parameters
            .iter()
            .position(|parameter| parameter.name.as_str() == name)
        {
            self.mentioned.push(index);
            let kind = Kind::of_domain(&self.parameters[index].domain);
            return Ok(Node {
                expression: Expression::Parameter(index),
                kind,
                column,
            });
        }
        let names = || self.parameters.iter().map(|parameter| parameter.name.as_str());
        let with_hyphen =
            names().find(|known| known.strip_prefix(name).is_some_and(|rest| rest.starts_with('-')));
        if let (Some(known), Token::Sign("-")) = (with_hyphen, self.peek()) {
            return fail(
                column,
                format!(
                    "{} is no parameter; write {known} in backticks: `{known}`",
                    quote(name)
                ),
            );
        }
        if self.is_choice(name) {
            let text = show(&ParamValue::Text(name.to_owned()));
            return fail(
                column,
                format!("{} is no parameter; write a text in quotes: {text}", quote(name)),
            );
        }
        match nearest(name, names()) {
            Some(hint) => fail(
                column,
                format!("{} is no parameter; did you mean {hint}?", quote(name)),
            ),
            None => fail(
                column,
                format!("{} is no parameter of this search space", quote(name)),
            ),
        }
    }

    /// Whether some parameter has this choice: it was probably meant as a text.
    fn is_choice(&self, word: &str) -> bool {
        self.parameters.iter().any(|parameter| match &parameter.domain {
            Domain::Categorical { choices } | Domain::Ordinal { choices } => choices
                .iter()
                .any(|choice| matches!(choice, ParamValue::Text(text) if text == word)),
            Domain::Float { .. } | Domain::Int { .. } | Domain::Boolean | Domain::Constant(_) => false,
        })
    }
}

fn number(column: usize, expression: Expression) -> Node {
    Node {
        expression,
        kind: Kind::Number,
        column,
    }
}

/// Refuses an operand that can never be what the operator needs.
fn require(node: &Node, kind: Kind, operator: &str) -> Result<(), ConstraintError> {
    if node.kind.may_be(kind) {
        return Ok(());
    }
    let needs = match kind {
        Kind::Number => "numbers",
        Kind::Text => "texts",
        Kind::Bool => "conditions on both sides, such as a < b",
        Kind::Mixed => "values",
    };
    let needs = if operator == "not" {
        "a condition, such as a < b"
    } else {
        needs
    };
    fail(
        node.column,
        format!("{operator} needs {needs}, this is {}", node.kind.name()),
    )
}
