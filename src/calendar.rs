//! Midnights in the regions where IBKR ends its logins.

/// The region whose midnight ends a login.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Region {
    /// New York.
    #[default]
    NorthAmerica,
    /// Zug, Switzerland.
    Europe,
    /// Hong Kong.
    Asia,
}

impl Region {
    /// The IANA name of the time zone in which this region's midnight falls.
    #[must_use]
    pub const fn zone(self) -> &'static str {
        match self {
            Self::NorthAmerica => "America/New_York",
            Self::Europe => "Europe/Zurich",
            Self::Asia => "Asia/Hong_Kong",
        }
    }
}
