//! Queries over whole objects, in pieces of any size. The cases are those of the S3 User Guide, "SQL
//! reference for Amazon S3 Select", where no other source is named.

#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot go on should fail there"
)]

use bytes::Bytes;
use oncilla_select::{Select, Step};
use oncilla_wire::error::S3ErrorCode;
use oncilla_wire::xml::select::{
    Compression, CsvInput, CsvOutput, FileHeaderInfo, InputFormat, JsonType, OutputFormat,
    Progress, ScanRange, SelectRequest,
};
use proptest::prelude::*;

/// 2020-01-02T03:04:05.006Z
const NOW_MS: i64 = 1_577_934_245_006;

fn csv(header: FileHeaderInfo) -> InputFormat {
    InputFormat::Csv(CsvInput {
        header,
        ..CsvInput::default()
    })
}

fn json_output() -> OutputFormat {
    OutputFormat::Json {
        record_delimiter: "\n".to_owned(),
    }
}

fn request(expression: &str, input: InputFormat, output: OutputFormat) -> SelectRequest {
    SelectRequest {
        expression: expression.to_owned(),
        input,
        compression: Compression::None,
        output,
        progress: false,
        scan_range: None,
    }
}

fn run(
    request: &SelectRequest,
    object: &[u8],
    step: usize,
) -> Result<(String, Progress), S3ErrorCode> {
    let select = Select::new(request.clone(), object.len() as u64, NOW_MS);
    let mut select = select.map_err(|error| error.code)?;
    let mut at = select.begin() as usize;
    let mut out = Vec::new();
    loop {
        match select.step(&mut out).map_err(|error| error.code)? {
            Step::NeedsInput => {
                let end = at.saturating_add(step).min(object.len());
                let piece = Bytes::copy_from_slice(&object[at..end]);
                select.feed(Some(piece).filter(|piece| !piece.is_empty()));
                at = end;
            }
            Step::Seek(position) => at = position as usize,
            Step::Again => {}
            Step::Done => break,
        }
    }
    let stats = select.stats();
    assert_eq!(stats.returned, out.len() as u64);
    Ok((String::from_utf8(out).unwrap(), stats))
}

/// The records, whatever pieces the object comes in.
fn records(request: &SelectRequest, object: &str) -> Result<String, S3ErrorCode> {
    let whole = run(request, object.as_bytes(), usize::MAX).map(|(records, _)| records);
    for step in [1, 5, 64] {
        let pieces = run(request, object.as_bytes(), step).map(|(records, _)| records);
        assert_eq!(pieces, whole, "{} in pieces of {step}", request.expression);
    }
    whole
}

/// What an expression comes to, as a field of CSV.
fn value(expression: &str) -> Result<String, S3ErrorCode> {
    let expression = format!("SELECT {expression} FROM S3Object");
    let request = request(
        &expression,
        csv(FileHeaderInfo::None),
        OutputFormat::Csv(CsvOutput::default()),
    );
    records(&request, "12,abc,,true,1.5,2020-02-03T04:05Z\n").map(|line| line.trim_end().to_owned())
}

fn over_csv(expression: &str, header: FileHeaderInfo, object: &str) -> Result<String, S3ErrorCode> {
    let output = OutputFormat::Csv(CsvOutput::default());
    records(&request(expression, csv(header), output), object)
}

fn over_json(expression: &str, object: &str) -> Result<String, S3ErrorCode> {
    let input = InputFormat::Json(JsonType::Document);
    let as_document = records(&request(expression, input, json_output()), object);
    let input = InputFormat::Json(JsonType::Lines);
    let as_lines = records(&request(expression, input, json_output()), object);
    assert_eq!(as_document, as_lines);
    as_document
}

