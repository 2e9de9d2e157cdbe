//! The reader: learns of each reply as early as the system tells, and looks through the inbox when it tells nothing.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::load;

/// How long the system may be silent before the inbox is looked through.
const SILENCE: Duration = Duration::from_millis(500);

pub struct Replies {
    inbox: PathBuf,
    events: Events,
}

impl Replies {
    pub fn watch(inbox: &Path) -> io::Result<Replies> {
        Ok(Replies { inbox: inbox.to_owned(), events: Events::on(inbox)? })
    }

    /// Calls `each` with the number of every reply that came; the same may be told twice. Returns after a while at the latest.
    pub fn next(&mut self, each: &mut dyn FnMut(u32)) -> io::Result<()> {
        if self.events.next(each)? {
            return Ok(());
        }
        for entry in self.inbox.read_dir()? {
            if let Some(number) = entry?.file_name().to_str().and_then(load::number_of_reply) {
                each(number);
            }
        }
        Ok(())
    }
}

#[cfg(target_os = "linux")]
struct Events {
    inotify: rustix::fd::OwnedFd,
    buffer: Vec<std::mem::MaybeUninit<u8>>,
}

#[cfg(target_os = "linux")]
impl Events {
    fn on(inbox: &Path) -> io::Result<Events> {
        use rustix::fs::inotify;
        let inotify = inotify::init(inotify::CreateFlags::CLOEXEC | inotify::CreateFlags::NONBLOCK)?;
        inotify::add_watch(&inotify, inbox, inotify::WatchFlags::MOVED_TO)?;
        Ok(Events { inotify, buffer: vec![std::mem::MaybeUninit::uninit(); 256 * 1024] })
    }

    /// `false`: nothing was told, or not everything; it is time to look.
    fn next(&mut self, each: &mut dyn FnMut(u32)) -> io::Result<bool> {
        use rustix::event::{PollFd, PollFlags, Timespec, poll};
        use rustix::fs::inotify;
        let silence = Timespec { tv_sec: 0, tv_nsec: SILENCE.as_nanos() as _ };
        match poll(&mut [PollFd::new(&self.inotify, PollFlags::IN)], Some(&silence)) {
            Ok(0) => return Ok(false),
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        let mut reader = inotify::Reader::new(&self.inotify, &mut self.buffer);
        let mut is_whole = true;
        loop {
            match reader.next() {
                Ok(event) => {
                    is_whole &= !event.events().contains(inotify::ReadFlags::QUEUE_OVERFLOW);
                    if let Some(number) =
                        event.file_name().and_then(|name| name.to_str().ok()).and_then(load::number_of_reply)
                    {
                        each(number);
                    }
                    if reader.is_buffer_empty() {
                        return Ok(is_whole);
                    }
                }
                Err(rustix::io::Errno::AGAIN | rustix::io::Errno::INTR) => return Ok(is_whole),
                Err(error) => return Err(error.into()),
            }
        }
    }
}

#[cfg(not(target_os = "linux"))]
struct Events {
    watch: crate::cli::wait::Watch,
}

#[cfg(not(target_os = "linux"))]
impl Events {
    fn on(inbox: &Path) -> io::Result<Events> {
        Ok(Events { watch: crate::cli::wait::Watch::on(&[inbox]) })
    }

    fn next(&mut self, _: &mut dyn FnMut(u32)) -> io::Result<bool> {
        self.watch.next(crate::cli::wait::deadline(Some(SILENCE)));
        Ok(false)
    }
}
