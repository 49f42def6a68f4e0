//! Ages as Kubernetes prints them: two or three significant figures, the unit growing with the
//! length. Clients show these strings unchanged, so each threshold is part of the contract.

use jiff::SignedDuration;

const MINUTE: i64 = 60;
const HOUR: i64 = 60 * MINUTE;
const DAY_HOURS: i64 = 24;
const YEAR_DAYS: i64 = 365;

/// The longest length the reference knows (64 bits of nanoseconds), in seconds. Longer ones are
/// cut to it, so that an age of 300 years prints as `292y`.
const LONGEST: i64 = 9_223_372_036;

/// Prints a length in the long form: `90s`, `5m30s`, `3h5m`, `2d4h`, `3y20d`.
///
/// One second into the future still prints as `0s`, since clocks differ; more is `<invalid>`.
#[must_use]
pub fn human_duration(length: SignedDuration) -> String {
    let seconds = length.as_secs().clamp(-LONGEST, LONGEST);
    if seconds < -1 {
        return "<invalid>".to_owned();
    }
    let seconds = seconds.max(0);
    let (minutes, hours) = (seconds / MINUTE, seconds / HOUR);
    let days = hours / DAY_HOURS;
    if seconds < 2 * MINUTE {
        format!("{seconds}s")
    } else if minutes < 10 {
        pair(minutes, "m", seconds % 60, "s")
    } else if minutes < 3 * 60 {
        format!("{minutes}m")
    } else if hours < 8 {
        pair(hours, "h", minutes % 60, "m")
    } else if hours < 2 * DAY_HOURS {
        format!("{hours}h")
    } else if hours < 8 * DAY_HOURS {
        pair(days, "d", hours % DAY_HOURS, "h")
    } else if days < 2 * YEAR_DAYS {
        format!("{days}d")
    } else if days < 8 * YEAR_DAYS {
        pair(days / YEAR_DAYS, "y", days % YEAR_DAYS, "d")
    } else {
        format!("{}y", days / YEAR_DAYS)
    }
}

/// Prints a length with one unit only: `90s` is `1m`, two days and an hour are `2d`.
#[must_use]
pub fn short_human_duration(length: SignedDuration) -> String {
    let seconds = length.as_secs().clamp(-LONGEST, LONGEST);
    if seconds < -1 {
        return "<invalid>".to_owned();
    }
    let seconds = seconds.max(0);
    let (minutes, hours) = (seconds / MINUTE, seconds / HOUR);
    if seconds < MINUTE {
        format!("{seconds}s")
    } else if minutes < 60 {
        format!("{minutes}m")
    } else if hours < DAY_HOURS {
        format!("{hours}h")
    } else if hours < DAY_HOURS * YEAR_DAYS {
        format!("{}d", hours / DAY_HOURS)
    } else {
        format!("{}y", hours / DAY_HOURS / YEAR_DAYS)
    }
}

/// Leaves the smaller unit out when it is zero.
fn pair(large: i64, large_unit: &str, small: i64, small_unit: &str) -> String {
    if small == 0 {
        format!("{large}{large_unit}")
    } else {
        format!("{large}{large_unit}{small}{small_unit}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: i64 = 24 * HOUR;
    const YEAR: i64 = 365 * DAY;

    #[test]
    fn long_form_at_each_threshold() {
        let cases = [
            (-2, "<invalid>"),
            (-1, "0s"),
            (0, "0s"),
            (1, "1s"),
            (119, "119s"),
            (120, "2m"),
            (121, "2m1s"),
            (599, "9m59s"),
            (600, "10m"),
            (659, "10m"),
            (3 * HOUR - 1, "179m"),
            (3 * HOUR, "3h"),
            (3 * HOUR + 60, "3h1m"),
            (8 * HOUR - 1, "7h59m"),
            (8 * HOUR, "8h"),
            (2 * DAY - 1, "47h"),
            (2 * DAY, "2d"),
            (2 * DAY + HOUR, "2d1h"),
            (8 * DAY - 1, "7d23h"),
            (8 * DAY, "8d"),
            (2 * YEAR - 1, "729d"),
            (2 * YEAR, "2y"),
            (2 * YEAR + DAY, "2y1d"),
            (8 * YEAR - 1, "7y364d"),
            (8 * YEAR, "8y"),
            (300 * YEAR, "292y"),
        ];
        for (seconds, want) in cases {
            assert_eq!(human_duration(SignedDuration::from_secs(seconds)), want, "{seconds} s");
        }
    }

    #[test]
    fn fractions_are_cut_towards_zero() {
        for (millis, want) in [(-1999, "0s"), (-2000, "<invalid>"), (1999, "1s"), (119_999, "119s")]
        {
            assert_eq!(human_duration(SignedDuration::from_millis(millis)), want, "{millis} ms");
        }
    }

    #[test]
    fn short_form_at_each_threshold() {
        let cases = [
            (-2, "<invalid>"),
            (-1, "0s"),
            (59, "59s"),
            (60, "1m"),
            (HOUR - 1, "59m"),
            (HOUR, "1h"),
            (DAY - 1, "23h"),
            (DAY, "1d"),
            (YEAR - 1, "364d"),
            (YEAR, "1y"),
            (20 * YEAR, "20y"),
        ];
        for (seconds, want) in cases {
            assert_eq!(short_human_duration(SignedDuration::from_secs(seconds)), want);
        }
    }
}
