//! The destination policy, case by case: what is refused and why, what is allowed and how it is stored.

use proptest::prelude::*;
use tags::{Destination, DestinationError, code_in_path};

macro_rules! refused {
    ($($name:ident: $text:expr => $reason:ident $({ $($field:tt)* })?;)+) => {
        mod refused {
            use super::*;
            use DestinationError::*;
            $(#[test]
            fn $name() {
                let text: &str = &$text;
                let outcome = Destination::parse(text);
                assert!(matches!(outcome, Err($reason $({ $($field)* })?)), "{text:?}: {outcome:?}");
            })+
        }
    };
}

macro_rules! allowed {
    ($($name:ident: $text:expr => $stored:expr;)+) => {
        mod allowed {
            use super::*;
            $(#[test]
            fn $name() {
                let text: &str = &$text;
                let destination = Destination::parse(text).expect(text);
                assert_eq!(destination.as_str(), $stored);
                assert_eq!(Destination::from_stored(destination.as_str()), Ok(destination));
            })+
        }
    };
}

refused! {
    // What the parser would take away in silence.
    a_tab_inside: "https://exam\tple.com/" => ControlCharacter;
    a_line_break_in_the_path: "https://example.com/a\r\nSet-Cookie: a=b" => ControlCharacter;
    a_line_break_in_the_scheme: "java\nscript:alert(1)" => ControlCharacter;
    a_line_break_at_the_end: "https://example.com/\n" => ControlCharacter;
    a_nul_at_the_start: "\0https://example.com/" => ControlCharacter;
    a_delete: "https://example.com/\u{7f}" => ControlCharacter;
    a_c1_next_line: "https://example.com/\u{85}" => ControlCharacter;
    a_c1_string_terminator: "https://example.com/\u{9c}a" => ControlCharacter;
    a_line_break_in_a_mail: "mailto:a@example.com\nbcc:b@example.com" => ControlCharacter;
    a_leading_space: " https://example.com/" => OuterSpace;
    a_trailing_space: "https://example.com/ " => OuterSpace;
    a_trailing_ideographic_space: "https://example.com/\u{3000}" => OuterSpace;
    a_leading_no_break_space: "\u{a0}https://example.com/" => OuterSpace;
    only_spaces: "   " => OuterSpace;

    // Schemes.
    nothing: "" => NoScheme;
    a_bare_host: "example.com" => NoScheme;
    a_path: "/p/1" => NoScheme;
    a_host_without_scheme: "//example.com/" => NoScheme;
    a_colon_first: "://example.com/" => NoScheme;
    a_byte_order_mark_first: "\u{feff}https://example.com/" => NoScheme;
    a_full_width_scheme: "ｈttps://example.com/" => NoScheme;
    javascript: "javascript:alert(1)" => Scheme { .. };
    javascript_in_mixed_case: "JaVaScRiPt:alert(1)" => Scheme { .. };
    javascript_with_slashes: "javascript://example.com/%0aalert(1)" => Scheme { .. };
    data: "data:text/html,<script>alert(1)</script>" => Scheme { .. };
    vbscript: "vbscript:msgbox(1)" => Scheme { .. };
    file: "file:///etc/passwd" => Scheme { .. };
    ftp: "ftp://example.com/" => Scheme { .. };
    blob: "blob:https://example.com/1" => Scheme { .. };
    view_source: "view-source:https://example.com/" => Scheme { .. };
    an_app_intent: "intent://scan/#Intent;scheme=zxing;end" => Scheme { .. };
    an_app_scheme: "whatsapp://send?text=a" => Scheme { .. };
    web_socket: "wss://example.com/" => Scheme { .. };
    about_blank: "about:blank" => Scheme { .. };
    a_host_and_port_without_scheme: "example.com:8080/p" => Scheme { .. };

    // Slashes, backslashes and credentials.
    no_slashes: "https:example.com" => Slashes;
    one_slash: "https:/example.com/" => Slashes;
    three_slashes: "https:///example.com/" => Slashes;
    four_slashes: "http:////example.com/" => Slashes;
    a_scheme_alone: "https:" => Slashes;
    backslashes_for_slashes: r"https:\\example.com/" => Backslash;
    a_slash_and_a_backslash: r"https:/\example.com/" => Backslash;
    slashes_and_a_backslash: r"https://\example.com/" => Backslash;
    a_backslash_after_the_host: r"https://example.com\@evil.example.org/" => Backslash;
    a_backslash_that_begins_the_path: r"https://example.com\p" => Backslash;
    a_user: "https://user@example.com/" => Credentials;
    a_user_and_password: "https://user:secret@example.com/" => Credentials;
    a_host_as_a_user: "https://example.com@evil.example.org/" => Credentials;
    an_empty_user: "https://@example.com/" => Credentials;
    an_empty_user_and_password: "https://:@example.com/" => Credentials;
    two_at_signs: "https://a@b@example.com/" => Credentials;
    an_encoded_at_sign: "https://user%40example.com/" => Credentials;
    a_full_width_at_sign: "https://user＠example.com/" => MalformedHost;
    an_address_as_a_user: "http://127.0.0.1:80@example.com/" => Credentials;

    // Hosts that are none.
    no_host: "https://" => EmptyHost;
    a_port_without_host: "https://:443/" => EmptyHost;
    a_query_without_host: "https://?q=1" => EmptyHost;
    a_fragment_without_host: "https://#f" => EmptyHost;
    a_dot_for_a_host: "https://./" => EmptyHost;
    only_dots_for_a_host: "https://.../" => MalformedHost;
    a_leading_dot: "https://.example.com/" => MalformedHost;
    two_dots_inside: "https://example..com/" => MalformedHost;
    two_trailing_dots: "https://example.com../" => MalformedHost;
    a_space_in_the_host: "https://exa mple.com/" => MalformedHost;
    an_encoded_space_in_the_host: "https://example.com%20/" => MalformedHost;
    an_encoded_nul_in_the_host: "https://example.com%00.example.org/" => MalformedHost;
    an_encoded_line_break_in_the_host: "https://example.com%0d%0a/" => MalformedHost;
    an_encoded_slash_in_the_host: "https://example.com%2f.example.org/" => MalformedHost;
    an_encoded_number_sign_in_the_host: "https://example.com%23.example.org/" => MalformedHost;
    a_lone_per_cent_sign_in_the_host: "https://100%.example.com/" => MalformedHost;
    angle_brackets_in_the_host: "https://<example>.com/" => MalformedHost;
    broken_punycode: "https://xn--a-ecp.xn--/" => MalformedHost;
    punycode_of_plain_ascii: "https://xn--localhost-.example.com/" => MalformedHost;
    a_number_for_a_top_label: "https://example.123/" => MalformedHost;
    a_hex_number_for_a_top_label: "https://example.0x7f/" => MalformedHost;
    an_address_with_five_parts: "https://1.2.3.4.5/" => MalformedHost;
    an_address_part_above_255: "https://1.2.3.256/" => MalformedHost;
    an_address_above_32_bits: "https://4294967296/" => MalformedHost;
    an_octal_address_with_an_8: "https://1.2.3.08/" => MalformedHost;
    brackets_left_open: "https://[2606:4700::1111/" => MalformedHost;
    ipv6_without_brackets: "https://2606:4700::1111/" => Port;
    ipv4_in_brackets: "https://[1.1.1.1]/" => MalformedHost;
    an_ipv6_zone: "https://[fe80::1%25eth0]/" => MalformedHost;
    an_ipv6_zone_unencoded: "https://[fe80::1%eth0]/" => MalformedHost;
    an_ipv6_future_form: "https://[v1.fe80::a]/" => MalformedHost;
    a_label_too_long_for_dns: format!("https://{}.example.com/", "a".repeat(64)) => MalformedHost;
    a_name_too_long_for_dns: format!("https://{}example.com/", "a.".repeat(130)) => MalformedHost;

    // Ports.
    port_0: "https://example.com:0/" => Port;
    port_0_in_five_digits: "https://example.com:00000/" => Port;
    port_65536: "https://example.com:65536/" => Port;
    a_negative_port: "https://example.com:-1/" => Port;
    a_signed_port: "https://example.com:+80/" => Port;
    a_port_of_letters: "https://example.com:http/" => Port;
    a_full_width_port: "https://example.com:８０/" => Port;
    two_ports: "https://example.com:80:80/" => Port;

    // Names.
    a_single_label: "https://printer/" => SingleLabel { .. };
    a_single_label_with_a_dot: "https://com./" => SingleLabel { .. };
    localhost: "http://localhost/" => SpecialUse { .. };
    localhost_with_port: "http://localhost:8080/" => SpecialUse { .. };
    localhost_in_capitals: "http://LOCALHOST/" => SpecialUse { .. };
    localhost_with_a_dot: "http://localhost./" => SpecialUse { .. };
    localhost_percent_encoded: "http://%6c%6fcalhost/" => SpecialUse { .. };
    localhost_full_width: "http://ｌｏｃａｌｈｏｓｔ/" => SpecialUse { .. };
    localhost_in_circles: "http://ⓛⓞⓒⓐⓛⓗⓞⓢⓣ/" => SpecialUse { .. };
    localhost_with_a_soft_hyphen: "http://local\u{ad}host/" => SpecialUse { .. };
    localhost_with_a_zero_width_space: "http://local\u{200b}host/" => SpecialUse { .. };
    localhost_with_a_long_s: "http://localhoſt/" => SpecialUse { .. };
    a_name_under_localhost: "http://app.localhost/" => SpecialUse { .. };
    a_name_under_local: "http://nas.local/" => SpecialUse { .. };
    a_name_under_local_with_an_ideographic_dot: "http://nas。local/" => SpecialUse { .. };
    a_name_under_local_with_an_ideographic_dot_at_its_end: "http://nas.local。/" => SpecialUse { .. };
    a_name_under_internal: "http://metadata.google.internal/" => SpecialUse { .. };
    a_name_under_test: "https://shop.test/" => SpecialUse { .. };
    a_name_under_invalid: "https://shop.invalid/" => SpecialUse { .. };
    a_name_under_example: "https://shop.example/" => SpecialUse { .. };
    a_name_under_onion: "http://abcdefghijklmnop.onion/" => SpecialUse { .. };
    a_name_under_alt: "https://shop.alt/" => SpecialUse { .. };
    a_name_under_lan: "http://router.lan/" => SpecialUse { .. };
    a_name_under_localdomain: "http://localhost.localdomain/" => SpecialUse { .. };
    a_name_under_intranet: "http://wiki.intranet/" => SpecialUse { .. };
    a_name_under_corp: "http://wiki.corp/" => SpecialUse { .. };
    a_name_under_home: "http://nas.home/" => SpecialUse { .. };
    home_arpa: "http://home.arpa/" => SpecialUse { .. };
    a_name_under_home_arpa: "http://nas.home.arpa/" => SpecialUse { .. };
    the_metadata_name_of_google: "http://metadata.goog/computeMetadata/v1/" => SpecialUse { .. };
    the_metadata_name_of_google_in_disguise: "http://METADATA%2Egoog./" => SpecialUse { .. };

    // IPv4, by spelling.
    loopback: "http://127.0.0.1/" => NotPublic { .. };
    loopback_with_a_dot: "http://127.0.0.1./" => NotPublic { .. };
    loopback_with_two_dots: "http://127.0.0.1../" => MalformedHost;
    loopback_short: "http://127.1/" => NotPublic { .. };
    loopback_decimal: "http://2130706433/" => NotPublic { .. };
    loopback_octal: "http://0177.0.0.1/" => NotPublic { .. };
    loopback_octal_whole: "http://017700000001/" => NotPublic { .. };
    loopback_hex: "http://0x7f.0x0.0x0.0x1/" => NotPublic { .. };
    loopback_hex_whole: "http://0x7F000001/" => NotPublic { .. };
    loopback_mixed: "http://0x7f.00.1/" => NotPublic { .. };
    loopback_full_width: "http://１２７.０.０.１/" => NotPublic { .. };
    loopback_with_ideographic_dots: "http://127。0。0。1/" => NotPublic { .. };
    loopback_with_half_width_dots: "http://127｡0｡0｡1/" => NotPublic { .. };
    loopback_in_circles: "http://①②⑦.⓪.⓪.①/" => NotPublic { .. };
    loopback_percent_encoded: "http://%31%32%37%2e%30%2e%30%2e%31/" => NotPublic { .. };
    loopback_with_port: "http://127.0.0.1:8080/" => NotPublic { .. };
    zero_as_an_empty_hex_number: "http://0x/" => NotPublic { .. };

    // IPv4, by network.
    unspecified: "http://0.0.0.0/" => NotPublic { .. };
    unspecified_short: "http://0/" => NotPublic { .. };
    this_network: "http://0.255.255.255/" => NotPublic { .. };
    private_10: "http://10.255.0.1/" => NotPublic { .. };
    private_172_first: "http://172.16.0.0/" => NotPublic { .. };
    private_172_last: "http://172.31.255.255/" => NotPublic { .. };
    private_192_168: "http://192.168.178.1/" => NotPublic { .. };
    carrier_nat_first: "http://100.64.0.0/" => NotPublic { .. };
    carrier_nat_last: "http://100.127.255.255/" => NotPublic { .. };
    metadata_of_alibaba: "http://100.100.100.200/latest/meta-data/" => NotPublic { .. };
    loopback_last: "http://127.255.255.255/" => NotPublic { .. };
    cloud_metadata: "http://169.254.169.254/latest/meta-data/" => NotPublic { .. };
    cloud_metadata_decimal: "http://2852039166/" => NotPublic { .. };
    metadata_of_azure: "http://168.63.129.16/" => NotPublic { .. };
    metadata_of_oracle: "http://192.0.0.192/" => NotPublic { .. };
    protocol_assignments: "http://192.0.0.8/" => NotPublic { .. };
    nat64_discovery: "http://192.0.0.170/" => NotPublic { .. };
    documentation_1: "http://192.0.2.1/" => NotPublic { .. };
    documentation_2: "http://198.51.100.1/" => NotPublic { .. };
    documentation_3: "http://203.0.113.1/" => NotPublic { .. };
    relays_of_6to4: "http://192.88.99.1/" => NotPublic { .. };
    benchmarking_first: "http://198.18.0.0/" => NotPublic { .. };
    benchmarking_last: "http://198.19.255.255/" => NotPublic { .. };
    multicast_first: "http://224.0.0.1/" => NotPublic { .. };
    multicast_last: "http://239.255.255.255/" => NotPublic { .. };
    reserved: "http://240.0.0.1/" => NotPublic { .. };
    broadcast: "http://255.255.255.255/" => NotPublic { .. };

    // IPv6.
    ipv6_unspecified: "http://[::]/" => NotPublic { .. };
    ipv6_loopback: "http://[::1]/" => NotPublic { .. };
    ipv6_loopback_in_full: "http://[0000:0000:0000:0000:0000:0000:0000:0001]/" => NotPublic { .. };
    ipv4_mapped: "http://[::ffff:127.0.0.1]/" => NotPublic { .. };
    ipv4_mapped_hex: "http://[::ffff:7f00:1]/" => NotPublic { .. };
    ipv4_mapped_of_a_public_address: "http://[::ffff:1.1.1.1]/" => NotPublic { .. };
    ipv4_compatible: "http://[::127.0.0.1]/" => NotPublic { .. };
    ipv4_translated: "http://[::ffff:0:127.0.0.1]/" => NotPublic { .. };
    nat64: "http://[64:ff9b::127.0.0.1]/" => NotPublic { .. };
    nat64_local: "http://[64:ff9b:1::a00:1]/" => NotPublic { .. };
    discard_only: "http://[100::1]/" => NotPublic { .. };
    teredo: "http://[2001:0:7f00:1::]/" => NotPublic { .. };
    protocol_assignments_last: "http://[2001:1ff:ffff::1]/" => NotPublic { .. };
    ipv6_documentation: "http://[2001:db8::1]/" => NotPublic { .. };
    ipv6_documentation_new: "http://[3fff:fff::1]/" => NotPublic { .. };
    embedded_by_6to4: "http://[2002:7f00:1::]/" => NotPublic { .. };
    segment_routing: "http://[5f00::1]/" => NotPublic { .. };
    unassigned_above_unicast: "http://[4000::1]/" => NotPublic { .. };
    unique_local: "http://[fc00::1]/" => NotPublic { .. };
    metadata_of_amazon: "http://[fd00:ec2::254]/" => NotPublic { .. };
    link_local: "http://[fe80::1]/" => NotPublic { .. };
    site_local: "http://[fec0::1]/" => NotPublic { .. };
    ipv6_multicast: "http://[ff02::1]/" => NotPublic { .. };

    // Length.
    one_byte_too_long: format!("https://example.com/{}", "a".repeat(2029)) => TooLong { bytes: 2049 };
    too_long_once_encoded: format!("https://example.com/{}", "ü".repeat(400)) => TooLong { bytes: 2420 };
    a_mail_too_long: format!("mailto:a@example.com?body={}", "a".repeat(2048)) => TooLong { .. };

    // tel, sms, mailto.
    tel_without_number: "tel:" => Telephone;
    tel_without_digits: "tel:+" => Telephone;
    tel_of_letters: "tel:CALLNOW" => Telephone;
    tel_with_spaces: "tel:+49 30 12345" => Telephone;
    tel_with_encoded_spaces: "tel:+49%2030%2012345" => Telephone;
    tel_with_slashes: "tel://+493012345" => Telephone;
    tel_with_a_query: "tel:+493012345?body=a" => Telephone;
    tel_with_a_plus_inside: "tel:49+30" => Telephone;
    tel_with_arabic_digits: "tel:٤٩٣٠" => Telephone;
    tel_with_a_number_sign: "tel:*100#" => Fragment;
    tel_with_an_encoded_line_break: "tel:+4930%0d%0a12345" => EncodedControl;
    sms_without_number: "sms:" => Message;
    sms_with_a_body_alone: "sms:?body=Hi" => Message;
    sms_with_an_empty_recipient: "sms:+493012345,?body=Hi" => Message;
    sms_with_slashes: "sms://+493012345" => Message;
    sms_with_an_ampersand_for_a_question_mark: "sms:+493012345&body=Hi" => Message;
    sms_with_an_encoded_nul: "sms:+493012345?body=a%00b" => EncodedControl;
    sms_with_a_fragment: "sms:+493012345?body=a#b" => Fragment;
    mailto_without_address: "mailto:" => Mail;
    mailto_with_an_empty_query: "mailto:?" => Mail;
    mailto_without_at_sign: "mailto:example.com" => Mail;
    mailto_without_mailbox: "mailto:@example.com" => Mail;
    mailto_without_domain: "mailto:a@" => Mail;
    mailto_with_a_display_name: "mailto:Max <max@example.com>" => Mail;
    mailto_with_quotes: "mailto:\"a\"@example.com" => Mail;
    mailto_with_an_empty_address: "mailto:a@example.com," => Mail;
    mailto_with_slashes: "mailto://a@example.com" => Mail;
    mailto_with_a_line_break_in_the_address: "mailto:a@example.com%0D%0ABcc:b@example.com" => EncodedControl;
    mailto_with_a_line_break_in_the_subject: "mailto:a@example.com?subject=Hi%0aBcc:b@example.com" => EncodedControl;
    mailto_with_a_line_break_in_a_name: "mailto:a@example.com?x%0d%0aBcc=b@example.com" => EncodedControl;
    mailto_with_a_line_break_after_a_false_body: "mailto:a@example.com?body%3D%0d%0aBcc=b@example.com" => EncodedControl;
    mailto_with_an_encoded_nul: "mailto:a%00@example.com" => EncodedControl;
    mailto_with_an_encoded_c1: "mailto:a@example.com?subject=%C2%85" => EncodedControl;
    mailto_with_a_fragment: "mailto:a@example.com#b" => Fragment;
}

