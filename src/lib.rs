//! Keeps an Interactive Brokers Client Portal session alive, and calls a human when only a human can help.
//!
//! The house, room by room. A room may import rooms of lower floors only; `tests/house` holds this table against
//! every `use` in the code.
//!
//! | room | floor | what it is for |
//! |---|---|---|
//! | `main` | 8 | the command line: one verb, one function; exit codes |
//! | `demo` | 7 | the real daemon against the simulator, narrated |
//! | `doctor` | 7 | what is wrong: named checks, each with finding and remedy |
//! | `daemon` | 6 | `run`: one driver a gateway, alerts, signals, the word to systemd |
//! | `endpoint` | 5 | what monitoring and browsers may see over TCP: read-only, from memory alone |
//! | `verbs` | 5 | what asks a gateway once or a running daemon, and the exit codes |
//! | `recipes` | 4 | for programs that want one call rather than a daemon |
//! | `control` | 4 | the control socket: how verbs ask and steer a running daemon, both sides of it |
//! | `config` | 4 | the configuration the program may trust: every fault at once |
//! | `driver` | 3 | the only place that knows machine, network and clock: does the plan, reports what came |
//! | `history` | 3 | what is kept across restarts: pauses, last states, the ledger of all changes, and what follows from it |
//! | `alert` | 3 | when a human is told, and when that is called off (pure) |
//! | `log` | 2 | formats, event names, redaction, a writer that never blocks the loop |
//! | `status` | 2 | one gateway's state as a value, and in words (pure) |
//! | `observe` | 2 | what an answer of the gateway means to the machine (pure) |
//! | `session` | 1 | **the machine** (pure) |
//! | `calendar` | 1 | midnights and maintenance windows (pure) |
//! | `gateway` | 1 | the client: one method a request, faults by meaning, TLS |
//! | `simulator` | 1 | a gateway and IBKR that are not; imports nothing of ours |
//! | `atomic_file` | 1 | a small file that outlives the process, replaced as a whole |
//! | `http` | 1 | an HTTP server for a few clients that may misbehave |
//! | `systemd` | 1 | ready, status, stopping, watchdog; never blocks |
//! | `pages` | 1 | the manual pages and the completions, made from the command line |

pub mod alert;
pub mod atomic_file;
pub mod calendar;
pub mod config;
pub mod control;
pub mod daemon;
pub mod demo;
pub mod doctor;
pub mod driver;
pub mod endpoint;
pub mod gateway;
pub mod history;
pub mod http;
pub mod log;
pub mod observe;
pub mod pages;
pub mod recipes;
pub mod session;
pub mod simulator;
pub mod status;
pub mod systemd;
pub mod verbs;
