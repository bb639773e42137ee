//! Where traces go, by the names of the standard (OpenTelemetry, "OpenTelemetry Protocol Exporter" and "Environment Variable
//! Specification").

use axum::http::{HeaderMap, HeaderName, HeaderValue};
use percent_encoding::percent_decode_str;
use url::Url;

use super::Share;

/// What the service is called where nobody says otherwise.
const SERVICE: &str = "deskgate-control";
/// Where traces go.
const OWN: &str = "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT";
/// Where everything goes that a collector takes; traces below it.
const BASE: &str = "OTEL_EXPORTER_OTLP_ENDPOINT";

/// Where traces go, and as whose.
#[derive(Clone)]
pub struct TraceConfig {
    /// Where they are posted, such as `http://127.0.0.1:4318/v1/traces`.
    pub url: Url,
    /// What is sent along: a collector's key, say.
    pub headers: HeaderMap,
    /// The service's name; the one of `OTEL_RESOURCE_ATTRIBUTES` or our own without it.
    pub service: Option<String>,
    /// How many of the traces are told; what the SDK reads of the environment without it.
    pub share: Share,
}

/// Why traces cannot be told as it was asked for.
#[derive(Debug, thiserror::Error)]
pub enum TraceConfigFault {
    /// No address. It may hold a password, so it is not shown.
    #[error(
        "{0} is no address of a collector: say where it takes OTLP over HTTP, such as http://127.0.0.1:4318"
    )]
    Address(&'static str),
    /// Another protocol.
    #[error(
        "{0} asks for {1}, and traces are sent as http/protobuf only: name the collector's port for OTLP over HTTP (4318, mostly) and leave {0} out"
    )]
    Protocol(&'static str, String),
    /// Headers that are none. Their values may be secret, so they are not shown.
    #[error("{0} is no list of headers, such as api-key=secret,team=it")]
    Headers(&'static str),
    /// No share.
    #[error("OTEL_TRACES_SAMPLER_ARG is no share: it is a number from 0 to 1, such as 0.1")]
    Share,
    /// A sampler that is not known here.
    #[error(
        "OTEL_TRACES_SAMPLER says {0}, which is not known here: it is always_on, always_off or traceidratio"
    )]
    Sampler(String),
    /// A secret would go over an open line.
    #[error(
        "the traces' collector is given a secret, and is neither https nor on this machine: use https, or a collector on this machine"
    )]
    Insecure,
}

impl TraceConfig {
    /// Reads what was asked for: an address by a flag, or by the environment. `None` where nothing is to be told.
    ///
    /// # Errors
    /// A [`TraceConfigFault`].
    pub fn read(
        flag: Option<Url>,
        environment: impl Fn(&str) -> Option<String>,
    ) -> Result<Option<Self>, TraceConfigFault> {
        // A variable that is empty counts as one that is not set.
        let said = |name: &str| environment(name).filter(|value| !value.trim().is_empty());
        let is =
            |name: &str, value: &str| said(name).is_some_and(|said| said.trim().eq_ignore_ascii_case(value));
        if is("OTEL_SDK_DISABLED", "true") || is("OTEL_TRACES_EXPORTER", "none") {
            return Ok(None);
        }
        let url = match (flag, said(OWN), said(BASE)) {
            (Some(url), ..) => url,
            (None, Some(own), _) => address(&own, "").ok_or(TraceConfigFault::Address(OWN))?,
            (None, None, Some(base)) => address(&base, "v1/traces").ok_or(TraceConfigFault::Address(BASE))?,
            (None, None, None) => return Ok(None),
        };
        let first = |names: [&'static str; 2]| names.into_iter().find_map(|name| Some((name, said(name)?)));
        let protocol = first(["OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL"]);
        if let Some((name, asked)) = protocol.filter(|(_, asked)| asked.trim() != "http/protobuf") {
            return Err(TraceConfigFault::Protocol(name, asked));
        }
        let headers = first(["OTEL_EXPORTER_OTLP_TRACES_HEADERS", "OTEL_EXPORTER_OTLP_HEADERS"]);
        let headers = headers.map_or_else(
            || Ok(HeaderMap::new()),
            |(name, list)| headers_of(&list).ok_or(TraceConfigFault::Headers(name)),
        )?;
        let has_secret = !headers.is_empty() || url.password().is_some();
        if has_secret && !crate::identity::is_trustworthy(&url) {
            return Err(TraceConfigFault::Insecure);
        }
        let argument = || said("OTEL_TRACES_SAMPLER_ARG").unwrap_or_else(|| "1".to_owned());
        let sampler = said("OTEL_TRACES_SAMPLER").unwrap_or_else(|| "always_on".to_owned());
        // Whether a trace is told is decided here: whoever asks has no say in it, whatever "parentbased" would mean elsewhere.
        let share = match sampler.trim().to_ascii_lowercase().trim_start_matches("parentbased_") {
            "always_on" => "1".to_owned(),
            "always_off" => "0".to_owned(),
            "traceidratio" => argument(),
            _ => return Err(TraceConfigFault::Sampler(sampler)),
        };
        let share = share.trim().parse().ok().and_then(Share::of).ok_or(TraceConfigFault::Share)?;
        Ok(Some(Self { url, headers, service: said("OTEL_SERVICE_NAME"), share }))
    }

    /// The service's name, where nothing else names it.
    pub(super) fn usual_service() -> &'static str {
        SERVICE
    }
}

