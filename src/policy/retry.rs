//! When a failed attempt is repeated.

use super::settings::Retry;

/// The wait before attempt `attempt + 1`, in milliseconds: `first_ms` doubled with each attempt up to `max_ms`, of which
/// the upper half is left to chance so that what failed together does not come back together ("equal jitter", M. Brooker,
/// "Exponential Backoff And Jitter", AWS Architecture Blog 2015). `chance` is a random number.
pub fn backoff_ms(retry: &Retry, attempt: u32, chance: u64) -> u64 {
    let doublings = attempt.saturating_sub(1).min(63);
    let full = retry.first_ms.saturating_mul(1_u64 << doublings).min(retry.max_ms);
    let half = full / 2;
    full - half + if half == 0 { 0 } else { chance % (half + 1) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_the_longest_and_keep_at_least_half() {
        let retry = Retry { attempts: 5, first_ms: 200, max_ms: 30_000 };
        for (attempt, full) in [(1, 200), (2, 400), (3, 800), (4, 1600), (9, 30_000), (64, 30_000), (u32::MAX, 30_000)]
        {
            assert_eq!(backoff_ms(&retry, attempt, 0), full / 2);
            let all: Vec<u64> = (0..=full / 2).map(|chance| backoff_ms(&retry, attempt, chance)).collect();
            assert_eq!(all.iter().max(), Some(&full));
            assert!(all.iter().all(|ms| (full / 2..=full).contains(ms)));
        }
        assert_eq!(backoff_ms(&Retry { attempts: 1, first_ms: 0, max_ms: 0 }, 3, 17), 0);
    }
}
