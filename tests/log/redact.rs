//! A sample of a foreign answer in the log: nothing personal, one line, short, and still of use.

use std::time::{Duration, Instant};

use tickled::log::redact;

#[test]
fn what_is_personal_is_masked_in_every_dress() {
    let mark = "[redacted]";
    #[rustfmt::skip]
    let rows = [
        // What the gateway's own answers look like.
        (r#"{"session":"9f3c","ssoExpires":415890,"userId":1234567}"#, r#"{"session":"@","ssoExpires":415890,"userId":@}"#),
        (r#"{"authenticated":false,"MAC":"98:F2:B3:23:BF:A0"}"#, r#"{"authenticated":false,"MAC":"@"}"#),
        (r#"{"hardware_info":"8a2c|98:F2:B3:23:BF:A0","fail":""}"#, r#"{"hardware_info":"@","fail":""}"#),
        (r#"{"HARDWARE_INFO" : "8a2c"}"#, r#"{"HARDWARE_INFO" : "@"}"#),
        (r#"{"USER_ID":77,"USER_NAME":"jdoe","EXPIRES":9}"#, r#"{"USER_ID":@,"USER_NAME":"@","EXPIRES":9}"#),
        (r#"{"CREDENTIAL":"jdoe","PAPER_USER_NAME":null}"#, r#"{"CREDENTIAL":"@","PAPER_USER_NAME":null}"#),
        (r#"{"IP":"203.0.113.9","lastAccessed":1700000000000}"#, r#"{"IP":"@","lastAccessed":1700000000000}"#),
        (r#"{"topic":"system","success":"jdoe"}"#, r#"{"topic":"system","success":"@"}"#),
        (r#"{"success":true,"username":"jdoe"}"#, r#"{"success":true,"username":"@"}"#),
        (r#"{"accounts":["A","B"],"isPaper":true}"#, r#"{"accounts":@,"isPaper":true}"#),
        (r#"{"acctProps":{"A":{"x":"}"}},"aliases":{"A":"Mum"},"isFT":false}"#, r#"{"acctProps":@,"aliases":@,"isFT":false}"#),
        (r#"{"selectedAccount":"A","sessionId":"66.b"}"#, r#"{"selectedAccount":"@","sessionId":"@"}"#),
        (r#"{"accounts":[],"aliases":{}}"#, r#"{"accounts":[],"aliases":{}}"#),
        // Quoted otherwise, cut off, in a string, in a page, in a header.
        (r#"{"session":"9f\"3c","n":1}"#, r#"{"session":"@","n":1}"#),
        (r#"{"session":"9f3c"#, r#"{"session":"@"#),
        (r#"{"accounts":["A","#, r#"{"accounts":@"#),
        (r#"{"body":"{\"session\":\"9f3c\",\"n\":1}"}"#, r#"{"body":"{\"session\":\"@\",\"n\":1}"}"#),
        ("{'session': '9f3c'}", "{'session': '@'}"),
        ("<p>&quot;session&quot;:&quot;9f3c&quot;</p>", "<p>&quot;session&quot;:&quot;@&quot;</p>"),
        ("<td>User name</td><td>x</td> <b>Username:</b> jdoe <i>", "<td>User name</td><td>x</td> <b>Username:@ <i>"),
        (r#"<input name="user_name" value="jdoe">"#, r#"<input name="user_name" value="@">"#),
        ("/sso/Login?user=jdoe&RL=1", "/sso/Login?user=@&RL=1"),
        ("user%3Djdoe", "user%3D@"),
        ("api=9f3c; Path=/", "api=@; Path=/"),
        (r#"Cookie: api={"session":"9f3c"}"#, "Cookie: @"),
        ("Set-Cookie: a=b; c=d\r\nServer: x", "Set-Cookie: @ Server: x"),
        ("x-sess-uuid: 0.ab12", "x-sess-uuid: @"),
        ("OLD_SESSION=9f3c", "OLD_SESSION=@"),
        // Nothing but its looks.
        ("from 192.168.1.77:5000 or 10.0.0.1.", "from @:5000 or @."),
        ("[2001:db8::1]:443 ::1 fe80::1%eth0", "[@]:443 @ @%eth0"),
        ("98-f2-b3-23-bf-a0 and 98:F2:B3:23:BF:A0-x and 98f2b323bfa0", "@ and @-x and @"),
        ("account U1234567, DU7654321 or DUM123456_x", "account @, @ or @_x"),
        ("write to jane.doe@example.com.", "write to @"),
        ("id 0123456789abcdef0123 end", "id @ end"),
        ("QWxhZGRpbjpvcGVuIHNlc2FtZQ==", "@"),
        ("QWxhZGRpb/pvcGVu+HNlc2Ft", "@"),
        ("550e8400-e29b-41d4-a716-446655440000", "@"),
        ("abcdefghijklmnopqrstuvwxyz", "@"),
        // What a person must be able to read.
        (r#"{"error":"not authenticated","statusCode":401}"#, r#"{"error":"not authenticated","statusCode":401}"#),
        ("/v1/api/iserver/reauthenticate?force=true", "/v1/api/iserver/reauthenticate?force=true"),
        ("/sso/Login?forwardTo=22&RL=1&ip2loc=US", "/sso/Login?forwardTo=22&RL=1&ip2loc=US"),
        (r#"{"QUALIFIED_FOR_MOBILE_AUTH":true}"#, r#"{"QUALIFIED_FOR_MOBILE_AUTH":true}"#),
        (r#"{"error":"Init session first","statusCode":400}"#, r#"{"error":"Init session first","statusCode":400}"#),
        (r#"{"serverName":"JifN17092","serverVersion":"Build 10.28.0c, Aug 9, 2024 4:15:37 PM"}"#, r#"{"serverName":"JifN17092","serverVersion":"Build 10.28.0c, Aug 9, 2024 4:15:37 PM"}"#),
        ("2026-11-24T05:15:37Z std::io::Error", "2026-11-24T05:15:37Z std::io::Error"),
        ("  <html>\n\t<h1>502\x1b[31m Bad\u{202e} Gateway</h1>\r\n", "<html> <h1>502 [31m Bad Gateway</h1>"),
        ("", ""),
    ];
    for (text, shown) in rows {
        let expected = shown.replace('@', mark);
        assert_eq!(redact(text), expected, "of {text:?}");
        if !text.contains('\n') {
            assert_eq!(redact(&expected), expected, "again, of {text:?}");
        }
    }
}

#[test]
fn a_sample_is_short_and_whole_whatever_it_is_made_of() {
    let pieces = [
        "\"session\":",
        "\"",
        "'",
        "{",
        "[",
        "]",
        "}",
        "ä",
        "…",
        "\n",
        "api=",
        "\\",
        "::",
        "1.2.3.4",
        "&quot;",
        "<",
        ">",
        "%3D",
        "user",
        " ",
        "x9",
    ];
    let mut seed = 1_u64;
    for _ in 0..20_000 {
        let mut text = String::new();
        for _ in 0..seed % 60 {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            text.push_str(pieces[usize::try_from(seed >> 33).unwrap() % pieces.len()]);
        }
        seed = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let shown = redact(&text);
        assert!(
            shown.len() <= 200 && !shown.contains(char::is_control) && !shown.contains("1.2.3.4"),
            "{text:?}: {shown:?}"
        );
    }
    assert_eq!(redact(&"é".repeat(5000)).len(), 199);
    let began = Instant::now();
    for hostile in ["=", "\"session\":[", "1.", "a:", "\\\"", " ", "<"] {
        assert!(redact(&hostile.repeat(1_000_000)).len() <= 200);
    }
    assert!(began.elapsed() < Duration::from_secs(30), "{:?}", began.elapsed());
}