allowed! {
    https: "https://example.com/" => "https://example.com/";
    http: "http://example.com/" => "http://example.com/";
    a_missing_path: "https://example.com" => "https://example.com/";
    a_missing_path_before_a_query: "https://example.com?a=1" => "https://example.com/?a=1";
    a_missing_path_before_a_fragment: "https://example.com#a" => "https://example.com/#a";
    capitals: "HTTPS://WWW.Example.COM/Path" => "https://www.example.com/Path";
    a_query_and_a_fragment: "https://example.com/a/b?c=d&e=f#g" => "https://example.com/a/b?c=d&e=f#g";
    the_default_port: "https://example.com:443/" => "https://example.com/";
    an_empty_port: "https://example.com:/" => "https://example.com/";
    a_port: "https://example.com:8443/" => "https://example.com:8443/";
    port_1: "https://example.com:1/" => "https://example.com:1/";
    port_65535: "https://example.com:65535/" => "https://example.com:65535/";
    port_443_of_http: "http://example.com:443/" => "http://example.com:443/";
    a_port_with_leading_zeros: "https://example.com:08080/" => "https://example.com:8080/";
    a_trailing_dot: "https://example.com./" => "https://example.com./";
    an_encoded_dot: "https://www%2eexample.com/" => "https://www.example.com/";
    an_international_name: "https://bücher.example.com/" => "https://xn--bcher-kva.example.com/";
    an_international_name_decomposed: "https://bu\u{308}cher.example.com/" => "https://xn--bcher-kva.example.com/";
    a_sharp_s: "https://straße.de/" => "https://xn--strae-oqa.de/";
    an_international_top_label: "https://例子.中国/" => "https://xn--fsqu00a.xn--fiqs8s/";
    an_international_name_right_to_left: "https://موقع.وزارة-الاتصالات.مصر/" => "https://xn--4gbrim.xn----ymcbaaajlc6dj7bxne2c.xn--wgbh1c/";
    punycode: "https://xn--bcher-kva.example.com/" => "https://xn--bcher-kva.example.com/";
    an_emoji_name: "https://☕.example.com/" => "https://xn--53h.example.com/";
    an_underscore: "https://my_shop.example.com/" => "https://my_shop.example.com/";
    a_label_of_digits: "https://1.example.com/" => "https://1.example.com/";
    two_hyphens: "https://a--b.example.com/" => "https://a--b.example.com/";
    a_label_of_63_characters: format!("https://{}.example.com/", "a".repeat(63)) => format!("https://{}.example.com/", "a".repeat(63));
    example_as_a_second_label: "https://example.org/" => "https://example.org/";
    test_as_a_first_label: "https://test.example.com/" => "https://test.example.com/";
    localhost_as_a_first_label: "https://localhost.example.com/" => "https://localhost.example.com/";
    a_name_that_ends_like_a_special_one: "https://shop.mylocal.com/" => "https://shop.mylocal.com/";
    a_top_label_that_ends_like_a_special_one: "https://shop.xlan/" => "https://shop.xlan/";
    another_name_under_arpa: "https://www.arpa/" => "https://www.arpa/";
    another_name_under_goog: "https://pki.goog/" => "https://pki.goog/";
    a_name_that_looks_private: "https://10.0.0.1.example.com/" => "https://10.0.0.1.example.com/";
    characters_beyond_ascii: "https://example.com/Straße?q=ü#é" => "https://example.com/Stra%C3%9Fe?q=%C3%BC#%C3%A9";
    a_space_in_the_path: "https://example.com/a b" => "https://example.com/a%20b";
    quotes_and_brackets: "https://example.com/<a>?\"b\"" => "https://example.com/%3Ca%3E?%22b%22";
    escapes_as_they_are: "https://example.com/%7Ea%2Fb%20c" => "https://example.com/%7Ea%2Fb%20c";
    an_encoded_line_break_in_the_path: "https://example.com/%0d%0a" => "https://example.com/%0d%0a";
    dot_segments: "https://example.com/a/./b/../c" => "https://example.com/a/c";
    encoded_dot_segments: "https://example.com/a/%2e%2E/c" => "https://example.com/c";
    a_backslash_in_the_path: r"https://example.com/a\b" => "https://example.com/a/b";
    a_backslash_in_the_query: r"https://example.com/?a\b" => r"https://example.com/?a\b";
    an_at_sign_in_the_path: "https://example.com/@name" => "https://example.com/@name";
    an_at_sign_in_the_query: "https://example.com?a=b@c" => "https://example.com/?a=b@c";
    an_at_sign_in_the_fragment: "https://example.com#@evil" => "https://example.com/#@evil";
    slashes_in_the_path: "https://example.com//a//b" => "https://example.com//a//b";
    a_url_in_the_query: "https://example.com/?to=http://localhost/" => "https://example.com/?to=http://localhost/";
    ipv4: "http://1.1.1.1/" => "http://1.1.1.1/";
    ipv4_decimal: "http://16843009/" => "http://1.1.1.1/";
    ipv4_with_port: "http://8.8.8.8:8080/" => "http://8.8.8.8:8080/";
    before_and_after_private_172: "http://172.15.255.255/" => "http://172.15.255.255/";
    after_private_172: "http://172.32.0.0/" => "http://172.32.0.0/";
    before_carrier_nat: "http://100.63.255.255/" => "http://100.63.255.255/";
    after_carrier_nat: "http://100.128.0.0/" => "http://100.128.0.0/";
    after_benchmarking: "http://198.20.0.0/" => "http://198.20.0.0/";
    before_multicast: "http://223.255.255.255/" => "http://223.255.255.255/";
    beside_azures_host: "http://168.63.129.17/" => "http://168.63.129.17/";
    port_control_anycast: "http://192.0.0.9/" => "http://192.0.0.9/";
    turn_anycast: "http://192.0.0.10/" => "http://192.0.0.10/";
    as112_in_two_networks: "http://192.31.196.1/" => "http://192.31.196.1/";
    as112_direct_delegation: "http://192.175.48.1/" => "http://192.175.48.1/";
    amt: "http://192.52.193.1/" => "http://192.52.193.1/";
    ipv6: "https://[2606:4700:4700::1111]/" => "https://[2606:4700:4700::1111]/";
    ipv6_in_full: "https://[2606:4700:4700:0000:0000:0000:0000:1111]:8443/" => "https://[2606:4700:4700::1111]:8443/";
    ipv6_after_protocol_assignments: "https://[2001:200::1]/" => "https://[2001:200::1]/";
    ipv6_after_documentation: "https://[2001:db9::1]/" => "https://[2001:db9::1]/";
    ipv6_after_6to4: "https://[2003::1]/" => "https://[2003::1]/";
    ipv6_before_the_new_documentation: "https://[3ffe::1]/" => "https://[3ffe::1]/";
    ipv6_after_the_new_documentation: "https://[3fff:1000::1]/" => "https://[3fff:1000::1]/";
    exactly_2048_bytes: format!("https://example.com/{}", "a".repeat(2028)) => format!("https://example.com/{}", "a".repeat(2028));
    longer_before_normalisation: format!("https://example.com/{}", "a/../".repeat(500)) => "https://example.com/";
    a_telephone_number: "tel:+493012345" => "tel:+493012345";
    a_telephone_number_with_separators: "tel:+1-(800)-555.0100" => "tel:+1-(800)-555.0100";
    a_scheme_in_capitals: "TEL:112" => "tel:112";
    an_extension: "tel:+493012345;ext=12" => "tel:+493012345;ext=12";
    a_local_number_with_context: "tel:7042;phone-context=example.com" => "tel:7042;phone-context=example.com";
    a_service_code: "tel:*100%23" => "tel:*100%23";
    a_pause: "tel:+18005550100,,123" => "tel:+18005550100,,123";
    a_message: "sms:+493012345" => "sms:+493012345";
    a_message_to_a_short_number: "sms:72727?body=JOIN" => "sms:72727?body=JOIN";
    a_message_to_two: "sms:+493012345,+493067890?body=Hi%20all" => "sms:+493012345,+493067890?body=Hi%20all";
    a_message_of_two_lines: "sms:+493012345?body=a%0Ab" => "sms:+493012345?body=a%0Ab";
    a_message_beyond_ascii: "sms:+493012345?body=grüß dich" => "sms:+493012345?body=gr%C3%BC%C3%9F%20dich";
    a_mail: "mailto:a@example.com" => "mailto:a@example.com";
    a_mail_with_subject_and_body: "mailto:a@example.com?subject=Hello there&body=a%0D%0Ab" => "mailto:a@example.com?subject=Hello%20there&body=a%0D%0Ab";
    a_mail_to_two: "mailto:a@example.com,b@example.org" => "mailto:a@example.com,b@example.org";
    a_mail_with_its_address_in_a_field: "mailto:?to=a@example.com" => "mailto:?to=a@example.com";
    a_mail_to_be_addressed_by_its_sender: "mailto:?subject=Look" => "mailto:?subject=Look";
    a_mail_with_a_plus: "mailto:a+b@example.com" => "mailto:a+b@example.com";
    a_mail_beyond_ascii: "mailto:müller@example.com" => "mailto:m%C3%BCller@example.com";
}

