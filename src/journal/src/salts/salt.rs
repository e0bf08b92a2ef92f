//! One day's salt, which shows itself to nobody.

use std::fmt;

use jiff::civil::Date;
use zeroize::Zeroizing;

/// What a day's visitors are hashed with. Overwritten in memory when it is dropped, and left out where it is printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Salt {
    day: Date,
    secret: Zeroizing<[u8; Salt::BYTES]>,
}

impl Salt {
    /// How many bytes a secret has.
    pub const BYTES: usize = 16;

    /// The salt of a day (UTC).
    pub fn new(day: Date, secret: Zeroizing<[u8; Self::BYTES]>) -> Self {
        Self { day, secret }
    }

    /// Its day (UTC).
    pub fn day(&self) -> Date {
        self.day
    }

    /// The secret.
    pub fn secret(&self) -> &[u8; Self::BYTES] {
        &self.secret
    }
}

impl fmt::Debug for Salt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Salt")
            .field("day", &self.day)
            .finish_non_exhaustive()
    }
}
