//! How much CPU time a worker has used: one that uses none waits for something.

use std::time::Duration;

/// The CPU time that the processes of a group have used so far, with those of their children that have ended; none if the system
/// doesn't tell.
#[cfg(target_os = "linux")]
pub fn time_of_group(group: i32) -> Option<Duration> {
    let processes = procfs::process::all_processes().ok()?;
    // One that ends meanwhile is left out.
    let stats = processes.filter_map(|process| process.ok()?.stat().ok());
    let of_group = stats.filter(|stat| stat.pgrp == group);
    let ticks: i64 = of_group
        .map(|stat| stat.utime as i64 + stat.stime as i64 + stat.cutime + stat.cstime)
        .sum();
    let per_second = procfs::ticks_per_second() as f64;
    Duration::try_from_secs_f64(ticks as f64 / per_second).ok()
}

/// The system doesn't tell.
#[cfg(not(target_os = "linux"))]
pub fn time_of_group(_group: i32) -> Option<Duration> {
    None
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn what_works_uses_time() {
        let group = rustix::process::getpgrp().as_raw_nonzero().get();
        let before = time_of_group(group).expect("Linux tells");
        let began = std::time::Instant::now();
        let mut sum = 0u64;
        while time_of_group(group).expect("Linux tells") == before {
            sum = std::hint::black_box(sum + 1);
            assert!(began.elapsed() < Duration::from_secs(60), "{sum}");
        }
        assert_eq!(time_of_group(i32::MAX), Some(Duration::ZERO));
    }
}