#[test]
fn an_address_is_reported_as_understood() {
    let error = Destination::parse("http://0x7f.1/").expect_err("loopback");
    assert_eq!(
        error.to_string(),
        "127.0.0.1 is not an address on the public internet: use a public address or name"
    );
}

#[test]
fn a_refused_scheme_is_named_and_cut() {
    let error = Destination::parse(&format!("{}:x", "A".repeat(5000))).expect_err("a scheme");
    let message = error.to_string();
    assert!(
        message.contains(&format!("'{}:'", "a".repeat(32))),
        "{message}"
    );
    assert!(message.contains("https://, http://, tel:, mailto: or sms:"));
}

#[test]
fn the_host_is_known_for_web_destinations_alone() {
    let host = |text| {
        let destination = Destination::parse(text).expect(text);
        assert_eq!(destination.is_web(), destination.host().is_some());
        destination.host().map(str::to_owned)
    };
    assert_eq!(
        host("https://Bücher.example.com:8443/p").as_deref(),
        Some("xn--bcher-kva.example.com")
    );
    assert_eq!(host("http://16843009?a").as_deref(), Some("1.1.1.1"));
    assert_eq!(
        host("https://[2606:4700::1]:8443/").as_deref(),
        Some("[2606:4700::1]")
    );
    assert_eq!(host("tel:+493012345"), None);
    assert_eq!(host("mailto:a@example.com"), None);
    assert_eq!(host("sms:+493012345"), None);
}