impl std::fmt::Debug for TraceConfig {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "TraceConfig({})", self.url.host_str().unwrap_or_default())
    }
}

/// An address, or what lies below it.
fn address(text: &str, below: &str) -> Option<Url> {
    let url: Option<Url> = text.trim().parse().ok();
    let mut url = url.filter(|url| matches!(url.scheme(), "http" | "https") && url.host().is_some())?;
    if !below.is_empty() {
        url.set_path(&format!("{}/{below}", url.path().trim_end_matches('/')));
    }
    Some(url)
}

/// `key=value` by commas, values in percent-encoding (W3C Baggage, section 3.3.1, without its properties).
fn headers_of(list: &str) -> Option<HeaderMap> {
    let mut headers = HeaderMap::new();
    for entry in list.split(',').map(str::trim).filter(|entry| !entry.is_empty()) {
        let (name, value) = entry.split_once('=')?;
        let name: HeaderName = name.trim().parse().ok()?;
        let value = percent_decode_str(value.trim()).decode_utf8().ok()?;
        let mut value = HeaderValue::from_str(&value).ok()?;
        value.set_sensitive(true);
        headers.insert(name, value);
    }
    Some(headers)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(said: &[(&str, &str)]) -> Result<Option<TraceConfig>, TraceConfigFault> {
        TraceConfig::read(None, |name| {
            said.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
        })
    }

    fn url(said: &[(&str, &str)]) -> Option<String> {
        read(said).expect("is read").map(|config| config.url.to_string())
    }

    const HEADERS: &str = "OTEL_EXPORTER_OTLP_HEADERS";

    #[test]
    fn nothing_is_told_unless_somebody_says_where() {
        assert_eq!(url(&[]), None);
        assert_eq!(url(&[(BASE, " ")]), None, "an empty variable is none");
        assert_eq!(url(&[(BASE, "http://c:4318"), ("OTEL_SDK_DISABLED", "true")]), None);
        assert_eq!(url(&[(OWN, "http://c:4318/x"), ("OTEL_TRACES_EXPORTER", "none")]), None);
    }

    #[test]
    fn the_standard_s_names_say_where() {
        let traces = |text: &str| Some(text.to_owned());
        assert_eq!(url(&[(BASE, "http://c:4318")]), traces("http://c:4318/v1/traces"));
        assert_eq!(url(&[(BASE, "https://c/otlp/")]), traces("https://c/otlp/v1/traces"));
        assert_eq!(url(&[(OWN, "http://c:4318/in"), (BASE, "http://other")]), traces("http://c:4318/in"));
        let flag = TraceConfig::read(Some("http://flag/in".parse().expect("a URL")), |_| None);
        assert_eq!(flag.expect("is read").map(|config| config.url.to_string()), traces("http://flag/in"));
        for bad in ["c:4318", "file:///x", "4318"] {
            assert!(matches!(read(&[(BASE, bad)]), Err(TraceConfigFault::Address(_))), "{bad}");
        }
        let sampled = |share| {
            read(&[
                (BASE, "http://c"),
                ("OTEL_TRACES_SAMPLER", "traceidratio"),
                ("OTEL_TRACES_SAMPLER_ARG", share),
            ])
        };
        assert_eq!(sampled("0.1").expect("is read").expect("one").share, Share::of(0.1).expect("a share"));
        assert!(matches!(sampled("10%"), Err(TraceConfigFault::Share)));
        let by = |sampler| read(&[(BASE, "http://c"), ("OTEL_TRACES_SAMPLER", sampler)]);
        for (sampler, share) in
            [("parentbased_always_on", 1.0), ("parentbased_traceidratio", 1.0), ("always_off", 0.0)]
        {
            assert_eq!(by(sampler).expect("is read").expect("one").share, Share::of(share).expect("a share"));
        }
        assert!(matches!(by("jaeger_remote"), Err(TraceConfigFault::Sampler(_))));
        let grpc = read(&[(BASE, "http://c:4317"), ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")]);
        assert!(grpc.is_err_and(|fault| fault.to_string().contains("4318")), "it is said what to do");
    }

    #[test]
    fn a_collector_s_key_is_sent_over_no_open_line_and_shown_nowhere() {
        let key = "api-key=s3cret%2Cwith%3D, team=it";
        let config = read(&[(OWN, "https://c/v1/traces"), (HEADERS, key)]).expect("is read").expect("one");
        assert_eq!(config.headers["api-key"], "s3cret,with=");
        assert_eq!(config.headers["team"], "it");
        assert!(!format!("{config:?} {:?}", config.headers).contains("s3cret"));
        assert!(read(&[(OWN, "http://127.0.0.1:4318/v1/traces"), (HEADERS, key)]).is_ok());
        for (address, headers) in [("http://c/v1/traces", key), ("http://it:s3cret@c/v1/traces", "")] {
            let fault = read(&[(OWN, address), (HEADERS, headers)]).expect_err("refused");
            assert!(matches!(fault, TraceConfigFault::Insecure), "{fault}");
        }
        for bad in ["s3cret", "a b=s3cret", "key=s3cret%00"] {
            let fault = read(&[(OWN, "https://c/"), (HEADERS, bad)]).expect_err("refused");
            assert!(matches!(fault, TraceConfigFault::Headers(_)) && !fault.to_string().contains("s3cret"));
        }
    }
}
