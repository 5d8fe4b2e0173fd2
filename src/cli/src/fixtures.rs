//! `dx-py fixtures` and `dx-py clean --fixtures`: what is kept of cached fixtures.

use std::io::Write;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use dx_py_fixture::{Listed, Store};
use serde_json::json;

use crate::args::ListArgs;
use crate::report::style::{count, duration, one_line};
use crate::settings::Project;

/// `dx-py fixtures`.
///
/// # Errors
/// If the folder can't be read, or isn't this user's alone.
pub fn list(args: &ListArgs, out: &mut dyn Write) -> anyhow::Result<u8> {
    let store = Store::new(&Project::find()?.dx_dir());
    let entries = store.list()?;
    if args.json {
        let rows: Vec<_> = entries.iter().map(told).collect();
        writeln!(out, "{}", serde_json::to_string_pretty(&rows)?)?;
        return Ok(0);
    }
    let mut total = 0;
    for entry in &entries {
        total += entry.size;
        let size = megabytes(entry.size);
        match &entry.metadata {
            Ok(metadata) => writeln!(
                out,
                "{size:>10}  made {} ago in {}, used {} ago  {}",
                age(seconds(metadata.made)),
                duration(Duration::try_from_secs_f64(metadata.seconds).unwrap_or_default()),
                age(entry.used),
                one_line(&metadata.fixture)
            )?,
            Err(damage) => writeln!(
                out,
                "{size:>10}  not used: {damage}  {}",
                one_line(&entry.path.display().to_string())
            )?,
        }
    }
    writeln!(
        out,
        "{}, {}",
        count(entries.len(), "cached value"),
        megabytes(total)
    )?;
    Ok(0)
}

fn told(entry: &Listed) -> serde_json::Value {
    let file = entry.path.display().to_string();
    let used = entry
        .used
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default()
        .as_secs_f64();
    match &entry.metadata {
        Ok(metadata) => json!({
            "fixture": metadata.fixture, "file": file, "size": entry.size, "made": metadata.made, "seconds": metadata.seconds,
            "used": used, "inputs": metadata.inputs.len(),
        }),
        Err(damage) => json!({"file": file, "size": entry.size, "problem": damage.to_string()}),
    }
}

/// `dx-py clean --fixtures`.
///
/// # Errors
/// If they can't be removed.
pub fn clean(out: &mut dyn Write) -> anyhow::Result<u8> {
    let (number, size) = Store::new(&Project::find()?.dx_dir()).clear()?;
    writeln!(
        out,
        "removed {}, {}",
        count(number, "cached value"),
        megabytes(size)
    )?;
    Ok(0)
}

fn megabytes(bytes: u64) -> String {
    format!("{:.1} MB", bytes as f64 / 1e6)
}

fn seconds(since_1970: i64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(u64::try_from(since_1970).unwrap_or(0))
}

/// How long ago it was, in the largest unit that fits.
fn age(time: SystemTime) -> String {
    let seconds = time.elapsed().unwrap_or_default().as_secs();
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3_600 => format!("{} min", seconds / 60),
        3_600..86_400 => format!("{} h", seconds / 3_600),
        _ => format!("{} d", seconds / 86_400),
    }
}
