//! Opens the web page in headless Chromium, as a user would. The feature `browser` builds it; it needs `chromium` and
//! `chromedriver` in the `PATH`.
//!
//! The test saves a screenshot in the file that `SCREENSHOT` names, if it is set.
#![cfg(any(feature = "cpu", feature = "mlx"))]

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use std::{env, fs};

use embedding_service::background::Background;
use embedding_service::client::Client as ServiceClient;
use embedding_service::model;
use embedding_service::service::Config;
use fantoccini::{Client, ClientBuilder, Locator};
use grad_examples::embedder::Choice;
use grad_examples::model_files::ModelFiles;
use hyper_util::client::legacy::connect::HttpConnector;
use serde_json::json;

const QUERY: &str = "How do I stop recording gradients?";
const LINES: [&str; 4] = [
    "Knead the dough and let it rise overnight.",
    "Wrap the code in a no_grad block.",
    "<img src=x onerror=\"document.title = 'run'\"> & <b>bold</b>",
    "The optimizer updates the weights after each step.",
];

/// A running chromedriver, which ends with the test.
struct Driver {
    child: Child,
    url: String,
}

impl Driver {
    fn start() -> Self {
        let mut child = Command::new("chromedriver")
            .arg("--port=0")
            .stdout(Stdio::piped())
            .spawn()
            .expect("chromedriver is not installed; Debian's package is `chromium-driver`");
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let port = lines.find_map(|line| {
            let line = line.unwrap();
            Some(
                line.strip_prefix("ChromeDriver was started successfully on port ")?
                    .trim_end_matches('.')
                    .to_owned(),
            )
        });
        // It goes on writing, and must not fail for it.
        std::thread::spawn(move || lines.for_each(drop));
        Self { child, url: format!("http://127.0.0.1:{}", port.expect("chromedriver names its port")) }
    }

    async fn browser(&self, profile: &Path) -> Client {
        let profile = format!("--user-data-dir={}", profile.display());
        let arguments = [
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-quic",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            "--window-size=900,980",
            &profile,
        ];
        let capabilities = json!({ "goog:chromeOptions": { "args": arguments } });
        let mut builder = ClientBuilder::new(HttpConnector::new());
        builder.capabilities(capabilities.as_object().unwrap().clone());
        builder.connect(&self.url).await.unwrap()
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The page in a browser.
struct Page(Client);

impl Page {
    async fn fill(&self, id: &str, text: &str) {
        let field = self.0.find(Locator::Id(id)).await.unwrap();
        field.clear().await.unwrap();
        field.send_keys(text).await.unwrap();
    }

    /// Compares a query with lines, and returns the status that the page then shows.
    async fn compare(&self, query: &str, lines: &str) -> String {
        self.fill("query", query).await;
        self.fill("texts", lines).await;
        self.0.find(Locator::Id("compare")).await.unwrap().click().await.unwrap();
        // The button is disabled while the page waits for the answer.
        let done = self.0.wait().at_most(Duration::from_secs(20)).every(Duration::from_millis(10));
        done.for_element(Locator::Css("#compare:enabled")).await.unwrap();
        self.text("#status").await
    }

    async fn text(&self, css: &str) -> String {
        self.0.find(Locator::Css(css)).await.unwrap().text().await.unwrap()
    }

    async fn texts(&self, css: &str) -> Vec<String> {
        let mut texts = Vec::new();
        for element in self.0.find_all(Locator::Css(css)).await.unwrap() {
            texts.push(element.text().await.unwrap());
        }
        texts
    }

    /// Returns the number of elements.
    async fn count(&self, css: &str) -> usize {
        self.0.find_all(Locator::Css(css)).await.unwrap().len()
    }
}

/// Returns the lines and their cosines as the page should show them.
fn ranking(service: &ServiceClient) -> Vec<(String, String)> {
    let vectors = service.embed(&[&[QUERY], &LINES[..]].concat()).unwrap();
    let (query, lines) = vectors.split_first().unwrap();
    let cosine = |line: &Vec<f32>| line.iter().zip(query).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum::<f64>();
    let mut ranked = lines.iter().map(cosine).zip(LINES).collect::<Vec<_>>();
    ranked.sort_by(|(a, _), (b, _)| b.total_cmp(a));
    ranked.into_iter().map(|(cosine, line)| (line.to_owned(), format!("{cosine:.3}"))).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_page_ranks_texts_and_shows_errors() {
    let backend = if cfg!(feature = "cpu") { Choice::Cpu } else { Choice::Mlx };
    let model = model::load(backend, None, &ModelFiles::open(None).unwrap()).unwrap();
    let service = Background::start(&model, &Config::default()).unwrap();
    let url = service.url();
    let expected = ranking(&ServiceClient::new(&url));

    let profile = tempfile::tempdir().unwrap();
    let driver = Driver::start();
    let page = Page(driver.browser(profile.path()).await);
    page.0.goto(&url).await.unwrap();
    let title = page.0.title().await.unwrap();
    assert_eq!(title, "Embedding service");

    // The examples that the page begins with.
    page.0.find(Locator::Id("compare")).await.unwrap().click().await.unwrap();
    page.0.wait().for_element(Locator::Css("#results li:nth-child(4)")).await.unwrap();
    assert_eq!(page.texts("#results .text").await[0], "The railway announces a delay of twenty minutes.");
    if let Some(file) = env::var_os("SCREENSHOT") {
        fs::write(file, page.0.screenshot().await.unwrap()).unwrap();
    }

    // Lines in any order, among empty ones, are ranked by their cosine.
    let status = page.compare(QUERY, &format!("\n{}\n\n", LINES.join("\n"))).await;
    assert!(status.starts_with("5 texts, ") && status.contains(" tokens, ") && status.ends_with(" ms"), "{status}");
    let shown = page.texts("#results .text").await.into_iter().zip(page.texts("#results .score").await);
    assert_eq!(shown.collect::<Vec<_>>(), expected);
    let mut widths = Vec::new();
    for bar in page.0.find_all(Locator::Css("#results .bar")).await.unwrap() {
        let (_, _, width, _) = bar.rectangle().await.unwrap();
        widths.push(width);
    }
    assert!(widths.len() == 4 && widths.is_sorted_by(|a, b| a >= b) && widths[0] > 100.0, "{widths:?}");

    // A text that is HTML was shown as it is, and nothing in it ran.
    assert_eq!((page.count("#results img").await, page.count("#results b").await), (0, 0));
    assert_eq!(page.0.title().await.unwrap(), title);

    // Errors of the service, and its absence.
    let status = page.compare("   ", LINES[0]).await;
    assert_eq!(status, "cannot embed text 0 of `input`: it is empty");
    assert_eq!((page.count("#status.error").await, page.count("#results li").await), (1, 0));
    let status = page.compare(QUERY, &"a\n".repeat(64)).await;
    assert_eq!(status, "cannot embed 65 texts: a request may have 64; send several");
    tokio::task::spawn_blocking(|| service.stop()).await.unwrap().unwrap();
    let status = page.compare(QUERY, LINES[0]).await;
    assert_eq!(status, "cannot reach the service: it may have been stopped");
    page.0.close().await.unwrap();
}
