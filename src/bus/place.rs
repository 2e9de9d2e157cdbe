//! Where a service runs: host, boot, mount, process. A record that was decided in this boot and on this mount can trust that
//! what it renamed stayed renamed; from anywhere else it must compare (see the commit protocol, "Recovery, by state").

use std::fs;

use serde::{Deserialize, Serialize};

use super::disk::Disk;

/// Unknown parts are empty strings, and an unknown place equals no place, not even itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// The machine's id, or its name where it has none.
    pub host: String,
    /// The machine's name, for messages.
    pub host_name: String,
    /// Changes at every boot.
    pub boot: String,
    /// The mount's unique id; unlike the plain one it is never given again (`STATX_MNT_ID_UNIQUE`, Linux 6.8).
    pub mount: String,
    /// The mount namespace. All services of a bus run in one.
    pub namespace: String,
    pub pid: u32,
}

impl Place {
    /// This process, on the file system of this bus.
    pub fn here(disk: &Disk) -> Place {
        let host_name = rustix::system::uname().nodename().to_string_lossy().into_owned();
        let host = read_line("/etc/machine-id").unwrap_or_else(|| host_name.clone());
        let namespace =
            fs::read_link("/proc/self/ns/mnt").map(|link| link.to_string_lossy().into_owned()).unwrap_or_default();
        Place {
            host,
            host_name,
            boot: read_line("/proc/sys/kernel/random/boot_id").unwrap_or_default(),
            mount: unique_mount(disk).unwrap_or_default(),
            namespace,
            pid: std::process::id(),
        }
    }

    /// Do renames made there still stand here? Only if no power cut and no unmounting can have come between.
    pub fn same_mount(&self, other: &Place) -> bool {
        let known = |text: &str| !text.is_empty();
        known(&self.boot) && self.boot == other.boot && known(&self.mount) && self.mount == other.mount
    }

    pub fn same_host(&self, other: &Place) -> bool {
        self.host == other.host || (!self.boot.is_empty() && self.boot == other.boot)
    }

    /// Both known, and different.
    pub fn other_namespace(&self, other: &Place) -> bool {
        self.boot == other.boot
            && !self.namespace.is_empty()
            && !other.namespace.is_empty()
            && self.namespace != other.namespace
    }
}

fn read_line(path: &str) -> Option<String> {
    let text = fs::read_to_string(path).ok()?;
    let line = text.lines().next()?.trim().to_owned();
    (!line.is_empty()).then_some(line)
}

#[cfg(target_os = "linux")]
fn unique_mount(disk: &Disk) -> Option<String> {
    use rustix::fs::{AtFlags, StatxFlags, statx};
    /// From `linux/stat.h`; not yet in the crate.
    const STATX_MNT_ID_UNIQUE: u32 = 0x4000;
    let mask = StatxFlags::from_bits_retain(STATX_MNT_ID_UNIQUE);
    let found = statx(disk.root(), c"", AtFlags::EMPTY_PATH, mask).ok()?;
    (found.stx_mask & STATX_MNT_ID_UNIQUE != 0).then(|| found.stx_mnt_id.to_string())
}

#[cfg(not(target_os = "linux"))]
fn unique_mount(_: &Disk) -> Option<String> {
    None
}
