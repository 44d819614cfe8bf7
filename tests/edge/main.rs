//! The client against raw sockets that do what no decent server does: the traps of an HTTP library, connections that
//! break, garbage, strangers' certificates; and every answer that was ever recorded.
//!
//! What may go wrong between a keeper and its gateway, and the test that shows what is made of it. `run` is the real
//! binary against a simulated gateway over TLS, `edge` the client alone, `scenarios` and `years` the machine in simulated
//! time.
//!
//! | fault | test |
//! |---|---|
//! | the gateway is not started yet | `run::a_gateway_that_is_not_there_is_waited_for` |
//! | it accepts, and never answers | `run::ibkr_away_is_no_login_and_costs_no_reauthentication`, `edge::connections::a_gateway_that_hangs_..`, `run::a_signal_ends_it_in_the_middle_of_a_request_..` |
//! | it accepts, then resets or closes | `edge::connections::a_broken_connection_is_tried_once_more_by_what_only_asks` |
//! | the kept connection alone is reset | `edge::connections::a_reset_of_the_kept_connection_alone_..`, `..a_connection_that_ended_between_two_requests_..` |
//! | TLS stalls, is missing, or is not asked for | `edge::garbage::a_greeting_without_an_answer_..`, `..what_speaks_no_tls_is_told_how_to_ask_it` |
//! | a slow head, a slow body | `edge::traps::the_limit_is_for_the_whole_answer` |
//! | 10 MB, and no end | `edge::traps::no_body_is_read_past_the_limit`, `run::faults::bodies_without_an_end_fill_no_memory` |
//! | garbage, huge heads, odd statuses | `edge::garbage::what_is_no_http_is_told_apart_and_asked_once` |
//! | the certificate changes, or is only replayed | `run::trust::a_wrong_pin_is_told_with_both_fingerprints_..`, `edge::trust` |
//! | the name does not resolve, or its resolver hangs | `edge::garbage::a_name_that_leads_nowhere_..`, `tickled::gateway::place` |
//! | `localhost` is on one family alone | `edge::connections::localhost_is_found_on_either_family_alone` |
//! | another program on the port | `run::faults::another_program_on_the_port_is_told_as_that`, `edge::garbage::another_program_..` |
//! | a proxy in the environment | `edge::traps::no_proxy_is_asked_whatever_the_environment_says` |
//! | the login page, a redirect to it | `run::faults::the_login_page_means_that_nobody_is_logged_in`, `edge::traps::no_redirect_is_followed` |
//! | 401 once | `run::faults::one_bad_answer_is_not_believed` |
//! | 401 for good | `run::an_expired_login_is_told_once_..`; from an address not on the list `run::faults::an_address_that_is_not_on_the_list_..` |
//! | 403, 429 | `run::faults::a_refusal_of_the_edge_and_a_limit_are_no_lapse`, `years` |
//! | 500, 503 for minutes and hours | `scenarios/18-..` |
//! | 411, 601, 204; 404 for a request that is gone | `edge::replies`, `run::faults::a_request_that_is_gone_is_left_out_and_told_once` |
//! | cut off, of a wrong type, no JSON | `edge::replies`, `run::faults::an_answer_that_makes_no_sense_is_shown_once_per_change`, `fuzz` |
//! | `no bridge` in a healthy answer | `edge::replies` |
//! | the first answer says no | `run::faults::a_first_answer_that_says_no_is_asked_again_at_the_start` |
//! | flags that are not all good | `run::faults::nothing_less_than_all_flags_and_data_is_live` |
//! | the gateway restarts in a recovery; late answers | `scenarios/26-..`, `edge::connections::a_late_answer_is_nobodys` |
//! | two keepers | `run::keepers`; on two hosts `scenarios/29-..` |
//! | what is personal, in answers and addresses | `run::whatever_the_other_side_says_nothing_personal_is_in_any_line`, `edge::replies` |
//! | no descriptors left | `run::faults::without_descriptors_the_kept_connection_goes_on` |
#![expect(clippy::unwrap_used, reason = "a helper that fails fails its test")]

mod connections;
mod garbage;
mod ibkr_host;
mod raw;
mod replies;
mod tls;
mod traps;
mod trust;
