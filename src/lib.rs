//! Keeps Interactive Brokers Client Portal sessions alive, and alerts a human when only a human can help.
//!
//! The module map. A module may import modules of its own layer and of lower ones. No two modules and no two files import
//! each other, directly or by way of others. `tests/architecture` holds both, and this table, against the code.
//!
//! | module | layer | purpose |
//! |---|---|---|
//! | `main` | 6 | the program |
//! | `cli` | 6 | the command line: one file per verb |
//! | `man` | 6 | manual pages and completions, generated from the command line |
//! | `demo` | 5 | the real daemon against the simulator, with a commentary |
//! | `doctor` | 5 | diagnosis: named checks, each with its finding and what to do |
//! | `daemon` | 4 | the running daemon: one driver per gateway, alerts, signals, systemd |
//! | `endpoint` | 3 | the read-only page and the checks for monitoring, over TCP |
//! | `control` | 3 | the control socket: server, client and wire types |
//! | `auth` | 3 | for programs that want one call rather than a daemon |
//! | `config` | 3 | reads and validates the configuration |
//! | `hook` | 3 | programs of the operator that run when a session is live, lost or new |
//! | `driver` | 3 | runs a session machine: the only place that knows machine, network and clock |
//! | `history` | 3 | state across restarts: pauses, last states, the ledger of changes, and reports on it |
//! | `alert` | 3 | when to alert a human, and by which channels |
//! | `status` | 2 | the state of one gateway as a value, and in words (pure) |
//! | `exit` | 2 | exit codes, and which of them a state means (pure) |
//! | `session` | 1 | **the session machine** (pure) |
//! | `calendar` | 1 | midnights and maintenance windows (pure) |
//! | `gateway` | 1 | the client of a gateway: one method per request, failures by meaning, TLS |
//! | `simulator` | 1 | a simulated gateway with IBKR behind it; imports nothing of this crate |
//! | `atomic_file` | 1 | a small file that outlives the process, replaced as a whole |
//! | `directories` | 1 | where a daemon keeps its state, its control socket and its locks |
//! | `http` | 1 | an HTTP server for a few clients that may misbehave |
//! | `systemd` | 1 | notifications to systemd: ready, status, watchdog; never blocks |
//! | `log` | 1 | log formats, event names, redaction, a writer that never blocks the loop |
//! | `program` | 1 | runs a program of the operator, for a limited time |
//! | `text` | 1 | text for a terminal: wrapped, and escaped where it comes from others (pure) |
//! | `write_behind` | 1 | writes state in the background: the loop never waits for the disk |

pub mod alert;
pub mod atomic_file;
pub mod auth;
pub mod calendar;
pub mod cli;
pub mod config;
pub mod control;
pub mod daemon;
pub mod demo;
pub mod directories;
pub mod doctor;
pub mod driver;
pub mod endpoint;
pub mod exit;
pub mod gateway;
pub mod history;
pub mod hook;
pub mod http;
pub mod log;
pub mod man;
pub mod program;
pub mod session;
pub mod simulator;
pub mod status;
pub mod systemd;
pub mod text;
pub mod write_behind;
