//! Calls between extensions.
//!
//! For each function that an extension imports from another one, its linker gets a proxy: a host function that knows the places of importer,
//! provider and function, and nothing that belongs to one store. When it is called, it finds the provider's instance in the store at hand,
//! makes it if this is the first call, and hands the values over. So nobody who is not called is instantiated.
//!
//! | file | what it is |
//! | --- | --- |
//! | `proxy` | the host functions in an importer's linker |
//! | `call` | one call: enter, find the instance, hand over, leave |
//! | `abroad` | a call into another store |
//! | `lent` | resources that cross, as handles of the host |
//! | `refusal` | links that cannot work, found before anything runs |
//! | `nested`, `function` | what `bus.call` and `invoke.call` do |
//! | `error` | why a call could not be made |
//!
//! Absent on purpose: who provides what ([`graph`](super::graph) decides), and grants: an extension that is called has its own, because its
//! host functions are those of its own linker.
//!
//! Invariants: a call that has begun is on the attempt's trail until it has ended, so re-entry is found before it happens; after an error
//! in a store nothing in it runs again.

mod abroad;
mod call;
mod error;
mod function;
mod lent;
mod nested;
mod proxy;
mod refusal;

pub(super) use call::instantiate;
pub(super) use error::LinkError;
pub(super) use function::{CallError, FunctionPath, call_function, exported_functions};
pub(super) use lent::Lent;
pub(super) use nested::{NestedMessage, handle_nested};
pub(super) use proxy::add_wires;
pub(super) use refusal::{refused_in_interface, refused_resources};
