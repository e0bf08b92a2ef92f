//! Requests of HTTP/2: whatever is in their fields, they are one head of HTTP/1.1 and nothing behind it.

use edge::fuzzing::transcribe;
use edge::{Head, Limits, Reading};
use http::Request;

use crate::input::Input;

pub(crate) fn run(bytes: &[u8]) {
    let mut input = Input(bytes);
    let mut request = Request::builder()
        .method(input.short_bytes())
        .uri(input.short_bytes());
    let mut fields = 0;
    while !input.is_empty() {
        request = request.header(input.short_bytes(), input.short_bytes());
        fields += 1;
    }
    let Ok(request) = request.body(()) else {
        return;
    };
    let (parts, ()) = request.into_parts();
    let Some(head) = transcribe(&parts) else {
        return;
    };
    match Head::read(&head, &Limits::default()) {
        Reading::Complete(read) => {
            assert_eq!(read.len, head.len());
            assert_eq!(read.method, parts.method.as_str());
            // Host may come from the authority, and cookies come together.
            assert!(read.fields.all().count() <= fields + 1);
            let names = parts.headers.keys().filter(|name| *name != "host").count();
            assert!(read.fields.all().count() > names);
        }
        Reading::Refused(_) => {}
        Reading::Partial => panic!(
            "a head without an end: {:?}",
            String::from_utf8_lossy(&head)
        ),
    }
}
