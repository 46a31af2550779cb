//! The two text formats: OpenMetrics 1.0, and Prometheus 0.0.4.

use std::fmt::Write;

/// What kind of figure it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// It goes up and down.
    Gauge,
    /// It only grows; its samples end in `_total`.
    Counter,
    /// Buckets, sum and count.
    Histogram,
    /// Always 1: the labels are the news. Its sample ends in `_info`.
    Info,
}

/// One figure.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    /// Behind the family's name: ``, `_total`, `_info`, `_bucket`, `_sum`, `_count`.
    pub suffix: &'static str,
    /// Name and value.
    pub labels: Vec<(&'static str, String)>,
    /// The figure.
    pub value: f64,
}

/// Figures of one name.
#[derive(Debug, Clone, PartialEq)]
pub struct Family {
    /// Without the suffix of its samples.
    pub name: &'static str,
    /// For people.
    pub help: &'static str,
    /// What kind it is.
    pub kind: Kind,
    /// The last word of the name, where that is a unit.
    pub unit: Option<&'static str>,
    /// In the order in which they are written.
    pub samples: Vec<Sample>,
}

/// How it is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// What a scraper asks for that knows it.
    OpenMetrics,
    /// What everything reads.
    Prometheus,
}

impl Format {
    /// By the Accept header.
    #[must_use]
    pub fn accepted(accept: &str) -> Self {
        if accept.contains("application/openmetrics-text") { Self::OpenMetrics } else { Self::Prometheus }
    }

    /// Of the answer.
    #[must_use]
    pub fn content_type(self) -> &'static str {
        match self {
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
            Self::Prometheus => "text/plain; version=0.0.4; charset=utf-8",
        }
    }
}

/// The whole text.
#[must_use]
pub fn write(families: &[Family], format: Format) -> String {
    let mut text = String::new();
    for family in families.iter().filter(|family| !family.samples.is_empty()) {
        head(family, format, &mut text);
        for sample in &family.samples {
            let labels: Vec<String> =
                sample.labels.iter().map(|(name, value)| format!("{name}=\"{}\"", escaped(value))).collect();
            let labels = if labels.is_empty() { String::new() } else { format!("{{{}}}", labels.join(",")) };
            let _ = writeln!(text, "{}{}{labels} {}", family.name, sample.suffix, sample.value);
        }
    }
    if format == Format::OpenMetrics {
        text.push_str("# EOF\n");
    }
    text
}

fn head(family: &Family, format: Format, text: &mut String) {
    let (kind, suffix) = match (family.kind, format) {
        (Kind::Gauge, _) => ("gauge", ""),
        (Kind::Histogram, _) => ("histogram", ""),
        (Kind::Counter, Format::OpenMetrics) => ("counter", ""),
        (Kind::Info, Format::OpenMetrics) => ("info", ""),
        // The older format knows no suffixes, and no kind of that name.
        (Kind::Counter, Format::Prometheus) => ("counter", "_total"),
        (Kind::Info, Format::Prometheus) => ("gauge", "_info"),
    };
    let name = format!("{}{suffix}", family.name);
    let _ = writeln!(text, "# HELP {name} {}\n# TYPE {name} {kind}", family.help);
    if let (Some(unit), Format::OpenMetrics) = (family.unit, format) {
        let _ = writeln!(text, "# UNIT {name} {unit}");
    }
}

fn escaped(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn families() -> Vec<Family> {
        let sample = |suffix, labels, value| Sample { suffix, labels, value };
        vec![
            Family {
                name: "x_size_bytes",
                help: "A size.",
                kind: Kind::Gauge,
                unit: Some("bytes"),
                samples: vec![sample("", vec![("name", "a\"\\\nb".to_owned())], 1.5)],
            },
            Family {
                name: "x_ended",
                help: "Ends.",
                kind: Kind::Counter,
                unit: None,
                samples: vec![sample("_total", Vec::new(), 3.0)],
            },
            Family { name: "x_none", help: "Nothing.", kind: Kind::Gauge, unit: None, samples: Vec::new() },
        ]
    }

    #[test]
    fn open_metrics_has_units_and_an_end() {
        let wanted = "# HELP x_size_bytes A size.\n# TYPE x_size_bytes gauge\n# UNIT x_size_bytes bytes\n\
            x_size_bytes{name=\"a\\\"\\\\\\nb\"} 1.5\n# HELP x_ended Ends.\n# TYPE x_ended counter\nx_ended_total 3\n# EOF\n";
        assert_eq!(write(&families(), Format::OpenMetrics), wanted);
    }

    #[test]
    fn the_older_format_names_a_counter_with_its_suffix() {
        let text = write(&families(), Format::Prometheus);
        assert!(text.contains("# TYPE x_ended_total counter\nx_ended_total 3\n"), "{text}");
        assert!(!text.contains("UNIT") && !text.contains("EOF") && !text.contains("x_none"));
    }

    #[test]
    fn a_scraper_gets_what_it_asks_for() {
        let prometheus = "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5,*/*;q=0.1";
        assert_eq!(Format::accepted(prometheus), Format::OpenMetrics);
        assert_eq!(Format::accepted("*/*"), Format::Prometheus);
    }
}