#[test]
fn a_code_on_an_own_domain_leads_back_at_any_port_and_in_any_spelling() {
    let leads_back = |text| {
        Destination::parse(text).expect(text).leads_back(
            |host| host == "go.example.com",
            |path| code_in_path(path).is_some(),
        )
    };
    for text in [
        "https://go.example.com/abc1234",
        "http://go.example.com:8080/abc1234?a=b#c",
        "https://GO.example.com./abc1234",
        "https://go%2eexample.com/x/../abc1234",
        "https://go.example.com/%61bc1234",
        "https://go.example.com/q/abc1234/",
    ] {
        assert!(leads_back(text), "{text}");
    }
    for text in [
        "https://go.example.com/",
        "https://go.example.com/blog/post",
        "https://example.com/abc1234",
        "https://xgo.example.com/abc1234",
        "mailto:abc1234@go.example.com",
    ] {
        assert!(!leads_back(text), "{text}");
    }
}

#[test]
fn a_stored_destination_is_taken_as_it_is_if_it_is_fit_for_a_header() {
    let taken = Destination::from_stored("https://shop.example/a").map(|it| it.to_string());
    assert_eq!(taken.as_deref(), Ok("https://shop.example/a"));

    for text in [
        "https://example.com/\r\nA: b",
        "https://example.com/ü",
        "https://example.com/a b",
    ] {
        assert_eq!(
            Destination::from_stored(text),
            Err(DestinationError::NotNormalised),
            "{text:?}"
        );
    }
    assert!(matches!(
        Destination::from_stored("javascript:1"),
        Err(DestinationError::Scheme { .. })
    ));
    assert_eq!(
        Destination::from_stored(""),
        Err(DestinationError::NoScheme)
    );
    let long = format!("https://example.com/{}", "a".repeat(2029));
    assert_eq!(
        Destination::from_stored(&long),
        Err(DestinationError::TooLong { bytes: 2049 })
    );
}

