//! The language of `-k` and `-m`, as pytest defines it:
//!
//! ```text
//! expression: or_expr?            or_expr: and_expr ('or' and_expr)*
//! and_expr: not_expr ('and' not_expr)*
//! not_expr: 'not' not_expr | '(' or_expr ')' | ident kwargs?
//! kwargs: '(' name '=' value (',' name '=' value)* ')'
//! ```

use dx_py_core::Marker;

/// An expression that can't be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("at column {column}: {message}")]
pub struct ExpressionError {
    /// Where, from 1.
    pub column: usize,
    /// What is wrong.
    pub message: String,
}

/// A parsed expression.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Expression {
    /// Nothing was given, which matches nothing.
    Never,
    /// A name, with what its keyword arguments must be.
    Name(String, Vec<(String, String)>),
    /// The opposite.
    Not(Box<Expression>),
    /// Both.
    And(Box<Expression>, Box<Expression>),
    /// One or both.
    Or(Box<Expression>, Box<Expression>),
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Token {
    Open,
    Close,
    Comma,
    Equals,
    Text(String),
    Name(String),
    End,
}

impl Token {
    fn describe(&self) -> &str {
        match self {
            Self::Open => "left parenthesis",
            Self::Close => "right parenthesis",
            Self::Comma => ",",
            Self::Equals => "=",
            Self::Text(_) => "string literal",
            Self::Name(name) if matches!(&**name, "or" | "and" | "not") => name,
            Self::Name(_) => "identifier",
            Self::End => "end of input",
        }
    }
}

fn tokens(text: &str) -> Result<Vec<(usize, Token)>, ExpressionError> {
    let chars: Vec<char> = text.chars().collect();
    let mut found = Vec::new();
    let mut at = 0;
    while at < chars.len() {
        let start = at;
        let single = match chars[at] {
            ' ' | '\t' => {
                at += 1;
                continue;
            }
            '(' => Some(Token::Open),
            ')' => Some(Token::Close),
            ',' => Some(Token::Comma),
            '=' => Some(Token::Equals),
            _ => None,
        };
        if let Some(token) = single {
            at += 1;
            found.push((start + 1, token));
            continue;
        }
        if let quote @ ('"' | '\'') = chars[at] {
            let Some(length) = chars[at + 1..].iter().position(|c| *c == quote) else {
                return Err(error(
                    start + 1,
                    format!("closing quote \"{quote}\" is missing"),
                ));
            };
            let content: String = chars[at + 1..at + 1 + length].iter().collect();
            if content.contains('\\') {
                return Err(error(
                    start + 1,
                    "escaping with \"\\\" not supported in marker expression".into(),
                ));
            }
            at += length + 2;
            found.push((start + 1, Token::Text(content)));
            continue;
        }
        while at < chars.len() && (chars[at].is_alphanumeric() || "_:+-.[]\\/".contains(chars[at]))
        {
            at += 1;
        }
        if at == start {
            return Err(error(
                start + 1,
                format!("unexpected character \"{}\"", chars[at]),
            ));
        }
        found.push((start + 1, Token::Name(chars[start..at].iter().collect())));
    }
    found.push((chars.len() + 1, Token::End));
    Ok(found)
}

fn error(column: usize, message: String) -> ExpressionError {
    ExpressionError { column, message }
}

struct Parser {
    tokens: Vec<(usize, Token)>,
    at: usize,
}

impl Parser {
    fn peek(&self) -> &Token {
        &self.tokens[self.at].1
    }

    /// Takes the token of the moment; the end stays.
    fn advance(&mut self) -> Token {
        let token = self.peek().clone();
        if token != Token::End {
            self.at += 1;
        }
        token
    }

    fn take_word(&mut self, word: &str) -> bool {
        let found = matches!(self.peek(), Token::Name(name) if name == word);
        if found {
            self.at += 1;
        }
        found
    }

    fn expected(&self, what: &str) -> ExpressionError {
        let (column, token) = &self.tokens[self.at];
        error(
            *column,
            format!("expected {what}; got {}", token.describe()),
        )
    }

    fn or(&mut self) -> Result<Expression, ExpressionError> {
        let mut left = self.and()?;
        while self.take_word("or") {
            left = Expression::Or(Box::new(left), Box::new(self.and()?));
        }
        Ok(left)
    }

    fn and(&mut self) -> Result<Expression, ExpressionError> {
        let mut left = self.not()?;
        while self.take_word("and") {
            left = Expression::And(Box::new(left), Box::new(self.not()?));
        }
        Ok(left)
    }

    fn not(&mut self) -> Result<Expression, ExpressionError> {
        let what = "not OR left parenthesis OR identifier";
        if self.take_word("not") {
            return Ok(Expression::Not(Box::new(self.not()?)));
        }
        match self.peek().clone() {
            Token::Open => {
                self.at += 1;
                let inner = self.or()?;
                if *self.peek() != Token::Close {
                    return Err(self.expected("right parenthesis"));
                }
                self.at += 1;
                Ok(inner)
            }
            Token::Name(name) if !matches!(&*name, "and" | "or") => {
                self.at += 1;
                let kwargs = if *self.peek() == Token::Open {
                    self.kwargs()?
                } else {
                    Vec::new()
                };
                Ok(Expression::Name(name, kwargs))
            }
            _ => Err(self.expected(what)),
        }
    }

