//! The HTTP face of Kontor: hosted endpoints, control API, authentication, outbound HTTP, telemetry.