#[test]
fn expressions() {
    for (expression, expected) in [
        // Literals and operators.
        ("1 + 2 * 3", "7"),
        ("(1 + 2) * 3", "9"),
        ("10 - 3 - 2", "5"),
        ("7 / 2", "3"),
        ("7.0 / 2", "3.5"),
        ("7 % 4", "3"),
        ("- -1", "1"),
        ("-_1", "-12"),
        ("0.1 + 0.2", "0.3"),
        ("'it''s'", "it's"),
        ("'a' || 'b' || _2", "ababc"),
        ("_1 + 1", "13"),
        ("_5 * 2", "3.0"),
        ("NULL + 1", ""),
        ("NULL", ""),
        ("_99", ""),
        // Conditions, of which the unknown ones are empty.
        ("1 = 1.0", "true"),
        ("1 <> 1", "false"),
        ("'a' < 'b'", "true"),
        ("_1 > 9", "true"),
        ("_1 = '12'", "true"),
        ("_2 = 12", "false"),
        ("_4 = true", "true"),
        ("_4 AND 1 = 1", "true"),
        ("_6 > `2020-01-01`", "true"),
        ("NULL = NULL", ""),
        ("NULL AND 1 = 2", "false"),
        ("NULL OR 1 = 1", "true"),
        ("NOT 1 = 2", "true"),
        ("1 = 1 = true", "true"),
        ("_99 IS MISSING", "true"),
        ("_99 IS NULL", "true"),
        ("NULL IS MISSING", "false"),
        ("NULL IS NOT NULL", "false"),
        ("_3 IS NULL", "false"),
        ("_1 IN (1, 12)", "true"),
        ("_1 IN (1, NULL)", ""),
        ("_1 NOT IN [1, 2]", "true"),
        ("_1 BETWEEN 10 AND 12", "true"),
        ("_1 NOT BETWEEN 10 AND 12", "false"),
        ("1 = 1 AND 2 BETWEEN 1 AND 3 AND true", "true"),
        ("_2 LIKE 'a%'", "true"),
        ("_2 LIKE '_b_'", "true"),
        ("_2 NOT LIKE '%d%'", "true"),
        ("'5%' LIKE '5!%' ESCAPE '!'", "true"),
        (
            "CASE _1 WHEN 1 THEN 'one' WHEN 12 THEN 'twelve' ELSE 'other' END",
            "twelve",
        ),
        ("CASE WHEN _1 < 5 THEN 'few' END", ""),
        ("CASE WHEN _1 > 5 THEN 'many' ELSE 'few' END", "many"),
        // Conditional functions.
        ("COALESCE(1)", "1"),
        ("COALESCE(null, null, 1, null)", "1"),
        ("COALESCE(missing, null, 'string')", "string"),
        ("COALESCE(NULL)", ""),
        ("NULLIF(1, 2)", "1"),
        ("NULLIF(1, 1)", ""),
        ("NULLIF(1, null)", "1"),
        // CAST.
        (
            "CAST('2007-04-05T14:30Z' AS TIMESTAMP)",
            "2007-04-05T14:30Z",
        ),
        ("CAST(0.456 AS FLOAT)", "0.456"),
        ("CAST(12.9 AS INT)", "12"),
        ("CAST('12' AS INTEGER) + 1", "13"),
        ("CAST('1.234' AS DECIMAL(3,2))", "1.23"),
        ("CAST(1 AS BOOL)", "true"),
        ("CAST('FALSE' AS BOOL)", "false"),
        ("CAST(5 AS STRING) || 'x'", "5x"),
        ("CAST(NULL AS INT)", ""),
        // String functions.
        ("CHAR_LENGTH('')", "0"),
        ("CHARACTER_LENGTH('äbc')", "3"),
        ("LOWER('AbCdEfG!@#$')", "abcdefg!@#$"),
        ("UPPER('AbCdEfG!@#$')", "ABCDEFG!@#$"),
        ("SUBSTRING('123456789', 0)", "123456789"),
        ("SUBSTRING('123456789', 1)", "123456789"),
        ("SUBSTRING('123456789', 2)", "23456789"),
        ("SUBSTRING('123456789', -4)", "123456789"),
        ("SUBSTRING('123456789', 0, 999)", "123456789"),
        ("SUBSTRING('123456789', 1, 5)", "12345"),
        ("SUBSTRING('123456789' FROM 2 FOR 3)", "234"),
        ("SUBSTRING('12345', 0, 2)", "1"),
        ("SUBSTRING('12345', 9)", ""),
        ("'<' || TRIM('       foobar         ') || '>'", "<foobar>"),
        ("'<' || TRIM(LEADING FROM '  foobar ') || '>'", "<foobar >"),
        ("'<' || TRIM(TRAILING FROM ' foobar  ') || '>'", "< foobar>"),
        ("TRIM(BOTH '12' FROM '1112211foobar22211122')", "foobar"),
        // Date functions.
        ("DATE_ADD(year, 5, `2010-01-01T`)", "2015-01-01"),
        ("DATE_ADD(month, 1, `2010T`)", "2010-02T"),
        ("DATE_DIFF(year, `2010-01-01T`, `2011-01-01T`)", "1"),
        (
            "DATE_DIFF(day, `2010-01-01T23:00Z`, `2010-01-02T01:00Z`)",
            "0",
        ),
        ("EXTRACT(YEAR FROM `2010-01-01T`)", "2010"),
        (
            "EXTRACT(TIMEZONE_HOUR FROM `2017-01-02T03:04:05+07:08`)",
            "7",
        ),
        ("EXTRACT(MONTH FROM TO_TIMESTAMP(_6))", "2"),
        (
            "TO_STRING(`1969-07-20T20:18Z`, 'MMMM d, y')",
            "\"July 20, 1969\"",
        ),
        (
            "TO_STRING(`1969-07-20T20:18Z`, 'y-MM-dd''T''H:m:ssX')",
            "1969-07-20T20:18:00Z",
        ),
        (
            "TO_STRING(`1969-07-20T20:18+08:00`, 'y-MM-dd''T''H:m:ssXXXX')",
            "1969-07-20T20:18:00+0800",
        ),
        ("TO_TIMESTAMP('2007T')", "2007T"),
        ("UTCNOW()", "2020-01-02T03:04:05.006Z"),
        ("LOWER(NULL)", ""),
    ] {
        assert_eq!(value(expression).as_deref(), Ok(expected), "{expression}");
    }
}

