//! The aws-chunked decoder: published examples, every chunking and every split of the input, and
//! bodies that were damaged on the way.

#![allow(
    clippy::unwrap_used,
    reason = "a test that fails should say so at once"
)]

use bytes::Bytes;
use oncilla_hash::{Checksum, ChecksumAlgorithm, Sha256};
use oncilla_wire::chunked::{
    ChunkedDecoder, ChunkedError, ChunkedMode, TRAILER_COUNT_MAX, TRAILERS_LENGTH_BYTES_MAX,
    Trailer, canonical_trailers_sha256,
};
use oncilla_wire::sigv4::{AmzDate, ChunkSeed, Scope, SigningKey};
use proptest::prelude::*;

const SCOPE: &str = "20130524/us-east-1/s3/aws4_request";

fn seed(signature: &str) -> ChunkSeed {
    let scope = Scope {
        day: "20130524".into(),
        region: "us-east-1".into(),
        service: "s3".into(),
    };
    let key = SigningKey::derive("wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", &scope);
    let timestamp = AmzDate::parse(b"20130524T000000Z").unwrap();
    ChunkSeed::new(
        key,
        SCOPE.to_owned(),
        timestamp,
        signature.as_bytes().try_into().unwrap(),
    )
}

fn any_seed() -> ChunkSeed {
    seed(&"0".repeat(64))
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    Signed,
    SignedTrailer,
    UnsignedTrailer,
}

impl Form {
    fn mode(self) -> ChunkedMode {
        match self {
            Form::Signed => ChunkedMode::Signed(any_seed()),
            Form::SignedTrailer => ChunkedMode::SignedTrailer(any_seed()),
            Form::UnsignedTrailer => ChunkedMode::UnsignedTrailer,
        }
    }
}

/// Frames `payload` in chunks that end at `cuts`, as a client would.
fn encode(form: Form, payload: &[u8], cuts: &[usize], trailers: &[Trailer]) -> Vec<u8> {
    let mut chain = any_seed();
    let mut body = Vec::new();
    let mut header = |body: &mut Vec<u8>, data: &[u8]| {
        body.extend_from_slice(format!("{:x}", data.len()).as_bytes());
        if form != Form::UnsignedTrailer {
            body.extend_from_slice(b";chunk-signature=");
            body.extend_from_slice(&chain.sign_chunk(&Sha256::digest(data)));
        }
        body.extend_from_slice(b"\r\n");
    };
    let mut start = 0;
    for end in cuts.iter().copied().chain([payload.len()]) {
        if end > start {
            header(&mut body, &payload[start..end]);
            body.extend_from_slice(&payload[start..end]);
            body.extend_from_slice(b"\r\n");
            start = end;
        }
    }
    header(&mut body, b"");
    if form != Form::Signed {
        for (name, value) in trailers {
            body.extend_from_slice(format!("{name}:{value}\r\n").as_bytes());
        }
    }
    if form == Form::SignedTrailer {
        let signature = chain.sign_trailer(&canonical_trailers_sha256(trailers));
        body.extend_from_slice(b"x-amz-trailer-signature:");
        body.extend_from_slice(&signature);
        body.extend_from_slice(b"\r\n");
    }
    body.extend_from_slice(b"\r\n");
    body
}

fn decode(
    mode: ChunkedMode,
    length_bytes: u64,
    pieces: impl IntoIterator<Item = Bytes>,
) -> Result<(Vec<u8>, Vec<Trailer>), ChunkedError> {
    let mut decoder = ChunkedDecoder::new(mode, length_bytes);
    let mut out = Vec::new();
    for piece in pieces {
        if let Err(error) = decoder.push(piece, &mut out) {
            let again = decoder.push(Bytes::from_static(b"0\r\n\r\n"), &mut Vec::new());
            assert_eq!(again, Err(error), "an error is final");
            assert_eq!(decoder.finish(), Err(error));
            return Err(error);
        }
    }
    Ok((out.concat(), decoder.finish()?))
}

fn decode_whole(
    form: Form,
    length_bytes: u64,
    body: &[u8],
) -> Result<(Vec<u8>, Vec<Trailer>), ChunkedError> {
    decode(form.mode(), length_bytes, [Bytes::copy_from_slice(body)])
}

fn crc_trailer(payload: &[u8]) -> Vec<Trailer> {
    let algorithm = ChecksumAlgorithm::Crc32c;
    let checksum = Checksum::of(algorithm, payload).to_base64();
    vec![(algorithm.header_name().to_owned(), checksum)]
}

