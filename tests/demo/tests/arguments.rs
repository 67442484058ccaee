//! What the demo says of arguments that it can't use.

use std::io::Write;

use anyhow::Result;

#[test]
fn the_demo_ends_with_one_clear_line_when_it_is_given_no_export() -> Result<()> {
    let mut file = tempfile::NamedTempFile::new()?;
    file.write_all(br#"{"some": "other JSON"}"#)?;
    let demo = std::process::Command::new(env!("CARGO_BIN_EXE_demo"))
        .args(["--once", "--input"])
        .arg(file.path())
        .env("RUST_BACKTRACE", "1")
        .output()?;
    let expected = format!(
        "pems-simulator: loading {}: this is no PEMS grid export: it has no Result.ResultData.GRID.DATA.ROW\n\
         demo: pems-simulator ended with exit status: 1\n",
        file.path().display()
    );
    assert_eq!((demo.status.code(), String::from_utf8_lossy(&demo.stderr).as_ref()), (Some(1), expected.as_str()));
    assert_eq!(String::from_utf8_lossy(&demo.stdout), "");
    Ok(())
}