#[test]
fn what_is_refused() {
    use S3ErrorCode::*;
    let deep = format!("{}1{}", "(".repeat(100), ")".repeat(100));
    let not = format!("{} true", "NOT ".repeat(100));
    let minus = format!("{}1", "- ".repeat(100));
    for (expression, code) in [
        ("1 / 0", ExternalEvalException),
        ("9223372036854775807 + 1", IntegerOverflow),
        ("'a' + 1", InvalidDataType),
        ("1 || 2", InvalidDataType),
        ("NOT 5", InvalidDataType),
        ("CAST('x' AS INT)", CastFailed),
        ("CAST('1.5' AS INT)", CastFailed),
        ("CAST('' AS FLOAT)", CastFailed),
        ("CAST(1 AS TIMESTAMP)", CastFailed),
        ("CAST(100 AS DECIMAL(2,0))", CastFailed),
        ("TO_TIMESTAMP('yesterday')", ValueParseFailure),
        (
            "TO_STRING(UTCNOW(), 'QQ')",
            EvaluatorInvalidTimestampFormatPatternSymbol,
        ),
        ("SUBSTRING('a', 1, -1)", EvaluatorInvalidArguments),
        ("LOWER(5)", IncorrectSqlFunctionArgumentType),
        ("SUM(_2)", IncorrectSqlFunctionArgumentType),
        ("5 LIKE '5'", LikeInvalidInputs),
        (
            "'a' LIKE 'a!' ESCAPE '!'",
            EvaluatorLikePatternInvalidEscapeSequence,
        ),
        ("int(_1)", UnsupportedFunction),
        ("LOWER()", EvaluatorInvalidArguments),
        ("LOWER('a' 'b')", ParseExpectedArgumentDelimiter),
        ("CAST(1, INT)", ParseCastArity),
        ("CAST(1 AS BLOB)", ParseExpectedTypeName),
        ("CAST 1", ParseExpectedLeftParenAfterCast),
        ("EXTRACT(WEEK FROM UTCNOW())", ParseExpectedDatePart),
        ("COUNT(*) + _1", UnsupportedSqlStructure),
        ("SUM(COUNT(*))", UnsupportedSqlOperation),
        ("SUM(*)", ParseUnsupportedCallWithStar),
        ("SUM(1, 2)", ParseNonUnaryAgregateFunctionCall),
        ("*, _1", ParseAsteriskIsNotAloneInSelectList),
        ("_1, *", ParseAsteriskIsNotAloneInSelectList),
        ("", ParseEmptySelect),
        ("1 +", ParseUnexpectedKeyword),
        ("(1", ParseExpectedTokenType),
        ("CASE 1 END", ParseExpectedWhenClause),
        ("'open", LexerInvalidLiteral),
        ("1x", LexerInvalidLiteral),
        ("1 ? 2", LexerInvalidChar),
        ("`not a time`", LexerInvalidIONLiteral),
        ("1 IS 2", ParseExpectedKeyword),
        ("name", InvalidColumnIndex),
        ("_0", InvalidColumnIndex),
        ("_1.a", EvaluatorBindingDoesNotExist),
        (&deep, UnsupportedSyntax),
        (&not, UnsupportedSyntax),
        (&minus, UnsupportedSyntax),
    ] {
        assert_eq!(value(expression), Err(code), "{expression}");
    }
    for (query, code) in [
        ("", ParseEmptySelect),
        ("UPDATE S3Object", ParseUnexpectedToken),
        ("SELECT 1", ParseSelectMissingFrom),
        ("SELECT * FROM stdin", EvaluatorBindingDoesNotExist),
        (
            "SELECT * FROM S3Object, S3Object",
            MultipleDataSourcesUnsupported,
        ),
        (
            "SELECT * FROM S3Object s JOIN S3Object t",
            UnsupportedSqlStructure,
        ),
        (
            "SELECT _1 FROM S3Object GROUP BY _1",
            UnsupportedSqlStructure,
        ),
        ("SELECT * FROM S3Object LIMIT -1", EvaluatorNegativeLimit),
        ("SELECT * FROM S3Object LIMIT x", ParseExpectedNumber),
        (
            "SELECT * FROM S3Object WHERE COUNT(*) > 1",
            UnsupportedSqlOperation,
        ),
        ("SELECT * FROM S3Object.a", DataSourcePathUnsupported),
        (
            "SELECT * FROM (SELECT 1 FROM S3Object)",
            ParseUnsupportedSelect,
        ),
        ("SELECT DISTINCT _1 FROM S3Object", ParseUnsupportedSelect),
        ("SELECT * FROM S3Object extra words", ParseUnexpectedToken),
    ] {
        let refused = over_csv(query, FileHeaderInfo::None, "1\n");
        assert_eq!(refused, Err(code), "{query}");
    }
}

#[test]
fn hostile_expressions_end() {
    // Long chains are no deep ones.
    for (operator, expected) in [(" + ", "40000"), (" * ", "1")] {
        let chain = vec!["1"; 40_000].join(operator);
        assert_eq!(value(&chain).unwrap(), expected);
    }
    for operator in [" AND ", " OR "] {
        let chain = vec!["1=1"; 20_000].join(operator);
        assert_eq!(value(&chain).unwrap(), "true");
    }
    let levels = format!("{}_1{}", "((1+".repeat(30), "))".repeat(30));
    assert_eq!(value(&levels).unwrap(), "42");
    let long = "_2||".repeat(1000) + "_2";
    assert_eq!(value(&long).unwrap().len(), 3003);
    let object = format!("{}\n", "x".repeat(1 << 20));
    for expression in [
        "SELECT _1 || _1 FROM S3Object",
        "SELECT _1, _1 FROM S3Object",
    ] {
        let twice = request(expression, csv(FileHeaderInfo::None), json_output());
        let refused = run(&twice, object.as_bytes(), 256 << 10);
        assert_eq!(refused.err(), Some(S3ErrorCode::OverMaxRecordSize));
    }
}

