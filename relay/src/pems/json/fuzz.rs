//! Whatever bytes PEMS, or what stands between, sends as an answer.

use serde_json::json;

use super::{
    answer::{self, Answer},
    bytes,
    pace::retry_after,
    samples::{good, write},
};
use crate::pems::FailureKind;

/// An answer confirms a write only by naming its record and its next version; every other one is a failure.
#[test]
fn any_bytes_as_an_answer_are_an_outcome() {
    let bodies = [
        good("7"),
        json!({"results": [good("7"), good("8"), {"status": 409, "pfaId": "9", "error": "VERSION_CONFLICT", "message": "why"}]}),
        json!({"error": "VERSION_CONFLICT", "message": "why", "currentVersion": 6}),
        json!({"results": [{"status": 423}, {"status": 999999}, {"status": "200"}]}),
    ];
    let seeds: Vec<_> = bodies.iter().map(|body| body.to_string().into_bytes()).collect();
    pfa_fuzz::run("pems-answer", &seeds.iter().map(Vec::as_slice).collect::<Vec<_>>(), |bytes| {
        let body = bytes::parsed(bytes).map(|(body, _)| body);
        // The first bytes stand for the status too.
        let drawn = bytes.iter().take(2).fold(0_u16, |status, byte| status << 8 | u16::from(*byte)) % 1000;
        for status in [200, 409, 500, drawn] {
            let answer = || Answer { status, body: body.clone(), ..Answer::default() };
            if let Ok(written) = answer::single(answer(), &write("7")) {
                assert_eq!((status, written.version, written.response["pfaId"].as_str()), (200, 5, Some("7")));
            }
            let sent = ["7", "8", "9"].map(write);
            match answer::batch(answer(), &sent) {
                Ok(results) => {
                    assert_eq!(results.len(), sent.len());
                    for (result, write) in results.into_iter().zip(&sent) {
                        match result {
                            Ok(written) => assert_eq!(written.response["pfaId"].as_str(), Some(&*write.pfa_id)),
                            Err(failure) => assert!(failure.status.is_some()),
                        }
                    }
                }
                Err(failure) => assert_ne!(failure.status, None),
            }
            let failure = answer::failure(answer());
            assert!(failure.kind != FailureKind::Rejected || (400..500).contains(&status), "{status}");
        }
    });
}

#[test]
fn any_bytes_as_a_wait_are_bounded() {
    pfa_fuzz::run("retry-after", &[b"3", b"86400", b"Wed, 21 Oct 2026 07:28:00 GMT", b" 7 "], |bytes| {
        let wait = retry_after(&String::from_utf8_lossy(bytes), None);
        assert!(wait.is_none_or(|wait| wait.as_secs() <= 3600));
    });
}
