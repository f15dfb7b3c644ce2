//! Runs `code-search serve` and calls its tools as an editor does: with the client of the protocol's SDK, and with lines of JSON.
#![cfg(feature = "cpu")]

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use rmcp::model::{CallToolRequestParams, CallToolResult};
use rmcp::service::{RoleClient, RunningService};
use rmcp::transport::TokioChildProcess;
use rmcp::{Peer, ServiceExt};
use serde_json::{Value, json};
use tempfile::TempDir;

struct Tree(TempDir);

impl Tree {
    fn new() -> Self {
        let tree = Self(TempDir::new().unwrap());
        fs::create_dir(tree.root()).unwrap();
        tree.write("bread.md", "# Bread\n\nKnead the dough and bake it in a hot oven.\n");
        tree.write(
            "sort.rs",
            "/// Puts numbers into order.\nfn sort(numbers: &mut [i32]) {\n    numbers.sort();\n}\n",
        );
        tree
    }

    fn root(&self) -> PathBuf {
        self.0.path().join("tree")
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.root().join(name), text).unwrap();
    }

    fn arguments(&self, paths: &[&Path]) -> Vec<String> {
        let paths = paths.iter().map(|path| path.display().to_string());
        let store = self.0.path().join("indexes").display().to_string();
        let options = ["--watch", "--backend", "cpu", "--store", &store].map(str::to_owned);
        ["serve".to_owned()].into_iter().chain(paths).chain(options).collect()
    }

    async fn serve(&self, paths: &[&Path]) -> RunningService<RoleClient, ()> {
        let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_code-search"));
        command.args(self.arguments(paths)).kill_on_drop(true);
        ().serve(TokioChildProcess::new(command).unwrap()).await.unwrap()
    }
}

async fn call(client: &Peer<RoleClient>, tool: &'static str, arguments: Value) -> CallToolResult {
    let mut parameters = CallToolRequestParams::new(tool);
    parameters.arguments = arguments.as_object().cloned();
    client.call_tool(parameters).await.unwrap()
}

/// Returns the text of a tool's error.
fn error(result: &CallToolResult) -> String {
    assert_eq!(result.is_error, Some(true), "{result:?}");
    result.content[0].as_text().unwrap().text.clone()
}

async fn status(client: &Peer<RoleClient>) -> Value {
    call(client, "index_status", json!({})).await.structured_content.unwrap()
}

