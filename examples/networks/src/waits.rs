//! What a server makes a program wait for, on its bar.

use indicatif::ProgressBar;
use sc_llm::endpoint::{Event, Record};

/// The record of a request that is done, one step further. Of any other event the bar says what is waited for, until the
/// next record.
///
/// * `task`: what the bar says otherwise.
pub(crate) fn record<'e>(event: &Event<'e>, bar: &ProgressBar, task: &str) -> Option<&'e Record> {
    match event {
        Event::Done(record) => {
            bar.inc(1);
            bar.set_message(task.to_owned());
            return Some(record);
        }
        Event::Retry { error, pause, .. } => {
            bar.set_message(format!("{task} (asks again in {}: {error})", seconds(pause.as_secs_f64())));
        }
        Event::Waiting { pause, .. } => {
            let pause = seconds(pause.as_secs_f64());
            bar.set_message(format!("{task} (the server takes no more for up to {pause})"));
        }
        _ => {}
    }
    None
}

fn seconds(seconds: f64) -> String {
    if seconds < 10.0 { format!("{seconds:.1} s") } else { format!("{seconds:.0} s") }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_bar_says_what_is_waited_for_until_the_next_answer() {
        let bar = ProgressBar::hidden();
        let (id, pause) = ("cell", Duration::from_millis(41_600));
        assert!(record(&Event::Waiting { id, pause }, &bar, "markers").is_none());
        assert_eq!(bar.message(), "markers (the server takes no more for up to 42 s)");
        let error = sc_llm::endpoint::Error::Stopped;
        let event = Event::Retry { id, error: &error, pause: Duration::from_millis(1_500) };
        assert!(record(&event, &bar, "markers").is_none());
        assert_eq!(bar.message(), format!("markers (asks again in 1.5 s: {error})"));
        assert_eq!(bar.position(), 0);
    }
}
