//! A trading program: what it needs, and what it loses with the brokerage session.

use serde_json::json;

use super::super::{Frame, Limits, Method, Reach, StreamId, Unanswered};
use super::*;

/// A live world that answers at once, however much is asked in a second.
fn quick() -> World {
    let mut world = live();
    world.set(s(5), Control::Latency(ms(0)));
    world.set(s(5), Control::Pacing(Limits::Off));
    world
}

/// A live world whose program has asked for the accounts.
fn primed() -> World {
    let mut world = quick();
    assert_eq!(ask(&mut world, s(5), &Call::get(Route::Accounts)).status(), 200);
    world
}

/// What a GET of this path, below `/v1/api`, is answered: the status and the body.
fn get(world: &mut World, at: Duration, path: &str) -> (u16, Value) {
    let (path, query) = path.split_once('?').unwrap_or((path, ""));
    let route = Route::parse(&format!("/v1/api/{path}"));
    said(world, at, &Call { query: query.to_owned(), ..Call::get(route) })
}

fn post(world: &mut World, at: Duration, path: &str, body: Value) -> (u16, Value) {
    let route = Route::parse(&format!("/v1/api/{path}"));
    said(world, at, &Call { body, ..Call::post(route) })
}

fn said(world: &mut World, at: Duration, call: &Call) -> (u16, Value) {
    let answer = ask(world, at, call);
    let body = serde_json::from_slice(&answer.render().body).unwrap_or_default();
    (answer.status(), body)
}

/// An order for ten shares of a company, as a program writes it.
fn order(conid: u64, kind: &str, price: Option<f64>) -> Value {
    json!({"orders": [{
        "conid": conid, "side": "BUY", "quantity": 10, "orderType": kind, "price": price, "tif": "GTC",
    }]})
}

fn conid(world: &mut World, at: Duration, symbol: &str) -> u64 {
    let (_, found) = get(world, at, &format!("trsrv/stocks?symbols={symbol}"));
    found[symbol][0]["contracts"][0]["conid"].as_u64().unwrap()
}

fn last(world: &mut World, at: Duration, conid: u64) -> f64 {
    for _ in 0..2 {
        let (status, entries) = get(world, at, &format!("iserver/marketdata/snapshot?conids={conid}&fields=31%2C84"));
        assert_eq!(status, 200);
        if let Some(last) = entries[0]["31"].as_str() {
            return last.parse().unwrap();
        }
    }
    panic!("no snapshot");
}

const ORDERS: &str = "iserver/account/DU0000000/orders";

/// Places an order of which nothing is asked, and returns its number.
fn placed(world: &mut World, at: Duration, order: Value) -> String {
    post(world, at, "iserver/questions/suppress", json!({"messageIds": ["o354", "o163"]}));
    let (status, answer) = post(world, at, ORDERS, order);
    assert_eq!((status, answer[0]["order_status"].as_str()), (200, Some("PendingSubmit")), "{answer}");
    answer[0]["order_id"].as_str().unwrap().to_owned()
}

fn status(world: &mut World, at: Duration, id: &str) -> String {
    let (_, order) = get(world, at, &format!("iserver/account/order/status/{id}"));
    order["order_status"].as_str().unwrap_or_else(|| panic!("{order}")).to_owned()
}

#[test]
fn contracts_are_found_by_symbol_with_and_without_a_brokerage_session() {
    let mut world = quick();
    let found = conid(&mut world, s(6), "AAPL");
    let (_, searched) = get(&mut world, s(6), "iserver/secdef/search?symbol=AAPL");
    assert_eq!(searched[0]["conid"], found.to_string());
    assert_eq!(searched[0]["companyName"], "SIMULATED AAPL");
    let (_, posted) = post(&mut world, s(6), "iserver/secdef/search", json!({"symbol": "AAPL"}));
    assert_eq!(posted, searched);
    let (_, info) = get(&mut world, s(6), &format!("iserver/contract/{found}/info"));
    assert_eq!(info["symbol"], "AAPL");
    world.set(s(7), Control::Lapse);
    assert_eq!(conid(&mut world, s(7), "AAPL"), found);
    assert_eq!(get(&mut world, s(7), "iserver/secdef/search?symbol=AAPL").0, 400);
    assert_eq!(get(&mut world, s(7), "trsrv/stocks?symbols=123456").1, json!({"123456": []}));
}