fn chunk(data: &[u8], signature: &str) -> Vec<u8> {
    let mut chunk = format!("{:x};chunk-signature={signature}\r\n", data.len()).into_bytes();
    chunk.extend_from_slice(data);
    if !data.is_empty() {
        chunk.extend_from_slice(b"\r\n");
    }
    chunk
}

/// "Transferring Payload in Multiple Chunks", the example upload of 65 KiB.
#[test]
fn published_signed_upload() {
    let (first, second) = (vec![b'a'; 65536], vec![b'a'; 1024]);
    let mut body = chunk(
        &first,
        "ad80c730a21e5b8d04586a2213dd63b9a0e99e0e2307b0ade35a65485a288648",
    );
    body.extend(chunk(
        &second,
        "0055627c9e194cb4542bae2aa5492e3c1575bbb81b612b7d234b86a503ef5497",
    ));
    body.extend(chunk(
        b"",
        "b6c6ea8a5354eaf15b3cb7646744f4275b71ea724fed81ceb9323e279d449df9",
    ));
    body.extend(b"\r\n");
    assert_eq!(body.len(), 66824);
    let seed = seed("4f232c4386841ef735655705268965c44a0e4690baa4adea153f7db9fa80a0a9");
    let (payload, trailers) =
        decode(ChunkedMode::Signed(seed), 66560, [Bytes::from(body)]).unwrap();
    assert_eq!(payload, vec![b'a'; 66560]);
    assert!(trailers.is_empty());
}

/// "Including Trailing Headers", the example upload of 65 KiB with CRC-32C.
#[test]
fn published_signed_upload_with_trailer() {
    let (first, second) = (vec![b'a'; 65536], vec![b'a'; 1024]);
    let mut body = chunk(
        &first,
        "b474d8862b1487a5145d686f57f013e54db672cee1c953b3010fb58501ef5aa2",
    );
    body.extend(chunk(
        &second,
        "1c1344b170168f8e65b41376b44b20fe354e373826ccbbe2c1d40a8cae51e5c7",
    ));
    body.extend(chunk(
        b"",
        "2ca2aba2005185cf7159c6277faf83795951dd77a3a99e6e65d5c9f85863f992",
    ));
    body.extend(b"x-amz-checksum-crc32c:sOO8/Q==\r\n");
    body.extend(b"x-amz-trailer-signature:d81f82fc3505edab99d459891051a732e8730629a2e4a59689829ca17fe2e435\r\n\r\n");
    let seed = seed("106e2a8a18243abcf37539882f36619c00e2dfc72633413f02d3b74544bfeb8e");
    let (payload, trailers) =
        decode(ChunkedMode::SignedTrailer(seed), 66560, [Bytes::from(body)]).unwrap();
    assert_eq!(trailers, crc_trailer(&payload));
}

#[test]
fn payload_is_a_slice_of_the_input_and_comes_before_the_chunk_ends() {
    let input = Bytes::from_static(b"10\r\n0123");
    let mut decoder = ChunkedDecoder::new(ChunkedMode::UnsignedTrailer, 16);
    let mut out = Vec::new();
    decoder.push(input.clone(), &mut out).unwrap();
    assert_eq!(out, ["0123"]);
    assert_eq!(out[0].as_ptr(), input[4..].as_ptr());
    assert_eq!(decoder.finish(), Err(ChunkedError::IncompleteBody));
}

#[test]
fn ends_that_real_clients_send() {
    let crc = [("x-amz-checksum-crc32".to_owned(), "AAAAAA==".to_owned())];
    for end in [
        "x-amz-checksum-crc32:AAAAAA==\r\n\r\n",
        "x-amz-checksum-crc32:AAAAAA==\r\n",
        "x-amz-checksum-crc32:AAAAAA==",
        "x-amz-checksum-crc32:AAAAAA==\n\r\n",
        "X-Amz-Checksum-Crc32: AAAAAA== \r\n\r\n",
    ] {
        let body = format!("3\r\nabc\r\n0\r\n{end}");
        let decoded = decode_whole(Form::UnsignedTrailer, 3, body.as_bytes());
        assert_eq!(decoded, Ok((b"abc".to_vec(), crc.to_vec())), "{end:?}");
    }
    for end in ["", "\r\n"] {
        let body = format!("3\r\nabc\r\n0\r\n{end}");
        let decoded = decode_whole(Form::UnsignedTrailer, 3, body.as_bytes());
        assert_eq!(decoded, Ok((b"abc".to_vec(), Vec::new())), "{end:?}");
    }
    let signed = encode(Form::Signed, b"abc", &[], &[]);
    let without_line_end = signed.strip_suffix(b"\r\n").unwrap();
    assert!(decode_whole(Form::Signed, 3, without_line_end).is_ok());
    assert_eq!(
        decode_whole(Form::UnsignedTrailer, 0, b"0\r\n\r\n"),
        Ok((Vec::new(), Vec::new()))
    );
}

