//! A connection: HTTP/1.1 as far as a load generator needs it. Answers must say how long they are.

use anyhow::{Context, Result, bail};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// Room for an answer at first.
const BUFFER_BYTES: usize = 64 * 1024;

/// A connection that is kept alive.
#[derive(Debug)]
pub(super) struct Connection {
    stream: TcpStream,
    address: String,
    buffer: Vec<u8>,
    /// Bytes of `buffer` that were received and not yet taken.
    start: usize,
    end: usize,
}

/// An answer.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) body: Vec<u8>,
}

impl Connection {
    pub(super) async fn open(address: &str) -> Result<Self> {
        let stream = TcpStream::connect(address).await.with_context(|| format!("cannot connect to {address}"))?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, address: address.to_owned(), buffer: vec![0; BUFFER_BYTES], start: 0, end: 0 })
    }

    /// A request as it goes over the wire.
    pub(super) fn request(&self, method: &str, path: &str, body: Option<&str>) -> String {
        let address = &self.address;
        match body {
            None => format!("{method} {path} HTTP/1.1\r\nhost: {address}\r\naccept: application/json\r\n\r\n"),
            Some(body) => format!(
                "{method} {path} HTTP/1.1\r\nhost: {address}\r\naccept: application/json\r\ncontent-type: \
                 application/json\r\ncontent-length: {}\r\n\r\n{body}",
                body.len()
            ),
        }
    }

    pub(super) async fn send(&mut self, request: &[u8]) -> Result<()> {
        self.stream.write_all(request).await.context("the connection broke while sending")
    }

    /// The next answer.
    pub(super) async fn receive(&mut self) -> Result<Answer> {
        // Offsets are from `self.start`, because filling the buffer may move it.
        let mut looked_at = 0;
        let head_bytes = loop {
            let unseen = self.buffer.get(self.start + looked_at..self.end).unwrap_or_default();
            if let Some(found) = unseen.windows(4).position(|window| window == b"\r\n\r\n") {
                break looked_at + found + 4;
            }
            // The end of the head may lie across two reads.
            looked_at = (self.end - self.start).saturating_sub(3);
            self.fill().await?;
        };
        let body_at = self.start + head_bytes;
        let (status, length) = head(self.buffer.get(self.start..body_at).unwrap_or_default())?;
        while self.end - self.start < head_bytes + length {
            self.fill().await?;
        }
        let body_at = self.start + head_bytes;
        let body = self.buffer.get(body_at..body_at + length).unwrap_or_default().to_vec();
        self.start = body_at + length;
        if self.start == self.end {
            (self.start, self.end) = (0, 0);
        }
        Ok(Answer { status, body })
    }

    async fn fill(&mut self) -> Result<()> {
        if self.end == self.buffer.len() {
            self.buffer.copy_within(self.start..self.end, 0);
            self.end -= self.start;
            self.start = 0;
            if self.end * 2 > self.buffer.len() {
                self.buffer.resize(self.buffer.len() * 2, 0);
            }
        }
        let room = self.buffer.get_mut(self.end..).unwrap_or_default();
        match self.stream.read(room).await.context("the connection broke while receiving")? {
            0 => bail!("the server closed the connection"),
            read => self.end += read,
        }
        Ok(())
    }
}

/// Status and length of the body.
fn head(head: &[u8]) -> Result<(u16, usize)> {
    let text = std::str::from_utf8(head).context("the head of the answer is no text")?;
    let mut lines = text.split("\r\n");
    let status = lines.next().and_then(|line| line.split(' ').nth(1)?.parse().ok()).context("no status line")?;
    let length = lines.filter_map(|line| line.split_once(':')).find_map(|(name, value)| {
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>().ok())?
    });
    match length {
        Some(length) => Ok((status, length)),
        None if status == 204 || status == 304 => Ok((status, 0)),
        None => bail!("an answer with status {status} does not say how long it is"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_tells_status_and_length() {
        assert_eq!(head(b"HTTP/1.1 200 OK\r\nContent-Length: 12\r\nx: y\r\n\r\n").unwrap(), (200, 12));
        assert_eq!(head(b"HTTP/1.1 204 No Content\r\n\r\n").unwrap(), (204, 0));
        assert!(head(b"HTTP/1.1 200 OK\r\n\r\n").is_err());
        assert!(head(b"rubbish").is_err());
    }
}