#[test]
fn without_the_accounts_nothing_of_an_account_is_answered() {
    let mut world = fresh();
    assert_eq!(get(&mut world, s(0), "iserver/account/orders").0, 401, "no login");
    let mut world = quick();
    world.set(s(6), Control::Lapse);
    ask(&mut world, s(6), &Call::init(false));
    for path in ["iserver/account/orders", "iserver/marketdata/snapshot?conids=1&fields=31"] {
        let (status, body) = get(&mut world, s(7), path);
        assert_eq!((status, body["error"].as_str()), (500, Some("Please query /accounts first")), "{path}");
    }
    ask(&mut world, s(8), &Call::get(Route::Accounts));
    assert_eq!(get(&mut world, s(8), "iserver/account/orders").0, 200);
    world.set(s(9), Control::Lapse);
    assert_eq!(get(&mut world, s(9), "iserver/account/orders").1["error"], "Bad Request: no bridge");
    world.set(s(10), Control::ExpireLogin);
    assert_eq!(get(&mut world, s(10), "iserver/account/orders").0, 401);
}

#[test]
fn an_order_is_placed_after_its_question_is_answered() {
    let mut world = primed();
    let conid = conid(&mut world, s(6), "AAPL");
    let (_, question) = post(&mut world, s(6), ORDERS, order(conid, "MKT", None));
    assert_eq!((&question[0]["messageIds"][0], &question[0]["isSuppressed"]), (&json!("o354"), &json!(false)));
    assert!(
        question[0]["message"][0].as_str().unwrap().starts_with("You are submitting an order without market data.")
    );
    let reply = format!("iserver/reply/{}", question[0]["id"].as_str().unwrap());
    let (_, answer) = post(&mut world, s(6), &reply, json!({"confirmed": true}));
    let id = answer[0]["order_id"].as_str().unwrap().to_owned();
    assert_eq!(status(&mut world, ms(6_300), &id), "Submitted");
    assert_eq!(status(&mut world, ms(7_300), &id), "Filled");
    assert_eq!(post(&mut world, s(8), &reply, json!({"confirmed": true})).0, 400, "it was answered");
    let (_, trades) = get(&mut world, s(8), "iserver/account/trades");
    assert_eq!((trades.as_array().unwrap().len(), &trades[0]["symbol"]), (1, &json!("AAPL")));
}

#[test]
fn an_order_that_is_not_confirmed_is_not_placed() {
    let mut world = primed();
    let (_, question) = post(&mut world, s(6), ORDERS, order(1, "MKT", None));
    let reply = format!("iserver/reply/{}", question[0]["id"].as_str().unwrap());
    assert_eq!(post(&mut world, s(6), &reply, json!({"confirmed": false})).0, 200);
    get(&mut world, s(7), "iserver/account/orders");
    assert_eq!(get(&mut world, s(7), "iserver/account/orders").1["orders"], json!([]));
}