/// Text near the policy's edges: pieces that matter, in any order, with any characters between them.
fn hostile_text() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        prop::sample::select(vec![
            "https:",
            "http:",
            "tel:",
            "mailto:",
            "sms:",
            "//",
            "/",
            "\\",
            "@",
            ":",
            "?",
            "#",
            "%",
            "%2e",
            "%40",
            "%00",
            ".",
            "。",
            "[",
            "]",
            "::",
            "ffff",
            "127.0.0.1",
            "0x7f",
            "localhost",
            "example.com",
            "xn--",
            "ü",
            "٣",
            "\u{ad}",
            "\t",
            " ",
            "+49",
            ";",
            ",",
            "body=",
            "&",
            "%0a",
            "..",
            "|",
            "^",
            "`",
            "{",
            "'",
        ])
        .prop_map(str::to_owned),
        any::<char>().prop_map(String::from),
    ];
    let scheme = prop::sample::select(vec![
        "",
        "https://",
        "https://example.com",
        "http://example.com/",
        "tel:1",
        "mailto:a@b",
        "sms:1",
    ]);
    (scheme, prop::collection::vec(piece, 0..12))
        .prop_map(|(scheme, rest)| scheme.to_owned() + &rest.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn whatever_is_given_is_refused_or_becomes_a_url_that_stays_itself(text in hostile_text()) {
        let Ok(destination) = Destination::parse(&text) else { return Ok(()) };
        let stored = destination.as_str();
        prop_assert!(stored.bytes().all(|byte| byte.is_ascii_graphic()), "{}", stored);
        prop_assert!(stored.len() <= Destination::MAX_BYTES);
        prop_assert_eq!(Destination::parse(stored), Ok(destination.clone()));
        prop_assert_eq!(Destination::from_stored(stored), Ok(destination));
    }

    #[test]
    fn any_ipv4_address_is_judged_alike_in_every_spelling(number: u32) {
        let [a, b, c, d] = number.to_be_bytes();
        let plain = Destination::parse(&format!("http://{a}.{b}.{c}.{d}/"));
        for host in [
            format!("{number}"),
            format!("{number:#x}"),
            format!("0{number:o}"),
            format!("{a:#x}.{b}.{}", u16::from_be_bytes([c, d])),
            format!("{a}.{b}.{c}.{d}."),
            format!("{a}。{b}.{c}%2e{d}"),
        ] {
            prop_assert_eq!(Destination::parse(&format!("http://{host}/")), plain.clone(), "{}", host);
        }
    }

    #[test]
    fn an_ipv6_address_outside_the_unicast_space_is_refused(bits: u128) {
        let address = std::net::Ipv6Addr::from(bits);
        let is_unicast = bits >> 125 == 1;
        let outcome = Destination::parse(&format!("http://[{address}]/"));
        let refused = Err(DestinationError::NotPublic { address: address.into() });
        prop_assert!(is_unicast || outcome == refused, "{}", address);
    }
}
