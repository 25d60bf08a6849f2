//! Traces to an OpenTelemetry collector, when `OTEL_EXPORTER_OTLP_ENDPOINT` is set.

use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use opentelemetry_http::{HttpClient, HttpError};
use opentelemetry_otlp::{Protocol, SpanExporter, WithExportConfig as _, WithHttpConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::SdkTracerProvider;
use tokio::runtime::Handle;

/// Names the collector, as everywhere in OpenTelemetry.
pub(crate) const ENDPOINT_VARIABLE: &str = "OTEL_EXPORTER_OTLP_ENDPOINT";
const EXPORT_TIMEOUT: Duration = Duration::from_secs(10);

/// The provider that batches spans and sends them to the collector that the environment names, or to `traces_url`. Must be called inside
/// a tokio runtime.
pub(crate) fn provider(traces_url: Option<&str>) -> Result<SdkTracerProvider, String> {
    super::install_crypto_provider();
    let client = reqwest::Client::builder().timeout(EXPORT_TIMEOUT).build().map_err(|e| e.to_string())?;
    let runtime = Handle::try_current().map_err(|e| e.to_string())?;
    let builder = SpanExporter::builder().with_http().with_http_client(RuntimeClient { client, runtime });
    let builder = builder.with_protocol(Protocol::HttpBinary);
    let builder = match traces_url {
        Some(url) => builder.with_endpoint(url),
        None => builder,
    };
    let exporter = builder.build().map_err(|e| e.to_string())?;
    let resource = Resource::builder().with_service_name("kontor").build();
    Ok(SdkTracerProvider::builder().with_batch_exporter(exporter).with_resource(resource).build())
}

/// The exporter works on a thread of its own, outside the runtime that the HTTP client needs: each request is sent from there.
struct RuntimeClient {
    client: reqwest::Client,
    runtime: Handle,
}

impl fmt::Debug for RuntimeClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RuntimeClient")
    }
}

impl HttpClient for RuntimeClient {
    fn send_bytes<'a, 'b>(
        &'a self,
        request: http::Request<Bytes>,
    ) -> BoxFuture<'b, Result<http::Response<Bytes>, HttpError>>
    where
        'a: 'b,
        Self: 'b,
    {
        let client = self.client.clone();
        let sent = self.runtime.spawn(async move { client.send_bytes(request).await });
        Box::pin(async move { sent.await? })
    }
}