#[test]
fn malformed_framing() {
    let refused = |body: &[u8]| decode_whole(Form::UnsignedTrailer, 3, body).unwrap_err();
    let malformed = [
        "\r\n",
        ";\r\n",
        "-3\r\nabc\r\n",
        "0x3\r\nabc\r\n",
        "3 \r\nabc\r\n",
        "3\nabc\r\n0\r\n",
        "3\r\nabc0\r\n",
        "3\r\nabc\n0\r\n",
        "3;x=y\r\nabc\r\n",
        "00000000000000003\r\nabc\r\n",
        "3\r\nabc\r\n0\r\nno colon\r\n",
        "3\r\nabc\r\n0\r\n:v\r\n",
        "3\r\nabc\r\n0\r\na b:v\r\n",
        "3\r\nabc\r\n0\r\n\r\nx",
        "3\r\nabc\r\n0\r\n\r\n0\r\n\r\n",
    ];
    for body in malformed {
        let error = refused(body.as_bytes());
        assert!(
            matches!(error, ChunkedError::Malformed(_)),
            "{body:?}: {error}"
        );
    }
    let long_line = "0".repeat(1000);
    assert!(matches!(
        refused(long_line.as_bytes()),
        ChunkedError::Malformed(_)
    ));
    // A trailer has no place in the form without trailers.
    let mut body = encode(Form::Signed, b"abc", &[], &[]);
    body.truncate(body.len() - 2);
    body.extend_from_slice(b"x-amz-checksum-crc32:AAAAAA==\r\n\r\n");
    let error = decode_whole(Form::Signed, 3, &body).unwrap_err();
    assert!(matches!(error, ChunkedError::Malformed(_)));
    // A signed body needs its signatures.
    let error = decode_whole(Form::Signed, 3, b"3\r\nabc\r\n0\r\n\r\n").unwrap_err();
    assert!(matches!(error, ChunkedError::Malformed(_)));
    let mut body = encode(Form::Signed, b"abc", &[], &[]);
    let error = decode_whole(Form::SignedTrailer, 3, &body).unwrap_err();
    assert_eq!(error, ChunkedError::SignatureDoesNotMatch);
    body.truncate(body.len() - 2);
    let error = decode_whole(Form::SignedTrailer, 3, &body).unwrap_err();
    assert_eq!(error, ChunkedError::SignatureDoesNotMatch);
}

#[test]
fn lengths_that_do_not_agree() {
    for body in [
        "2\r\nab\r\n0\r\n\r\n",
        "4\r\nabcd\r\n0\r\n\r\n",
        "ffffffffffffffff\r\nabc",
        "3\r\nab",
        "3\r\nabc",
        "3\r\nabc\r\n",
        "3\r\nabc\r\n0",
        "3\r\nabc\r\n0\r",
        "",
    ] {
        let error = decode_whole(Form::UnsignedTrailer, 3, body.as_bytes()).unwrap_err();
        assert_eq!(error, ChunkedError::IncompleteBody, "{body:?}");
    }
    // What exceeds the announced length is never handed out.
    let mut decoder = ChunkedDecoder::new(ChunkedMode::UnsignedTrailer, 3);
    let mut out = Vec::new();
    assert!(
        decoder
            .push(Bytes::from_static(b"4\r\nabcd"), &mut out)
            .is_err()
    );
    assert!(out.is_empty());
}

