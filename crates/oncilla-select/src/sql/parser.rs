//! Tokens to a query.

use std::sync::OnceLock;

use oncilla_wire::error::{S3Error, S3ErrorCode};

use super::lexer::{Token, TokenKind, place, tokens};
use super::{
    Aggregate, AggregateKind, Case, Comparison, DataType, DatePart, EXPRESSION_DEPTH_MAX, Expr,
    FromStep, Function, Item, Like, Literal, Name, Operator, Path, PathStep, Query, Selection,
    TrimSide,
};
use crate::error;
use crate::number::Number;
use crate::timestamp::Timestamp;

/// The table that every query is about.
const TABLE: &str = "S3Object";

/// Words of the grammar: a column of such a name is written in double quotes.
const RESERVED: [&str; 27] = [
    "and", "as", "between", "by", "case", "else", "end", "escape", "from", "group", "having", "in",
    "is", "join", "like", "limit", "not", "on", "or", "order", "select", "then", "union", "when",
    "where", "at", "distinct",
];

/// How many of `IS`, `IN`, `BETWEEN` and `LIKE` may follow each other: each of them is about the one
/// before, so that they lie within each other.
const PREDICATES_MAX: usize = 2;

/// The largest index that a path may name; records have fewer elements than bytes.
const INDEX_MAX: usize = crate::RECORD_BYTES_MAX;

/// Reads a query.
///
/// # Errors
/// The codes of S3 that begin with `Lexer` and `Parse`, and those of what S3 has not.
pub fn parse(text: &str) -> Result<Query, S3Error> {
    let mut parser = Parser {
        text,
        tokens: tokens(text)?,
        next: 0,
        depth: 0,
        weight: 0,
        paths: Vec::new(),
        aggregates: Vec::new(),
        aggregates_allowed: false,
        column_outside: None,
    };
    parser.query()
}

struct Parser<'t> {
    text: &'t str,
    tokens: Vec<Token>,
    next: usize,
    depth: usize,
    weight: usize,
    /// As written, with the name of the table still in front.
    paths: Vec<Path>,
    aggregates: Vec<Aggregate>,
    /// Whether an aggregate may stand here: in the SELECT list, and not within another one.
    aggregates_allowed: bool,
    /// Where a column stands outside an aggregate.
    column_outside: Option<usize>,
}

