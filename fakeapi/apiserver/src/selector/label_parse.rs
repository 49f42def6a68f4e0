//! The grammar of the `labelSelector` query parameter.
//!
//! Two passes: bytes to tokens, tokens to requirements. `in` and `notin` are operators only
//! where an operator can stand; elsewhere they are ordinary names (`in in (in)` is valid).

use std::collections::BTreeSet;

use crate::names;

use super::SelectorError;
use super::label::{Operator, Requirement};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Name,
    In,
    NotIn,
    Equals,
    DoubleEquals,
    NotEquals,
    Greater,
    Less,
    Not,
    Comma,
    Open,
    Close,
    End,
}

#[derive(Debug, Clone, Copy)]
struct Token<'a> {
    kind: Kind,
    text: &'a str,
}

/// Parses a whole selector; the requirements come in the order written.
pub(super) fn parse(text: &str) -> Result<Vec<Requirement>, SelectorError> {
    let mut parser = Parser { tokens: tokens(text), position: 0 };
    let mut requirements = Vec::new();
    loop {
        let next = parser.peek_value();
        match next.kind {
            Kind::End => return Ok(requirements),
            Kind::Name | Kind::Not => {
                let requirement = parser.requirement().map_err(SelectorError::Requirement)?;
                requirements.push(requirement);
            }
            _ => return Err(unexpected(next, "!, identifier, or 'end of string'")),
        }
        let separator = parser.take_value();
        match separator.kind {
            Kind::End => return Ok(requirements),
            Kind::Comma => {
                let next = parser.peek_value();
                if !matches!(next.kind, Kind::Name | Kind::Not) {
                    return Err(unexpected(next, "identifier after ','"));
                }
            }
            _ => return Err(unexpected(separator, "',' or 'end of string'")),
        }
    }
}

fn unexpected(token: Token<'_>, expected: &'static str) -> SelectorError {
    SelectorError::Unexpected { found: token.text.to_owned(), expected }
}

/// Splits into tokens; the last is always [`Kind::End`].
fn tokens(text: &str) -> Vec<Token<'_>> {
    let mut tokens = Vec::new();
    let mut rest = text.trim_start_matches(is_space);
    while let Some(first) = rest.chars().next() {
        let len = match first {
            '=' if rest.starts_with("==") => 2,
            '!' if rest.starts_with("!=") => 2,
            first if is_special(first) => 1,
            _ => rest.find(|c| is_special(c) || is_space(c)).unwrap_or(rest.len()),
        };
        let (text, tail) = rest.split_at(len);
        tokens.push(Token { kind: kind(text), text });
        rest = tail.trim_start_matches(is_space);
    }
    tokens.push(Token { kind: Kind::End, text: "" });
    tokens
}

fn kind(text: &str) -> Kind {
    match text {
        "in" => Kind::In,
        "notin" => Kind::NotIn,
        "=" => Kind::Equals,
        "==" => Kind::DoubleEquals,
        "!=" => Kind::NotEquals,
        ">" => Kind::Greater,
        "<" => Kind::Less,
        "!" => Kind::Not,
        "," => Kind::Comma,
        "(" => Kind::Open,
        ")" => Kind::Close,
        _ => Kind::Name,
    }
}

fn is_space(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\r' | '\n')
}

fn is_special(c: char) -> bool {
    matches!(c, '=' | '!' | '(' | ')' | ',' | '>' | '<')
}

struct Parser<'a> {
    tokens: Vec<Token<'a>>,
    position: usize,
}

impl<'a> Parser<'a> {
    fn peek(&self) -> Token<'a> {
        // The last token is End and stays: nothing lies behind it.
        self.tokens[self.position.min(self.tokens.len() - 1)]
    }

    fn take(&mut self) -> Token<'a> {
        let token = self.peek();
        self.position += 1;
        token
    }

    /// The next token where no operator word can stand.
    fn peek_value(&self) -> Token<'a> {
        as_value(self.peek())
    }

    fn take_value(&mut self) -> Token<'a> {
        as_value(self.take())
    }

    fn requirement(&mut self) -> Result<Requirement, String> {
        let mut token = self.take_value();
        let negated = token.kind == Kind::Not;
        if negated {
            token = self.take_value();
        }
        if token.kind != Kind::Name {
            return Err(format!("found '{}', expected: identifier", token.text));
        }
        let key = token.text;
        let faults = names::qualified_name(key);
        if !faults.is_empty() {
            let key = names::quote(key);
            return Err(format!("<nil>: Invalid value: {key}: {}", faults.join("; ")));
        }
        if negated {
            return Requirement::new(key, Operator::DoesNotExist, Vec::new());
        }
        if matches!(self.peek_value().kind, Kind::End | Kind::Comma) {
            return Requirement::new(key, Operator::Exists, Vec::new());
        }
        let operator = self.operator()?;
        let values = match operator {
            Operator::In | Operator::NotIn => self.value_set()?,
            _ => BTreeSet::from([self.exact_value()?]),
        };
        Requirement::new(key, operator, values.into_iter().map(str::to_owned).collect())
    }

    fn operator(&mut self) -> Result<Operator, String> {
        let token = self.take();
        Ok(match token.kind {
            Kind::In => Operator::In,
            Kind::NotIn => Operator::NotIn,
            Kind::Equals => Operator::Equals,
            Kind::DoubleEquals => Operator::DoubleEquals,
            Kind::NotEquals => Operator::NotEquals,
            Kind::Greater => Operator::GreaterThan,
            Kind::Less => Operator::LessThan,
            _ => {
                let found = token.text;
                return Err(format!("found '{found}', expected: in, notin, =, ==, !=, gt, lt"));
            }
        })
    }

    /// `(a,b)`, where an empty place is the empty string.
    fn value_set(&mut self) -> Result<BTreeSet<&'a str>, String> {
        let open = self.take_value();
        if open.kind != Kind::Open {
            return Err(format!("found '{}' expected: '('", open.text));
        }
        let next = self.peek_value();
        match next.kind {
            Kind::Close => {
                self.take();
                Ok(BTreeSet::from([""]))
            }
            Kind::Name | Kind::Comma => {
                let values = self.value_list()?;
                self.take(); // the closing bracket that ended the list
                Ok(values)
            }
            _ => Err(format!("found '{}', expected: ',', ')' or identifier", next.text)),
        }
    }

    /// The inside of `(...)`, up to but not with the closing bracket.
    fn value_list(&mut self) -> Result<BTreeSet<&'a str>, String> {
        let mut values = BTreeSet::new();
        loop {
            let token = self.take_value();
            let next = self.peek_value();
            match token.kind {
                Kind::Name => {
                    values.insert(token.text);
                    match next.kind {
                        Kind::Comma => {}
                        Kind::Close => return Ok(values),
                        _ => return Err(format!("found '{}', expected: ',' or ')'", next.text)),
                    }
                }
                Kind::Comma => {
                    if values.is_empty() || matches!(next.kind, Kind::Close | Kind::Comma) {
                        values.insert("");
                    }
                    if next.kind == Kind::Close {
                        return Ok(values);
                    }
                }
                _ => {
                    return Err(format!("found '{}', expected: ',', or identifier", token.text));
                }
            }
        }
    }

    fn exact_value(&mut self) -> Result<&'a str, String> {
        if matches!(self.peek_value().kind, Kind::End | Kind::Comma) {
            return Ok("");
        }
        let token = self.take_value();
        match token.kind {
            Kind::Name => Ok(token.text),
            _ => Err(format!("found '{}', expected: identifier", token.text)),
        }
    }
}

