//! The memory of a base: maps of their own, so that what is not touched is not used and what is freed goes back to the system, on huge
//! pages where it has them. A look-up goes to two places that no cache foresees; with pages of 4 KiB, finding out where each place is in
//! memory costs as much again.

use std::alloc::{Layout, handle_alloc_error};
use std::ops::{Deref, DerefMut};

use memmap2::{Advice, MmapMut};

/// Bytes that are 0 at first.
#[derive(Debug)]
pub(crate) struct Pages(MmapMut);

impl Pages {
    /// Ends the process where there is no memory, as every allocation does.
    pub(crate) fn zeroed(len: usize) -> Self {
        let Ok(map) = MmapMut::map_anon(len) else {
            handle_alloc_error(Layout::array::<u8>(len).unwrap_or(Layout::new::<u8>()));
        };
        // Advice: a system that does not take it serves as well, only slower.
        let _ = map.advise(Advice::HugePage);
        Self(map)
    }
}

impl Deref for Pages {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

impl DerefMut for Pages {
    fn deref_mut(&mut self) -> &mut [u8] {
        &mut self.0
    }
}
