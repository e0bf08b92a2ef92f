//! One process takes the place of another that runs, and nobody notices: the listening sockets go from the one to the other with whoever
//! waits in their queues, and both run side by side until the older has answered what it was asked.
//!
//! `tagwire edge --upgrade` finds the running edge by a socket in its data directory ([`socket`]) and says hello ([`message`]). The running one
//! ([`Upgrades`]) answers with its sockets and with the locks of its folders, which the two then hold together, and goes on as
//! before. When the new one ([`Predecessor`]) is ready it accepts connections, and says so: only then does the older one end, as by
//! SIGTERM. If the new one is gone before, the older one has lost nothing.

mod message;
mod predecessor;
mod socket;
#[cfg(test)]
mod tests;
mod upgrades;

pub(crate) use message::Descriptor;
pub(crate) use predecessor::{Handed, Predecessor};
pub(crate) use upgrades::{Offer, Upgrades};
