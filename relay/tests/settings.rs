//! Settings as the program takes them: from flags, environment and a config file at once.

use std::{
    io::Write,
    process::{Command, Output},
};

use rstest::rstest;

/// Runs `pfa-relay doctor`, which says which settings it took before it finds that there is no database.
fn doctor(file: &str, variables: &[(&str, &str)], flags: &[&str]) -> Output {
    let mut config = tempfile::NamedTempFile::new().unwrap();
    config.write_all(file.as_bytes()).unwrap();
    let base = [("PEMS_URL", "https://pems.example"), ("PEMS_TENANT", "T"), ("PEMS_BEARER_TOKEN", "hush-token")];
    Command::new(env!("CARGO_BIN_EXE_pfa-relay"))
        .env_clear()
        .envs(base)
        .envs(variables.iter().copied())
        .arg("--config")
        .arg(config.path())
        .arg("doctor")
        .args(flags)
        .output()
        .unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

#[rstest]
#[case::file("name = \"of-file\"", &[], &[], "of-file")]
#[case::environment("name = \"of-file\"", &[("PFA_RELAY_NAME", "of-environment")], &[], "of-environment")]
#[case::empty_variable("name = \"of-file\"", &[("PFA_RELAY_NAME", "")], &[], "of-file")]
#[case::flag("name = \"of-file\"", &[("PFA_RELAY_NAME", "of-environment")], &["--name", "of-flag"], "of-flag")]
fn the_nearest_source_wins(
    #[case] file: &str,
    #[case] variables: &[(&str, &str)],
    #[case] flags: &[&str],
    #[case] expected: &str,
) {
    let output = text(&doctor(file, variables, flags).stdout);
    assert!(output.contains(&format!("relay {expected}, PEMS https://pems.example/ by bearer token")), "{output}");
}

#[test]
fn an_unknown_key_ends_the_program_and_is_named() {
    let output = doctor("batchsize = 3", &[], &[]);
    assert!(!output.status.success());
    assert!(text(&output.stderr).contains("unknown setting batchsize"), "{}", text(&output.stderr));
}

#[test]
fn no_secret_is_shown() {
    let variables = [("DATABASE_URL", "postgres://u:hush-db@127.0.0.1:1/d"), ("PEMS_PASSWORD", "hush-password")];
    let doctored = doctor("log-level = \"trace\"", &variables, &[]);
    let helped = Command::new(env!("CARGO_BIN_EXE_pfa-relay")).envs(variables).arg("--help").output().unwrap();
    for output in [doctored, helped] {
        for shown in [text(&output.stdout), text(&output.stderr)] {
            assert!(!shown.contains("hush"), "{shown}");
        }
    }
}

/// The help of a subcommand shows the settings that it uses, with examples; it accepts the others all the same.
#[rstest]
#[case::run("run", "--max-in-flight", None)]
#[case::pull("pull", "--page-size", Some("--max-in-flight"))]
#[case::doctor("doctor", "--pems-url", Some("--page-size"))]
fn the_help_of_a_subcommand_shows_its_own_settings(#[case] command: &str, #[case] shown: &str, #[case] hidden: Option<&str>) {
    let help = |arguments: &[&str]| {
        let arguments = [&[command], arguments, &["--help"]].concat();
        let output = Command::new(env!("CARGO_BIN_EXE_pfa-relay")).env_clear().args(arguments).output().unwrap();
        assert!(output.status.success());
        text(&output.stdout)
    };
    let text = help(&[]);
    assert!(text.contains(shown) && text.contains("Example") && text.contains("(required)"), "{text}");
    if let Some(hidden) = hidden {
        assert!(!text.contains(hidden), "{text}");
        help(&[hidden, "20"]);
    }
}
