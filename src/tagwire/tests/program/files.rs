//! Files of tags in and out from the shell.

use std::path::Path;

use serde_json::Value;

use crate::commands::{Done, Installation};

async fn import(here: &Installation, file: &Path, more: &[&str]) -> Done {
    let mut arguments = vec!["tags", "import", "--json", file.to_str().unwrap()];
    arguments.extend(more);
    here.run(&arguments).await
}

/// What a command with `--json` printed.
fn printed(done: &Done) -> Value {
    serde_json::from_str(&done.stdout).unwrap()
}

#[tokio::test]
async fn a_file_goes_in_and_comes_out_as_it_was() {
    let here = Installation::start().await;
    let file = here.data.path().join("tags.csv");
    let text = "code,destination,labels,name\na,https://example.com/a,\"x, y\",'=1\nb,https://example.com/b,,\n";
    std::fs::write(&file, text).unwrap();
    let tried = printed(&import(&here, &file, &["--dry-run"]).await);
    assert_eq!(
        (&tried["dry_run"], &tried["created"]),
        (&Value::from(true), &Value::from(2))
    );
    assert_eq!(
        here.run(&["tags", "list", "--json"]).await.json()["items"],
        Value::from(Vec::<Value>::new())
    );
    let made = import(&here, &file, &[]).await.json();
    assert_eq!(
        (&made["created"], &made["status"]),
        (&Value::from(2), &Value::from("done"))
    );
    let again = import(&here, &file, &[]).await.json();
    assert_eq!(
        (&again["created"], &again["unchanged"]),
        (&Value::from(0), &Value::from(2))
    );
    let table = here
        .run(&["tags", "import", file.to_str().unwrap()])
        .await
        .ok();
    assert!(table.contains("unchanged"), "{table}");
    // To a file by its name's format, and to standard output, where the next command reads it.
    let out = here.data.path().join("out.csv");
    here.run(&["tags", "export", "--output", out.to_str().unwrap()])
        .await
        .ok();
    let exported = std::fs::read_to_string(&out).unwrap();
    assert!(
        exported.starts_with("code,domain,") && exported.contains("'=1"),
        "{exported}"
    );
    let lines = here.run(&["tags", "export", "--q", "/a"]).await.ok();
    let line: Value = serde_json::from_str(&lines).unwrap();
    assert_eq!(
        (&line["code"], &line["name"]),
        (&Value::from("a"), &Value::from("=1"))
    );
    let other = Installation::start().await;
    let lines = here
        .run(&["tags", "export"])
        .await
        .ok()
        .replace("\"domain\":\"127.0.0.1\",", "");
    let from_standard_input = ["tags", "import", "--json", "-", "--format", "ndjson"];
    let made = other
        .run_with(&from_standard_input, lines.as_bytes())
        .await
        .json();
    assert_eq!(made["created"], Value::from(2), "{made}");
}

#[tokio::test]
async fn a_file_of_which_a_line_is_wrong_is_a_failure_that_names_it() {
    let here = Installation::start().await;
    let file = here.data.path().join("tags.ndjson");
    let text = "{\"code\": \"a\", \"destination\": \"https://example.com/\"}\n{\"code\": \"b\", \"destination\": \"http://localhost/\"}\n";
    std::fs::write(&file, text).unwrap();
    let done = import(&here, &file, &[]).await;
    assert_eq!(done.code, Some(1));
    let job = printed(&done);
    assert_eq!(
        (&job["errors"][0]["line"], &job["errors"][0]["pointer"]),
        (&Value::from(2), &Value::from("/destination"))
    );
    let told = here.run(&["tags", "import", file.to_str().unwrap()]).await;
    assert!(told.stdout.contains("/destination"), "{}", told.stdout);
    assert!(told.failed().contains("makes only what is missing"));
    let unknown = here.run(&["tags", "import", "-"]).await.failed();
    assert!(unknown.contains("--format"), "{unknown}");
    let missing = here.data.path().join("none.csv");
    assert!(
        import(&here, &missing, &[])
            .await
            .failed()
            .contains("none.csv")
    );
}
