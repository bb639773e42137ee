//! Telling a share of the traces. The SDK's own sampler looks at the bits of an id in which a call's id, which its trace has, is never
//! evenly spread.

use opentelemetry::trace::{Link, SpanKind, TraceContextExt as _, TraceId, TraceState};
use opentelemetry::{Context, KeyValue};
use opentelemetry_sdk::trace::{SamplingDecision, SamplingResult, ShouldSample};

/// How many of an id's bits are random for each call: the last ones. Before them is a count within the millisecond (RFC 9562, section 6.2).
const RANDOM_BITS: u32 = 32;

/// The share of the traces that is told; the same ones everywhere where the share is the same.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Share {
    below: u128,
}

impl Share {
    /// From nothing, 0, to everything, 1. `None` for what is no share.
    pub fn of(ratio: f64) -> Option<Self> {
        let all = (1_u128 << RANDOM_BITS) as f64;
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "it is a share of what fits"
        )]
        (0.0..=1.0).contains(&ratio).then_some(Self { below: (ratio * all) as u128 })
    }
}

impl Default for Share {
    /// Everything.
    fn default() -> Self {
        Self { below: 1 << RANDOM_BITS }
    }
}

impl ShouldSample for Share {
    fn should_sample(
        &self,
        parent: Option<&Context>,
        trace: TraceId,
        _name: &str,
        _kind: &SpanKind,
        _attributes: &[KeyValue],
        _links: &[Link],
    ) -> SamplingResult {
        // What is a part of something here is told where that is.
        let here =
            parent.filter(|parent| parent.has_active_span() && !parent.span().span_context().is_remote());
        let random = u128::from_be_bytes(trace.to_bytes()) & ((1 << RANDOM_BITS) - 1);
        let told = here.map_or(random < self.below, |parent| parent.span().span_context().is_sampled());
        SamplingResult {
            decision: if told { SamplingDecision::RecordAndSample } else { SamplingDecision::Drop },
            attributes: Vec::new(),
            trace_state: TraceState::NONE,
        }
    }
}

#[cfg(test)]
mod tests {
    use model::{CallId, TraceParent};

    use super::*;

    fn told(share: Share, trace: u128) -> bool {
        let kind = SpanKind::Server;
        let result = share.should_sample(None, TraceId::from(trace), "", &kind, &[], &[]);
        result.decision == SamplingDecision::RecordAndSample
    }

    #[test]
    fn a_share_of_the_calls_is_told() {
        let calls: Vec<u128> = (0..4000).map(|_| TraceParent::of_call(CallId::new()).trace()).collect();
        for ratio in [0.0, 0.1, 0.5, 0.9, 1.0] {
            let share = Share::of(ratio).expect("a share");
            let count = calls.iter().filter(|call| told(share, **call)).count();
            // The square root of a number of coin tosses is 32 here: ten times that is never seen.
            let expected = 4000.0 * ratio;
            assert!((count as f64 - expected).abs() <= 320.0, "{count} of 4000 for {ratio}");
            assert!(ratio > 0.0 && ratio < 1.0 || count as f64 == expected, "all or nothing: {count}");
        }
        for bad in [-0.1, 1.1, f64::NAN, f64::INFINITY] {
            assert_eq!(Share::of(bad), None);
        }
    }
}