/// A condition of so many alternatives, none of which holds, over one record.
fn alternatives(
    alternative: &str,
    count: usize,
    input: InputFormat,
    object: &str,
) -> Result<String, S3ErrorCode> {
    let condition = vec![alternative; count].join(" OR ");
    let expression = format!("SELECT 1 FROM S3Object s WHERE {condition}");
    let asked = request(&expression, input, json_output());
    run(&asked, object.as_bytes(), 256 << 10).map(|(records, _)| records)
}

#[test]
fn what_is_too_costly_for_one_record_is_refused() {
    let long = "a".repeat(1_000_000);
    let half = "a".repeat(500_000);
    let space = " ".repeat(1_000_000);
    let one = format!("{long}\n");
    let twice = format!("{half},{half}\n");
    let like = format!("{long},%{}b%\n", "a".repeat(1021));
    let trimmed = format!("{half},{}a\n", "b".repeat(500_000));
    let number = format!("{space}7\n");
    let umlauts = format!("{}\n", "ä".repeat(500_000));
    for (alternative, object) in [
        ("s._1 LIKE s._2", &like),
        ("s._1 LIKE '%b%'", &one),
        ("s._1 LIKE '%_b%'", &one),
        ("UPPER(s._1) = 'x'", &one),
        ("LOWER(s._1) = 'x'", &umlauts),
        ("CHAR_LENGTH(s._1) = 0", &one),
        ("SUBSTRING(s._1, 999999) = 'x'", &one),
        ("TRIM(s._1) = 'x'", &one),
        ("TRIM(LEADING s._2 FROM s._1) = 'x'", &trimmed),
        ("s._1 || 'x' = 'x'", &one),
        ("s._1 <> s._2", &twice),
        ("s._1 IN ('x', s._2 || 'x')", &twice),
        ("s._1 = 1", &number),
        ("CAST(s._1 AS INT) = 1", &number),
        ("CAST(s._1 AS FLOAT) = 1", &number),
        ("s._1 + 1 = 1", &number),
        ("s._1 > `2020T`", &one),
    ] {
        let refused = alternatives(alternative, 5000, csv(FileHeaderInfo::None), object);
        assert_eq!(
            refused,
            Err(S3ErrorCode::ExternalEvalException),
            "{alternative}"
        );
        // A few of them are nothing unusual.
        if !alternative.contains("LEADING") {
            let few = alternatives(alternative, 5, csv(FileHeaderInfo::None), object);
            assert_eq!(few.as_deref(), Ok(""), "{alternative}");
        }
    }
    let sums = format!("SELECT {} FROM S3Object", vec!["SUM(_1)"; 5000].join(","));
    let sums = request(&sums, csv(FileHeaderInfo::None), json_output());
    let refused = run(&sums, number.as_bytes(), 256 << 10);
    assert_eq!(refused.err(), Some(S3ErrorCode::ExternalEvalException));
}

#[test]
fn looking_for_names_is_not_free() {
    let members: String = (0..100_000).map(|n| format!("\"{n}\":0,")).collect();
    let members = format!("{{{members}\"ä\":{{\"b\":1}}}}");
    let list = format!("{{\"l\":[{}1]}}", "1,".repeat(400_000));
    for (alternative, object) in [
        ("s.name = 1", &members),
        ("s.Ä.b = 2", &members),
        ("s.l <> s.l", &list),
    ] {
        let json = || InputFormat::Json(JsonType::Lines);
        let refused = alternatives(alternative, 5000, json(), object);
        assert_eq!(
            refused,
            Err(S3ErrorCode::ExternalEvalException),
            "{alternative}"
        );
        let few = alternatives(alternative, 20, json(), object);
        assert_eq!(few.as_deref(), Ok(""), "{alternative}");
    }
    let header: String = (0..50_000).map(|n| format!("c{n},")).collect();
    let object = format!("{header}last\n1\n");
    let refused = alternatives("last = 1", 5000, csv(FileHeaderInfo::Use), &object);
    assert_eq!(refused, Err(S3ErrorCode::ExternalEvalException));
    let few = alternatives("last = 1", 500, csv(FileHeaderInfo::Use), &object);
    assert_eq!(few.as_deref(), Ok(""));
    // A long name is no reason to read it again for every record, and every key before it.
    let object = "{\"a\":{\"b\":1,\"c\":2}}\n".repeat(20_000);
    for name in [
        format!("s._{}", "1".repeat(200_000)),
        format!("s.{}", "Ä".repeat(100_000)),
    ] {
        let found = alternatives(
            &format!("{name} = 1"),
            1,
            InputFormat::Json(JsonType::Lines),
            &object,
        );
        assert_eq!(found.as_deref(), Ok(""));
    }
    let from = format!("SELECT * FROM S3Object[*].{}", "Ä".repeat(100_000));
    let from = request(&from, InputFormat::Json(JsonType::Lines), json_output());
    let (records, _) = run(&from, object.as_bytes(), 256 << 10).unwrap();
    assert_eq!(records, "{}\n".repeat(20_000));
}

