//! One event of the log group as a line for people: time, a small curve, the message.

use std::collections::VecDeque;

use serde_json::Value;

use crate::client::LogEvent;
use crate::terminal::{Paint, printable};
use crate::wall_clock;

/// Readings in the curve.
const CURVE_READINGS: usize = 12;

/// Steps of the curve, lowest first.
const STEPS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/// The smallest range that fills the curve, in degrees: noise should not look like weather.
const CURVE_RANGE_MIN: f64 = 1.0;

/// Writes lines, and remembers the last readings.
#[derive(Debug)]
pub(super) struct EventLine {
    paint: Paint,
    readings: VecDeque<f64>,
}

impl EventLine {
    pub(super) fn new(paint: Paint) -> Self {
        Self { paint, readings: VecDeque::new() }
    }

    /// The line of one event.
    pub(super) fn of(&mut self, event: &LogEvent) -> String {
        let time = self.paint.dim(&wall_clock::to_clock(event.timestamp));
        let temperature =
            serde_json::from_str::<Value>(&event.message).ok().and_then(|json| json["temp"].as_f64());
        let message = printable(&event.message);
        let Some(temperature) = temperature else {
            return format!("{time}  {message}");
        };
        if self.readings.len() == CURVE_READINGS {
            self.readings.pop_front();
        }
        self.readings.push_back(temperature);
        if !self.paint.is_on() {
            return format!("{time}  {message}");
        }
        let curve = format!("{:<CURVE_READINGS$}", curve(&self.readings));
        let degrees = format!("{temperature:5.1} °C");
        format!("{time}  {}  {}  {message}", self.paint.bold(&degrees), self.paint.cyan(&curve))
    }
}

fn curve(readings: &VecDeque<f64>) -> String {
    let lowest = readings.iter().copied().fold(f64::INFINITY, f64::min);
    let highest = readings.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let range = (highest - lowest).max(CURVE_RANGE_MIN);
    let steps = STEPS.len() - 1;
    // Rounded and clamped: the conversion cannot leave the table.
    let step = |reading: f64| ((reading - lowest) / range * steps as f64).round() as usize;
    readings.iter().map(|reading| STEPS[step(*reading).min(steps)]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_curve_spans_its_readings() {
        assert_eq!(curve(&[20.0, 23.5, 27.0].into()), "▁▅█");
        assert_eq!(curve(&[20.0, 20.1].into()), "▁▂", "a tenth of a degree is no mountain");
        assert_eq!(curve(&[].into()), "");
    }

    #[test]
    fn without_a_terminal_the_message_stands_alone_after_the_time() {
        // Tests do not run on a terminal, or NO_COLOR is as good.
        let mut line = EventLine::new(Paint::plain());
        let event = LogEvent {
            log_stream_name: "s".into(),
            timestamp: 1_679_781_014_810,
            ingestion_time: 0,
            message: r#"{"temp":27.5}"#.into(),
            event_id: "1".into(),
        };
        assert_eq!(line.of(&event), r#"21:50:14  {"temp":27.5}"#);
        assert_eq!(line.of(&LogEvent { message: "no JSON".into(), ..event }), "21:50:14  no JSON");
    }
}
