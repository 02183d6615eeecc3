//! Logs and metrics: how they are set up. What is logged and counted is in `event.rs`, under the names of `names.rs`.
//!
//! A leaf: nothing here knows A2A. Logs go to standard error; metrics are rendered for whoever asks.

mod call_line;
pub mod event;
pub mod names;
#[cfg(test)]
pub(crate) mod told;
mod writer;

use std::io::IsTerminal as _;
use std::time::Duration;

use call_line::CallLines;
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle, PrometheusRecorder};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

pub use writer::{LogGuard, LogWriter};

/// How often [`Metrics::upkeep`] is to be called. Histograms gather single values until then; nobody may be scraping.
pub const UPKEEP: Duration = Duration::from_secs(5);

/// The form of a log line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object per line.
    Json,
}

impl LogFormat {
    /// The names in the configuration.
    pub const NAMES: [&'static str; 2] = ["text", "json"];

    /// Reads a name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        match name {
            "text" => Some(Self::Text),
            "json" => Some(Self::Json),
            _ => None,
        }
    }
}

/// Why logs or metrics cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The filter cannot be read.
    #[error("not a log level or filter: {0}")]
    Filter(String),
    /// Something else has taken the process's log.
    #[error("the log is set up already")]
    Log(#[from] tracing_subscriber::util::TryInitError),
    /// Something else has taken the process's metrics.
    #[error("the metrics are set up already")]
    Metrics,
}

/// Sets up the process's log. `filter` is a level or levels by module (see [`is_filter`]); the variable `RUST_LOG`, set
/// by whoever looks into something, wins over it. Lines are kept back for a moment: hold what this gives until the end.
///
/// # Errors
/// For a wrong filter, and if the log is set up already.
pub fn init_log(format: LogFormat, filter: &str) -> Result<LogGuard, Error> {
    let rust_log = std::env::var("RUST_LOG").unwrap_or_default();
    let filter = if rust_log.is_empty() {
        filter
    } else {
        &rust_log
    };
    let colours = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    let (writer, guard) = LogWriter::new(std::io::stderr());
    let subscriber = subscriber(format, filter, colours, writer)?;
    subscriber.try_init()?;
    Ok(guard)
}

/// A log that writes to `writer`.
///
/// # Errors
/// For a wrong filter.
pub fn subscriber<W>(
    format: LogFormat,
    filter: &str,
    colours: bool,
    writer: W,
) -> Result<Box<dyn tracing::Subscriber + Send + Sync>, Error>
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    if !is_filter(filter) {
        return Err(Error::Filter(filter.to_owned()));
    }
    let filter = EnvFilter::builder()
        .with_default_directive(LevelFilter::OFF.into())
        .parse(filter)
        .map_err(|_| Error::Filter(filter.to_owned()))?;
    let registry = tracing_subscriber::registry().with(filter);
    let layer = tracing_subscriber::fmt::layer().with_writer(writer);
    Ok(match format {
        LogFormat::Text => Box::new(registry.with(layer.with_ansi(colours))),
        LogFormat::Json => Box::new(
            registry.with(
                layer
                    .json()
                    .flatten_event(true)
                    .with_current_span(false)
                    .with_span_list(false)
                    .map_event_format(CallLines::beside),
            ),
        ),
    })
}

/// Whether this is a level, or levels by module separated by commas. The log library takes any word for a module's
/// name; a misspelt level would silence the log.
#[must_use]
pub fn is_filter(text: &str) -> bool {
    // An empty word would be taken for `error`.
    let known = |part: &str| {
        part.contains(['=', '[']) || (!part.is_empty() && part.parse::<LevelFilter>().is_ok())
    };
    text.split(',').all(known) && EnvFilter::builder().parse(text).is_ok()
}

/// The process's metrics. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Metrics {
    handle: PrometheusHandle,
}

impl Metrics {
    /// Sets up the process's metrics and describes them.
    ///
    /// # Errors
    /// If they are set up already.
    pub fn install() -> Result<Self, Error> {
        let (recorder, metrics) = Self::recorder();
        metrics::set_global_recorder(recorder).map_err(|_| Error::Metrics)?;
        names::describe();
        metrics::gauge!(names::BUILD_INFO, names::VERSION => env!("CARGO_PKG_VERSION")).set(1.0);
        Ok(metrics)
    }

    /// A recorder and what reads it, for tests that share a process.
    #[must_use]
    pub fn recorder() -> (PrometheusRecorder, Self) {
        let builder = PrometheusBuilder::new();
        // It fails for an empty list only.
        let builder = builder
            .set_buckets(&names::SECONDS)
            .unwrap_or_else(|_| PrometheusBuilder::new());
        let recorder = builder.build_recorder();
        let handle = recorder.handle();
        (recorder, Self { handle })
    }

    /// All metrics in the text format of Prometheus.
    #[must_use]
    pub fn render(&self) -> String {
        self.handle.render()
    }

    /// Sorts what histograms have gathered into their buckets; to be called every [`UPKEEP`].
    pub fn upkeep(&self) {
        self.handle.run_upkeep();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_misspelt_level_is_no_filter() {
        for good in ["info", "off", "DEBUG", "info,a2a_sidecar::sink=debug"] {
            assert!(is_filter(good), "{good}");
        }
        for bad in [
            "",
            "warn, hyper=off",
            "infos",
            "verbose",
            "info,",
            "info,loud",
            "a2a_sidecar=loud",
        ] {
            assert!(!is_filter(bad), "{bad}");
        }
    }

    #[test]
    fn every_metric_is_described_under_its_name() {
        let (recorder, metrics) = Metrics::recorder();
        metrics::with_local_recorder(&recorder, || {
            names::describe();
            for name in names::ALL {
                // Described metrics are rendered once they have a value.
                if name.ends_with("_total") {
                    metrics::counter!(name).increment(1);
                } else if name.ends_with("_seconds") {
                    metrics::histogram!(name).record(1.0);
                } else {
                    metrics::gauge!(name).set(1.0);
                }
            }
        });
        let text = metrics.render();
        for name in names::ALL {
            assert!(
                text.contains(&format!("# HELP {name} ")),
                "{name} in:\n{text}"
            );
            assert!(name.starts_with("a2a_sidecar_"), "{name}");
        }
        assert!(
            text.contains("a2a_sidecar_call_seconds_bucket{le=\"1\"} 1"),
            "{text}"
        );
        assert!(
            text.contains("a2a_sidecar_call_seconds_bucket{le=\"0.5\"} 0"),
            "{text}"
        );
    }
}
