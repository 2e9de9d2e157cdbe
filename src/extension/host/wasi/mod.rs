//! WASI 0.2 for guests that need it, in a world that is empty but for what the user has granted: no arguments, no input, output to nowhere,
//! no variables, no folders, no network. Clocks and randomness are real.
//!
//! Absent on purpose: listening sockets and UDP, which no grant names; counting calls (the deadline ends whoever calls for ever).
//!
//! Invariants: a store has one WASI context, made of the grants of the extensions that run in it, which are the same for all of them; a name
//! is looked up and an address is connected to only if an endpoint in the grants says so.

mod lookup;
mod stderr;

use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::sync::Arc;

use wasmtime::component::{Linker, ResourceTable};
use wasmtime_wasi::sockets::SocketAddrUse;
use wasmtime_wasi::{FsPerms, WasiCtx, WasiCtxBuilder, WasiCtxView, WasiView};

use crate::extension::graph::Version;
use crate::extension::tenant::{Importer, Tenant};
use crate::policy::grants::{Access, Endpoint, Grant, GrantedFolder, WasiGrants};

/// The version that the crate implements; a test holds it to that. Any 0.2.x can be imported.
const VERSION: &str = "0.2.12";

/// Everything that a guest may import.
const INTERFACES: [&str; 27] = [
    "wasi:cli/environment",
    "wasi:cli/exit",
    "wasi:cli/stderr",
    "wasi:cli/stdin",
    "wasi:cli/stdout",
    "wasi:cli/terminal-input",
    "wasi:cli/terminal-output",
    "wasi:cli/terminal-stderr",
    "wasi:cli/terminal-stdin",
    "wasi:cli/terminal-stdout",
    "wasi:clocks/monotonic-clock",
    "wasi:clocks/wall-clock",
    "wasi:filesystem/preopens",
    "wasi:filesystem/types",
    "wasi:io/error",
    "wasi:io/poll",
    "wasi:io/streams",
    "wasi:random/insecure",
    "wasi:random/insecure-seed",
    "wasi:random/random",
    "wasi:sockets/instance-network",
    "wasi:sockets/ip-name-lookup",
    "wasi:sockets/network",
    "wasi:sockets/tcp",
    "wasi:sockets/tcp-create-socket",
    "wasi:sockets/udp",
    "wasi:sockets/udp-create-socket",
];

/// Random bytes at a time: the buffer is the service's.
const RANDOM_BYTES: u64 = 1 << 20;

/// Files, streams, sockets and pollables that a store may hold: each is memory of the service, which no limit on a guest's memory counts.
const HANDLES: usize = 10_000;

/// The WASI context of one store, made when it is first asked for: most attempts never do.
#[derive(Default)]
pub(in crate::extension) struct WasiPart {
    grants: Arc<WasiGrants>,
    context: Option<Box<Context>>,
}

struct Context {
    ctx: WasiCtx,
    table: ResourceTable,
}

impl WasiPart {
    /// For the extensions with these grants. The default grants nothing.
    pub(in crate::extension) fn of(grants: Arc<WasiGrants>) -> WasiPart {
        WasiPart { grants, context: None }
    }
}

impl WasiView for Tenant {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        let WasiPart { grants, context } = &mut self.wasi;
        let Context { ctx, table } = &mut **context.get_or_insert_with(|| Box::new(Context::new(grants)));
        WasiCtxView { ctx, table }
    }
}

impl Context {
    fn new(grants: &Arc<WasiGrants>) -> Context {
        let mut builder = WasiCtxBuilder::new();
        builder.max_random_size(RANDOM_BYTES);
        for (name, value) in &grants.environment {
            builder.env(name, value);
        }
        for folder in &grants.folders {
            // It was there when the extension was loaded. One that is gone since is not there for the guest either.
            let _ = preopen(&mut builder, folder);
        }
        if !grants.network.is_empty() {
            builder.allow_tcp(true).allow_ip_name_lookup(true);
            let grants = grants.clone();
            builder.socket_addr_check(move |address, purpose| {
                let grants = grants.clone();
                Box::pin(async move { may_use(&grants, address, purpose).await })
            });
        }
        let mut table = ResourceTable::new();
        table.set_max_capacity(HANDLES);
        Context { ctx: builder.build(), table }
    }
}

fn preopen(builder: &mut WasiCtxBuilder, folder: &GrantedFolder) -> wasmtime::Result<()> {
    let permissions = match folder.access {
        Access::Read => FsPerms::ReadOnly,
        Access::ReadAndWrite => FsPerms::ReadWrite,
    };
    builder.preopened_dir(&folder.path, &folder.guest_path, permissions).map(drop)
}

