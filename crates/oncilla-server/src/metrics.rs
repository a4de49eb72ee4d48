//! What the server counts, and how `/-/metrics` shows it.

use std::fmt;
use std::time::Duration;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

/// The content type of what [`Metrics::encode`] writes: OpenMetrics text, which Prometheus reads.
pub const METRICS_CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Upper bounds of the latency histograms in seconds. They double from 250 µs (a small GET takes
/// less) to 8 s, then reach 64 s: part uploads over slow lines take longer, but how much longer is
/// a property of the line.
const LATENCY_BOUNDS_SECONDS: [f64; 18] = [
    0.00025, 0.0005, 0.001, 0.002, 0.004, 0.008, 0.016, 0.032, 0.064, 0.125, 0.25, 0.5, 1.0, 2.0,
    4.0, 8.0, 16.0, 64.0,
];

/// Figures that are read when the metrics page is asked for.
pub type Collectors = Vec<Box<dyn Collector>>;

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RequestLabels {
    operation: &'static str,
    status_class: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OperationLabels {
    operation: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ErrorLabels {
    operation: &'static str,
    code: &'static str,
}

type LatencyHistograms = Family<RequestLabels, Histogram, fn() -> Histogram>;

/// The server's counters. All labels come from the program, so their number is bounded.
pub struct Metrics {
    registry: Registry,
    request_seconds: LatencyHistograms,
    request_bytes: Family<OperationLabels, Counter>,
    response_bytes: Family<OperationLabels, Counter>,
    errors: Family<ErrorLabels, Counter>,
    /// Requests whose client went away before the answer was complete.
    pub requests_aborted: Counter,
    /// Requests being handled, or whose answer is on its way.
    pub requests_in_flight: Gauge,
    /// Requests refused with `SlowDown` because too many were in flight.
    pub requests_refused: Counter,
    /// Open client connections.
    pub connections_open: Gauge,
    /// Connections accepted.
    pub connections_accepted: Counter,
    /// Connections refused because too many were open.
    pub connections_refused: Counter,
    /// TLS handshakes that failed or took too long.
    pub tls_handshakes_failed: Counter,
    /// Bytes reserved from the memory budget for request buffers.
    pub memory_reserved_bytes: Gauge,
}

/// What is counted of one request when it is over.
#[derive(Clone, Copy, Debug)]
pub struct RequestMeasure {
    /// S3's name of the operation.
    pub operation: &'static str,
    /// The status that was answered; `None` if the client went away before.
    pub status: Option<u16>,
    /// S3's error code, if the answer was an error.
    pub error_code: Option<&'static str>,
    /// From the end of the head to the end of the answer.
    pub duration: Duration,
    /// Bytes of the request's body.
    pub received_bytes: u64,
    /// Bytes of the answer's body.
    pub sent_bytes: u64,
}

impl Metrics {
    /// Counters at zero.
    pub fn new() -> Self {
        let mut metrics = Self {
            registry: Registry::with_prefix("oncilla"),
            request_seconds: Family::new_with_constructor(latency_histogram),
            request_bytes: Family::default(),
            response_bytes: Family::default(),
            errors: Family::default(),
            requests_aborted: Counter::default(),
            requests_in_flight: Gauge::default(),
            requests_refused: Counter::default(),
            connections_open: Gauge::default(),
            connections_accepted: Counter::default(),
            connections_refused: Counter::default(),
            tls_handshakes_failed: Counter::default(),
            memory_reserved_bytes: Gauge::default(),
        };
        metrics.register();
        metrics
    }

    fn register(&mut self) {
        let registry = &mut self.registry;
        registry.register_with_unit(
            "http_request_duration",
            "From the end of a request's head to the end of its answer",
            Unit::Seconds,
            self.request_seconds.clone(),
        );
        registry.register(
            "http_request_body_bytes",
            "Bytes of request bodies, as they came",
            self.request_bytes.clone(),
        );
        registry.register(
            "http_response_body_bytes",
            "Bytes of the bodies of answers",
            self.response_bytes.clone(),
        );
        registry.register(
            "errors",
            "Answers with an S3 error code",
            self.errors.clone(),
        );
        registry.register(
            "http_requests_aborted",
            "Requests whose client went away before the answer was complete",
            self.requests_aborted.clone(),
        );
        registry.register(
            "http_requests_in_flight",
            "Requests being handled or answered",
            self.requests_in_flight.clone(),
        );
        registry.register(
            "http_requests_refused",
            "Requests refused with SlowDown because too many were in flight",
            self.requests_refused.clone(),
        );
        registry.register(
            "connections_open",
            "Open client connections",
            self.connections_open.clone(),
        );
        registry.register(
            "connections_accepted",
            "Client connections accepted",
            self.connections_accepted.clone(),
        );
        registry.register(
            "connections_refused",
            "Client connections refused because too many were open",
            self.connections_refused.clone(),
        );
        registry.register(
            "tls_handshakes_failed",
            "TLS handshakes that failed or took too long",
            self.tls_handshakes_failed.clone(),
        );
        registry.register(
            "request_memory_reserved_bytes",
            "Memory reserved for request buffers",
            self.memory_reserved_bytes.clone(),
        );
    }

    /// Adds figures that are read when the page is asked for (see [`crate::metrics_collectors`]).
    /// Call before the metrics are shared.
    pub fn register_collector(&mut self, collector: Box<dyn Collector>) {
        self.registry.register_collector(collector);
    }

    /// Counts a request that is over.
    pub fn observe(&self, measure: RequestMeasure) {
        let operation = measure.operation;
        let labels = OperationLabels { operation };
        if measure.received_bytes > 0 {
            self.request_bytes
                .get_or_create(&labels)
                .inc_by(measure.received_bytes);
        }
        if measure.sent_bytes > 0 {
            self.response_bytes
                .get_or_create(&labels)
                .inc_by(measure.sent_bytes);
        }
        if let Some(code) = measure.error_code {
            self.errors
                .get_or_create(&ErrorLabels { operation, code })
                .inc();
        }
        let Some(status) = measure.status else {
            self.requests_aborted.inc();
            return;
        };
        let labels = RequestLabels {
            operation,
            status_class: status_class(status),
        };
        self.request_seconds
            .get_or_create(&labels)
            .observe(measure.duration.as_secs_f64());
    }

    /// The page.
    ///
    /// # Errors
    /// When a collector cannot write its figures.
    pub fn encode(&self) -> Result<String, fmt::Error> {
        let mut page = String::new();
        prometheus_client::encoding::text::encode(&mut page, &self.registry)?;
        Ok(page)
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Metrics").finish_non_exhaustive()
    }
}

fn latency_histogram() -> Histogram {
    Histogram::new(LATENCY_BOUNDS_SECONDS)
}

fn status_class(status: u16) -> &'static str {
    match status {
        100..=199 => "1xx",
        200..=299 => "2xx",
        300..=399 => "3xx",
        400..=499 => "4xx",
        _ => "5xx",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_shows_what_was_counted() {
        let metrics = Metrics::new();
        metrics.observe(RequestMeasure {
            operation: "GetObject",
            status: Some(206),
            error_code: None,
            duration: Duration::from_millis(3),
            received_bytes: 0,
            sent_bytes: 7,
        });
        metrics.observe(RequestMeasure {
            operation: "PutObject",
            status: Some(403),
            error_code: Some("AccessDenied"),
            duration: Duration::from_millis(1),
            received_bytes: 5,
            sent_bytes: 0,
        });
        let page = metrics.encode().unwrap();
        for line in [
            "oncilla_http_request_duration_seconds_bucket{le=\"0.002\",operation=\"GetObject\",status_class=\"2xx\"} 0",
            "oncilla_http_request_duration_seconds_bucket{le=\"0.004\",operation=\"GetObject\",status_class=\"2xx\"} 1",
            "oncilla_http_response_body_bytes_total{operation=\"GetObject\"} 7",
            "oncilla_http_request_body_bytes_total{operation=\"PutObject\"} 5",
            "oncilla_errors_total{operation=\"PutObject\",code=\"AccessDenied\"} 1",
        ] {
            assert!(
                page.lines().any(|found| found == line),
                "{line}\nis not in\n{page}"
            );
        }
    }
}
