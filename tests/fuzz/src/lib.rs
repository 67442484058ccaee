//! Drives code that parses foreign bytes: saved inputs, raw bytes, and valid documents with mutations.
//!
//! [`run`] is for a test. It runs a few hundred inputs; with `PFA_FUZZ_SECONDS` in the environment it runs for that long
//! (`make test-long`). An input that fails is made smaller and saved in `tests/fuzz/corpus/`, which every later run begins
//! with. An input may take `MAX_TIME` and `max_memory`: what is sent by others must not cost more than its length.

mod memory;
mod mutation;

use std::{
    env, fs,
    hash::{DefaultHasher, Hash, Hasher},
    panic::{AssertUnwindSafe, catch_unwind},
    path::PathBuf,
    time::{Duration, Instant},
};

use proptest::test_runner::{Config, TestCaseError, TestError, TestRunner};

/// Inputs of a short run.
const CASES: u32 = 300;

/// How often an input that takes too long is run.
const TRIES: usize = 3;

/// Longest time for one input, in a build without optimization on a busy machine.
const MAX_TIME: Duration = Duration::from_secs(5);

/// Most memory that an input of a length may take, in bytes.
fn max_memory(length: usize) -> usize {
    (16 << 20) + length * 2000
}

/// Runs a test with inputs made from `seeds`, which are valid. `target` names the test and the folder of its saved inputs.
///
/// # Panics
///
/// When the test panics, takes too long or takes too much memory: with the smallest such input.
pub fn run(target: &str, seeds: &[&[u8]], test: impl Fn(&[u8])) {
    let corpus = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/corpus")).join(target);
    let mut saved: Vec<_> = fs::read_dir(&corpus).into_iter().flatten().flatten().map(|entry| entry.path()).collect();
    saved.sort();
    for path in saved {
        let input = fs::read(&path).expect("a saved input can be read");
        if let Err(reason) = check(&input, &test) {
            panic!("{target}: {reason} on {}", path.display());
        }
    }
    for seed in seeds {
        if let Err(reason) = check(seed, &test) {
            panic!("{target}: {reason} on {:?}", String::from_utf8_lossy(seed));
        }
    }
    let seconds = env::var("PFA_FUZZ_SECONDS").ok().and_then(|seconds| seconds.parse().ok()).unwrap_or(0);
    let end = Instant::now() + Duration::from_secs(seconds);
    let mut inputs = 0_u64;
    loop {
        let config = Config { cases: CASES, failure_persistence: None, max_shrink_iters: 2000, ..Config::default() };
        let result =
            TestRunner::new(config).run(&mutation::inputs(seeds), |input| check(&input, &test).map_err(TestCaseError::fail));
        if let Err(TestError::Fail(reason, input)) = result {
            let mut hasher = DefaultHasher::new();
            input.hash(&mut hasher);
            let path = corpus.join(format!("{:016x}", hasher.finish()));
            let written = fs::create_dir_all(&corpus).and_then(|()| fs::write(&path, &input));
            written.expect("a failing input is saved");
            panic!("{target}: {reason} on {:?}, saved as {}", String::from_utf8_lossy(&input), path.display());
        }
        result.expect("no input is rejected");
        inputs += u64::from(CASES);
        if Instant::now() >= end {
            println!("{target}: {inputs} inputs");
            return;
        }
    }
}

/// Runs the test on an input. One that takes too long is run again: a busy machine may have kept it waiting.
fn check(input: &[u8], test: &impl Fn(&[u8])) -> Result<(), String> {
    let mut fault = String::new();
    for _ in 0..TRIES {
        match check_once(input, test)? {
            None => return Ok(()),
            Some(took) => fault = format!("it took {took:?}"),
        }
    }
    Err(fault)
}

/// The time that the test took on an input, if it was too long.
fn check_once(input: &[u8], test: &impl Fn(&[u8])) -> Result<Option<Duration>, String> {
    let started = Instant::now();
    let (outcome, memory) = memory::peak_of(|| catch_unwind(AssertUnwindSafe(|| test(input))));
    if let Err(panic) = outcome {
        let text = panic.downcast_ref::<String>().map(String::as_str).or(panic.downcast_ref::<&str>().copied());
        return Err(format!("panic: {}", text.unwrap_or("of another type")));
    }
    if memory > max_memory(input.len()) {
        return Err(format!("it took {memory} bytes of memory"));
    }
    Ok(Some(started.elapsed()).filter(|took| *took > MAX_TIME))
}
