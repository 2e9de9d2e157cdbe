//! `wasi:sockets/ip-name-lookup` for granted names only. A question to a name server carries text of the guest's choice to whoever runs it, so
//! a guest that may connect to one place may not ask about others.

use wasmtime::component::{HasData, Linker, Resource};
use wasmtime_wasi::p2::bindings::sockets::ip_name_lookup::{
    self, Host, HostResolveAddressStream, ResolveAddressStream,
};
use wasmtime_wasi::p2::bindings::sockets::network::{self, ErrorCode, IpAddress, Network};
use wasmtime_wasi::p2::{DynPollable, SocketError};
use wasmtime_wasi::sockets::{WasiSocketsCtxView, WasiSocketsView as _};

use crate::extension::tenant::Tenant;
use crate::policy::grants::WasiGrants;

/// Stands between the guest and the lookup of the crate.
struct Lookup<'a> {
    sockets: WasiSocketsCtxView<'a>,
    grants: std::sync::Arc<WasiGrants>,
}

struct OfTenant;

impl HasData for OfTenant {
    type Data<'a> = Lookup<'a>;
}

pub(super) fn add(linker: &mut Linker<Tenant>) -> wasmtime::Result<()> {
    ip_name_lookup::add_to_linker::<Tenant, OfTenant>(linker, |tenant| {
        let grants = tenant.wasi.grants.clone();
        Lookup { sockets: tenant.sockets(), grants }
    })
}

/// Is this the host of a granted endpoint? Names are compared without their case, as name servers do.
fn is_granted(grants: &WasiGrants, name: &str) -> bool {
    grants.network.iter().any(|endpoint| endpoint.host.eq_ignore_ascii_case(name))
}

impl Host for Lookup<'_> {
    fn resolve_addresses(
        &mut self,
        network: Resource<Network>,
        name: String,
    ) -> Result<Resource<ResolveAddressStream>, SocketError> {
        match is_granted(&self.grants, &name) {
            true => self.sockets.resolve_addresses(network, name),
            false => Err(ErrorCode::AccessDenied.into()),
        }
    }
}

/// The errors of all sockets are spelled alike.
impl network::Host for Lookup<'_> {
    fn convert_error_code(&mut self, error: SocketError) -> wasmtime::Result<ErrorCode> {
        network::Host::convert_error_code(&mut self.sockets, error)
    }

    fn network_error_code(&mut self, error: Resource<wasmtime::Error>) -> wasmtime::Result<Option<ErrorCode>> {
        network::Host::network_error_code(&mut self.sockets, error)
    }
}

impl network::HostNetwork for Lookup<'_> {
    fn drop(&mut self, network: Resource<Network>) -> wasmtime::Result<()> {
        network::HostNetwork::drop(&mut self.sockets, network)
    }
}

impl HostResolveAddressStream for Lookup<'_> {
    fn resolve_next_address(
        &mut self,
        stream: Resource<ResolveAddressStream>,
    ) -> Result<Option<IpAddress>, SocketError> {
        self.sockets.resolve_next_address(stream)
    }

    fn subscribe(&mut self, stream: Resource<ResolveAddressStream>) -> wasmtime::Result<Resource<DynPollable>> {
        HostResolveAddressStream::subscribe(&mut self.sockets, stream)
    }

    fn drop(&mut self, stream: Resource<ResolveAddressStream>) -> wasmtime::Result<()> {
        HostResolveAddressStream::drop(&mut self.sockets, stream)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::grants::Endpoint;

    #[test]
    fn only_hosts_of_granted_endpoints_are_asked_about() {
        let network = vec![Endpoint::parse("Example.org:443").unwrap(), Endpoint::parse("10.0.0.1:80").unwrap()];
        let grants = WasiGrants { network, ..WasiGrants::default() };
        assert!(is_granted(&grants, "example.ORG") && is_granted(&grants, "10.0.0.1"));
        assert!(
            !is_granted(&grants, "secret.example.org")
                && !is_granted(&grants, "example.org.evil")
                && !is_granted(&grants, "")
        );
    }
}