/// Waits until the status satisfies a condition.
async fn wait(client: &Peer<RoleClient>, condition: impl Fn(&Value) -> bool) -> Value {
    for _ in 0..600 {
        let status = status(client).await;
        if condition(&status) {
            return status;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("the status stays {}", status(client).await);
}

async fn first(client: &Peer<RoleClient>, query: &str) -> Value {
    let result = call(client, "search", json!({ "query": query, "top": 1 })).await;
    result.structured_content.unwrap_or_else(|| panic!("{:?}", result.content))["results"][0].clone()
}

#[tokio::test]
async fn a_client_searches_and_the_index_follows_changes() {
    let tree = Tree::new();
    let client = tree.serve(&[&tree.root()]).await;
    let tools = client.list_all_tools().await.unwrap();
    let mut names = tools.iter().map(|tool| &*tool.name).collect::<Vec<_>>();
    names.sort_unstable();
    assert_eq!(names, ["index_status", "search"]);
    let search = tools.iter().find(|tool| tool.name == "search").unwrap();
    assert_eq!(search.input_schema["required"], json!(["query"]));
    assert!(search.description.as_ref().unwrap().starts_with("Finds passages"));

    let ready = wait(&client, |status| status["state"] == "ready").await;
    assert_eq!((&ready["files"], &ready["passages"]), (&json!(2), &json!(2)));
    assert_eq!((&ready["backend"], &ready["watching"]), (&json!("cpu"), &json!(true)));
    let found = first(&client, "ascending").await;
    assert_eq!(found["path"], tree.root().join("sort.rs").display().to_string());
    assert_eq!((&found["start_line"], &found["end_line"]), (&json!(1), &json!(4)));
    assert_eq!(found["item"], "fn sort(numbers: &mut [i32])");

    tree.write("sea.md", "Waves and ships.\n");
    wait(&client, |status| status["state"] == "ready" && status["files"] == 3).await;
    assert_eq!(first(&client, "ocean").await["path"], tree.root().join("sea.md").display().to_string());
    client.cancel().await.unwrap();
}

#[tokio::test]
async fn an_update_that_fails_is_reported_and_the_index_stays() {
    let tree = Tree::new();
    let client = tree.serve(&[&tree.root()]).await;
    wait(&client, |status| status["state"] == "ready" && status["files"] == 2).await;
    let (root, aside) = (tree.root(), tree.0.path().join("aside"));
    fs::rename(&root, &aside).unwrap();
    let failed = wait(&client, |status| status["error"] != "").await;
    assert_eq!(failed["state"], "ready");
    assert!(failed["error"].as_str().unwrap().starts_with("cannot search "), "{failed}");
    // The index is as it was.
    assert_eq!(first(&client, "dough").await["item"], "Bread");
    client.cancel().await.unwrap();
}

#[tokio::test]
async fn mistakes_are_errors_of_the_tool() {
    let tree = Tree::new();
    let client = tree.serve(&[&tree.root()]).await;
    wait(&client, |status| status["state"] == "ready").await;
    let search = async |arguments| error(&call(&client, "search", arguments).await);
    assert_eq!(search(json!({ "query": " " })).await, "cannot search: the query is empty; name what to look for");
    assert_eq!(search(json!({ "query": "x", "top": 0 })).await, "cannot return 0 passages: `top` is from 1 to 50");
    assert_eq!(
        search(json!({ "query": "x", "ranking": "best" })).await,
        "cannot rank by \"best\": use hybrid, vectors or words"
    );
    // The server goes on.
    assert_eq!(first(&client, "dough").await["item"], "Bread");
    client.cancel().await.unwrap();
}

#[tokio::test]
async fn a_tree_that_does_not_exist_is_reported_by_the_tools() {
    let tree = Tree::new();
    let client = tree.serve(&[Path::new("no/such/tree")]).await;
    let failed = wait(&client, |status| status["state"] == "failed").await;
    assert!(failed["error"].as_str().unwrap().starts_with("cannot search no/such/tree"), "{failed}");
    let answer = call(&client, "search", json!({ "query": "x" })).await;
    assert!(error(&answer).starts_with("cannot search no/such/tree"));
    client.cancel().await.unwrap();
}

#[test]
fn standard_output_has_nothing_but_the_protocol() {
    let tree = Tree::new();
    tree.write("data.bin", "\0");
    let mut server = Command::new(env!("CARGO_BIN_EXE_code-search"))
        .args(tree.arguments(&[&tree.root()]))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut requests = server.stdin.take().unwrap();
    let mut responses = BufReader::new(server.stdout.take().unwrap()).lines().map(Result::unwrap);
    let client = json!({ "name": "test", "version": "1" });
    let hello = json!({ "protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": client });
    writeln!(requests, "{}", json!({ "jsonrpc": "2.0", "id": 1, "method": "initialize", "params": hello }))
        .unwrap();
    let welcome = serde_json::from_str::<Value>(&responses.next().unwrap()).unwrap();
    assert_eq!(welcome["result"]["serverInfo"]["name"], "code-search");
    writeln!(requests, "{}", json!({ "jsonrpc": "2.0", "method": "notifications/initialized" })).unwrap();
    writeln!(requests, "{}", json!({ "jsonrpc": "2.0", "id": 2, "method": "tools/list" })).unwrap();
    let tools = serde_json::from_str::<Value>(&responses.next().unwrap()).unwrap();
    assert_eq!(tools["result"]["tools"].as_array().unwrap().len(), 2);
    // The end of the input is the end of the server.
    drop(requests);
    assert_eq!(responses.next(), None);
    assert!(server.wait().unwrap().success());
}
