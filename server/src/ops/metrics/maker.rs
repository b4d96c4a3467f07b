//! How a metric is made: our prefix, and registered once.

use prometheus::{
    Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, Opts, Registry,
};

/// Makes metrics with our prefix and registers them. Names are constants of this folder, so failure
/// is a bug that the first test finds.
pub(super) struct Maker(pub(super) Registry);

impl Maker {
    pub(super) fn register<M: prometheus::core::Collector + Clone + 'static>(
        &self,
        metric: Result<M, prometheus::Error>,
    ) -> M {
        let metric = metric.expect("a well-formed name");
        self.0
            .register(Box::new(metric.clone()))
            .expect("a name used once");
        metric
    }

    pub(super) fn gauge(&self, name: &str, help: &str) -> IntGauge {
        self.register(IntGauge::new(format!("vetrina_{name}"), help))
    }

    pub(super) fn counter(&self, name: &str, help: &str) -> IntCounter {
        self.register(IntCounter::new(format!("vetrina_{name}"), help))
    }

    pub(super) fn counters(&self, name: &str, help: &str, label: &str) -> IntCounterVec {
        self.register(IntCounterVec::new(
            Opts::new(format!("vetrina_{name}"), help),
            &[label],
        ))
    }

    pub(super) fn histogram(&self, name: &str, help: &str, buckets: Vec<f64>) -> Histogram {
        let options = HistogramOpts::new(format!("vetrina_{name}"), help).buckets(buckets);
        self.register(Histogram::with_opts(options))
    }

    pub(super) fn requests(&self) -> HistogramVec {
        let options = HistogramOpts::new(
            "vetrina_http_request_duration_seconds",
            "Time to answer a request, by route template.",
        )
        .buckets(vec![0.001, 0.005, 0.02, 0.1, 0.5, 2.0, 10.0]);
        self.register(HistogramVec::new(options, &["method", "route", "status"]))
    }
}