#[test]
fn several_questions_come_one_after_the_other_and_suppressed_ones_do_not() {
    let mut world = primed();
    let conid = conid(&mut world, s(6), "AAPL");
    let far = last(&mut world, s(6), conid) * 2.0;
    let mut large = order(conid, "LMT", Some(far));
    large["orders"][0]["quantity"] = json!(10_000);
    let asked = |world: &mut World, at: Duration| {
        let mut asked = Vec::new();
        let (_, mut answer) = post(world, at, ORDERS, large.clone());
        while let Some(id) = answer[0]["id"].as_str() {
            asked.push(answer[0]["messageIds"][0].as_str().unwrap().to_owned());
            answer = post(world, at, &format!("iserver/reply/{id}"), json!({"confirmed": true})).1;
        }
        assert!(answer[0]["order_id"].is_string(), "{answer}");
        asked
    };
    assert_eq!(asked(&mut world, s(7)), ["o354", "o163", "o383", "o451"]);
    let (_, suppressed) = post(&mut world, s(8), "iserver/questions/suppress", json!({"messageIds": ["o354", "o383"]}));
    assert_eq!(suppressed, json!({"status": "submitted"}));
    assert_eq!(asked(&mut world, s(8)), ["o163", "o451"]);
    post(&mut world, s(9), "iserver/questions/suppress/reset", Value::Null);
    assert_eq!(asked(&mut world, s(9)).len(), 4);
    let many: Vec<String> = (0..52).map(|nth| format!("o{nth}")).collect();
    assert_eq!(post(&mut world, s(10), "iserver/questions/suppress", json!({"messageIds": many})).0, 400);
}

#[test]
fn a_new_session_has_no_suppressions_no_priming_and_no_questions() {
    let mut world = primed();
    post(&mut world, s(6), "iserver/questions/suppress", json!({"messageIds": ["o354", "o163"]}));
    let (_, question) = post(&mut world, s(6), ORDERS, {
        let mut order = order(1, "MKT", None);
        order["orders"][0]["quantity"] = json!(501);
        order
    });
    let reply = format!("iserver/reply/{}", question[0]["id"].as_str().unwrap());
    last(&mut world, s(6), 1);
    let placed = placed(&mut world, s(7), order(1, "LMT", Some(1.0)));
    world.set(s(8), Control::Lapse);
    assert_eq!(post(&mut world, s(8), ORDERS, order(1, "MKT", None)).1["error"], "Bad Request: no bridge");
    ask(&mut world, s(9), &Call::init(false));
    assert!(world.truth().live);
    assert_eq!(post(&mut world, s(9), ORDERS, order(1, "MKT", None)).0, 500, "not primed");
    ask(&mut world, s(10), &Call::get(Route::Accounts));
    assert_eq!(post(&mut world, s(10), ORDERS, order(1, "MKT", None)).1[0]["messageIds"][0], "o354");
    assert_eq!(post(&mut world, s(10), &reply, json!({"confirmed": true})).0, 400);
    let (_, entries) = get(&mut world, s(10), "iserver/marketdata/snapshot?conids=1&fields=31");
    assert!(entries[0]["31"].is_null(), "a snapshot must be asked for again");
    assert_eq!(get(&mut world, s(11), "iserver/account/orders").1["orders"], json!([]), "the list as well");
    let (_, orders) = get(&mut world, s(11), "iserver/account/orders");
    assert_eq!(orders["orders"][0]["orderId"].to_string(), placed, "the orders stay");
}

#[test]
fn a_limit_that_is_not_reached_stays_open_until_it_is_changed_or_cancelled() {
    let mut world = primed();
    let id = placed(&mut world, s(6), order(1, "LMT", Some(1.0)));
    assert_eq!(status(&mut world, s(600), &id), "Submitted");
    let path = format!("iserver/account/DU0000000/order/{id}");
    let delete = Call { method: Method::Delete, ..Call::get(Route::parse(&format!("/v1/api/{path}"))) };
    let higher = json!({"conid": 1, "side": "BUY", "quantity": 5, "orderType": "LMT", "price": 2.0});
    let (_, changed) = post(&mut world, s(601), &path, higher);
    assert_eq!(changed[0]["order_id"], json!(id));
    let (_, cancelled) = said(&mut world, s(602), &delete);
    assert_eq!(cancelled["msg"], "Request was submitted");
    assert_eq!(status(&mut world, s(603), &id), "Cancelled");
    assert!(said(&mut world, s(604), &delete).1["error"].is_string());
    assert!(post(&mut world, s(604), &path, json!({"conid": 1, "side": "BUY", "quantity": 5, "orderType": "MKT"})).1
        ["error"]
        .is_string());
}