/// Provides WASI 0.2 to this importer.
///
/// # Errors
/// A granted folder cannot be opened.
pub(super) fn add(linker: &mut Linker<Tenant>, importer: &Arc<Importer>) -> wasmtime::Result<()> {
    for folder in &importer.wasi.folders {
        preopen(&mut WasiCtxBuilder::new(), folder).map_err(|error| {
            wasmtime::format_err!(
                "the folder {}, which [extension.{}.wasi] of postroom.toml grants to it, cannot be opened: {error}",
                folder.path.display(),
                importer.name
            )
        })?;
    }
    wasmtime_wasi::p2::add_to_linker_async(linker)?;
    // What follows takes the place of what the crate provides under the same names.
    linker.allow_shadowing(true);
    lookup::add(linker)?;
    if importer.grants.has(Grant::Log) {
        stderr::add(linker, importer)?;
    }
    linker.allow_shadowing(false);
    Ok(())
}

pub(in crate::extension) fn is_wasi(interface_name: &str) -> bool {
    interface_name.starts_with("wasi:")
}

/// Why this interface of WASI is not to be had at all.
pub(super) fn not_offered(name: &str, version: Option<&Version>) -> Option<String> {
    let is_known = INTERFACES.contains(&name);
    let fits = matches!(version, Some(Version { major: 0, minor: 2, pre, .. }) if pre.is_empty());
    match (is_known, fits) {
        (true, true) => None,
        (true, false) => Some(format!("of WASI, version 0.2 is offered (up to {VERSION})")),
        (false, _) => Some("this interface of WASI is not offered".into()),
    }
}

/// May a guest with these grants do this with that address?
async fn may_use(grants: &WasiGrants, address: SocketAddr, purpose: SocketAddrUse) -> bool {
    match purpose {
        // A connection begins with a bind to whatever is free.
        SocketAddrUse::TcpBind => address.port() == 0 && address.ip().is_unspecified(),
        SocketAddrUse::TcpConnect => {
            for endpoint in grants.network.iter().filter(|endpoint| endpoint.port == address.port()) {
                if is_at(endpoint, address.ip()).await {
                    return true;
                }
            }
            false
        }
        // Listening and UDP, and whatever a later version of the crate can do.
        _ => false,
    }
}

/// Is the host of this endpoint at this address, now?
async fn is_at(endpoint: &Endpoint, address: IpAddr) -> bool {
    if let Ok(granted) = endpoint.host.parse::<IpAddr>() {
        return granted == address;
    }
    let host = (endpoint.host.clone(), endpoint.port);
    // Name resolution of the standard library blocks.
    let resolved = tokio::task::spawn_blocking(move || -> io::Result<bool> {
        Ok(host.to_socket_addrs()?.any(|resolved| resolved.ip() == address))
    });
    // A name that cannot be resolved is nowhere.
    matches!(resolved.await, Ok(Ok(true)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn network(endpoints: &[&str]) -> WasiGrants {
        let network = endpoints.iter().map(|endpoint| Endpoint::parse(endpoint).unwrap()).collect();
        WasiGrants { network, ..WasiGrants::default() }
    }

    #[tokio::test]
    async fn only_granted_endpoints_are_connected_to_and_nobody_listens() {
        let grants = network(&["127.0.0.1:80", "[::1]:81", "localhost:82"]);
        let may = async |address: &str, purpose| may_use(&grants, address.parse().unwrap(), purpose).await;
        assert!(may("127.0.0.1:80", SocketAddrUse::TcpConnect).await);
        assert!(may("[::1]:81", SocketAddrUse::TcpConnect).await);
        assert!(may("127.0.0.1:82", SocketAddrUse::TcpConnect).await);
        assert!(!may("127.0.0.1:81", SocketAddrUse::TcpConnect).await);
        assert!(!may("127.0.0.2:80", SocketAddrUse::TcpConnect).await);
        assert!(!may("192.0.2.1:82", SocketAddrUse::TcpConnect).await);
        assert!(may("0.0.0.0:0", SocketAddrUse::TcpBind).await);
        assert!(!may("127.0.0.1:80", SocketAddrUse::TcpBind).await);
        for never in
            [SocketAddrUse::TcpListen, SocketAddrUse::TcpAccept, SocketAddrUse::UdpBind, SocketAddrUse::UdpSend]
        {
            assert!(!may("127.0.0.1:80", never).await, "{never:?}");
        }
        assert!(!may_use(&network(&[]), "127.0.0.1:80".parse().unwrap(), SocketAddrUse::TcpConnect).await);
    }
}
