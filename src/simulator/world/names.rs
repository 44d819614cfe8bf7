//! Invented names: the user's, and the account's.

/// The number of the account. A paper account's begins with D.
pub(super) fn account(paper: bool) -> &'static str {
    if paper { "DU0000000" } else { "U0000000" }
}

/// The user name.
pub(super) fn user(paper: bool) -> &'static str {
    if paper { PAPER_USER } else { "simulated001" }
}

/// The user name for the paper account, which a live session names too.
pub(super) const PAPER_USER: &str = "simulated002";