fn as_value(token: Token<'_>) -> Token<'_> {
    match token.kind {
        Kind::In | Kind::NotIn => Token { kind: Kind::Name, ..token },
        _ => token,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::LabelSelector;

    #[test]
    fn accepted_and_printed_in_canonical_form() {
        for (text, canonical) in [
            ("", ""),
            ("  ", ""),
            ("x=a,y=b,z=c", "x=a,y=b,z=c"),
            ("z=c,a", "a,z=c"),
            ("x= ,z= ", "x=,z="),
            ("!x", "!x"),
            ("! x ", "!x"),
            ("x>1,z<5", "x>1,z<5"),
            ("x == a", "x==a"),
            ("x!=a", "x!=a"),
            ("x in (b, a,a)", "x in (a,b)"),
            ("x in ()", "x in ()"),
            ("x notin (,)", "x notin ()"),
            ("x in (a,,c)", "x in (,a,c)"),
            ("in in (in,notin)", "in in (in,notin)"),
            ("a in(b),c\tnotin\n(d)", "a in (b),c notin (d)"),
            (
                "tier=a,component in (etcd,kube-apiserver)",
                "component in (etcd,kube-apiserver),tier=a",
            ),
            ("kubernetes.io/cluster-service=true", "kubernetes.io/cluster-service=true"),
        ] {
            let selector = LabelSelector::parse(text).expect(text);
            assert_eq!(selector.to_string(), canonical, "{text:?}");
            assert_eq!(LabelSelector::parse(canonical), Ok(selector), "{text:?}");
        }
    }

    #[test]
    fn refused_with_the_servers_text() {
        for (text, error) in [
            ("x=a||y=b", "unable to parse requirement: values[0][x]: Invalid value: \"a||y\": a v"),
            ("x==a==b", "found '==', expected: ',' or 'end of string'"),
            ("!x=a", "found '=', expected: ',' or 'end of string'"),
            ("x<a", "unable to parse requirement: values[0]: Invalid value: \"a\": for 'Gt', 'Lt'"),
            (
                "x y",
                "unable to parse requirement: found 'y', expected: in, notin, =, ==, !=, gt, lt",
            ),
            ("x in a", "unable to parse requirement: found 'a' expected: '('"),
            ("x in (a", "unable to parse requirement: found '', expected: ',' or ')'"),
            ("x in (a b)", "unable to parse requirement: found 'b', expected: ',' or ')'"),
            ("x in (a,", "unable to parse requirement: found '', expected: ',', or identifier"),
            (
                "x in (=)",
                "unable to parse requirement: found '=', expected: ',', ')' or identifier",
            ),
            ("x,", "found '', expected: identifier after ','"),
            (",x", "found ',', expected: !, identifier, or 'end of string'"),
            ("!", "unable to parse requirement: found '', expected: identifier"),
            ("x=!", "unable to parse requirement: found '!', expected: identifier"),
            ("-x", "unable to parse requirement: <nil>: Invalid value: \"-x\": name part must con"),
            ("a/b/c", "unable to parse requirement: <nil>: Invalid value: \"a/b/c\": a valid labe"),
            ("x=y/z", "unable to parse requirement: values[0][x]: Invalid value: \"y/z\": a valid"),
        ] {
            let refusal = LabelSelector::parse(text).expect_err(text).to_string();
            assert!(refusal.starts_with(error), "{text:?}: {refusal}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused_and_what_is_read_reads_again(
            text in "[a-c/. =!,()<>0-9-]{0,24}|(in|notin|[a-c=!,()<> ]){0,12}"
        ) {
            if let Ok(selector) = LabelSelector::parse(&text) {
                prop_assert_eq!(LabelSelector::parse(&selector.to_string()), Ok(selector));
            }
        }
    }
}
