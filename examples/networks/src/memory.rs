//! How much memory a training may take.

use std::fs;

/// Bytes that the machine has to spare, where it says so.
pub(crate) fn available() -> Option<usize> {
    of(&fs::read_to_string("/proc/meminfo").ok()?)
}

fn of(meminfo: &str) -> Option<usize> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    let kibibytes: usize = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kibibytes.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_kernel_says_is_read() {
        assert_eq!(of("MemTotal: 9 kB\nMemAvailable:   1234 kB\nX: 1 kB\n"), Some(1234 * 1024));
        assert_eq!(of("MemTotal: 9 kB\n"), None);
        assert_eq!(of("MemAvailable: many kB\n"), None);
    }
}
