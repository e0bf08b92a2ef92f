//! All tags in memory, as the redirect path reads them: one look-up, no lock, no allocation. Where changes come from is the
//! journal's business, and who follows it the edge's.
//!
//! Readers take a [`State`] from the [`Table`], pin it to a [`View`], and ask that. Changes go in through [`Table::apply`].

mod arena;
mod background;
mod base;
mod fold;
mod index;
mod key;
mod names;
mod overlay;
mod pages;
mod record;
mod settings;
mod shared;
mod shared_map;
mod snapshot;
mod table;
mod view;

pub use shared::State;
pub use snapshot::{
    SnapshotError, SnapshotInfo, SnapshotOrder, check_snapshot, read_snapshot_info,
};
pub use table::{Effect, Table, Taken};
pub use view::View;