#[test]
fn an_order_that_makes_no_sense_is_refused() {
    let mut world = primed();
    for (field, value) in [
        ("conid", Value::Null),
        ("side", json!("UP")),
        ("quantity", json!(0)),
        ("quantity", json!("many")),
        ("orderType", Value::Null),
        ("price", Value::Null),
    ] {
        let mut order = order(1, "LMT", Some(1.0));
        order["orders"][0][field] = value;
        let (status, body) = post(&mut world, s(6), ORDERS, order);
        assert!(status == 400 && body["error"].is_string(), "{field}: {body}");
    }
    assert_eq!(post(&mut world, s(6), ORDERS, json!({})).0, 400);
    assert_eq!(post(&mut world, s(6), "iserver/account/U1/orders", order(1, "MKT", None)).0, 400);
    let mut named = order(1, "LMT", Some(1.0));
    named["orders"][0]["cOID"] = json!("mine");
    placed(&mut world, s(7), named.clone());
    let (_, twice) = post(&mut world, s(8), ORDERS, named);
    assert!(twice["error"].as_str().unwrap().contains("Local order ID=mine"), "{twice}");
}

#[test]
fn a_fill_is_in_the_positions_and_the_ledger_which_need_no_brokerage_session() {
    let mut world = primed();
    let conid = conid(&mut world, s(6), "IBM");
    let cash = |world: &mut World, at: Duration| {
        let (status, ledger) = get(world, at, "portfolio/DU0000000/ledger");
        assert_eq!(status, 200);
        ledger["USD"]["cashbalance"].as_f64().unwrap()
    };
    let before = cash(&mut world, s(6));
    placed(&mut world, s(6), order(conid, "MKT", None));
    world.set(s(9), Control::Lapse);
    let (_, positions) = get(&mut world, s(9), "portfolio/DU0000000/positions/0");
    let ibm = positions.as_array().unwrap().iter().find(|row| row["conid"] == conid).unwrap();
    assert_eq!((ibm["position"].as_f64(), ibm["ticker"].as_str()), (Some(10.0), Some("IBM")));
    let paid = before - cash(&mut world, s(9));
    assert!((paid - ibm["avgCost"].as_f64().unwrap() * 10.0).abs() < 0.01, "{paid}");
    assert_eq!(get(&mut world, s(9), "portfolio/DU0000000/positions/1").1, json!([]));
    assert_eq!(get(&mut world, s(9), "portfolio/U1/ledger").0, 400);
    world.set(s(10), Control::ExpireLogin);
    assert_eq!(get(&mut world, s(10), "portfolio/DU0000000/ledger").0, 401);
}

