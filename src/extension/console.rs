//! The terminal of whoever runs a subcommand of an extension. The program implements it on its own streams, tests on buffers.
//!
//! Absent on purpose: making text fit for a terminal. Whoever prints knows whether there is one.

/// Where a subcommand prints and reads.
pub trait Console: Send + Sync {
    /// To the standard output. A stream that is gone is no matter of the extension's: the text is dropped.
    fn print(&self, text: &str);

    /// To the standard error.
    fn print_error(&self, text: &str);

    /// Up to `most` bytes of the standard input; none at its end. May block: it is not called on an async thread.
    fn read(&self, most: usize) -> Vec<u8>;
}
