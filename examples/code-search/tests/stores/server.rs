//! Checks what only a store on a server can meet: lost connections, other programs and larger indexes.

use std::env;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::process::{self, Command};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::sync::{Arc, Mutex, PoisonError, RwLock, RwLockReadGuard};
use std::thread;
use std::time::{Duration, Instant};

use code_search::store::{Counts, NewFile, Origin, Postgres, Store};
use postgres::{Client, Config, NoTls};

use crate::place::{
    Letters, Random, contents, digest_of, file, matching, nearest, origin, passage, product, state,
};

/// Held by each test that uses the server, and alone by the one that stops it.
static RUNNING: RwLock<()> = RwLock::new(());

/// Returns the URL of the server for tests.
fn server() -> String {
    env::var("CODE_SEARCH_TEST_POSTGRES").unwrap_or_else(|_| {
        panic!(
            "cannot test PostgreSQL: CODE_SEARCH_TEST_POSTGRES names no server; run \
             `examples/code-search/tests/postgres-server cargo test -p code-search --features postgres --test stores`"
        )
    })
}

/// A new database, which is dropped in the end.
pub struct Database {
    name: String,
    _running: Option<RwLockReadGuard<'static, ()>>,
}

impl Database {
    pub fn new() -> Self {
        Self::create(Some(RUNNING.read().unwrap_or_else(PoisonError::into_inner)))
    }

    fn create(running: Option<RwLockReadGuard<'static, ()>>) -> Self {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        // The template can be copied by one connection at a time.
        static TEMPLATE: Mutex<()> = Mutex::new(());
        let name = format!("code_search_test_{}_{}", process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let _template = TEMPLATE.lock().unwrap_or_else(PoisonError::into_inner);
        admin(&format!("CREATE DATABASE {name} TEMPLATE template0 ENCODING 'UTF8'"));
        Self { name, _running: running }
    }

    pub fn url(&self) -> String {
        let server = server();
        let (start, _) = server.rsplit_once('/').unwrap();
        format!("{start}/{}", self.name)
    }

    fn open(&self) -> Postgres {
        Postgres::open(&self.url()).unwrap()
    }

    fn client(&self) -> Client {
        Client::connect(&self.url(), NoTls).unwrap()
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        admin(&format!("DROP DATABASE {} WITH (FORCE)", self.name));
    }
}

fn admin(sql: &str) {
    Client::connect(&server(), NoTls).unwrap().batch_execute(sql).unwrap();
}

/// Passes connections on to the server, until it is told to cut them.
struct Proxy {
    port: u16,
    streams: Arc<Mutex<Vec<TcpStream>>>,
    refuses: Arc<Mutex<bool>>,
}

impl Proxy {
    fn new() -> Self {
        let config = server().parse::<Config>().unwrap();
        let target = config.get_ports()[0];
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let (streams, refuses) = (Arc::new(Mutex::new(Vec::new())), Arc::new(Mutex::new(false)));
        let (open, refusing) = (Arc::clone(&streams), Arc::clone(&refuses));
        thread::spawn(move || {
            for client in listener.incoming() {
                let client = client.unwrap();
                if *refusing.lock().unwrap() {
                    continue;
                }
                let server = TcpStream::connect(("127.0.0.1", target)).unwrap();
                for (from, to) in [(&client, &server), (&server, &client)] {
                    let (from, to) = (from.try_clone().unwrap(), to.try_clone().unwrap());
                    thread::spawn(move || pass_on(from, &to));
                }
                open.lock().unwrap().extend([client, server]);
            }
        });
        Self { port, streams, refuses }
    }

    fn url(&self, database: &Database) -> String {
        format!("postgresql://tester:secret@127.0.0.1:{}/{}", self.port, database.name)
    }

