//! `wasi:cli/stderr`: what a guest writes there, such as the message of a panic, becomes lines in the log of the attempt.
//!
//! Invariant: a line is the importer's, as its linker says; nobody writes in another's name.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use tokio::io::AsyncWrite;
use wasmtime::component::{Linker, Resource};
use wasmtime_wasi::WasiView as _;
use wasmtime_wasi::p2::DynOutputStream;
use wasmtime_wasi::p2::pipe::AsyncWriteStream;

use super::VERSION;
use crate::extension::Level;
use crate::extension::host::log;
use crate::extension::tenant::{Chain, Importer, Tenant};

/// Bytes that are kept of a line before its end: twice what the log takes, so that it can say how much was cut.
const LINE_BYTES: usize = 2048;

/// Bytes that may be on their way.
const BUDGET: usize = 8192;

pub(super) fn add(linker: &mut Linker<Tenant>, importer: &Arc<Importer>) -> wasmtime::Result<()> {
    let extension = importer.name.clone();
    linker.instance(&format!("wasi:cli/stderr@{VERSION}"))?.func_wrap("get-stderr", move |mut store, (): ()| {
        let tenant = store.data_mut();
        tenant.chain.count_host_call()?;
        let lines = Lines { chain: tenant.chain.clone(), extension: extension.clone(), line: Vec::new() };
        let stream: DynOutputStream = Box::new(AsyncWriteStream::new(BUDGET, lines));
        let stream: Resource<DynOutputStream> = tenant.ctx().table.push(stream)?;
        Ok((stream,))
    })
}

/// Bytes in, lines out.
struct Lines {
    chain: Arc<Chain>,
    extension: String,
    /// Of which the end has not come.
    line: Vec<u8>,
}

impl Lines {
    fn write(&mut self, bytes: &[u8]) {
        for part in bytes.split_inclusive(|byte| *byte == b'\n') {
            self.line.extend_from_slice(part);
            if part.ends_with(b"\n") || self.line.len() > LINE_BYTES {
                self.end_line();
            }
        }
    }

    fn end_line(&mut self) {
        let line = std::mem::take(&mut self.line);
        let text = String::from_utf8_lossy(&line).trim_end_matches(['\r', '\n']).to_owned();
        log::write(&mut self.chain.collected().log, &self.extension, Level::Info, text);
    }
}

impl AsyncWrite for Lines {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.get_mut().write(bytes);
        Poll::Ready(Ok(bytes.len()))
    }

    /// A line is complete at its end, not at a flush: languages flush after each piece of one.
    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

impl Drop for Lines {
    fn drop(&mut self) {
        if !self.line.is_empty() {
            self.end_line();
        }
    }
}
