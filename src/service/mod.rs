//! The service: the line, the lanes, retries, takeover, shutdown. Prints nothing.

mod notice;

pub use notice::Notice;
