//! Trace contexts (W3C Trace Context): by which a call is found again at everybody who took part in it.

use crate::CallId;

/// Longer texts are not read, in bytes: later versions of the format may be longer than this one's 55.
const LONGEST: usize = 256;
/// The length of the four parts that every version has, in bytes.
const PARTS: usize = 55;

/// Which trace something belongs to, and below which of its spans. Whoever sends one chooses it: it finds, and proves nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TraceParent {
    trace: u128,
    span: u64,
    sampled: bool,
}

/// Why a text is no `traceparent`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TraceFault {
    /// Not the four parts in small hexadecimal digits.
    #[error("a traceparent is 00-TRACE-SPAN-FLAGS in small hexadecimal digits")]
    Form,
    /// The version `ff`, which there never is.
    #[error("a traceparent never has the version ff")]
    Version,
    /// An id of zeros alone.
    #[error("the ids of a traceparent are not zero")]
    Zero,
}

impl TraceParent {
    /// Of these ids.
    ///
    /// # Errors
    /// [`TraceFault::Zero`].
    pub fn new(trace: u128, span: u64, sampled: bool) -> Result<Self, TraceFault> {
        if trace == 0 || span == 0 { Err(TraceFault::Zero) } else { Ok(Self { trace, span, sampled }) }
    }

    /// The trace of a call: its id is the call's own, so that whoever has the call's records finds the trace.
    pub fn of_call(call: CallId) -> Self {
        let trace = call.as_u128();
        // The second half of a UUID has its variant, which is not zero; one that was read from elsewhere may lack it.
        #[expect(clippy::cast_possible_truncation, reason = "the second half is wanted")]
        let span = (trace as u64).max(1);
        Self { trace: trace.max(1), span, sampled: true }
    }

    /// The same, to be told by whoever decides that for themselves: the sender does not.
    #[must_use]
    pub fn sampled(self) -> Self {
        Self { sampled: true, ..self }
    }

    /// The trace's id.
    pub fn trace(&self) -> u128 {
        self.trace
    }

    /// The id of the span that what follows is below.
    pub fn span(&self) -> u64 {
        self.span
    }

    /// Whether the sender has the trace told.
    pub fn is_sampled(&self) -> bool {
        self.sampled
    }
}

impl std::str::FromStr for TraceParent {
    type Err = TraceFault;

    fn from_str(text: &str) -> Result<Self, TraceFault> {
        let known = text.get(..PARTS).filter(|_| text.len() <= LONGEST).ok_or(TraceFault::Form)?;
        let (version, rest) = known.split_once('-').ok_or(TraceFault::Form)?;
        let (trace, rest) = rest.split_once('-').ok_or(TraceFault::Form)?;
        let (span, flags) = rest.split_once('-').ok_or(TraceFault::Form)?;
        let version = u8::try_from(hex(version, 2)?).map_err(|_| TraceFault::Form)?;
        // Later versions may go on behind a hyphen (section 3.2.2.5, "Versioning of traceparent").
        match (version, text.as_bytes().get(PARTS)) {
            (0xff, _) => return Err(TraceFault::Version),
            (_, None) | (1.., Some(b'-')) => {}
            (_, Some(_)) => return Err(TraceFault::Form),
        }
        let span = u64::try_from(hex(span, 16)?).map_err(|_| TraceFault::Form)?;
        Self::new(hex(trace, 32)?, span, hex(flags, 2)? & 1 == 1)
    }
}

/// So many small hexadecimal digits, and nothing else.
fn hex(text: &str, digits: usize) -> Result<u128, TraceFault> {
    let are_digits = text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    if text.len() != digits || !are_digits {
        return Err(TraceFault::Form);
    }
    u128::from_str_radix(text, 16).map_err(|_| TraceFault::Form)
}

impl std::fmt::Display for TraceParent {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { trace, span, sampled } = self;
        write!(f, "00-{trace:032x}-{span:016x}-{:02x}", u8::from(*sampled))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
    const SPAN: &str = "00f067aa0ba902b7";

    fn read(text: &str) -> Result<String, TraceFault> {
        text.parse().map(|parent: TraceParent| parent.to_string())
    }

    #[test]
    fn the_form_of_the_recommendation_is_read_and_nothing_else() {
        let good = format!("00-{TRACE}-{SPAN}-01");
        assert_eq!(read(&good), Ok(good.clone()));
        assert_eq!(read(&format!("00-{TRACE}-{SPAN}-00")), Ok(format!("00-{TRACE}-{SPAN}-00")));
        assert_eq!(read(&format!("00-{TRACE}-{SPAN}-ff")), Ok(good.clone()), "other flags are not passed on");
        assert_eq!(read(&format!("cc-{TRACE}-{SPAN}-01-what the future holds")), Ok(good.clone()));
        let zeros = |text: &str| "0".repeat(text.len());
        for (bad, fault) in [
            (String::new(), TraceFault::Form),
            ("00-a".to_owned(), TraceFault::Form),
            (good.to_uppercase(), TraceFault::Form),
            (format!("{good}-more"), TraceFault::Form),
            (format!("cc-{TRACE}-{SPAN}-01."), TraceFault::Form),
            (format!("cc-{TRACE}-{SPAN}-01-{}", "x".repeat(LONGEST)), TraceFault::Form),
            (format!("00-+{}-{SPAN}-01", &TRACE[1..]), TraceFault::Form),
            (format!("00-{}-{SPAN}--01", &TRACE[1..]), TraceFault::Form),
            (format!(" 0-{TRACE}-{SPAN}-01"), TraceFault::Form),
            (format!("00-{TRACE}-{SPAN}-0é"), TraceFault::Form),
            (format!("ff-{TRACE}-{SPAN}-01"), TraceFault::Version),
            (format!("00-{}-{SPAN}-01", zeros(TRACE)), TraceFault::Zero),
            (format!("00-{TRACE}-{}-01", zeros(SPAN)), TraceFault::Zero),
        ] {
            assert_eq!(read(&bad), Err(fault), "{bad:?}");
        }
    }

    #[test]
    fn a_call_s_trace_is_found_by_its_id() {
        let call = CallId::new();
        let parent = TraceParent::of_call(call);
        assert_eq!(format!("{:032x}", parent.trace()), call.to_string().replace('-', ""));
        assert!(parent.is_sampled());
        let nobody: CallId = "00000000-0000-0000-0000-000000000000".parse().expect("a UUID");
        assert!(TraceParent::of_call(nobody).to_string().parse::<TraceParent>().is_ok(), "never zero");
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(trace in 1_u128.., span in 1_u64.., sampled: bool) {
            let parent = TraceParent::new(trace, span, sampled).expect("not zero");
            prop_assert_eq!(parent.to_string().parse(), Ok(parent));
        }

        #[test]
        fn anything_is_read_or_refused(text in ".{0,80}") {
            let _ = text.parse::<TraceParent>();
        }
    }
}