    fn kwargs(&mut self) -> Result<Vec<(String, String)>, ExpressionError> {
        let mut found = Vec::new();
        loop {
            self.advance();
            let Token::Name(name) = self.peek().clone() else {
                return Err(self.expected("identifier"));
            };
            self.at += 1;
            if *self.peek() != Token::Equals {
                return Err(self.expected("="));
            }
            self.at += 1;
            let value = match self.advance() {
                Token::Text(text) => python_repr(&text),
                Token::Name(name)
                    if name.parse::<i64>().is_ok()
                        || matches!(&*name, "True" | "False" | "None") =>
                {
                    name
                }
                _ => {
                    self.at -= 1;
                    return Err(self.expected("string literal, number, True, False or None"));
                }
            };
            found.push((name, value));
            match self.peek() {
                Token::Comma => {}
                Token::Close => {
                    self.at += 1;
                    return Ok(found);
                }
                _ => return Err(self.expected("right parenthesis")),
            }
        }
    }
}

fn python_repr(text: &str) -> String {
    if text.contains('\'') {
        format!("\"{text}\"")
    } else {
        format!("'{text}'")
    }
}

impl Expression {
    /// Reads an expression.
    ///
    /// # Errors
    /// If it isn't one, with the column.
    pub fn parse(text: &str) -> Result<Self, ExpressionError> {
        let mut parser = Parser {
            tokens: tokens(text)?,
            at: 0,
        };
        if *parser.peek() == Token::End {
            return Ok(Self::Never);
        }
        let expression = parser.or()?;
        match parser.peek() {
            Token::End => Ok(expression),
            _ => Err(parser.expected("end of input")),
        }
    }

    fn holds(&self, name_holds: &impl Fn(&str, &[(String, String)]) -> bool) -> bool {
        match self {
            Self::Never => false,
            Self::Name(name, kwargs) => name_holds(name, kwargs),
            Self::Not(inner) => !inner.holds(name_holds),
            Self::And(a, b) => a.holds(name_holds) && b.holds(name_holds),
            Self::Or(a, b) => a.holds(name_holds) || b.holds(name_holds),
        }
    }

    /// As `-k`: a name holds if it is part of one of `names`, whatever the case.
    pub fn matches_keywords(&self, names: &[String]) -> bool {
        let names: Vec<String> = names.iter().map(|name| name.to_lowercase()).collect();
        self.holds(&|name, _| {
            let name = name.to_lowercase();
            names.iter().any(|other| other.contains(&name))
        })
    }

    /// As `-m`: a name holds if there is a mark of that name with these keyword arguments.
    pub fn matches_markers(&self, markers: &[Marker]) -> bool {
        self.holds(&|name, kwargs| {
            markers.iter().any(|marker| {
                marker.name == name && kwargs.iter().all(|pair| marker.kwargs.contains(pair))
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keywords(text: &str, names: &[&str]) -> bool {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        Expression::parse(text).unwrap().matches_keywords(&names)
    }

    #[test]
    fn operators_bind_as_in_python() {
        assert!(keywords("a or b and c", &["a"]));
        assert!(!keywords("(a or b) and c", &["a"]));
        assert!(keywords("not a and b", &["b"]));
        assert!(keywords("not not a", &["a"]));
        assert!(!keywords("", &["a"]));
    }

    #[test]
    fn keywords_match_parts_of_names_whatever_the_case() {
        assert!(keywords("HTTP", &["test_http_get[1-a]"]));
        assert!(keywords("get[1-a]", &["test_http_get[1-a]"]));
        assert!(keywords("TestA and not slow", &["TestA", "test_x"]));
    }

    #[test]
    fn marks_match_whole_names_and_keyword_arguments() {
        let mark = Marker {
            kwargs: vec![("serial".into(), "1".into()), ("name".into(), "'x'".into())],
            ..Marker::bare("device")
        };
        let matches = |text: &str| {
            Expression::parse(text)
                .unwrap()
                .matches_markers(std::slice::from_ref(&mark))
        };
        assert!(matches("device") && !matches("dev") && !matches("Device"));
        assert!(matches("device(serial=1, name='x')") && !matches("device(serial=2)"));
    }

    #[test]
    fn errors_are_those_of_pytest() {
        let message = |text: &str| Expression::parse(text).unwrap_err().to_string();
        assert_eq!(
            message("a b"),
            "at column 3: expected end of input; got identifier"
        );
        assert_eq!(
            message("(a"),
            "at column 3: expected right parenthesis; got end of input"
        );
        assert_eq!(
            message("and"),
            "at column 1: expected not OR left parenthesis OR identifier; got and"
        );
        assert_eq!(message("a $"), "at column 3: unexpected character \"$\"");
        assert_eq!(
            message("m(x='1"),
            "at column 5: closing quote \"'\" is missing"
        );
    }
}
