#[derive(Debug, Clone)]
pub struct OpenScope(String);
impl std::fmt::Display for OpenScope {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}
pub struct WatchGuard;
pub fn watch_scopes() -> WatchGuard {
    WatchGuard
}
pub fn open_scopes() -> Vec<OpenScope> {
    Vec::new()
}
pub fn cutting_scopes(_: &dyn grad_core::Backend) -> Vec<OpenScope> {
    vec![OpenScope("no_grad at PLACE".into())]
}

impl OpenScope { pub fn place(&self) -> Option<&'static std::panic::Location<'static>> { None } }