    /// Cuts all connections, and refuses others if `refuse` is set.
    fn cut(&self, refuse: bool) {
        *self.refuses.lock().unwrap() = refuse;
        for stream in self.streams.lock().unwrap().drain(..) {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }
}

fn pass_on(mut from: TcpStream, mut to: &TcpStream) {
    let mut buffer = [0; 4096];
    while let Ok(length @ 1..) = from.read(&mut buffer) {
        if to.write_all(&buffer[..length]).is_err() {
            break;
        }
    }
    let _ = to.shutdown(Shutdown::Both);
}

/// Puts, touches and removes files while `disturb` is called again and again, each time after something has been written.
fn write_while(store: &mut dyn Store, disturb: impl Fn(usize) + Send) {
    const FILES: usize = 60;
    // Dropped, and so disconnected, when the writes are done or have failed.
    let (written, received) = mpsc::channel();
    thread::scope(|scope| {
        scope.spawn(move || {
            let mut round = 0;
            while received.recv().is_ok() {
                while received.try_recv().is_ok() {}
                thread::sleep(Duration::from_millis(17 * round % 50));
                disturb(usize::try_from(round).unwrap());
                round += 1;
            }
        });
        let written = written;
        let tree = store.tree(&origin("tree")).unwrap();
        for number in 0..FILES {
            let (path, text) = (format!("f{number}"), format!("number {number}"));
            store.put(tree, &[file(&path, &[&text, "end"])]).unwrap();
            store.touch(tree, &[(path, None)]).unwrap();
            assert_eq!(store.files(tree).unwrap().len(), number + 1);
            assert_eq!(matching(store, tree, &text)[0], text);
            written.send(()).unwrap();
        }
        store.remove(tree, &["f0".into()]).unwrap();
        let expected = Counts { files: FILES - 1, passages: 2 * (FILES - 1) };
        assert_eq!(store.counts(&[tree]).unwrap(), expected);
        assert_eq!(contents(store, tree, 26).len(), expected.passages);
    });
}

#[test]
fn terminated_connections_lose_nothing() {
    let database = Database::new();
    let terminated = AtomicUsize::new(0);
    write_while(&mut database.open(), |_| {
        let rows = database
            .client()
            .query(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
                 WHERE application_name = 'code-search' AND datname = $1",
                &[&database.name],
            )
            .unwrap();
        terminated.fetch_add(rows.len(), Ordering::Relaxed);
    });
    assert!(terminated.into_inner() > 3);
}

#[test]
fn cut_connections_lose_nothing() {
    let database = Database::new();
    let proxy = Proxy::new();
    let mut store = Postgres::open(&proxy.url(&database)).unwrap();
    write_while(&mut store, |round| {
        if round % 3 == 0 {
            proxy.cut(true);
            thread::sleep(Duration::from_millis(250));
        }
        proxy.cut(false);
    });
}

#[test]
fn a_restarted_server_loses_nothing() {
    let control = env::var("CODE_SEARCH_TEST_POSTGRES_CTL").unwrap_or_else(|_| {
        server();
        panic!("cannot restart the server: CODE_SEARCH_TEST_POSTGRES_CTL names no program that does")
    });
    let _alone = RUNNING.write().unwrap_or_else(PoisonError::into_inner);
    let database = Database::create(None);
    let mut store = database.open();
    write_while(&mut store, |round| {
        if round < 2 {
            let mode = ["fast", "immediate"][round];
            for arguments in [&["stop", "-m", mode][..], &["start"]] {
                assert!(Command::new(&control).args(arguments).status().unwrap().success());
                thread::sleep(Duration::from_millis(300));
            }
        }
    });
}

#[test]
fn a_server_that_stays_away_is_an_error_without_the_password() {
    let database = Database::new();
    let proxy = Proxy::new();
    let mut store = Postgres::open(&proxy.url(&database)).unwrap();
    let tree = store.tree(&origin("tree")).unwrap();
    store.put(tree, &[file("a", &["apple"])]).unwrap();
    proxy.cut(true);
    let start = Instant::now();
    let error = format!("{:#}", store.put(tree, &[file("b", &["bread"])]).unwrap_err());
    assert!(start.elapsed() < Duration::from_secs(45), "{:?}", start.elapsed());
    assert!(error.starts_with(&format!("cannot reach the store at 127.0.0.1:{}: ", proxy.port)), "{error}");
    assert!(error.ends_with("; what was indexed so far is kept, run the same command again"), "{error}");
    assert!(!error.contains("secret"), "{error}");
    // The same store goes on when the server is back.
    proxy.cut(false);
    assert_eq!(store.counts(&[tree]).unwrap(), Counts { files: 1, passages: 1 });
}

#[test]
fn a_server_that_is_not_there_or_does_not_answer_is_an_error() {
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    for (address, why) in [(closed, "refused"), (silent.local_addr().unwrap(), "the server does not answer")] {
        let url = format!("postgresql://tester:secret@{address}/db?connect_timeout=1");
        let start = Instant::now();
        let error = format!("{:#}", Postgres::open(&url).err().unwrap());
        assert!(start.elapsed() < Duration::from_secs(10), "{:?}", start.elapsed());
        assert!(error.starts_with(&format!("cannot reach the store at {address}: ")), "{error}");
        assert!(error.contains(why) && !error.contains("secret"), "{error}");
    }
}

#[test]
fn a_server_without_tls_is_an_error_if_tls_is_required() {
    let database = Database::new();
    let error = Postgres::open(&format!("{}?sslmode=verify-full", database.url())).err().unwrap().to_string();
    assert!(error.contains("server does not support TLS") && !error.contains("secret"), "{error}");
}

#[test]
fn errors_of_the_server_do_not_control_the_terminal() {
    let database = Database::new();
    let error = Postgres::open(&database.url().replace(&database.name, "%1b%5B31m")).err().unwrap().to_string();
    assert!(error.starts_with("cannot use the store at 127.0.0.1:"), "{error}");
    assert!(error.ends_with(r#"database "\u{1b}[31m" does not exist"#) && !error.contains("secret"), "{error}");
    let error = Postgres::open(&database.url().replace("secret", "wr0ng")).err().unwrap().to_string();
    assert!(error.contains("password authentication failed") && !error.contains("wr0ng"), "{error}");
}

#[test]
fn tables_of_another_version_are_an_error_that_says_what_to_do() {
    let database = Database::new();
    drop(database.open());
    database.client().batch_execute("UPDATE code_search.version SET version = version + 1").unwrap();
    let error = Postgres::open(&database.url()).err().unwrap().to_string();
    assert!(
        error.contains("made by another version") && error.contains("DROP SCHEMA code_search CASCADE"),
        "{error}"
    );
    database.client().batch_execute("DROP SCHEMA code_search CASCADE").unwrap();
    let mut store = database.open();
    assert!(store.tree(&origin("tree")).is_ok());
}

#[test]
fn a_database_of_another_encoding_is_an_error() {
    let database = Database::new();
    let name = format!("{}_ascii", database.name);
    admin(&format!("CREATE DATABASE {name} TEMPLATE template0 ENCODING 'SQL_ASCII'"));
    let error = Postgres::open(&database.url().replace(&database.name, &name)).err().unwrap().to_string();
    admin(&format!("DROP DATABASE {name} WITH (FORCE)"));
    assert!(error.contains("encoding of the database is SQL_ASCII"), "{error}");
}

#[test]
fn a_nul_is_replaced() {
    let database = Database::new();
    let mut store = database.open();
    let tree = store.tree(&origin("tr\0ee")).unwrap();
    let mut with_nul = file("a\0b", &["app\0le"]);
    with_nul.passages[0].item = "\0".into();
    store.put(tree, &[with_nul]).unwrap();
    let found = contents(&mut store, tree, 26);
    assert_eq!((&*found[0].path, &*found[0].text, &*found[0].item), ("a\u{fffd}b", "app\u{fffd}le", "\u{fffd}"));
    store.touch(tree, &[("a\0b".into(), None)]).unwrap();
    store.remove(tree, &["a\0b".into()]).unwrap();
    assert!(store.files(tree).unwrap().is_empty());
}

#[test]
fn a_vector_that_another_program_has_shortened_is_never_ranked() {
    let database = Database::new();
    let mut store = database.open();
    let tree = store.tree(&origin("tree")).unwrap();
    store.put(tree, &[file("a", &["apple", "bread"])]).unwrap();
    database
        .client()
        .batch_execute("UPDATE code_search.passages SET embedding = '[1, 0]' WHERE text = 'apple'")
        .unwrap();
    assert_eq!(nearest(&mut store, tree, "apple", 10), ["bread"]);
    let ids = store.matching(&[tree], "apple", 10).unwrap();
    let error = store.passages(&ids).unwrap_err().to_string();
    assert!(error.ends_with("its vectors have the wrong length"), "{error}");
    assert!(store.vectors(tree, &[digest_of("apple")]).is_err());
}

#[test]
fn a_writer_with_an_old_model_does_not_write_into_the_new_tree() {
    let database = Database::new();
    let (mut old, mut new) = (database.open(), database.open());
    let tree = old.tree(&origin("tree")).unwrap();
    old.put(tree, &[file("a", &["apple"])]).unwrap();
    let newer = Origin { model: "newer".into(), ..origin("tree") };
    let newer = new.tree(&newer).unwrap();
    let error = old.put(tree, &[file("b", &["bread"])]).unwrap_err().to_string();
    assert!(error.contains("another process has begun to index this tree"), "{error}");
    assert_eq!(new.counts(&[tree, newer]).unwrap(), Counts::default());
}

#[test]
fn hnsw_finds_enough_in_a_small_tree_beside_a_large_one() {
    const LENGTH: usize = 32;
    let database = Database::new();
    let mut store = database.open();
    let mut random = Random(7);
    let mut trees = Vec::new();
    for (name, count) in [("large", 6000), ("small", 120)] {
        let tree = store.tree(&origin(name)).unwrap();
        let vectors = (0..count).map(|_| random.vector(LENGTH)).collect::<Vec<_>>();
        let passages = (1..).zip(&vectors).map(|(line, vector)| passage(line, "", "text", vector.clone()));
        let passages = passages.collect();
        store.put(tree, &[NewFile { path: "a".into(), state: state(""), passages }]).unwrap();
        trees.push((tree, vectors));
    }
    database.client().batch_execute("ANALYZE").unwrap();
    let plan = database.client().query(
        "EXPLAIN SELECT id FROM code_search.passages WHERE tree = 1 AND vector_dims(embedding) = 32
         ORDER BY (embedding::vector(32)) <#> (SELECT embedding FROM code_search.passages LIMIT 1) LIMIT 10",
        &[],
    );
    let plan = plan.unwrap().iter().map(|row| row.get::<_, String>(0)).collect::<String>();
    assert!(plan.contains("passages_by_vector_32"), "{plan}");
    for (tree, vectors) in trees {
        let (mut hits, mut wanted) = (0, 0);
        for _ in 0..20 {
            let query = random.vector(LENGTH);
            let mut order = (0..vectors.len()).collect::<Vec<_>>();
            order.sort_by(|&a, &b| product(&query, &vectors[b]).total_cmp(&product(&query, &vectors[a])));
            let ids = store.nearest(&[tree], &query, 50, &Letters::default()).unwrap();
            assert_eq!(ids.len(), 50);
            let found = store.passages(&ids).unwrap();
            let products = found.iter().map(|(_, passage)| product(&query, &passage.vector)).collect::<Vec<_>>();
            assert!(products.is_sorted_by(|a, b| a >= b), "{products:?}");
            let found = found.iter().map(|(_, passage)| passage.start - 1).collect::<Vec<_>>();
            hits += order[..50].iter().filter(|at| found.contains(at)).count();
            wanted += 50;
        }
        assert!(hits * 100 >= wanted * 90, "{hits} of {wanted}");
    }
}