#[test]
fn trailers_are_bounded() {
    let trailers = |count: usize| {
        (0..count)
            .map(|i| format!("t{i}:v\r\n"))
            .collect::<String>()
    };
    let body = |trailers: &str| format!("0\r\n{trailers}\r\n");
    let decode = |body: String| decode_whole(Form::UnsignedTrailer, 0, body.as_bytes());
    assert_eq!(
        decode(body(&trailers(TRAILER_COUNT_MAX))).unwrap().1.len(),
        TRAILER_COUNT_MAX
    );
    let too_many = decode(body(&trailers(TRAILER_COUNT_MAX + 1)));
    assert_eq!(too_many, Err(ChunkedError::TrailersTooLarge));
    let long = format!("a:{}\r\n", "v".repeat(TRAILERS_LENGTH_BYTES_MAX));
    assert_eq!(decode(body(&long)), Err(ChunkedError::TrailersTooLarge));
    let half = format!("{}\r\n", "v".repeat(TRAILERS_LENGTH_BYTES_MAX / 2));
    let in_all = format!("a:{half}b:{half}");
    assert_eq!(decode(body(&in_all)), Err(ChunkedError::TrailersTooLarge));
}

fn any_form() -> impl Strategy<Value = Form> {
    prop::sample::select(vec![
        Form::Signed,
        Form::SignedTrailer,
        Form::UnsignedTrailer,
    ])
}

/// A form, a payload and places to cut it at.
fn any_body() -> impl Strategy<Value = (Form, Vec<u8>, Vec<usize>)> {
    let payload = proptest::collection::vec(any::<u8>(), 0..400);
    let cuts = proptest::collection::vec(any::<prop::sample::Index>(), 0..6);
    (any_form(), payload, cuts).prop_map(|(form, payload, cuts)| {
        let mut cuts: Vec<usize> = cuts
            .iter()
            .map(|cut| cut.index(payload.len() + 1))
            .collect();
        cuts.sort_unstable();
        (form, payload, cuts)
    })
}

proptest! {
    #[test]
    fn any_chunking_and_any_split_decodes(
        (form, payload, cuts) in any_body(),
        piece_lengths in proptest::collection::vec(1usize..100, 1..10),
    ) {
        let trailers = if form == Form::Signed { Vec::new() } else { crc_trailer(&payload) };
        let mut rest = Bytes::from(encode(form, &payload, &cuts, &trailers));
        let mut pieces = Vec::new();
        for length in piece_lengths.iter().cycle() {
            if rest.is_empty() {
                break;
            }
            pieces.push(rest.split_to(rest.len().min(*length)));
        }
        let decoded = decode(form.mode(), payload.len() as u64, pieces);
        prop_assert_eq!(decoded, Ok((payload, trailers)));
    }

    #[test]
    fn a_corrupted_byte_is_noticed(
        (form, payload, cuts) in any_body(),
        at in any::<prop::sample::Index>(),
        by in 1u8..,
    ) {
        let trailers = if form == Form::Signed { Vec::new() } else { crc_trailer(&payload) };
        let mut body = encode(form, &payload, &cuts, &trailers);
        let index = at.index(body.len());
        body[index] = body[index].wrapping_add(by);
        let decoded = decode_whole(form, payload.len() as u64, &body);
        match (form, decoded) {
            (_, Err(_)) => {}
            // Another spelling of the same, such as an upper-case digit.
            (Form::Signed | Form::SignedTrailer, Ok(decoded)) => {
                prop_assert_eq!(decoded, (payload, trailers));
            }
            // Nothing is signed: the checksum in the trailer is what notices, if it is still there.
            (Form::UnsignedTrailer, Ok((decoded, decoded_trailers))) => {
                if decoded != payload {
                    prop_assert_ne!(crc_trailer(&decoded), decoded_trailers);
                }
            }
        }
    }

    #[test]
    fn a_truncated_body_is_noticed((form, payload, cuts) in any_body(), at in any::<prop::sample::Index>()) {
        let body = encode(form, &payload, &cuts, &[]);
        // The line end of the last line and the empty line after it may be missing.
        let tolerated = if form == Form::SignedTrailer { 4 } else { 2 };
        let length = at.index(body.len() - tolerated);
        let decoded = decode_whole(form, payload.len() as u64, &body[..length]);
        prop_assert!(decoded.is_err());
    }

    #[test]
    fn arbitrary_bytes_never_panic(
        form in any_form(),
        body in "([0-9a-f]{0,3}(;chunk-signature=)?(\r\n)?[ -~\r\n]{0,9}){0,20}",
        length in 0u64..100,
    ) {
        let _ = decode_whole(form, length, body.as_bytes());
    }

    #[test]
    fn arbitrary_binary_never_panics(
        form in any_form(),
        body in proptest::collection::vec(any::<u8>(), 0..200),
    ) {
        let _ = decode_whole(form, 10, &body);
    }
}
