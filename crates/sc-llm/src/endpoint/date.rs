//! Dates of HTTP headers, and of records.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

const MONTHS: [&str; 12] =
    ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
const DAY: i64 = 86_400;

/// Days from 1970-01-01 to a day of the Gregorian calendar.
fn days(year: i64, month: i64, day: i64) -> i64 {
    // Years that start in March end with the day that leap years add.
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
}

/// Year, month and day, that many days after 1970-01-01.
fn civil(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let era = days.div_euclid(146_097);
    let day_of_era = days.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let month = (shifted + 2) % 12 + 1;
    let year = era * 400 + year_of_era + i64::from(month <= 2);
    (year, month, day_of_year - (153 * shifted + 2) / 5 + 1)
}

/// A date of HTTP (RFC 9110, 5.6.7) in any of its three forms; none before 1970.
pub(super) fn from_http(text: &str) -> Option<SystemTime> {
    let words: Vec<&str> =
        text.split([' ', ',', '-']).filter(|word| !word.is_empty() && *word != "GMT").collect();
    // The day of the week comes first; the oldest form has the year last.
    let [_, first, second, third, fourth] = words.as_slice().try_into().ok()?;
    let (day, month, year, time) =
        if third.contains(':') { (second, first, fourth, third) } else { (first, second, third, fourth) };
    let number = |digits: &str| digits.parse::<u32>().ok().map(i64::from);
    let month = MONTHS.iter().position(|name| month.eq_ignore_ascii_case(name))? as i64 + 1;
    let year = match (number(year)?, year.len()) {
        (year, 4) => year,
        (year, 2) => year + if year < 70 { 2000 } else { 1900 },
        _ => return None,
    };
    let parts: Vec<i64> = time.split(':').map(number).collect::<Option<_>>()?;
    let [hour, minute, second] = parts.try_into().ok()?;
    let day = number(day)?;
    if !(1..=31).contains(&day) || hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    let seconds = days(year, month, day) * DAY + hour * 3600 + minute * 60 + second;
    Some(UNIX_EPOCH + Duration::from_secs(seconds.try_into().ok()?))
}

/// A time as RFC 3339 has it, with parts of seconds and any offset; none before 1970.
pub(super) fn from_rfc3339(text: &str) -> Option<SystemTime> {
    let (date, rest) = text.split_at_checked(10)?;
    let rest = rest.strip_prefix(['T', 't', ' '])?;
    let (time, rest) = rest.split_at_checked(8)?;
    let numbers = |text: &str, mark| -> Option<Vec<i64>> {
        let number =
            |part: &str| if part.starts_with('+') { None } else { part.parse::<u32>().ok().map(i64::from) };
        text.split(mark).map(number).collect()
    };
    let [year, month, day] = numbers(date, '-')?.try_into().ok()?;
    let [hour, minute, second] = numbers(time, ':')?.try_into().ok()?;
    let in_range =
        (1..=12).contains(&month) && (1..=31).contains(&day) && hour < 24 && minute < 60 && second <= 60;
    if !in_range {
        return None;
    }
    let digits = rest.strip_prefix('.').map_or(0, |rest| rest.bytes().take_while(u8::is_ascii_digit).count());
    let (part, offset) = if digits == 0 { ("0", rest) } else { (&rest[1..=digits], &rest[1 + digits..]) };
    let part: f64 = format!("0.{part}").parse().ok()?;
    let offset = match offset {
        "Z" | "z" => 0,
        other => {
            let sign = if other.starts_with('-') { -1 } else { 1 };
            let [hours, minutes] = numbers(other.strip_prefix(['+', '-'])?, ':')?.try_into().ok()?;
            if hours > 23 || minutes > 59 {
                return None;
            }
            sign * (hours * 3600 + minutes * 60)
        }
    };
    let seconds = days(year, month, day) * DAY + hour * 3600 + minute * 60 + second - offset;
    UNIX_EPOCH.checked_add(Duration::from_secs(seconds.try_into().ok()?) + Duration::from_secs_f64(part))
}

/// A time as RFC 3339 has it, in UTC and to the second: `2026-01-31T23:59:59Z`.
pub(super) fn rfc3339(time: SystemTime) -> String {
    let seconds = time.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    // Years of five digits are as far as a clock can be wrong.
    let seconds = i64::try_from(seconds).unwrap_or(0).min(DAY * 36_525_000);
    let (year, month, day) = civil(seconds / DAY);
    let (hour, minute, second) = (seconds % DAY / 3600, seconds % 3600 / 60, seconds % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_three_forms_of_http_are_the_same_time() {
        let known = UNIX_EPOCH + Duration::from_secs(784_111_777);
        for text in
            ["Sun, 06 Nov 1994 08:49:37 GMT", "Sunday, 06-Nov-94 08:49:37 GMT", "Sun Nov  6 08:49:37 1994"]
        {
            assert_eq!(from_http(text), Some(known), "{text}");
        }
        assert_eq!(rfc3339(known), "1994-11-06T08:49:37Z");
        for text in
            ["", "soon", "Sun, 06 Nov 1994", "Sun, 41 Nov 1994 08:49:37 GMT", "Sun, 06 Nov 1894 08:49:37 GMT"]
        {
            assert_eq!(from_http(text), None, "{text}");
        }
    }

    #[test]
    fn times_of_rfc_3339_are_read_with_offsets_and_parts_of_seconds() {
        let known = UNIX_EPOCH + Duration::from_secs(784_111_777);
        for text in ["1994-11-06T08:49:37Z", "1994-11-06t08:49:37.000z", "1994-11-06 10:19:37+01:30"] {
            assert_eq!(from_rfc3339(text), Some(known), "{text}");
        }
        assert_eq!(from_rfc3339("1994-11-05T23:49:37.25-09:00"), Some(known + Duration::from_millis(250)));
        assert_eq!(from_rfc3339(&rfc3339(known)), Some(known));
        for text in [
            "",
            "7",
            "1994-11-06",
            "1994-11-06T08:49:37",
            "1994-11-06T08:49:37.Z",
            "1994-11-06T08:49:37+1:",
            "1994-11-06T08:49:37+99:00",
            "1994-13-06T08:49:37Z",
            "1994-11-06T08:+9:37Z",
            "1969-12-31T23:59:59Z",
            "γγγγγγγγγγγγγγγγγγγγγ",
            "1994-11-06T08:49:37é",
        ] {
            assert_eq!(from_rfc3339(text), None, "{text}");
        }
    }

    #[test]
    fn days_are_counted_over_leap_years() {
        for (date, number) in
            [((1970, 1, 1), 0), ((2000, 2, 29), 11_016), ((2000, 3, 1), 11_017), ((2100, 3, 1), 47_541)]
        {
            assert_eq!(days(date.0, date.1, date.2), number);
            assert_eq!(civil(number), date);
        }
        assert!((0..200_000).all(|n| {
            let (year, month, day) = civil(n);
            days(year, month, day) == n
        }));
    }
}