impl Parser<'_> {
    // ---- tokens ----

    fn kind(&self) -> &TokenKind {
        &self.tokens[self.next].kind
    }

    fn at(&self) -> usize {
        self.tokens[self.next].at
    }

    fn advance(&mut self) {
        // The end is never passed.
        if self.next + 1 < self.tokens.len() {
            self.next += 1;
        }
    }

    /// An error about the token that is next.
    fn refuse<T>(&self, code: S3ErrorCode, what: &str) -> Result<T, S3Error> {
        let found = match self.kind() {
            TokenKind::Word(word) => format!("{word:?}"),
            TokenKind::QuotedName(name) => format!("the name {name:?}"),
            TokenKind::Text(text) => format!("the text {text:?}"),
            TokenKind::Ion(_) => "an Ion literal".to_owned(),
            TokenKind::Number(_) => "a number".to_owned(),
            TokenKind::Symbol(symbol) => format!("{symbol:?}"),
            TokenKind::End => "the end of the expression".to_owned(),
        };
        let found: String = found.chars().take(100).collect();
        let place = place(self.text, self.at());
        Err(error(code, format!("{what}, found {found} at {place}.")))
    }

    fn is_word(&self, word: &str) -> bool {
        matches!(self.kind(), TokenKind::Word(found) if found.eq_ignore_ascii_case(word))
    }

    fn is_symbol(&self, symbol: &str) -> bool {
        matches!(self.kind(), TokenKind::Symbol(found) if *found == symbol)
    }

    fn take_word(&mut self, word: &str) -> bool {
        let found = self.is_word(word);
        if found {
            self.advance();
        }
        found
    }

    fn take_symbol(&mut self, symbol: &str) -> bool {
        let found = self.is_symbol(symbol);
        if found {
            self.advance();
        }
        found
    }

    fn expect_word(&mut self, word: &str) -> Result<(), S3Error> {
        if self.take_word(word) {
            return Ok(());
        }
        self.refuse(
            S3ErrorCode::ParseExpectedKeyword,
            &format!("Expected {word}"),
        )
    }

    fn expect_symbol(&mut self, symbol: &str, code: S3ErrorCode) -> Result<(), S3Error> {
        if self.take_symbol(symbol) {
            return Ok(());
        }
        self.refuse(code, &format!("Expected {symbol:?}"))
    }

    /// The end of a list of arguments.
    fn expect_close(&mut self) -> Result<(), S3Error> {
        self.expect_symbol(")", S3ErrorCode::ParseExpectedRightParenBuiltinFunctionCall)
    }

    fn is_reserved(&self) -> bool {
        match self.kind() {
            TokenKind::Word(word) => RESERVED
                .iter()
                .any(|other| other.eq_ignore_ascii_case(word)),
            _ => false,
        }
    }

    /// A name that is no word of the grammar.
    fn name(&mut self, code: S3ErrorCode) -> Result<Name, S3Error> {
        let name = match self.kind() {
            TokenKind::QuotedName(text) => Name::new(text.clone(), true),
            TokenKind::Word(text) if !self.is_reserved() => Name::new(text.clone(), false),
            _ => return self.refuse(code, "Expected a name"),
        };
        self.advance();
        Ok(name)
    }

    // ---- the query ----

    fn query(&mut self) -> Result<Query, S3Error> {
        if matches!(self.kind(), TokenKind::End) {
            return Err(S3ErrorCode::ParseEmptySelect.into());
        }
        if !self.take_word("SELECT") {
            return self.refuse(S3ErrorCode::ParseUnexpectedToken, "Expected SELECT");
        }
        if self.is_word("DISTINCT") {
            return self.refuse(S3ErrorCode::ParseUnsupportedSelect, "Not supported");
        }
        self.aggregates_allowed = true;
        let items = self.select_list()?;
        self.aggregates_allowed = false;
        let outside = self.column_outside;
        let (from, alias) = self.from()?;
        let condition = match self.take_word("WHERE") {
            true => Some(self.expression()?),
            false => None,
        };
        for clause in ["GROUP", "ORDER", "HAVING", "JOIN", "UNION"] {
            if self.is_word(clause) {
                return self.refuse(S3ErrorCode::UnsupportedSqlStructure, "Not supported");
            }
        }
        let limit = match self.take_word("LIMIT") {
            true => Some(self.limit()?),
            false => None,
        };
        self.take_symbol(";");
        if !matches!(self.kind(), TokenKind::End) {
            return self.refuse(S3ErrorCode::ParseUnexpectedToken, "Expected the end");
        }
        if let (Some(at), false) = (outside, self.aggregates.is_empty()) {
            let message = format!(
                "The column at {} stands beside an aggregate, which needs GROUP BY; that is not \
                 supported.",
                place(self.text, at)
            );
            return Err(error(S3ErrorCode::UnsupportedSqlStructure, message));
        }
        let mut paths = std::mem::take(&mut self.paths);
        let select = match items {
            None => Selection::All,
            Some(mut items) => {
                for (number, item) in items.iter_mut().enumerate() {
                    if item.name.is_empty() {
                        item.name = own_name(&item.expr, &paths, number);
                    }
                }
                Selection::Items(items)
            }
        };
        for path in &mut paths {
            remove_table(path, alias.as_ref());
        }
        Ok(Query {
            select,
            from,
            condition,
            limit,
            paths,
            aggregates: std::mem::take(&mut self.aggregates),
            weight: self.weight,
        })
    }

    /// The selected expressions; `None` for `*`. Names that are not given are left empty.
    fn select_list(&mut self) -> Result<Option<Vec<Item>>, S3Error> {
        if self.is_word("FROM") {
            return self.refuse(S3ErrorCode::ParseEmptySelect, "Expected an expression");
        }
        if self.take_symbol("*") {
            if self.is_symbol(",") {
                return Err(S3ErrorCode::ParseAsteriskIsNotAloneInSelectList.into());
            }
            return Ok(None);
        }
        // `s.*` is `*`, because there is one table.
        let star = [self.next + 1, self.next + 2].map(|next| self.tokens.get(next));
        if let [Some(dot), Some(star)] = star
            && dot.kind == TokenKind::Symbol(".")
            && star.kind == TokenKind::Symbol("*")
        {
            self.next += 3;
            return Ok(None);
        }
        let mut items = Vec::new();
        loop {
            if self.is_symbol("*") {
                return Err(S3ErrorCode::ParseAsteriskIsNotAloneInSelectList.into());
            }
            let expr = self.expression()?;
            let is_name = matches!(self.kind(), TokenKind::QuotedName(_) | TokenKind::Word(_));
            let name = if self.take_word("AS") || (is_name && !self.is_reserved()) {
                self.name(S3ErrorCode::ParseExpectedIdentForAlias)?.text
            } else {
                String::new()
            };
            items.push(Item { expr, name });
            if !self.take_symbol(",") {
                return Ok(Some(items));
            }
        }
    }

    /// FROM, and the name that the table is given.
    fn from(&mut self) -> Result<(Vec<FromStep>, Option<Name>), S3Error> {
        if !self.take_word("FROM") {
            let code = match self.kind() {
                TokenKind::End => S3ErrorCode::ParseSelectMissingFrom,
                _ => S3ErrorCode::ParseUnexpectedToken,
            };
            return self.refuse(code, "Expected FROM");
        }
        if self.is_symbol("(") {
            return self.refuse(S3ErrorCode::ParseUnsupportedSelect, "Not supported");
        }
        let table = self.name(S3ErrorCode::ParseExpectedMember)?;
        if !table.text.eq_ignore_ascii_case(TABLE) {
            let message = format!("There is no table {:?}, only {TABLE}.", table.text);
            return Err(error(S3ErrorCode::EvaluatorBindingDoesNotExist, message));
        }
        let mut steps = Vec::new();
        loop {
            if self.take_symbol("[") {
                if self.take_symbol("*") {
                    steps.push(FromStep::Each);
                } else {
                    steps.push(FromStep::Index(self.index()?));
                }
                self.expect_symbol("]", S3ErrorCode::ParseExpectedTokenType)?;
            } else if self.take_symbol(".") {
                steps.push(FromStep::Key(self.name(S3ErrorCode::ParseExpectedMember)?));
            } else {
                break;
            }
            if steps.len() > EXPRESSION_DEPTH_MAX {
                return self.refuse(S3ErrorCode::UnsupportedSyntax, "The path is too long");
            }
        }
        if matches!(steps.first(), Some(FromStep::Each)) {
            steps.remove(0);
        }
        let is_alias = matches!(self.kind(), TokenKind::QuotedName(_) | TokenKind::Word(_));
        let mut alias = if self.take_word("AS") || (is_alias && !self.is_reserved()) {
            Some(self.name(S3ErrorCode::ParseExpectedIdentForAlias)?)
        } else {
            None
        };
        for word in ["AT", "BY"] {
            if self.is_word(word) {
                return self.refuse(S3ErrorCode::ParseUnsupportedSyntax, "Not supported");
            }
        }
        if self.is_symbol(",") {
            return Err(S3ErrorCode::MultipleDataSourcesUnsupported.into());
        }
        // What has no name is called by the last step of its path.
        if alias.is_none()
            && let Some(FromStep::Key(name)) = steps.last()
        {
            alias = Some(name.clone());
        }
        Ok((steps, alias))
    }

    fn limit(&mut self) -> Result<u64, S3Error> {
        if self.is_symbol("-") {
            return Err(S3ErrorCode::EvaluatorNegativeLimit.into());
        }
        let TokenKind::Number(number) = self.kind() else {
            return self.refuse(S3ErrorCode::ParseExpectedNumber, "Expected a number");
        };
        let Some(limit) = number
            .to_integer()
            .and_then(|limit| u64::try_from(limit).ok())
        else {
            return self.refuse(S3ErrorCode::ParseExpectedNumber, "Expected a whole number");
        };
        self.advance();
        Ok(limit)
    }

    fn index(&mut self) -> Result<usize, S3Error> {
        let index = match self.kind() {
            TokenKind::Number(Number::Integer(index)) => usize::try_from(*index).ok(),
            _ => None,
        };
        let Some(index) = index.filter(|index| *index <= INDEX_MAX) else {
            return self.refuse(S3ErrorCode::ParseExpectedNumber, "Expected an index");
        };
        self.advance();
        Ok(index)
    }

    // ---- expressions, from the weakest operator to the strongest ----

    fn expression(&mut self) -> Result<Expr, S3Error> {
        self.deeper(Self::alternatives)
    }

    fn deeper<T>(
        &mut self,
        inner: impl FnOnce(&mut Self) -> Result<T, S3Error>,
    ) -> Result<T, S3Error> {
        self.depth += 1;
        if self.depth > EXPRESSION_DEPTH_MAX {
            let what = format!("Expressions lie more than {EXPRESSION_DEPTH_MAX} deep");
            return self.refuse(S3ErrorCode::UnsupportedSyntax, &what);
        }
        self.weight += 1;
        let result = inner(self);
        self.depth -= 1;
        result
    }

    fn alternatives(&mut self) -> Result<Expr, S3Error> {
        let first = self.conjunction()?;
        if !self.is_word("OR") {
            return Ok(first);
        }
        let mut all = vec![first];
        while self.take_word("OR") {
            all.push(self.conjunction()?);
        }
        Ok(Expr::Or(all))
    }

    fn conjunction(&mut self) -> Result<Expr, S3Error> {
        let first = self.negation()?;
        if !self.is_word("AND") {
            return Ok(first);
        }
        let mut all = vec![first];
        while self.take_word("AND") {
            all.push(self.negation()?);
        }
        Ok(Expr::And(all))
    }

    fn negation(&mut self) -> Result<Expr, S3Error> {
        if self.take_word("NOT") {
            let inner = self.deeper(Self::negation)?;
            return Ok(Expr::Not(Box::new(inner)));
        }
        self.comparison()
    }

    fn comparison(&mut self) -> Result<Expr, S3Error> {
        let mut left = self.predicate()?;
        let mut chain = Vec::new();
        while let Some(comparison) = self.comparison_operator() {
            self.advance();
            chain.push((comparison, self.predicate()?));
        }
        if !chain.is_empty() {
            left = Expr::Compare(Box::new(left), chain);
        }
        Ok(left)
    }

    fn comparison_operator(&self) -> Option<Comparison> {
        match self.kind() {
            TokenKind::Symbol("=") => Some(Comparison::Equal),
            TokenKind::Symbol("<>" | "!=") => Some(Comparison::NotEqual),
            TokenKind::Symbol("<") => Some(Comparison::Less),
            TokenKind::Symbol("<=") => Some(Comparison::LessOrEqual),
            TokenKind::Symbol(">") => Some(Comparison::Greater),
            TokenKind::Symbol(">=") => Some(Comparison::GreaterOrEqual),
            _ => None,
        }
    }

    /// `IS`, `IN`, `BETWEEN` and `LIKE`.
    fn predicate(&mut self) -> Result<Expr, S3Error> {
        let mut left = self.sum()?;
        let mut levels = 0;
        loop {
            let begin = self.next;
            let (inner, negated) = if self.take_word("IS") {
                let negated = self.take_word("NOT");
                let value = Box::new(left);
                let inner = if self.take_word("NULL") {
                    Expr::IsNull(value)
                } else if self.take_word("MISSING") {
                    Expr::IsMissing(value)
                } else {
                    return self.refuse(
                        S3ErrorCode::ParseExpectedKeyword,
                        "Expected NULL or MISSING",
                    );
                };
                (inner, negated)
            } else {
                let negated = self.take_word("NOT");
                let inner = if self.take_word("IN") {
                    Expr::In(Box::new(left), self.list()?)
                } else if self.take_word("BETWEEN") {
                    let low = self.sum()?;
                    self.expect_word("AND")?;
                    Expr::Between(Box::new(left), Box::new((low, self.sum()?)))
                } else if self.take_word("LIKE") {
                    let pattern = self.sum()?;
                    let escape = match self.take_word("ESCAPE") {
                        true => Some(self.sum()?),
                        false => None,
                    };
                    Expr::Like(Box::new(Like {
                        value: left,
                        pattern,
                        escape,
                        compiled: OnceLock::new(),
                    }))
                } else {
                    self.next = begin;
                    return Ok(left);
                };
                (inner, negated)
            };
            levels += 1;
            if levels > PREDICATES_MAX {
                return self.refuse(S3ErrorCode::UnsupportedSyntax, "Too many conditions");
            }
            self.weight += 1;
            left = match negated {
                true => Expr::Not(Box::new(inner)),
                false => inner,
            };
        }
    }

    /// The list of IN.
    fn list(&mut self) -> Result<Vec<Expr>, S3Error> {
        let close = if self.take_symbol("(") {
            ")"
        } else {
            self.expect_symbol("[", S3ErrorCode::ParseExpectedTokenType)?;
            "]"
        };
        let mut list = vec![self.expression()?];
        while self.take_symbol(",") {
            list.push(self.expression()?);
        }
        self.expect_symbol(close, S3ErrorCode::ParseExpectedTokenType)?;
        Ok(list)
    }

    fn sum(&mut self) -> Result<Expr, S3Error> {
        let operator = |kind: &TokenKind| match kind {
            TokenKind::Symbol("+") => Some(Operator::Add),
            TokenKind::Symbol("-") => Some(Operator::Subtract),
            TokenKind::Symbol("||") => Some(Operator::Concatenate),
            _ => None,
        };
        self.arithmetic(operator, Self::product)
    }

    fn product(&mut self) -> Result<Expr, S3Error> {
        let operator = |kind: &TokenKind| match kind {
            TokenKind::Symbol("*") => Some(Operator::Multiply),
            TokenKind::Symbol("/") => Some(Operator::Divide),
            TokenKind::Symbol("%") => Some(Operator::Remainder),
            _ => None,
        };
        self.arithmetic(operator, Self::signed)
    }

    fn arithmetic(
        &mut self,
        operator: impl Fn(&TokenKind) -> Option<Operator>,
        operand: impl Fn(&mut Self) -> Result<Expr, S3Error>,
    ) -> Result<Expr, S3Error> {
        let first = operand(self)?;
        let mut chain = Vec::new();
        while let Some(operator) = operator(self.kind()) {
            self.advance();
            self.weight += 1;
            chain.push((operator, operand(self)?));
        }
        if chain.is_empty() {
            return Ok(first);
        }
        Ok(Expr::Arithmetic(Box::new(first), chain))
    }

    fn signed(&mut self) -> Result<Expr, S3Error> {
        if self.take_symbol("-") {
            let inner = self.deeper(Self::signed)?;
            return Ok(match inner {
                Expr::Literal(Literal::Number(number)) => {
                    Expr::Literal(Literal::Number(number.negated()?))
                }
                inner => Expr::Negate(Box::new(inner)),
            });
        }
        if self.take_symbol("+") {
            return self.deeper(Self::signed);
        }
        self.primary()
    }

    fn primary(&mut self) -> Result<Expr, S3Error> {
        self.weight += 1;
        let literal = match self.kind() {
            TokenKind::Number(number) => Literal::Number(number.clone()),
            TokenKind::Text(text) => Literal::Text(text.clone()),
            TokenKind::Ion(text) => match Timestamp::parse(text) {
                Some(timestamp) => Literal::Timestamp(timestamp),
                None => {
                    let what = "Of Ion literals, only timestamps are supported";
                    return self.refuse(S3ErrorCode::LexerInvalidIONLiteral, what);
                }
            },
            TokenKind::Symbol("(") => {
                self.advance();
                let inner = self.expression()?;
                self.expect_symbol(")", S3ErrorCode::ParseExpectedTokenType)?;
                return Ok(inner);
            }
            TokenKind::QuotedName(_) => return self.path(),
            TokenKind::Word(_) => return self.word(),
            TokenKind::Symbol("*") => {
                return self.refuse(S3ErrorCode::ParseUnexpectedTerm, "Expected an expression");
            }
            TokenKind::Symbol(_) | TokenKind::End => {
                let code = S3ErrorCode::ParseExpectedExpression;
                return self.refuse(code, "Expected an expression");
            }
        };
        self.advance();
        Ok(Expr::Literal(literal))
    }

    /// A keyword, a call, or a column.
    fn word(&mut self) -> Result<Expr, S3Error> {
        let TokenKind::Word(word) = self.kind() else {
            return self.refuse(S3ErrorCode::ParseExpectedExpression, "Expected a word");
        };
        let word = word.to_ascii_uppercase();
        let is_call = matches!(
            self.tokens.get(self.next + 1).map(|token| &token.kind),
            Some(TokenKind::Symbol("("))
        );
        let literal = match word.as_str() {
            "NULL" => Literal::Null,
            "MISSING" => Literal::Missing,
            "TRUE" => Literal::Bool(true),
            "FALSE" => Literal::Bool(false),
            "CASE" => {
                self.advance();
                return self.case();
            }
            "CAST" if !is_call => {
                self.advance();
                let code = S3ErrorCode::ParseExpectedLeftParenAfterCast;
                return self.refuse(code, "Expected \"(\"");
            }
            _ if is_call => {
                self.advance();
                self.advance();
                return self.call(&word);
            }
            "SELECT" => {
                return self.refuse(S3ErrorCode::ParseUnsupportedSelect, "Not supported");
            }
            _ if self.is_reserved() => {
                return self.refuse(
                    S3ErrorCode::ParseUnexpectedKeyword,
                    "Expected an expression",
                );
            }
            _ => return self.path(),
        };
        self.advance();
        Ok(Expr::Literal(literal))
    }

    fn path(&mut self) -> Result<Expr, S3Error> {
        if self.column_outside.is_none() && self.aggregates_allowed {
            self.column_outside = Some(self.at());
        }
        let mut steps = vec![PathStep::Key(
            self.name(S3ErrorCode::ParseExpectedExpression)?,
        )];
        loop {
            if self.take_symbol(".") {
                let code = S3ErrorCode::ParseExpectedMember;
                steps.push(PathStep::Key(self.name(code)?));
            } else if self.take_symbol("[") {
                match self.kind() {
                    TokenKind::Text(text) => {
                        let name = Name::new(text.clone(), true);
                        self.advance();
                        steps.push(PathStep::Key(name));
                    }
                    TokenKind::Symbol("*") => {
                        let code = S3ErrorCode::ParseUnsupportedSyntax;
                        return self.refuse(code, "[*] is supported after FROM only");
                    }
                    _ => steps.push(PathStep::Index(self.index()?)),
                }
                self.expect_symbol("]", S3ErrorCode::ParseExpectedTokenType)?;
            } else {
                break;
            }
        }
        self.weight += steps.len();
        self.paths.push(Path { steps });
        Ok(Expr::Path(self.paths.len() - 1))
    }

    fn case(&mut self) -> Result<Expr, S3Error> {
        let operand = match self.is_word("WHEN") {
            true => None,
            false => Some(self.expression()?),
        };
        let mut branches = Vec::new();
        while self.take_word("WHEN") {
            let when = self.expression()?;
            self.expect_word("THEN")?;
            branches.push((when, self.expression()?));
        }
        if branches.is_empty() {
            return self.refuse(S3ErrorCode::ParseExpectedWhenClause, "Expected WHEN");
        }
        let otherwise = match self.take_word("ELSE") {
            true => Some(self.expression()?),
            false => None,
        };
        self.expect_word("END")?;
        Ok(Expr::Case(Box::new(Case {
            operand,
            branches,
            otherwise,
        })))
    }

    // ---- calls, after the opening parenthesis ----

    fn call(&mut self, name: &str) -> Result<Expr, S3Error> {
        let aggregate = match name {
            "COUNT" => Some(AggregateKind::Count),
            "SUM" => Some(AggregateKind::Sum),
            "AVG" => Some(AggregateKind::Avg),
            "MIN" => Some(AggregateKind::Min),
            "MAX" => Some(AggregateKind::Max),
            _ => None,
        };
        if let Some(kind) = aggregate {
            return self.aggregate(kind);
        }
        match name {
            "CAST" => return self.cast(),
            "SUBSTRING" => return self.substring(),
            "TRIM" => return self.trim(),
            "EXTRACT" => {
                let part = self.date_part(true)?;
                self.expect_word("FROM")?;
                let time = self.expression()?;
                self.expect_close()?;
                return Ok(Expr::Call(Function::Extract(part), vec![time]));
            }
            "DATE_ADD" | "DATE_DIFF" => {
                let part = self.date_part(false)?;
                let code = S3ErrorCode::ParseExpectedArgumentDelimiter;
                self.expect_symbol(",", code)?;
                let function = match name {
                    "DATE_ADD" => Function::DateAdd(part),
                    _ => Function::DateDiff(part),
                };
                return self.arguments(function, 2..=2);
            }
            _ => {}
        }
        let (function, count) = match name {
            "CHAR_LENGTH" | "CHARACTER_LENGTH" => (Function::CharLength, 1..=1),
            "LOWER" => (Function::Lower, 1..=1),
            "UPPER" => (Function::Upper, 1..=1),
            "COALESCE" => (Function::Coalesce, 1..=usize::MAX),
            "NULLIF" => (Function::NullIf, 2..=2),
            "TO_STRING" => (Function::ToString, 2..=2),
            "TO_TIMESTAMP" => (Function::ToTimestamp, 1..=1),
            "UTCNOW" => (Function::UtcNow, 0..=0),
            _ => {
                let shown: String = name.chars().take(100).collect();
                let message = format!("There is no function {shown}.");
                return Err(error(S3ErrorCode::UnsupportedFunction, message));
            }
        };
        self.arguments(function, count)
    }

    fn arguments(
        &mut self,
        function: Function,
        count: std::ops::RangeInclusive<usize>,
    ) -> Result<Expr, S3Error> {
        let mut arguments = Vec::new();
        if self.is_symbol("*") {
            return Err(S3ErrorCode::ParseUnsupportedCallWithStar.into());
        }
        if !self.is_symbol(")") {
            arguments.push(self.expression()?);
            while self.take_symbol(",") {
                arguments.push(self.expression()?);
            }
        }
        if !self.is_symbol(")") {
            let code = S3ErrorCode::ParseExpectedArgumentDelimiter;
            return self.refuse(code, "Expected \",\" or \")\"");
        }
        self.advance();
        if !count.contains(&arguments.len()) {
            return Err(S3ErrorCode::EvaluatorInvalidArguments.into());
        }
        Ok(Expr::Call(function, arguments))
    }

    fn aggregate(&mut self, kind: AggregateKind) -> Result<Expr, S3Error> {
        if !self.aggregates_allowed {
            let what = "An aggregate can only stand in the SELECT list, and not within another";
            return self.refuse(S3ErrorCode::UnsupportedSqlOperation, what);
        }
        if self.is_word("DISTINCT") {
            return self.refuse(S3ErrorCode::ParseUnsupportedSyntax, "Not supported");
        }
        let argument = if self.is_symbol("*") {
            if kind != AggregateKind::Count {
                return Err(S3ErrorCode::ParseUnsupportedCallWithStar.into());
            }
            self.advance();
            None
        } else {
            self.aggregates_allowed = false;
            let argument = self.expression()?;
            self.aggregates_allowed = true;
            Some(argument)
        };
        if self.is_symbol(",") {
            return Err(S3ErrorCode::ParseNonUnaryAgregateFunctionCall.into());
        }
        self.expect_close()?;
        self.aggregates.push(Aggregate { kind, argument });
        Ok(Expr::Aggregate(self.aggregates.len() - 1))
    }

    fn cast(&mut self) -> Result<Expr, S3Error> {
        let value = self.expression()?;
        if self.is_symbol(",") || self.is_symbol(")") {
            return Err(S3ErrorCode::ParseCastArity.into());
        }
        self.expect_word("AS")?;
        let TokenKind::Word(name) = self.kind() else {
            return self.refuse(S3ErrorCode::ParseExpectedTypeName, "Expected a type");
        };
        let data_type = match name.to_ascii_uppercase().as_str() {
            "BOOL" | "BOOLEAN" => DataType::Bool,
            "INT" | "INTEGER" => DataType::Int,
            "STRING" | "VARCHAR" | "CHAR" => DataType::Text,
            "FLOAT" => DataType::Float,
            "DECIMAL" | "NUMERIC" => DataType::Decimal(None),
            "TIMESTAMP" => DataType::Timestamp,
            _ => return self.refuse(S3ErrorCode::ParseExpectedTypeName, "Expected a type"),
        };
        self.advance();
        let data_type = match data_type {
            DataType::Decimal(_) if self.take_symbol("(") => {
                let precision = self.small_number()?;
                let scale = match self.take_symbol(",") {
                    true => self.small_number()?,
                    false => 0,
                };
                self.expect_symbol(")", S3ErrorCode::ParseExpectedTokenType)?;
                if precision == 0 || precision > crate::number::DIGITS_MAX || scale > precision {
                    return Err(S3ErrorCode::ParseInvalidTypeParam.into());
                }
                DataType::Decimal(Some((precision, scale)))
            }
            other => other,
        };
        self.expect_close()?;
        Ok(Expr::Cast(Box::new(value), data_type))
    }

    fn small_number(&mut self) -> Result<u32, S3Error> {
        let number = match self.kind() {
            TokenKind::Number(Number::Integer(number)) => u32::try_from(*number).ok(),
            _ => None,
        };
        let Some(number) = number else {
            return self.refuse(S3ErrorCode::ParseExpectedNumber, "Expected a number");
        };
        self.advance();
        Ok(number)
    }

    /// `SUBSTRING(text FROM 2 FOR 3)`, also with commas.
    fn substring(&mut self) -> Result<Expr, S3Error> {
        let mut arguments = vec![self.expression()?];
        for word in ["FROM", "FOR"] {
            if self.take_word(word) || self.take_symbol(",") {
                arguments.push(self.expression()?);
            } else if word == "FROM" {
                let code = S3ErrorCode::ParseExpectedArgumentDelimiter;
                return self.refuse(code, "Expected FROM or \",\"");
            }
        }
        self.expect_close()?;
        Ok(Expr::Call(Function::Substring, arguments))
    }

    /// `TRIM(BOTH 'x' FROM text)`: the side and the characters may be left out.
    fn trim(&mut self) -> Result<Expr, S3Error> {
        let side = if self.take_word("LEADING") {
            Some(TrimSide::Leading)
        } else if self.take_word("TRAILING") {
            Some(TrimSide::Trailing)
        } else if self.take_word("BOTH") {
            Some(TrimSide::Both)
        } else {
            None
        };
        let mut arguments = Vec::new();
        if side.is_none() || !self.is_word("FROM") {
            arguments.push(self.expression()?);
        }
        if self.take_word("FROM") {
            // The text goes first, the characters to be trimmed after it.
            arguments.insert(0, self.expression()?);
        } else if side.is_some() && arguments.len() == 1 && !self.is_symbol(")") {
            return self.refuse(S3ErrorCode::ParseExpectedKeyword, "Expected FROM");
        }
        self.expect_close()?;
        Ok(Expr::Call(
            Function::Trim(side.unwrap_or(TrimSide::Both)),
            arguments,
        ))
    }

    fn date_part(&mut self, with_timezone: bool) -> Result<DatePart, S3Error> {
        let TokenKind::Word(word) = self.kind() else {
            return self.refuse(S3ErrorCode::ParseExpectedDatePart, "Expected a date part");
        };
        let part = match word.to_ascii_uppercase().as_str() {
            "YEAR" => DatePart::Year,
            "MONTH" => DatePart::Month,
            "DAY" => DatePart::Day,
            "HOUR" => DatePart::Hour,
            "MINUTE" => DatePart::Minute,
            "SECOND" => DatePart::Second,
            "TIMEZONE_HOUR" if with_timezone => DatePart::TimezoneHour,
            "TIMEZONE_MINUTE" if with_timezone => DatePart::TimezoneMinute,
            _ => return self.refuse(S3ErrorCode::ParseExpectedDatePart, "Expected a date part"),
        };
        self.advance();
        Ok(part)
    }
}

/// Takes the table's name off a path: what is left begins at the record.
fn remove_table(path: &mut Path, alias: Option<&Name>) {
    let Some(PathStep::Key(first)) = path.steps.first() else {
        return;
    };
    let is_table = match alias {
        Some(alias) if alias.quoted || first.quoted => first.text == alias.text,
        Some(alias) => first.is(&alias.text),
        None => !first.quoted && first.is(TABLE),
    };
    if is_table {
        path.steps.remove(0);
    }
}

/// The name of an expression that was given none: that of the column, or `_1`, `_2`, ….
fn own_name(expr: &Expr, paths: &[Path], number: usize) -> String {
    if let Expr::Path(path) = expr
        && let Some(PathStep::Key(name)) = paths[*path].steps.last()
    {
        return name.text.clone();
    }
    format!("_{}", number + 1)
}