#[test]
fn texts_that_are_needed_at_once_are_few() {
    let nested = |depth: usize, size: usize| {
        let expression = format!(
            "SELECT {}true{} FROM S3Object",
            "UPPER(_1)=(".repeat(depth),
            ")".repeat(depth)
        );
        let asked = request(&expression, csv(FileHeaderInfo::None), json_output());
        let object = format!("{}\n", "x".repeat(size));
        run(&asked, object.as_bytes(), 256 << 10).map(|(records, _)| records)
    };
    let refused = nested(60, 1_000_000);
    assert_eq!(refused, Err(S3ErrorCode::ExternalEvalException));
    assert_eq!(nested(60, 10_000).unwrap(), "{\"_1\":false}\n");
    assert_eq!(nested(3, 1_000_000).unwrap(), "{\"_1\":false}\n");
    // One after the other, they are as many as one likes: each is gone before the next is made.
    let object = format!("{}\n", "x".repeat(1_000_000));
    let many = alternatives("UPPER(s._1) = 'x'", 30, csv(FileHeaderInfo::None), &object);
    assert_eq!(many.as_deref(), Ok(""));
    // What would get longer in another case is refused before it is made.
    let grows = request(
        "SELECT UPPER(_1) FROM S3Object",
        csv(FileHeaderInfo::None),
        json_output(),
    );
    let object = format!("{}\n", "\u{390}".repeat(500_000));
    let refused = run(&grows, object.as_bytes(), 256 << 10);
    assert_eq!(refused.err(), Some(S3ErrorCode::OverMaxRecordSize));
}

#[test]
fn large_queries_that_are_ordinary_pass() {
    let text = format!("{} Needle {}", "hay ".repeat(120_000), "ä ".repeat(150_000));
    let object = format!("{text},b\n").repeat(3);
    let expression = "SELECT CHAR_LENGTH(UPPER(TRIM(_1))) AS n, SUBSTRING(_1, 480002, 6) AS t \
                      FROM S3Object WHERE _1 LIKE '%Needle%' AND UPPER(_1) LIKE '%NEEDLE%' \
                      AND LOWER(_1) NOT LIKE '%nothing%' AND _1 <> _2 AND _1 || _2 <> _1 \
                      AND CHAR_LENGTH(_1) > 1000 AND TRIM(_1) LIKE 'hay%ä'";
    let asked = request(expression, csv(FileHeaderInfo::None), json_output());
    let (records, _) = run(&asked, object.as_bytes(), 256 << 10).unwrap();
    assert_eq!(records, "{\"n\":780007,\"t\":\"Needle\"}\n".repeat(3));
    // Many conditions on short fields.
    let object = "12,abc\n".repeat(20);
    let words: Vec<String> = (0..10_000).map(|n| format!("'w{n}'")).collect();
    for condition in [
        format!("_2 IN ({}, 'abc')", words.join(",")),
        format!(
            "{} OR _2 = 'abc'",
            vec!["_2 LIKE '%x%'"; 10_000].join(" OR ")
        ),
        format!("{} AND true", vec!["_1 + 1 < 20.5"; 10_000].join(" AND ")),
    ] {
        let expression = format!("SELECT COUNT(*) AS n FROM S3Object WHERE {condition}");
        let asked = request(&expression, csv(FileHeaderInfo::None), json_output());
        let (records, _) = run(&asked, object.as_bytes(), 1000).unwrap();
        assert_eq!(records, "{\"n\":20}\n");
    }
    // A chain takes time in proportion to what comes of it, not to its square.
    let object = format!("{}\n", "x".repeat(1000));
    let chain = format!(
        "SELECT CHAR_LENGTH({}) AS n FROM S3Object",
        vec!["_1"; 1000].join("||")
    );
    let asked = request(&chain, csv(FileHeaderInfo::None), json_output());
    let (records, _) = run(&asked, object.as_bytes(), 1000).unwrap();
    assert_eq!(records, "{\"n\":1000000}\n");
}

/// Each step may be made on another thread.
#[test]
fn a_query_goes_from_thread_to_thread() {
    fn is_send<T: Send>() {}
    is_send::<Select>();
}

#[test]
fn costly_records_end_a_step() {
    let condition = vec!["UPPER(_1) = 'x'"; 100].join(" OR ");
    let expression = format!("SELECT 1 FROM S3Object WHERE {condition}");
    let asked = request(&expression, csv(FileHeaderInfo::None), json_output());
    // All of it is in the window at once, and each record takes more than a million steps.
    let object = format!("{}\n", "x".repeat(10_000)).repeat(80);
    let mut select = Select::new(asked, object.len() as u64, NOW_MS).unwrap();
    let mut pieces = vec![None, Some(Bytes::from(object))];
    let mut out = Vec::new();
    let mut breaths = 0;
    loop {
        match select.step(&mut out).unwrap() {
            Step::NeedsInput => select.feed(pieces.pop().flatten()),
            Step::Again => breaths += 1,
            Step::Seek(_) => panic!("nothing was to be skipped"),
            Step::Done => break,
        }
    }
    assert!(breaths >= 10, "{breaths}");
}

