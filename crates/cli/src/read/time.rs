//! Times as logs write them.

/// Nanoseconds since 1970 in UTC, of an RFC 3339 time or of a number of seconds, milliseconds, micro- or
/// nanoseconds since then. `None` for everything else, and before 1970.
#[must_use]
pub fn nanoseconds(text: &str) -> Option<u64> {
    rfc_3339(text).or_else(|| since_1970(text))
}

fn rfc_3339(text: &str) -> Option<u64> {
    let bytes = text.as_bytes();
    let number = |from: usize, to: usize| digits(text.get(from..to)?);
    let separated = [(4, b'-'), (7, b'-'), (13, b':'), (16, b':')];
    if separated.iter().any(|(at, byte)| bytes.get(*at) != Some(byte))
        || !matches!(bytes.get(10), Some(b'T' | b't' | b' '))
    {
        return None;
    }
    let (year, month, day) = (number(0, 4)?, number(5, 7)?, number(8, 10)?);
    let (hour, minute, second) = (number(11, 13)?, number(14, 16)?, number(17, 19)?);
    let plausible = (1970..=9999).contains(&year)
        && (1..=12).contains(&month)
        && (1..=31).contains(&day)
        && hour < 24
        && minute < 60
        && second <= 60;
    if !plausible {
        return None;
    }
    let rest = text.get(19..)?;
    let (fraction, zone) = match rest.strip_prefix('.') {
        Some(rest) => {
            let end = rest.find(|it: char| !it.is_ascii_digit()).unwrap_or(rest.len());
            rest.split_at_checked(end)?
        }
        None => ("", rest),
    };
    let seconds = days(year, month, day) * 86_400 + hour * 3600 + minute * 60 + second;
    let seconds = i64::try_from(seconds).ok()? - offset(zone)?;
    let nanoseconds = u64::try_from(seconds).ok()?.checked_mul(1_000_000_000)?;
    nanoseconds.checked_add(scaled(fraction))
}

/// Days from 1970 to a day of the proleptic Gregorian calendar.
fn days(year: u64, month: u64, day: u64) -> u64 {
    let (year, month) = if month <= 2 { (year - 1, month + 9) } else { (year, month - 3) };
    let (era, year) = (year / 400, year % 400);
    let day = (153 * month + 2) / 5 + day - 1;
    era * 146_097 + year * 365 + year / 4 - year / 100 + day - 719_468
}

/// Seconds east of UTC.
fn offset(zone: &str) -> Option<i64> {
    let (sign, rest) = match zone.as_bytes() {
        [b'Z' | b'z'] => return Some(0),
        [b'+', ..] => (1, zone.get(1..)?),
        [b'-', ..] => (-1, zone.get(1..)?),
        _ => return None,
    };
    let hours = digits(rest.get(..2)?)?;
    let minutes = digits(rest.get(2..)?.trim_start_matches(':'))?;
    (hours < 24 && minutes < 60)
        .then(|| i64::try_from(hours * 3600 + minutes * 60).ok())?
        .map(|it| sign * it)
}

/// `.5` of a second in nanoseconds.
fn scaled(fraction: &str) -> u64 {
    let digits = fraction.bytes().chain(std::iter::repeat(b'0')).take(9);
    digits.fold(0, |sum, digit| sum * 10 + u64::from(digit.saturating_sub(b'0')))
}

/// A number of seconds with a fraction, or a whole number whose size says its unit.
fn since_1970(text: &str) -> Option<u64> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    if !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let number = digits(whole)?;
    match whole.len() {
        9 | 10 => number.checked_mul(1_000_000_000)?.checked_add(scaled(fraction)),
        12 | 13 => number.checked_mul(1_000_000),
        15 | 16 => number.checked_mul(1000),
        18 | 19 => Some(number),
        _ => None,
    }
}

fn digits(text: &str) -> Option<u64> {
    let all = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    all.then(|| text.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_with_any_fraction_and_zone() {
        let at = |text| nanoseconds(text).unwrap();
        assert_eq!(at("1970-01-01T00:00:00Z"), 0);
        assert_eq!(at("2000-02-29T00:00:00.000Z"), 951_782_400_000_000_000);
        assert_eq!(at("2026-11-21T19:47:38.123456789Z"), 1_795_290_458_123_456_789);
        assert_eq!(at("2026-11-21T20:47:38.1+01:00"), 1_795_290_458_100_000_000);
        assert_eq!(at("2026-11-21T14:17:38-05:30"), 1_795_290_458_000_000_000);
        assert_eq!(at("2100-03-01T00:00:00Z"), 4_107_542_400_000_000_000);
    }

    #[test]
    fn a_number_says_its_unit_by_its_size() {
        assert_eq!(nanoseconds("1795290458"), Some(1_795_290_458_000_000_000));
        assert_eq!(nanoseconds("1795290458.5"), Some(1_795_290_458_500_000_000));
        assert_eq!(nanoseconds("1795290458123"), Some(1_795_290_458_123_000_000));
        assert_eq!(nanoseconds("1795290458123456"), Some(1_795_290_458_123_456_000));
        assert_eq!(nanoseconds("1795290458123456789"), Some(1_795_290_458_123_456_789));
    }

    #[test]
    fn what_is_no_time_is_none() {
        for text in [
            "",
            "-",
            "now",
            "2026-13-01T00:00:00Z",
            "2026-11-21",
            "12",
            "2026-11-21T19:47:38",
            "2026-11-21T19:47:38+",
        ] {
            assert_eq!(nanoseconds(text), None, "{text}");
        }
    }
}