#[test]
fn everything_that_is_made_up_says_so() {
    let mut world = primed();
    let id = placed(&mut world, s(6), order(1, "MKT", None));
    world.advance(s(8));
    get(&mut world, s(8), "iserver/account/orders");
    for path in [
        "iserver/account/orders",
        "iserver/account/trades",
        &format!("iserver/account/order/status/{id}"),
        "iserver/account/pnl/partitioned",
        "iserver/account/DU0000000/summary",
        "iserver/contract/1/info",
        "iserver/secdef/search?symbol=A",
        "iserver/marketdata/snapshot?conids=1&fields=31",
        "iserver/marketdata/history?conid=1&bar=1min",
        "trsrv/stocks?symbols=A",
        "trsrv/secdef?conids=1",
        "portfolio/DU0000000/positions/0",
        "portfolio/DU0000000/ledger",
        "portfolio/DU0000000/summary",
        "portfolio/DU0000000/meta",
    ] {
        let (status, body) = get(&mut world, s(9), path);
        assert_eq!(status, 200, "{path}");
        assert!(body.to_string().contains(r#""simulated":true"#), "{path}: {body}");
    }
}

#[test]
fn an_order_that_its_program_gave_up_on_is_placed_when_the_queue_is_sent() {
    let mut world = primed();
    post(&mut world, s(6), "iserver/questions/suppress", json!({"messageIds": ["o354"]}));
    world.set(s(7), Control::Ibkr(Reach::Away));
    for _ in 0..5 {
        assert_eq!(world.handle(s(7), &Call::post(Route::Tickle)).what, What::Hang);
    }
    let route = Route::parse(&format!("/v1/api/{ORDERS}"));
    for _ in 0..2 {
        let body = order(1, "MKT", None);
        assert_eq!(world.handle(s(8), &Call { body, ..Call::post(route.clone()) }).what, What::Hang);
    }
    world.set(s(60), Control::Ibkr(Reach::Here));
    get(&mut world, s(62), "iserver/account/orders");
    let (_, orders) = get(&mut world, s(62), "iserver/account/orders");
    let statuses: Vec<&Value> = orders["orders"].as_array().unwrap().iter().map(|order| &order["status"]).collect();
    assert_eq!(statuses, ["Filled", "Filled"], "twice what was wanted");
}

/// A websocket that is ready at 11 s, and a world that is primed.
fn listening() -> (World, StreamId) {
    let mut world = primed();
    let stream = world.open_stream(s(10), None);
    world.advance(s(11));
    assert_eq!(world.pushes().len(), 4);
    (world, stream)
}

/// The data so far: when, in milliseconds, and what.
fn data(world: &mut World) -> Vec<(u128, Value)> {
    let is_data = |frame: Frame| if let Frame::Data(value) = frame { Some((*value).clone()) } else { None };
    world.pushes().into_iter().filter_map(|push| Some((push.at.as_millis(), is_data(push.frame)?))).collect()
}

#[test]
fn market_data_comes_every_second_with_the_fields_that_were_asked_for() {
    let (mut world, stream) = listening();
    world.hear(s(12), stream, r#"smd+265598+{"fields":["31","84"]}"#);
    world.advance(s(14));
    let told = data(&mut world);
    assert_eq!(told.iter().map(|(at, _)| *at).collect::<Vec<_>>(), [12_000, 13_000, 14_000]);
    for (_, frame) in &told {
        assert_eq!((&frame["topic"], &frame["conid"]), (&json!("smd+265598"), &json!(265_598)));
        assert!(frame["31"].is_string() && frame["84"].is_string() && frame["86"].is_null(), "{frame}");
        assert_eq!(frame["simulated"], true);
    }
    assert_ne!(told[0].1["31"], told[2].1["31"], "prices move");
    world.hear(s(15), stream, "umd+265598+{}");
    data(&mut world);
    world.advance(s(100));
    assert!(data(&mut world).is_empty());
    assert!(world.next_event().is_some_and(|next| next > s(100)));
}

#[test]
fn market_data_ends_after_ten_minutes() {
    let (mut world, stream) = listening();
    world.hear(s(12), stream, r#"smd+1+{"fields":["31"]}"#);
    world.advance(s(700));
    assert_eq!(data(&mut world).last().unwrap().0, 611_000);
}

#[test]
fn orders_and_profit_are_told_on_their_topics() {
    let (mut world, stream) = listening();
    world.hear(s(12), stream, "sor+{}");
    assert_eq!(data(&mut world), [(12_000, json!({"topic": "sor", "args": []}))]);
    let id = placed(&mut world, s(13), order(1, "MKT", None));
    world.advance(s(16));
    let told = data(&mut world);
    let statuses: Vec<&str> = told.iter().map(|(_, frame)| frame["args"][0]["status"].as_str().unwrap()).collect();
    assert_eq!(statuses, ["PendingSubmit", "Submitted", "Filled"]);
    assert!(
        told.iter()
            .all(|(_, frame)| frame["args"][0]["orderId"].as_u64().map(|is| is.to_string()).as_ref() == Some(&id))
    );
    world.hear(s(17), stream, "uor+{}");
    world.hear(s(17), stream, "spl+{}");
    placed(&mut world, s(18), order(1, "MKT", None));
    world.advance(s(19));
    let told = data(&mut world);
    assert!(told.iter().all(|(_, frame)| frame["topic"] == "spl"), "{told:?}");
    assert_eq!(told.len(), 3);
    assert!(told[0].1["args"]["DU0000000.Core"]["nl"].is_number());
}

#[test]
fn a_lapse_ends_the_subscriptions_without_a_word_and_a_new_session_does_not_bring_them_back() {
    let (mut world, stream) = listening();
    for topic in [r#"smd+1+{"fields":["31"]}"#, "sor+{}", "spl+{}"] {
        world.hear(s(12), stream, topic);
    }
    world.advance(s(13));
    assert_eq!(data(&mut world).len(), 5);
    world.set(s(14), Control::Lapse);
    data(&mut world);
    world.hear(s(15), stream, "sor+{}");
    world.hear(s(15), stream, r#"smd+1+{"fields":["31"]}"#);
    let refused = data(&mut world);
    assert_eq!(refused[0].1, json!({"error": "unable to subscribe", "code": 500, "topic": "sor"}));
    assert_eq!(refused[1].1["topic"], "smd+1");
    ask(&mut world, s(16), &Call::init(false));
    ask(&mut world, s(16), &Call::get(Route::Accounts));
    placed(&mut world, s(17), order(1, "MKT", None));
    world.advance(s(60));
    assert!(data(&mut world).is_empty());
    world.hear(s(60), stream, "spl+{}");
    world.advance(s(61));
    assert_eq!(data(&mut world).len(), 2);
}

#[test]
fn a_lapse_that_is_mended_between_two_seconds_still_ends_them() {
    let (mut world, stream) = listening();
    world.hear(s(12), stream, "spl+{}");
    world.set(ms(12_100), Control::Lapse);
    ask(&mut world, ms(12_200), &Call::init(false));
    data(&mut world);
    world.advance(s(60));
    assert!(data(&mut world).is_empty());
}

#[test]
fn a_subscription_can_be_refused_in_a_good_session_and_the_others_go_on() {
    let (mut world, stream) = listening();
    world.hear(s(12), stream, "spl+{}");
    world.set(s(12), Control::RefuseSubscriptions(Times::Next(1)));
    world.hear(s(12), stream, "sor+{}");
    world.hear(s(12), stream, "sor+{}");
    world.advance(s(13));
    let topics: Vec<String> = data(&mut world)
        .iter()
        .map(|(_, frame)| {
            format!("{}{}", frame["topic"].as_str().unwrap(), frame["error"].as_str().unwrap_or_default())
        })
        .collect();
    assert_eq!(topics, ["spl", "sorunable to subscribe", "sor", "spl"]);
}

#[test]
fn subscriptions_before_the_websocket_is_ready_are_dropped() {
    let mut world = primed();
    let stream = world.open_stream(s(10), None);
    world.hear(ms(10_010), stream, "spl+{}");
    world.advance(s(20));
    assert!(data(&mut world).is_empty());
}

#[test]
fn data_stops_while_ibkr_is_silent_and_goes_on_where_it_answers_late() {
    let (mut world, stream) = listening();
    world.hear(s(12), stream, "spl+{}");
    world.set(s(13), Control::Ibkr(Reach::Away));
    data(&mut world);
    world.advance(s(60));
    assert!(data(&mut world).is_empty());
    world.set(s(60), Control::Return(Unanswered::Answered));
    world.advance(s(62));
    assert_eq!(data(&mut world).len(), 2);
}