const PEOPLE: &str = "Name,City,Age\nAnn,Oslo,30\nBob,\"San Jose, CA\",4\nEve,oslo,\n";

#[test]
fn columns_have_names() {
    let select = |expression| over_csv(expression, FileHeaderInfo::Use, PEOPLE);
    assert_eq!(
        select("SELECT * FROM S3Object").unwrap(),
        "Ann,Oslo,30\nBob,\"San Jose, CA\",4\nEve,oslo,\n"
    );
    assert_eq!(
        select("SELECT s.name FROM S3Object s WHERE s.CITY LIKE '%o'").unwrap(),
        "Ann\nEve\n"
    );
    assert_eq!(
        select("SELECT s.\"Name\", _3 FROM S3Object AS s LIMIT 1").unwrap(),
        "Ann,30\n"
    );
    assert_eq!(
        select("SELECT \"name\" FROM S3Object"),
        Err(S3ErrorCode::MissingHeaders)
    );
    assert_eq!(
        select("SELECT country FROM S3Object"),
        Err(S3ErrorCode::MissingHeaders)
    );
    let ambiguous = over_csv("SELECT A FROM S3Object", FileHeaderInfo::Use, "a,A\n1,2\n");
    assert_eq!(ambiguous, Err(S3ErrorCode::AmbiguousFieldName));
    let exact = over_csv(
        "SELECT \"A\" FROM S3Object",
        FileHeaderInfo::Use,
        "a,A\n1,2\n",
    );
    assert_eq!(exact.unwrap(), "2\n");
    let ignored = over_csv("SELECT _1 FROM S3Object", FileHeaderInfo::Ignore, PEOPLE);
    assert_eq!(ignored.unwrap(), "Ann\nBob\nEve\n");
    let byte_order_mark = format!("\u{feff}{PEOPLE}");
    let found = over_csv(
        "SELECT name FROM S3Object LIMIT 1",
        FileHeaderInfo::Use,
        &byte_order_mark,
    );
    assert_eq!(found.unwrap(), "Ann\n");
    let input = csv(FileHeaderInfo::Use);
    let as_json = records(
        &request("SELECT * FROM S3Object LIMIT 2", input, json_output()),
        PEOPLE,
    );
    assert_eq!(
        as_json.unwrap(),
        "{\"Name\":\"Ann\",\"City\":\"Oslo\",\"Age\":\"30\"}\n\
         {\"Name\":\"Bob\",\"City\":\"San Jose, CA\",\"Age\":\"4\"}\n"
    );
}

#[test]
fn aggregates() {
    let select =
        |expression: &str| over_csv(expression, FileHeaderInfo::None, "1,a\n2,b\n,c\n4,d\n");
    assert_eq!(select("SELECT COUNT(*) FROM S3Object").unwrap(), "4\n");
    assert_eq!(
        select("SELECT COUNT(_3), COUNT(_1) FROM S3Object").unwrap(),
        "0,4\n"
    );
    assert_eq!(
        select("SELECT SUM(_1), AVG(_1), MIN(_1) + 10, MAX(_1) FROM S3Object WHERE _1 <> ''")
            .unwrap(),
        "7,2.3333333333333333333333333333333333333,11,4\n"
    );
    assert_eq!(
        select("SELECT SUM(CAST(_1 AS FLOAT)) AS total FROM S3Object WHERE _1 > 1").unwrap(),
        "6\n"
    );
    assert_eq!(
        select("SELECT MAX(_1), COUNT(*) FROM S3Object WHERE 1 = 2").unwrap(),
        ",0\n"
    );
    assert_eq!(select("SELECT COUNT(*) FROM S3Object;").unwrap(), "4\n");
    let over_nothing = over_csv(
        "SELECT COUNT(*), SUM(_1) FROM S3Object",
        FileHeaderInfo::None,
        "",
    );
    assert_eq!(over_nothing.unwrap(), "0,\n");
}

