//! Spans: where one begins, what it says, and what is a part of it.

use std::borrow::Cow;

use model::TraceParent;
use opentelemetry::context::FutureExt as _;
use opentelemetry::trace::{
    SpanBuilder, SpanContext, SpanId, SpanKind, Status, TraceContextExt as _, TraceFlags, TraceId, TraceState,
};
use opentelemetry::{Context, KeyValue, Value};
use opentelemetry_sdk::trace::SdkTracer;

/// Makes spans; none that says anything where there is no collector.
#[derive(Clone, Default)]
pub(crate) struct Traces(Option<SdkTracer>);

impl Traces {
    pub(super) fn by(tracer: SdkTracer) -> Self {
        Self(Some(tracer))
    }

    /// Begins what is part of nothing here, below a span of somebody else's where there is one.
    pub(crate) fn begin(
        &self,
        name: impl Into<Cow<'static, str>>,
        kind: SpanKind,
        parent: Option<TraceParent>,
    ) -> Span {
        let Some(tracer) = &self.0 else { return Span(None) };
        let context = Context::new().with_value(tracer.clone());
        let context = match parent {
            Some(parent) => context.with_remote_span_context(remote(parent)),
            None => context,
        };
        Span::below(&context, tracer, name, kind)
    }
}

/// Something that takes time. It ends when it is dropped.
#[must_use]
pub(crate) struct Span(Option<Context>);

impl Span {
    /// Begins a part of what is under way here; nothing where that is not traced.
    pub(crate) fn part(name: impl Into<Cow<'static, str>>, kind: SpanKind) -> Self {
        let here = Context::current();
        match here.get::<SdkTracer>() {
            Some(tracer) => Self::below(&here, tracer, name, kind),
            None => Self(None),
        }
    }

    fn below(
        context: &Context,
        tracer: &SdkTracer,
        name: impl Into<Cow<'static, str>>,
        kind: SpanKind,
    ) -> Self {
        let span = SpanBuilder::from_name(name).with_kind(kind).start_with_context(tracer, context);
        Self(Some(context.with_span(span)))
    }

    /// Says something of it.
    pub(crate) fn set(&self, key: &'static str, value: impl Into<Value>) {
        if let Some(context) = &self.0 {
            context.span().set_attribute(KeyValue::new(key, value));
        }
    }

    /// Says that something happened in it now.
    pub(crate) fn event(&self, name: &'static str) {
        if let Some(context) = &self.0 {
            context.span().add_event(name, Vec::new());
        }
    }

    /// Says that it failed, and how: one of a few words, which are nobody's own (`error.type`).
    pub(crate) fn fail(&self, kind: impl Into<Cow<'static, str>>) {
        if let Some(context) = &self.0 {
            let kind: Cow<'static, str> = kind.into();
            context.span().set_attribute(KeyValue::new("error.type", Value::String(kind.into())));
            context.span().set_status(Status::error(""));
        }
    }

    /// The same work, whose parts are parts of this.
    pub(crate) fn around<F: Future>(&self, work: F) -> impl Future<Output = F::Output> + use<F> {
        work.with_context(self.0.clone().unwrap_or_else(Context::current))
    }

    /// What somebody else is told, so that what they do is below this.
    pub(crate) fn parent(&self) -> Option<TraceParent> {
        let context = self.0.as_ref()?;
        let span = context.span();
        let span = span.span_context();
        let (trace, id) = (u128::from_be_bytes(span.trace_id().to_bytes()), span.span_id().to_bytes());
        TraceParent::new(trace, u64::from_be_bytes(id), span.is_sampled()).ok()
    }
}

impl Drop for Span {
    fn drop(&mut self) {
        if let Some(context) = &self.0 {
            context.span().end();
        }
    }
}

/// The same work, done elsewhere as a part of what is under way here.
pub(crate) fn carried<F: Future>(work: F) -> impl Future<Output = F::Output> + use<F> {
    work.with_current_context()
}

fn remote(parent: TraceParent) -> SpanContext {
    let flags = TraceFlags::default().with_sampled(parent.is_sampled());
    let (trace, span) = (TraceId::from(parent.trace()), SpanId::from(parent.span()));
    SpanContext::new(trace, span, flags, true, TraceState::NONE)
}
