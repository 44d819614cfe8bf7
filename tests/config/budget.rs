//! Gateways behind one public address stay within its request budget.

use crate::{faults, parse};

#[test]
fn as_many_gateways_as_one_public_address_bears() {
    let crowd = |session: &str, count: u16, address: &dyn Fn(u16) -> String| {
        let gateway = |i| format!("[gateway.g{i}]\nurl = \"https://localhost:{}\"\n{}", 5000 + i, address(i));
        session.to_owned() + &(0..count).map(gateway).collect::<String>()
    };
    let none = |_| String::new();
    assert_eq!(parse(&crowd("", 17, &none)).unwrap().gateways.len(), 17);
    assert!(parse(&crowd("", 18, &none)).is_err());
    let slower = "[session]\ncheck_every = \"11s\"\n";
    assert!(parse(&crowd(slower, 18, &none)).is_ok());
    let told = faults(&crowd("", 150, &none));
    assert!(told.contains("write check_every = \"1m 49s\" under [session], and ping_every no shorter"), "{told}");
    assert!(faults(&crowd("", 300, &none)).contains("no check_every is long enough for so many"));
    let apart = |i| format!("public_address = \"a{}\"\n", i / 17);
    let config = parse(&crowd("", 1000, &apart)).unwrap();
    assert_eq!(config.gateways.iter().filter(|gateway| gateway.public_address == "a58").count(), 14);
}