#[test]
fn json_paths() {
    let rules = r#"{ "Rules": [ {"id": "1"}, {"expr": "y > x"}, {"id": "2", "expr": "z = DEBUG"} ]}
{ "created": "June 27", "modified": "July 6" }"#;
    assert_eq!(
        over_json("SELECT id FROM S3Object[*].Rules[*].id", rules).unwrap(),
        "{\"id\":\"1\"}\n{}\n{\"id\":\"2\"}\n{}\n"
    );
    assert_eq!(
        over_json(
            "SELECT id FROM S3Object[*].Rules[*].id WHERE id IS NOT MISSING",
            rules
        )
        .unwrap(),
        "{\"id\":\"1\"}\n{\"id\":\"2\"}\n"
    );
    let directories = r#"{"dir_name":"important_docs","files":[{"name":"."},{"name":".aws"}],"owner":"AWS S3"}
{"dir_name":"other_docs","files":[{"name":"my stuff"}],"owner":"User"}"#;
    assert_eq!(
        over_json("SELECT d.dir_name, d.files FROM S3Object[*] d", directories).unwrap(),
        "{\"dir_name\":\"important_docs\",\"files\":[{\"name\":\".\"},{\"name\":\".aws\"}]}\n\
         {\"dir_name\":\"other_docs\",\"files\":[{\"name\":\"my stuff\"}]}\n"
    );
    assert_eq!(
        over_json("SELECT _1.dir_name, _1.owner FROM S3Object[*]", directories).unwrap(),
        "{\"dir_name\":\"important_docs\",\"owner\":\"AWS S3\"}\n\
         {\"dir_name\":\"other_docs\",\"owner\":\"User\"}\n"
    );
    assert_eq!(
        over_json(
            "SELECT s.files[0].name AS first FROM S3Object s",
            directories
        )
        .unwrap(),
        "{\"first\":\".\"}\n{\"first\":\"my stuff\"}\n"
    );
    assert_eq!(
        over_json(
            "SELECT * FROM S3Object[*].files[*] f WHERE f.name LIKE '.%'",
            directories
        )
        .unwrap(),
        "{\"name\":\".\"}\n{\"name\":\".aws\"}\n"
    );
    let values = r#"{"n":1,"f":1.5,"b":true,"z":null,"t":"ü\n\"","l":[1,{"a":2}],"big":12345678901234567890}"#;
    assert_eq!(
        over_json("SELECT * FROM S3Object s", values).unwrap(),
        "{\"n\":1,\"f\":1.5,\"b\":true,\"z\":null,\"t\":\"ü\\n\\\"\",\"l\":[1,{\"a\":2}],\"big\":12345678901234567000}\n"
    );
    assert_eq!(
        over_json(
            "SELECT s.n + s.f AS sum, s.z, s.none, s.l[1].a, s['b'] FROM S3Object s",
            values
        )
        .unwrap(),
        "{\"sum\":2.5,\"z\":null,\"a\":2,\"b\":true}\n"
    );
    assert_eq!(
        over_json("SELECT * FROM S3Object", "[1,2] \"x\"").unwrap(),
        "{\"_1\":[1,2]}\n{\"_1\":\"x\"}\n"
    );
    assert_eq!(
        over_json("SELECT * FROM S3Object", "{\"a\":"),
        Err(S3ErrorCode::JSONParsingError)
    );
    assert_eq!(
        over_json(
            "SELECT COUNT(*), AVG(r.n) FROM S3Object[*].rows[*] r",
            "{\"rows\":[{\"n\":1},{\"n\":2},{}]}"
        )
        .unwrap(),
        "{\"_1\":3,\"_2\":1.5}\n"
    );
}

#[test]
fn output_is_quoted_as_asked() {
    let output = |quote_always, quote_escape: &str| {
        OutputFormat::Csv(CsvOutput {
            quote_always,
            quote: "'".to_owned(),
            quote_escape: quote_escape.to_owned(),
            record_delimiter: "|\n".to_owned(),
            field_delimiter: ";".to_owned(),
        })
    };
    let object = "a;b,it's,c\n";
    let select = |output| {
        records(
            &request("SELECT *  FROM S3Object", csv(FileHeaderInfo::None), output),
            object,
        )
    };
    assert_eq!(select(output(false, "'")).unwrap(), "'a;b';'it''s';c|\n");
    assert_eq!(select(output(true, "\\")).unwrap(), "'a;b';'it\\'s';'c'|\n");
}

#[test]
fn a_limit_ends_the_scan() {
    let object = "0123456789\n".repeat(400_000);
    let request = request(
        "SELECT * FROM S3Object LIMIT 3",
        csv(FileHeaderInfo::None),
        json_output(),
    );
    let (records, stats) = run(&request, object.as_bytes(), 256 << 10).unwrap();
    assert_eq!(records.lines().count(), 3);
    assert!(stats.scanned <= 256 << 10, "{stats:?}");
    let none = run(
        &SelectRequest {
            expression: "SELECT * FROM S3Object LIMIT 0".to_owned(),
            ..request
        },
        object.as_bytes(),
        256 << 10,
    );
    assert_eq!(none.unwrap(), (String::new(), Progress::default()));
}

#[test]
fn progress_counts_what_it_says() {
    use std::io::Write;
    let object = "a,b\n".repeat(100_000);
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(object.as_bytes()).unwrap();
    let compressed = encoder.finish().unwrap();
    let request = SelectRequest {
        compression: Compression::Gzip,
        ..request(
            "SELECT COUNT(*) FROM S3Object",
            csv(FileHeaderInfo::None),
            json_output(),
        )
    };
    let (records, stats) = run(&request, &compressed, 100).unwrap();
    assert_eq!(records, "{\"_1\":100000}\n");
    assert_eq!(stats.scanned, compressed.len() as u64);
    assert_eq!(stats.processed, object.len() as u64);
}

/// The records that begin within a range, by going through the lines.
fn lines_within(object: &str, delimiter: &str, from: usize, to: usize) -> String {
    let mut at = 0;
    let mut expected = String::new();
    for line in object.split_inclusive(delimiter) {
        if (from..=to).contains(&at) {
            expected.push_str(line.trim_end_matches(delimiter));
            expected.push('\n');
        }
        at += line.len();
    }
    expected
}

