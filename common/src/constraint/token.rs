//! Splits the text of a constraint into words, numbers and signs.

use super::ConstraintError;

/// A piece of the text.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Token {
    Number(f64),
    Text(String),
    /// A name, or a word of the language.
    Word(String),
    /// A name in backticks.
    Name(String),
    Sign(&'static str),
    End,
}

/// A token with its place.
#[derive(Clone, Debug)]
pub(super) struct Placed {
    pub(super) token: Token,
    /// First character, counted from 1.
    pub(super) column: usize,
    /// As written, for messages.
    pub(super) text: String,
}

/// Longer signs before those they begin with.
const SIGNS: [&str; 20] = [
    "**", "==", "!=", "<=", ">=", "&&", "||", "+", "-", "*", "/", "%", "<", ">", "!", "(", ")", "[", "]", ",",
];

/// All tokens of a text, the end being one of them.
pub(super) fn tokens(text: &str) -> Result<Vec<Placed>, ConstraintError> {
    let mut reader = Reader {
        characters: text.chars().collect(),
        next: 0,
    };
    let mut tokens = Vec::new();
    loop {
        while reader.peek().is_some_and(char::is_whitespace) {
            reader.next += 1;
        }
        let start = reader.next;
        let token = reader.token()?;
        let done = token == Token::End;
        tokens.push(Placed {
            token,
            column: start + 1,
            text: reader.characters[start..reader.next].iter().collect(),
        });
        if done {
            return Ok(tokens);
        }
    }
}

struct Reader {
    characters: Vec<char>,
    next: usize,
}

impl Reader {
    fn peek(&self) -> Option<char> {
        self.characters.get(self.next).copied()
    }

    fn skip_while(&mut self, fits: impl Fn(char) -> bool) {
        while self.peek().is_some_and(&fits) {
            self.next += 1;
        }
    }

    fn fail(column: usize, message: impl Into<String>) -> ConstraintError {
        ConstraintError {
            column,
            message: message.into(),
        }
    }

    fn token(&mut self) -> Result<Token, ConstraintError> {
        let start = self.next;
        let Some(first) = self.peek() else {
            return Ok(Token::End);
        };
        let number_follows = self.characters.get(start + 1).is_some_and(char::is_ascii_digit);
        if first.is_ascii_digit() || (first == '.' && number_follows) {
            return self.number();
        }
        if first.is_ascii_alphabetic() || first == '_' {
            self.skip_while(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '.'));
            return Ok(Token::Word(self.characters[start..self.next].iter().collect()));
        }
        if let '"' | '\'' | '`' = first {
            return self.quoted(first);
        }
        let rest = &self.characters[start..];
        let sign = SIGNS
            .into_iter()
            .find(|sign| sign.chars().eq(rest.iter().copied().take(sign.len())));
        if let Some(sign) = sign {
            self.next += sign.len();
            return Ok(Token::Sign(sign));
        }
        Err(Self::fail(
            start + 1,
            match first {
                '=' => "a single '=' does not compare; write '=='".to_owned(),
                '&' => "found '&'; write 'and'".to_owned(),
                '|' => "found '|'; write 'or'".to_owned(),
                _ => format!("{first:?} has no meaning in a constraint"),
            },
        ))
    }

    fn number(&mut self) -> Result<Token, ConstraintError> {
        let start = self.next;
        self.skip_while(|c| c.is_ascii_digit());
        if self.peek() == Some('.') {
            self.next += 1;
            self.skip_while(|c| c.is_ascii_digit());
        }
        if let Some('e' | 'E') = self.peek() {
            self.next += 1;
            if let Some('+' | '-') = self.peek() {
                self.next += 1;
            }
        }
        // Everything that sticks to it, so that `16k` is refused as a whole and not read as `16` followed by `k`.
        self.skip_while(|c| c.is_alphanumeric() || matches!(c, '_' | '.'));
        let text: String = self.characters[start..self.next].iter().collect();
        match text.parse::<f64>() {
            Ok(number) if number.is_finite() => Ok(Token::Number(number)),
            Ok(_) => Err(Self::fail(
                start + 1,
                format!("{} is too large a number", crate::space::quote(&text)),
            )),
            Err(_) => Err(Self::fail(
                start + 1,
                format!("{} is not a number", crate::space::quote(&text)),
            )),
        }
    }

    fn quoted(&mut self, quote: char) -> Result<Token, ConstraintError> {
        let start = self.next;
        let mut text = String::new();
        self.next += 1;
        loop {
            let Some(character) = self.peek() else {
                return Err(Self::fail(
                    start + 1,
                    format!("the {quote} opened here is not closed"),
                ));
            };
            self.next += 1;
            if character == quote {
                return Ok(if quote == '`' {
                    Token::Name(text)
                } else {
                    Token::Text(text)
                });
            }
            if character == '\\' {
                match self.peek() {
                    Some(escaped @ ('"' | '\'' | '`' | '\\')) => text.push(escaped),
                    _ => {
                        return Err(Self::fail(
                            self.next,
                            "a backslash may only stand before a quote or a backslash",
                        ));
                    }
                }
                self.next += 1;
            } else {
                text.push(character);
            }
        }
    }
}
