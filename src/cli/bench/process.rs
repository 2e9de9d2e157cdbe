//! The service as a child process on a fresh bus, and what the system says of it.

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, Command, Stdio};
use std::time::Duration;

use postroom::bus::layout;
use postroom::extension::cache::FOLDER_VARIABLE;

use super::{Plan, load};
use crate::cli::{Exit, Failure, workspace};

/// A fresh bus for one run. Limits are off: they are not what is measured.
pub fn make_bus(top: &Path, plan: &Plan<'_>) -> Result<PathBuf, Failure> {
    let bus = top.join(layout::BUS);
    std::fs::create_dir_all(top).map_err(|error| Failure::io("make the folder", top, &error))?;
    postroom::bus::create(&bus)?;
    let inbox = bus.join(layout::inbox(load::SENDER));
    std::fs::create_dir_all(&inbox).map_err(|error| Failure::io("make the folder", &inbox, &error))?;
    let settings = format!(
        "[bus]\ndurability = \"{}\"\n[limits]\nper_sender_messages = 0\nper_sender_bytes = 0\nper_inbox_messages = 0\nbus_messages = 0\n{}",
        plan.durability.as_str(),
        plan.guests.settings(),
    );
    let path = workspace::settings_path(&bus);
    std::fs::write(&path, settings).map_err(|error| Failure::io("write", &path, &error))?;
    Ok(bus)
}

/// This program on this bus, with compiled code in a folder of the bench's own.
pub fn own_command(bus: &Path) -> Result<Command, Failure> {
    let program = std::env::current_exe()
        .map_err(|error| Failure::new(Exit::Failure, format!("cannot find this program's own file: {error}")))?;
    let mut command = Command::new(program);
    command.arg("--bus").arg(bus).env(FOLDER_VARIABLE, bus.with_file_name("cache"));
    Ok(command)
}

/// A service at work; killed at the latest when it is dropped.
pub struct Service {
    child: Child,
    said: Option<BufReader<ChildStderr>>,
}

impl Service {
    pub fn start(bus: &Path) -> Result<Service, Failure> {
        let mut command = own_command(bus)?;
        command.args(["serve", "--force-file-system"]).stdin(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn().map_err(|error| Failure::io("start a service on", bus, &error))?;
        let said = child.stderr.take().map(BufReader::new);
        Ok(Service { child, said })
    }

    /// Waits until it says that it is active; then nobody listens to it any more.
    pub fn wait_until_active(&mut self) -> Result<(), Failure> {
        let said = self.said.take();
        let mut lines = said.into_iter().flat_map(|said| said.lines()).map_while(Result::ok);
        match lines.find(|line| line.contains("active on")) {
            Some(_) => Ok(()),
            None => Err(Failure::new(Exit::Problems, "the service ended before it was active")),
        }
    }

    /// User and system time so far. `None` where the system does not tell.
    pub fn cpu(&self) -> Option<Duration> {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id())).ok()?;
        // The name in parentheses may have spaces: the fields are counted behind it (proc_pid_stat(5), fields 14 and 15).
        let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
        let ticks: u64 = fields.get(11)?.parse::<u64>().ok()? + fields.get(12)?.parse::<u64>().ok()?;
        Some(Duration::from_secs_f64(ticks as f64 / rustix::param::clock_ticks_per_second() as f64))
    }

    /// The most memory it had, in KiB.
    pub fn peak_kib(&self) -> Option<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).ok()?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
        line.trim().trim_end_matches("kB").trim().parse().ok()
    }

    pub fn stop(mut self) -> Result<(), Failure> {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM)
            .map_err(|error| Failure::new(Exit::Failure, format!("cannot stop the service: {error}")))?;
        let ended = self.child.wait().map_err(|error| Failure::io("wait for", Path::new("the service"), &error))?;
        if ended.success() {
            return Ok(());
        }
        Err(Failure::new(Exit::Problems, format!("the service did not stop cleanly: {ended}")))
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        // After `stop` it has ended; otherwise the run has failed, and its bus is thrown away.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