#[test]
fn scan_ranges_split_an_object_without_gaps() {
    for delimiter in ["\n", "\r\n"] {
        let object: String = (0..40)
            .map(|n| format!("{}{delimiter}", "x".repeat(n % 7 + 1)))
            .collect();
        let input = InputFormat::Csv(CsvInput {
            record_delimiter: delimiter.to_owned(),
            ..CsvInput::default()
        });
        let size = object.len() as u64;
        let select = |range| {
            let request = SelectRequest {
                scan_range: Some(range),
                ..request(
                    "SELECT * FROM S3Object",
                    input.clone(),
                    OutputFormat::Csv(CsvOutput::default()),
                )
            };
            records(&request, &object).unwrap()
        };
        for start in 0..size {
            for end in start..size {
                let expected = lines_within(&object, delimiter, start as usize, end as usize);
                let range = ScanRange::Between(start, end);
                assert_eq!(select(range), expected, "{range:?} {delimiter:?}");
            }
            let expected = lines_within(&object, delimiter, start as usize, usize::MAX);
            assert_eq!(select(ScanRange::From(start)), expected);
            assert_eq!(select(ScanRange::Last(size - start)), expected);
        }
        assert_eq!(
            select(ScanRange::Last(10 * size)),
            lines_within(&object, delimiter, 0, usize::MAX)
        );
    }
    let beyond = SelectRequest {
        scan_range: Some(ScanRange::From(4)),
        ..request(
            "SELECT * FROM S3Object",
            csv(FileHeaderInfo::None),
            json_output(),
        )
    };
    assert_eq!(
        records(&beyond, "a\nb\n"),
        Err(S3ErrorCode::InvalidScanRange)
    );
}

#[test]
fn scan_ranges_know_the_header_and_lines_of_json() {
    let object = "name,n\na,1\nb,2\nc,3\n";
    let within = |start, end| {
        let request = SelectRequest {
            scan_range: Some(ScanRange::Between(start, end)),
            ..request(
                "SELECT name FROM S3Object WHERE n > 0",
                csv(FileHeaderInfo::Use),
                OutputFormat::Csv(CsvOutput::default()),
            )
        };
        records(&request, object).unwrap()
    };
    assert_eq!(within(0, 7), "a\n");
    assert_eq!(within(7, 10), "a\n");
    assert_eq!(within(8, 12), "b\n");
    assert_eq!(within(12, 100), "c\n");
    let lines = "{\"n\":1}\n{\"n\":2}\n{\"n\":3}\n";
    let within = |start, end| {
        let request = SelectRequest {
            scan_range: Some(ScanRange::Between(start, end)),
            ..request(
                "SELECT s.n FROM S3Object s",
                InputFormat::Json(JsonType::Lines),
                json_output(),
            )
        };
        records(&request, lines).unwrap()
    };
    assert_eq!(within(0, 0), "{\"n\":1}\n");
    assert_eq!(within(1, 8), "{\"n\":2}\n");
    assert_eq!(within(8, 16), "{\"n\":2}\n{\"n\":3}\n");
    assert_eq!(within(17, 20), "");
}

proptest! {
    /// Filtering and summing CSV agrees with doing it by hand.
    #[test]
    fn as_by_hand(rows in proptest::collection::vec((-50i64..50, "[a-c]{0,3}"), 0..30), limit in -50i64..50) {
        let object: String = rows.iter().map(|(n, text)| format!("{n},{text}\n")).collect();
        let kept: Vec<_> = rows.iter().filter(|(n, text)| *n > limit && text.contains('a')).collect();
        let expected: String = kept.iter().map(|(n, text)| format!("{text}{},{}\n", text.len(), n * 2)).collect();
        let expression = format!(
            "SELECT _2 || CAST(CHAR_LENGTH(_2) AS STRING), _1 * 2 FROM S3Object WHERE _1 > {limit} AND _2 LIKE '%a%'"
        );
        prop_assert_eq!(over_csv(&expression, FileHeaderInfo::None, &object).unwrap(), expected);
        let sum: i64 = kept.iter().map(|(n, _)| n).sum();
        let expected = match kept.is_empty() {
            true => "0,\n".to_owned(),
            false => format!("{},{sum}\n", kept.len()),
        };
        let expression = format!(
            "SELECT COUNT(*), SUM(_1) FROM S3Object WHERE _1 > {limit} AND _2 LIKE '%a%'"
        );
        prop_assert_eq!(over_csv(&expression, FileHeaderInfo::None, &object).unwrap(), expected);
    }

    /// Integer arithmetic of any shape agrees with evaluating it as it is made.
    #[test]
    fn arithmetic_agrees((text, expected) in arithmetic()) {
        prop_assert_eq!(value(&text).ok().map(|text| text.parse::<i64>().unwrap()), expected);
    }
}

/// An expression and what it comes to, if that is anything.
fn arithmetic() -> impl Strategy<Value = (String, Option<i64>)> {
    let leaf = (0i64..1000).prop_map(|n| (n.to_string(), Some(n)));
    leaf.prop_recursive(5, 40, 2, |inner| {
        (inner.clone(), "[-+*/%]", inner).prop_map(|((a, x), operator, (b, y))| {
            let result = x.zip(y).and_then(|(x, y)| match operator.as_str() {
                "+" => x.checked_add(y),
                "-" => x.checked_sub(y),
                "*" => x.checked_mul(y),
                "/" => x.checked_div(y),
                _ => x.checked_rem(y),
            });
            (format!("({a} {operator} {b})"), result)
        })
    })
}
