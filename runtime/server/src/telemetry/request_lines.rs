//! Log lines that tell which request they belong to. Every line that is written while a request is answered ends with the request's id,
//! method and path. A span would tell the same, but is made, written out and taken down for every request; lines are rare. Not here:
//! traces, which are spans, and made only where a collector wants them.

use std::sync::Arc;

use http::{HeaderValue, Method, Uri};
use serde::Serialize;
use tracing::{Event, Subscriber};
use tracing_subscriber::fmt::format::{FormatEvent, FormatFields, Writer};
use tracing_subscriber::fmt::{FmtContext, MakeWriter};
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::{Layer, fmt};

use super::LogFormat;

tokio::task_local! {
    static CURRENT: CurrentRequest;
}

/// The request that is being answered.
#[derive(Clone, Debug)]
pub(crate) struct CurrentRequest(Arc<Asked>);

#[derive(Debug)]
struct Asked {
    id: HeaderValue,
    method: Method,
    uri: Uri,
}

/// As it is written.
#[derive(Serialize)]
struct Told<'a> {
    request_id: &'a str,
    method: &'a str,
    path: &'a str,
}

impl CurrentRequest {
    pub(crate) fn new(id: HeaderValue, method: Method, uri: Uri) -> Self {
        Self(Arc::new(Asked { id, method, uri }))
    }

    /// The one that is being answered here.
    pub(crate) fn here() -> Option<Self> {
        CURRENT.try_with(Self::clone).ok()
    }

    /// The lines of `work` are those of this request.
    pub(crate) async fn lines_of<T>(self, work: impl Future<Output = T>) -> T {
        CURRENT.scope(self, work).await
    }

    /// The same of what does not wait.
    pub(crate) fn lines_within<T>(self, work: impl FnOnce() -> T) -> T {
        CURRENT.sync_scope(self, work)
    }

    fn told(&self) -> Told<'_> {
        let Asked { id, method, uri } = self.0.as_ref();
        Told { request_id: id.to_str().unwrap_or_default(), method: method.as_str(), path: uri.path() }
    }
}

/// Writes lines to `writer`, as text (coloured with `ansi`) or as JSON.
pub(super) fn layer<S, W>(format: LogFormat, ansi: bool, writer: W) -> Box<dyn Layer<S> + Send + Sync>
where
    S: Subscriber + for<'a> LookupSpan<'a> + Send + Sync,
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let lines = fmt::layer().with_writer(writer).with_ansi(ansi);
    match format {
        // What is written into a string first does not learn from the layer whether it is coloured.
        LogFormat::Human => {
            lines.map_event_format(|inner| WithRequest { inner: inner.with_ansi(ansi), format }).boxed()
        }
        LogFormat::Json => {
            lines.json().flatten_event(true).map_event_format(|inner| WithRequest { inner, format }).boxed()
        }
    }
}

/// A line as `inner` writes it, and the request.
struct WithRequest<F> {
    inner: F,
    format: LogFormat,
}

impl<S, N, F> FormatEvent<S, N> for WithRequest<F>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
    F: FormatEvent<S, N>,
{
    fn format_event(&self, ctx: &FmtContext<'_, S, N>, mut writer: Writer<'_>, event: &Event<'_>) -> std::fmt::Result {
        let Some(request) = CurrentRequest::here() else {
            return self.inner.format_event(ctx, writer, event);
        };
        let mut line = String::new();
        self.inner.format_event(ctx, Writer::new(&mut line), event)?;
        let line = line.trim_end();
        let told = request.told();
        match (self.format, line.strip_suffix('}')) {
            (LogFormat::Json, Some(open)) => {
                let told = serde_json::to_string(&told).map_err(|_| std::fmt::Error)?;
                writeln!(writer, "{open},\"request\":{told}}}")
            }
            _ => {
                let Told { request_id, method, path } = told;
                writeln!(writer, "{line} request{{request_id={request_id} method={method} path={path}}}")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io;
    use std::sync::Mutex;
    use tracing_subscriber::layer::SubscriberExt as _;

    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// What is written of a line inside a request and of one outside.
    fn written(format: LogFormat) -> Vec<String> {
        let lines = Lines::default();
        let writer = lines.clone();
        let subscriber = tracing_subscriber::registry().with(layer(format, false, move || writer.clone()));
        let request = CurrentRequest::new(
            HeaderValue::from_static("id-1"),
            Method::GET,
            Uri::from_static("/m/demo/shop/%22lamps%22?secret=1"),
        );
        tracing::subscriber::with_default(subscriber, || {
            request.lines_within(|| tracing::warn!(status = 500, method = "other", "answered"));
            tracing::warn!("alone");
        });
        let bytes = lines.0.lock().unwrap().clone();
        String::from_utf8(bytes).unwrap().lines().map(str::to_owned).collect()
    }

    #[test]
    fn a_line_of_text_ends_with_its_request() {
        let [inside, outside] = &written(LogFormat::Human)[..] else { panic!("two lines") };
        let end =
            "answered status=500 method=\"other\" request{request_id=id-1 method=GET path=/m/demo/shop/%22lamps%22}";
        assert!(inside.ends_with(end), "{inside}");
        assert!(outside.ends_with("alone"), "{outside}");
    }

    #[test]
    fn a_line_of_json_has_its_request() {
        let lines = written(LogFormat::Json);
        let lines: Vec<serde_json::Value> = lines.iter().map(|line| serde_json::from_str(line).unwrap()).collect();
        let [inside, outside] = &lines[..] else { panic!("two lines") };
        let request = serde_json::json!({ "request_id": "id-1", "method": "GET", "path": "/m/demo/shop/%22lamps%22" });
        assert_eq!(inside["request"], request);
        assert_eq!((&inside["status"], &inside["method"]), (&500.into(), &"other".into()));
        assert_eq!((&outside["message"], outside.get("request")), (&"alone".into(), None));
    }
}
