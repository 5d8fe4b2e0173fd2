//! What a process has from whoever started it.

use std::fs;

use rustix::fs::Mode;

/// What a process inherits and a fork can't be given: session and terminal, users and groups, masks of signals, processors,
/// privileges, control group, namespaces, priority.
pub(crate) fn surroundings() -> Vec<String> {
    const INHERITED: [&str; 11] = [
        "Uid",
        "Gid",
        "Groups",
        "SigBlk",
        "CapInh",
        "CapPrm",
        "CapEff",
        "NoNewPrivs",
        "Seccomp",
        "Cpus_allowed",
        "Mems_allowed",
    ];
    // Of this thread: the main one blocks all signals for as long as it starts another.
    let read =
        |name: &str| fs::read_to_string(format!("/proc/thread-self/{name}")).unwrap_or_default();
    let stat = read("stat");
    // The name of the program, in parentheses, may hold anything.
    let after = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
    let mut parts: Vec<String> = after
        .split_ascii_whitespace()
        .enumerate()
        // Session, terminal, nice.
        .filter(|(at, _)| matches!(at, 3 | 4 | 16))
        .map(|(_, field)| field.to_owned())
        .collect();
    let status = read("status");
    let is_inherited = |line: &&str| {
        line.split_once(':')
            .is_some_and(|(name, _)| INHERITED.contains(&name))
    };
    parts.extend(status.lines().filter(is_inherited).map(str::to_owned));
    // The signals 32 and 33 are the C library's own.
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let ignored = ignored.and_then(|bits| u64::from_str_radix(bits.trim(), 16).ok());
    parts.push(format!("{:x}", ignored.unwrap_or_default() & !(3 << 31)));
    parts.push(read("cgroup"));
    for name in ["mnt", "pid", "net", "user", "ipc", "uts"] {
        let space = fs::read_link(format!("/proc/self/ns/{name}")).unwrap_or_default();
        parts.push(space.to_string_lossy().into_owned());
    }
    parts
}

/// The process's umask: without a change of it where the system tells, since other threads may make files.
#[must_use]
pub fn umask() -> u32 {
    let status = fs::read_to_string("/proc/thread-self/status").unwrap_or_default();
    let told = status.lines().find_map(|line| line.strip_prefix("Umask:"));
    let told = told.and_then(|mask| u32::from_str_radix(mask.trim(), 8).ok());
    told.unwrap_or_else(|| {
        let mask = rustix::process::umask(Mode::empty());
        rustix::process::umask(mask);
        mask.bits()
    })
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn a_umask_is_told_as_a_shell_tells_it() {
        let shell = Command::new("sh").args(["-c", "umask"]).output().unwrap();
        let said = String::from_utf8_lossy(&shell.stdout);
        assert_eq!(umask(), u32::from_str_radix(said.trim(), 8).unwrap());
    }

    #[test]
    fn surroundings_are_the_same_in_a_thread() {
        let here = surroundings();
        assert!(!here.is_empty());
        for _ in 0..20 {
            assert_eq!(std::thread::spawn(surroundings).join().unwrap(), here);
        }
    }
}
