//! When an operator must look at how much disk a store takes. Not here: who measures it.

/// More than this times the live data on disk is an alarm.
const FACTOR_MAX: u64 = 6;
/// Below this a store is small whatever the factor.
const ALARM_FROM_BYTES: u64 = 256 * 1024 * 1024;

/// A sentence when the files are much larger than what they hold.
pub(crate) fn space_alarm(disk_bytes: u64, live_bytes: u64) -> Option<String> {
    let exceeded = disk_bytes > ALARM_FROM_BYTES && disk_bytes > live_bytes.saturating_mul(FACTOR_MAX);
    exceeded.then(|| {
        format!(
            "the store takes {} MiB on disk for {} MiB of data: copy it into a fresh directory (kontor store copy, or \
             backup and restore) to reclaim the space",
            disk_bytes >> 20,
            live_bytes >> 20
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_alarm_needs_large_files_and_little_data() {
        let mib = 1024 * 1024;
        assert_eq!(space_alarm(255 * mib, 1), None);
        assert_eq!(space_alarm(600 * mib, 100 * mib), None);
        let alarm = space_alarm(601 * mib, 100 * mib).unwrap();
        assert!(alarm.contains("601 MiB") && alarm.contains("100 MiB"), "{alarm}");
    }
}
